"""The columns of a file between its format and the table in memory.

Every reader returns `FileTable`, every writer takes one; names, units and types of the schema are applied here, once.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from ..model.spectrum import COLUMN, DISK_NAMES
from .cells import MAX_TEXT_BYTES, bools_from_text, floats_from_text, ints_from_text, text_array
from .errors import TableFileError

_MEMORY_NAMES = {disk: name for name, disk in DISK_NAMES.items()}
_MAX_META_ITEMS = 100_000


@dataclass
class FileColumn:
    """One column of a file.

    Attributes
    ----------
    name : str
    values : ndarray, shape (n,), or list of n ndarrays
        Floats (NaN where there is no value), integers, booleans or text; a list if each row holds an array.
    mask : ndarray of bool, shape (n,), optional
        True where an integer or boolean has no value.
    unit, description, ucd, utype : str
        Empty if unknown.
    """

    name: str
    values: object
    mask: np.ndarray | None = None
    unit: str = ""
    description: str = ""
    ucd: str = ""
    utype: str = ""

    @property
    def is_array(self):
        """Whether each row holds an array."""
        return isinstance(self.values, list)


@dataclass
class FileTable:
    """What a file holds.

    Attributes
    ----------
    columns : list of FileColumn
        In the order of the file.
    meta : dict
        What the file says beside its columns.
    spectrum_names : frozenset of str
        Columns that the file declares to make up a spectrum.
    untyped : bool
        Whether every column is text because its type has not been looked for.
    ragged : dict of int to str
        0-based rows whose number of cells is not that of the columns, and what is wrong; cells that are missing are
        empty, cells too many are left out.
    """

    columns: list[FileColumn]
    meta: dict = field(default_factory=dict)
    spectrum_names: frozenset = frozenset()
    untyped: bool = False
    ragged: dict = field(default_factory=dict)

    @property
    def names(self):
        """Names of the columns."""
        return [column.name for column in self.columns]

    @property
    def n_rows(self):
        """Number of rows."""
        return len(self.columns[0].values) if self.columns else 0

    def rows(self, begin, end):
        """The rows from `begin` to `end` - 1."""
        here = slice(begin, end)
        columns = [
            replace(column, values=column.values[here], mask=None if column.mask is None else column.mask[here])
            for column in self.columns
        ]
        return replace(self, columns=columns)


def concatenate(blocks, where="a column"):
    """One array from blocks of rows, with the bound of `text_array`."""
    if len(blocks) == 1:
        return blocks[0]
    if blocks[0].dtype.kind == "U":
        rows, width = sum(map(len, blocks)), max(block.itemsize for block in blocks)
        if rows * width > MAX_TEXT_BYTES:
            raise TableFileError(f"{where} holds a text of {width // 4} characters, too long for {rows} rows")
    return np.concatenate(blocks)


def distinct(names):
    """The names, with _2, _3 … added to those that occur again."""
    taken, seen, result = set(names), Counter(), []
    for name in names:
        seen[name] += 1
        new = name
        while seen[name] > 1 and new in taken:
            new = f"{name}_{seen[name]}"
            seen[name] += new in taken
        taken.add(new)
        result.append(new)
    return result


# -- the schema -------------------------------------------------------------------------------------------------------


def listed(names, most=400):
    """Names of columns for a message, without cutting one of them.

    Parameters
    ----------
    names : list of str
    most : int
        Characters after which the rest is only counted; a name that is longer alone is given with its middle left out.

    Returns
    -------
    str
        ``"ra, dec and 71 more"``.
    """
    names = [name if len(name) <= 80 else f"{name[:40]}…{name[-39:]}" for name in names]
    lengths = [len(name) + 2 for name in names]
    shown = sum(sum(lengths[: k + 1]) - 2 <= most for k in range(len(names))) if sum(lengths) > most else len(names)
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest:,} more" if rest else "")


def in_schema(table):
    """The columns with the names, types, units and descriptions of the spectrum table.

    Types of known columns are those of the schema; units, descriptions and UCDs only fill what the file left empty.

    Raises
    ------
    TableFileError
        If wavelength or flux is missing, or a column cannot have its type.
    """
    names = [_MEMORY_NAMES.get(name, name) for name in table.names]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise TableFileError(f"it has more than one column for {', '.join(twice)}: {', '.join(table.names)}")
    missing = [DISK_NAMES.get(name, name) for name in ("wavelength", "flux") if name not in names]
    if missing:
        raise TableFileError(
            f"it has no column {' and no column '.join(missing)}, which a spectrum needs; "
            f"its columns are {listed(table.names)}"
        )
    columns = [_typed(replace(column, name=name)) for column, name in zip(table.columns, names)]
    return replace(table, columns=columns)


def _typed(column):
    spec = COLUMN.get(column.name)
    if spec is None:
        return column
    convert = {"float": _as_float, "int": _as_int, "bool": _as_bool, "text": _as_text}[spec.dtype]
    if column.name == "source_id" and column.values.dtype.kind == "U":
        convert = _as_text  # the file's own identifiers
    try:
        values, mask = convert(column.values, column.mask)
    except TableFileError as error:
        raise TableFileError(f"column {column.name!r}: {error}") from None
    return replace(
        column,
        values=values,
        mask=mask,
        unit=column.unit or spec.unit,
        description=column.description or spec.description,
        ucd=column.ucd or spec.ucd,
    )


def _as_float(values, mask):
    if values.dtype.kind == "U":
        return floats_from_text(values.tolist()), None
    if values.dtype.kind != "f":
        values = values.astype(float)
        if mask is not None:
            values[mask] = np.nan
    return values, None


def _as_int(values, mask):
    if values.dtype.kind == "U":
        return ints_from_text(values.tolist())
    if values.dtype.kind == "f":
        mask = np.isnan(values) if mask is None else mask | np.isnan(values)
        filled = np.where(mask, 0, values)
        broken = (filled != np.floor(filled)) | (np.abs(filled) >= 2.0**63)
        if broken.any():
            raise TableFileError(f"{filled[broken][0]} is not a whole number of 64 bits (row {np.argmax(broken) + 1})")
        values = filled
    elif values.dtype == np.uint64 and (values >= 2**63).any():
        raise TableFileError(f"{values.max()} is not a whole number of 64 bits")
    return values.astype(np.int64, copy=False), mask if mask is not None and mask.any() else None


def _as_bool(values, mask):
    if values.dtype.kind == "b":
        return values, mask
    if values.dtype.kind == "U":
        return bools_from_text(values.tolist())
    values, mask = _as_int(values, mask)
    if not np.isin(values, (0, 1)).all():
        raise TableFileError(f"{values[~np.isin(values, (0, 1))][0]} is neither true nor false")
    return values.astype(bool), mask


def _as_text(values, mask):
    if values.dtype.kind == "U":
        return values, None
    cells = [str(v) for v in values.tolist()]
    if mask is not None:
        cells = ["" if no else cell for cell, no in zip(cells, mask)]
    return text_array(cells), None


# -- tables in memory -------------------------------------------------------------------------------------------------


def to_qtable(table):
    """The table in memory.

    Returns
    -------
    QTable
        Floats with a unit are quantities and hold NaN where there is no value; integers and booleans with missing
        values are masked columns; ``info.meta`` of a column holds its UCD and UTYPE.
    """
    import astropy.units as u
    from astropy.table import Column, MaskedColumn, QTable
    from astropy.utils.masked import Masked

    result = QTable(meta=dict(table.meta))
    for column in table.columns:
        unit = _unit(column.unit)
        if unit is None or column.values.dtype.kind == "U":
            kind = Column if column.mask is None else MaskedColumn
            result[column.name] = kind(column.values, **({} if column.mask is None else {"mask": column.mask}))
        elif column.values.dtype.kind == "f":
            result[column.name] = Column(column.values, unit=unit)
        else:
            whole = u.Quantity(column.values, unit, dtype=column.values.dtype)  # without dtype it becomes float
            result[column.name] = whole if column.mask is None else Masked(whole, mask=column.mask)
        info = result[column.name].info
        info.description = column.description or None
        extra = {key: value for key in ("ucd", "utype") if (value := getattr(column, key))}
        if extra:
            info.meta = extra
    return result


def _unit(text):
    """The unit of a text in any of the usual spellings, or None."""
    import warnings

    import astropy.units as u

    text = text.strip()
    if not text or text in ("-", "--", "None"):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)  # outdated spellings are read all the same
        for spelling in ("generic", "vounit", "fits", "cds", "ogip"):
            try:
                return u.Unit(text, format=spelling)
            except ValueError:
                continue
    return u.Unit(text, parse_strict="silent")


def from_table(table):
    """The columns of a table in memory, by their names on disk.

    Parameters
    ----------
    table : Table
        Columns of one dimension: numbers, quantities, booleans, text.

    Raises
    ------
    TableFileError
        If a column is of another kind.
    """
    columns = [_from_column(name, table[name]) for name in table.colnames]
    disk = [replace(column, name=DISK_NAMES.get(column.name, column.name)) for column in columns]
    return FileTable(disk, json_like(dict(table.meta)))


def _from_column(name, column):
    info = column.info
    mask = getattr(column, "mask", None)
    values = getattr(column, "unmasked", column)
    values = np.asarray(values.value if hasattr(values, "to_value") and hasattr(values, "unit") else values)
    if isinstance(column, np.ma.MaskedArray):
        values, mask = np.asarray(column.data), np.ma.getmaskarray(column)
    mask = None if mask is None else np.broadcast_to(np.asarray(mask, dtype=bool), values.shape)
    if hasattr(column, "jd1") or hasattr(column, "frame") or values.ndim != 1 or values.dtype.kind not in "fiubUSO":
        raise TableFileError(
            f"column {name!r} is a {type(column).__name__} of shape {values.shape} and type {values.dtype}; "
            "numbers, booleans and text with one value per row can be written"
        )
    return described(name, *_plain(values, mask), info)


def described(name, values, mask, info):
    """A column with the unit, description, UCD and utype that astropy keeps in ``info``."""
    meta = info.meta or {}
    return FileColumn(
        name,
        values,
        mask,
        unit="" if info.unit is None else unit_text(info.unit),
        description=info.description or "",
        ucd=str(meta.get("ucd") or ""),
        utype=str(meta.get("utype") or ""),
    )


def _plain(values, mask):
    kind = values.dtype.kind
    if kind in "SO":
        values, kind = text_array([_text(value) for value in values]), "U"
    if kind == "f":
        values = values.astype(values.dtype.newbyteorder("="), copy=mask is not None)
        if mask is not None:
            values[mask] = np.nan
        return (values if values.dtype in (np.float32, np.float64) else values.astype(float)), None
    if kind == "U":
        return (values if mask is None else np.where(mask, "", values)), None
    if values.dtype == np.uint64:
        values, mask = _as_int(values, mask)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return values, mask if mask is not None and mask.any() else None


def _text(value):
    if value is None or value is np.ma.masked:
        return ""
    return value.decode() if isinstance(value, bytes) else str(value)


def unit_text(unit):
    """A unit as VOTable, FITS and astropy all read it, such as ``MJy / sr``."""
    text = unit.to_string()
    return "pix" if text == "pixel" else text


def json_like(value, _count=None):
    """The value with nothing in it but dictionaries, lists, text, numbers, booleans and None.

    Raises
    ------
    TableFileError
        If it is nested or repeated beyond all measure.
    """
    count = _count if _count is not None else [0]
    count[0] += 1
    if count[0] > _MAX_META_ITEMS:
        raise TableFileError(f"what it says beside its columns has more than {_MAX_META_ITEMS} items")
    if isinstance(value, dict):
        return {str(key): json_like(item, count) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_like(item, count) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value if type(value) in (bool, int, float, str, type(None)) else _base_type(value)
    if isinstance(value, np.generic | np.ndarray):
        return json_like(value.tolist(), count)
    return str(value)


def _base_type(value):
    kind = next(kind for kind in (bool, int, float, str) if isinstance(value, kind))
    return kind(value)
