"""What is typed as values, into fields and behind options: numbers, wavelength ranges, dates."""

import re

from ..model import DETECTORS

#: Modified Julian dates that a range of time may have: before the launch of SPHEREx, and long after.
MJD_FIRST, MJD_LAST = 60000.0, 100000.0

_RANGE = re.compile(r"([^\s:–]+?)\s*(?::|-|–|\bto\b)\s*([^\s:–]+)(?:\s*(?:µm|um|micron))?")
_DAY = re.compile(r"\d{4}-\d\d?-\d\d?")
_BETWEEN = re.compile(r"\s+to\s+|:|–|-")


class FieldError(ValueError):
    """A field holds no value that is allowed; the sentence says what is."""


def number_of(value, what):
    """A number that was typed.

    Parameters
    ----------
    value : str or float
    what : str
        What it is, for the sentence.

    Returns
    -------
    float

    Raises
    ------
    FieldError
        If it is none.
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        raise FieldError(f"{what} is {_shown(value)}, which is not a number.") from None


def whole_number_of(value, what):
    """A whole number that was typed; parameters and errors are those of `number_of`.

    Returns
    -------
    int
    """
    number = number_of(value, what)
    if not number.is_integer():  # also NaN and infinity
        raise FieldError(f"{what} is {_shown(value)}; a whole number is needed.")
    return int(number)


def ranges_of(text):
    """Wavelength ranges that were typed.

    Parameters
    ----------
    text : str
        As ``0.9-1.2, 2.0-2.4``; a colon may stand for the dash.

    Returns
    -------
    tuple of (float, float), um
        Empty for an empty text.

    Raises
    ------
    FieldError
        If a part is no range, or no detector sees it.
    """
    parts = [part.strip() for part in re.split(r"[,;\n]", text) if part.strip()]
    return tuple(_range_of(part) for part in parts)


def _range_of(part):
    found = _RANGE.fullmatch(part)
    if not found:
        raise FieldError(f"wavelengths: {_shown(part)} is no range; write, for example, 0.9-1.2, 2.0-2.4 (µm).")
    low, high = (number_of(value, "wavelengths: a limit") for value in found.groups())
    if not low < high:
        raise FieldError(f"wavelengths: {low:g} to {high:g} µm; the first must be below the second.")
    first = min(detector.wavelength_min_um for detector in DETECTORS.values())
    last = max(detector.wavelength_max_um for detector in DETECTORS.values())
    if high < first or low > last:
        raise FieldError(f"wavelengths: no detector sees {low:g} to {high:g} µm; allowed is {first:g} to {last:g} µm.")
    return low, high


def ranges_text(ranges):
    """Wavelength ranges as they are typed; '' for None."""
    return ", ".join(f"{low:.15g}-{high:.15g}" for low, high in ranges or ())


def mjd_of(text, what, *, whole_day=False):
    """A moment that was typed.

    Parameters
    ----------
    text : str
        A modified Julian date, or a calendar date with or without time (UTC): ``60900``, ``2025-08-13``.
    what : str
        What it is, for the sentence.
    whole_day : bool, optional
        Whether a calendar date without time means the end of that day, not its beginning.

    Returns
    -------
    float

    Raises
    ------
    FieldError
        If it is neither, or out of range.
    """
    from astropy.time import Time

    text = str(text).strip()
    try:
        mjd = float(text)
    except ValueError:
        try:
            # TAI: the calendar day as it is written, without UTC's warnings of far years
            mjd = float(Time(text, scale="tai").mjd) + (whole_day and _DAY.fullmatch(text) is not None)
        except ValueError:
            raise FieldError(
                f"{what} is {_shown(text)}; write a date as 2025-08-13, or a modified Julian date as 60900."
            ) from None
    if not MJD_FIRST <= mjd <= MJD_LAST:
        raise FieldError(
            f"{what} is {_shown(text)}; allowed are modified Julian dates from {MJD_FIRST:g} (2023) to {MJD_LAST:g}."
        )
    return mjd


def times_of(text):
    """A range of time that was typed as one text.

    Parameters
    ----------
    text : str
        Two moments as `mjd_of` reads them with a colon, a dash or "to" between them: ``2025-08-13:2025-09-01``,
        ``60900:61000``. A last moment that is a calendar date counts as a whole day.

    Returns
    -------
    (float, float)
        Modified Julian dates.

    Raises
    ------
    FieldError
        If it is none, or the first moment is not below the second.
    """
    colons = [found.span() for found in _BETWEEN.finditer(text) if "-" not in found[0]]
    dashes = [found.span() for found in _BETWEEN.finditer(text) if "-" in found[0]]
    impossible = None
    for begin, end in colons + dashes:
        try:
            low, high = mjd_of(text[:begin], "time"), mjd_of(text[end:], "time", whole_day=True)
        except FieldError as error:
            impossible = impossible or (error if len(colons + dashes) == 1 else None)
            continue
        if not low < high:
            raise FieldError(f"time: {_shown(text)}; the first moment must be below the second.")
        return low, high
    raise impossible or FieldError(
        f"time: {_shown(text)} is no range; write, for example, 2025-08-13:2025-09-01, or 60900:61000 (MJD)."
    )


def _shown(value):
    text = str(value)
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
