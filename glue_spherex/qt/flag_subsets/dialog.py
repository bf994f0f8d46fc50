"""The dialog of flag subsets: a view of `FlagDialogState`."""

from echo.qt.connect import connect_combo_selection
from glue.core.hub import HubListener
from glue_qt.utils import messagebox_on_error
from qtpy import QtCore, QtWidgets

from ...model import DETECTORS
from ...plugin.flag_dialog_state import FlagDialogState
from ...plugin.flag_selection import PRESETS
from ...plugin.focus import focused_row
from ..open_dialogs import keep_open, push_button, status_line, window_of
from .bit_table import BitTable
from .chart import FlagChart


def flag_subsets_dialog(session, data=None, subset_group=None):
    """Open the dialog of flag subsets.

    Parameters
    ----------
    session : glue.core.Session
    data : glue.core.Data, optional
        Start with this dataset; by default that of the focused row, else the first spectrum.
    subset_group : glue.core.subset_group.SubsetGroup, optional
        Edit this subset.

    Returns
    -------
    FlagSubsetsDialog
        Shown beside glue's window, which stays usable.
    """
    data = focused_row(session)[0] if data is None else data
    state = FlagDialogState(session.data_collection, data=data, subset_group=subset_group)
    return keep_open(FlagSubsetsDialog(state, parent=window_of(session)), session)


