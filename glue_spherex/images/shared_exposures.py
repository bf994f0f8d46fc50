"""Several small files of one exposure: each source is measured on one of them."""

from dataclasses import replace

import numpy as np

from glue_spherex.model import sky_positions
from glue_spherex.model.detectors import N_PIX

from .astrometry import Astrometry


def margins_px(record, ra, dec):
    """How far positions are from the edge of a file, where it is not the edge of the image that it was cut out of.

    Parameters
    ----------
    record : ImageRecord
    ra, dec : ndarray, shape (n,), deg
        At the time of the exposure.

    Returns
    -------
    ndarray, shape (n,), px
        Negative beside the file; infinite on a whole image; -inf where there is no place. A file that this program did
        not cut out counts as a part of a full frame.
    """
    x, y = Astrometry(record.wcs_numbers).to_pixels(ra, dec)
    margin = np.full(np.shape(x), np.inf)
    x_lo, x_hi, y_lo, y_hi = record.cut_from or (0, N_PIX, 0, N_PIX)
    for place, n, start, low, high in ((x, record.nx, record.x0, x_lo, x_hi), (y, record.ny, record.y0, y_lo, y_hi)):
        if start > low:
            margin = np.minimum(margin, place + 0.5)
        if start + n < high:
            margin = np.minimum(margin, n - 0.5 - place)
    return np.where(np.isfinite(x) & np.isfinite(y), margin, -np.inf)


def each_once(matches, sources):
    """Matches in which each source of an exposure belongs to one of the files that this program cut out of it.

    Parameters
    ----------
    matches : list of ImageMatch
    sources : sequence of Source

    Returns
    -------
    list of ImageMatch
        In the same order. A source belongs to the file in which it is farthest from the edge, and is fitted along on
        the others. Files that were not cut out by this program stay as they are.
    """
    groups = {}
    for place, match in enumerate(matches):
        groups.setdefault((match.record.obsid, match.record.detector, match.record.release), []).append(place)
    changed = {}
    for places in groups.values():
        cutouts = [place for place in places if len(places) > 1 and matches[place].record.cut_from]
        if len(cutouts) > 1:
            changed |= dict(zip(cutouts, _shared([matches[place] for place in cutouts], sources)))
    found = [changed.get(place, match) for place, match in enumerate(matches)]
    return [match for match in found if len(match.sources)]


def _shared(matches, sources):
    """The matches of one exposure, each with the sources that are best measured there."""
    numbers = np.unique(np.concatenate([match.sources for match in matches]))
    ra, dec = sky_positions([sources[k] for k in numbers], matches[0].record.mjd)
    margins = np.full((len(matches), len(numbers)), -np.inf)
    for line, match in zip(margins, matches):
        mine = np.searchsorted(numbers, match.sources)
        line[mine] = margins_px(match.record, ra[mine], dec[mine])
    best = margins.argmax(axis=0)
    for row, match in enumerate(matches):
        here = best[np.searchsorted(numbers, match.sources)] == row
        yield replace(match, sources=match.sources[here], beside=match.sources[~here])
