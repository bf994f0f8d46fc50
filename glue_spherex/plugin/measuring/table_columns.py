"""The columns of a dataset of glue as those of a table."""

from dataclasses import replace

import numpy as np

from ...io.columns import FileColumn, FileTable, distinct


class TableColumn:
    """A component of a one-dimensional dataset, whose values are had when they are asked for.

    Parameters
    ----------
    data : glue.core.Data
    cid : glue.core.ComponentID
    name : str
        Its label, made unique within the dataset.

    Attributes
    ----------
    unit, ucd : str
    mask : None
    """

    is_array = False
    mask = None

    def __init__(self, data, cid, name):
        component = data.get_component(cid)
        self._data, self._cid = data, cid
        self.name = name
        self.unit = str(component.units or "")
        self.ucd = str((data.meta.get("ucds") or {}).get(cid.label, "")) if _has_ucds(data) else ""

    @property
    def values(self):
        """Numbers or text, shape (n,)."""
        values = np.asarray(self._data.get_data(self._cid))
        return values.astype(str) if values.dtype.kind in "OS" else values


def _has_ucds(data):
    return isinstance(data.meta.get("ucds"), dict)


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
    return [TableColumn(data, cid, name) for cid, name in zip(cids, distinct([cid.label for cid in cids]))]


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
