"""What a cutout store has of the images of a run, and what the image index knows of that, from one look."""

import os
import threading
from contextlib import suppress
from dataclasses import astuple

import numpy as np

from glue_spherex.model import sky_positions, unit_vectors

from ..frame_pixels import at_directions, frame_matrices
from ..record import SMALL_PIXELS, read_record
from .boxes import FULL_FRAME
from .errors import ArchiveError
from .wanted import FetchedCutout

#: Places on a cutout of 41 pixels are known this well from its corners, px; the distortion bends a larger one by the
#: square of its size: simulated ones of 41, 100, 160 and 400 pixels by 0.0025, 0.015, 0.04 and 0.24 at most.
_UNSURE_PX, _OF_PX = 0.005, 41
_FEW = 8  # sources of an image that are looked at one by one
_WAITING = 200  # records that are added to the index in one go


class KnownCutouts:
    """The cutouts of some images in a store, and their records; use it in a ``with`` block.

    Other processes may add files and remove some meanwhile: whoever finds nothing here looks into the store.

    Parameters
    ----------
    store : CutoutStore
    index : ImageIndex
        Headers that were read once are not read again: those that are read here are added to it.
    images : iterable of ArchiveImage
    """

    def __init__(self, store, index, images):
        self._index, self._of_image, stamps = index, {}, {}
        for image in images:
            with suppress(OSError, ArchiveError):  # whoever wants it looks again, and tells what is wrong
                for box, path in store.cutouts(image):
                    with suppress(FileNotFoundError):  # removed meanwhile
                        status = os.stat(path)
                        stamps[path] = status.st_size, status.st_mtime_ns
                        self._of_image.setdefault(image, []).append((box, path))
        self._records = index.known(stamps) if stamps else {}
        self._new, self._may_remember, self._lock = [], True, threading.RLock()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._remember(0)

    def cutouts(self, image):
        """As `CutoutStore.cutouts`: (PixelBox, path) of each cutout of an image, the smallest first."""
        return self._of_image.get(image, ())

    def read(self, path):
        """The `ImageRecord` of a cutout; if it is new or was replaced, from its headers."""
        known, status = self._records.get(path), os.stat(path)
        if known is not None and (known.size, known.mtime_ns) == (status.st_size, status.st_mtime_ns):
            return known
        record = read_record(path)
        with self._lock:
            self._new.append(record)
        self._remember(_WAITING)
        return record

    def _remember(self, waiting):
        """Add what was read to the index if it is more than so many records."""
        with self._lock:
            if len(self._new) <= waiting:
                return
            new, self._new = self._new, []
        if self._may_remember:  # an index that is locked is not waited for again and again
            self._may_remember = self._index.remember(new)

    def holding(self, requests):
        """Cutouts that hold all that is wanted of an image, as far as their corners tell, of images with few sources.

        Parameters
        ----------
        requests : sequence of (ArchiveImage, sequence of Source, reach)
            As `fetch_all` takes them.

        Returns
        -------
        dict of int to FetchedCutout
            By place in `requests`.
        """
        pairs, looked_at = [], []
        for number, (image, sources, reach) in enumerate(requests):
            for box, path in self.cutouts(image) if 0 < len(sources) <= _FEW else ():
                record = self._records.get(path)
                if record is not None and record.psf_key:
                    reaches = reach if np.ndim(reach) else [reach] * len(sources)
                    looked_at += zip([len(pairs)] * len(sources), sources, reaches, strict=True)
                    pairs.append((number, box, record))
        if not pairs:
            return {}
        which, sources, reach = zip(*looked_at)
        which, holds = np.array(which), np.ones(len(pairs), dtype=bool)
        holds[which[~_are_held([record for *_, record in pairs], which, sources, reach)]] = False
        found, targets = {}, [np.arange(n) for n in range(_FEW + 1)]
        for (number, box, record), good in zip(pairs, holds.tolist()):
            if good and number not in found:  # the smallest one
                everything = targets[len(requests[number][1])]
                found[number] = FetchedCutout(record.path, box, everything, record)
        return found


def _are_held(records, which, sources, reach):
    """Whether sources, with the pixels around them that are on the image, are on the cutouts with these numbers."""
    mjd = np.array([record.mjd for record in records])
    vectors = unit_vectors(*sky_positions(sources, mjd[which]))
    places = at_directions(frame_matrices(records)[which], vectors)
    image = np.array([record.cut_from or astuple(FULL_FRAME) for record in records])
    n_image = (image[:, 1] - image[:, 0]) * (image[:, 3] - image[:, 2])
    n_here = np.array([record.nx * record.ny for record in records])
    unsure = np.array([_UNSURE_PX * (max(record.nx, record.ny) / _OF_PX) ** 2 for record in records])[which]
    held = ((n_image > SMALL_PIXELS) | (n_here == n_image))[which]  # a small image is wanted as a whole
    for axis, place, sides in (("x", places[0], slice(0, 2)), ("y", places[1], slice(2, 4))):
        start = np.array([getattr(record, f"{axis}0") for record in records])[which]
        stop = start + np.array([getattr(record, f"n{axis}") for record in records])[which]
        first, last = image[which, sides].T
        lowest = np.rint(place + start - unsure) - reach
        highest = np.rint(place + start + unsure) + reach + 1
        held &= (lowest < last) & (highest > first)  # else nothing of it is on the image
        held &= (np.maximum(lowest, first) >= start) & (np.minimum(highest, last) <= stop)
    return held
