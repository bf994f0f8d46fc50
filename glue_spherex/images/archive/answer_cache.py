"""Answers of the archive, kept with their date: a search that was made is not made again, and works offline.

A cache: it can be deleted at any time. Two processes may use it at once.
"""

import json
import sqlite3
import time
import zlib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ..index import default_index_path
from .answers import ArchiveImage
from .grouping import SkyCircle

SCHEMA_VERSION = 2  # change it with the columns of ArchiveImage or their meaning: older answers are then forgotten
_BUSY_SECONDS = 30


@dataclass(frozen=True)
class KeptAnswer:
    """An answer and when it was given.

    Parameters
    ----------
    images : list of ArchiveImage
    date : float
        Seconds since 1970.
    checked : bool
        Whether a service that does not lag behind has confirmed it.
    """

    images: list
    date: float
    checked: bool


class AnswerCache:
    """Answers to searches, in a SQLite file.

    Parameters
    ----------
    path : path-like, optional
        Beside the image index by default.

    Attributes
    ----------
    notes : list of str
        Why the cache could not be used, if so: it is then done without.
    """

    def __init__(self, path=None):
        self.path = Path(path) if path is not None else default_index_path().with_name("archive-answers.sqlite")
        self.notes = []

    def answer(self, service, collection, circle):
        """The newest answer about a collection for a circle on the sky or a wider one; None if there is none.

        Parameters
        ----------
        service : str
            Address of the search service.
        collection : str
        circle : SkyCircle

        Returns
        -------
        KeptAnswer or None
        """
        reach = 1e-9 + circle.radius
        rows = self._run(
            "SELECT ra, dec, radius, rowid FROM answers WHERE service = ? AND collection = ? AND radius >= ?"
            " AND ABS(dec - ?) <= radius - ? + 1e-6 ORDER BY date DESC",
            (service, collection, circle.radius - 1e-9, circle.dec, reach),
        )
        for ra, dec, radius, number in rows:
            if SkyCircle(ra, dec, radius).holds(circle):
                return self._kept(number)
        return None

    def _kept(self, number):
        for data, date, checked in self._run("SELECT images, date, checked FROM answers WHERE rowid = ?", (number,)):
            try:
                images = [ArchiveImage.from_values(values) for values in json.loads(zlib.decompress(data))]
                return KeptAnswer(images, date, bool(checked))
            except (zlib.error, ValueError, TypeError) as error:
                self._note(error)
        return None

    def images(self):
        """The images of all answers, in the order in which they were given; some more than once."""
        rows = self._run("SELECT rowid FROM answers ORDER BY date")
        return [image for (number,) in rows if (kept := self._kept(number)) for image in kept.images]

    def keep(self, service, collection, circle, images, date, checked=True):
        """Keep an answer; narrower and older ones about the same part of the sky are forgotten.

        Parameters
        ----------
        service, collection, circle
            As in `answer`.
        images, date, checked
            As in `KeptAnswer`.
        """
        data = zlib.compress(json.dumps([image.as_values() for image in images]).encode(), 1)
        old = self._run(
            "SELECT ra, dec, radius, rowid FROM answers WHERE service = ? AND collection = ? AND ABS(dec - ?) <= ?",
            (service, collection, circle.dec, circle.radius),
        )
        held = [(number,) for *where, number in old if circle.holds(SkyCircle(*where))]
        self._run("DELETE FROM answers WHERE rowid = ?", held, many=True)
        self._run(
            "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (service, collection, circle.ra, circle.dec, circle.radius, date, checked, data),
        )

    def names(self, service):
        """The collections that a service listed, as (names, date); None if it was not asked yet."""
        rows = self._run("SELECT names, date FROM listings WHERE service = ?", (service,))
        return next(((json.loads(names), date) for names, date in rows), None)

    def keep_names(self, service, names):
        """Keep the collections that a service lists."""
        self._run("INSERT OR REPLACE INTO listings VALUES (?, ?, ?)", (service, json.dumps(names), time.time()))

    def clear(self):
        """Forget everything."""
        self._run("DELETE FROM answers")
        self._run("DELETE FROM listings")
        self._run("VACUUM")

    def _run(self, command, values=(), many=False):
        """Rows of a command; none, and a note, if the file cannot be used."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS)) as database, database:
                if database.execute("PRAGMA user_version").fetchone()[0] != SCHEMA_VERSION:
                    _create(database)
                cursor = database.executemany(command, values) if many else database.execute(command, values)
                return cursor.fetchall()
        except (sqlite3.Error, OSError) as error:
            self._note(error)
            return []

    def _note(self, error):
        text = f"the cache of searches {self.path} cannot be used ({error}); if this lasts, delete it."
        if text not in self.notes:
            self.notes.append(text)


def _create(database):
    database.execute("BEGIN IMMEDIATE")
    if database.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION:  # by another process meanwhile
        return
    database.execute("DROP TABLE IF EXISTS answers")
    database.execute("DROP TABLE IF EXISTS listings")
    database.execute(
        "CREATE TABLE answers (service TEXT, collection TEXT, ra REAL, dec REAL, radius REAL, date REAL, checked INT,"
        " images BLOB)"
    )
    database.execute("CREATE INDEX by_service ON answers (service, collection)")
    database.execute("CREATE TABLE listings (service TEXT PRIMARY KEY, names TEXT, date REAL)")
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
