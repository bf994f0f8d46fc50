"""The measure dialog: a view of `MeasureState`."""

from functools import partial

from glue.core.hub import HubListener
from qtpy import QtCore, QtWidgets

from ...plugin.measuring.background_work import LatestWork
from ...plugin.measuring.planning import plan_text
from ...plugin.measuring.sentences import sentence_of
from ...plugin.measuring.state import MeasureState
from ..colours import red
from ..cutout_viewer.canvas import told
from ..open_dialogs import keep_open, push_button, status_line, window_of
from .archive_line import ArchiveLine
from .coverage_chart import CoverageChart, CoverageSwitch
from .delivery import Delivery
from .form import heading, plain_tip
from .plan_table import PlanTable
from .request_form import MethodForm, RequestForm
from .target_form import ModelForm, TargetForm

_SETTLE_MS = 300
_MOST_FILES = 10  # that cannot be measured, in the tooltip


def measure_dialog(session, layer=None, text=None, job_id=None):
    """Open the dialog that measures spectra.

    Parameters
    ----------
    session : glue.core.Session
    layer : Data, Subset or SubsetGroup, optional
        Measure its targets.
    text : str, optional
        Measure these coordinates: one target in a line, as "RA DEC name".
    job_id : str, optional
        Start with what this job has done, to run it again with changes.

    Returns
    -------
    MeasureDialog
        Shown beside glue's window, which stays usable.

    Raises
    ------
    glue_spherex.jobs.JobError
        If there is no such job, or what it did cannot be read.
    """
    state = MeasureState(session, [] if layer is None else [layer])
    if text is not None:
        state.target.how, state.target.text = "text", text
    if job_id is not None:
        _fill_from_job(state, job_id)
    return keep_open(MeasureDialog(state, parent=window_of(session)), session)


def _fill_from_job(state, job_id):
    from ...jobs import job, request

    asked, targets = request(job_id)
    state.fill_from(asked, targets, job(job_id).title, job_id)


