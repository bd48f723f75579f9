"""Batch runs over small notebooks that the tests write; no network is trained here."""

import json
import logging
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from filelock import FileLock
from jupyter_cache import get_cache
from myst_nb.core.config import NbParserConfig
from myst_nb.core.execute.cache import NotebookClientCache
from small_notebooks import COUNT, HANG, is_running, start_course_run, wait_for, write_notebook

from course_utils import paths
from course_utils.batch import run_notebooks
from course_utils.batch.book import book_cache_path, drop_from_book_cache, store_in_book_cache
from course_utils.batch.executors import local
from course_utils.batch.key import NOT_IN_NOTEBOOKS, data_keys, environment, notebook_key
from course_utils.batch.notebooks import INJECTED_TAG, find_notebooks, read_notebook
from course_utils.batch.report import judge
from course_utils.batch.run import fit_for_book
from course_utils.errors import CourseError, RunError
from course_utils.fingerprint import digest_of_library
from course_utils.thresholds import load_thresholds

REPORT = """
from types import SimpleNamespace
from course_utils.reporting import report
source = SimpleNamespace(name="CIFAR-10", is_stand_in=data_path == "stand-in", fingerprint="f")
runtime = SimpleNamespace(backend="b", device="d", precision="float32", threads=1, seed=seed)
report(runtime, SimpleNamespace(source=source), profile=profile, test_accuracy={accuracy})
"""


def assert_all_whole(out: Path) -> None:
    """Every file of an output folder can be read to its end."""
    for path in out.rglob("*"):
        if path.suffix == ".ipynb":
            nbformat.validate(nbformat.read(path, as_version=4))
        elif path.suffix == ".json":
            json.loads(path.read_text())


# --- One run of notebooks that end in every way ------------------------------------------------


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    write_notebook(folder / "good.ipynb", "print('hello')", REPORT.format(accuracy=0.5))
    write_notebook(folder / "wrong.ipynb", "print('before')", "1 / 0", "print('after')")
    write_notebook(folder / "dies.ipynb", "import os; os.kill(os.getpid(), 9)")
    (folder / "broken.ipynb").write_text('{"cells": [')
    out = folder / "out"
    report = run_notebooks([folder], out=out, jobs=2)
    return report, out, json.loads((out / "report.json").read_text())


def outcome_of(report, name):
    return next(outcome for outcome in report.notebooks if outcome.name == name)


@pytest.mark.process
def test_a_failing_notebook_does_not_stop_the_others(mixed):
    report, _, _ = mixed
    statuses = {outcome.name: outcome.status for outcome in report.notebooks}
    assert statuses == {
        "broken": "failed",
        "dies": "failed",
        "good": "executed",
        "wrong": "failed",
    }
    assert not report.passed


@pytest.mark.process
def test_a_failure_is_one_sentence_with_cell_exception_and_what_was_kept(mixed):
    report, out, _ = mixed
    error = outcome_of(report, "wrong").error
    kept = out / "partial" / "wrong.ipynb"
    assert "wrong.ipynb failed: ZeroDivisionError: division by zero" in error
    assert "in cell 4 of 5 (code-2)" in error
    assert str(kept) in error
    assert "\n" not in error
    outputs = [cell.outputs for cell in nbformat.read(kept, 4).cells if cell.get("id") == "code-1"]
    assert outputs[0][0].text == "before\n"
    assert not (out / "wrong.ipynb").exists()


@pytest.mark.process
def test_a_dead_kernel_and_a_malformed_notebook_say_what_they_are(mixed):
    report, _, _ = mixed
    assert "the kernel died" in outcome_of(report, "dies").error
    assert "is not a valid notebook" in outcome_of(report, "broken").error


@pytest.mark.process
def test_the_report_file_holds_what_the_notebook_reported(mixed):
    _, out, content = mixed
    good = next(entry for entry in content["notebooks"] if entry["name"] == "good")
    assert content["passed"] is False
    assert good["source"]["name"] == "CIFAR-10"
    assert good["runtime"]["device"] == "d"
    assert good["metrics"][0]["value"] == 0.5
    assert good["versions"]["keras"]
    assert_all_whole(out)


