"""Which rows of a spectrum belong to which source."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from .columns import source_numbers
from .targets import sources_in


@dataclass(frozen=True, eq=False)
class SourceRows:
    """A source of a spectrum and its rows.

    Attributes
    ----------
    source_id : int
    label : str
        Its name, unique within the dataset.
    ra, dec : float
        Position in its first row, deg; NaN where there is none.
    rows : ndarray of int, shape (n,)
        In the order of the dataset.
    """

    source_id: int
    label: str
    ra: float
    dec: float
    rows: np.ndarray


def rows_by_source(data):
    """The sources of a spectrum with their rows, in the order of their first rows.

    Parameters
    ----------
    data : glue.core.Data
        Datasets without ``source_id`` are one source, number 0.

    Returns
    -------
    list of SourceRows
        Empty for a dataset without rows.
    """
    sources, ids = sources_in(data), source_numbers(data)
    order = np.argsort(ids, kind="stable")
    starts = np.searchsorted(ids[order], sources.ids, side="left")
    stops = np.searchsorted(ids[order], sources.ids, side="right")
    names = sources.labels.tolist()
    times = Counter(names)
    found = []
    for number, name in enumerate(names):
        source_id = int(sources.ids[number])
        if not name or times[name] > 1:
            name = f"{name} (source {source_id})" if name else f"source {source_id}"
        place = float(sources.ra[number]), float(sources.dec[number])
        found.append(SourceRows(source_id, name, *place, order[starts[number] : stops[number]]))
    return found


def source_with_rows(data, source_id=None):
    """One source of a spectrum.

    Parameters
    ----------
    data : glue.core.Data
    source_id : int or str, optional
        Its number, or its name; the first source by default.

    Returns
    -------
    SourceRows

    Raises
    ------
    ValueError
        If the dataset has no such source, or no rows.
    """
    found = rows_by_source(data)
    for source in found:
        if source_id is None or source_id in (source.source_id, source.label):
            return source
    if not found:
        raise ValueError(f"{data.label!r} has no rows, so there is no source to look at.")
    known = ", ".join(f"{source.source_id} ({source.label})" for source in found[:10])
    raise ValueError(f"{data.label!r} has no source {source_id!r}; its sources are {known}.")


def source_of_row(data, row):
    """The number of the source that a row belongs to; None for a row that does not exist."""
    return int(source_numbers(data)[row]) if 0 <= row < data.size else None
