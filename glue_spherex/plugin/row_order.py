"""In which order the measurements of a source are stepped through: by wavelength or by time."""

import numpy as np

from .columns import column_values

#: The column that each order sorts by.
ORDERS = {"wavelength": "wavelength", "time": "mjd"}


def rows_of_source(data, row):
    """The rows that belong to the same source as a row.

    Parameters
    ----------
    data : glue.core.Data
    row : int
        0-based.

    Returns
    -------
    ndarray of int, shape (n,)
        In the order of the dataset; all rows where the dataset does not tell sources apart.
    """
    sources = column_values(data, "source_id")
    if sources is None:
        sources = column_values(data, "label")
    if sources is None:
        return np.arange(data.size)
    return np.flatnonzero(sources == sources[row])


def ordered_rows(data, row, by="wavelength"):
    """The rows of a source in the order of stepping.

    Parameters
    ----------
    data : glue.core.Data
    row : int
        0-based; any row of the source.
    by : {"wavelength", "time"}
        Time is the column ``mjd``.

    Returns
    -------
    ndarray of int, shape (n,)
        Rows with a finite wavelength (or time), ties in the order of the dataset. Without the column: all rows of the
        source in the order of the dataset.

    Raises
    ------
    ValueError
        If the row or the order does not exist.
    """
    if by not in ORDERS:
        raise ValueError(f"row order: {by!r} is not an order; allowed are {', '.join(ORDERS)}.")
    if not 0 <= row < data.size:
        raise ValueError(f"row order: {row} is not a row of {data.label!r}, whose rows are 0 to {data.size - 1}.")
    rows = rows_of_source(data, row)
    keys = column_values(data, ORDERS[by])
    if keys is None or keys.dtype.kind not in "iuf":
        return rows
    keys = keys[rows].astype(float)
    finite = np.isfinite(keys)
    return rows[finite][np.argsort(keys[finite], kind="stable")]


def step(data, row, by="wavelength", n=1):
    """The row that lies some steps away.

    Parameters
    ----------
    data : glue.core.Data
    row : int
        0-based; where to start.
    by : {"wavelength", "time"}
    n : int
        Steps; negative ones go back. Steps beyond either end stop there.

    Returns
    -------
    int
        A row of the same source. A start without wavelength (or time) leads to the first row of the order; a source
        without any stays where it is.
    """
    rows = ordered_rows(data, row, by)
    if rows.size == 0:
        return int(row)
    places = np.flatnonzero(rows == row)
    if places.size == 0:
        return int(rows[0])
    return int(rows[np.clip(places[0] + n, 0, rows.size - 1)])
