"""The window of the cutout viewer."""

from functools import partial
from typing import ClassVar

from glue.core import Subset
from glue.core.message import DataCollectionAddMessage, DataUpdateMessage
from glue_qt.utils import messagebox_on_error
from glue_qt.viewers.common.data_viewer import DataViewer
from glue_qt.viewers.matplotlib import toolbar  # noqa: F401 - registers the tools for pan, zoom and save
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton

from ...plugin.cutouts.background_reader import BackgroundReader
from ...plugin.cutouts.finding import add_image_folder, calibration_folder, calibration_of_fetched, image_folders
from ...plugin.cutouts.layers import CutoutLayerArtist, marked_rows
from ...plugin.cutouts.measured_row import has_images, measured_rows
from ...plugin.cutouts.page import CutoutPage
from ...plugin.cutouts.reading import CutoutRequest
from ...plugin.cutouts.state import CutoutViewerState
from ...plugin.focus import RowFocusMessage, focus_row, focused_row
from ...plugin.positions import position_columns
from ...plugin.row_order import step
from . import tools  # noqa: F401 - registers them
from .canvas import CutoutCanvas, told
from .delivery import Delivery
from .fetching import PageFetching
from .mouse import FocusClick, describe_pixel, zoom_by_wheel
from .options_widget import CutoutOptions

_ROWS_CHANGE = {"focus_data", "focus_row", "n_cutouts", "order", "size_arcmin"}
_MASK_CHANGES = {"show_mask", "mask_bits", "mask_alpha"}
_START_TEXT = "Drag a SPHEREx spectrum onto this viewer, or select a point in a spectrum viewer, to see its image."


