"""Every message that crosses a process boundary while a submission is graded.

============  ===============================================================
who to whom   messages
============  ===============================================================
grader        to the fork server: `Task`, answered by `Started`; `Ended`
              follows when the program has ended
grader        to the examiner: `Order`, answered by `Reply`
examiner      to the grader, and on to the student's kernel: `Question`,
              answered by `Answer`
examiner      to a predictor: `PredictorRequest`, answered by `ANSWERED` and an
              `OpenedNetwork` or an array, or by `REFUSED` and a sentence
grader        to the reader: `ReadRequest` and the contents of files, answered by
              `ReadReply`; then paths, each answered by a content
grader        to the renderer: `ShowRequest`, answered by `ShowReply`
============  ===============================================================

A message is one JSON object. A field that is unknown, missing or of another type is refused. Values
of the student's notebook are text in it, packed by `codec`.
"""

from __future__ import annotations

import math
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from course_utils.recipes import Recipe

# First byte of a predictor's answer.
ANSWERED, REFUSED = b"+", b"-"
# Names of the predictor of all networks and, if that one ends, of the one for networks in answers.
ALL, ANSWERS = "the networks", "the networks that functions return"


class Message(BaseModel):
    """A message; its fields are checked when it is made and when it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    @model_validator(mode="before")
    @classmethod
    def _sendable(cls, fields: Any) -> Any:
        return _without_surrogates(fields)

    def to_bytes(self) -> bytes:
        """Return the message as JSON."""
        return self.model_dump_json().encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read a message.

        Raises
        ------
        ValueError
            If it is not in this form.
        """
        return cls.model_validate_json(content)


class Ticket(Message):
    """What a process needs to enter a sandbox.

    Attributes
    ----------
    keeper : int or None
        Id of the process that holds the sandbox's namespaces; None without a sandbox.
    group : str
        The file through which a process enters the sandbox's control group; empty if it has none.
    user : int
        The user id to change to.
    limits : dict of int
        The fields of `Limits`.
    trusted : bool
        Whether the program may use every system call.
    gpu : bool
        Whether it may use a GPU.
    work : str
        The folder to start in.
    """

    keeper: int | None
    group: str = ""
    user: int = 0
    limits: dict[str, int] = {}
    trusted: bool = False
    gpu: bool = False
    work: str


class Task(Message):
    """Start a program in a sandbox.

    Attributes
    ----------
    number : int
        The task's number, which its answer repeats.
    program : str
        ``"module:function"``.
    ticket : Ticket
    environment : dict of str
    arguments : list
        JSON values.
    """

    number: int
    program: str
    ticket: Ticket
    environment: dict[str, str]
    arguments: list[Any]


class Started(Message):
    """A program was started, or why not.

    Attributes
    ----------
    number : int
        The task's number.
    pid : int
        The process id; 0 after an error.
    error : str
    """

    number: int
    pid: int = 0
    error: str = ""


class Ended(Message):
    """A program has ended.

    Attributes
    ----------
    pid : int
    code : int
        Its exit code, or the negative number of the signal that ended it.
    """

    pid: int
    code: int


class Order(Message):
    """What the examiner is to do.

    Attributes
    ----------
    command : str
        ``"prepare"``: run the lecturer's cells; ``"predict"``: have a network predict;
        ``"examine"``: run a test; ``"forget"``: leave names to the student's notebook again.
    content : str or list of str
        The cells; the folder for the predictions and the name of a network; the test's source; or
        the names.
    ordinary : bool
        Whether the test earns points by nbgrader's rule. Then lists that it gives to a function are
        changed by it, as in a notebook.
    """

    command: Literal["prepare", "predict", "examine", "forget"]
    content: str | list[str]
    ordinary: bool = False


class TestOutcome(Message):
    """What became of a test.

    Attributes
    ----------
    printed : str
    complained : str
        What the test wrote to standard error.
    grade : dict, optional
        The MIME bundle of the test's `Grade`.
    value : str, optional
        The value of the test's last expression, as a notebook displays it, if it is no `Grade`.
    error : tuple of str, optional
        Name and message of an exception.
    foreign : tuple of str
        After an error: the types of the answers that could not be passed to the test.
    """

    __test__ = False  # for pytest, which takes classes with this name for tests

    printed: str
    complained: str = ""
    grade: dict[str, Any] | None = None
    value: str | None = None
    error: tuple[str, str] | None = None
    foreign: tuple[str, ...] = ()


class Question(Message):
    """A question to the student's kernel: the value of a name, or what a function returns.

    Attributes
    ----------
    name : str
    arguments : str, optional
        Packed arguments: then the name is called.
    without : tuple of str
        Dotted names of functions that the call may not use.
    """

    name: str
    arguments: str | None = None
    without: tuple[str, ...] = ()


