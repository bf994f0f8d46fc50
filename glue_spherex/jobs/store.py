"""The store of jobs: an SQLite file with a row per job, shared by every glue and every command of a user.

What a job is to do, its log and its results are files in a folder of its own; the store says what exists and how far it
is. Rows are in the order in which they came, whatever the clock says.
"""

import os
import re
import secrets
import sqlite3
import time
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

from .errors import JobError
from .job_state import TIMES, Job, Phase, one_line
from .store_file import open_store

STORE_NAME, FOLDER_NAME = "jobs.sqlite", "jobs"
#: Jobs that run at the same time unless something else is set.
RUNNING_LIMIT = 2
#: Seconds to wait for other programs that write.
BUSY_SECONDS = 5
_MOST_RUNS = 1000
_ID = re.compile(r"[0-9a-f]{8}")
_FIELDS = tuple(field.name for field in fields(Job) if field.name != "folder")
_WRITABLE = frozenset(_FIELDS) - {"id", "kind"} | {"turn", "attempts"}


def default_home():
    """Where jobs are kept: ``$GLUE_SPHEREX_HOME``, or the user's data folder."""
    home = os.environ.get("GLUE_SPHEREX_HOME")
    if not home:
        from platformdirs import user_data_dir

        home = user_data_dir("glue-spherex")
    return Path(home).absolute()


