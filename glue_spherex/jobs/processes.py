"""Processes on this machine that measure images, and outlive each other."""

import logging
import multiprocessing
import os
import signal
import threading
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from queue import SimpleQueue

from ..photometry.errors import LostProcessError

#: How often a process is started that ends at once, before all are given up.
_TRIES = 3
_LOG = logging.getLogger(__name__)


class Processes(ThreadPoolExecutor):
    """Processes on this machine as an executor: one that ends unexpectedly is replaced.

    Only what it was at is lost, with a `LostProcessError`; a `ProcessPoolExecutor` loses all of its processes then, so
    that each one is a pool of its own here.

    Parameters
    ----------
    workers : int
    """

    def __init__(self, workers):
        super().__init__(workers)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["glue_spherex.photometry.pipeline"])  # imported once for all
        self._idle = SimpleQueue()
        for _ in range(workers):
            self._idle.put(None)  # begins when there is something to do
        self._none_begins = False

    def submit(self, function, /, *arguments):
        """Run a function in one of the processes.

        Returns
        -------
        concurrent.futures.Future
        """
        if self._none_begins:
            raise BrokenExecutor("a process cannot be started")
        return super().submit(self._run, function, arguments)

    def shutdown(self, wait=True, *, cancel_futures=False):
        """End the processes, after what they are at."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        while not self._idle.empty():
            if (process := self._idle.get()) is not None:
                process.shutdown(wait)

    def _run(self, function, arguments):
        process = self._idle.get()
        try:
            process = process or self._begun()
            return process.submit(function, *arguments).result()
        except BrokenProcessPool:
            process.shutdown()
            process = None
            raise LostProcessError("a process ended unexpectedly") from None
        finally:
            self._idle.put(process)

    def _begun(self):
        for _ in range(_TRIES):
            process = ProcessPoolExecutor(1, mp_context=self._context, initializer=_begin_process)
            try:
                process.submit(os.getpid).result()
                return process
            except (BrokenProcessPool, OSError, EOFError) as error:
                _LOG.warning("a process could not be started: %s", error)
                process.shutdown()
        self._none_begins = True
        raise BrokenExecutor("a process cannot be started")


def _begin_process():
    """Leave Ctrl-C to the parent, and end with it even if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=[multiprocessing.parent_process()], daemon=True).start()


def _end_with(parent):
    parent.join()
    os._exit(1)
