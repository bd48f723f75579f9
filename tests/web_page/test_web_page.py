"""Networks in a real browser: the same numbers as in Keras, and all that a reader can do."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import zipfile

import keras
import nbformat
import numpy as np
import pytest
from browsers import ARGUMENTS, CHROMIUM
from keras import layers
from PIL import Image

from course_utils import load_cifar10, network_page
from course_utils.data import Dataset
from course_utils.errors import NetworkPageError, SubmissionError
from course_utils.paths import CHECKOUT
from course_utils.web_page.export import EXPORTERS, export_network
from course_utils.web_page.file import page_of_file
from course_utils.web_page.fragment import data_of, fragment

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install -r requirements.txt"
)
pytestmark = [pytest.mark.browser, pytest.mark.train]

TEST_IMAGES = 1_000
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
# Maps of all layers, and the probabilities of many images.
PREDICT = """([exported, images, count]) => {
    const network = CourseNetwork.load(exported);
    const pixels = CourseNetwork.bytesOf(images);
    const size = pixels.length / count;
    const times = [], answers = [];
    for (let n = 0; n < count; n++) {
        const started = performance.now();
        const maps = CourseNetwork.predict(network, pixels.subarray(n * size, (n + 1) * size));
        times.push(performance.now() - started);
        answers.push(count > 1 ? [...maps.at(-1).values] : maps.map(each => [...each.values]));
    }
    return { answers, median: times.sort((a, b) => a - b)[count >> 1] };
}"""
BARS = "all => all.map(line => parseFloat(line.querySelector('.percent').textContent) / 100)"


def of_the_chapter() -> keras.Model:
    """The network of chapter 5, from its cell, with new weights."""
    notebook = nbformat.read(CHECKOUT / "book/05_convolution.ipynb", as_version=4)
    (cell,) = (cell for cell in notebook.cells if cell.id == "model")
    names = {"keras": keras, "layers": layers, "seed": 1}
    exec(cell.source, names)
    return names["model"]


def with_the_other_layers() -> keras.Model:
    """A network with the layers and settings that the chapter's network lacks."""
    return keras.Sequential(
        [
            keras.Input((32, 32, 3), dtype="uint8"),
            layers.RandomFlip("horizontal"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.8),
            layers.ReLU(),
            layers.SpatialDropout2D(0.1),
            layers.AveragePooling2D(3, strides=2, padding="same"),
            keras.Sequential([layers.Conv2D(12, (2, 3), activation="elu"), layers.LeakyReLU()]),
            layers.MaxPooling2D(2, padding="same"),
            layers.Dense(16, activation="tanh"),  # on maps: the same for each position
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
            layers.Dense(10),  # logits
        ]
    )


@pytest.fixture(scope="module")
def data() -> Dataset:
    """A thousand test images: real ones, if they are available."""
    return load_cifar10(limit=5 * TEST_IMAGES)


