"""Target lists: any table with positions."""

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..model import Sersic, Source, SourceError
from .angles import parse_angle, parse_target, position_label
from .columns import FileTable, distinct, listed, to_qtable
from .ecsv import from_astropy
from .errors import PARSER_ERRORS, TargetListError, reason
from .spectra import read_tables
from .text import guessed

__all__ = ["Rejected", "Targets", "parse_target", "read_targets"]

#: For each value of a source: names of columns (letters and digits, lower case), best first, and UCDs.
_NAMES = {
    "ra": (
        "ra radeg raj2000 raicrs rightascension ra2000 alphaj2000 alpha targetra srcra sra lon longitude",
        "pos.eq.ra;meta.main pos.eq.ra",
    ),
    "dec": (
        "dec decdeg dej2000 decj2000 deicrs decicrs declination dec2000 de deltaj2000 delta targetdec srcdec sdec "
        "lat latitude",
        "pos.eq.dec;meta.main pos.eq.dec",
    ),
    "name": (
        "name label targetname target objectname object sourcename source designation mainid id objid objectid "
        "targetid sourceid srcid srcname",
        "meta.id;meta.main",
    ),
    "sersic_n": ("sersicn sersic sersicindex nsersic", ""),
    "axis_ratio": ("axisratio ba q", ""),
    "position_angle": ("positionangle posangle pa phi", "pos.posang"),
    "r_eff": ("reff re effectiveradius halflightradius rhalf shaper", ""),
    "pmra": ("pmra pmracosdec", "pos.pm;pos.eq.ra"),
    "pmdec": ("pmdec pmde", "pos.pm;pos.eq.dec"),
    "ref_epoch": ("refepoch", "meta.ref;time.epoch"),
}
_UNITS = {
    "ra": "deg",
    "dec": "deg",
    "position_angle": "deg",
    "r_eff": "arcsec",
    "pmra": "mas / yr",
    "pmdec": "mas / yr",
    "ref_epoch": "yr",
}
_MOTION = (("pmra", 0.0), ("pmdec", 0.0), ("ref_epoch", 2000.0))
_SHAPE = ("sersic_n", "axis_ratio", "position_angle", "r_eff")


class Rejected(NamedTuple):
    """A row that cannot be a source: its 0-based number, and why."""

    row: int
    reason: str

    def __str__(self):
        return f"row {self.row + 1}: {self.reason}"


@dataclass(frozen=True, eq=False)
class Targets:
    """A target list.

    Attributes
    ----------
    sources : list of Source
        The rows that can be measured, in order, with labels that are all different.
    rows : ndarray of int, shape (n_sources,)
        0-based number of the row of each source.
    rejected : list of Rejected
        The other rows.
    table : QTable
        The list as it is in the file.
    columns : dict of str to str
        Which column was taken for ``"ra"``, ``"dec"``, ``"name"``, ``"sersic_n"``, …; only those that were found.
    """

    sources: list
    rows: np.ndarray
    rejected: list
    table: object
    columns: dict

    @property
    def n_rows(self):
        """Rows of the list."""
        return len(self.sources) + len(self.rejected)

    def __len__(self):
        return len(self.sources)


