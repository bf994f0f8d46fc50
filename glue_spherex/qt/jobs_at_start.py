"""Jobs that a reboot or a crash has interrupted go on when glue is opened, also if nobody opens the monitor."""

from contextlib import suppress
from threading import Thread

from ..jobs import JobStore, Phase
from ..jobs.store import STORE_NAME, default_home


def go_on_with_jobs():
    """Look at the jobs once, in a thread, so that those whose turn it is go on.

    Does nothing where there is no store of jobs. What is wrong with the store is no reason not to open glue: the
    monitor says it as soon as somebody asks for the jobs.

    Returns
    -------
    threading.Thread or None
        It ends with glue.
    """
    home = default_home()
    with suppress(OSError):
        if not (home / STORE_NAME).is_file():
            return None
        thread = Thread(target=_look, args=[home], name="jobs at start", daemon=True)
        thread.start()
        return thread
    return None


def _look(home):
    with suppress(Exception), JobStore(home) as store:
        if store.in_phase(Phase.EXECUTING) or store.in_phase(Phase.QUEUED):
            from ..jobs.queue import look_after

            look_after(store)
