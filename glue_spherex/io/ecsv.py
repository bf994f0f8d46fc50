"""ECSV tables, as astropy reads and writes them."""

import warnings
from io import StringIO

import numpy as np

from .cells import text_array
from .columns import FileColumn, FileTable, described, json_like
from .errors import TableFileError
from .files import MAX_COLUMNS

_MAX_BYTES = 1 << 29  # astropy needs several times as much memory
_MAX_HEADER_BYTES = 1 << 20
_MAX_HEADER_DEPTH = 50


def read_ecsv(stream):
    """Read an ECSV table.

    Parameters
    ----------
    stream : binary file

    Returns
    -------
    FileTable
    """
    from astropy.table import Table

    content = stream.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise TableFileError(f"it has more than {_MAX_BYTES} bytes, too many for ECSV; use VOTable, FITS or Parquet")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableFileError(f"it is not UTF-8 text (byte {error.object[error.start]:#04x})") from None
    _check_header(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = Table.read(text.splitlines(), format="ascii.ecsv")
    return from_astropy(table)


def _check_header(text):
    """Bound what the YAML parser, which is slow and recursive, gets to see."""
    size = depth = columns = 0
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        size += len(line)
        columns += "name:" in line
        depth = max(depth, sum(map(line.count, "[{")), (len(line) - len(line[1:].lstrip())) // 2)
        if size > _MAX_HEADER_BYTES or depth > 40 * _MAX_HEADER_DEPTH:
            raise TableFileError(f"its header has more than {_MAX_HEADER_BYTES} bytes or is nested too deeply")
    if columns > MAX_COLUMNS:
        raise TableFileError(f"it has more than {MAX_COLUMNS} columns")


def from_astropy(table):
    """The columns of any table of astropy under their names; a column of coordinates becomes two of ICRS degrees."""
    columns = []
    for name in table.colnames:
        column = table[name]
        if hasattr(column, "icrs"):
            columns += _coordinates(name, column, table.colnames)
        else:
            columns.append(_column(name, column))
    return FileTable(columns, json_like(dict(table.meta)))


def _coordinates(name, coords, taken):
    icrs = coords.icrs
    names = [part if part not in taken else f"{name}_{part}" for part in ("ra", "dec")]
    return [FileColumn(n, np.asarray(v.deg), unit="deg") for n, v in zip(names, (icrs.ra, icrs.dec))]


def _column(name, column):
    mask = getattr(column, "mask", None)
    values = getattr(column, "unmasked", column)
    values = np.asarray(getattr(values, "value", values))
    if isinstance(column, np.ma.MaskedArray):
        values, mask = np.asarray(column.data), np.ma.getmaskarray(column)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8")
    elif values.dtype.kind not in "fiubU" or values.ndim > 1:
        values = text_array(["" if value is None else str(value) for value in values.tolist()])
    values, mask = _without_masks(values, mask if mask is not None and np.shape(mask) == values.shape else None)
    return described(name, values, mask, column.info)


def _without_masks(values, mask):
    """NaN and empty text for what is missing; a mask for integers and booleans only."""
    if mask is None or not np.any(mask):
        return values, None
    if values.dtype.kind == "f":
        return np.where(mask, values.dtype.type(np.nan), values), None
    if values.dtype.kind == "U":
        return np.where(mask, "", values), None
    return values, np.array(mask)


def write_ecsv(pieces, path):
    """Write a table as ECSV, with commas between its cells."""
    header = None
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        for number, piece in enumerate(pieces):
            if not number:
                out.write(_text(piece))
                continue
            piece = _plain(piece)
            header = header or _text(piece.rows(0, 0))
            out.write(_text(piece).removeprefix(header))
        if not pieces.n_rows:
            out.write(_text(pieces.head.rows(0, 0)))


def _plain(table):
    """The columns with nothing but their names: a short header, which takes no time."""
    return FileTable([FileColumn(column.name, column.values, column.mask) for column in table.columns])


def _text(table):
    out = StringIO()
    to_astropy(table).write(out, format="ascii.ecsv", delimiter=",")
    return out.getvalue()


def to_astropy(table):
    """A plain `~astropy.table.Table` with the columns and their names as they go to disk."""
    from astropy.table import Column, MaskedColumn, Table

    result = Table(meta=table.meta)
    for column in table.columns:
        about = {"unit": column.unit or None, "description": column.description or None}
        about["meta"] = {key: value for key in ("ucd", "utype") if (value := getattr(column, key))}
        if column.mask is None:
            result[column.name] = Column(column.values, **about)
        else:
            result[column.name] = MaskedColumn(column.values, mask=column.mask, **about)
    return result
