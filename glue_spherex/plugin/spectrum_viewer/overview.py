"""What is drawn beside the single points: means per channel, and where the background jumps."""

from typing import NamedTuple

import numpy as np

from ...photometry.background_jumps import background_jumps
from ..columns import column_values
from .binning import binned
from .display import positions, wavelength_um, y_errors
from .flux_units import shown_error, shown_flux


class BinnedPoints(NamedTuple):
    """Channel means in the units of the axes; arrays of shape (k,). ``source``: place in the dataset's sources."""

    x: np.ndarray
    y: np.ndarray
    y_err: np.ndarray
    x_half: np.ndarray
    source: np.ndarray


def binned_points(data, axes, shown):
    """The mean of each shown source in each channel, from its clean rows.

    Parameters
    ----------
    data : glue.core.Data
    axes : Axes
    shown : Shown

    Returns
    -------
    points : BinnedPoints
        Fluxes are averaged as µJy and then put in the unit of the axis.
    problem : str
        Why there are none; empty when there are.
    """
    nothing = BinnedPoints(*(np.zeros(0) for _ in range(4)), np.zeros(0, dtype=int))
    if not axes.x_is_wavelength:
        return nothing, "Means per channel need a wavelength on x."
    native = axes._replace(y_unit="µJy", redshift=0.0)
    errors = y_errors(data, native)
    if errors is None:
        return nothing, f"Means per channel need errors; {data.label!r} has none for {axes.y_att.label!r}."
    wavelength, values = wavelength_um(data), positions(data, native)[1]
    detector = column_values(data, "det_id")
    parts = []
    for code in range(len(shown.sources.keys)):
        rows = np.flatnonzero(shown.sources.code == code)
        if not shown.drawn[rows].any():
            continue
        usable = ~shown.flagged[rows]
        found = binned(
            wavelength[rows], values[rows], errors[rows], usable, None if detector is None else detector[rows]
        )
        parts.append((found, np.full(found.mean.size, code)))
    if not sum(found.mean.size for found, _ in parts):
        return nothing, f"Means per channel: {data.label!r} has no clean row with an error."
    centre, half, mean, error = (
        np.concatenate([getattr(found, name) for found, _ in parts])
        for name in ("wavelength_um", "half_um", "mean", "error")
    )
    source = np.concatenate([codes for _, codes in parts])
    if axes.y_is_flux:
        error = shown_error(error, mean, centre, axes.y_unit)
        mean = shown_flux(mean, centre, axes.y_unit)
    stretch = 1 + axes.redshift
    kept = np.isfinite(mean)
    return BinnedPoints(*(a[kept] for a in (centre / stretch, mean, error, half / stretch, source))), ""


def jump_places(data, axes, shown):
    """Where on x the measurements stand whose background jumps.

    Parameters
    ----------
    data : glue.core.Data
    axes : Axes
    shown : Shown

    Returns
    -------
    x : ndarray, shape (k,)
        In the unit of the axis; see `glue_spherex.photometry.background_jumps`.
    problem : str
        Why there are none; empty when they could be looked for.
    """
    background, error, detector = (_numbers(data, name) for name in ("flux_bkg", "flux_bkg_err", "det_id"))
    if background is None or detector is None:
        return np.zeros(0), f"Background jumps: {data.label!r} has no columns flux_bkg and det_id with numbers."
    wavelength = wavelength_um(data)
    jumps = np.zeros(data.size, dtype=bool)
    for code in range(len(shown.sources.keys)):
        rows = np.flatnonzero(shown.sources.code == code)
        jumps[rows] = background_jumps(
            wavelength[rows], background[rows], None if error is None else error[rows], detector[rows]
        )
    return shown.x[jumps & shown.drawn], ""


def _numbers(data, name):
    """The values of a column; None where there is none, or it holds text."""
    values = column_values(data, name)
    return values if values is not None and values.dtype.kind in "iuf" else None
