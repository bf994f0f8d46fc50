"""The results of images on disk, added one by one: what was measured is there again after a crash, and costs no memory.

An SQLite file with a row per image. Its writer may be killed at any time: what a transaction has stored stays, the rest
is as if it had not been measured. Others may read while it is written.
"""

import json
import os
import shutil
import sqlite3
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from ..model import COLUMNS
from ..model.spectrum import DTYPES
from .errors import PhotometryError
from .image_result import ImageResult

SCHEMA_VERSION = 1
#: Seconds of work that a crash may cost: results are written together, because a transaction takes its time.
BATCH_SECONDS = 0.25
TEMPORARY_NAME = ".glue-spherex-results.sqlite"
_BUSY_SECONDS = 30
_LITTLE_BYTES = 1 << 20
_TEXTS = tuple(spec.name for spec in COLUMNS if spec.dtype == "text" and spec.name != "label")
_ID = np.dtype("<i4")
#: A row of results on disk; texts are the same for all rows of an image.
ROW = np.dtype(
    [(spec.name, DTYPES[spec.dtype]) for spec in COLUMNS if spec.dtype != "text"] + [("centroid", np.float64, 5)]
)


_TABLES = (
    "CREATE TABLE IF NOT EXISTS images (path BLOB PRIMARY KEY, status TEXT NOT NULL, about TEXT NOT NULL, texts TEXT "
    "NOT NULL, sources BLOB NOT NULL, n_rows INTEGER NOT NULL, source_ids BLOB NOT NULL, rows BLOB NOT NULL); "
    "CREATE TABLE IF NOT EXISTS unreadable (path BLOB PRIMARY KEY, reason TEXT NOT NULL)"
)


