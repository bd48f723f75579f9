"""Training many networks: resumed after a kill, and one that dies takes no other with it."""

import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from small_notebooks import wait_for

from course_utils import paths, reproduction, zoo
from course_utils.checkpoint import State, States, read_state
from course_utils.errors import RecordError, RunError
from course_utils.records import RunRecord
from course_utils.reproduction import Run

SMALL = "fast/mnist-200"  # seconds on the drawn digits
ORDER = ("zoo", "reproduce", SMALL, "--seeds", "3", "--data", "stand-in", "--out")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Keep the tests from the trainings in the user's cache, which may be paused."""
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))


def course(*arguments, **environment):
    command = [sys.executable, "-m", "course_utils.cli", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env=os.environ | environment
    )


@pytest.mark.process
def test_a_killed_call_goes_on_where_it_was(tmp_path):
    command = [sys.executable, "-m", "course_utils.cli", *ORDER, str(tmp_path)]
    first = tmp_path / "fast-mnist-200-seed0.json"
    killed = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not first.exists() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert first.exists()
    before = first.stat().st_mtime_ns
    done = course(*ORDER, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 runs, 1 of them recorded already" in done.stdout
    assert first.stat().st_mtime_ns == before
    records = [RunRecord.load(path) for path in sorted(tmp_path.glob("*.json"))]
    assert [record.seed for record in records] == [0, 1, 2]
    assert all(record.is_stand_in for record in records)
    assert len({record.history["loss"][0] for record in records}) == 3
    # Runs that ended well leave no log; the kill may have left the log of the first one.
    assert {path.stem for path in tmp_path.glob("*.log")} <= {first.stem}


@pytest.mark.process
def test_a_killed_training_goes_on_after_its_last_epoch(tmp_path):
    states, record = States(tmp_path / "cache" / "training"), tmp_path / "record.json"
    place = states.place(SMALL, 0)
    order = ("zoo", "train", SMALL, "--epochs", "40", "--data", "stand-in", "--resume", "--record")
    command = [sys.executable, "-m", "course_utils.cli", *order, record]

    def epochs():
        state = read_state(place)
        return state.epochs if state else 0

    before = 0
    for _ in range(2):
        killed = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for(lambda seen=before: epochs() > seen, seconds=200)
        killed.kill()
        killed.wait()
        before = epochs()
        assert before < 40
        assert not states.is_open(SMALL, 0)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"epoch {before + 1:>2}/40" in done.stdout
    assert "epoch  1/40" not in done.stdout
    made = RunRecord.load(record)
    assert made.history["resumed"] == 2
    assert len(made.history["loss"]) == 40
    assert not place.exists()


@pytest.mark.process
def test_runs_in_the_background_have_the_lowest_priority_and_can_be_paused(tmp_path):
    command = [sys.executable, "-m", "course_utils.cli", "zoo", "reproduce", SMALL, "--missing"]
    command += ["--data", "stand-in", "--out", tmp_path / "records"]
    order = ["zoo", "reproduce", SMALL, "--out", tmp_path / "records"]
    course(*order, "--pause")
    states = States(tmp_path / "cache" / "training")
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: states.is_open(SMALL, 0), seconds=300)
        (child,) = psutil.Process(started.pid).children()
        assert child.nice() == 19
        assert child.environ()["COURSE_THREADS"] == "1"
        told = course(*order, "--status").stdout
        assert "1 running" in told
        assert "paused" in told
        assert started.poll() is None
        course(*order, "--unpause")
        printed, _ = started.communicate(timeout=200)
    finally:
        started.kill()
    assert started.returncode == 0, printed
    (record,) = (tmp_path / "records").glob("*.json")
    assert RunRecord.load(record).design == SMALL


@pytest.mark.process
@pytest.mark.train
def test_a_training_ends_with_its_parent_even_if_only_the_parent_is_killed(tmp_path):
    states = States(tmp_path / "cache" / "training")
    states.set_paused(True)  # The training then cannot end by itself.
    command = [sys.executable, "-m", "course_utils.cli", *ORDER, tmp_path / "records"]
    parent = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_for(lambda: states.is_open(SMALL, 0), seconds=200)
    (child,) = psutil.Process(parent.pid).children()
    assert "course_utils.reproduction_child" in child.cmdline()
    parent.kill()
    parent.wait()
    wait_for(lambda: not states.is_open(SMALL, 0), seconds=30)


