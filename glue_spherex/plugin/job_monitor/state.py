"""What the job monitor shows and can do, without a window."""

from echo import CallbackProperty, SelectionCallbackProperty, delay_callback
from glue.core.state_objects import State

from ... import jobs as desk
from ...jobs import Phase
from . import texts
from .table import BY_NAME, FILTERS, shown_jobs

#: What can be done with the chosen jobs.
ACTIONS = ("show", "preview", "abort", "resume", "again", "info", "folder", "delete")
_SEVERAL = ("abort", "resume", "delete")


class JobMonitorState(State):
    """The jobs of the user, which of them are shown, and what can be done with them.

    Attributes
    ----------
    jobs : tuple of Job
        All of them, the newest first.
    shown : tuple of Job
        Those of the table, in its order.
    chosen : tuple of str
        The ids of the lines that are selected.
    problem : str
        Why the store cannot be used now; '' if it can.
    notice : str
        What was done or has ended last.
    failed : bool
        Whether `notice` says why something could not be done.
    reading : tuple of str
        The ids of the jobs whose results are being read.
    """

    jobs = CallbackProperty((), docstring="all jobs, the newest first")
    shown = CallbackProperty((), docstring="the jobs of the table in their order")
    chosen = CallbackProperty((), docstring="ids of the selected lines")
    words = CallbackProperty("", docstring="words that the lines have to hold")
    phases = SelectionCallbackProperty(docstring="phases that are shown")
    sort_by = CallbackProperty("", docstring="column by which the table is sorted; '' for the newest first")
    descending = CallbackProperty(False, docstring="whether the largest stands first")
    running_limit = CallbackProperty(None, docstring="how many jobs run at once")
    problem = CallbackProperty("", docstring="why the store cannot be used")
    notice = CallbackProperty("", docstring="what was done or has ended last")
    failed = CallbackProperty(False, docstring="whether the notice says why something could not be done")
    reading = CallbackProperty((), docstring="ids of the jobs whose results are being read")

    def __init__(self):
        super().__init__()
        JobMonitorState.phases.set_choices(self, list(FILTERS))
        for name in ("jobs", "words", "phases", "sort_by", "descending"):
            self.add_callback(name, self._arrange)

    # -- what is seen -------------------------------------------------------------------------------------------------

    def take(self, sight):
        """Take notice of what the store says.

        Parameters
        ----------
        sight : Sight

        Returns
        -------
        list of Job
            Those that have ended since the last time; all that have ended count as seen the first time.
        """
        self.problem = sight.problem
        if sight.jobs is None:
            return []
        active = {job.id for job in self.jobs if job.phase.is_active}
        with delay_callback(self, "jobs", "running_limit"):
            self.jobs, self.running_limit = sight.jobs, sight.running_limit
        return [job for job in sight.jobs if job.id in active and not job.phase.is_active]

    def _arrange(self, *args):
        shown = tuple(shown_jobs(self.jobs, self.words, self.phases, self.sort_by, self.descending))
        there = {job.id for job in shown}
        with delay_callback(self, "shown", "chosen"):
            self.shown = shown
            self.chosen = tuple(job_id for job_id in self.chosen if job_id in there)

    def choose(self, ids):
        """Select lines; what was done last is no longer of interest.

        Parameters
        ----------
        ids : iterable of str
        """
        if set(ids) != set(self.chosen):
            self.say("")
            self.chosen = tuple(ids)

    def sort(self, name, descending):
        """Sort by a column; '' to have the newest first."""
        assert not name or name in BY_NAME, name
        with delay_callback(self, "sort_by", "descending"):
            self.sort_by, self.descending = name, bool(descending)

    @property
    def summary(self):
        """A line about all jobs, and how many of them are shown."""
        line = texts.summary_text(self.jobs)
        return line if len(self.shown) == len(self.jobs) else f"{line} · {len(self.shown)} shown"

    def find(self, job_id):
        """The job of an id, or None."""
        return next((job for job in self.jobs if job.id == job_id), None)

    @property
    def chosen_jobs(self):
        """The selected jobs, in the order of the table."""
        return [job for job in self.shown if job.id in set(self.chosen)]

    def say(self, text, failed=False):
        """Say what was done, or why it could not be."""
        with delay_callback(self, "notice", "failed"):
            self.notice, self.failed = text, failed

    @property
    def message(self):
        """The line below the table: what is wrong with the store, what was done last, or about the chosen job."""
        if self.problem or self.notice:
            return self.problem or self.notice
        jobs = self.chosen_jobs
        if len(jobs) == 1:
            return texts.message_text(jobs[0])
        return f"{len(jobs)} jobs are selected." if jobs else ""

    # -- what can be done ---------------------------------------------------------------------------------------------

    def why_not(self, action):
        """Why something cannot be done with the selected jobs.

        Parameters
        ----------
        action : str
            One of `ACTIONS`.

        Returns
        -------
        str
            A sentence; '' if it can be done.
        """
        jobs = self.chosen_jobs
        if not jobs:
            return "Select a job first."
        if len(jobs) > 1 and action not in _SEVERAL:
            return "Select one job only."
        if action == "show" and jobs[0].id in self.reading:
            return "Its files are being read."
        reasons = [_REASONS[action](job) for job in jobs if action in _REASONS]
        return "" if not reasons or "" in reasons else reasons[0]

    def work(self, action):
        """Something to do with each selected job that allows it.

        Parameters
        ----------
        action : {"abort", "resume", "delete"}

        Returns
        -------
        callable() -> (str, bool)
            Does it, in any thread; says what was done, and whether something failed.
        """
        function, sentence = _WORK[action]
        jobs = [job for job in self.chosen_jobs if not _REASONS[action](job)]

        def work():
            done, problems = [], []
            for job in jobs:
                try:
                    function(job.id)
                    done.append(job)
                except (desk.JobError, OSError) as error:
                    problems.append(f"{texts.named(job)}: {error}")
            what = texts.named(done[0]) if len(done) == 1 else f"Each of {len(done)} jobs"
            return " ".join([*problems, *([f"{what} {sentence}"] if done else [])]), bool(problems)

        return work

    def deletion_question(self):
        """What is asked before the selected jobs are deleted."""
        jobs = [job for job in self.chosen_jobs if not _why_not_delete(job)]
        if len(jobs) == 1:
            job = jobs[0]
            what = f"Delete the job {texts.named(job)} and its folder {texts.short(job.folder, 300)}?"
            outside = not job.result.is_relative_to(job.folder)
            kept = f"The result in {texts.short(job.result, 300)} stays." if outside else "Its result is deleted, too."
            return f"{what}\n\n{kept if job.phase is Phase.COMPLETED or outside else 'What it has measured is lost.'}"
        return f"Delete {len(jobs)} jobs and their folders?\n\nResults in the folders of the jobs are deleted, too."


def _why_not_show(job):
    return "" if job.phase is Phase.COMPLETED else "There is a result once the job is completed."


def _why_not_preview(job):
    if job.phase is Phase.COMPLETED:
        return "The job is completed: show its result."
    return "" if job.measurements else "Nothing is measured yet."


def _why_not_abort(job):
    return "" if job.phase.is_active else "The job has ended already."


def _why_not_resume(job):
    if job.phase.is_active:
        return "The job waits or runs already."
    return "" if job.can_resume else "The job is completed without failures; nothing is left to do."


def _why_not_delete(job):
    return "The job runs; abort it first." if job.phase is Phase.EXECUTING else ""


_REASONS = {
    "show": _why_not_show,
    "preview": _why_not_preview,
    "abort": _why_not_abort,
    "resume": _why_not_resume,
    "delete": _why_not_delete,
}

_WORK = {
    "abort": (desk.cancel, "stops; what is measured is kept."),
    "resume": (desk.resume, "goes on."),
    "delete": (desk.remove, "is deleted."),
}
