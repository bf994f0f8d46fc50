"""Whether a file is a SPHEREx spectrum, from its beginning."""

import gzip
import os
import re
import stat

from .errors import PARSER_ERRORS
from .files import recognise

_LOOK_BYTES = 1 << 18
#: Columns that no other kind of spectrum has; two of them tell the file.
_TELLTALE = {
    "lvf_id",
    "det_id",
    "fit_ql",
    "obs_publisher_did",
    "flux_bkg",
    "lambda_width",
    "deep_flg",
    "local_bkg_flg",
}
_NAMES_IN = {
    "votable": rb"""<(?:\w+:)?FIELD\b[^>]*?\bname\s*=\s*["']([^"']{1,80})["']""",
    "fits": rb"TTYPE\d+ *= *'([^']{1,68}?) *'",
    "ecsv": rb"\bname: ([\w.]{1,80})",
}
_FIELD = re.compile(rb"<(?:\w+:)?FIELD\b([^>]*)>")
_ATTRIBUTE = re.compile(rb"""\b(\w+)\s*=\s*["']([^"']{1,200})["']""")


def is_spectrum_file(path):
    """Whether a file has the columns of a SPHEREx spectrum.

    Looks at no more than the first 256 kB, and says no to whatever it does not understand.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    bool
    """
    return are_of_spectrum(column_names(path))


def are_of_spectrum(names):
    """Whether columns are those of a SPHEREx spectrum.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    bool
    """
    names = set(names)
    return "flux" in names and bool(names & {"lambda", "wavelength"}) and len(names & _TELLTALE) >= 2


def column_names(path):
    """The names of the columns of a table on disk, as far as its first 256 kB tell them.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    list of str
        In the order of the file, each once; empty for whatever is no table.
    """
    try:
        return list(dict.fromkeys(_names_in(path)))
    except PARSER_ERRORS:
        return []


def column_ucds(path):
    """The UCDs of the columns of a VOTable or FITS table, as far as its first 256 kB tell them.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    dict of str to str
        By name of column; empty for other files, and for whatever is no table.
    """
    try:
        kind, head = _head(path)
    except PARSER_ERRORS:
        return {}
    if kind == "votable":
        fields = [dict(_ATTRIBUTE.findall(field)) for field in _FIELD.findall(head)]
        pairs = [(field.get(b"name"), field.get(b"ucd")) for field in fields]
    elif kind == "fits":
        cards = {word: dict(re.findall(word + rb"(\d+) *= *'([^']{1,68}?) *'", head)) for word in (b"TTYPE", b"TUCD")}
        pairs = [(name, cards[b"TUCD"].get(number)) for number, name in cards[b"TTYPE"].items()]
    else:
        pairs = []
    return {name.decode("utf-8", "replace"): ucd.decode("ascii", "replace") for name, ucd in pairs if name and ucd}


def _names_in(path):
    kind, head = _head(path)
    if not kind:
        return []
    if kind == "parquet":
        import pyarrow.parquet

        return pyarrow.parquet.read_schema(path).names
    if kind in _NAMES_IN:
        return [name.decode("ascii", "replace").strip() for name in re.findall(_NAMES_IN[kind], head)]
    lines = (line for line in head.decode("utf-8-sig", "replace").splitlines() if line.strip())
    line = next((line for line in lines if not line.startswith(("#", "\\"))), "")
    return [name.strip(" \"'") for name in re.split(r"[,\t;|]", line)]


def _head(path):
    """The kind of a file, and its beginning, unpacked; '' and nothing for a pipe or folder."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        return "", b""
    with open(path, "rb") as raw:
        head = raw.read(_LOOK_BYTES)
    if head.startswith(b"\x1f\x8b"):
        with gzip.open(path) as packed:
            head = packed.read(_LOOK_BYTES)
    return recognise(head), head
