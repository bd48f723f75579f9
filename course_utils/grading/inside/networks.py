"""Networks of a submission as the examiner sees them: facts and numbers from other processes."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path

import numpy as np

from course_utils.data import Dataset
from course_utils.errors import SubmissionError
from course_utils.grading.sandbox.limits import MAX_ANSWER_BYTES
from course_utils.recipes import Recipe
from course_utils.submission.messages import (
    ALL,
    ANSWERS,
    REFUSED,
    OpenedNetwork,
    PredictorOrder,
    PredictorRequest,
    Structure,
    Training,
)
from course_utils.submission.network import Network
from course_utils.submission.predictions import images_digest


class PredictorEnded(SubmissionError):
    """A predictor has ended, and its networks with it."""


class RemoteNetwork(Network):
    """A network that a predictor holds.

    It is opened beside the submission's other networks, or alone if their predictor has ended.

    Parameters
    ----------
    predictors : Predictors
    request : PredictorRequest
        Has a predictor open the network, or train it.
    predictor : Predictor
    """

    def __init__(
        self, predictors: Predictors, request: PredictorRequest, predictor: Predictor
    ) -> None:
        self._predictors, self._request = predictors, request
        try:
            self._open(predictor)
        except PredictorEnded as error:
            self._open_alone(error)

    @property
    def structure(self) -> Structure:
        return self._opened.structure

    @property
    def weights(self) -> str:
        return self._opened.weights

    @property
    def architecture(self) -> str:
        return self._opened.architecture

    def predict(self, x: np.ndarray) -> np.ndarray:
        try:
            return self._predictor.predict(self._opened.name, np.asarray(x))
        except PredictorEnded as error:
            self._open_alone(error)
            return self._predictor.predict(self._opened.name, np.asarray(x))

    def train_again(self, data: Dataset, recipe: Recipe, seed: int) -> RemoteNetwork:
        request = self._predictor.training(self._opened.name, data, recipe, seed)
        return RemoteNetwork(self._predictors, request, self._predictor)

    def _open(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._opened = predictor.open(self._request)

    def _open_alone(self, error: PredictorEnded) -> None:
        """Open the network again, unless it was alone when its predictor ended."""
        if self._request.command == "train" or not self._predictor.is_shared:
            raise error
        self._open(self._predictors.alone(self._request))


class Predictors:
    """The predictors of one submission: one for all networks, and others if it ends.

    After that, each file has its own, and all answers have one.

    Parameters
    ----------
    order : callable
        Has the grader start or forget a predictor; returns the connection to a new one.
    """

    def __init__(self, order: Callable[[PredictorOrder], Connection | None]) -> None:
        self._order = order
        self._predictors: dict[str, Predictor] = {}
        self._networks: dict[str, RemoteNetwork | SubmissionError] = {}

    def open(self, path: Path) -> RemoteNetwork:
        """Return the network in a file.

        Raises
        ------
        SubmissionError
            If it cannot be loaded; the same error each time.
        """
        name = str(path)
        if name not in self._networks:
            try:
                request = PredictorRequest(command="open", network=name)
                self._networks[name] = RemoteNetwork(self, request, self._predictor(ALL))
            except SubmissionError as error:
                self._networks[name] = error
        found = self._networks[name]
        if isinstance(found, SubmissionError):
            raise found
        return found

    def build(self, structure: str, name: str) -> RemoteNetwork:
        """Return a network with new weights, from a structure in the answer `name`.

        Raises
        ------
        SubmissionError
            If it cannot be built.
        """
        request = PredictorRequest(command="open", network=name, structure=structure)
        return RemoteNetwork(self, request, self._predictor(ALL))

    def alone(self, request: PredictorRequest) -> Predictor:
        """Return a predictor that holds no other file."""
        return self._predictor(request.network if request.structure is None else ANSWERS)

    def _predictor(self, name: str) -> Predictor:
        if name not in self._predictors:
            connection = self._order(PredictorOrder(name=name, command="start"))
            assert connection is not None  # a predictor was started
            self._predictors[name] = Predictor(connection, self, name)
        return self._predictors[name]

    def give_up(self, name: str, network: str) -> None:
        """Tell the grader that a predictor has ended. Only for answers, a new one can start."""
        if name == ANSWERS:
            del self._predictors[name]
        self._order(PredictorOrder(name=name, command="forget", network=network))


class Predictor:
    """Client of one predictor.

    Parameters
    ----------
    connection : Connection
        To `course_utils.grading.inside.predictor.serve`.
    owner : Predictors
    name : str
    """

    def __init__(self, connection: Connection, owner: Predictors, name: str) -> None:
        self._connection, self._owner, self._name = connection, owner, name
        self._has_ended = False
        self._opened: set[str] = set()
        self._orders: dict[str, np.ndarray] = {}
        self._sent: set[str] = set()

    @property
    def is_shared(self) -> bool:
        """Whether it was asked for more than one network."""
        return len(self._opened) > 1

    def open(self, request: PredictorRequest) -> OpenedNetwork:
        """Have a network opened or trained."""
        self._opened.add(request.network)
        try:
            return OpenedNetwork.from_bytes(self._ask(request))
        except ValueError as error:
            raise SubmissionError(f"{request.network} cannot be used.") from error

    def predict(self, network: str, x: np.ndarray) -> np.ndarray:
        """Return a network's probabilities for images, one row for each image."""
        digest = images_digest(x)
        if digest not in self._orders:
            # In an order that nobody knows, a network that counts images cannot know their labels.
            self._orders[digest] = np.random.default_rng().permutation(len(x))
            self._send(network, x[self._orders[digest]], digest)
        request = PredictorRequest(command="predict", network=network, arrays=(digest,))
        probabilities = self._array(request)
        if probabilities.ndim != 2 or len(probabilities) != len(x):
            raise SubmissionError(f"{network} does not return one row of probabilities per image.")
        in_order = np.empty_like(probabilities)
        in_order[self._orders[digest]] = probabilities
        return in_order

    def training(self, network: str, data: Dataset, recipe: Recipe, seed: int) -> PredictorRequest:
        """Return the request to train a new network of the same structure; send the data.

        The other process receives the images and labels for training and validation only.
        """
        arrays = [data.x_train, data.y_train, data.x_val, data.y_val]
        digests = tuple(f"{images_digest(each)} in order" for each in arrays)
        for array, digest in zip(arrays, digests):
            if digest not in self._sent:
                self._send(network, array, digest)
                self._sent.add(digest)
        training = Training(recipe=recipe, seed=seed, class_names=data.class_names)
        return PredictorRequest(command="train", network=network, arrays=digests, training=training)

    def _send(self, network: str, x: np.ndarray, digest: str) -> None:
        """Pass an array to the other process as a file in memory, which is read without a copy."""
        with tempfile.TemporaryFile() as file:
            file.write(np.ascontiguousarray(x).data)
            file.flush()
            request = PredictorRequest(
                command="images",
                network=network,
                arrays=(digest,),
                shape=x.shape,
                dtype=str(x.dtype),
            )
            self._ask(request, file.fileno())

    def _array(self, request: PredictorRequest) -> np.ndarray:
        try:
            return np.load(io.BytesIO(self._ask(request)), allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise SubmissionError(f"{request.network} does not return probabilities.") from error

    def _ask(self, request: PredictorRequest, file: int | None = None) -> bytes:
        """Send a request and return the answer.

        Raises
        ------
        SubmissionError
            If the other process refuses the request, or has ended.
        """
        ended = f"The program that loads {request.network} has ended, so it cannot be used."
        if self._has_ended:
            raise PredictorEnded(ended)
        try:
            self._connection.send_bytes(request.to_bytes())
            if file is not None:
                send_handle(self._connection, file, None)
            answer = self._connection.recv_bytes(MAX_ANSWER_BYTES)
        except (EOFError, OSError) as error:
            self._has_ended = True
            self._owner.give_up(self._name, request.network)
            raise PredictorEnded(ended) from error
        if answer.startswith(REFUSED):
            raise SubmissionError(answer[1:].decode("utf-8", errors="replace")[:500])
        return answer[1:]