@pytest.mark.process
def test_a_run_that_dies_is_named_and_the_others_go_on(tmp_path):
    runs = [
        Run("no/such-network", 0, tmp_path / "none.json"),
        Run(SMALL, 0, tmp_path / "good.json"),
    ]
    errors = dict(reproduction.reproduce(runs, jobs=2, data="stand-in"))
    assert errors[runs[1]] == ""
    assert RunRecord.load(runs[1].record).design == SMALL
    assert "no/such-network, seed 0, ended with 2" in errors[runs[0]]
    assert "There is no network called" in errors[runs[0]]
    assert not runs[0].record.exists()


@pytest.fixture
def recorded(tmp_path):
    """A run whose record is one of the book's."""
    folder = paths.RECORDS / "own_design"
    record = RunRecord.load(folder / "fast-final-seed0.json")
    return Run("fast/final", 0, record.save(tmp_path / "run.json"))


def test_a_record_counts_only_for_the_same_recipe_and_kind_of_images(recorded):
    assert reproduction.is_recorded(recorded)
    assert not reproduction.is_recorded(recorded, stand_in=True)
    assert not reproduction.is_recorded(Run("fast/cnn", 0, recorded.record))
    recorded.record.write_text("{}")
    assert not reproduction.is_recorded(recorded)
    recorded.record.unlink()
    assert not reproduction.is_recorded(recorded)


def test_patterns_choose_networks():
    assert reproduction.choose(["dl/?"]) == [f"dl/{number}" for number in range(1, 10)]
    assert reproduction.choose(["hw3/base", "hw3/b*"]) == ["hw3/base"]
    assert not any(name.startswith("fast/") for name in reproduction.choose([]))
    assert len(reproduction.choose([])) + len(reproduction.choose(["fast/*"])) == len(zoo.names())
    with pytest.raises(RunError, match="No network matches 'vgg'"):
        reproduction.choose(["vgg"])


@pytest.mark.process
def test_drawn_images_do_not_get_into_the_books_records():
    refused = course("zoo", "reproduce", "dl/1", "--data", "stand-in")
    assert refused.returncode == 2
    assert "name another folder" in refused.stderr


@pytest.mark.process
def test_one_network_is_trained_by_name(tmp_path):
    path = tmp_path / "record.json"
    settings = ("--epochs", 1, "--limit", 500, "--data", "stand-in", "--record", path)
    done = course("zoo", "train", SMALL, *settings)
    assert done.returncode == 0, done.stderr
    assert "epoch  1/1" in done.stdout
    assert f"written {path}" in done.stdout
    assert RunRecord.load(path).train_images == 500


@pytest.mark.process
def test_a_backend_that_does_not_exist_is_named():
    done = course("zoo", "train", SMALL, KERAS_BACKEND="cobol")
    assert done.returncode == 2
    assert "Unknown backend 'cobol'" in done.stderr


def test_the_books_records_are_of_real_images_and_todays_recipes():
    for path in sorted(reproduction.RECORDS.glob("*.json")):
        record = RunRecord.load(path)
        assert not record.is_stand_in
        assert record.recipe == zoo.recipe(record.design), f"{path.name} is of an older recipe"
        assert path.stem == f"{record.design.replace('/', '-')}-seed{record.seed}"
        assert record.parameters == zoo.design(record.design).parameters


def networks_record(name, **history):
    """A record of the book's, as if it were another network's."""
    folder = paths.RECORDS / "own_design"
    record = RunRecord.load(folder / "fast-final-seed0.json")
    return record.model_copy(update={"design": name, "history": record.history | history})


