"""The results of images on disk, added one by one: what was measured is there again after a crash, and costs no memory.

An SQLite file with a row per image. Its writer may be killed at any time: what a transaction has stored stays, the rest
is as if it had not been measured. Others may read while it is written.
"""

import json
import os
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..model import COLUMNS
from ..model.spectrum import DTYPES
from .errors import PhotometryError
from .pipeline import ImageResult

SCHEMA_VERSION = 1
#: Seconds of work that a crash may cost: results are written together, because a transaction takes its time.
BATCH_SECONDS = 0.25
_BUSY_SECONDS = 30
_TEXTS = tuple(spec.name for spec in COLUMNS if spec.dtype == "text" and spec.name != "label")
#: A row of results on disk; texts are the same for all rows of an image.
ROW = np.dtype(
    [(spec.name, DTYPES[spec.dtype]) for spec in COLUMNS if spec.dtype != "text"] + [("centroid", np.float64, 5)]
)


class ResultStore:
    """The results of a run, by image.

    Parameters
    ----------
    path : path-like
        Made if it does not exist.

    Raises
    ------
    PhotometryError
        If the file cannot be used, naming it and the reason.
    """

    def __init__(self, path):
        self.path = Path(path)
        self._waiting = []
        self._written = time.monotonic()
        with self._reasons():
            self._database = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise

    def _prepare(self):
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise PhotometryError(
                f"{self.path} was written by a newer version of this program (layout {version}, known is "
                f"{SCHEMA_VERSION}); update glue-spherex to use it."
            )
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        if version < SCHEMA_VERSION:
            self._database.executescript(
                "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS images (path BLOB PRIMARY KEY, status TEXT NOT NULL, "
                "about TEXT NOT NULL, texts TEXT NOT NULL, sources BLOB NOT NULL, n_rows INTEGER NOT NULL, "
                f"rows BLOB NOT NULL); PRAGMA user_version = {SCHEMA_VERSION}; COMMIT"
            )

    @contextmanager
    def _reasons(self):
        try:
            yield
        except sqlite3.Error as error:
            raise PhotometryError(f"the results cannot be kept in {str(self.path)!r}: {error}.") from error

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
                self._database.executemany("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?)", self._waiting)
            self._waiting = []
        self._written = time.monotonic()

    def measured_paths(self):
        """Paths of the images that need not be measured again: all that did not fail."""
        with self._reasons():
            rows = self._database.execute("SELECT path FROM images WHERE status != 'failed'").fetchall()
        return {os.fsdecode(path) for (path,) in rows}

    def counts(self):
        """Numbers of images looked at, of measurements, and of images that failed."""
        with self._reasons():
            return self._database.execute(
                "SELECT COUNT(*), COALESCE(SUM(n_rows), 0), COALESCE(SUM(status = 'failed'), 0) FROM images"
            ).fetchone()

    def failures(self):
        """(path, reason) of the images that failed, by path."""
        with self._reasons():
            rows = self._database.execute("SELECT path, about FROM images WHERE status = 'failed'").fetchall()
        return sorted((os.fsdecode(path), json.loads(about)["reason"]) for path, about in rows)

    def results(self):
        """Yield the `ImageResult` of each image, by path."""
        with self._reasons():
            paths = [path for (path,) in self._database.execute("SELECT path FROM images")]
        for path in sorted(paths, key=os.fsdecode):
            with self._reasons():
                row = self._database.execute(
                    "SELECT about, texts, sources, rows FROM images WHERE path = ?", (path,)
                ).fetchone()
            yield _unpacked(*row)


def _packed(result):
    """The line of a result in the table of images."""
    n = len(result.rows["source_id"]) if result.rows else 0
    rows, texts = np.zeros(n, dtype=ROW), {}
    if n:
        texts = {name: str(result.rows[name][0]) for name in _TEXTS}
        for name in ROW.names:
            rows[name] = result.rows[name]
    about = result.about
    sources = np.asarray(result.sources, dtype="<i8")
    return (
        os.fsencode(about["path"]),
        about["status"],
        json.dumps(about),
        json.dumps(texts),
        sources.tobytes() if about["status"] == "failed" else b"",
        n,
        rows.tobytes(),
    )


def _unpacked(about, texts, sources, rows):
    array = np.frombuffer(rows, dtype=ROW)
    columns = {}
    if len(array):
        columns = {name: array[name] for name in ROW.names}
        columns |= {name: np.full(len(array), text) for name, text in json.loads(texts).items()}
    return ImageResult(columns, json.loads(about), np.frombuffer(sources, dtype="<i8"))
