"""What the name of a column says where the table gives no unit: ``wavelength_angstrom``, ``e_flux_ujy``.

Tables of other programs often write the unit into the name. Only names that say both, what a column holds and in which
unit, are read; everything else is left to the user.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from astropy import units as u

_WAVELENGTH_UNITS = {
    **dict.fromkeys(("aa", "ang", "angs", "angstrom", "angstroms", "å"), u.AA),
    **dict.fromkeys(("nm", "nanometer", "nanometers"), u.nm),
    **dict.fromkeys(("um", "µm", "μm", "mum", "micron", "microns", "micrometer", "micrometers"), u.um),
}
_FLUX_UNITS = {
    **dict.fromkeys(("ujy", "µjy", "μjy", "microjy", "microjansky"), u.uJy),
    **dict.fromkeys(("mjy", "millijy", "millijansky"), u.mJy),
    **dict.fromkeys(("njy", "nanojy", "nanojansky"), u.nJy),
    **dict.fromkeys(("jy", "jansky"), u.Jy),
}
_MEGAJANSKY = ("MJy", "MJY")  # MJY may be either; it is not guessed

_WAVELENGTH = {"wavelength", "wavelengths", "wave", "lambda", "lam", "wl", "wv", "wvl", "wavel"}
_FLUX = {"flux", "fluxes", "fnu", "fluxdensity", "flux_density"}
_PER_WAVELENGTH = {"flambda", "flam"}
_WIDTH = {"width", "bandwidth", "fwhm", "dlambda"}
_BAND = {"bin", "band", "channel", "bandwidth", "dlambda"}
_ERROR = ("err", "error", "errors", "unc", "uncertainty", "sem", "sigma", "e")
#: Words that make a column something else than the wavelength or flux that was measured.
_OTHER = {
    *("width", "bkg", "bg", "background", "sky", "model", "template", "snr", "sn", "ratio", "frac", "fraction"),
    *("flag", "flags", "lim", "limit", "ulim", "upper", "lower", "min", "max", "var", "ivar", "std", "rms", "scatter"),
    *("resid", "residual", "residuals", "chi2", "n", "num", "count", "sr", "pix", "pixel", "beam", "arcsec2", "rest"),
    *("per", "corr", "correction", "offset", "diff", "delta", "log", "log10", "cov", "percent", "idx", "index", "id"),
}
_STATISTICS = {"mean", "median", "avg", "average", "weighted"}
_JOINED = {"fluxerr": "flux_err", "fluxerror": "flux_error", "eflux": "e_flux", "waveerr": "wave_err"}


class ColumnName(NamedTuple):
    """A name that was read.

    ``quantity``: ``wavelength``, ``flux``, ``bandwidth``, or with ``error`` the error of one of them; ``unit``: as the
    name says, or None; ``stem``: the words that tell it from others of its kind, without unit, error and statistics;
    ``plain``: the name without its unit.
    """

    quantity: str
    unit: object
    error: bool
    stem: tuple
    plain: str


@lru_cache(maxsize=4096)
def read_name(name):
    """Read the name of a column.

    Parameters
    ----------
    name : str

    Returns
    -------
    ColumnName or None
        None where the name does not say that it is a wavelength, a flux density, a bandwidth or an error of these.
    """
    words = _words(name)
    lower = [word.lower() for word in words]
    error = any(word in _ERROR for word in lower)
    rest = [word for word in lower if word not in _ERROR]
    quantity, units = _quantity(rest)
    if quantity is None:
        return None
    found = [k for k, word in enumerate(words) if word.lower() in units and word not in _MEGAJANSKY]
    if any(word in _MEGAJANSKY for word in words):
        if quantity != "flux" or found or "MJy" not in words:
            return None
        found, unit = [words.index("MJy")], u.MJy
    else:
        unit = units[lower[found[-1]]] if found else None
    place = found[-1] if found else None
    stem = tuple(word for k, word in enumerate(lower) if k != place and word not in _ERROR and word not in _STATISTICS)
    plain = "_".join(word for k, word in enumerate(words) if k != place)
    return ColumnName(quantity, unit, error, stem, plain)


def _words(name):
    name = re.sub(r"(?i)f[_ ]nu(?![a-z])", "fnu", name)
    name = re.sub(r"(?i)f[_ ]lam(bda)?(?![a-z])", "flambda", name)
    words = [word for word in re.split(r"[^0-9A-Za-zµμÅå]+", name) if word]
    return [part for word in words for part in _JOINED.get(word.lower(), word).split("_")]


def _quantity(words):
    """What words without those of errors speak of, and the units that it may have."""
    known = set(words)
    if known & _PER_WAVELENGTH:
        return None, {}
    if known & _FLUX:
        return (None, {}) if known & _OTHER else ("flux", _FLUX_UNITS)
    if known & (_WIDTH | {"delta"}) and known & (_WAVELENGTH | _BAND):
        other = known & (_OTHER - {"width", "delta"})
        return (None, {}) if other else ("bandwidth", _WAVELENGTH_UNITS)
    if known & _WAVELENGTH:
        return (None, {}) if known & _OTHER else ("wavelength", _WAVELENGTH_UNITS)
    return None, {}


def unit_in_name(name):
    """The unit that a column's name says.

    Parameters
    ----------
    name : str

    Returns
    -------
    `~astropy.units.Unit` or None
        None where the name does not say both what the column holds and in which unit.
    """
    read = read_name(name)
    return None if read is None else read.unit


def _same(one, other):
    return (one.quantity, one.stem) == (other.quantity, other.stem)


def error_name(name, others):
    """The name of the column with the errors of another, by names with units in them.

    Parameters
    ----------
    name : str
        Of the column with values.
    others : list of str
        The other columns.

    Returns
    -------
    str or None
        The errors of the same words; in the same unit, where there are several.
    """
    values = read_name(name)
    if values is None or values.error:
        return None
    found = []
    for other in others:
        errors = read_name(other)
        if errors is not None and errors.error and _same(errors, values):
            found.append((errors.unit is not values.unit, errors.unit is not None, len(found), other))
    return min(found)[-1] if found else None


def bandwidth_name(name, others):
    """The name of the column with the bandwidth at the wavelengths of another, by names with units in them.

    Parameters
    ----------
    name : str
        Of the column with wavelengths.
    others : list of str
        The other columns.

    Returns
    -------
    str or None
        The one of the same words; the only one, where none has them.
    """
    wavelength = read_name(name)
    read = {other: read_name(other) for other in others}
    found = {
        other: each
        for other, each in read.items()
        if each is not None and each.quantity == "bandwidth" and each.unit is not None and not each.error
    }
    for other, each in found.items():
        if wavelength is not None and tuple(word for word in each.stem if word not in _WIDTH) == wavelength.stem:
            return other
    return next(iter(found)) if len(found) == 1 else None
