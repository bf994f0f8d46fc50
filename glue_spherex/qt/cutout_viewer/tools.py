"""Tools of the cutout viewer's toolbar."""

from glue.config import viewer_tool
from glue.viewers.common.tool import Tool
from glue_qt.utils import get_qapp
from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QIcon, QPainter, QPen, QPixmap
from qtpy.QtWidgets import QStyle

from .measuring import measure_focused


class _StandardIconTool(Tool):
    """A tool with one of Qt's own icons."""

    standard_icon = None

    def __init__(self, viewer=None):
        super().__init__(viewer=viewer)
        self.icon = get_qapp().style().standardIcon(self.standard_icon)


@viewer_tool
class NameFolderTool(_StandardIconTool):
    """Ask for a folder with images."""

    tool_id = "spherex:image_folder"
    standard_icon = QStyle.StandardPixmap.SP_DirOpenIcon
    action_text = "Name the folder…"
    tool_tip = "Name a folder with SPHEREx images; it is remembered with the dataset"

    def activate(self):
        """Ask."""
        self.viewer.ask_for_folder()


@viewer_tool
class FetchTool(_StandardIconTool):
    """Fetch what is missing."""

    tool_id = "spherex:fetch"
    standard_icon = QStyle.StandardPixmap.SP_ArrowDown
    action_text = "Fetch missing cutouts of this page"
    tool_tip = "Fetch missing cutouts of this page from the archive"

    def activate(self):
        """Fetch."""
        self.viewer.fetching.fetch_page()


@viewer_tool
class PreviousTool(_StandardIconTool):
    """Step back."""

    tool_id = "spherex:previous"
    standard_icon = QStyle.StandardPixmap.SP_ArrowLeft
    action_text = "Previous"
    tool_tip = "Previous measurement of the source (Left arrow; Page Up for a page)"

    def activate(self):
        """Step."""
        self.viewer.step(-1)


@viewer_tool
class NextTool(_StandardIconTool):
    """Step on."""

    tool_id = "spherex:next"
    standard_icon = QStyle.StandardPixmap.SP_ArrowRight
    action_text = "Next"
    tool_tip = "Next measurement of the source (Right arrow; Page Down for a page)"

    def activate(self):
        """Step."""
        self.viewer.step(1)


@viewer_tool
class MeasureTool(Tool):
    """Open the measure dialog."""

    tool_id = "spherex:measure"
    action_text = "Measure SPHEREx spectra…"
    tool_tip = "Measure SPHEREx spectra…: at the position of this source (right-click a cutout for any other place)"

    def __init__(self, viewer=None):
        super().__init__(viewer=viewer)
        self.icon = _cross_hairs()

    def activate(self):
        """Open it."""
        measure_focused(self.viewer)


def _cross_hairs(size=64):
    """An icon of a circle with cross hairs and a dot in the middle, in the colour of texts."""
    pixmap = QPixmap(size, size)
    pixmap.fill(Qt.transparent)
    middle, radius = size / 2, size * 0.3
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.Antialiasing)
    painter.setPen(QPen(get_qapp().palette().buttonText().color(), size / 11))
    painter.drawEllipse(QPointF(middle, middle), radius, radius)
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        ends = (QPointF(middle + dx * r, middle + dy * r) for r in (0.6 * radius, 1.5 * radius))
        painter.drawLine(*ends)
    painter.drawPoint(QPointF(middle, middle))
    painter.end()
    return QIcon(pixmap)
