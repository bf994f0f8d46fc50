"""The dialog that opens a job of IRSA's Spectrophotometry Tool: a view of `IrsaJobState`."""

from glue.core.hub import HubListener
from qtpy import QtCore, QtWidgets

from ...plugin.irsa_job_state import IrsaJobState
from ...plugin.measuring.background_work import LatestWork
from ..colours import red
from ..cutout_viewer.canvas import told
from ..job_monitor.layout import show_in_viewers
from ..measure_dialog.delivery import Delivery
from ..open_dialogs import keep_open, push_button, status_line, window_of

_EXPLANATION = (
    "Opens spectra that IRSA's Spectrophotometry Tool has measured. In the Job Monitor of the tool, click the (i) of "
    "the job, unfold “Results”, and copy the link."
)
_STATUS_MS = 15_000


def irsa_job_dialog(session):
    """Open the dialog that opens a job of IRSA's tool.

    Parameters
    ----------
    session : glue.core.Session

    Returns
    -------
    IrsaJobDialog
        Shown beside glue's window, which stays usable. If the clipboard holds the address of a job, it is filled in.
    """
    state = IrsaJobState(session, QtWidgets.QApplication.clipboard().text())
    return keep_open(IrsaJobDialog(state, parent=window_of(session)), session)


class IrsaJobDialog(QtWidgets.QDialog, HubListener):
    """Name a job; its spectra are fetched, kept, and shown in the prepared layout.

    Parameters
    ----------
    state : IrsaJobState
    parent : QWidget, optional
    """

    def __init__(self, state, parent=None):
        super().__init__(parent)
        self.state = state
        self.setWindowTitle("SPHEREx: Open IRSA job")
        self._number, self._delivery = 0, Delivery(self)
        self._work = self._new_work()
        self._delivery.arrived.connect(self._arrived)
        self._delivery.progressed.connect(self._progressed)
        column = QtWidgets.QVBoxLayout(self)
        explanation = QtWidgets.QLabel(_EXPLANATION)
        explanation.setWordWrap(True)
        column.addWidget(explanation)
        column.addSpacing(6)
        column.addLayout(self._address_row())
        column.addWidget(self._progress_bar())
        self.status_label = status_line()
        self.status_label.setAlignment(QtCore.Qt.AlignTop)
        self._lines = self.status_label.minimumHeight()
        column.addWidget(self.status_label, 1)
        column.addLayout(self._button_row())
        state.add_callback("address", self._show_address)
        for attribute in ("working", "status", "failed"):
            state.add_callback(attribute, self._show_status)
        self.finished.connect(self._on_finished)
        self.setMinimumWidth(520)
        self.resize(680, self.sizeHint().height())
        self._show_address()
        self._show_status()

    def _new_work(self):
        return LatestWork(self._delivery.arrived.emit, self._delivery.progressed.emit)

    # -- parts of the window ------------------------------------------------------------------------------------------

    def _address_row(self):
        row = QtWidgets.QHBoxLayout()
        self.address_edit = QtWidgets.QLineEdit()
        self.address_edit.setPlaceholderText("https://irsa.ipac.caltech.edu/api/spherex/spectrophotometry/async/…")
        self.address_edit.setToolTip("The link to the result, the address of the job, or its id")
        self.address_edit.textEdited.connect(self._edited)
        self.address_edit.returnPressed.connect(self._open)
        label = QtWidgets.QLabel("&Address or id:")
        label.setBuddy(self.address_edit)
        row.addWidget(label)
        row.addWidget(self.address_edit, 1)
        return row

    def _progress_bar(self):
        self.progress = QtWidgets.QProgressBar()
        self.progress.setRange(0, 0)  # busy: how long an archive takes is not known
        self.progress.setTextVisible(False)
        self.progress.setMaximumHeight(12)
        policy = self.progress.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.progress.setSizePolicy(policy)
        return self.progress

    def _button_row(self):
        row = QtWidgets.QHBoxLayout()
        row.addStretch(1)
        self.close_button = push_button("Close", self.close)
        self.open_button = push_button("Open", self._clicked)
        row.addWidget(self.close_button)
        row.addWidget(self.open_button)
        return row

    # -- what the user does -------------------------------------------------------------------------------------------

    def _edited(self, text):
        self.state.address = text

    @told
    def _clicked(self, *args):
        """Opening the job."""
        if self.state.working:
            self._work.close()  # what cannot be interrupted goes on by itself, and does not hold up the next one
            self._work = self._new_work()
            self.state.stop()
        else:
            self._open()

    @told
    def _open(self):
        """Opening the job."""
        work = None if self.state.working else self.state.start()
        if work is not None:
            self._number = self._work.request(work)

    def tell(self, text):
        """Say what could not be done."""
        self.state.failed, self.state.status = True, text

    # -- what comes from the other thread -----------------------------------------------------------------------------

    def _progressed(self, number, done, total):
        if number == self._number and self.state.working:
            self.state.step(done)

    @told
    def _arrived(self, number, data, error):
        """Showing the spectra."""
        if number != self._number or not self.state.working:
            return
        data = self.state.finish(data, error)
        if data is None:
            return
        show_in_viewers(self.state.session, data)
        window = window_of(self.state.session)
        if window is not None and hasattr(window, "statusBar"):
            window.statusBar().showMessage(f"SPHEREx: {self.state.status}", _STATUS_MS)
        self.accept()

    # -- what the state says ------------------------------------------------------------------------------------------

    def _show_address(self, *args):
        if self.address_edit.text() != self.state.address:
            self.address_edit.setText(self.state.address)
        self._show_status()

    def _show_status(self, *args):
        state = self.state
        self.progress.setVisible(state.working)
        self.address_edit.setEnabled(not state.working)
        self.open_button.setText("Stop" if state.working else "Open")
        self.open_button.setEnabled(state.working or bool(state.address.strip()))
        self.status_label.setText(state.status)
        self.status_label.setStyleSheet(f"color: {red()}" if state.failed else "")
        self._make_room()

    def _make_room(self):
        """Let the whole sentence be seen: what an archive says may be long."""
        needed = self.status_label.heightForWidth(self.status_label.width())
        self.status_label.setMinimumHeight(max(self._lines, needed))
        needed = self.layout().totalHeightForWidth(self.width())
        if needed > self.height():
            self.resize(self.width(), needed)

    def resizeEvent(self, event):
        """Text needs more lines where there is less room."""
        super().resizeEvent(event)
        self._make_room()

    def _on_finished(self, result):
        self._work.close()
        self.state.stop()
