"""The images of a run: those on disk at once, those of an archive as they are fetched."""

import os

import numpy as np

from .errors import PhotometryError


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
    known : collection of str
        Paths of images that are left out.
    idle : callable(), optional
        Called now and then while nothing is ready.
    measured : dict of int to set of int, optional
        Sources that were measured already, by exposure id: no other cutout of the same exposure is measured for them.
    files : dict of tuple to str, optional
        The paths in `known` by `file_key`: a file that has another name since then is left out as well.

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

    def __init__(self, sources, images, settings, cancelled=None, known=(), idle=None, measured=None, files=None):
        self._sources, self._images, self._known, self._idle = sources, images, frozenset(known), idle
        self._measured, self._files = measured or {}, files or {}
        self._given = self._passed = 0
        _check(images)
        if hasattr(images, "stream"):
            self._matches = images.stream(sources, **settings.ranges, cancelled=cancelled)
            self._whole = None
        else:
            self._matches = find(sources, images, settings)
            self._whole = sum(not self._is_known(match) for match in self._matches)

    def __iter__(self):
        is_target = _is_target(self._sources)
        for match in self._matches:
            if match is None:
                if self._idle is not None:
                    self._idle()
                yield None
            elif self._is_known(match) or not is_target[match.sources].any():
                self._passed += 1
            else:
                self._given += 1
                yield match
        if self._whole is None and not (self.total or self._passed or self._images.failures):
            raise _none_of(self._sources)

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
        """Images that it has given and will give, as far as is known."""
        return max(self._given, self._images.expected - self._passed if self._whole is None else self._whole)


def file_key(line):
    """What tells a file whatever its name, from its line in the table of images: exposure, size, time of change."""
    return tuple(line.get(name) for name in ("lvf_id", "size", "mtime_ns"))


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
