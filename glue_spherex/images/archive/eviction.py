"""What is in a cutout store, what may go, and whether all of it is sound."""

import math
import os
import re
import shutil
import time
from dataclasses import dataclass

from ..errors import ImageFileError
from ..index import ImageIndex
from ..record import read_record
from .cutout_store import NOTED_AFTER_S, STORE_VERSION
from .fits_cards import check_sums, check_sums_of
from .under_way import first_begin

#: A cutout that was used in the last hour may be just about to be measured: it is not removed to make room.
RECENT_S = 3600
_KINDS = ("images", "calibration", "psf")
_BOX = re.compile(r"_x(\d+)-(\d+)_y(\d+)-(\d+)\.fits$")
_LEFT_OVER_S = 86400  # a file that is being written for so long belongs to a process that is gone


@dataclass(frozen=True)
class StoreStatus:
    """What is in a store.

    Attributes
    ----------
    folder : str
    cutouts, cutout_bytes : int
    pinned, pinned_bytes : int
        Cutouts that kept results refer to.
    product_bytes : int
        Calibration products and PSFs, which are never removed to make room.
    limit_bytes : int
    results : int
        Kept results that refer to cutouts.
    missing_results : list of str
        Those that are no longer where they were; their cutouts are kept until they are unpinned.
    other_versions : dict of str to int
        Folders of other versions of the store, which are not used, and their bytes.
    """

    folder: str
    cutouts: int
    cutout_bytes: int
    pinned: int
    pinned_bytes: int
    product_bytes: int
    limit_bytes: int
    results: int
    missing_results: list
    other_versions: dict


def files_of(store, kind="images"):
    """(path, bytes, time of last use in s) of each file of a kind; files that are being written are left out."""
    for parent, _, names in os.walk(store.current / kind):
        for name in names:
            if name.startswith("."):
                continue
            path = os.path.join(parent, name)
            status = _status(path)
            if status is not None:
                yield path, status.st_size, max(status.st_atime, status.st_mtime)


def _status(path):
    """What the system tells of a file; None of one that another process has removed, or finished and renamed."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _pinned(store):
    return {path for files in store.pins().values() for path in files}


def status(store):
    """What is in a store.

    Parameters
    ----------
    store : CutoutStore

    Returns
    -------
    StoreStatus
    """
    pins = store.pins()
    pinned = _pinned(store)
    sizes = {path: size for path, size, _ in files_of(store)}
    return StoreStatus(
        folder=str(store.folder),
        cutouts=len(sizes),
        cutout_bytes=sum(sizes.values()),
        pinned=len(pinned & set(sizes)),
        pinned_bytes=sum(size for path, size in sizes.items() if path in pinned),
        product_bytes=sum(size for kind in _KINDS[1:] for _, size, _ in files_of(store, kind)),
        limit_bytes=store.limit_bytes,
        results=len(pins),
        missing_results=[result for result in pins if not os.path.exists(result)],
        other_versions=_other_versions(store),
    )


def _other_versions(store):
    found = {}
    try:
        entries = sorted(os.scandir(store.folder), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    for entry in entries:
        if re.fullmatch(r"v\d+", entry.name) and entry.name != f"v{STORE_VERSION}" and entry.is_dir():
            files = (os.path.join(parent, name) for parent, _, names in os.walk(entry.path) for name in names)
            found[entry.path] = sum(status.st_size for status in map(_status, files) if status is not None)
    return found


def prune(store, limit_bytes):
    """Remove the cutouts used least recently until a store is as small as wanted.

    Parameters
    ----------
    store : CutoutStore
    limit_bytes : int
        Wanted size of all cutouts. Those stay that a kept result refers to, that were used within the last hour, or
        since a run began that is still under way.

    Returns
    -------
    removed : int
        Files.
    freed_bytes : int
    """
    files = list(files_of(store))
    excess = sum(size for _, size, _ in files) - limit_bytes
    _remove_left_overs(store)
    if excess <= 0:
        return 0, 0
    with store.locked():
        pinned, since = _pinned(store), _in_use_since(first_begin(store))
        idle = (
            (path, size) for path, size, used in sorted(files, key=lambda file: file[2])
            if path not in pinned and used < since and not _used_since(path, used)
        )  # fmt: skip
        return _remove_all(idle, excess)


def _in_use_since(begin):
    """What was used after this time, s, may be in use: for runs under way, the first of which began at `begin`."""
    return min(time.time() - RECENT_S, begin) - NOTED_AFTER_S


def _used_since(path, used):
    """Whether somebody has taken a file into use after a look at its time."""
    try:
        return os.stat(path).st_atime > used
    except OSError:
        return False


def _remove(path):
    """Remove a file, and its folders as far as they are empty; whether it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    try:
        os.rmdir(os.path.dirname(path))
        os.rmdir(os.path.dirname(os.path.dirname(path)))
    except OSError:  # not empty
        pass
    return True


