"""What training costs, counted by hand."""

import keras
import pytest
from keras import layers

from course_utils import zoo
from course_utils.zoo.cost import forward_flops, training_flops


def test_two_operations_for_each_weight_at_each_position():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, padding="same"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3, strides=2, padding="same"),
            keras.Sequential([layers.Flatten(), layers.Dense(10)]),
        ]
    )
    convolution, depthwise, dense = 3 * 3 * 3 * 4 * 64, 3 * 3 * 4 * 16, 64 * 10
    assert forward_flops(model) == 2 * (convolution + depthwise + dense)


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        # 0.3 million operations in kernels, 45,000 images, 15 epochs.
        ("tbmi26/fully-connected", 3 * 2 * (3072 * 3072 + 3072 * 1000 + 10_000) * 45e3 * 15 / 1e12),
        # 1,000 epochs of 100 batches of 400.
        ("proyectos/18", 3 * forward_flops(zoo.build("proyectos/18")) * 4e4 * 1000 / 1e12),
    ],
)
def test_training_is_three_passes_over_all_images_in_all_epochs(name, tera):
    assert training_flops(name) / 1e12 == pytest.approx(tera)


def test_networks_are_told_apart_by_their_cost():
    costs = {name: training_flops(name) for name in ("dl/1", "dl/7", "hw5/wide-aug")}
    assert costs["dl/1"] < costs["dl/7"] < costs["hw5/wide-aug"]
    assert costs["hw5/wide-aug"] / 1e12 == pytest.approx(3_300, rel=0.02)
