"""What a click into a cutout does while no tool of the toolbar is on."""

from glue.viewers.matplotlib.mouse_mode import MouseMode

from .measuring import offer_to_measure

_STILL_PX = 5


class FocusClick(MouseMode):
    """A click on a cutout looks at its row; the right button offers to measure what is below the mouse.

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