@pytest.fixture(scope="module", params=["chapter", "other layers"])
def network(request, data) -> keras.Model:
    """A network after a short training."""
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(0)
    model = of_the_chapter() if request.param == "chapter" else with_the_other_layers()
    logits = request.param != "chapter"
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    model.compile(keras.optimizers.Adam(2e-3), loss)
    model.fit(data.x_train[:2_000], data.y_train[:2_000], batch_size=50, epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium with a camera that shows a test picture."""
    with playwright.sync_playwright() as session:
        chromium = session.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS + CAMERA)
        yield chromium
        chromium.close()


class Visit:
    """A page opened from disk, with what it asked for and complained about."""

    def __init__(self, browser, path, width=1280, **settings) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        self.page = self.context.new_page()
        self.requests, self.errors = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda line: self.errors.append(line.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(path.as_uri())

    def close(self) -> None:
        """Close the page; it must have loaded nothing else, and said nothing."""
        assert [url for url in self.requests if url != self.page.url] == []
        assert self.errors == []
        self.context.close()

    def bars(self) -> list[float]:
        """The probabilities on the page, once the browser has drawn them."""
        self.page.evaluate("() => new Promise(requestAnimationFrame)")
        return self.page.eval_on_selector_all(".answer li", BARS)


@pytest.fixture(scope="module")
def chapter(data) -> keras.Model:
    """The chapter's network with new weights, for all that does not depend on them."""
    keras.config.set_dtype_policy("float32")
    return of_the_chapter()


@pytest.fixture(scope="module")
def saved(chapter, data, tmp_path_factory):
    """Its page as a file."""
    return network_page(chapter, data, "A <b> & c").save(tmp_path_factory.mktemp("p") / "p.html")


@pytest.fixture
def visit(browser, saved):
    """The page, opened on a wide screen."""
    opened = Visit(browser, saved)
    yield opened
    opened.close()


def encoded(images: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(images)).decode()


def probabilities(model: keras.Model, images: np.ndarray) -> np.ndarray:
    predicted = model.predict(images, batch_size=500, verbose=0)
    is_probability = model.layers[-1].activation is keras.activations.softmax
    return predicted if is_probability else keras.ops.convert_to_numpy(keras.ops.softmax(predicted))


# The numbers


def test_a_thousand_images_get_the_answer_of_keras(network, data, browser, tmp_path):
    page = network_page(network, data)
    opened = Visit(browser, page.save(tmp_path / "network.html"))
    exported = json.loads(page.data)["network"]
    assert len(json.dumps(exported)) <= 300_000
    seen = opened.page.evaluate(PREDICT, [exported, encoded(data.x_test), TEST_IMAGES])
    ours, theirs = np.array(seen["answers"]), probabilities(network, data.x_test)
    print(f"{seen['median']:.1f} ms per image, largest difference {abs(ours - theirs).max():.1e}")
    assert ours.shape == (TEST_IMAGES, 10)
    assert abs(ours - theirs).max() <= 0.01
    assert (ours.argmax(1) == theirs.argmax(1)).sum() >= 995
    assert len(set(ours.argmax(1))) >= 3  # a network that always says the same proves little
    opened.close()


ONE_LAYER = [
    layers.Conv2D(4, (3, 2), strides=(1, 2), padding="same"),
    layers.Conv2D(4, 4, strides=3, padding="same", activation="sigmoid"),
    layers.Conv2D(4, 2, strides=2, use_bias=False, activation="silu"),
    layers.Dense(5, activation="selu"),
    layers.MaxPooling2D(2),
    layers.MaxPooling2D((3, 2), strides=2, padding="same"),
    layers.AveragePooling2D(3, padding="same"),
    layers.AveragePooling2D(2, strides=1),
    layers.GlobalMaxPooling2D(),
    layers.GlobalAveragePooling2D(keepdims=True),
    layers.BatchNormalization(),
    layers.BatchNormalization(scale=False, center=False),
    layers.Rescaling(2.5, offset=-1),
    layers.Rescaling([1.0, 2.0, 3.0], offset=[0.0, 1.0, -1.0]),
    layers.Flatten(),
    layers.Activation("softplus"),
    layers.Activation("leaky_relu"),
    layers.ReLU(),
    layers.ReLU(negative_slope=0.3),
    layers.LeakyReLU(0.05),
    layers.ELU(0.7),
    layers.Softmax(),
    layers.Dropout(0.5),
    layers.GaussianNoise(1.0),
]


def test_each_layer_computes_what_keras_does(saved, browser):
    opened = Visit(browser, saved)
    random = np.random.default_rng(0)
    image = random.integers(0, 4, (1, 9, 7, 3), dtype="uint8")
    for layer in ONE_LAYER:
        fresh = type(layer).from_config(layer.get_config())
        model = keras.Sequential(
            [
                keras.Input((9, 7, 3)),
                layers.Rescaling(1, offset=-1.5),
                fresh,
                layers.Flatten(),
                layers.Dense(2, activation="softmax"),
            ]
        )
        new = [random.uniform(0.1, 1, weight.shape) for weight in fresh.get_weights()]
        # Numbers that float16 holds, so that only the order of the sums differs.
        fresh.set_weights([each.astype("float16").astype("float32") for each in new])
        theirs = fresh(image.astype("float32") - 1.5)
        maps = opened.page.evaluate(PREDICT, [export_network(model), encoded(image), 1])
        ours = np.array(maps["answers"][0][2])
        np.testing.assert_allclose(
            ours, keras.ops.convert_to_numpy(theirs).ravel(), 1e-4, 1e-5, err_msg=str(layer)
        )
    opened.close()


def test_receptive_fields_are_those_of_the_chapter(saved, browser):
    """The numbers that chapter 5 works out by hand, of values in the upper left corner."""
    opened = Visit(browser, saved)
    fields = opened.page.evaluate("""() => {
        const { network: exported } = JSON.parse(
            document.querySelector('script[type="application/json"]').textContent);
        const network = CourseNetwork.load(exported);
        const maps = CourseNetwork.predict(network, new Uint8Array(3072));
        return network.layers.map((layer, i) =>
            CourseNetwork.receptiveField(network, maps, i + 1, 0, 0))
            .map(box => [box.top, box.left, box.bottom + 1, box.right + 1]);
    }""")
    sizes = [1, 5, 6, 12, 16, 22, 28, 28, 28, 28]
    assert fields == [[0, 0, size, size] for size in sizes]
    opened.close()


# Actions of a reader


def test_an_image_is_picked_and_the_bars_are_those_of_keras(visit, chapter, data):
    page = visit.page
    assert page.title() == page.inner_text("h1") == "A <b> & c"
    radios = page.locator(".choices input")
    assert radios.count() == 60
    radios.nth(0).check(force=True)
    first = data.x_test[np.flatnonzero(data.y_test == 0)[:1]]
    assert visit.bars() == pytest.approx(probabilities(chapter, first)[0], abs=0.003)
    assert data.class_names[0] in page.inner_text(".about-image")
    page.keyboard.press("ArrowRight")
    assert radios.nth(1).is_checked()
    assert data.class_names[1] in page.inner_text(".about-image")


def test_arrow_keys_shift_the_image_and_undo_brings_it_back(visit, chapter, data):
    page = visit.page
    image = data.x_test[np.flatnonzero(data.y_test == 0)[0]]
    page.locator(".choices input").nth(0).check(force=True)
    before = visit.bars()
    page.focus(".stage")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    shifted = np.pad(image, ((1, 0), (2, 0), (0, 0)), mode="edge")[:32, :32]
    assert visit.bars() == pytest.approx(probabilities(chapter, shifted[None])[0], abs=0.003)
    page.get_by_role("button", name="Take away").click()
    assert visit.bars() == before
    page.get_by_role("button", name="Shift the image left").click()
    shifted = np.pad(image, ((0, 0), (0, 1), (0, 0)), mode="edge")[:, 1:]
    assert visit.bars() == pytest.approx(probabilities(chapter, shifted[None])[0], abs=0.003)


def test_a_grey_square_covers_the_image_by_mouse_and_by_keyboard(visit, chapter, data):
    page = visit.page
    image = data.x_test[np.flatnonzero(data.y_test == 0)[0]].copy()
    page.locator(".choices input").nth(0).check(force=True)
    before = visit.bars()
    box = page.locator(".stage canvas").first.bounding_box()
    pixel = box["width"] / 32
    page.mouse.move(box["x"] + 2 * pixel, box["y"] + 2 * pixel)
    page.mouse.down()
    page.mouse.move(box["x"] + 12.5 * pixel, box["y"] + 10.5 * pixel)
    page.mouse.up()
    image[6:14, 8:16] = 128
    assert visit.bars() == pytest.approx(probabilities(chapter, image[None])[0], abs=0.003)
    changes = page.locator(".change").all_inner_texts()
    points = [float(text.replace("−", "-") or 0) for text in changes]
    assert any(points)
    assert points == pytest.approx(100 * (np.array(visit.bars()) - before), abs=0.16)
    page.focus(".stage")
    page.keyboard.press("Shift+ArrowLeft")
    image[6:14, 15] = data.x_test[np.flatnonzero(data.y_test == 0)[0]][6:14, 15]
    image[6:14, 7] = 128
    assert visit.bars() == pytest.approx(probabilities(chapter, image[None])[0], abs=0.003)


def test_the_blind_border_of_the_chapter_is_blind(visit):
    page = visit.page
    before = visit.bars()
    page.get_by_role("button", name="Put a grey square").click()
    page.focus(".stage")
    for _ in range(20):
        page.keyboard.press("Shift+ArrowDown")
    assert visit.bars() == before
    assert set(page.locator(".change").all_inner_texts()) == {""}


def test_an_image_is_drawn_by_mouse_and_by_keyboard(visit, chapter):
    page = visit.page
    page.get_by_role("button", name="Draw an image").click()
    drawn = np.full((32, 32, 3), 255, "uint8")
    assert visit.bars() == pytest.approx(probabilities(chapter, drawn[None])[0], abs=0.003)
    page.get_by_role("button", name="Paint with #000000").click()
    box = page.locator(".stage canvas").first.bounding_box()
    pixel = box["width"] / 32
    page.mouse.click(box["x"] + 5.5 * pixel, box["y"] + 7.5 * pixel)
    page.focus(".stage")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    drawn[6:10, 4:7] = 0
    assert visit.bars() == pytest.approx(probabilities(chapter, drawn[None])[0], abs=0.003)


def test_own_images_are_opened_dropped_and_photographed(visit, chapter, tmp_path):
    page = visit.page
    photo = np.full((64, 128, 3), (200, 30, 60), "uint8")
    photo[:, :32] = photo[:, -32:] = 0  # outside of the middle
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "png")
    middle = np.full((1, 32, 32, 3), (200, 30, 60), "uint8")
    expected = pytest.approx(probabilities(chapter, middle)[0], abs=0.003)
    picture = {"name": "a.png", "mimeType": "image/png", "buffer": file.getvalue()}
    caption = page.locator(".about-image")

    page.set_input_files(".buttons input >> nth=0", picture)
    playwright.expect(caption).to_have_text("Your image.")
    assert visit.bars() == expected

    page.locator(".choices input").nth(3).check(force=True)
    playwright.expect(caption).to_contain_text("Test image")
    dropped = page.evaluate_handle(
        """base64 => {
            const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "a.png", { type: "image/png" }));
            return transfer;
        }""",
        base64.b64encode(file.getvalue()).decode(),
    )
    page.dispatch_event(".stage", "drop", {"dataTransfer": dropped})
    playwright.expect(caption).to_have_text("Your image.")
    assert visit.bars() == expected

    page.set_input_files(".buttons input >> nth=0", picture | {"buffer": b"no image"})
    playwright.expect(caption).to_contain_text("not an image")

    button = page.get_by_role("button", name="Take a photo")
    button.click()
    playwright.expect(button).to_have_text("Take it")
    page.wait_for_function("document.querySelector('video').videoWidth > 0")
    button.click()
    playwright.expect(caption).to_have_text("Your photo.")
    playwright.expect(page.locator("video")).to_be_hidden()


