"""What can be had of a job: what it was asked to do, its results, its log."""

import json
import os
from contextlib import contextmanager
from types import SimpleNamespace

from ..photometry.errors import PhotometryError
from ..photometry.output import SETTINGS_NAME
from . import lock
from .desk import job
from .errors import JobError
from .job_state import LOG_NAME, RESULTS_NAME, Phase
from .request_files import check_folder, read_request
from .store import JobStore

_LOG_BYTES = 1 << 20


def request(job_id):
    """What a job was asked to do.

    Parameters
    ----------
    job_id : str

    Returns
    -------
    request : Request
    targets : Targets
    """
    known = job(job_id)
    check_folder(known)
    return read_request(known.folder)


def result_folder(job_id):
    """Where the result of a job is.

    Parameters
    ----------
    job_id : str

    Returns
    -------
    Path
        Holds ``spectra.vot`` and the other files of a result.

    Raises
    ------
    JobError
        If the job has no result yet, or it is gone.
    """
    known = job(job_id)
    if known.phase is not Phase.COMPLETED:
        raise JobError(f"job {job_id} is {known.phase}: {known.message or 'it has no result'}.")
    if not (known.result / SETTINGS_NAME).exists():
        raise JobError(f"the result of job {job_id} is no longer in {str(known.result)!r}.")
    return known.result


def partial_spectra(job_id, source_id=None, n_sources=None):
    """The spectra as far as they are measured, also while the job runs.

    Parameters
    ----------
    job_id : str
    source_id : int, optional
        Number of a source, for its spectrum alone.
    n_sources : int, optional
        For the spectra of the first so many sources alone.

    Returns
    -------
    QTable
        The same columns and order as in the result; ``meta["glue_spherex"]`` as well.

    Raises
    ------
    JobError
        If there is no such job or source, or the folder of the job is gone.
    """
    from ..photometry.result_tables import provenance_of, spectra_of

    asked, targets = request(job_id)
    first, stop = (0, len(targets.sources[:n_sources])) if source_id is None else (source_id, source_id + 1)
    if not 0 <= first < len(targets):
        raise JobError(f"source {source_id!r}: job {job_id} has the sources 0 to {len(targets) - 1}.")
    images = SimpleNamespace(
        folders=asked.places(job(job_id).result), calibration=SimpleNamespace(path=asked.calibration or "")
    )
    with _results(job_id) as results:
        spectra, _ = spectra_of(results.columns(first, stop), targets.sources[first:stop], first)
        spectra.meta["glue_spherex"] = provenance_of(images, results.about(), asked.settings, targets.sources)
    return spectra


@contextmanager
def _results(job_id):
    """The results of a job, for reading."""
    from ..photometry.result_store import ResultStore

    try:
        with ResultStore(job(job_id).folder / RESULTS_NAME, reader=True) as results:
            yield results
    except PhotometryError as error:
        raise JobError(str(error)) from error


def failures(job_id):
    """The images of a job that failed, and the files in its folders that cannot be read.

    Parameters
    ----------
    job_id : str

    Returns
    -------
    list of (str, str)
        Path and reason.
    """
    with _results(job_id) as results:
        return results.failures()


def notes(job_id):
    """What is to be told about the result of a job, as a list of sentences; empty without a result.

    Parameters
    ----------
    job_id : str

    Returns
    -------
    list of str
        For example that releases are mixed, or that the archive could not be asked.
    """
    try:
        found = json.loads((job(job_id).result / SETTINGS_NAME).read_text(encoding="utf-8"))["notes"]
    except (OSError, ValueError, LookupError, TypeError):  # there is none, or it is of an older version
        return []
    return [str(note) for note in found] if isinstance(found, list) else []


def log(job_id):
    """What the workers of a job have said, at most the last MiB; '' if nothing.

    Parameters
    ----------
    job_id : str

    Returns
    -------
    str
    """
    path = job(job_id).folder / LOG_NAME
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_BYTES))
            return file.read(_LOG_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


class JobWatch:
    """Notices changes of the jobs at next to no cost, for a display that is kept up to date.

    Use it in one thread, and close it.
    """

    def __init__(self):
        self._store = JobStore()
        self._seen = None
        self._alive = {}

    def close(self):
        """Close the store."""
        self._store.close()

    def changed(self):
        """Whether jobs have changed since the last call; yes, the first time.

        A worker that has died is noticed as well: `jobs` then says so.
        """
        seen = self._store.change_counter()
        if seen != self._seen:
            self._seen = seen
            self._alive = {found.id: found.folder for found in self._store.in_phase(Phase.EXECUTING)}
            return True
        dead = [job_id for job_id, folder in self._alive.items() if not lock.is_held(folder)]
        for job_id in dead:
            del self._alive[job_id]
        return bool(dead)
