"""A pool of processes that somebody else has made, and others like it when it is lost."""

import logging
import os
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

_LOG = logging.getLogger(__name__)


@contextmanager
def renewed(executor):
    """An executor that goes on when it loses a process.

    Parameters
    ----------
    executor : concurrent.futures.Executor

    Yields
    ------
    concurrent.futures.Executor
        A `ProcessPoolExecutor` loses all of its processes with one, so that a `RenewedPool` takes its place; all others
        are given as they are.
    """
    if not isinstance(executor, ProcessPoolExecutor):
        yield executor
        return
    with RenewedPool(executor) as pool:
        yield pool


class RenewedPool(Executor):
    """A `ProcessPoolExecutor`, and another one with the same arguments each time that it is lost.

    What was at work then, and what waited, has ended with a `BrokenProcessPool`.

    Parameters
    ----------
    pool : concurrent.futures.ProcessPoolExecutor
        Left to its owner.
    """

    def __init__(self, pool):
        self._given = self._pool = pool
        self._max_workers = pool._max_workers

    def submit(self, function, /, *arguments):
        """Run a function in a process.

        Returns
        -------
        concurrent.futures.Future
        """
        try:
            return self._pool.submit(function, *arguments)
        except BrokenProcessPool:
            _LOG.warning("a pool of processes is lost; another one like it goes on")
        self.shutdown()
        self._pool = self._begun()
        return self._pool.submit(function, *arguments)

    def shutdown(self, wait=True, *, cancel_futures=False):
        """End the processes of the pool that has taken the place of the given one."""
        if self._pool is not self._given:
            self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def _begun(self):
        given = self._given
        pool = ProcessPoolExecutor(
            given._max_workers, given._mp_context, given._initializer, given._initargs,
            max_tasks_per_child=given._max_tasks_per_child,
        )  # fmt: skip
        try:
            pool.submit(os.getpid).result()
        except (BrokenProcessPool, OSError) as error:
            pool.shutdown()
            raise BrokenExecutor("a process cannot be started") from error
        return pool