def test_three_clicks_lead_to_one_multiplication(visit, chapter, data):
    page = visit.page
    page.locator(".choices input").nth(0).check(force=True)
    image = data.x_test[np.flatnonzero(data.y_test == 0)[0]] / np.float32(127.5) - 1
    kernel, bias = chapter.layers[1].get_weights()

    overview = page.locator(".layers .mosaic").nth(1)
    overview.click(position={"x": 5, "y": 5})  # two pixels for a value: row 3, column 3
    enlarged = page.locator(".detail .mosaic").first
    enlarged.click(position={"x": 8 * 10 + 4, "y": 8 * 20 + 4})
    assert "map 1, row 21, column 11" in page.inner_text(".detail-title")
    assert "5 × 5 pixels" in page.inner_text(".detail-title")

    window = image[20:25, 10:15]
    value = (window * kernel[..., 0]).sum() + bias[0]
    shown = page.inner_text(".detail-title").split(": ")[1].split(". It")[0].replace("−", "-")
    assert float(shown) == pytest.approx(max(value, 0), abs=0.006)
    assert "The 75 products" in page.inner_text(".sum")
    assert page.locator(".calculation .numbers span").count() == 3 * 75

    products = page.locator(".calculation .mosaic").nth(2)
    side = int(page.locator(".calculation .numbers span").first.evaluate("e => e.offsetWidth"))
    products.click(position={"x": 1.5 * side, "y": 2.5 * side})
    where, calculation = page.inner_text(".product").split(": ")
    assert where == "red, row 3, column 2"
    numbers = [float(part.replace("−", "-")) for part in calculation.replace("=", "×").split("×")]
    x, w = window[2, 1, 0], kernel[2, 1, 0, 0]
    assert numbers == pytest.approx([x, w, x * w], abs=0.001)

    mark = page.locator(".image .field")
    style = mark.evaluate("e => [e.style.top, e.style.left, e.style.width]")
    assert style == [f"{100 * n / 32:g}%" for n in (20, 10, 5)]


