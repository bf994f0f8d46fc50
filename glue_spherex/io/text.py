"""Tables in plain text: CSV, TSV and the like, and IPAC tables."""

import codecs
import csv
import io
import itertools
import json
import re

import numpy as np

from ..model.spectrum import COLUMN
from .cells import bools_from_text, floats_from_text, from_text, ints_from_text, text_array
from .columns import FileColumn, FileTable, concatenate, distinct
from .errors import TableFileError
from .files import MAX_COLUMNS

_ROWS_AT_ONCE = 16384
_PLAIN_KEY = re.compile(r"[A-Za-z_][\w.:-]*")
_OTHER_META = "glue_spherex_meta"  #: IPAC keyword for what no keyword can be named after
_IPAC_KINDS = {"f": "double", "i": "long", "u": "long", "b": "char", "U": "char"}


class _Cells:
    """Rows of text collected column by column, without keeping a Python object per cell."""

    def __init__(self, names):
        if len(names) > MAX_COLUMNS:
            raise TableFileError(f"it has {len(names)} columns; at most {MAX_COLUMNS} are read")
        self.names = distinct(names)
        self.n_rows = 0
        self._rows, self._blocks = [], [[] for _ in names]

    def add(self, row):
        self._rows.append(row)
        self.n_rows += 1
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._flush()

    def _flush(self):
        for name, block, cells in zip(self.names, self._blocks, zip(*self._rows)):
            block.append(text_array(cells, f"column {name!r}"))
        self._rows = []

    def columns(self):
        """Text of each column, shape (n_rows,)."""
        self._flush()
        return [
            concatenate(block, f"column {name!r}") if block else np.array([], "U1")
            for name, block in zip(self.names, self._blocks)
        ]


def not_utf8(error):
    """What to say when bytes are not UTF-8."""
    return TableFileError(f"it is not UTF-8 text (byte {error.object[error.start]:#04x}); save it as UTF-8")


def _lines(stream):
    """The lines of a text file in UTF-8 (or UTF-16 with its mark)."""
    head = stream.read(4)
    stream.seek(0)
    utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return io.TextIOWrapper(stream, encoding="utf-16" if utf16 else "utf-8-sig", newline="")


def read_text(stream, typed=True):
    """Read a table whose columns are separated by tabs, commas, semicolons, bars or blanks.

    The first line that is no comment (``#``) names the columns. Types are those of the schema for its columns, else
    the plainest that keeps every cell as written.

    Parameters
    ----------
    stream : binary file
    typed : bool, optional
        False leaves every column as text, and notes rows with too few or too many cells in the table's ``ragged``.

    Returns
    -------
    FileTable

    Raises
    ------
    TableFileError
        If it is no text or no table; unless `typed` is False, also if a row has too few or too many cells.
    """
    lines = _lines(stream)
    try:
        return _read_delimited(lines, typed)
    except UnicodeDecodeError as error:
        raise not_utf8(error) from None
    except csv.Error as error:
        raise TableFileError(f"it is no table: {error}") from None
    finally:
        lines.detach()


def _read_delimited(lines, typed):
    header, first, number = _header_line(lines)
    delimiter = next((d for d in "\t,;|" if d in header), " ")
    names = [name for name in next(_rows([header], delimiter)) if name or delimiter != " "]
    lines = itertools.chain(first, lines)
    cells, ragged = _Cells([name.strip() for name in names]), {}
    blanks = delimiter == " "
    for row in _rows(lines, delimiter):
        number += 1
        if not row or (row[0].startswith("#") and len(row) != len(names)):
            continue
        if len(row) != len(names):
            if not "".join(row).strip():
                continue
            if blanks:
                row = [cell for cell in row if cell]
            elif not "".join(row[len(names) :]).strip():  # separators at the end of the line
                row = row[: len(names)]
            if len(row) != len(names):
                said = f"has {len(row)} cells, but there are {len(names)} columns"
                if typed:
                    raise TableFileError(f"line {number} {said}")
                ragged[cells.n_rows] = said
                row = (row + [""] * len(names))[: len(names)]
        cells.add(row)
    kind = guessed if typed else FileColumn
    columns = [kind(name, text) for name, text in zip(cells.names, cells.columns())]
    return FileTable(columns, untyped=not typed, ragged=ragged)


def _header_line(lines):
    """The line that names the columns, the lines read beyond it, and its number."""
    comment = ""
    for number, line in enumerate(lines, 1):
        if len(line) > 1_000_000 or number > 10_000:
            break
        if line.startswith("#"):
            comment = line.lstrip("#")
        elif line.strip():
            if not line.strip().replace("\t", "").isprintable():
                break
            cells = re.split(r"[\s,;|]+", line.strip())
            names = re.split(r"[\s,;|]+", comment.strip())
            named = comment.strip() and len(names) == len(cells) and not _is_number(names[0])
            if named and _is_number(cells[0]):  # the names are in a comment
                return comment, [line], number - 1
            return line, [], number
    raise TableFileError("it is no table: no line names columns")


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rows(lines, delimiter):
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter == " ", strict=True)


def guessed(name, text):
    """A column of the schema's type if it is one of the schema and its text allows it, else of the plainest type."""
    spec = COLUMN.get("wavelength" if name == "lambda" else name)
    if spec is not None and spec.dtype == "text":
        return FileColumn(name, text)
    cells = text.tolist()
    if spec is not None and spec.dtype == "float":
        try:
            return FileColumn(name, floats_from_text(cells))
        except TableFileError:
            pass  # sexagesimal, perhaps
    return FileColumn(name, *from_text(cells))


