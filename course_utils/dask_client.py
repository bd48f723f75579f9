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
    """Give a client of a scheduler that has workers.

    Raises
    ------
    RunError
        If the scheduler cannot be reached, or has no workers.
    """
    # What it would log, with a traceback, is said here in a sentence.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        # A `Client` that fails to connect can take long to give up, and complains afterwards.
        asyncio.run(_knock(scheduler))
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


async def _knock(scheduler: str) -> None:
    # Dask's own timeout does not count the wait for what accepts connections and says nothing.
    async with asyncio.timeout(SECONDS_TO_CONNECT):
        (await connect(scheduler, timeout=SECONDS_TO_CONNECT)).abort()
