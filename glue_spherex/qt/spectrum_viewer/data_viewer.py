"""The viewer ``SPHEREx Spectrum``: flux against wavelength, and everything that tells whether to believe it."""

from echo import delay_callback
from glue.core import message as msg
from glue.utils import decorate_all_methods, defer_draw
from glue_qt.utils import messagebox_on_error
from glue_qt.viewers.matplotlib.data_viewer import MatplotlibDataViewer
from qtpy import QtCore

from ...plugin.columns import find_column, source_numbers
from ...plugin.focus import RowFocusMessage, SourceFocusMessage, focus_row, focused_row
from ...plugin.row_order import ordered_rows, step
from ...plugin.spectrum_viewer.hover import point_text
from ...plugin.spectrum_viewer.key import Key, one_scale
from ...plugin.spectrum_viewer.layer_artist import SpectrumDataArtist, SpectrumSubsetArtist
from ...plugin.spectrum_viewer.overlay import Overlay
from ...plugin.spectrum_viewer.picking import RADIUS, nearest
from ...plugin.spectrum_viewer.quantities import CannotShow
from ...plugin.spectrum_viewer.regions import region_state
from ...plugin.spectrum_viewer.state import SpectrumViewerState, data_of
from ...plugin.spectrum_viewer.summary import summary
from ..cutout_viewer import tools as cutout_tools  # noqa: F401 - previous and next
from . import tools as _tools  # noqa: F401
from .layer_style_editor import SpectrumLayerStyleEditor
from .mouse import PickMode
from .options_widget import SpectrumOptionsWidget
from .summary_label import SummaryLabel

_HOVER_MS = 50
_INSIDE = 0.15  #: how far from the border, as a part of the axes, a point is brought that lay outside
_STEPS = {"left": -1, "right": 1, "shift+left": -10, "shift+right": 10, "pageup": -10, "pagedown": 10}
_ENDS = {"home": 0, "end": -1}


