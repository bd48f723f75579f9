"""Predictions of a network as data in a page, which interactive figures read."""

from __future__ import annotations

import base64
import html
import io
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from course_utils.errors import CourseError
from course_utils.evaluation import Evaluation
from course_utils.web_page.fragment import inside_script

# Steps of a logarithm of 1, so that a stored probability is wrong by a twentieth of a percent.
PRECISION = 1_024
# Images for each pair of a true and a predicted class.
SHOWN = 8
COLUMNS = 32
JPEG_QUALITY = 85


@dataclass(frozen=True)
class PredictionsOnPage:
    """Predictions for validation and test images, with some of the test images.

    As the last expression of a notebook's cell, it puts them into the page.

    Attributes
    ----------
    content : dict
        Values for JSON: ``classes``; ``validation`` and ``test``, each with ``labels``,
        ``predicted`` (one byte each) and ``logarithms`` (of probabilities, two bytes each, times
        -1,024), all in Base64; and ``images``: ``places`` in the test set, and one picture of
        all of them, from left to right in ``columns``.
    """

    content: dict[str, Any]

    def _repr_html_(self) -> str:
        """Return a sentence, and the data that figures find on the page."""
        counts = [len(base64.b64decode(self.content[s]["labels"])) for s in ("test", "validation")]
        sentence = "The figures below show {:,} test and {:,} validation images.".format(*counts)
        data = inside_script(json.dumps(self.content))
        return (
            f"<p>{html.escape(sentence)}</p>\n"
            f'<script type="application/json" class="course-predictions">{data}</script>'
        )


def predictions_on_page(
    test: Evaluation, validation: Evaluation, images: np.ndarray
) -> PredictionsOnPage:
    """Put predictions into the page of a chapter, for its interactive figures.

    Parameters
    ----------
    test, validation : Evaluation
        The same network's predictions for two sets of images.
    images : numpy.ndarray
        The test images in the same order: uint8, shape ``(n, height, width, 3)``. The page
        gets at most eight for each pair of a true and a predicted class: those of which the
        network was most certain.

    Returns
    -------
    PredictionsOnPage

    Raises
    ------
    CourseError
        If there is not an image for each prediction.

    Examples
    --------
    >>> from course_utils import evaluate, load_cifar10, predictions_on_page, zoo
    >>> data, model = load_cifar10(limit=100), zoo.build("fast/cnn")
    >>> test = evaluate(model, data.x_test, data.y_test, data.class_names)
    >>> validation = evaluate(model, data.x_val, data.y_val, data.class_names)
    >>> sorted(predictions_on_page(test, validation, data.x_test).content)
    ['classes', 'images', 'test', 'validation']
    """
    if len(images) != test.n:
        raise CourseError(f"There are {len(images):,} images and {test.n:,} predictions.")
    places = _most_certain(test)
    return PredictionsOnPage(
        {
            "classes": test.class_names,
            "validation": _stored(validation),
            "test": _stored(test),
            "images": {
                "places": places,
                "columns": COLUMNS,
                "size": images.shape[1:3],
                "picture": _picture(images[places]),
            },
        }
    )


def _stored(evaluation: Evaluation) -> dict[str, str]:
    with np.errstate(divide="ignore"):
        logarithms = -PRECISION * np.log(evaluation.probabilities)
    largest = np.iinfo("uint16").max
    return {
        "labels": _base64(evaluation.y_true.astype("uint8")),
        "predicted": _base64(evaluation.y_pred.astype("uint8")),
        "logarithms": _base64(logarithms.round().clip(0, largest).astype("<u2")),
    }


def _most_certain(evaluation: Evaluation) -> list[int]:
    """Return the places of the images to show, in the order of their probabilities."""
    order = np.argsort(-evaluation.probabilities.max(axis=1), kind="stable")
    pairs = evaluation.y_true * len(evaluation.class_names) + evaluation.y_pred
    chosen = [order[pairs[order] == pair][:SHOWN] for pair in np.unique(pairs)]
    return np.concatenate(chosen).tolist()


def _picture(images: np.ndarray) -> str:
    """Return images as one picture, the address of a JPEG in itself."""
    height, width, channels = images.shape[1:]
    rows = math.ceil(len(images) / COLUMNS)
    tiles = np.zeros((rows * COLUMNS, height, width, channels), dtype="uint8")
    tiles[: len(images)] = images
    whole = tiles.reshape(rows, COLUMNS, height, width, channels).swapaxes(1, 2)
    file = io.BytesIO()
    Image.fromarray(whole.reshape(rows * height, COLUMNS * width, channels)).save(
        file, "JPEG", quality=JPEG_QUALITY
    )
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()
