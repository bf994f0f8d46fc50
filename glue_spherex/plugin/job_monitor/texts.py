"""What is read in the table of jobs: phases, times, progress. Texts are plain; only `tooltip` gives HTML."""

from dataclasses import replace
from html import escape
from typing import NamedTuple

from ...jobs import Phase
from ...jobs.job_state import duration_text

#: Letters of a title in the table; the information about a job shows all of it.
MOST_LETTERS = 200
_MOST_TIP = 1000
_BYTES_PER_ROW = 1200  # in memory, of a spectrum that is loaded


class Look(NamedTuple):
    """How a phase is shown.

    ``word``: what it is called; ``colour``: as ``#rrggbb``; ``sign``: the letter-like sign in its icon.
    """

    word: str
    colour: str
    sign: str


PHASES = {
    Phase.QUEUED: Look("Queued", "#6b7280", "…"),
    Phase.EXECUTING: Look("Running", "#1d6fd1", "▶"),
    Phase.COMPLETED: Look("Completed", "#1a7f37", "✓"),
    Phase.ERROR: Look("Error", "#b00020", "!"),
    Phase.ABORTED: Look("Aborted", "#9a6700", "■"),
}
#: What is called after a job has ended.
_ENDS = {Phase.COMPLETED: "is completed", Phase.ERROR: "has failed", Phase.ABORTED: "was aborted"}
_KINDS = {"measure": "Spectra"}


def phase_look(job):
    """How the phase of a job is shown; a running one that was told to stop is "Stopping", one with failures says so.

    Parameters
    ----------
    job : Job

    Returns
    -------
    Look
    """
    look = PHASES[job.phase]
    if job.phase is Phase.EXECUTING and job.cancelled:
        return look._replace(word="Stopping", colour=PHASES[Phase.ABORTED].colour)
    if job.phase is Phase.COMPLETED and job.failures:
        return look._replace(word=f"Completed, {job.failures} failed", colour="#9a6700", sign="!")
    return look


def phase_text(job):
    """The phase of a job in words; of one that has failed, with the reason."""
    word = phase_look(job).word
    return f"{word}: {short(job.message)}" if job.phase is Phase.ERROR and job.message else word


def message_text(job):
    """What a job says, and of a running one how far it is."""
    parts = [short(job.message, 500)]
    if job.phase is Phase.EXECUTING and job.images_total:
        parts += [f"{job.images_done:,} of {job.images_total:,} images done", f"{job.measurements:,} measurements"]
        parts += [f"{left_text(job)} left"] if left_text(job) else []
    return f"{named(job)}: {', '.join(parts)}"


def kind_text(job):
    """What a job makes."""
    return _KINDS.get(job.kind, short(job.kind, 40))


def moment_text(moment):
    """A time in the user's own time zone, to the minute; '' for None."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M") if moment else ""


def exact_moment_text(moment):
    """A time in the user's own time zone, to the second, and in UTC; '' for None."""
    if moment is None:
        return ""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S} (UTC {moment:%Y-%m-%d %H:%M:%S})"


def left_text(job):
    """The time left of a running job; '' where it is not known."""
    return duration_text(job.seconds_left) if job.phase is Phase.EXECUTING and not job.cancelled else ""


def images_text(job):
    """How many images a job has; '' before they have been found."""
    return str(job.images_total) if job.images_total else ""


def progress_of(job):
    """Which part of the images of a job is done.

    Parameters
    ----------
    job : Job

    Returns
    -------
    part : float or None
        0 to 1; None before the images have been found.
    text : str
    """
    if not job.images_total:
        return None, "finding images" if job.phase is Phase.EXECUTING else ""
    part = min(max(job.images_done / job.images_total, 0.0), 1.0)
    return part, f"{job.images_done} of {job.images_total}"


def short(text, length=MOST_LETTERS):
    """A text with at most `length` letters; a longer one ends in …"""
    text = str(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def tooltip(text):
    """A plain text as HTML for a tooltip, which would take it for HTML where it looks like it."""
    return f"<p style='white-space: pre-wrap'>{escape(short(text, _MOST_TIP))}</p>" if text else ""


def named(job):
    """A job as it is called in sentences."""
    return f"“{short(job.title, 60)}”"


def preview_label(job, n_shown=None):
    """What the dataset of a job that has no result yet is called; it may have the first sources alone."""
    part = "" if n_shown is None else f", first {n_shown:,} of {job.n_sources:,} sources"
    return f"{short(job.title, 60)} ({PHASES[job.phase].word.lower()}{part})"


def is_preview_label(label, job):
    """Whether a dataset is still called as `preview_label` did in any phase, not by a name that the user gave it."""
    begins = [preview_label(replace(job, phase=phase)).removesuffix(")") for phase in Phase]
    return any(label == f"{begin})" or label.startswith(f"{begin}, first ") for begin in begins)


def preview_text(job, n_shown):
    """That a preview has the first sources alone; '' if it has all."""
    if n_shown is None:
        return ""
    which = f"the first {n_shown:,} of {job.n_sources:,} sources are" if n_shown > 1 else "the first source alone is"
    return f"{named(job)}: {which} shown as long as there is no result."


def ended_text(job):
    """That a job has ended, in a sentence."""
    what = _ENDS.get(job.phase, f"is {PHASES[job.phase].word.lower()}")
    return f"{named(job)} {what}: {short(job.message, 300)}".rstrip(": ").rstrip(".") + "."


def not_loaded_text(job):
    """Why a large result is not loaded by itself, and what to do."""
    return (
        f"Its {job.measurements:,} measurements are not loaded by themselves, {_cost_text(job)}. Open single sources "
        f"from {short(job.result / 'spectra', 300)}, or press Show result to load all."
    )


def loading_question(job):
    """What is asked before a large result is loaded."""
    return (
        f"Load {job.measurements:,} measurements of {job.n_sources:,} sources, {_cost_text(job)}?\n\nThe spectra of "
        f"single sources are in {short(job.result / 'spectra', 300)}; each can be opened as a file."
    )


def _cost_text(job):
    gigabytes = job.measurements * _BYTES_PER_ROW / 1e9
    return f"which takes minutes and about {gigabytes:.1f} GB of memory"


def summary_text(jobs):
    """A line about all jobs: how many there are, wait, run, are completed and failed, and the time that is left.

    Parameters
    ----------
    jobs : sequence of Job

    Returns
    -------
    str
    """
    if not jobs:
        return "No jobs"
    count = {phase: sum(job.phase is phase for job in jobs) for phase in Phase}
    parts = [f"{len(jobs)} job{'s' if len(jobs) > 1 else ''}"]
    left = [job.seconds_left for job in jobs if job.phase is Phase.EXECUTING and job.seconds_left is not None]
    running = f"running, {duration_text(max(left))} left" if left else "running"
    for number, word in ((count[Phase.EXECUTING], running), (count[Phase.QUEUED], "queued"),
                         (count[Phase.COMPLETED], "completed"), (count[Phase.ERROR], "with errors"),
                         (count[Phase.ABORTED], "aborted")):  # fmt: skip
        if number:
            parts.append(f"{number} {word}")
    return " · ".join(parts)
