"""IRSA's advice on judging a spectrum, followed by the program: one line per question, with its figure.

The questions are those of IRSA's page on the Spectrophotometry Tool: is the position right, what else is nearby, which
flags were set, how good is the fit, how large and how steady is the background. To these come: which detectors,
channels and dates are missing, and which points stand apart from their neighbours.
"""

import numpy as np

from ..model import CHANNELS, DETECTORS, FIT_MASK, Flag
from ..model.wording import counted
from .check_up_background import background_jump_line, background_level_line, background_pixels_line
from .check_up_position import neighbours_line, position_line
from .finding import Finding, share
from .flag_counts import count_flags
from .flag_subsets import mask_of
from .source_spectrum import SourceSpectrum

#: fit_ql of a perfect model is 0.80; with some 20 pixels within 2.5 px it scatters by 0.13, so 1.5 is 5 sigma away.
PERFECT_FIT_QL = 0.80
POOR_FIT_QL = 1.5
#: One point above this, 17 sigma away, is wrong, whatever the others are.
WRONG_FIT_QL = 3.0
#: Medians above these: the model does not fit in general (1.1), and not at all (2: as much again as the noise).
MEDIAN_FIT_QL_NOTE = 1.1
MEDIAN_FIT_QL_BAD = 2.0
#: More than these parts of the points with a failed or poor fit, or a bad pixel, are more than single accidents.
MANY = 0.3
SEVERAL = 0.05
#: A point stands apart if it is this many errors from the straight line through its neighbours. Of simulated points
#: of flat spectra with Gaussian errors that differ by a factor of 1.6, fewer than 1 in 10,000 does (7 to 3,000 points
#: per detector, at random wavelengths).
APART_SIGMA = 5.0
#: Neighbours on each side that the line is drawn through.
NEIGHBOURS = 3

_OFTEN_NAMED = 4  # flags that are named in the line about all flags


def check_up(data, source_id=None, others=(), row_filter=None):
    """Judge the spectrum of a source.

    Parameters
    ----------
    data : glue.core.Data
        Spectrum table. Columns that other programs' tables do not have are not needed: a line says what cannot be
        judged without them.
    source_id : int or str, optional
        Number or name of the source; the first one by default.
    others : iterable of glue.core.Data, optional
        Further datasets: targets with their measured offsets, catalogues with ra and dec.
    row_filter : array_like of bool, shape (rows of the dataset,), optional
        Judge only these rows.

    Returns
    -------
    list of Finding
        In the order in which one asks.

    Raises
    ------
    ValueError
        If the dataset is no table, has no rows, or has no such source.
    """
    spectrum = SourceSpectrum.of(data, source_id, row_filter)
    others = [other for other in others if other is not data]
    if len(spectrum) == 0:
        return [Finding("points", "bad", "There are no points to judge.")]
    return [
        _points_line(spectrum),
        position_line(spectrum, others),
        neighbours_line(spectrum, others),
        background_pixels_line(spectrum),
        *_flag_lines(spectrum),
        _fit_quality_line(spectrum),
        background_level_line(spectrum),
        background_jump_line(spectrum),
        _detectors_line(spectrum),
        _channels_line(spectrum),
        _dates_line(spectrum),
        _apart_line(spectrum),
    ]


def _points_line(spectrum):
    n = len(spectrum)
    if spectrum.column("flux") is None or spectrum.column("wavelength") is None:
        return Finding("points", "bad", "The table has no numbers in the columns flux and wavelength.")
    lost = np.flatnonzero(~spectrum.measured)
    rows = spectrum.rows[lost] if lost.size else None
    clean = int(spectrum.clean.sum())
    text = f"{counted(n, 'point')}; {share(clean, n)} measured and without a flag (SOURCE does not count)."
    if lost.size:
        text += f" {share(lost.size, n)} without flux, error or wavelength."
    level = "bad" if lost.size == n else "warn" if clean == 0 else "note" if lost.size else "good"
    return Finding("points", level, text, rows, int(rows[0]) if lost.size else None)


