"""What students' notebooks use: training once, handing in, and checks that teach."""

from __future__ import annotations

import dataclasses
import functools
import json

import keras
import numpy as np
import pytest

from course_utils import Recipe, env, setup
from course_utils.errors import SubmissionError
from course_utils.grading import grade
from course_utils.grading.grade import networks, review
from course_utils.submission import check, load_trained, show_evaluation, train_once, trained
from course_utils.submission.check import CheckFailed

# Nearly all of these tests look at what `train_once` leaves.
pytestmark = pytest.mark.train

RECIPE = Recipe(epochs=1, batch_size=256)


def build_model():
    return keras.Sequential(
        [
            keras.Input((32, 32, 3), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.AveragePooling2D(8),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax", dtype="float32"),
        ]
    )


def build_nothing():
    return None


@pytest.fixture(scope="module")
def runtime():
    return setup(0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def handed_in(folder, small_data, runtime):
    train_once("a1-q2", build_model, small_data, RECIPE, runtime)
    return folder


def test_training_happens_once(handed_in, small_data, runtime, capsys):
    first = load_trained("a1-q2")
    written = {path.name: path.stat().st_mtime_ns for path in handed_in.iterdir()}
    assert set(written) == {"a1-q2.keras", "a1-q2.json"}
    again = train_once("a1-q2", build_model, small_data, RECIPE, runtime)
    assert {path.name: path.stat().st_mtime_ns for path in handed_in.iterdir()} == written
    assert "Loaded a1-q2.keras" in capsys.readouterr().out
    for one, other in zip(first.model.get_weights(), again.model.get_weights()):
        np.testing.assert_array_equal(one, other)
    assert again.history.epochs == 1


def test_the_saved_network_is_the_trained_one_without_its_optimizer(handed_in, small_data):
    trained = load_trained("a1-q2")
    size = (handed_in / "a1-q2.keras").stat().st_size
    assert size < 40_000 + 4 * trained.model.count_params()
    assert trained.evaluate(small_data).accuracy == pytest.approx(trained.record.test_accuracy)


def test_again_trains_anew(handed_in, small_data, runtime):
    before = (handed_in / "a1-q2.json").read_text()
    train_once("a1-q2", build_model, small_data, RECIPE.replace(epochs=2), runtime, again=True)
    assert (handed_in / "a1-q2.json").read_text() != before
    assert load_trained("a1-q2").history.epochs == 2


def test_nothing_to_train_is_said_not_raised(folder, small_data, runtime, capsys):
    assert train_once("a1-q2", build_nothing, small_data, RECIPE, runtime) is None
    assert "build_nothing() returns nothing yet" in capsys.readouterr().out
    show_evaluation(None, small_data)
    assert "no trained network" in capsys.readouterr().out
    assert list(folder.iterdir()) == []


def test_a_changed_network_is_noticed(handed_in, small_data, runtime, capsys):
    def build_larger():
        return keras.Sequential(
            [keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10)]
        )

    train_once("a1-q2", build_larger, small_data, RECIPE, runtime)
    assert "yours now has" in capsys.readouterr().out


def test_nothing_is_trained_while_grading(folder, small_data, runtime, capsys, monkeypatch):
    monkeypatch.setenv(env.GRADING.name, "autograde")
    assert train_once("a1-q2", build_model, small_data, RECIPE, runtime) is None
    assert "a1-q2.keras is missing" in capsys.readouterr().out
    assert list(folder.iterdir()) == []


def test_a_sampled_network_is_trained_again(handed_in, small_data, monkeypatch):
    judged = dataclasses.replace(
        small_data, source=dataclasses.replace(small_data.source, is_stand_in=False)
    )
    monkeypatch.setenv(env.TRAIN_AGAIN.name, "1")
    assert "trained again" not in grade.network("a1-q2", judged).review
    model = keras.models.load_model("a1-q2.keras", compile=False)
    kernel, _ = model.get_weights()
    model.set_weights([np.zeros_like(kernel), 100 * np.eye(10)[0]])  # always the first class
    model.save("a1-q2.keras")
    monkeypatch.setattr(review, "_train_again", lambda trained, data: 0.5)
    assert "trained again it reached 50.0%" in grade.network("a1-q2", judged).review


@keras.saving.register_keras_serializable()
class OwnLayer(keras.layers.Layer):
    def call(self, x):
        return x


class OwnNetwork(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(10)

    def call(self, x):
        return self.dense(x)


def own_activation(x):
    return x


OWN_CODE = {
    "the Lambda layer twice": keras.layers.Lambda(lambda x: 2 * x, name="twice"),
    "the class OwnLayer": OwnLayer(),
    "the function own_activation": keras.layers.Dense(10, own_activation),
    "a lambda": keras.layers.Dense(10, kernel_regularizer=lambda weights: 0.0),
    "the class OwnNetwork": OwnNetwork(),
}


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize("what", OWN_CODE)
def test_a_network_that_could_not_be_handed_in_is_not_trained(
    folder, small_data, runtime, what, monkeypatch
):
    def build_with_own_code():
        last = OWN_CODE[what]
        if isinstance(last, OwnNetwork):
            return last
        inner = keras.Sequential([keras.Input((10,)), last])
        return keras.Sequential([*build_model().layers, inner])

    monkeypatch.setattr(trained, "train", None)  # which would be called
    with pytest.raises(SubmissionError, match=f"was not trained: it holds {what}, and"):
        train_once("a1-q2", build_with_own_code, small_data, RECIPE, runtime)
    assert not any(folder.iterdir())


def test_the_check_before_a_training_changes_nothing_in_it(
    folder, small_data, runtime, monkeypatch
):
    def build_with_dropout():
        return keras.Sequential([*build_model().layers[:3], keras.layers.Dropout(0.5),
                                 keras.layers.Dense(10, "softmax", dtype="float32")])  # fmt: skip

    checked = train_once("a1-q2", build_with_dropout, small_data, RECIPE, runtime)
    monkeypatch.setattr(trained, "_check_that_it_can_be_handed_in", lambda *what: None)
    plain = train_once("a1-q2", build_with_dropout, small_data, RECIPE, runtime, again=True)
    assert checked.history.loss == plain.history.loss


def with_a_random_layer():
    return keras.Sequential([*build_model().layers[:2], keras.layers.RandAugment(), *to_classes()])


def with_an_image_in_it():
    images = keras.Input((32, 32, 3))
    x = images - np.ones((32, 32, 3), "float32")
    for layer in to_classes():
        x = layer(x)
    return keras.Model(images, x)


def to_classes():
    return [keras.layers.Flatten(), keras.layers.Dense(10, "softmax", dtype="float32")]


def without_an_input():
    return keras.Sequential(to_classes())


@pytest.mark.parametrize(
    ("build", "part"),
    [
        (with_a_random_layer, "RandAugment of keras.layers"),
        (with_an_image_in_it, "a list of 3072 numbers"),
    ],
)
def test_what_the_grader_does_not_load_is_not_trained(
    folder, small_data, runtime, build, part, monkeypatch
):
    monkeypatch.setattr(trained, "train", None)
    with pytest.raises(SubmissionError, match=f"trained: it contains {part}.*, which the grader"):
        train_once("a1-q2", build, small_data, RECIPE, runtime)
    assert not any(folder.iterdir())


@pytest.mark.parametrize("build", [build_model, without_an_input])
def test_too_large_a_network_is_not_trained(folder, small_data, runtime, build, monkeypatch):
    monkeypatch.setattr(trained, "train", None)
    monkeypatch.setattr("course_utils.submission.trained.MAX_MODEL_BYTES", 1_000)
    with pytest.raises(SubmissionError, match=r"^The network takes .* make it smaller\.$"):
        train_once("a1-q2", build, small_data, RECIPE, runtime)
    assert not any(folder.iterdir())


def test_a_network_without_an_input_is_trained_and_loaded(folder, small_data, runtime):
    mine = train_once("a1-q2", without_an_input, small_data, RECIPE, runtime)
    x = small_data.x_test[:2]
    np.testing.assert_array_equal(load_trained("a1-q2").network.predict(x), mine.network.predict(x))


def test_a_network_that_could_not_be_written_is_not_trained(
    folder, small_data, runtime, monkeypatch
):
    monkeypatch.setattr(trained, "train", None)
    (folder / "a1-q2.keras").mkdir()
    with pytest.raises(SubmissionError, match=r"a1-q2.keras is a folder, .* not trained. Rename"):
        train_once("a1-q2", build_model, small_data, RECIPE, runtime)
    with pytest.raises(SubmissionError, match=r"could not be written to .*/missing \(No such file"):
        train_once("missing/a1-q2", build_model, small_data, RECIPE, runtime)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (build_model(), "pass build_model, not build_model"),
        (to_classes, r"to_classes\(\) returns an object of type list, which is no network"),
        (functools.partial(dict), "The function that builds the network returns an object of type"),
    ],
)
def test_what_builds_no_network_is_named(folder, small_data, runtime, build, sentence):
    with pytest.raises(SubmissionError, match=sentence):
        train_once("a1-q2", build, small_data, RECIPE, runtime)


