"""The image index: what the headers of all known files say, kept in SQLite.

A second run on a folder compares sizes and times of its files with the index and reads no header. The index is a
cache: it can be deleted at any time. Two processes may use it at once.
"""

import logging
import math
import os
import random
import re
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from .calibration import OTHER_PRODUCTS
from .errors import ImageFileError
from .psf_zones import shared_zones
from .record import ImageRecord, read_record
from .wavelength import shared_wave_table

SCHEMA_VERSION = 3  # change it with the columns of ImageRecord or their meaning: the index is then built anew
_BUSY_SECONDS = 30
_LOCK_ATTEMPTS = 100
_BATCH = 200
_NAME = re.compile(r"\.(fits|fit|fts)(\.(fz|gz|bz2|z))?$", re.IGNORECASE)
_CALIBRATION = re.compile(
    rf"(average_psf|epsf|solid_angle_pixel_map|spectral_wcs|l3_flux_corrections?)_D\d|{OTHER_PRODUCTS}", re.IGNORECASE
)  #: how the names of calibration products begin
_SHARED = ("zones", "wave")
_SQL_TYPES = {str: "TEXT", int: "INTEGER", float: "REAL", bool: "INTEGER", bytes: "BLOB"}
_SCALARS = {n: kind for n, kind in ImageRecord.__annotations__.items() if n not in _SHARED and n != "path"}
_READ_ERRORS = (ValueError, TypeError, LookupError, ArithmeticError, OSError, MemoryError, RecursionError)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IndexResult:
    """What a refresh of the index found.

    Parameters
    ----------
    records : list of ImageRecord
        By path.
    failures : list of (str, str)
        Path and reason of each FITS file that cannot be measured.
    files : int
        FITS files in the folders, calibration files left out.
    parsed : int
        Files whose headers were read now, because they are new or changed.
    complete : bool
        False if it was cancelled.
    """

    records: list = field(default_factory=list)
    failures: list = field(default_factory=list)
    files: int = 0
    parsed: int = 0
    complete: bool = True


def default_index_path():
    """Where the index lies: ``$GLUE_SPHEREX_HOME/index.sqlite``, or in the user's cache folder."""
    home = os.environ.get("GLUE_SPHEREX_HOME")
    if not home:
        from platformdirs import user_cache_dir

        home = user_cache_dir("glue-spherex")
    return Path(home) / "index.sqlite"


class ImageIndex:
    """Records of all Level-2 files seen so far.

    Parameters
    ----------
    db_path : path-like, optional
        The SQLite file; see `default_index_path`. If it is damaged, written by another version of this program, or
        cannot be written, a neighbouring file or, at last, the memory is used, and a warning is logged.
    """

    def __init__(self, db_path=None):
        self.db_path = Path(db_path) if db_path is not None else default_index_path()

    def refresh(self, folders, progress=None, cancelled=None):
        """Bring the index up to date with folders, and return what is in them.

        Parameters
        ----------
        folders : path or sequence of paths
            Searched with their subfolders; a single file may be given too.
        progress : callable, optional
            ``progress(done, total)``, called while headers are read.
        cancelled : callable, optional
            Asked before each file; when it says yes, what is known is returned.

        Returns
        -------
        IndexResult

        Raises
        ------
        ImageFileError
            If a folder does not exist or may not be read.
        """
        folders = [folders] if isinstance(folders, str | os.PathLike) else list(folders)
        roots = [os.path.abspath(os.fspath(folder)) for folder in folders]
        found, unreadable = find_files(roots)
        database, known = _open_and_load(self.db_path, partial(_below, roots=roots))
        with closing(database):
            fresh = [path for path in found if path not in known or known[path][:2] != found[path]]
            new, complete = self._read(database, fresh, found, progress, cancelled)
            if complete:
                _forget(database, [path for path in known if path not in found])
        unread = set(fresh) - set(new)
        entries = {path: entry for path, (*_, entry) in known.items() if path in found and path not in unread} | new
        entries = dict(sorted(entries.items()))
        records = [entry for entry in entries.values() if isinstance(entry, ImageRecord)]
        failures = [(path, entry) for path, entry in entries.items() if isinstance(entry, str)]
        return IndexResult(records, unreadable + failures, len(found), len(new), complete)

    def known(self, files):
        """Records of files that were read before, and are as they were.

        Parameters
        ----------
        files : dict of str to (int, int)
            Size and time of change, ns, of each absolute path.

        Returns
        -------
        dict of str to ImageRecord
            By path; the others are left out, nothing is read.
        """
        database, known = _open_and_load(self.db_path, partial(_with_paths, paths=list(files)))
        database.close()
        return {
            path: entry for path, (*stamp, entry) in known.items()
            if tuple(stamp) == files[path] and isinstance(entry, ImageRecord)
        }  # fmt: skip

    def remember(self, records):
        """Add what was read elsewhere.

        Parameters
        ----------
        records : iterable of ImageRecord

        Returns
        -------
        bool
            Whether it is on disk now.
        """
        entries = [(record.path, (record.size, record.mtime_ns), record) for record in records]
        database, _ = _open_and_load(self.db_path, partial(_with_paths, paths=[path for path, *_ in entries]))
        with closing(database):
            on_disk = bool(database.execute("PRAGMA database_list").fetchone()[2])
            return _store(database, entries) and on_disk

    def forget(self, paths):
        """Remove what is known of files that are gone.

        Parameters
        ----------
        paths : iterable of str
        """
        paths = list(paths)
        if paths and os.path.exists(self.db_path):
            database, _ = _open_and_load(self.db_path)
            with closing(database):
                _forget(database, paths)

    def _read(self, database, paths, found, progress, cancelled):
        """Read the headers of files; {path: record or reason}, and whether all were read."""
        new, waiting = {}, []
        try:
            for path in paths:
                if cancelled is not None and cancelled():
                    break
                entry, keep = _read_entry(path)
                new[path] = entry
                if keep:
                    waiting.append((path, found[path], entry))
                if len(waiting) >= _BATCH:
                    _store(database, waiting)
                    waiting = []
                if progress is not None:
                    progress(len(new), len(paths))
        finally:  # interrupted or not, what has been read is kept
            _store(database, waiting)
        return new, len(new) == len(paths)


