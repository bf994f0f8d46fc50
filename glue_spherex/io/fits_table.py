"""FITS binary tables (FITS Standard 4.0, section 7.3)."""

import json
import re
import warnings
from typing import NamedTuple

import numpy as np

from .cells import text_array
from .columns import FileColumn, FileTable, distinct
from .errors import TableFileError
from .files import MAX_COLUMNS

_BLOCK = 2880
_MAX_HEADER_BLOCKS = 2000
_MAX_HDUS = 200
_MAX_ROWS = 10**9
_META = "SPXMETA"  #: header card with the table's meta as JSON
_CODES = {"u1": "B", "i1": "I", "i2": "I", "u2": "J", "i4": "J", "u4": "K", "i8": "K", "f4": "E", "f8": "D"}
_STORED = {"B": "u1", "I": "i2", "J": "i4", "K": "i8", "E": "f4", "D": "f8"}


def read_fits(stream):
    """Read the binary tables of a FITS file.

    Parameters
    ----------
    stream : binary file

    Returns
    -------
    list of FileTable
        In the order of the file; text is decoded as UTF-8.
    """
    from astropy.io import fits

    _check_structure(stream)
    stream.seek(0)
    tables = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deviations from the standard that do not matter here
        with fits.open(stream, memmap=False, lazy_load_hdus=True) as hdus:
            for hdu in hdus:
                if isinstance(hdu, fits.BinTableHDU) and hdu.columns:
                    tables.append(_read_hdu(hdu))
    if not tables:
        raise TableFileError("it is a FITS file without a table")
    return tables


