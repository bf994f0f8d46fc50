"""Runs that are under way: what they have used is not removed, however long they take.

A run marks its begin with a file in the store that it keeps locked. The system takes the lock back when the process
ends, however it ends, so that nothing is kept for a run that was killed.
"""

import fcntl
import math
import os
from contextlib import suppress

from .cutout_store import begun_file


def begin(store):
    """Mark the begin of a run.

    Parameters
    ----------
    store : CutoutStore

    Returns
    -------
    int
        A file descriptor. The run is under way until it is closed.

    Raises
    ------
    OSError, ArchiveError
        If the store may only be read.
    """
    with store.locked():  # else somebody might look before the mark is locked, and take it for one of the past
        first_begin(store)
        mark, _ = begun_file(store.current / "under-way", "run")
        fcntl.flock(mark, fcntl.LOCK_EX)
    return mark


def first_begin(store):
    """When the first of the runs that are under way began; marks of others are removed. Call it with the store locked.

    Parameters
    ----------
    store : CutoutStore

    Returns
    -------
    float
        Seconds since 1970; infinite without any.
    """
    begins = [math.inf]
    for path in (store.current / "under-way").glob(".*run"):
        with suppress(FileNotFoundError):
            mark = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
            except BlockingIOError:
                begins.append(os.fstat(mark).st_mtime)
            finally:
                os.close(mark)
    return min(begins)
