"""Calibration maps that are fetched beside the images, one detector after the other."""

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait

from .errors import ArchiveError, ArchiveStopped
from .products import products

#: Detectors whose maps are fetched at the same time: images of the first one can be measured while the rest comes.
_AT_ONCE = 2
_LOOK_AGAIN_S = 0.1  # between two looks whether it is cancelled


class DetectorMaps:
    """Fetches the calibration of detectors, in the order in which they are named; use it in a ``with`` block.

    Parameters
    ----------
    kinds : sequence of (str, int)
        Release and detector.
    store : CutoutStore
    client : ArchiveClient or None
    cancelled : callable() -> bool, optional
    """

    def __init__(self, kinds, store, client, cancelled=None):
        self._left, self._there = threading.Event(), set()

        def stop():
            return self._left.is_set() or (cancelled is not None and cancelled())

        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="calibration")
        self._fetching = {
            (release, detector): self._pool.submit(products, detector, release, store, client, stop)
            for release, detector in kinds
        }

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._left.set()
        self._pool.shutdown(cancel_futures=True)

    def wait_for(self, image, stop):
        """Wait for the maps of an image: without them, its fluxes would be others.

        Parameters
        ----------
        image : ArchiveImage
        stop : callable() -> bool
            When it says yes, `ArchiveStopped` is raised.

        Raises
        ------
        ArchiveError
            If they cannot be had.
        """
        kind = image.release, image.detector
        if kind in self._there:  # most images: it is asked for each
            return
        fetching = self._fetching[kind]
        while not (fetching.done() or wait([fetching], timeout=_LOOK_AGAIN_S).done):
            if stop():
                raise ArchiveStopped("cancelled.")
        try:
            fetching.result()
        except CancelledError as error:
            raise ArchiveStopped("cancelled.") from error
        except ArchiveStopped:
            raise
        except Exception as error:  # whatever it is, images of other detectors are measured
            raise ArchiveError(f"the calibration of detector {image.detector} cannot be had: {error}") from error
        self._there.add(kind)
