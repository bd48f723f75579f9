# The public names, for `__init__.py` to import on demand and for editors to show.

from . import experiment, transfer, zoo
from .comparison import Difference, compare_designs, compare_networks, only_one_right
from .data import Dataset, load_cifar10, load_mnist
from .data.augmentation import augment
from .errors import CourseError
from .evaluation import Evaluation, evaluate
from .network_drawing import draw_network
from .paths import RECORDS
from .plotting import (
    accuracy_chart,
    confused_pairs,
    confusion_heatmap,
    evaluation_image,
    image_grid,
    learning_curves,
    misclassified,
    reported_and_measured_chart,
    show,
)
from .recipes import Augmentation, EarlyStopping, Recipe
from .records import load_records, summarise
from .reporting import report
from .reproduction import recorded_runs, reported_and_measured
from .runtime import setup, versions
from .thresholds import load_thresholds
from .training import History, train
from .web_page.page import network_page
from .web_page.predictions import predictions_on_page

__all__ = [
    "RECORDS",
    "Augmentation",
    "CourseError",
    "Dataset",
    "Difference",
    "EarlyStopping",
    "Evaluation",
    "History",
    "Recipe",
    "accuracy_chart",
    "augment",
    "compare_designs",
    "compare_networks",
    "confused_pairs",
    "confusion_heatmap",
    "draw_network",
    "evaluate",
    "evaluation_image",
    "experiment",
    "image_grid",
    "learning_curves",
    "load_cifar10",
    "load_mnist",
    "load_records",
    "load_thresholds",
    "misclassified",
    "network_page",
    "only_one_right",
    "predictions_on_page",
    "recorded_runs",
    "report",
    "reported_and_measured",
    "reported_and_measured_chart",
    "setup",
    "show",
    "summarise",
    "train",
    "transfer",
    "versions",
    "zoo",
]
