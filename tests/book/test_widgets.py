"""Interactive figures in a browser: the same numbers as in NumPy, and all a reader can do."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import nbformat
import numpy as np
import pytest
from PIL import Image

from course_utils import CourseError, evaluate, load_cifar10, predictions_on_page
from course_utils.evaluation import Evaluation
from course_utils.paths import CHECKOUT as ROOT

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install -r requirements.txt"
)
pytestmark = pytest.mark.browser

SCRIPTS = ROOT / "book" / "_static" / "widgets"
SCRIPT_BYTES = 11_000
NETWORK = ROOT / "assignments" / "solutions" / "a2-cnn" / "a2-q3.keras"
NAMES = {path.stem for path in SCRIPTS.glob("*.js")} - {"shared"}
DIRECTIVE = re.compile(r"^```\{widget\} (\S+)\n(.+?)\n```$", re.DOTALL | re.MULTILINE)
CONF = """
import sys
sys.path.append({extensions!r})
extensions = ["myst_parser", "widgets"]
numfig = True
html_theme = "sphinx_book_theme"
html_static_path = [{static!r}]
html_css_files = ["course.css"]
"""
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
ASCII = str.maketrans("−⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789")

# The elements that are wider than the page.
TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth;
    const parts = 'figure.widget, figure.widget :not(.visually-hidden, svg *)';
    const wide = [...document.querySelectorAll(parts)]
        .filter(e => e.getBoundingClientRect().right > width + 1);
    return [document.documentElement.scrollWidth - width, wide.map(e => e.outerHTML.slice(0, 90))];
}"""
# The words in a picture that overlap its edges or each other.
CROWDED = """() => [...document.querySelectorAll('figure.widget svg[role=img]')].flatMap(svg => {
    const edge = svg.getBoundingClientRect();
    const all = [...svg.querySelectorAll('text')];
    const boxes = all.map(e => e.getBoundingClientRect());
    return all.filter((e, i) => {
        const box = boxes[i];
        const outside = box.left < edge.left - 1 || box.right > edge.right + 1
            || box.top < edge.top - 1 || box.bottom > edge.bottom + 1;
        return outside || boxes.some((other, k) => k !== i
            && other.left < box.right - 1 && box.left < other.right - 1
            && other.top < box.bottom - 4 && box.top < other.bottom - 4);
    }).map(e => `${svg.ariaLabel}: ${e.textContent}`);
})"""
# Foreground, background and the least contrast: 3 to 1 for drawings, 4.5 to 1 for text.
COLOURS = """() => {
    const page = getComputedStyle(document.body).backgroundColor;
    const all = (selector, property, least, behind = () => page) =>
        [...document.querySelectorAll(selector)].map(
            e => [selector, getComputedStyle(e)[property], behind(e), least]);
    const square = e => getComputedStyle(e.previousElementSibling).fill;
    return [
        ...all('.widget-controls :is(span, output, select, button), .widget-text p', 'color', 4.5),
        ...all('figure.widget > figcaption', 'color', 4.5),
        ...all('.widget-pictures p', 'color', 4.5),
        ...all('.widget-pictures text:not(.is-bright *, .is-dark *)', 'fill', 4.5),
        ...all(':is(.is-bright, .is-dark) text', 'fill', 4.5, square),
        ...all('.widget-line, .widget-frame', 'stroke', 3),
        ...all(':is(rect, circle):is(.is-first, .is-second)', 'fill', 3),
        ...all('.widget-controls select', 'borderTopColor', 3),
    ];
}"""

# The controls that are too small for a finger, or look the same with the focus and without it.
UNSEEN = """() => [...document.querySelectorAll('.widget-controls :is(input, select, button)')]
    .filter(e => {
        const style = getComputedStyle(e);
        const look = () => [style.outlineStyle, style.outlineWidth].join();
        e.blur();
        const before = look();
        e.focus({focusVisible: true});
        return look() === before || e.getBoundingClientRect().height < 24;
    }).map(e => e.outerHTML)"""


def directives() -> dict[str, str]:
    """Each figure in the chapters, as it stands there, by its name."""
    found = {}
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            found |= {part[1]: part[0] for part in DIRECTIVE.finditer(cell.source)}
    return found


@pytest.fixture(scope="module")
def data():
    return load_cifar10(limit=3_000)


@pytest.fixture(scope="module")
def judged(data) -> dict[str, Evaluation]:
    """The predictions of a trained network for validation and test images."""
    network = keras.saving.load_model(NETWORK, compile=False)
    sets = {"validation": (data.x_val, data.y_val), "test": (data.x_test, data.y_test)}
    return {name: evaluate(network, *each, data.class_names) for name, each in sets.items()}