class JobStore:
    """The jobs of a user.

    Open it, use it in one thread, close it; it is cheap to open.

    Parameters
    ----------
    home : path-like, optional
        Folder that holds the store and the folders of the jobs; see `default_home`.
    clock : callable() -> float, optional
        Seconds since 1970; only for what is shown.
    busy_seconds : float, optional
        How long to wait for other programs that write.

    Raises
    ------
    JobError
        If the store cannot be used, or was written by a newer version; it is left untouched then.
    """

    def __init__(self, home=None, *, clock=time.time, busy_seconds=BUSY_SECONDS):
        self.home = Path(home).absolute() if home is not None else default_home()
        self.path = self.home / STORE_NAME
        self.clock = clock
        self._busy_seconds = busy_seconds
        try:
            self.home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise JobError(
                f"the folder {str(self.home)!r}, where jobs are kept, cannot be made ({error.strerror}); set "
                "GLUE_SPHEREX_HOME to another one."
            ) from error
        with self._sentences():
            self._database = open_store(self.path, busy_seconds)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Close the file."""
        self._database.close()

    @contextmanager
    def _sentences(self):
        """Say what is wrong with the file."""
        try:
            yield
        except sqlite3.Error as error:
            text = str(error)
            if "locked" in text or "busy" in text:
                text = "it is locked by another program; try again in a moment"
            elif "not a database" in text or "malformed" in text:
                text = f"{text}; move it away to begin a new one (the folders of the jobs stay)"
            raise JobError(f"the job store {str(self.path)!r} cannot be used: {text}.") from error

    @contextmanager
    def transaction(self):
        """Do several things at once, with every other writer kept out."""
        with self._sentences():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def folder(self, job_id):
        """The folder of a job.

        Raises
        ------
        JobError
            If `job_id` is not of the form of an id.
        """
        if not isinstance(job_id, str) or not _ID.fullmatch(job_id):
            raise JobError(f"{str(job_id)[:80]!r} is not the id of a job; an id has 8 digits from 0 to f.")
        return self.home / FOLDER_NAME / job_id

    def new_folder(self):
        """Make the folder of a new job, and return its id."""
        while True:
            job_id = secrets.token_hex(4)
            try:
                self.folder(job_id).mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError as error:
                raise JobError(
                    f"the folder of a job cannot be made in {str(self.home)!r}: {error.strerror}."
                ) from error
            return job_id

    def insert(self, job_id, title, n_sources, result=None, kind="measure"):
        """A new job, queued.

        Parameters
        ----------
        job_id : str
            From `new_folder`.
        title : str
        n_sources : int
        result : str, optional
            Result folder; the folder ``result`` of the job if None.
        kind : str
        """
        with self._sentences():
            self._database.execute(
                "INSERT INTO jobs (id, title, kind, phase, result, submitted, n_sources, turn, message) "
                f"VALUES (?, ?, ?, ?, ?, ?, ?, {_NEXT_TURN}, 'waits for its turn')",
                (job_id, title, kind, Phase.QUEUED, result and os.fsencode(result), self.clock(), n_sources),
            )

    def jobs(self):
        """All `Job`, the newest first."""
        with self._sentences():
            rows = self._database.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY number DESC").fetchall()
        return [self._job(row) for row in rows]

    def job(self, job_id):
        """One `Job`.

        Raises
        ------
        JobError
            If there is none of this id.
        """
        self.folder(job_id)
        with self._sentences():
            row = self._database.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            raise JobError(f"there is no job {job_id} in {str(self.path)!r}; `glue-spherex jobs list` shows all.")
        return self._job(row)

    def in_phase(self, phase):
        """The jobs of a phase, in the order of their turns."""
        with self._sentences():
            rows = self._database.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE phase = ? ORDER BY turn, number", (phase,)
            ).fetchall()
        return [self._job(row) for row in rows]

    def with_result(self, result):
        """The jobs whose result folder is a given one."""
        with self._sentences():
            rows = self._database.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE result = ? ORDER BY number", (os.fsencode(result),)
            ).fetchall()
        return [self._job(row) for row in rows]

    def update(self, job_id, **values):
        """Change what the store says about a job.

        Parameters
        ----------
        job_id : str
        **values
            Columns and their new values.
        """
        assert values.keys() <= _WRITABLE, values
        if "message" in values:  # it may quote the name of any file
            values["message"] = one_line(values["message"])
        marks = ", ".join(f"{name} = ?" for name in values)
        with self._sentences():
            self._database.execute(f"UPDATE jobs SET {marks} WHERE id = ?", (*values.values(), job_id))

    def update_soon(self, job_id, **values):
        """The same without waiting for other writers; False if it was not possible."""
        self._database.execute("PRAGMA busy_timeout = 20")
        try:
            self.update(job_id, **values)
        except JobError:
            return False
        finally:
            self._database.execute(f"PRAGMA busy_timeout = {round(1000 * self._busy_seconds)}")
        return True

    def queue(self, job_id):
        """Put a job at the end of the queue, because somebody wishes it."""
        with self._sentences():
            self._database.execute(
                f"UPDATE jobs SET phase = ?, turn = {_NEXT_TURN}, cancelled = 0, pid = NULL, ended = NULL, "
                "attempts = 0, seconds_left = NULL, message = 'waits for its turn' WHERE id = ?",
                (Phase.QUEUED, job_id),
            )

    def attempts(self, job_id):
        """How often a worker was started for a job since it last got further."""
        with self._sentences():
            return self._database.execute("SELECT attempts FROM jobs WHERE id = ?", (job_id,)).fetchone()[0]

    def is_cancelled(self, job_id):
        """Whether a job has been asked to stop, or is no longer in the store."""
        with self._sentences():
            row = self._database.execute("SELECT cancelled FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return row is None or bool(row[0])

    def delete(self, job_id):
        """Forget a job."""
        with self._sentences():
            self._database.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def running_limit(self):
        """How many jobs run at the same time."""
        with self._sentences():
            row = self._database.execute("SELECT value FROM choices WHERE name = 'running_limit'").fetchone()
        return row[0] if row else RUNNING_LIMIT

    def set_running_limit(self, number):
        """Choose how many jobs run at the same time.

        Parameters
        ----------
        number : int
            From 1 to 64.
        """
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 64:
            raise JobError(f"jobs at the same time: {number!r}; a whole number from 1 to 64 is needed.")
        with self._sentences():
            self._database.execute("INSERT OR REPLACE INTO choices VALUES ('running_limit', ?)", (number,))

    def add_run(self, **values):
        """Note how long a run took; see `record`. The oldest are forgotten."""
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        with self.transaction():
            self._database.execute(f"INSERT INTO runs ({names}) VALUES ({marks})", tuple(values.values()))
            self._database.execute("DELETE FROM runs WHERE number <= (SELECT MAX(number) FROM runs) - ?", (_MOST_RUNS,))

    def runs(self, **values):
        """The columns of noted runs with some values, the newest first: list of dict."""
        where = " AND ".join(["1", *(f"{name} = ?" for name in values)])
        with self._sentences():
            found = self._database.execute(
                f"SELECT * FROM runs WHERE {where} ORDER BY number DESC", tuple(values.values())
            )
            names = [column[0] for column in found.description]
            return [dict(zip(names, row)) for row in found]

    def change_counter(self):
        """A number that differs from that of an earlier call after any other program has written; costs microseconds.

        It counts for this object only, and does not see what is written through it.
        """
        with self._sentences():
            return self._database.execute("PRAGMA data_version").fetchone()[0]

    def _job(self, row):
        values = dict(zip(_FIELDS, row))
        folder = self.folder(values["id"])
        for name in TIMES:
            values[name] = _moment(values[name])
        return Job(
            **values
            | {
                "phase": Phase(values["phase"]),
                "folder": folder,
                "result": Path(os.fsdecode(values["result"])) if values["result"] else folder / "result",
                "cancelled": bool(values["cancelled"]),
            }
        )


_COLUMNS = ", ".join(_FIELDS)
_NEXT_TURN = "(SELECT COALESCE(MAX(turn), 0) + 1 FROM jobs)"


def _moment(seconds):
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