def find_files(roots):
    """FITS files that may be Level-2 images, in folders and their subfolders.

    Calibration products, told by how their names begin, hidden files, and everything that is not a regular file are
    left out; links are followed, each file counts once.

    Parameters
    ----------
    roots : sequence of str

    Returns
    -------
    found : dict
        Path to (size, mtime_ns).
    unreadable : list of (str, str)
        Subfolders that may not be read, and why.
    """
    found, unreadable, seen = {}, [], set()
    for root in roots:
        if os.path.isfile(root):
            status = os.stat(root)
            found[root] = status.st_size, status.st_mtime_ns
        elif not os.path.isdir(root):
            raise ImageFileError(f"images: there is no folder {root}.")
        else:
            problems = _walk(root, found, seen)
            if problems and problems[0][0] == root:
                raise ImageFileError(f"images: the folder {root} {problems[0][1]}")
            unreadable += problems
    return found, unreadable


def _walk(root, found, seen):
    problems, waiting = [], [root]
    while waiting:
        folder = waiting.pop()
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:  # a link back, or a folder inside another one
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                for entry in entries:
                    _look_at(entry, found, seen, waiting)
        except OSError as error:
            problems.append((folder, f"cannot be searched ({error.strerror})."))
    return problems


def _look_at(entry, found, seen, waiting):
    name = entry.name
    try:
        if name.startswith("."):
            return
        if entry.is_dir():
            waiting.append(entry.path)
        elif _NAME.search(name) and not _CALIBRATION.match(name) and entry.is_file():
            status = entry.stat()
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                found[entry.path] = status.st_size, status.st_mtime_ns
    except OSError:  # gone since the folder was listed
        return


def _read_entry(path):
    """Record of a file, or the reason why there is none; and whether to remember it."""
    try:
        return read_record(path), True
    except ImageFileError as error:
        reason = str(error).removeprefix(f"{path}: ")
        return reason, not isinstance(error.__cause__, OSError)  # a disk or a permission may recover
    except _READ_ERRORS as error:
        return f"its headers cannot be understood ({type(error).__name__}: {error}).", True


def _open_and_load(path, rows_of=lambda database: ()):
    """A connection to the index, at `path` if possible, and what it knows: {path: (size, mtime_ns, record or reason)}.

    Parameters
    ----------
    path : Path
    rows_of : callable(database), optional
        Gives the rows that are wanted.
    """
    neighbour = path.with_name(f"{path.stem}-v{SCHEMA_VERSION}{path.suffix}")
    for candidate in (path, neighbour):
        try:
            candidate.parent.mkdir(parents=True, exist_ok=True)
            database = _connect(candidate)
        except (sqlite3.Error, OSError) as error:
            _log.warning("image index %s cannot be used (%s)", candidate, error)
            continue
        try:
            return database, _load(database, rows_of(database))
        except sqlite3.Error as error:
            database.close()
            _log.warning("image index %s is damaged (%s); delete it", candidate, error)
    _log.warning("the image index is kept in memory: headers will be read again by the next run")
    return _connect(":memory:"), {}


def _connect(path):
    """Open a database with the tables of this version; sqlite3.Error if that is impossible."""
    for attempt in range(_LOCK_ATTEMPTS):
        database = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")  # two that do it at once block each other: no waiting here
            database.execute(f"PRAGMA busy_timeout = {1000 * _BUSY_SECONDS}")
            database.execute("PRAGMA synchronous = NORMAL")
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise sqlite3.DatabaseError(f"it has the newer schema {version}, known is {SCHEMA_VERSION}")
            if version < SCHEMA_VERSION:
                _create(database)
            return database
        except sqlite3.OperationalError as error:
            database.close()
            if "locked" not in str(error) or attempt == _LOCK_ATTEMPTS - 1:
                raise
            time.sleep(0.05 * (1 + random.random()))
        except sqlite3.Error:
            database.close()
            raise


