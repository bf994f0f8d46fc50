"""The dialog of the check-up: a view of `CheckUpState`."""

from echo.qt.connect import connect_combo_selection
from glue.core.hub import HubListener
from glue_qt.utils import messagebox_on_error
from qtpy import QtCore, QtWidgets

from ...plugin.check_up_state import CheckUpState
from ...plugin.focus import focused_row
from ...plugin.sources import source_of_row
from ..open_dialogs import keep_open, push_button, status_line, window_of

_ICONS = {
    "good": "SP_DialogApplyButton",
    "note": "SP_MessageBoxInformation",
    "warn": "SP_MessageBoxWarning",
    "bad": "SP_MessageBoxCritical",
}
_COLUMNS = ("Verdict", "On", "Finding")
_FILTERS = "HTML page (*.html);;Text (*.txt)"


def check_up_dialog(session, data=None, source_id=None):
    """Open the check-up of a spectrum.

    Parameters
    ----------
    session : glue.core.Session
    data : glue.core.Data, optional
        A spectrum; by default that of the focused row, else the first one.
    source_id : int or str, optional
        Number or name; by default that of the focused row, else the first source.

    Returns
    -------
    CheckUpDialog
        Shown beside glue's window, which stays usable.
    """
    focused, row = focused_row(session)
    if source_id is None and focused is not None and data in (None, focused):
        data, source_id = focused, source_of_row(focused, row)
    return keep_open(CheckUpDialog(CheckUpState(session, data, source_id), parent=window_of(session)), session)


class CheckUpDialog(QtWidgets.QDialog, HubListener):
    """The lines of a check-up; from each a subset can be made, or its worst point looked at.

    Parameters
    ----------
    state : CheckUpState
    parent : QWidget, optional
    """

    def __init__(self, state, parent=None):
        super().__init__(parent)
        self.state = state
        self.setWindowTitle("SPHEREx: Check-up")
        self.setWindowFlag(QtCore.Qt.WindowMaximizeButtonHint)
        self._connections = []
        layout = QtWidgets.QVBoxLayout(self)
        layout.addLayout(self._what_row())
        layout.addWidget(self._lines(), 1)
        layout.addLayout(self._button_row())
        layout.addWidget(self._status_line())
        state.add_callback("findings", self._show_findings)
        state.add_callback("chosen", self._show_chosen)
        state.add_callback("status", self._show_status)
        state.add_callback("failed", self._show_status)
        self.finished.connect(lambda result: state.close())
        self.setMinimumSize(600, 400)
        self.resize(860, 600)
        self._show_findings()
        self._show_status()

    # -- parts of the window ------------------------------------------------------------------------------------------

    def _what_row(self):
        row = QtWidgets.QHBoxLayout()
        for text, attribute in (("&Spectrum:", "data"), ("S&ource:", "source")):
            combo = QtWidgets.QComboBox()
            combo.setSizeAdjustPolicy(QtWidgets.QComboBox.AdjustToMinimumContentsLengthWithIcon)
            combo.setMinimumContentsLength(16)
            label = QtWidgets.QLabel(text)
            label.setBuddy(combo)
            row.addWidget(label)
            row.addWidget(combo, 1)
            self._connections.append(connect_combo_selection(self.state, attribute, combo))
            setattr(self, f"{attribute}_combo", combo)
        return row

    def _lines(self):
        self.table = QtWidgets.QTableWidget(0, len(_COLUMNS))
        self.table.setHorizontalHeaderLabels(_COLUMNS)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setMinimumSectionSize(26)
        self.table.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        self.table.setSelectionMode(QtWidgets.QAbstractItemView.SingleSelection)
        self.table.setEditTriggers(QtWidgets.QAbstractItemView.NoEditTriggers)
        self.table.setWordWrap(True)
        self.table.setShowGrid(False)
        self.table.setAlternatingRowColors(True)
        header = self.table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(0, QtWidgets.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(1, QtWidgets.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(2, QtWidgets.QHeaderView.Stretch)
        header.sectionResized.connect(lambda *args: self.table.resizeRowsToContents())
        for column in range(len(_COLUMNS)):
            self.table.horizontalHeaderItem(column).setTextAlignment(QtCore.Qt.AlignLeft | QtCore.Qt.AlignVCenter)
        self.table.itemSelectionChanged.connect(self._selected)
        self.table.itemDoubleClicked.connect(self._show_worst)
        return self.table

    def _button_row(self):
        row = QtWidgets.QHBoxLayout()
        self.worst_button = push_button("Show worst point", self._show_worst)
        self.worst_button.setToolTip("Focus the worst point of the line in all viewers; a double click does the same")
        self.subset_button = push_button("Make subset", self._make_subset)
        self.subset_button.setToolTip("A glue subset of the points that the line concerns")
        self.save_button = push_button("Save report…", self._save)
        self.close_button = push_button("Close", self.close)
        for button in (self.worst_button, self.subset_button, self.save_button):
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(self.close_button)
        return row

    def _status_line(self):
        self.status_label = status_line()
        return self.status_label

    # -- what the user does -------------------------------------------------------------------------------------------

    def _selected(self):
        rows = self.table.selectionModel().selectedRows()
        self.state.chosen = rows[0].row() if rows else None

    @messagebox_on_error("The subset cannot be made")
    def _make_subset(self, *args):
        self.state.make_subset()

    @messagebox_on_error("The point cannot be shown")
    def _show_worst(self, *args):
        self.state.show_worst()

    @messagebox_on_error("The report cannot be saved")
    def _save(self, *args):
        path, _ = QtWidgets.QFileDialog.getSaveFileName(self, "Save report", self.state.report_name, _FILTERS)
        if path:
            self.state.save(path)

    # -- what the state says ------------------------------------------------------------------------------------------

    def _show_findings(self, *args):
        findings = self.state.findings
        self.table.blockSignals(True)
        try:
            self.table.clearSelection()
            self.table.setRowCount(len(findings))
            for row, finding in enumerate(findings):
                icon = self.style().standardIcon(getattr(QtWidgets.QStyle, _ICONS[finding.level]))
                for column, text in enumerate((finding.word, finding.title, finding.text)):
                    item = QtWidgets.QTableWidgetItem(text)
                    item.setTextAlignment(QtCore.Qt.AlignLeft | QtCore.Qt.AlignVCenter)
                    if column == 0:
                        item.setIcon(icon)
                    self.table.setItem(row, column, item)
        finally:
            self.table.blockSignals(False)
        self.table.resizeRowsToContents()
        self._show_chosen()

    def _show_chosen(self, *args):
        finding = self.state.finding
        self.table.blockSignals(True)
        try:
            if finding is None:
                self.table.clearSelection()
            elif not self.table.selectionModel().isRowSelected(self.state.chosen, self.table.rootIndex()):
                self.table.selectRow(self.state.chosen)
        finally:
            self.table.blockSignals(False)
        self.worst_button.setEnabled(finding is not None and finding.worst_row is not None)
        self.subset_button.setEnabled(finding is not None and finding.rows is not None)
        self.save_button.setEnabled(bool(self.state.findings))

    def _show_status(self, *args):
        self.status_label.setStyleSheet("color: #b00020" if self.state.failed else "")
        hint = "Click a line, then make a subset of its points or look at the worst one."
        self.status_label.setText(self.state.status or hint)
