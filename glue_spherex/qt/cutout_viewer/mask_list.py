"""The list of mask layers: colour, name and number of pixels of each flag."""

from echo.qt import connect_checkable_button
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QSlider,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ...plugin.cutouts.mask_layers import ALL_BITS, ALL_BUT_SOURCE, PIXEL_FLAGS

_BIT = Qt.UserRole


class MaskList(QWidget):
    """Which flags are shown over the cutouts.

    Parameters
    ----------
    state : CutoutViewerState
    """

    def __init__(self, state, parent=None):
        super().__init__(parent)
        self.state = state
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(4)
        self.bool_show_mask = QCheckBox("Show, opacity")
        self.bool_show_mask.setToolTip("Show the flags of pixels over the images")
        self._connections = [connect_checkable_button(state, "show_mask", self.bool_show_mask)]
        column.addLayout(self._opacity())
        column.addLayout(self._buttons())
        self.tree = self._tree()
        column.addWidget(self.tree, 1)
        state.add_callback("mask_bits", self._tick)
        self._tick(state.mask_bits)

    def _buttons(self):
        row = QHBoxLayout()
        self.buttons = {}
        for text, bits, tip in (
            ("Show all", ALL_BITS, "Show all flags"),
            ("Hide all", 0, "Show no flag"),
            ("All but SOURCE", ALL_BUT_SOURCE, "Show all flags except that of known sources"),
        ):
            button = self.buttons[text] = QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(lambda _=False, bits=bits: setattr(self.state, "mask_bits", bits))
            row.addWidget(button)
        return row

    def _tree(self):
        tree = QTreeWidget()
        tree.setColumnCount(2)
        tree.setHeaderLabels(["Flag", "Pixels"])
        tree.setRootIsDecorated(False)
        tree.setUniformRowHeights(True)
        self.items = {}
        for info in PIXEL_FLAGS:
            item = QTreeWidgetItem([info.name, ""])
            item.setData(0, _BIT, info.bit)
            swatch = QPixmap(14, 14)
            swatch.fill(QColor(info.colour))
            item.setIcon(0, QIcon(swatch))
            item.setToolTip(0, f"bit {info.bit}: {info.meaning}")
            item.setTextAlignment(1, int(Qt.AlignRight | Qt.AlignVCenter))
            item.setFlags(item.flags() | Qt.ItemIsUserCheckable)
            tree.addTopLevelItem(item)
            self.items[info.bit] = item
        tree.header().setStretchLastSection(False)
        tree.header().setSectionResizeMode(0, QHeaderView.Stretch)
        tree.header().setSectionResizeMode(1, QHeaderView.ResizeToContents)
        tree.itemChanged.connect(self._on_ticked)
        return tree

    def _opacity(self):
        row = QHBoxLayout()
        row.addWidget(self.bool_show_mask)
        self.slider = QSlider(Qt.Horizontal)
        self.slider.setRange(0, 100)
        self.slider.setToolTip("How much of the image the flags hide")
        self.slider.setValue(round(100 * self.state.mask_alpha))
        self.slider.valueChanged.connect(lambda value: setattr(self.state, "mask_alpha", value / 100))
        self.state.add_callback("mask_alpha", self._set_slider)
        row.addWidget(self.slider)
        return row

    def _set_slider(self, alpha):
        self.slider.blockSignals(True)
        self.slider.setValue(round(100 * alpha))
        self.slider.blockSignals(False)

    def _tick(self, bits):
        self.tree.blockSignals(True)
        for bit, item in self.items.items():
            item.setCheckState(0, Qt.Checked if bits >> bit & 1 else Qt.Unchecked)
        self.tree.blockSignals(False)

    def _on_ticked(self, item, column):
        bit = 1 << item.data(0, _BIT)
        checked = item.checkState(0) == Qt.Checked
        self.state.mask_bits = self.state.mask_bits | bit if checked else self.state.mask_bits & ~bit

    def show_counts(self, counts):
        """Write the number of pixels beside each flag; flags that do not occur are grey.

        Parameters
        ----------
        counts : dict of int to int
        """
        self.tree.blockSignals(True)
        for bit, item in self.items.items():
            count = counts.get(bit, 0)
            item.setText(1, str(count) if count else "–")
            colour = self.palette().color(self.palette().Text) if count else QColor("#9a9a9a")
            item.setForeground(0, colour)
            item.setForeground(1, colour)
        self.tree.blockSignals(False)
