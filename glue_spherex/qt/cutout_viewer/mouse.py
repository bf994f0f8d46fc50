"""What the mouse does in the cutout viewer: click while no tool of the toolbar is on, rest, wheel."""

from glue.viewers.matplotlib.mouse_mode import MouseMode
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QToolTip

from .canvas import told
from .measuring import offer_to_measure

_STILL_PX = 5
_WHEEL_STEP = 1.2


class FocusClick(MouseMode):
    """A click on a cutout looks at its row, one on the button in it does what that says.

    The right button offers to measure what is below the mouse.

    Parameters
    ----------
    viewer : SpherexCutoutViewer
    """

    def __init__(self, viewer, **options):
        super().__init__(viewer, **options)
        self._viewer, self._start = viewer, None

    def press(self, event):
        """Remember where the button went down."""
        self._start = (event.x, event.y, event.button) if event.button in (1, 3) else None
        super().press(event)

    def release(self, event):
        """Look at the row, or offer to measure, unless the mouse was dragged."""
        start, self._start = self._start, None
        if start is not None and abs(event.x - start[0]) + abs(event.y - start[1]) <= _STILL_PX:
            if start[2] == 1:
                self._viewer.focus_panel_at(event)
            else:
                offer_to_measure(self._viewer, event)
        super().release(event)


@told
def zoom_by_wheel(viewer, event):
    """Zooming the cutouts.

    Parameters
    ----------
    viewer : SpherexCutoutViewer
    event : matplotlib.backend_bases.MouseEvent
    """
    panel = viewer.page.panel_of(event.inaxes)
    if panel is not None:
        viewer.page.zoom(panel, _WHEEL_STEP**-event.step, event.xdata, event.ydata)
        viewer.draw_soon()


@told
def describe_pixel(viewer, event):
    """Describing a pixel.

    Parameters
    ----------
    viewer : SpherexCutoutViewer
    event : matplotlib.backend_bases.MouseEvent
    """
    page, canvas = viewer.page, viewer.canvas
    over_button = page.button_at(event.x, event.y) is not None
    canvas.setCursor(Qt.PointingHandCursor) if over_button else canvas.unsetCursor()
    panel = page.panel_of(event.inaxes)
    text = panel.describe(event.xdata, event.ydata) if panel is not None else ""
    viewer.statusBar().showMessage(text) if text else viewer.statusBar().clearMessage()
    around = page.panel_at(event.x, event.y)
    if around is not None and not (text and page.has_texts):  # over a title, which may be cut, an empty frame
        text = "\n".join(part for part in (text, around.about()) if part)
    if text and event.guiEvent is not None:
        QToolTip.showText(canvas.mapToGlobal(event.guiEvent.pos()), text, canvas)
    else:
        QToolTip.hideText()
