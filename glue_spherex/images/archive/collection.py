"""The archive as a collection of images: what is needed is searched, fetched, kept, and opened from disk."""

import os
import weakref
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..collection import ImageMatch, match_images
from ..errors import ImageFileError
from ..index import ImageIndex
from ..shared_exposures import each_once
from . import under_way
from .beside_local import beside_local
from .boxes import reach_px
from .client import ArchiveClient
from .cutout_store import CutoutStore, copy_cutouts
from .detector_maps import DetectorMaps
from .errors import ArchiveError, ArchiveStopped
from .fetch import fetch_all
from .known_cutouts import KnownCutouts
from .opener import ArchiveOpener
from .outlook import outlook
from .search import search


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
    keep_in : path, optional
        Folder into which the cutouts that are used are put, by release: where the disk permits, as further names of
        the same files. The records that are found are those.
    progress : callable(done, total), optional
        Called by `find` after each image.
    cancelled : callable() -> bool, optional
        Asked by `find`.

    Attributes
    ----------
    notes : list of str
        What the last search has to tell; see `ArchiveAnswer`.
    answer : ArchiveAnswer or None
        Of the last search.
    expected : int
        Matches that the last `stream` has given and will give, as far as is known.

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
        keep_in=None,
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
        self.keep_in = None if keep_in is None else Path(os.path.abspath(keep_in))
        self.answer = self._given_answer = None
        self.notes, self.expected, self._missing = [], 0, []
        self._end_run = None

    def __repr__(self):
        return f"<IRSACollection {self.client.settings.ibe} in {self.store.folder}>"

    def __getstate__(self):
        return {**self.__dict__, "progress": None, "cancelled": None, "_end_run": None}

    @property
    def folders(self):
        """Folders where the images are that are used: absolute paths."""
        return (*getattr(self.local, "folders", ()), str(self.keep_in or self.store.images))

    @property
    def calibration(self):
        """The calibration files of the local images, or a stand-in without files."""
        return getattr(self.local, "calibration", None)

    @property
    def failures(self):
        """(address or path, reason) of each image that the last `stream` could not have."""
        return [*getattr(self.local, "failures", ()), *self._missing]

    def refresh(self, progress=None, cancelled=None):
        """Search the local folders anew; see `FolderCollection.refresh`."""
        if hasattr(self.local, "refresh"):
            self.local.refresh(progress, cancelled)

    def opener(self):
        """The part that opens images: small, for worker processes."""
        local = self.local.opener() if hasattr(self.local, "opener") else self.local
        return ArchiveOpener(self.store, self.keep_in, local, self._flux_correction)

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
        return sorted((match for match in found if match is not None), key=lambda match: match.record.path)

    def stream(self, sources, detectors=None, wavelength=None, time=None, *, progress=None, cancelled=None):
        """The images as they are ready, first those that are on disk.

        The archive is searched before the first one is asked for.

        Parameters
        ----------
        sources, detectors, wavelength, time
            As in `find`.
        progress : callable(done, total), optional
            Called after each image of the archive.
        cancelled : callable() -> bool, optional
            When it says yes, no more images come.

        Returns
        -------
        iterator of ImageMatch or None
            None where nothing is ready for a while, so that whoever has other work can do it.
        """
        sources = list(sources)
        self._missing, self.notes = [], []
        local, wanted = self.matches(sources, detectors, wavelength, time, cancelled=cancelled)
        self.expected = len(local) + len(wanted)
        return self._ready(sources, local, wanted, progress, cancelled)

    def keep_to(self, answer):
        """Give images of an earlier answer from now on: the archive is not searched any more.

        Parameters
        ----------
        answer : ArchiveAnswer
            To a search for the same sources.
        """
        self.answer = self._given_answer = answer

    def pin(self, result, paths):
        """Never remove files of the store, for as long as a result is there. If that cannot be noted, `notes` say so.

        It ends the run: until then, or as long as there is this collection, nothing that it has given is removed.

        Parameters
        ----------
        result : path-like
            The result folder.
        paths : iterable of path-like
            Files that it was measured on; those that are not in the store are ignored.
        """
        try:
            missing = self.store.pin(result, paths)
        except ArchiveError as error:
            self.notes.append(f"cutouts may be removed to make room although a result refers to them: {error}")
        else:
            if missing:
                self.notes.append(f"cutouts that were removed to make room while it was measured: {len(missing)}.")
        if self._end_run is not None:
            self._end_run()
            self._end_run = None

    def _begin_run(self):
        """Let nobody remove what is used from now on."""
        if self._end_run is None:
            with suppress(OSError, ArchiveError):  # a store that may only be read
                self._end_run = weakref.finalize(self, os.close, under_way.begin(self.store))

    def described(self):
        """What a result says about the archive: JSON-like values."""
        choice = {name: self._choice[name] for name in ("collections", "release", "fields")}
        return choice | {
            "address": self.client.settings.ibe,
            "asked": None if self.answer is None else self.answer.date,
            "calibration": str(self.store.calibrations),
            "cutouts": None if self.keep_in is None else str(self.keep_in),
        }

    def _ready(self, sources, local, wanted, progress, cancelled):
        yield from local
        if not wanted:
            return
        self._begin_run()
        wanted = sorted(wanted, key=lambda match: (match.record.release, match.record.detector))
        reach = np.array([reach_px(source.shape, self.background_box) for source in sources])
        requests = [(match.record, [sources[k] for k in match.sources], reach[match.sources]) for match in wanted]
        kinds = dict.fromkeys((match.record.release, match.record.detector) for match in wanted)
        with (
            KnownCutouts(self.store, self.index, [match.record for match in wanted]) as known,
            DetectorMaps(kinds, self.store, self.client, cancelled) as maps,
        ):
            for number, cutouts, reason in fetch_all(
                requests, self.store, self.client, None, progress, cancelled, maps.wait_for, known
            ):
                if number is None:
                    yield None
                    continue
                if reason:
                    self._missing.append((wanted[number].record.access_url, reason))
                yield from self._found(wanted[number], sources, cutouts, known.read)

    def _found(self, match, sources, cutouts, read):
        """Yield a match for each cutout of an image of the archive that holds a target."""
        records = []
        for cutout in cutouts:
            is_all = len(cutout.targets) == len(match.sources)
            if not is_all and all(sources[k].companion for k in match.sources[cutout.targets]):
                continue
            try:
                records.append(self._kept(cutout.record or read(cutout.path)))
            except (ImageFileError, OSError) as error:  # removed or damaged by somebody else; a full disk
                self._missing.append((match.record.access_url, str(error)))
        if len(records) == 1 == len(cutouts) and is_all:
            found = [ImageMatch(records[0], match.sources)]
        else:
            here = [sources[k] for k in match.sources]
            found = [replace(m, sources=match.sources[m.sources]) for m in match_images(records, here)]
            found = each_once(found, sources)
        if len(match.beside):
            found = [_with_neighbours(one, match.beside, sources) for one in found]
        self.expected += len(found) - 1
        yield from found

    def _kept(self, record):
        """The record of a cutout of the store where it is to be kept."""
        if self.keep_in is None:
            return record
        folder = self.keep_in / Path(record.path).relative_to(self.store.images).parts[0]
        (path,) = copy_cutouts([record.path], folder)
        return record._replace(path=str(path))

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
        sources = list(sources)
        local, wanted = self.matches(sources, detectors, wavelength, time, cancelled=cancelled)
        return self.outlook(sources, local, wanted, cancelled=cancelled)

    def outlook(self, sources, local, wanted, *, cancelled=None):
        """What it takes to have some images.

        Parameters
        ----------
        sources : sequence of Source
        local, wanted : list of ImageMatch
            From `matches`.
        cancelled : callable() -> bool, optional

        Returns
        -------
        ArchivePlan
        """
        at_once = self.client.settings.at_once
        return outlook(sources, local, wanted, self.store, at_once, self.background_box, cancelled)

    def matches(self, sources, detectors=None, wavelength=None, time=None, *, answer=None, cancelled=None):
        """The images that `find` would give, without fetching anything.

        Parameters
        ----------
        sources, detectors, wavelength, time, cancelled
            As in `stream`.
        answer : ArchiveAnswer, optional
            About all of the sources; the archive is asked if None, unless it is kept to an earlier answer.

        Returns
        -------
        local, wanted : list of ImageMatch
            Local images, and those of the archive (`ArchiveImage`) that are wanted beside them.
        """
        local = [] if self.local is None else self.local.find(sources, detectors, wavelength, time)
        answer = answer or self._given_answer
        if answer is not None:
            self.notes = list(answer.notes)
        else:
            try:
                answer = self.search(sources, detectors, wavelength, time, cancelled=cancelled)
            except ArchiveStopped:
                raise
            except ArchiveError as error:
                if not local:
                    raise
                self.notes = [f"the archive was not searched, so that only local images are measured: {error}"]
                return local, []
        local, wanted, newer = beside_local(answer, local, sources, detectors, wavelength, time, self.background_box)
        if newer:
            self.notes.append(f"local images of which the archive has a newer release: {newer}.")
        return local, wanted


def _with_neighbours(match, numbers, sources):
    """A match, and those of some other sources along which may lie on its file."""
    near = [numbers[m.sources] for m in match_images([match.record], [sources[k] for k in numbers])]
    return replace(match, beside=np.union1d(match.beside, near[0]).astype(int)) if near else match
