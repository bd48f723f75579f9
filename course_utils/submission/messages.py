"""Every message that crosses a process boundary while a submission is graded.

============  ===============================================================
who to whom   messages
============  ===============================================================
grader        to the fork server: `Task`, answered by `Started`; `Ended`
              follows when the program has ended
grader        to the examiner: `Order`, answered by `Reply`
examiner      to the grader, and on to the student's kernel: `Question`,
              answered by `Answer`
examiner      to the predictor: `PredictorRequest`, answered by bytes
============  ===============================================================

A message is one JSON object. A field that is unknown, missing or of another type is refused. Values
of the student's notebook are text in it, packed by `codec`.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """A message; its fields are checked when it is made and when it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

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
        ``"prepare"``: run the lecturer's cells; ``"predict"``: have the networks predict;
        ``"examine"``: run a test; ``"forget"``: leave names to the student's notebook again.
    content : str or list of str
        The cells, the folder for the predictions, the test's source, or the names.
    """

    command: Literal["prepare", "predict", "examine", "forget"]
    content: str | list[str]


class TestOutcome(Message):
    """What became of a test.

    Attributes
    ----------
    printed : str
    grade : dict, optional
        The MIME bundle of the test's `Grade`.
    error : tuple of str, optional
        Name and message of an exception.
    """

    __test__ = False  # for pytest, which takes classes with this name for tests

    printed: str
    grade: dict[str, Any] | None = None
    error: tuple[str, str] | None = None


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


class Reply(Message):
    """From the examiner: it has finished an order, or it has a question first.

    Attributes
    ----------
    question : Question, optional
    problem : str
        What went wrong with the lecturer's cells.
    outcome : TestOutcome, optional
    """

    question: Question | None = None
    problem: str = ""
    outcome: TestOutcome | None = None


class PredictorRequest(Message):
    """What the predictor is to do.

    Attributes
    ----------
    command : str
        ``"open"`` a network, take ``"images"`` (a file follows), or ``"predict"``.
    network : str
        A file name, to open or to predict with.
    images : str
        The digest of the images, to take or to predict on.
    shape : tuple of int
    dtype : str
    """

    command: Literal["open", "images", "predict"]
    network: str = ""
    images: str = ""
    shape: tuple[int, ...] = ()
    dtype: str = ""


class OpenedNetwork(Message):
    """A network that the predictor has opened.

    Attributes
    ----------
    structure : str
        As JSON.
    parameters : int
    digest : str
        Of the weights.
    """

    structure: str
    parameters: int
    digest: str
