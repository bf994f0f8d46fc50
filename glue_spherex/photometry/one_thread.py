"""Linear algebra on one thread: how a sum is rounded depends on the number of threads that share it."""

import threading
from contextlib import ContextDecorator

from threadpoolctl import ThreadpoolController


class _OneThread(ContextDecorator):
    """``@one_thread`` keeps the libraries under numpy and scipy on one thread, in this whole process,
    while the function runs.

    Results do not depend on the machine's number of cores then, and matrices as small as ours are solved faster. It
    may run in several Python threads at once; the last one to leave restores what was before.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._libraries = self._before = None
        self._inside = 0

    def __enter__(self):
        with self._lock:
            if self._libraries is None:
                self._libraries = ThreadpoolController()  # looking for them takes a millisecond, the limit 30 µs
            limit = self._libraries.limit(limits=1)
            if not self._inside:
                self._before = limit
            self._inside += 1

    def __exit__(self, *error):
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._before.restore_original_limits()


one_thread = _OneThread()
