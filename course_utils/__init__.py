"""Image classification with deep networks on CIFAR-10: the course's library.

The names below are what chapters and assignments use. Each is imported when it is first
asked for, so that importing the package is quick and `setup` can choose Keras' backend.
"""

import importlib

_HOMES = {
    "setup": "runtime",
    "versions": "runtime",
    "load_cifar10": "data",
    "load_mnist": "data",
    "Dataset": "data",
    "train": "training",
    "History": "training",
    "Recipe": "zoo.recipes",
    "EarlyStopping": "zoo.recipes",
    "Augmentation": "data.augmentation",
    "augment": "data.augmentation",
    "evaluate": "evaluation",
    "Evaluation": "evaluation",
    "evaluation_image": "plotting",
    "image_grid": "plotting",
    "confusion_heatmap": "plotting",
    "confused_pairs": "plotting",
    "misclassified": "plotting",
    "learning_curves": "plotting",
    "accuracy_chart": "plotting",
    "reported_and_measured_chart": "plotting",
    "show": "plotting",
    "load_records": "experiment",
    "summarise": "experiment",
    "recorded_runs": "reproduction",
    "reported_and_measured": "reproduction",
    "report": "reporting",
    "load_thresholds": "thresholds",
    "CourseError": "errors",
}
_MODULES = ("zoo", "experiment", "transfer")
_WITHOUT_KERAS = ("runtime", "data", "data.augmentation", "reporting", "thresholds", "errors")

__all__ = sorted([*_HOMES, *_MODULES])


def __getattr__(name: str):
    if name in _MODULES:
        return _import(name)
    if name in _HOMES:
        return getattr(_import(_HOMES[name]), name)
    raise AttributeError(f"module 'course_utils' has no attribute {name!r}")


def _import(module: str):
    if module not in _WITHOUT_KERAS:
        # Before the module does it: this one keeps TensorFlow's start-up lines to itself.
        importlib.import_module("course_utils.runtime").import_keras()
    return importlib.import_module(f"course_utils.{module}")


def __dir__() -> list[str]:
    return __all__