class ResultStore:
    """The results of a run, by image.

    Parameters
    ----------
    path : path-like
        Made if it does not exist.
    temporary : bool, optional
        Whether the file is of no use afterwards, and nobody else looks at it: it then works on any file system, also
        where files cannot be locked, and has no name once it is open, so that nothing is left whatever happens.
    reader : bool, optional
        Whether nothing is written: for a look while somebody else measures. A file that is not there, or has just been
        begun, is an empty store.

    Raises
    ------
    PhotometryError
        If the file cannot be used, naming it and the reason.
    """

    def __init__(self, path, *, temporary=False, reader=False):
        self.path = Path(path)
        self._temporary, self._reader = temporary, reader
        self._waiting = []
        self._written = time.monotonic()
        with self._reasons():
            self._database = self._connected()
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise

    def _connected(self):
        if self._reader and not self.path.exists():
            return sqlite3.connect(":memory:", isolation_level=None)
        name = f"{self.path.absolute().as_uri()}?nolock=1" if self._temporary else self.path
        return sqlite3.connect(name, timeout=_BUSY_SECONDS, isolation_level=None, uri=self._temporary)

    def _prepare(self):
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise PhotometryError(
                f"{self.path} was written by a newer version of this program (layout {version}, known is "
                f"{SCHEMA_VERSION}); update glue-spherex to use it."
            )
        if self._reader:
            return self._begin_reading(version)
        self._database.execute(f"PRAGMA journal_mode = {'OFF' if self._temporary else 'WAL'}")
        self._database.execute(f"PRAGMA synchronous = {'OFF' if self._temporary else 'NORMAL'}")
        if version < SCHEMA_VERSION:
            self._database.executescript(f"BEGIN IMMEDIATE; {_TABLES}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT")
        if self._temporary:
            with suppress(OSError):  # where an open file cannot be deleted
                self.path.unlink()

    def _begin_reading(self, version):
        """See one state of the file, whatever is written meanwhile."""
        if version == 0:
            self._database.close()
            self._database = sqlite3.connect(":memory:", isolation_level=None)
            self._database.executescript(_TABLES)
        self._database.execute("PRAGMA query_only = 1")
        self._database.execute("BEGIN")
        self._database.execute("SELECT 1 FROM images LIMIT 1").fetchone()  # the state of this moment

    @contextmanager
    def _reasons(self):
        try:
            yield
        except sqlite3.Error as error:
            raise PhotometryError(
                f"the results cannot be kept in {str(self.path)!r}: {self._reason(error)}."
            ) from error

    def _reason(self, error):
        """What SQLite says; a full disk has several names there."""
        text = str(error)
        if "full" in text or "disk I/O" in text:
            with suppress(OSError):
                if shutil.disk_usage(self.path.parent).free < _LITTLE_BYTES:
                    return "No space left on device"
        return text

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            if kind is None or issubclass(kind, KeyboardInterrupt):
                self.flush()
        finally:
            self._database.close()

    def add(self, result):
        """Keep the result of an image; one of the same path that failed is replaced.

        Parameters
        ----------
        result : ImageResult

        Raises
        ------
        PhotometryError
            If it cannot be written, for example on a full disk; what was written before stays.
        """
        self._waiting.append(_packed(result))
        if time.monotonic() - self._written >= BATCH_SECONDS:
            self.flush()

    def flush(self):
        """Write what has been added."""
        if self._waiting:
            with self._reasons(), self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany(
                    "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?)", self._waiting
                )
            self._waiting = []
        self._written = time.monotonic()

    def set_unreadable(self, files):
        """Note the files whose headers cannot be read, instead of those that were noted before.

        Parameters
        ----------
        files : list of (str, str)
            Path and reason.
        """
        with self._reasons(), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("DELETE FROM unreadable")
            lines = [(os.fsencode(path), json.dumps(reason)) for path, reason in files]
            self._database.executemany("INSERT OR REPLACE INTO unreadable VALUES (?, ?)", lines)

    def measured_sources(self):
        """Numbers of the sources that were measured on each exposure, by exposure id."""
        with self._reasons():
            rows = self._database.execute("SELECT about, source_ids FROM images WHERE status != 'failed'").fetchall()
        found = {}
        for about, numbers in rows:
            found.setdefault(json.loads(about)["lvf_id"], set()).update(np.frombuffer(numbers, dtype=_ID).tolist())
        return found

    def counts(self):
        """Numbers of images looked at, of measurements, and of images that failed."""
        with self._reasons():
            return self._database.execute(
                "SELECT COUNT(*), COALESCE(SUM(n_rows), 0), COALESCE(SUM(status = 'failed'), 0) FROM images"
            ).fetchone()

    def failures(self):
        """(path, reason) of the images that failed and of the files that cannot be read, by path."""
        with self._reasons():
            failed = self._database.execute("SELECT path, about FROM images WHERE status = 'failed'").fetchall()
            unreadable = self._database.execute("SELECT path, reason FROM unreadable").fetchall()
        reasons = {path: json.loads(about)["reason"] for path, about in failed}
        reasons |= {path: json.loads(reason) for path, reason in unreadable}
        return sorted((os.fsdecode(path), reason) for path, reason in reasons.items())

    def _by_path(self, columns):
        """Row numbers and columns of all images, by path."""
        with self._reasons():
            lines = self._database.execute(f"SELECT path, rowid, {columns} FROM images").fetchall()
        return [line[1:] for line in sorted(lines, key=lambda line: os.fsdecode(line[0]))]

    def about(self):
        """The lines of the table of images, by path."""
        return [json.loads(about) for _, about in self._by_path("about")]

    def texts(self):
        """The different texts of each column of text: dict of str to list of str."""
        with self._reasons():
            lines = self._database.execute("SELECT DISTINCT texts FROM images WHERE n_rows > 0").fetchall()
        found = [json.loads(texts) for (texts,) in lines]
        return {name: sorted({texts[name] for texts in found}) for name in _TEXTS}

    def failed_images(self, n_sources):
        """Number of images that may hold each source and could not be measured, shape (n_sources,)."""
        count = np.zeros(n_sources, dtype=int)
        with self._reasons():
            for (sources,) in self._database.execute("SELECT sources FROM images WHERE status = 'failed'"):
                count[np.frombuffer(sources, dtype="<i8")] += 1
        return count

    def rows_per_source(self, n_sources):
        """Number of measurements of each source, shape (n_sources,)."""
        count = np.zeros(n_sources, dtype=int)
        with self._reasons():
            for (numbers,) in self._database.execute("SELECT source_ids FROM images"):
                count += np.bincount(np.frombuffer(numbers, dtype=_ID), minlength=n_sources)
        return count

    def columns(self, first, stop):
        """The measurements of the sources with the numbers `first` to `stop` - 1.

        Parameters
        ----------
        first, stop : int

        Returns
        -------
        dict of str to ndarray, shape (n,)
            The columns of `measure_image`, image by image, by path.
        """
        parts, texts = [], []
        for rowid, some_texts, numbers in self._with_numbers():
            begin, end = np.searchsorted(np.frombuffer(numbers, dtype=_ID), (first, stop))
            if begin < end:
                parts.append(self._slice(rowid, begin, end))
                texts.append(json.loads(some_texts))
        rows = np.concatenate(parts) if parts else np.zeros(0, dtype=ROW)
        counts = np.array([len(part) for part in parts], dtype=int)
        columns = {name: rows[name] for name in ROW.names}
        return columns | {
            name: np.repeat(np.array([text[name] for text in texts], dtype=str), counts) for name in _TEXTS
        }

    def _with_numbers(self):
        """Yield row number, texts, and source numbers of each image with measurements, by path."""
        for rowid, n_rows in self._by_path("n_rows"):
            if n_rows:
                with self._reasons():
                    yield self._database.execute(
                        "SELECT rowid, texts, source_ids FROM images WHERE rowid = ?", (rowid,)
                    ).fetchone()

    def _slice(self, rowid, begin, end):
        with self._reasons(), self._database.blobopen("images", "rows", rowid, readonly=True) as blob:
            blob.seek(int(begin) * ROW.itemsize)
            return np.frombuffer(blob.read(int(end - begin) * ROW.itemsize), dtype=ROW)

    def results(self):
        """Yield the `ImageResult` of each image, by path."""
        for rowid, _ in self._by_path("n_rows"):
            with self._reasons():
                row = self._database.execute(
                    "SELECT about, texts, sources, rows FROM images WHERE rowid = ?", (rowid,)
                ).fetchone()
            yield _unpacked(*row)


