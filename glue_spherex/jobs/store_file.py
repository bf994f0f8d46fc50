"""The file of the store of jobs: its layout, and how an older one is brought up to it."""

import random
import sqlite3
import time

from .errors import JobError

#: What brings a store from layout n to layout n + 1; append only.
STEPS = (
    (
        """CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, title TEXT NOT NULL, kind TEXT NOT NULL,
        phase TEXT NOT NULL, result BLOB, submitted REAL, started REAL, ended REAL, turn INTEGER NOT NULL DEFAULT 0,
        n_sources INTEGER NOT NULL DEFAULT 0, images_done INTEGER NOT NULL DEFAULT 0,
        images_total INTEGER NOT NULL DEFAULT 0, measurements INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0, rate REAL NOT NULL DEFAULT 0,
        seconds_left REAL, message TEXT NOT NULL DEFAULT '', cancelled INTEGER NOT NULL DEFAULT 0, pid INTEGER,
        attempts INTEGER NOT NULL DEFAULT 0)""",
        "CREATE INDEX jobs_by_phase ON jobs (phase, turn)",
        "CREATE TABLE choices (name TEXT PRIMARY KEY, value)",
    ),
    (
        """CREATE TABLE runs (
        number INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, machine TEXT NOT NULL, version TEXT NOT NULL,
        engine TEXT NOT NULL, settings TEXT NOT NULL, workers INTEGER NOT NULL, scheduler TEXT NOT NULL,
        images INTEGER NOT NULL, measurements INTEGER NOT NULL, image_bytes REAL NOT NULL, seconds REAL NOT NULL)""",
    ),
    ("ALTER TABLE jobs ADD COLUMN resumed REAL",),
)


def open_store(path, busy_seconds):
    """Open a store; an older one is brought up to this program's layout.

    Parameters
    ----------
    path : Path
        Made if it does not exist.
    busy_seconds : float
        How long to wait for other programs that write.

    Returns
    -------
    sqlite3.Connection

    Raises
    ------
    JobError
        If it was written by a newer version; it is left untouched then.
    sqlite3.Error
        If it cannot be used.
    """
    end = time.monotonic() + busy_seconds
    while True:
        database = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
        try:
            _check_layout(database, path)
            if database.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            _migrate(database)
            return database
        except sqlite3.OperationalError as error:  # two that begin a store at once do not wait for each other
            database.close()
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.02 * (1 + random.random()))
        except BaseException:
            database.close()
            raise


def _check_layout(database, path):
    layout = database.execute("PRAGMA user_version").fetchone()[0]
    if layout > len(STEPS):
        raise JobError(
            f"the job store {str(path)!r} was written by a newer version of glue-spherex (layout {layout}; this one "
            f"knows up to {len(STEPS)}). It has been left as it is: update glue-spherex, or set GLUE_SPHEREX_HOME to "
            "another folder."
        )
    return layout


def _migrate(database):
    if database.execute("PRAGMA user_version").fetchone()[0] == len(STEPS):
        return
    database.execute("BEGIN IMMEDIATE")
    try:
        layout = database.execute("PRAGMA user_version").fetchone()[0]  # another program may have been faster
        for statements in STEPS[layout:]:
            for statement in statements:
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {len(STEPS)}")
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise
