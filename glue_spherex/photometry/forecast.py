"""What a run would do, before it starts."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from .pipeline import checked_sources, find, measure_match
from .settings import Settings

#: Images that are measured to learn how fast this machine is; the first one only warms the caches up.
TRIAL_IMAGES = 6


@dataclass(frozen=True)
class Estimate:
    """What a run would do.

    Attributes
    ----------
    counts : Table
        A row per source, a column per detector: images that may hold the source.
    images : int
        Images to open.
    measurements : int
        Rows to expect; sources near a border may turn out to lie beside the image.
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
    counts = count_images(matches, len(sources))
    return Estimate(
        _counts_table(sources, counts), len(matches), int(counts.sum()), _trial(sources, images, matches, settings)
    )


def count_images(matches, n_sources):
    """Images per source and detector.

    Parameters
    ----------
    matches : list of ImageMatch
    n_sources : int

    Returns
    -------
    ndarray of int, shape (n_sources, 6)
    """
    counts = np.zeros((n_sources, 6), dtype=int)
    for match in matches:
        counts[match.sources, match.record.detector - 1] += 1
    return counts


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
