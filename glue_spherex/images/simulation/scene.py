"""What is on the simulated sky, and when and where the telescope looks."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
from scipy.spatial import cKDTree

from glue_spherex.model.detectors import N_PIX, PIXEL_SCALE_ARCSEC
from glue_spherex.model.source import Sersic, Source

SCENES = {
    "field": "three stars, a galaxy, a 1.5-px blend of 1 : 0.6, a star in motion, and one deliberately bad point",
    "isolated": "one star with S/N > 50 in every image, far from all others",
    "faint": "stars with S/N 1, 2.5 and 5",
    "pair": "two stars 1.5 px apart, flux ratio 1 : 0.6",
    "sersic": "a Sérsic galaxy",
    "crowded": "stars at random positions, close to each other",
    "motion": "a star that moves by several arcseconds a year",
}

EPOCH = 2016.0  #: Julian year of the target positions
SURVEY = 2026.0  #: Julian year about the middle of the exposures

# MJD range of the exposures and file-name parts of each release
_SPANS = {"qr2": (60796.0, 61225.0), "qr3": (61241.0, 61345.0)}
_MJD_0 = datetime(1858, 11, 17)
_CLEAR_PX = 7.5  # field stars keep this distance from targets
_STARS_PER_PX = 0.018  # field stars: with their masks a quarter to a third of the pixels
_GALAXY_SHAPES = ((1.5, 6.0, 0.6, 35.0), (4.0, 5.0, 0.8, 100.0), (1.0, 9.0, 0.4, 160.0), (0.5, 4.0, 0.7, 60.0))


@dataclass(frozen=True)
class TrueSpectrum:
    """A smooth spectrum with a few features, in closed form.

    Parameters
    ----------
    flux_ujy : float
        Flux density of the continuum at 2 µm.
    slope : float, optional
        Exponent of the power law in wavelength.
    temperature_k : float, optional
        Of a black body, which replaces the power law.
    features : tuple of (centre_um, sigma_um, strength), optional
        Gaussians that multiply the continuum by ``1 + strength``; negative in absorption.
    """

    flux_ujy: float
    slope: float = 0.0
    temperature_k: float | None = None
    features: tuple = ()

    def __call__(self, wavelength_um):
        """Flux density in µJy at `wavelength_um`."""
        wavelength_um = np.asarray(wavelength_um, dtype=float)
        if self.temperature_k is None:
            flux = self.flux_ujy * (wavelength_um / 2.0) ** self.slope
        else:
            c2 = 14387.77 / self.temperature_k  # second radiation constant, µm K
            flux = self.flux_ujy * (2.0 / wavelength_um) ** 3 * np.expm1(c2 / 2.0) / np.expm1(c2 / wavelength_um)
        for centre, sigma, strength in self.features:
            flux = flux * (1 + strength * np.exp(-0.5 * ((wavelength_um - centre) / sigma) ** 2))
        return flux


@dataclass(frozen=True)
class Target:
    """A source of the target list with its true spectrum and its offset from the field centre."""

    name: str
    spectrum: TrueSpectrum
    east_arcsec: float = 0.0
    north_arcsec: float = 0.0
    profile: Sersic | None = None
    pmra: float = 0.0
    pmdec: float = 0.0


@dataclass(frozen=True)
class FieldStars:
    """Stars that are in the images and in the source mask, but not in the target list."""

    ra: np.ndarray
    dec: np.ndarray
    flux_ujy: np.ndarray
    slope: np.ndarray


@dataclass(frozen=True)
class Scene:
    """The sky: targets, field stars and the field centre."""

    ra: float
    dec: float
    targets: tuple
    sources: tuple = field(repr=False)
    stars: FieldStars = field(repr=False)


@dataclass(frozen=True)
class Exposure:
    """One image: when, which detector, and where the field centre falls on it."""

    number: int
    detector: int
    mjd_begin: float
    x: float
    y: float
    roll: float
    period: str  # e.g. 2025W51_1A
    slew: int
    step: int

    @property
    def obsid(self):
        """Observation identifier."""
        return f"{self.period}_{self.slew:04d}_{self.step}"

    @property
    def exposure_id(self):
        """The 15-digit number of observation and detector."""
        year, week, part = self.period[:4], self.period[5:7], self.period[8]
        return int(f"{year}{week}{part}01{self.slew:04d}{self.step}{self.detector}")

    def file_name(self, release):
        """Name of the Level-2 file."""
        made = date_of(self.mjd_begin + 2)
        version = {"qr2": "v21", "qr3": "v26"}[release]
        return f"level2_{self.obsid}D{self.detector}_spx_l2b-{version}-{made:%Y-%j}.fits"


def date_of(mjd):
    """The `~datetime.datetime` of a Modified Julian date."""
    return _MJD_0 + timedelta(days=mjd)


def plan_exposures(rng, images, detectors, release, margin):
    """Exposures spread evenly over time and over each detector's wavelengths.

    Parameters
    ----------
    rng : numpy.random.Generator
    images : int
    detectors : sequence of int
        Taken in turn.
    release : {"qr2", "qr3"}
    margin : float
        Smallest distance of the field centre from the detector's edge, pixels.

    Returns
    -------
    list of Exposure
    """
    first, last = _SPANS[release]
    times = first + (np.arange(images) + 0.5 + 0.4 * rng.uniform(-1, 1, images)) * (last - first) / images
    exposures = []
    rows = {}
    for place, detector in enumerate(detectors):
        count = len(range(place, images, len(detectors)))
        steps = (rng.permutation(count) + rng.uniform(0, 1, count)) / max(count, 1)
        rows[detector] = iter(margin + steps * (N_PIX - 1 - 2 * margin))
    for number, mjd in enumerate(times):
        day = date_of(mjd)
        year, week, weekday = day.isocalendar()
        half_week = (weekday - 1 + (mjd % 1)) / 3.5
        detector = detectors[number % len(detectors)]
        exposures.append(
            Exposure(
                number,
                detector,
                float(mjd),
                float(rng.uniform(margin, N_PIX - 1 - margin)),
                float(next(rows[detector])),
                float(rng.uniform(0, 360)),
                f"{year}W{week:02d}_{1 + int(half_week)}A",
                1 + int(half_week % 1 * 2000),
                1 + number % 4,
            )
        )
    return exposures


def build_scene(rng, name, size, full, n_sources):
    """Put targets and field stars on the sky.

    Parameters
    ----------
    rng : numpy.random.Generator
    name : str
        A key of `SCENES`.
    size : int
        Side of the cutouts, pixels.
    full : bool
        Whether the images are full frames.
    n_sources : int or None
        Number of targets; ``None`` takes the scene's own.

    Returns
    -------
    Scene
    """
    ra, dec = float(rng.uniform(20, 340)), float(rng.uniform(-55, 55))
    targets = _LAYOUTS[name](rng, size, full, n_sources)
    reach = 0.5 * (N_PIX if full else size)
    sources = []
    for target in targets:
        years = SURVEY - EPOCH  # a moving star reaches its place in the field during the survey
        east = target.east_arcsec - years * target.pmra / 1000
        north = target.north_arcsec - years * target.pmdec / 1000
        at_ra, at_dec = sky_at(ra, dec, east, north)
        shape = (target.name, target.profile, target.pmra, target.pmdec, EPOCH)
        sources.append(Source(round(float(at_ra), 9), round(float(at_dec), 9), *shape))
    # the frame may lie anywhere around the field centre, or just turn around it
    radius = np.sqrt(2) * (2 * reach if full else reach) + 10
    stars = _field_stars(rng, ra, dec, radius, targets)
    return Scene(ra, dec, tuple(targets), tuple(sources), stars)


def _field_stars(rng, ra, dec, radius_px, targets):
    count = rng.poisson(_STARS_PER_PX * np.pi * radius_px**2)
    distance = radius_px * np.sqrt(rng.uniform(0, 1, count)) * PIXEL_SCALE_ARCSEC
    angle = rng.uniform(0, 2 * np.pi, count)
    east, north = distance * np.cos(angle), distance * np.sin(angle)
    flux = 10 ** rng.uniform(2.5, 3.8, count)
    slope = rng.uniform(-1.0, 0.5, count)
    places = np.array([(t.east_arcsec, t.north_arcsec) for t in targets])
    sizes = np.array([0.0 if t.profile is None else 2 * t.profile.r_eff for t in targets])
    motions = np.hypot([t.pmra for t in targets], [t.pmdec for t in targets]) / 1000  # of a year
    covered = cKDTree(np.stack([east, north], axis=1)).query_ball_point(
        places, _CLEAR_PX * PIXEL_SCALE_ARCSEC + sizes + motions
    )
    free = np.ones(count, dtype=bool)
    free[np.concatenate([*covered, []]).astype(int)] = False
    at_ra, at_dec = sky_at(ra, dec, east[free], north[free])
    return FieldStars(at_ra, at_dec, flux[free], slope[free])


def sky_at(ra, dec, east_arcsec, north_arcsec):
    """Sky positions at tangent-plane offsets from `ra`, `dec` (deg)."""
    xi, eta = np.radians(np.asarray(east_arcsec) / 3600), np.radians(np.asarray(north_arcsec) / 3600)
    d = np.radians(dec)
    depth = np.cos(d) - eta * np.sin(d)
    new_ra = ra + np.degrees(np.arctan2(xi, depth))
    return new_ra % 360, np.degrees(np.arctan2(np.sin(d) + eta * np.cos(d), np.hypot(xi, depth)))


# -- the layouts: lists of targets around the field centre -----------------------------------------------------------


def _places(rng, count, size, full):
    """Offsets (arcsec) of `count` groups that keep clear of each other: in a disc of a frame's size, or on rings."""
    if not full and count == 1:
        return [tuple(rng.uniform(-2.0, 2.0, 2))]
    if not full and count <= 7:
        radius = max(0.33 * size, 9.0)
        turn = rng.uniform(0, 2 * np.pi)
        ring = [turn + 2 * np.pi * k / (count - 1) for k in range(count - 1)]
        offsets = [(0.0, 0.0)] + [(radius * np.cos(a), radius * np.sin(a)) for a in ring]
        return [
            (PIXEL_SCALE_ARCSEC * e, PIXEL_SCALE_ARCSEC * n) for e, n in rng.uniform(-0.5, 0.5, (count, 2)) + offsets
        ]
    radius = 0.45 * (N_PIX if full else size)
    apart = min(25.0 if full else 12.0, 0.6 * radius * np.sqrt(np.pi / count))
    places = np.empty((0, 2))
    while len(places) < count:
        trial = rng.uniform(-radius, radius, 2)
        if np.hypot(*trial) < radius and (np.hypot(*(places - trial).T) > apart).all():
            places = np.vstack([places, trial])
    return [(PIXEL_SCALE_ARCSEC * e, PIXEL_SCALE_ARCSEC * n) for e, n in places]


