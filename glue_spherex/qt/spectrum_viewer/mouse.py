"""What mouse and keyboard do while no tool of the toolbar is on."""

from glue.viewers.matplotlib.mouse_mode import MouseMode

#: A mouse that moved further than this, in pixels, between press and release did not click.
_STILL = 4


class PickMode(MouseMode):
    """A plain click looks at the nearest point.

    Parameters
    ----------
    viewer : SpherexSpectrumViewer
    """

    def __init__(self, viewer, **kwargs):
        super().__init__(viewer, **kwargs)
        self._viewer = viewer
        self._start = None

    def press(self, event):
        """Remember where the button went down."""
        self._start = (event.x, event.y) if event.button == 1 and event.inaxes is self._axes else None
        super().press(event)

    def release(self, event):
        """Pick, unless the mouse was dragged."""
        start, self._start = self._start, None
        if start is not None and abs(event.x - start[0]) + abs(event.y - start[1]) <= _STILL:
            self._viewer.pick(event.x, event.y)
        super().release(event)
