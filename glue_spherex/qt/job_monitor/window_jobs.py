"""What a window of glue knows of the jobs: it looks at the store, tells the end of jobs, and fills previews in."""

import time
from contextlib import suppress
from weakref import WeakKeyDictionary

from glue.core.hub import HubListener
from glue.core.message import ApplicationClosedMessage
from qtpy import QtCore, QtWidgets

from ...jobs import Phase
from ...plugin.columns import plugin_meta, spectra_in
from ...plugin.job_monitor import texts
from ...plugin.job_monitor.preview import Preview
from ...plugin.job_monitor.result_loading import (
    data_of_job,
    is_large,
    is_preview,
    load_result,
    loaded_files,
    read_result,
)
from ...plugin.job_monitor.state import JobMonitorState
from ...plugin.job_monitor.watching import StoreView
from ..open_dialogs import window_of
from .background import Background
from .layout import all_points_in_view, show_in_viewers, tab_renamed

#: Between two looks at the store, which cost next to nothing as long as nothing happens.
LOOK_MS = 250
#: Nothing is looked at for so many times as long as it took to read all jobs, at most some seconds.
_TIMES, _MOST_SECONDS = 20, 5.0
_STATUS_MS = 15_000
_READING = "The files of the result are being read…"

_of_session = WeakKeyDictionary()


def follow_job(session, job_id, load=False):
    """Let a window of glue tell when a job has ended.

    Parameters
    ----------
    session : glue.core.Session
    job_id : str
    load : bool
        Whether its result is loaded and shown as soon as it is completed.

    Returns
    -------
    WindowJobs
    """
    jobs = WindowJobs.of(session)
    jobs.follow(job_id, load)
    return jobs