def _bright_star(rng):
    """A spectrum with S/N > 50 on every detector."""
    features = ((1.4, 0.06, -0.15), (2.3, 0.04, -0.12), (3.3, 0.05, 0.2), (4.6, 0.03, -0.1))
    return TrueSpectrum(float(rng.uniform(45e3, 70e3)), float(rng.uniform(-0.1, 0.2)), features=features)


def _isolated(rng, size, full, n_sources):
    count = n_sources or (30 if full else 1)
    return [Target(f"star-{k + 1}", _bright_star(rng), *at) for k, at in enumerate(_places(rng, count, size, full))]


def _faint(rng, size, full, n_sources):
    count = n_sources or (30 if full else 3)
    ratios = (5.0, 2.5, 1.0)
    # the detectors' noise grows roughly with wavelength
    return [
        Target(f"faint-{k + 1}", TrueSpectrum(ratios[k % 3] * 48.0, 0.8), *at)
        for k, at in enumerate(_places(rng, count, size, full))
    ]


def _blend(rng, name, spectrum, at, separation_px=1.5, ratio=0.6):
    """Two stars `separation_px` apart."""
    angle = rng.uniform(0, 2 * np.pi)
    reach = separation_px * PIXEL_SCALE_ARCSEC
    other = (at[0] + reach * np.cos(angle), at[1] + reach * np.sin(angle))
    return [
        Target(f"{name}a", spectrum, *at),
        Target(f"{name}b", replace(spectrum, flux_ujy=ratio * spectrum.flux_ujy), *other),
    ]


