"""The machine under the course: backend, device, precision, threads, seed.

`setup` comes first in every program: Keras reads its backend once, when it is imported,
and TensorFlow its threads once, at its first operation.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from course_utils import env
from course_utils.errors import CacheError, RuntimeSetupError
from course_utils.files import storing
from course_utils.paths import absolute

BACKENDS = ("tensorflow", "jax", "torch")
PRECISIONS = ("auto", "float32", "mixed_bfloat16")
# The version of a package that is not installed.
NOT_INSTALLED = "not installed"


@dataclass(frozen=True)
class Runtime:
    """What a run stood on.

    Attributes
    ----------
    backend : str
        Keras' backend: ``"tensorflow"``, ``"jax"`` or ``"torch"``.
    device : str
        The name of the GPU, or ``"CPU"`` with the processor's name.
    precision : str
        Keras' dtype policy, ``"float32"`` or ``"mixed_bfloat16"``.
    threads : int
        CPU threads that the backend may use.
    seed : int
        The seed given to Python, NumPy and the backend.
    """

    backend: str
    device: str
    precision: str
    threads: int
    seed: int

    def __str__(self) -> str:
        return (
            f"Keras on {self.backend}, {self.device}, {self.threads} threads, "
            f"{self.precision}, seed {self.seed}"
        )


def setup(
    seed: int = 0,
    precision: str = "auto",
    backend: str | None = None,
    threads: int | None = None,
    fused: bool = True,
) -> Runtime:
    """Choose backend, precision, threads and seed, and print one line that says so.

    Parameters
    ----------
    seed : int
        Seed of Python, NumPy and the backend.
    precision : {"auto", "float32", "mixed_bfloat16"}
        ``"auto"`` takes bfloat16 where the device computes it natively: on a GPU, and on
        CPUs with AVX512-BF16 or AMX instructions.
    backend : {"tensorflow", "jax", "torch"}, optional
        Default: ``$KERAS_BACKEND``, or TensorFlow.
    threads : int, optional
        Default: ``$COURSE_THREADS``, or every core this process may run on.
    fused : bool
        Compute batch normalisation and dropout faster, with TensorFlow on a CPU (see
        `course_utils.fused`). Dropout then draws other masks from the same seed. This is the only
        place where the course changes Keras; False leaves Keras as it is.

    Returns
    -------
    Runtime

    Raises
    ------
    RuntimeSetupError
        For an unknown or missing backend, an unknown precision, or a backend other than
        the one that Keras was already imported with.

    Examples
    --------
    >>> from course_utils import setup
    >>> runtime = setup(seed=1)
    Keras on ..., seed 1
    >>> runtime.seed
    1
    """
    if precision not in PRECISIONS:
        raise RuntimeSetupError(
            f"Unknown precision {precision!r}: choose one of {', '.join(PRECISIONS)}."
        )
    backend = import_keras(backend)
    import keras

    threads = threads or int(env.THREADS.number or available_cores())
    _limit_threads(backend, threads)
    keras.utils.set_random_seed(seed)
    gpu = gpu_name()
    if precision == "auto":
        precision = "mixed_bfloat16" if gpu or cpu_has_bfloat16() else "float32"
    keras.config.set_dtype_policy(precision)
    from course_utils.fused import fuse_layers

    fuse_layers(fused and gpu is None)
    runtime = Runtime(backend, device_name(), precision, threads, seed)
    print(runtime)
    return runtime


def chosen_backend() -> str:
    """Return the backend that ``$KERAS_BACKEND`` names, or TensorFlow."""
    return env.BACKEND.value or "tensorflow"


def import_keras(backend: str | None = None) -> str:
    """Import Keras on the wanted backend, in silence, and return the backend's name.

    Raises
    ------
    RuntimeSetupError
        As `setup` does.
    """
    wanted = backend or chosen_backend()
    if wanted not in BACKENDS:
        raise RuntimeSetupError(f"Unknown backend {wanted!r}: choose one of {', '.join(BACKENDS)}.")
    if importlib.util.find_spec(wanted) is None:
        raise RuntimeSetupError(
            f"The backend {wanted!r} is not installed: run `pip install {wanted}`, "
            "or choose another one with the environment variable KERAS_BACKEND."
        )
    if "keras" not in sys.modules:
        os.environ[env.BACKEND.name] = wanted
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # TensorFlow leaves oneDNN to CPUs with AVX512; others train nearly twice as fast with it.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
        with _silent_stderr():
            import keras
        if wanted == "tensorflow":
            import tensorflow as tf

            # It warns of every second model in a notebook (retracing).
            tf.get_logger().setLevel("ERROR")
    import keras

    if backend is not None and keras.backend.backend() != backend:
        raise RuntimeSetupError(
            f"Keras already runs on {keras.backend.backend()}: restart the program (or the "
            f"notebook's kernel) to change the backend to {backend}."
        )
    return keras.backend.backend()


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Send file descriptor 2 to nowhere: TensorFlow's C++ code writes there while it loads."""
    saved = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


