"""Sessions whose files were moved, lost or replaced since they were saved.

A session names its files, and the columns in them by their place. What can be put right is put right before glue
restores it; the rest is said in a sentence.
"""

import os

from glue.config import session_patch

from ..io.recognition import column_names
from ..model.spectrum import DISK_NAMES
from . import loader, target_data

_LOG = "glue.core.data_factories.helpers.LoadLog"
_PACKAGE = f"{__name__.partition('.')[0]}."
_TABLES = {f"{one.__module__}.{one.__name__}": one for one in
           (loader.load_spectrum, target_data.load_targets, target_data.load_images_table)}  # fmt: skip


@session_patch()
def mend_session(record):
    """Put right what a session says about our files; glue calls this before it restores a session.

    A file that is no longer at its place is looked for under its name in the folder of the session, which is the
    current one while glue restores it. If the columns of a table have another order than when the session was saved,
    they are found by their names.

    Parameters
    ----------
    record : dict
        What the session file holds; changed in place.

    Raises
    ------
    FileNotFoundError
        Naming every file that is nowhere.
    ValueError
        If a file no longer has a column that the session needs, naming both.
    """
    logs = {name: entry for name, entry in record.items() if _is_ours(entry)}
    missing = [os.path.abspath(entry["path"]) for entry in logs.values() if not _find(entry)]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of the session's SPHEREx files cannot be found: {', '.join(missing)}. Put them back, or "
            "beside the session file, and open the session again."
        )
    for entry in record.values():
        columns = _columns(record, entry)
        places = _places(record, entry, logs)
        if columns and len(places) == len(columns):
            _mend_places(places, columns, logs[places[0][1]["log"]])


def _is_ours(entry):
    if not isinstance(entry, dict) or entry.get("_type") != _LOG or not isinstance(entry.get("path"), str):
        return False
    factory = entry.get("factory")
    return isinstance(factory, dict) and str(factory.get("function", "")).startswith(_PACKAGE)


def _find(entry):
    """Whether the file of a log is at its place or, under its name, in the folder of the session."""
    if not os.path.exists(entry["path"]) and os.path.exists(os.path.basename(entry["path"])):
        entry["path"] = os.path.basename(entry["path"])
    return os.path.exists(entry["path"])


def _columns(record, entry):
    """The columns that a dataset of ours had when it was loaded; none for other entries."""
    meta = entry
    for key in ("meta", "st__spherex"):
        meta = meta.get(key) if isinstance(meta, dict) else None
        meta = record.get(meta) if isinstance(meta, str) else meta
        meta = meta.get("contents") if isinstance(meta, dict) else None
    columns = meta.get("st__columns") if isinstance(meta, dict) else None
    return columns if isinstance(columns, list) else []


def _places(record, entry, logs):
    """The components of a dataset that are columns of its file, in its order: label, and what the session records."""
    pairs = entry.get("components", ()) if isinstance(entry, dict) else ()
    places = [[record.get(name) for name in pair] for pair in pairs if isinstance(pair, list) and len(pair) == 2]
    kinds = "glue.core.component.Component", "glue.core.component.CategoricalComponent"
    return [
        (cid["label"], c)
        for cid, c in places
        if isinstance(c, dict) and c.get("_type") in kinds and c.get("log") in logs and "log_item" in c
    ]


def _mend_places(places, columns, log):
    """Point the components to where their columns are in the file now."""
    load, path = _TABLES.get(log["factory"]["function"]), os.path.abspath(log["path"])
    if load is None or (load is loader.load_spectrum and _as_before(log["path"], columns)):
        return
    table = load(log["path"], **dict(*log.get("kwargs", ())))
    now, first = [cid.label for cid in table.main_components], len(table.coordinate_components)
    lost = [name for name in columns if name not in now]
    if lost:
        raise ValueError(
            f"{path}: was replaced since the session was saved; the session needs its column "
            f"{', '.join(lost)}, and it has {', '.join(now)[:400]}. Put the former file back, or load the new one anew."
        )
    labels = [label for label, _ in places]
    if now == columns and not set(labels) <= set(columns):
        return  # their places are right, whatever they are called now
    names = _names(labels, columns)
    if None in names:
        raise ValueError(
            f"{path}: was replaced since the session was saved, in which columns were renamed and put in another order "
            "as well, so that they cannot be told apart. Put the former file back, or load the new one anew."
        )
    for name, (_, place) in zip(names, places):
        place["log_item"] = first + now.index(name)


def _names(labels, columns):
    """Which column each component is: that of its label or, if it was renamed, of its place; None if both fail."""
    known = set(columns).intersection(labels)
    return [label if label in known else None if column in known else column for label, column in zip(labels, columns)]


def _as_before(path, columns):
    """Whether a look at a spectrum file shows the columns in their former order."""
    memory = {disk: name for name, disk in DISK_NAMES.items()}
    now = [memory.get(name, name) for name in column_names(path)]
    return now == columns[: len(now)] and set(columns[len(now) :]) <= {"source_id"}
