"""The sky coverage panel: a view of the sky with its controls, floating or docked at a side of glue's window."""

import math
from weakref import WeakKeyDictionary

from glue.core.hub import HubListener
from glue.core.message import ApplicationClosedMessage
from qtpy import QtCore, QtWidgets

from ...plugin.coverage.sky_layers import position_text
from ...plugin.coverage.state import CoverageState
from ..cutout_viewer.canvas import told
from ..job_monitor.elided_label import ElidedLabel
from ..open_dialogs import push_button, window_of
from .canvas import SkyCanvas
from .controls import SkyControls
from .work import PanelWork

_SIZE = 960, 620
_NARROW = 600  # a narrower panel starts without what stands beside the sky
_LOOK_MS = 2000  # how often a look is taken whether the archive has answered again
_panels = WeakKeyDictionary()  # session -> panel


def sky_coverage(session, settings=None):
    """Show the sky coverage panel of a window of glue.

    Parameters
    ----------
    session : glue.core.Session
    settings : SkySettings, optional
        The user's by default; used when the panel is made.

    Returns
    -------
    SkyCoverage
        Made the first time; shown again where it was closed.
    """
    if session not in _panels:
        _panels[session] = SkyCoverage(session, settings)
    panel = _panels[session]
    panel.show()
    panel.raise_()
    return panel