@pytest.mark.process
def test_again_executes_and_the_terminal_stays_free_of_papermills_noise(mixed, capfd):
    _, out, _ = mixed
    report = run_notebooks([out.parent / "good.ipynb"], out=out, again=True)
    assert report.notebooks[0].status == "executed"
    printed, errors = capfd.readouterr()
    assert "good: cell 3 of 4 (code-1)" in printed
    assert "hello" not in printed
    assert errors == ""


# --- Hung, killed, interrupted -----------------------------------------------------------------


@pytest.mark.process
def test_a_hung_notebook_is_stopped_with_its_kernel(tmp_path):
    pid_file = tmp_path / "pid"
    notebook = write_notebook(tmp_path / "hung.ipynb", HANG.format(path=str(pid_file)))
    # On a slow machine, the kernel needs more than half of this time to start.
    report = run_notebooks([notebook], out=tmp_path / "out", timeout=20)
    outcome = report.notebooks[0]
    assert outcome.status == "timed out"
    assert "was stopped after 20 s (--timeout), in cell 3 of 3 (code-1)" in outcome.error
    assert not is_running(pid_file)
    assert_all_whole(tmp_path / "out")


# Says who it is, then prints in many ways, of which none ends by itself.
PRINT_FOR_EVER = """
import os, subprocess, sys, threading
from pathlib import Path
from IPython.display import clear_output, display
Path({path!r}).write_text(str(os.getpid()))
def print_for_ever():
    while True:
        try:
            print("x" * 99)
        except KeyboardInterrupt:
            pass
threading.Thread(target=print_for_ever).start()
subprocess.Popen(["yes"])
shown = display("", display_id=True)
while True:
    try:
        print("x" * 99, file=sys.stderr)
        shown.update("x" * 99)
        clear_output()
    except KeyboardInterrupt:
        pass
"""


@pytest.mark.process
def test_endless_output_is_stopped_with_its_kernel(tmp_path):
    pid_file = tmp_path / "pid"
    notebook = write_notebook(tmp_path / "loud.ipynb", PRINT_FOR_EVER.format(path=str(pid_file)))
    started = time.monotonic()
    report = run_notebooks([notebook], out=tmp_path / "out", timeout=20)
    assert time.monotonic() - started < 60
    outcome = report.notebooks[0]
    assert outcome.status == "timed out"
    assert "was stopped after 20 s (--timeout), in cell 3 of 3 (code-1)" in outcome.error
    assert not is_running(pid_file)
    assert_all_whole(tmp_path / "out")


@pytest.mark.process
def test_a_run_that_was_killed_or_interrupted_is_resumed(tmp_path):
    counter, pid_file, out = tmp_path / "count", tmp_path / "pid", tmp_path / "out"
    write_notebook(tmp_path / "a.ipynb", COUNT.format(path=str(counter)))
    write_notebook(tmp_path / "b.ipynb", HANG.format(path=str(pid_file)))

    killed = start_course_run(tmp_path, pid_file)
    killed.kill()
    killed.wait()
    assert_all_whole(out)
    wait_for(lambda: not is_running(pid_file), seconds=15)
    pid_file.unlink()

    interrupted = start_course_run(tmp_path, pid_file)
    interrupted.send_signal(signal.SIGINT)
    printed, _ = interrupted.communicate(timeout=30)
    assert interrupted.returncode == 130
    assert b"Traceback" not in printed
    assert not is_running(pid_file)
    content = json.loads((out / "report.json").read_text())
    assert [entry["status"] for entry in content["notebooks"]] == ["unchanged", "not run"]

    report = run_notebooks([tmp_path], out=out)  # the second time, it does not hang
    assert [outcome.status for outcome in report.notebooks] == ["unchanged", "executed"]
    assert counter.read_text() == "x"
    assert report.passed
    assert_all_whole(out)


# --- What is unchanged is not executed again ---------------------------------------------------


@pytest.mark.process
def test_new_text_is_put_around_old_outputs_and_new_code_is_executed(tmp_path):
    counter, out = tmp_path / "count", tmp_path / "out"
    code = (COUNT.format(path=str(counter)), "print('result')")
    notebook = write_notebook(tmp_path / "n.ipynb", *code)

    def status(**settings):
        return run_notebooks([notebook], out=out, **settings).notebooks[0].status

    assert status() == "executed"
    assert status() == "unchanged"
    first = nbformat.read(out / "n.ipynb", 4)
    write_notebook(notebook, *code, text="# Another title")
    assert status() == "unchanged"
    assert counter.read_text() == "x"
    second = nbformat.read(out / "n.ipynb", 4)
    assert second.cells[0].source == "# Another title"
    assert [cell.get("outputs") for cell in second.cells] == [
        cell.get("outputs") for cell in first.cells
    ]
    assert "injected-parameters" in second.cells[2].metadata.tags
    assert status(parameters={"seed": 1}) == "executed"
    assert counter.read_text() == "xx"


