"""Finding the image that a row was measured on, in the folders that are known."""

import os
import time
from dataclasses import dataclass

import numpy as np

from ...images import ImageIndex
from ...images.astrometry import Astrometry

_SEARCH_AGAIN_S = 2.0  # a folder is not searched again sooner for an image that was not there …
_SHARE_OF_TIME = 0.05  # … nor for more than this part of the time


@dataclass(frozen=True)
class FoundImage:
    """Where the image of a row is.

    Parameters
    ----------
    record : ImageRecord or None
    note : str
        What must be known about it, such as another release; '' normally.
    problem : str
        Why there is none; '' where there is one.
    """

    record: object = None
    note: str = ""
    problem: str = ""


# -- what a dataset remembers ------------------------------------------------------------------------------------------


def image_folders(data):
    """Folders with the images of a dataset.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    list of str
        First those that the user named, then those it was measured on. Relative ones are understood from the folder
        of the dataset's file, or one above it, where they exist there; else from the current folder.
    """
    named = _entry(data, "spherex").get("image_folders") or []
    measured = _entry(data, "glue_spherex").get("image_folders") or []
    found = [_resolved(data, str(folder)) for folder in [*named, *measured] if str(folder).strip()]
    return list(dict.fromkeys(found))


def add_image_folder(data, folder):
    """Remember a folder with images of a dataset; it is kept in sessions.

    Parameters
    ----------
    data : glue.core.Data
    folder : path-like

    Raises
    ------
    ValueError
        If it is not a folder.
    """
    folder = os.path.abspath(os.fspath(folder))
    if not os.path.isdir(folder):
        raise ValueError(f"image folder: {folder} is not a folder; name the one that holds the Level-2 images.")
    entry = data.meta.setdefault("spherex", {})
    entry["image_folders"] = [folder, *(known for known in entry.get("image_folders") or [] if known != folder)]


def calibration_folder(data):
    """Folder with the calibration files that a dataset was measured with; '' where none is known or it is gone."""
    folder = _entry(data, "glue_spherex").get("calibration_folder")
    folder = _resolved(data, str(folder)) if folder else ""
    return folder if os.path.isdir(folder) else ""


def _entry(data, name):
    entry = getattr(data, "meta", {}).get(name)
    return entry if isinstance(entry, dict) else {}


def _resolved(data, folder):
    folder = os.path.expanduser(folder)
    if os.path.isabs(folder):
        return folder
    origin = _file_of(data)
    if origin:
        parent = os.path.dirname(os.path.abspath(origin))
        for base in (parent, os.path.dirname(parent)):
            if os.path.isdir(os.path.join(base, folder)):
                return os.path.normpath(os.path.join(base, folder))
    return os.path.abspath(folder)


def _file_of(data):
    """The file that a dataset was loaded from, '' where that is not known."""
    for cid in data.main_components:
        log = getattr(data.get_component(cid), "_load_log", None)
        if log is not None:
            return log.path
    return ""


# -- finding -----------------------------------------------------------------------------------------------------------


class ImageFinder:
    """Finds images by the identifiers of rows; folders are searched when they are needed.

    Parameters
    ----------
    index : ImageIndex, optional
        Where headers are remembered; the user's own index by default.
    """

    def __init__(self, index=None):
        self._index = index
        self._lookups = {}

    def forget(self):
        """Search all folders again when the next image is asked for."""
        self._lookups.clear()

    def find(self, row, folders, progress=None, cancelled=None):
        """The image of a row.

        Parameters
        ----------
        row : MeasuredRow
        folders : sequence of str
        progress : callable, optional
            ``progress(done, total)`` while headers are read.
        cancelled : callable, optional

        Returns
        -------
        FoundImage
        """
        problem = _unfit(row, folders)
        if problem:
            return FoundImage(problem=problem)
        present = tuple(folder for folder in folders if os.path.isdir(folder))
        gone = [folder for folder in folders if folder not in present]
        if not present:
            which = "the folder" if len(gone) == 1 else "the folders"
            return FoundImage(problem=f"{row.image_name}: {which} {_listed(gone)} cannot be found. Name where the "
                              "images are now.")  # fmt: skip
        lookup = self._lookup(present, progress, cancelled)
        record = lookup.record(row)
        if record is None and not lookup.fresh:
            lookup = self._lookup(present, progress, cancelled, again=True)
            record = lookup.record(row)
        if record is None:
            return FoundImage(problem=lookup.why_not(row, gone))
        return FoundImage(record, note=_other_release(row, record))

    def _lookup(self, folders, progress, cancelled, again=False):
        known = self._lookups.get(folders)
        if known is not None and not (again and known.may_be_renewed):
            return known
        start = time.monotonic()
        result = (self._index or ImageIndex()).refresh(folders, progress, cancelled)
        lookup = _Lookup(folders, result, time.monotonic() - start)
        if result.complete:
            self._lookups[folders] = lookup
        return lookup


