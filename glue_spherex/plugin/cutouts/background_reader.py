"""Reading cutouts in the background: the latest request wins, the ones before it are dropped."""

from collections import OrderedDict
from threading import Condition, Thread

from .reading import CutoutSource, CutoutView, stamp_of

_CACHED_BYTES = 48_000_000
_CACHED_VIEWS = 400


class BackgroundReader:
    """Reads cutouts in a thread of its own, so that whoever asks never waits.

    Parameters
    ----------
    deliver : callable
        ``deliver(request, view)``, called in the reader's thread for each cutout that was read.
    progress : callable, optional
        ``progress(done, total)``, called in the reader's thread while headers are read.
    source : callable, optional
        ``source(request, progress, cancelled)`` gives a `CutoutView`; a `CutoutSource` by default.

    Notes
    -----
    `request` replaces everything that was asked for before: what is being read is finished, what waits is dropped.
    The thread starts with the first request. After `close` nothing is delivered any more, and the thread ends as soon
    as it can.
    """

    def __init__(self, deliver, progress=None, source=None):
        self._deliver, self._progress = deliver, progress
        self._source = source or CutoutSource()
        self._waiting = []
        self._forget = False
        self._closed = False
        self._changed = Condition()
        self._cache = _Cache()
        self._thread = None

    def request(self, requests, forget=False):
        """Ask for cutouts, and for no others.

        Parameters
        ----------
        requests : sequence of CutoutRequest
            The most urgent first.
        forget : bool
            Whether the folders are searched again.
        """
        with self._changed:
            if self._closed:
                return
            self._waiting = list(requests)
            self._forget = self._forget or forget
            self._changed.notify()
            if self._thread is None and self._waiting:
                self._thread = Thread(target=self._run, name="cutouts", daemon=True)
                self._thread.start()

    def add(self, request):
        """Ask for one more cutout, before those that wait."""
        with self._changed:
            others = [waiting for waiting in self._waiting if waiting.key != request.key]
        self.request([request, *others])

    def recent(self, request):
        """The view of a request, if it was read not long ago; else None. For the thread that asks."""
        with self._changed:
            return self._cache.get(request.key)

    @property
    def alive(self):
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def close(self):
        """Drop everything; a file that is being read is finished, but nobody waits for it."""
        with self._changed:
            self._closed = True
            self._waiting = []
            self._changed.notify()

    def _is_closed(self):
        return self._closed

    def _run(self):
        while True:
            with self._changed:
                while not (self._waiting or self._closed):
                    self._changed.wait()
                if self._closed:
                    return
                request = self._waiting.pop(0)
                forget, self._forget = self._forget, False
                cached = self._cache.get(request.key)
            view = self._view(request, None if forget else cached, forget)
            with self._changed:  # whoever closes knows that nothing is being delivered
                if self._closed:
                    return
                self._cache.put(request.key, view)
                self._deliver(request, view)

    def _tell(self, done, total):
        with self._changed:
            if not self._closed and self._progress is not None:
                self._progress(done, total)

    def _view(self, request, cached, forget):
        try:
            if forget and hasattr(self._source, "forget"):
                self._source.forget()
            if cached is not None and not cached.to_fetch and stamp_of(cached.path) == cached.stamp:
                return cached
            return self._source(request, self._tell, self._is_closed)
        except Exception as error:  # noqa: BLE001 - the thread must live on; the frame says what happened
            return CutoutView(problem=f"{request.row.image_name}: reading failed ({type(error).__name__}: {error}).")


class _Cache:
    """The views read last, as many as fit into the memory they may use."""

    def __init__(self):
        self._views, self._bytes = OrderedDict(), 0

    def get(self, key):
        if key in self._views:
            self._views.move_to_end(key)
        return self._views.get(key)

    def put(self, key, view):
        old = self._views.pop(key, None)
        self._bytes -= _size(old)
        if view.image is None:
            return
        self._views[key] = view
        self._bytes += _size(view)
        while len(self._views) > _CACHED_VIEWS or (self._bytes > _CACHED_BYTES and len(self._views) > 1):
            self._bytes -= _size(self._views.popitem(last=False)[1])


def _size(view):
    if view is None or view.image is None:
        return 0
    return 3 * view.image.nbytes
