"""Targets that are typed or pasted as text."""

import io
import re
from dataclasses import replace

import numpy as np

from ...io import Rejected, TargetListError, Targets, parse_target
from ...io.columns import distinct
from ...io.errors import PARSER_ERRORS
from ...io.target_columns import ROLES
from ...io.targets import targets_in
from ...io.text import read_text

_LONGEST = 300  # characters of a line
_MOST_SHOWN = 60  # of them, as the name of a line that is rejected
_WORDS = 7  # of a position: 10 00 24 , +02 12 00
_GALACTIC = ({"l", "b"}, {"glon", "glat"}, {"gallon", "gallat"}, {"galactic", "longitude"}, {"lii", "bii"})
_NUMBER = re.compile(r"[+−-]?[\d.]+")


def targets_of_text(text):
    """Targets from lines of text.

    Parameters
    ----------
    text : str
        A target in each line: right ascension, declination (ICRS, degrees or sexagesimal with the right ascension in
        hours) and, if wanted, a name after or before them, parted by blanks, tabs or commas. Empty lines and what
        follows ``#`` at the start of a line do not count. Or a table whose first line names its columns.

    Returns
    -------
    Targets
        ``rows`` are numbers of lines, 0-based, also those of lines that are rejected.

    Raises
    ------
    TargetListError
        If there is no line with anything in it, or the first one says that the coordinates are galactic.
    """
    lines = str(text).splitlines()
    used = [number for number, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    if not used:
        raise TargetListError("no coordinates are given; type a right ascension and a declination, such as 150.1 2.2.")
    table = _as_table(lines, used)
    if table is not None:
        return table
    _refuse_galactic(lines[used[0]])
    return _as_lines(lines, used)


def _refuse_galactic(heading):
    """Raise a `TargetListError` if a line names the columns of galactic coordinates."""
    words = {re.sub("[^a-z]", "", word) for word in re.split(r"[\s,;|]+", heading.lower())}
    if any(pair <= words for pair in _GALACTIC):
        raise TargetListError(
            f"the text is headed {heading.strip()[:_MOST_SHOWN]!r}: galactic coordinates are not understood; turn them "
            "into right ascension and declination (ICRS)."
        )


def _as_lines(lines, used):
    """Targets from lines of coordinates and names."""
    sources, rows, rejected = [], [], []
    for number in used:
        try:
            sources.append(_target(lines[number].strip()))
            rows.append(number)
        except TargetListError as error:
            rejected.append(Rejected(number, str(error)))
    labels = distinct([source.label for source in sources])
    sources = [_named(source, label) for source, label in zip(sources, labels)]
    return Targets(sources, np.array(rows, dtype=np.int64), rejected, _names(lines, rows, labels), {"name": "name"})


def _names(lines, rows, labels):
    """A table with the name of the target in each line; lines without are their own names."""
    from astropy.table import QTable

    names = [line.strip()[:_MOST_SHOWN] for line in lines]
    for row, label in zip(rows, labels):
        names[row] = label
    return QTable({"name": np.array(names, dtype=str)})


def _named(source, label):
    return source if source.label == label else replace(source, label=label)


def _target(line):
    """The source of a line: its position, with a name after or before it."""
    if len(line) > _LONGEST:
        raise TargetListError(f"the line has {len(line):,} characters; a position and a name of up to 200 are needed.")
    parts = [part.strip() for part in re.sub("[;|]", ",", line).strip(", ").split(",")]
    if len(parts) > 2 and not all(map(_NUMBER.fullmatch, parts)):
        splits = [(parts[:2], parts[2:]), (parts[-2:], parts[:-2])]
        splits = [(",".join(position), ", ".join(name)) for position, name in splits]
    else:
        words = (" , " if len(parts) == 2 else " ").join(parts).split()
        splits = [(words[:k], words[k:]) for k in range(min(len(words), _WORDS), 0, -1)]
        if _begins_name(words[0]):
            splits += [(words[-k:], words[:-k]) for k in range(min(len(words) - 1, _WORDS), 0, -1)]
        splits = [(" ".join(position), " ".join(name).strip(" ,")) for position, name in splits]
    return _first_position(splits) or parse_target(line)


def _first_position(splits):
    """The source of the first pair of position and name that is one; None if none is.

    Raises
    ------
    TargetListError
        If one of them is a position, but not on the sky.
    """
    impossible = None
    for position, name in splits:
        try:
            source = parse_target(position)
        except TargetListError as error:
            if "below 60" in str(error):
                raise
            if "allowed is" in str(error):
                impossible = impossible or error
        else:
            return _named(source, " ".join(name.split()) or source.label)
    if impossible is not None:
        raise impossible
    return None


def _begins_name(word):
    """Whether a line that begins with a word begins with a name: it is no number, and no angle."""
    return re.match(r"\W*[A-Za-z]|\d+[A-Zabce-gi-ln-rt-z]", word) is not None


# -- tables -----------------------------------------------------------------------------------------------------------


def _as_table(lines, used):
    """Targets from a table with the names of its columns above it; None if the text is none."""
    if len(used) < 2 or not re.search("[A-Za-z]", lines[used[0]]):
        return None
    try:
        table = read_text(io.BytesIO("\n".join(lines[number] for number in used).encode()), typed=False)
        read = targets_in([table], "the text", dict.fromkeys(ROLES))
    except PARSER_ERRORS:
        return None
    if read.n_rows != len(used) - 1:
        return None
    if table.ragged and set(table.names) == set(read.columns.values()):  # such as "10 00 24 +02 12 00" below "ra dec"
        return _as_lines(lines, used[1:])
    rows = [used[1 + row] for row in read.rows]
    rejected = [Rejected(used[1 + row], why) for row, why in read.rejected]
    names = _names(lines, rows, [source.label for source in read.sources])
    return Targets(read.sources, np.array(rows, dtype=np.int64), rejected, names, {"name": "name"})
