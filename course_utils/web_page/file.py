"""The page of a network in a file, which may come from anybody."""

from __future__ import annotations

from pathlib import Path

import keras

from course_utils.data import SPECS, load
from course_utils.errors import NetworkPageError, SubmissionError
from course_utils.grading.inside.model_archive import read_structure
from course_utils.grading.inside.predictor import build
from course_utils.submission.network_file import how_it_is_missing, why_it_cannot_be_loaded
from course_utils.web_page.page import NetworkPage, network_page


def page_of_file(path: Path, data_path: str | None = None) -> NetworkPage:
    """Make the page of a network that somebody else may have saved; nothing in the file is run.

    Parameters
    ----------
    path : Path
        A ``.keras`` file.
    data_path : str, optional
        The data set with the network's images. Default: the first one found.

    Raises
    ------
    SubmissionError
        If the file is missing or damaged, or holds anything but layers of Keras.
    NetworkPageError
        If the page cannot compute the network, or there are no images for it.
    """
    model = _loaded(path)
    shape = model.input_shape[1:]
    for key, spec in SPECS.items():
        if spec.shape == shape:
            return network_page(model, load(key, data_path), path.stem)
    known = ", ".join(f"{spec.title} {spec.shape}" for spec in SPECS.values())
    raise NetworkPageError(
        f"{path.name} takes inputs of shape {shape}, for which there are no images. "
        f"There are those of {known}."
    )


def _loaded(path: Path) -> keras.Model:
    """Load a network after everything in its file was checked against the grader's closed table."""
    if path.is_dir():
        raise SubmissionError(how_it_is_missing(path))
    if not path.is_file():
        raise SubmissionError(f"{path.name} is missing: {path.parent.resolve()} has no such file.")
    model = build(read_structure(path), path.name)
    try:
        model.load_weights(path)
    except Exception as error:  # Keras raises many types for weights of another network.
        raise SubmissionError(
            why_it_cannot_be_loaded(path)
            or f"{path.name} is damaged: its weights do not fit its layers."
        ) from error
    return model
