"""Drawings of networks: what they say agrees with the model, and every word can be read."""

from __future__ import annotations

import itertools

import keras
import pytest
from keras import layers
from matplotlib.patches import Polygon

from course_utils import CourseError, draw_network, zoo

# The first network of each document, and the deepest one.
NETWORKS = ("fast/cnn", "tbmi26/final", "dl/7", "hw3/l1l2", "hw5/wide", "proyectos/18")


def boxes(picture):
    """The words of a drawing and the volumes, each with its bounding box in pixels."""
    figure = picture.figure
    figure.draw_without_rendering()
    (axis,) = figure.axes
    faces = [patch for patch in axis.patches if isinstance(patch, Polygon)]
    return (
        [(text.get_text(), text.get_window_extent()) for text in axis.texts if text.get_text()],
        [face.get_window_extent() for face in faces],
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_no_word_is_clipped_or_covered(name):
    picture = draw_network(zoo.build(name))
    words, volumes = boxes(picture)
    whole = picture.figure.bbox
    for text, box in words:
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1, text
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1, text
        assert not any(box.overlaps(volume) for volume in volumes), text
    # A title and the lines below it are one block, so only different blocks may not overlap.
    titles, rest = words[::2], words[1::2]
    for (one, box), (other, other_box) in itertools.combinations(rest, 2):
        assert not box.overlaps(other_box), (one, other)
    for (one, box), (other, other_box) in itertools.combinations(titles, 2):
        assert not box.overlaps(other_box), (one, other)


def test_the_drawing_says_what_the_network_is():
    alt = draw_network(zoo.build("fast/cnn")).alt
    assert alt == (
        "A network of 81,834 parameters. Input: 32 × 32 × 3, then scaling. Convolution 5 × 5: "
        "28 × 28 × 32, 2,432 parameters, then ReLU. Max-pooling 2 × 2: 14 × 14 × 32. Convolution "
        "4 × 4: 11 × 11 × 64, 32,832 parameters, then ReLU. Max-pooling 3 × 3: 3 × 3 × 64. "
        "Convolution 2 × 2: 2 × 2 × 120, 30,840 parameters, then ReLU. Max-pooling 2 × 2: "
        "1 × 1 × 120. Flatten: 120. Dense: 120, 14,520 parameters, then ReLU. Dense: 10, 1,210 "
        "parameters, then softmax."
    )


def test_layers_that_keep_the_size_are_named_below():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("swish"),
            layers.Dropout(0.25),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.AveragePooling2D(2),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="tanh"),
        ]
    )
    assert draw_network(model).alt == (
        "A network of 174 parameters. Input: 8 × 8 × 3. Convolution 3 × 3, stride 2: 4 × 4 × 4, "
        "108 parameters, then BatchNorm (16), then silu, then dropout 0.25. Depthwise convolution "
        "3 × 3: 4 × 4 × 4, 40 parameters. Average pooling 2 × 2: 2 × 2 × 4. Global average "
        "pooling: 4. Dense: 2, 10 parameters, then tanh."
    )


def test_volumes_show_the_sizes():
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), layers.Conv2D(64, 1), layers.MaxPooling2D(4)]
    )
    _, faces = boxes(draw_network(model))
    fronts = faces[::3]
    assert fronts[2].height == pytest.approx(fronts[1].height / 2)  # the root of a quarter
    assert fronts[1].width == pytest.approx(fronts[2].width)
    assert fronts[0].height == pytest.approx(fronts[1].height)
    assert fronts[0].width < fronts[1].width


def test_what_cannot_be_drawn_is_named():
    with pytest.raises(CourseError, match=r"begin it with keras\.Input"):
        draw_network(keras.Sequential([layers.Dense(2)]))
    image = keras.Input((8, 8, 3))
    maps = layers.Conv2D(3, 3, padding="same")(image)
    residual = keras.Model(image, layers.Add(name="sum")([image, maps]))
    with pytest.raises(CourseError, match="The layer sum reads several others"):
        draw_network(residual)
    other = keras.Input((8, 8, 3))
    with pytest.raises(CourseError, match="several inputs"):
        draw_network(keras.Model([image, other], layers.Add()([image, other])))
