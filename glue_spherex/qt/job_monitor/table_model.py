"""The table of jobs for Qt: cells, icons, and the bars of progress."""

from functools import lru_cache

from qtpy import QtCore, QtGui, QtWidgets
from qtpy.QtCore import Qt

from ...plugin.job_monitor import texts
from ...plugin.job_monitor.table import COLUMNS
from ..colours import legible

#: Role of the part that is done, a number from 0 to 1 or None.
PART_ROLE = Qt.UserRole + 1
_ICON_PX = 16
_DONE = 0.4  # of the colour of a bar where it is done: pale, so that its text can be read


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
            return phase_icon(look.colour, look.sign) if role == Qt.DecorationRole else legible(look.colour)
        return texts.progress_of(job)[0] if role == PART_ROLE and column.name == "progress" else None


def _tip(job, column):
    if column.name == "title":
        return f"Job {job.id}: {texts.short(job.title, 500)}\n{job.message}"
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
        draw_bar(painter, option.rect.adjusted(3, 3, -3, -3), option.palette, part, index.data())


def bar_colours(palette):
    """The colours of a bar: of what is done, of the rest, and of the text, which can be read on both.

    Parameters
    ----------
    palette : QPalette

    Returns
    -------
    done, rest, text : QColor
    """
    rest, text = (palette.color(QtGui.QPalette.Active, role) for role in (QtGui.QPalette.Base, QtGui.QPalette.Text))
    full = palette.color(QtGui.QPalette.Active, QtGui.QPalette.Highlight)
    mixed = [round(_DONE * a + (1 - _DONE) * b) for a, b in zip(full.getRgb()[:3], rest.getRgb()[:3])]
    return QtGui.QColor(*mixed), rest, text


def draw_bar(painter, rect, palette, part, text):
    """Draw a bar with its text.

    Parameters
    ----------
    painter : QPainter
    rect : QRect
    palette : QPalette
    part : float
        What is done, 0 to 1.
    text : str
    """
    done, rest, ink = bar_colours(palette)
    painter.save()
    painter.fillRect(rect, rest)
    painter.fillRect(rect.adjusted(0, 0, round(rect.width() * (part - 1)), 0), done)
    painter.setPen(palette.color(QtGui.QPalette.Mid))
    painter.drawRect(rect.adjusted(0, 0, -1, -1))
    painter.setPen(ink)
    painter.drawText(rect, Qt.AlignCenter, text)
    painter.restore()
