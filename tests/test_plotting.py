"""Figures: what they say in words, and that a stand-in is never taken for real data."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from course_utils import plotting
from course_utils.errors import CourseError
from course_utils.evaluation import score
from course_utils.training import History

HISTORY = History([2.0, 1.5], [0.2, 0.45], [1.9, 1.6], [0.25, 0.4], seconds=3.0)


@pytest.fixture
def evaluation(small_data):
    rng = np.random.default_rng(0)
    y = np.asarray(small_data.y_test)
    guess = np.where(rng.random(len(y)) < 0.6, y, rng.integers(0, 10, len(y)))
    return score(np.eye(10, dtype="float32")[guess], y, small_data.class_names)


def pictures(small_data, evaluation):
    x, source = np.asarray(small_data.x_test), small_data.source
    table = pd.DataFrame(
        {
            "design": ["a", "b"],
            "accuracy": [0.7, 0.8],
            "low": [0.69, 0.8],
            "high": [0.71, 0.8],
        }
    )
    networks = table.rename(columns={"accuracy": "measured"}).assign(reported=[0.6, np.nan])
    return {
        "reports": plotting.reported_and_measured_chart(networks, source, baseline="a"),
        "evaluation image": plotting.evaluation_image(HISTORY, evaluation, source),
        "confusion": plotting.confusion_heatmap(evaluation, source),
        "pairs": plotting.confused_pairs(evaluation, source),
        "wrong": plotting.misclassified(x, evaluation, source),
        "grid": plotting.image_grid(x[:7], list("abcdefg"), source=source, alt="Seven images."),
        "curves": plotting.learning_curves({"one": HISTORY, "two": HISTORY}, source),
        "chart": plotting.accuracy_chart(table, "design", source, threshold=0.75),
    }


def text_of(picture):
    return " ".join(t.get_text() for t in picture.figure.findobj(plt.Text))


def test_every_picture_shows_itself_with_words_and_names_its_data(small_data, evaluation):
    for name, picture in pictures(small_data, evaluation).items():
        data, metadata = picture._repr_mimebundle_()
        assert data["image/png"].startswith("iVBOR"), name
        assert len(metadata["image/png"]["alt"]) > 20, name
        assert small_data.source.name in picture.alt, name
        assert small_data.source.name in text_of(picture), name


def test_networks_that_nobody_measured_or_reported_are_named(small_data):
    accuracies = {"measured": [0.7, np.nan], "reported": [np.nan, 0.6]}
    table = pd.DataFrame({"design": ["a", "b"], "low": np.nan, "high": np.nan} | accuracies)
    alt = plotting.reported_and_measured_chart(table, small_data.source).alt
    assert "a: 70.0% measured, nothing reported; b: nothing measured, 60.0% reported" in alt


def test_real_data_are_not_called_a_stand_in(small_data, evaluation):
    real = dataclasses.replace(
        small_data.source, name="CIFAR-10 (binary archive)", is_stand_in=False
    )
    picture = plotting.evaluation_image(HISTORY, evaluation, real)
    assert "stand-in" not in text_of(picture) + picture.alt


def test_the_evaluation_image_holds_curves_and_a_labelled_matrix(small_data, evaluation):
    picture = plotting.evaluation_image(HISTORY, evaluation, small_data.source)
    loss, accuracy, matrix = picture.figure.axes
    assert list(loss.lines[0].get_ydata()) == HISTORY.loss
    assert list(accuracy.lines[1].get_ydata()) == HISTORY.val_accuracy
    assert [t.get_text() for t in matrix.get_xticklabels()] == list(small_data.class_names)
    counts = [int(t.get_text()) for t in matrix.texts]
    assert counts == evaluation.confusion.ravel().tolist()
    assert str(evaluation) in matrix.get_title()


def test_names_in_the_evaluation_image_leave_each_other_room(small_data, evaluation):
    """The stand-in's classes have long ones; CIFAR-10's are drawn in larger letters."""
    cifar10 = dataclasses.replace(evaluation, class_names=("automobile",) * 10)
    for shown in (evaluation, cifar10):
        figure = plotting.evaluation_image(HISTORY, shown, small_data.source).figure
        FigureCanvasAgg(figure).draw()
        loss, accuracy, matrix = figure.axes
        below, beside = (
            matrix.xaxis.label.get_window_extent(),
            matrix.yaxis.label.get_window_extent(),
        )
        assert below.y0 > figure._supxlabel.get_window_extent().y1
        assert below.y1 < min(t.get_window_extent().y0 for t in matrix.get_xticklabels())
        assert beside.x1 < min(t.get_window_extent().x0 for t in matrix.get_yticklabels())
        assert beside.x0 > max(axis.get_window_extent().x1 for axis in (loss, accuracy))


def test_lines_differ_without_colour(small_data):
    histories = {str(number): HISTORY for number in range(6)}
    picture = plotting.learning_curves(histories, small_data.source)
    looks = {(line.get_linestyle(), line.get_marker()) for line in picture.figure.axes[0].lines}
    assert len(looks) == 6


def test_misclassified_shows_the_surest_errors_first(small_data, evaluation):
    picture = plotting.misclassified(np.asarray(small_data.x_test), evaluation, small_data.source)
    titles = [axis.get_title() for axis in picture.figure.axes if axis.get_title()]
    assert len(titles) == 10
    assert all(title.split()[0] != title.split()[-1] for title in titles)


def test_where_every_prediction_is_right_no_error_can_be_shown(small_data):
    y = np.asarray(small_data.y_test)
    perfect = score(np.eye(10, dtype="float32")[y], y, small_data.class_names)
    with pytest.raises(CourseError, match="Every prediction is right"):
        plotting.misclassified(small_data.x_test, perfect, small_data.source)
    with pytest.raises(CourseError, match="Every prediction is right"):
        plotting.confused_pairs(perfect, small_data.source)


def test_a_picture_is_shown_once(small_data):
    figure, axis = plt.subplots()
    axis.plot([1, 2])
    plotting.show(figure, "A line that rises.", small_data.source)
    assert plt.get_fignums() == []


def test_a_picture_is_written_where_it_is_asked_to(small_data, evaluation, tmp_path):
    plotting.confused_pairs(evaluation, small_data.source).save(tmp_path / "pairs.svg")
    assert "<svg" in (tmp_path / "pairs.svg").read_text()
