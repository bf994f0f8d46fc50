"""From a row per source with arrays to a row per measurement."""

from dataclasses import replace

import numpy as np

from .cells import MAX_TEXT_BYTES, text_array
from .columns import FileTable
from .errors import TableFileError


def long_form(table):
    """A table with a row per measurement.

    Columns with an array per source become columns with its elements; of columns with a value per source, each value
    is repeated. Sources without a measurement have no row; their number goes to ``meta["n_sources_without_data"]``.

    Parameters
    ----------
    table : FileTable
        A table with arrays is taken for one row per source, any other is returned as it is.

    Returns
    -------
    FileTable

    Raises
    ------
    TableFileError
        If the arrays of one source differ in length.
    """
    arrays = [column for column in table.columns if column.is_array]
    if not arrays:
        return table
    listed = [column for column in arrays if column.name in table.spectrum_names]
    measured = listed or arrays
    counts = _counts(measured)
    names = {column.name for column in measured}
    columns = []
    for column in table.columns:
        fits = column.is_array and all(len(array) in (0, n) for array, n in zip(column.values, counts))
        if column.name in names or fits:
            columns.append(_joined(column, counts))
        elif column.is_array:
            text = text_array([" ".join(map(str, array.tolist())) for array in column.values])
            columns.append(_repeated(replace(column, values=text), counts))
        else:
            packed = column.name in table.spectrum_names and _unpacked(column, counts)
            columns.append(packed or _repeated(column, counts))
    meta = dict(table.meta)
    if (counts == 0).any():
        meta["n_sources_without_data"] = int((counts == 0).sum())
    return FileTable(columns, meta)


def _counts(columns):
    """Measurements of each source, shape (n_sources,)."""
    lengths = np.array([[len(array) for array in column.values] for column in columns])
    counts = lengths.max(axis=0) if lengths.size else np.zeros(0, dtype=int)
    wrong = (lengths != counts) & (lengths != 0)
    for i, column in enumerate(columns):
        if column.values and isinstance(column.values[0], np.ndarray) and column.values[0].dtype.kind == "U":
            wrong[i] &= lengths[i] > counts  # padding at the end of packed strings may be gone
    if wrong.any():
        i, row = np.argwhere(wrong)[0]
        longest = columns[int(np.argmax(lengths[:, row]))].name
        raise TableFileError(
            f"row {row + 1}: column {columns[i].name!r} has {lengths[i, row]} values, {longest!r} has {counts[row]}"
        )
    return counts


def _joined(column, counts):
    """The elements of all arrays, one below the other."""
    blocks = [_filled(array, n) for array, n in zip(column.values, counts)]
    if not blocks:
        return replace(column, values=np.array([], dtype=float), mask=None)
    if blocks[0].dtype.kind == "U":
        return replace(column, values=text_array([t for b in blocks for t in b.tolist()], repr(column.name)), mask=None)
    joined = np.ma.concatenate(blocks)
    mask = np.ma.getmaskarray(joined)
    return replace(column, values=np.asarray(joined.data), mask=mask if mask.any() else None)


def _filled(array, count):
    """The array, with missing values at its end."""
    missing = int(count) - len(array)
    if not missing:
        return array
    if array.dtype.kind == "U":
        return np.concatenate([array, np.full(missing, "", dtype="U1")])
    if array.dtype.kind == "f":
        return np.concatenate([array, np.full(missing, np.nan, dtype=array.dtype)])
    tail = np.ma.masked_all(missing, dtype=array.dtype)
    return np.ma.concatenate([array, tail])


def _repeated(column, counts):
    size = column.values.itemsize * int(counts.sum())
    if size > MAX_TEXT_BYTES:
        raise TableFileError(f"column {column.name!r}, repeated for each measurement, needs {size} bytes")
    mask = None if column.mask is None else np.repeat(column.mask, counts)
    return replace(column, values=np.repeat(column.values, counts), mask=mask)


def _unpacked(column, counts):
    """A text column of the spectrum whose texts are lists of words, one per measurement; None if they are not."""
    if column.values.dtype.kind != "U" or not (counts > 1).any():
        return None
    words = [text.split() for text in column.values.tolist()]
    if any(len(w) != n for w, n in zip(words, counts)):
        return None
    return replace(column, values=text_array([word for w in words for word in w], repr(column.name)))