class SkyCoverage(QtWidgets.QDockWidget, HubListener):
    """Where the targets, the images and the deep fields are on the sky.

    Parameters
    ----------
    session : glue.core.Session
    settings : SkySettings, optional
        The user's by default.
    """

    def __init__(self, session, settings=None):
        window = window_of(session)
        super().__init__("SPHEREx: Sky coverage", window)
        self.setObjectName("spherex-sky-coverage")
        self.session = session
        self._is_narrow = self._folded_for_room = False
        self.work = PanelWork(self.tell, self)
        self.state = CoverageState(session, self.work, settings)
        self.canvas = SkyCanvas(self.state)
        self.controls = SkyControls(self.state, self.choose_folder, self.save_map)
        self.canvas.pointed.connect(self._show_pointed)
        self.work.progressed.connect(self._show_progress)
        self.setWidget(self._content())
        for name in ("status", "failed", "picture_problem", "loading", "images"):
            self.state.add_callback(name, lambda value: self._show_texts())
        session.hub.subscribe(self, ApplicationClosedMessage, handler=lambda message: self._end())
        if isinstance(window, QtWidgets.QMainWindow):
            window.addDockWidget(QtCore.Qt.RightDockWidgetArea, self)
            self._float_beside(window)
        self._looking = QtCore.QTimer(self, interval=_LOOK_MS)
        self._looking.timeout.connect(self._look)
        self._looking.start()
        self._show_texts()
        self.state.read_images()
        self.state.read_maps()
        if self.state.places:
            self.state.show_all_targets()

    def _float_beside(self, window):
        """Start as a window of its own, that does not take room from the viewers."""
        self.setFloating(True)
        room = window.screen().availableGeometry()
        width, height = (min(side, most - 60) for side, most in zip(_SIZE, (room.width(), room.height())))
        self.resize(width, height)
        corner = window.geometry().center() - QtCore.QPoint(width // 2, height // 2)
        self.move(max(corner.x(), room.left() + 20), max(corner.y(), room.top() + 30))

    def _end(self):
        self._looking.stop()
        self.canvas.close_down()
        self.work.close()
        self.state.close()
        self.session.hub.unsubscribe_all(self)
        _panels.pop(self.session, None)
        self.close()

    # -- parts of the window ------------------------------------------------------------------------------------------

    def _content(self):
        content = QtWidgets.QWidget()
        grid = QtWidgets.QGridLayout(content)
        grid.setContentsMargins(4, 2, 4, 2)
        grid.setSpacing(4)
        grid.addLayout(self._top_row(), 0, 0, 1, 2)
        grid.addWidget(self.canvas, 1, 0)
        grid.addWidget(self.controls, 1, 1)
        grid.addLayout(self._picture_row(), 2, 0, 1, 2)
        grid.addLayout(self._bottom_row(), 3, 0, 1, 2)
        grid.setColumnStretch(0, 1)
        grid.setRowStretch(1, 1)
        return content

    def _top_row(self):
        row = QtWidgets.QHBoxLayout()
        self.place_edit = _PlaceEdit()
        self.place_edit.setToolTip("Such as 150.1 2.2, 10:00:24 +02:12:00, a target that is loaded, or NGC 1275")
        self.place_edit.setClearButtonEnabled(True)
        self.place_edit.returnPressed.connect(self.go_to)
        self.go_button = push_button("Go", lambda checked=False: self.go_to())
        row.addWidget(self.place_edit, 1)
        row.addWidget(_narrow(self.go_button))
        row.addSpacing(4)
        self.buttons = {}
        for name, text, hint, action in (
            ("all_sky", "All sky", "Show the whole sky", self.state.show_all_sky),
            ("all_targets", "All targets", "Zoom to where the targets are", self.state.show_all_targets),
            ("target", "This target", "Zoom to the source that is looked at", self.state.show_target),
            ("nearer", "+", "Nearer; so does the wheel of the mouse", lambda: self._zoom(0.5)),
            ("farther", "−", "Farther", lambda: self._zoom(2.0)),
        ):
            button = self.buttons[name] = push_button(text, lambda checked=False, act=action: self._act(act))
            button.setToolTip(hint)
            row.addWidget(_narrow(button))
        self.layers_button = _narrow(push_button("Layers", self._fold_or_unfold))
        self.layers_button.setToolTip("Show or hide what stands beside the sky")
        self.layers_button.setCheckable(True)
        self.layers_button.setChecked(True)
        row.addWidget(self.layers_button)
        return row

    def _picture_row(self):
        row = QtWidgets.QHBoxLayout()
        self.picture_label = ElidedLabel()
        self.retry_button = push_button("Retry", lambda checked=False: self.state.fetch(again=True))
        self.retry_button.setToolTip("Ask for the picture of the sky again")
        row.addWidget(self.picture_label, 1)
        row.addWidget(self.retry_button)
        return row

    def _bottom_row(self):
        row = QtWidgets.QHBoxLayout()
        self.status_label = ElidedLabel()
        self.position_label = QtWidgets.QLabel()
        self.position_label.setAlignment(QtCore.Qt.AlignRight | QtCore.Qt.AlignVCenter)
        widest = self.position_label.fontMetrics().horizontalAdvance("000.00000° +00.00000°  ")
        self.position_label.setMinimumWidth(widest)
        row.addWidget(self.status_label, 1)
        row.addWidget(self.position_label)
        return row

    def resizeEvent(self, event):
        """Fold the layers where the sky would have little room, and unfold them again."""
        super().resizeEvent(event)
        narrow = self.width() < _NARROW
        if narrow == self._is_narrow:
            return
        self._is_narrow = narrow
        if narrow:
            self._folded_for_room = self.layers_button.isChecked()
            self._show_layers(False)
        elif self._folded_for_room:
            self._show_layers(True)

    def _show_layers(self, shown):
        self.layers_button.setChecked(shown)
        self.controls.setVisible(shown)

    # -- what the user does -------------------------------------------------------------------------------------------

    def tell(self, text):
        """Say what failed."""
        self.state.tell(text, failed=True)

    @told
    def _act(self, action):
        """Changing the view."""
        action()

    def _fold_or_unfold(self, shown):
        self._folded_for_room = False
        self._show_layers(shown)

    def _zoom(self, factor):
        self.state.view = self.state.view.zoomed(factor)

    @told
    def go_to(self):
        """Going to what is typed."""
        self.state.go_to(self.place_edit.text())

    @told
    def choose_folder(self):
        """Showing the images in a folder that the user is asked for."""
        start = self.state.folders[-1] if self.state.folders else ""
        folder = QtWidgets.QFileDialog.getExistingDirectory(self, "Folder with Level-2 images", start)
        if folder:
            self.state.add_folder(folder)

    @told
    def save_map(self):
        """Saving the map of the images."""
        path, _ = QtWidgets.QFileDialog.getSaveFileName(self, "Save map of the images", "coverage.fits", "MOC (*.fits)")
        if path:
            self.state.save_map(path)

    @told
    def _look(self):
        """Reading the answers of the archive."""
        if self.isVisible():
            self.state.follow_answers()

    # -- what is told -------------------------------------------------------------------------------------------------

    def _show_texts(self):
        state = self.state
        self.status_label.setText(state.status)
        self.status_label.setStyleSheet("color: #c0392b" if state.failed else "")
        loading = "The picture of the sky is being fetched…" if state.loading else ""
        self.picture_label.setText(state.picture_problem or loading)
        self.retry_button.setVisible(bool(state.picture_problem))
        self.picture_label.setVisible(bool(state.picture_problem))
        if not state.picture_problem and loading and not state.status:
            self.status_label.setText(loading)

    def _show_progress(self, kind, done, total):
        if kind == "images" and kind in self.work.busy and not self.state.status:
            self.status_label.setText(f"Headers of images are being read: {done} of {total}")

    def _show_pointed(self, ra, dec):
        self.position_label.setText("" if math.isnan(ra) else position_text(ra, dec))


def _narrow(button):
    """The same button, no wider than its text needs."""
    button.setFixedWidth(button.fontMetrics().horizontalAdvance(button.text()) + 18)
    return button


class _PlaceEdit(QtWidgets.QLineEdit):
    """The field for a place; its hint is as long as there is room."""

    _HINTS = ("Position, target or name of an object", "Position, target or name", "Position or name")

    def resizeEvent(self, event):
        super().resizeEvent(event)
        room = self.width() - 14  # without the frame and the margins
        fitting = [hint for hint in self._HINTS if self.fontMetrics().horizontalAdvance(hint) <= room]
        self.setPlaceholderText(fitting[0] if fitting else "Go to…")
