"""The table of flags: tick, name, number of the bit, count and fraction."""

from qtpy import QtCore, QtGui, QtWidgets

from ...plugin.flag_subsets import COLOURS, MEANINGS, bit_name

COLUMNS = ("Flag", "Bit", "Rows", "Part")
_BIT = QtCore.Qt.UserRole
_NO_COLOUR = "#bbbbbb"


class BitTable(QtWidgets.QTreeWidget):
    """Lists the bits of a `FlagDialogState`; a tick, or a double click on the row, changes its mask.

    Parameters
    ----------
    state : FlagDialogState
    parent : QWidget, optional
    """

    def __init__(self, state, parent=None):
        super().__init__(parent)
        self._state = state
        self.setHeaderLabels(COLUMNS)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setAlternatingRowColors(True)
        self.setSelectionMode(QtWidgets.QAbstractItemView.SingleSelection)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QtWidgets.QHeaderView.Stretch)
        for column in range(1, len(COLUMNS)):
            header.setSectionResizeMode(column, QtWidgets.QHeaderView.ResizeToContents)
            self.headerItem().setTextAlignment(column, QtCore.Qt.AlignRight | QtCore.Qt.AlignVCenter)
        self.itemChanged.connect(self._on_item_changed)
        self.itemDoubleClicked.connect(self._on_double_click)
        state.add_callback("counts", self.refresh)
        state.add_callback("mask", self.refresh)
        self.refresh()

    def refresh(self, *args):
        """Show the bits, ticks and counts as they are now; the place of the scroll bar is kept."""
        bits = self._state.shown_bits
        self.blockSignals(True)
        try:
            if [self.bit_of(item) for item in self.items()] != bits:
                self.clear()
                self.addTopLevelItems([_item(bit) for bit in bits])
            counts = {entry.bit: entry for entry in self._state.counts.bits}
            for item in self.items():
                self._fill(item, counts.get(self.bit_of(item)))
        finally:
            self.blockSignals(False)

    def items(self):
        """The rows of the table, a list of QTreeWidgetItem."""
        return [self.topLevelItem(number) for number in range(self.topLevelItemCount())]

    @staticmethod
    def bit_of(item):
        """The number of the bit in a row."""
        return item.data(0, _BIT)

    def _fill(self, item, entry):
        ticked = self._state.mask >> self.bit_of(item) & 1
        item.setCheckState(0, QtCore.Qt.Checked if ticked else QtCore.Qt.Unchecked)
        item.setText(2, f"{entry.count if entry else 0}")
        item.setText(3, f"{100 * entry.fraction:.1f} %" if entry else "0 %")

    def _on_item_changed(self, item, column):
        if column == 0:
            self._state.toggle(self.bit_of(item), item.checkState(0) == QtCore.Qt.Checked)

    def _on_double_click(self, item, column):
        if column > 0:
            self._state.toggle(self.bit_of(item), item.checkState(0) != QtCore.Qt.Checked)


def _item(bit):
    item = QtWidgets.QTreeWidgetItem([bit_name(bit), str(bit), "", ""])
    item.setData(0, _BIT, bit)
    item.setFlags(QtCore.Qt.ItemIsEnabled | QtCore.Qt.ItemIsSelectable | QtCore.Qt.ItemIsUserCheckable)
    item.setIcon(0, swatch(COLOURS.get(bit, _NO_COLOUR)))
    meaning = MEANINGS.get(bit, "a bit without a published meaning")
    for column in range(len(COLUMNS)):
        item.setToolTip(column, f"{bit_name(bit)} (2^{bit} = {1 << bit}): {meaning}")
        if column:
            item.setTextAlignment(column, QtCore.Qt.AlignRight | QtCore.Qt.AlignVCenter)
    return item


def swatch(colour, size=12):
    """A square icon in one colour.

    Parameters
    ----------
    colour : str
    size : int, optional
        Side in pixels.

    Returns
    -------
    QIcon
    """
    pixmap = QtGui.QPixmap(size, size)
    pixmap.fill(QtGui.QColor(colour))
    return QtGui.QIcon(pixmap)