# -- flags ------------------------------------------------------------------------------------------------------------


def _flag_lines(spectrum):
    flags = spectrum.flags
    if flags is None:
        return [Finding("flags", "note", "Flags cannot be judged: the table has no column flags of whole numbers.")]
    n = len(spectrum)
    part = np.mean((flags & int(Flag.FIT_ERROR)) != 0)
    level = "bad" if part > MANY else "warn" if part > SEVERAL else "note"
    lines = [_flag_line(spectrum, "fit_error", Flag.FIT_ERROR, level, "the fit failed, do not use")]
    contains = (flags & int(Flag.CONTAINS_BAD_PIXEL)) != 0
    mask = int(Flag.CONTAINS_BAD_PIXEL) if contains.any() or not (flags & FIT_MASK).any() else FIT_MASK
    level = "warn" if np.mean((flags & mask) != 0) > MANY else "note"
    lines.append(_flag_line(spectrum, "bad_pixels", mask, level, "a pixel within 2.5 px was not used"))
    lines.append(_flag_line(spectrum, "dichroic", Flag.DICHROIC, "note", "calibration not final there"))
    counts = [entry for entry in count_flags(flags).bits if entry.name != "SOURCE" and entry.bit < 32]
    counts.sort(key=lambda entry: -entry.count)
    named = ", ".join(f"{entry.name} {entry.count}" for entry in counts[:_OFTEN_NAMED])
    more = f" and {len(counts) - _OFTEN_NAMED} more" if len(counts) > _OFTEN_NAMED else ""
    mask = mask_of(entry.bit for entry in counts)
    rows = spectrum.rows[(flags & mask) != 0]
    text = f"Flags of pixels on {share(rows.size, n)}" + (f", most often: {named}{more}." if counts else ".")
    lines.append(Finding("flags", "note" if counts else "good", text, rows if rows.size else None, None, mask))
    return lines


def _flag_line(spectrum, key, mask, level, meaning):
    """The line about the points that have some of the bits; "good" where none has."""
    mask = int(mask)
    chosen = np.flatnonzero((spectrum.flags & mask) != 0)
    name = "Bits ignored in the fit" if mask.bit_count() > 1 else Flag.decode(mask)[0]
    if chosen.size == 0:
        return Finding(key, "good", f"{name} on no point.")
    worst = _largest(spectrum.column("fit_ql"), chosen)
    text = f"{name} on {share(chosen.size, len(spectrum))}: {meaning}."
    return Finding(key, level, text, spectrum.rows[chosen], int(spectrum.rows[worst]), mask)


def _largest(values, chosen):
    """The one of some indices with the largest value; the first where no value is known."""
    if values is None or not np.isfinite(values[chosen]).any():
        return chosen[0]
    return chosen[np.nanargmax(np.where(np.isfinite(values[chosen]), values[chosen], -np.inf))]


# -- the fit ----------------------------------------------------------------------------------------------------------


def _fit_quality_line(spectrum):
    quality = spectrum.column("fit_ql")
    if quality is None or not np.isfinite(quality).any():
        return Finding("fit_quality", "note", "The fit cannot be judged: there are no values of fit_ql.")
    known = np.flatnonzero(np.isfinite(quality))
    median = float(np.median(quality[known]))
    poor = known[quality[known] > POOR_FIT_QL]
    worst = known[np.argmax(quality[known])]
    text = f"fit_ql: median {median:.2f} ({PERFECT_FIT_QL:.2f} is perfect)"
    if poor.size == 0:
        text += f", none above {POOR_FIT_QL}."
    else:
        text += f", {share(poor.size, known.size)} above {POOR_FIT_QL}{_where(spectrum, poor)}; "
        text += f"worst {quality[worst]:.1f} {spectrum.place_of(worst)}."
    part = poor.size / known.size
    if median > MEDIAN_FIT_QL_BAD or part > MANY:
        level = "bad"
    elif part > SEVERAL or quality[worst] > WRONG_FIT_QL:
        level = "warn"
    else:
        level = "note" if median > MEDIAN_FIT_QL_NOTE or poor.size else "good"
    rows = spectrum.rows[poor] if poor.size else None
    return Finding("fit_quality", level, text, rows, int(spectrum.rows[worst]) if poor.size else None)


