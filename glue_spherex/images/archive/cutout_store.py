"""Cutouts that were fetched once, kept for good: files in folders, whose names say what they hold.

A cutout is found by its exposure, detector, release and pixels; a wider one serves a narrower request. There is no
list of the files that could disagree with them. A file gets its name when it is complete and was read back, so that a
process that is killed, or a full disk, leaves nothing that looks whole. Several processes may use a store at once.
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import ImageFileError
from ..fits_file import BLOCK
from ..record import read_record
from ..releases import FILE_VERSION, RELEASE_NAME
from .boxes import PixelBox
from .cutout_files import check_cutout
from .errors import ArchiveError
from .fits_cards import check_sums_of

#: Files of another version of the store are not read; change it with the meaning of names or contents.
STORE_VERSION = 1
#: Size at which the cutouts used least recently are removed, unless another one is given.
DEFAULT_LIMIT_BYTES = 20_000_000_000
#: A use is noted if the last one was longer ago.
NOTED_AFTER_S = 600
_LOOK_AGAIN_BYTES = 64_000_000  # written between two looks whether the limit is reached
_ATTEMPTS = 20
_OBSID = re.compile(r"(\d{4}W\d{2}_\d[A-Z])_\d{4}_\d")
_VERSION = re.compile(FILE_VERSION)
_BOX = re.compile(r"(.*)_x(\d+)-(\d+)_y(\d+)-(\d+)\.fits")


def default_store_folder():
    """Where cutouts are kept: ``$GLUE_SPHEREX_HOME/cutouts``, or in the user's data folder."""
    home = os.environ.get("GLUE_SPHEREX_HOME")
    if not home:
        from platformdirs import user_data_dir

        home = user_data_dir("glue-spherex")
    return Path(home) / "cutouts"


