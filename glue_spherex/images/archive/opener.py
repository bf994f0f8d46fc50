"""Opens images that were fetched, with the calibration maps of their release."""

import os

from ..calibration import as_calibration
from ..collection import ImageOpener


class ArchiveOpener:
    """Opens cutouts of the store, those that were put elsewhere, and local images; what worker processes need.

    Parameters
    ----------
    store : CutoutStore
    kept_in : path or None
        Folder with further cutouts, by release.
    local : object or None
        What opens other images.
    flux_correction : bool
    """

    def __init__(self, store, kept_in, local, flux_correction):
        self.store, self.local, self.flux_correction = store, local, flux_correction
        self.folders = tuple(str(folder) + os.sep for folder in (store.images, kept_in) if folder is not None)
        self._openers = {}

    def __getstate__(self):
        return {**self.__dict__, "_openers": {}}

    def open(self, record):
        """The `SpectralImage` of a record."""
        return self._opener(record).open(record)

    def _opener(self, record):
        folder = next((folder for folder in self.folders if record.path.startswith(folder)), None)
        if folder is None:
            return self.local or ImageOpener(as_calibration(None), self.flux_correction)
        release = record.path[len(folder) :].partition(os.sep)[0].removesuffix("_deep")
        where = release, record.detector
        if where not in self._openers:  # the maps of a detector come with its first image
            maps = self.store.calibration(release)
            self._openers[where] = ImageOpener(as_calibration(maps if maps.is_dir() else None), self.flux_correction)
        return self._openers[where]
