"""One host of the archive: how many requests it gets at once, and when it wants none."""

import threading
import time
from concurrent.futures import Future, wait
from contextlib import contextmanager

from .errors import ArchiveBusy, ArchiveStopped

_SLICE_S = 0.1  # how often a wait looks whether it is cancelled


class Host:
    """What the threads of one client know together about a host.

    Parameters
    ----------
    at_once : int
        Most requests at the same time.
    """

    def __init__(self, at_once):
        self._places = threading.BoundedSemaphore(at_once)
        self._lock = threading.Lock()
        self._closed_until = 0.0
        self._out_since = None

    @contextmanager
    def turn(self, stop):
        """One of the places; waits until there is a free one.

        Parameters
        ----------
        stop : callable
            When it says yes, `ArchiveStopped` is raised.
        """
        with held(self._places, stop):
            yield

    def close_for(self, seconds):
        """Ask for nothing for a while, because the host wants it so."""
        with self._lock:
            self._closed_until = max(self._closed_until, time.monotonic() + seconds)

    def wait_for_opening(self, url, longest_s, stop):
        """Wait until the host may be asked again; a sentence at once if that takes longer than `longest_s`."""
        while (left := self._closed_until - time.monotonic()) > 0:
            if left > longest_s:
                raise ArchiveBusy(f"{url}: the archive is busy and asked to come back in {left:.0f} s.")
            pause(left, stop)
        _check(stop)

    def answered(self):
        """The host can be reached."""
        self._out_since = None

    def missed(self):
        """The host could not be reached."""
        with self._lock:
            if self._out_since is None:
                self._out_since = time.monotonic()

    def patient(self, patience_s):
        """Whether to go on trying a host that cannot be reached: not when that has been so for long."""
        since = self._out_since
        return since is None or time.monotonic() - since < patience_s


@contextmanager
def held(lock, stop):
    """Hold a lock, or one of the places of a semaphore; waits until it is free.

    Parameters
    ----------
    lock : threading.Lock or threading.Semaphore
    stop : callable
        When it says yes meanwhile, `ArchiveStopped` is raised.
    """
    while not lock.acquire(timeout=_SLICE_S):
        _check(stop)
    try:
        yield
    finally:
        lock.release()


def unless_stopped(call, stop):
    """The result of a call that waits for a server, which may be silent for long.

    Parameters
    ----------
    call : callable()
        Made in a thread of its own, which is left to itself when nobody waits for it any more.
    stop : callable
        When it says yes meanwhile, `ArchiveStopped` is raised.

    Returns
    -------
    object
    """
    outcome = Future()

    def work():
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            outcome.set_exception(error)

    threading.Thread(target=work, name="archive request", daemon=True).start()
    while not wait([outcome], timeout=_SLICE_S).done:
        _check(stop)
    return outcome.result()


def pause(seconds, stop):
    """Wait; `ArchiveStopped` when `stop()` says yes meanwhile."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        _check(stop)
        time.sleep(min(_SLICE_S, left))


def _check(stop):
    if stop():
        raise ArchiveStopped("the transfer from the archive was cancelled.")