def write_delimited(pieces, path, delimiter):
    """Write a table with the names in the first line; numbers keep every digit, missing values are empty."""
    with open(path, "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
        writer.writerow(pieces.head.names)
        for piece in pieces:
            writer.writerows(zip(*(_texts(column, "") for column in piece.columns)))


def _texts(column, missing):
    """The cells of a column as text, from which its values can be had back."""
    values = column.values
    if values.dtype.kind == "b":
        cells = ["true" if value else "false" for value in values.tolist()]
    elif values.dtype.kind == "U":
        cells = values.tolist()
    else:
        cells = list(map(repr, values.tolist()))
    if column.mask is not None:
        cells = [missing if no else cell for cell, no in zip(cells, column.mask)]
    return cells


# -- IPAC -------------------------------------------------------------------------------------------------------------


def read_ipac(stream):
    r"""Read an IPAC table (https://irsa.ipac.caltech.edu/applications/DDGEN/Doc/ipac_tbl.html).

    Up to four lines that begin with ``|`` give names, types, units and the text of missing values; ``\name = value``
    is kept in the table's meta.
    """
    lines = _lines(stream)
    try:
        return _read_ipac(lines)
    except UnicodeDecodeError as error:
        raise not_utf8(error) from None
    finally:
        lines.detach()


def _read_ipac(lines):
    meta, header, cells, edges = {}, [], None, None
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
        if line.startswith("\\"):
            _keyword(line[1:], meta)
        elif line.startswith("|") and cells is None:
            header.append(line)
        elif line.strip():
            if cells is None:
                cells, edges = _begin_ipac(header)
            if any(line[edge : edge + 1].strip() for edge in edges):
                raise TableFileError(f"line {number}: a value crosses a column's border")
            cells.add([line[a + 1 : b].strip() for a, b in itertools.pairwise(edges)])
    if cells is None:
        cells, edges = _begin_ipac(header)
    rest = [[part.strip() for part in row[1:].split("|")] for row in header[1:4]] + [[]] * 4
    columns = []
    for i, (name, text) in enumerate(zip(cells.names, cells.columns())):
        kind, unit, null = (row[i] if i < len(row) else "" for row in rest[:3])
        description, ucd = (str(meta.pop(f"col.{name}.{word}", "")) for word in ("Desc", "UCD"))
        kind = str(meta.pop(f"col.{name}.Type", "")) or kind
        values, mask = _ipac_values(name, text, kind, null)
        columns.append(FileColumn(name, values, mask, unit, description, ucd))
    return FileTable(columns, meta)


def _begin_ipac(header):
    if not header:
        raise TableFileError("it is no IPAC table: no line with | names columns")
    line = header[0].rstrip()
    edges = [i for i, character in enumerate(line) if character == "|"]
    if line[-1] != "|":
        edges.append(len(line) + 1)
    names = [line[a + 1 : b].strip() for a, b in itertools.pairwise(edges)]
    return _Cells(names), edges


def _keyword(text, meta):
    name, equals, value = text.partition("=")
    name = name.split()[-1] if name.split() else ""
    if not equals or not name or text.startswith(" "):
        return
    value = value.strip()
    try:
        value = json.loads(value)
    except ValueError:
        value = value.strip("'\"")
    if name == _OTHER_META and isinstance(value, dict):
        meta.update(value)
    else:
        meta[name] = value


def _ipac_values(name, text, kind, null):
    kind = kind.lower()
    cells = ["" if cell == null else cell for cell in text.tolist()]
    try:
        if kind in ("bool", "boolean", "b"):
            return bools_from_text(cells)
        if kind and any(word.startswith(kind) for word in ("integer", "long")):
            return ints_from_text(cells)
        if kind and any(word.startswith(kind) for word in ("double", "float", "real")):
            return floats_from_text(cells), None
    except TableFileError as error:
        raise TableFileError(f"column {name!r}: {error}") from None
    return text_array(cells, f"column {name!r}"), None


def write_ipac(pieces, path):
    """Write an IPAC table; booleans, for which it has no type, are text and marked by a keyword."""
    head = pieces.head
    layout = [
        (c.name, _IPAC_KINDS[c.values.dtype.kind], c.unit, "" if c.values.dtype.kind == "U" else "null")
        for c in head.columns
    ]
    widths, blocks = [max(map(len, texts)) for texts in layout], []
    for piece in pieces:
        blocks.append([_ipac_cells(column, texts[3]) for column, texts in zip(piece.columns, layout)])
        widths = [max(width, *map(len, cells)) for width, cells in zip(widths, blocks[-1])]
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        out.writelines(_ipac_keywords(head))
        for part in range(4):
            out.write("|" + "|".join(texts[part].ljust(w) for texts, w in zip(layout, widths)) + "|\n")
        for cells in blocks:
            pieces.step()
            for row in zip(*cells):
                out.write(" " + " ".join(cell.ljust(w) for cell, w in zip(row, widths)) + " \n")


def _ipac_cells(column, null):
    cells = _texts(column, null)
    if any(not cell.isprintable() for cell in cells):
        raise TableFileError(f"column {column.name!r} holds text with line breaks, which IPAC cannot carry")
    return cells


def _ipac_keywords(table):
    """The lines before the names of the columns."""
    plain = {key: value for key, value in table.meta.items() if _PLAIN_KEY.fullmatch(key) and key != _OTHER_META}
    other = {key: value for key, value in table.meta.items() if key not in plain}
    for key, value in [*plain.items(), *([(_OTHER_META, other)] if other else [])]:
        yield f"\\{key} = {json.dumps(value)}\n"
    for column in table.columns:
        kind = "boolean" if column.values.dtype.kind == "b" else ""
        for word, text in (("Desc", column.description), ("UCD", column.ucd), ("Type", kind)):
            if text:
                yield f"\\col.{column.name}.{word} = {json.dumps(text)}\n"
