"""The cutout of a row from the archive: which image it is, and the pixels around the position."""

import re
import threading
import time as clock
from dataclasses import replace
from pathlib import Path

from ...images import ImageFileError
from ...images.archive.boxes import REACH_PX
from ...images.archive.cutout_store import CutoutStore
from ...images.archive.errors import ArchiveError, ArchiveUnreachable, NotAsked, NothingThere
from ...images.archive.hosts import held
from ...images.archive.settings import ArchiveSettings
from ...model import Source
from .reading import read_reach_px

#: Most pixels from the position to the edge of what is fetched: enough for the widest frame, 30 arcmin.
LARGEST_REACH_PX = 150
_LATELY_S = 60.0  # what the archive said within this time is not asked again
_ADDRESS = re.compile(r"https?://([^/\s:]+)\S*?(?=: |\s|$)")
_DAY_S = 86400.0
_AROUND_D = 0.5  # between times of the same exposure, at most, whatever they mean in a table
#: Limits of asking while somebody waits, where the user's own are not lower.
_PATIENCE = {"attempts": 3, "patience_s": 4.0, "timeout_s": 30.0, "search_s": 90.0, "longest_wait_s": 30.0}


class OtherRelease(ArchiveError):
    """The archive has the exposure, but not the release of it that was measured.

    Attributes
    ----------
    release : str
        The one that it has.
    """

    def __init__(self, text, release):
        super().__init__(text)
        self.release = release


class ArchiveCutouts:
    """The cutouts that the archive has of rows; they are kept in a store. Many threads may use it at once.

    Parameters
    ----------
    settings : ArchiveSettings, optional
        The user's by default, read when something is fetched for the first time.
    store : CutoutStore, optional
        The user's own by default.
    cache : AnswerCache, optional
        Answers to searches; the user's own by default.
    """

    def __init__(self, settings=None, store=None, cache=None):
        self._settings, self._cache = settings, cache
        self.store = store or CutoutStore()
        self._client, self._lock, self._searching = None, threading.Lock(), threading.Lock()

    def fetch(self, row, size_arcmin=1.2, other_release=False, cancelled=None):
        """Fetch the cutout of a row, unless the store has it.

        Parameters
        ----------
        row : MeasuredRow
        size_arcmin : float
            Side of the frame that it shall fill.
        other_release : bool
            Whether another release of the exposure will do.
        cancelled : callable, optional
            When it says yes, `ArchiveStopped` is raised.

        Returns
        -------
        Path
            In the store; no result is noted to need it.

        Raises
        ------
        OtherRelease
            If the archive has the exposure in another release only.
        ArchiveError, ImageFileError
            If it cannot be had, with the reason.
        """
        stop = cancelled or (lambda: False)
        client, source = self._ready_client(), Source(row.ra, row.dec)
        image = self._image(row, source, client, other_release, stop)
        try:
            return self._cutout(row, image, source, client, size_arcmin, stop)
        except NothingThere:  # the archive may have replaced the file since it was asked
            again = self._image(row, source, client, other_release, stop, anew=True)
            if again == image:
                raise
            return self._cutout(row, again, source, client, size_arcmin, stop)

    def _ready_client(self):
        from ...images.archive.client import ArchiveClient

        with self._lock:
            if self._client is None:
                settings = self._settings or ArchiveSettings.load()
                shorter = {name: min(value, getattr(settings, name)) for name, value in _PATIENCE.items()}
                self._client = ArchiveClient(replace(settings, **shorter))
            return self._client

    def _cutout(self, row, image, source, client, size_arcmin, stop):
        from ...images.archive.fetch import fetch_cutouts

        found = fetch_cutouts(image, [source], self.store, client, fetched_reach_px(size_arcmin), stop)
        if not found:
            raise ArchiveError(f"{row.image_name}: the position {row.ra:.5f} {row.dec:+.5f} does not lie on the image.")
        return Path(found[0].path)

    # -- which image ---------------------------------------------------------------------------------------------------

    def _image(self, row, source, client, other_release, stop, anew=False):
        """The `ArchiveImage` of a row, from what the archive said before, or asked anew."""
        with held(self._searching, stop):  # one at a time: the answer about one row mostly tells of the others too
            image, date = self._found(row, source, client, _collections(row), stop, anew)
            if image is not None:
                return image
            if row.release:
                image, _ = self._found(row, source, client, None, stop)
            if image is not None and other_release:
                return image
        if image is not None:
            raise OtherRelease(
                f"{row.image_name}: the archive has this exposure as {image.release.upper()} only; it was measured on "
                f"{row.release.upper()}.",
                image.release,
            )
        if clock.time() - date > _DAY_S:
            day = clock.strftime("%Y-%m-%d", clock.gmtime(date))
            raise ArchiveError(f"{row.image_name}: the archive did not have it on {day}, and cannot be asked now.")
        raise NothingThere(f"{row.image_name}: the archive has no image of this exposure and detector there.")

    def _found(self, row, source, client, collections, stop, anew=False):
        """The image of a row, or None, in some collections; and when the archive was asked."""
        from ...images.archive.search import search

        image, date = None, 0.0
        for ask, refresh in ((True, True),) if anew else ((False, False), (True, False), (True, True)):
            if image is not None or clock.time() - date < _LATELY_S:
                break
            try:
                answer = search(
                    [source], collections=collections, detectors=[row.detector], time=_times(row), refresh=refresh,
                    ask=ask, client=client, cache=self._cache, cancelled=stop,
                )  # fmt: skip
            except NotAsked:
                continue
            image, date = next((image for image in answer.rows if _is_of(image, row)), None), answer.date
        return image, date


def fetched_reach_px(size_arcmin):
    """Pixels from the position to the edge of what is fetched for a frame: no fewer than measuring needs."""
    return min(max(REACH_PX, read_reach_px(size_arcmin)), LARGEST_REACH_PX)


def reason_of(error, row):
    """A sentence about what went wrong, that names the image.

    Parameters
    ----------
    error : Exception
    row : MeasuredRow

    Returns
    -------
    str
        Of an address, the host alone: the image is named.
    """
    text = _ADDRESS.sub(r"\1", str(error)) or type(error).__name__
    if isinstance(error, ArchiveUnreachable):
        text = "the archive cannot be reached; is this computer connected?"
    if not isinstance(error, ImageFileError | OSError):
        text = f"fetching failed ({type(error).__name__}: {text})"
    return text if text.startswith(row.image_name) else f"{row.image_name}: {text}"


def _collections(row):
    """Where the image of a row is: the wide survey or the deep fields of its release; None where that is not told."""
    return [f"spherex_{row.release}", f"spherex_{row.release}_deep"] if row.release else None


def _times(row):
    """Limits of time around the exposure, MJD; None where the row has no time."""
    return (row.mjd - _AROUND_D, row.mjd + _AROUND_D) if row.mjd > 0 else None


def _is_of(image, row):
    return image.exposure == (row.observation, row.detector)
