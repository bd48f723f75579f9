"""One run: a network of the zoo, trained by a recipe with a seed, and the record of it."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import keras

from course_utils import zoo
from course_utils.checkpoint import States
from course_utils.data import Dataset, load
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
        The result of `setup`; default: `setup` is called with `seed`.
    seed : int
        Seed of the weights, the order of the images, dropout and augmentation.
    epochs : int, optional
        Default: the recipe's number of epochs.
    recipe : Recipe, optional
        Default: the design's own.
    verbose : bool
        Print a line per epoch.
    states : States, optional
        Where the state of the training is saved after each epoch, so that the next call continues
        from there.

    Returns
    -------
    RunRecord

    Raises
    ------
    UnknownDesignError
        If the zoo has no such network.
    RunError
        If another process is training the same network in `states`, or the saved state belongs to
        another training.

    Examples
    --------
    >>> from course_utils import experiment, load_cifar10
    >>> record = experiment.run("fast/cnn", load_cifar10(limit=50), epochs=1)
    Keras on ...
    epoch  1/1  loss ...  accuracy ...%  validation ...%  ... s
    >>> path = record.save("cnn.json")
    >>> record.train_images, record.test_images
    (50, 10)
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


def run_by_name(
    name: str,
    *,
    runtime: Runtime | None = None,
    seed: int = 0,
    epochs: int | None = None,
    data: str | None = None,
    limit: int | None = None,
    record: Path | None = None,
    resume: bool = False,
    verbose: bool = True,
) -> RunRecord:
    """Load the data set of a network, train and test the network, and write the record.

    Parameters
    ----------
    name, runtime, seed, epochs, verbose
        As for `run`.
    data, limit
        The parameters ``path`` and ``limit`` of `load_cifar10`.
    record : Path, optional
        Where to write the record.
    resume : bool
        Save the state of the training in the cache after each epoch, and continue from there. Once
        the record is written, the state is deleted, unless another network starts from this one.

    Returns
    -------
    RunRecord

    Raises
    ------
    CourseError
        As `run` does, and if the data cannot be loaded.

    Examples
    --------
    >>> from course_utils.experiment import run_by_name
    >>> record = run_by_name("fast/cnn", epochs=1, limit=50, verbose=False)
    Keras on ...
    >>> record.design, record.test_images
    ('fast/cnn', 10)
    """
    runtime = runtime or setup(seed)
    dataset = load(zoo.design(name).dataset, data, limit)
    if verbose:
        print(dataset.source)
    states = States() if resume else None
    made = run(
        name,
        dataset,
        runtime=runtime,
        seed=seed,
        epochs=epochs,
        verbose=verbose,
        states=states,
    )
    if record:
        made.save(record)
        if states and not zoo.successors(name):
            states.discard(name, seed)
    return made


class _Fitted(NamedTuple):
    """A network, the part of it that was trained, that part's data, and its history."""

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
    """Build a network, starting from a trained one if its design says so, and train it."""
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

    If the model starts with a frozen backbone, the returned data contain the backbone's features,
    so that it runs once per image.
    """
    if recipe.validation_split is not None:
        data = data.with_validation_split(recipe.validation_split)
    if design.features is None:
        return data, model
    features = feature_data(data, **asdict(design.features))
    return features, model.layers[-1]