def test_the_documents_place_in_a_run_is_named():
    record = networks_record("proyectos/0", accuracy=[0.3, 0.58, 0.7], val_accuracy=[0.3, 0.5, 0.6])
    told = reproduction.compare_progress(record)
    assert "ended at a training accuracy of 57.8%" in told
    assert "in epoch 2 of 3, with a validation accuracy of 50.0% (the document's: 54.9%)" in told
    slow = record.model_copy(update={"history": {"accuracy": [0.3], "val_accuracy": [0.3]}})
    assert "never reached in our run, which ends at 30.0%" in reproduction.compare_progress(slow)
    assert reproduction.compare_progress(networks_record("dl/1")) == ""


def test_reported_and_measured_stand_side_by_side(tmp_path):
    for seed, accuracy in enumerate((0.58, 0.60)):
        record = networks_record("proyectos/0").model_copy(
            update={"test_accuracy": accuracy, "seed": seed}
        )
        record.save(tmp_path / f"{seed}.json")
    networks_record("proyectos/1").model_copy(update={"is_stand_in": True}).save(
        tmp_path / "drawn.json"
    )
    table = reproduction.reported_and_measured("proyectos/?", folder=tmp_path).set_index("design")
    first = table.loc["proyectos/0"]
    assert (first.runs, first.reported) == (2, 0.547)
    assert first.difference == pytest.approx(0.59 - 0.547)
    half = 1.96 * math.sqrt((0.59 * 0.41 + 0.547 * 0.453) / 10_000)
    assert first.difference_low == pytest.approx(first.difference - half, abs=2e-4)
    assert first.difference_high == pytest.approx(first.difference + half, abs=2e-4)
    assert table.loc["proyectos/1"].runs == 0  # the stand-in is never set beside a document
    unknown = ["measured", "difference", "difference_low", "difference_high", "seconds"]
    assert table.loc["proyectos/1"].isna()[unknown].all()
    assert [r.seed for r in reproduction.recorded_runs("proyectos/*", folder=tmp_path)] == [0, 1]
    assert reproduction.reported_and_measured("dl/*", folder=tmp_path).runs.sum() == 0


def test_the_cheapest_network_is_first():
    runs = reproduction.plan(["proyectos/18", "hw5/simple", "dl/5", "hw5/wide"], seeds=1)
    names = [run.name for run in reproduction.cheapest_first(runs)]
    assert names == ["hw5/simple", "dl/5", "hw5/wide", "proyectos/18"]


def test_progress_says_what_is_finished_begun_and_left(tmp_path):
    states = States(tmp_path / "cache" / "training")
    runs = reproduction.plan(["dl/1", "proyectos/0", "proyectos/1", "dl/5"], 1, tmp_path)
    record = networks_record("dl/1").model_copy(update={"recipe": zoo.recipe("dl/1")})
    record.save(runs[0].record)
    curves = {"loss": [1.0] * 5, "accuracy": [0.5] * 5}
    begun = State(
        recipe=zoo.recipe("proyectos/0"), seed=0, images="f", network="n", logs=curves, seconds=10
    )
    place = states.place("proyectos/0", 0)
    place.mkdir(parents=True)
    (place / "state.json").write_text(begun.model_dump_json())
    with states.open("dl/5", 0):
        told = reproduction.progress(runs, states)
    assert [each.status for each in told] == ["finished", "stopped", "waiting", "running"]
    assert [each.epochs for each in told] == [len(record.history["loss"]), 5, 0, 0]
    assert [each.of_epochs for each in told[1:]] == [20, 50, 30]
    whole = reproduction.training_flops("proyectos/0")
    assert told[1].flops == pytest.approx(whole * 15 / 20)
    assert reproduction.measured_speed(states, runs) == pytest.approx(whole / 4 / 10)
    assert reproduction.measured_speed(States(tmp_path / "none"), runs) is None


def book_record(name="dl/1"):
    return RunRecord.load(reproduction.run_of(name, 0).record)


def test_records_of_another_checkout_are_imported_once(tmp_path):
    record = book_record()
    record.save(tmp_path / "theirs" / "any-name.json")
    imported, refused = reproduction.import_records(tmp_path / "theirs", tmp_path / "ours")
    assert refused == []
    assert [path.name for path in imported] == ["dl-1-seed0.json"]
    assert RunRecord.load(imported[0]) == record
    imported, refused = reproduction.import_records(tmp_path / "theirs", tmp_path / "ours")
    assert imported == []
    assert "is there already" in refused[0]


