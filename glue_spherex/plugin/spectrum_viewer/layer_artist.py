"""Drawing of datasets (points, bars, means, jumps) and of subsets (rings around their points)."""

import numpy as np
from glue.core.exceptions import IncompatibleAttribute
from glue.utils import defer_draw
from glue.viewers.matplotlib.layer_artist import MatplotlibLayerArtist
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba

from .bars import Bars, segments
from .colours import MARKERS, SOURCE, colouring
from .markers import Markers
from .overview import binned_points, jump_places
from .quantities import CannotShow
from .state import SpectrumLayerState, data_of

#: Changes of these do not change what a layer draws.
_ELSEWHERE = {
    *("x_min", "x_max", "y_min", "y_max", "focus_data", "focus_row", "order", "title", "show_legend"),
    *("x_axislabel", "y_axislabel", "y_range"),
}

JUMP_COLOUR = "#e0701a"


class _SpectrumArtist(MatplotlibLayerArtist):
    """What both kinds of layers have in common: when to draw again, and what to say when it cannot be done."""

    _layer_state_cls = SpectrumLayerState
    _options = ()  # of the viewer, that change what is drawn

    def __init__(self, axes, viewer_state, layer_state=None, layer=None):
        super().__init__(axes, viewer_state, layer_state=layer_state, layer=layer)
        self._drawn_for = None
        self.rows = np.zeros(0, dtype=int)
        self.shown = None
        self.problem, self.notes = "", []
        self.on_drawn = None  # called after each drawing
        self._make_artists()
        self._viewer_state.add_global_callback(self._update)
        self.state.add_global_callback(self._update)

    def _make_artists(self):
        self.markers = Markers(self.axes)
        self.mpl_artists = [self.markers]

    @defer_draw
    def _update(self, force=False, **changed):
        if not self.mpl_artists or (changed and set(changed) <= _ELSEWHERE):
            return
        try:
            self.shown = self._viewer_state.shown(data_of(self.layer))
            look = self._look()
            if not force and self.enabled and look == self._drawn_for:
                return
            self.enable()
            self._draw_rows()
        except CannotShow as problem:
            self._give_up(str(problem))
            return
        except IncompatibleAttribute:
            self._give_up(
                f"{self.layer.label!r} is defined by columns that {data_of(self.layer).label!r} does not have; "
                "link the datasets (Data Manager > Link Data)."
            )
            return
        self.problem = ""
        self._drawn_for = look
        for artist in self.mpl_artists:
            artist.set_visible(bool(self.state.visible) and getattr(artist, "wanted", True))
        self._finish()

    def _look(self):
        """Everything that the drawing depends on; a change of it means drawing again."""
        state = self.state
        colour_by = state.colour_by if isinstance(state.colour_by, str) else id(state.colour_by)
        return (
            id(self.shown),
            *(getattr(self._viewer_state, name) for name in self._options),
            *(getattr(state, name) for name in ("color", "alpha", "zorder", "visible", "size", "marker", "flag")),
            *(colour_by, state.colour_map, state.colour_min, state.colour_max),
        )

    def _give_up(self, problem):
        self.problem = problem
        self._drawn_for = self.shown = None
        self.rows = np.zeros(0, dtype=int)
        self.disable(problem)
        self.clear()
        self._finish()

    def _finish(self):
        if self.on_drawn is not None:
            self.on_drawn()
        self.redraw()

    def legend_entries(self):
        """Texts and colours of what is drawn: list of (text, colour, "filled" | "hollow" | "square" | "line")."""
        return []

    def update(self):
        """Draw again, whatever changed."""
        self._update(force=True)

    def remove(self):
        """Take the layer out of the viewer for good."""
        super().remove()
        self._viewer_state.remove_global_callback(self._update)
        self.state.remove_global_callback(self._update)
        self.shown = self.on_drawn = None


