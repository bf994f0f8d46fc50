"""Which sources a dataset holds, and which rows of it are shown."""

from typing import NamedTuple

import numpy as np

from ..columns import column_values
from ..sources import rows_by_source


class Sources(NamedTuple):
    """The sources of a dataset.

    ``code`` (n,) int: place of each row's source in the lists; ``keys``: the numbers of the sources; ``labels``: what
    they are called; ``counts``: how many rows they have.
    """

    code: np.ndarray
    keys: list
    labels: list
    counts: list


def sources_of(data):
    """The sources of a dataset.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    Sources
        In the order of their first rows; a dataset without whole numbers in ``source_id`` is one source, called as
        the dataset.
    """
    ids = column_values(data, "source_id")
    if ids is None or ids.dtype.kind not in "iu" or data.ndim != 1:
        return Sources(np.zeros(data.size, dtype=int), [0], [data.label], [data.size])
    found = rows_by_source(data)
    code = np.zeros(data.size, dtype=int)
    for place, source in enumerate(found):
        code[source.rows] = place
    labels = [source.label or f"source {source.source_id}" for source in found]
    return Sources(code, [int(s.source_id) for s in found], labels, [s.rows.size for s in found])


def shown_rows(sources, keys):
    """Which rows belong to chosen sources.

    Parameters
    ----------
    sources : Sources
    keys : list or None
        Keys of the sources; None for all.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    if keys is None:
        return np.ones(sources.code.size, dtype=bool)
    chosen = np.array([key in keys for key in sources.keys], dtype=bool)
    return chosen[sources.code] if chosen.size else np.zeros(sources.code.size, dtype=bool)
