"""What is measured: a position on the sky, its motion, and its shape."""

from dataclasses import dataclass

import numpy as np

#: Below this half-light radius (arcsec) a Sérsic profile is measured as a point source, as IRSA's tool does.
POINT_SOURCE_BELOW_ARCSEC = 1.0

_MAS_PER_RAD = np.degrees(1) * 3.6e6
_DAYS_PER_JULIAN_YEAR = 365.25
_MJD_J2000 = 51544.5
_SURVEY_MJD = 61041.0  # 2026.0, near the middle of the prime mission


class SourceError(ValueError):
    """A position, motion or shape outside its permitted range."""


def _checked(owner, name, value, low, high, *, low_open=False, unit=""):
    """The value as a float, or a `SourceError` that names parameter, value and range."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        found = f"{value!r}, which is not a number"
    else:
        if (low < number if low_open else low <= number) and number <= high:  # not so for NaN
            return number
        found = f"{number:g}"
    allowed = f"{low:g} {'<' if low_open else '<='} {name} <= {high:g}{unit and ' ' + unit}"
    raise SourceError(f"{owner}: {name} is {found}; allowed is {allowed}.")


@dataclass(frozen=True)
class Sersic:
    """A Sérsic profile.

    The surface brightness is ``I(R) = I_e exp(-b_n ((R / r_eff)**(1/n) - 1))`` on ellipses (Sérsic 1963; Graham &
    Driver 2005, PASA 22, 118). The ranges are those of IRSA's Spectrophotometry Tool.

    Parameters
    ----------
    n : float
        Sérsic index, 0.5 to 6.
    r_eff : float
        Half-light radius along the major axis, above 0 and up to 20 arcsec. Below 1 arcsec a source with this profile
        is measured as a point.
    axis_ratio : float
        Minor axis over major axis, above 0 and up to 1.
    position_angle : float
        Of the major axis, degrees East of North, -360 to 360.

    Raises
    ------
    SourceError
        If a value is outside its range, naming parameter, value and range.
    """

    n: float
    r_eff: float
    axis_ratio: float = 1.0
    position_angle: float = 0.0

    def __post_init__(self):
        for name, low, high, low_open, unit in (
            ("n", 0.5, 6.0, False, ""),
            ("r_eff", 0.0, 20.0, True, "arcsec"),
            ("axis_ratio", 0.0, 1.0, True, ""),
            ("position_angle", -360.0, 360.0, False, "degrees"),
        ):
            value = _checked("Sersic profile", name, getattr(self, name), low, high, low_open=low_open, unit=unit)
            object.__setattr__(self, name, value)

    @property
    def is_point(self):
        """Whether the profile is too small to be told from a point source."""
        return self.r_eff < POINT_SOURCE_BELOW_ARCSEC


@dataclass(frozen=True, init=False)
class Source:
    """A position on the sky whose flux is measured.

    Parameters
    ----------
    ra : float or `~astropy.coordinates.SkyCoord`
        Right ascension (ICRS) in degrees, 0 to 360; or a scalar coordinate, which gives `dec` as well, and the proper
        motion and epoch if it has them.
    dec : float, optional
        Declination (ICRS) in degrees, -90 to 90. Left out when `ra` is a `SkyCoord`.
    label : str, optional
        Name in results and file names; control characters become blanks.
    profile : Sersic, optional
        Shape; ``None`` is a point source.
    pmra, pmdec : float, optional
        Proper motion in mas/yr; `pmra` includes the factor cos(dec).
    ref_epoch : float, optional
        Julian year at which the position holds.
    companion : bool, optional
        Whether it is only there because its light mixes with that of the targets: it is fitted with them, and measured
        on the images that hold one of them; no image is looked at for its sake.

    Raises
    ------
    SourceError
        If a value is outside its range.

    Examples
    --------
    >>> star = Source(150.1, 2.2, label="star", pmra=-120.0, ref_epoch=2016.0)
    >>> star.pmra, star.profile, star.companion
    (-120.0, None, False)
    """

    ra: float
    dec: float
    label: str = ""
    profile: Sersic | None = None
    pmra: float = 0.0
    pmdec: float = 0.0
    ref_epoch: float = 2000.0
    companion: bool = False

    def __init__(self, ra, dec=None, label="", profile=None, pmra=0.0, pmdec=0.0, ref_epoch=2000.0, companion=False):
        if hasattr(ra, "icrs"):
            ra, dec, pmra, pmdec, ref_epoch = _from_skycoord(ra, dec, pmra, pmdec, ref_epoch)
        label = str(label)
        owner = f"source {label!r}" if label else "source"
        if not label.isprintable():
            label = "".join(letter if letter.isprintable() else " " for letter in label)
        if profile is not None and not isinstance(profile, Sersic):
            raise SourceError(f"{owner}: profile is {profile!r}; a Sersic or None is needed.")
        if not isinstance(companion, bool | np.bool_):
            raise SourceError(f"{owner}: companion is {companion!r}; True or False is needed.")
        vars(self).update(  # a frozen value is made once; a list may have 100,000 of them
            ra=_checked(owner, "ra", ra, 0.0, 360.0, unit="degrees"),
            dec=_checked(owner, "dec", dec, -90.0, 90.0, unit="degrees"),
            label=label.strip(),
            profile=profile,
            pmra=_checked(owner, "pmra", pmra, -2e4, 2e4, unit="mas/yr"),
            pmdec=_checked(owner, "pmdec", pmdec, -2e4, 2e4, unit="mas/yr"),
            ref_epoch=_checked(owner, "ref_epoch", ref_epoch, 1800.0, 2200.0, unit="(Julian year)"),
            companion=bool(companion),
        )

    @property
    def shape(self):
        """The profile that is fitted: ``None`` for a point source and for a profile too small to matter."""
        return None if self.profile is None or self.profile.is_point else self.profile

    @property
    def coord(self):
        """The position at the reference epoch as a `~astropy.coordinates.SkyCoord`."""
        from astropy.coordinates import SkyCoord

        return SkyCoord(self.ra, self.dec, unit="deg")


def _from_skycoord(coord, dec, pmra, pmdec, ref_epoch):
    if dec is not None:
        raise SourceError(f"source: dec is {dec!r} beside a SkyCoord; give either a SkyCoord or ra and dec.")
    if not coord.isscalar:
        raise SourceError(f"source: a SkyCoord with {coord.size} positions; one Source takes one position.")
    icrs = coord.icrs
    if "s" in icrs.data.differentials:
        pmra, pmdec = icrs.pm_ra_cosdec.to_value("mas/yr"), icrs.pm_dec.to_value("mas/yr")
    if coord.obstime is not None:
        ref_epoch = coord.obstime.jyear
    return icrs.ra.deg % 360, icrs.dec.deg, pmra, pmdec, ref_epoch


def unit_vectors(ra_deg, dec_deg):
    """Unit vectors to positions.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (...), deg

    Returns
    -------
    ndarray, shape (..., 3)
    """
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def survey_vectors(sources):
    """Unit vectors to where sources are at the time of the survey, so that lists of different epochs can be compared.

    Parameters
    ----------
    sources : sequence of Source

    Returns
    -------
    ndarray, shape (n, 3)
    """
    return unit_vectors(*sky_positions(sources, _SURVEY_MJD))


def _triad(ra_deg, dec_deg):
    """Unit vectors to the position, to the East and to the North; each of shape (n, 3)."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    sin_ra, cos_ra, sin_dec, cos_dec = np.sin(ra), np.cos(ra), np.sin(dec), np.cos(dec)
    east = np.stack([-sin_ra, cos_ra, np.zeros_like(ra)], axis=-1)
    north = np.stack([-sin_dec * cos_ra, -sin_dec * sin_ra, cos_dec], axis=-1)
    return unit_vectors(ra_deg, dec_deg), east, north


