"""What is in a cutout store, from one look at all of it: to look at each image costs as much as to find its pixels."""

import os

from ..record import read_record
from .boxes import PixelBox


class KnownCutouts:
    """The cutouts of a store and their records.

    Other processes may add files and remove some meanwhile: whoever finds nothing here looks into the store.

    Parameters
    ----------
    store : CutoutStore
    index : ImageIndex
        Headers that were read once are not read again.
    """

    def __init__(self, store, index):
        self._store, self._records, self._paths = store, {}, {}
        for record in index.refresh(store.images).records if store.images.is_dir() else ():
            self._records[record.path] = record
            self._paths.setdefault(record.path.rpartition("_x")[0], []).append(record.path)

    def cutouts(self, image):
        """As `CutoutStore.cutouts`: (PixelBox, str) of each cutout of an image, the smallest first."""
        records = [self._records[path] for path in self._paths.get(self._store.beginning(image), ())]
        found = [(PixelBox(r.x0, r.x0 + r.nx, r.y0, r.y0 + r.ny), r.path) for r in records]
        return sorted(found, key=lambda cutout: (cutout[0].n_pixels, cutout[1]))

    def read(self, path):
        """The `ImageRecord` of a cutout; if it is new or was replaced, from its headers."""
        known, status = self._records.get(str(path)), os.stat(path)
        same = known is not None and (known.size, known.mtime_ns) == (status.st_size, status.st_mtime_ns)
        return known if same else read_record(path)
