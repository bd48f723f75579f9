"""Finding reasons for the lecturer to review a network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from course_utils import env
from course_utils.data import Dataset
from course_utils.evaluation import Evaluation, score
from course_utils.submission.trained import Trained

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
    if trained.record.parameters != trained.network.count_params():
        reasons.append("the record and the network have different numbers of parameters")
    names = [*trained.structure.networks, *(layer.name for layer in trained.structure.layers)]
    if named := list(filter(sounds_ready_made, names)):
        reasons.append(f"a layer is called {named[0]}, as in a ready-made network")
    if trained.takes(data):
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
    again = trained.network.train_again(data, trained.record.recipe, trained.record.seed)
    return score(again.predict(data.x_test), data.y_test, data.class_names).accuracy


# Parts of the names of ready-made networks.
READY_MADE = ("mobilenet", "resnet", "vgg", "efficientnet", "inception", "xception",
                    "densenet", "nasnet", "convnext")  # fmt: skip


def sounds_ready_made(name: str) -> bool:
    """Tell whether a layer has the name of a ready-made network."""
    return any(part in name.lower() for part in READY_MADE)
