"""Finding reasons for the lecturer to review a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from course_utils import env
from course_utils.data import Dataset
from course_utils.evaluation import Evaluation, score
from course_utils.recipes import Recipe
from course_utils.submission.network import Network
from course_utils.submission.trained import Trained

# Difference in accuracy, 0 to 1, that a network may have after it was trained again.
RETRAIN_TOLERANCE = 0.03

# Difference that the logged and the measured validation accuracy may have on other processors.
LOG_TOLERANCE = 0.01

# Lead of the test accuracy over the validation accuracy that a network may have, as a difference
# and in standard deviations of that difference. A larger lead suggests training on test images.
HELD_OUT_POINTS, HELD_OUT_DEVIATIONS = 0.03, 4


# Test images that a network sees once more, as they are and slightly changed: as many as the
# predictor takes at once.
SEEN_AGAIN = 250

# Fraction of these images for which its answer may be another one, in another batch and order.
OTHER_ANSWERS = 0.02

# Lead, 0 to 1, of the validation accuracy over that on some training images.
UNKNOWN_TRAINING = 0.15

# Accuracy, 0 to 1, that it may lose where images are shifted by a pixel or a little brighter. The
# networks of this course lose 0.02; one that only recognises the test images loses all it has.
SUDDEN_FALL = 0.15


def reasons_to_review(trained: Trained, scored: Evaluation, threshold: float, data: Dataset) -> str:
    """Return the reasons for a review of a network as one text; empty if there are none.

    Parameters
    ----------
    trained : Trained
    scored : Evaluation
        On the first test images of `data`.
    threshold : float
        The required accuracy, 0 to 1.
    data : Dataset
    """
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
        reasons += _seen_again(trained, scored, data.x_test)
        if data.x_train.shape[1:] == data.x_val.shape[1:]:
            reasons += _compared_with_training(trained, data)
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


def _compared_with_training(trained: Trained, data: Dataset) -> Iterator[str]:
    """Look whether the network knows the images on which it was trained."""
    validated = trained.score(data.x_val, data.y_val, data.class_names).accuracy
    chosen = np.random.default_rng().permutation(len(data.y_train))[:SEEN_AGAIN]
    answers = trained.network.predict(np.asarray(data.x_train[chosen])).argmax(axis=1)
    known = float(np.mean(answers == data.y_train[chosen]))
    if validated - known > UNKNOWN_TRAINING:
        yield (
            f"{known:.1%} of some training images and {validated:.1%} of the validation images are "
            "right: what was it trained on?"
        )


def _seen_again(trained: Trained, scored: Evaluation, x: np.ndarray) -> Iterator[str]:
    """Compare the network's answers for some images with those for the same ones, changed."""
    chosen = np.random.default_rng().permutation(scored.n)[:SEEN_AGAIN]
    images, y = np.asarray(x[chosen]), scored.y_true[chosen]
    changes = {"shifted by a pixel": _shifted, "a little brighter": _brighter}
    seen = [images, *(change(images) for change in changes.values() if images.dtype == np.uint8)]
    answers = trained.network.predict(np.concatenate(seen)).argmax(axis=1)
    again, *changed = answers.reshape(len(seen), len(chosen))
    others = float(np.mean(again != scored.probabilities[chosen].argmax(axis=1)))
    if others > OTHER_ANSWERS:
        yield f"for {others:.1%} of the images its answer changed with their order"
    right = float(np.mean(again == y))
    for how, classes in zip(changes, changed):
        if right - np.mean(classes == y) > SUDDEN_FALL:
            yield (
                f"{right:.1%} of some test images are right, but {np.mean(classes == y):.1%} of "
                f"the same images {how}: does it only recognise them?"
            )


def _shifted(images: np.ndarray) -> np.ndarray:
    """Move images to the right by a pixel; the first column is repeated."""
    return np.concatenate([images[:, :, :1], images[:, :, :-1]], axis=2)


def _brighter(images: np.ndarray) -> np.ndarray:
    return np.minimum(images, 247) + np.uint8(8)


def _train_again(trained: Trained, data: Dataset) -> float:
    """Train a network of the same structure with the same recipe; return its test accuracy."""
    again = trained.network.train_again(data, trained.record.recipe, trained.record.seed)
    return score(again.predict(data.x_test), data.y_test, data.class_names).accuracy


def train_again(
    what: str,
    build: Callable[[], Network],
    data: Dataset,
    recipe: Recipe,
    seed: int,
    logged: float,
) -> str:
    """Train a network of a log again, if this submission is one of those that are trained again.

    Parameters
    ----------
    what : str
        The network's name in the reason.
    build : callable
        Calls a function of the student, which returns the network.
    data : Dataset
    recipe : Recipe
    seed : int
    logged : float
        The validation accuracy in the log, 0 to 1.

    Returns
    -------
    str
        A reason to review the log, if another accuracy is reached; otherwise an empty text.

    Examples
    --------
    >>> from course_utils import Recipe, load_cifar10, zoo
    >>> from course_utils.grading import grade
    >>> data = load_cifar10(limit=50)
    >>> build = lambda: zoo.build("fast/cnn")
    >>> grade.train_again("a step", build, data, Recipe(epochs=1), seed=0, logged=0.5)
    ''
    """
    if not env.TRAIN_AGAIN.is_on:
        return ""
    trained = build().train_again(data, recipe, seed)
    reached = score(trained.predict(data.x_val), data.y_val, data.class_names).accuracy
    if abs(reached - logged) <= RETRAIN_TOLERANCE:
        return ""
    return f"{what}: trained again it reached {reached:.1%}, not {logged:.1%}"


# Parts of the names of ready-made networks.
READY_MADE = ("mobilenet", "resnet", "vgg", "efficientnet", "inception", "xception",
                    "densenet", "nasnet", "convnext")  # fmt: skip


def sounds_ready_made(name: str) -> bool:
    """Tell whether a layer has the name of a ready-made network."""
    return any(part in name.lower() for part in READY_MADE)
