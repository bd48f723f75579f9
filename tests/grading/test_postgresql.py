"""The gradebook in PostgreSQL: a real server of its own, on a socket in a temporary folder."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psycopg
import pytest
from nbgrading import (
    RIGHT,
    UNTOUCHED,
    add_assignment,
    grade,
    hand_in,
    make_course,
    new_cell,
    points,
    solved,
)
from small_notebooks import wait_for

from course_utils import env
from course_utils.grading.assignment.course import nbgrader

# Debian keeps the server's programs out of PATH, in a folder for each version.
INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name))
PROGRAMS = os.pathsep.join([*map(str, reversed(INSTALLED)), os.environ["PATH"]])
SERVER = shutil.which("postgres", path=PROGRAMS)
# PostgreSQL refuses to run as root; Debian's package makes this account.
ACCOUNT = {"user": "postgres", "group": "postgres", "extra_groups": ()} if os.getuid() == 0 else {}

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(SERVER is None, reason="no PostgreSQL: make postgresql installs it"),
]

NAME, QUESTION, ROLE, DATABASE = "small", "first-test", "course", "gradebook"
POINTS = {RIGHT: 5.0, UNTOUCHED: 0.0}


@pytest.fixture(scope="module")
def socket_folder() -> Iterator[str]:
    """The folder of a running server's socket, with an empty database; stopped at the end."""
    # Not pytest's own: its path is too long for a socket, and the server's account cannot enter it.
    with tempfile.TemporaryDirectory(prefix="postgresql-") as folder:
        if ACCOUNT:
            shutil.chown(folder, ACCOUNT["user"], ACCOUNT["group"])
        data, programs = Path(folder, "data"), Path(SERVER).parent
        trusting = (f"--username={ROLE}", "--auth=trust", "--encoding=UTF8", "--no-locale")
        subprocess.run(
            [programs / "initdb", f"--pgdata={data}", "--no-sync", *trusting],
            cwd=folder, check=True, capture_output=True, **ACCOUNT,
        )  # fmt: skip
        server = subprocess.Popen(
            [SERVER, "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **ACCOUNT,
        )  # fmt: skip
        try:
            here = ("--host", folder, "--username", ROLE)
            ready = [programs / "pg_isready", "--quiet", *here]
            wait_for(lambda: subprocess.run(ready, check=False).returncode == 0)
            subprocess.run([programs / "createdb", *here, DATABASE], check=True)
            yield folder
        finally:
            server.send_signal(signal.SIGINT)  # a fast shutdown: it waits for no client
            server.wait(timeout=30)


@pytest.fixture(scope="module")
def graded(tmp_path_factory, socket_folder) -> Iterator[Path]:
    """A course whose gradebook is in PostgreSQL: released, handed in, graded."""
    course = make_course(tmp_path_factory.mktemp("course") / "course")
    (course / "gradebook.db").unlink()
    with pytest.MonkeyPatch.context() as settings:
        url = f"postgresql+psycopg://{ROLE}@/{DATABASE}?host={socket_folder}"
        settings.setenv(env.GRADEBOOK.name, url)
        nbgrader(course, "db", "assignment", "list")  # makes the tables
        add_assignment(course, NAME, question())
        hand_in(course, RIGHT, NAME, solved(course, NAME))
        hand_in(course, UNTOUCHED, NAME)
        grade(course, NAME)
        yield course


def question() -> list[nbformat.NotebookNode]:
    """Return the cells of one question."""
    answer = "one = None\n### BEGIN SOLUTION\none = 1\n### END SOLUTION"
    test = (
        "### BEGIN HIDDEN TESTS\nfrom course_utils.grading import grade\n\n"
        "grade.Grade(float(one == 1), 'Read the question.')\n### END HIDDEN TESTS"
    )
    return [
        new_cell("first", answer, answer=True),
        new_cell(QUESTION, test, points=POINTS[RIGHT]),
    ]


def scores_in_postgresql(folder: str) -> dict[str, float]:
    """Return every student's points as the database itself has them."""
    query = """
        SELECT submission.student_id, grade.auto_score
        FROM grade
        JOIN submitted_notebook AS notebook ON notebook.id = grade.notebook_id
        JOIN submitted_assignment AS submission ON submission.id = notebook.assignment_id
    """
    with psycopg.connect(host=folder, user=ROLE, dbname=DATABASE) as connection:
        rows = connection.execute(query).fetchall()
    assert len(rows) == len(dict(rows))
    return dict(rows)


def test_grades_are_in_postgresql_and_nowhere_else(graded, socket_folder):
    assert scores_in_postgresql(socket_folder) == POINTS
    assert not list(graded.rglob("*.db"))


def test_what_reads_the_gradebook_reads_it_there(graded):
    assert {who: points(graded, who, NAME) for who in POINTS} == {
        who: {QUESTION: score} for who, score in POINTS.items()
    }
    nbgrader(graded, "export")
    rows = csv.DictReader((graded / "grades.csv").read_text().splitlines())
    exported = {row["student_id"]: float(row["score"]) for row in rows}
    assert exported == POINTS
    for student in POINTS:
        assert "Read the question." in (
            graded / "feedback" / student / NAME / f"{NAME}.html"
        ).read_text(encoding="utf-8")


def test_a_submission_that_is_graded_again_replaces_its_points(graded, socket_folder):
    shutil.copytree(
        graded / "submitted" / RIGHT, graded / "submitted" / UNTOUCHED, dirs_exist_ok=True
    )
    results = grade(graded, NAME, student=UNTOUCHED, again=True)
    assert {result.student: result.score for result in results} == dict.fromkeys(POINTS, 5.0)
    assert scores_in_postgresql(socket_folder) == dict.fromkeys(POINTS, 5.0)
