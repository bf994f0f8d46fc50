"""Which columns of a target list hold what, and their cells."""

import re

import numpy as np

from ..model import SourceError
from .angles import parse_angle
from .columns import _unit, listed
from .errors import MissingColumnsError, TargetListError

#: For each value of a source: names of columns (letters and digits, lower case), best first, and UCDs.
_NAMES = {
    "ra": (
        "ra radeg raj2000 raicrs rightascension ra2000 alphaj2000 alpha targetra srcra sra lon longitude ra1",
        "pos.eq.ra;meta.main pos.eq.ra",
    ),
    "dec": (
        "dec decdeg dej2000 decj2000 deicrs decicrs dedeg declination dec2000 de deltaj2000 delta targetdec "
        "srcdec sdec lat latitude dec1",
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
    "role": ("role companion", ""),
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
#: As the name of a column: there is none, and none is looked for.
NOT_USED = ""
_SPELLINGS = {
    **dict.fromkeys(("degree", "degrees", "degs"), "deg"),
    **dict.fromkeys(("hours", "hrs"), "hour"),
    **dict.fromkeys(("radians", "radian"), "rad"),
    **dict.fromkeys(("arcseconds", "arcsecs", "asec", '"', "''"), "arcsec"),
    **dict.fromkeys(("arcminutes", "arcmins"), "arcmin"),
    **dict.fromkeys(("mas/year", "mas yr-1", "mas.yr-1", "mas yr**-1", "mas/a"), "mas / yr"),
    **dict.fromkeys(("arcsec/year", "arcsec/a"), "arcsec / yr"),
    **dict.fromkeys(("years", "julian years", "julian year", "jyear"), "yr"),
}
_HOURS_TEXT, _DEGREES_TEXT = ("h:m:s", "hms"), ("d:m:s", "dms")
_ROLE_WORDS = {"target": False, "companion": True}
_TRUTHS = dict.fromkeys(("true", "yes", "t", "y", "1"), True) | dict.fromkeys(("false", "no", "f", "n", "0"), False)
_EMPTY = ("", "nan", "null", "none", "--")

#: What a column of a target list can be.
ROLES = tuple(_NAMES)


def assigned(columns, chosen):
    """The column for each value of a source, as far as there is one.

    Parameters
    ----------
    columns : list of FileColumn
        Or others with ``name``, ``unit``, ``ucd`` and ``values``.
    chosen : dict of str to (str or None)
        Name of the column for each of `ROLES`; None to guess, `NOT_USED` for none.

    Returns
    -------
    dict of str to FileColumn
    """
    exact = {column.name: column for column in columns}
    folded = {column.name.lower(): column for column in reversed(columns)}
    free, result = list(columns), {}
    for role, name in chosen.items():
        if name and (column := exact.get(name) or folded.get(str(name).lower())):
            result[role] = column
            free = [other for other in free if other is not column]
    for role in chosen:
        if role not in result and chosen[role] is None and (column := _guess(role, free)):
            result[role] = column
            free = [other for other in free if other is not column]
    return result


def _plain(name):
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _guess(role, columns):
    """The best column for a role by name, UCD and unit; None if there is none."""
    names, ucds = (text.split() for text in _NAMES[role])
    by_name, by_ucd, by_unit = {}, {}, {}
    for column in reversed(columns):  # the first of several wins
        by_name[_plain(column.name)] = column
        by_ucd[column.ucd.lower()] = column
        by_unit[column.unit.strip("\"' ").lower()] = column
    units = {"ra": ("hourangle", *_HOURS_TEXT), "dec": _DEGREES_TEXT}.get(role, ())
    ranked = [by_name.get(names[0]), *map(by_ucd.get, ucds), *map(by_name.get, names[1:]), *map(by_unit.get, units)]
    ranked = [column for column in ranked if column is not None and _can_be(role, column)]
    fitting = [column for column in ranked if _factor(role, column) is not None]
    if role in ("ra", "dec"):  # needed: of a unit that does not fit the user shall hear
        fitting += ranked
    return fitting[0] if fitting else None


def _can_be(role, column):
    """Whether nothing but the name speaks for a column, or something against it."""
    if role in ("ra", "dec"):
        ucd = column.ucd.lower()
        return not ucd.startswith("pos.") or ucd.startswith("pos.eq")  # not galactic
    if role != "role":
        return True
    values = np.asarray(column.values)
    if values.dtype.kind not in "OSU":
        return bool(np.isin(values[values == values], (0, 1)).all())
    words = {str(value).strip().lower() for value in np.unique(values.astype(str))}
    return bool(words & set(_ROLE_WORDS)) or (_plain(column.name) != "role" and words <= {*_TRUTHS, *_EMPTY})


def _factor(role, column):
    """What makes the unit of a role of a column's numbers: 1 without a unit; None if the unit does not fit."""
    import astropy.units as u

    if not column.unit or role not in _UNITS:
        return 1.0
    unit = _known_unit(column.unit)
    if unit is None:
        return 1.0
    if isinstance(unit, u.UnrecognizedUnit):
        return 1.0 if np.asarray(column.values).dtype.kind in "OSU" else None  # such as "h:m:s"
    target = u.Unit(_UNITS[role])
    if role == "ref_epoch" and unit.is_equivalent(target) and unit.to(target) != 1:
        return None  # days are those of a Julian date, not of a year
    if unit in (u.hour, u.hourangle) and target == u.deg:
        return 15.0  # exactly
    return float(unit.to(target)) if unit.is_equivalent(target) else None


def _known_unit(text):
    """The unit of a text, also as people write it; None for no unit."""
    import astropy.units as u

    unit = _unit(_SPELLINGS.get(text.strip().lower(), text))
    return _unit(text.lower()) if isinstance(unit, u.UnrecognizedUnit) else unit


def check_columns(where, names, found, chosen):
    """Raise a `TargetListError` if a column that was named, or the position, is not there.

    Parameters
    ----------
    where : str
        The list, for the sentence.
    names : list of str
        All columns.
    found : dict of str to FileColumn
        From `assigned`.
    chosen : dict of str to (str or None)
    """
    for role, name in chosen.items():
        if name and role not in found:
            raise TargetListError(f"{where}: no column {name!r} for {role}; the columns are {listed(names)}.")
    missing = [role for role in ("ra", "dec") if role not in found]
    if missing:
        raise MissingColumnsError(
            f"{where}: no column looks like {' or '.join(missing)}; the columns are {listed(names)}. "
            "Rename the columns with the positions to ra and dec, or, in Python, name them with ra= and dec=.",
            tuple(names) if len(names) > 1 else (),
        )


class Cells:
    """One column of a list, ready to be read row by row.

    Parameters
    ----------
    role : str
        One of `ROLES`.
    column : FileColumn

    Raises
    ------
    ValueError
        If the unit of the column does not fit its role.
    """

    def __init__(self, role, column):
        self._role = role
        self._values = column.values.tolist()
        self._mask = column.mask
        self._factor = _factor(role, column)
        if self._factor is None:
            raise ValueError(f"column {column.name!r} has the unit {column.unit}; {_UNITS[role]} is needed for {role}")
        in_degrees = bool(column.unit) and getattr(_known_unit(column.unit), "physical_type", "unknown") != "unknown"
        self._hours = self._factor == 15.0 or (role == "ra" and not in_degrees)

    def text(self, row):
        """The cell as text without blanks around it."""
        value = self._values[row]
        if (self._mask is not None and self._mask[row]) or value is None or value != value:
            return ""
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            value = int(value)
        return str(value).strip()

    def value(self, row):
        """The cell as a number in the unit of its role, or as a truth value for ``"role"``; None if it is empty.

        Raises
        ------
        SourceError
            If it is neither.
        """
        value = self._values[row]
        if isinstance(value, float) and self._mask is None and self._role != "role":
            return value * self._factor if value == value else None
        text = self.text(row)
        if text.lower() in _EMPTY:
            return None
        if self._role == "role":
            return _is_companion(text)
        try:
            return self._number(text)
        except ValueError as error:
            said = str(error)
            what = said if said.startswith("is ") else f"is {text[:40]!r}, which is not a number"
            raise SourceError(f"{self._role} {what}") from None

    def _number(self, text):
        if self._role in ("ra", "dec"):
            return parse_angle(text, self._hours, self._factor)
        if self._role == "ref_epoch":
            text = text.removeprefix("J")
        return float(text) * self._factor


def _is_companion(text):
    """Whether a cell says that the row is a companion."""
    word = text.lower()
    if word not in _ROLE_WORDS and word not in _TRUTHS:
        raise SourceError(f"role is {text[:40]!r}; allowed are target and companion")
    return _ROLE_WORDS[word] if word in _ROLE_WORDS else _TRUTHS[word]
