"""Finding reasons for the lecturer to review a network."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np

from course_utils import env
from course_utils.data import Dataset
from course_utils.evaluation import Evaluation, evaluate
from course_utils.submission.trained import Trained
from course_utils.training import train

# Difference in accuracy, 0 to 1, that a network may have after it was trained again.
RETRAIN_TOLERANCE = 0.03

# Difference that the logged and the measured validation accuracy may have on other processors.
LOG_TOLERANCE = 0.01

# Lead of the test accuracy over the validation accuracy that a network may have, as a difference
# and in standard deviations of that difference. A larger lead suggests training on test images.
HELD_OUT_POINTS, HELD_OUT_DEVIATIONS = 0.03, 4


def reasons_to_review(trained: Trained, scored: Evaluation, threshold: float, data: Dataset) -> str:
    """Return the reasons for a review of a network as one text; empty if there are none."""
    reasons = []
    low, high = scored.interval
    if low < threshold <= high:
        reasons.append(f"the 95% interval {low:.1%} to {high:.1%} straddles {threshold:.0%}")
    reported = trained.record.test_accuracy
    if not low <= reported <= high:
        reasons.append(f"the record claims {reported:.1%}, but {scored.accuracy:.1%} was measured")
    if trained.record.parameters != trained.model.count_params():
        reasons.append("the record and the network have different numbers of parameters")
    if named := [layer.name for layer in all_layers(trained.model) if sounds_ready_made(layer)]:
        reasons.append(f"a layer is called {named[0]}, as in a ready-made network")
    if trained.model.input_shape[1:] == data.x_val.shape[1:]:
        reasons += _compared_with_validation(trained, scored, data)
    if env.TRAIN_AGAIN.is_on:
        again = _train_again(trained, data)
        if abs(again - scored.accuracy) > RETRAIN_TOLERANCE:
            reasons.append(f"trained again it reached {again:.1%}, not {scored.accuracy:.1%}")
    return f"{trained.question}: {'; '.join(reasons)}" if reasons else ""


def _compared_with_validation(trained: Trained, scored: Evaluation, data: Dataset) -> Iterator[str]:
    """Compare the network's validation accuracy with its log and with its test accuracy."""
    validated = trained.score(data.x_val, data.y_val, data.class_names)
    logged = trained.history.val_accuracy
    if not any(abs(value - validated.accuracy) <= LOG_TOLERANCE for value in logged):
        yield (
            f"no epoch of the log has the validation accuracy measured here, "
            f"{validated.accuracy:.1%}"
        )
    ahead = scored.accuracy - validated.accuracy
    chance = np.sqrt(sum(e.accuracy * (1 - e.accuracy) / e.n for e in (scored, validated)))
    if ahead > max(HELD_OUT_POINTS, HELD_OUT_DEVIATIONS * chance):
        yield (
            f"{scored.accuracy:.1%} of the test images and {validated.accuracy:.1%} of the "
            "validation images are right: was it trained on the test images?"
        )


def _train_again(trained: Trained, data: Dataset) -> float:
    """Train a network of the same structure with the same recipe; return its test accuracy."""
    record = trained.record
    keras.utils.set_random_seed(record.seed)
    model = type(trained.model).from_config(trained.model.get_config())
    train(model, data, record.recipe, seed=record.seed, verbose=False)
    return evaluate(model, data.x_test, data.y_test, data.class_names).accuracy


# Parts of the names of ready-made networks.
READY_MADE = ("mobilenet", "resnet", "vgg", "efficientnet", "inception", "xception",
                    "densenet", "nasnet", "convnext")  # fmt: skip


def all_layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Yield all layers, including those of nested networks."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)


def sounds_ready_made(layer: keras.Layer) -> bool:
    """Tell whether a layer has the name of a ready-made network."""
    return any(name in layer.name.lower() for name in READY_MADE)
