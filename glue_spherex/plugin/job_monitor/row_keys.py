"""Which measurement is which, when a spectrum grows or is written anew."""

from collections import Counter

import numpy as np

from ..columns import column_values

_SPECTRUM = ("source_id", "lvf_id", "mjd", "x_image", "y_image", "flux")
_TARGETS = ("source_id",)


def moved_rows(data, new):
    """Where the rows of a dataset are in another one that holds the same measurements, or sources.

    Parameters
    ----------
    data, new : glue.core.Data

    Returns
    -------
    ndarray of int, shape (n,)
        -1 where a row is not in `new`.
    """
    names = _SPECTRUM if column_values(new, "flux") is not None else _TARGETS
    places = {key: place for place, key in enumerate(_keys(new, names))}
    return np.array([places.get(key, -1) for key in _keys(data, names)], dtype=int)


def order_with_new_rows_last(moved, n):
    """In which order the rows of a dataset that has grown keep the numbers they had.

    Parameters
    ----------
    moved : ndarray of int, shape (m,)
        From `moved_rows`.
    n : int
        Number of rows there are now.

    Returns
    -------
    order : ndarray of int, shape (n,)
        Rows of the new dataset: the known ones in their order, then the others.
    moved : ndarray of int, shape (m,)
        Where the known rows are in this order; -1 if they are gone.
    """
    known = moved >= 0
    kept = moved[known]
    order = np.concatenate([kept, np.setdiff1d(np.arange(n), kept)])
    return order, np.where(known, np.cumsum(known) - 1, -1)


def _keys(data, names):
    """A key for each row; equal rows are counted."""
    values = np.zeros((data.size, len(names)))
    for place, name in enumerate(names):
        column = column_values(data, name)
        if column is not None and column.dtype.kind in "iufb":
            values[:, place] = column.astype(float)
    raw, size, seen, keys = values.tobytes(), 8 * len(names), Counter(), []
    for start in range(0, len(raw), size):
        key = raw[start : start + size]
        keys.append((key, seen[key]))
        seen[key] += 1
    return keys
