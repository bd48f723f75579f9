"""One run: a design, trained by a recipe on data with a seed, and its record."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import NamedTuple

import keras

from course_utils import zoo
from course_utils.checkpoint import States
from course_utils.data import Dataset
from course_utils.evaluation import evaluate
from course_utils.recipes import Recipe
from course_utils.records import RunRecord, make_record
from course_utils.runtime import Runtime, setup
from course_utils.training import History, train
from course_utils.transfer.features import feature_data
from course_utils.zoo.design import Design


def run(
    name: str,
    data: Dataset,
    *,
    runtime: Runtime | None = None,
    seed: int = 0,
    epochs: int | None = None,
    recipe: Recipe | None = None,
    verbose: bool = True,
    states: States | None = None,
) -> RunRecord:
    """Build a network of the zoo, train it, test it, and return the record.

    Parameters
    ----------
    name : str
        The network's name in the zoo.
    data : Dataset
    runtime : Runtime, optional
        What `setup` returned; default: set up with `seed`.
    seed : int
        Of the weights, the order of the images, dropout and augmentation.
    epochs : int, optional
        Default: as many as the recipe says.
    recipe : Recipe, optional
        Default: the design's own.
    verbose : bool
        Print a line per epoch.
    states : States, optional
        Where the state of the training is saved after each epoch, so that the next call continues
        from there.

    Raises
    ------
    RunError
        If another process trains the same network there, or the state is of another training.
    """
    runtime = runtime or setup(seed)
    design = zoo.design(name)
    recipe = recipe or design.recipe
    recipe = recipe if epochs is None else recipe.replace(epochs=epochs)
    previous = None
    if design.starts_from:
        first = zoo.design(design.starts_from)
        its_recipe = first.recipe if epochs is None else first.recipe.replace(epochs=epochs)
        previous = _fitted(first, its_recipe, data, seed, verbose, states, patience=-1).model
    fitted = _fitted(design, recipe, data, seed, verbose, states, previous)
    seen = fitted.data
    tested = evaluate(fitted.trained, seen.x_test, seen.y_test, seen.class_names)
    return make_record(name, recipe, seed, seen, runtime, fitted.model, fitted.history, tested)


class _Fitted(NamedTuple):
    """A network, its part that was trained, the data as that part saw them, and its training."""

    model: keras.Model
    trained: keras.Model
    data: Dataset
    history: History


def _fitted(
    design: Design,
    recipe: Recipe,
    data: Dataset,
    seed: int,
    verbose: bool,
    states: States | None,
    previous: keras.Model | None = None,
    patience: float = 2.0,
) -> _Fitted:
    """Build a network, from a trained one where it starts from one, and train it."""
    keras.utils.set_random_seed(seed)
    model = design.build(previous) if previous else design.build()
    seen, trained = _prepared(design, recipe, data, model)
    opened = (
        contextlib.nullcontext() if states is None else states.open(design.name, seed, patience)
    )
    with opened as saved:
        history = train(trained, seen, recipe, seed=seed, verbose=verbose, checkpoint=saved)
    return _Fitted(model, trained, seen, history)


def _prepared(
    design: Design, recipe: Recipe, data: Dataset, model: keras.Model
) -> tuple[Dataset, keras.Model]:
    """Return the data as the recipe splits them, and the part of the model that is trained.

    Where a frozen backbone comes first, the data hold its features: it runs once per image.
    """
    if recipe.validation_split is not None:
        data = data.with_validation_split(recipe.validation_split)
    if design.features is None:
        return data, model
    features = feature_data(data, **asdict(design.features))
    return features, model.layers[-1]
