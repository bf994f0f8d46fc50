"""The light of point sources and galaxies on the pixels, integrated exactly over each pixel.

A Gaussian with axes along the pixel rows and columns integrates over a pixel as a product of two differences of error
functions. A point source is a sum of such products. A galaxy is a cloud of a few thousand points of equal flux, each a
point source. This is a truth that owes nothing to the measuring code.
"""

from functools import lru_cache

import numpy as np
from scipy.special import gammaincinv

from .detector import pixel_integral

_REACH_PX = 9  # a point source ends here: 6.4 sigma of the wide part of the PSF
_GALAXY_REACH_PX = 150  # and a galaxy here
_CHUNK = 4096  # sources rendered at a time
_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


def add_points(image, detector, x_px, y_px, x_det, y_det, flux):
    """Add point sources to an image.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Changed in place.
    detector : SimulatedDetector
    x_px, y_px : ndarray, shape (n,)
        Pixels of the image, 0-based; positions outside the image are allowed.
    x_det, y_det : ndarray, shape (n,)
        The same points in detector pixels; they choose the PSF zone.
    flux : ndarray, shape (n,)
        In the unit of the image times pixel.
    """
    ny, nx = image.shape
    canvas = np.zeros((ny + 4 * _REACH_PX, nx + 4 * _REACH_PX))
    weights, sigma_x, sigma_y = detector.gaussians
    zones = detector.zone_of(x_det, y_det)
    near = (np.abs(x_px - (nx - 1) / 2) < nx / 2 + _REACH_PX) & (np.abs(y_px - (ny - 1) / 2) < ny / 2 + _REACH_PX)
    cells = np.arange(-_REACH_PX, _REACH_PX + 2) - 0.5
    index = np.flatnonzero(near)
    for part in np.split(index, range(_CHUNK, len(index), _CHUNK)):
        i, j = np.rint(x_px[part]).astype(int), np.rint(y_px[part]).astype(int)
        in_x = pixel_integral((cells + (i - x_px[part])[:, None])[:, None, :], sigma_x[zones[part]][..., None])
        in_y = pixel_integral((cells + (j - y_px[part])[:, None])[:, None, :], sigma_y[zones[part]][..., None])
        patches = np.matmul((in_y * weights[:, None] * flux[part, None, None]).transpose(0, 2, 1), in_x)
        for column, row, patch in zip((i + _REACH_PX).tolist(), (j + _REACH_PX).tolist(), patches, strict=True):
            canvas[row : row + 2 * _REACH_PX + 1, column : column + 2 * _REACH_PX + 1] += patch
    image += canvas[2 * _REACH_PX : -2 * _REACH_PX, 2 * _REACH_PX : -2 * _REACH_PX]


@lru_cache(maxsize=128)
def sersic_cloud(profile, n_points=8192):
    """Points of equal flux that follow a Sérsic profile.

    Parameters
    ----------
    profile : Sersic
    n_points : int, optional

    Returns
    -------
    east_arcsec, north_arcsec : ndarray, shape (n_points,)
        Offsets from the centre. The i-th point lies at the radius that encloses the fraction (i + 1/2) / n of the
        total flux (Graham & Driver 2005, PASA 22, 118, eq. 2: an incomplete gamma function), and successive points
        turn by the golden angle, so that the cloud is even in every direction. The flux extends to infinity.
    """
    enclosed = (np.arange(n_points) + 0.5) / n_points
    shape = 2 * profile.n
    radius = profile.r_eff * (gammaincinv(shape, enclosed) / gammaincinv(shape, 0.5)) ** profile.n
    angle = np.arange(n_points) * _GOLDEN_ANGLE
    major, minor = radius * np.cos(angle), radius * profile.axis_ratio * np.sin(angle)
    t = np.radians(profile.position_angle)
    return major * np.sin(t) - minor * np.cos(t), major * np.cos(t) + minor * np.sin(t)


def add_sersic(image, detector, x_px, y_px, x_det, y_det, flux, profile, matrix):
    """Add a galaxy to an image.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        Changed in place.
    detector : SimulatedDetector
    x_px, y_px, x_det, y_det, flux : float
        As in `add_points`.
    profile : Sersic
    matrix : ndarray, shape (2, 2), deg/pixel
        ``(dEast, dNorth) = matrix @ (dx, dy)`` at the galaxy.
    """
    weights, sigma_x, sigma_y = detector.gaussians
    zone = detector.zone_of(np.array([x_det]), np.array([y_det]))[0]
    # (points, reach in px) of the core and of the wide Gaussian, which needs fewer points because it smooths more
    columns, rows = (
        slice(max(round(c) - _GALAXY_REACH_PX, 0), max(round(c) + _GALAXY_REACH_PX + 1, 0)) for c in (x_px, y_px)
    )
    window = image[rows, columns]  # a view
    for g, (n_points, reach) in enumerate(((8192, 3), (1024, _REACH_PX))):
        dx, dy = np.linalg.solve(matrix, np.stack(sersic_cloud(profile, n_points)) / 3600)
        weight = flux * weights[g] / n_points
        _add_cloud(
            window, x_px - columns.start + dx, y_px - rows.start + dy, sigma_x[zone, g], sigma_y[zone, g], weight, reach
        )


def _add_cloud(image, x, y, sigma_x, sigma_y, weight, reach):
    """Add points of equal flux `weight`, each blurred by one Gaussian, to `image`."""
    ny, nx = image.shape
    near = (x > -reach - 1) & (x < nx + reach) & (y > -reach - 1) & (y < ny + reach)
    x, y = x[near], y[near]
    cells = np.arange(-reach, reach + 2) - 0.5
    i, j = np.rint(x).astype(int), np.rint(y).astype(int)
    in_x = pixel_integral(cells + (i - x)[:, None], sigma_x)
    in_y = pixel_integral(cells + (j - y)[:, None], sigma_y)
    values = weight * in_y[:, :, None] * in_x[:, None, :]
    pad = 2 * reach + 2  # wide enough for every window of a point that is near
    width = nx + 2 * pad
    offsets = np.arange(-reach, reach + 1)
    place = ((j + pad)[:, None] + offsets)[:, :, None] * width + ((i + pad)[:, None] + offsets)[:, None, :]
    canvas = np.bincount(place.ravel(), values.ravel(), minlength=(ny + 2 * pad) * width).reshape(-1, width)
    image += canvas[pad : pad + ny, pad : pad + nx]
