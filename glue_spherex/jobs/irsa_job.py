"""Spectra that IRSA's Spectrophotometry Tool has made: fetched once, checked, and kept as files."""

import os
from pathlib import Path

from ..images.archive.errors import ArchiveError, ArchiveStopped
from ..images.archive.irsa_job import fetch_result, file_name, job_address
from ..images.archive.settings import ArchiveSettings
from ..io import SpectrumFileError, read_spectra
from ..io.errors import TableFileError
from ..io.files import replacing
from .store import default_home

FOLDER_NAME = "irsa-jobs"


def irsa_jobs_folder():
    """Where the spectra are kept: ``$GLUE_SPHEREX_HOME/irsa-jobs``, or in the user's data folder."""
    return default_home() / FOLDER_NAME


def fetch_irsa_job(address, folder=None, *, client=None, refresh=False, progress=None, cancelled=None):
    """Have the spectra of a job of IRSA's Spectrophotometry Tool as a file.

    Parameters
    ----------
    address : str
        Address of the job or of its result, as the tool's job monitor shows it; or the id of the job.
    folder : path-like, optional
        Where the file is kept; `irsa_jobs_folder` by default.
    client : ArchiveClient, optional
        The user's settings by default.
    refresh : bool
        Whether the archive is asked although the file is there.
    progress : callable(done, total), optional
        Called when the job is asked for (0 of 3), its result is fetched (1), is checked (2), and is here (3).
    cancelled : callable, optional
        When it says yes, `ArchiveStopped` is raised.

    Returns
    -------
    Path
        A VOTable that `read_spectra` reads, with one or several sources; as the archive sent it. A file that is there
        already is taken without asking the archive: the result of a job does not change.

    Raises
    ------
    ArchiveError
        If the address is none, there is no such job, it has not come to a result, or the result is no spectrum.
    """
    settings = ArchiveSettings.load() if client is None else client.settings
    job = job_address(address, settings)
    path = Path(folder if folder is not None else irsa_jobs_folder()) / file_name(job, settings)
    told = progress or (lambda done, total: None)
    if not refresh and path.is_file():
        told(3, 3)
        return path
    told(0, 3)
    data = fetch_result(job, client or _client(settings), cancelled, lambda: told(1, 3))
    told(2, 3)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            _write(part, data)
            _check(part, job, cancelled)
    except (OSError, TableFileError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ArchiveError(f"{path}: the result of the job cannot be kept there: {reason}.") from error
    told(3, 3)
    return path


def _client(settings):
    from ..images.archive.client import ArchiveClient

    return ArchiveClient(settings)


def _write(path, data):
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _check(path, job, cancelled):
    """Make sure that it is a spectrum, before the file gets its name."""
    try:
        spectra = read_spectra(path)
    except SpectrumFileError as error:
        raise ArchiveError(f"IRSA job {job.name}: {str(error).replace(str(path), 'its result')}") from error
    if not len(spectra):
        raise ArchiveError(f"IRSA job {job.name}: its result has no measurements.")
    if cancelled is not None and cancelled():
        raise ArchiveStopped(f"IRSA job {job.name}: cancelled.")
