"""How the cells of a table are drawn."""

from qtpy import QtCore, QtGui, QtWidgets

#: Decimals of columns that need more than a few digits.
_DECIMALS = {"ra": 6, "dec": 6, "mjd": 5, "wavelength": 4, "lambda_width": 4, "x_image": 2, "y_image": 2}


def cell_text(name, kind, text):
    """A number in as many digits as it deserves.

    Parameters
    ----------
    name : str
        Of the column.
    kind : str
        Kind of its numpy type.
    text : str
        The value in full.

    Returns
    -------
    str
    """
    if kind != "f":
        return text
    try:
        value = float(text)
    except ValueError:
        return text
    if value != value:
        return ""
    return f"{value:.{_DECIMALS[name]}f}" if name in _DECIMALS else f"{value:.5g}"


class CellDelegate(QtWidgets.QStyledItemDelegate):
    """Draws the cells of a `SpherexTableViewer`: numbers short, the marked row highlighted.

    Parameters
    ----------
    viewer : SpherexTableViewer
    """

    def __init__(self, viewer):
        super().__init__(viewer)
        self._viewer = viewer
        self._kinds = {}

    def _kind(self, data, cid):
        if cid not in self._kinds:
            self._kinds[cid] = "U" if data.get_kind(cid) == "categorical" else data.get_component(cid).data.dtype.kind
        return self._kinds[cid]

    def initStyleOption(self, option, index):
        """See Qt."""
        super().initStyleOption(option, index)
        model = self._viewer.model
        if model is None or index.row() >= len(model.order_visible):
            return
        cid = model.columns[index.column()]
        kind = self._kind(model._data, cid)
        option.text = cell_text(cid.label, kind, option.text)
        if kind in "iuf":
            option.displayAlignment = QtCore.Qt.AlignRight | QtCore.Qt.AlignVCenter
        if self._viewer.marked_row is not None and model.order_visible[index.row()] == self._viewer.marked_row:
            palette = option.palette
            option.backgroundBrush = QtGui.QBrush(palette.color(QtGui.QPalette.Highlight))
            for role in (QtGui.QPalette.Text, QtGui.QPalette.WindowText):
                palette.setColor(role, palette.color(QtGui.QPalette.HighlightedText))