@pytest.fixture
def key(tmp_path):
    """Return a function that gives the key of a notebook under some change."""

    def compute(*code, text="# Title", parameters=None, **shared):
        path = write_notebook(tmp_path / "n.ipynb", *(code or ("x = 1",)), text=text)
        return notebook_key(read_notebook(path), tmp_path, parameters or {}, shared)

    return compute


def test_the_key_depends_on_code_parameters_library_versions_backend_data_and_files(key, tmp_path):
    keys = [
        key(),
        key("x = 2"),
        key("x = 1", "y = 1"),
        key(parameters={"seed": 1}),
        key(parameters={"seed": "1"}),
        key(library="changed"),
        key(versions={"keras": "4"}),
        key(backend="jax"),
        key(data={"cifar10": "other"}),
    ]
    (tmp_path / "helper.py").write_text("x = 1")
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_recorded_runs_count_for_notebooks_and_not_as_a_part_of_the_library(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "PACKAGE", tmp_path)
    monkeypatch.setattr(paths, "RECORDS", tmp_path / "zoo" / "records")
    (paths.RECORDS / "networks").mkdir(parents=True)
    shared, library = environment("stand-in", tmp_path), digest_of_library()
    record = paths.RECORDS / "networks" / "run.json"
    record.write_text("{}")
    recorded = environment("stand-in", tmp_path)
    assert recorded != shared
    record.with_suffix(".log").write_text("epoch 1")
    assert environment("stand-in", tmp_path) == recorded
    assert digest_of_library() == library


def test_the_key_does_not_depend_on_text(key):
    assert key() == key(text="# Another")


def test_the_library_counts_as_far_as_notebooks_can_use_it(tmp_path, monkeypatch):
    notebooks_use = ("zoo.py", "submission/check.py", "data/cifar10.py")
    others = ("cli/run.py", "batch/run.py", "grading/grade/values.py", "thresholds.toml")
    for name in (*notebooks_use, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    monkeypatch.setattr(paths, "PACKAGE", tmp_path)
    before = digest_of_library(NOT_IN_NOTEBOOKS)
    for name in others:
        (tmp_path / name).write_text("2")
    assert digest_of_library(NOT_IN_NOTEBOOKS) == before
    for name in notebooks_use:
        earlier = digest_of_library(NOT_IN_NOTEBOOKS)
        (tmp_path / name).write_text("2")
        assert digest_of_library(NOT_IN_NOTEBOOKS) != earlier


def test_the_thresholds_count_where_they_are_read(key, monkeypatch):
    plain, reading = key("x = 1"), key("bounds = load_thresholds()")
    monkeypatch.setattr("course_utils.batch.key.load_thresholds", lambda: {"other": {}})
    assert key("x = 1") == plain
    assert key("bounds = load_thresholds()") != reading


def test_the_data_count_by_what_would_be_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", "stand-in")
    assert data_keys(None, tmp_path)["cifar10"] == "stand-in"
    monkeypatch.delenv("COURSE_DATA")
    images = tmp_path / "train-images-idx3-ubyte"
    images.write_bytes(b"1")
    before = data_keys(str(tmp_path), tmp_path)
    images.write_bytes(b"12")
    assert data_keys(str(tmp_path), tmp_path) != before


# --- Thresholds --------------------------------------------------------------------------------

REAL = {"source": {"is_stand_in": False}}
DRAWN = {"source": {"is_stand_in": True}}


@pytest.mark.parametrize(
    ("report", "quick", "verdict"),
    [
        (REAL | {"metrics": {"test_accuracy": 0.62}}, False, "met"),
        (REAL | {"metrics": {"test_accuracy": 0.61}}, False, "missed"),
        (REAL | {"metrics": {"test_accuracy": 0.61}}, True, "not judged (quick try)"),
        (DRAWN | {"metrics": {"test_accuracy": 0.99}}, False, "not judged (stand-in)"),
        (DRAWN | {"metrics": {"test_accuracy": 0.01}}, True, "not judged (stand-in)"),
        (REAL | {"metrics": {"loss": 1.0}}, False, "not reported"),
        (None, False, "not reported"),
    ],
)
def test_verdicts(report, quick, verdict):
    assert judge(report, {"test_accuracy": 0.62}, quick=quick)[0].verdict == verdict


def test_an_upper_bound_is_held_too():
    report = REAL | {"metrics": {"epochs": 26}}
    assert judge(report, {"epochs_at_most": 25}, quick=False)[0].verdict == "missed"
    assert judge(report, {"epochs_at_most": 26}, quick=False)[0].verdict == "met"


def test_a_metric_without_threshold_has_no_verdict():
    assert judge(REAL | {"metrics": {"loss": 1.0}}, {}, quick=False)[0].verdict == ""


def test_malformed_thresholds_are_refused(tmp_path):
    (tmp_path / "t.toml").write_text("[a]\nx = 'much'")
    with pytest.raises(RunError, match="not a table of thresholds"):
        load_thresholds(tmp_path / "t.toml")


# --- Wrong input, before anything runs ---------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"places": ["nowhere.ipynb"]}, "There is no notebook"),
        ({"places": ["empty"]}, "No notebooks"),
        ({"places": ["text.md"]}, "is no notebook"),
        ({"places": []}, "No chapters"),
        ({"profile": "slow"}, "Unknown profile"),
        ({"jobs": 0}, "--jobs is 0"),
        ({"jobs": 2, "scheduler": "tcp://host:8786"}, "--jobs 2 is for this machine"),
        ({"timeout": -1}, "--timeout is -1"),
        ({"data": "nowhere"}, "There is no data at"),
        ({"parameters": {"epoch": 1}}, "No notebook has the parameter 'epoch'"),
        ({"out": Path()}, "would overwrite"),
    ],
)
def test_wrong_input(tmp_path, monkeypatch, settings, message):
    monkeypatch.chdir(tmp_path)
    write_notebook(tmp_path / "n.ipynb", "x = 1")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.md").write_text("")
    with pytest.raises(CourseError, match=message):
        run_notebooks(**{"places": ["n.ipynb"], **settings})