class CutoutStore:
    """Cutouts, calibration products and PSFs on disk.

    Parameters
    ----------
    folder : path-like, optional
        `default_store_folder` if None.
    limit_bytes : int, optional
        Size above which the cutouts used least recently are removed; `DEFAULT_LIMIT_BYTES` if None. Those that a
        kept result refers to stay in any case.
    """

    def __init__(self, folder=None, limit_bytes=None):
        self.folder = Path(os.path.abspath(folder if folder is not None else default_store_folder()))
        self.limit_bytes = DEFAULT_LIMIT_BYTES if limit_bytes is None else int(limit_bytes)
        self._images = str(self.images)  # it is asked for thousands of times
        self._written = _LOOK_AGAIN_BYTES  # the first cutout looks at the size

    def __repr__(self):
        return f"<CutoutStore {self.folder}>"

    @property
    def current(self):
        """The folder of this version of the store."""
        return self.folder / f"v{STORE_VERSION}"

    def calibration(self, release):
        """Folder of the calibration products of a release."""
        return self.calibrations / _checked(RELEASE_NAME, release, "release")

    @property
    def images(self):
        """Folder of all cutouts, by release, observation and detector."""
        return self.current / "images"

    @property
    def calibrations(self):
        """Folder of the calibration products of all releases."""
        return self.current / "calibration"

    @property
    def psfs(self):
        """Folder of the PSFs of detectors."""
        return self.current / "psf"

    @property
    def layouts(self):
        """Folder of what is known about the layout of the archive's files."""
        return self.current / "layouts"

    def beginning(self, image):
        """How the paths of all cutouts of an image of the archive begin: folder, and name without the pixels."""
        _checked(_OBSID, image.obsid, "observation")
        release = _checked(RELEASE_NAME, image.release, "release") + ("_deep" if image.deep else "")
        version = _checked(_VERSION, image.file_version, "file version")
        if image.detector not in range(1, 7):
            raise ArchiveError(f"the detector {image.detector!r} does not exist; allowed are 1 to 6.")
        stem = f"level2_{image.obsid}D{image.detector}_spx_{version}"
        return f"{self._images}/{release}/{image.obsid}/D{image.detector}/{stem}"

    def image_folder(self, image):
        """Folder of all cutouts of an image of the archive."""
        return Path(self.beginning(image)).parent

    def cutouts(self, image):
        """All cutouts of an image: (PixelBox, path as str), the smallest first."""
        folder, _, stem = self.beginning(image).rpartition("/")
        found = []
        try:
            names = os.listdir(folder)
        except (FileNotFoundError, NotADirectoryError):
            return []
        for name in names:
            match = _BOX.fullmatch(name)
            if match and match.group(1) == stem:
                with suppress(ImageFileError):  # a file of somebody else, with a name that says nothing possible
                    found.append((PixelBox(*(int(number) for number in match.groups()[1:])), name))
        found.sort(key=lambda cutout: (cutout[0].n_pixels, cutout[1]))
        return [(box, f"{folder}/{name}") for box, name in found]

    def find(self, image, box):
        """A cutout that holds a box.

        Parameters
        ----------
        image : ArchiveImage
        box : PixelBox

        Returns
        -------
        Path or None
            It counts as used now.
        """
        for held, path in self.cutouts(image):
            if held.holds(box) and self.use(path):
                return Path(path)
        return None

    def use(self, path):
        """Note that a file is used, unless that was noted lately; whether it is there and has a possible size."""
        try:
            status = os.stat(path)
            if status.st_size == 0 or status.st_size % BLOCK:
                return False
            now = time.time_ns()
            if now - max(status.st_atime_ns, status.st_mtime_ns) > NOTED_AFTER_S * 10**9:
                # only the time of use: the time of change tells the image index that a file is the same
                os.utime(path, ns=(now, status.st_mtime_ns))
        except FileNotFoundError:
            return False
        except OSError:  # a store that may only be read
            return True
        return True

    def put(self, image, box, content):
        """Keep a cutout.

        Parameters
        ----------
        image : ArchiveImage
        box : PixelBox
            What the file holds.
        content : bytes

        Returns
        -------
        Path

        Raises
        ------
        ImageFileError
            If it is not the cutout of this image, or cannot be used.
        ArchiveError
            If it cannot be written.
        """
        path = Path(f"{self.beginning(image)}_x{box.x_lo}-{box.x_hi}_y{box.y_lo}-{box.y_hi}.fits")

        def check(path):
            check_cutout(read_record(path, check_sums_of), image, box)

        self.write(path, content, check)
        self._written += len(content)
        if self._written >= min(_LOOK_AGAIN_BYTES, self.limit_bytes / 10):
            self._written = 0
            self.prune()
        return path

    def write(self, path, content, check=None):
        """Write a file of the store: it appears under its name when it is whole and was checked.

        Parameters
        ----------
        path : Path
        content : bytes
        check : callable, optional
            Called with the path of the finished file before it gets its name; raises if it is not right.

        Returns
        -------
        Path
        """
        try:
            part, name = begun_file(path.parent, "part.fits")
        except OSError as error:
            raise ArchiveError(_not_written(path, error)) from error
        try:
            with os.fdopen(part, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o444)  # results may hold the same file under another name: nobody should change it
            if check is not None:
                check(name)
            os.replace(name, path)
        except OSError as error:
            raise ArchiveError(_not_written(path, error)) from error
        except ImageFileError as error:
            raise type(error)(str(error).replace(name, str(path))) from error
        finally:
            if os.path.exists(name):
                os.unlink(name)
        return path

    def pin(self, result, files):
        """Keep files for as long as a result is kept.

        Parameters
        ----------
        result : path-like
            The folder or file of the result.
        files : iterable of path-like
            In the store; others are ignored. They are added to those that the result has already.

        Returns
        -------
        list of str
            Files of the store that are not there (any more).
        """
        result = os.path.abspath(result)
        images = str(self.current) + os.sep
        wanted = {str(path)[len(images) :] for path in map(os.path.abspath, files) if str(path).startswith(images)}
        with self.locked():
            place = self._pin_file(result)
            known = _read_json(place).get("files", [])
            content = json.dumps({"result": result, "files": sorted(wanted.union(known))}, indent=1)
            self.write(place, content.encode())
            return sorted(images + name for name in wanted if not os.path.exists(images + name))

    def unpin(self, result):
        """Forget that a result needs files."""
        with self.locked():
            self._pin_file(os.path.abspath(result)).unlink(missing_ok=True)

    def pins(self):
        """Files that kept results refer to: {result: list of paths}."""
        found = {}
        for place in sorted((self.current / "pins").glob("*.json")):
            content = _read_json(place)
            if "result" in content:
                found[content["result"]] = [str(self.current / name) for name in content.get("files", [])]
        return found

    def _pin_file(self, result):
        return self.current / "pins" / f"{hashlib.sha256(os.fsencode(result)).hexdigest()[:32]}.json"

    @contextmanager
    def locked(self):
        """Only one process at a time pins or removes files."""
        try:
            self.current.mkdir(parents=True, exist_ok=True)
            file = os.open(self.current / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise ArchiveError(_not_written(self.current, error)) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def status(self):
        """What is in the store; see `glue_spherex.images.archive.eviction.status`."""
        from .eviction import status

        return status(self)

    def prune(self, limit_bytes=None):
        """Remove what was used least recently; see `glue_spherex.images.archive.eviction.prune`."""
        from .eviction import prune

        return prune(self, self.limit_bytes if limit_bytes is None else limit_bytes)

    def verify(self, progress=None, cancelled=None):
        """Read all files and remove damaged ones; see `glue_spherex.images.archive.eviction.verify`."""
        from .eviction import verify

        return verify(self, progress, cancelled)

    def forget_missing_results(self):
        """Unpin results that are gone; see `glue_spherex.images.archive.eviction.forget_missing_results`."""
        from .eviction import forget_missing_results

        return forget_missing_results(self)

    def clear(self, everything=False):
        """Remove what is not needed now; see `glue_spherex.images.archive.eviction.clear`."""
        from .eviction import clear

        return clear(self, everything)


def copy_cutouts(files, folder):
    """Put files into a folder of their own, so that a result and its pixels travel together.

    Parameters
    ----------
    files : iterable of path-like
    folder : path-like
        Made when missing.

    Returns
    -------
    list of Path
        Where they are now; a file that is there already is left as it is. Where the disk permits, no space is used
        twice.

    Raises
    ------
    ArchiveError
        If they cannot be written.
    """
    folder, copies = Path(folder), []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in map(Path, files):
            copy = folder / path.name
            if not copy.exists():
                part = folder / f".{path.name}.{os.getpid()}.part"
                part.unlink(missing_ok=True)
                try:
                    os.link(path, part)
                except OSError:
                    shutil.copy2(path, part)
                os.replace(part, copy)
            copies.append(copy)
    except OSError as error:
        raise ArchiveError(_not_written(folder, error)) from error
    return copies


def begun_file(folder, ending):
    """A new hidden file in a folder, which is made if need be: another process may just remove it while it is empty.

    Returns
    -------
    fd : int
    path : str
    """
    attempt = 0
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return tempfile.mkstemp(prefix=".", suffix=f".{ending}", dir=folder)
        except FileNotFoundError:
            attempt += 1
            if attempt == _ATTEMPTS:
                raise


def _checked(pattern, text, what):
    """A text of the archive that becomes part of a path."""
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise ArchiveError(f"the archive names the {what} {str(text)[:80]!r}, which has an unknown form; refused.")
    return text


def _not_written(path, error):
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{path}: cannot be written, the disk is full; make room, or run 'glue-spherex cache prune'."
    return f"{path}: cannot be written ({error.strerror or error}); check the folder's permissions."


def _read_json(path):
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
