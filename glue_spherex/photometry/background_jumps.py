"""Where the local background jumps between neighbouring wavelengths.

A spectrum is put together from exposures of many days, and the zodiacal light differs from one to the next: from
point to point the background scatters (by 20 % in simulated fields), and that is no fault. A jump is a difference that
stands out of this scatter.
"""

import numpy as np

#: A difference is a jump if it is this many times the usual one of its detector. With Gaussian scatter one
#: difference in 1.7 million is; fields of 120 exposures, where the background scatters by 20 %, reach 3.
JUMP_SCATTER = 5.0
#: What is usual is not well known from few differences: with n of them, more by this number over n is needed. Then
#: Gaussian scatter makes a jump in at most 1 of 500 detectors, whatever the number of points.
FEW_POINTS = 5.0
#: … and this many times its own error, so that a background of few pixels makes no jump …
JUMP_SIGMA = 5.0
#: … and this part of the level: less cannot be told from the change of the zodiacal light with wavelength.
JUMP_FRACTION = 0.1
#: The usual difference of a detector is known from this many points on.
NEEDED_POINTS = 6

_GAUSSIAN_16, _GAUSSIAN_84 = 15.8655, 84.1345


def background_jumps(wavelength, background, error, detector):
    """Which measurements of a source stand at a jump of the background.

    Neighbours are the points of one detector in the order of wavelength. The usual difference is half of the range
    from the 16th to the 84th percentile of the differences between neighbours, which a few jumps do not move and
    which a background that alternates between two epochs widens.

    Parameters
    ----------
    wavelength : array_like, shape (n,)
        Any unit.
    background : array_like, shape (n,)
        Surface brightness, any unit.
    error : array_like, shape (n,), or None
        1-sigma errors of the background; None, or NaN in it, where they are not known.
    detector : array_like of int, shape (n,)
        Points of different detectors are not compared: they see different sky at different times.

    Returns
    -------
    ndarray of bool, shape (n,)
        A point that differs from both of its neighbours, which agree with each other, is marked alone; otherwise both
        ends of a jump. False for points without wavelength or background, and in detectors with fewer than
        `NEEDED_POINTS` points.
    """
    wavelength, background = np.asarray(wavelength, dtype=float), np.asarray(background, dtype=float)
    error = (
        np.zeros(background.shape) if error is None else np.nan_to_num(np.asarray(error, dtype=float), posinf=np.inf)
    )
    detector = np.asarray(detector)
    jumps = np.zeros(background.shape, dtype=bool)
    known = np.isfinite(wavelength) & np.isfinite(background)
    for number in np.unique(detector[known]):
        rows = np.flatnonzero(known & (detector == number))
        if rows.size >= NEEDED_POINTS:
            rows = rows[np.argsort(wavelength[rows], kind="stable")]
            jumps[rows] = _jumps_in_order(background[rows], error[rows])
    return jumps


def _jumps_in_order(background, error):
    """Points at a jump, for the points of one detector in the order of wavelength."""
    difference = np.diff(background)
    low, high = np.percentile(difference, [_GAUSSIAN_16, _GAUSSIAN_84])
    scatter = (high - low) / 2 * (1 + FEW_POINTS / difference.size)
    limit = np.maximum(JUMP_SCATTER * scatter, JUMP_SIGMA * np.hypot(error[1:], error[:-1]))
    limit = np.maximum(limit, JUMP_FRACTION * np.abs(np.median(background)))
    jump = np.abs(difference) > limit
    before, after = np.r_[False, jump], np.r_[jump, False]
    opposite = np.r_[0.0, difference] * np.r_[difference, 0.0] < 0
    alone = before & after & opposite
    explained = alone[1:] | alone[:-1]
    left = jump & ~explained
    return alone | np.r_[False, left] | np.r_[left, False]