@pytest.fixture(scope="module")
def html(tmp_path_factory, data, judged) -> Path:
    """A page with all figures of the book, and one with a figure that does not exist.

    The predictions are there only once, although several figures show them.
    """
    book = tmp_path_factory.mktemp("widgets")
    settings = {"extensions": str(ROOT / "book" / "_ext"), "static": str(ROOT / "book" / "_static")}
    (book / "conf.py").write_text(CONF.format(**settings), "utf-8")
    toc = "```{toctree}\nwrong\n```"
    predictions = predictions_on_page(judged["test"], judged["validation"], data.x_test)
    raw = f"```{{raw}} html\n{predictions._repr_html_()}\n```"
    parts = ["# Figures", raw, *directives().values(), toc]
    (book / "index.md").write_text("\n\n".join(parts), "utf-8")
    (book / "wrong.md").write_text("# Wrong\n\n```{widget} unknown\nA figure.\n```\n", "utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", ".", "html"]
    done = subprocess.run(command, cwd=book, capture_output=True, text=True, check=False)
    (warning,) = done.stderr.strip().splitlines()
    assert "wrong.md" in warning
    assert "No widget is called unknown. There are: batch-statistics, calibration" in warning
    for script in (book / "html" / "_static" / "scripts").glob("*.js"):
        script.write_text("")  # The theme's own scripts are large, and no figure needs them.
    return book / "html"


@pytest.fixture(scope="module")
def page(browser, html):
    """The page of figures; it may ask for files only, and have nothing to complain about."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    wrong = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    opened.on(
        "request", lambda asked: None if asked.url.startswith("file:") else wrong.append(asked.url)
    )
    opened.goto((html / "index.html").as_uri())
    yield opened
    assert wrong == []


@pytest.fixture
def figure(page):
    """Return a function that finds a figure by its name, as the last test has left it."""
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    return lambda name: page.locator(f"figure.widget.{name}")


def choose(figure, settings: dict[str, float]) -> None:
    """Move sliders, found by their labels."""
    for label, value in settings.items():
        figure.get_by_label(label, exact=True).fill(str(value))


def numbers(text: str) -> list[float]:
    """The numbers in a text, also those with a minus sign or a power of ten."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.translate(ASCII))
    return [float(each) for each in NUMBER.findall(re.sub(r" · 10(-?\d+)(?=;|\.)", r"e\1", text))]


def sentences(figure) -> list[str]:
    return figure.locator(".widget-text p").all_inner_texts()


def exponent(label: str) -> str:
    """The number at a tick; of a power of ten, its exponent."""
    return re.sub(r"^10(?=[⁻⁰¹²³⁴⁵⁶⁷⁸⁹])", "", label).translate(ASCII)


def curve(svg, line: str) -> np.ndarray:
    """The points of a line in a plot, shape (n, 2), in the units of its axes."""
    places = [
        [float(number) for number in point.split(",")]
        for point in svg.locator(line).get_attribute("points").split()
    ]
    texts = svg.locator("text").evaluate_all(
        "all => all.map(e => [e.textContent, e.classList.contains('widget-end'),"
        " Number(e.getAttribute('x')), e.getAttribute('y') - 4])"
    )
    columns = []
    for vertical, place in ((False, 2), (True, 3)):
        ticks = [
            (text[place], float(label))
            for text in texts
            if text[1] == vertical and (label := exponent(text[0])).lstrip("-").isdigit()
        ]
        to_value = np.polynomial.Polynomial.fit(*zip(*ticks, strict=True), 1)
        columns.append(to_value(np.array(places)[:, len(columns)]))
    return np.stack(columns, axis=-1)


def test_every_figure_has_a_place_in_a_chapter():
    assert set(directives()) == NAMES
    assert max(path.stat().st_size for path in SCRIPTS.glob("*.js")) < SCRIPT_BYTES


def test_scripts_are_loaded_once_where_a_figure_needs_them(html):
    content = (html / "index.html").read_text("utf-8")
    for name in ["shared", *NAMES]:
        assert content.count(f"_static/widgets/{name}.js") == 1
    assert content.index("widgets/shared.js") < min(content.index(f"widgets/{n}.js") for n in NAMES)
    assert "widgets/" not in (html / "wrong.html").read_text("utf-8")


# Numbers


