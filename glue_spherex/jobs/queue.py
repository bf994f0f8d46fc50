"""Which job runs when: submitted jobs wait for their turn; whoever submits, finishes or looks starts the next.

A worker's process takes one job after another until none waits. There is no server: the store and the locks of the
jobs' folders say everything, so that any process may end at any moment.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from . import lock
from .errors import JobError
from .job_state import LOG_NAME, Phase

#: A job whose workers end so often without getting any further is given up.
MOST_ATTEMPTS = 3
#: The module that a worker runs.
WORKER = "glue_spherex.jobs.worker"
_GONE = "its folder is gone: somebody has deleted or moved it"


def claim_next(store):
    """Take the next job of the queue, if there is one and its turn has come.

    Parameters
    ----------
    store : JobStore

    Returns
    -------
    (Job, int) or None
        The job, which is executing now, and its lock.
    """
    bury_dead(store)
    held = None
    try:
        with store.transaction():
            if len(store.in_phase(Phase.EXECUTING)) >= store.running_limit():
                return None
            for job in store.in_phase(Phase.QUEUED):
                try:
                    held = lock.take(job.folder)
                except OSError as error:
                    reason = _GONE if not job.folder.is_dir() else f"its folder cannot be written ({error.strerror})"
                    _fail(store, job, reason)
                    continue
                if held is None:
                    store.update(job.id, message="waits until another process has left its folder")
                    continue
                store.update(
                    job.id, phase=Phase.EXECUTING, ended=None, pid=None, message="is being started",
                    attempts=store.attempts(job.id) + 1, **{"resumed" if job.started else "started": store.clock()},
                )  # fmt: skip
                return job, held
    except BaseException:  # it is not in the store: the next one can have the job
        if held is not None:
            os.close(held)
        raise
    return None


def bury_dead(store):
    """Find jobs whose worker has ended without saying so: they wait for another one, at their old place in the queue.

    One whose workers end again and again without getting further is given up, so that it does no harm.

    Parameters
    ----------
    store : JobStore

    Returns
    -------
    list of Job
        As they were.
    """
    if all(lock.is_held(job.folder) for job in store.in_phase(Phase.EXECUTING)):
        return []
    with store.transaction():  # nobody claims or ends a job meanwhile
        dead = [job for job in store.in_phase(Phase.EXECUTING) if not lock.is_held(job.folder)]
        for job in dead:
            if not job.folder.is_dir():
                _fail(store, job, _GONE)
            elif job.cancelled:
                store.update(job.id, phase=Phase.ABORTED, ended=store.clock(), seconds_left=None, pid=None,
                             message="aborted; its worker ended")  # fmt: skip
            elif store.attempts(job.id) < MOST_ATTEMPTS:
                wait_again(store, job, f"{_died(job)}; it goes on by itself")
            else:
                _fail(store, job, f"{_died(job)}, {MOST_ATTEMPTS} times at the same place; resume the job to try again")
    return dead


def kill_worker(job):
    """End the process that works on a job at once, if it is one of this machine.

    Parameters
    ----------
    job : Job
    """
    try:
        command = Path(f"/proc/{job.pid}/cmdline").read_bytes().split(b"\0")
        if WORKER.encode() not in command or not lock.is_held(job.folder):
            return
        os.kill(job.pid, signal.SIGKILL)
    except OSError:  # it has ended already
        return
    lock.wait(job.folder)


def _died(job):
    if job.pid is None:
        return f"its worker process could not begin ({LOG_NAME} in its folder may say why)"
    kept = (
        f"{job.images_done} of {job.images_total} images are done and kept" if job.images_total else "nothing is lost"
    )
    return f"{kept}, but its worker ended unexpectedly (killed, crashed, or the computer was restarted)"


def wait_again(store, job, message):
    """Let a job wait for another worker, at its place in the queue."""
    store.update(job.id, phase=Phase.QUEUED, ended=None, seconds_left=None, pid=None, message=message)


def _fail(store, job, message):
    store.update(job.id, phase=Phase.ERROR, ended=store.clock(), seconds_left=None, pid=None, message=message)


def start_waiting(store):
    """Start workers for jobs whose turn has come.

    Parameters
    ----------
    store : JobStore

    Returns
    -------
    list of str
        The ids of the jobs.
    """
    started = []
    while claim := claim_next(store):
        job, held = claim
        try:
            _launch(store, job, held)
            started.append(job.id)
        except OSError as error:
            _fail(store, job, f"a worker process could not be started ({error.strerror}); resume it later")
        finally:
            os.close(held)
    return started


def start_soon(store):
    """As `start_waiting`; if the store is locked just now, whoever looks next does it.

    Parameters
    ----------
    store : JobStore
    """
    with suppress(JobError):
        start_waiting(store)


def look_after(store):
    """Find out jobs whose worker has died, and let the queue move on.

    Parameters
    ----------
    store : JobStore
    """
    bury_dead(store)
    if store.in_phase(Phase.QUEUED) and len(store.in_phase(Phase.EXECUTING)) < store.running_limit():
        start_waiting(store)


def _launch(store, job, held):
    """Start a worker that outlives this process, and hand the lock over."""
    environment = {**os.environ, "GLUE_SPHEREX_HOME": str(store.home)}
    command = [sys.executable, "-P", "-m", WORKER, str(job.folder), "--lock", str(held)]
    with open(Path(job.folder) / LOG_NAME, "ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=environment, pass_fds=[held],
            start_new_session=True,
        )  # fmt: skip
    threading.Thread(target=process.wait, daemon=True).start()  # so that the system forgets it when it ends
