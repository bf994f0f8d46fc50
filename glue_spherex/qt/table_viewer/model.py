"""The rows and colours of a table."""

from glue.core import BaseData
from glue.core.exceptions import IncompatibleAttribute
from glue.utils.colors import alpha_blend_colors
from glue_qt.utils import mpl_to_qt_color
from glue_qt.viewers.table.data_viewer import DataTableModel
from qtpy.QtCore import Qt
from qtpy.QtGui import QBrush

_OPACITY = 0.5  # of a subset's colour


class TableModel(DataTableModel):
    """glue's model, which asks a subset once for all its rows instead of once for each cell.

    Parameters
    ----------
    table_viewer : SpherexTableViewer
    """

    def __init__(self, table_viewer):
        self._subsets = None  # (mask, colour) of the subsets that are shown, found when a cell is drawn
        self._brushes = {}
        super().__init__(table_viewer)

    def data(self, index, role):
        """See Qt."""
        if role == Qt.BackgroundRole and index.isValid():
            return self._brush(self.order_visible[index.row()])
        return super().data(index, role)

    def data_changed(self):
        """Draw all cells anew."""
        self._update_visible()
        if self.rowCount() and self.columnCount():
            last = self.index(self.rowCount() - 1, self.columnCount() - 1)
            self.dataChanged.emit(self.index(0, 0), last)
        self.layoutChanged.emit()

    def _update_visible(self):
        self._subsets = None
        super()._update_visible()

    def _brush(self, row):
        if self._subsets is None:
            self._subsets = list(self._shown_subsets())
        colours = tuple(colour for mask, colour in self._subsets if mask[row])
        if not colours:
            return None
        if colours not in self._brushes:
            blended = alpha_blend_colors(list(colours), additional_alpha=_OPACITY)
            self._brushes[colours] = QBrush(mpl_to_qt_color(blended))
        return self._brushes[colours]

    def _shown_subsets(self):
        for artist in self._table_viewer.layers[::-1]:
            if isinstance(artist.layer, BaseData) or not artist.visible:
                continue
            try:
                yield artist.layer.to_mask(), artist.layer.style.color
            except IncompatibleAttribute as error:
                if artist.enabled:
                    artist.disable_invalid_attributes(*error.args)
                    artist.visible = False
