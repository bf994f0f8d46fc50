"""Names of exposures: the observation, as ``2025W51_1A_0684_2``, and the number of 15 digits that is IRSA's ``lvf_id``.

The number of the observation yyyyWww_nL_bbbb_s on the detector d is yyyy ww n LL bbbb s d, the letter counted from 1.
"""

import os
import re

from .errors import ImageFileError

_DIGITS = 15
_OBSID = re.compile(r"(\d{4})W(\d{2})_(\d)([A-Z])_(\d{4})_(\d)")


def exposure_of(header, detector, path, notes):
    """OBSID and exposure id of a file, which must agree.

    Parameters
    ----------
    header : Header
        Of the IMAGE HDU.
    detector : int
    path : str
        For messages, and for the OBSID where the header has none.
    notes : list of str
        What is unusual is added.

    Returns
    -------
    obsid : str
    exposure_id : int
        0 where nothing tells it.

    Raises
    ------
    ImageFileError
        If neither header nor name hold an OBSID.
    """
    obsid, stored = header.text("OBSID"), header.integer("EXPIDN")
    if not obsid:
        found = _OBSID.search(os.path.basename(path))
        if not found:
            raise ImageFileError(
                f"{path}: OBSID is missing in IMAGE and in the file's name; not a SPHEREx Level-2 image."
            )
        obsid = found.group()
        notes.append("OBSID is missing in the header; taken from the file's name.")
    computed = exposure_id(obsid, detector)
    if stored is not None and not 0 < stored < 10**_DIGITS:
        notes.append(f"EXPIDN is {str(stored)[:40]}, which is no number of {_DIGITS} digits; it is not used.")
        stored = None
    if stored is not None and computed is not None and stored != computed:
        notes.append(f"EXPIDN is {stored}, OBSID {obsid} and detector {detector} give {computed}; EXPIDN is used.")
    if stored is None and computed is None:
        notes.append(f"EXPIDN is missing and OBSID {obsid!r} has an unknown form; the exposure id is 0.")
    return obsid, stored if stored is not None else computed or 0


def exposure_id(obsid, detector):
    """The 15-digit exposure id of an observation and detector, None for an OBSID of another form.

    Examples
    --------
    >>> exposure_id("2025W51_1A_0684_2", 3)
    202551101068423
    """
    match = _OBSID.fullmatch(obsid)
    if not match:
        return None
    year, week, large, letter, small, slew = match.groups()
    return int(f"{year}{week}{large}{ord(letter) - 64:02d}{small}{slew}{detector}")


def observation_of(number):
    """The observation that a 15-digit exposure id counts, '' where it has another form: the reverse of `exposure_id`.

    Examples
    --------
    >>> observation_of(202551101068423)
    '2025W51_1A_0684_2'
    """
    digits = str(number)
    if len(digits) != _DIGITS or not digits.isdecimal() or not 1 <= int(digits[7:9]) <= 26:
        return ""
    week, letter = digits[4:6], chr(64 + int(digits[7:9]))
    return f"{digits[:4]}W{week}_{digits[6]}{letter}_{digits[9:13]}_{digits[13]}"