def _unfit(row, folders):
    """Why a row cannot have an image, '' where it can."""
    if not row.image_name:
        return f"Row {row.row} does not tell its image: obs_publisher_did, lvf_id and det_id are missing or empty."
    if not (np.isfinite(row.ra) and np.isfinite(row.dec)):
        return f"Row {row.row} has no position: ra is {row.ra:g}, dec {row.dec:g}."
    if not folders:
        return f"{row.image_name}: no folder with images is known for this dataset. Name the folder."
    return ""


def _other_release(row, record):
    if row.release and row.release != record.release:
        return f"image of {record.release.upper()}, measured on {row.release.upper()}"
    return ""


def _listed(folders):
    return ", ".join(folders[:3]) + (", …" if len(folders) > 3 else "")


class _Lookup:
    """The images in some folders by their identifiers."""

    def __init__(self, folders, result, seconds):
        self.folders, self.failures, self.files = folders, result.failures, result.files
        self._seconds, self._made = seconds, time.monotonic()
        self._by_did, self._by_name, self._by_number = {}, {}, {}
        for record in result.records:
            self._by_did.setdefault(record.obs_publisher_did, []).append(record)
            self._by_name.setdefault((record.obsid, record.detector), []).append(record)
            if record.exposure_id:
                self._by_number.setdefault((record.exposure_id, record.detector), []).append(record)
        self.n_images = len(result.records)

    @property
    def fresh(self):
        return time.monotonic() - self._made < 0.2

    @property
    def may_be_renewed(self):
        return time.monotonic() - self._made > max(_SEARCH_AGAIN_S, self._seconds / _SHARE_OF_TIME)

    def record(self, row):
        """The record of a row's image; if there are several, the one with most pixels around it. None without."""
        exact = self._by_did.get(row.did, [])
        others = [
            record
            for record in (
                *self._by_name.get((row.obsid, row.detector), []),
                *self._by_number.get((row.lvf_id, row.detector), []),
            )
            if record not in exact
        ]
        others.sort(key=lambda record: record.release != row.release)
        if len(exact) + len(others) <= 1:
            return next(iter((*exact, *others)), None)
        ranked = sorted([*exact, *others], key=lambda record: (-_margin_px(record, row), record not in exact))
        return ranked[0]

    def why_not(self, row, gone):
        """A sentence about an image that is not here."""
        name = row.obsid
        for path, reason in self.failures:
            base = os.path.basename(path)
            if name and name in base and f"D{row.detector}" in base:
                return f"{base}: {reason}"
        where = self.folders[0] if len(self.folders) == 1 else f"the {len(self.folders)} image folders named"
        text = f"{row.image_name} is not among the {self.n_images} images in {where}"
        if not self.n_images:
            text = f"{row.image_name}: there is no SPHEREx image in {where}"
        if gone:
            text += f", and {_listed(gone)} cannot be found"
        return f"{text}. Name the folder that has it."


def _margin_px(record, row):
    """Whole pixels between a position and the nearest edge of an image, up to 20; -1 where it is not on it."""
    x, y = (float(value) for value in Astrometry(record.wcs_numbers).to_pixels(row.ra, row.dec))
    margin = min(x + 0.5, y + 0.5, record.nx - 0.5 - x, record.ny - 0.5 - y)
    return min(int(margin), 20) if margin >= 0 else -1  # NaN is on no image
