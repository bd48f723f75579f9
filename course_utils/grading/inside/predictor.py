"""The predictor, which builds and loads networks of a submission in a sandbox.

It never sees the test labels. The examiner's side of it is in `networks`.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import Any

import keras
import numpy as np

from course_utils.data import Dataset, Source
from course_utils.errors import SubmissionError
from course_utils.grading.inside.model_archive import read_structure
from course_utils.grading.sandbox.layout import HANDED_IN
from course_utils.runtime import setup
from course_utils.submission.messages import ANSWERED, REFUSED, OpenedNetwork, PredictorRequest
from course_utils.submission.network import LoadedNetwork, in_single_precision
from course_utils.submission.network_file import cannot_be_loaded, why_it_cannot_be_loaded
from course_utils.submission.structures import checked_structure

# Images in a batch. The activations take a quarter of the memory that they take with
# `EVALUATION_BATCH`, and the memory is reused sooner: prediction on a CPU is 10% faster, with
# identical results.
BATCH = 250


def build(checked: str, name: str) -> keras.Model:
    """Build a network with new weights from a checked structure.

    Raises
    ------
    SubmissionError
        If no network can be built from it.
    """
    try:
        return keras.models.model_from_json(in_single_precision(checked))
    except Exception as error:
        raise SubmissionError(f"{name} cannot be built: {_first_line(error)}.") from error


def serve(descriptor: int, folder: str) -> None:
    """Answer one examiner's requests until the connection is closed."""
    connection = Connection(descriptor)
    networks = Networks(Path(folder) / HANDED_IN)
    with contextlib.redirect_stdout(io.StringIO()):
        setup()
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            request = PredictorRequest.from_bytes(connection.recv_bytes())
            try:
                if request.command == "images":
                    networks.arrays[request.arrays[0]] = _receive_images(connection, request)
                    answer = ANSWERED
                else:
                    answer = ANSWERED + networks.carry_out(request)
            except SubmissionError as error:
                answer = REFUSED + str(error).encode(errors="replace")
            except Exception as error:
                sentence = f"The network cannot be used: {_first_line(error)}."
                answer = REFUSED + sentence.encode(errors="replace")
            connection.send_bytes(answer)


class Networks:
    """The networks of one predictor.

    Parameters
    ----------
    folder : Path
        The submission's files.

    Attributes
    ----------
    arrays : dict of numpy.ndarray
        Images and labels, by their digests: they are sent once and used for every network.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._networks: dict[str, LoadedNetwork] = {}
        self.arrays: dict[str, np.ndarray] = {}

    def carry_out(self, request: PredictorRequest) -> bytes:
        """Open a network, train one, or predict; return the answer."""
        arrays = [self.arrays[digest] for digest in request.arrays]
        if request.command == "predict":
            return _to_bytes(predict(self._networks[request.network].model, arrays[0]))
        if request.command == "train":
            assert request.training is not None  # it comes with this command
            settings = request.training
            data = _dataset(arrays, settings.class_names)
            old = self._networks[request.network]
            name = f"{request.network} (trained again)"
            return self._keep(name, old.train_again(data, settings.recipe, settings.seed))
        return self._keep(request.network, LoadedNetwork(self._open(request)))

    def _open(self, request: PredictorRequest) -> keras.Model:
        name = request.network
        if request.structure is not None:
            return build(checked_structure(request.structure, name), name)
        path = self._folder / name
        structure = read_structure(path)
        try:
            model = keras.models.model_from_json(in_single_precision(structure))
            model.load_weights(path)
        except Exception as error:
            raise SubmissionError(
                why_it_cannot_be_loaded(path) or cannot_be_loaded(name, error)
            ) from error
        return model

    def _keep(self, name: str, network: LoadedNetwork) -> bytes:
        name = f"{name} ({len(self._networks) + 1})" if name in self._networks else name
        self._networks[name] = network
        return OpenedNetwork(
            name=name,
            structure=network.structure,
            weights=network.weights,
            architecture=network.architecture,
        ).to_bytes()


def _dataset(arrays: list[np.ndarray], class_names: tuple[str, ...]) -> Dataset:
    """Return data for a training: the test images are not known here."""
    x_train, y_train, x_val, y_val = arrays
    source = Source(name="", kind="", location="", fingerprint="", is_stand_in=False)
    nothing = x_val[:0], y_val[:0]
    return Dataset(x_train, y_train, x_val, y_val, *nothing, class_names, source)


def _receive_images(connection: Connection, request: PredictorRequest) -> np.ndarray:
    with os.fdopen(recv_handle(connection), "rb") as file:
        return np.asarray(np.memmap(file, request.dtype, "r", shape=request.shape))


def predict(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Predict like `keras.Model.predict`, but without a queue, because all images are in memory."""
    if len(x) < BATCH:  # so few that a graph would take longer to make
        images = keras.ops.convert_to_tensor(x)
        return keras.ops.convert_to_numpy(model(images, training=False))
    return np.concatenate([_compiled(model)(x[at : at + BATCH]) for at in range(0, len(x), BATCH)])


@functools.cache
def _compiled(model: keras.Model) -> Callable[[np.ndarray], Any]:
    """Return a network as a function that predicts one batch.

    On TensorFlow, Keras first converts Python code with AutoGraph. These networks contain none, and
    the conversion takes longer than the prediction.
    """
    if keras.backend.backend() != "tensorflow":
        return model.predict_on_batch
    import tensorflow as tf

    return tf.function(functools.partial(model, training=False), autograph=False)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200].rstrip(".") if lines else type(error).__name__


def _to_bytes(array: np.ndarray) -> bytes:
    if array.dtype.kind == "V":  # bfloat16, which NumPy's format does not have
        array = array.astype("float32")
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
