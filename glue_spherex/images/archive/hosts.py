"""One host of the archive: how many requests it gets at once, and when it wants none."""

import random
import threading
import time
from concurrent.futures import Future, wait
from contextlib import contextmanager
from math import inf

from .errors import ArchiveBusy, ArchiveStopped

_SLICE_S = 0.1  # how often a wait looks whether it is cancelled
_LONGEST_CLOSED_S = 300.0  # however long a host wants no requests, it gets one then: it may have erred
_SPREAD, _WIDEST_SPREAD_S = 0.5, 5.0  # of a wait, until all that wait have begun again
_GOOD_FOR_MORE = 10  # answers without a refusal, for one more request at once


class Host:
    """What the threads of one client know together about a host.

    Parameters
    ----------
    at_once : int
        Most requests at the same time.

    Attributes
    ----------
    at_once : int
        Requests at the same time now: half as many after each time that the host was busy, slowly more again while it
        is not.
    """

    def __init__(self, at_once):
        self.at_once = self._most = at_once
        self._asking = self._good = 0
        self._changed = threading.Condition()
        self._closed_until = self._spread_s = 0.0
        self._out_since = None

    @contextmanager
    def turn(self, url, longest_s, stop):
        """A place among the requests at the same time, at a time when the host may be asked.

        Parameters
        ----------
        url : str
            For messages.
        longest_s : float, s
            If the host is closed for longer, `ArchiveBusy` is raised at once.
        stop : callable
            When it says yes, `ArchiveStopped` is raised.
        """
        with self._changed:
            while self._asking >= self.at_once:
                self._changed.wait(_SLICE_S)
                _check(stop)
            self._asking += 1
        try:
            self._wait_for_opening(url, longest_s, stop)
            yield
        finally:
            with self._changed:
                self._asking -= 1
                self._changed.notify()

    def _wait_for_opening(self, url, longest_s, stop):
        """Wait until the host may be asked again, and a bit longer, so that not all ask at the same moment."""
        while (left := self._closed_until - time.monotonic()) > 0:
            if left > longest_s:
                raise ArchiveBusy(f"{url}: the archive is busy; it may be asked again in {left:.0f} s.")
            pause(left + random.uniform(0.0, self._spread_s), stop)
        _check(stop)

    def busy(self, seconds):
        """The host wants to be asked for nothing for a while, and for less then."""
        with self._changed:
            now = time.monotonic()
            if now >= self._closed_until:  # others of the same moment say nothing new
                self.at_once = max(1, self.at_once // 2)
            if seconds > _LONGEST_CLOSED_S:
                seconds, self.at_once = _LONGEST_CLOSED_S, 1
            self._closed_until = max(self._closed_until, now + seconds)
            self._spread_s = min(_SPREAD * seconds, _WIDEST_SPREAD_S)
            self._good = 0

    def answered(self):
        """The host has given what it was asked for."""
        with self._changed:
            self._out_since = None
            self._good += 1
            if self._good >= _GOOD_FOR_MORE and self.at_once < self._most:
                self.at_once, self._good = self.at_once + 1, 0
                self._changed.notify()

    def missed(self):
        """The host could not be reached."""
        with self._changed:
            if self._out_since is None:
                self._out_since = time.monotonic()

    def patient(self, patience_s):
        """Whether to go on trying a host that cannot be reached: not when that has been so for long."""
        since = self._out_since
        return since is None or time.monotonic() - since < patience_s


@contextmanager
def held(lock, stop):
    """Hold a lock; waits until it is free.

    Parameters
    ----------
    lock : threading.Lock
    stop : callable
        When it says yes meanwhile, `ArchiveStopped` is raised.
    """
    while not lock.acquire(timeout=_SLICE_S):
        _check(stop)
    try:
        yield
    finally:
        lock.release()


def unless_stopped(call, stop, longest_s=inf):
    """The result of a call that waits for a server, which may be silent for long.

    Parameters
    ----------
    call : callable()
        Made in a thread of its own, which is left to itself when nobody waits for it any more.
    stop : callable
        When it says yes meanwhile, `ArchiveStopped` is raised.
    longest_s : float, s
        If it takes longer, `TimeoutError` is raised.

    Returns
    -------
    object
    """
    outcome, end = Future(), time.monotonic() + longest_s

    def work():
        try:
            outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            outcome.set_exception(error)

    threading.Thread(target=work, name="archive request", daemon=True).start()
    while not wait([outcome], timeout=_SLICE_S).done:
        _check(stop)
        if time.monotonic() > end:
            raise TimeoutError
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