def _limit_threads(backend: str, threads: int) -> None:
    if backend == "tensorflow":
        import tensorflow as tf

        # TensorFlow refuses a change after its first operation; then the first choice holds.
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
    elif backend == "torch":
        import torch

        torch.set_num_threads(threads)


def available_cores() -> int:
    """Return how many cores this process may use, also in a container with a share of them."""
    from dask.system import cpu_count

    return cpu_count()


def cpu_name() -> str:
    """Return the processor's name, as the system gives it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def cpu_has_bfloat16() -> bool:
    """Tell whether the CPU multiplies bfloat16 natively."""
    return bool(bfloat16_unit())


def bfloat16_unit() -> str:
    """Return what multiplies bfloat16 in this CPU: ``"AMX"``, ``"AVX512"``, or nothing."""
    flags = _cpuinfo("flags").split()
    units = {"amx_bf16": "AMX", "avx512_bf16": "AVX512"}
    return next((unit for flag, unit in units.items() if flag in flags), "")


def _cpuinfo(field: str) -> str:
    """Return the first value of a field of Linux' ``/proc/cpuinfo``, or an empty string."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == field:
                return value.strip()
    return ""


def gpu_name() -> str | None:
    """Return the name of the first GPU that the backend sees, or None."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
        return details.get("device_name", "GPU") if gpus else None
    if keras.backend.backend() == "jax":
        import jax

        device = jax.devices()[0]
        return device.device_kind if device.platform in ("gpu", "cuda", "rocm") else None
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def device_name() -> str:
    """Return the name of the GPU, or ``"CPU"`` with the processor's name."""
    return gpu_name() or f"CPU ({cpu_name()})"


def jit_compile() -> bool | str:
    """Return Keras' ``jit_compile`` setting for this device.

    TensorFlow's XLA compiler makes these networks 2 to 2.5 times slower on a CPU, so it
    is used on a GPU only.
    """
    import keras

    if keras.backend.backend() == "tensorflow" and gpu_name() is None:
        return False
    return "auto"


def versions() -> dict[str, str]:
    """Return the versions that a result depends on: Python, the course and its libraries.

    Examples
    --------
    >>> from course_utils import versions
    >>> versions()
    {'python': '3...', 'keras': '...', ...}
    """
    packages = ("keras", chosen_backend(), "numpy", "course_utils")
    return {"python": platform.python_version()} | {
        package: package_version(package) for package in packages
    }


@functools.cache
def package_version(package: str) -> str:
    """Return the version of an installed package, or `NOT_INSTALLED`."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return NOT_INSTALLED


def start_folder() -> Path:
    """Return the folder from which data are looked for: ``$COURSE_START``, or this one.

    While a submission is graded it is the grader's: what was handed in holds no data.
    """
    return (env.START.path or Path.cwd()).resolve()


def keras_home() -> Path:
    """Return the folder in which Keras keeps what it has downloaded."""
    return env.KERAS_HOME.path or absolute(Path.home() / ".keras")


def cache_dir() -> Path:
    """Return the folder for decoded data and saved trainings.

    ``$COURSE_CACHE``, or the user's cache folder.

    Raises
    ------
    CacheError
        If the variable is not set, and the user has no home.
    """
    import platformdirs

    try:
        return env.CACHE.path or absolute(platformdirs.user_cache_path("course_utils"))
    except RuntimeError as error:
        raise CacheError(
            f"Set {env.CACHE.name} to a folder in which you may write: you have no home folder, "
            "in which the cache would be."
        ) from error


def require_cache() -> None:
    """Try to write into the cache folder.

    Raises
    ------
    CacheError
        If that is not possible.
    """
    folder = cache_dir()
    with storing("What all submissions need", folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
