"""The columns of a VOTable as its FIELD elements declare them, and how their cells are decoded.

IVOA VOTable 1.4 (Ochsenbein et al. 2019), sections 2.1 (types and array sizes), 5 (serialisations).
"""

import re
from dataclasses import dataclass

import numpy as np

from .cells import bools_from_text, floats_from_text, ints_from_text, text_array
from .columns import FileColumn, concatenate
from .errors import TableFileError

#: numpy codes (big-endian, as BINARY stores them) of the types with one number per element.
NUMBERS = {
    "unsignedByte": "u1",
    "short": ">i2",
    "int": ">i4",
    "long": ">i8",
    "float": ">f4",
    "double": ">f8",
}
TYPES = {*NUMBERS, "bit", "boolean", "char", "unicodeChar", "floatComplex", "doubleComplex"}
_ENTITY = re.compile(r"&(?:(lt|gt|amp|quot|apos)|#([0-9]{1,7})|#x([0-9a-fA-F]{1,6}));")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}


@dataclass
class Field:
    """One FIELD.

    Attributes
    ----------
    name, identifier, datatype, unit, description, ucd, utype : str
    width : int
        Characters of each string of an array of strings; 0 for every other type.
    count : int or None
        Elements per cell (characters of a text); None if it varies.
    is_array : bool
        Whether a cell holds more than one value.
    null : str
        The number that stands for "no value", if one is declared.
    """

    name: str
    identifier: str
    datatype: str
    unit: str = ""
    description: str = ""
    ucd: str = ""
    utype: str = ""
    width: int = 0
    count: int | None = 1
    is_array: bool = False
    null: str = ""

    @classmethod
    def from_attributes(cls, attributes, number):
        """A field from the attributes of its element; `number` counts from 0."""
        name = attributes.get("name") or attributes.get("ID") or f"column_{number}"
        datatype = attributes.get("datatype", "char")
        if datatype not in TYPES:
            raise TableFileError(f"column {name!r} has the datatype {datatype!r}; known are {', '.join(sorted(TYPES))}")
        texts = {key: attributes.get(key, "") for key in ("unit", "ucd", "utype")}
        new = cls(name, attributes.get("ID", ""), datatype, **texts)
        new._set_size(attributes.get("arraysize", "").strip())
        return new

    def _set_size(self, arraysize):
        if not arraysize:
            sizes = []
        elif re.fullmatch(r"(\d{1,9}x)*(\d{1,9}\*?|\*|)", arraysize):
            sizes = [size or "*" for size in arraysize.split("x")]  # "54x" is seen as well as "54x*"
        else:
            raise TableFileError(f"column {self.name!r} has the arraysize {arraysize!r}, such as '54', '*' or '54x*'")
        varies = bool(sizes) and sizes[-1].endswith("*")
        total = int(np.prod([float(size.rstrip("*") or 1) for size in sizes])) if sizes else 1
        if self.is_text:
            self.is_array = len(sizes) > 1
            self.width = int(sizes[0]) if self.is_array else 0
        else:
            pair = 2 if self.datatype.endswith("Complex") else 1
            total *= pair
            self.is_array = varies or total > 1
        if total > 1e8 or (self.is_array and self.is_text and self.width == 0):
            raise TableFileError(f"column {self.name!r} has the arraysize {arraysize!r}")
        self.count = None if varies else total

    @property
    def is_text(self):
        """Whether the cells hold characters."""
        return self.datatype in ("char", "unicodeChar")

    @property
    def is_truth(self):
        """Whether the cells hold true and false."""
        return self.datatype in ("boolean", "bit")

    @property
    def element(self):
        """The numpy dtype of one element in BINARY."""
        if self.is_text:
            return np.dtype("S1" if self.datatype == "char" else "S2")
        if self.is_truth:
            return np.dtype("S1" if self.datatype == "boolean" else "u1")
        return np.dtype({"floatComplex": ">f4", "doubleComplex": ">f8"}.get(self.datatype) or NUMBERS[self.datatype])

    # -- cells of TABLEDATA ---------------------------------------------------------------------------------------

    def from_cells(self, cells):
        """Values and mask (or None) of many cells; a list of arrays if the cells hold arrays."""
        try:
            if self.is_array:
                return [self._array(cell) for cell in cells], None
            return self._scalars(cells)
        except TableFileError as error:
            raise TableFileError(f"column {self.name!r}: {error}") from None

    def _scalars(self, cells):
        if self.is_text:
            return text_array([unescape(cell) for cell in cells]), None
        if self.is_truth:
            return bools_from_text(cells)
        values, mask = (floats_from_text(cells), None) if self.element.kind == "f" else ints_from_text(cells)
        return self.without_nulls(self._native(values), mask)

    def _native(self, values):
        """Numbers in the type that the column declares."""
        dtype = self.element.newbyteorder("=")
        if dtype.kind in "iu" and values.size:
            limits = np.iinfo(dtype)
            outside = (values < limits.min) | (values > limits.max)
            if outside.any():
                raise TableFileError(f"{values[outside][0]} does not fit the datatype {self.datatype}")
        return values.astype(dtype, copy=False)

    def without_nulls(self, values, mask):
        """Values with those that stand for "no value" masked, or NaN."""
        if not self.null or not values.size:
            return values, mask
        if values.dtype.kind == "f":
            none = values == floats_from_text([self.null])[0]
            return np.where(none, np.nan, values), mask
        none = values == ints_from_text([self.null])[0][0]
        mask = none if mask is None else mask | none
        return values, mask if mask.any() else None

    def _array(self, cell):
        if self.is_text:
            return self.split(unescape(cell))
        if self.is_truth:
            values, mask = bools_from_text(cell.split() if self.datatype == "boolean" else "".join(cell.split()))
        else:
            values, mask = self.without_nulls(self._native(_numbers(cell, self.element.kind)), None)
        return values if mask is None else np.ma.MaskedArray(values, mask)

    def split(self, text):
        """The strings of a packed text: one every `width` characters, without padding."""
        text = text.rstrip("\x00")
        if text.startswith(("\n", "\r")):  # the cell was broken over lines
            text = text.strip()
        strings = [text[i : i + self.width].rstrip("\x00").strip() for i in range(0, len(text), self.width)]
        return text_array(strings)

    def column(self, blocks, masks):
        """The column from the blocks that `from_cells` or the BINARY decoder returned."""
        mask = None
        if self.is_array:
            values = [array for block in blocks for array in block]
        else:
            values = concatenate(blocks, f"column {self.name!r}")
            if any(m is not None for m in masks):
                mask = np.concatenate([np.zeros(len(b), bool) if m is None else m for b, m in zip(blocks, masks)])
        return FileColumn(self.name, values, mask, self.unit, self.description, self.ucd, self.utype)

    def empty(self):
        """Values of no row."""
        if self.is_array:
            return []
        if self.is_text:
            return np.array([], dtype="U1")
        return np.array([], dtype=bool if self.is_truth else self.element.newbyteorder("="))


def _numbers(cell, kind):
    """The numbers of an array cell, shape (n,)."""
    if not cell.strip():
        return np.array([], dtype=float if kind == "f" else np.int64)
    try:
        return np.fromstring(cell, dtype=float if kind == "f" else np.int64, sep=" ")
    except ValueError:
        cells = cell.split()
        if kind == "f":
            return floats_from_text(cells)
        values, mask = ints_from_text(cells)
        if mask is not None:
            raise TableFileError(f"{cells[int(np.argmax(mask))][:40]!r} is not a whole number") from None
        return values


def unescape(text):
    """Text with XML's own references replaced; any other is refused."""
    if "&" not in text:
        return text

    def character(match):
        name, decimal, hexadecimal = match.groups()
        if name:
            return _NAMED[name]
        code = int(decimal) if decimal else int(hexadecimal, 16)
        if code > 0x10FFFF:
            raise TableFileError(f"the reference {match.group()} is no character")
        return chr(code)

    if text.count("&") != len(_ENTITY.findall(text)):
        raise TableFileError(f"{text[:60]!r} refers to an entity that XML does not define")
    return _ENTITY.sub(character, text)
