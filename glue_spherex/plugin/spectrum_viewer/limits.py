"""Limits of axes that are finite, ordered and never empty, whatever the values are."""

import numpy as np


def limits_of(values, log=False, percent=100.0, margin=0.03, empty=(0.0, 1.0)):
    """Limits that hold most values.

    Parameters
    ----------
    values : ndarray, shape (n,)
    log : bool
        Whether the axis is logarithmic: values of 0 and less are left out.
    percent : float
        Middle part of the values to hold.
    margin : float
        Room on either side, as a part of the range.
    empty : tuple of float
        Limits where there is no value.

    Returns
    -------
    low, high : float
        ``low < high``.
    """
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values) & ((values > 0) if log else True)]
    if values.size == 0:
        return (max(empty[0], 0.1), max(empty[1], 1.0)) if log else empty
    outside = (100 - percent) / 2
    low, high = np.percentile(values, [outside, 100 - outside])
    if log:
        low, high = _widened(np.log10(low), np.log10(high), margin, 0.05)
        return float(10**low), float(10**high)
    low, high = _widened(low, high, margin, 0.05 * abs(low) or 0.5)
    return float(low), float(high)


def _widened(low, high, margin, single):
    room = (high - low) * margin if high > low else single
    return low - room, high + room
