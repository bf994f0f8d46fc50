"""The archive as a collection of images: what is needed is searched, fetched, kept, and opened from disk."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from glue_spherex.model import survey_vectors
from glue_spherex.model.detectors import PIXEL_SCALE_ARCSEC

from ..calibration import as_calibration
from ..collection import ImageMatch, ImageOpener, match_images
from ..errors import ImageFileError
from ..index import ImageIndex
from ..record import read_record
from ..spectral_image import SpectralImage
from .answers import release_age
from .boxes import reach_px
from .client import ArchiveClient
from .cutout_store import CutoutStore
from .errors import ArchiveStopped
from .fetch import fetch_all
from .products import has_products, products
from .search import search

#: What one image costs, roughly: bytes to move for the surroundings of a target; those of the maps of a detector.
_CUTOUT_MB, _PRODUCTS_MB = 0.3, 50.0
#: Speed that is assumed: an image needs some round trips, which overlap as far as the archive is asked at once.
_IMAGE_S, _MB_PER_S = 0.6, 10.0


@dataclass(frozen=True)
class ArchivePlan:
    """What a run would fetch; estimates, made without fetching anything.

    Parameters
    ----------
    images : int
        Images that may hold a target.
    local : int
        Of these, images that are in the local folders.
    kept : int
        Images of which the store has cutouts.
    megabytes : float
        To move, MB.
    seconds : float
        That moving takes, with an ordinary connection.
    """

    images: int
    local: int
    kept: int
    megabytes: float
    seconds: float


class ArchiveOpener:
    """Opens cutouts of the store, and local images; what worker processes need of an `IRSACollection`.

    Parameters
    ----------
    store : CutoutStore
    local : object or None
        What opens images that are not in the store.
    flux_correction : bool
    """

    def __init__(self, store, local, flux_correction):
        self.store, self.local, self.flux_correction = store, local, flux_correction
        self._calibrations = {}

    def __getstate__(self):
        return {**self.__dict__, "_calibrations": {}}

    def open(self, record):
        """The `SpectralImage` of a record."""
        if not is_in(self.store, record.path):
            return (self.local or ImageOpener(as_calibration(None), self.flux_correction)).open(record)
        release = Path(record.path).relative_to(self.store.current / "images").parts[0].removesuffix("_deep")
        where = release, record.detector
        if where not in self._calibrations:  # the maps of a detector come with its first image
            folder = self.store.calibration(release)
            self._calibrations[where] = as_calibration(folder if folder.is_dir() else None)
        return SpectralImage(record, self._calibrations[where], self.flux_correction, as_frame=True)


def is_in(store, path):
    """Whether a file is one of the cutouts of a store."""
    return os.path.abspath(path).startswith(str(store.current / "images") + os.sep)


class IRSACollection:
    """The spectral images of the archive, fetched when they are needed, and only the pixels around the sources.

    Parameters
    ----------
    settings : ArchiveSettings, optional
        The user's by default.
    store : CutoutStore or path, optional
        Where cutouts are kept; the user's own store by default.
    local : ImageCollection, optional
        Images that are on disk already: they are taken instead of the archive's of the same exposure and detector.
    client : ArchiveClient, optional
        Whose settings are then used.
    cache : AnswerCache, optional
    index : ImageIndex, optional
        Where headers are remembered; the user's own index by default.
    collections, release, fields
        Which images are searched; see `search`.
    refresh : bool
        Whether the archive is asked, the first time, even if it was asked lately.
    flux_correction : bool
        Whether images of QR2 are put on the gain of QR3, where the archive has the map for it.
    background_box : int, px
        The widest one that will be measured with: it says how many pixels around a source are fetched.
    progress : callable(done, total), optional
        Called by `find` after each image.
    cancelled : callable() -> bool, optional
        Asked by `find`.

    Attributes
    ----------
    failures : list of (str, str)
        Address and reason of each image that the last `find` could not have.
    notes : list of str
        What the last search has to tell; see `ArchiveAnswer`.
    answer : ArchiveAnswer or None
        Of the last search.

    Examples
    --------
    >>> from glue_spherex import Source, measure
    >>> spectra = measure([Source(150.1, 2.2)], IRSACollection())  # doctest: +SKIP
    """

    def __init__(
        self,
        settings=None,
        store=None,
        local=None,
        *,
        client=None,
        cache=None,
        index=None,
        collections=None,
        release=None,
        fields=None,
        refresh=False,
        flux_correction=True,
        background_box=15,
        progress=None,
        cancelled=None,
    ):
        self.client = client or ArchiveClient(settings)
        self.store = store if isinstance(store, CutoutStore) else CutoutStore(store)
        self.local, self.background_box = local, background_box
        self.index = index or ImageIndex()
        self.progress, self.cancelled = progress, cancelled
        self._choice = {
            "collections": collections, "release": release, "fields": fields, "refresh": refresh, "cache": cache,
        }  # fmt: skip
        self._flux_correction = flux_correction
        self.answer, self.failures, self.notes = None, [], []

    def __repr__(self):
        return f"<IRSACollection {self.client.settings.ibe} in {self.store.folder}>"

    def __getstate__(self):
        return {**self.__dict__, "progress": None, "cancelled": None}

    def opener(self):
        """The part that opens images: small, for worker processes."""
        local = self.local.opener() if hasattr(self.local, "opener") else self.local
        return ArchiveOpener(self.store, local, self._flux_correction)

    def open(self, record):
        """Open an image that `find` or `stream` has given.

        Parameters
        ----------
        record : ImageRecord

        Returns
        -------
        SpectralImage
        """
        return self.opener().open(record)

    def find(self, sources, detectors=None, wavelength=None, time=None):
        """The images that may hold at least one of the sources, on disk.

        What is not on disk is fetched; see `stream` for images as they come, and `plan` for what that means.

        Parameters
        ----------
        sources, detectors, wavelength, time
            As in `FolderCollection.find`.

        Returns
        -------
        list of ImageMatch
            By path. An image of the archive gives one for each group of sources that are far from each other.

        Raises
        ------
        ArchiveError
            If the archive cannot be searched. Images that cannot be had are in `failures`.
        """
        found = self.stream(sources, detectors, wavelength, time, progress=self.progress, cancelled=self.cancelled)
        return sorted(found, key=lambda match: match.record.path)

    def stream(self, sources, detectors=None, wavelength=None, time=None, *, progress=None, cancelled=None):
        """The images as they are ready, first those that are on disk.

        Parameters
        ----------
        sources, detectors, wavelength, time
            As in `find`.
        progress : callable(done, total), optional
            Called after each image of the archive.
        cancelled : callable() -> bool, optional
            When it says yes, no more images come.

        Yields
        ------
        ImageMatch
        """
        sources = list(sources)
        self.failures, self.notes = [], []
        local, wanted = self.matches(sources, detectors, wavelength, time, cancelled=cancelled)
        yield from local
        wanted = self._with_products(wanted, cancelled)
        reach = np.array([reach_px(source.shape, self.background_box) for source in sources])
        requests = [(match.record, [sources[k] for k in match.sources], reach[match.sources]) for match in wanted]
        is_target = np.array([not source.companion for source in sources])
        read = self._index().read if requests else None
        for number, cutouts, reason in fetch_all(requests, self.store, self.client, None, progress, cancelled, read):
            if reason:
                self.failures.append((wanted[number].record.access_url, reason))
            for cutout in cutouts:
                numbers = wanted[number].sources[cutout.targets]
                if not is_target[numbers].any():
                    continue
                try:
                    record = read(cutout.path)
                except (ImageFileError, OSError) as error:  # removed or damaged by somebody else
                    self.failures.append((wanted[number].record.access_url, str(error)))
                else:
                    yield ImageMatch(record, numbers)

    def _index(self):
        """The records of what is in the store: headers that were read once are not read again."""
        folder = self.store.current / "images"
        return _Records(self.index.refresh(folder).records if folder.is_dir() else ())

    def search(
        self, sources, detectors=None, wavelength=None, time=None, *, ask=True, refresh=False, progress=None,
        cancelled=None,
    ):  # fmt: skip
        """Ask the archive; see `search`.

        Parameters
        ----------
        sources, detectors, wavelength, time, progress, cancelled
            As in `stream`.
        ask : bool
            Whether the archive may be asked at all.
        refresh : bool
            Whether it is asked even if it was asked lately.

        Returns
        -------
        ArchiveAnswer
        """
        self.answer = search(
            sources, None, detectors=detectors, wavelength=wavelength, time=time, client=self.client,
            progress=progress, cancelled=cancelled, ask=ask,
            **self._choice | {"refresh": refresh or self._choice["refresh"]},
        )  # fmt: skip
        self._choice["refresh"] = False  # once is enough
        self.notes = list(self.answer.notes)
        return self.answer

    def plan(self, sources, detectors=None, wavelength=None, time=None, *, cancelled=None):
        """What `find` would fetch.

        Parameters
        ----------
        sources, detectors, wavelength, time, cancelled
            As in `stream`.

        Returns
        -------
        ArchivePlan
        """
        return self.cost(*self.matches(list(sources), detectors, wavelength, time, cancelled=cancelled))

    def cost(self, local, wanted):
        """What it takes to have some images.

        Parameters
        ----------
        local, wanted : list of ImageMatch
            From `matches`.

        Returns
        -------
        ArchivePlan
        """
        missing = [match for match in wanted if not self.store.cutouts(match.record)]
        lacking = {
            (match.record.release, match.record.detector)
            for match in missing
            if not has_products(match.record.detector, match.record.release, self.store)
        }
        cutouts_mb = _CUTOUT_MB * sum(len(match.sources) for match in missing)
        megabytes = cutouts_mb + _PRODUCTS_MB * len(lacking)
        seconds = len(missing) * _IMAGE_S / self.client.settings.at_once + megabytes / _MB_PER_S
        n_local = len({(match.record.obsid, match.record.detector) for match in local})
        return ArchivePlan(n_local + len(wanted), n_local, len(wanted) - len(missing), megabytes, seconds)

    def matches(self, sources, detectors=None, wavelength=None, time=None, *, answer=None, cancelled=None):
        """The images that `find` would give, without fetching anything.

        Parameters
        ----------
        sources, detectors, wavelength, time, cancelled
            As in `stream`.
        answer : ArchiveAnswer, optional
            About all of the sources; the archive is asked if None.

        Returns
        -------
        local, wanted : list of ImageMatch
            Local images, and those of the archive (`ArchiveImage`) that are wanted beside them.
        """
        local = [] if self.local is None else self.local.find(sources, detectors, wavelength, time)
        if answer is None:
            answer = self.search(sources, detectors, wavelength, time, cancelled=cancelled)
        here = {(match.record.obsid, match.record.detector): match.record for match in local}
        wanted, newer = [], 0
        near = worth_fetching(sources)
        for match in match_images(answer.rows, sources, detectors, wavelength, time):
            numbers = match.sources[near[match.sources]]
            if (mine := here.get(match.record.exposure)) is not None:
                newer += release_age(match.record.release) > release_age(mine.release)
            elif any(not sources[k].companion for k in numbers):
                wanted.append(ImageMatch(match.record, numbers))
        if newer:
            self.notes.append(f"local images of which the archive has a newer release: {newer}.")
        return local, wanted

    def _with_products(self, wanted, cancelled):
        """The matches whose calibration maps are on disk now: without them, fluxes would be others."""
        kinds = sorted({(match.record.release, match.record.detector) for match in wanted})
        reasons = {}
        with ThreadPoolExecutor(max(1, len(kinds))) as pool:
            fetching = {
                kind: pool.submit(products, kind[1], kind[0], self.store, self.client, cancelled) for kind in kinds
            }
        for kind, future in fetching.items():
            try:
                future.result()
            except ArchiveStopped:
                return []
            except ImageFileError as error:
                reasons[kind] = f"the calibration of detector {kind[1]} cannot be had: {error}"
        ready = []
        for match in wanted:
            reason = reasons.get((match.record.release, match.record.detector))
            if reason:
                self.failures.append((match.record.access_url, reason))
            else:
                ready.append(match)
        return ready


class _Records:
    """Records of cutouts by path; what is new is read."""

    def __init__(self, records):
        self._known = {record.path: record for record in records}

    def read(self, path):
        """The `ImageRecord` of a cutout."""
        known, status = self._known.get(str(path)), os.stat(path)
        same = known is not None and (known.size, known.mtime_ns) == (status.st_size, status.st_mtime_ns)
        return known if same else read_record(path)


def worth_fetching(sources):
    """Which sources are targets, or companions that matter for one; the others would only be transferred.

    A companion matters if it shares pixels with a target, or with a companion that does so.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    is_target = np.array([not source.companion for source in sources], dtype=bool)
    if is_target.all() or not is_target.any():
        return is_target
    vectors = survey_vectors(sources)
    widest = max(reach_px(source.shape) for source in sources)
    touching = np.radians((2 * widest + 2) * np.sqrt(2) * PIXEL_SCALE_ARCSEC / 3600)
    distance, _ = cKDTree(vectors[is_target]).query(vectors, distance_upper_bound=2 * touching)
    return np.isfinite(distance)
