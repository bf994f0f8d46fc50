"""Where jobs are handed in and looked after: what programs call."""

import os
import shutil
import time
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import numpy as np

from ..images.archive.choice import ArchiveChoice
from ..images.errors import ImageFileError
from ..photometry.output import EXTENSIONS
from .errors import JobError
from .job_state import Phase, clean_title
from .queue import bury_dead, kill_worker, start_waiting
from .request_files import Request, check_folder, read_answer, read_request, write_answer, write_request
from .store import JobStore

_WAIT_SECONDS = 0.2
_STOPPING = "stops after the images at work; cancelled once more, at once"


def submit(
    targets,
    image_folders=(),
    calibration=None,
    settings=None,
    *,
    title="",
    workers=1,
    scheduler=None,
    flux_correction=True,
    spectrum_format="votable",
    output=None,
    origin="",
    archive=None,
    keep_cutouts=True,
):
    """Hand in a measurement; it runs in a process of its own, now or when its turn has come.

    Parameters
    ----------
    targets : Targets, Source or sequence of Source
        From `glue_spherex.read_targets`, or made by hand.
    image_folders : path or sequence of paths, optional
        May be left out if there is an archive.
    calibration : path, optional
    settings : Settings, optional
    title : str, optional
        Of the job; the number of targets and the date by default.
    workers : int, optional
        Processes that share the images.
    scheduler : str, optional
        Address of a Dask cluster that measures instead.
    flux_correction : bool, optional
    spectrum_format : str, optional
        Of the files with spectra; see `glue_spherex.photometry.output.EXTENSIONS`.
    output : path, optional
        Result folder; in the folder of the job by default.
    origin : path, str or list of str, optional
        Where the targets come from, for the record: a file, if it is a `pathlib.Path`, or words.
    archive : ArchiveChoice, optional
        Images of the archive that are fetched and measured; an image that is in the folders is taken from there.
    keep_cutouts : bool, optional
        Whether what is fetched is put into the result folder, so that it travels with the spectra.

    Returns
    -------
    Job

    Raises
    ------
    JobError
        If the store cannot be used, the folder of the job cannot be written, or the result folder is that of another
        job.
    PhotometryError
        If there is no target, or a setting is not allowed.
    """
    request = Request.of(
        image_folders, calibration, settings, workers=workers, scheduler=scheduler, flux_correction=flux_correction,
        spectrum_format=spectrum_format, output=output, origin=origin, archive=archive, keep_cutouts=keep_cutouts,
    )  # fmt: skip
    return submit_request(request, targets, title=title)


def submit_request(request, targets, *, title=""):
    """As `submit`, for a request that is put together already.

    Parameters
    ----------
    request : Request
    targets, title
        As in `submit`.

    Returns
    -------
    Job
    """
    targets = _as_targets(targets)
    _check(request)
    return _hand_in(request, targets, title)


def _as_targets(targets):
    """A target list of whatever was given."""
    from astropy.table import QTable

    from ..io import Targets
    from ..photometry.pipeline import checked_sources

    if not isinstance(targets, Targets):
        sources = checked_sources(targets)
        return Targets(sources, np.arange(len(sources)), [], QTable(), {})
    checked_sources(targets.sources)
    return targets


def _check(request):
    if not isinstance(request.archive, ArchiveChoice | None):
        raise JobError(f"archive is {request.archive!r}; an ArchiveChoice is needed.")
    if not request.image_folders and request.archive is None:
        raise JobError("images: no folder is given; at least one is needed, or the archive.")
    for what, folder in [("images", f) for f in request.image_folders] + [("calibration", request.calibration)]:
        if folder is not None and not os.path.exists(folder):
            raise JobError(f"{what}: there is no folder {folder}.")
    if isinstance(request.workers, bool) or not isinstance(request.workers, int) or not 1 <= request.workers <= 1024:
        raise JobError(f"workers is {request.workers!r}; a whole number from 1 to 1024 is needed.")
    if not isinstance(request.scheduler, str | None):
        raise JobError(f"scheduler is {request.scheduler!r}; an address such as 'tcp://host:8786' is needed.")
    if request.spectrum_format not in EXTENSIONS:
        raise JobError(f"format is {request.spectrum_format!r}; allowed are {', '.join(EXTENSIONS)}.")


def _hand_in(request, targets, title, answer=None):
    with JobStore() as store:
        job_id = store.new_folder()
        folder = store.folder(job_id)
        measured = [source for source in targets.sources if not source.companion]
        n = len(measured)
        date = datetime.fromtimestamp(store.clock()).strftime("%Y-%m-%d %H:%M")  # the user's own time
        what = measured[0].label if n == 1 else f"{n} targets"
        title = clean_title(title or "") or clean_title(f"{what}, {date}".lstrip(", "))
        try:
            write_request(folder, request, targets)
            if answer is not None:
                write_answer(folder, answer)
            with store.transaction():
                _check_output(store, job_id, request.output)
                store.insert(job_id, title, n, request.output)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if not isinstance(error, OSError):
                raise
            raise JobError(f"the folder of the job, {str(folder)!r}, cannot be written: {error.strerror}.") from error
        _start_soon(store)
        return store.job(job_id)


def _check_output(store, job_id, output):
    """Raise a `JobError` if a result folder holds, or will hold, the result of another job."""
    for other in store.with_result(output) if output else ():
        if other.id != job_id and (other.phase.is_active or (other.phase is Phase.COMPLETED and other.result.exists())):
            raise JobError(
                f"the result folder {str(output)!r} is that of job {other.id} ({other.title[:60]!r}), whose result "
                "would be written over: choose another one, or remove that job first."
            )


def check_result_folder(output):
    """Make sure that a result folder does not hold, and will not hold, the result of a job.

    Parameters
    ----------
    output : path-like

    Raises
    ------
    JobError
        If it does. Where the store cannot be read, nothing is known about it.
    """
    try:
        store = JobStore()
    except JobError:
        return
    with store:
        _check_output(store, None, os.path.abspath(output))


def _start_soon(store):
    """Start the jobs that wait; if the store is locked just now, whoever looks next does it."""
    with suppress(JobError):
        start_waiting(store)


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


def look_after(store):
    """Find out jobs whose worker has died, and let the queue move on.

    Parameters
    ----------
    store : JobStore
    """
    bury_dead(store)
    if store.in_phase(Phase.QUEUED) and len(store.in_phase(Phase.EXECUTING)) < store.running_limit():
        start_waiting(store)


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
            _check_output(store, job_id, known.result)
            if workers is not None or scheduler is not None:
                _change_request(known.folder, workers, scheduler)
            store.queue(job_id)
        _start_soon(store)
        return store.job(job_id)


def _change_request(folder, workers, scheduler):
    asked, targets = read_request(folder)
    if workers is not None:
        asked = replace(asked, workers=workers)
    if scheduler is not None:
        asked = replace(asked, scheduler=scheduler or None)
    _check(asked)
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
    return _hand_in(replace(asked, output=None), targets, title, read_answer(known.folder))


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
        _start_soon(store)
