"""What `fit_sources` and its like are given, checked."""

import numpy as np

from .errors import PhotometryError
from .sersic import EXTENTS


def checked_images(data, variance, usable):
    """The images of a fit as arrays of float, float and bool.

    Raises
    ------
    PhotometryError
        If there is no pixel, or their shapes disagree.
    """
    data, variance = np.asarray(data, dtype=float), np.asarray(variance, dtype=float)
    usable = np.asarray(usable, dtype=bool)
    if data.ndim != 2 or data.size == 0:
        raise PhotometryError(f"data has shape {data.shape}; an image (ny, nx) with at least one pixel is needed.")
    for name, array in (("variance", variance), ("usable", usable)):
        if array.shape != data.shape:
            raise PhotometryError(f"{name} has shape {array.shape}; it must be that of data, {data.shape}.")
    return data, variance, usable


def checked_positions(x, y, profiles, extent):
    """The positions of a fit as arrays of float, and the profiles as a list.

    Raises
    ------
    PhotometryError
        If lengths disagree, a position is not finite, or a profile or the extent is none.
    """
    x, y = np.atleast_1d(np.asarray(x, dtype=float)), np.atleast_1d(np.asarray(y, dtype=float))
    profiles = [None] * x.size if profiles is None else list(profiles)
    if x.ndim != 1 or x.shape != y.shape or len(profiles) != x.size:
        raise PhotometryError(
            f"x has shape {x.shape}, y {y.shape} and there are {len(profiles)} profiles; all must have the length n."
        )
    for name, values in (("x", x), ("y", y)):
        good = np.abs(values) < 1e6  # false for NaN
        if not good.all():
            wrong = good.argmin()
            raise PhotometryError(f"{name}[{wrong}] is {values[wrong]}; a position must be finite, in pixels.")
    for k, profile in enumerate(profiles):
        if profile is not None and not hasattr(profile, "r_eff"):
            raise PhotometryError(f"profiles[{k}] is {profile!r}; None (a point source) or a Sersic is needed.")
    if extent not in EXTENTS:
        raise PhotometryError(f"extent is {extent!r}; allowed are {', '.join(EXTENTS)}.")
    return x, y, profiles
