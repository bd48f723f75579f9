"""Image classification with deep networks on CIFAR-10: the course's library.

``__init__.pyi`` lists the public names, which chapters and assignments use. Each is imported when
it is first used, so that importing the package is quick and `setup` can choose Keras' backend.
"""

from typing import Any

import lazy_loader

# Names whose modules do not import Keras.
_WITHOUT_KERAS = {
    "RECORDS",
    "Augmentation",
    "CourseError",
    "Dataset",
    "Difference",
    "EarlyStopping",
    "Recipe",
    "augment",
    "compare_designs",
    "compare_networks",
    "load_cifar10",
    "load_mnist",
    "load_thresholds",
    "only_one_right",
    "report",
    "setup",
    "versions",
}

_import, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name in __all__ and name not in _WITHOUT_KERAS:
        # `import_keras` silences the lines that TensorFlow prints when it is imported.
        from course_utils.runtime import import_keras

        import_keras()
    return _import(name)
