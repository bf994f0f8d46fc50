"""Fetching cutouts in the background: several at once, each of which can be cancelled."""

from collections import deque
from dataclasses import dataclass
from threading import Condition, Thread

from ...images.archive.errors import ArchiveStopped
from .fetching import ArchiveCutouts, OtherRelease, reason_of

_AT_ONCE = 6


@dataclass(frozen=True)
class FetchOutcome:
    """How fetching a cutout ended.

    Parameters
    ----------
    problem : str
        Why it could not be had; '' where it is in the store now.
    instead : str
        The release that the archive has instead of the one that was measured; '' normally.
    """

    problem: str = ""
    instead: str = ""


class BackgroundFetcher:
    """Fetches cutouts in threads of its own, so that whoever asks never waits.

    Parameters
    ----------
    deliver : callable
        ``deliver(request, outcome)``, called in one of the threads for each cutout that was not cancelled.
    cutouts : ArchiveCutouts, optional
        The user's archive and store by default.
    at_once : int
        Most at the same time.
    """

    def __init__(self, deliver, cutouts=None, at_once=_AT_ONCE):
        self._deliver, self._cutouts, self._at_once = deliver, cutouts or ArchiveCutouts(), at_once
        self._changed = Condition()
        self._waiting, self._under_way, self._closed = deque(), {}, False
        self._threads = set()

    def fetch(self, request, other_release=False):
        """Fetch a cutout; nothing happens where that is done already.

        Parameters
        ----------
        request : CutoutRequest
        other_release : bool
            Whether another release of the exposure will do.
        """
        with self._changed:
            if self._closed or request.key in self._under_way:
                return
            job = self._under_way[request.key] = _Job(request, other_release)
            self._waiting.append(job)
            if sum(not job.cancelled for _, job in self._threads) < self._at_once:
                self._start()

    def cancel(self, keep=()):
        """Give up what is fetched or waits; a transfer ends as soon as it can, and nothing of it is kept.

        Parameters
        ----------
        keep : collection of CutoutRequest.key
            These go on.
        """
        with self._changed:
            for key in [key for key in self._under_way if key not in keep]:
                self._under_way.pop(key).cancelled = True
            self._waiting = deque(job for job in self._waiting if not job.cancelled)

    @property
    def under_way(self):
        """Keys of the requests that are fetched or wait, tuple."""
        with self._changed:
            return tuple(self._under_way)

    @property
    def alive(self):
        """Whether a thread works, be it only to end a transfer that was cancelled."""
        with self._changed:
            return bool(self._threads)

    def close(self):
        """Give up everything; nothing is delivered any more."""
        with self._changed:
            self._closed = True
        self.cancel()

    def _start(self):
        job = self._waiting.popleft()
        thread = Thread(target=self._run, args=(job,), name="fetch cutout", daemon=True)
        self._threads.add((thread, job))
        thread.start()

    def _run(self, job):
        from threading import current_thread

        me = current_thread()
        while True:
            outcome = self._outcome(job)
            with self._changed:
                wanted = not job.cancelled and not self._closed
                if wanted:
                    del self._under_way[job.request.key]
                self._threads.discard((me, job))
            if wanted:
                self._deliver(job.request, outcome)
            with self._changed:
                if not self._waiting:
                    return
                job = self._waiting.popleft()
                self._threads.add((me, job))

    def _outcome(self, job):
        row = job.request.row
        try:
            self._cutouts.fetch(row, job.request.size_arcmin, job.other_release, lambda: job.cancelled)
        except ArchiveStopped as error:
            return FetchOutcome(reason_of(error, row))
        except OtherRelease as error:
            return FetchOutcome(reason_of(error, row), error.release)
        except Exception as error:  # noqa: BLE001 - whatever fails, the frame says what happened
            return FetchOutcome(reason_of(error, row))
        return FetchOutcome()


class _Job:
    def __init__(self, request, other_release):
        self.request, self.other_release, self.cancelled = request, other_release, False