class Answer(Message):
    """The answer of the student's kernel. At most one of the first three fields is set.

    Attributes
    ----------
    value : str, optional
        The packed value; None if there is no such name.
    error : tuple of str, optional
        Name and message of the exception that the call raised.
    ended : str, optional
        Why there is no answer: a sentence for the student.
    arguments : str, optional
        The packed arguments after the call, which can have changed arrays.
    """

    value: str | None = None
    error: tuple[str, str] | None = None
    ended: str | None = None
    arguments: str | None = None


class PredictorOrder(Message):
    """The examiner needs a predictor, which the grader starts, or has found that one has ended.

    Attributes
    ----------
    name : str
        `ALL`, `ANSWERS`, or the file of a network that has its own predictor.
    command : str
        ``"start"``: an empty message follows, and with it the connection to the predictor;
        ``"forget"``: only the empty message follows.
    network : str
        The network that it was asked for when it ended.
    """

    name: str
    command: Literal["start", "forget"]
    network: str = ""


class Reply(Message):
    """From the examiner: it has finished an order, or it has a question first.

    Attributes
    ----------
    question : Question, optional
    predictor : PredictorOrder, optional
    problem : str
        What went wrong with the lecturer's cells.
    outcome : TestOutcome, optional
    """

    question: Question | None = None
    predictor: PredictorOrder | None = None
    problem: str = ""
    outcome: TestOutcome | None = None


class Training(Message):
    """How a network is trained again.

    Attributes
    ----------
    recipe : Recipe
    seed : int
    class_names : tuple of str
    """

    recipe: Recipe
    seed: int
    class_names: tuple[str, ...]


class PredictorRequest(Message):
    """What a predictor is to do.

    Attributes
    ----------
    command : str
        ``"open"`` a network, take ``"images"`` (a file follows), ``"predict"``, or ``"train"`` a
        new network of the same structure.
    network : str
        A file name, or the name of an answer: the network to open, to predict with, or to train.
    structure : str, optional
        The structure of an answer, as JSON; None for a file.
    arrays : tuple of str
        The digests of the images to take or to predict on, or of images and labels to train with:
        ``x_train, y_train, x_val, y_val``.
    shape : tuple of int
    dtype : str
    training : Training, optional
    """

    command: Literal["open", "images", "predict", "train"]
    network: str = ""
    structure: str | None = None
    arrays: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    dtype: str = ""
    training: Training | None = None


class Layer(Message):
    """A layer or an operation of a network.

    Attributes
    ----------
    kind : str
        Its class, such as ``"Conv2D"``.
    name : str
    settings : dict
        Its configuration as JSON values, such as ``{"units": 10, "activation": "softmax"}``.
    output_shape : tuple, optional
        None if the layer is used more than once.
    weights : tuple of tuple of int
        The shapes of its weights.
    trainable : bool
    """

    kind: str
    name: str
    settings: dict[str, Any]
    output_shape: tuple[Any, ...] | None
    weights: tuple[tuple[int, ...], ...]
    trainable: bool


class Structure(Message):
    """The structure of a network.

    Attributes
    ----------
    layers : tuple of Layer
        All layers and operations, without inputs; a nested network is replaced by its layers.
    networks : tuple of str
        The names of nested networks.
    built : bool
        Whether the shapes of input and output are known.
    input_shape, output_shape : tuple
        As in Keras, with None for the number of images; empty if they are not known.
    weights, trainable_weights : tuple of tuple of int
        Shapes.
    """

    layers: tuple[Layer, ...]
    networks: tuple[str, ...]
    built: bool
    input_shape: tuple[Any, ...]
    output_shape: tuple[Any, ...]
    weights: tuple[tuple[int, ...], ...]
    trainable_weights: tuple[tuple[int, ...], ...]

    @property
    def with_weights(self) -> list[Layer]:
        """The layers with weights, without a `Normalization`, which only scales its inputs."""
        return [layer for layer in self.layers if layer.weights and layer.kind != "Normalization"]

    def count_params(self, *, trainable: bool = False) -> int:
        """Return the number of parameters: of all, or only of those that training changes."""
        return sum(map(math.prod, self.trainable_weights if trainable else self.weights))

    def of_kind(self, *kinds: str) -> list[Layer]:
        """Return the layers of these classes, in order."""
        return [layer for layer in self.layers if layer.kind in kinds]


