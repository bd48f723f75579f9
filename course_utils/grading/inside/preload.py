"""Importing everything that the programs in a sandbox need, before they are forked."""

from __future__ import annotations

import gc
import importlib

# Imports of the three programs: first their own modules, then what these import late.
MODULES = (
    "course_utils.grading.inside.examiner", "course_utils.grading.inside.predictor",
    "course_utils.grading.inside.kernel", "course_utils.grading.inside.shell",
    "course_utils.transfer",
    "course_utils.submission.responder", "course_utils.submission.check",
    "ipykernel.kernelapp", "ipykernel.debugger", "tornado.platform.asyncio", "zmq.utils.garbage",
    "IPython.core.completerlib", "IPython.core.debugger", "IPython.core.logger",
    "IPython.core.oinspect", "IPython.extensions.storemagic", "sqlite3",
    "matplotlib.backends.backend_agg", "encodings.cp437", "sklearn.linear_model", "seaborn",
)  # fmt: skip


def import_everything() -> None:
    """Import what kernel, predictor and examiner use, without computing with TensorFlow."""
    # An import leaves no garbage, and the search for it takes a fifth of the time.
    gc.disable()
    from course_utils.runtime import import_keras

    backend = import_keras()
    for module in MODULES:
        importlib.import_module(module)
    if backend == "tensorflow":
        _prepare_tensorflow()
    _draw_evaluation()
    # Frozen objects are not searched for garbage again, which would also copy their pages.
    gc.collect()
    gc.freeze()
    gc.enable()


def _prepare_tensorflow() -> None:
    """Do once what TensorFlow otherwise does in every program before its first operation."""
    from tensorflow.python import pywrap_tfe
    from tensorflow.python.eager import context
    from tensorflow.python.framework.kernels import get_registered_kernels_for_op

    class Context(context.Context):
        """TensorFlow's state, with a setting that `tf.config` and the environment do not have.

        By default, TensorFlow wraps each eager operation in a function, and searches all kernels
        for a oneDNN version of it. That doubles the time until a network is loaded.
        """

        def ensure_initialized(self) -> None:
            is_new = self._context_handle is None
            super().ensure_initialized()
            if is_new:
                pywrap_tfe.TFE_ContextSetRunEagerOpAsFunction(self._handle, False)

    context._set_context(Context())
    # TensorFlow sorts all of its kernels when the first one is looked up.
    get_registered_kernels_for_op("NoOp")


def _draw_evaluation() -> None:
    """Draw one evaluation figure: the first figure of a process searches for fonts."""
    import numpy as np

    from course_utils.data import Source
    from course_utils.evaluation import score
    from course_utils.plotting import evaluation_image
    from course_utils.training import History

    curve = [0.0, 1.0]
    evaluation_image(
        History(curve, curve, curve, curve, seconds=0.0),
        score(np.eye(2), np.arange(2), ("a", "b")),
        Source(name="", kind="", location="", fingerprint="", is_stand_in=False),
    )._repr_mimebundle_()
