"""From MJy/sr to grey: what is subtracted, limits and stretch."""

import numpy as np
from matplotlib.colors import Normalize

from ...model import FIT_MASK

_ASINH_SOFTENING, _LOG_FACTOR = 10.0, 1000.0  # as SAOImage DS9 does


class StretchNorm(Normalize):
    """Brightness between limits, stretched.

    Parameters
    ----------
    vmin, vmax : float
    stretch : {"linear", "sqrt", "asinh", "log"}
    """

    def __init__(self, vmin=0.0, vmax=1.0, stretch="linear"):
        super().__init__(vmin, vmax)
        self.stretch = stretch

    def __call__(self, value, clip=None):
        """0 to 1 between the limits; masked where the value is not finite."""
        values = np.ma.masked_invalid(np.ma.asarray(value, dtype=float))
        span = self.vmax - self.vmin
        part = (values - self.vmin) / span if span > 0 else values * 0
        return stretched(part, self.stretch)

    def inverse(self, value):
        """Not needed for images."""
        raise NotImplementedError("the stretch of a cutout is not inverted")


def stretched(part, stretch):
    """Stretch a fraction; below 0 and above 1 it stays there.

    Parameters
    ----------
    part : ndarray
    stretch : {"linear", "sqrt", "asinh", "log"}

    Returns
    -------
    ndarray
    """
    part = np.ma.clip(part, 0.0, 1.0) if np.ma.isMaskedArray(part) else np.clip(part, 0.0, 1.0)
    if stretch == "sqrt":
        return np.sqrt(part)
    if stretch == "asinh":
        return np.arcsinh(part * _ASINH_SOFTENING) / np.arcsinh(_ASINH_SOFTENING)
    if stretch == "log":
        return np.log(part * _LOG_FACTOR + 1) / np.log(_LOG_FACTOR + 1)
    return part


def shown_image(view, row, background):
    """The image less what is to be subtracted.

    Parameters
    ----------
    view : CutoutView
    row : MeasuredRow
    background : {"none", "local", "zodi"}

    Returns
    -------
    image : ndarray, shape (ny, nx), MJy/sr
    note : str
        Why nothing was subtracted, '' normally.
    """
    if background == "local":
        return (view.image - row.flux_bkg, "") if np.isfinite(row.flux_bkg) else (view.image, "no flux_bkg to subtract")
    if background == "zodi":
        return (view.image - view.zodi, "") if view.zodi is not None else (view.image, "no ZODI plane to subtract")
    return view.image, ""


def pixel_sample(view, image, inside):
    """Values that decide about the limits: within the frame, finite, and usable for a fit if any are."""
    finite = inside & np.isfinite(image)
    usable = finite & (view.flags & FIT_MASK == 0)
    return image[usable if usable.any() else finite]


def display_limits(samples, percentile=99.5):
    """Limits of the brightness.

    Parameters
    ----------
    samples : sequence of ndarray
        Values of the pixels, MJy/sr.
    percentile : float
        Per cent of the pixels below the upper limit, above 50 and up to 100; as many lie above the lower one.

    Returns
    -------
    vmin, vmax : float
        0 and 1 without any value.
    """
    values = np.concatenate([np.ravel(sample) for sample in samples]) if len(samples) else np.zeros(0)
    if not values.size:
        return 0.0, 1.0
    percentile = float(np.clip(percentile, 50.1, 100.0))
    low, high = np.percentile(values, [100 - percentile, percentile])
    if not high > low:
        margin = max(abs(low) * 1e-3, 1e-6)
        low, high = low - margin, high + margin
    return float(low), float(high)
