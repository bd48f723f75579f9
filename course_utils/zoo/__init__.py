"""Networks by name: every design with the recipe that trains it.

`names` lists them, `design` describes one, `build` makes its Keras model.
"""

from __future__ import annotations

import difflib

import keras

from course_utils.errors import UnknownDesignError
from course_utils.recipes import Recipe
from course_utils.zoo import dl, fast, hw3, hw5, proyectos, tbmi26
from course_utils.zoo.design import Design

_DESIGNS: dict[str, Design] = {
    design.name: design
    for document in (tbmi26, dl, hw5, proyectos, hw3, fast)
    for design in document.DESIGNS
}


def names() -> list[str]:
    """Return the names of all networks, document by document."""
    return list(_DESIGNS)


def design(name: str) -> Design:
    """Return the design called `name`.

    Raises
    ------
    UnknownDesignError
        If there is none; the message offers the nearest names.
    """
    if name not in _DESIGNS:
        near = difflib.get_close_matches(name, _DESIGNS, n=3, cutoff=0.4)
        offer = (
            f"did you mean {' or '.join(near)}?" if near else "`course zoo list` shows them all."
        )
        raise UnknownDesignError(f"There is no network called {name!r}: {offer}")
    return _DESIGNS[name]


def build(name: str) -> keras.Model:
    """Return a new, uncompiled model of the network called `name`.

    It takes ``uint8`` images, scales them itself, and returns class probabilities.
    """
    return design(name).build()


def recipe(name: str) -> Recipe:
    """Return the recipe of the network called `name`."""
    return design(name).recipe


def successors(name: str) -> list[str]:
    """Return the networks that start from the trained weights of the network called `name`."""
    return [design.name for design in _DESIGNS.values() if design.starts_from == name]