def _create(database):
    columns = ", ".join(f"{name} {_SQL_TYPES[kind]}" for name, kind in _SCALARS.items())
    database.execute("BEGIN IMMEDIATE")
    if database.execute("PRAGMA user_version").fetchone()[0] < SCHEMA_VERSION:  # not done by another process meanwhile
        database.execute("DROP TABLE IF EXISTS files")
        database.execute("DROP TABLE IF EXISTS shared")
        database.execute(f"CREATE TABLE files (path BLOB PRIMARY KEY, reason TEXT, {columns}, zones TEXT, wave TEXT)")
        database.execute("CREATE TABLE shared (key TEXT PRIMARY KEY, data BLOB)")
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    database.execute("COMMIT")


def _below(database, roots):
    """The rows of the files below some folders, or of single files."""
    for root in roots:
        low = os.fsencode(os.path.join(root, ""))
        yield from database.execute(
            f"SELECT {_COLUMNS} FROM files WHERE path = ? OR (path >= ? AND path < ?)",
            (os.fsencode(root), low, low[:-1] + bytes([low[-1] + 1])),
        ).fetchall()


def _with_paths(database, paths):
    """The rows of some files."""
    for start in range(0, len(paths), _BATCH):
        part = [os.fsencode(path) for path in paths[start : start + _BATCH]]
        marks = ", ".join("?" * len(part))
        yield from database.execute(f"SELECT {_COLUMNS} FROM files WHERE path IN ({marks})", part).fetchall()


def _load(database, rows):
    """What rows say: {path: (size, mtime_ns, record or reason)}; without damaged ones, which are written anew."""
    known, made, damage = {}, {}, []

    def table(key, kind):
        if key and key not in made:
            found = database.execute("SELECT data FROM shared WHERE key = ?", (key,)).fetchone()
            if found is None:
                raise ValueError(f"the table {key} is missing")
            made[key] = kind(*found)
        return key and made[key]

    for path, reason, *values, zones, wave in rows:
        path = os.fsdecode(path)
        entry = reason
        if reason is None:
            try:
                entry = _record(path, values, table(zones, shared_zones), table(wave, shared_wave_table))
            except (ValueError, TypeError, LookupError) as error:
                damage.append(error)
                continue
        known[path] = *values[:2], entry
    if damage:
        _log.warning("image index: %d entries are damaged (%s); these headers are read again", len(damage), damage[0])
    return known


def _record(path, values, *tables):
    for place in _BOOLEANS:
        values[place] = values[place] == 1
    for place in _FLOATS:
        if values[place] is None:  # SQLite stores NaN as NULL
            values[place] = math.nan
    return ImageRecord(path, *values, *tables)


_BOOLEANS = [k for k, kind in enumerate(_SCALARS.values()) if kind is bool]
_FLOATS = [k for k, kind in enumerate(_SCALARS.values()) if kind is float]
_COLUMNS = ", ".join(["path", "reason", *_SCALARS, *_SHARED])


def _store(database, entries):
    """Write (path, (size, mtime_ns), record or reason) in one transaction; a full disk costs only the memory of it.

    Returns whether it is written.
    """
    if not entries:
        return True
    rows, shared = [], {}
    for path, stamp, entry in entries:
        if isinstance(entry, str):
            rows.append([os.fsencode(path), entry, *stamp, *[None] * len(_SCALARS)])
            continue
        tables = [getattr(entry, name) for name in _SHARED]
        shared |= {table.key: table.to_bytes() for table in tables if table}
        keys = [table and table.key for table in tables]
        rows.append([os.fsencode(path), None, *(getattr(entry, name) for name in _SCALARS), *keys])
    marks = ", ".join("?" * (2 + len(_SCALARS) + len(_SHARED)))
    try:
        with database:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(
                "INSERT INTO shared VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET data = excluded.data "
                "WHERE data IS NOT excluded.data",  # a damaged one is mended
                shared.items(),
            )
            database.executemany(f"INSERT OR REPLACE INTO files ({_COLUMNS}) VALUES ({marks})", rows)
    except (sqlite3.Error, OverflowError) as error:
        _log.warning("the image index cannot be written (%s); the next run reads these headers again", error)
        return False
    return True


def _forget(database, paths):
    if not paths:
        return
    try:
        with database:
            database.execute("BEGIN IMMEDIATE")
            database.executemany("DELETE FROM files WHERE path = ?", [(os.fsencode(path),) for path in paths])
    except sqlite3.Error as error:
        _log.warning("the image index cannot be written (%s)", error)