def grid(svg) -> np.ndarray:
    """The numbers of a square table, row by row."""
    values = np.array([numbers(text)[0] for text in svg.locator("text").all_text_contents()])
    return values.reshape(2 * [round(len(values) ** 0.5)])


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "channels", "filters", "step"),
    [(3, 1, 0, 1, 8, 1), (1, 1, 2, 2, 1, 100), (5, 3, 2, 3, 64, 4), (2, 3, 0, 1, 5, 3)],
)
def test_convolution(figure, kernel, stride, padding, channels, filters, step):
    shown = figure("convolution-stepper")
    settings = {"kernel size": kernel, "stride": stride, "padding": padding}
    settings |= {"input channels": channels, "filters": filters, "step": step}
    choose(shown, settings)
    rows = [row.locator("svg") for row in shown.locator(".widget-pictures > .widget-row").all()]
    assert len(rows) == channels
    images, weights, products = ([grid(row.nth(i)) for row in rows] for i in range(3))
    for image in images:
        inside = slice(padding, padding + 6)
        assert image[inside, inside].shape == (6, 6)
        assert image.sum() == image[inside, inside].sum()
    size = (6 + 2 * padding - kernel) // stride + 1
    sums = np.zeros((size, size))
    for row, column in np.ndindex(size, size):
        top, left = row * stride, column * stride
        windows = [image[top : top + kernel, left : left + kernel] for image in images]
        terms = [window * weight for window, weight in zip(windows, weights, strict=True)]
        sums[row, column] = np.sum(terms)
        if row * size + column + 1 == step:
            np.testing.assert_array_equal(products, terms)
            place = [row + 1, column + 1]
    bias = 1
    output = shown.locator("svg").last
    np.testing.assert_array_equal(grid(output), sums + bias)
    assert numbers(output.get_attribute("aria-label")) == list((sums + bias).flat)
    total = sums[place[0] - 1, place[1] - 1]
    first, second, third = sentences(shown)
    assert numbers(first) == [step, size**2, total, bias, *place, total + bias]
    formula = [6, 2, padding, -kernel, stride, 1, size, size, size, filters]
    found = numbers(second.replace("− ", "−"))
    assert found[: len(formula)] == formula
    assert ("No window reaches" in second) == ((6 + 2 * padding - kernel) % stride > 0)
    assert numbers(third)[-1] == (kernel**2 * channels + 1) * filters


@pytest.mark.parametrize(
    ("logits", "label"),
    [((2, 1, -1), 1), ((0, 0, 0), 2), ((10, -10, 3.3), 0), ((10, -10, 10), 1), ((1, 2.7, -10), 1)],
)
def test_softmax(figure, logits, label):
    shown = figure("softmax")
    choose(shown, {f"logit of class {name}": z for name, z in zip("ABC", logits, strict=True)})
    shown.get_by_label("true class", exact=True).select_option(f"class {'ABC'[label]}")
    z = np.array(logits, float)
    p = np.exp(z) / np.exp(z).sum()
    rows = shown.locator("svg g").all()
    texts = [row.locator("text").all_text_contents() for row in rows]
    found = [[numbers(text)[0] for text in row[1:]] for row in texts]
    np.testing.assert_allclose(found, np.stack([p, p - np.eye(3)[label]], -1), atol=5.01e-4)
    assert ["(true)" in row[0] for row in texts] == list(np.eye(3)[label])
    widths = [
        [float(bar.get_attribute("width")) for bar in row.locator("rect").all()] for row in rows
    ]
    full, probability, gradient = np.array(widths).T
    np.testing.assert_allclose(probability / full, p, atol=1e-12)
    difference = abs(p - np.eye(3)[label])
    np.testing.assert_allclose(gradient, 64 * difference, atol=1e-12)
    loss, answer = sentences(shown)
    assert numbers(loss) == [pytest.approx(-np.log(p[label]), abs=5.01e-4)]
    best = np.flatnonzero(z == z.max())
    expected = "a tie" if len(best) > 1 else "right" if best[0] == label else "a wrong"
    assert expected in answer


