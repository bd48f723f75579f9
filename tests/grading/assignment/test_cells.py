"""Reading the code of cells."""

import ast
import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from course_utils.grading.assignment.cells import parse

SOURCE = "\n".join(f"x{n} = [a + b * n for a in f(1, (2, (3, (4, (5, n)))))]" for n in range(300))


@pytest.fixture
def threads_change_while_python_builds_trees():
    """Searching for garbage calls Python code, as in a worker of Dask; other threads run then."""

    def pause(*_):
        event.wait(1e-4)

    event, thresholds = threading.Event(), gc.get_threshold()
    gc.callbacks.append(pause)
    gc.set_threshold(100)
    yield
    gc.callbacks.remove(pause)
    gc.set_threshold(*thresholds)


def test_cells_are_parsed_in_many_threads(threads_change_while_python_builds_trees):
    sources = [f"{SOURCE}\n# {number}" for number in range(20)]  # a tree is kept for each source
    with ThreadPoolExecutor(4) as pool:
        trees = list(pool.map(parse, sources))
    assert {ast.dump(tree) for tree in trees} == {ast.dump(ast.parse(SOURCE))}


@pytest.mark.parametrize("source", ["x =", "\0", "(" * 1_000, "-" * 100_000 + "1"])
def test_a_cell_that_is_no_python_has_no_tree(source):
    assert parse(source) is None
