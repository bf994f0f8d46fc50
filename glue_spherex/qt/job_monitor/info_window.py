"""The window with everything about a job, in tabs; it follows the job while it runs."""

from html import escape

from glue.core.hub import HubListener
from qtpy import QtCore, QtGui, QtWidgets

from ...plugin.job_monitor import texts
from ...plugin.job_monitor.details import details_of
from ..colours import pale
from ..open_dialogs import keep_open, push_button, status_line, window_of

_AGAIN_MS = 2000


def info_window(jobs, job_id):
    """Open the window with everything about a job.

    Parameters
    ----------
    jobs : WindowJobs
    job_id : str

    Returns
    -------
    InfoWindow
        Shown beside glue's window, which stays usable.
    """
    return keep_open(InfoWindow(jobs, job_id, parent=window_of(jobs.session)), jobs.session)


class InfoWindow(QtWidgets.QDialog, HubListener):
    """Parameters, failed images with their reasons, log and timings of a job; all texts can be copied.

    Parameters
    ----------
    jobs : WindowJobs
    job_id : str
    parent : QWidget, optional
    """

    def __init__(self, jobs, job_id, parent=None):
        super().__init__(parent)
        self.job_id, self._jobs, self._shown = job_id, jobs, None
        job = jobs.state.find(job_id)
        self.setWindowTitle(f"SPHEREx: Job {texts.short(job.title if job else job_id, 80)}")
        self.setWindowFlag(QtCore.Qt.WindowMaximizeButtonHint)
        layout = QtWidgets.QVBoxLayout(self)
        self.tabs = QtWidgets.QTabWidget()
        self.parameters, self.failures, self.timings = (QtWidgets.QTextBrowser() for _ in range(3))
        self.log = QtWidgets.QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setLineWrapMode(QtWidgets.QPlainTextEdit.NoWrap)
        self.log.setFont(QtGui.QFontDatabase.systemFont(QtGui.QFontDatabase.FixedFont))
        for widget, text in ((self.parameters, "&Parameters"), (self.failures, "&Failed images"), (self.log, "&Log"),
                             (self.timings, "&Timings")):  # fmt: skip
            self.tabs.addTab(widget, text)
        for browser in (self.parameters, self.failures, self.timings):
            browser.setOpenLinks(False)
        layout.addWidget(self.tabs, 1)
        row = QtWidgets.QHBoxLayout()
        self.status_label = status_line()
        self.status_label.setText("The files of the job are being read…")
        row.addWidget(self.status_label, 1)
        self.close_button = push_button("Close", self.close)
        row.addWidget(self.close_button)
        layout.addLayout(row)
        self.setMinimumSize(480, 320)
        self.resize(820, 560)
        self._timer = QtCore.QTimer(self, interval=_AGAIN_MS)
        self._timer.timeout.connect(self.refresh)
        self._timer.start()
        self.finished.connect(lambda result: self._end())
        self._background = jobs.background
        self._open, self._reading = True, False
        self.refresh()

    def _end(self):
        self._open = False
        self._timer.stop()

    def refresh(self):
        """Read everything again if the job has changed."""
        job = self._jobs.state.find(self.job_id)
        if job is None and self._shown is not None:
            self._timer.stop()
            self.status_label.setText("The job has been deleted.")
        elif not self._reading and (self._shown is None or job != self._shown):
            self._shown, self._reading = job, True
            self._background.run(lambda: details_of(self.job_id), self._show, self._failed)

    def _failed(self, error):
        self._reading = False
        if self._open:
            self.status_label.setText(str(error))

    def _show(self, details):
        self._reading = False
        if not self._open:
            return
        self.status_label.setText(details.problem)
        _set_html(self.parameters, _table(details.parameters))
        _set_html(self.timings, _table(details.timings))
        _set_html(self.failures, _failures(details))
        self.tabs.setTabText(1, f"&Failed images ({details.n_failures})" if details.n_failures else "&Failed images")
        bar = self.log.verticalScrollBar()
        at_end = bar.value() == bar.maximum()
        if self.log.toPlainText() != details.log:
            place = bar.value()
            self.log.setPlainText(details.log)
            bar.setValue(bar.maximum() if at_end else place)


def _set_html(browser, html):
    """Show a page, and stay at its place; a page that has not changed keeps what is selected on it."""
    if browser.property("html") != html:
        place = browser.verticalScrollBar().value()
        browser.setHtml(html)
        browser.setProperty("html", html)
        browser.verticalScrollBar().setValue(place)


def _table(rows):
    lines = [
        f"<tr><td style='color: {pale()}; padding-right: 14px; white-space: nowrap'>{escape(name)}</td>"
        f"<td>{_broken(value)}</td></tr>"
        for name, value in rows
    ]
    return f"<table cellspacing='0' cellpadding='2'>{''.join(lines)}</table>"


def _broken(text):
    return escape(text).replace("\n", "<br>")


def _failures(details):
    if not details.failures:
        return "<p>No image has failed.</p>"
    lines = [f"<p><b>{escape(path)}</b><br>{escape(reason)}</p>" for path, reason in details.failures]
    more = details.n_failures - len(details.failures)
    if more:
        lines.append(f"<p>… and {more} more; images.ecsv in the result lists all.</p>")
    return "".join(lines)
