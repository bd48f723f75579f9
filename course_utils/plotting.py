"""The course's figures: each has an alternative text and names its data.

Every function returns a `Picture`. As the last expression of a notebook's cell, it displays itself
with its alternative text; `Picture.save` writes it to a file.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.typing import LineStyleType
from numpy.typing import ArrayLike

from course_utils import colours
from course_utils.data import Source
from course_utils.errors import CourseError
from course_utils.evaluation import Evaluation
from course_utils.training import History

PALETTE = sns.color_palette(colours.PALETTE)
# Chapters draw figures of their own, in which "C0", "C1" ... are the colours of the palette.
plt.rcParams["axes.prop_cycle"] = plt.cycler(color=PALETTE)

ALL_RIGHT = "Every prediction is right, so there is no error to show."
# Dashes and markers of the series, so that colour never carries a meaning alone.
STYLES: list[tuple[LineStyleType, str]] = [
    ("-", "o"),
    ("--", "s"),
    (":", "^"),
    ("-.", "D"),
    ((0, (5, 1)), "v"),
    ((0, (1, 1)), "P"),
]
# Resolution of the files, and the resolution at which a page shows them.
DPI, CSS_DPI = 144, 72


class Picture:
    """A figure with its alternative text.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    alt : str
        A description of the figure, for readers who cannot see it.
    crop : bool
        Cut off the margins. Finding them takes half as long as drawing the figure.
    """

    def __init__(self, figure: Figure, alt: str, crop: bool = True) -> None:
        # An open figure would be displayed a second time by the notebook.
        plt.close(figure)
        self.figure = figure
        self.alt = alt
        self._bounds = "tight" if crop else None

    def save(self, path: Path | str) -> None:
        """Write the figure to a file, whose extension determines the format."""
        self._write(path)

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
        """Return the figure as IPython displays it: the image, its text and its width."""
        png = io.BytesIO()
        # A higher level would make the file a tenth smaller, but would take much longer.
        quickly = {"compress_level": 1}
        self._write(png, format="png", pil_kwargs=quickly)
        pixels = int.from_bytes(png.getvalue()[16:20], "big")
        data = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": self.alt}
        metadata = {"image/png": {"alt": self.alt, "width": pixels * CSS_DPI // DPI}}
        return data, metadata

    def _write(self, where: Path | str | io.BytesIO, **settings: Any) -> None:
        # Hinting is not needed at this resolution, and takes a fifth of the time.
        with plt.rc_context({"text.hinting": "none"}):
            self.figure.savefig(where, dpi=DPI, bbox_inches=self._bounds, **settings)


def show(figure: Figure, alt: str, source: Source | None = None, *, crop: bool = True) -> Picture:
    """Turn any Matplotlib figure into a `Picture` that names its data.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    alt : str
        A description of the figure in one or two sentences.
    source : Source, optional
        The data, whose name is written under the figure; the name of a stand-in is bold.
    crop : bool
        As for `Picture`.

    Returns
    -------
    Picture

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from course_utils import show
    >>> figure, axis = plt.subplots()
    >>> bars = axis.bar(["cats", "dogs"], [3, 5])
    >>> show(figure, "Five images show dogs, three show cats.").alt
    'Five images show dogs, three show cats.'
    """
    if source is not None:
        figure.supxlabel(
            f"Data: {source.name}",
            fontsize=8,
            x=0.99,
            ha="right",
            weight="bold" if source.is_stand_in else "normal",
            color=colours.STAND_IN if source.is_stand_in else colours.SOURCE,
        )
        alt = f"{alt} Data: {source.name}."
    return Picture(figure, alt, crop)


def image_grid(
    images: np.ndarray,
    titles: Sequence[str] | None = None,
    *,
    source: Source,
    alt: str,
    columns: int = 10,
    size: float = 0.85,
) -> Picture:
    """Show images or feature maps in rows.

    Parameters
    ----------
    images : numpy.ndarray
        Shape ``(n, height, width, 3)`` for colour, ``(n, height, width)`` or
        ``(n, height, width, 1)`` for grey; uint8, or floats in any range (grey only).
    titles : sequence of str, optional
        One title for each image.
    source : Source
    alt : str
        A description of the figure.
    columns : int
        The number of images in a row.
    size : float
        The width of an image, in inches.

    Returns
    -------
    Picture

    Examples
    --------
    >>> from course_utils import image_grid, load_cifar10
    >>> data = load_cifar10(limit=50)
    >>> x, y = data.x_train[:10], data.y_train[:10]
    >>> names = [data.class_names[label] for label in y]
    >>> picture = image_grid(x, names, source=data.source, alt="Ten images.")
    >>> picture.save("images.png")
    """
    images = images[..., 0] if images.ndim == 4 and images.shape[-1] == 1 else images
    rows = -(-len(images) // columns)
    height = size * (1.3 if titles is not None else 1.05)
    figure = Figure(figsize=(columns * size, rows * height + 0.25), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for number, (axis, image) in enumerate(zip(axes.flat, images, strict=False)):
        axis.imshow(image, cmap=colours.GREY_IMAGE, interpolation="nearest")
        if titles is not None:
            axis.set_title(titles[number], fontsize=7, pad=2)
    return show(figure, alt, source)


def evaluation_image(history: History, evaluation: Evaluation, source: Source) -> Picture:
    """Show the learning curves of loss and accuracy beside the confusion matrix.

    Parameters
    ----------
    history : History
        The history of the training, with a validation set.
    evaluation : Evaluation
        The evaluation on the test set.
    source : Source

    Returns
    -------
    Picture

    Examples
    --------
    >>> from course_utils import evaluate, evaluation_image, load_cifar10, train, zoo
    >>> data, model = load_cifar10(limit=50), zoo.build("fast/cnn")
    >>> history = train(model, data, zoo.recipe("fast/cnn"), epochs=1, verbose=False)
    >>> evaluation = evaluate(model, data.x_test, data.y_test, data.class_names)
    >>> picture = evaluation_image(history, evaluation, data.source)
    >>> picture.save("evaluation.png")
    """
    # Positions are given by hand, because this figure is drawn often, and an automatic layout would
    # take as long as drawing it.
    figure = Figure(figsize=(11, 5.4))
    grid = figure.add_gridspec(
        2, 2, width_ratios=(1, 1.35), left=0.07, right=0.99, bottom=0.24, top=0.94, hspace=0.3
    )
    epochs = np.arange(1, history.epochs + 1)
    for row, (name, training, validation) in enumerate(
        [
            ("loss", history.loss, history.val_loss),
            ("accuracy", history.accuracy, history.val_accuracy),
        ]
    ):
        axis = figure.add_subplot(grid[row, 0])
        _curve(axis, epochs, training, "training", 0)
        _curve(axis, epochs, validation, "validation", 1)
        axis.set(ylabel=name, xlabel="epoch" if row else "")
        axis.legend(frameon=False)
        axis.xaxis.set_label_coords(0.5, -0.17)
        axis.yaxis.set_label_coords(-0.13, 0.5)
        _tidy(axis, percent=name == "accuracy")
    matrix = figure.add_subplot(grid[:, 1])
    _confusion_axis(matrix, evaluation)
    # Long class names, such as the stand-in's, are smaller, to leave room for the axes' labels.
    matrix.tick_params(labelsize=10 if max(map(len, evaluation.class_names)) <= 10 else 7)
    matrix.xaxis.set_label_coords(0.5, -0.24)
    matrix.yaxis.set_label_coords(-0.28, 0.5)
    matrix.set_title(f"Test accuracy {evaluation}", fontsize=10)
    return show(
        figure,
        f"Left: loss and accuracy of training and validation, epoch 1 to {history.epochs}; "
        f"validation accuracy ends at {history.val_accuracy[-1]:.1%}. Right: confusion matrix of "
        f"{evaluation.n:,} test images, accuracy {evaluation.accuracy:.1%}; {_worst(evaluation)}",
        source,
        crop=False,
    )


def confusion_heatmap(evaluation: Evaluation, source: Source) -> Picture:
    """Show the confusion matrix alone.

    Examples
    --------
    >>> from course_utils import confusion_heatmap, evaluate, load_cifar10, zoo
    >>> data, model = load_cifar10(limit=100), zoo.build("fast/cnn")
    >>> evaluation = evaluate(model, data.x_test, data.y_test, data.class_names)
    >>> picture = confusion_heatmap(evaluation, data.source)
    >>> picture.save("confusion.png")
    """
    figure = Figure(figsize=(6.4, 5.4), layout="constrained")
    axis = figure.subplots()
    _confusion_axis(axis, evaluation)
    axis.set_title(f"Accuracy {evaluation}", fontsize=10)
    return show(
        figure,
        f"Confusion matrix of {evaluation.n:,} images, accuracy {evaluation.accuracy:.1%}; "
        f"{_worst(evaluation)}",
        source,
    )


def confused_pairs(evaluation: Evaluation, source: Source, most: int = 8) -> Picture:
    """Show which classes are mistaken for which others most often.

    Parameters
    ----------
    evaluation : Evaluation
    source : Source
    most : int
        The largest number of pairs.

    Returns
    -------
    Picture

    Raises
    ------
    CourseError
        If every prediction is right.

    Examples
    --------
    >>> from course_utils import confused_pairs, evaluate, load_cifar10, zoo
    >>> data, model = load_cifar10(limit=100), zoo.build("fast/cnn")
    >>> evaluation = evaluate(model, data.x_test, data.y_test, data.class_names)
    >>> picture = confused_pairs(evaluation, data.source)
    >>> picture.save("pairs.png")
    """
    pairs = evaluation.confused_pairs(most)
    if not pairs:
        raise CourseError(ALL_RIGHT)
    labels = [f"{true} taken for {guess}" for true, guess, _ in pairs]
    counts = [count for _, _, count in pairs]
    figure = Figure(figsize=(7, 0.34 * len(pairs) + 0.9), layout="constrained")
    axis = figure.subplots()
    bars = axis.barh(labels, counts, color=PALETTE[0])
    axis.bar_label(bars, padding=3, fontsize=9)
    axis.invert_yaxis()
    axis.set_xlabel("images")
    sns.despine(ax=axis)
    return show(
        figure,
        "Most frequent confusions: "
        + ", ".join(f"{label} {count} times" for label, count in zip(labels, counts, strict=True))
        + ".",
        source,
    )


def misclassified(x: np.ndarray, evaluation: Evaluation, source: Source, most: int = 10) -> Picture:
    """Show the wrong predictions of which the model was most confident.

    Parameters
    ----------
    x : numpy.ndarray
        The images that were evaluated, in the same order; shape ``(n, height, width, channels)``.
    evaluation : Evaluation
    source : Source
    most : int
        The largest number of images.

    Returns
    -------
    Picture

    Raises
    ------
    CourseError
        If every prediction is right.

    Examples
    --------
    >>> from course_utils import evaluate, load_cifar10, misclassified, zoo
    >>> data, model = load_cifar10(limit=100), zoo.build("fast/cnn")
    >>> evaluation = evaluate(model, data.x_test, data.y_test, data.class_names)
    >>> picture = misclassified(data.x_test, evaluation, data.source)
    >>> picture.save("wrong.png")
    """
    wrong = np.flatnonzero(evaluation.y_true != evaluation.y_pred)
    if not wrong.size:
        raise CourseError(ALL_RIGHT)
    surest = wrong[np.argsort(-evaluation.probabilities[wrong].max(axis=1))][:most]
    names = evaluation.class_names
    titles = [
        f"{names[evaluation.y_pred[i]]} {evaluation.probabilities[i].max():.0%}\n"
        f"is {names[evaluation.y_true[i]]}"
        for i in surest
    ]
    return image_grid(
        np.stack([x[i] for i in surest]),
        titles,
        source=source,
        alt="Wrong predictions the model was surest of: "
        + "; ".join(title.replace("\n", ", ") for title in titles)
        + ".",
        columns=5,
        size=1.25,
    )


def learning_curves(histories: Mapping[str, History], source: Source) -> Picture:
    """Show training and validation accuracy of several runs, side by side.

    Parameters
    ----------
    histories : mapping of str to History
        The history of each run, by the run's name; at most six.
    source : Source

    Returns
    -------
    Picture

    Examples
    --------
    >>> from course_utils import History, learning_curves, recorded_runs
    >>> records = recorded_runs("dl/1", "dl/2")
    >>> histories = {record.design: History(**record.history) for record in records}
    >>> picture = learning_curves(histories, records[0].data_source)
    >>> picture.save("curves.png")
    """
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, attribute, title in zip(
        axes, ("accuracy", "val_accuracy"), ("training", "validation"), strict=True
    ):
        for number, (name, history) in enumerate(histories.items()):
            _curve(
                axis, np.arange(1, history.epochs + 1), getattr(history, attribute), name, number
            )
        axis.set(title=title, xlabel="epoch")
        _tidy(axis, percent=True)
    axes[0].set_ylabel("accuracy")
    axes[1].legend(frameon=False)
    ends = "; ".join(
        f"{name}: training {h.accuracy[-1]:.1%}, validation {h.val_accuracy[-1]:.1%}"
        for name, h in histories.items()
    )
    return show(figure, f"Accuracy over epochs. At the end, {ends}.", source)


def accuracy_chart(
    table: pd.DataFrame,
    label: str,
    source: Source | None = None,
    threshold: float | None = None,
    images: str = "test",
) -> Picture:
    """Show the mean accuracy of each row as a dot, and its interval as a line.

    Parameters
    ----------
    table : pandas.DataFrame
        The result of `summarise`, or any table with the columns accuracy, low, high (from 0 to 1)
        and `label`.
    label : str
        The column with the names of the rows.
    source : Source, optional
    threshold : float, optional
        An accuracy that is marked by a vertical line.
    images : str
        The images on which the accuracies were measured: ``"test"`` or ``"validation"``.

    Returns
    -------
    Picture

    Examples
    --------
    >>> from course_utils import accuracy_chart, recorded_runs, summarise
    >>> records = recorded_runs("dl/*")
    >>> table, source = summarise(records), records[0].data_source
    >>> picture = accuracy_chart(table, "design", source)
    >>> picture.save("accuracies.png")
    """
    figure = Figure(figsize=(7.5, 0.36 * len(table) + 1.0), layout="constrained")
    axis = figure.subplots()
    rows = np.arange(len(table))
    axis.hlines(rows, table.low, table.high, color=PALETTE[0], linewidth=3, alpha=0.5)
    axis.plot(table.accuracy, rows, "o", color=PALETTE[0], markersize=7)
    for row, accuracy in zip(rows, table.accuracy, strict=True):
        axis.annotate(
            f"{accuracy:.1%}", (accuracy, row), (0, 6), textcoords="offset points", ha="center",
            fontsize=8,
        )  # fmt: skip
    if threshold is not None:
        axis.axvline(threshold, color=colours.REFERENCE, linestyle="--", linewidth=1)
        axis.annotate(
            f"goal {threshold:.0%}", (threshold, -0.6), (3, 0), textcoords="offset points",
            fontsize=8,
        )  # fmt: skip
    axis.set_yticks(rows, table[label])
    axis.set_ylim(len(table) - 0.4, -0.8)
    axis.set_xlabel(f"{images} accuracy (dot: mean over seeds; line: 95% interval)")
    axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.grid(axis="x", alpha=0.3)
    sns.despine(ax=axis, left=True)
    means = ", ".join(
        f"{name} {accuracy:.1%}"
        for name, accuracy in zip(table[label], table.accuracy, strict=True)
    )
    return show(figure, f"Mean {images} accuracy: {means}.", source)


def reported_and_measured_chart(
    table: pd.DataFrame, source: Source, label: str = "design", baseline: str | None = None
) -> Picture:
    """Show the reported and the measured accuracy of each network.

    Parameters
    ----------
    table : pandas.DataFrame
        The result of `reported_and_measured`.
    source : Source
    label : str
        The column with the names of the rows.
    baseline : str, optional
        The row with which the others are compared; a vertical line marks its measured accuracy.

    Returns
    -------
    Picture

    Examples
    --------
    >>> from course_utils import recorded_runs, reported_and_measured
    >>> from course_utils import reported_and_measured_chart
    >>> source = recorded_runs("dl/*")[0].data_source
    >>> picture = reported_and_measured_chart(reported_and_measured("dl/*"), source)
    >>> picture.save("reported.png")
    """
    figure = Figure(figsize=(7.5, 0.36 * len(table) + 1.3), layout="constrained")
    axis = figure.subplots()
    rows = np.arange(len(table))
    axis.hlines(rows, table.low, table.high, color=PALETTE[0], linewidth=3, alpha=0.5)
    axis.plot(table.measured, rows, "o", color=PALETTE[0], markersize=7, label="measured here")
    axis.plot(
        table.reported, rows, "D", color=PALETTE[1], markersize=7, fillstyle="none",
        label="reported",
    )  # fmt: skip
    if baseline is not None:
        position = table.measured[table[label] == baseline].item()
        axis.axvline(position, color=colours.REFERENCE, linestyle="--", linewidth=1)
    axis.set_yticks(rows, table[label])
    axis.set_ylim(len(table) - 0.4, -0.6)
    axis.set_xlabel("test accuracy")
    axis.xaxis.set_major_formatter(PercentFormatter(1))
    axis.grid(axis="x", alpha=0.3)
    axis.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    sns.despine(ax=axis, left=True)
    words = "; ".join(
        f"{name}: {_percent(measured)} measured, {_percent(reported)} reported"
        for name, measured, reported in zip(
            table[label], table.measured, table.reported, strict=True
        )
    )
    return show(figure, f"Test accuracy. {words}.", source)


def _percent(accuracy: float) -> str:
    return "nothing" if np.isnan(accuracy) else f"{accuracy:.1%}"


def _curve(axis: Axes, x: ArrayLike, y: ArrayLike, label: str, number: int) -> None:
    dashes, marker = STYLES[number % len(STYLES)]
    color = PALETTE[number % len(PALETTE)]
    axis.plot(x, y, linestyle=dashes, marker=marker, markersize=4, color=color, label=label)


def _tidy(axis: Axes, percent: bool) -> None:
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if percent:
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.grid(alpha=0.3)
    sns.despine(ax=axis)


def _confusion_axis(axis: Axes, evaluation: Evaluation) -> None:
    sns.heatmap(
        evaluation.confusion,
        annot=True,
        fmt="d",
        cmap=colours.COUNTS,
        cbar=False,
        square=True,
        linewidths=0.5,
        annot_kws={"size": 8},
        # Seaborn would measure all names to find out whether they overlap.
        xticklabels=False,
        yticklabels=False,
        ax=axis,
    )
    axis.set(xlabel="predicted class", ylabel="true class")
    middles = np.arange(len(evaluation.class_names)) + 0.5
    axis.set_xticks(
        middles, evaluation.class_names, rotation=45, ha="right", rotation_mode="anchor"
    )
    axis.set_yticks(middles, evaluation.class_names)


def _worst(evaluation: Evaluation) -> str:
    """Name the most frequent confusion."""
    pairs = evaluation.confused_pairs(1)
    if not pairs:
        return "nothing is confused."
    true, guess, count = pairs[0]
    return f"the most frequent confusion is {true} taken for {guess}, {count} images."