@pytest.mark.parametrize(
    ("cores", "gpus", "expected"), [(1, 0, 1), (2, 0, 2), (8, 0, 2), (8, 1, 1)]
)
def test_as_many_notebooks_at_a_time_as_is_fastest(monkeypatch, cores, gpus, expected):
    monkeypatch.setattr(local, "available_cores", lambda: cores)
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(["nvidia0"] * gpus))
    assert local.default_jobs() == expected


def test_a_single_notebook_has_all_cores(monkeypatch):
    shares = []

    class Process:
        def __init__(self, job, share):
            shares.append(share)

        def run(self, on_cell):
            return "ended"

        kill = staticmethod(lambda: None)

    monkeypatch.setattr(local, "NotebookProcess", Process)
    for number in (1, 3):
        jobs = [SimpleNamespace(name=str(n)) for n in range(number)]
        ended = local.LocalExecutor(2).execute(jobs, print)
        assert dict(ended) == {job.name: "ended" for job in jobs}
    assert shares == [1, 2, 2, 2]


def test_two_runs_do_not_share_an_output_folder(tmp_path):
    notebook = write_notebook(tmp_path / "n.ipynb")
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".lock"), pytest.raises(RunError, match="Another run"):
        run_notebooks([notebook], out=tmp_path / "out")


def test_notebooks_of_one_name_keep_their_folders(tmp_path):
    paths = [tmp_path / "x" / "n.ipynb", tmp_path / "y" / "n.ipynb", tmp_path / "y" / "m.ipynb"]
    for path in paths:
        write_notebook(path)
    found = find_notebooks([tmp_path / "x", tmp_path / "y"])
    assert found == {"x/n": paths[0], "y/n": paths[1], "m": paths[2]}


# --- The book's cache --------------------------------------------------------------------------


def shown_by_the_book(path: Path, root: Path) -> nbformat.NotebookNode | None:
    """Return what MyST-NB would show for a notebook without executing it; None for nothing."""
    cache = book_cache_path(root)
    config = NbParserConfig(execution_mode="cache", execution_cache_path=str(cache))
    source = nbformat.read(path, as_version=4)
    # Without a path it cannot execute, so that it says whether it wanted to.
    client = NotebookClientCache(source, None, config, logging.getLogger("test"))
    try:
        with client:
            return client.notebook
    except ValueError:
        return None


