"""The lock that a worker holds on the folder of its job: it says who is alive, whatever clocks and process ids say.

The lock belongs to an open file. Whoever starts a worker takes it and hands it over, so that there is no moment
without; the kernel lets it go when the worker ends, however that comes about.
"""

import fcntl
import os
import time

from .job_state import LOCK_NAME

_ATTEMPTS = 50


def take(folder):
    """Take the lock of a job.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    int or None
        The open file; None if somebody else has the lock.

    Raises
    ------
    OSError
        If the folder is not there or cannot be written.
    """
    file = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    for _ in range(_ATTEMPTS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:  # perhaps by somebody who only looks
            time.sleep(0.002)
    os.close(file)
    return None


def wait(folder):
    """Wait a moment for the end of a worker that was killed."""
    for _ in range(_ATTEMPTS):
        if not is_held(folder):
            return
        time.sleep(0.02)


def is_held(folder):
    """Whether a worker is at work in the folder of a job; no, if there is no such folder."""
    try:
        file = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