class SpherexCutoutViewer(DataViewer):
    """A strip or page of cutouts around the focused row.

    Parameters
    ----------
    session : glue.core.Session
    parent : QWidget, optional
    state : CutoutViewerState, optional
        From a session.
    """

    LABEL = "SPHEREx Cutouts"
    _state_cls = CutoutViewerState
    _options_cls = CutoutOptions
    _data_artist_cls = CutoutLayerArtist
    _subset_artist_cls = CutoutLayerArtist
    _default_mouse_mode_cls = FocusClick
    _close_on_last_layer_removed = False
    tools: ClassVar = ["mpl:home", "mpl:pan", "mpl:zoom", "spherex:previous", "spherex:next", "spherex:fetch",
                       "spherex:image_folder", "spherex:measure"]  # fmt: skip
    subtools: ClassVar = {"save": ["mpl:save"]}

    def __init__(self, session, parent=None, state=None):
        super().__init__(session, parent=parent, state=state)
        self.central_widget = CutoutCanvas()
        self.setCentralWidget(self.central_widget)
        self.canvas = self.central_widget.canvas
        self.figure = self.canvas.fig
        self.page = CutoutPage(self.figure, self.state)
        self.page.on_moved = self._settle_soon
        self.page.prepare(self.state.n_cutouts)
        self._notice = QLabel()
        self.statusBar().addWidget(self._notice, 1)
        self.folder_button = QPushButton("Name the folder…")
        self.folder_button.setToolTip("Name a folder with the images that were not found")
        self.folder_button.clicked.connect(self.ask_for_folder)
        self.folder_button.hide()
        self.delivery = Delivery()
        self.fetching = PageFetching(self)
        self.statusBar().addPermanentWidget(self.fetching.button)
        self.statusBar().addPermanentWidget(self.folder_button)
        self._removed, self._ended = "", False
        self._pending = False
        self._drawing = QTimer(self)
        self._drawing.setInterval(0)
        self._drawing.timeout.connect(self._draw_next)
        self.delivery.arrived.connect(self._on_arrived)
        self.delivery.progressed.connect(self._on_progress)
        self._reader = BackgroundReader(self.delivery.arrived.emit, self.delivery.progressed.emit)
        self._last = self.state.as_dict()
        self.state.add_global_callback(self._on_state)
        for event, handler in (
            ("resize_event", self._on_resize),
            ("motion_notify_event", partial(describe_pixel, self)),
            ("scroll_event", partial(zoom_by_wheel, self)),
            ("figure_leave_event", lambda event: self.statusBar().clearMessage()),
            ("draw_event", lambda event: self.page.drawn()),
        ):
            self.canvas.mpl_connect(event, handler)
        self._layer_artist_container.on_changed(self._on_layer)
        self.options.viewer_ready(self)
        self.resize(900, 360)
        self.refresh()

    # -- data ----------------------------------------------------------------------------------------------------------

    def register_to_hub(self, hub):
        """Follow the focused row, and what happens to the datasets."""
        super().register_to_hub(hub)
        hub.subscribe(self, RowFocusMessage, handler=self._on_focus)
        hub.subscribe(self, DataUpdateMessage, handler=self._on_data_update)
        hub.subscribe(self, DataCollectionAddMessage, handler=lambda message: self.options.update_catalogues())
        data, row = self.state.focus_data, self.state.focus_row
        if data is not None and row is not None:  # from a session
            if data in self.session.data_collection and row < data.size:  # the file may have become shorter
                focus_row(self.session, data, row)
        else:
            self._look_at(*focused_row(self.session))

    @messagebox_on_error("The dataset cannot be shown as cutouts")
    def add_data(self, data):
        """Show the rows of a spectrum; of any other dataset with positions, its positions."""
        if not has_images(data):
            if position_columns(data)[0] is None:
                raise ValueError(
                    f"{data.label!r} is neither a SPHEREx spectrum, whose images could be shown, nor does it have "
                    "columns ra and dec in degrees, whose positions could be."
                )
            self.state.catalogue = data
            return True
        added = super().add_data(data)
        if added and self.state.focus_data is None:
            focused, row = focused_row(self.session)
            self._look_at(data, row if focused is data else None)
        return added

    def get_layer_artist(self, cls, layer=None, layer_state=None):
        """A layer, which tells when it changes."""
        return cls(self.state, layer=layer, layer_state=layer_state, changed=self._on_layer)

    @told
    def _on_layer(self, layer_artist=None):
        """Drawing the layers."""
        if not self._reader_is_ready():
            return
        if layer_artist is None or isinstance(layer_artist.layer, Subset):
            self._mark_subsets()
            self.draw_soon()
        else:
            self.refresh()

    def _mark_subsets(self):
        rows = [panel.row.row for panel in self.page.panels]
        self.page.mark_subsets(marked_rows(self.layers, self.state.focus_data, rows))

    def _reader_is_ready(self):
        return getattr(self, "_reader", None) is not None and not self._ended

    @told
    def _on_data_update(self, message):
        """Following a change of the data."""
        self.options.update_catalogues()
        if message.data is self.state.focus_data or message.data is self.state.catalogue:
            self.refresh()

    @told
    def _remove_data(self, message):
        """Forgetting a dataset that was removed."""
        super()._remove_data(message)
        if self.state.catalogue is message.data:
            self.state.catalogue = None
        if self.state.focus_data is message.data:
            self._removed = f"The dataset {message.data.label!r} was removed. {_START_TEXT}"
            self._look_at(None, None)
        self.options.update_catalogues()

    # -- the focused row -----------------------------------------------------------------------------------------------

    @told
    def _on_focus(self, message):
        """Showing the row that was chosen."""
        if message.data is not None and message.row is not None:
            if not has_images(message.data):
                return
            if message.data not in self.session.data_collection:
                return
            if message.data not in self.state.layers_data:
                self.add_data(message.data)
            self._look_at(message.data, message.row)
        elif message.data is None or message.data is self.state.focus_data:
            self._look_at(self.state.focus_data, None)

    def _look_at(self, data, row):
        if data is not None:
            self._removed = ""
        self.state.update_from_dict({"focus_data": data, "focus_row": row})

    @told
    def focus_panel_at(self, event):
        """Choosing the row of a cutout."""
        panel = self.page.panel_at(event.x, event.y)
        if (pressed := self.page.button_at(event.x, event.y)) is not None:
            self.fetching.press(pressed)
        elif panel is not None and panel.row is not None:
            focus_row(self.session, self.state.focus_data, panel.row.row)

    @told
    def step(self, count):
        """Stepping to another row."""
        data, row = self.state.focus_data, self.state.focus_row
        if data is None or row is None:
            return
        there = step(data, row, self.state.order, count)
        if there != row:
            focus_row(self.session, data, there)

    def keyPressEvent(self, event):
        """Arrow keys step, Page Up and Page Down turn the page."""
        page = self.state.page_step
        steps = {Qt.Key_Left: -1, Qt.Key_Right: 1, Qt.Key_PageUp: -page, Qt.Key_PageDown: page}
        if event.key() in steps:
            self.step(steps[event.key()])
            event.accept()
        else:
            super().keyPressEvent(event)

    # -- drawing -------------------------------------------------------------------------------------------------------

    @told
    def _on_state(self, **changes):
        """Drawing the cutouts."""
        now = self.state.as_dict()
        changed = {name for name, value in now.items() if value is not self._last.get(name, self) and
                   value != self._last.get(name, self)}  # fmt: skip
        self._last = now
        if not self._reader_is_ready() or not changed:
            return
        if changed & {"size_arcmin", "orientation"} and "view" not in changed and self.state.view is not None:
            self.state.view = None
        if changed & _ROWS_CHANGE:
            self.refresh(moved=changed == {"focus_row"})
        elif changed <= _MASK_CHANGES:
            self.page.restyle_mask()
        elif changed == {"view"}:
            self.page.apply_view()
            self.tell_problems()
        elif changed - {"layers", "title"}:
            self.page.restyle()
            self.tell_problems()
            self._show_counts()
        self.draw_soon()

    @told
    def refresh(self, forget=False, moved=False):
        """Showing the cutouts.

        Parameters
        ----------
        forget : bool
            Whether the folders are searched again.
        moved : bool
            Whether nothing changed but the row that is looked at.
        """
        data, row = self.state.focus_data, self.state.focus_row
        rows = measured_rows(data, self.state.shown_rows()) if data is not None else []
        requests = self._requests(rows) if rows else []
        self.fetching.page_changed(requests)
        if not rows:  # the first cutout is read all the same, so that the folders are known at the first click
            self._reader.request(self._requests(measured_rows(data, [0])) if data is not None and data.size else [])
            self.page.say(self._why_nothing())
        else:
            self.page.show(rows, row, [self._reader.recent(request) for request in requests], moved)
            self._mark_subsets()
            place = next((k for k, each in enumerate(rows) if each.row == row), 0)
            by_distance = sorted(range(len(rows)), key=lambda k: abs(k - place))
            self._reader.request([requests[k] for k in by_distance], forget)
        self._after_arrival()
        self.draw_soon()

    def _requests(self, rows):
        data = self.state.focus_data
        where = (
            tuple(image_folders(data)),
            self.state.allowed_size,
            calibration_folder(data),
            calibration_of_fetched(data),
        )
        return [CutoutRequest(row, *where) for row in rows]

    def _why_nothing(self):
        data, row = self.state.focus_data, self.state.focus_row
        if data is None:
            return self._removed or _START_TEXT
        if data.size == 0:
            return f"{data.label} has no rows, so that there is no image to show."
        if row is None:
            return f"Click a point of {data.label} in the spectrum, or select a row of its table, to see its image."
        return f"{data.label} does not have the row {row} any more; select another one."

    @told
    def _on_arrived(self, request, view):
        """Drawing a cutout."""
        if not self._reader_is_ready():
            return
        self.fetching.was_read(request)
        if self.page.receive(request.row, view):
            self.draw_soon()
        if not self._pending:  # also where nothing changed: the foot may still tell of headers being read
            self._pending = True
            QTimer.singleShot(0, self._after_arrival)

    @told
    def _after_arrival(self):
        """Counting flags."""
        self._pending = False
        if not self._ended:
            self.fetching.update()
            self.tell_problems()
            self._show_counts()

    def read_again(self, request):
        """Read a cutout that came from the archive."""
        self._reader.add(request)

    @property
    def has_ended(self):
        """Whether the viewer was closed."""
        return self._ended

    def tell_problems(self):
        """Say what is fetched, else what could not be, else what is missing."""
        self.folder_button.setVisible(bool(self.page.problems))
        if self.fetching.state.busy:
            self.tell(self.fetching.state.progress)
            return
        problems = self.fetching.failures or self.page.problems
        first = " ".join(problems[:1]) + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")
        self.tell(first or self.state.box_note)

    def _show_counts(self):
        self.options.show_counts(self.page.flag_counts())

    @told
    def _on_progress(self, done, total):
        """Telling the progress."""
        if not self._ended:
            self.tell(f"Reading the headers of new images: {done} of {total}.")

    def tell(self, text):
        """Say something at the foot of the viewer."""
        self._notice.setText(text)
        self._notice.setToolTip(text)

    @told
    def _on_resize(self, event):
        """Arranging the cutouts."""
        self.page.arrange(force=True)
        self.page.rewrite()
        if not self.page.panels:
            self.page.say(self._why_nothing())
        self.draw_soon()

    def draw_soon(self):
        """Draw what changed, a panel at a time, as soon as nothing else is to be done."""
        if not self._drawing.isActive():
            self._drawing.start()

    redraw = draw_soon

    @told
    def _draw_next(self):
        """Drawing a cutout."""
        if self._ended or not self.page.draw_next():
            self._drawing.stop()

    # -- mouse ---------------------------------------------------------------------------------------------------------

    def _settle_soon(self):
        QTimer.singleShot(0, self._settle)

    @told
    def _settle(self):
        """Moving the cutouts."""
        if not self._ended:
            self.page.settle()
            self.draw_soon()

    # -- folders -------------------------------------------------------------------------------------------------------

    @told
    def ask_for_folder(self, *args):
        """Naming a folder."""
        data = self.state.focus_data
        if data is None:
            self.tell("Select a point of a spectrum first: the folder is remembered with its dataset.")
            return
        known = image_folders(data)
        title = f"Folder with the images of {data.label}"
        folder = QFileDialog.getExistingDirectory(self, title, known[0] if known else "")
        if folder:
            self.name_folder(folder)

    @told
    def name_folder(self, folder):
        """Naming a folder.

        Parameters
        ----------
        folder : path-like
            Remembered with the dataset that is looked at.
        """
        add_image_folder(self.state.focus_data, folder)
        self.refresh(forget=True)

    # -- the end -------------------------------------------------------------------------------------------------------

    def closeEvent(self, event):
        """End the reader with the window."""
        super().closeEvent(event)
        if event.isAccepted():
            self._end()

    def cleanup(self):
        """End the reader with the session."""
        self._end()
        super().cleanup()

    def _end(self):
        self._ended = True
        self.fetching.close()
        self._reader.close()
        self.state.remove_global_callback(self._on_state)

    def _update_appearance_from_settings(self, message=None):
        """Glue's colours were changed in its preferences."""
        self.page.use_colours()
        self.draw_soon()