def test_before_a_file_is_replaced_it_is_said(handed_in, small_data, runtime, capsys, monkeypatch):
    (handed_in / "a1-q2.json").unlink()
    before = (handed_in / "a1-q2.keras").read_bytes()
    monkeypatch.setattr(trained, "train", None)
    with pytest.raises(TypeError):
        train_once("a1-q2", build_model, small_data, RECIPE, runtime)
    assert "a1-q2.keras is here, but a1-q2.json is not" in capsys.readouterr().out
    assert (handed_in / "a1-q2.keras").read_bytes() == before


def damage(folder, how):
    model, record = folder / "a1-q2.keras", folder / "a1-q2.json"
    if how == "no model":
        model.unlink()
    elif how == "no record":
        record.unlink()
    elif how == "cut model":
        model.write_bytes(model.read_bytes()[:1_000])
    elif how == "text as model":
        model.write_text("weights")
    elif how == "no JSON":
        record.write_text("{")
    elif how == "another record":
        record.write_text(json.dumps(json.loads(record.read_text()) | {"design": "a2-q4"}))
    elif how == "a zip of something":
        import zipfile

        with zipfile.ZipFile(model, "w") as archive:
            archive.writestr("config.json", "{}")


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("no model", "a1-q2.keras is missing"),
        ("no record", "a1-q2.json is missing"),
        ("cut model", "is damaged"),
        ("text as model", "is damaged"),
        ("no JSON", "is damaged"),
        ("another record", "belongs to the question a2-q4"),
        ("a zip of something", "is damaged, or an archive of something else"),
    ],
)
def test_bad_files_get_one_sentence(handed_in, small_data, how, sentence):
    damage(handed_in, how)
    with pytest.raises(SubmissionError, match=sentence):
        load_trained("a1-q2")
    given = grade.network("a1-q2", small_data)
    assert given.fraction == 0
    assert sentence in given.message
    with pytest.raises(CheckFailed, match=sentence):
        check.trained("a1-q2", small_data)


