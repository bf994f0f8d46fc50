"""The lines below the plot."""

from qtpy import QtGui, QtWidgets
from qtpy.QtCore import QPointF, Qt

#: More than this many lines would take too much of the plot; the rest is in the tooltip.
MOST_LINES = 3

_MARGIN = 6


class SummaryLabel(QtWidgets.QLabel):
    """Up to `MOST_LINES` lines, of which the last may end in …; the tooltip shows all, a sentence per line."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Fixed)
        self.setStyleSheet("QLabel { font-size: 11px; }")
        self._fit()

    def say(self, sentences):
        """Show sentences.

        Parameters
        ----------
        sentences : list of str
        """
        self.setText("  ·  ".join(sentences))
        self.setToolTip("\n".join(sentences))
        self._fit()

    @property
    def lines(self):
        """What is to be seen, a text per line."""
        room, text, lines = max(self.width() - 2 * _MARGIN, 1), self.text(), []
        layout = QtGui.QTextLayout(text, self.font())
        layout.beginLayout()
        while (line := layout.createLine()).isValid():
            line.setLineWidth(room)
            start, length = line.textStart(), line.textLength()
            if len(lines) == MOST_LINES - 1:
                lines.append(self.fontMetrics().elidedText(text[start:], Qt.ElideRight, room))
                break
            lines.append(text[start : start + length].strip())
        layout.endLayout()
        return lines

    def _fit(self):
        height = max(len(self.lines), 1) * self.fontMetrics().height() + 4
        if self.minimumHeight() != height or self.maximumHeight() != height:
            self.setFixedHeight(height)

    def resizeEvent(self, event):
        """Break the lines anew."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit()

    def paintEvent(self, event):
        """Draw as much as there is room for."""
        painter = QtGui.QPainter(self)
        metrics = self.fontMetrics()
        for k, line in enumerate(self.lines):
            painter.drawText(QPointF(_MARGIN, 2 + k * metrics.height() + metrics.ascent()), line)