@pytest.mark.parametrize(
    ("rate", "momentum", "steps", "verdict"),
    [
        (0.08, 0, 40, "converges"),
        (0.002, 0, 1, "converges"),
        (0.1, 0, 100, "for ever"),
        (0.19, 0.9, 30, "for ever"),
        (0.102, 0, 60, "without bound"),
        (0.2, 0, 100, "without bound"),
        (0.12, 0.5, 25, "converges"),
        (0.2, 0.99, 100, "without bound"),
        (0.19, 0.99, 80, "converges"),
    ],
)
def test_descent(figure, rate, momentum, steps, verdict):
    shown = figure("descent")
    choose(shown, {"learning rate η": rate, "momentum μ": momentum, "steps": steps})
    curvatures = np.array([1.0, 20.0])
    w, velocity = np.array([-9.0, 1.5]), np.zeros(2)
    path = [w]
    for _ in range(steps):
        velocity = momentum * velocity - rate * curvatures * w
        w = w + velocity
        path.append(w)
    losses = (curvatures * np.square(path)).sum(axis=-1) / 2
    valley, loss = shown.locator(".widget-plot").all()
    seen = curve(valley, ".widget-line")
    assert len(seen) == steps + 1
    near = np.abs(path).max(axis=1) < 100  # positions far outside are cut off
    np.testing.assert_allclose(seen[near], np.array(path)[near], rtol=2e-3, atol=0.01)
    expected = np.stack([np.arange(steps + 1), np.log10(losses)], axis=-1)
    powers = curve(loss, ".widget-line")
    np.testing.assert_allclose(powers[:, 0], expected[:, 0], atol=0.02)
    np.testing.assert_allclose(powers[:, 1], expected[:, 1], rtol=2e-3, atol=0.02)
    told, judged = sentences(shown)
    assert numbers(told) == [steps, pytest.approx(losses[-1], rel=0.005), 63]
    assert verdict in judged
    matrices = [[[1 + momentum - rate * c, -momentum], [1, 0]] for c in curvatures]
    largest = abs(np.linalg.eigvals(matrices)).max()
    assert (largest < 1 - 1e-9) == (verdict == "converges")
    assert numbers(judged)[:2] == [20, pytest.approx(20 * rate)]
    if verdict == "converges":
        assert numbers(judged)[-1] == pytest.approx(100 * largest, abs=0.0501)


def uniform(seed: int, count: int) -> np.ndarray:
    """The same random numbers as the figures', all at once."""
    state = np.uint32(seed) + np.uint32(0x6D2B79F5) * np.arange(1, count + 1, dtype=np.uint32)
    mixed = (state ^ (state >> 15)) * (state | 1)
    mixed ^= mixed + (mixed ^ (mixed >> 7)) * (mixed | 61)
    return (mixed ^ (mixed >> 14)) / 2**32


def normal(uniform: np.ndarray) -> np.ndarray:
    """Standard normal numbers from pairs of uniform ones, which lie on the last axis."""
    first, second = np.moveaxis(uniform, -1, 0)
    return np.sqrt(-2 * np.log(1 - first)) * np.cos(2 * np.pi * second)


@pytest.mark.parametrize(
    ("exponent", "momentum", "count", "seed"),
    [(2, 0.99, 200, 1), (0, 0, 10, 20), (1, 0.5, 300, 7), (8, 0.999, 300, 2)],
)
def test_batch_statistics(figure, exponent, momentum, count, seed):
    shown, size = figure("batch-statistics"), 2**exponent
    chosen = [0, 0.5, 0.75, 0.9, 0.99, 0.999].index(momentum)
    settings = {"minibatch size": exponent, "momentum p": chosen}
    choose(shown, settings | {"minibatches": count, "random seed": seed})
    outputs = shown.locator("output").all_inner_texts()
    assert outputs == [str(size), f"{momentum:g}", str(count), str(seed)]
    values = 2 + 2 * normal(uniform(seed, 2 * count * size).reshape(-1, 2))
    deviations = (values.mean() - 2) / (2 / np.sqrt(values.size))
    assert abs(deviations) < 4
    batches = values.reshape(count, size)
    means, variances = batches.mean(axis=1), batches.var(axis=1)
    ends = []
    for svg, (initial, batch) in zip(
        shown.locator(".widget-plot").all(), ((0, means), (1, variances)), strict=True
    ):
        average = [initial]
        for value in batch:
            average.append(momentum * average[-1] + (1 - momentum) * value)
        seen = curve(svg, ".widget-line.is-second")
        np.testing.assert_allclose(seen[:, 0], np.arange(count + 1), atol=0.06)
        np.testing.assert_allclose(seen[:, 1], average, atol=0.02)
        assert svg.locator("circle").count() == count
        ends.append(average[-1])
    first, second, third = map(numbers, sentences(shown))
    close = {"abs": 0.00501}
    mean, variance = (pytest.approx(end, **close) for end in ends)
    assert first == [count, size, mean, 2, variance, 4]
    assert second == [0, 1, pytest.approx(100 * momentum**count, abs=0.0501)]
    assert third[0] == pytest.approx(means.std(), **close)
    assert third[3] == pytest.approx(2 / np.sqrt(size), **close)
    assert third[4] == pytest.approx(variances.mean(), **close)
    assert third[-1] == pytest.approx(4 - 4 / size, **close)


