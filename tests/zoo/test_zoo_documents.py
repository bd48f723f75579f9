"""Every network of the documents: its name, its parameters, its recipe, and that it trains."""

import dataclasses
import math

import keras
import numpy as np
import pytest

from course_utils import experiment, transfer, zoo
from course_utils.errors import DataError, RecipeError
from course_utils.recipes import EarlyStopping, Recipe
from course_utils.runtime import Runtime
from course_utils.zoo.cost import training_images

NAMES = {
    "tbmi26": "fully-connected cnn dropout batchnorm final mnist-200",
    "dl": "1 2 3 4 5 6 7 8 9 10",
    "hw5": "simple large large-100 large-less-dropout wide wide-aug wide-aug-dropout batchnorm",
    "proyectos": "0 1 2 3 4 5 6 7 8 9a 9b 10 11 12 13 14 15 15b 16 17 18",
    "hw3": (
        "base 2-blocks 4-blocks kernel-5 double half quarter valid-padding dropout-0.1 "
        "dropout-0.2 dropout-0.3 l1l2 l1l2-strong transfer-features transfer-finetune "
        "transfer-finetune-dropout-0.3 transfer-finetune-ours"
    ),
}
DOCUMENTED = [f"{document}/{name}" for document, names in NAMES.items() for name in names.split()]

# Numbers of parameters that the documents print, where they are right.
PRINTED = {
    "tbmi26/fully-connected": 12_523_266,
    "tbmi26/cnn": 81_834,
    "dl/1": 92_074,
    "dl/2": 106_538,
    "dl/3": 107_306,
    "dl/5": 150_954,
    "dl/7": 559_978,
    "hw5/simple": 4_210_090,
    "hw5/wide": 1_172_410,
    "hw5/batchnorm": 685_354,
    "proyectos/0": 263_402,
    "proyectos/1": 76_042,
    "proyectos/2": 36_138,
    "proyectos/3": 33_098,
    "proyectos/4": 421_546,
    "proyectos/6": 454_666,
    "proyectos/7": 463_914,
    "proyectos/8": 1_238_506,
    "proyectos/10": 1_242_666,
    "proyectos/11": 1_964_842,
    "proyectos/12": 1_964_970,
    "proyectos/14": 1_967_018,
}

try:
    transfer.find_weights()
    HAS_WEIGHTS = True
except DataError:
    HAS_WEIGHTS = False


@pytest.fixture(scope="module", params=DOCUMENTED)
def built(request):
    """A design and its model."""
    design = zoo.design(request.param)
    if design.features and not HAS_WEIGHTS:
        pytest.skip("needs MobileNet's weights: put them into ./data/weights")
    return design, design.build()


def test_every_network_of_the_documents_has_a_name():
    assert set(zoo.names()) - {name for name in zoo.names() if name.startswith("fast/")} == set(
        DOCUMENTED
    )


def test_the_printed_numbers_of_parameters():
    assert {name: zoo.design(name).parameters for name in PRINTED} == PRINTED


def by_hand(layer, values_in, channels_in):
    """Count a layer's parameters from its sizes alone: all, and those that are averages."""
    if isinstance(layer, keras.layers.Conv2D):
        return (math.prod(layer.kernel_size) * channels_in + layer.use_bias) * layer.filters, 0
    if isinstance(layer, keras.layers.Dense):
        return (values_in + 1) * layer.units, 0
    if isinstance(layer, keras.layers.BatchNormalization):
        return 4 * channels_in, 2 * channels_in
    return 0, 0


def test_parameters_are_what_the_layers_give(built):
    design, model = built
    if not design.features:
        counts = [
            by_hand(layer, math.prod(layer.input.shape[1:]), layer.input.shape[-1])
            for layer in model.layers
        ]
        assert design.parameters == sum(count for count, _ in counts)
        assert design.frozen == sum(averages for _, averages in counts)
    assert model.count_params() == design.parameters
    frozen = sum(math.prod(weight.shape) for weight in model.non_trainable_weights)
    assert frozen == design.frozen


