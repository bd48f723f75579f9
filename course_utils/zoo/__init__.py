"""Networks by name: every design with the recipe that trains it.

`names` lists them, `design` describes one, `build` makes its Keras model.

Examples
--------
>>> from course_utils import zoo
>>> zoo.names()[:2]
['tbmi26/mnist-200', 'tbmi26/fully-connected']
>>> zoo.design("fast/cnn").parameters
81834
>>> zoo.build("fast/cnn").output_shape
(None, 10)
"""

from __future__ import annotations

import difflib

import keras

from course_utils.errors import UnknownDesignError
from course_utils.recipes import Recipe
from course_utils.zoo import dl, fast, hw3, hw5, proyectos, tbmi26
from course_utils.zoo.design import Design, Document

_DESIGNS: dict[str, Design] = {
    design.name: design
    for module in (tbmi26, dl, hw5, proyectos, hw3, fast)
    for design in module.DESIGNS
}
_DOCUMENTS: dict[str, Document] = {
    module.DOCUMENT.name: module.DOCUMENT for module in (tbmi26, dl, hw5, proyectos, hw3)
}


def names() -> list[str]:
    """Return the names of all networks, grouped by document.

    Examples
    --------
    >>> from course_utils import zoo
    >>> zoo.names()[:2]
    ['tbmi26/mnist-200', 'tbmi26/fully-connected']
    """
    return list(_DESIGNS)


def design(name: str) -> Design:
    """Return the design called `name`.

    Raises
    ------
    UnknownDesignError
        For a name that is not in the zoo; the message offers the nearest names.

    Examples
    --------
    >>> from course_utils import zoo
    >>> zoo.design("tbmi26/cnn").parameters
    81834
    """
    if name not in _DESIGNS:
        near = difflib.get_close_matches(name, _DESIGNS, n=3, cutoff=0.4)
        offer = (
            f"did you mean {' or '.join(near)}?" if near else "`course zoo list` shows them all."
        )
        raise UnknownDesignError(f"There is no network called {name!r}: {offer}")
    return _DESIGNS[name]


def document(name: str) -> Document | None:
    """Return the document that the network called `name` comes from; None for one of ours.

    Raises
    ------
    UnknownDesignError
        For a name that is not in the zoo.

    Examples
    --------
    >>> from course_utils import zoo
    >>> zoo.document("dl/4").name
    'dl'
    """
    return _DOCUMENTS.get(design(name).name.partition("/")[0])


def build(name: str) -> keras.Model:
    """Return a new, uncompiled model of the network called `name`.

    Returns
    -------
    keras.Model
        A model from images, uint8, ``(n, height, width, channels)``, which it scales itself, to
        class probabilities, float32, ``(n, classes)``.

    Raises
    ------
    UnknownDesignError
        For a name that is not in the zoo.
    DataError
        If it starts with a pretrained backbone, and there are no weights for it.

    Examples
    --------
    >>> from course_utils import zoo
    >>> model = zoo.build("fast/cnn")
    >>> model.input_shape, model.output_shape
    ((None, 32, 32, 3), (None, 10))
    """
    return design(name).build()


def recipe(name: str) -> Recipe:
    """Return the recipe of the network called `name`.

    Raises
    ------
    UnknownDesignError
        For a name that is not in the zoo.

    Examples
    --------
    >>> from course_utils import zoo
    >>> recipe = zoo.recipe("tbmi26/cnn")
    >>> recipe.optimizer, recipe.momentum
    ('sgd', 0.9)
    """
    return design(name).recipe


def successors(name: str) -> list[str]:
    """Return the networks that start from the trained weights of the network called `name`.

    Examples
    --------
    >>> from course_utils import zoo
    >>> zoo.successors("hw3/transfer-features")
    ['hw3/transfer-finetune', 'hw3/transfer-finetune-dropout-0.3', 'hw3/transfer-finetune-ours']
    """
    return [design.name for design in _DESIGNS.values() if design.starts_from == name]
