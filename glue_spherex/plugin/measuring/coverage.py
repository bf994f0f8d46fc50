"""Which detectors, wavelengths and dates the images of targets cover."""

from dataclasses import dataclass

import numpy as np

from ...model.detectors import CHANNELS, DETECTORS, N_PIX, mean_wavelength
from ...photometry.forecast import sources_held

#: What can be looked at: the images of each detector, at each wavelength, of each time.
VIEWS = ("detectors", "wavelengths", "dates")
_STEPS_D = (1, 2, 5, 10, 20, 30, 60, 120, 365)
_MOST_STEPS = 60


@dataclass(frozen=True, eq=False)
class Coverage:
    """How often each source is seen.

    In each table the last axis says where the images are: on this computer, or to be fetched.

    Attributes
    ----------
    detectors : ndarray of int, shape (n, 6, 2)
    wavelengths : ndarray of int, shape (n, 102, 2)
        By the spectral channels, `glue_spherex.model.detectors.CHANNELS`.
    dates : ndarray of int, shape (n, k, 2)
    edges : ndarray, shape (k + 1,), MJD
        Of the steps of `dates`.

    Notes
    -----
    Wavelengths are those of the files' own tables; of images of the archive, also of those that are kept, those that
    follow from the corners of the images and the mean law of the detectors, to 1 or 2 nm.
    """

    detectors: np.ndarray
    wavelengths: np.ndarray
    dates: np.ndarray
    edges: np.ndarray

    @property
    def counts(self):
        """Images of each detector, shape (n, 6)."""
        return self.detectors.sum(axis=2, dtype=int)

    def of(self, view, numbers=None):
        """Numbers for a chart.

        Parameters
        ----------
        view : str
            One of `VIEWS`.
        numbers : sequence of int, optional
            Of the sources; all by default.

        Returns
        -------
        ndarray of int, shape (k, 2)
        """
        table = getattr(self, view)
        return (table if numbers is None else table[list(numbers)]).sum(axis=0, dtype=int)

    @property
    def step_days(self):
        """Width of the steps of `dates`, d."""
        return float(self.edges[1] - self.edges[0]) if len(self.edges) > 1 else 1.0


def coverage_of(matches, sources, to_fetch=frozenset(), cancelled=None):
    """Look at images.

    Parameters
    ----------
    matches : list of ImageMatch
    sources : sequence of Source, length n
    to_fetch : container of (str, int)
        Exposures, as (obsid, detector), that are not on this computer.
    cancelled : callable, optional
        When it says yes, the images looked at so far are counted.

    Returns
    -------
    Coverage
    """
    edges = _edges([match.record.mjd for match in matches])
    n = len(sources)
    tables = [np.zeros((n, k, 2), dtype=np.uint16) for k in (len(DETECTORS), len(CHANNELS), len(edges) - 1)]
    detectors, wavelengths, dates = tables
    limits = _limits()
    for record, held, x, y in sources_held(matches, sources, cancelled):
        away = int((record.obsid, record.detector) in to_fetch)
        detectors[held, record.detector - 1, away] += 1
        dates[held, _place(edges, record.mjd), away] += 1
        first, inner = limits[record.detector]
        wavelengths[held, first + np.searchsorted(inner, _wavelengths(record, x, y)), away] += 1
    return Coverage(detectors, wavelengths, dates, edges)


def _wavelengths(record, x, y):
    """Wavelengths at pixels of a file, um: those of its own table, else those of the mean law."""
    x0, y0 = getattr(record, "origin", (0, 0))
    x, y = np.clip(x + x0, 0, N_PIX - 1), np.clip(y + y0, 0, N_PIX - 1)
    mean = mean_wavelength(record.detector, x, y)
    if getattr(record, "wave", None) is None:
        return mean
    own, _ = record.wave.at(x, y)
    return np.where(np.isfinite(own), own, mean)


def _limits():
    """Of each detector the number of its first channel, and the wavelengths between its channels."""
    limits = {}
    for number in DETECTORS:
        places = [k for k, channel in enumerate(CHANNELS) if channel.detector == number]
        centres = np.array([CHANNELS[k].wavelength_um for k in places])
        limits[number] = places[0], np.sqrt(centres[1:] * centres[:-1])
    return limits


def _edges(mjds):
    """Limits of steps of whole days that hold all of some moments."""
    if not mjds:
        return np.zeros(1)
    first, last = np.floor(min(mjds)), max(mjds)
    step = next((step for step in _STEPS_D if (last - first) / step < _MOST_STEPS), (last - first) / _MOST_STEPS)
    return first + step * np.arange(int((last - first) // step) + 2)


def _place(edges, mjd):
    return min(int((mjd - edges[0]) // (edges[1] - edges[0])), len(edges) - 2)
