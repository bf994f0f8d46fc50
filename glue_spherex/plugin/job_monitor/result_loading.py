"""The result of a job in glue: loaded once, and linked to its targets."""

import os

from glue.core.data_factories import load_data

from ... import jobs as desk
from ...jobs import JobError
from ..columns import kind_of, plugin_meta
from ..links import link_all
from ..loader import load_spectrum
from ..opening import is_from
from ..target_data import load_targets
from .replacing import replace_values
from .row_keys import moved_rows
from .texts import is_preview_label, short

#: A result with more measurements than this is loaded only if somebody asks for it.
MOST_ROWS = 500_000
_TARGETS_NAME = "targets.ecsv"


def read_result(job_id, loaded=()):
    """Read the files of a result, in any thread; `load_result` then takes no time.

    Parameters
    ----------
    job_id : str
    loaded : collection of (str, list), optional
        From `loaded_files`: these are not read again.

    Returns
    -------
    dict of tuple to glue.core.Data
        By path and state of the file.

    Raises
    ------
    JobError, SpectrumFileError
        As in `load_result`.
    """
    folder = desk.result_folder(job_id)
    files = [("spectrum", spectra_path(folder), load_spectrum), ("targets", folder / _TARGETS_NAME, load_targets)]
    return {
        _state(path): load_data(str(path), factory=factory)
        for kind, path, factory in files
        if path.exists() and (kind, _written(path)) not in loaded
    }


def loaded_files(data_collection, job_id):
    """Which files of a result are loaded, in which state.

    Parameters
    ----------
    data_collection : glue.core.DataCollection
    job_id : str

    Returns
    -------
    list of (str, list)
        Kind of the dataset, and what tells whether its file has been written again.
    """
    kinds = ("spectrum", "targets")
    return [(kind, plugin_meta(data_of_job(data_collection, job_id, kind)).get("written")) for kind in kinds]


def load_result(data_collection, job_id, read=None):
    """Load the spectra of a completed job with its targets, linked.

    Parameters
    ----------
    data_collection : glue.core.DataCollection
    job_id : str
    read : dict, optional
        From `read_result`; what is not in it is read here.

    Returns
    -------
    glue.core.Data
        The spectra. If they are loaded already they are not loaded again; if the file has been written anew since, or
        a preview of the job is shown, that dataset gets the values of the file.

    Raises
    ------
    JobError
        If there is no such job, it has no result, or its files are gone.
    SpectrumFileError
        If the file of spectra cannot be read.
    """
    folder = desk.result_folder(job_id)
    job = desk.job(job_id)
    title = short(job.title, 60)
    spectra = _load(data_collection, job, "spectrum", spectra_path(folder), load_spectrum, title, read)
    targets = folder / _TARGETS_NAME
    if targets.exists():
        _load(data_collection, job, "targets", targets, load_targets, f"targets of {title}", read)
    link_all(data_collection)
    return spectra


def spectra_path(folder):
    """The file with all spectra of a result folder.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Path

    Raises
    ------
    JobError
        If there is none.
    """
    from ...photometry.output import EXTENSIONS

    for extension in EXTENSIONS.values():
        if (folder / f"spectra{extension}").exists():
            return folder / f"spectra{extension}"
    raise JobError(f"the spectra are no longer in the result folder {str(folder)!r}; run the job again.")


def data_of_job(data_collection, job_id, kind="spectrum", path=None):
    """A dataset that was loaded from a job, or is a preview of it.

    Parameters
    ----------
    data_collection : glue.core.DataCollection
    job_id : str
    kind : {"spectrum", "targets"}
    path : Path, optional
        A dataset that was opened from this file counts as well.

    Returns
    -------
    glue.core.Data or None
    """
    ours = [data for data in data_collection if kind_of(data) == kind]
    named = [data for data in ours if plugin_meta(data).get("job") == job_id]
    return next(iter(named or [data for data in ours if path is not None and is_from(data, path)]), None)


def is_large(job):
    """Whether a result is too large to be loaded without being asked for."""
    return job.measurements > MOST_ROWS


def is_preview(data):
    """Whether a dataset is the spectrum of a job as far as it is measured."""
    return bool(plugin_meta(data).get("running"))


def _load(data_collection, job, kind, path, factory, label, read):
    known = data_of_job(data_collection, job.id, kind, path)
    ours = {"job": job.id, "written": _written(path)}
    if known is not None and not is_preview(known) and plugin_meta(known).get("written") in (None, ours["written"]):
        known.meta["spherex"] |= ours  # it may have been opened by hand
        return known
    loaded = (read or {}).get(_state(path))
    if loaded is None:
        loaded = load_data(str(path), factory=factory)
    loaded.meta["spherex"] |= ours
    if known is None:
        loaded.label = label
        data_collection.append(loaded)
        return loaded
    replace_values(known, loaded, moved_rows(known, loaded))
    if is_preview_label(known.label, job):
        known.label = label
    return known


def _state(path):
    return str(path), *_written(path)


def _written(path):
    """What differs if a file has been written again, JSON-like."""
    about = os.stat(path)
    return [about.st_mtime_ns, about.st_size]
