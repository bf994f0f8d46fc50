"""Reading VOTables that may be anything.

The XML around the rows goes through expat, which is told to refuse what no table needs: document types and entities,
data outside the file, elements without end. The rows themselves are cut out of the text, which is several times faster.
"""

import binascii
import codecs
import re
import xml.parsers.expat

from .cells import bools_from_text, floats_from_text, ints_from_text
from .columns import FileTable, distinct
from .errors import TableFileError
from .files import MAX_COLUMNS
from .votable_binary import decode_rows
from .votable_fields import Field

JSON_UTYPE = "glue-spherex:json"  #: marks a PARAM whose text is JSON

_CHUNK_BYTES = 1 << 20
_MAX_ROW_BYTES = 32 << 20
_MAX_TAG_BYTES = 4 << 20
_MAX_DEPTH = 64
_MAX_ELEMENTS = 100_000
_TABLEDATA = re.compile(rb"<(?:([\w.-]+):)?TABLEDATA(?:\s[^<>]*)?>")
_TABLEDATA_END = re.compile(rb"</(?:[\w.-]+:)?TABLEDATA\s*>")
_PLAIN_CELL = re.compile(r"<TD>([^<]*)</TD>")
_CELL = re.compile(r"<TD(?:\s[^<>]*)?>([^<]*)</TD\s*>")
_EMPTY_CELL = re.compile(r"<TD(?:\s[^<>]*)?/>")
_CDATA_OR_COMMENT = re.compile(r"<!\[CDATA\[(.*?)\]\]>|<!--.*?-->", re.DOTALL)
_ENCODINGS = {"utf-8", "ascii", "utf-16", "utf-16-le", "utf-16-be", "iso8859-1", "iso8859-15", "cp1252"}


def read_votable(stream):
    """Read all tables of a VOTable.

    Parameters
    ----------
    stream : binary file

    Returns
    -------
    list of FileTable
        In the order of the file. PARAM and INFO are in ``meta``.

    Raises
    ------
    TableFileError
        If it is damaged, refers to anything outside itself, or is absurd.
    """
    reader = _Reader()
    pending = b""
    for chunk in _utf8_chunks(stream):
        pending = reader.take(pending + chunk)
    reader.finish(pending)
    return [table.finish() for table in reader.tables]


def _utf8_chunks(stream):
    """The file as UTF-8, whatever it declares."""
    head = stream.read(_CHUNK_BYTES)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        name = "utf-16"
    else:
        declared = re.match(rb"""(?:\xef\xbb\xbf)?\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]{1,40})["']""", head)
        name = declared.group(1).decode() if declared else "utf-8"
    try:
        name = codecs.lookup(name).name
    except LookupError:
        name = f"unknown encoding {name}"
    if name not in _ENCODINGS:
        raise TableFileError(f"it declares the encoding {name!r}; read are {', '.join(sorted(_ENCODINGS))}")
    decoder = codecs.getincrementaldecoder(name)()
    while head:
        try:
            yield decoder.decode(head).encode()
        except UnicodeDecodeError as error:
            raise TableFileError(f"it is not in its declared encoding {name} ({error.reason})") from None
        head = stream.read(_CHUNK_BYTES)
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise TableFileError("it ends inside a character; it is truncated") from None


class _Reader:
    """Splits the text into rows, for the table, and everything else, for expat."""

    def __init__(self):
        self.tables = []
        self._head = _Head(self.tables)
        self._in_rows = False
        self._prefix = b""
        self._searched = 0

    def take(self, pending):
        """Use as much of the text as can be used; returns the rest."""
        while True:
            used = self._take_rows(pending) if self._in_rows else self._take_head(pending)
            if used is None:
                return pending
            pending = pending[used:]
            if not pending:
                return pending

    def _take_head(self, pending):
        tag = _TABLEDATA.search(pending)
        if tag:
            self._head.feed(pending[: tag.end()])
            self._in_rows = self._head.in_rows
            self._prefix = tag.group(1) or b""
            return tag.end()
        last = pending.rfind(b"<")
        keep = len(pending) - last if last >= 0 else 0
        used = len(pending) - keep if keep < 4096 else len(pending)
        self._head.feed(pending[:used])
        return used or None

    def _take_rows(self, pending):
        end = (
            _TABLEDATA_END.search(pending, self._searched) if pending.find(b"TABLEDATA", self._searched) >= 0 else None
        )
        if end:
            self._searched = 0
            self._rows(pending[: end.start()], last=True)
            self._in_rows = self._head.in_rows = False
            return end.start()
        last = pending.rfind(b"</TR>" if not self._prefix else b"</" + self._prefix + b":TR>", self._searched)
        if last < 0:
            self._searched = max(0, len(pending) - 100)  # what was searched once is not searched again
            if len(pending) > _MAX_ROW_BYTES:
                raise TableFileError(f"it has a row of more than {_MAX_ROW_BYTES} bytes")
            return None
        self._searched = 0
        used = pending.index(b">", last) + 1
        self._rows(pending[:used])
        return used

    def _rows(self, block, last=False):
        if self._prefix:
            block = block.replace(b"<" + self._prefix + b":", b"<").replace(b"</" + self._prefix + b":", b"</")
        self._head.table.add_rows(block.decode())

    def finish(self, pending):
        """The text has ended."""
        if self._in_rows:
            raise TableFileError("it ends inside its rows; it is truncated")
        self._head.feed(pending, final=True)


