"""Runs over several workers: a real Dask scheduler and real workers, on loopback."""

import io
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from rich.console import Console
from small_notebooks import COUNT, HANG, is_running, start_course_run, wait_for, write_notebook

from course_utils import dask_client
from course_utils.batch import run_notebooks
from course_utils.errors import RunError


def worker_of(workers: list[psutil.Process], pid: int) -> psutil.Process:
    """Return the worker under which a process runs."""
    return next(worker for worker in workers if worker in psutil.Process(pid).parents())


def test_a_killed_worker_loses_nothing(tmp_path, address, workers):
    pid_file, counters = tmp_path / "pid", {name: tmp_path / f"count-{name}" for name in "bcd"}
    write_notebook(tmp_path / "a.ipynb", HANG.format(path=str(pid_file)))
    for name, counter in counters.items():
        code = (COUNT.format(path=str(counter)), "1 / 0" if name == "d" else "")
        write_notebook(tmp_path / f"{name}.ipynb", *code)
    out, shown = tmp_path / "out", io.StringIO()

    with ThreadPoolExecutor(1) as pool:
        console = Console(file=shown, width=150)
        running = pool.submit(
            run_notebooks, [tmp_path], out=out, scheduler=address, console=console
        )
        # While one worker hangs in the first notebook, the other has run the second.
        wait_for(lambda: (out / "b.ipynb").exists() and pid_file.exists())
        hung = int(pid_file.read_text())
        worker_of(workers, hung).kill()
        report = running.result(timeout=60)

    assert {outcome.name: outcome.status for outcome in report.notebooks} == {
        "a": "executed",
        "b": "executed",
        "c": "executed",
        "d": "failed",
    }
    assert "d.ipynb failed: ZeroDivisionError: division by zero" in report.notebooks[-1].error
    assert {name: counter.read_text() for name, counter in counters.items()} == dict.fromkeys(
        "bcd", "x"
    )
    assert not psutil.pid_exists(hung)
    assert int(pid_file.read_text()) != hung
    assert sorted(path.name for path in out.glob("*.ipynb")) == ["a.ipynb", "b.ipynb", "c.ipynb"]
    for name in "abcd":
        assert shown.getvalue().count(f"] {name}: ") == 1
    assert shown.getvalue().count("a: cell 3 of 3 (code-1)") == 2

    again = run_notebooks([tmp_path / "a.ipynb"], out=out)
    assert again.notebooks[0].status == "unchanged"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_what_an_ended_run_left_and_the_next_run_goes_on(
    tmp_path, address, workers, how
):
    counter, pid_file = tmp_path / "count", tmp_path / "pid"
    write_notebook(tmp_path / "a.ipynb", COUNT.format(path=str(counter)))
    write_notebook(tmp_path / "b.ipynb", HANG.format(path=str(pid_file)))
    run = start_course_run(tmp_path, pid_file, "--scheduler", address)
    wait_for((tmp_path / "out" / "a.ipynb").exists)
    run.send_signal(how)
    printed, _ = run.communicate(timeout=15)
    assert b"Traceback" not in printed
    wait_for(lambda: not is_running(pid_file), seconds=15)
    assert all(worker.is_running() for worker in workers)

    report = run_notebooks([tmp_path], out=tmp_path / "out", scheduler=address)
    assert [outcome.status for outcome in report.notebooks] == ["unchanged", "executed"]
    assert counter.read_text() == "x"


def test_a_lost_scheduler_is_one_sentence(tmp_path, scheduler, workers):
    address, process = scheduler
    pid_file = tmp_path / "pid"
    write_notebook(tmp_path / "a.ipynb", HANG.format(path=str(pid_file)))
    run = start_course_run(tmp_path, pid_file, "--scheduler", address)
    process.kill()
    printed, _ = run.communicate(timeout=30)
    assert run.returncode == 2
    last = printed.decode().splitlines()[-1]
    assert last.startswith(f"Error: The scheduler at {address} was lost: start it again")
    assert "Traceback" not in printed.decode()
    wait_for(lambda: not is_running(pid_file), seconds=15)


def test_a_caller_without_workers_does_not_wait_for_ever(tmp_path, address):
    notebook = write_notebook(tmp_path / "a.ipynb")
    with pytest.raises(RunError, match=f"The scheduler at {address} has no workers"):
        run_notebooks([notebook], out=tmp_path / "out", scheduler=address)


def test_an_unreachable_scheduler_is_one_sentence_within_seconds(tmp_path, monkeypatch):
    assert dask_client.SECONDS_TO_CONNECT <= 5
    monkeypatch.setattr(dask_client, "SECONDS_TO_CONNECT", 1)
    notebook = write_notebook(tmp_path / "a.ipynb")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answers_never = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        for address in (answers_never, "tcp://127.0.0.1:1", "no-scheme://x"):
            with pytest.raises(RunError, match=f"No Dask scheduler answers at {address}"):
                run_notebooks([notebook], out=tmp_path / "out", scheduler=address)
        assert time.monotonic() - started < 8
