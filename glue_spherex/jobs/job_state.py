"""The state of a job, as a value."""

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from pathlib import Path

LOCK_NAME = "lock"
LOG_NAME = "log.txt"
RESULTS_NAME = "results.sqlite"
#: What a job knows of times, in their order.
TIMES = ("submitted", "started", "resumed", "ended")
_MOST_TITLE = 10_000


class Phase(StrEnum):
    """The phases of IVOA's Universal Worker Service that jobs go through; they are queued when they are handed in."""

    QUEUED = "QUEUED"
    EXECUTING = "EXECUTING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    ABORTED = "ABORTED"

    @property
    def is_active(self):
        """Whether the job waits or works."""
        return self in (Phase.QUEUED, Phase.EXECUTING)


@dataclass(frozen=True)
class Job:
    """The state of a job at one moment.

    Attributes
    ----------
    id : str
        Eight hexadecimal digits, also the name of the job's folder.
    title : str
    kind : str
        What it does: "measure".
    phase : Phase
    folder : Path
        Request, targets, log and results of single images.
    result : Path
        Where the spectra are once it is completed.
    submitted, started, resumed, ended : datetime or None
        UTC. `started` is its first start; `resumed` the last one after that, None if there was none.
    n_sources : int
    images_done, images_total : int
        Images looked at, and all of them; 0 of 0 before the images have been found.
    measurements, failures : int
        Rows of spectra, and images that failed.
    seconds : float
        Time it has worked, all its runs together.
    rate : float
        Images per second; 0 while unknown.
    seconds_left : float or None
    message : str
        What it does, or why it ended.
    cancelled : bool
        Whether it has been asked to stop.
    pid : int or None
        Process that works on it.
    """

    id: str
    title: str
    kind: str
    phase: Phase
    folder: Path
    result: Path
    submitted: datetime | None
    started: datetime | None
    resumed: datetime | None
    ended: datetime | None
    n_sources: int
    images_done: int
    images_total: int
    measurements: int
    failures: int
    seconds: float
    rate: float
    seconds_left: float | None
    message: str
    cancelled: bool
    pid: int | None

    @property
    def can_resume(self):
        """Whether something is left to do: it ended early, or single images failed."""
        ended_early = self.phase in (Phase.ERROR, Phase.ABORTED)
        return ended_early or (self.phase is Phase.COMPLETED and self.failures > 0)

    def as_dict(self):
        """JSON-like values; times as ISO 8601."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in TIMES:
            values[name] = values[name].isoformat(timespec="milliseconds") if values[name] else None
        return values | {"phase": str(self.phase), "folder": str(self.folder), "result": str(self.result)}


def one_line(text):
    """A text as one line that any screen can show: without control characters and bytes that are no letters."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())


def clean_title(title):
    """A title of one line, at most 10,000 letters."""
    return one_line(title)[:_MOST_TITLE]


def duration_text(seconds):
    """A time span: ``4 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``; '' for None."""
    if seconds is None:
        return ""
    seconds = max(round(seconds), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"