class _Head:
    """What expat finds outside the rows."""

    def __init__(self, tables):
        self.tables = tables
        self.table = None
        self.in_rows = False
        self._path = []
        self._elements = 0
        self._scopes = [{}]
        self._groups = []
        self._text = []
        self._described = []
        self._fed = 0
        parser = self._parser = xml.parsers.expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.EntityDeclHandler = self._refuse_doctype

    def feed(self, data, final=False):
        """Parse a piece of the text."""
        try:
            for begin in range(0, len(data), _CHUNK_BYTES):
                self._parser.Parse(data[begin : begin + _CHUNK_BYTES], False)
                self._fed += min(_CHUNK_BYTES, len(data) - begin)
                if self._fed - self._parser.CurrentByteIndex > _MAX_TAG_BYTES:  # expat reads it again each time
                    raise TableFileError(f"it has a tag or comment of more than {_MAX_TAG_BYTES} bytes")
            if final:
                self._parser.Parse(b"", True)
        except xml.parsers.expat.ExpatError as error:
            what = xml.parsers.expat.ErrorString(error.code)
            where = f"line {error.lineno}" if not self.tables else "the text around its rows"
            truncated = final and error.code in (3, 5, 6)  # no element, unclosed token, partial character
            raise TableFileError(
                f"it is {'truncated' if truncated else 'not well-formed XML'} ({what}, {where})"
            ) from None

    def _refuse_doctype(self, *_):
        raise TableFileError("it declares a document type or entities (DOCTYPE), which no VOTable needs")

    def _start(self, name, attributes):
        name = name.rpartition(":")[2]
        if not self._path and name != "VOTABLE":
            raise TableFileError(f"it is XML, but not a VOTable: its first element is {name[:60]!r}")
        self._path.append(name)
        self._elements += 1
        if len(self._path) > _MAX_DEPTH:
            raise TableFileError(f"its elements are nested more than {_MAX_DEPTH} deep")
        if self._elements > _MAX_ELEMENTS:
            raise TableFileError(f"it has more than {_MAX_ELEMENTS} elements beside its rows")
        self._text.clear()
        begin = getattr(self, f"_start_{name.lower()}", None) if name.isascii() else None
        if begin:
            begin(attributes)

    def _end(self, name):
        name = self._path.pop()
        end = getattr(self, f"_end_{name.lower()}", None) if name.isascii() else None
        if end:
            end("".join(self._text))
        self._text.clear()

    def _start_resource(self, attributes):
        self._scopes.append({})

    def _end_resource(self, text):
        self._scopes.pop()

    def _start_table(self, attributes):
        if self.table is not None:
            raise TableFileError("it has a TABLE inside a TABLE")
        self._scopes.append({})
        self.table = _Table(attributes, list(self._scopes))
        self.tables.append(self.table)

    def _end_table(self, text):
        self._scopes.pop()
        self.table = None
        self._groups.clear()

    def _start_field(self, attributes):
        if self.table is None:
            raise TableFileError("it has a FIELD outside a TABLE")
        if sum(len(table.fields) for table in self.tables) >= MAX_COLUMNS:
            raise TableFileError(f"it has more than {MAX_COLUMNS} columns")
        self.table.fields.append(Field.from_attributes(attributes, len(self.table.fields)))

    def _start_values(self, attributes):
        if self.table is not None and self._path[-2] == "FIELD":
            self.table.fields[-1].null = attributes.get("null", "").strip()

    def _end_description(self, text):
        parent, text = self._path[-1] if self._path else "", text.strip()
        if parent == "FIELD" and self.table is not None:
            self.table.fields[-1].description = text
        elif parent in ("TABLE", "RESOURCE", "VOTABLE") and text:
            self._scopes[-1]["description"] = text

    def _start_group(self, attributes):
        self._groups.append(attributes.get("utype", ""))

    def _end_group(self, text):
        if self._groups:
            self._groups.pop()

    def _start_fieldref(self, attributes):
        if self.table is not None and any(_is_spectrum_group(utype) for utype in self._groups):
            self.table.spectrum_refs.add(attributes.get("ref", ""))

    def _start_param(self, attributes):
        name = attributes.get("name") or attributes.get("ID")
        if name:
            self._scopes[-1][name] = _parameter(attributes)

    def _start_info(self, attributes):
        if attributes.get("name"):
            self._scopes[-1][attributes["name"]] = attributes.get("value", "")

    def _start_stream(self, attributes):
        if "href" in attributes:
            raise TableFileError(f"its data are elsewhere ({attributes['href'][:80]!r}), not in the file")
        encoding = attributes.get("encoding", "base64")
        if encoding != "base64" or self.table is None:
            raise TableFileError(f"its data have the encoding {encoding!r}; base64 is read")

    def _start_fits(self, attributes):
        raise TableFileError("its data are an embedded FITS file; save it as TABLEDATA or BINARY2, or as FITS")

    def _end_stream(self, text):
        if self.table is not None:
            self.table.add_binary(text, null_flags="BINARY2" in self._path)

    def _start_tabledata(self, attributes):
        if self.table is None:
            raise TableFileError("it has rows outside a TABLE")
        self.in_rows = True