def half_moons(noise: float, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and labels from uniform numbers, shape (n, 5)."""
    labels = np.arange(len(numbers)) % 2
    angle = np.pi * numbers[:, 0]
    points = np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], axis=-1)
    scatter = normal(numbers[:, 1:].reshape(-1, 2, 2))
    return (1 - 2 * labels)[:, None] * points + noise * scatter, labels


class SmallNetwork:
    """The same network as the figure's, trained in NumPy."""

    def __init__(self, noise: float, width: int, dropout: float, seed: int) -> None:
        points, labels = half_moons(noise, uniform(seed, 5 * 140).reshape(140, 5))
        self.sets = [(points[:40], labels[:40]), (points[40:], labels[40:])]
        assert [set(labels) for _, labels in self.sets] == [{0, 1}] * 2
        self.dropout, self.seed, self.width = dropout, seed, width
        sizes = [(2, width), (width, width), (width, 1)]
        numbers = normal(uniform(seed + 100, 2 * sum(a * b for a, b in sizes)).reshape(-1, 2))
        ends = np.cumsum([a * b for a, b in sizes])[:-1]
        parts = zip(np.split(numbers, ends), sizes, strict=True)
        self.weights = [np.sqrt(2 / a) * part.reshape(b, a).T for part, (a, b) in parts]
        self.weights += [np.zeros(b) for _, b in sizes]
        self.parameters = sum(weights.size for weights in self.weights)

    def forward(self, x: np.ndarray, masks=(1, 1)) -> list[np.ndarray]:
        first, second, last, *biases = self.weights
        hidden = np.maximum(x @ first + biases[0], 0) * masks[0]
        deeper = np.maximum(hidden @ second + biases[1], 0) * masks[1]
        return [x, hidden, deeper, deeper @ last + biases[2]]

    def train(self, steps: int) -> np.ndarray:
        """Return the losses, shape (steps + 1, 2)."""
        shape = (steps, 40, 2, self.width)
        drawn = uniform(self.seed + 200, np.prod(shape)).reshape(shape)
        keep = (drawn >= self.dropout) / (1 - self.dropout) if self.dropout else np.ones(shape)
        velocities = [0 * weights for weights in self.weights]
        losses = [self.losses()]
        (x, labels), _ = self.sets
        for masks in np.moveaxis(keep, 2, 1):
            values = self.forward(x, masks)
            error = (1 / (1 + np.exp(-values[-1])) - labels[:, None]) / len(x)
            gradients = [None] * 6
            for depth in (2, 1, 0):
                gradients[depth] = values[depth].T @ error
                gradients[depth + 3] = error.sum(axis=0)
                if depth:
                    error = error @ self.weights[depth].T * (values[depth] > 0) * masks[depth - 1]
            velocities = [0.9 * v - 0.1 * g for v, g in zip(velocities, gradients, strict=True)]
            self.weights = [w + v for w, v in zip(self.weights, velocities, strict=True)]
            losses.append(self.losses())
        return np.array(losses)

    def losses(self) -> list[float]:
        return [np.mean(np.logaddexp(0, (1 - 2 * y) * self.logits(x))) for x, y in self.sets]

    def logits(self, x: np.ndarray) -> np.ndarray:
        return self.forward(x)[-1][:, 0]


@pytest.mark.parametrize(
    ("noise", "exponent", "dropout", "seed", "steps", "verdict"),
    [
        (0.35, 4, 0, 2, 300, "the network overfits"),
        (0.35, 4, 0.3, 2, 200, "the network overfits"),
        (0.35, 4, 0.3, 2, 8, "never been lower"),
        (0, 0, 0, 1, 0, "never been lower"),
        (0.5, 2, 0.7, 20, 500, ""),
        (0.1, 3, 0, 5, 1, ""),
    ],
)
def test_small_network(figure, noise, exponent, dropout, seed, steps, verdict):
    shown = figure("small-network")
    settings = {"noise": noise, "units per layer": exponent, "dropout rate": dropout}
    choose(shown, settings | {"random seed": seed, "steps": steps})
    network = SmallNetwork(noise, 2**exponent, dropout, seed)
    losses = network.train(steps)
    plane, curves = shown.locator(".widget-plot").all()
    for i, kind in enumerate(("is-first", "is-second")):
        seen = curve(curves, f".widget-line.{kind}")
        expected = np.stack([np.arange(steps + 1), losses[:, i]], axis=-1)
        assert len(seen) == steps + 1
        np.testing.assert_allclose(seen, expected, atol=0.16)
        np.testing.assert_allclose(seen[:, 1], expected[:, 1], atol=0.002, rtol=0.002)
    told, judged, size = sentences(shown)
    right = [int(((network.logits(x) > 0) == y).sum()) for x, y in network.sets]
    last = [pytest.approx(loss, abs=5.01e-4) for loss in losses[-1]]
    assert numbers(told) == [steps, right[0], 40, right[1], 100, *last]
    assert numbers(size) == [2**exponent, network.parameters, 40]
    assert verdict in judged
    best = losses[:, 1].argmin()
    rise = losses[-1, 1] - losses[best, 1]
    change = losses[-1, 0] - losses[best, 0]
    if best == steps:
        assert "never been lower" in judged
    elif rise < 0.01:
        assert numbers(judged) == [0.01, pytest.approx(losses[best, 1], abs=5.01e-4), best]
    else:
        expected = [losses[best, 1], rise, abs(change)]
        assert numbers(judged) == [best, *(pytest.approx(e, abs=5.01e-4) for e in expected)]
        assert ("fallen" in judged) == ("overfits" in judged) == (change < 0)
    squares = plane.locator("rect").evaluate_all(
        "all => all.map(e => [e.getAttribute('class'), Number(e.getAttribute('opacity'))])"
    )
    x = 4.8 * (np.arange(24) + 0.5) / 24 - 2.4
    y = 1.8 - 3.6 * (np.arange(18) + 0.5) / 18
    middles = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    p = 1 / (1 + np.exp(-network.logits(middles)))
    signed = [opacity * (1 if kind == "is-second" else -1) for kind, opacity in squares]
    np.testing.assert_allclose(signed, 0.7 * (p - 0.5), atol=0.0051)
    assert plane.locator("circle").count() == 40


def test_more_steps_continue_the_run(figure):
    shown = figure("small-network")
    choose(shown, {"noise": 0.35, "units per layer": 4, "dropout rate": 0.3, "random seed": 1})
    choose(shown, {"steps": 500})
    whole = shown.locator(".widget-line").first.get_attribute("points").split()
    choose(shown, {"steps": 470})  # begins anew
    for steps in (490, 500, 500):
        shown.get_by_role("button", name="20 steps more").click()
        assert numbers(sentences(shown)[0])[0] == steps
    assert shown.locator(".widget-line").first.get_attribute("points").split() == whole


# Predictions on the page


def pick(figure, truth: str, guess: str) -> None:
    figure.get_by_label("true class", exact=True).select_option(truth)
    figure.get_by_label("predicted class", exact=True).select_option(guess)


def test_the_confusion_matrix_counts_all_predictions(figure, judged):
    matrix = figure("confusion").locator("svg").first
    cells = matrix.locator(".is-output text").all_text_contents()
    expected = judged["test"].confusion
    np.testing.assert_array_equal(np.array(cells, int).reshape(10, 10), expected)
    rows = matrix.get_attribute("aria-label").split(". ", 1)[1].split("; ")
    assert [numbers(row) for row in rows] == expected.tolist()


def test_a_cell_of_the_confusion_matrix_shows_its_images(figure, judged, data):
    shown, test = figure("confusion"), judged["test"]
    assert (test.confusion > 8).any()
    assert (test.confusion == 0).any()
    names = test.class_names
    several = np.argwhere((test.confusion > 1) & (test.confusion <= 8))[0]
    many, none = np.argwhere(test.confusion > 8)[-1], np.argwhere(test.confusion == 0)[0]
    off = np.argwhere((test.confusion > 0) & (test.confusion != test.confusion.T))[0]
    for true, guess in (several, many, none, off):
        pick(shown, names[true], names[guess])
        inside = np.flatnonzero((test.y_true == true) & (test.y_pred == guess))
        certain = inside[np.argsort(-test.probabilities[inside, guess], kind="stable")][:8]
        tiles = shown.locator(".widget-images .widget-row > div")
        seen = [numbers(label)[0] for label in tiles.locator("svg").evaluate_all(
            "all => all.map(e => e.getAttribute('aria-label'))")]  # fmt: skip
        assert seen == certain.tolist()
        percents = [numbers(text)[0] for text in tiles.locator("p").all_inner_texts()]
        np.testing.assert_allclose(percents, 100 * test.probabilities[certain, guess], atol=0.11)
        count, row, column = len(inside), test.confusion[true].sum(), test.confusion[:, guess].sum()
        first, second, *third = [numbers(sentence) for sentence in sentences(shown)]
        assert first[:2] == [row, count]
        assert second[:2] == [column, count]
        assert [part[0] for part in third] == [test.confusion[guess, true]] * int(true != guess)
        if count:
            assert first[2] == pytest.approx(100 * count / row, abs=0.0501)
            assert second[2] == pytest.approx(100 * count / column, abs=0.0501)


def test_the_diagonal_is_recall_and_precision(figure, judged):
    shown, test = figure("confusion"), judged["test"]
    name = test.class_names[6]
    pick(shown, name, name)
    recall, precision = sentences(shown)
    assert recall.endswith("the recall of this class.")
    assert precision.endswith("the precision of this class.")
    assert numbers(recall)[-1] == pytest.approx(100 * test.recall[6], abs=0.0501)
    assert numbers(precision)[-1] == pytest.approx(100 * test.precision[6], abs=0.0501)


def test_a_cell_of_the_confusion_matrix_can_be_clicked(figure, judged):
    shown = figure("confusion")
    shown.locator(".is-output").nth(37).click()
    for label, place in (("true class", 3), ("predicted class", 7)):
        assert shown.get_by_label(label, exact=True).input_value() == str(place)


def test_images_on_the_page_are_those_of_the_test_set(judged, data):
    content = predictions_on_page(judged["test"], judged["validation"], data.x_test).content
    images = content["images"]
    file = base64.b64decode(images["picture"].split(",")[1])
    picture = np.asarray(Image.open(io.BytesIO(file)), float)
    for index, place in list(enumerate(images["places"]))[::5]:
        top, left = 32 * (index // 32), 32 * (index % 32)
        differences = abs(picture[top : top + 32, left : left + 32] - data.x_test)
        assert differences.mean(axis=(1, 2, 3)).argmin() == place
    assert len(set(images["places"])) == np.minimum(judged["test"].confusion, 8).sum()
    assert len(json.dumps(content)) < 900_000 * max(1, judged["test"].n / 10_000)


def test_predictions_need_an_image_each(judged, data):
    with pytest.raises(CourseError, match="There are 599 images and 600 predictions"):
        predictions_on_page(judged["test"], judged["validation"], data.x_test[1:])


def expected_calibration(evaluation: Evaluation, temperature: float):
    """Confidence and accuracy of each group, and the numbers that the figure gives."""
    powers = evaluation.probabilities.astype(float) ** (1 / temperature)
    p = powers / powers.sum(axis=1, keepdims=True)
    confidence, is_right = p.max(axis=1), p.argmax(axis=1) == evaluation.y_true
    group = np.minimum((10 * confidence).astype(int), 9)
    points = [(confidence[group == g].mean(), is_right[group == g].mean()) for g in set(group)]
    shares = [(group == g).mean() for g in range(10)]
    there = [share for share in shares if share]
    error = sum(share * abs(a - b) for share, (a, b) in zip(there, points, strict=True))
    loss = -np.log(p[np.arange(len(p)), evaluation.y_true]).mean()
    return points, shares, [confidence.mean(), is_right.mean(), error, loss]


@pytest.mark.parametrize(
    ("images", "temperature"), [("validation", 1), ("test", 0.5), ("test", 3), ("test", 1.35)]
)
def test_calibration(figure, judged, images, temperature):
    shown = figure("calibration")
    choose(shown, {"temperature T": temperature})
    shown.get_by_label("images", exact=True).select_option(images)
    points, shares, (confidence, accuracy, error, loss) = expected_calibration(
        judged[images], temperature
    )
    diagram, histogram = shown.locator(".widget-plot").all()
    seen = curve(diagram, ".widget-line.is-first")
    np.testing.assert_allclose(seen, 100 * np.array(points), atol=2.1)
    heights = [float(bar.get_attribute("height")) for bar in histogram.locator("rect").all()]
    np.testing.assert_allclose(np.array(heights) / sum(heights), shares, atol=0.01)
    first, second, third = sentences(shown)
    percents = [pytest.approx(100 * each, abs=0.15) for each in (confidence, accuracy)]
    excess = confidence - accuracy
    assert numbers(first)[:4] == [temperature, judged[images].n, *percents]
    assert numbers(first)[4] == pytest.approx(100 * abs(excess), abs=0.15)
    chance = 1.96 * np.sqrt(accuracy * (1 - accuracy) / judged[images].n)
    found = "overconfident" if excess > 0 else "underconfident"
    assert (found if abs(excess) > chance else "no more than by chance") in first
    told = [pytest.approx(100 * error, abs=0.7), pytest.approx(loss, abs=0.002)]
    assert numbers(second) == told
    losses = [expected_calibration(judged["validation"], t)[2][-1] for t in np.linspace(0.5, 3, 51)]
    assert numbers(third) == [pytest.approx(0.5 + 0.05 * np.argmin(losses))]


# Readers


def test_a_figure_is_complete_before_it_is_touched(figure, page):
    page.reload()
    for name in NAMES:
        shown = figure(name)
        assert shown.locator("svg[role=img][aria-label]").count() > 0
        assert all(sentences(shown))
        assert shown.locator("output").filter(has_text=re.compile(r"^$")).count() == 0
        assert shown.locator("[role=status]").inner_text() == ""  # nothing is read aloud unasked
        assert len(shown.locator("figcaption").inner_text()) > 100


def test_figures_work_by_keyboard(figure, page):
    shown = figure("convolution-stepper")
    kernel = shown.get_by_label("kernel size", exact=True)
    kernel.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert kernel.get_attribute("aria-valuetext") == "4"
    assert kernel.evaluate("input => input === document.activeElement")
    for label in ("stride", "padding", "input channels", "filters", "step"):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.ariaLabel")
        assert focused == label
    page.keyboard.press("End")  # of a range that the kernel has made shorter
    assert sentences(shown)[0].startswith("Step 9 of 9")
    page.keyboard.press("Tab")
    for step in (1, 2):
        page.keyboard.press("Enter")
        assert sentences(shown)[0].startswith(f"Step {step} of 9")
    assert page.evaluate("document.getAnimations().length") == 0
    assert page.evaluate(UNSEEN) == []


def test_a_square_of_the_output_can_be_clicked(figure):
    shown = figure("convolution-stepper")
    choose(shown, {"kernel size": 3, "stride": 1, "padding": 0})
    shown.locator(".is-output").nth(6).click()
    assert sentences(shown)[0].startswith("Step 7 of 16")
    shown.get_by_label("kernel size", exact=True).fill("5")  # only 4 steps are left
    assert sentences(shown)[0].startswith("Step 4 of 4")


def test_the_result_is_read_aloud_once_the_reader_pauses(figure, page):
    page.reload()
    shown = figure("descent")
    status = shown.locator("[role=status]")
    choose(shown, {"steps": 10})
    assert status.inner_text() == ""
    page.wait_for_function("document.querySelector('.descent [role=status]').textContent")
    assert status.inner_text() == sentences(shown)[0]


def widest(figure) -> None:
    """Give every figure as much to show as it can."""
    largest = {"kernel size": 1, "padding": 2, "input channels": 3, "filters": 64, "step": 100}
    choose(figure("convolution-stepper"), largest)


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_nothing_is_wider_than_the_screen(figure, page, width):
    page.set_viewport_size({"width": width, "height": 800})
    for change in (lambda _: None, widest):
        change(figure)
        assert page.evaluate(TOO_WIDE) == [0, []]
        assert page.evaluate(CROWDED) == []


def contrast(one: str, other: str) -> float:
    """The contrast of two CSS colours, from 1 to 21."""
    parts = np.array([re.findall(r"\d+", colour)[:3] for colour in (one, other)], float) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    dark, light = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_can_be_seen(figure, page, theme):
    choose(figure("convolution-stepper"), {"padding": 2, "input channels": 3})
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    colours = page.evaluate(COLOURS)
    assert len({selector for selector, *_ in colours}) == 8
    assert [c for c in colours if contrast(c[1], c[2]) < c[3]] == []


def test_on_paper_the_figures_stand_still(figure, page):
    page.emulate_media(media="print")
    for name in NAMES:
        shown = figure(name)
        assert shown.locator("svg[role=img]").first.is_visible()
        assert shown.locator("output, select").first.is_visible()
        assert not shown.get_by_role("slider").first.is_visible()
    page.emulate_media(media="screen")


def test_without_scripts_the_caption_says_what_a_figure_shows(browser, html):
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto((html / "index.html").as_uri())
    for name, part in directives().items():
        caption = DIRECTIVE.fullmatch(part)[2].replace("'", "’")
        assert opened.locator(f"figure.widget.{name}").inner_text().strip() == caption
    context.close()
