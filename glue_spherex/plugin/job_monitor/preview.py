"""The spectrum of a job as far as it is measured: a dataset that grows while the job runs, and becomes its result."""

import time

from ... import jobs as desk
from ...jobs import JobError, Phase
from ..links import link_all
from ..loader import spectrum_data
from ..target_data import target_table_from
from .replacing import replace_values
from .result_loading import data_of_job, is_preview, load_result
from .row_keys import moved_rows, order_with_new_rows_last
from .texts import is_preview_label, preview_label, short

#: A preview has at most so many sources, the first ones; and so many rows, if that is more than one source.
MOST_SOURCES, MOST_ROWS = 100, 50_000
#: Between two looks: at least this many seconds, and this many times as long as the last look took.
SECONDS, TIMES = 2.0, 10.0
_PATIENCE_SECONDS = 10.0


class Preview:
    """The spectrum of a job that fills in.

    `read` may be called in another thread than the rest.

    Parameters
    ----------
    job_id : str
    seen : tuple, optional
        Measurements and phase when it was shown last; None if it has not been shown yet.
    """

    def __init__(self, job_id, seen=None):
        self.job_id = job_id
        self.seen = seen
        self._due = self._began = self._cost = 0.0
        self._n_sources = MOST_SOURCES

    def is_due(self, job, now=None):
        """Whether there is more to see, and looking at it is not too dear.

        Parameters
        ----------
        job : Job
            Its state now.
        now : float, optional
            `time.monotonic`.
        """
        now = time.monotonic() if now is None else now
        return now >= self._due and _seen(job) != self.seen

    def read(self, job):
        """Read what is measured.

        Parameters
        ----------
        job : Job

        Returns
        -------
        QTable
            The first sources, as many as a preview shows.
        """
        began = time.monotonic()
        table = desk.partial_spectra(self.job_id, n_sources=self._n_sources)
        if len(table) > MOST_ROWS:  # rows are in the order of their sources
            self._n_sources = max(int(table["source_id"][MOST_ROWS]), 1)
            table = table[table["source_id"] < self._n_sources]
        self._cost = time.monotonic() - began
        return table

    def n_shown(self, job):
        """How many sources are shown; None if that is all of them."""
        return self._n_sources if self._n_sources < job.n_sources else None

    def show(self, data_collection, job, table):
        """Show what was read: in a new dataset, or in the one that shows the job already.

        Parameters
        ----------
        data_collection : glue.core.DataCollection
        job : Job
            As it was when the table was read.
        table : QTable

        Returns
        -------
        glue.core.Data

        Raises
        ------
        JobError
            If there are no rows yet.
        """
        self._began = time.monotonic()
        self.seen = _seen(job)
        data = data_of_job(data_collection, self.job_id)
        if data is not None and not is_preview(data):
            return data
        if not len(table):
            raise JobError(f"nothing is measured yet in the job {short(job.title, 60)!r}; try again in a moment.")
        data = self._put(data_collection, data, job, table)
        self.rest()
        return data

    def rest(self, now=None):
        """Look again the later, the longer this look has taken until now: to be called when the viewers are drawn, too.

        Parameters
        ----------
        now : float, optional
            `time.monotonic`.
        """
        now = time.monotonic() if now is None else now
        self._due = now + max(SECONDS, TIMES * (self._cost + now - self._began))

    def postpone(self):
        """Look again some time later: it could not be read now."""
        self._due = time.monotonic() + _PATIENCE_SECONDS

    def _put(self, data_collection, data, job, table):
        new = spectrum_data(table)
        if data is not None:
            order, moved = order_with_new_rows_last(moved_rows(data, new), new.size)
            new = spectrum_data(table[order])
        new.meta["spherex"] |= {"job": self.job_id, "running": True}
        label = preview_label(job, self.n_shown(job))
        if data is None:
            new.label = label
            data_collection.append(new)
            data_collection.append(self._targets_of(new, job))
            link_all(data_collection)
            return new
        replace_values(data, new, moved)
        if data.label != label and is_preview_label(data.label, job):
            data.label = label
        targets = data_of_job(data_collection, self.job_id, "targets")
        if targets is not None:
            fresh = self._targets_of(data, job)
            replace_values(targets, fresh, moved_rows(targets, fresh))
        return data

    def _targets_of(self, data, job):
        targets = target_table_from(data)
        targets.label = f"targets of {short(job.title, 60)}"
        targets.meta["spherex"] |= {"job": self.job_id, "running": True}
        return targets


def _seen(job):
    return job.measurements, job.phase


def open_preview(data_collection, job_id):
    """Show the spectrum of a job as far as it is measured; called again, new rows are added to the dataset.

    Parameters
    ----------
    data_collection : glue.core.DataCollection
    job_id : str

    Returns
    -------
    glue.core.Data
        Rows keep their numbers while it grows. Of very many sources it has the first ones, as its label says. Of a
        completed job, its result.

    Raises
    ------
    JobError
        If there is no such job, or nothing is measured yet.
    """
    job = desk.job(job_id)
    if job.phase is Phase.COMPLETED:
        return load_result(data_collection, job_id)
    preview = Preview(job_id)
    return preview.show(data_collection, job, preview.read(job))
