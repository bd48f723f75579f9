"""Ten classes of drawn shapes, for use if no real images are available.

A class is one shape filled with one pattern. Place, size, angle, colours, pattern phase,
background, clutter, occlusion, light and noise are drawn anew for every image and say nothing
about the class, so that a network has to learn shapes and textures, as it does on photographs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from course_utils.data.spec import Spec

# Version of the drawings, part of the cached copy's name; raise it when they change.
VERSION = "2"

# Numbers of images; the validation images are among the training images.
TRAIN, VALIDATION, TEST = 10_000, 1_000, 2_000

_SEED = 20_100_607

# Images drawn at a time: their float32 planes fit in a processor's cache.
_CHUNK = 500

SHAPES = ("disc", "square", "triangle", "cross", "star")
PATTERNS = ("striped", "chequered")
CLASS_NAMES = tuple(f"{pattern} {shape}" for shape in SHAPES for pattern in PATTERNS)


@dataclass(frozen=True)
class Style:
    """How hard the images are to tell apart.

    Attributes
    ----------
    shift : float
        Largest distance of a shape from the middle, along each axis; the image reaches from -1
        to 1.
    size : tuple of float
        Smallest and largest radius, in the same unit.
    turn : float
        Largest angle in both directions, in radians.
    drift : float
        Freedom of a pattern on its shape, 0 to 1: with 0 its angle and phase are always the
        same, with 1 they are arbitrary.
    ground, paint : tuple of float
        Darkest and lightest grey level, 0 to 255, of background and shape, for each channel.
    contrast : tuple of float
        Smallest and largest strength of a pattern, 0 to 1.
    clutter : int
        Number of blobs behind the shape.
    occluder : float
        Half the width of the bar in front of the shape; with 0 there is none.
    noise : float
        Standard deviation of the noise, in grey levels.
    """

    shift: float
    size: tuple[float, float]
    turn: float
    drift: float
    ground: tuple[float, float]
    paint: tuple[float, float]
    contrast: tuple[float, float]
    clutter: int
    occluder: float
    noise: float


HARD = Style(0.2, (0.6, 0.85), 0.35, 1.0, (10, 130), (110, 255), (0.6, 1.0), 1, 0.06, 10.0)
EASY = Style(0.12, (0.7, 0.85), 0.15, 0.1, (0, 0), (190, 255), (0.8, 1.0), 0, 0.0, 6.0)


def spec_for(spec: Spec) -> Spec:
    """Return the entry of a data set's stand-in: its classes, sizes and title, without sources."""
    return replace(
        spec,
        title=f"stand-in for {spec.title} (drawn, not photographs)",
        class_names=CLASS_NAMES,
        train=TRAIN,
        test=TEST,
        validation=VALIDATION,
        balanced=True,
        md5={},
        downloads=(),
    )