@decorate_all_methods(defer_draw)
class SpherexSpectrumViewer(MatplotlibDataViewer):
    """Spectra of one or more datasets, linked with the other viewers by the focused row."""

    LABEL = "SPHEREx Spectrum"
    _state_cls = SpectrumViewerState
    _options_cls = SpectrumOptionsWidget
    _layer_style_widget_cls = SpectrumLayerStyleEditor
    _data_artist_cls = SpectrumDataArtist
    _subset_artist_cls = SpectrumSubsetArtist
    _default_mouse_mode_cls = PickMode

    tools = [  # noqa: RUF012 - glue reads it from the class
        *("spherex:table", "spherex:flag-subsets", "spherex:check-up"),
        *("select:rectangle", "select:xrange", "select:yrange", "select:circle", "select:polygon"),
        *("spherex:previous", "spherex:next"),
    ]

    def __init__(self, session, parent=None, state=None):
        super().__init__(session, parent=parent, state=state)
        self.overlay, self.key = Overlay(self.axes), Key(self.axes)
        self.empty_text = self.axes.text(
            *(0.5, 0.5, ""), transform=self.axes.transAxes, ha="center", va="center", wrap=True, color="#666666", size=9
        )
        for text in (self.empty_text, self.axes.xaxis.label, self.axes.yaxis.label):
            text.set_parse_math(False)  # names of columns and sources are text, also with $
        self.summary_label = SummaryLabel()
        self.statusBar().addPermanentWidget(self.summary_label, 1)
        self._pending_steps, self._hovered, self._scale_notes = 0, None, []
        self._step_timer, self._hover_timer, self._summary_timer = (
            self._timer(ms, action)
            for ms, action in ((0, self._do_steps), (_HOVER_MS, self._show_hovered), (0, self._summarise))
        )
        canvas = self.figure.canvas
        canvas.mpl_disconnect(canvas.manager.key_press_handler_id)  # matplotlib's own keys: arrows undo zooms
        for event, action in (
            ("key_press_event", self._on_key),
            ("motion_notify_event", self._on_motion),
            ("axes_leave_event", self._hide_hovered),
            ("figure_leave_event", self._hide_hovered),
            ("resize_event", lambda event: self.key.fit()),
        ):
            canvas.mpl_connect(event, action)
        for name in ("x_min", "x_max", "y_min", "y_max"):
            self.state.add_callback(name, self._summarise_soon)
        self.state.add_callback("show_legend", self._layer_drawn)
        self._layer_drawn()

    def _timer(self, ms, action):
        timer = QtCore.QTimer(self, interval=ms, singleShot=True)
        timer.timeout.connect(action)
        return timer

    # layers

    def get_layer_artist(self, cls, layer=None, layer_state=None):
        """A layer artist that tells the viewer when it has drawn."""
        artist = super().get_layer_artist(cls, layer=layer, layer_state=layer_state)
        artist.on_drawn = self._layer_drawn
        return artist

    @classmethod
    def __setgluestate__(cls, rec, context):
        viewer = super().__setgluestate__(rec, context)
        for artist in viewer.layers:
            artist.update()
        return viewer

    def add_data(self, data):
        """Show a dataset; the first one brings the focused row with it."""
        added = super().add_data(data)
        if added and self.state.focus_row is None:
            self._take_focus(*focused_row(self.session))
        return added

    @property
    def data_artists(self):
        """The layers that are datasets."""
        return [artist for artist in self.layers if isinstance(artist, SpectrumDataArtist)]

    def _layer_drawn(self, *args):
        artists = self.data_artists
        entries, scales = [], []
        for artist in artists if self.state.show_legend else []:
            entries += [entry for entry in artist.legend_entries() if entry not in entries]
            if artist.enabled and artist.state.visible and artist.colouring is not None and artist.colouring.scale:
                scales.append((artist.layer.label, artist.colouring.scale))
        if len(artists) == 1 and [text for text, *_ in entries] == [artists[0].layer.label]:
            entries = []  # one dataset in one colour explains itself
        scale, self._scale_notes = one_scale(scales)
        self.key.show(entries, scale)
        self._place_mark()
        self._hovered = None
        self.overlay.hide_text()
        self._summarise_soon()

    def _summarise_soon(self, *args):
        self._summary_timer.start()

    def _summarise(self):
        state = self.state
        lone = [a for a in self.layers if a.layer is not data_of(a.layer) and not state.layer_state_of(a.layer.data)]
        line, notes = summary([*self.data_artists, *lone], (state.x_min, state.x_max, state.y_min, state.y_max))
        focus_note = self._focus_note()
        notes = [*notes, *self._scale_notes, *([focus_note] if focus_note else [])]
        self.summary_label.say([line, *notes])
        drawn = any(len(artist.rows) for artist in self.layers)
        text = "" if drawn or not self.layers else "\n".join(["No point can be shown.", *notes])
        if self.empty_text.get_text() != text:
            self.empty_text.set_text(text)
            self.redraw()

    def _focus_note(self):
        data, row = self.state.focus_data, self.state.focus_row
        if row is None or self.overlay.marked:
            return ""
        return f"The focused row {row} of {data.label!r} has no place on these axes."

    def _update_data(self, message):
        self.state.forget(message.data)
        if message.data is self.state.focus_data and self.state.focus_row >= message.data.size:
            self._take_focus(None, None)
        if self.state.axes is None:
            self.state.refresh_components()
        super()._update_data(message)
        self.state.update_labels()

    def register_to_hub(self, hub):
        """Listen to the focused row, and put the row of a restored session into focus again."""
        super().register_to_hub(hub)
        hub.subscribe(self, RowFocusMessage, handler=self._on_focus)
        hub.subscribe(self, SourceFocusMessage, handler=self._on_source_focus)
        hub.subscribe(self, msg.DataUpdateMessage, handler=self._on_rename)
        hub.subscribe(self, msg.DataRenameComponentMessage, handler=self._on_component_rename)
        data, row = self.state.focus_data, self.state.focus_row
        if row is not None and data in self.session.data_collection and row < data.size:
            focus_row(self.session, data, row)
        else:
            self._take_focus(*focused_row(self.session))

    def _on_component_rename(self, message):
        for artist in self.data_artists:
            if artist.layer is message.data:
                artist.update()  # the name may stand at the colours
        self._on_rename(message)

    def _on_rename(self, message):
        self.state.update_labels()
        self._layer_drawn()

    # the focused row

    def _on_focus(self, message):
        self._take_focus(message.data, message.row)

    def _take_focus(self, data, row):
        """Mark a row, if it is one of ours, and bring it into view."""
        if row is None or not any(data is ours for ours in self.state.datasets):
            data = row = None
        moved = data is not self.state.focus_data or row != self.state.focus_row
        with delay_callback(self.state, "focus_data", "focus_row"):
            self.state.focus_data, self.state.focus_row = data, row
        if moved and row is not None:
            self._show_source_of(data, row)
        self._place_mark()
        if moved:
            self._bring_into_view()
        self.overlay.refresh()
        self._summarise_soon()

    def _on_source_focus(self, message):
        state = self.state.layer_state_of(message.data)
        if state is None:
            return
        if state.sources is None or len(state.sources) == 1:
            state.show_sources([message.source_id])
        elif message.source_id not in state.sources:
            state.show_sources([*state.sources, message.source_id])
        self.state.reset_y()

    def _show_source_of(self, data, row):
        state = self.state.layer_state_of(data)
        if state is None or state.sources is None:
            return
        shown = state.sources
        source = int(source_numbers(data)[row])
        if source not in shown:
            state.show_sources([source] if len(shown) == 1 else [*shown, source])
            self.state.reset_y()

    def _place_mark(self):
        data, row = self.state.focus_data, self.state.focus_row
        place = (None, None)
        if row is not None and data is not None and row < data.size:
            try:
                shown = self.state.shown(data)
                if shown.drawn[row]:
                    place = shown.x[row], shown.y[row]
            except CannotShow:
                pass  # the layer says why
        self.overlay.set_mark(*place)

    def _bring_into_view(self):
        """Shift the axes, without changing their scale, so that the marked point is inside."""
        if self.overlay.marked is None:
            return
        to_axes = self.axes.transData + self.axes.transAxes.inverted()
        place = to_axes.transform(self.overlay.marked)
        shift = [0.0 if 0 <= part <= 1 else part - min(max(part, _INSIDE), 1 - _INSIDE) for part in place]
        if not any(shift):
            return
        corners = to_axes.inverted().transform([shift, [shift[0] + 1, shift[1] + 1]])
        with delay_callback(self.state, "x_min", "x_max", "y_min", "y_max"):
            (self.state.x_min, self.state.y_min), (self.state.x_max, self.state.y_max) = corners.tolist()

    # mouse and keyboard

    @messagebox_on_error("The point cannot be looked at")
    def pick(self, px, py):
        """Look at the point nearest to a place on the screen.

        Parameters
        ----------
        px, py : float
            Pixels of the canvas, from its lower left corner.

        Returns
        -------
        (glue.core.Data, int) or None
            The dataset and its row; None where no point is near enough.
        """
        self.figure.canvas.setFocus()
        found = self._nearest(px, py)
        if found is not None:
            focus_row(self.session, *found)
        return found

    def _nearest(self, px, py):
        best, radius = (float("inf"), None), RADIUS * self.figure.canvas.device_pixel_ratio
        for artist in self.layers:
            if not (artist.enabled and artist.state.visible) or artist.shown is None:
                continue
            x, y = artist.shown.x[artist.rows], artist.shown.y[artist.rows]
            away, place = nearest(x, y, px, py, self.axes.transData, self.axes.bbox, radius)
            if away < best[0]:
                best = away, (data_of(artist.layer), int(artist.rows[place]))
        return best[1]

    def _on_motion(self, event):
        self._hide_hovered()
        if event.inaxes is self.axes and event.button is None:
            self._hovered = event.x, event.y
            self._hover_timer.start()

    def _hide_hovered(self, *args):
        self._hovered = None
        self._hover_timer.stop()
        if self.overlay.hide_text():
            self.overlay.refresh()

    def _show_hovered(self):
        found = self._nearest(*self._hovered) if self._hovered else None
        if found is None:
            return
        data, row = found
        shown = self.state.shown(data)
        self.overlay.show_text(point_text(data, row, self.state.axes, shown), shown.x[row], shown.y[row])
        self.overlay.refresh()

    def _on_key(self, event):
        if event.key in _STEPS:
            self._pending_steps += _STEPS[event.key]
            self._step_timer.start()
        elif event.key in _ENDS:
            self.go_to_end(_ENDS[event.key])
        elif event.key == "escape":
            focus_row(self.session, None, None)
        else:
            return
        event.guiEvent.accept()

    def _do_steps(self):
        n, self._pending_steps = self._pending_steps, 0
        if n:
            self.step(n)

    @messagebox_on_error("The next point cannot be looked at")
    def step(self, n):
        """Look at the point some steps further in wavelength or time, of the same source.

        Parameters
        ----------
        n : int
            Negative to go back. Without a focused row, the first point that is shown becomes it.
        """
        data, row = self._focus_or_first()
        if data is not None:
            began = self.state.focus_row is not None
            focus_row(self.session, data, step(data, row, self.state.order, n) if began else row)

    @messagebox_on_error("The point cannot be looked at")
    def go_to_end(self, end):
        """Look at the first (0) or last (-1) point of the source in wavelength or time."""
        data, row = self._focus_or_first()
        if data is None:
            return
        rows = ordered_rows(data, row, self.state.order)
        if rows.size:
            focus_row(self.session, data, int(rows[end]))

    def _focus_or_first(self):
        if self.state.focus_row is not None:
            return self.state.focus_data, self.state.focus_row
        for artist in self.data_artists:
            if artist.rows.size:
                return artist.layer, int(ordered_rows(artist.layer, int(artist.rows[0]), self.state.order)[0])
        return None, None

    def current_source(self):
        """The dataset that is looked at, and the number of its source: of the focused row, else the first shown.

        Returns
        -------
        data : glue.core.Data
        source_id : int or None

        Raises
        ------
        ValueError
            If the viewer holds no data.
        """
        data, row = self._focus_or_first()
        if data is None:
            data, row = next(iter(self.state.datasets), None), None
        if data is None:
            raise ValueError("The viewer is empty: drag a spectrum into it first.")
        known = find_column(data, "source_id") is not None and row is not None
        return data, int(source_numbers(data)[row]) if known else None

    # regions

    @messagebox_on_error("The region cannot be made a subset")
    def apply_roi(self, roi, override_mode=None):
        """Make a subset of what stands inside a region."""
        self.redraw()  # takes the drawn region away
        if self.layers and self.state.axes is not None:
            self.apply_subset_state(region_state(self.state, roi), override_mode=override_mode)

    def closeEvent(self, event):
        """Stop everything that is still to come."""
        super().closeEvent(event)
        if event.isAccepted():
            for timer in (self._step_timer, self._hover_timer, self._summary_timer):
                timer.stop()
            self.overlay.disconnect()
