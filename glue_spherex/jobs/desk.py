"""Where jobs are looked after: what programs call. They are handed in by `submission`."""

import shutil
import time
from contextlib import suppress
from dataclasses import replace

from ..images.errors import ImageFileError
from .errors import JobError
from .job_state import Phase
from .queue import kill_worker, look_after, start_soon
from .request_files import check_folder, read_answer, read_request, write_request
from .store import JobStore
from .submission import check_output, check_request, hand_in

_WAIT_SECONDS = 0.2
_STOPPING = "stops after the images at work; cancelled once more, at once"


def jobs():
    """All jobs, the newest first.

    Jobs whose worker has died are found out, and the queue moves on.

    Returns
    -------
    list of Job
    """
    with JobStore() as store:
        look_after(store)
        return store.jobs()


def job(job_id):
    """One job.

    Parameters
    ----------
    job_id : str

    Returns
    -------
    Job

    Raises
    ------
    JobError
        If there is none of this id.
    """
    with JobStore() as store:
        look_after(store)
        return store.job(job_id)


def cancel(job_id):
    """Stop a job: at once if it waits, after the images at work if it runs. What is measured is kept.

    When a job that runs is cancelled once more, its worker is killed: it may wait for a disk that does not answer.

    Parameters
    ----------
    job_id : str

    Returns
    -------
    Job

    Raises
    ------
    JobError
        If there is no such job, or it has ended already.
    """
    with JobStore() as store:
        look_after(store)
        with store.transaction():
            known = store.job(job_id)
            if not known.phase.is_active:
                raise JobError(f"job {job_id} has ended already ({known.phase}); there is nothing to cancel.")
            if known.phase is Phase.EXECUTING:
                store.update(job_id, cancelled=1, message=_STOPPING)
            else:
                message = "aborted before it began"
                if known.started:
                    message = f"aborted while it waited; {known.images_done} of {known.images_total} images are kept"
                store.update(job_id, phase=Phase.ABORTED, ended=store.clock(), message=message)
        if known.phase is Phase.EXECUTING and known.cancelled:
            kill_worker(known)
            look_after(store)
        return store.job(job_id)


def resume(job_id, *, workers=None, scheduler=None):
    """Let a job go on that was aborted, has failed, or lost its worker; images that failed are tried again.

    What has been measured is not measured again.

    Parameters
    ----------
    job_id : str
    workers : int, optional
        Other number of processes from now on.
    scheduler : str, optional
        Other Dask cluster from now on; '' for none.

    Returns
    -------
    Job

    Raises
    ------
    JobError
        If there is no such job, it waits or runs, nothing is left to do, its folder is gone, or its result folder
        is that of another job now.
    """
    with JobStore() as store:
        look_after(store)
        with store.transaction():
            known = store.job(job_id)
            if known.phase.is_active:
                raise JobError(f"job {job_id} is {known.phase}; it need not be resumed.")
            if not known.can_resume:
                raise JobError(f"job {job_id} is {known.phase} without failures; nothing is left to do.")
            check_folder(known)
            check_output(store, job_id, known.result)
            if workers is not None or scheduler is not None:
                _change_request(known.folder, workers, scheduler)
            store.queue(job_id)
        start_soon(store)
        return store.job(job_id)


def _change_request(folder, workers, scheduler):
    asked, targets = read_request(folder)
    if workers is not None:
        asked = replace(asked, workers=workers)
    if scheduler is not None:
        asked = replace(asked, scheduler=scheduler or None)
    check_request(asked)
    try:
        write_request(folder, asked, targets)
    except OSError as error:
        raise JobError(f"the folder of the job, {str(folder)!r}, cannot be written: {error.strerror}.") from error


def wait(job_id, timeout=None):
    """Wait until a job has ended.

    Parameters
    ----------
    job_id : str
    timeout : float, optional
        Seconds; no end by default.

    Returns
    -------
    Job
        Still active if the time was not enough.
    """
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        known = job(job_id)
        if not known.phase.is_active or (end is not None and time.monotonic() >= end):
            return known
        time.sleep(_WAIT_SECONDS)


def rerun(job_id, *, title=None):
    """Hand in what a job measured as a new job: with the same program and files it gives the same numbers.

    Of the archive it measures the images that the old job did, also if there are newer ones now.

    Parameters
    ----------
    job_id : str
    title : str, optional
        That of the old job by default.

    Returns
    -------
    Job
        The new one. Its result folder is its own.
    """
    known = job(job_id)
    check_folder(known)
    asked, targets = read_request(known.folder)
    title = known.title if title is None else title
    return hand_in(replace(asked, output=None), targets, title, read_answer(known.folder))


def remove(job_id):
    """Delete a job with its folder. A result folder elsewhere stays.

    Parameters
    ----------
    job_id : str

    Raises
    ------
    JobError
        If there is no such job, it is running, or its folder cannot be deleted.
    """
    with JobStore() as store:
        look_after(store)
        with store.transaction():
            known = store.job(job_id)
            if known.phase is Phase.EXECUTING:
                raise JobError(f"job {job_id} is running; cancel it first.")
            try:
                if known.folder.is_symlink():
                    known.folder.unlink()
                elif known.folder.exists():
                    shutil.rmtree(known.folder)
            except OSError as error:
                raise JobError(
                    f"the folder {str(known.folder)!r} cannot be deleted ({error.filename}: {error.strerror}); the "
                    "job stays in the list."
                ) from error
            store.delete(job_id)
    _release_cutouts(known)


def _release_cutouts(known):
    """Let the cutouts go that were kept for the result of a job, if that is gone with it."""
    if not known.result.exists():
        from ..images.archive.cutout_store import CutoutStore  # takes half a second, which a list of jobs need not

        with suppress(ImageFileError, OSError):
            CutoutStore().unpin(known.result)


def set_running_limit(number):
    """Choose how many jobs run at the same time.

    Parameters
    ----------
    number : int
        1 to 64; more wait for their turn.
    """
    with JobStore() as store:
        store.set_running_limit(number)
        start_soon(store)