def draw(
    spec: Spec, style: Style | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw training and test images.

    Parameters
    ----------
    spec : Spec
        An entry whose shape and numbers of images are used, from `spec_for`.
    style : Style, optional
        The difficulty. Default: hard for colour images, easy for grey ones, as CIFAR-10 and
        MNIST are.

    Returns
    -------
    x_train, y_train, x_test, y_test : numpy.ndarray
        Images, uint8, ``(n, *spec.shape)``, and labels, int64, ``(n,)``. All classes have equally
        many images, which are the same in every run.
    """
    style = style or (HARD if spec.shape[2] == 3 else EASY)
    rng = np.random.default_rng(_SEED)
    x_train, y_train = _draw_part(spec.train, spec.shape, style, rng)
    x_test, y_test = _draw_part(spec.test, spec.shape, style, rng)
    return x_train, y_train, x_test, y_test


def _draw_part(
    count: int, shape: tuple[int, int, int], style: Style, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` images and their labels, in a mixed order."""
    labels = rng.permutation(np.arange(count) % len(CLASS_NAMES))
    chunks = np.array_split(labels, max(1, count // _CHUNK))
    return np.concatenate([_draw(chunk, shape, style, rng) for chunk in chunks]), labels


class _Uniform:
    """Random numbers for a chunk of images, float32, one or several for each image."""

    def __init__(self, rng: np.random.Generator, images: int) -> None:
        self._rng = rng
        self._images = images

    def __call__(self, low: float, high: float, *more: int) -> np.ndarray:
        """Return numbers from `low` to `high`, shape ``(images, 1, 1, *more)``."""
        return self._rng.uniform(low, high, (self._images, 1, 1, *more)).astype(np.float32)


def _draw(
    labels: np.ndarray,
    shape: tuple[int, int, int],
    style: Style,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw one image for each label, uint8, ``(n, *shape)``."""
    height, width, channels = shape
    uniform = _Uniform(rng, len(labels))

    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)

    # Coordinates in which the shape is upright, in the middle and has the radius 1.
    angle, size = uniform(-style.turn, style.turn), uniform(*style.size)
    dx, dy = x - uniform(-style.shift, style.shift), y - uniform(-style.shift, style.shift)
    u = (np.cos(angle) * dx + np.sin(angle) * dy) / size
    v = (np.cos(angle) * dy - np.sin(angle) * dx) / size

    inside = _inside(labels // len(PATTERNS), u, v, edge=height * size / 4)
    grain = _pattern(labels % len(PATTERNS), dx, dy, style.drift, uniform)

    ground, paint = uniform(*style.ground, channels), uniform(*style.paint, channels)
    image = ground + uniform(-40, 40, channels) * (x + y)[..., None] * (channels > 1)
    for _ in range(style.clutter):
        image = _over(image, _blob(x, y, uniform), uniform(20, 235, channels))
    contrast = uniform(*style.contrast)
    filled = paint * (1 - 0.5 * contrast * (1 - grain))[..., None]
    alpha = inside[..., None]
    image = image * (1 - alpha) + filled * alpha
    if style.occluder:
        image = _over(image, _bar(x, y, uniform, style.occluder), uniform(20, 235, channels))
    image = image * uniform(0.7, 1.2)[..., None]
    image += rng.standard_normal(image.shape, dtype=np.float32) * style.noise
    return np.clip(image, 0, 255).astype(np.uint8)


def _over(image: np.ndarray, alpha: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Paint one colour over an image where `alpha` is 1."""
    return image + alpha[..., None] * (colour - image)


def _inside(shapes: np.ndarray, u: np.ndarray, v: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """Return 1 inside each image's shape and 0 outside, with a soft edge one pixel wide.

    `shapes` are positions in `SHAPES`; `u` and `v` are coordinates, ``(n, height, width)``.
    """
    r, theta = np.hypot(u, v), np.arctan2(v, u)
    out = np.empty_like(r)
    for number, name in enumerate(SHAPES):
        chosen = shapes == number
        out[chosen] = _LEVELS[name](u[chosen], v[chosen], r[chosen], theta[chosen])
    return np.clip(0.5 + (1 - out) * edge, 0, 1)


def _polygon(corners: int, r: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return the level of a regular polygon: 1 on its edges."""
    step = 2 * np.pi / corners
    return r * np.cos((theta % step) - step / 2) / np.cos(step / 2)


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the level of a cross: 1 on its outline."""
    u, v = np.abs(u), np.abs(v)
    return np.minimum(np.maximum(u / 0.34, v), np.maximum(u, v / 0.34))


def _star(r: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return the level of a star with five tips: 1 on its outline."""
    step = 2 * np.pi / 5
    to_tip = np.abs((theta % step) / step - 0.5) * 2  # 1 at a tip, 0 between two
    return r / (0.42 + 0.68 * to_tip**1.5)


# Functions of the coordinates that are below 1 inside a shape. All shapes cover about the same
# area.
_LEVELS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "disc": lambda u, v, r, theta: r / 0.8,
    "square": lambda u, v, r, theta: _polygon(4, r, theta),
    "triangle": lambda u, v, r, theta: _polygon(3, r, theta) / 1.2,
    "cross": lambda u, v, r, theta: _cross(u, v),
    "star": lambda u, v, r, theta: _star(r, theta),
}


def _pattern(
    patterns: np.ndarray, dx: np.ndarray, dy: np.ndarray, drift: float, uniform: _Uniform
) -> np.ndarray:
    """Return stripes or chequers, 0 to 1, at a random angle.

    `patterns` are positions in `PATTERNS`.
    """
    angle, pitch = uniform(-np.pi * drift, np.pi * drift), uniform(11 - 2 * drift, 11 + 2 * drift)
    a = np.cos(angle) * dx + np.sin(angle) * dy
    b = np.cos(angle) * dy - np.sin(angle) * dx
    waves = np.sin(pitch * a + uniform(-np.pi * drift, np.pi * drift))
    across = np.sin(pitch * b + uniform(-np.pi * drift, np.pi * drift))
    chequered = patterns == PATTERNS.index("chequered")
    waves[chequered] *= across[chequered]
    return np.clip(0.5 + 2 * waves, 0, 1)


def _blob(x: np.ndarray, y: np.ndarray, uniform: _Uniform) -> np.ndarray:
    """Return a soft-edged ellipse somewhere in the image."""
    a = (x - uniform(-1, 1)) / uniform(0.15, 0.5)
    b = (y - uniform(-1, 1)) / uniform(0.15, 0.5)
    return np.clip(3 * (1 - a * a - b * b), 0, 1)


def _bar(x: np.ndarray, y: np.ndarray, uniform: _Uniform, half_width: float) -> np.ndarray:
    """Return a straight bar across the image."""
    angle = uniform(-np.pi, np.pi)
    distance = np.abs(np.cos(angle) * x + np.sin(angle) * y - uniform(-0.5, 0.5))
    return np.clip(0.5 + 16 * (half_width - distance), 0, 1)
