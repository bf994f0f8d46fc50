"""The images whose outlines are shown: of folders on disk, and of answers of the archive that are kept."""

import os
from dataclasses import dataclass, field

import numpy as np

from ...images.collection import footprints as geometry_of
from ...images.collection import match_images
from ...images.index import ImageIndex
from ...model import DETECTORS, Source


@dataclass(frozen=True, eq=False)
class Footprints:
    """Outlines of images.

    Parameters
    ----------
    records : list
        Of `ImageRecord` or `ArchiveImage`.
    corners : ndarray, shape (n, 4, 2), deg
    detectors : ndarray of int, shape (n,)
    problem : str
        Why there are no more of them; '' if all is well.
    """

    records: list = field(default_factory=list)
    corners: np.ndarray = field(default_factory=lambda: np.zeros((0, 4, 2)))
    detectors: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    problem: str = ""
    _geometry: list = field(default_factory=list)

    def __len__(self):
        return len(self.records)

    def counts(self, ra, dec):
        """How many of the images hold a position.

        Parameters
        ----------
        ra, dec : float, deg

        Returns
        -------
        ndarray of int, shape (6,)
            For each detector.
        """
        if not self.records:
            return np.zeros(len(DETECTORS), int)
        if not self._geometry:
            self._geometry.append(geometry_of(self.records))
        matches = match_images(self.records, [Source(ra, dec)], geometry=self._geometry[0])
        return np.bincount([match.record.detector - 1 for match in matches], minlength=len(DETECTORS))


def footprints_of(records, problem=""):
    """The outlines of images.

    Parameters
    ----------
    records : sequence
        Of `ImageRecord` or `ArchiveImage`.
    problem : str, optional

    Returns
    -------
    Footprints
    """
    records = list(records)
    corners = np.frombuffer(b"".join([record.corners for record in records])).reshape(-1, 4, 2)
    return Footprints(records, corners, np.array([record.detector for record in records], int), problem)


def footprints_in(folders, progress=None, cancelled=None):
    """The outlines of the images in folders; headers are remembered by the image index.

    Parameters
    ----------
    folders : sequence of str
        Those that cannot be read are told in ``problem``; the others count.
    progress : callable, optional
        ``progress(done, total)``.
    cancelled : callable, optional

    Returns
    -------
    Footprints
    """
    index, records, problems = ImageIndex(), [], []
    for folder in dict.fromkeys(folders):
        try:
            found = index.refresh([folder], progress, cancelled)
        except (ValueError, OSError) as error:
            problems.append(str(error))
            continue
        records += found.records
        if not found.records:
            problems.append(f"{folder} has no SPHEREx Level-2 image.")
    return footprints_of({record.path: record for record in records}.values(), " ".join(problems))


def footprints_of_answers():
    """The outlines of all images in the answers of the archive that are kept.

    Returns
    -------
    Footprints
        As in a search, each exposure of a detector once, from its newest processing.

    Raises
    ------
    ArchiveError
        If the package that asks the archive is not installed.
    """
    from ...images.archive.answer_cache import AnswerCache
    from ...images.archive.search import newest

    cache = AnswerCache()
    images, _ = newest(cache.images())
    return footprints_of(images, " ".join(cache.notes))


def date_of_answers():
    """When an answer was kept last: any value, which is another one after the next answer; None without answers."""
    from ...images.archive.answer_cache import AnswerCache

    try:
        status = os.stat(AnswerCache().path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
