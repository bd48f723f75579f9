"""Output that never ends is stopped at its limit, and the rest of the notebook is graded."""

from __future__ import annotations

import pytest
from nbformat.v4 import new_code_cell
from nbgrading import new_cell

from course_utils.grading.examine.job import Job
from course_utils.grading.examine.submission import examine

pytestmark = pytest.mark.sandbox

SECONDS = 100
DISPLAY = "from IPython.display import clear_output, display\n"
LINE, LARGE = "'x' * 99", "'x' * 10_000"
# Programs that an interrupt ends.
ENDLESS = {
    "print": f"while True:\n    print({LINE})",
    "errors": f"import sys\nwhile True:\n    print({LINE}, file=sys.stderr)",
    "display": f"{DISPLAY}while True:\n    display({LARGE})",
    "update": f"{DISPLAY}it = display('', display_id=True)\nwhile True:\n    it.update({LARGE})",
    "clear": f"{DISPLAY}while True:\n    clear_output(wait=True)\n    display({LARGE})",
    # Without pauses, a message can become too large to be passed on.
    "subprocess": "import subprocess\n"
    "loop = 'while :; do echo ' + 'x' * 10_000 + '; sleep 0.001; done'\n"
    "subprocess.run(['sh', '-c', loop])",
}
STUBBORN = f"""{DISPLAY}
while True:
    try:
        while True:
            display({LARGE})
    except KeyboardInterrupt:
        pass
"""
THREAD = f"""
import threading

def print_for_ever():
    while True:
        print({LINE})

threading.Thread(target=print_for_ever, daemon=True).start()
"""


LATE = """
import time
kernel = get_ipython().kernel
publish = kernel._publish_status

def publish_late(status, *arguments, **settings):
    if status == "idle":
        kernel._publish_status = publish
        time.sleep(6)
    publish(status, *arguments, **settings)

kernel._publish_status = publish_late
"""


def grade(source: str):
    """Examine a notebook of this cell, an answer, and its test."""
    cells = [new_code_cell(source), new_code_cell("answer = 1")]
    cells.append(new_cell("test", "print(answer)", points=1))
    return examine(Job(cells, [], {}, SECONDS, SECONDS, False))


def is_answered(examined) -> bool:
    return [output.get("text") for output in examined.cells[2].outputs] == ["1\n"]


@pytest.mark.parametrize("kind", ENDLESS)
def test_endless_output_is_stopped_and_the_rest_is_graded(kind):
    examined = grade(ENDLESS[kind])
    assert is_answered(examined)
    told = [for_student for for_student, _ in examined.notes]
    assert [sentence.partition(" characters")[2] for sentence in told] == [
        ", or all of them more than 20,971,520. The rest is not shown.",
        " and was interrupted.",
    ]
    assert len(str(examined.cells[0].outputs)) < 2 * 2**20


def test_a_cell_that_no_interrupt_ends_ends_with_its_kernel():
    examined = grade(STUBBORN)
    assert not is_answered(examined)
    told = [for_student for for_student, _ in examined.notes]
    assert told[2:] == [
        "This cell went on printing, so the notebook was stopped.",
        "The notebook's kernel ended before its last cell; the remaining cells were not run.",
    ]


def test_a_kernel_that_sends_what_belongs_to_no_cell_ends_and_it_is_said_why():
    send = (
        "kernel = get_ipython().kernel\ncontent = {'name': 'stdout', 'text': 'x' * 2**20}\n"
        "for _ in range(300):\n"
        "    kernel.session.send(kernel.iopub_socket, 'stream', content, parent={})\n"
        "import time\ntime.sleep(60)"
    )
    examined = grade(send)
    assert not is_answered(examined)
    assert [told for _, told in examined.notes] == ["The kernel ended: it sent more than 256 MB"]


def test_output_of_a_thread_is_nobodys_and_costs_nothing():
    assert is_answered(grade(THREAD))


def test_a_cell_that_prints_much_is_not_interrupted():
    examined = grade(f"for _ in range(250):\n    print({LARGE})\nmuch = 1")
    assert is_answered(examined)
    assert [told for _, told in examined.notes] == [
        f"Too much output in a cell that starts: {examined.cells[0].source[:60]!r}"
    ]


def test_output_that_comes_late_costs_nothing():
    """As on a machine on which others compute."""
    examined = grade(LATE)
    assert is_answered(examined)
    assert examined.notes == []