def test_it_takes_bytes_and_returns_probabilities(built):
    _, model = built
    images = np.random.default_rng(0).integers(0, 256, (2, *model.input_shape[1:]), dtype="uint8")
    probabilities = keras.ops.convert_to_numpy(model(images))
    assert probabilities.shape == (2, 10)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.fixture(scope="module")
def few(small_data):
    """So few images that a step or two make an epoch."""
    return small_data.limited(100)


@pytest.fixture(scope="module")
def few_digits():
    from course_utils import load_mnist

    return load_mnist("stand-in", limit=100)


@pytest.fixture(scope="module")
def without_graphs():
    """Run TensorFlow step by step: for a step or two, that is quicker than making a graph."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.train
@pytest.mark.usefixtures("without_graphs")
@pytest.mark.parametrize("name", DOCUMENTED)
def test_it_trains_by_its_own_recipe(name, few, few_digits, tmp_path, monkeypatch):
    design = zoo.design(name)
    if design.features:
        if not HAS_WEIGHTS:
            pytest.skip("needs MobileNet's weights: put them into ./data/weights")
        monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    recipe = design.recipe
    if recipe.steps_per_epoch:
        recipe = recipe.replace(steps_per_epoch=1)
    data = few_digits if design.dataset == "mnist" else few
    machine = Runtime("tensorflow", "CPU", "float32", 1, 0)
    record = experiment.run(name, data, runtime=machine, recipe=recipe, epochs=1, verbose=False)
    assert np.isfinite(record.history["loss"]).all()
    assert record.parameters == design.parameters
    assert len(record.history["val_loss"]) == (recipe.validation_split != 0)
    assert np.sum(record.confusion) == record.test_images
    assert np.trace(record.confusion) == round(record.test_accuracy * record.test_images)


def test_misprints_are_recorded_where_a_document_contradicts_itself():
    misprinted = {name for name in DOCUMENTED if zoo.design(name).misprints}
    assert misprinted >= {"dl/4", "dl/7", "proyectos/8", "proyectos/11", "proyectos/13"}
    assert [str(each) for each in zoo.design("dl/4").misprints] == [
        "The document prints 187,386 parameters; its layers have 107,306.",
        "The document prints 186,922 trainable parameters; its layers have 106,922.",
    ]
    assert "has 16 filters" in zoo.design("proyectos/8").contradiction
    assert "without early stopping" in zoo.design("proyectos/17").contradiction


def test_what_is_right_instead_of_a_misprint_is_what_the_layers_have(built):
    design, model = built
    for misprint in design.misprints:
        if misprint.what == "parameters":
            assert misprint.right == design.parameters
        elif misprint.what == "trainable parameters":
            assert misprint.right == design.parameters - design.frozen
        else:
            assert misprint.right in [layer.count_params() for layer in model.layers]
        assert misprint.printed != misprint.right


def test_reported_results_are_the_last_ones_that_a_document_prints():
    """Against the documents' logs; among them what was misread once."""
    expected = {
        "proyectos/18": {"train_accuracy": 0.9038, "val_loss": 0.2271, "seconds": 19_336.9},
        "hw3/transfer-features": {"test_accuracy": 0.5150, "test_loss": 1.3443},
        "hw3/transfer-finetune": {"test_accuracy": 0.7292, "epoch_seconds": 98},
        "hw5/large-100": {"train_loss": 0.0290, "test_loss": 0.9326},
    }
    for name, results in expected.items():
        assert results.items() <= zoo.design(name).reported.items()
    # 123 of 313 batches of 32
    assert zoo.design("hw3/transfer-finetune").reported_images == 3_936


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if zoo.design(name).reported])
def test_reported_results_are_possible_and_fit_the_recipe(name):
    design = zoo.design(name)
    known = {f"{part}_{kind}" for part in ("train", "val", "test") for kind in ("accuracy", "loss")}
    assert design.reported.keys() <= known | {"steps", "epoch_seconds", "seconds"}
    for key, value in design.reported.items():
        assert 0 < value < (1 if "accuracy" in key else math.inf)
    if steps := design.reported.get("steps"):
        batches = training_images(name) / design.recipe.batch_size
        assert steps in (
            design.recipe.steps_per_epoch or math.ceil(batches),
            math.floor(batches),
        )