@contextmanager
def temporary_store(folder):
    """A `ResultStore` in a folder for the time of a run.

    Parameters
    ----------
    folder : Path
        A result folder that nobody else writes to.

    Yields
    ------
    ResultStore
    """
    path = folder / TEMPORARY_NAME
    _delete(path)
    try:
        with ResultStore(path, temporary=True) as results:
            yield results
    finally:
        _delete(path)


def _delete(path):
    for ending in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _packed(result):
    """The line of a result in the table of images."""
    n = len(result.rows["source_id"]) if result.rows else 0
    rows, texts = np.zeros(n, dtype=ROW), {}
    if n:
        texts = {name: str(result.rows[name][0]) for name in _TEXTS}
        order = np.argsort(result.rows["source_id"], kind="stable")  # for the search in `columns`
        for name in ROW.names:
            rows[name] = np.asarray(result.rows[name])[order]
    about = result.about
    sources = np.asarray(result.sources, dtype="<i8")
    return (
        os.fsencode(about["path"]),
        about["status"],
        json.dumps(about),
        json.dumps(texts),
        sources.tobytes() if about["status"] == "failed" else b"",
        n,
        rows["source_id"].astype(_ID).tobytes(),
        rows.tobytes(),
    )


def _unpacked(about, texts, sources, rows):
    array = np.frombuffer(rows, dtype=ROW)
    columns = {}
    if len(array):
        columns = {name: array[name] for name in ROW.names}
        columns |= {name: np.full(len(array), text) for name, text in json.loads(texts).items()}
    return ImageResult(columns, json.loads(about), np.frombuffer(sources, dtype="<i8"))