def _remove_all(files, enough=math.inf):
    """Remove files, (path, bytes) each, until that is enough; how many, and how many bytes. The index forgets them."""
    removed, freed = [], 0
    try:
        for path, size in files:
            if freed >= enough:
                break
            if _remove(path):
                removed.append(path)
                freed += size
    finally:
        ImageIndex().forget(removed)
    return len(removed), freed


def _remove_left_overs(store):
    """Remove what killed processes were about to write."""
    before = time.time() - _LEFT_OVER_S
    for parent, _, names in os.walk(store.current):
        for name in names:
            if name.startswith(".") and ".part" in name:
                path = os.path.join(parent, name)
                status = _status(path)
                if status is not None and status.st_mtime < before:
                    _remove(path)


def verify(store, progress=None, cancelled=None):
    """Read every file of a store, and remove those that are damaged: they will be fetched again.

    Parameters
    ----------
    store : CutoutStore
    progress : callable, optional
        ``progress(done, total)``.
    cancelled : callable, optional

    Returns
    -------
    checked : int
    damaged : list of (str, str)
        Path and reason of each file that was removed.
    """
    files = [(path, kind) for kind in _KINDS for path, _, _ in files_of(store, kind)]
    damaged = []
    for number, (path, kind) in enumerate(files):
        if cancelled is not None and cancelled():
            return number, damaged
        try:
            check_file(path, is_image=kind == "images")
        except ImageFileError as error:
            if os.path.exists(path):  # else another process has removed it
                damaged.append((path, str(error).removeprefix(f"{path}: ")))
                _remove_all([(path, 0)])
        if progress is not None:
            progress(number + 1, len(files))
    return len(files), damaged


def check_file(path, is_image=True):
    """Raise ImageFileError if a file of the store is damaged, or is not what its name says."""
    if not is_image:
        check_sums(path)
        return
    record = read_record(path, check_sums_of)
    x_lo, x_hi, y_lo, y_hi = (int(number) for number in _BOX.search(path).groups()) if _BOX.search(path) else (0,) * 4
    said = (x_lo, y_lo, x_hi - x_lo, y_hi - y_lo)
    found = (*record.origin, record.nx, record.ny)
    if said != found or f"level2_{record.obsid}D{record.detector}_" not in os.path.basename(path):
        raise ImageFileError(
            f"{path}: holds {record.obsid} of detector {record.detector}, {record.nx} x {record.ny} pixels from "
            f"{record.origin} on, which is not what its name says."
        )


def forget_missing_results(store):
    """Remove the cutouts that only results refer to that are no longer where they were.

    Results on a disk that is not mounted are among them.

    Parameters
    ----------
    store : CutoutStore

    Returns
    -------
    results : list of str
        Those that are gone; they are forgotten.
    removed : int
        Files; what may be in use is left for the next `prune`.
    freed_bytes : int
    """
    missing = {result: files for result, files in store.pins().items() if not os.path.exists(result)}
    for result in missing:
        store.unpin(result)
    with store.locked():
        idle = set().union(*missing.values()) - _pinned(store)
        since = _in_use_since(first_begin(store))
        files = list(files_of(store))
        removed, freed = _remove_all((path, size) for path, size, used in files if path in idle and used < since)
    return list(missing), removed, freed


def clear(store, everything=False):
    """Remove all cutouts, products and folders of other versions that are not needed now.

    Parameters
    ----------
    store : CutoutStore
    everything : bool
        Also what kept results refer to, and what may be in use: that of the last hour, and, while a run is under way,
        what was used since it began, and all products.

    Returns
    -------
    removed : int
    freed_bytes : int
    in_use : int
        Files that are left because they may be in use.
    """
    idle, in_use = [], 0
    with store.locked():
        begin = first_begin(store)
        pinned, since = (set(), math.inf) if everything else (_pinned(store), _in_use_since(begin))
        products_since = since if everything or begin == math.inf else -math.inf
        for kind in (*_KINDS, "layouts"):
            for path, size, used in files_of(store, kind):
                if path in pinned:
                    continue
                if used >= (since if kind == "images" else products_since):
                    in_use += 1
                else:
                    idle.append((path, size))
        removed, freed = _remove_all(idle)
        others = _other_versions(store)
        for folder, size in others.items():
            shutil.rmtree(folder, ignore_errors=True)
            freed += size
        for note in store.calibrations.glob("*/.no_*"):  # that the archive has no such product
            _remove(note)
        if everything:
            shutil.rmtree(store.current / "pins", ignore_errors=True)
    return removed, freed, in_use
