"""What differs between the documents' training and ours: each sentence, and its opposite."""

import pytest

from course_utils import paths, zoo
from course_utils.departures import departures, describe_difference
from course_utils.records import RunRecord


def record_with(**changes):
    """A record of the book's, with other values."""
    record = RunRecord.load(paths.RECORDS / "own_design" / "fast-final-seed0.json")
    plain = {"source": "CIFAR-10 (Python archive)", "precision": "float32"}
    history = record.history | {"machines": [], "resumed": 0} | changes.pop("history", {})
    return record.model_copy(update=plain | {"history": history} | changes)


def said(name, **changes):
    return " ".join(departures(zoo.design(name), record_with(**changes)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"source": "CIFAR-10 (JPEG image folder)"}, "those of CIFAR-10 (JPEG image folder)"),
        ({"precision": "mixed_bfloat16"}, "computed in mixed_bfloat16"),
        ({"history": {"machines": ["a GPU, mixed_float16"]}}, "computed in mixed_float16"),
        ({"history": {"resumed": 2}}, "stopped 2 times"),
        ({"history": {"resumed": 1}}, "stopped once"),
    ],
    ids=str,
)
def test_what_a_record_tells(changes, words):
    assert words in said("dl/1", **changes)
    assert words not in said("dl/1")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        # 45,000 images are 351 batches of 128, and 72 more.
        ("dl/1", "incomplete last batch, 72 images;"),
        ("hw3/base", "incomplete last batch, 9 images;"),
        ("proyectos/0", "incomplete last batch, 64 images;"),
        ("tbmi26/cnn", "validate on 5,000 of the 50,000 training images"),
        ("tbmi26/mnist-200", "validate on 6,000 of the 60,000 training images"),
        ("proyectos/0", "validate on 10,000 of the 50,000 training images"),
        ("hw5/simple", "train on all 50,000 images, and measure nothing during training. The"),
        ("hw5/simple", "measures on the test images"),
        ("hw3/base", "validates on the last images of the training set"),
        ("hw5/wide-aug", "goes on with the same optimizer"),
    ],
)
def test_what_a_design_tells(name, words):
    assert words in " ".join(departures(zoo.design(name)))


def test_nothing_is_said_where_nothing_differs():
    # 390 batches of 128 and 781 of 64 are what the log of hw5 shows, too.
    for name in ("hw5/wide-aug", "hw5/batchnorm", "proyectos/16", "proyectos/18"):
        assert "incomplete" not in said(name)
    assert "same optimizer" not in said("hw3/transfer-finetune")
    assert departures(zoo.design("fast/cnn")) == []


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.05, -0.02, "is below 0: the choice of test images does not explain it"),
        (-0.01, 0.02, "includes 0: the choice of test images may explain"),
        (0.01, 0.02, "is above 0: the choice of test images does not explain it"),
    ],
)
def test_a_difference_is_described_by_its_interval(low, high, words):
    assert words in describe_difference(low, high)


def test_a_weight_decay_is_read_as_old_keras_decay_where_our_recipe_has_it():
    for name in zoo.names():
        design = zoo.design(name)
        reads = "a weight decay; we read it as" in design.note
        assert reads == (design.recipe.decay == 1e-6 and name != "tbmi26/mnist-200")