def _pair(rng, size, full, n_sources):
    pairs = max(1, (n_sources or (30 if full else 2)) // 2)
    places = _places(rng, pairs, size, full)
    return [t for k, at in enumerate(places) for t in _blend(rng, f"pair-{k + 1}", _bright_star(rng), at)]


def _galaxy(rng, name, at, number=0, flux_ujy=30e3):
    n, r_eff, axis_ratio, angle = _GALAXY_SHAPES[number % len(_GALAXY_SHAPES)]
    lines = ((1.25, 0.03, 0.5), (2.0, 0.04, 0.25), (3.3, 0.06, 0.6), (4.05, 0.02, 0.3))
    spectrum = TrueSpectrum(flux_ujy, 0.3, features=lines)
    return Target(name, spectrum, *at, profile=Sersic(n, r_eff, axis_ratio, angle))


def _sersic(rng, size, full, n_sources):
    count = n_sources or (30 if full else 1)
    return [_galaxy(rng, f"galaxy-{k + 1}", at, k) for k, at in enumerate(_places(rng, count, size, full))]


def _crowded(rng, size, full, n_sources):
    count = n_sources or (3000 if full else 20)
    side = 0.45 * (N_PIX if full else size) * PIXEL_SCALE_ARCSEC
    radius, angle = side * np.sqrt(rng.uniform(0, 1, count)), rng.uniform(0, 2 * np.pi, count)
    fluxes, slopes = 10 ** rng.uniform(3.0, 4.6, count), rng.uniform(-0.8, 0.3, count)
    return [
        Target(f"star-{k + 1}", TrueSpectrum(float(f), float(s)), float(r * np.cos(a)), float(r * np.sin(a)))
        for k, (f, s, r, a) in enumerate(zip(fluxes, slopes, radius, angle, strict=True))
    ]


def _motion(rng, size, full, n_sources):
    count = n_sources or (30 if full else 1)
    return [
        Target(f"moving-{k + 1}", _bright_star(rng), *at, pmra=-3200.0, pmdec=1500.0)
        for k, at in enumerate(_places(rng, count, size, full))
    ]


def _field(rng, size, full, n_sources):
    count = n_sources or (30 if full else 7)
    places = _places(rng, max(count - 1, 6), size, full)
    bands = ((2.32, 0.05, -0.25), (4.6, 0.08, -0.2))
    ice = ((3.05, 0.15, -0.6), (4.27, 0.03, -0.4))
    disc = ((3.29, 0.04, 0.6), (1.875, 0.02, 0.5), (4.05, 0.02, 0.4))
    targets = [
        Target("hot-star", TrueSpectrum(30e3, temperature_k=9500.0), *places[0]),
        Target("cool-star", TrueSpectrum(45e3, temperature_k=3300.0, features=bands), *places[1]),
        Target("icy-star", TrueSpectrum(25e3, 0.9, features=ice + disc), *places[2]),
        _galaxy(rng, "galaxy", places[3]),
        *_blend(rng, "blend-", TrueSpectrum(20e3, 0.2, features=bands), places[4]),
        Target("fast-star", TrueSpectrum(28e3, temperature_k=2800.0), *places[5], pmra=-1800.0, pmdec=1100.0),
    ]
    targets += [Target(f"star-{k}", _bright_star(rng), *at) for k, at in enumerate(places[6:], start=1)]
    return targets[:count]


_LAYOUTS = {
    "field": _field,
    "isolated": _isolated,
    "faint": _faint,
    "pair": _pair,
    "sersic": _sersic,
    "crowded": _crowded,
    "motion": _motion,
}
