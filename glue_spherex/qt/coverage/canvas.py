"""The view of the sky: draws what the state has, and turns wheel, drags and clicks into other views and choices."""

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy import QtCore, QtGui, QtWidgets

from ...plugin.coverage.maps import mask_of
from ...plugin.coverage.places import in_view, nearest
from ..cutout_viewer.canvas import told
from . import layers

_STILL_PX = 4  # a mouse that moved less between press and release clicked
_ZOOM = 0.8  # of the width, for each step of the wheel
_SETTLED_MS = 250  # without a change of the view; then coverage maps are filled and a picture is asked for
_MASK_PX = 2


class SkyCanvas(FigureCanvasQTAgg):
    """The view of a `CoverageState`.

    Parameters
    ----------
    state : CoverageState

    Attributes
    ----------
    pointed : Signal(float, float)
        Right ascension and declination under the mouse, deg; NaN outside the sky.
    """

    pointed = QtCore.Signal(float, float)

    def __init__(self, state):
        super().__init__(Figure(facecolor=layers.OUTSIDE))
        self.state = state
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_xticks([])
        self.axes.set_yticks([])
        for spine in self.axes.spines.values():
            spine.set_visible(False)
        self._groups = {}  # name of a layer -> its artists
        self._in_view = []
        self._masked = None  # the view and the maps that the masks were made for
        self._pressed = self._hovered = None
        self._dragged = False
        self._dirty = set()
        self._soon = self._timer(0, self._draw_dirty)
        self._settled = self._timer(_SETTLED_MS, self._settle)
        self.setMinimumSize(240, 180)
        self.setMouseTracking(True)
        self.setFocusPolicy(QtCore.Qt.ClickFocus)
        self.setCursor(QtCore.Qt.CrossCursor)
        for name, changed in _CHANGES.items():
            state.add_callback(name, lambda value, groups=changed: self.refresh(*groups))
        for name in ("view", "hips", "maps", "show_survey", "show_deep", "show_map"):
            state.add_callback(name, lambda value: self._settled.start())
        for name, handler in (("scroll_event", self._on_scroll), ("button_press_event", self._on_press),
                              ("motion_notify_event", self._on_move), ("button_release_event", self._on_release),
                              ("figure_leave_event", self._on_leave)):  # fmt: skip
            self.mpl_connect(name, handler)
        self.refresh(*_DRAW)
        self._settled.start()

    def _timer(self, milliseconds, call):
        timer = QtCore.QTimer(self, interval=milliseconds, singleShot=True)
        timer.timeout.connect(call)
        return timer

    def close_down(self):
        """Draw nothing more; the panel was closed."""
        self._soon.stop()
        self._settled.stop()

    # -- drawing ------------------------------------------------------------------------------------------------------

    def refresh(self, *groups):
        """Draw some layers anew, soon."""
        self._dirty |= set(groups)
        self._soon.start()

    def resizeEvent(self, event):
        """Show the same sky in another size."""
        super().resizeEvent(event)
        nx, ny = (int(side) for side in self.figure.bbox.size)
        if nx > 1 and ny > 1:
            self.state.view = self.state.view.resized(nx, ny)
            self.refresh(*_DRAW)

    def tell(self, text):
        """Say what failed."""
        self.state.tell(text, failed=True)

    @told
    def _draw_dirty(self):
        """Drawing the sky."""
        self.draw_now()

    def draw_now(self):
        """Draw the layers that have changed."""
        dirty, self._dirty = self._dirty, set()
        view = self.state.view
        self.axes.set_xlim(-0.5, view.nx - 0.5)
        self.axes.set_ylim(-0.5, view.ny - 0.5)
        if "targets" in dirty:
            self._in_view = [in_view(places, view) for places in self.state.shown_places]
        for name, draw in _DRAW.items():
            if name in dirty:
                for artist in self._groups.pop(name, ()):
                    artist.remove()
                self._groups[name] = draw(self, view)
        self.draw_idle()

    def _draw_ground(self, view):
        return layers.draw_sky(self.axes, view, self.state.picture if self.state.hips else None)

    def _draw_grid(self, view):
        return layers.draw_grid(self.axes, view) if self.state.show_grid else []

    def _draw_fields(self, view):
        if not self.state.show_deep:
            return []
        return layers.draw_deep_fields(self.axes, view, with_circles="deep" not in self.state.maps)

    def _draw_images(self, view):
        artists = []
        if self.state.show_images:
            artists += layers.draw_outlines(self.axes, view, self.state.images)
        if self.state.show_answers:
            artists += layers.draw_outlines(self.axes, view, self.state.answers, dashed=True)
        return artists

    def _draw_targets(self, view):
        state = self.state
        marks = layers.marks_in(view, state.focused(), state.chosen, state.marked)
        artists = [artist for shown in self._in_view for artist in layers.draw_targets(self.axes, shown)]
        artists += layers.draw_names(self.axes, self._in_view[::-1], marks)
        return artists + layers.draw_marks(self.axes, marks)

    def _draw_masks(self, view):
        """The maps of the view, once it stands still."""
        if self._masked is None or self._masked[0] != view:
            return []
        return layers.draw_masks(self.axes, view, self._masked[1])

    @told
    def _settle(self):
        """Filling the coverage maps."""
        state = self.state
        shown = {"survey": state.show_survey, "deep": state.show_deep, "images": state.show_map}
        maps = {name: moc for name, moc in state.maps.items() if shown[name]}
        self._masked = state.view, {name: mask_of(moc, state.view, _MASK_PX) for name, moc in maps.items()}
        self.refresh("masks")
        if self.isVisible():
            state.fetch()

    # -- the mouse ----------------------------------------------------------------------------------------------------

    def target_at(self, x, y):
        """The target at a place of the window, as (Places, number); None without one."""
        return nearest(self._in_view[::-1], x, y)

    @told
    def _on_scroll(self, event):
        """Zooming."""
        if event.inaxes is self.axes:
            self.state.view = self.state.view.zoomed(_ZOOM**event.step, event.xdata, event.ydata)

    def _on_press(self, event):
        if event.button == 1 and event.inaxes is self.axes:
            self._pressed = event.x, event.y, event.xdata, event.ydata, self.state.view
            self._dragged = False

    @told
    def _on_move(self, event):
        """Following the mouse."""
        if event.inaxes is not self.axes:
            return
        if self._pressed is None:
            self._hover(event)
            return
        x, y, from_x, from_y, view = self._pressed
        self._dragged = self._dragged or abs(event.x - x) + abs(event.y - y) > _STILL_PX
        if self._dragged:
            self.setCursor(QtCore.Qt.ClosedHandCursor)
            self.state.view = view.dragged(from_x, from_y, event.xdata, event.ydata)

    @told
    def _on_release(self, event):
        """Looking at the target."""
        pressed, self._pressed = self._pressed, None
        self.setCursor(QtCore.Qt.CrossCursor)
        if pressed is None or self._dragged or event.inaxes is not self.axes:
            return
        found = self.target_at(event.xdata, event.ydata)
        if found is not None:
            self.state.choose(*found)

    def _hover(self, event):
        """Tell the position under the mouse, and the target there."""
        ra, dec = (float(value) for value in self.state.view.sky(event.xdata, event.ydata))
        self.pointed.emit(ra, dec)
        found = self.target_at(event.xdata, event.ydata)
        if found == self._hovered:
            return
        self._hovered = found
        self.setCursor(QtCore.Qt.CrossCursor if found is None else QtCore.Qt.PointingHandCursor)
        text = "" if found is None else self.state.describe(*found).replace(" · ", "\n")
        QtWidgets.QToolTip.showText(QtGui.QCursor.pos(), text, self)

    def _on_leave(self, event):
        self._hovered = None
        self.pointed.emit(float("nan"), float("nan"))

    def keyPressEvent(self, event):
        """Zoom and move with the keys."""
        view, key = self.state.view, event.key()
        moves = {QtCore.Qt.Key_Left: (0.1, 0), QtCore.Qt.Key_Right: (-0.1, 0), QtCore.Qt.Key_Up: (0, -0.1),
                 QtCore.Qt.Key_Down: (0, 0.1)}  # fmt: skip
        if key in (QtCore.Qt.Key_Plus, QtCore.Qt.Key_Equal):
            self.state.view = view.zoomed(_ZOOM)
        elif key == QtCore.Qt.Key_Minus:
            self.state.view = view.zoomed(1 / _ZOOM)
        elif key in moves:
            x, y = (view.nx - 1) / 2, (view.ny - 1) / 2
            self.state.view = view.dragged(x, y, x + moves[key][0] * view.nx, y + moves[key][1] * view.ny)
        else:
            super().keyPressEvent(event)


#: The layers, from the lowest to the uppermost.
_DRAW = {
    "ground": SkyCanvas._draw_ground,
    "masks": SkyCanvas._draw_masks,
    "grid": SkyCanvas._draw_grid,
    "images": SkyCanvas._draw_images,
    "fields": SkyCanvas._draw_fields,
    "targets": SkyCanvas._draw_targets,
}
#: Which of them change with each property of the state.
_CHANGES = {
    "view": tuple(_DRAW),
    "hips": ("ground",),
    "picture": ("ground",),
    "show_grid": ("grid",),
    "show_deep": ("fields",),
    "show_images": ("images",),
    "show_answers": ("images",),
    "images": ("images",),
    "answers": ("images",),
    "maps": ("fields",),
    "targets": ("targets",),
    "chosen": ("targets",),
    "marked": ("targets",),
}
