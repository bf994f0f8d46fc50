"""The columns of the table of jobs, and which jobs it shows in which order."""

from typing import NamedTuple

from ...jobs import Phase
from . import texts


class Column(NamedTuple):
    """A column of the table.

    ``name``: for programs; ``head``: above it; ``hint``: what it holds; ``text``: callable(job) -> str; ``key``:
    callable(job), what it is sorted by; ``is_number``: whether it stands at the right.
    """

    name: str
    head: str
    hint: str
    text: object
    key: object
    is_number: bool = False


def _time(moment):
    return moment.timestamp() if moment else float("-inf")


def _left(job):
    known = job.phase is Phase.EXECUTING and job.seconds_left is not None
    return job.seconds_left if known else float("inf")


_ORDER = [Phase.EXECUTING, Phase.QUEUED, Phase.ERROR, Phase.ABORTED, Phase.COMPLETED]

COLUMNS = (
    Column("title", "Title", "What the job is called", lambda job: texts.short(job.title),
           lambda job: job.title.casefold()),
    Column("kind", "Type", "What the job makes", texts.kind_text, texts.kind_text),
    Column("sources", "Sources", "Number of sources that are measured", lambda job: str(job.n_sources),
           lambda job: job.n_sources, True),
    Column("images", "Images", "Number of images that may hold a source", texts.images_text,
           lambda job: job.images_total, True),
    Column("start", "Start", "When it first began, in your time zone", lambda job: texts.moment_text(job.started),
           lambda job: _time(job.started)),
    Column("end", "End", "When it ended, in your time zone", lambda job: texts.moment_text(job.ended),
           lambda job: _time(job.ended)),
    Column("phase", "Phase", "What it does now; rest the mouse on a cell for the reason",
           texts.phase_text, lambda job: _ORDER.index(job.phase)),
    Column("progress", "Progress", "Images that are done", lambda job: texts.progress_of(job)[1],
           lambda job: -1.0 if texts.progress_of(job)[0] is None else texts.progress_of(job)[0]),
    Column("left", "Time left", "At the speed of the images so far", texts.left_text, _left, True),
)  # fmt: skip
BY_NAME = {column.name: column for column in COLUMNS}

#: Which phases can be asked for.
FILTERS = {
    "all jobs": tuple(Phase),
    "waiting or running": (Phase.QUEUED, Phase.EXECUTING),
    "completed": (Phase.COMPLETED,),
    "error or aborted": (Phase.ERROR, Phase.ABORTED),
}


def shown_jobs(jobs, words="", phases="all jobs", sort_by="", descending=False):
    """The jobs that are shown, in their order.

    Parameters
    ----------
    jobs : sequence of Job
        The newest first.
    words : str, optional
        Each of these words has to be in the title, the message, the id or the name of the phase, in any case.
    phases : str, optional
        A key of `FILTERS`.
    sort_by : str, optional
        Name of a column; '' to have the newest first.
    descending : bool, optional

    Returns
    -------
    list of Job
        Those that are equal have the newest first.
    """
    words = words.casefold().split()
    found = [job for job in jobs if job.phase in FILTERS[phases] and all(word in _searched(job) for word in words)]
    if sort_by:
        found.sort(key=BY_NAME[sort_by].key, reverse=descending)
    elif descending:
        found.reverse()
    return found


def _searched(job):
    return "\n".join((job.title, job.message, job.id, texts.phase_look(job).word, texts.kind_text(job))).casefold()
