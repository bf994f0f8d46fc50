"""Positions as people write them: degrees or sexagesimal."""

import math
import re

from ..model import Source, SourceError
from .errors import TargetListError

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_SEXAGESIMAL = re.compile(
    r"""(?P<sign>[+-]?)\s*(?P<whole>\d{1,3})\s*(?P<mark>[:hd°\s])\s*
        (?P<minutes>\d{1,2}(?:\.\d*)?)\s*
        (?:[:m'′\s]\s*(?:(?P<seconds>\d{1,2}(?:\.\d*)?)\s*(?:s|"|″|'')?)?)?""",
    re.VERBOSE,
)
_SINGLE = re.compile(r"(?P<number>[+-]?\d+(?:\.\d*)?)\s*(?P<mark>[hd°])")
_EXAMPLES = "'150.1 2.2', '10:00:24.0 +02:12:00', '10h00m24s +2d12m00s' or '10 00 24 +02 12 00'"


def parse_angle(text, hours, degrees_per_unit=1.0):
    """An angle in degrees.

    Parameters
    ----------
    text : str
        A number, or sexagesimal with colons, blanks or letters.
    hours : bool
        Whether sexagesimal text without the letter h or d counts hours.
    degrees_per_unit : float, optional
        Factor for plain numbers.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If it is no angle; says what was found.
    """
    text = text.strip().replace("−", "-")
    if _NUMBER.fullmatch(text):
        return float(text) * degrees_per_unit
    single = _SINGLE.fullmatch(text)
    if single:
        return float(single["number"]) * (15.0 if single["mark"] == "h" else 1.0)
    match = _SEXAGESIMAL.fullmatch(text)
    if not match or (match["seconds"] and "." in match["minutes"]):
        raise ValueError(f"is {text[:40]!r}, which is neither degrees nor sexagesimal")
    minutes, seconds = float(match["minutes"]), float(match["seconds"] or 0)
    if minutes >= 60 or seconds >= 60:
        raise ValueError(f"is {text[:40]!r}; minutes and seconds must be below 60")
    angle = int(match["whole"]) + minutes / 60 + seconds / 3600
    if match["mark"] == "h" or (hours and match["mark"] not in "d°"):
        angle *= 15
    return math.copysign(angle, -1.0 if match["sign"] == "-" else 1.0)


def position_label(ra, dec):
    """Name of a source that has none: its position in degrees."""
    return f"{ra:.5f}_{dec:.5f}"


def parse_target(text):
    """A point source from its coordinates in one text.

    Parameters
    ----------
    text : str
        Right ascension and declination (ICRS): degrees, or sexagesimal with the right ascension in hours; parted by
        blanks or a comma.

    Returns
    -------
    Source
        Labelled with its position.

    Raises
    ------
    TargetListError
        If it is no position, or one outside the sky.

    Examples
    --------
    >>> parse_target("10:00:24 +02:12:00").label
    '150.10000_2.20000'
    """
    try:
        ra_text, dec_text = _halves(text)
        ra, dec = parse_angle(ra_text, hours=True), parse_angle(dec_text, hours=False)
        return Source(ra, dec, label=position_label(ra, dec))
    except SourceError as error:
        raise TargetListError(f"target {text!r}: {str(error).partition(': ')[2]}") from None
    except ValueError as error:
        what = str(error) or "is no position"
        raise TargetListError(f"target {text!r} {what}; write, for example, {_EXAMPLES}.") from None


def _halves(text):
    """The two coordinates in a text."""
    text = text.strip().replace("−", "-")
    if text.count(",") == 1:
        return text.split(",")
    words = text.split()
    if len(words) in (2, 4, 6) and "," not in text:
        middle = len(words) // 2
        return " ".join(words[:middle]), " ".join(words[middle:])
    signed = re.fullmatch(r"([^,]*[^,\s])\s*([+-][^+-]*)", text)
    if signed:
        return signed.groups()
    raise ValueError("is no pair of coordinates")