def code_outputs(notebook: nbformat.NotebookNode) -> list:
    return [
        [cell.source, cell.outputs, cell.execution_count]
        for cell in notebook.cells
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
    ]


@pytest.mark.process
def test_the_book_shows_the_outputs_of_the_run(tmp_path):
    code = (COUNT.format(path=str(tmp_path / "count")), "print(profile)", "1 + 1")
    path = write_notebook(tmp_path / "book" / "01_x.ipynb", *code)
    report = run_notebooks(root=tmp_path, profile="full")
    shown = shown_by_the_book(path, tmp_path)
    executed = nbformat.read(report.notebooks[0].output, as_version=4)
    assert code_outputs(shown) == code_outputs(executed)
    assert len(shown.cells) == len(executed.cells) - 1
    assert shown.cells[3].outputs[0].text == "full\n"

    run_notebooks(root=tmp_path, parameters={"limit": 5})
    assert code_outputs(shown_by_the_book(path, tmp_path)) == code_outputs(executed)
    report = run_notebooks(root=tmp_path, parameters={"limit": 5}, for_book=True)
    assert report.notebooks[0].status == "unchanged"
    assert shown_by_the_book(path, tmp_path).cells[3].outputs[0].text == "fast\n"


@pytest.fixture
def chapter(tmp_path):
    """A chapter, and a function that makes an executed version of it."""
    path = write_notebook(tmp_path / "book" / "01_x.ipynb", "print(1)")
    source = nbformat.read(path, as_version=4)

    def executed(text):
        notebook = nbformat.read(path, as_version=4)
        injected = nbformat.v4.new_code_cell("seed = 1", metadata={"tags": [INJECTED_TAG]})
        notebook.cells.insert(2, injected)
        output = nbformat.v4.new_output("stream", name="stdout", text=text)
        notebook.cells[3].update(outputs=[output], execution_count=3)
        return notebook

    return path, source, executed


def test_new_outputs_of_the_same_code_replace_the_old(chapter, tmp_path):
    path, source, executed = chapter
    for text in ("old", "old", "new"):
        store_in_book_cache(path, source, executed(text), 2.0, book_cache_path(tmp_path))
        assert shown_by_the_book(path, tmp_path).cells[2].outputs[0].text == text
    record = get_cache(book_cache_path(tmp_path)).match_cache_notebook(source)
    assert record.data == {"execution_seconds": 2.0}


def test_a_cache_entry_without_its_file_is_repaired(chapter, tmp_path):
    path, source, executed = chapter
    store_in_book_cache(path, source, executed("text"), 2.0, book_cache_path(tmp_path))
    for file in book_cache_path(tmp_path).rglob("base.ipynb"):
        file.unlink()
    store_in_book_cache(path, source, executed("text"), 2.0, book_cache_path(tmp_path))
    assert shown_by_the_book(path, tmp_path).cells[2].outputs[0].text == "text"


def test_the_book_forgets_a_chapter_that_fails(chapter, tmp_path):
    path, source, executed = chapter
    store_in_book_cache(path, source, executed("text"), 2.0, book_cache_path(tmp_path))
    drop_from_book_cache(source, book_cache_path(tmp_path))
    assert shown_by_the_book(path, tmp_path) is None


def test_display_tags_belong_to_the_text(chapter, tmp_path):
    path, source, executed = chapter
    source.cells[2].metadata["tags"] = ["hide-input"]
    path.write_text(nbformat.writes(source))
    store_in_book_cache(path, source, executed("text"), 2.0, book_cache_path(tmp_path))
    assert shown_by_the_book(path, tmp_path).cells[2].outputs[0].text == "text"


@pytest.mark.parametrize(
    ("parameters", "fit"),
    [
        ({"profile": "full", "data_path": "/data"}, True),
        ({"profile": "fast", "data_path": "stand-in"}, False),
        ({"profile": "fast", "epochs": 1}, False),
        ({"profile": "fast", "seed": 3}, False),
    ],
)
def test_experiments_stay_out_of_the_book(parameters, fit):
    assert fit_for_book(parameters) is fit