def _check_structure(stream):
    """Make sure that each header ends and that the data it announces are there."""
    stream.seek(0, 2)
    size = stream.tell()
    at = 0
    for _ in range(_MAX_HDUS):
        header, at = _header(stream, at)
        axes = [int(header.get(f"NAXIS{i}", 0)) for i in range(1, int(header.get("NAXIS", 0)) + 1)]
        elements = np.prod([float(n) for n in axes]) if axes else 0.0
        data = abs(int(header.get("BITPIX", 8))) / 8 * int(header.get("GCOUNT", 1))
        data *= elements + int(header.get("PCOUNT", 0))
        if "TFIELDS" in header:
            if int(header["TFIELDS"]) > MAX_COLUMNS:
                raise TableFileError(f"it has more than {MAX_COLUMNS} columns")
            if len(axes) == 2 and (axes[0] <= 0 < axes[1] or axes[1] > _MAX_ROWS):
                raise TableFileError(f"it announces {axes[1]} rows of {axes[0]} bytes")
        if min([*axes, data]) < 0 or at + data > size:
            raise TableFileError(f"it is truncated: a header announces {data:.0f} bytes at {at}, but it ends at {size}")
        at += -(-int(data) // _BLOCK) * _BLOCK
        if at >= size:
            return
        stream.seek(at)
        if not stream.read(8).startswith(b"XTENSION"):
            return  # padding after the last HDU
    raise TableFileError(f"it has more than {_MAX_HDUS} parts")


def _header(stream, at):
    """The cards that give a part's size, and where its data begin."""
    stream.seek(at)
    cards = {}
    for _ in range(_MAX_HEADER_BLOCKS):
        block = stream.read(_BLOCK)
        at += _BLOCK
        if len(block) < _BLOCK:
            break
        for i in range(0, _BLOCK, 80):
            card = block[i : i + 80]
            if card.rstrip() == b"END":
                return cards, at
            match = re.match(rb"(NAXIS\d*|BITPIX|[PG]COUNT|TFIELDS) *= *(-?\d{1,18})\b", card)
            if match:
                cards[match.group(1).decode()] = match.group(2).decode()
    raise TableFileError("it is truncated: a header has no end")


def _read_hdu(hdu):
    header = hdu.header
    # the bytes themselves: astropy's own view loses missing booleans and refuses text that is not ASCII
    raw = np.asarray(hdu.data.view(np.ndarray)) if len(hdu.data) else None
    columns = []
    for number, column in enumerate(hdu.columns, 1):
        values, mask = _values(hdu, raw, number, column)
        about = {
            "unit": (column.unit or "").strip(),
            "description": _description(header, number),
            "ucd": str(header.get(f"TUCD{number}", "")),
            "utype": str(header.get(f"TUTYP{number}", "")),
        }
        columns.append(FileColumn(column.name, values, mask, **about))
    for column, name in zip(columns, distinct([column.name for column in columns])):
        column.name = name
    return FileTable(columns, _meta(header))


def _values(hdu, raw, number, column):
    kind = re.match(r"\d*([A-Z])", column.format).group(1)
    if raw is None:
        return np.array([], dtype="U1" if kind == "A" else bool if kind == "L" else column.dtype.base), None
    stored = raw[raw.dtype.names[number - 1]]
    if kind == "A" and stored.ndim == 1:
        cells = [cell.decode("utf-8") for cell in np.char.rstrip(stored.astype("S"), b" ").tolist()]
        return text_array([cell.partition("\x00")[0] for cell in cells], f"column {column.name!r}"), None
    if kind == "L" and stored.ndim == 1:
        letters = stored.view("u1")
        none = letters == 0
        return letters == ord("T"), none if none.any() else None
    values = hdu.data.field(number - 1)
    if kind in "PQ" or values.ndim > 1:
        return [np.asarray(value).reshape(-1) for value in values], None
    values = np.asarray(values)
    values = values.astype(values.dtype.newbyteorder("="))
    if values.dtype.kind not in "iufb":
        return text_array([str(value) for value in values.tolist()]), None
    null = column.null
    mask = values == null if null not in (None, "") and values.dtype.kind in "iu" else None
    return values, mask if mask is not None and mask.any() else None


def _description(header, number):
    return str(header.get(f"TCOMM{number}", "") or header.get(f"TDESC{number}", ""))


def _meta(header):
    text = header.get(_META)
    if text is None:
        return {}
    meta = json.loads(text)
    return meta if isinstance(meta, dict) else {}


def write_fits(pieces, path):
    """Write a table as a FITS binary table; UCDs, UTYPEs and descriptions go to TUCDn, TUTYPn and TCOMMn."""
    kinds = [_Kind.of(column) for column in pieces.head.columns]
    layout = np.dtype([(column.name, kind.stored) for column, kind in zip(pieces.head.columns, kinds)])
    with open(path, "wb") as out:
        out.write(_written_headers(pieces, kinds))
        for piece in pieces:
            rows = np.zeros(piece.n_rows, dtype=layout)
            for column, kind in zip(piece.columns, kinds):
                rows[column.name] = kind.cells(column)
            out.write(rows.tobytes())
        out.write(bytes(-pieces.n_rows * layout.itemsize % _BLOCK))


def _written_headers(pieces, kinds):
    """The headers of the file: of nothing, and of the table."""
    from astropy.io import fits

    head = pieces.head
    columns = [
        fits.Column(name=column.name, format=kind.code, unit=column.unit or None, null=kind.null)
        for column, kind in zip(head.columns, kinds)
    ]
    header = fits.BinTableHDU.from_columns(columns, name="SPECTRA").header
    header["NAXIS2"] = pieces.n_rows
    for number, column in enumerate(head.columns, 1):
        for word, text in (("TCOMM", column.description), ("TUCD", column.ucd), ("TUTYP", column.utype)):
            if text:
                header[f"{word}{number}"] = _ascii(text)
    if head.meta:
        header[_META] = json.dumps(head.meta).replace("'", "\\u0027")  # a quote may fall on a card's border
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        return b"".join(part.tostring().encode("ascii") for part in (fits.PrimaryHDU().header, header))


class _Kind(NamedTuple):
    """How a column is stored: its format in FITS and in numpy, and the number that stands for a missing value."""

    code: str
    stored: str
    null: int | None = None

    @classmethod
    def of(cls, column):
        kind = column.values.dtype.kind
        if kind == "U":
            width = max((len(text.encode()) for text in column.values.tolist()), default=0) or 1
            return cls(f"{width}A", f"S{width}")
        if kind == "b":
            return cls("L", "S1")
        code = _CODES[column.values.dtype.str[1:]]
        stored = f">{_STORED[code]}"
        return cls(code, stored, None if column.mask is None else _unused(column.values, stored, column.mask))

    def cells(self, column):
        """The values of a column of this kind as they are stored."""
        values, kind = column.values, column.values.dtype.kind
        if kind == "U":
            values = np.array([text.encode() for text in values.tolist()], dtype="S")
            if values.itemsize > np.dtype(self.stored).itemsize:
                raise TableFileError(f"column {column.name!r} holds a text that is longer than all in its head")
        elif kind == "b":
            values = np.where(values, b"T", b"F")  # and nothing, a NUL, for a missing one
        if column.mask is None:
            return values
        if kind != "b" and self.null is None:
            raise TableFileError(f"column {column.name!r} has missing values, but its head has none")
        return np.where(column.mask, b"" if kind == "b" else values.dtype.type(self.null), values)


def _unused(values, stored, mask):
    """A number that can stand for "no value", because no value is equal to it."""
    limits = np.iinfo(stored)
    present = set(values[~mask].tolist())
    for null in (limits.min, limits.max, -1, -999, *range(limits.min + 1, limits.min + 1000)):
        if limits.min <= null <= limits.max and null not in present:
            return null
    raise TableFileError("a column of integers leaves no number to stand for missing values")


def _ascii(text):
    return text.encode("ascii", "replace").decode()