def read_targets(
    path,
    *,
    ra=None,
    dec=None,
    name=None,
    sersic_n=None,
    axis_ratio=None,
    position_angle=None,
    r_eff=None,
    pmra=None,
    pmdec=None,
    ref_epoch=None,
):
    """Read sources from a table.

    Columns are guessed by name (upper and lower case are the same) and UCD. Positions are ICRS in degrees or
    sexagesimal, right ascension then in hours; a column's own unit is honoured. An empty cell, or a missing column,
    means: no name (the source is named after its position), point source, round, position angle 0, no motion,
    reference epoch 2000. Without `sersic_n` the other numbers of a shape do not count. Two rows of one name become
    ``name`` and ``name_2``. A row of a text file with too few or too many cells is rejected, the others are read.

    Parameters
    ----------
    path : str, path or Table
        File of any format that `read_spectra` reads, or a list with blanks between its columns; or a table in memory.
    ra, dec, name, sersic_n, axis_ratio, position_angle, r_eff, pmra, pmdec, ref_epoch : str, optional
        Column to take instead of guessing. Units without one in the file: degrees, arcsec, mas/yr, Julian years.

    Returns
    -------
    Targets

    Raises
    ------
    TargetListError
        If the file cannot be read, has no column with positions, or has not the column that was named.

    Examples
    --------
    >>> targets = read_targets("list.csv", name="designation")    # doctest: +SKIP
    >>> [str(r) for r in targets.rejected]                        # doctest: +SKIP
    ['row 3: ra is 400; allowed is 0 <= ra <= 360 degrees.']
    """
    chosen = {
        "ra": ra,
        "dec": dec,
        "name": name,
        "sersic_n": sersic_n,
        "axis_ratio": axis_ratio,
        "position_angle": position_angle,
        "r_eff": r_eff,
        "pmra": pmra,
        "pmdec": pmdec,
        "ref_epoch": ref_epoch,
    }
    where = "target list" if hasattr(path, "colnames") else str(path)
    try:
        tables = [from_astropy(path)] if hasattr(path, "colnames") else read_tables(path, typed=False)
    except PARSER_ERRORS as error:
        raise TargetListError(f"{where}: cannot be read as a target list: {reason(error)}.") from error
    found = [(table, _assign(table, chosen)) for table in tables]
    table, columns = next((pair for pair in found if {"ra", "dec"} <= pair[1].keys()), found[0])
    _check_columns(where, table, columns, chosen)
    try:
        cells = {role: _Cells(role, column) for role, column in columns.items()}
    except ValueError as error:
        raise TargetListError(f"{where}: {error}.") from None
    sources, rows, rejected = _sources(cells, len(columns["ra"].values), table.ragged)
    names = {role: column.name for role, column in columns.items()}
    return Targets(sources, np.array(rows, dtype=np.int64), rejected, _original(table, names.get("name")), names)


def _original(table, name):
    """The list as a table, without arrays; text of a CSV file becomes numbers where it can, save in column `name`."""
    columns = [column for column in table.columns if not column.is_array]
    if table.untyped:
        columns = [c if c.name == name else guessed(c.name, c.values) for c in columns]
    return to_qtable(FileTable(columns, table.meta))


# -- columns ----------------------------------------------------------------------------------------------------------


def _plain(name):
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _assign(table, chosen):
    """The column for each value of a source, as far as there is one."""
    columns = [column for column in table.columns if not column.is_array]
    exact = {column.name: column for column in columns}
    folded = {column.name.lower(): column for column in reversed(columns)}
    free, result = list(columns), {}
    for role, name in chosen.items():
        if name is not None and (column := exact.get(name) or folded.get(str(name).lower())):
            result[role] = column
            free = [other for other in free if other is not column]
    for role in chosen:
        if role not in result and chosen[role] is None and (column := _guess(role, free)):
            result[role] = column
            free = [other for other in free if other is not column]
    return result


def _guess(role, columns):
    names, ucds = (text.split() for text in _NAMES[role])
    by_name, by_ucd = {}, {}
    for column in reversed(columns):  # the first of several wins
        by_name[_plain(column.name)] = column
        by_ucd[column.ucd.lower()] = column
    ranked = [by_name.get(names[0]), *map(by_ucd.get, ucds), *map(by_name.get, names[1:])]
    return next((column for column in ranked if column is not None), None)


def _check_columns(where, table, columns, chosen):
    names = listed(table.names)
    for role, name in chosen.items():
        if name is not None and role not in columns:
            raise TargetListError(f"{where}: no column {name!r} for {role}; the columns are {names}.")
    missing = [role for role in ("ra", "dec") if role not in columns]
    if missing:
        raise TargetListError(
            f"{where}: no column looks like {' or '.join(missing)}; the columns are {names}. "
            "Rename the columns with the positions to ra and dec, or, in Python, name them with ra= and dec=."
        )


