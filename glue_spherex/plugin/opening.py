"""What the loaders of files share: files that are not there, columns as components, descriptions, missing values."""

import os

import numpy as np
from glue.core.component import CategoricalComponent, Component


def require_file(path, what):
    """Say in a sentence that a file is not there.

    Parameters
    ----------
    path : path-like
    what : str
        What the file should be, such as ``"spectrum"``.

    Raises
    ------
    FileNotFoundError
        If nothing is at this place.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(
            f"{os.path.abspath(path)}: there is no such file, so the {what} cannot be loaded. If it was moved or "
            "renamed, put it back, or into the folder of the session."
        )


def is_from(data, path):
    """Whether a dataset was loaded from a file.

    Parameters
    ----------
    data : glue.core.Data
    path : path-like

    Returns
    -------
    bool
    """
    log = getattr(data, "_load_log", None)
    return log is not None and os.path.realpath(log.path) == os.path.realpath(path)


def component_of(column):
    """A column of a table as a glue component.

    Parameters
    ----------
    column : Column, MaskedColumn or Quantity, shape (n,)

    Returns
    -------
    glue.core.component.Component
        Text as a categorical component, truth values as 0 and 1. Missing values are NaN, 0 or ''.
    """
    values = getattr(column, "value", column)
    if hasattr(values, "filled"):
        values = values.filled({"f": np.nan, "U": "", "S": b""}.get(values.dtype.kind, 0))
    values = np.asarray(values)
    if values.dtype.kind in "OUS":
        return CategoricalComponent(values.astype(str))
    if values.dtype.kind == "b":
        values = values.astype(np.int64)
    return Component(values, units=str(column.unit or ""))


def descriptions_of(table):
    """The descriptions of a table's columns, a dict of str, by name."""
    return {name: text for name in table.colnames if (text := table[name].info.description)}


def ranges_of(mask):
    """Where a mask is set.

    Parameters
    ----------
    mask : array_like of bool, shape (n,)

    Returns
    -------
    list of [start, stop]
        Half open, ascending.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(mask, dtype=np.int8), [0]])))
    return edges.reshape(-1, 2).tolist()


def in_ranges(ranges, n):
    """The reverse of `ranges_of`.

    Parameters
    ----------
    ranges : list of [start, stop]
    n : int

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    mask = np.zeros(n, dtype=bool)
    for start, stop in ranges:
        mask[start:stop] = True
    return mask
