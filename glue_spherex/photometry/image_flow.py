"""The images of a run: those on disk at once, those of an archive as they are fetched."""

import os

import numpy as np

from .errors import PhotometryError
from .image_count import ImageCount
from .result_tables import image_key


def find(sources, images, settings):
    """The images that may hold at least one of the targets, each with the numbers of its sources.

    Parameters
    ----------
    sources : list of Source
    images : ImageCollection
    settings : Settings

    Returns
    -------
    list of ImageMatch

    Raises
    ------
    PhotometryError
        If there is none, or `images` is no collection.
    """
    matches = matches_of(sources, images, settings)
    if not matches:
        raise _none_of(sources)
    return matches


def matches_of(sources, images, settings):
    """As `find`, but no image is an empty list."""
    _check(images)
    matches = images.find(sources, **settings.ranges)
    is_target = _is_target(sources)
    return matches if is_target.all() else [match for match in matches if is_target[match.sources].any()]


class ImageFlow:
    """The images that may hold at least one of the targets, as they are ready; iterate over it once.

    Parameters
    ----------
    sources : list of Source
    images : ImageCollection
        One with a method ``stream`` gives its images one by one, see `IRSACollection.stream`.
    settings : Settings
    cancelled : callable() -> bool, optional
    known : sequence of dict, optional
        Lines of the table of images: of those that are left out, whatever their files are called now.
    idle : callable(), optional
        Called now and then while nothing is ready.
    measured : dict of int to set of int, optional
        Sources that were measured already, by exposure id: no other cutout of the same exposure is measured for them.

    Yields
    ------
    ImageMatch or None
        None where nothing is ready for a while.

    Raises
    ------
    PhotometryError
        If there is no image, or `images` is no collection.
    ImageFileError
        If the archive cannot be searched.
    """

    def __init__(self, sources, images, settings, cancelled=None, known=(), idle=None, measured=None):
        self._sources, self._images, self._idle = sources, images, idle
        self._is_target = _is_target(sources)
        self._known, self._measured = {line["path"] for line in known}, measured or {}
        self._files = {_file_key(line): line["path"] for line in known}
        self._count, self._coming = ImageCount(map(image_key, known)), 0
        self._given = self._passed = 0
        _check(images)
        self._is_stream = hasattr(images, "stream")
        if self._is_stream:
            self._matches = images.stream(sources, **settings.ranges, cancelled=cancelled)
            self._coming = images.expected
        else:
            self._matches = self._new(find(sources, images, settings))

    def __iter__(self):
        if not self._is_stream:
            yield from self._matches
            return
        for cutouts in self._by_image():
            if cutouts is None and self._idle is not None:
                self._idle()
            yield from [None] if cutouts is None else self._new(cutouts)
        if not (self.total or self._passed or self._images.failures):
            raise _none_of(self._sources)

    def _by_image(self):
        """Yield the matches of one image after the other, all of its cutouts, and None where nothing is ready."""
        cutouts, last, taken = [], None, 0
        for match in self._matches:
            image = match and _image(match)
            if cutouts and image != last:
                yield cutouts
                cutouts = []
            last = image
            if match is None:
                yield None
            else:
                cutouts.append(match)
                taken += 1
            self._coming = self._images.expected - taken
        if cutouts:
            yield cutouts

    def _new(self, matches):
        """Those of some matches that have to be measured."""
        new = []
        for match in matches:
            is_new = not self._is_known(match) and self._is_target[match.sources].any()
            self._count.came(_image(match), int(is_new))
            new += [match] * bool(is_new)
        self._given += len(new)
        self._passed += len(matches) - len(new)
        return new

    def _is_known(self, match):
        record = match.record
        if record.path in self._known:
            return True
        before = self._files.get((record.exposure_id, record.size, record.mtime_ns))
        if before is not None and not os.path.exists(before):
            return True
        measured = self._measured.get(record.exposure_id) if record.cut_from else None
        return bool(measured) and not measured.isdisjoint(match.sources.tolist())

    @property
    def total(self):
        """Matches that it has given and will give, as far as is known."""
        return max(self._given, self._images.expected - self._passed) if self._is_stream else self._given

    @property
    def n_done(self):
        """Images that are done, those among them that are left out."""
        return self._count.done

    @property
    def n_images(self):
        """Images in all, as far as is known: several cutouts of one image count once."""
        return self._count.total(self._coming)

    def note(self, result):
        """One of the matches that it has given is measured.

        Parameters
        ----------
        result : ImageResult
        """
        self._count.measured(image_key(result.about))


def _file_key(line):
    """What tells a file whatever its name, from its line in the table of images: exposure, size, time of change."""
    return tuple(line.get(name) for name in ("lvf_id", "size", "mtime_ns"))


def _image(match):
    """What tells the image of a match, as `image_key` does for its line in the table of images."""
    record = match.record
    return image_key({
        "path": record.path, "lvf_id": record.exposure_id, "data_collection": record.collection,
        "file_version": record.file_version,
    })  # fmt: skip


def _check(images):
    if not hasattr(images, "find"):
        raise PhotometryError(f"images is {images!r}; a collection such as FolderCollection({images!r}) is needed.")


def _is_target(sources):
    return np.array([not source.companion for source in sources])


def _none_of(sources):
    which = "the source lies on none" if len(sources) == 1 else f"none of the {len(sources)} sources lies on any"
    return PhotometryError(
        f"{which} of the images that were asked for; "
        "check the coordinates, and the ranges of detector, wavelength and time."
    )
