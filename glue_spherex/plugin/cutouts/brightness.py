"""From MJy/sr to grey: what is subtracted, limits and stretch."""

import numpy as np
from matplotlib import colormaps

from ...model import FIT_MASK

_ASINH_SOFTENING, _LOG_FACTOR = 10.0, 1000.0  # as SAOImage DS9 does


def colours_of(image, limits, stretch, colour_map):
    """An image in colours.

    Parameters
    ----------
    image : ndarray, shape (ny, nx), MJy/sr
    limits : (float, float), MJy/sr
        Darkest and brightest.
    stretch : {"linear", "sqrt", "asinh", "log"}
    colour_map : str
        Name of a Matplotlib colour map.

    Returns
    -------
    uint8 ndarray, shape (ny, nx, 4)
        Red, green, blue, opacity; values that are not finite are clear.
    """
    low, high = limits
    finite = np.isfinite(image)
    part = (np.where(finite, image, low) - low) / max(high - low, np.finfo(float).tiny)
    colours = colormaps[colour_map](stretched(part, stretch), bytes=True)
    colours[..., 3] = np.where(finite, 255, 0)
    return colours


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
    part = np.clip(part, 0.0, 1.0)
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
