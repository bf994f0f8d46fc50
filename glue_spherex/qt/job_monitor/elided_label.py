"""A line of plain text that ends in … where there is no room; the tooltip has all of it."""

from qtpy import QtCore, QtGui, QtWidgets

from ...plugin.job_monitor.texts import tooltip


class ElidedLabel(QtWidgets.QLabel):
    """One line of plain text, as wide as there is room.

    Parameters
    ----------
    alignment : Qt.Alignment, optional
    """

    def __init__(self, alignment=QtCore.Qt.AlignLeft):
        super().__init__()
        self.setTextFormat(QtCore.Qt.PlainText)
        self.setAlignment(alignment | QtCore.Qt.AlignVCenter)
        self.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Fixed)
        self.setFixedHeight(self.fontMetrics().height() + 4)

    def setText(self, text):
        """Show a text."""
        super().setText(text)
        self.setToolTip(tooltip(text))

    def paintEvent(self, event):
        """Draw as much as there is room for."""
        painter = QtGui.QPainter(self)
        rect = self.contentsRect().adjusted(4, 0, -4, 0)
        text = self.fontMetrics().elidedText(self.text(), QtCore.Qt.ElideRight, rect.width())
        painter.setPen(self.palette().color(QtGui.QPalette.WindowText))
        painter.drawText(rect, int(self.alignment()), text)
