"""The job monitor: a table of all jobs that can be docked at any side of glue's window."""

from pathlib import Path
from weakref import WeakKeyDictionary

from echo.qt.connect import connect_combo_selection
from glue.core.hub import HubListener
from glue.core.message import ApplicationClosedMessage
from glue_qt.utils import messagebox_on_error
from qtpy import QtCore, QtGui, QtWidgets

from ... import jobs as desk
from ...jobs import Phase
from ...plugin.job_monitor.table import COLUMNS
from ..colours import red
from ..open_dialogs import window_of
from .elided_label import ElidedLabel
from .info_window import info_window
from .table_model import JobTableModel, ProgressDelegate
from .window_jobs import WindowJobs

#: Text, standard icon, and hint of each button.
BUTTONS = {
    "show": ("Show result", "SP_DialogApplyButton", "Load the spectra into glue, with targets and cutouts"),
    "preview": (
        "Spectrum so far",
        "SP_FileDialogContentsView",
        "Show what is measured; it fills in till the job ends",
    ),
    "abort": ("Abort", "SP_MediaStop", "Stop after the images at work; once more: at once. What is measured is kept"),
    "resume": ("Resume", "SP_MediaPlay", "Go on where it stopped; images that failed are tried again"),
    "again": ("Run again…", "SP_BrowserReload", "Open the dialog with what this job was asked to do, to change it"),
    "info": ("Info…", "SP_MessageBoxInformation", "Parameters, failed images with reasons, log and timings"),
    "folder": ("Open folder", "SP_DirOpenIcon", "Open the folder with the result, or of the job, in the file manager"),
    "delete": ("Delete…", "SP_TrashIcon", "Delete the job with its folder, after a question"),
}
#: The longest usual text of each column.
_WIDEST = {
    "kind": "Spectra",
    "sources": "100000",
    "images": "100000",
    "start": "2026-12-28 23:58",
    "end": "2026-12-28 23:58",
    "phase": "Completed, 88 failed",
    "progress": "10000 of 10000",
    "left": "23 h 59 min",
}
_TITLE_PX, _ROOMY_TITLE_PX = 150, 260
#: Columns that are left out where the table is narrower than this.
_NEEDED_PX = {"kind": 900, "start": 800, "images": 800, "end": 640, "sources": 580}
_monitors = WeakKeyDictionary()  # session -> monitor


def job_monitor(session):
    """Show the job monitor of a window of glue.

    Parameters
    ----------
    session : glue.core.Session

    Returns
    -------
    JobMonitor
        Made the first time, at the bottom of the window; shown again where it was closed.
    """
    if session not in _monitors:
        _monitors[session] = JobMonitor(WindowJobs.of(session))
    monitor = _monitors[session]
    monitor.show()
    monitor.raise_()
    monitor.jobs.look_again()
    return monitor