def _is_spectrum_group(utype):
    """Whether a GROUP of this utype lists the columns of a spectrum."""
    return utype.lower().endswith((":spectrum.arraydata", ":arraydata", ":spectrum.data"))


def _parameter(attributes):
    """The value of a PARAM in its type; text if it has none."""
    text, datatype = attributes.get("value", ""), attributes.get("datatype", "char")
    if attributes.get("utype") == JSON_UTYPE:
        import json

        return json.loads(text)
    try:
        if "arraysize" in attributes and attributes["arraysize"] != "1":
            return text
        if datatype == "boolean":
            return bool(bools_from_text([text])[0][0])
        if datatype in ("unsignedByte", "short", "int", "long"):
            return int(ints_from_text([text])[0][0]) if text.strip() else None
        if datatype in ("float", "double"):
            return float(floats_from_text([text])[0])
    except TableFileError:
        return text
    return text


class _Table:
    """One TABLE while it is read."""

    def __init__(self, attributes, scopes):
        self.fields = []
        self.spectrum_refs = set()
        self._scopes = scopes
        self._blocks = None
        self._columns = None
        n_rows = attributes.get("nrows", "").strip()
        self._n_rows = int(n_rows) if re.fullmatch(r"\d{1,18}", n_rows) else None

    def add_rows(self, text):
        """Decode rows, the text between <TABLEDATA> and </TABLEDATA> or part of it."""
        if "<!" in text:
            text = _CDATA_OR_COMMENT.sub(lambda m: (m.group(1) or "").replace("&", "&amp;").replace("<", "&lt;"), text)
        if "/>" in text:
            text = _EMPTY_CELL.sub("<TD></TD>", text)
        rows = text.split("</TR>")
        tail = rows.pop()
        n_fields = len(self.fields)
        for row in rows:
            if row.count("<TD") != n_fields or row.count("<TR") != 1:
                raise TableFileError(f"a row does not have {n_fields} cells, as many as columns: {_excerpt(row)}")
        cells = (_CELL if "<TD " in text or "</TD " in text else _PLAIN_CELL).findall(text)
        if len(cells) != n_fields * len(rows) or text.count("<") != 2 * (len(cells) + len(rows)) or tail.strip():
            raise TableFileError(f"its rows hold something besides cells: {_excerpt(tail or text)}")
        if not rows:
            return
        if self._blocks is None:
            self._blocks = [([], []) for _ in self.fields]
        for i, (field, (values, masks)) in enumerate(zip(self.fields, self._blocks)):
            block, mask = field.from_cells(cells[i::n_fields])
            values.append(block)
            masks.append(mask)

    def add_binary(self, text, null_flags):
        """Decode rows from base64."""
        try:
            data = binascii.a2b_base64(text)
        except binascii.Error as error:
            raise TableFileError(f"its binary data are no base64 ({error}); it may be truncated") from None
        if not self.fields:
            raise TableFileError("it has data but no columns")
        self._columns = decode_rows(data, self.fields, null_flags, self._n_rows)

    def finish(self):
        """The table read."""
        if self._columns is None:
            blocks = self._blocks or [([field.empty()], [None]) for field in self.fields]
            self._columns = [field.column(*block) for field, block in zip(self.fields, blocks)]
        self._blocks = None
        arrays = {column.name for column in self._columns if column.is_array}
        for column in self._columns:  # a wide table may have a position per source and one per measurement
            if column.name in arrays and not column.is_array:
                column.name += "_source"
        for column, name in zip(self._columns, distinct([column.name for column in self._columns])):
            column.name = name
        meta = {}
        for scope in self._scopes:
            meta.update(scope)
        names = {c.name for c, field in zip(self._columns, self.fields) if field.identifier in self.spectrum_refs}
        return FileTable(self._columns, meta, frozenset(names))


def _excerpt(text):
    text = " ".join(text.split())
    return repr(text[:80])
