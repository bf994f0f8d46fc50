"""Where a simulated detector points on the sky."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .detector import CENTRE, SimulatedDetector


@dataclass(frozen=True)
class Pointing:
    """Where a detector points: the gnomonic projection of Calabretta & Greisen (2002, A&A 395, 1077).

    Parameters
    ----------
    detector : SimulatedDetector
    ra, dec : float, deg
        Sky position of the reference point.
    roll : float, deg
        Rotation of the detector.
    """

    detector: SimulatedDetector
    ra: float
    dec: float
    roll: float

    @cached_property
    def pc(self):
        """The matrix from distorted pixels to intermediate world coordinates, deg; the determinant is negative."""
        sx, sy, skew = self.detector.scales_deg
        t = np.radians(self.roll)
        return np.array([[sx * np.cos(t), sy * np.sin(t + skew)], [sx * np.sin(t), -sy * np.cos(t + skew)]])

    @cached_property
    def _axes(self):
        return triad(self.ra, self.dec)

    def to_sky(self, x, y):
        """ICRS right ascension and declination (deg) of detector pixels `x`, `y`, each of shape (n,)."""
        centre, east, north = self._axes
        big = np.stack(self.detector.distort(np.asarray(x) - CENTRE, np.asarray(y) - CENTRE))
        xi, eta = np.radians(self.pc @ big)
        vector = centre[:, None] + xi * east[:, None] + eta * north[:, None]
        return np.degrees(np.arctan2(vector[1], vector[0])) % 360, np.degrees(
            np.arctan2(vector[2], np.hypot(vector[0], vector[1]))
        )

    def to_pixels(self, ra, dec):
        """Detector pixels of sky positions.

        Parameters
        ----------
        ra, dec : ndarray, shape (n,), deg

        Returns
        -------
        x, y : ndarray, shape (n,)
            NaN more than 150 pixels off the detector, where the distortion polynomial holds no longer.
        """
        centre, east, north = self._axes
        vector = triad(ra, dec)[0]
        depth = vector @ centre
        with np.errstate(divide="ignore", invalid="ignore"):
            plane = np.degrees(np.stack([vector @ east, vector @ north]) / depth)
        big = np.linalg.solve(self.pc, plane)
        near = (depth > 0.5) & (np.abs(big) < CENTRE + 150).all(axis=0)
        x, y = np.full(near.shape, np.nan), np.full(near.shape, np.nan)
        u, v = self.detector.undistort(*big[:, near])
        x[near], y[near] = u + CENTRE, v + CENTRE
        return x, y

    def local_matrix(self, x, y):
        """The matrix from pixel to sky offsets at one point.

        Returns
        -------
        ndarray, shape (2, 2), deg/pixel
            ``(dEast, dNorth) = matrix @ (dx, dy)``; the distortion included.
        """
        step = 0.5
        points = self.to_sky(np.array([x + step, x - step, x, x]), np.array([y, y, y + step, y - step]))
        _, east, north = triad(*self.to_sky(np.array([x]), np.array([y])))
        vectors = triad(*points)[0]
        d_x, d_y = vectors[0] - vectors[1], vectors[2] - vectors[3]
        return np.degrees(np.array([[d_x @ east[0], d_y @ east[0]], [d_x @ north[0], d_y @ north[0]]])) / (2 * step)

    @classmethod
    def placing(cls, detector, ra, dec, x, y, roll):
        """The pointing that puts the sky position `ra`, `dec` on the detector pixel `x`, `y`."""
        pointing = cls(detector, ra, dec, roll)
        for _ in range(20):  # move the reference point by what is missing
            at_ra, at_dec = pointing.to_sky(np.array([x]), np.array([y]))
            d_ra = (ra - at_ra[0] + 180) % 360 - 180
            d_dec = dec - at_dec[0]
            if max(abs(d_ra), abs(d_dec)) < 1e-12:
                break
            new_dec = np.clip(pointing.dec + d_dec, -89.9, 89.9)
            pointing = cls(detector, (pointing.ra + d_ra) % 360, float(new_dec), roll)
        return pointing


def triad(ra_deg, dec_deg):
    """Unit vectors to a position, to its East and to its North, each of shape (..., 3)."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    towards = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=-1)
    return towards, east, np.cross(towards, east)