def _where(spectrum, chosen):
    """In which detectors some points are, in words."""
    numbers = [number for number in np.unique(spectrum.detector[chosen]) if number]
    return f" (detector{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))})" if numbers else ""


def _apart_line(spectrum):
    missing = [name for name in ("wavelength", "flux", "flux_err") if spectrum.column(name) is None]
    if missing:
        text = f"Whether points stand apart cannot be judged: the table has no {', '.join(missing)}."
        return Finding("apart", "note", text)
    distance = distance_from_neighbours(spectrum)
    if not np.isfinite(distance).any():
        return Finding("apart", "note", "Whether points stand apart cannot be judged: there are too few of them.")
    apart = np.flatnonzero(distance > APART_SIGMA)
    if apart.size == 0:
        text = f"No point is more than {APART_SIGMA:.0f} σ from its neighbours in wavelength."
        return Finding("apart", "good", text)
    worst = apart[np.argmax(distance[apart])]
    verb = "is" if apart.size == 1 else "are"
    text = f"{counted(apart.size, 'point')} {verb} more than {APART_SIGMA:.0f} σ from the neighbours in wavelength; "
    text += f"worst: {distance[worst]:.0f} σ, {spectrum.place_of(worst)}. A line of the source, or a fault?"
    return Finding("apart", "warn", text, spectrum.rows[apart], int(spectrum.rows[worst]))


def distance_from_neighbours(spectrum):
    """How far each point is from the straight line through its neighbours in wavelength, in errors.

    The line has the median of the slopes between the neighbours (Theil and Sen), three on each side in the same
    detector, and goes through the median of what is left, so that one bad neighbour does not matter. The error is that
    of the point, that of the line there (large where all neighbours are on one side), and the usual distance in the
    detector in quadrature: lines and bands of the source scatter too.

    Parameters
    ----------
    spectrum : SourceSpectrum

    Returns
    -------
    ndarray, shape (n,)
        NaN where there are not enough neighbours.
    """
    wavelength, flux, error = (spectrum.column(name) for name in ("wavelength", "flux", "flux_err"))
    distance = np.full(len(spectrum), np.nan)
    for number in np.unique(spectrum.detector):
        here = np.flatnonzero(spectrum.measured & (spectrum.detector == number))
        if here.size > 2 * NEIGHBOURS:
            here = here[np.argsort(wavelength[here], kind="stable")]
            line, line_error = _line_through_neighbours(wavelength[here], flux[here], error[here])
            residual = flux[here] - line
            usual = 1.4826 * np.median(np.abs(residual - np.median(residual)))
            scale = np.sqrt(error[here] ** 2 + line_error**2 + usual**2)
            distance[here] = np.abs(residual) / np.where(scale > 0, scale, np.inf)
    return distance