def test_every_layer_is_explained_by_keyboard_alone(visit, chapter):
    page = visit.page
    overviews = page.locator(".layers section > .mosaic")
    assert overviews.count() == len(chapter.layers) - 1  # all but Flatten
    for n in range(overviews.count()):
        overviews.nth(n).focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert page.inner_text(".pointed")
        page.keyboard.press("Enter")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        assert page.inner_text(".detail-title").startswith(
            type(chapter.layers[n + (n > 6)]).__name__
        )
        assert page.inner_text(".calculation").strip()
    page.get_by_role("button", name="Close").click()
    assert page.locator(".detail").count() == 0


# The page


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_it_fits_every_screen_in_both_colours(browser, saved, colours):
    grounds = []
    for width in (320, 390, 1280):
        opened = Visit(browser, saved, width, color_scheme=colours)
        opened.page.locator(".layers .mosaic").nth(1).click(position={"x": 5, "y": 5})
        assert opened.page.evaluate("document.documentElement.scrollWidth") == width
        cut_off = """all => all.filter(e => e.clientWidth && !e.closest('pre')
            && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)"""
        assert opened.page.eval_on_selector_all(".network-explorer *", cut_off) == []
        grounds.append(
            opened.page.evaluate(
                """() => ['color', 'backgroundColor'].map(each => {
                    const shade = getComputedStyle(document.body)[each].match(/\\d+/g);
                    return shade.slice(0, 3).reduce((a, b) => a + +b, 0) / 765;
                })"""
            )
        )
        opened.close()
    for ink, ground in grounds:
        assert (ink < 0.3 and ground > 0.7) if colours == "light" else (ink > 0.7 and ground < 0.3)


