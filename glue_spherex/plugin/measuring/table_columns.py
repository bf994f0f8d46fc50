"""The columns of a dataset of glue as those of a table."""

from dataclasses import replace

import numpy as np

from ...io.columns import FileColumn, FileTable, distinct
from ...io.recognition import column_ucds


class TableColumn:
    """A component of a one-dimensional dataset, whose values are had when they are asked for.

    Parameters
    ----------
    data : glue.core.Data
    cid : glue.core.ComponentID
    name : str
        Its label, made unique within the dataset.
    ucd : str, optional

    Attributes
    ----------
    unit : str
    """

    def __init__(self, data, cid, name, ucd=""):
        self._data, self._cid = data, cid
        self.name, self.ucd = name, ucd
        self.unit = str(data.get_component(cid).units or "")

    @property
    def values(self):
        """Numbers or text, shape (n,)."""
        values = np.asarray(self._data.get_data(self._cid))
        return values.astype(str) if values.dtype.kind in "OS" else values


def columns_of(data):
    """The columns of a table, derived ones last.

    Parameters
    ----------
    data : glue.core.Data
        One-dimensional.

    Returns
    -------
    list of TableColumn
        A label that occurs twice is ``label_2`` the second time.
    """
    cids = [*data.main_components, *data.derived_components]
    ucds = _ucds(data)
    names = distinct([cid.label for cid in cids])
    return [TableColumn(data, cid, name, ucds.get(cid.label, "")) for cid, name in zip(cids, names)]


def _ucds(data):
    """The UCDs in the file that a dataset was loaded from, by column; glue does not keep them."""
    path = getattr(getattr(data, "_load_log", None), "path", None)
    return column_ucds(path) if isinstance(path, str) else {}


def table_of(columns):
    """Some columns as a table.

    Parameters
    ----------
    columns : iterable of TableColumn

    Returns
    -------
    FileTable
    """
    return FileTable([FileColumn(c.name, c.values, unit=c.unit, ucd=c.ucd) for c in columns])


def rows_of(table, rows):
    """Some rows of a table.

    Parameters
    ----------
    table : FileTable
    rows : ndarray of int, shape (n,)

    Returns
    -------
    FileTable
    """
    return replace(table, columns=[replace(column, values=column.values[rows]) for column in table.columns])
