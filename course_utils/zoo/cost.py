"""What training a network costs, in floating-point operations."""

from __future__ import annotations

import functools
import math

import keras

from course_utils import zoo
from course_utils.data.catalogue import SPECS
from course_utils.zoo.blocks import innermost_layers

# A step computes outputs, the gradient of the layers' inputs, and that of their kernels.
PASSES = 3


def forward_flops(model: keras.Model) -> int:
    """Return the multiplications and additions of all kernels, for one image.

    Two for each weight of a kernel at each position of its output; everything else (biases,
    activations, normalisation, pooling) is left out.
    """
    return sum(
        2 * math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
        for layer in innermost_layers(model)
        if hasattr(layer, "kernel")
    )


@functools.cache
def training_flops(name: str) -> int:
    """Return the operations of a network's whole training, for the epochs its document reports.

    Where the document reports none, those of its recipe. Where a frozen backbone comes first, it
    computes each image once. The training of a network that it starts from is left out.

    Raises
    ------
    DataError
        Where the backbone's weights are missing.
    """
    design = zoo.design(name)
    recipe, model, data = design.recipe, design.build(), SPECS[design.dataset]
    split = recipe.validation_split
    images = data.train - (data.validation if split is None else int(split * data.train))
    per_epoch = recipe.steps_per_epoch * recipe.batch_size if recipe.steps_per_epoch else images
    epochs = design.reported_epochs or recipe.epochs
    if design.features is None:
        return PASSES * forward_flops(model) * per_epoch * epochs
    backbone, trained = model.layers
    once = forward_flops(backbone) * (data.train + data.test)
    return once + PASSES * forward_flops(trained) * per_epoch * epochs