def test_paper_shows_a_still_picture_and_no_scripts_a_sentence(browser, saved):
    opened = Visit(browser, saved)
    opened.page.emulate_media(media="print")
    assert not opened.page.is_visible(".choices")
    assert not opened.page.is_visible(".program")
    assert opened.page.is_visible(".stage canvas")
    assert opened.page.is_visible(".answer")
    opened.close()
    silent = Visit(browser, saved, java_script_enabled=False)
    assert "81,834 parameters" in silent.page.inner_text(".network-explorer p")
    silent.close()


def test_the_page_may_contact_nobody(browser, saved):
    opened = Visit(browser, saved)
    refused = opened.page.evaluate("""async () => {
        const refused = [];
        addEventListener("securitypolicyviolation",
            (event) => refused.push(event.effectiveDirective));
        await fetch("https://example.org/").catch(() => {});
        new Image().src = "https://example.org/a.png";
        document.body.append(Object.assign(document.createElement("script"), { text: "1" }));
        await new Promise(resolve => setTimeout(resolve, 50));
        return refused.sort();
    }""")
    assert refused == ["connect-src", "img-src", "script-src-elem"]
    opened.context.close()


def test_its_program_is_on_the_page_and_short(visit, saved):
    page = visit.page
    page.locator(".program summary").click()
    program = page.inner_text(".program pre")
    assert program.startswith("// A trained convolutional network in plain JavaScript")
    assert len(program.splitlines()) < 300
    assert saved.stat().st_size < 1_000_000


def test_two_networks_share_a_page(chapter, data, browser, tmp_path):
    """As when a cell is run again in a notebook."""
    part = fragment(network_page(chapter, data).data)
    path = tmp_path / "two.html"
    path.write_text(f"<!DOCTYPE html><meta charset=utf-8>{part}{part}", encoding="utf-8")
    opened = Visit(browser, path)
    opened.page.locator(".choices").nth(1).locator("input").nth(5).check(force=True)
    captions = opened.page.locator(".about-image").all_inner_texts()
    assert captions[0] != captions[1]
    opened.close()


def test_no_text_ends_the_script_around_it():
    exported = {"network": {"parameters": 1}, "source": "</script><script>alert(1)</script>"}
    part = fragment(json.dumps(exported))
    assert json.loads(data_of(part)) == exported
    assert "<script>alert" not in part


# Networks in files


