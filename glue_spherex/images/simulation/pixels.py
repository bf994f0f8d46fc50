"""The pixels of one simulated exposure: sky, light, noise, flags and bad pixels."""

from dataclasses import dataclass

import numpy as np

from glue_spherex.model.detectors import N_PIX, ujy_per_mjy_sr
from glue_spherex.model.flags import FIT_MASK, Flag

from .detector import CENTRE, SimulatedDetector
from .light import add_points, add_sersic
from .pointing import Pointing
from .scene import Exposure, Scene, sky_at

EXPOSURE_DAYS = 115.1253 / 86400  #: MJD-END minus MJD-BEG

_MJD_J2000, _DAYS_PER_YEAR = 51544.5, 365.25

#: Airglow: wavelength (µm) and typical peak (MJy/sr); helium's 1.083 µm stands out
_AIRGLOW = ((1.083, 0.10), (1.27, 0.008), (2.0, 0.004))

#: Share of the pixels with each bit, apart from SOURCE
_PIXEL_RATES = {
    Flag.TRANSIENT: 5e-3,
    Flag.OVERFLOW: 3e-4,
    Flag.SUR_ERROR: 3e-3,
    Flag.PHANTOM: 1e-6,
    Flag.REFERENCE: 1e-6,
    Flag.NONFUNC: 3e-3,
    Flag.DICHROIC: 1e-4,
    Flag.MISSING_DATA: 2e-4,
    Flag.HOT: 3e-4,
    Flag.COLD: 4e-4,
    Flag.FULLSAMPLE: 6e-5,
    Flag.SUR_MISMATCH: 1e-4,
    Flag.PHANMISS: 1e-5,
    Flag.NONLINEAR: 2e-4,
    Flag.VAR_UNDER: 1e-4,
    Flag.PERSIST: 2e-3,
    Flag.PERSIST_UNK: 2e-4,
    Flag.OUTLIER: 1.5e-2,
}
#: Artefacts of many pixels: (half-width in x, half-width in y) in pixels; about one per 4e5 pixels
_ARTEFACTS = {
    Flag.CROSSTALK: (8, 0),
    Flag.GHOST: (3, 3),
    Flag.GHOST_FPA: (3, 3),
    Flag.GHOST_EXT: (4, 3),
    Flag.STREAK: (0, 9),
    Flag.BLOOM: (1, 4),
    Flag.SNOWBALL: (2, 2),
    Flag.HALO: (3, 3),
    Flag.SATELLITE_HALO: (5, 2),
}
_ARTEFACTS_PER_PX = 2.5e-6

#: Bits that the flag header of each release names
RELEASE_FLAGS = {
    "qr2": tuple(
        f
        for f in (*_PIXEL_RATES, Flag.SOURCE, *_ARTEFACTS)
        if f
        not in (
            Flag.SUR_MISMATCH,
            Flag.VAR_UNDER,
            Flag.PERSIST_UNK,
            Flag.CROSSTALK,
            Flag.STREAK,
            Flag.SATELLITE_HALO,
        )
    ),
    "qr3": tuple(f for f in (*_PIXEL_RATES, Flag.SOURCE, *_ARTEFACTS) if f not in (Flag.PHANTOM, Flag.REFERENCE)),
}


