"""glue's table viewer, whose current row is the focused row or the chosen target."""

import numpy as np
from glue.core import BaseData
from glue.core.message import DataAddComponentMessage, DataRemoveComponentMessage, NumericalDataChangedMessage
from glue_qt.utils import messagebox_on_error
from glue_qt.viewers.table import TableViewer
from qtpy import QtCore, QtWidgets

from ...model import Flag
from ...plugin.columns import find_column, kind_of, plugin_meta
from ...plugin.focus import RowFocusMessage, SourceFocusMessage, focus_row, focus_source, focused_row
from ...plugin.sources import source_of_row
from ...plugin.targets import source_of_target, target_of_source
from .cells import CellDelegate
from .model import TableModel

_WIDEST_PX, _MARGIN_PX, _NARROW_PX = 190, 8, 330
_FITTED_ROWS = 40  # whose text the columns are made to fit
#: The columns that stand first in the window; the data keep their order.
_FIRST = {
    "targets": ("label",),
    "spectrum": ("label", "wavelength", "flux", "flux_err", "flags", "fit_ql", "flux_bkg", "det_id", "mjd"),
}


class SpherexTableViewer(TableViewer):
    """A table in which choosing a row of a spectrum focuses it, and choosing a target shows its spectrum.

    The row that is looked at is marked. The column heads tell what a column holds, and the cells of ``flags`` which
    flags are set, when the mouse rests on them.
    """

    LABEL = "SPHEREx Table"

    def __init__(self, session, state=None, parent=None, widget=None):
        self.marked_row = None
        self._following = None
        super().__init__(session, state=state, parent=parent, widget=widget)
        self._scroll = QtCore.QTimer(self, interval=0, singleShot=True)
        self._scroll.timeout.connect(lambda: self.model is not None and self._show(self.marked_row))
        table = self.ui.table
        table.setItemDelegate(CellDelegate(self))
        table.setMouseTracking(True)
        table.verticalHeader().setDefaultSectionSize(22)
        table.clicked.connect(lambda index: self._chosen(index.row()))
        table.horizontalHeader().setResizeContentsPrecision(_FITTED_ROWS)
        table.horizontalHeader().viewport().installEventFilter(self)
        table.viewport().installEventFilter(self)
        self.ui.text_filter.setPlaceholderText("Search")

    def register_to_hub(self, hub):
        super().register_to_hub(hub)
        hub.subscribe(self, RowFocusMessage, handler=lambda message: self._mark(message.data, message.row))
        hub.subscribe(self, SourceFocusMessage, handler=lambda message: self._mark_source(message))
        for kind in (NumericalDataChangedMessage, DataAddComponentMessage, DataRemoveComponentMessage):
            hub.subscribe(self, kind, handler=self._data_replaced, filter=lambda message: message.data is self.data)
        self._mark(*focused_row(self.session))

    @messagebox_on_error("The table cannot be shown")
    def add_data(self, data):
        """Show a table; one without rows, which glue cannot, is refused in a sentence."""
        if data.size == 0:
            raise ValueError(f"{data.label!r} has no rows, so there is nothing to show.")
        return super().add_data(data)

    def _on_layers_changed(self, *args):
        shown = [state.layer for state in self.state.layers if isinstance(state.layer, BaseData)]
        if not shown:
            return
        if shown[0] is self.data:
            self.model._update_visible()
            return
        self.data = shown[0]
        self.model = TableModel(self)
        self.model.get_filter_mask()
        self.ui.table.setModel(self.model)
        self.ui.table.selectionModel().currentRowChanged.connect(self._current_changed)
        self._fit_columns()
        self._mark(*focused_row(self.session))

    def _data_replaced(self, message):
        """Begin anew if the dataset has other rows or columns than the table shows; glue leaves it as it is."""
        shown = self.model.order.size, self.ui.table.horizontalHeader().count()
        if shown != (self.data.size, self.model.columnCount()):
            self.data = None
            self._on_layers_changed()

    def showEvent(self, event):
        """Fit the columns once their text can be measured."""
        super().showEvent(event)
        self._fit_columns()
        self._scroll.start()

    def resizeEvent(self, event):
        """Leave out the words of the search line where there is no room for them."""
        super().resizeEvent(event)
        for widget in (self.ui.filter_label, self.ui.filter_label_2, self.ui.bool_regex):
            widget.setVisible(self.width() > _NARROW_PX)

    def _fit_columns(self):
        if self.model is None:
            return
        self.ui.table.resizeColumnsToContents()
        for column in range(self.model.columnCount()):
            self.ui.table.setColumnWidth(column, min(self.ui.table.columnWidth(column) + _MARGIN_PX, _WIDEST_PX))
        header, columns = self.ui.table.horizontalHeader(), self.model.columns
        first = [find_column(self.data, name) for name in _FIRST.get(kind_of(self.data), ())]
        for place, cid in enumerate(cid for cid in first if cid in columns):
            header.moveSection(header.visualIndex(columns.index(cid)), place)

    def _current_changed(self, current, previous):
        if current.isValid() and previous.isValid():  # the first one is set by Qt when the table gets the keyboard
            self._chosen(current.row())

    @messagebox_on_error("The row cannot be looked at")
    def _chosen(self, place):
        """Look at the row that stands at a place of the table, as it is sorted and filtered now."""
        row = int(self.model.order_visible[place])
        if kind_of(self.data) == "spectrum":
            if focused_row(self.session) != (self.data, row):
                focus_row(self.session, self.data, row)
        elif kind_of(self.data) == "targets" and row != self._following:
            self._following = row
            found = source_of_target(self.session.data_collection, self.data, row, focused_row(self.session)[0])
            if found is None:
                self.statusBar().showMessage("No spectrum of this target is loaded.")
            else:
                self.statusBar().clearMessage()
                focus_source(self.session, *found)
        self._show(row)

    def _mark(self, data, row):
        """Mark the focused row, or the target that it was measured for."""
        if self.data is None:
            return
        if data is None or data is self.data:
            self._show(row)
        elif row is not None and kind_of(self.data) == "targets":
            self._show(target_of_source(self.data, data, source_of_row(data, row)))

    def _mark_source(self, message):
        if self.data is not None and kind_of(self.data) == "targets":
            self._show(target_of_source(self.data, message.data, message.source_id))

    def _show(self, row):
        self.marked_row = row
        self._following = row if kind_of(self.data) == "targets" else None
        places = [] if row is None else np.flatnonzero(self.model.order_visible == row)
        if len(places):
            aside = self.ui.table.horizontalScrollBar().value()
            self.ui.table.scrollTo(self.model.index(int(places[0]), 0))
            self.ui.table.horizontalScrollBar().setValue(aside)
        self.ui.table.viewport().update()

    def eventFilter(self, watched, event):
        """Show what a column holds, and the names of flags."""
        if event.type() == QtCore.QEvent.ToolTip and self.model is not None:
            text = self._tip(watched, event.pos())
            if text:
                QtWidgets.QToolTip.showText(event.globalPos(), text, self)
                return True
        return super().eventFilter(watched, event)

    def _tip(self, watched, position):
        table = self.ui.table
        if watched is table.horizontalHeader().viewport():
            column = table.horizontalHeader().logicalIndexAt(position)
            if 0 <= column < self.model.columnCount():
                return self.description(self.model.columns[column])
            return ""
        index = table.indexAt(position)
        if index.isValid() and self.model.columns[index.column()] is find_column(self.data, "flags"):
            value = int(self.data.get_data(self.model.columns[index.column()])[self.model.order_visible[index.row()]])
            return ", ".join(Flag.decode(value)) if value >= 0 else ""
        return ""

    def description(self, cid):
        """What a column holds, as its file describes it; '' where it does not."""
        descriptions = plugin_meta(self.data).get("descriptions", {})
        named = [name for name in descriptions if find_column(self.data, name) is cid]
        return str(descriptions[named[0]]) if named else ""
