"""The quality of a measurement: which pixels it rests on, and how well the model describes them."""

from dataclasses import dataclass

import numpy as np

from ..model.flags import FIT_MASK, Flag

#: Pixels whose centres are this close to the position belong to the measurement.
RADIUS_PX = 2.5
_REACH = 3  # half the side of a square around the nearest pixel that holds all of them


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
    ny, nx = data.shape
    offset = np.arange(-_REACH, _REACH + 1)
    columns = np.floor(x + 0.5).astype(int)[:, None] + offset
    rows = np.floor(y + 0.5).astype(int)[:, None] + offset
    apart = ((rows - y[:, None]) ** 2)[:, :, None] + ((columns - x[:, None]) ** 2)[:, None, :]
    inside = ((rows >= 0) & (rows < ny))[:, :, None] & ((columns >= 0) & (columns < nx))[:, None, :]
    near = inside & (apart <= RADIUS_PX**2)
    pixel = np.clip(rows, 0, ny - 1)[:, :, None], np.clip(columns, 0, nx - 1)[:, None, :]

    bits = np.where(near, flags[pixel].astype(np.int64), 0)
    joined = np.bitwise_or.reduce(bits, axis=(1, 2))
    n_bad = np.count_nonzero(bits & int(FIT_MASK), axis=(1, 2))
    joined |= np.where(n_bad > 0, int(Flag.CONTAINS_BAD_PIXEL), 0)

    used = near & usable[pixel]
    level = np.broadcast_to(np.asarray(background, dtype=float), x.shape)[:, None, None]
    residual = np.where(used, data[pixel] - model[pixel] - level, 0.0)
    sigma = np.sqrt(np.where(used, variance[pixel], 1.0))
    count = np.count_nonzero(used, axis=(1, 2))
    fit_ql = np.where(count > 0, (np.abs(residual) / sigma).sum(axis=(1, 2)) / np.maximum(count, 1), np.nan)
    if failed is not None:
        joined |= np.where(failed, int(Flag.FIT_ERROR), 0)
        fit_ql = np.where(failed, np.nan, fit_ql)
    return Quality(fit_ql, joined, n_bad, np.count_nonzero(near, axis=(1, 2)))
