"""The line below the plot."""

from qtpy import QtGui, QtWidgets
from qtpy.QtCore import Qt


class SummaryLabel(QtWidgets.QLabel):
    """One line that ends in … where it has no room; resting the mouse on it shows all, a sentence per line."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Preferred)
        self.setStyleSheet("QLabel { font-size: 11px; }")

    def say(self, sentences):
        """Show sentences.

        Parameters
        ----------
        sentences : list of str
        """
        self.setText("  ·  ".join(sentences))
        self.setToolTip("\n".join(sentences))

    def paintEvent(self, event):
        """Draw as much as there is room for."""
        painter = QtGui.QPainter(self)
        room = self.contentsRect().adjusted(6, 0, -6, 0)
        text = self.fontMetrics().elidedText(self.text(), Qt.ElideRight, room.width())
        painter.drawText(room, int(Qt.AlignLeft | Qt.AlignVCenter), text)
