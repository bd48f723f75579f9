"""One training step: with Keras's own layers, with ours, its convolutions alone, and in `fit`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from benchmarks.tables import Table
from course_utils import load_cifar10, setup, zoo
from course_utils.checkpoint import Logs
from course_utils.data import Dataset
from course_utils.runtime import cpu_has_bfloat16
from course_utils.training import Batches, compile_model, pipeline
from course_utils.zoo.blocks import innermost_layers

# Targets for the speed-up over Keras's own layers, on processors with AMX; None means no target.
# The table shows them, but nothing fails if one is missed.
TARGETS = {
    "dl/7": 1.8,
    "hw5/batchnorm": 1.8,
    "proyectos/10": None,
    "proyectos/8": None,
    "hw5/wide": None,
    "fast/final": 1.15,
    "tbmi26/final": None,
}
# Targets for the fraction of a step's time spent in convolutions, and of `fit`'s spent in steps.
LEAST_CONVOLUTIONS, LEAST_FIT = 0.55, 0.93
# Duration of each measurement, and number of rounds; one more round before them is not counted.
SECONDS, ROUNDS = 1.0, 5
FIT_STEPS = 25


def measure() -> Table:
    """Time the alternatives in turn, for every network and in both precisions."""
    data = load_cifar10()
    rows = []
    for precision in ("mixed_bfloat16", "float32") if cpu_has_bfloat16() else ("float32",):
        for name in TARGETS:
            rows.append(_row(name, precision, data))
            print(" | ".join(rows[-1]), flush=True)
    return Table(
        "Training step, medians of rounds in turn",
        ["network", "precision", "Keras' own, ms", "ours, ms", "speed-up", "target (AMX)",
         "convolutions", "target (AMX) ", "fit", "target"],
        rows,
    )  # fmt: skip


def _row(name: str, precision: str, data: Dataset) -> list[str]:
    recipe = zoo.recipe(name)
    batches = Batches(
        data.x_train, data.y_train, recipe.batch_size, recipe.augmentation, steps=FIT_STEPS
    )
    alternatives = {}
    for fused in (False, True):
        setup(precision=precision, fused=fused)
        model = zoo.build(name)
        compile_model(model, recipe, steps=100_000)
        alternatives[f"fused {fused}"] = _repeated(_step(model, batches[0]))
    alternatives["convolutions"] = _repeated(_convolutions(model, recipe.batch_size))
    alternatives["fit"] = lambda: _fit(model, batches)
    seconds = _in_turn(alternatives)
    keras_own, ours, convolutions = (
        seconds[name] for name in ("fused False", "fused True", "convolutions")
    )
    target = TARGETS[name]
    return [
        name,
        precision,
        f"{1e3 * statistics.median(keras_own):.1f}",
        f"{1e3 * statistics.median(ours):.1f}",
        f"{_ratio(keras_own, ours):.2f}",
        "" if target is None else f"{target:.2f}",
        f"{_ratio(convolutions, ours):.0%}",
        f"{LEAST_CONVOLUTIONS:.0%}",
        f"{_ratio(ours, seconds['fit']):.0%}",
        f"{LEAST_FIT:.0%}",
    ]


def _fit(model: keras.Model, batches: Batches) -> float:
    """Return the seconds of one step inside `fit`, without the start and the end of `fit`."""
    clock = _Clock()
    model.fit(pipeline(batches), epochs=1, shuffle=False, verbose=0, callbacks=[clock])
    return clock.seconds_per_step


class _Clock(keras.callbacks.Callback):
    """Measures the mean duration of the steps after the first one."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.ends: dict[int, float] = {}

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self.ends[batch] = time.perf_counter()

    @property
    def seconds_per_step(self) -> float:
        first, last = min(self.ends), max(self.ends)
        return (self.ends[last] - self.ends[first]) / (last - first)


def _ratio(above: list[float], below: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def _step(model: keras.Model, batch: tuple[np.ndarray, np.ndarray]) -> Callable[[], None]:
    """Return a function that makes one update, always on the same batch."""
    import tensorflow as tf

    x, y = map(tf.constant, batch)
    update = tf.function(lambda: model.train_step((x, y)))
    update()  # The first call traces the step, with the layers that are in use now.
    return lambda: update()["loss"].numpy()


def _convolutions(model: keras.Model, batch_size: int) -> Callable[[], None]:
    """Return a function that computes only the convolutions of a step, forward and backward."""
    import tensorflow as tf

    def numbers(shape: tuple[int, ...], dtype: str) -> tf.Variable:
        return tf.Variable(tf.cast(tf.random.normal(shape), dtype))

    found = [layer for layer in innermost_layers(model) if isinstance(layer, layers.Conv2D)]
    arguments = []
    for layer in found:
        dtype, shapes = layer.compute_dtype, (layer.input.shape, layer.output.shape)
        inputs, gradient = (numbers((batch_size, *shape[1:]), dtype) for shape in shapes)
        kernel = numbers(layer.kernel.shape, dtype)
        arguments.append((inputs, kernel, gradient, layer.strides, layer.padding.upper()))

    @tf.function
    def compute() -> list[tf.Tensor]:
        results = []
        for number, (inputs, kernel, gradient, strides, padding) in enumerate(arguments):
            with tf.GradientTape() as tape:
                outputs = tf.nn.conv2d(inputs, kernel, strides, padding)
            # The first layer needs no gradient with respect to the images.
            wanted = [kernel, inputs] if number else [kernel]
            results += [outputs, *tape.gradient(outputs, wanted, output_gradients=gradient)]
        return results

    return lambda: compute()[-1][0].numpy()


def _in_turn(alternatives: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Return the seconds of a step for each alternative; each round times all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for _ in range(ROUNDS + 1):
        for name, run in alternatives.items():
            seconds[name].append(run())
    return {name: times[1:] for name, times in seconds.items()}


def _repeated(run: Callable[[], None]) -> Callable[[], float]:
    """Return a function that repeats `run` for a while and returns the seconds of one run."""

    def measure() -> float:
        runs, start = 0, time.perf_counter()
        while (passed := time.perf_counter() - start) < SECONDS:
            run()
            runs += 1
        return passed / runs

    return measure
