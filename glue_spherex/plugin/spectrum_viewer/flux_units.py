"""Flux in the units that a spectrum is shown in.

Inside, flux is µJy and wavelength µm; astropy.units gives the factors at the border.
"""

import numpy as np
from astropy import constants
from astropy import units as u

#: What flux can be shown as, and the text of its axis.
FLUX_UNITS = {
    "µJy": "flux (µJy)",
    "mJy": "flux (mJy)",
    "AB mag": "AB magnitude",
    "νFν": "νFν (erg s⁻¹ cm⁻²)",
    "λFλ": "λFλ (W m⁻²)",
}

#: d(magnitude) = this × d(flux) / flux
MAG_PER_RELATIVE_FLUX = 2.5 / np.log(10)

_MJY_PER_UJY = u.uJy.to(u.mJy)
_AB_ZERO_UJY = u.ABflux.to(u.uJy)
_C_UM_PER_S = constants.c.to_value(u.um / u.s)
_ENERGY = {"νFν": u.uJy.to(u.erg / u.s / u.cm**2 / u.Hz), "λFλ": u.uJy.to(u.W / u.m**2 / u.Hz)}


def shown_flux(flux_ujy, wavelength_um, unit):
    """Flux in a unit of `FLUX_UNITS`.

    Parameters
    ----------
    flux_ujy : array_like, shape (n,), µJy
    wavelength_um : array_like, shape (n,), µm
        Observed wavelength; only νFν and λFλ use it.
    unit : str

    Returns
    -------
    ndarray, shape (n,)
        NaN where there is no value: a flux of 0 or less has no magnitude. ``m = -2.5 lg(flux / AB zero point)`` (Oke &
        Gunn 1983, ApJ 266, 713); ``νFν = flux × c / λ``, which is λFλ as well.

    Raises
    ------
    ValueError
        If the unit is unknown.
    """
    flux_ujy = np.asarray(flux_ujy, dtype=float)
    if unit == "AB mag":
        positive = np.where(flux_ujy > 0, flux_ujy, np.nan)
        return -2.5 * np.log10(positive / _AB_ZERO_UJY)
    return flux_ujy * _factor(wavelength_um, unit)


def shown_error(error_ujy, flux_ujy, wavelength_um, unit):
    """The 1-sigma error of a flux in a unit of `FLUX_UNITS`; for a magnitude to first order, 1.0857 error / flux.

    Parameters
    ----------
    error_ujy, flux_ujy : array_like, shape (n,), µJy
    wavelength_um : array_like, shape (n,), µm
    unit : str

    Returns
    -------
    ndarray, shape (n,)
        NaN where the flux has no value in that unit.
    """
    error_ujy = np.asarray(error_ujy, dtype=float)
    if unit == "AB mag":
        flux_ujy = np.asarray(flux_ujy, dtype=float)
        return MAG_PER_RELATIVE_FLUX * error_ujy / np.where(flux_ujy > 0, flux_ujy, np.nan)
    return error_ujy * _factor(wavelength_um, unit)


def _factor(wavelength_um, unit):
    if unit == "µJy":
        return 1.0
    if unit == "mJy":
        return _MJY_PER_UJY
    if unit in _ENERGY:
        wavelength_um = np.asarray(wavelength_um, dtype=float)
        return _ENERGY[unit] * _C_UM_PER_S / np.where(wavelength_um > 0, wavelength_um, np.nan)
    raise ValueError(f"flux unit: {unit!r} is unknown; allowed are {', '.join(FLUX_UNITS)}.")


def to_ujy(values, unit, wavelength_um):
    """Flux of any instrument in µJy.

    Parameters
    ----------
    values : array_like, shape (n,)
    unit : `~astropy.units.Unit`
        Flux per frequency or per wavelength.
    wavelength_um : array_like, shape (n,), µm
        For flux per wavelength.

    Returns
    -------
    ndarray, shape (n,), µJy
    """
    values = np.asarray(values, dtype=float)
    if unit == u.uJy:
        return values
    return (values * unit).to_value(u.uJy, u.spectral_density(np.asarray(wavelength_um, dtype=float) * u.um))


def is_flux(unit):
    """Whether a unit is one of flux density, per frequency or per wavelength."""
    return unit is not None and unit.is_equivalent(u.uJy, u.spectral_density(1 * u.um))