@pytest.mark.process
def test_the_command_writes_one_file(chapter, data, browser, tmp_path):
    file = tmp_path / "<b>a4-q9.keras"
    chapter.save(file)
    command = [sys.executable, "-m", "course_utils.cli", "page", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = tmp_path / "<b>a4-q9.html"
    announcement, _, last = done.stdout.strip().rpartition("\n")
    assert last == f"written {written}"
    assert ("the stand-in" in announcement) == load_cifar10().source.is_stand_in
    opened = Visit(browser, written)
    assert opened.page.inner_text("h1") == "<b>a4-q9"
    opened.page.locator(".choices input").nth(0).check(force=True)
    first = load_cifar10().x_test[np.flatnonzero(load_cifar10().y_test == 0)[:1]]
    assert opened.bars() == pytest.approx(probabilities(chapter, first)[0], abs=0.003)
    opened.close()


def sequence(*inner, shape=(32, 32, 3)) -> keras.Model:
    return keras.Sequential([keras.Input(shape), *inner])


def branched() -> keras.Model:
    image = keras.Input((32, 32, 3))
    flat = layers.Flatten()(image)
    two = layers.Dense(4)(flat), layers.Dense(4)(flat)
    return keras.Model(image, layers.Dense(10)(layers.Concatenate()(two)))


def end() -> list:
    return [layers.Flatten(), layers.Dense(10, activation="softmax")]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: sequence(layers.GroupNormalization(1, name="strange"), *end()), "strange (Group"),
        (lambda: sequence(layers.Conv2D(4, 3, dilation_rate=2, name="wide"), *end()), "wide"),
        (lambda: sequence(layers.Activation("mish", name="odd"), *end()), "odd (mish)"),
        (lambda: sequence(layers.ReLU(max_value=6, name="six"), *end()), "six"),
        (lambda: sequence(*end(), shape=(8, 8, 2)), "2 channels"),
        (lambda: sequence(layers.Dense(10), shape=(12,)), "images of one size"),
        (lambda: sequence(layers.Flatten(), layers.Dense(1)), "a unit for each class"),
        (lambda: sequence(*end(), shape=(8, 8, 3)), "has 10 classes and images of shape"),
        (lambda: sequence(layers.Flatten(), layers.Dense(7)), "into 7 classes"),
        (lambda: sequence(layers.Flatten(), layers.Dense(10, "sigmoid")), "activation sigmoid"),
        (lambda: keras.Sequential([layers.Dense(10)]), "no weights yet"),
        (branched, "follow one another"),
    ],
)
def test_what_the_page_cannot_compute_is_named(make, says, data):
    with pytest.raises(NetworkPageError, match=says.replace("(", r"\(").replace(")", r"\)")):
        network_page(make(), data)


def test_weights_that_are_not_numbers_are_refused(data):
    model = sequence(*end())
    model.layers[-1].set_weights([np.full((3072, 10), np.nan), np.zeros(10)])
    with pytest.raises(NetworkPageError, match="diverged"):
        network_page(model, data)


def test_a_class_derived_from_a_known_one_is_refused(data):
    class Other(layers.Dense):
        def call(self, inputs):
            return -super().call(inputs)

    with pytest.raises(NetworkPageError, match="Other"):
        network_page(sequence(layers.Flatten(), Other(10)), data)
    assert Other not in EXPORTERS


def test_logits_get_a_softmax_and_probabilities_get_none():
    for inner, last in (
        ([*end()], "Dense"),
        ([*end(), layers.Dropout(0.1)], "Dropout"),
        ([layers.Flatten(), layers.Dense(10)], "Softmax"),
        ([layers.Flatten(), layers.Dense(10), layers.BatchNormalization()], "Softmax"),
    ):
        assert export_network(sequence(*inner))["layers"][-1]["type"] == last


def test_a_functional_chain_is_a_sequence(data):
    image = keras.Input((32, 32, 3))
    flat = layers.Flatten()(layers.MaxPooling2D(4)(image))
    chain = keras.Model(image, layers.Dense(10, activation="softmax")(flat))
    kinds = [layer["type"] for layer in export_network(chain)["layers"]]
    assert kinds == ["MaxPooling2D", "Flatten", "Dense"]


def test_files_that_are_no_network_are_refused(chapter, tmp_path):
    whole = tmp_path / "whole.keras"
    chapter.save(whole)
    with pytest.raises(SubmissionError, match=r"^none.keras is missing: .* has no such file\.$"):
        page_of_file(tmp_path / "none.keras")
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(SubmissionError, match="is a folder, perhaps a SavedModel"):
        page_of_file(tmp_path / "folder.keras")
    damaged = tmp_path / "damaged.keras"
    damaged.write_bytes(whole.read_bytes()[:-5_000])
    with pytest.raises(SubmissionError, match="damaged"):
        page_of_file(damaged)
    hostile = tmp_path / "hostile.keras"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(hostile, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                content = content.replace(
                    b'"relu"', b'{"class_name": "function", "config": "os.system"}'
                )
            new.writestr(name, content)
    with pytest.raises(SubmissionError, match="not loaded"):
        page_of_file(hostile)
    other = tmp_path / "other.keras"
    sequence(*end(), shape=(8, 8, 3)).save(other)
    with pytest.raises(NetworkPageError, match="no images"):
        page_of_file(other)
