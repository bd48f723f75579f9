"""What differs between a document's training of a network and ours, in sentences."""

from __future__ import annotations

from course_utils import zoo
from course_utils.data.catalogue import SPECS
from course_utils.records import RunRecord
from course_utils.zoo.cost import training_images
from course_utils.zoo.design import Design


def departures(design: Design, record: RunRecord | None = None) -> list[str]:
    """Say how our training of a network departs from that of its document.

    Parameters
    ----------
    design : Design
    record : RunRecord, optional
        Our run. Default: only what the design itself says.

    Returns
    -------
    list of str
        One sentence or two for each departure: data, precision, incomplete batches, validation,
        the state of the optimizer. Empty for a network that is from no document.

    Examples
    --------
    >>> from course_utils import zoo
    >>> from course_utils.departures import departures
    >>> departures(zoo.design("hw5/wide-aug"))[-1]
    'The document goes on with the same optimizer; ours starts with new running means.'
    """
    document = zoo.document(design.name)
    if document is None:
        return []
    found = [_last_batch(design), f"{_validation(design)} {document.validation}".strip()]
    if design.same_optimizer:
        found.append(
            "The document goes on with the same optimizer; ours starts with new running means."
        )
    if record is not None:
        found = [_images(record), _precision(record), *found, _pauses(record)]
    return [sentence for sentence in found if sentence]


def _images(record: RunRecord) -> str:
    if "JPEG" not in record.source:
        return ""
    return (
        f"Our images are those of {record.source}: compression has changed their pixels a little."
    )


def _precision(record: RunRecord) -> str:
    machines = record.history.get("machines") or []
    used = {record.precision, *(machine.rpartition(", ")[2] for machine in machines)} - {"float32"}
    if not used:
        return ""
    return f"Our run computed in {' and '.join(sorted(used))}; Keras' default is float32."


def _last_batch(design: Design) -> str:
    recipe = design.recipe
    steps, left = divmod(training_images(design.name), recipe.batch_size)
    if recipe.steps_per_epoch or not left or design.reported.get("steps") == steps:
        return ""
    images = "image" if left == 1 else "images"
    return (
        f"Each of our epochs leaves out the incomplete last batch, {left} {images}; Keras trains "
        "on it."
    )


def _validation(design: Design) -> str:
    every = SPECS[design.dataset].train
    held_out = every - training_images(design.name)
    if not held_out:
        return f"We train on all {every:,} images, and measure nothing during training."
    return f"We validate on {held_out:,} of the {every:,} training images, and train on the others."


def _pauses(record: RunRecord) -> str:
    pauses = record.history.get("resumed") or 0
    if not pauses:
        return ""
    times = "once" if pauses == 1 else f"{pauses} times"
    return f"Our run was stopped {times}, and continued with its weights and its optimizer's state."


def describe_difference(low: float, high: float) -> str:
    """Say whether the choice of test images can explain a difference from the reported accuracy.

    Parameters
    ----------
    low, high : float
        The 95% confidence interval of measured minus reported, as fractions.

    Examples
    --------
    >>> from course_utils.departures import describe_difference
    >>> describe_difference(-0.05, -0.02)
    'The interval, -5.0 to -2.0 points, is below 0: the choice of test images does not explain it.'
    """
    interval = f"The interval, {100 * low:+.1f} to {100 * high:+.1f} points,"
    if low <= 0 <= high:
        return f"{interval} includes 0: the choice of test images may explain the difference."
    side = "below" if high < 0 else "above"
    return f"{interval} is {side} 0: the choice of test images does not explain it."
