"""The predictor, which loads submitted networks in a sandbox and predicts with them.

The predictor never sees the labels. `serve` runs inside; `Predictor` is the examiner's client.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import Any

import keras
import numpy as np

from course_utils.errors import SubmissionError
from course_utils.grading.inside.model_archive import read_structure
from course_utils.grading.inside.structures import checked_structure
from course_utils.grading.sandbox.layout import HANDED_IN
from course_utils.grading.sandbox.limits import MAX_ANSWER_BYTES
from course_utils.runtime import setup
from course_utils.submission.messages import OpenedNetwork, PredictorRequest
from course_utils.submission.predictions import Network, images_digest, weights_digest

# Images in a batch. The activations take a quarter of the memory that they take with
# `EVALUATION_BATCH`, and the memory is reused sooner: prediction on a CPU is 10% faster, with
# identical results.
BATCH = 250


class RemoteNetwork(Network):
    """A network whose weights another process holds; its `model` only has the same structure.

    Parameters
    ----------
    model : keras.Model
    weights : str
        Digest of the weights.
    predict : callable
        Has the other process predict.
    """

    def __init__(
        self, model: keras.Model, weights: str, predict: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        super().__init__(model)
        self._weights, self._predict = weights, predict

    @property
    def weights(self) -> str:
        return self._weights

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self._predict(x)


class Predictor:
    """Client for networks that another process has loaded.

    Parameters
    ----------
    connection : Connection
        Connection to `serve`.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._orders: dict[str, np.ndarray] = {}
        self._networks: dict[str, RemoteNetwork] = {}

    def open(self, path: Path) -> RemoteNetwork:
        """Return a network whose predictions come from the other process.

        Raises
        ------
        SubmissionError
            If the network cannot be loaded; see `read_structure`.
        """
        if path.name not in self._networks:
            self._networks[path.name] = self._open(path.name)
        return self._networks[path.name]

    def _open(self, name: str) -> RemoteNetwork:
        told = OpenedNetwork.from_bytes(self._ask(PredictorRequest(command="open", network=name)))
        # The structure is checked again here, because the other process is not trusted either.
        model = build(told.structure, name)
        if model.count_params() != told.parameters:
            raise SubmissionError(f"The weights in {name} do not match its structure.")
        return RemoteNetwork(model, told.digest, functools.partial(self._predict, name))

    def _predict(self, name: str, x: np.ndarray) -> np.ndarray:
        x = np.asarray(x)
        digest = images_digest(x)
        if digest not in self._orders:
            # In an order that nobody knows, a network that counts images cannot know their labels.
            self._orders[digest] = np.random.default_rng().permutation(len(x))
            self._send(x[self._orders[digest]], digest)
        probabilities = _to_array(
            self._ask(PredictorRequest(command="predict", network=name, images=digest))
        )
        if probabilities.ndim != 2 or len(probabilities) != len(x):
            raise SubmissionError(f"{name} does not return one row of probabilities per image.")
        in_order = np.empty_like(probabilities)
        in_order[self._orders[digest]] = probabilities
        return in_order

    def _send(self, x: np.ndarray, digest: str) -> None:
        """Pass images to the other process as a file in memory, which is read without a copy."""
        with tempfile.TemporaryFile() as file:
            file.write(np.ascontiguousarray(x).data)
            file.flush()
            request = PredictorRequest(
                command="images", images=digest, shape=x.shape, dtype=str(x.dtype)
            )
            self._ask(request, file.fileno())

    def _ask(self, request: PredictorRequest, file: int | None = None) -> bytes:
        try:
            self._connection.send_bytes(request.to_bytes())
            if file is not None:
                send_handle(self._connection, file, None)
            failed = self._connection.recv_bytes(MAX_ANSWER_BYTES)
            answer = self._connection.recv_bytes(MAX_ANSWER_BYTES)
        except (EOFError, OSError) as error:
            raise SubmissionError(
                "The program that loads the networks has ended, so this network cannot be used."
            ) from error
        if failed:
            raise SubmissionError(failed.decode("utf-8", errors="replace")[:500])
        return answer


def build(structure: str, name: str) -> keras.Model:
    """Check a structure and build a network with new weights from it.

    Raises
    ------
    SubmissionError
        If a class in the structure is not allowed, or no network can be built from it.
    """
    checked = checked_structure(structure, name)
    try:
        return keras.models.model_from_json(checked)
    except Exception as error:
        raise SubmissionError(
            f"{name} cannot be built: {_first_line(error)}. Train again."
        ) from error


def serve(descriptor: int, folder: str) -> None:
    """Answer one examiner's requests until the connection is closed."""
    connection = Connection(descriptor)
    models: dict[str, keras.Model] = {}
    # Images are sent once and used for every network.
    images: dict[str, np.ndarray] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        setup()
    with contextlib.suppress(EOFError):
        while True:
            request = PredictorRequest.from_bytes(connection.recv_bytes())
            try:
                if request.command == "images":
                    images[request.images] = _receive_images(connection, request)
                    answer = b""
                elif request.command == "predict":
                    answer = _to_bytes(predict(models[request.network], images[request.images]))
                else:
                    answer = _open(Path(folder) / HANDED_IN / request.network, models)
                failed = b""
            except SubmissionError as error:
                answer, failed = b"", str(error).encode(errors="replace")
            except Exception as error:
                failed = f"The network cannot be used: {_first_line(error)}.".encode(
                    errors="replace"
                )
                answer = b""
            connection.send_bytes(failed)
            connection.send_bytes(answer)


def _receive_images(connection: Connection, request: PredictorRequest) -> np.ndarray:
    with os.fdopen(recv_handle(connection), "rb") as file:
        return np.asarray(np.memmap(file, request.dtype, "r", shape=request.shape))


def predict(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """Predict like `keras.Model.predict`, but without a queue, because all images are in memory."""
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


def _open(path: Path, models: dict[str, keras.Model]) -> bytes:
    structure = read_structure(path)
    model = models.get(path.name) or build(structure, path.name)
    if path.name not in models:
        try:
            model.load_weights(path)
        except Exception as error:
            raise SubmissionError(
                f"{path.name} cannot be loaded ({type(error).__name__}: {_first_line(error)}). "
                "Train again."
            ) from error
        models[path.name] = model
    return OpenedNetwork(
        structure=structure, parameters=model.count_params(), digest=weights_digest(model)
    ).to_bytes()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _to_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _to_array(data: bytes) -> np.ndarray:
    return np.load(io.BytesIO(data), allow_pickle=False)