class JobMonitor(QtWidgets.QDockWidget, HubListener):
    """The jobs of the user as a table, and what can be done with them.

    Parameters
    ----------
    jobs : WindowJobs
    """

    def __init__(self, jobs):
        window = window_of(jobs.session)
        super().__init__("SPHEREx: Job monitor", window)
        self.jobs, self.state = jobs, jobs.state
        self.setObjectName("spherex-job-monitor")
        self._connections = []
        self.setWidget(self._content())
        for name in ("shown", "chosen", "jobs", "running_limit", "problem", "notice", "failed", "reading"):
            self.state.add_callback(name, self._show_soon)
        for name in ("sort_by", "descending"):
            self.state.add_callback(name, self._show_sorting)
        self._soon = QtCore.QTimer(self, interval=0, singleShot=True)
        self._soon.timeout.connect(self._show_state)
        jobs.session.hub.subscribe(self, ApplicationClosedMessage, handler=lambda message: self._end())
        if isinstance(window, QtWidgets.QMainWindow):
            window.addDockWidget(QtCore.Qt.BottomDockWidgetArea, self)
            window.resizeDocks([self], [240], QtCore.Qt.Vertical)
        self._show_sorting()
        self._show_state()

    def _end(self):
        self._soon.stop()
        self.jobs.session.hub.unsubscribe_all(self)
        _monitors.pop(self.jobs.session, None)
        self.close()

    # -- parts of the window ------------------------------------------------------------------------------------------

    def _content(self):
        content = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(content)
        column.setContentsMargins(4, 2, 4, 2)
        column.setSpacing(3)
        column.addLayout(self._filter_row())
        column.addWidget(self._table(), 1)
        self.message_label = ElidedLabel()
        column.addWidget(self.message_label)
        column.addWidget(self._buttons())
        return content

    def _filter_row(self):
        row = QtWidgets.QHBoxLayout()
        self.words_edit = QtWidgets.QLineEdit()
        self.words_edit.setPlaceholderText("Search")
        self.words_edit.setToolTip("Only jobs with all these words in their title, message, phase or id")
        self.words_edit.setClearButtonEnabled(True)
        self.words_edit.textChanged.connect(lambda text: setattr(self.state, "words", text))
        self.words_edit.setMaximumWidth(190)
        self.words_edit.setMinimumWidth(80)
        self.phases_combo = QtWidgets.QComboBox()
        self.phases_combo.setToolTip("Only jobs in these phases")
        self._connections.append(connect_combo_selection(self.state, "phases", self.phases_combo))
        self.limit_box = QtWidgets.QSpinBox()
        self.limit_box.setRange(1, 64)
        self.limit_box.setKeyboardTracking(False)
        hint = "How many jobs run at the same time; the others wait for their turn"
        self.limit_box.setToolTip(hint)
        self.limit_box.valueChanged.connect(self._set_limit)
        label = QtWidgets.QLabel("&At the same time:")
        label.setToolTip(hint)
        label.setBuddy(self.limit_box)
        self.summary_label = ElidedLabel(QtCore.Qt.AlignRight)
        for widget in (self.words_edit, self.phases_combo, label, self.limit_box):
            row.addWidget(widget)
        row.addSpacing(8)
        row.addWidget(self.summary_label, 1)
        return row

    def _table(self):
        self.model = JobTableModel(self.state, self)
        table = self.table = QtWidgets.QTableView()
        table.setModel(self.model)
        table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        table.setSelectionMode(QtWidgets.QAbstractItemView.ExtendedSelection)
        table.setAlternatingRowColors(True)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.setTextElideMode(QtCore.Qt.ElideRight)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(24)
        table.setMinimumHeight(56)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionsClickable(True)
        header.sectionClicked.connect(self._sort)
        header.setMinimumSectionSize(40)
        for place, column in enumerate(COLUMNS):
            if column.name in _WIDEST:
                width = max(map(table.fontMetrics().horizontalAdvance, (_WIDEST[column.name], f"{column.head}___")))
                table.setColumnWidth(place, width + (28 if column.name == "phase" else 14))
            if column.name == "phase":
                self._phase_px = table.columnWidth(place)
            if column.name == "progress":
                table.setItemDelegateForColumn(place, ProgressDelegate(table))
        table.viewport().installEventFilter(self)
        table.selectionModel().selectionChanged.connect(self._selected)
        table.doubleClicked.connect(lambda index: self._act(self._default_action()))
        return table

    def _buttons(self):
        bar = self.button_bar = QtWidgets.QToolBar()
        bar.setToolButtonStyle(QtCore.Qt.ToolButtonTextBesideIcon)
        bar.setIconSize(QtCore.QSize(16, 16))
        self.actions_by_name, self.buttons = {}, {}
        for name, (text, icon, hint) in BUTTONS.items():
            action = bar.addAction(self.style().standardIcon(getattr(QtWidgets.QStyle, icon)), text)
            action.setIconText(text)  # Qt would leave the … out
            action.setToolTip(hint)
            action.triggered.connect(lambda checked=False, name=name: self._act(name))
            self.actions_by_name[name], self.buttons[name] = action, bar.widgetForAction(action)
        self._buttons_px = bar.sizeHint().width()
        return bar

    def eventFilter(self, watched, event):
        """Fit the columns to the width of the table: the title takes what is left, and some go where there is none."""
        if event.type() == QtCore.QEvent.Resize:
            width, rest = event.size().width(), 0
            for place, column in enumerate(COLUMNS):
                self.table.setColumnHidden(place, width < _NEEDED_PX.get(column.name, 0))
                px = self._phase_px if column.name == "phase" else self.table.columnWidth(place)
                rest += px if place and not self.table.isColumnHidden(place) else 0
            phase = [column.name for column in COLUMNS].index("phase")
            spare = max((width - rest - _ROOMY_TITLE_PX) // 2, 0)  # for the reasons of faults
            self.table.setColumnWidth(phase, self._phase_px + spare)
            self.table.setColumnWidth(0, max(width - rest - spare, _TITLE_PX))
            narrow = width < self._buttons_px
            style = QtCore.Qt.ToolButtonIconOnly if narrow else QtCore.Qt.ToolButtonTextBesideIcon
            self.button_bar.setToolButtonStyle(style)
        return super().eventFilter(watched, event)

    # -- what the user does -------------------------------------------------------------------------------------------

    def _selected(self, *args):
        rows = sorted({index.row() for index in self.table.selectionModel().selectedRows()})
        self.state.choose([self.model.jobs[row].id for row in rows])

    def _sort(self, place):
        name = COLUMNS[place].name
        if self.state.sort_by != name:
            self.state.sort(name, False)
        elif not self.state.descending:
            self.state.sort(name, True)
        else:
            self.state.sort("", False)

    def _set_limit(self, number):
        def work():
            desk.set_running_limit(number)
            return f"{number} job{'s' if number > 1 else ''} may run at the same time.", False

        self.jobs.do(work)

    def _default_action(self):
        jobs = self.state.chosen_jobs
        if len(jobs) == 1 and jobs[0].phase is Phase.COMPLETED:
            return "show"  # which does nothing while it is being read
        return "info" if self.state.why_not("preview") else "preview"

    @messagebox_on_error("This cannot be done")
    def _act(self, name):
        """Do what a button says with the selected jobs."""
        if self.state.why_not(name):
            return
        job = self.state.chosen_jobs[0]
        if name in ("abort", "resume"):
            self.jobs.do(self.state.work(name))
        elif name == "delete":
            if asked(self, self.state.deletion_question(), "Delete"):
                self.jobs.do(self.state.work(name))
        elif name == "show":
            question = self.jobs.loading_question(job)
            if not question or asked(self, question, "Load"):
                self.jobs.show_result(job.id)
        elif name == "preview":
            self.jobs.show_preview(job.id)
        elif name == "info":
            info_window(self.jobs, job.id)
        elif name == "folder":
            self._open_folder(job)
        else:
            from ..measure_dialog import measure_dialog

            measure_dialog(self.jobs.session, job_id=job.id)

    def _open_folder(self, job):
        folder = Path(job.result if job.phase is Phase.COMPLETED and job.result.is_dir() else job.folder)
        if not folder.is_dir():
            self.state.say(f"The folder {folder} is gone: somebody has deleted or moved it.", failed=True)
        elif not QtGui.QDesktopServices.openUrl(QtCore.QUrl.fromLocalFile(str(folder))):
            self.state.say(f"No file manager was found; the folder is {folder}.", failed=True)

    def keyPressEvent(self, event):
        """Delete deletes, after a question."""
        if event.key() == QtCore.Qt.Key_Delete and self.table.hasFocus():
            self._act("delete")
        else:
            super().keyPressEvent(event)

    # -- what the state says ------------------------------------------------------------------------------------------

    def _show_soon(self, *args):
        self._soon.start()

    def _show_state(self):
        state = self.state
        place = self.table.verticalScrollBar().value()
        selection = self.table.selectionModel()
        selection.blockSignals(True)
        try:
            renewed = self.model.set_jobs(state.shown)
            self._select(state.chosen)
        finally:
            selection.blockSignals(False)
        if renewed:
            self.table.verticalScrollBar().setValue(place)
        self.summary_label.setText(state.summary)
        self.message_label.setText(state.message)
        self.message_label.setStyleSheet(f"color: {red()}" if state.problem or state.failed else "")
        if state.running_limit is not None and not self.limit_box.hasFocus():
            self.limit_box.blockSignals(True)
            self.limit_box.setValue(state.running_limit)
            self.limit_box.blockSignals(False)
        for name, action in self.actions_by_name.items():
            reason = state.why_not(name)
            action.setEnabled(not reason)
            text, _, hint = BUTTONS[name]
            action.setToolTip(f"{text.rstrip('…')}: {hint[0].lower()}{hint[1:]}. {reason}".rstrip())

    def _select(self, ids):
        model = self.table.selectionModel()
        rows = {row for row, job in enumerate(self.model.jobs) if job.id in set(ids)}
        if rows == {index.row() for index in model.selectedRows()}:
            return
        selection = QtCore.QItemSelection()
        for row in rows:
            selection.select(self.model.index(row, 0), self.model.index(row, len(COLUMNS) - 1))
        model.select(selection, QtCore.QItemSelectionModel.ClearAndSelect)
        self.table.viewport().update()

    def _show_sorting(self, *args):
        header = self.table.horizontalHeader()
        names = [column.name for column in COLUMNS]
        header.setSortIndicatorShown(bool(self.state.sort_by))
        if self.state.sort_by:
            order = QtCore.Qt.DescendingOrder if self.state.descending else QtCore.Qt.AscendingOrder
            header.setSortIndicator(names.index(self.state.sort_by), order)


def asked(parent, question, action):
    """Ask before something is done that cannot be undone, or takes long.

    Parameters
    ----------
    parent : QWidget
    question : str
        Plain text.
    action : str
        Text of the button.

    Returns
    -------
    bool
        Whether it is to be done.
    """
    box = QtWidgets.QMessageBox(QtWidgets.QMessageBox.Question, "SPHEREx: Job monitor", "", parent=parent)
    box.setTextFormat(QtCore.Qt.PlainText)
    box.setText(question)
    button = box.addButton(action, QtWidgets.QMessageBox.DestructiveRole)
    box.setDefaultButton(box.addButton(QtWidgets.QMessageBox.Cancel))
    box.exec_() if hasattr(box, "exec_") else box.exec()
    return box.clickedButton() is button