class OpenedNetwork(Message):
    """A network that a predictor has opened or trained.

    Attributes
    ----------
    name : str
        The predictor's name for it.
    structure : Structure
    weights : str
        Digest of the weights: 64 hexadecimal digits.
    architecture : str
        Digest of everything else.
    """

    name: str
    structure: Structure
    weights: str
    architecture: str


class AssignmentCell(Message):
    """A cell of an assignment's notebook, as students received it.

    Attributes
    ----------
    name : str
        nbgrader's id; empty if it has none.
    kind : str
        Its type, such as ``"code"``.
    text : str
    is_answer, is_graded, is_locked : bool
        What nbgrader's metadata say of it.
    """

    name: str = ""
    kind: str
    text: str
    is_answer: bool = False
    is_graded: bool = False
    is_locked: bool = False


class HandedInFile(Message):
    """A file of a submission.

    Attributes
    ----------
    path : str
        In the submission's folder.
    size : int
        Bytes.
    modified : float
        Time of its last change, in seconds.
    follows : bool
        Whether its content follows the message.
    """

    path: str
    size: int
    modified: float
    follows: bool


class ReadRequest(Message):
    """Find the work in a submission, and read it.

    Attributes
    ----------
    notebooks : dict of tuple of AssignmentCell
        Name of a notebook of the assignment -> its cells, in order.
    names : tuple of str
        Names of networks and records for which the tests ask, without their endings.
    files : tuple of HandedInFile
        The files that are graded.
    """

    notebooks: dict[str, tuple[AssignmentCell, ...]]
    names: tuple[str, ...]
    files: tuple[HandedInFile, ...]


class ReadCell(Message):
    """A cell of a submission.

    Attributes
    ----------
    kind : str
    id : str
    text : str
    name : str
        nbgrader's id if this is a cell of the assignment; empty if it is one of the student's own.
    tags : tuple of str
    attachments : dict, optional
        Name of a picture -> type -> content in base64.
    """

    kind: Literal["code", "markdown", "raw"]
    id: str
    text: str
    name: str = ""
    tags: tuple[str, ...] = ()
    attachments: dict[str, dict[str, str]] | None = None


class ReadNotebook(Message):
    """What a submission has of one of the assignment's notebooks.

    Attributes
    ----------
    source : str
        Path of the file that was taken for it; empty if there is none.
    cells : tuple of ReadCell
    losses : tuple of str
        Sentences about what could not be read, for student and lecturer.
    of_form : str
        A sentence for the lecturer about slips that were repaired and cost nothing.
    notes : tuple of tuple of str
        What student and lecturer are told about its cells.
    """

    source: str = ""
    cells: tuple[ReadCell, ...] = ()
    losses: tuple[str, ...] = ()
    of_form: str = ""
    notes: tuple[tuple[str, str], ...] = ()


class ReadFile(Message):
    """A file of a submission that is expected elsewhere.

    Attributes
    ----------
    path : str
        Where it is expected.
    source : str
        Where it is: in the folder, or in an archive there.
    size : int
        Bytes.
    """

    path: str
    source: str
    size: int


class ReadReply(Message):
    """What the reader has found in a submission.

    Attributes
    ----------
    notebooks : dict of ReadNotebook
        Name of a notebook of the assignment -> what there is of it.
    files : tuple of ReadFile
    encoded : tuple of str
        Paths of records that were in another encoding than UTF-8.
    problems : tuple of str
        Sentences about archives and files, for student and lecturer.
    """

    notebooks: dict[str, ReadNotebook]
    files: tuple[ReadFile, ...] = ()
    encoded: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class ShowRequest(Message):
    """Clean cells, or render a notebook as a page.

    Attributes
    ----------
    command : str
        ``"clean"`` or ``"render"``.
    notebook : str
        As JSON.
    tests : tuple of int
        Which cells to clean are tests, whose outputs are the grader's own but quote answers.
    locked : tuple of int
        Which cells to clean have a text of the lecturer's.
    settings : dict
        The settings of the exporter that renders.
    resources : dict
        What the exporter is told about the notebook.
    """

    command: Literal["clean", "render"]
    notebook: str
    tests: tuple[int, ...] = ()
    locked: tuple[int, ...] = ()
    settings: dict[str, Any] = {}
    resources: dict[str, Any] = {}


class ShowReply(Message):
    """The cleaned cell as JSON, or the page.

    Attributes
    ----------
    content : str
    problem : str
        The name of an exception; then there is no content.
    """

    content: str = ""
    problem: str = ""


def _without_surrogates(value: Any) -> Any:
    """Replace halves of surrogate pairs, which a student's text can contain, and UTF-8 cannot."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _without_surrogates(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_without_surrogates, value))
    return value