@dataclass(frozen=True)
class Window:
    """The part of the detector that a file holds: origin and size in detector pixels."""

    x0: int
    y0: int
    nx: int
    ny: int

    @classmethod
    def around(cls, x, y, size):
        """A square of `size` pixels around a point, cut at the detector's edges."""
        x_lo, y_lo = (round(c) - size // 2 for c in (x, y))
        x_hi, y_hi = (min(lo + size, N_PIX) for lo in (x_lo, y_lo))
        x_lo, y_lo = max(x_lo, 0), max(y_lo, 0)
        return cls(x_lo, y_lo, x_hi - x_lo, y_hi - y_lo)

    @property
    def columns(self):
        """Detector x of the columns."""
        return np.arange(self.x0, self.x0 + self.nx, dtype=float)

    @property
    def rows(self):
        """Detector y of the rows."""
        return np.arange(self.y0, self.y0 + self.ny, dtype=float)


@dataclass
class Pixels:
    """What a file holds, and the truth about its sources."""

    image: np.ndarray
    variance: np.ndarray
    zodi: np.ndarray
    flags: np.ndarray
    truth: dict  # column: array, a row per target on the image


@dataclass(frozen=True)
class Positions:
    """Sources on one image: detector and image pixels, sky, fluxes; each of shape (n,)."""

    index: np.ndarray
    x: np.ndarray
    y: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    wavelength_um: np.ndarray
    width_um: np.ndarray
    flux_ujy: np.ndarray


def expose(rng, detector: SimulatedDetector, pointing: Pointing, scene: Scene, exposure: Exposure, window: Window):
    """Draw one exposure.

    Parameters
    ----------
    rng : numpy.random.Generator
    detector, pointing, scene, exposure, window
        Instrument, attitude, sky, time and the part of the detector.

    Returns
    -------
    Pixels
        IMAGE, VARIANCE and ZODI in MJy/sr and its square, each of shape (ny, nx).
    """
    targets, stars = locate(detector, pointing, scene, exposure.mjd_begin + EXPOSURE_DAYS / 2, window)
    ujy = ujy_per_mjy_sr(detector.solid_angle(window.columns, window.rows))
    zodi, model, airglow = _sky(rng, detector, window)
    rate = _light(detector, pointing, scene, window, targets, stars) / ujy + zodi + airglow
    background = (zodi + airglow)[_pixel_of(window, targets)]
    a, b = detector.noise
    image = rate + np.sqrt(a + b * rate) * rng.standard_normal(rate.shape, dtype=np.float32)
    flags = _flags(rng, detector, window, targets)
    flags[_source_mask(detector, scene, window, targets, stars)] |= Flag.SOURCE
    _spoil(rng, image, flags, a, b)
    variance = np.maximum(a + b * image, 0.1 * a)
    variance[rng.random(variance.shape, dtype=np.float32) < 1e-3] = np.nan
    variance[(flags & Flag.NONFUNC > 0) & np.isfinite(variance)] = 0.0
    truth = {
        "target": targets.index,
        "x": targets.x,
        "y": targets.y,
        "ra": targets.ra,
        "dec": targets.dec,
        "flux_ujy": targets.flux_ujy,
        "wavelength": targets.wavelength_um,
        "width": targets.width_um,
        "background": background,
        "omega_arcsec2": ujy[_pixel_of(window, targets)] / ujy_per_mjy_sr(1.0),
        "zone": detector.zone_of(targets.x, targets.y),
    }
    return Pixels(image, variance, model, flags, truth)


def spoil_core(pixels, detector, window, row):
    """Put an unmasked outlier on the core of a star; its flux will be measured wrong.

    The pixel gets OUTLIER and TRANSIENT, which do not keep it from the fit, and twice the star's flux.

    Parameters
    ----------
    pixels : Pixels
        Changed in place.
    detector, window
        As in `expose`.
    row : int
        The star's row in ``pixels.truth``.

    Returns
    -------
    bool
        False, and nothing done, when the star lies at the border or has other bad pixels already.
    """
    truth = pixels.truth
    i, j = round(float(truth["x"][row])) - window.x0, round(float(truth["y"][row])) - window.y0
    if not (5 < i < window.nx - 6 and 5 < j < window.ny - 6):
        return False
    core = np.s_[j - 2 : j + 3, i - 2 : i + 3]
    if (pixels.flags[core] & np.int32(FIT_MASK)).any() or np.isnan(pixels.variance[core]).any():
        return False
    a, b = detector.noise
    level = truth["background"][row] + 2.0 * truth["flux_ujy"][row] / ujy_per_mjy_sr(truth["omega_arcsec2"][row])
    pixels.flags[j, i] |= np.int32(Flag.OUTLIER | Flag.TRANSIENT)
    pixels.image[j, i], pixels.variance[j, i] = level, a + b * level
    return True


def locate(detector, pointing, scene, mjd, window):
    """Targets inside the window, and field stars in or near it, at the epoch `mjd`."""
    sources = scene.sources
    ra, dec = np.array([s.ra for s in sources]), np.array([s.dec for s in sources])
    years = 2000 + (mjd - _MJD_J2000) / _DAYS_PER_YEAR - np.array([s.ref_epoch for s in sources])
    motion = np.array([(s.pmra, s.pmdec) for s in sources]).T * years / 1000
    ra, dec = sky_at(ra, dec, *motion)
    found = []
    for at_ra, at_dec, margin in ((ra, dec, 0), (scene.stars.ra, scene.stars.dec, 9)):
        x, y = pointing.to_pixels(at_ra, at_dec)
        with np.errstate(invalid="ignore"):
            inside = (np.abs(x - window.x0 - (window.nx - 1) / 2) < window.nx / 2 + margin) & (
                np.abs(y - window.y0 - (window.ny - 1) / 2) < window.ny / 2 + margin
            )
        index = np.flatnonzero(inside)
        found.append((index, x[index], y[index], at_ra[index], at_dec[index], *detector.wavelength(x[index], y[index])))
    target, star = found
    flux = np.array([float(scene.targets[k].spectrum(w)) for k, w in zip(target[0], target[5], strict=True)])
    star_flux = scene.stars.flux_ujy[star[0]] * (star[5] / 2.0) ** scene.stars.slope[star[0]]
    return Positions(*target, flux), Positions(*star, star_flux)


def _pixel_of(window, positions):
    """Index of the pixels that hold the positions."""
    j = np.clip(np.rint(positions.y).astype(int) - window.y0, 0, window.ny - 1)
    i = np.clip(np.rint(positions.x).astype(int) - window.x0, 0, window.nx - 1)
    return j, i


def _sky(rng, detector, window):
    """True zodiacal light, its model in the ZODI HDU, and airglow, MJy/sr; each of shape (ny, nx)."""
    level = detector.zodi * rng.uniform(0.8, 1.25)
    tilt = rng.uniform(-0.03, 0.03, 2)
    across, along = window.columns / CENTRE - 1, (window.rows / CENTRE - 1)[:, None]
    zodi = level * (1 + tilt[0] * across + tilt[1] * along)
    model = zodi + rng.normal(0, 0.01)
    wavelength, width = detector.wavelength(window.columns, window.rows[:, None])
    airglow = np.zeros_like(zodi)
    for line, peak in _AIRGLOW:
        strength = peak * rng.uniform(0.3, 1.7)
        if wavelength.min() - 0.15 < line < wavelength.max() + 0.15:
            airglow += strength * np.exp(-0.5 * ((wavelength - line) / (width / 2.355)) ** 2)
    return zodi, model, airglow


def _light(detector, pointing, scene, window, targets, stars):
    """Light of all sources, µJy per pixel."""
    flux = np.zeros((window.ny, window.nx))
    point = np.array([scene.targets[k].profile is None for k in targets.index], dtype=bool)
    for group, chosen in ((targets, point), (stars, np.ones(len(stars.x), dtype=bool))):
        x, y = group.x[chosen], group.y[chosen]
        add_points(flux, detector, x - window.x0, y - window.y0, x, y, group.flux_ujy[chosen])
    for k in np.flatnonzero(~point):
        x, y = float(targets.x[k]), float(targets.y[k])
        profile = scene.targets[targets.index[k]].profile
        matrix = pointing.local_matrix(x, y)
        add_sersic(flux, detector, x - window.x0, y - window.y0, x, y, targets.flux_ujy[k], profile, matrix)
    return flux


def _flags(rng, detector, window, targets):
    """Flags apart from SOURCE: every bit of the release at least once, away from the targets, and at random."""
    shape = (window.ny, window.nx)
    flags = np.zeros(shape, dtype=np.int32)
    clear = np.flatnonzero(~_discs(window, targets.x, targets.y, np.full(len(targets.x), 5.0)))
    if not len(clear):
        clear = np.arange(flags.size)
    flat = flags.ravel()
    for flag in RELEASE_FLAGS[detector.release]:
        bit = np.int32(flag)
        if flag in _PIXEL_RATES:
            flat[rng.choice(clear)] |= bit
            flat[rng.integers(0, flags.size, rng.poisson(_PIXEL_RATES[flag] * flags.size))] |= bit
        elif flag in _ARTEFACTS:
            wide, high = _ARTEFACTS[flag]
            for _ in range(1 + rng.poisson(_ARTEFACTS_PER_PX * flags.size)):
                j, i = rng.integers(0, shape[0]), rng.integers(0, shape[1])
                flags[max(j - high, 0) : j + high + 1, max(i - wide, 0) : i + wide + 1] |= bit
    if detector.number in (3, 4):  # the dichroic's edge: the long end of detector 3, the short end of detector 4
        edge = window.rows < 54 if detector.number == 3 else window.rows >= N_PIX - 54
        flags[edge] |= np.int32(Flag.DICHROIC)
    return flags


def _source_mask(detector, scene, window, targets, stars):
    """Pixels with more light of a catalogued source than a twentieth of the noise."""
    weights, sigma_x, _ = detector.gaussians
    wide = sigma_x[0, 1]
    a, b = detector.noise
    limit = 0.05 * np.sqrt(a + b * detector.zodi) * ujy_per_mjy_sr(37.9)
    mask = np.zeros((window.ny, window.nx), dtype=bool)
    for group in (targets, stars):
        peak = np.maximum(group.flux_ujy * weights[1] / (2 * np.pi * wide**2 * limit), 1.0)
        radius = np.clip(wide * np.sqrt(2 * np.log(peak)), 2.0, 8.0)
        if group is targets:
            for k, index in enumerate(group.index):
                profile = scene.targets[index].profile
                if profile is not None:
                    radius[k] = min(max(radius[k], 2.5 * profile.r_eff / 6.15 + 3), 12.0)
        mask |= _discs(window, group.x, group.y, radius)
    return mask


def _discs(window, x, y, radius):
    """Pixels whose centres lie within `radius` of any point; shape (ny, nx)."""
    pad = int(np.ceil(radius.max(initial=1.0))) + 10
    mask = np.zeros((window.ny + 2 * pad, window.nx + 2 * pad), dtype=bool)
    for reach in np.unique(np.ceil(radius)).astype(int):
        group = np.ceil(radius) == reach
        px, py = x[group] - window.x0, y[group] - window.y0
        offsets = np.arange(-reach, reach + 1)
        i, j = np.rint(px).astype(int)[:, None] + offsets, np.rint(py).astype(int)[:, None] + offsets
        inside = ((i - px[:, None]) ** 2)[:, None, :] + ((j - py[:, None]) ** 2)[:, :, None]
        inside = inside <= (radius[group] ** 2)[:, None, None]
        which, row, column = np.nonzero(inside)
        rows, columns = j[which, row] + pad, i[which, column] + pad
        kept = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
        mask[rows[kept], columns[kept]] = True
    return mask[pad:-pad, pad:-pad]


def _spoil(rng, image, flags, a, b):
    """Wreck the values of the pixels that the fit must not use."""
    sigma = np.sqrt(a + b * 0.2)

    def pixels(flag):
        return np.nonzero(flags & np.int32(flag))

    hot = pixels(Flag.HOT)
    image[hot] += 10 ** rng.uniform(1.5, 4.0, len(hot[0])) * sigma
    persistent = pixels(Flag.PERSIST)
    image[persistent] += rng.uniform(10, 100, len(persistent[0])) * sigma
    cold = pixels(Flag.COLD)
    image[cold] = -rng.uniform(0, 20, len(cold[0])) * sigma
    image[pixels(Flag.NONLINEAR)] *= 0.6
    error = pixels(Flag.SUR_ERROR)
    image[error] += rng.normal(0, 300, len(error[0])) * sigma
    dead = pixels(Flag.NONFUNC)
    image[dead] = np.where(rng.random(len(dead[0])) < 0.5, np.nan, 0.0)
    image[pixels(Flag.MISSING_DATA)] = np.nan
