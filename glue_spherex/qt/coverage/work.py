"""Work of the panel in threads of their own, with its outcome in the thread of the window."""

from qtpy import QtCore

from ...plugin.measuring.background_work import LatestWork


class PanelWork(QtCore.QObject):
    """Does one thing of each kind at a time; a newer one of a kind cancels the one before.

    The newer one does not wait for it: what cannot be interrupted, as a name service that keeps silent, ends by
    itself, and is forgotten.

    Parameters
    ----------
    failed : callable(text)
        Told when what follows a piece of work fails.
    parent : QObject, optional
    """

    _arrived = QtCore.Signal(str, int, object, object)
    progressed = QtCore.Signal(str, int, int)

    def __init__(self, failed, parent=None):
        super().__init__(parent)
        self._failed = failed
        self._works, self._waiting = {}, {}
        self._closed = False
        self._arrived.connect(self._deliver)

    def __call__(self, kind, work, then):
        """Do something, and hand over the outcome; see `CoverageState`.

        Parameters
        ----------
        kind : str
        work : callable(progress, cancelled), or None
            None only cancels what is done or waits.
        then : callable(result, error)
        """
        if self._closed:
            return
        if self._waiting.pop(kind, None) is not None:
            self._works.pop(kind).close()
        if work is None:
            return
        if kind not in self._works:
            self._works[kind] = self._new(kind)
        # the number is known only afterwards; what arrives is looked at later, in this thread
        self._waiting[kind] = self._works[kind].request(work), then

    def _new(self, kind):
        def deliver(number, result, error):
            self._tell(self._arrived, kind, number, result, error)

        def progress(number, done, total):
            self._tell(self.progressed, kind, done, total)

        return LatestWork(deliver, progress)

    def _tell(self, signal, *values):
        try:
            signal.emit(*values)
        except RuntimeError:  # the window was deleted meanwhile
            self._closed = True

    def _deliver(self, kind, number, result, error):
        wanted, then = self._waiting.get(kind, (None, None))
        if self._closed or number != wanted:
            return
        del self._waiting[kind]
        try:
            then(result, error)
        except Exception as failure:  # noqa: BLE001 - told where the user looks
            self._failed(f"{type(failure).__name__}: {failure}")

    @property
    def busy(self):
        """Kinds of work that is not done yet."""
        return set(self._waiting)

    def close(self):
        """Drop everything."""
        self._closed = True
        self._waiting.clear()
        for work in self._works.values():
            work.close()
