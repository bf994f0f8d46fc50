"""Work in a thread of its own, of which only the latest counts."""

from itertools import count
from threading import Condition, Thread

_NUMBERS = count(1)  # a late delivery cannot be taken for that of another one


class LatestWork:
    """Does one piece of work at a time; a newer one cancels the one before.

    Parameters
    ----------
    deliver : callable
        ``deliver(number, result, error)``, called in the thread of the work that was asked for last; `error` is the
        exception that ended it, or None.
    progress : callable, optional
        ``progress(number, done, total)``, called in that thread.

    Notes
    -----
    After `close` nothing is delivered any more. A piece of work that cannot be interrupted ends when it ends, and is
    forgotten.
    """

    def __init__(self, deliver, progress=None):
        self._deliver, self._progress = deliver, progress
        self._changed = Condition()
        self._number, self._work, self._closed, self._thread = next(_NUMBERS), None, False, None

    def request(self, work):
        """Do something, instead of whatever was asked for before.

        Parameters
        ----------
        work : callable(progress, cancelled)
            ``progress(done, total)``; ``cancelled()`` says whether the result is not wanted any more.

        Returns
        -------
        int
            Number of the work, which no other one has.
        """
        with self._changed:
            self._number = next(_NUMBERS)
            if not self._closed:
                self._work = work
                if self._thread is None:
                    self._thread = Thread(target=self._run, name="measure dialog", daemon=True)
                    self._thread.start()
                self._changed.notify()
            return self._number

    def cancel(self):
        """Drop what is done or waits."""
        with self._changed:
            self._number = next(_NUMBERS)
            self._work = None

    def close(self):
        """Drop everything, and end the thread as soon as it can."""
        with self._changed:
            self._closed, self._work = True, None
            self._number = next(_NUMBERS)
            self._changed.notify()

    def _run(self):
        while True:
            with self._changed:
                while self._work is None and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                work, number, self._work = self._work, self._number, None
            result, error = self._done(work, number)
            with self._changed:
                if number == self._number:
                    self._deliver(number, result, error)

    def _done(self, work, number):
        """The result of the work, and the exception that ended it."""
        try:
            return work(lambda done, total, *_: self._tell(number, done, total), lambda: number != self._number), None
        except Exception as failure:  # noqa: BLE001 - whatever fails is delivered, and told by who asked
            return None, failure

    def _tell(self, number, done, total):
        with self._changed:
            if number == self._number and self._progress is not None:
                self._progress(number, done, total)
