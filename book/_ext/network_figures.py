"""Small drawings for the page of networks: where points and lines stand in an SVG picture.

The pictures themselves are in ``network_table.html.jinja``. They are drawn when the page is built,
and take their colours from the page, so they suit its light and its dark version.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

# The scatter plots and the learning curves: width and height, in the picture's own units.
PLOT, CURVES = (360, 300), (300, 170)
# Left, right, upper and lower margin.
MARGINS = (42, 12, 12, 38)
# Largest number of points of a line: more would not be seen.
MOST_POINTS = 150
# Largest number of steps between the ticks of an axis.
MOST_STEPS = 6


@dataclass(frozen=True)
class Axis:
    """One axis of a picture: values from `low` to `high`, at positions from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return the position of a value, in the picture's units."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        part = (value - low) / (high - low)
        return round(self.start + part * (self.end - self.start), 1)


def linear(values: Sequence[float], start: float, end: float) -> Axis:
    """Return an axis from and to round numbers."""
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.1, high + 0.1
    places = MaxNLocator(nbins=MOST_STEPS, steps=[1, 2, 5, 10]).tick_values(low, high)
    ticks = tuple(round(float(tick), 10) for tick in places)
    return Axis(ticks[0], ticks[-1], start, end, ticks)


def powers_of_ten(values: Sequence[float], start: float, end: float) -> Axis:
    """Return a logarithmic axis a little longer than the values, with ticks at powers of ten."""
    low, high = min(values) / 1.5, max(values) * 1.5
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    return Axis(low, high, start, end, tuple(10.0**power for power in powers), logarithmic=True)


def frame(size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return where the area inside the axes begins and ends: left, right, top, bottom."""
    left, right, top, bottom = MARGINS
    return left, size[0] - right, top, size[1] - bottom


def line(values: Sequence[float], x: Axis, y: Axis) -> str:
    """Return the path of a learning curve with one value for each epoch, 1, 2, ..."""
    last = len(values) - 1
    count = min(len(values), MOST_POINTS)
    chosen = sorted({round(number * last / max(count - 1, 1)) for number in range(count)})
    points = [f"{x.place(index + 1):g} {y.place(values[index]):g}" for index in chosen]
    return "M" + "L".join(points)


def learning_curve(name: str, curves: dict[str, Sequence[float]], percent: bool) -> dict:
    """Return what the drawing of some learning curves needs.

    Parameters
    ----------
    name : str
        The quantity on the vertical axis.
    curves : dict of sequence of float
        The values of each epoch, by the name of the curve; empty curves are left out.
    percent : bool
        Whether the values are fractions that are shown as percentages.
    """
    curves = {label: values for label, values in curves.items() if values}
    left, right, top, bottom = frame(CURVES)
    epochs = max(map(len, curves.values()))
    x = linear([0, epochs], left, right)
    y = linear([value for values in curves.values() for value in values], bottom, top)
    show = "{:.0%}" if percent else "{:g}"
    exact = "{:.1%}" if percent else "{:.3f}"
    words = [f"{label} ends at {exact.format(values[-1])}" for label, values in curves.items()]
    return {
        "size": CURVES,
        "x": x,
        "y": y,
        "frame": (left, right, top, bottom),
        "show": show.format,
        "lines": {label: line(values, x, y) for label, values in curves.items()},
        "alt": f"{name} over {epochs} epochs: {', '.join(words)}.",
        "name": name,
    }
