"""Finding the image that a row was measured on: in the folders that are known, and among the cutouts that are kept."""

import os
import time
from dataclasses import dataclass

import numpy as np

from ...images import ImageIndex
from ...images.archive.cutout_store import CutoutStore
from ...images.astrometry import Astrometry
from ...images.exposures import exposure_id
from ...photometry.output import IMAGES_NAME
from .kept_cutouts import is_fetched, kept_cutout, surroundings_px

_SEARCH_AGAIN_S = 2.0  # a folder is not searched again sooner for an image that was not there …
_SHARE_OF_TIME = 0.05  # … nor for more than this part of the time
_OF_RESULTS = ("settings.json", "images.ecsv")  # files by which a result's folder is known
_RANKED_PX = 20  # surroundings that decide between several files of an image


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
    to_fetch : bool
        Whether the archive may have what is missing: the image, the one of the release that was measured, or more
        pixels of it.
    """

    record: object = None
    note: str = ""
    problem: str = ""
    to_fetch: bool = False


# -- what a dataset remembers ------------------------------------------------------------------------------------------


def image_folders(data):
    """Folders with the images of a dataset.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    list of str
        First those that the user named, then those it was measured on, then the folder ``images`` of the result that
        it belongs to, where its cutouts are. Relative ones are understood from the folder of the dataset's file, or
        one above it, where they exist there; else from the current folder.
    """
    named = _entry(data, "spherex").get("image_folders") or []
    measured = _entry(data, "glue_spherex").get("image_folders") or []
    found = [_resolved(data, str(folder)) for folder in [*named, *measured] if str(folder).strip()]
    store = str(CutoutStore().images)  # it is large, and looked into without searching all of it
    return [folder for folder in dict.fromkeys([*found, *_own_images(data)]) if folder != store]


def is_fetched_folder(folder):
    """Whether a folder holds what was fetched from the archive: of a result, or in the user's store.

    Measuring on it again needs the archive's calibration as well: choose the archive, which finds both.
    """
    kept = os.path.isfile(os.path.join(os.path.dirname(folder), _OF_RESULTS[0]))
    return (os.path.basename(folder) == IMAGES_NAME and kept) or folder == str(CutoutStore().images)


def _own_images(data):
    """The folder with the cutouts of the result that a dataset's file belongs to, in a list; none without."""
    origin = _file_of(data)
    parent = os.path.dirname(os.path.abspath(origin)) if origin else ""
    for result in (parent, os.path.dirname(parent)) if parent else ():
        folder = os.path.join(result, IMAGES_NAME)
        if any(os.path.isfile(os.path.join(result, name)) for name in _OF_RESULTS) and os.path.isdir(folder):
            return [folder]
    return []


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


def calibration_of_fetched(data):
    """Folder with the calibration files of what was fetched from the archive, for a dataset measured on that here.

    Returns
    -------
    str
        '' for datasets of others, for which images are shown as they are, and where there are no such files.
    """
    folder = str(CutoutStore().calibrations)
    return folder if _entry(data, "glue_spherex") and os.path.isdir(folder) else ""


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
    store : CutoutStore, optional
        Where cutouts from the archive are kept; the user's own store by default.
    """

    def __init__(self, index=None, store=None):
        self._index, self._store = index, store
        self._lookups = {}

    def forget(self):
        """Search all folders again when the next image is asked for."""
        self._lookups.clear()

    def find(self, row, folders, progress=None, cancelled=None, reach_px=0):
        """The image of a row: from the folders or, where they do not have it, from the cutouts that are kept.

        Parameters
        ----------
        row : MeasuredRow
        folders : sequence of str
        progress : callable, optional
            ``progress(done, total)`` while headers are read.
        cancelled : callable, optional
        reach_px : int
            How far around the position pixels are wanted.

        Returns
        -------
        FoundImage
        """
        problem = _unfit(row)
        if problem:
            return FoundImage(problem=problem)
        record, why_not = self._in_folders(row, folders, progress, cancelled, reach_px)
        if record is None or _lacks(row, record, reach_px):
            kept = kept_cutout(row, reach_px, self._store, self._index)
            if record is None or (kept is not None and not _lacks(row, kept, reach_px)):
                record = kept or record
        if record is None:
            return FoundImage(problem=why_not, to_fetch=exposure_id(row.observation, row.detector) is not None)
        return FoundImage(record, note=_other_release(row, record), to_fetch=_lacks(row, record, reach_px))

    def _in_folders(self, row, folders, progress, cancelled, reach_px):
        """The record of a row's image in some folders; None, and why."""
        if not folders:
            name = row.image_name
            return None, f"{name}: no folder with images is known for this dataset. Fetch it, or name the folder."
        present = tuple(folder for folder in folders if os.path.isdir(folder))
        gone = [folder for folder in folders if folder not in present]
        if not present:
            which = "the folder" if len(gone) == 1 else "the folders"
            return None, f"{row.image_name}: {which} {_listed(gone)} cannot be found. Name where the images are now."
        lookup = self._lookup(present, progress, cancelled)
        record = lookup.record(row, reach_px)
        if record is None and not lookup.fresh:
            lookup = self._lookup(present, progress, cancelled, again=True)
            record = lookup.record(row, reach_px)
        return record, "" if record is not None else lookup.why_not(row, gone)

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


def _unfit(row):
    """Why a row cannot have an image, '' where it can."""
    if not row.image_name:
        return f"Row {row.row} does not tell its image: obs_publisher_did, lvf_id and det_id are missing or empty."
    if not (np.isfinite(row.ra) and np.isfinite(row.dec)):
        return f"Row {row.row} has no position: ra is {row.ra:g}, dec {row.dec:g}."
    return ""


def _lacks(row, record, reach_px):
    """Whether the archive has more of a row than this: the release that was measured, or pixels cut off from it."""
    if row.release and row.release != record.release:
        return True
    return is_fetched(record) and surroundings_px(row, record) < reach_px


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

    def record(self, row, reach_px=0):
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
        most = max(_RANKED_PX, reach_px)
        ranked = sorted([*exact, *others], key=lambda record: (-_margin_px(record, row, most), record not in exact))
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


def _margin_px(record, row, most):
    """Whole pixels between a position and the nearest edge of an image, up to `most`; -1 where it is not on it."""
    x, y = (float(value) for value in Astrometry(record.wcs_numbers).to_pixels(row.ra, row.dec))
    margin = min(x + 0.5, y + 0.5, record.nx - 0.5 - x, record.ny - 0.5 - y)
    return min(int(margin), most) if margin >= 0 else -1  # NaN is on no image
