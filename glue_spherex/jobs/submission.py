"""Where measurements are handed in: a job is a folder that says what is to be done, and a line in the store."""

import os
import shutil
from datetime import datetime

import numpy as np

from ..images.archive.choice import ArchiveChoice
from ..photometry.output import EXTENSIONS
from .errors import JobError
from .job_state import Phase, clean_title
from .queue import start_soon
from .request_files import Request, write_answer, write_request
from .store import JobStore
from .titles import default_title


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
        Of the job; by default it tells the target, or how many there are, the images, and the date.
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
    check_request(request)
    return hand_in(request, targets, title)


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


def check_request(request):
    """Raise a `JobError` if a request is not allowed."""
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


def hand_in(request, targets, title, answer=None):
    """Make a job of a request that is allowed, and start it if its turn has come.

    Parameters
    ----------
    request : Request
    targets : Targets
    title : str
        '' for the default one.
    answer : ArchiveAnswer, optional
        What the archive has answered to the same targets; the job keeps to it.

    Returns
    -------
    Job
    """
    with JobStore() as store:
        job_id = store.new_folder()
        folder = store.folder(job_id)
        measured = [source for source in targets.sources if not source.companion]
        now = datetime.fromtimestamp(store.clock())  # the user's own time
        title = clean_title(title or "") or default_title(
            measured, request.image_folders, request.archive is not None, now
        )
        try:
            write_request(folder, request, targets)
            if answer is not None:
                write_answer(folder, answer)
            with store.transaction():
                check_output(store, job_id, request.output)
                store.insert(job_id, title, len(measured), request.output)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if not isinstance(error, OSError):
                raise
            raise JobError(f"the folder of the job, {str(folder)!r}, cannot be written: {error.strerror}.") from error
        start_soon(store)
        return store.job(job_id)


def check_output(store, job_id, output):
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
        check_output(store, None, os.path.abspath(output))