def test_limits_are_read_from_network_and_record(handed_in, small_data, monkeypatch):
    def ask(**bounds):
        limits = {"a1-q2": {"test_accuracy": 0.1, **bounds}}
        monkeypatch.setattr(networks, "load_thresholds", lambda: limits)
        monkeypatch.setattr(check, "load_thresholds", lambda: limits)
        return grade.network("a1-q2", small_data).message

    assert "1 epochs, at most 0 are allowed" in ask(epochs_at_most=0)
    assert "at most 10 are allowed" in ask(parameters_at_most=10)
    with pytest.raises(CheckFailed, match="Parameters"):
        check.trained("a1-q2", small_data)
    record = handed_in / "a1-q2.json"
    content = json.loads(record.read_text())
    content["history"] = {key: v * 3 if isinstance(v, list) else v
                          for key, v in content["history"].items()}  # fmt: skip
    record.write_text(json.dumps(content))
    assert "lists 3 epochs" in ask()


def test_an_epoch_of_many_passes_counts_as_many(handed_in, small_data, monkeypatch):
    """By the student's check as by the grader."""
    limits = {"a1-q2": {"test_accuracy": 0.1, "epochs_at_most": 2}}
    monkeypatch.setattr(networks, "load_thresholds", lambda: limits)
    monkeypatch.setattr(check, "load_thresholds", lambda: limits)
    record = handed_in / "a1-q2.json"
    content = json.loads(record.read_text())
    images, batch = content["train_images"], content["recipe"]["batch_size"]
    content["recipe"]["steps_per_epoch"] = 3 * images // batch + 1
    record.write_text(json.dumps(content))
    assert "epochs, at most 2 are allowed" in grade.network("a1-q2", small_data).message
    with pytest.raises(CheckFailed, match="Epochs"):
        check.trained("a1-q2", small_data)


def test_a_stand_in_is_never_judged(handed_in, small_data):
    given = grade.network("a1-q2", small_data)
    assert given.fraction == 0
    assert "Not judged" in given.message


# Checks


def test_a_failed_check_says_what_was_expected_what_came_and_where_to_read():
    with pytest.raises(CheckFailed) as failed:
        check.expect(False, "n_train", expected="a whole number", got="45", read="chapter 1")
    shown = "".join(failed.value._render_traceback_())
    assert "a whole number" in shown
    assert "45" in shown
    assert "chapter 1" in shown
    assert "Traceback" not in shown


def test_while_grading_a_check_prints(capsys, monkeypatch):
    monkeypatch.setenv(env.GRADING.name, "autograde")
    check.answered(axes=None, green=3)
    assert "axes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ([keras.layers.Flatten(), keras.layers.Dense(10)], "add up to 1"),
        ([keras.layers.Flatten(), keras.layers.Dense(9, activation="softmax")], "ten classes"),
    ],
)
def test_a_network_without_probabilities_is_noticed(layers, sentence):
    model = keras.Sequential([keras.Input((32, 32, 3)), *layers])
    with pytest.raises(CheckFailed, match=sentence):
        check.network(model, (32, 32, 3))


def test_a_network_for_other_images_is_noticed():
    with pytest.raises(CheckFailed, match="images of shape"):
        check.network(build_model(), (28, 28, 1))
    with pytest.raises(CheckFailed, match="still None"):
        check.network(None, (28, 28, 1))
    program = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Lambda(lambda x: x / 255)])
    with pytest.raises(CheckFailed, match="such as Rescaling: the grader runs no Lambda"):
        check.network(program, (28, 28, 1))
    with pytest.raises(CheckFailed, match=r"a keras.Input"):
        check.network(keras.Sequential([keras.layers.Dense(10)]), (28, 28, 1))
