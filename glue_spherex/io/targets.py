"""Target lists: any table with positions."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..model import Sersic, Source, SourceError
from ..model.wording import counted
from .angles import parse_target, position_label
from .columns import FileTable, distinct, to_qtable
from .ecsv import from_astropy
from .errors import PARSER_ERRORS, TargetListError, reason
from .recognition import are_of_spectrum
from .spectra import read_tables, source_numbers
from .target_columns import Cells, assigned, check_columns
from .text import guessed

__all__ = ["Rejected", "Targets", "parse_target", "read_targets"]

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

    Of a SPHEREx spectrum with a row per measurement, the first row of each source is its target; the other rows are
    none, and not rejected.

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
        """Rows that are sources or rejected."""
        return len(self.sources) + len(self.rejected)

    @property
    def in_words(self):
        """How many sources, and companions: ``10 sources and 3 companions``."""
        companions = sum(source.companion for source in self.sources)
        parts = [(len(self.sources) - companions, "source"), (companions, "companion")]
        return " and ".join(counted(n, word) for n, word in parts if n)

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
    role=None,
):
    """Read sources from a table.

    Columns are guessed by name (upper and lower case are the same) and UCD. Positions are ICRS in degrees or
    sexagesimal, right ascension then in hours; a column's own unit is honoured. An empty cell, or a missing column,
    means: no name (the source is named after its position), point source, round, position angle 0, no motion,
    reference epoch 2000, a target. Without `sersic_n` the other numbers of a shape do not count. Two rows of one name
    become ``name`` and ``name_2``. A row of a text file with too few or too many cells is rejected, the others are
    read. A SPHEREx spectrum gives its sources, one target each.

    Parameters
    ----------
    path : str, path or Table
        File of any format that `read_spectra` reads, or a list with blanks between its columns; or a table in memory.
    ra, dec, name, sersic_n, axis_ratio, position_angle, r_eff, pmra, pmdec, ref_epoch, role : str, optional
        Column to take instead of guessing; ``""``: there is none. Units without one in the file: degrees, arcsec,
        mas/yr, Julian years. `role` says ``target`` or ``companion``; see `Source`.

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
        "role": role,
    }
    where = "target list" if hasattr(path, "colnames") else str(path)
    try:
        tables = [from_astropy(path)] if hasattr(path, "colnames") else read_tables(path, typed=False)
    except FileNotFoundError as error:
        raise TargetListError(f"{where}: there is no such file; check its name and folder.") from error
    except PARSER_ERRORS as error:
        raise TargetListError(f"{where}: cannot be read as a target list: {reason(error)}.") from error
    return targets_in(tables, where, chosen)


def targets_in(tables, where, chosen):
    """The sources in the first of some tables that has positions.

    Parameters
    ----------
    tables : list of FileTable
    where : str
        What they are, for sentences.
    chosen : dict of str to (str or None)
        The arguments of `read_targets`, by `target_columns.ROLES`.

    Returns
    -------
    Targets

    Raises
    ------
    TargetListError
        If no table has columns with positions, or it has not the column that was named.
    """
    found = [(table, assigned([c for c in table.columns if not c.is_array], chosen)) for table in tables]
    table, columns = next((pair for pair in found if {"ra", "dec"} <= pair[1].keys()), found[0])
    if not {"ra", "dec"} <= columns.keys():
        _check_table(table, where)
    check_columns(where, table.names, columns, chosen)
    try:
        cells = {role: Cells(role, column) for role, column in columns.items()}
    except ValueError as error:
        raise TargetListError(f"{where}: {error}.") from None
    sources, rows, rejected = _sources(cells, _listed_rows(table, len(columns["ra"].values)), table.ragged)
    names = {role: column.name for role, column in columns.items()}
    return Targets(sources, np.array(rows, dtype=np.int64), rejected, _original(table, names.get("name")), names)


def _check_table(table, where):
    """Raise a `TargetListError` if a text has no columns: no row has as many cells as the first line."""
    n_rows = len(table.columns[0].values) if table.columns else 0
    if table.untyped and len(table.columns) > 1 and 0 < n_rows == len(table.ragged):
        raise TargetListError(
            f"{where}: does not look like a table; a line with the names of the columns, two of which are ra and dec, "
            "and a line for each target are needed."
        )


def _original(table, name):
    """The list as a table, without arrays; text of a CSV file becomes numbers where it can, save in column `name`."""
    columns = [column for column in table.columns if not column.is_array]
    if table.untyped:
        columns = [c if c.name == name else guessed(c.name, c.values) for c in columns]
    return to_qtable(FileTable(columns, table.meta))


# -- rows -------------------------------------------------------------------------------------------------------------


def _listed_rows(table, n_rows):
    """The rows that list a source each: of a spectrum with a row per measurement the first one of each source."""
    columns = {column.name: column for column in table.columns if not column.is_array}
    if not are_of_spectrum(columns):
        return range(n_rows)
    if "source_id" not in columns and table.untyped:
        columns = {name: guessed(name, column.values) for name, column in columns.items()}
    column = columns.get("source_id") or source_numbers(FileTable(list(columns.values())))
    return np.sort(np.unique(column.values, return_index=True)[1]).tolist()


def _sources(cells, listed_rows, ragged):
    """Sources, their rows, and the rejected rows."""
    found, rows, rejected = [], [], []
    for row in listed_rows:
        try:
            if row in ragged:
                raise SourceError(ragged[row])
            found.append(_source(cells, row))
            rows.append(row)
        except SourceError as error:
            rejected.append(Rejected(row, str(error).rstrip(".") + "."))
    labels = distinct([source.label for source in found])
    sources = [s if s.label == label else replace(s, label=label) for label, s in zip(labels, found)]
    return sources, rows, rejected


def _source(cells, row):
    """The source of a row, with its own name or one made from the position."""
    values = {role: cell.value(row) for role, cell in cells.items() if role != "name"}
    for role in ("ra", "dec"):
        if values[role] is None:
            raise SourceError(f"{role} is empty; a position in degrees or sexagesimal is needed")
    profile = _profile(*map(values.get, _SHAPE))
    motion = [_default(values.get(role), default) for role, default in _MOTION]
    label = cells["name"].text(row) if "name" in cells else ""
    label = label or position_label(values["ra"], values["dec"])
    try:
        return Source(values["ra"], values["dec"], label, profile, *motion, bool(values.get("role")))
    except SourceError as error:  # the row is named already
        raise SourceError(str(error).removeprefix(f"source {label!r}: ")) from None


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