class FlagSubsetsDialog(QtWidgets.QDialog, HubListener):
    """Choose flags, see how often and where they occur, and make subsets, columns or datasets of them.

    Parameters
    ----------
    state : FlagDialogState
    parent : QWidget, optional
    """

    def __init__(self, state, parent=None):
        super().__init__(parent)
        self.state = state
        self.setWindowTitle("SPHEREx: Flag subsets")
        self.setWindowFlag(QtCore.Qt.WindowMaximizeButtonHint)
        self._connections = []
        self.bit_table = BitTable(state)
        self.chart = FlagChart(state)
        layout = QtWidgets.QVBoxLayout(self)
        layout.addLayout(self._what_row())
        layout.addWidget(self._middle(), 1)
        layout.addLayout(self._preset_row())
        layout.addLayout(self._mode_row())
        layout.addLayout(self._name_row())
        layout.addLayout(self._button_row())
        layout.addWidget(self._status_line())
        for attribute in ("mask", "mode", "detectors", "data", "edited", "n_selected", "counts"):
            state.add_callback(attribute, self._refresh)
        self.finished.connect(lambda result: state.close())
        self.setMinimumSize(760, 520)
        self.resize(900, 640)
        self._refresh()

    # -- parts of the window ------------------------------------------------------------------------------------------

    def _what_row(self):
        row = QtWidgets.QHBoxLayout()
        for text, attribute, stretch, hint in (
            ("&Dataset:", "data", 2, "The dataset whose flags are looked at"),
            ("&Component:", "att", 1, "The component that holds the flags: whole numbers"),
            ("Co&unts for:", "group", 1, "Which rows the table and the chart count; the subset is not limited to them"),
        ):
            row.addWidget(self._labelled(text, self._combo(attribute, hint), row))
            row.setStretch(row.count() - 1, stretch)
        return row

    def _middle(self):
        splitter = QtWidgets.QSplitter(QtCore.Qt.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(self.bit_table)
        right = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.chart, 1)
        row = QtWidgets.QHBoxLayout()
        self.value_edit = QtWidgets.QLineEdit()
        self.value_edit.setPlaceholderText("2097152 or 0x200000")
        self.value_edit.setToolTip("Type a flag value to see which flags it has")
        self.value_edit.textEdited.connect(lambda text: setattr(self.state, "value_text", text))
        row.addWidget(self._labelled("D&ecode a value:", self.value_edit, row))
        column.addLayout(row)
        self.decoded = QtWidgets.QPlainTextEdit()
        self.decoded.setReadOnly(True)
        self.decoded.setPlaceholderText("What the value means is shown here.")
        self.decoded.setMaximumHeight(84)
        self.state.add_callback("value_text", self._show_value)
        self.state.add_callback("decoded", self.decoded.setPlainText)
        column.addWidget(self.decoded)
        splitter.addWidget(right)
        splitter.setSizes([430, 450])
        self.bit_table.setMinimumWidth(300)
        return splitter

    def _preset_row(self):
        row = QtWidgets.QHBoxLayout()
        row.addWidget(QtWidgets.QLabel("Presets:"))
        self.preset_buttons = {}
        for preset in PRESETS:
            button = push_button(preset.name, lambda checked=False, chosen=preset: self.state.choose_preset(chosen))
            button.setToolTip(f"{preset.reason[0].upper()}{preset.reason[1:]}")
            self.preset_buttons[preset.name] = button
            row.addWidget(button)
        self.untick_button = push_button("No ticks", lambda checked=False: self.state.untick())
        row.addWidget(self.untick_button)
        row.addStretch(1)
        return row

    def _mode_row(self):
        row = QtWidgets.QHBoxLayout()
        row.addWidget(self._labelled("Rows &with:", self._combo("mode", "How many of the ticked flags"), row))
        self.detector_label = QtWidgets.QLabel("only in detectors:")
        row.addWidget(self.detector_label)
        self.detector_boxes = {}
        for number in DETECTORS:
            box = QtWidgets.QCheckBox(str(number))
            box.setToolTip(f"Only rows of detector {number}; without a tick, rows of all detectors")
            box.clicked.connect(self._detectors_clicked)
            self.detector_boxes[number] = box
            row.addWidget(box)
        row.addStretch(1)
        self.selected_label = QtWidgets.QLabel()
        row.addWidget(self.selected_label)
        return row

    def _name_row(self):
        row = QtWidgets.QHBoxLayout()
        row.addWidget(self._labelled("&Make or edit:", self._combo("edited", "A new subset, or one to change"), row))
        self.name_edit = QtWidgets.QLineEdit()
        self.name_edit.setToolTip("Name of the subset; it follows the ticks until you change it")
        self.name_edit.textEdited.connect(lambda text: setattr(self.state, "name", text))
        self.name_edit.returnPressed.connect(self._apply)
        self.state.add_callback("name", self._show_name)
        self._show_name(self.state.name)
        row.addWidget(self._labelled("&Name:", self.name_edit, row), 1)
        return row

    def _button_row(self):
        row = QtWidgets.QHBoxLayout()
        self.apply_button = push_button("Make subset", self._apply)
        self.separate_button = push_button("One subset per flag", self._apply_separate)
        self.columns_button = push_button("One column per flag", self._add_columns)
        self.copy_button = push_button("Copy rows to a dataset", self._copy_rows)
        self.separate_button.setToolTip("A subset for each ticked flag, in the colour of the flag")
        self.columns_button.setToolTip("A column of 0 and 1 for each ticked flag, computed from the flags")
        self.copy_button.setToolTip("A new dataset with the rows that the subset would have")
        for button in (self.apply_button, self.separate_button, self.columns_button, self.copy_button):
            row.addWidget(button)
        row.addStretch(1)
        self.close_button = push_button("Close", self.close)
        row.addWidget(self.close_button)
        return row

    def _status_line(self):
        self.status_label = status_line()
        self.state.add_callback("status", self._show_status)
        self.state.add_callback("failed", self._show_status)
        self._show_status()
        return self.status_label

    def _combo(self, attribute, hint):
        combo = QtWidgets.QComboBox()
        combo.setToolTip(hint)
        combo.setSizeAdjustPolicy(QtWidgets.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        combo.setMinimumContentsLength(20 if attribute == "mode" else 12)
        self._connections.append(connect_combo_selection(self.state, attribute, combo))
        setattr(self, f"{attribute}_combo", combo)
        return combo

    @staticmethod
    def _labelled(text, widget, row):
        """Put a label with a shortcut for the widget into the row, and return the widget."""
        label = QtWidgets.QLabel(text)
        label.setBuddy(widget)
        row.addWidget(label)
        return widget

    # -- what the user does -------------------------------------------------------------------------------------------

    @messagebox_on_error("The subset cannot be made")
    def _apply(self, *args):
        self.state.apply()

    @messagebox_on_error("The subsets cannot be made")
    def _apply_separate(self, *args):
        self.state.apply(separate=True)

    @messagebox_on_error("The columns cannot be added")
    def _add_columns(self, *args):
        self.state.add_columns()

    @messagebox_on_error("The rows cannot be copied")
    def _copy_rows(self, *args):
        self.state.copy_rows()

    def _detectors_clicked(self, *args):
        self.state.detectors = tuple(number for number, box in self.detector_boxes.items() if box.isChecked())

    # -- what the state says ------------------------------------------------------------------------------------------

    def _refresh(self, *args):
        state = self.state
        for number, box in self.detector_boxes.items():
            box.setChecked(number in state.detectors)
            box.setEnabled(state.has_detectors)
        self.detector_label.setEnabled(state.has_detectors)
        total = 0 if state.data is None else state.data.size
        self.selected_label.setText(f"<b>{state.n_selected}</b> of {total} rows")
        self.apply_button.setText("Make subset" if state.edited is None else "Change subset")
        for button in (self.apply_button, self.separate_button, self.columns_button, self.copy_button):
            button.setEnabled(state.data is not None and state.mask != 0)

    def _show_name(self, name):
        if self.name_edit.text() != name:
            self.name_edit.setText(name)

    def _show_value(self, text):
        if self.value_edit.text() != text:
            self.value_edit.setText(text)

    def _show_status(self, *args):
        self.status_label.setStyleSheet("color: #b00020" if self.state.failed else "")
        self.status_label.setText(f"Not done: {self.state.status}" if self.state.failed else self.state.status)
