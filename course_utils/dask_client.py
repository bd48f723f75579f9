"""Connecting to a Dask scheduler."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from distributed import Client
from distributed.comm import connect

from course_utils.errors import RunError

SECONDS_TO_CONNECT = 5


@contextlib.contextmanager
def connected(scheduler: str) -> Iterator[Client]:
    """Yield a client of a scheduler that has workers.

    Parameters
    ----------
    scheduler : str
        The scheduler's address, such as ``"tcp://host:8786"``.

    Yields
    ------
    distributed.Client

    Raises
    ------
    RunError
        If the scheduler cannot be reached, or has no workers.
    """
    # Log messages with tracebacks are suppressed, since the exceptions below say the same.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        # A failing `Client` can take long to give up, and prints errors afterwards.
        asyncio.run(_try_to_connect(scheduler))
        client = Client(scheduler, timeout=SECONDS_TO_CONNECT)
    except (OSError, ValueError) as error:
        raise RunError(
            f"No Dask scheduler answers at {scheduler}: start one there with `dask scheduler`, or "
            "check --scheduler, which looks like tcp://host:8786."
        ) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise RunError(
                f"The scheduler at {scheduler} has no workers: start one with "
                f"`dask worker {scheduler} --nthreads 1` on each machine."
            )
        yield client


async def _try_to_connect(scheduler: str) -> None:
    """Open and close a connection to the scheduler, within a few seconds."""
    # Dask's own timeout does not cover a server that accepts connections but never answers.
    async with asyncio.timeout(SECONDS_TO_CONNECT):
        (await connect(scheduler, timeout=SECONDS_TO_CONNECT)).abort()
