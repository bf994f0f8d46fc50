"""Writing a spectrum table as a VOTable: long form, TABLEDATA, as any VOTable reader understands it."""

import json
import re
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from .errors import TableFileError
from .votable import JSON_UTYPE

_DATATYPES = {
    "u1": "unsignedByte",
    "i1": "short",
    "i2": "short",
    "u2": "int",
    "i4": "int",
    "u4": "long",
    "i8": "long",
    "f4": "float",
    "f8": "double",
}
_UTYPES = {
    "lambda": "spec:Spectrum.Data.SpectralAxis.Value",
    "flux": "spec:Spectrum.Data.FluxAxis.Value",
    "flux_err": "spec:Spectrum.Data.FluxAxis.Accuracy.StatError",
}
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_votable(pieces, path):
    """Write a table.

    Parameters
    ----------
    pieces : Pieces
    path : path
    """
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        out.write(_head(pieces.head, pieces.n_rows))
        for piece in pieces:
            cells = zip(*map(_cells, piece.columns))
            out.writelines(f"<TR><TD>{'</TD><TD>'.join(row)}</TD></TR>\n" for row in cells)
        out.write("</TABLEDATA>\n</DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n")


def _head(table, n_rows):
    source = next((column.values for column in table.columns if column.name == "source_id"), np.array([0]))
    single = len(source) > 0 and (source == source[0]).all()
    utype = ' utype="spec:Spectrum"' if single else ""  # by this, other programs take the table for one spectrum
    meta = dict(table.meta)
    description = meta.pop("description", None)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">',
        '<RESOURCE type="results">',
        f'<TABLE name="spectra" nrows="{n_rows}"{utype}>',
    ]
    if isinstance(description, str) and description.strip() == description != "":
        lines.append(f"<DESCRIPTION>{_escaped(description)}</DESCRIPTION>")
    elif description is not None:
        meta["description"] = description
    lines += [_param(name, value) for name, value in meta.items()]
    refs = "".join(f'<FIELDref ref="{_identifier(i, column)}"/>' for i, column in enumerate(table.columns))
    lines.append(f'<GROUP name="photometry" utype="spec:Spectrum.Data">{refs}</GROUP>')
    lines += [_field(i, column) for i, column in enumerate(table.columns)]
    return "\n".join([*lines, "<DATA>\n<TABLEDATA>\n"])


def _param(name, value):
    kind = {bool: "boolean", int: "long", float: "double", str: "char"}.get(type(value))
    if kind is None or (kind == "long" and not -(2**63) <= value < 2**63):
        extra = f'datatype="char" arraysize="*" utype="{JSON_UTYPE}"'
        text = json.dumps(value)
    elif kind == "char":
        extra = f'datatype="{"char" if value.isascii() else "unicodeChar"}" arraysize="*"'
        text = value
    else:
        extra, text = f'datatype="{kind}"', str(value).lower() if kind == "boolean" else repr(value)
    return f"<PARAM name={_attribute(name)} {extra} value={_attribute(text)}/>"


def _identifier(number, column):
    """The name itself where XML allows it, because astropy's tables name columns by ID."""
    return column.name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", column.name) else f"column-{number}"


def _field(number, column):
    kind = column.values.dtype.kind
    if kind == "U":
        ascii_only = all(map(str.isascii, np.unique(column.values).tolist()))
        size = f'datatype="{"char" if ascii_only else "unicodeChar"}" arraysize="*"'
    else:
        size = 'datatype="boolean"' if kind == "b" else f'datatype="{_DATATYPES[column.values.dtype.str[1:]]}"'
    utype = column.utype or _UTYPES.get(column.name, "")
    given = {"unit": column.unit, "ucd": column.ucd, "utype": utype}
    extra = "".join(f" {key}={_attribute(text)}" for key, text in given.items() if text)
    about = f"<DESCRIPTION>{_escaped(column.description)}</DESCRIPTION>" if column.description else ""
    return f'<FIELD ID="{_identifier(number, column)}" name={_attribute(column.name)} {size}{extra}>{about}</FIELD>'


def _cells(column):
    values = column.values
    kind = values.dtype.kind
    if kind == "U":
        cells = values.tolist()
        if any(map(_needs_care, cells)):
            cells = [_escaped(cell) for cell in cells]
        return cells
    if kind == "b":
        cells = ["T" if value else "F" for value in values.tolist()]
    elif kind == "f":
        texts = map(repr, values.tolist()) if values.dtype == np.float64 else map(str, values)
        cells = [_FLOATS.get(text, text) for text in texts]
    else:
        cells = list(map(str, values.tolist()))
    if column.mask is not None:
        cells = ["" if no else cell for cell, no in zip(cells, column.mask)]
    return cells


_FLOATS = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}  # the standard's spellings


def _needs_care(text):
    return "&" in text or "<" in text or ">" in text or not text.isprintable()


def _checked(text):
    bad = _NOT_XML.search(text)
    if bad:
        raise TableFileError(f"{text[:60]!r} holds the character {bad.group()!r}, which XML cannot carry")
    return text


def _escaped(text):
    return escape(_checked(text), {"\r": "&#13;"})


def _attribute(text):
    return quoteattr(_checked(text))
