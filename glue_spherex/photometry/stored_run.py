"""A run whose results are kept on disk while it goes on: any number of sources and images in the same memory."""

from functools import cached_property

import numpy as np

from ..model import COLUMNS
from ..model.spectrum import new_table
from .image_flow import ImageFlow
from .pipeline import check_engine, checked_sources, measured_images
from .result_tables import has_repeats, image_table, provenance_of, spectra_of, target_table

#: Rows of spectra that are in memory at a time; a single source with more is taken as a whole.
BLOCK_ROWS = 200_000


def run_stored(
    sources, images, settings, results, *, executor=None, progress=None, cancelled=None, begun=None, idle=None
):
    """Measure what is not yet in a store of results.

    Parameters
    ----------
    sources, images, settings, executor, cancelled
        As in `glue_spherex.photometry.run`.
    results : ResultStore
        What it holds is not measured again, whatever the files are called now, but for images that failed.
    progress : callable(done, total, result), optional
        Called after each image, and after each cutout where there are several of one, with its `ImageResult`; counted
        are images.
    begun : callable(done, total), optional
        Called before the first image.
    idle : callable(), optional
        Called now and then while no image is ready to be measured; all results are written then.

    Returns
    -------
    StoredMeasurement
    """
    sources = checked_sources(sources)
    check_engine(settings)
    known = [line for line in results.about() if line["status"] != "failed"]

    def wait():
        results.flush()
        if idle is not None:
            idle()

    flow, n_results = ImageFlow(sources, images, settings, cancelled, known, wait, results.measured_sources()), 0
    if begun is not None:
        begun(flow.n_done, flow.n_images)
    for _, result in measured_images(sources, images, flow, settings, executor, cancelled):
        results.add(result)
        flow.note(result)
        n_results += 1
        if progress is not None:
            progress(flow.n_done, flow.n_images, result)
    results.flush()
    return StoredMeasurement(sources, images, results, settings, interrupted=n_results < flow.total)


class StoredMeasurement:
    """What a run has given, on disk: the same as `Measurement`, but the spectra are had in pieces.

    Parameters
    ----------
    sources : list of Source
    images : ImageCollection
    results : ResultStore
    settings : Settings
    interrupted : bool
    """

    def __init__(self, sources, images, results, settings, interrupted=False):
        self._sources, self._results, self._whole = sources, results, None
        self.settings, self.interrupted = settings, interrupted
        lines = results.about()
        self.images = image_table(images, lines)
        self.about = provenance_of(images, lines, settings, sources)
        self._rows_per_source = results.rows_per_source(len(sources))

    @property
    def n_rows(self):
        """Rows of the spectra."""
        return int(self._rows_per_source.sum())

    @cached_property
    def targets(self):
        """The table of sources."""
        statistics = self._summary[0]
        return target_table(self._sources, statistics, self._results.failed_images(len(self._sources)))

    @property
    def repeats(self):
        """Whether a source has an exposure more than once, from different files."""
        return self._summary[1]

    @property
    def _summary(self):
        """Statistics of all sources, and whether any exposure is there more than once."""
        if self._whole is None:
            self.go_through()
        return self._whole

    def go_through(self, cancelled=None):
        """Go through all spectra once, as `targets` and `repeats` need it; of millions of rows it takes a while.

        Parameters
        ----------
        cancelled : callable() -> bool, optional
            Asked after each piece.

        Returns
        -------
        bool
            Whether it came to the end.
        """
        parts, repeats = [], False
        for spectra, statistics in self._pieces():
            parts.append(statistics)
            repeats |= has_repeats(spectra)
            if cancelled is not None and cancelled():
                return False
        self._whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, repeats
        return True

    def head(self):
        """A small table like the spectra that has every text of theirs in it, and the numbers of the sources."""
        present = np.flatnonzero(self._rows_per_source)
        texts = self._results.texts()
        texts["label"] = [self._sources[number].label for number in present]
        n = max([len(present), *map(len, texts.values())]) if len(present) else 0
        columns = {spec.name: np.zeros(n) for spec in COLUMNS if spec.dtype != "text"}
        columns |= {name: np.resize(np.array(values, dtype=str), n) for name, values in texts.items()}
        columns["source_id"] = np.resize(present, n)
        return self._described(new_table(columns))

    def blocks(self):
        """Yield the spectra in pieces, each with all rows of its sources."""
        for spectra, _ in self._pieces():
            yield self._described(spectra)

    def _described(self, spectra):
        spectra.meta["glue_spherex"] = self.about
        return spectra

    def _pieces(self):
        """Yield the spectra and statistics of sources that follow each other."""
        first = 0
        while first < len(self._sources):
            ends = np.cumsum(self._rows_per_source[first:])
            stop = first + max(1, int(np.searchsorted(ends, BLOCK_ROWS, side="right")))
            yield spectra_of(self._results.columns(first, stop), self._sources[first:stop], first)
            first = stop
