"""Disabling functions temporarily, because a student's function must not call them."""

from __future__ import annotations

import contextlib
import pkgutil
from collections.abc import Iterable, Iterator
from typing import Any


@contextlib.contextmanager
def forbidden(names: Iterable[str]) -> Iterator[None]:
    """Make functions raise `RuntimeError` inside the block.

    Parameters
    ----------
    names : iterable of str
        Dotted names, such as ``"keras.Model.count_params"``.
    """
    with contextlib.ExitStack() as restored:
        for name in names:
            owner, _, function = name.rpartition(".")
            holder = pkgutil.resolve_name(owner)
            if function in vars(holder):
                restored.callback(setattr, holder, function, vars(holder)[function])
            else:  # it is inherited
                restored.callback(delattr, holder, function)
            setattr(holder, function, _refuse)
        yield


def _refuse(*arguments: Any, **settings: Any) -> None:
    raise RuntimeError("This function must not call a function that the question forbids.")