class MeasureDialog(QtWidgets.QDialog, HubListener):
    """Choose targets, shapes and images, see what will be measured, and hand it in as a job.

    Parameters
    ----------
    state : MeasureState
    parent : QWidget, optional
    """

    def __init__(self, state, parent=None):
        super().__init__(parent)
        self.state = state
        self.setWindowTitle("SPHEREx: Measure spectra")
        self.setWindowFlag(QtCore.Qt.WindowMaximizeButtonHint)
        self._asked = self._stopped = self._handed_in = self._handed_in_request = None
        self._open, self._handing_in = True, False
        self._count_number = self._look_up_number = 0
        self._counting, self._looking_up = Delivery(self), Delivery(self)
        self._asking = False  # whether the archive is being asked
        self._count_work = self._new_count_work()
        self._look_up_work = LatestWork(self._looking_up.arrived.emit)
        self._counting.arrived.connect(self._on_counted)
        self._counting.progressed.connect(self._on_progress)
        self._looking_up.arrived.connect(self._on_looked_up)
        self._settling = QtCore.QTimer(self)
        self._settling.setSingleShot(True)
        self._settling.setInterval(_SETTLE_MS)
        self._settling.timeout.connect(self.settle)
        column = QtWidgets.QVBoxLayout(self)
        column.addWidget(self._middle(), 1)
        column.addLayout(self._count_row())
        self.archive_line = ArchiveLine(state, self.ask_archive)
        column.addWidget(self.archive_line)
        column.addWidget(self._status_line())
        column.addLayout(self._button_row())
        state.add_callback("changes", self._on_change)
        state.add_callback("news", lambda number: self._settling.start())
        for attribute in ("status", "failed"):
            state.add_callback(attribute, self._show_status)
        for attribute in ("plan", "planning", "plan_problem", "lines"):
            state.add_callback(attribute, self._show_plan)
        self.finished.connect(self._on_finished)
        self.setMinimumSize(max(860, self.layout().totalMinimumSize().width()), 520)
        room = self.screen().availableGeometry()
        self.resize(min(1060, room.width() - 40), min(820, room.height() - 60))
        self.settle()

    # -- parts of the window ------------------------------------------------------------------------------------------

    def _middle(self):
        splitter = QtWidgets.QSplitter(QtCore.Qt.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(self._forms())
        right = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(right)
        column.setContentsMargins(8, 0, 0, 0)
        column.addWidget(heading("What will be measured"))
        self.table = PlanTable(self.state)
        column.addWidget(self.table, 1)
        self.chart, self.chart_switch = CoverageChart(self.state), CoverageSwitch(self.state)
        self.table.chosen.connect(self.chart.choose)
        column.addWidget(self.chart_switch)
        column.addWidget(self.chart)
        splitter.addWidget(right)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([400, 640])
        return splitter

    def _forms(self):
        state = self.state
        self.target_form, self.model_form = TargetForm(state, self.look_up), ModelForm(state)
        self.request_form, self.method_form = RequestForm(state), MethodForm(state)
        self._all_forms = (self.target_form, self.model_form, self.request_form, self.method_form)
        content = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(content)
        column.setContentsMargins(0, 0, 6, 0)
        column.setSpacing(4)
        for text, form in zip(("Targets", "Model", "Images", "Measurement"), self._all_forms):
            column.addWidget(heading(text))
            column.addWidget(form)
        column.addStretch(1)
        area = QtWidgets.QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QtWidgets.QFrame.NoFrame)
        area.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarAlwaysOff)
        area.setWidget(content)
        area.setMinimumWidth(390)
        return area

    def _count_row(self):
        row = QtWidgets.QHBoxLayout()
        self.plan_label = QtWidgets.QLabel()
        self.plan_label.setTextFormat(QtCore.Qt.PlainText)
        self.plan_label.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Preferred)
        row.addWidget(self.plan_label, 1)
        self.progress = QtWidgets.QProgressBar()
        self.progress.setFixedWidth(170)
        self.progress.setMaximumHeight(18)
        self.progress.setToolTip("The headers of images that are not known yet are being read")
        row.addWidget(self.progress)
        self.count_button = push_button("Stop", self._count_clicked)
        row.addWidget(self.count_button)
        return row

    def _status_line(self):
        self.status_label = status_line()
        self.status_label.setMinimumHeight(0)
        return self.status_label

    def _button_row(self):
        row = QtWidgets.QHBoxLayout()
        self.load_box = QtWidgets.QCheckBox("Load the result when it is finished")
        self.load_box.setToolTip("As long as this window of glue is open; the list of jobs has the result in any case")
        self.load_box.setChecked(self.state.load_result)
        self.load_box.toggled.connect(lambda ticked: setattr(self.state, "load_result", ticked))
        row.addWidget(self.load_box)
        row.addStretch(1)
        self.monitor_button = push_button("Job monitor", self._show_monitor)
        self.monitor_button.setToolTip("Show all jobs, and how far they are")
        self.close_button = push_button("Close", self.close)
        self.measure_button = push_button("Measure", self._measure)
        for button in (self.monitor_button, self.close_button, self.measure_button):
            row.addWidget(button)
        return row

    # -- what the user does -------------------------------------------------------------------------------------------

    @told
    def _measure(self, *args):
        """Handing the measurement in."""
        from ..job_monitor import WindowJobs

        self._settling.stop()
        work = self.state.handing_in()
        if work is not None:
            self._handing_in, self._handed_in_request = True, self.state.plan_request()
            self.tell("", failed=False)
            jobs = WindowJobs.of(self.state.session)
            jobs.hand_in(work, self._on_handed_in, self._on_not_handed_in, load=self.state.load_result)
        self.settle()

    @told
    def _on_handed_in(self, outcome):
        """Handing the measurement in."""
        if not self._open:
            return  # the job monitor tells of it
        self._handing_in = False
        if self._handed_in_request is not None:  # else something was changed meanwhile
            self._handed_in = outcome[0].id
        self.state.take_job(*outcome)
        self.settle()

    def _on_not_handed_in(self, error):
        text = f"Handing the measurement in failed: {error or type(error).__name__}"
        if isinstance(error, ValueError | OSError):
            text = sentence_of(error)
        if not self._open:
            from ..job_monitor import WindowJobs

            WindowJobs.of(self.state.session).say(f"The measurement was not handed in: {text}", failed=True)
            return
        self._handing_in = False
        self.tell(text)
        self._show_status()

    @told
    def _show_monitor(self, *args):
        """Showing the job monitor."""
        from ..job_monitor import job_monitor

        job_monitor(self.state.session)

    @told
    def look_up(self):
        """Looking the name up."""
        target = self.state.target
        name = target.name.strip()
        if not name:
            return
        self.target_form.look_up_button.setEnabled(False)
        self.target_form.found_label.setText("asking the name service…")
        self._look_up_number = self._look_up_work.request(lambda progress, cancelled: (name, target.resolve(name)))

    @told
    def _on_looked_up(self, number, found, error):
        """Taking over the position of the name."""
        if number != self._look_up_number:
            return
        self.target_form.look_up_button.setEnabled(True)
        self.target_form.found_label.setText("")
        if error is not None:
            self.tell(str(error))
            return
        name, targets = found
        if name == self.state.target.name.strip():
            self.state.target.found = targets
            self.settle()

    def tell(self, text, failed=True):
        """Say what could not be done."""
        self.state.failed, self.state.status = failed, text

    # -- counting images ----------------------------------------------------------------------------------------------

    def _on_change(self, *args):
        self._handed_in = self._handed_in_request = None
        self.tell("", failed=False)
        self._settling.start()

    @told
    def settle(self):
        """Finding the targets."""
        self._settling.stop()
        self.state.refresh()
        if self._handed_in is not None and self.state.plan_request() != self._handed_in_request:
            self._handed_in = None  # the data have changed since
        wrong, notes = self.state.wrong(), self.state.request.notes()
        for form in self._all_forms:
            form.mark(wrong, notes)
        self._count()
        self._show_plan()
        self._show_status()

    def _new_count_work(self):
        return LatestWork(self._counting.arrived.emit, self._counting.progressed.emit)

    def _stop_counting(self):
        """Drop the count that goes on; a host that keeps silent does not hold up the next one."""
        if self._asking:
            self._count_work.close()
            self._count_work, self._asking = self._new_count_work(), False
        else:
            self._count_work.cancel()

    def _count(self, again=False, ask=False):
        state, asked = self.state, self.state.plan_request()
        if asked is None:
            self._stop_counting()
            state.planning, self._asked = False, None
        elif again or ask or not (state.is_planned or asked in (self._asked, self._stopped)):
            self._stop_counting()
            self._asked, self._stopped, self._asking = asked, None, ask
            self.progress.setRange(0, 0)
            known = state.plan is not None and state.plan.archive is not None and state.plan.archive.asked is not None
            work = partial(asked.count, ask=True, refresh=known) if ask else asked.count
            self._count_number = self._count_work.request(work)
            state.planning = True

    @told
    def ask_archive(self):
        """Asking the archive."""
        self.settle()
        self._count(ask=True)
        self._show_plan()

    @told
    def _count_clicked(self, *args):
        """Counting the images."""
        if self.state.planning:
            self._stop_counting()
            self._stopped, self._asked = self._asked, None
            self.state.planning = False
        else:
            self._count(again=True)

    @told
    def _on_counted(self, number, plan, error):
        """Showing the numbers of images."""
        asked = self._asked
        if number == self._count_number and asked is not None:  # else something else was asked for meanwhile
            self._asked, self._asking, self.state.planning = None, False, False
            self.state.take_plan(asked, plan if error is None else error)

    def _on_progress(self, number, done, total):
        if self.state.planning and number == self._count_number:
            self.progress.setRange(0, total)
            self.progress.setValue(done)

    # -- what the state says ------------------------------------------------------------------------------------------

    @told
    def _show_plan(self, *args):
        """Showing the numbers of images."""
        state = self.state
        self.plan_label.setText(plan_text(state.targets, state.plan))
        self.plan_label.setToolTip(plain_tip(self._plan_tip()))
        self.progress.setVisible(state.planning)
        self.count_button.setText("Stop" if state.planning else "Count again")
        again = "Search the folders again, and count the images"
        tip = "Stop asking the archive" if self._asking else "Stop counting images" if state.planning else again
        self.count_button.setToolTip(tip)
        self.count_button.setEnabled(state.planning or state.plan_request() is not None)
        self.archive_line.show_plan(self._asking)
        self.method_form.show_default_title(state.default_title)
        if state.plan is None:
            self.chart.refresh()
        self._show_status()

    def _plan_tip(self):
        plan = self.state.plan
        if plan is None:
            return "How many images hold the targets is counted as soon as targets and folders are named"
        basis = plan.seconds_basis
        what = "run time" if plan.archive is None else "time of measuring"
        lines = [f"No {what} is foretold: {basis}" if plan.seconds is None else f"Expected {what} {basis}"]
        lines += [f"{path}: {reason}" for path, reason in plan.unreadable[:_MOST_FILES]]
        more = len(plan.unreadable) - _MOST_FILES
        return "\n".join(lines + ([f"… and {more} more files"] if more > 0 else []))

    @told
    def _show_status(self, *args):
        """Showing what is missing."""
        problems = list(self.state.problems().values())
        self.measure_button.setEnabled(not problems and self._handed_in is None and not self._handing_in)
        self.measure_button.setText("Handing in…" if self._handing_in else "Measure")
        if self._handing_in:
            tip = "The job is being handed in. This window can be closed meanwhile"
        elif problems:
            tip = "Missing: " + " ".join(problems)
        elif self._handed_in:
            tip = f"This was handed in as job {self._handed_in}; change something to measure again."
        else:
            tip = "Hand this in as a job, which runs in the background"
        self.measure_button.setToolTip(plain_tip(tip))
        text, failed = self.state.status, self.state.failed
        if problems and not text:
            wrong = list(self.state.wrong().values())
            text, failed = (wrong or problems)[0], bool(wrong)
            if len(wrong) > 1:
                text += f" And {len(wrong) - 1} more, in red above."
        self.status_label.setText(text)
        self.status_label.setVisible(bool(text))
        self.status_label.setStyleSheet(f"color: {red()}" if failed else "")

    # -- the end ------------------------------------------------------------------------------------------------------

    def _on_finished(self, result):
        self._open = False
        self._settling.stop()
        self._count_work.close()
        self._look_up_work.close()
        self.state.close()
