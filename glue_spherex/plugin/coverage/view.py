"""A view of the sky: its centre, its width, and where on the screen a position is."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...model import unit_vectors

#: From this width on the whole sky is shown, in Mollweide's projection; below, a stereographic one.
ALL_SKY_DEG = 160.0
#: Width of the whole sky in Mollweide's projection: 4 sqrt(2) / pi * 180 degrees at the centre.
_MOLLWEIDE_DEG = 720 * np.sqrt(2) / np.pi
_WIDEST_DEG, _NARROWEST_DEG = _MOLLWEIDE_DEG * 1.06, 1 / 60
#: Positions farther from the centre than this are not drawn in the stereographic projection.
_FARTHEST_DEG = 120.0


@dataclass(frozen=True)
class SkyView:
    """The part of the sky that a window shows: North is up at its centre, right ascension increases to the left.

    Parameters
    ----------
    ra, dec : float, deg
        Centre; on the equator where all of the sky is seen.
    width_deg : float, deg
        Width at the scale of the centre, from 1′ to a little more than the whole sky.
    nx, ny : int
        Size of the window in pixels; pixel centres are whole numbers, (0, 0) is at the lower left.
    """

    ra: float = 0.0
    dec: float = 0.0
    width_deg: float = _WIDEST_DEG
    nx: int = 800
    ny: int = 500

    def __post_init__(self):
        nx, ny = max(int(self.nx), 1), max(int(self.ny), 1)
        widest = _WIDEST_DEG * max(1.0, nx / (2 * ny))  # the whole sky is twice as wide as high
        width = float(np.clip(self.width_deg, _NARROWEST_DEG, widest))
        dec = 0.0 if width > 0.97 * widest else float(np.clip(self.dec, -90, 90))
        values = {"ra": float(self.ra) % 360 % 360, "dec": dec, "width_deg": width, "nx": nx, "ny": ny}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def all_sky(self):
        """Whether it shows the whole sky in one ellipse."""
        return self.width_deg >= ALL_SKY_DEG

    @property
    def scale_deg(self):
        """Side of a pixel at the centre, deg."""
        return self.width_deg / self.nx

    @cached_property
    def wcs(self):
        """The `astropy.wcs.WCS` of the window's pixels."""
        from astropy.wcs import WCS

        kind = "MOL" if self.all_sky else "STG"
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = [f"RA---{kind}", f"DEC--{kind}"]
        wcs.wcs.crval = [self.ra, 0.0 if self.all_sky else self.dec]
        wcs.wcs.crpix = [(self.nx + 1) / 2, (self.ny + 1) / 2 - self._equator_px]
        wcs.wcs.cdelt = [-self.scale_deg, self.scale_deg]
        wcs.wcs.cunit = ["deg", "deg"]
        wcs.wcs.radesys = "ICRS"
        wcs.pixel_shape = self.nx, self.ny
        wcs.wcs.set()
        return wcs

    @property
    def _equator_px(self):
        """How far the equator of the whole sky is below the middle of the window."""
        return _mollweide_y(self.dec) / self.scale_deg if self.all_sky else 0.0

    @property
    def ellipse(self):
        """Centre x, y, width and height of the edge of the sky, pixels; None where it is not in sight."""
        if not self.all_sky:
            return None
        width = _MOLLWEIDE_DEG / self.scale_deg
        return (self.nx - 1) / 2, (self.ny - 1) / 2 - self._equator_px, width, width / 2

    def row_width(self, y):
        """Width of the whole sky at a height of the window.

        Parameters
        ----------
        y : array_like

        Returns
        -------
        ndarray, pixels
            0 above and below the sky.
        """
        _, y0, width, height = self.ellipse
        return width * np.sqrt(np.clip(1 - (2 * (np.asarray(y, float) - y0) / height) ** 2, 0, 1))

    def pixels(self, ra, dec):
        """Where positions are in the window.

        Parameters
        ----------
        ra, dec : array_like, deg

        Returns
        -------
        x, y : ndarray of float
            Of the same shape; NaN for what is behind the observer or is no position.
        """
        ra, dec = np.broadcast_arrays(np.asarray(ra, float), np.asarray(dec, float))
        shape, ra, dec = ra.shape, ra.ravel(), dec.ravel()
        x, y = np.full(ra.shape, np.nan), np.full(ra.shape, np.nan)
        seen = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90)
        if not self.all_sky:
            seen[seen] = self._cosine(ra[seen], dec[seen]) > np.cos(np.radians(_FARTHEST_DEG))
        if seen.any():
            x[seen], y[seen] = self.wcs.wcs_world2pix(ra[seen], dec[seen], 0)
        return x.reshape(shape), y.reshape(shape)

    def sky(self, x, y):
        """The positions at places in the window.

        Parameters
        ----------
        x, y : array_like

        Returns
        -------
        ra, dec : ndarray, deg
            NaN outside the sky.
        """
        x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        ra, dec = self.wcs.wcs_pix2world(x.ravel(), y.ravel(), 0)
        ra, dec = np.where(np.isfinite(ra + dec), (ra % 360, dec), np.nan)
        return ra.reshape(x.shape), dec.reshape(x.shape)

    def _cosine(self, ra, dec):
        """Cosine of the distance from the centre."""
        return unit_vectors(ra, dec) @ unit_vectors(np.array([self.ra]), np.array([self.dec]))[0]

    def near(self, ra, dec, margin_deg=0.0):
        """Which positions may be in sight: those within the circle around the window, and a margin.

        Parameters
        ----------
        ra, dec : ndarray, deg
        margin_deg : float, deg

        Returns
        -------
        ndarray of bool
        """
        if self.all_sky:
            return np.ones(np.shape(ra), bool)
        half_diagonal = np.hypot(self.nx, self.ny) / 2 * self.scale_deg
        reach = np.degrees(2 * np.arctan(np.radians(half_diagonal) / 2)) + margin_deg
        return self._cosine(np.asarray(ra, float), np.asarray(dec, float)) >= np.cos(np.radians(min(reach, 180)))

    # -- other views --------------------------------------------------------------------------------------------------

    def resized(self, nx, ny):
        """The same sky in a window of another size: along its shorter side, as much of it as before."""
        if self.all_sky:
            return replace(self, nx=nx, ny=ny, width_deg=1e9)
        width = self.scale_deg * min(self.nx, self.ny) / min(nx, ny) * nx
        return replace(self, nx=nx, ny=ny, width_deg=min(width, ALL_SKY_DEG * 0.999))

    def zoomed(self, factor, x=None, y=None):
        """Nearer or farther.

        Parameters
        ----------
        factor : float
            Of the width; below 1 is nearer.
        x, y : float, optional
            The place in the window that keeps showing the same position; the centre by default.

        Returns
        -------
        SkyView
        """
        wanted = replace(self, width_deg=self.width_deg * factor)
        if x is None:
            return wanted
        ra, dec = (float(value) for value in self.sky(x, y))
        return wanted.placing(ra, dec, x, y) if np.isfinite(ra) else wanted

    def placing(self, ra, dec, x, y):
        """The view of this width in which a position is at a place of the window, as far as there is one.

        Parameters
        ----------
        ra, dec : float, deg
        x, y : float
            Pixels.

        Returns
        -------
        SkyView
        """
        view = replace(self, ra=0.0, dec=self._centre_dec(dec, x, y))
        ra_there = float(view.sky(x, y)[0])
        return replace(view, ra=ra - ra_there) if np.isfinite(ra_there) else self.on(ra, dec)

    def _centre_dec(self, dec, x, y):
        """Declination of the centre that puts a declination to a place; the nearest that can be where none does.

        From sin(dec) = sin(centre) cos(d) + cos(centre) sin(d) cos(angle), d being the distance from the centre.
        """
        east, north = -(x - (self.nx - 1) / 2), y - (self.ny - 1) / 2
        if self.all_sky:
            return _mollweide_dec(_mollweide_y(dec) - north * self.scale_deg)
        distance = 2 * np.arctan(np.radians(np.hypot(east, north) * self.scale_deg) / 2)
        along = np.sin(distance) * np.cos(np.arctan2(east, north))
        reach, turn = np.hypot(np.cos(distance), along), np.arctan2(along, np.cos(distance))
        rising = np.arcsin(np.clip(np.sin(np.radians(dec)) / reach, -1, 1))
        found = (np.degrees(np.array([rising, np.pi - rising]) - turn) + 180) % 360 - 180
        found = found[np.abs(found) <= 90]
        return float(found[np.argmin(np.abs(found - self.dec))]) if len(found) else float(np.copysign(90, dec))

    def dragged(self, x, y, to_x, to_y):
        """The view after what was at one place was drawn to another one."""
        ra, dec = (float(value) for value in self.sky(x, y))
        if not np.isfinite(ra):
            return self
        return self.placing(ra, dec, to_x, to_y)

    def on(self, ra, dec, width_deg=None):
        """The view with another centre, and perhaps another width."""
        return replace(self, ra=ra, dec=dec, width_deg=width_deg or self.width_deg)

    def holding(self, ra, dec, least_deg=0.2):
        """The narrowest view that holds all of some positions with a margin.

        Parameters
        ----------
        ra, dec : array_like, deg
        least_deg : float, deg
            The narrowest width.

        Returns
        -------
        SkyView
            The whole sky where they are spread over much of it, or there are none.
        """
        ra, dec = np.asarray(ra, float), np.asarray(dec, float)
        known = np.isfinite(ra + dec)
        whole = replace(self, ra=self.ra, dec=0.0, width_deg=1e9)
        if not known.any():
            return whole
        vectors = unit_vectors(ra[known], dec[known])
        mean = vectors.mean(axis=0)
        length = np.linalg.norm(mean)
        if length < 0.3:
            return whole
        centre = mean / length
        farthest = np.degrees(np.arccos(np.clip((vectors @ centre).min(), -1, 1)))
        width = max(2.4 * farthest * self.nx / min(self.nx, self.ny), least_deg)
        if width >= ALL_SKY_DEG:
            return whole
        return self.on(np.degrees(np.arctan2(centre[1], centre[0])), np.degrees(np.arcsin(centre[2])), width)


def _mollweide_y(dec):
    """Height of a declination above the equator in Mollweide's projection, deg: 2 t + sin 2t = pi sin(dec)."""
    goal, angle = np.pi * np.sin(np.radians(dec)), np.radians(dec) * 0.9
    for _ in range(60):  # converges slowly at the poles
        slope = 2 + 2 * np.cos(2 * angle)
        if slope < 1e-12:
            break
        angle -= (2 * angle + np.sin(2 * angle) - goal) / slope
    return float(np.sin(angle)) * _MOLLWEIDE_DEG / 4


def _mollweide_dec(y_deg):
    """The declination at a height above the equator; the inverse of `_mollweide_y`."""
    angle = np.arcsin(np.clip(4 * y_deg / _MOLLWEIDE_DEG, -1, 1))
    return float(np.degrees(np.arcsin(np.clip((2 * angle + np.sin(2 * angle)) / np.pi, -1, 1))))
