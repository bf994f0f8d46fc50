"""The table of what will be measured."""

from math import isfinite

from qtpy import QtCore, QtGui, QtWidgets

from ...plugin.measuring.planning import shape_text
from ..colours import red
from .form import plain_tip

_DETECTORS = tuple(range(1, 7))
HEADERS = ("Target", "RA (deg)", "Dec (deg)", "Shape", *(f"D{number}" for number in _DETECTORS), "All")
_SHAPE, _FIRST, _ALL = 3, 4, 10
_MARGINS = 8  # of a cell, px
_MOST_SPANS = 500  # rows whose reason takes the place of the numbers; of more, it is in the column of the shape


class PlanModel(QtCore.QAbstractTableModel):
    """The lines of a plan as a table.

    Parameters
    ----------
    state : MeasureState
    """

    def __init__(self, state):
        super().__init__()
        self.lines = ()
        self._state = state
        self._italic = QtGui.QFont()
        self._italic.setItalic(True)

    def show(self, lines):
        """Show other lines."""
        self.beginResetModel()
        self.lines = tuple(lines)
        self.endResetModel()

    def rowCount(self, parent=None):
        """Number of lines."""
        return 0 if parent is not None and parent.isValid() else len(self.lines)

    def columnCount(self, parent=None):
        """Number of columns."""
        return len(HEADERS)

    def headerData(self, section, orientation, role=QtCore.Qt.DisplayRole):
        """Titles, and what they mean."""
        if orientation != QtCore.Qt.Horizontal:
            return None
        if role == QtCore.Qt.DisplayRole:
            return HEADERS[section]
        if role == QtCore.Qt.ToolTipRole and section >= _FIRST:
            which = "all detectors" if section == _ALL else f"detector {section - _FIRST + 1}"
            return f"Images of {which} that may hold the target"
        return None

    def data(self, index, role=QtCore.Qt.DisplayRole):
        """What a cell shows."""
        line, column = self.lines[index.row()], index.column()
        if role == QtCore.Qt.DisplayRole:
            return self._text(line, column)
        if role == QtCore.Qt.ForegroundRole and line.problem:
            return QtGui.QColor(red())
        if role == QtCore.Qt.FontRole and line.companion:
            return self._italic
        if role == QtCore.Qt.TextAlignmentRole:
            right = column in (1, 2) or column >= _FIRST
            side = QtCore.Qt.AlignRight if right else QtCore.Qt.AlignLeft
            return int(side | QtCore.Qt.AlignVCenter)
        if role == QtCore.Qt.ToolTipRole:
            return plain_tip(self._tip(line))
        return None

    def _text(self, line, column):
        if column == 0:
            return line.label or f"row {line.row + 1}"
        if column in (1, 2):
            value = line.ra if column == 1 else line.dec
            return f"{value:.5f}" if isfinite(value) else ""
        if column == _SHAPE:
            if line.problem or self._state.targets is None:  # which have no shape as long as a value of it is wrong
                return line.problem
            return f"companion, {shape_text(line.shape)}" if line.companion else shape_text(line.shape)
        plan = self._state.plan
        if plan is None or not (plan.is_complete or line.images):  # not known yet
            return ""
        return str(line.images if column == _ALL else line.counts[column - _FIRST])

    @staticmethod
    def _tip(line):
        what = "Fitted with the targets, so that it does not disturb them. " if line.companion else ""
        return f"{line.label or 'row'} (row {line.row + 1}). {what}{line.problem or shape_text(line.shape)}"


class PlanTable(QtWidgets.QTableView):
    """What will be measured, and in red what cannot be and why.

    Parameters
    ----------
    state : MeasureState
    """

    chosen = QtCore.Signal(object)

    def __init__(self, state):
        super().__init__()
        self._state = state
        self._model = PlanModel(state)
        self.setModel(self._model)
        self.setSelectionBehavior(QtWidgets.QAbstractItemView.SelectRows)
        self.setEditTriggers(QtWidgets.QAbstractItemView.NoEditTriggers)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 6)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(24)
        width = self.fontMetrics().horizontalAdvance
        for column, text in enumerate(("a-star-name", "359.99999", "-89.99999", "", *("999",) * 6, "9999")):
            header.resizeSection(column, width(text) + _MARGINS)
        header.resizeSection(_SHAPE, width("n 1.5, 6″") + _MARGINS)
        beside = self.style().pixelMetric(QtWidgets.QStyle.PM_ScrollBarExtent) + 2 * self.frameWidth()
        self.setMinimumWidth(header.length() + beside)  # the numbers are always in view
        header.setSectionResizeMode(_SHAPE, QtWidgets.QHeaderView.Stretch)
        self.selectionModel().selectionChanged.connect(lambda *args: self.chosen.emit(self.chosen_lines()))
        state.add_callback("lines", self.refresh)
        self.refresh()

    def refresh(self, *args):
        """Show the lines that the state has now."""
        rows = sorted({index.row() for index in self.selectionModel().selectedRows()})
        self.clearSpans()
        self._model.show(self._state.lines)
        self.updateGeometries()  # else a scroll bar stays where no rows are left
        spans = [row for row, line in enumerate(self._state.lines) if line.problem][:_MOST_SPANS]
        for row in spans:
            self.setSpan(row, _SHAPE, 1, len(HEADERS) - _SHAPE)
        if len(rows) == 1 and rows[0] < len(self._state.lines):
            self.selectRow(rows[0])
        self.chosen.emit(self.chosen_lines())

    def chosen_lines(self):
        """The lines that are selected, in their order."""
        rows = sorted(index.row() for index in self.selectionModel().selectedRows())
        return [self._model.lines[row] for row in rows]

    def row_texts(self, row):
        """What a row shows."""
        return [self._model._text(self._model.lines[row], column) for column in range(len(HEADERS))]
