"""MobileNet's weights, its features and its last block."""

import base64
import hashlib
import http.server
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest
import requests
from keras.src.legacy.saving import legacy_h5_format

from course_utils import paths, transfer
from course_utils.errors import CacheError, DataError
from course_utils.transfer.weights import MOBILENET, MOBILENET_V2, WEIGHTS_NAME

try:
    WEIGHTS = transfer.find_weights()
except DataError:
    WEIGHTS = None
needs_weights = pytest.mark.skipif(
    WEIGHTS is None, reason="needs MobileNet's weights: put them into ./data/weights"
)
SMALL = {"size": 32}  # pixels: the maps after block 11 have 2 x 2 positions


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype="uint8")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine that has no weights."""
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cached(folder):
    return sorted(folder.glob("*.npy"))


def test_without_weights_one_sentence_says_what_to_do(nowhere):
    with pytest.raises(DataError, match=r"put .* into data/weights"):
        transfer.find_weights()


def test_without_a_network_the_same_sentence_comes(nowhere, monkeypatch):
    def refuse(*args, **kwargs):
        raise requests.ConnectionError("no network")

    monkeypatch.setenv("COURSE_OFFLINE", "0")
    monkeypatch.setattr(requests, "head", refuse)
    with pytest.raises(DataError, match="connect to the internet"):
        transfer.find_weights()


def test_weights_that_keras_downloaded_earlier_are_used(nowhere):
    downloaded = nowhere / "keras" / "models" / MOBILENET.file_name
    downloaded.parent.mkdir(parents=True)
    downloaded.touch()
    assert transfer.find_weights() == downloaded


@pytest.fixture
def published(nowhere, monkeypatch):
    """A server of MobileNetV2's weights: `body` is what it sends, `announced` its checksum."""

    class Server(http.server.BaseHTTPRequestHandler):
        with h5py.File.in_memory() as file:
            file["weights"] = np.arange(1000.0)
            file.flush()
            body = whole = file.id.get_file_image()
        announced = hashlib.md5(whole)

        def do_HEAD(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.whole)))
            if self.announced:
                md5 = base64.b64encode(self.announced.digest()).decode()
                self.send_header("x-goog-hash", f"crc32c=AAAAAA==,md5={md5}")
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            self.wfile.write(self.body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/{MOBILENET_V2.file_name}"
    monkeypatch.setitem(transfer.CUTS, "out_relu", replace(MOBILENET_V2, url=url))
    monkeypatch.setenv("COURSE_OFFLINE", "0")
    yield Server
    server.shutdown()
    server.server_close()


def downloaded_weights(folder):
    return sorted(path.name for path in folder.rglob("*.h5"))


def test_weights_are_downloaded_once_into_keras_folder(published, nowhere, capfd):
    path = transfer.find_weights("out_relu")
    assert path == nowhere / "keras" / "models" / MOBILENET_V2.file_name
    assert path.read_bytes() == published.whole
    published.body = b""
    assert transfer.find_weights("out_relu") == path
    assert not capfd.readouterr().err


@pytest.mark.parametrize("damage", ["cut", "wrong bytes", "wrong bytes without a checksum"])
def test_a_damaged_download_is_refused_and_not_kept(published, nowhere, damage):
    size = len(published.whole)
    published.body = published.whole[: size // 2] if damage == "cut" else bytes(size)
    if damage.endswith("without a checksum"):
        published.announced = None
    with pytest.raises(DataError, match=r"MobileNetV2's .* was cut or damaged on its way; try"):
        transfer.find_weights("out_relu")
    assert downloaded_weights(nowhere) == []
    published.body = published.whole
    transfer.find_weights("out_relu")
    assert downloaded_weights(nowhere) == [MOBILENET_V2.file_name]


def test_a_folder_that_the_weights_cannot_be_stored_in_is_named(published, nowhere, monkeypatch):
    (nowhere / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(nowhere / "file"))
    with pytest.raises(CacheError, match="KERAS_HOME"):
        transfer.find_weights("out_relu")


@pytest.mark.parametrize("place", ["data/weights", "shared/data/weights", "elsewhere/weights"])
def test_weights_are_found_from_a_folder_further_down(nowhere, monkeypatch, place):
    weights = nowhere / place / WEIGHTS_NAME
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    monkeypatch.setattr(
        "course_utils.transfer.weights.WEIGHTS_SHA256", hashlib.sha256(b"weights").hexdigest()
    )
    if place.startswith("elsewhere"):
        monkeypatch.setenv("COURSE_DATA", str(nowhere / "elsewhere"))
    deep = nowhere / "checkout" / "assignments" / "a6"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert transfer.find_weights().samefile(weights)


def test_weights_are_not_looked_for_in_a_submission(nowhere, monkeypatch):
    """It is the current folder while it is graded; the grader started in COURSE_START."""
    weights = nowhere / "handed-in" / "data" / "weights" / WEIGHTS_NAME
    weights.parent.mkdir(parents=True)
    weights.touch()
    monkeypatch.chdir(nowhere / "handed-in")
    monkeypatch.setenv("COURSE_START", str(nowhere / "grader"))
    with pytest.raises(DataError, match=r"put .* into data/weights"):
        transfer.find_weights()


def test_damaged_weights_are_refused(nowhere):
    weights = nowhere / "data" / "weights" / WEIGHTS_NAME
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"half of it")
    with pytest.raises(DataError, match="checksum"):
        transfer.find_weights()


def test_an_unknown_cut_is_named(images):
    with pytest.raises(DataError, match=r"choose one of conv_pw_1_relu, .* out_relu"):
        transfer.features(images, "conv_pw_13_relu")
    with pytest.raises(DataError, match="no layer after"):
        transfer.tail(transfer.LAST)


@pytest.mark.parametrize("make", [lambda x: x / 255, lambda x: x[..., :1], lambda x: x[:0]])
def test_only_colour_images_of_bytes_have_features(images, make):
    with pytest.raises(DataError, match="uint8"):
        transfer.features(make(images))


@needs_weights
def test_the_backbone_is_frozen_and_scales_inside(images):
    model = transfer.backbone("conv_pw_2_relu", 64)
    assert model.output_shape == (None, 16, 16, 128)
    assert not model.trainable_weights
    scaled = model.get_layer("scaled")
    np.testing.assert_allclose(scaled(np.array([0, 255], "uint8")), [-1, 1], atol=1e-6)
    assert model.predict_on_batch(images).dtype == np.float32


@needs_weights
def test_the_weights_are_those_of_the_file():
    with h5py.File(WEIGHTS) as file:
        group = file.get("model_weights", file)["conv_pw_12"]
        kernels = []
        group.visititems(lambda _, item: kernels.append(item) if hasattr(item, "shape") else None)
        kernel = np.array(kernels[0])
    np.testing.assert_array_equal(transfer.tail().get_layer("conv_pw_12").get_weights()[0], kernel)


@needs_weights
def test_the_precision_of_the_run_is_left_as_it_was():
    before = keras.config.dtype_policy().name
    transfer.backbone(size=32)
    assert keras.config.dtype_policy().name == before


@needs_weights
def test_features_are_computed_once(images, cache, monkeypatch, capsys):
    first = transfer.features(images, **SMALL)
    assert first.shape == (6, 2, 2, 512)
    assert first.dtype == np.float16
    assert "6 images" in capsys.readouterr().out
    monkeypatch.setattr(sys.modules["course_utils.transfer.features"], "backbone", None)
    np.testing.assert_array_equal(transfer.features(images.copy(), **SMALL), first)
    assert capsys.readouterr().out == ""
    assert len(cached(cache)) == 1
    assert not list(cache.glob("*.part"))


@needs_weights
def test_other_settings_and_images_have_their_own_features(images, cache):
    cut = "conv_pw_1_relu"
    transfer.features(images, cut, verbose=False, **SMALL)
    transfer.features(images, cut, pooled=True, **SMALL)
    transfer.features(images, cut, value_range=(0, 1), **SMALL)
    transfer.features(images, cut, size=64)
    transfer.features(images[1:], cut, **SMALL)
    assert len(cached(cache)) == 5


@needs_weights
def test_pooled_features_are_the_means_of_the_maps(images, cache):
    maps = transfer.features(images, **SMALL)
    pooled = transfer.features(images, pooled=True, **SMALL)
    np.testing.assert_allclose(pooled, maps.astype("float32").mean(axis=(1, 2)), atol=5e-3)


@needs_weights
def test_a_damaged_cache_file_is_made_again(images, cache):
    first = np.array(transfer.features(images, **SMALL))
    (path,) = cached(cache)
    os.truncate(path, 100)
    np.testing.assert_array_equal(transfer.features(images, **SMALL), first)


@pytest.mark.process
@needs_weights
def test_of_two_processes_one_computes(cache):
    program = (
        "import numpy as np; from course_utils import transfer; "
        "images = np.ones((3, 32, 32, 3), 'uint8'); "
        "print(transfer.features(images, 'conv_pw_1_relu', size=32).sum())"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("cached." in text for text in printed) == 1
    assert len({text.split()[-1] for text in printed}) == 1


@needs_weights
def test_a_cache_that_cannot_be_written_is_named(images, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "file"))
    with pytest.raises(CacheError, match="COURSE_CACHE"):
        transfer.features(images, **SMALL)


@needs_weights
def test_a_data_set_of_features_keeps_its_labels(small_data, cache):
    data = small_data.limited(20)
    pooled = transfer.feature_data(data, "conv_pw_1_relu", pooled=True, verbose=False, **SMALL)
    assert [getattr(pooled, f"x_{part}").shape for part in ("train", "val", "test")] == [
        (20, 64),
        (4, 64),
        (4, 64),
    ]
    assert pooled.y_test is data.y_test
    assert pooled.source == data.source


@needs_weights
def test_the_tail_continues_where_the_maps_end(images, cache):
    maps = transfer.features(images, **SMALL)
    tail = transfer.tail(size=32)
    bare = keras.Model(tail.input, tail.get_layer("pooled").output)
    whole = transfer.features(images, transfer.LAST, pooled=True, **SMALL)
    np.testing.assert_allclose(bare.predict(maps, verbose=0), whole, atol=0.05)
    np.testing.assert_allclose(tail.predict(maps, verbose=0).sum(axis=1), 1, atol=1e-3)


@pytest.mark.train
@needs_weights
def test_batchnorm_of_the_tail_does_not_change_while_it_trains(images):
    tail = transfer.tail(size=32)
    frozen = [layer for layer in tail.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = [weights.copy() for layer in frozen for weights in layer.get_weights()]
    kernel = tail.get_layer("conv_pw_12").get_weights()[0].copy()
    tail.compile("adam", "sparse_categorical_crossentropy")
    tail.fit(np.ones((8, 2, 2, 512)), np.zeros(8), verbose=0)
    after = [weights for layer in frozen for weights in layer.get_weights()]
    assert len(frozen) == 2
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(kernel, tail.get_layer("conv_pw_12").get_weights()[0])
    assert all(layer.trainable for layer in transfer.tail(size=32, frozen_batchnorm=False).layers)


@needs_weights
def test_the_tail_takes_a_copy_of_a_head(tmp_path):
    head = keras.Sequential([keras.Input((1024,)), keras.layers.Dense(10, activation="softmax")])
    tail = transfer.tail(size=32, head=head)
    before = head.get_weights()[0].copy()
    tail.layers[-1].set_weights([np.zeros((1024, 10)), np.zeros(10)])
    np.testing.assert_array_equal(head.get_weights()[0], before)
    tail.save(tmp_path / "tail.keras")
    again = keras.models.load_model(tmp_path / "tail.keras", compile=False, safe_mode=True)
    assert again.count_params() == tail.count_params()
    assert not again.get_layer("conv_pw_12_bn").trainable


@needs_weights
def test_weights_are_found_in_the_folder_of_the_environment(nowhere, monkeypatch):
    (nowhere / "mine" / "weights").mkdir(parents=True)
    shutil.copy(WEIGHTS, nowhere / "mine" / "weights" / WEIGHTS.name)
    monkeypatch.setenv("COURSE_DATA", str(nowhere / "mine"))
    assert transfer.find_weights() == nowhere / "mine" / "weights" / WEIGHTS.name


def save_as_published(network, path):
    """Write weights in the format of the files that `keras.applications` downloads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)


@pytest.fixture
def second_network(nowhere, images):
    """MobileNetV2 with weights where Keras keeps the files that it downloaded, and its maps."""
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNetV2(
        input_shape=(96, 96, 3), include_top=False, weights=None
    )
    path = nowhere / "keras" / "models" / MOBILENET_V2.file_name
    save_as_published(network, path)
    enlarged = keras.ops.image.resize(images / 127.5 - 1, (96, 96), interpolation="bilinear")
    return network.predict(keras.ops.convert_to_numpy(enlarged), verbose=0)


def test_the_second_network_is_cut_where_its_layers_say(second_network, images, cache, capsys):
    maps = transfer.features(images, "out_relu")
    np.testing.assert_allclose(maps, second_network, atol=5e-3)
    assert "MobileNetV2 up to out_relu: 6 images" in capsys.readouterr().out
    with pytest.raises(DataError, match="no layer after out_relu"):
        transfer.tail("out_relu")


@pytest.mark.parametrize("cut", ["block_12_add", "block_13_project_BN", "block_15_add"])
def test_the_tail_goes_on_through_the_sums_of_a_network(second_network, images, cache, cut):
    tail = transfer.tail(cut)
    bare = keras.Model(tail.input, tail.get_layer("pooled").output)
    pooled = bare.predict(np.asarray(transfer.features(images, cut)), verbose=0)
    np.testing.assert_allclose(pooled, second_network.mean(axis=(1, 2)), atol=5e-3)


@needs_weights
def test_a_head_for_another_network_is_refused():
    head = keras.Sequential([keras.Input((1280,)), keras.layers.Dense(10)])
    with pytest.raises(DataError, match="must take 1,024 features"):
        transfer.tail(size=32, head=head)


@pytest.mark.parametrize("content", ["nothing", "another network"])
def test_weights_that_do_not_fit_are_named(nowhere, content):
    path = nowhere / "keras" / "models" / MOBILENET_V2.file_name
    path.parent.mkdir(parents=True)
    if content == "nothing":
        path.write_bytes(b"")
    else:
        save_as_published(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), path)
    with pytest.raises(DataError, match="does not hold the weights of MobileNetV2: remove it"):
        transfer.backbone("out_relu", 32)


def test_without_weights_the_second_network_asks_for_the_internet(nowhere):
    with pytest.raises(DataError, match=r"MobileNetV2's ImageNet weights .* the internet"):
        transfer.backbone("out_relu")