def sky_positions(sources, mjd=None):
    """Positions of many sources, moved to one epoch.

    The motion is uniform in space with the radial velocity and the parallax neglected (ESA 1997, The Hipparcos
    Catalogue, SP-1200, vol. 1, eq. 1.2.16 and following).

    Parameters
    ----------
    sources : sequence of Source, length n
        The sources.
    mjd : float, optional
        Modified Julian date of the epoch; without it, each position at its own reference epoch.

    Returns
    -------
    ra, dec : ndarray, shape (n,), deg
        ICRS positions, 0 <= ra < 360.
    """
    table = np.array([(s.ra, s.dec, s.pmra, s.pmdec, s.ref_epoch) for s in sources], dtype=float).reshape(-1, 5)
    ra, dec, pmra, pmdec, ref_epoch = table.T
    if mjd is None or not (pmra.any() or pmdec.any()):
        return ra % 360, dec.copy()
    years = (mjd - _MJD_J2000) / _DAYS_PER_JULIAN_YEAR + 2000.0 - ref_epoch
    radial, east, north = _triad(ra, dec)
    moved = radial + ((years * pmra)[:, None] * east + (years * pmdec)[:, None] * north) / _MAS_PER_RAD
    x, y, z = moved.T
    moving = (pmra != 0) | (pmdec != 0)
    new_ra = np.where(moving, np.degrees(np.arctan2(y, x)) % 360, ra % 360)
    return new_ra, np.where(moving, np.degrees(np.arctan2(z, np.hypot(x, y))), dec)


def sky_offset(ra_deg, dec_deg, east_arcsec, north_arcsec):
    """Position at a small offset (tangent plane) from another.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (n,), deg
        Starting positions.
    east_arcsec, north_arcsec : array_like, shape (n,), arcsec
        Offsets; East is on the sky, that is, including cos(dec).

    Returns
    -------
    ra, dec : ndarray, shape (n,), deg
    """
    radial, east, north = _triad(np.asarray(ra_deg, dtype=float), np.asarray(dec_deg, dtype=float))
    to_rad = np.radians(1 / 3600)
    x, y, z = np.moveaxis(
        radial
        + np.asarray(east_arcsec)[..., None] * to_rad * east
        + np.asarray(north_arcsec)[..., None] * to_rad * north,
        -1,
        0,
    )
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))