def matrix(correct):
    """A confusion matrix of 10,000 images, so many of which are right."""
    counts = np.zeros((10, 10), dtype=int)
    counts[0, 0], counts[0, 1] = correct, 10_000 - correct
    return counts.tolist()


def test_a_confusion_matrix_that_fits_is_imported(tmp_path):
    record = book_record()
    changed = record.model_copy(update={"confusion": matrix(round(record.test_accuracy * 10_000))})
    changed.save(tmp_path / "theirs" / "x.json")
    imported, refused = reproduction.import_records(tmp_path / "theirs", tmp_path / "ours")
    assert refused == []
    assert RunRecord.load(imported[0]).confusion == changed.confusion


def test_an_unfinished_evaluation_makes_the_interval_wider(tmp_path):
    name = "hw3/transfer-finetune"
    networks_record(name).model_copy(update={"test_accuracy": 0.7292}).save(tmp_path / "0.json")
    found = reproduction.reported_and_measured(name, folder=tmp_path).iloc[0]
    half = 1.96 * math.sqrt(0.7292 * 0.2708 * (1 / 3_936 + 1 / 10_000))
    assert found.difference_high == pytest.approx(half, abs=5e-4)


def curves(epochs):
    return {name: [0.5] * epochs for name in reproduction.CURVES}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"is_stand_in": True}, "stand-in"),
        ({"recipe": zoo.recipe("dl/8")}, "recipe is not today's"),
        ({"parameters": 5}, "network is not today's"),
        ({"trainable_parameters": 5}, "network is not today's"),
        ({"history": {}}, "learning curves"),
        ({"history": {"loss": 3}}, "learning curves"),
        ({"history": curves(30) | {"loss": ["1"] * 30}}, "learning curves"),
        ({"history": curves(30) | {"accuracy": [0.5] * 29}}, "learning curves"),
        ({"history": curves(30) | {"val_loss": []}}, "learning curves"),
        ({"history": curves(31)}, "learning curves"),
        ({"history": curves(1)}, "learning curves"),
        ({"source": "my own images"}, "are not CIFAR-10"),
        ({"seed": -1}, "seed is not"),
        ({"train_images": 500}, "all training images"),
        ({"test_images": 2_000}, "all test images"),
        ({"test_accuracy": 0.9}, "its interval"),
        ({"confusion": [[10_000]]}, "confusion matrix"),
        ({"confusion": matrix(6_264)}, "confusion matrix"),
        ({"test_accuracy": 0.62071}, "no fraction"),
        ({"test_accuracy": 1.5}, "no fraction"),
        ({"test_accuracy": math.nan}, "no fraction"),
        ({"seconds": -5.0}, "positive number"),
        ({"design": "vgg/16"}, "There is no network called"),
    ],
    ids=str,
)
def test_a_record_that_is_not_right_is_left_out(tmp_path, change, problem):
    book_record().model_copy(update=change).save(tmp_path / "theirs" / "x.json")
    imported, (refused,) = reproduction.import_records(tmp_path / "theirs", tmp_path / "ours")
    assert imported == []
    assert refused.startswith("x.json: ")
    assert problem in refused
    assert not (tmp_path / "ours").exists()


def test_a_damaged_record_is_left_out_and_an_empty_folder_is_named(tmp_path):
    with pytest.raises(RecordError, match="no run records"):
        reproduction.import_records(tmp_path)
    (tmp_path / "half.json").write_text(book_record().model_dump_json()[:100])
    assert "not a run record" in reproduction.import_records(tmp_path, tmp_path / "ours")[1][0]


@pytest.mark.process
def test_what_is_left_out_is_told(tmp_path):
    book_record().save(tmp_path / "theirs.json")
    done = course("zoo", "import", tmp_path)
    assert done.returncode == 1
    assert "left out theirs.json: " in done.stdout
    assert "is there already" in done.stdout


def test_every_record_of_the_book_could_be_imported(tmp_path):
    imported, refused = reproduction.import_records(reproduction.RECORDS, tmp_path / "ours")
    assert refused == []
    assert len(imported) == len(list(reproduction.RECORDS.glob("*.json")))
