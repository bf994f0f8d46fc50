"""Tables that the archive answers with, as VOTable or CSV, read so that a harmful one does no harm."""

import csv
import io
import re
import xml.parsers.expat
from collections import Counter
from dataclasses import dataclass

import numpy as np
from astropy.io.votable import parse

from .errors import AnswerTooLarge, ArchiveError

#: Columns that are read; the first five are needed.
COLUMNS = (
    "obs_collection", "access_url", "t_min", "t_max", "s_region", "obs_publisher_did", "access_estsize", "cloud_access",
)  # fmt: skip
_NEEDED = COLUMNS[:5]
#: Most columns: astropy needs a time for them that grows with the square of their number.
_MOST_FIELDS = 200
#: Most elements of a VOTable beside its rows and cells.
_MOST_ELEMENTS = 10_000
#: Longest line of a table with commas, characters; those of the archive have some 1,200.
_LONGEST_LINE = 20_000
#: The beginnings of all elements but cells, whatever prefix stands for their namespace.
_ELEMENT = re.compile(rb"<(?:[^\s<>/:]*:)?(?!TD[\s/>])(\w+)")
_ENCODINGS = (b"utf-8", b"us-ascii", b"ascii", b"iso-8859-1")
_PARSE_ERRORS = (
    ValueError, TypeError, LookupError, ArithmeticError, SyntaxError, AttributeError, RecursionError, MemoryError,
    OSError, AssertionError,
)  # fmt: skip


@dataclass(frozen=True)
class AnswerTable:
    """The columns of an answer that are of use.

    Parameters
    ----------
    columns : dict of str to list of str
    complete : bool
        False if the service says that it left rows out, or cannot say it and gave as many as it was asked for.
    """

    columns: dict
    complete: bool = True

    @property
    def n_rows(self):
        """Number of rows."""
        return len(next(iter(self.columns.values()), ()))


def parse_answer(data, where, max_rows=200_000):
    """Read the answer of a search.

    Parameters
    ----------
    data : bytes
        A VOTable, or CSV, in which the JSON of ``cloud_access`` need not be quoted.
    where : str
        Named in messages.
    max_rows : int
        The limit that the service was asked to keep to.

    Returns
    -------
    AnswerTable

    Raises
    ------
    ArchiveError
        If it is neither, lacks columns, says that the query failed, or holds constructs that could harm.
    AnswerTooLarge
        If it has more than `max_rows` rows.
    """
    is_xml = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"
    columns, complete = (_votable_columns if is_xml else _csv_columns)(data, where, max_rows)
    lacking = [name for name in _NEEDED if name not in columns]
    if lacking:
        raise ArchiveError(f"{where}: the answer has no column {lacking[0]}; it is no list of spectral images.")
    return AnswerTable(columns, complete)


def read_votable(data, where, max_rows=200_000):
    """A VOTable from a source that is not trusted.

    Parameters
    ----------
    data : bytes
    where : str
    max_rows : int

    Returns
    -------
    astropy.io.votable.tree.VOTableFile

    Raises
    ------
    ArchiveError, AnswerTooLarge
        As in `parse_answer`.
    """
    _check_xml(data, where)
    _check_size(data, where, max_rows)
    try:
        votable = parse(io.BytesIO(data), verify="ignore")
    except _PARSE_ERRORS as error:
        raise ArchiveError(
            f"{where}: the answer is a damaged VOTable ({' '.join(str(error).split())[:200]})."
        ) from error
    for info in _infos(votable):
        if info.name == "QUERY_STATUS" and str(info.value).upper() == "ERROR":
            reason = " ".join(str(info.content or "no reason is given").split())[:300]
            raise ArchiveError(f"{where}: the archive refuses the search: {reason}")
    return votable


def _infos(votable):
    yield from votable.infos
    for resource in votable.resources:
        yield from resource.infos
        for table in resource.tables:
            yield from table.infos


def xml_root(data, where):
    """The name of the first element of an XML text.

    Document types are refused, so that there are no entities, which could fill the memory.

    Parameters
    ----------
    data : bytes
    where : str

    Returns
    -------
    str
        Without a namespace; ``"html"`` for a web page; '' without any element.

    Raises
    ------
    ArchiveError
        If it is no XML, or has a document type that is not that of a web page.
    """
    parser = xml.parsers.expat.ParserCreate()
    found = []

    def doctype(name, *_):
        if name.lower() != "html":
            raise ArchiveError(f"{where}: the answer is XML with a document type; refused.")
        found.append("html")

    def element(name, _):
        found.append(name.rpartition(":")[2])
        parser.StartElementHandler = None

    parser.StartDoctypeDeclHandler, parser.StartElementHandler = doctype, element
    try:
        for start in range(0, len(data), 4096):
            parser.Parse(data[start : start + 4096], False)
            if found:
                break
    except ArchiveError:
        raise
    except (xml.parsers.expat.ExpatError, ValueError, LookupError) as error:
        raise ArchiveError(f"{where}: the answer is no XML ({error}).") from error
    name = next(iter(found), "")
    return "html" if name.lower() == "html" else name


