"""Runs and their records."""

import json

import numpy as np
import pytest

from course_utils import experiment, records, runtime, zoo
from course_utils.errors import RecordError


@pytest.fixture(scope="module")
def record(small_data):
    return experiment.run(
        "fast/final-narrow", small_data, runtime=runtime.setup(4), seed=4, epochs=1, verbose=False
    )


def test_a_record_says_what_was_run_and_on_what(record, small_data):
    assert record.design == "fast/final-narrow"
    assert record.recipe == zoo.recipe("fast/final-narrow").replace(epochs=1)
    assert record.seed == 4
    assert record.is_stand_in
    assert record.source == small_data.source.name
    assert record.parameters == zoo.build("fast/final-narrow").count_params()
    assert record.trainable_parameters < record.parameters
    assert record.test_images == len(small_data.x_test)
    low, high = record.test_interval
    assert low < record.test_accuracy < high
    assert set(record.versions) >= {"python", "keras", "numpy", "course_utils"}


@pytest.mark.train
def test_the_same_seed_gives_the_same_run(record, small_data):
    again = experiment.run(
        "fast/final-narrow", small_data, runtime=runtime.setup(4), seed=4, epochs=1, verbose=False
    )
    assert again.history["loss"] == pytest.approx(record.history["loss"], rel=1e-2)


def test_a_record_survives_the_disk(record, tmp_path):
    path = record.save(tmp_path / "new" / "run.json")
    assert records.RunRecord.load(path) == record
    assert [p.name for p in path.parent.iterdir()] == ["run.json"]


def test_records_are_summed_up_per_design(record, tmp_path):
    for number, accuracy in enumerate((0.4, 0.6)):
        record.model_copy(update={"test_accuracy": accuracy}).save(tmp_path / f"{number}.json")
    table = records.summarise(records.load_records(tmp_path))
    assert list(table.design) == ["fast/final-narrow"]
    row = table.iloc[0]
    assert row.runs == 2
    # Student's t for one degree of freedom is 12.7062; the standard error is 0.1.
    assert (row.accuracy, row.low, row.high) == pytest.approx((0.5, -0.77062, 1.77062), abs=1e-5)
    alone = records.summarise([record], "validation_accuracy").iloc[0]
    assert alone.accuracy == record.history["val_accuracy"][-1]
    assert np.isnan([alone.low, alone.high]).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "the file"), ('{"format": 1}', "design"), ("[]", "the file")],
)
def test_what_is_no_record_is_refused(tmp_path, content, message):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(RecordError, match=message):
        records.RunRecord.load(path)


def test_a_record_of_another_format_is_refused(record, tmp_path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps(record.model_dump(mode="json") | {"format": 0}))
    with pytest.raises(RecordError, match="format"):
        records.RunRecord.load(path)


def test_a_record_with_settings_of_another_version_is_refused(record, tmp_path):
    path = tmp_path / "newer.json"
    values = record.model_dump(mode="json")
    values["recipe"]["mixup"] = 0.2
    path.write_text(json.dumps(values))
    with pytest.raises(RecordError, match=r"mixup.*run the experiment again"):
        records.RunRecord.load(path)


def test_missing_records_are_named(tmp_path):
    with pytest.raises(RecordError, match="cannot be read"):
        records.RunRecord.load(tmp_path / "none.json")
    with pytest.raises(RecordError, match="no run records"):
        records.load_records(tmp_path)
