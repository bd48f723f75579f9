"""The cost of training a network, in floating-point operations."""

from __future__ import annotations

import functools
import math

import keras

from course_utils import zoo
from course_utils.data.catalogue import SPECS
from course_utils.zoo.blocks import innermost_layers

# Passes of a training step: each layer's outputs, the gradients of its inputs and of its kernel.
PASSES = 3


def forward_flops(model: keras.Model) -> int:
    """Return the number of multiplications and additions of a model's kernels for one image.

    Each weight of a kernel counts twice at each position of its output; biases, activations,
    normalisation and pooling are not counted.
    """
    return sum(
        2 * math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
        for layer in innermost_layers(model)
        if hasattr(layer, "kernel")
    )


def training_images(name: str) -> int:
    """Return the number of images that a network is trained on, by its recipe's validation split.

    Raises
    ------
    UnknownDesignError
        For a name that is not in the zoo.
    """
    design = zoo.design(name)
    data, split = SPECS[design.dataset], design.recipe.validation_split
    return data.train - (data.validation if split is None else int(split * data.train))


@functools.lru_cache(maxsize=1)
def model_to_read(name: str) -> keras.Model:
    """Return an untrained model whose layers are only inspected, built once for several calls.

    Raises
    ------
    UnknownDesignError
        For a name that is not in the zoo.
    DataError
        If the backbone's weights are missing.
    """
    return zoo.build(name)


@functools.cache
def training_flops(name: str, epochs: int | None = None) -> int:
    """Return the number of operations of a network's whole training.

    Parameters
    ----------
    name : str
        The network's name in the zoo.
    epochs : int, optional
        Default: `Design.expected_epochs`.

    Returns
    -------
    int
        Floating-point operations in that many epochs. A frozen backbone counts once per
        image; the training of a network that this one starts from is not counted.

    Raises
    ------
    UnknownDesignError
        For a name that is not in the zoo.
    DataError
        If the backbone's weights are missing.
    """
    design = zoo.design(name)
    recipe, model, data = design.recipe, model_to_read(name), SPECS[design.dataset]
    steps = recipe.steps_per_epoch
    per_epoch = steps * recipe.batch_size if steps else training_images(name)
    images = per_epoch * (epochs or design.expected_epochs)
    if design.features is None:
        return PASSES * forward_flops(model) * images
    backbone, trained = model.layers
    once = forward_flops(backbone) * (data.train + data.test)
    return once + PASSES * forward_flops(trained) * images