def _check_xml(data, where):
    """Only plain VOTables are read: no document types, no encoding in which what is looked for looks different."""
    root = xml_root(data, where)
    if root != "VOTABLE":
        what = "a web page" if root == "html" else f"XML of the kind {(root or 'none')[:40]!r}"
        raise ArchiveError(f"{where}: the answer is {what}, no VOTable. Is the service closed?")
    encoding = re.match(rb"[^<]{0,3}<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([^\"']{0,40})", data)
    if b"\0" in data or (encoding and encoding[1].lower() not in _ENCODINGS):
        raise ArchiveError(f"{where}: the answer is not written in UTF-8; refused.")


def _check_size(data, where, max_rows):
    """What is large is refused before astropy reads it; and tables in binary form, whose rows cannot be counted."""
    counts = Counter(found[1] for found in _ELEMENT.finditer(data))
    if counts[b"STREAM"] or counts[b"BINARY"] or counts[b"BINARY2"] or counts[b"FITS"]:
        raise ArchiveError(f"{where}: the answer holds its table in binary form or in another file; refused.")
    rows = counts.pop(b"TR", 0)
    _check_rows(rows, where, max_rows)
    for name, number, most in (
        ("columns", counts[b"FIELD"], _MOST_FIELDS), ("elements beside its rows", counts.total(), _MOST_ELEMENTS),
    ):  # fmt: skip
        if number > most:
            raise ArchiveError(f"{where}: the answer has {number} {name}; at most {most} are accepted.")


def _check_rows(rows, where, max_rows):
    if rows > max_rows:
        raise AnswerTooLarge(f"{where}: the answer has {rows} rows; at most {max_rows} are accepted.")


def _votable_columns(data, where, max_rows):
    votable = read_votable(data, where, max_rows)
    table = next(iter(votable.iter_tables()), None)
    if table is None:
        raise ArchiveError(f"{where}: the answer holds no table.")
    complete = not any(i.name == "QUERY_STATUS" and str(i.value).upper() == "OVERFLOW" for i in _infos(votable))
    names = [name for name in COLUMNS if any(name == field.name for field in table.fields)]
    if not len(table.array):
        return {name: [] for name in names}, complete
    places = {field.name: field.ID for field in table.fields}
    return {name: _texts(table.array[places[name]]) for name in names}, complete


def _texts(values):
    """Values of a column as text, '' where there is none."""
    masked = np.ma.getmaskarray(values)
    return ["" if hidden else _text(value) for value, hidden in zip(np.ma.getdata(values).tolist(), masked.tolist())]


def _text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _csv_columns(data, where, max_rows):
    _check_rows(data.count(b"\n") - 1, where, max_rows)
    lines = [line.removesuffix("\r") for line in data.decode("utf-8-sig", "replace").split("\n")]
    for number, line in enumerate(lines, 1):
        if len(line) > _LONGEST_LINE:
            raise ArchiveError(f"{where}: line {number} of the answer has {len(line)} characters; refused.")
    names = _csv_values(lines[0]) or []
    places = [(name, names.index(name)) for name in COLUMNS if name in names]
    if not places:
        raise ArchiveError(f"{where}: the answer is neither a VOTable nor a table with commas: {lines[:1]!r:.80}")
    columns = {name: [] for name, _ in places}
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        values = _csv_values(line, len(names))
        if values is None:
            raise ArchiveError(f"{where}: line {number} of the answer has another number of columns than its first.")
        for name, place in places:
            columns[name].append(values[place])
    return columns, len(columns[places[0][0]]) < max_rows


def _csv_values(line, expected=None):
    """The values of a line, also where JSON in it is not quoted; None if their number is wrong."""
    try:
        values = next(csv.reader([line]), [])
        begin, end = line.find(",{") + 1, (line + ",").rfind("},") + 1
        if expected not in (None, len(values)) and 0 < begin < end:
            quoted = '"' + line[begin:end].replace('"', '""') + '"'
            values = next(csv.reader([line[:begin] + quoted + line[end:]]))
    except csv.Error:
        return None
    return values if expected in (None, len(values)) else None
