"""Work that may have to wait for a disk or a lock: in one thread, with its outcome in the thread of the window."""

from concurrent.futures import ThreadPoolExecutor

from qtpy import QtCore


class Background(QtCore.QObject):
    """Does one thing after the other in a thread of its own.

    It has no parent, so that it lives until its thread has ended.
    """

    _done = QtCore.Signal(object, object, object)  # what to call, result, error

    def __init__(self):
        super().__init__()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jobs")
        self._closed = False
        self._done.connect(self._deliver)

    def run(self, work, then, failed, surely=False):
        """Do something, and tell the outcome.

        Parameters
        ----------
        work : callable()
            Called in the thread.
        then : callable(result)
            Called in the thread of the window.
        failed : callable(error)
            The same, with the exception.
        surely : bool
            Whether it is done also if this is closed meanwhile; nothing is told then.
        """
        if not self._closed:
            self._thread.submit(self._work, work, then, failed, surely)

    def _work(self, work, then, failed, surely):
        if self._closed and not surely:
            return
        try:
            outcome = then, work(), None
        except Exception as error:  # noqa: BLE001 - told in the window
            outcome = failed, None, error
        if not self._closed:
            self._done.emit(*outcome)

    def _deliver(self, call, result, error):
        if not self._closed:
            call(result if error is None else error)

    def close(self, last=None):
        """Drop what waits, and end the thread when it has done what it does.

        Parameters
        ----------
        last : callable(), optional
            Called in the thread at its end.
        """
        if not self._closed:
            self._closed = True
            if last is not None:
                self._thread.submit(last)
            self._thread.shutdown(wait=False)
