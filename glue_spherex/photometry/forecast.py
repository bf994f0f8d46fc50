"""What a run would do, before it starts."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from ..images.astrometry import Astrometry
from ..images.frame_pixels import at_directions, frame_matrices
from ..model import sky_positions, unit_vectors
from .image_flow import find
from .image_result import measure_match
from .pipeline import checked_sources
from .settings import Settings

#: Images that are measured to learn how fast this machine is; the first one only warms the caches up.
TRIAL_IMAGES = 6


@dataclass(frozen=True)
class Estimate:
    """What a run would do.

    Attributes
    ----------
    counts : Table
        A row per source, a column per detector: images whose pixels hold the source.
    images : int
        Images to open.
    measurements : int
        Rows to expect, if no wavelengths are asked for.
    seconds : float
        Expected run time with one worker, from a trial on a few of the images.
    """

    counts: object
    images: int
    measurements: int
    seconds: float


def estimate(sources, images, *, settings=None, detectors=None, wavelength=None, time=None):
    """Count images per source and detector, and measure how long a run would take.

    Parameters
    ----------
    sources : Source or sequence of Source
    images : ImageCollection
    settings : Settings, optional
        How it would be measured; the following are taken from it if it is given.
    detectors, wavelength, time
        Fields of `Settings`.

    Returns
    -------
    Estimate

    Raises
    ------
    PhotometryError
        If a setting is not allowed, or no source lies on any image.
    """
    sources = checked_sources(sources)
    settings = settings or Settings(detectors=detectors, wavelength=wavelength, time=time)
    matches = find(sources, images, settings)
    counts = count_images(matches, sources)
    return Estimate(
        _counts_table(sources, counts), len(matches), int(counts.sum()), _trial(sources, images, matches, settings)
    )


def count_images(matches, sources, cancelled=None):
    """Images per source and detector: those whose pixels hold the source, at the epoch of the image.

    Parameters
    ----------
    matches : list of ImageMatch
    sources : sequence of Source, length n
    cancelled : callable, optional
        When it says yes, the images looked at so far are counted.

    Returns
    -------
    ndarray of int, shape (n, 6)
        Companions count where a target is on the image as well.
    """
    counts = np.zeros((len(sources), 6), dtype=int)
    for record, held, _, _ in sources_held(matches, sources, cancelled):
        counts[held, record.detector - 1] += 1
    return counts


def sources_held(matches, sources, cancelled=None):
    """The sources that the pixels of images hold, at the epoch of each image.

    Parameters
    ----------
    matches, sources, cancelled
        As in `count_images`. Of records without a WCS (`ArchiveImage`) the corners serve.

    Yields
    ------
    record : ImageRecord or ArchiveImage
    held : ndarray of int, shape (k,)
        Numbers of the sources; an image without a target is left out.
    x, y : ndarray, shape (k,), pixels
        0-based, of the file.
    """
    ra, dec = sky_positions(sources)
    moving = np.array([bool(source.pmra or source.pmdec) for source in sources], dtype=bool)
    companion = np.array([source.companion for source in sources], dtype=bool)
    listed = [match.record for match in matches if not hasattr(match.record, "wcs_numbers")]
    matrices = iter(frame_matrices(listed))
    for match in matches:
        if cancelled is not None and cancelled():
            break
        numbers, record = match.sources, match.record
        at_ra, at_dec = ra[numbers], dec[numbers]
        on_the_way = np.flatnonzero(moving[numbers])
        if len(on_the_way):
            moved = sky_positions([sources[k] for k in numbers[on_the_way]], record.mjd)
            at_ra[on_the_way], at_dec[on_the_way] = moved
        if hasattr(record, "wcs_numbers"):
            x, y = Astrometry(record.wcs_numbers).to_pixels(at_ra, at_dec)
        else:
            x, y = at_directions(next(matrices), unit_vectors(at_ra, at_dec))
        held = (x >= -0.5) & (x < record.nx - 0.5) & (y >= -0.5) & (y < record.ny - 0.5)
        if not companion[numbers[held]].all():
            yield record, numbers[held], x[held], y[held]


def _trial(sources, images, matches, settings):
    """Seconds for all images: the median of a few, spread over the list, times their number."""
    places = np.unique(np.linspace(0, len(matches) - 1, TRIAL_IMAGES).astype(int))
    seconds = []
    for place in [places[0], *places]:
        start = perf_counter()
        measure_match(sources, images, matches[place], settings)
        seconds.append(perf_counter() - start)
    return float(np.median(seconds[1:])) * len(matches)


def _counts_table(sources, counts):
    from astropy.table import Table

    table = Table({"source_id": np.arange(len(sources)), "label": [source.label for source in sources]})
    for number in range(6):
        table[f"D{number + 1}"] = counts[:, number]
    table["images"] = counts.sum(axis=1)
    return table