def kernels(name):
    return [
        layer
        for layer in zoo.build(name).layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
    ]


def test_regularisers_constraints_and_initialisers_stand_where_the_documents_have_them():
    he, glorot = "HeUniform", "GlorotUniform"
    expected = [he] * 8 + [glorot] * 3
    for name in ("proyectos/14", "proyectos/17"):
        assert [type(k.kernel_initializer).__name__ for k in kernels(name)] == expected
    penalties = [k.kernel_regularizer for k in kernels("proyectos/17")]
    assert [float(p.l2) for p in penalties[:-1]] == pytest.approx([0.001] * 10)
    assert penalties[-1] is None
    strong = [k.kernel_regularizer for k in kernels("hw3/l1l2-strong")]
    assert [float(p.l1) for p in strong[:-1]] == pytest.approx([0.3] * 8)
    assert [float(p.l2) for p in strong[:-1]] == pytest.approx([0.3] * 8)
    limits = [k.kernel_constraint for k in kernels("hw5/simple")]
    assert [limit.max_value for limit in limits[:-1]] == [3] * 3
    assert [k.kernel_constraint is not None for k in kernels("hw5/large")] == [False] * 6 + [
        True,
        True,
        False,
    ]


def test_recipes_that_the_documents_state():
    assert zoo.recipe("dl/10").batch_size == 516
    assert zoo.recipe("dl/9").early_stopping == EarlyStopping(
        monitor="val_loss", patience=5, min_delta=0.01, keep_best=False
    )
    assert zoo.recipe("hw5/large-100").decay == pytest.approx(1e-4)
    assert zoo.recipe("hw5/large").decay == pytest.approx(4e-4)
    tuned = zoo.recipe("hw3/transfer-finetune")
    assert (tuned.batch_size, tuned.epochs, tuned.augmentation) == (32, 60, None)
    assert tuned.early_stopping == EarlyStopping(
        monitor="val_accuracy", patience=5, keep_best=False
    )
    last = zoo.recipe("proyectos/18")
    assert (last.optimizer, last.learning_rate, last.momentum) == ("sgd", 0.001, 0.9)
    assert (last.batch_size, last.steps_per_epoch, last.early_stopping.target) == (400, 100, 0.9)
    assert last.augmentation.rotation == 25


def test_a_network_goes_on_from_the_weights_of_another(few):
    previous = zoo.build("hw5/wide")
    goes_on = zoo.design("hw5/wide-aug").build(previous)
    for one, other in zip(previous.get_weights(), goes_on.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(not HAS_WEIGHTS, reason="needs MobileNet's weights: put them into data/weights")
def test_fine_tuning_goes_on_from_the_trained_head():
    previous = zoo.build("hw3/transfer-features")
    for variant, rate in ("", 0.2), ("-dropout-0.3", 0.3), ("-ours", 0.2):
        tuned = zoo.design(f"hw3/transfer-finetune{variant}").build(previous)
        head = tuned.layers[-1].layers[-1]
        for one, other in zip(previous.layers[-1].get_weights(), head.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
        rates = {layer.rate for layer in head.layers if isinstance(layer, keras.layers.Dropout)}
        assert rates == {rate}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation_split": 1.0}, "validation_split"),
        ({"steps_per_epoch": 0}, "steps_per_epoch"),
        ({"validation_split": 0.0, "early_stopping": EarlyStopping()}, "needs validation images"),
        ({"early_stopping": {"monitor": "either"}}, "no common best epoch"),
        ({"early_stopping": {"target": 1.5}}, "target"),
        ({"augmentation": {"zoom": 1.0}}, "zoom"),
        ({"augmentation": {"rotation": -1.0}}, "rotation"),
    ],
)
def test_a_recipe_refuses_what_cannot_be(changes, message):
    with pytest.raises(RecipeError, match=message):
        Recipe().replace(**changes)


def test_designs_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        zoo.design("dl/1").parameters = 1
