"""The example of every public function and class: it is there, and shows what really comes."""

import ast
import contextlib
import doctest
import importlib
import importlib.util
import inspect
import pkgutil
from pathlib import Path

import pytest

from course_utils import load_cifar10, load_mnist
from course_utils.errors import DataError
from course_utils.runtime import import_keras

# Here rather than in a test, because a library that Keras imports starts a program. With --quick,
# the examples that need Keras are skipped.
with contextlib.suppress(pytest.skip.Exception):
    import_keras()

MODULES = (
    "course_utils",
    "course_utils.zoo",
    "course_utils.experiment",
    "course_utils.transfer",
    "course_utils.submission",
    "course_utils.submission.check",
    "course_utils.grading.grade",
)
# These make the list of their names when they are imported, which does not import Keras.
LAZY = ("course_utils", "course_utils.submission")
TRAIN = {
    "course_utils:History",
    "course_utils:evaluation_image",
    "course_utils:load_records",
    "course_utils:train",
    "course_utils.experiment:run",
    "course_utils.experiment:run_by_name",
    "course_utils.submission:Trained",
    "course_utils.submission:load_trained",
    "course_utils.submission:show_evaluation",
    "course_utils.submission:train_once",
    "course_utils.submission.check:trained",
    "course_utils.grading.grade:check_input",
    "course_utils.grading.grade:test_accuracy",
}
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def offered(module: str) -> list[str]:
    """Return the names in a module's `__all__`, or else of its public functions and classes.

    The file is read rather than imported, because it imports Keras.
    """
    if module in LAZY:
        return importlib.import_module(module).__all__
    file = importlib.util.find_spec(module).origin
    statements = ast.parse(Path(file).read_text(encoding="utf-8")).body
    for statement in statements:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            return ast.literal_eval(statement.value)
    defined = [each.name for each in statements if isinstance(each, ast.FunctionDef | ast.ClassDef)]
    return [name for name in defined if not name.startswith("_")]


# Names as `module:name`, without the modules themselves and without constants.
NAMES = [
    f"{module}:{name}"
    for module in MODULES
    for name in offered(module)
    if f"{module}.{name}" not in MODULES and not name.isupper()
]


class Runner(doctest.DocTestRunner):
    """Runs an example; an error that it does not show ends the test, and so does a skip."""

    def report_unexpected_exception(self, out, test, example, exc_info):
        raise exc_info[1]


def print_text(*displayed):
    """Print what is displayed as a notebook does that shows text only."""
    for each in displayed:
        bundle = each if isinstance(each, dict) else each._repr_mimebundle_()[0]
        print(bundle["text/plain"])


@pytest.fixture(scope="module", autouse=True)
def announced() -> None:
    """The stand-ins, loaded: a process prints only once that it uses them."""
    load_cifar10("stand-in")
    load_mnist("stand-in")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty working folder, in a process where `display` prints as in a notebook."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("IPython.core.display_functions.print", print_text, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.train) if name in TRAIN else name for name in NAMES],
)
def test_example(name, folder):
    documentation = inspect.cleandoc(pkgutil.resolve_name(name).__doc__ or "")
    _, _, section = documentation.partition("\n\nExamples\n--------\n")
    example = doctest.DocTestParser().get_doctest(section, {}, name, None, None)
    assert example.examples, f"{name} has no example"
    if name.startswith("course_utils.transfer:"):
        skip_without_weights()
    failures = []
    Runner(verbose=False, optionflags=FLAGS).run(example, out=failures.append)
    assert not failures, "".join(failures)


def skip_without_weights() -> None:
    from course_utils import transfer

    try:
        transfer.find_weights()
    except DataError:
        pytest.skip("needs MobileNet's weights: put them into ./data/weights")


def test_the_examples_that_train_are_among_them():
    assert set(NAMES) >= TRAIN