class _Cells:
    """One column of the list, ready to be read row by row."""

    def __init__(self, role, column):
        self._role = role
        self._values = column.values.tolist()
        self._mask = column.mask
        self._factor = 1.0
        self._hours = role == "ra"
        if column.unit and role in _UNITS:
            self._set_unit(column)

    def _set_unit(self, column):
        import astropy.units as u

        from .columns import _unit

        unit = _unit(column.unit)
        if unit is None or (isinstance(unit, u.UnrecognizedUnit) and column.values.dtype.kind == "U"):
            return  # such as "h:m:s"
        target = u.Unit(_UNITS[self._role])
        if unit == u.hour and target == u.deg:
            unit = u.hourangle
        if not unit.is_equivalent(target):
            raise ValueError(f"column {column.name!r} has the unit {column.unit}; {target} is needed for {self._role}")
        self._hours = unit == u.hourangle
        self._factor = 15.0 if self._hours else unit.to(target)

    def text(self, row):
        """The cell as text without blanks around it."""
        value = self._values[row]
        if (self._mask is not None and self._mask[row]) or value is None or value != value:
            return ""
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            value = int(value)
        return str(value).strip()

    def number(self, row):
        """The cell as a number in the unit of its role; None if it is empty."""
        text = self.text(row)
        if text.lower() in ("", "nan", "null", "none", "--"):
            return None
        value = self._values[row]
        try:
            if self._role in ("ra", "dec"):
                if not isinstance(value, str):
                    return float(value) * self._factor
                return parse_angle(text, self._hours, self._factor)
            if self._role == "ref_epoch":
                text = text.removeprefix("J")
            return float(text if isinstance(value, str) else value) * self._factor
        except ValueError as error:
            said = str(error)
            what = said if said.startswith("is ") else f"is {text[:40]!r}, which is not a number"
            raise SourceError(f"{self._role} {what}") from None


# -- rows -------------------------------------------------------------------------------------------------------------


def _sources(cells, n_rows, ragged):
    """Sources, their rows, and the rejected rows."""
    found, rows, rejected = [], [], []
    for row in range(n_rows):
        try:
            if row in ragged:
                raise SourceError(ragged[row])
            found.append(_source(cells, row))
            rows.append(row)
        except SourceError as error:
            rejected.append(Rejected(row, str(error).rstrip(".") + "."))
    labels = distinct([label for label, _ in found])
    sources = [
        s if s.label == label else Source(s.ra, s.dec, label, s.profile, s.pmra, s.pmdec, s.ref_epoch)
        for label, (_, s) in zip(labels, found)
    ]
    return sources, rows, rejected


def _source(cells, row):
    """Label of a row, its own or made from the position, and its source, which has the row's own."""
    values = {role: cell.number(row) for role, cell in cells.items() if role != "name"}
    for role in ("ra", "dec"):
        if values[role] is None:
            raise SourceError(f"{role} is empty; a position in degrees or sexagesimal is needed")
    profile = _profile(*(values.get(role) for role in _SHAPE))
    motion = [_default(values.get(role), default) for role, default in _MOTION]
    label = cells["name"].text(row) if "name" in cells else ""
    try:
        source = Source(values["ra"], values["dec"], label, profile, *motion)
    except SourceError as error:  # the row is named already
        raise SourceError(str(error).removeprefix(f"source {label!r}: ").removeprefix("source: ")) from None
    return label or position_label(source.ra, source.dec), source


def _profile(n, axis_ratio, position_angle, r_eff):
    """The shape of a row; None for a point, which has no Sérsic index, whatever its other cells say."""
    if n is None:
        return None
    if r_eff is None:
        raise SourceError(f"sersic_n is {n:g} but r_eff is empty; a shape needs both, a point source no sersic_n")
    if r_eff == 0:
        return None
    return Sersic(n, r_eff, _default(axis_ratio, 1.0), _default(position_angle, 0.0))


def _default(value, default):
    return default if value is None else value
