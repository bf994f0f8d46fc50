"""The table of jobs for Qt: cells, icons, and the bars of progress."""

from functools import lru_cache

from qtpy import QtCore, QtGui, QtWidgets
from qtpy.QtCore import Qt

from ...plugin.job_monitor import texts
from ...plugin.job_monitor.table import COLUMNS

#: Role of the part that is done, a number from 0 to 1 or None.
PART_ROLE = Qt.UserRole + 1
_ICON_PX = 16


@lru_cache(maxsize=32)
def phase_icon(colour, sign):
    """A disk with a sign.

    Parameters
    ----------
    colour : str
    sign : str

    Returns
    -------
    QIcon
    """
    pixmap = QtGui.QPixmap(2 * _ICON_PX, 2 * _ICON_PX)
    pixmap.fill(Qt.transparent)
    painter = QtGui.QPainter(pixmap)
    painter.setRenderHint(QtGui.QPainter.Antialiasing)
    painter.setBrush(QtGui.QColor(colour))
    painter.setPen(Qt.NoPen)
    painter.drawEllipse(2, 2, 2 * _ICON_PX - 4, 2 * _ICON_PX - 4)
    font = painter.font()
    font.setPixelSize(18)
    font.setBold(True)
    painter.setFont(font)
    painter.setPen(QtGui.QColor("white"))
    painter.drawText(pixmap.rect(), Qt.AlignCenter, sign)
    painter.end()
    return QtGui.QIcon(pixmap)


class JobTableModel(QtCore.QAbstractTableModel):
    """The jobs that a state shows.

    Parameters
    ----------
    state : JobMonitorState
    parent : QObject, optional
    """

    def __init__(self, state, parent=None):
        super().__init__(parent)
        self.jobs = list(state.shown)

    def rowCount(self, parent=None):
        """See Qt."""
        return 0 if parent is not None and parent.isValid() else len(self.jobs)

    def columnCount(self, parent=None):
        """See Qt."""
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def set_jobs(self, jobs):
        """Show other jobs, or the same ones as they are now.

        Parameters
        ----------
        jobs : sequence of Job

        Returns
        -------
        bool
            Whether lines have come, gone or changed their places: nothing is selected then.
        """
        before, jobs = self.jobs, list(jobs)
        if [job.id for job in before] != [job.id for job in jobs]:
            self.beginResetModel()
            self.jobs = jobs
            self.endResetModel()
            return True
        self.jobs = jobs
        for row, (old, new) in enumerate(zip(before, jobs)):
            if old != new:
                self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))
        return False

    def headerData(self, section, orientation, role=Qt.DisplayRole):
        """See Qt."""
        if orientation != Qt.Horizontal:
            return None
        column = COLUMNS[section]
        if role == Qt.TextAlignmentRole:
            return int(Qt.AlignVCenter | (Qt.AlignRight if column.is_number else Qt.AlignLeft))
        hint = f"{column.hint}. Click to sort; the third click brings the newest first."
        return {Qt.DisplayRole: column.head, Qt.ToolTipRole: hint}.get(role)

    def data(self, index, role=Qt.DisplayRole):
        """See Qt."""
        if not index.isValid():
            return None
        job, column = self.jobs[index.row()], COLUMNS[index.column()]
        if role == Qt.DisplayRole:
            return column.text(job)
        if role == Qt.TextAlignmentRole:
            return int(Qt.AlignVCenter | (Qt.AlignRight if column.is_number else Qt.AlignLeft))
        if role == Qt.ToolTipRole:
            return texts.tooltip(_tip(job, column))
        if column.name == "phase" and role in (Qt.DecorationRole, Qt.ForegroundRole):
            look = texts.phase_look(job)
            return phase_icon(look.colour, look.sign) if role == Qt.DecorationRole else QtGui.QColor(look.colour)
        return texts.progress_of(job)[0] if role == PART_ROLE and column.name == "progress" else None


def _tip(job, column):
    if column.name == "title":
        return f"Job {job.id}: {job.title}"
    if column.name in ("start", "end"):
        return texts.exact_moment_text(job.started if column.name == "start" else job.ended)
    if column.name == "left" and job.seconds:
        return f"It has worked for {texts.duration_text(job.seconds)}."
    return job.message


class ProgressDelegate(QtWidgets.QStyledItemDelegate):
    """Draws the part of the images that is done as a bar with its text."""

    def paint(self, painter, option, index):
        """See Qt."""
        part = index.data(PART_ROLE)
        if part is None:
            super().paint(painter, option, index)
            return
        style = option.widget.style() if option.widget is not None else QtWidgets.QApplication.style()
        background = QtWidgets.QStyleOptionViewItem(option)
        self.initStyleOption(background, index)
        background.text = ""
        style.drawControl(QtWidgets.QStyle.CE_ItemViewItem, background, painter, option.widget)
        bar = QtWidgets.QStyleOptionProgressBar()
        bar.rect = option.rect.adjusted(3, 3, -3, -3)
        bar.state = option.state | QtWidgets.QStyle.State_Enabled | QtWidgets.QStyle.State_Horizontal
        bar.palette, bar.fontMetrics, bar.direction = option.palette, option.fontMetrics, option.direction
        bar.minimum, bar.maximum, bar.progress = 0, 1000, round(1000 * part)
        bar.text, bar.textVisible, bar.textAlignment = index.data(), True, Qt.AlignCenter
        painter.save()
        painter.setFont(option.font)
        style.drawControl(QtWidgets.QStyle.CE_ProgressBar, bar, painter, option.widget)
        painter.restore()
