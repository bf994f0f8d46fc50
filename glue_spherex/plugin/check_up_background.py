"""Check-up: the local background, how large it is, how many pixels it has, and where it jumps."""

from collections import Counter

import numpy as np

from ..model import DETECTORS, ujy_per_mjy_sr
from ..model.detectors import PIXEL_SCALE_ARCSEC
from ..model.wording import counted
from ..photometry.background import WANTED_PIXELS
from ..photometry.background_jumps import NEEDED_POINTS, background_jumps
from ..photometry.quality import RADIUS_PX
from .columns import background_box_px
from .finding import Finding, share

#: Background light in the circle in units of the flux. Above 1 the spectrum depends on the background; above 10 an
#: error of 1 % of the background is 10 % of the flux.
BACKGROUND_NOTE = 1.0
BACKGROUND_WARN = 10.0
#: Fewer free pixels in the box than this part, and the background rests on what is left between the sources.
FREE_PART = 0.5


def background_pixels_line(spectrum):
    """Whether the background box is free of other sources, from the number of pixels that were left."""
    pixels = spectrum.column("n_bkg_pixels")
    known = np.zeros(0, dtype=int) if pixels is None else np.flatnonzero(np.isfinite(pixels) & (pixels > 0))
    if known.size == 0:
        text = "How full the background box is cannot be judged: the table has no n_bkg_pixels."
        return Finding("background_pixels", "note", text)
    box = background_box_px(spectrum.data)
    median, fewest = float(np.median(pixels[known])), known[np.argmin(pixels[known])]
    few = known[pixels[known] < WANTED_PIXELS]
    text = f"Background box ({box:g} × {box:g} px): {median:.0f} of {box * box:g} pixels free of known sources (median)"
    text += f", fewest {pixels[fewest]:.0f} {spectrum.place_of(fewest)}."
    if few.size:
        text += f" {counted(few.size, 'point')} with fewer than {WANTED_PIXELS}."
    level = "warn" if few.size else "note" if median < FREE_PART * box * box else "good"
    rows = spectrum.rows[few] if few.size else None
    return Finding("background_pixels", level, text, rows, int(spectrum.rows[fewest]))


def background_level_line(spectrum):
    """How large the background is against the flux, in the circle of 2.5 px."""
    background, flux = spectrum.column("flux_bkg"), spectrum.column("flux")
    if background is None or flux is None:
        text = "The background cannot be judged: flux or flux_bkg is missing, or in a unit that is not understood."
        return Finding("background", "note", text)
    area = np.pi * RADIUS_PX**2
    light = background * ujy_per_mjy_sr(PIXEL_SCALE_ARCSEC**2) * area
    ratio = np.full(len(spectrum), np.nan)
    usable = np.isfinite(light) & np.isfinite(flux) & (flux > 0)
    ratio[usable] = light[usable] / flux[usable]
    if not usable.any():
        return Finding("background", "note", "The background cannot be judged: no point has a positive flux.")
    median, worst = float(np.nanmedian(ratio)), int(np.nanargmax(ratio))
    level = "warn" if median > BACKGROUND_WARN else "note" if median > BACKGROUND_NOTE else "good"
    text = f"Background within {RADIUS_PX} px: {_times(median)} the flux (median), at most {_times(ratio[worst])} "
    text += f"{spectrum.place_of(worst)}."
    large = usable & (ratio > BACKGROUND_NOTE)
    rows = spectrum.rows[large] if large.any() and level != "good" else None
    return Finding("background", level, text, rows, int(spectrum.rows[worst]))


def _times(ratio):
    return f"{ratio:.2g} ×" if ratio < 10 else f"{ratio:.0f} ×"


def background_jump_line(spectrum):
    """Where the background jumps between neighbouring wavelengths."""
    background, wavelength = spectrum.column("flux_bkg"), spectrum.column("wavelength")
    if background is None or wavelength is None:
        return Finding("background_jumps", "note", "Jumps of the background cannot be judged: flux_bkg is missing.")
    known = np.isfinite(background) & np.isfinite(wavelength)
    if max(Counter(spectrum.detector[known].tolist()).values(), default=0) < NEEDED_POINTS:
        text = f"Jumps of the background cannot be judged: no detector has {NEEDED_POINTS} points."
        return Finding("background_jumps", "note", text)
    error = spectrum.column("flux_bkg_err")
    jumps = np.flatnonzero(background_jumps(wavelength, background, error, spectrum.detector))
    n = int(np.isfinite(background).sum())
    if jumps.size == 0:
        text = "The background does not jump between neighbouring wavelengths."
        return Finding("background_jumps", "good", text)
    middle = {number: np.nanmedian(background[spectrum.detector == number]) for number in (0, *DETECTORS)
              if np.isfinite(background[spectrum.detector == number]).any()}  # fmt: skip
    far = np.abs([background[k] - middle.get(int(spectrum.detector[k]), 0.0) for k in jumps])
    worst = jumps[np.argmax(far)]
    text = f"The background jumps at {share(jumps.size, n)} points; most {spectrum.place_of(worst)}: "
    text += f"{background[worst]:.3g} MJy/sr, where {middle.get(int(spectrum.detector[worst]), np.nan):.3g} is usual."
    return Finding("background_jumps", "warn", text, spectrum.rows[jumps], int(spectrum.rows[worst]))
