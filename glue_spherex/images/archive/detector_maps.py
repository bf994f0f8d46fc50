"""Calibration maps that are fetched beside the images, one detector after the other."""

from concurrent.futures import CancelledError, ThreadPoolExecutor

from .errors import ArchiveError, ArchiveStopped
from .products import products

#: Detectors whose maps are fetched at the same time: images of the first one can be measured while the rest comes.
_AT_ONCE = 2


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
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="calibration")
        self._fetching = {
            (release, detector): self._pool.submit(products, detector, release, store, client, cancelled)
            for release, detector in kinds
        }

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._pool.shutdown(cancel_futures=True)

    def wait_for(self, image):
        """Wait for the maps of an image: without them, its fluxes would be others.

        Parameters
        ----------
        image : ArchiveImage

        Raises
        ------
        ArchiveError
            If they cannot be had.
        """
        try:
            self._fetching[image.release, image.detector].result()
        except CancelledError as error:
            raise ArchiveStopped("cancelled.") from error
        except ArchiveStopped:
            raise
        except Exception as error:  # whatever it is, images of other detectors are measured
            raise ArchiveError(f"the calibration of detector {image.detector} cannot be had: {error}") from error