def _line_through_neighbours(wavelength, flux, error):
    """The flux that the neighbours of each point foretell, and its error; 7 points or more, in the order of wavelength.

    The error is that of a straight line fitted by least squares, of which a line of medians has π/2 times the variance.
    """
    n, width = wavelength.size, 2 * NEIGHBOURS + 1
    start = np.clip(np.arange(n) - NEIGHBOURS, 0, n - width)
    place = start[:, None] + np.arange(width)
    others = place[place != np.arange(n)[:, None]].reshape(n, width - 1)
    x, y = wavelength[others] - wavelength[:, None], flux[others]
    first, second = np.triu_indices(width - 1, 1)
    run = x[:, second] - x[:, first]
    rise = y[:, second] - y[:, first]
    slope = np.median(np.divide(rise, run, out=np.zeros_like(rise), where=run > 0), axis=1)
    level = np.median(y - slope[:, None] * x, axis=1)
    middle, spread = x.mean(axis=1), ((x - x.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    lever = np.divide(middle**2, spread, out=np.zeros(n), where=spread > 0)
    variance = np.mean(error[others] ** 2, axis=1)
    return level, np.sqrt(np.pi / 2 * variance * (1 / (width - 1) + lever))


# -- what is missing --------------------------------------------------------------------------------------------------


def _detectors_line(spectrum):
    if spectrum.column("det_id") is None:
        return Finding("detectors", "note", "Missing detectors cannot be told: the table has no det_id.")
    counts = {number: int((spectrum.detector[spectrum.measured] == number).sum()) for number in DETECTORS}
    missing = [number for number, count in counts.items() if count == 0]
    points = ", ".join(f"{number}: {count}" for number, count in counts.items() if count)
    if not missing:
        return Finding("detectors", "good", f"All six detectors have points ({points}).")
    gaps = ", ".join(
        f"{number} ({DETECTORS[number].wavelength_min_um:.2f}-{DETECTORS[number].wavelength_max_um:.2f} µm)"
        for number in missing
    )
    text = f"No point of detector{'s' * (len(missing) > 1)} {gaps}" + (f"; points: {points}." if points else ".")
    return Finding("detectors", "warn", text)


def _channels_line(spectrum):
    wavelength = spectrum.column("wavelength")
    if wavelength is None or spectrum.column("det_id") is None:
        return Finding("channels", "note", "Missing channels cannot be told: wavelength or det_id is missing.")
    lost = [channel for channel, count in zip(CHANNELS, clean_points_per_channel(spectrum)) if count == 0]
    n = len(CHANNELS)
    if not lost:
        return Finding("channels", "good", f"Each of the {n} channels has a clean point.")
    named = ", ".join(f"{channel.wavelength_um:.2f}" for channel in lost[:6]) + (", …" if len(lost) > 6 else "")
    level = "warn" if len(lost) > n / 2 else "note"
    return Finding("channels", level, f"{share(len(lost), n)} channels have no clean point (at {named} µm).")


def clean_points_per_channel(spectrum):
    """Number of clean points in each of the 102 channels.

    Parameters
    ----------
    spectrum : SourceSpectrum

    Returns
    -------
    ndarray of int, shape (102,)
        A point belongs to the channel of its detector whose centre is nearest.
    """
    wavelength = spectrum.column("wavelength")
    counts = np.zeros(len(CHANNELS), dtype=int)
    for number in DETECTORS:
        members = np.array([k for k, channel in enumerate(CHANNELS) if channel.detector == number])
        centres = np.array([CHANNELS[k].wavelength_um for k in members])
        here = wavelength[spectrum.clean & (spectrum.detector == number)]
        nearest = np.searchsorted((centres[1:] + centres[:-1]) / 2, here)
        counts[members] = np.bincount(nearest, minlength=members.size)
    return counts


def _dates_line(spectrum):
    mjd = spectrum.column("mjd")
    if mjd is None or not np.isfinite(mjd).any():
        return Finding("dates", "note", "Dates cannot be told: the table has no mjd.")
    mjd = np.sort(mjd[np.isfinite(mjd)])
    days = np.unique(np.floor(mjd))
    text = f"Observed on {counted(days.size, 'day')}, {_date(mjd[0])} to {_date(mjd[-1])}"
    if days.size > 1:
        gap = int(np.argmax(np.diff(mjd)))
        text += f"; longest gap {mjd[gap + 1] - mjd[gap]:.0f} d, from {_date(mjd[gap])} to {_date(mjd[gap + 1])}"
    level = "note" if days.size == 1 else "good"
    return Finding("dates", level, text + ".")


def _date(mjd):
    """A modified Julian date as year-month-day."""
    return str(np.datetime64("1858-11-17") + np.timedelta64(int(np.floor(np.clip(mjd, -600000, 2e6))), "D"))
