"""The quality of a measurement: which pixels it rests on, and how well the model describes them."""

from dataclasses import dataclass

import numpy as np

from ..model.flags import FIT_MASK, Flag

#: Pixels whose centres are this close to the position belong to the measurement.
RADIUS_PX = 2.5


@dataclass(frozen=True, eq=False)
class Quality:
    """Quality columns of n sources.

    Attributes
    ----------
    fit_ql : ndarray, shape (n,)
        Mean of ``|data - model| / sigma`` over the usable pixels within `RADIUS_PX`. For a perfect model and Gaussian
        noise it is sqrt(2 / pi) = 0.80 for large numbers of pixels. NaN without a usable pixel, and for failed fits.
    flags : int64 ndarray, shape (n,)
        Bits of all pixels within `RADIUS_PX`, CONTAINS_BAD_PIXEL if one of them has a bit that the fit must not use,
        FIT_ERROR for failed fits.
    n_bad_pixels : int ndarray, shape (n,)
        Pixels within `RADIUS_PX` with such a bit.
    n_pixels : int ndarray, shape (n,)
        Pixels of the image within `RADIUS_PX`: 18 to 21 inside, fewer on the border.
    """

    fit_ql: np.ndarray
    flags: np.ndarray
    n_bad_pixels: np.ndarray
    n_pixels: np.ndarray


def quality(data, model, variance, usable, flags, x, y, background=0.0, failed=None):
    """Quality of measurements.

    Parameters
    ----------
    data, model, variance : ndarray, shape (ny, nx)
        In the same unit and its square.
    usable : bool ndarray, shape (ny, nx)
        Pixels that the fit used.
    flags : int ndarray, shape (ny, nx)
        Bits of the pixels.
    x, y : array_like, shape (n,), 0-based pixels
        Positions.
    background : float or ndarray, shape (n,)
        Level at each source that is in `data` and not in `model`.
    failed : bool ndarray, shape (n,), optional
        Fits without a result.

    Returns
    -------
    Quality
    """
    x, y = np.atleast_1d(np.asarray(x, dtype=float)), np.atleast_1d(np.asarray(y, dtype=float))
    pixel, near = pixels_within(x, y, RADIUS_PX, data.shape)
    bits = np.where(near, np.reshape(flags, -1)[pixel].astype(np.int64, copy=False), 0)
    joined = np.bitwise_or.reduce(bits, axis=1)
    n_bad = ((bits & int(FIT_MASK)) != 0).sum(axis=1)
    joined[n_bad > 0] |= int(Flag.CONTAINS_BAD_PIXEL)

    used = near & np.reshape(usable, -1)[pixel]
    residual = (np.reshape(data, -1)[pixel] - np.reshape(model, -1)[pixel]).T - background  # (pixels, n)
    residual = np.where(used, residual.T, 0.0)
    sigma = np.sqrt(np.where(used, np.reshape(variance, -1)[pixel], 1.0))
    count = used.sum(axis=1)
    fit_ql = (np.abs(residual) / sigma).sum(axis=1) / np.maximum(count, 1)
    fit_ql[count == 0] = np.nan
    if failed is not None:
        joined[failed] |= int(Flag.FIT_ERROR)
        fit_ql[failed] = np.nan
    return Quality(fit_ql, joined, n_bad, near.sum(axis=1))


def pixels_within(x, y, radius, shape):
    """The pixels whose centres are close to positions.

    Parameters
    ----------
    x, y : ndarray, shape (n,), 0-based pixels
    radius : float or ndarray, shape (n,), pixels
    shape : (ny, nx)
        Of the image.

    Returns
    -------
    pixel : int ndarray, shape (n, m)
        Flat indices into the image of squares that hold them.
    within : bool ndarray, shape (n, m)
        Whether the pixel is on the image and its centre not farther than `radius`; where it is not, `pixel` is any.
    """
    ny, nx = shape
    reach = int(np.ceil(np.max(radius, initial=0.0)))
    centres = np.array([x, y])[:, :, None]
    columns, rows = axes = np.floor(centres + 0.5) + np.arange(-reach, reach + 1)
    d_x, d_y = (axes - centres) ** 2
    within = (d_y[:, :, None] + d_x[:, None, :]).reshape(x.size, -1) <= np.reshape(radius, (-1, 1)) ** 2
    inside = ((rows >= 0) & (rows < ny))[:, :, None] & ((columns >= 0) & (columns < nx))[:, None, :]
    within &= inside.reshape(x.size, -1)
    pixel = (rows * nx)[:, :, None] + columns[:, None, :]
    return np.where(within, pixel.reshape(x.size, -1), 0).astype(int), within