class SpectrumDataArtist(_SpectrumArtist):
    """A dataset: its points, error bars, bandwidths, channel means and background jumps."""

    _options = ("show_errors", "show_bandwidth", "hollow_flagged", "show_binned", "mark_jumps")

    def _make_artists(self):
        super()._make_artists()
        self.error_bars, self.bandwidth_bars = Bars(self.axes), Bars(self.axes)
        self.binned_bars = Bars(self.axes, width=1.4)
        self.binned_markers = Markers(self.axes)
        jumps = LineCollection([], colors=JUMP_COLOUR, linewidths=1, alpha=0.6, linestyles="dashed")
        jumps.set_transform(self.axes.get_xaxis_transform())
        self.jump_lines = self.axes.add_collection(jumps, False)
        self.mpl_artists += [self.error_bars, self.bandwidth_bars, self.binned_bars, self.binned_markers]
        self.mpl_artists.append(self.jump_lines)
        self.colouring = None

    def update(self):
        """Draw again from the dataset as it is now."""
        self._viewer_state.forget(data_of(self.layer))
        self.state.refresh_choices()
        super().update()

    def _draw_rows(self):
        state, shown = self.state, self.shown
        self.rows = rows = np.flatnonzero(shown.drawn)
        self.notes = list(shown.notes)
        low, high = state.usable_colour_limits
        self.colouring = colours = colouring(
            self.layer,
            state.colour_by,
            state.color,
            flag=state.flag,
            colour_map=state.colour_map,
            low=low,
            high=high,
        )
        x, y, index = shown.x[rows], shown.y[rows], colours.index[rows]
        hollow = shown.flagged[rows] & bool(self._viewer_state.hollow_flagged)
        self.markers.set_points(np.column_stack([x, y]), index, colours.palette, hollow)
        self.markers.size, self.markers.shape = state.size, MARKERS[state.marker]
        self.markers.set_alpha(state.alpha)
        faint = colours.palette * (1, 1, 1, 0.55 * state.alpha)
        errors = shown.y_err if self._viewer_state.show_errors else None
        widths = shown.x_half if self._viewer_state.show_bandwidth else None
        for bars, half, along_x in ((self.error_bars, errors, False), (self.bandwidth_bars, widths, True)):
            bars.wanted = half is not None
            keep = np.flatnonzero(half[rows] > 0) if bars.wanted else np.zeros(0, dtype=int)
            half = half[rows][keep] if bars.wanted else np.zeros(0)
            bars.set_bars(segments(x[keep], y[keep], half, along_x), index[keep], faint)
        self._draw_binned()
        self._draw_jumps()
        for artist, above in ((self.markers, 0.2), (self.binned_bars, 0.4), (self.binned_markers, 0.6)):
            artist.set_zorder(state.zorder + above)
        for artist in (self.error_bars, self.bandwidth_bars, self.jump_lines):
            artist.set_zorder(state.zorder)

    def _draw_binned(self):
        wanted = bool(self._viewer_state.show_binned)
        self.binned_markers.wanted = self.binned_bars.wanted = wanted
        if not wanted:
            return
        points, problem = binned_points(self.layer, self._viewer_state.axes, self.shown)
        self.notes += [problem] if problem else []
        several = len(np.unique(points.source)) > 1
        palette = colouring(self.layer, SOURCE, "#1a1a1a").palette if several else np.array([to_rgba("#1a1a1a")])
        index = points.source if several else np.zeros(points.x.size, dtype=int)
        self.binned_markers.set_points(
            np.column_stack([points.x, points.y]), index, palette, np.zeros(points.x.size, dtype=bool)
        )
        self.binned_markers.size, self.binned_markers.shape = self.state.size, MARKERS["square"]
        bars = [segments(points.x, points.y, points.y_err), segments(points.x, points.y, points.x_half, along_x=True)]
        self.binned_bars.set_bars(np.concatenate(bars), np.tile(index, 2), palette)

    def _draw_jumps(self):
        self.jump_lines.wanted = bool(self._viewer_state.mark_jumps)
        if not self.jump_lines.wanted:
            return
        places, problem = jump_places(self.layer, self._viewer_state.axes, self.shown)
        self.notes += [problem] if problem else []
        self.jump_lines.set_segments([[(place, 0), (place, 1)] for place in places])

    def legend_entries(self):
        """Texts and colours of what is drawn."""
        if not (self.enabled and self.state.visible) or self.colouring is None:
            return []
        entries = [(text, colour, "filled") for text, colour in self.colouring.entries_of(self.rows)]
        if self.colouring.scale is None and not self.colouring.entries:
            entries.append((self.layer.label, self.state.color, "filled"))
        if self._viewer_state.hollow_flagged and self.shown.flagged[self.rows].any():
            entries.append(("flagged", "#555555", "hollow"))
        if self.binned_markers.wanted and len(self.binned_markers.xy):
            entries.append(("mean per channel", "#1a1a1a", "square"))
        if self.jump_lines.wanted and len(self.jump_lines.get_segments()):
            entries.append(("background jumps", JUMP_COLOUR, "line"))
        return entries


class SpectrumSubsetArtist(_SpectrumArtist):
    """A subset: rings around its points."""

    def _draw_rows(self):
        state, shown = self.state, self.shown
        mask = np.asarray(self.layer.to_mask()).ravel()
        self.rows = np.flatnonzero(mask & shown.drawn)
        xy = np.column_stack([shown.x[self.rows], shown.y[self.rows]])
        n = self.rows.size
        self.markers.set_points(xy, np.zeros(n, dtype=int), np.array([to_rgba(state.color)]), np.ones(n, dtype=bool))
        self.markers.size, self.markers.width = state.size + 4.5, 1.4
        self.markers.shape = MARKERS[state.marker]
        self.markers.set_alpha(state.alpha)
        self.markers.set_zorder(state.zorder + 0.5)
