"""A trained network with images of its test set, as a page: see the package."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from course_utils.data import Dataset
from course_utils.errors import NetworkPageError
from course_utils.files import write_atomically
from course_utils.web_page.export import export_network
from course_utils.web_page.fragment import PAGE_KEY, fragment, sentence, whole_page

# Images on a page; each class has the same number of them.
IMAGES = 60


@dataclass(frozen=True)
class NetworkPage:
    """A trained network that a reader can explore.

    As the last expression of a notebook's cell, it displays itself.

    Attributes
    ----------
    data : str
        The network and the images, as JSON.
    title : str
        The title of the page that `save` writes.
    """

    data: str
    title: str

    def save(self, path: Path | str) -> Path:
        """Write one HTML file that needs no other, and contacts nobody."""
        return write_atomically(Path(path), whole_page(self.data, self.title))

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
        """Return the page's content as IPython displays it."""
        content = {"text/html": fragment(self.data), "text/plain": sentence(self.data)}
        return content, {"text/html": {PAGE_KEY: True}}


def network_page(model: keras.Model, data: Dataset, title: str = "A network") -> NetworkPage:
    """Show what a trained network makes of images, layer by layer, in the browser.

    The reader picks an image, draws one, or opens one; covers a part of it, or shifts it; and sees
    the probabilities, the maps of every layer, and where each value comes from.

    The page computes in float32. Keras in bfloat16 rounds more coarsely, so its probabilities can
    differ from the page's by one or two hundredths.

    Parameters
    ----------
    model : keras.Model
        A sequence of layers, as in `keras.Sequential`: convolutions, batch normalisation, pooling,
        dropout, dense layers, and what belongs to them.
    data : Dataset
        The data set that the network was made for. The page shows 60 of its test images.
    title : str
        The title of the page that `NetworkPage.save` writes.

    Returns
    -------
    NetworkPage

    Raises
    ------
    NetworkPageError
        If the page cannot compute the network, or the network was made for other images.

    Examples
    --------
    >>> from course_utils import load_cifar10, network_page, zoo
    >>> page = network_page(zoo.build("fast/cnn"), load_cifar10(limit=300), "My network")
    >>> page.save("network.html").name
    'network.html'
    """
    network = export_network(model)
    classes = data.class_names
    if model.input_shape[1:] != data.x_test.shape[1:] or model.output_shape[-1] != len(classes):
        raise NetworkPageError(
            f"The network turns images of shape {model.input_shape[1:]} into "
            f"{model.output_shape[-1]} classes, but {data.source.name} has "
            f"{len(classes)} classes and images of shape {data.x_test.shape[1:]}."
        )
    chosen = _some_of_each_class(data.y_test, len(classes))
    content = {
        "network": network,
        "classes": classes,
        "source": data.source.name,
        "labels": data.y_test[chosen].tolist(),
        "images": base64.b64encode(data.x_test[chosen].tobytes()).decode(),
    }
    return NetworkPage(json.dumps(content), title)


def _some_of_each_class(labels: np.ndarray, classes: int) -> list[int]:
    """Return the places of the first images of each class, first one of each, then another."""
    each = max(IMAGES // classes, 1)
    places = [np.flatnonzero(labels == label)[:each].tolist() for label in range(classes)]
    return [group[n] for n in range(each) for group in places if n < len(group)]