class WindowJobs(QtCore.QObject, HubListener):
    """The jobs as a window of glue sees them; made once for each window, by `WindowJobs.of`.

    Parameters
    ----------
    session : glue.core.Session

    Attributes
    ----------
    state : JobMonitorState
    """

    def __init__(self, session):
        super().__init__(window_of(session))
        self.session = session
        self.state = JobMonitorState()
        self._followed, self._previews, self._adopted = {}, {}, set()
        self._store, self.background = StoreView(), Background()
        self._files, self._handing_in = Background(), Background()  # which may take long
        self._looking = self._reading = False
        self._again, self._not_before = True, 0.0
        self._timer = QtCore.QTimer(self, interval=LOOK_MS)
        self._timer.timeout.connect(self.look)
        self._timer.start()
        session.hub.subscribe(self, ApplicationClosedMessage, handler=lambda message: self.close())
        self.look()

    @classmethod
    def of(cls, session):
        """That of a window.

        Parameters
        ----------
        session : glue.core.Session

        Returns
        -------
        WindowJobs
        """
        if session not in _of_session:
            _of_session[session] = cls(session)
        return _of_session[session]

    def close(self):
        """Stop looking; the window is closed."""
        self._timer.stop()
        self.session.hub.unsubscribe_all(self)
        self.background.close(self._store.close)
        self._files.close()
        self._handing_in.close()
        _of_session.pop(self.session, None)

    # -- the store ----------------------------------------------------------------------------------------------------

    def look(self):
        """Look at the store if the last look has ended."""
        if self._looking or (not self._again and time.monotonic() < self._not_before):
            return
        self._looking = True
        again, self._again = self._again, False
        self.background.run(lambda: self._look(again), self._seen, self._unseen)

    def _look(self, again):
        """Look at the store; in the thread of the background."""
        began = time.monotonic()
        sight = self._store.look(again)
        if sight is not None:
            now = time.monotonic()
            self._not_before = now + min(_TIMES * (now - began), _MOST_SECONDS)
        return sight

    def look_again(self):
        """Look at the store even if nothing seems to have changed."""
        self._again = True
        self.look()

    def _seen(self, sight):
        self._looking = False
        if sight is not None:
            ended = {job.id: job for job in self.state.take(sight)}
            ended |= {job.id: job for job in self.state.jobs if job.id in self._followed and not job.phase.is_active}
            for job in ended.values():
                self._tell(job)
        self._fill_previews()
        if self._again:
            self.look()

    def _unseen(self, error):
        self._looking, self._again = False, True
        self.state.problem = f"The jobs cannot be looked at ({type(error).__name__}: {error}). It is tried again."

    def do(self, work):
        """Do something with jobs in the background, and say what was done.

        Parameters
        ----------
        work : callable() -> (str, bool)
            Gives a sentence, and whether something failed.
        """
        self.background.run(work, self._did, lambda error: self._did((_sentence(error), True)))

    def _did(self, outcome):
        self.state.say(*outcome)
        self.look_again()

    def hand_in(self, work, then, failed, load=False):
        """Hand a measurement in, in a thread of its own; that is done also if the window is closed meanwhile.

        Parameters
        ----------
        work : callable() -> (Job, str)
        then : callable(outcome)
            What `work` gave; the job is followed then.
        failed : callable(error)
        load : bool
            Whether the result is loaded as soon as the job is completed.
        """

        def done(outcome):
            self.follow(outcome[0].id, load)
            then(outcome)

        self._handing_in.run(work, done, failed, surely=True)

    # -- the end of jobs ----------------------------------------------------------------------------------------------

    def follow(self, job_id, load=False):
        """Tell when a job has ended, and load its result if that is wanted."""
        self._followed[job_id] = load or self._followed.get(job_id, False)
        self.look_again()

    def _tell(self, job):
        load = self._followed.pop(job.id, False) and job.phase is Phase.COMPLETED
        text = texts.ended_text(job)
        if is_large(job) and (load or job.id in self._previews):
            load, text = False, f"{text} {texts.not_loaded_text(job)}"
        self.say(text, failed=job.phase is Phase.ERROR)
        if load:
            self.show_result(job.id, quietly=True)

    def say(self, text, failed=False):
        """Say something in the monitor, and in the status line of the window."""
        self.state.say(text, failed)
        window = window_of(self.session)
        if window is not None and hasattr(window, "statusBar"):
            window.statusBar().showMessage(f"SPHEREx: {text}", _STATUS_MS)

    # -- results and previews -----------------------------------------------------------------------------------------

    def loading_question(self, job):
        """What is to be asked before the result of a job is loaded; '' if it is small, or loaded already."""
        known = data_of_job(self.session.data_collection, job.id)
        return texts.loading_question(job) if is_large(job) and (known is None or is_preview(known)) else ""

    def show_result(self, job_id, quietly=False):
        """Load the result of a job, if it is not loaded yet, and show it with its viewers.

        Its files are read in the background.

        Parameters
        ----------
        job_id : str
        quietly : bool
            Nobody waits for it: leave the keyboard to the widget that has it.
        """
        if job_id in self.state.reading:
            return
        if quietly:
            self._previews.pop(job_id, None)
        else:
            self.state.say(_READING)
        self.state.reading = (*self.state.reading, job_id)
        loaded = loaded_files(self.session.data_collection, job_id)

        def then(read):
            self._has_read(job_id)
            self._show_result(job_id, read, quietly)

        def failed(error):
            self._has_read(job_id)
            self._not_shown(error)

        self._files.run(lambda: read_result(job_id, loaded), then, failed)

    def _has_read(self, job_id):
        self.state.reading = tuple(other for other in self.state.reading if other != job_id)
        if self.state.notice == _READING:
            self.state.say("")

    def _not_shown(self, error):
        self.state.say(f"The result cannot be shown: {_sentence(error)}", failed=True)

    def _show_result(self, job_id, read, quietly):
        collection = self.session.data_collection
        typing = QtWidgets.QApplication.focusWidget() if quietly else None
        QtWidgets.QApplication.setOverrideCursor(QtCore.Qt.WaitCursor)
        try:
            before = data_of_job(collection, job_id)
            label = None if before is None else before.label
            with all_points_in_view(self.session, before):
                data = load_result(collection, job_id, read)
            tab_renamed(self.session, label, data.label)
            if before is None or not quietly:
                show_in_viewers(self.session, data)
        except Exception as error:  # noqa: BLE001 - it may be any fault of a file; the user reads it in the monitor
            self._not_shown(error)
        finally:
            self._previews.pop(job_id, None)
            QtWidgets.QApplication.restoreOverrideCursor()
            if typing is not None:
                with suppress(RuntimeError):  # it went with what was shown before
                    typing.setFocus()

    def show_preview(self, job_id):
        """Show the spectrum of a job as far as it is measured; it fills in, and becomes the result.

        Parameters
        ----------
        job_id : str
        """
        self._adopted.add(job_id)
        preview = self._previews.setdefault(job_id, Preview(job_id))
        self._read(preview, self.state.find(job_id), show_in_viewers)

    def _adopt_previews(self):
        """Fill in those, too, that came with a session or from a script."""
        for data in spectra_in(self.session.data_collection):
            job_id = plugin_meta(data).get("job")
            if is_preview(data) and job_id not in self._adopted:
                self._adopted.add(job_id)
                self._previews.setdefault(job_id, Preview(job_id, seen=()))

    def _fill_previews(self):
        self._adopt_previews()
        for job_id, preview in list(self._previews.items()):
            job, data = self.state.find(job_id), data_of_job(self.session.data_collection, job_id)
            if preview.seen is not None and (job is None or data is None or not is_preview(data)):
                del self._previews[job_id]  # deleted, removed by the user, or the result is loaded
            elif job is not None and job.phase is Phase.COMPLETED and data is not None and not is_large(job):
                self.show_result(job_id, quietly=True)
            elif preview.seen is not None and not self._reading and preview.is_due(job):
                self._read(preview, job)

    def _read(self, preview, job, show=None):
        """Read what is measured in the background, and put it into the dataset."""
        self._reading = True

        def then(table):
            self._reading = False
            try:
                before = data_of_job(self.session.data_collection, preview.job_id)
                label = None if before is None else before.label
                with all_points_in_view(self.session, before):
                    data = preview.show(self.session.data_collection, job, table)
                tab_renamed(self.session, label, data.label)
                if show is not None:
                    show(self.session, data)
                    self.state.say(texts.preview_text(job, preview.n_shown(job)))
                QtCore.QTimer.singleShot(0, preview.rest)  # when the viewers have drawn it
            except Exception as error:  # noqa: BLE001 - a file may hold anything; the user reads it in the monitor
                failed(error)

        def failed(error):
            self._reading = False
            preview.postpone()
            if preview.seen is None:
                self._previews.pop(preview.job_id, None)
            self.state.say(f"The spectrum so far cannot be shown: {_sentence(error)}", failed=True)

        self._files.run(lambda: preview.read(job), then, failed)


def _sentence(error):
    text = str(error) if isinstance(error, ValueError | OSError) and str(error) else f"{type(error).__name__}: {error}"
    return text if text.endswith(".") else f"{text}."
