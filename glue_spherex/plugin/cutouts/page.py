"""The page of cutouts: which panel shows what, in the way the state asks for."""

import numpy as np

from ...model import Flag
from .brightness import display_limits, pixel_sample, shown_image
from .layout import FONT_PT, lay_out, wrapped
from .mask_layers import count_flags
from .measured_row import title_lines
from .panel import Panel
from .positions import catalogue_positions, other_sources

_DEFAULT_BOX_PX = 15
_NOTHING = np.zeros(0), np.zeros(0)


class CutoutPage:
    """Panels on a Matplotlib figure, as a `CutoutViewerState` describes them.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Filled by the page alone.
    state : CutoutViewerState
        Read, and written only where the user moves what is seen.
    """

    def __init__(self, figure, state):
        self.figure, self.state = figure, state
        self._all = []
        self.panels = []
        self._layout = None
        self._size = None
        self._setting = False
        self._moved = None
        self.on_moved = None  # called when the user pans or zooms; `settle` then does the rest
        self._message = figure.text(0.5, 0.5, "", ha="center", va="center", fontsize=FONT_PT + 2.5,
                                    linespacing=1.4, parse_math=False)  # fmt: skip
        self.use_colours()

    # -- what is shown -------------------------------------------------------------------------------------------------

    def show(self, rows, focused, views):
        """Show rows.

        Parameters
        ----------
        rows : list of MeasuredRow
            One for each panel.
        focused : int or None
            The row that is outlined.
        views : list of CutoutView or None
            What is known already; None where a view is still to come.
        """
        self._use(len(rows))
        for panel, row, view in zip(self.panels, rows, views, strict=True):
            panel.row = row
            panel.outline(row.row == focused)
            self._fill(panel, view)
        self.restyle()

    def say(self, message):
        """Show a sentence instead of cutouts."""
        if message:
            self._use(0)
        width = self._figure_size()[0]
        self._message.set_text(wrapped(message, width * 0.8, FONT_PT + 2.5, self.figure.dpi) if message else "")

    def receive(self, row, view):
        """A view has been read.

        Parameters
        ----------
        row : MeasuredRow
            For which; one that is not shown any more is ignored.
        view : CutoutView

        Returns
        -------
        bool
            Whether anything changed.
        """
        changed = False
        for panel in self.panels:
            if panel.row is row and (panel.view is None or panel.view is not view):
                self._fill(panel, view)
                self._style(panel)
                changed = True
        if changed and self.state.limits == "common":
            self._set_brightness()
        return changed

    def _fill(self, panel, view):
        if view is None or view.image is None:
            panel.empty(view.problem if view is not None else "")
            return
        image, _ = shown_image(view, panel.row, self.state.background)
        panel.put(view, image, self.state.orientation)

    def _use(self, count):
        """As many panels as are needed; those that are not stay for later."""
        if count != len(self.panels):
            while len(self._all) < count:
                self._new_panel()
            for panel in self._all[count:]:
                panel.hide()
            self.panels = self._all[:count]
            self.arrange(force=True)
        if count:
            self._message.set_text("")

    def _new_panel(self):
        panel = Panel(self.figure)
        self._all.append(panel)
        self.use_colours()
        for event in ("xlim_changed", "ylim_changed"):
            panel.axes.callbacks.connect(event, lambda _, panel=panel: self._note_move(panel))

    def arrange(self, force=False):
        """Give the panels their places; needed when the figure has another size."""
        size = self._figure_size()
        if not self.panels or (size == self._size and not force):
            return
        self._size = size
        self._layout = lay_out(len(self.panels), *size, self.figure.dpi)
        for panel, corner in zip(self.panels, self._layout.corners, strict=True):
            panel.place(corner, self._layout.side, size)
        if not force:
            for panel in self.panels:
                self._write(panel)

    def _figure_size(self):
        return tuple(self.figure.bbox.size.tolist())

    # -- how it is shown -----------------------------------------------------------------------------------------------

    def restyle(self):
        """Draw everything as the state says now."""
        for panel in self.panels:
            if panel.view is not None:
                image, _ = shown_image(panel.view, panel.row, self.state.background)
                panel.put(panel.view, image, self.state.orientation)
            self._style(panel, brightness=False)
        self._set_brightness()

    def _style(self, panel, brightness=True):
        state = self.state
        self._limit(panel)
        panel.put_mask(state.show_mask, state.mask_bits, state.mask_alpha)
        if panel.view is not None:
            panel.put_marks(
                target=state.show_target,
                aperture=state.show_aperture,
                box_px=self._box_px() if state.show_box else 0,
                sources=self._sources(panel) if state.show_sources else _NOTHING,
                catalogue=self._catalogue(panel) if state.catalogue is not None else _NOTHING,
            )
        panel.compass(state.show_compass and panel is self.panels[0], state.orientation)
        if brightness:
            self._set_brightness(panel)

    def restyle_mask(self):
        """Draw the flags as the state says now."""
        for panel in self.panels:
            panel.put_mask(self.state.show_mask, self.state.mask_bits, self.state.mask_alpha)

    def mark_subsets(self, colours):
        """Mark panels with the colours of the subsets that their rows belong to; one list for each panel."""
        for panel, mine in zip(self.panels, colours):
            panel.mark_subsets(mine)

    def _set_brightness(self, only=None):
        state = self.state
        panels = [panel for panel in self.panels if panel.view is not None]
        samples = {id(panel): self._sample(panel) for panel in panels}
        common = display_limits(list(samples.values()), state.percentile)
        for panel in panels if only is None or state.limits == "common" else [only]:
            if panel.view is None:
                continue
            limits = common
            if state.limits == "each":
                limits = display_limits([samples[id(panel)]], state.percentile)
            elif state.limits == "fixed":
                limits = state.fixed_limits
            panel.put_brightness(limits, state.stretch, state.cmap)
        for panel in self.panels if only is None else [only]:
            self._write(panel)

    def _sample(self, panel):
        image, _ = shown_image(panel.view, panel.row, self.state.background)
        return pixel_sample(panel.view, image, panel.view.inside(self.state.half_arcsec, self.state.orientation))

    def _write(self, panel):
        if self._layout is None or panel.row is None:
            return
        lines, caption = title_lines(panel.row), ""
        if self._layout.lines < len(lines):
            lines = [f"{lines[0]} · {lines[2]}", lines[3]]
        if panel.view is None:
            panel.say(panel.problem)
        else:
            _, note = shown_image(panel.view, panel.row, self.state.background)
            caption = f"{_brief(panel.norm.vmin)} to {_brief(panel.norm.vmax)} MJy/sr"
            caption = "; ".join(text for text in (panel.view.note, note, caption) if text)
        panel.write(lines, self._layout.width, caption)

    def _box_px(self):
        settings = (self.state.focus_data.meta.get("glue_spherex") or {}).get("settings") or {}
        try:
            return int(settings.get("background_box") or _DEFAULT_BOX_PX)
        except (TypeError, ValueError):
            return _DEFAULT_BOX_PX

    def _sources(self, panel):
        return panel.view.to_pixels(*other_sources(self.state.focus_data, panel.row))

    def _catalogue(self, panel):
        radius = 3 * self.state.half_arcsec / 3600
        return panel.view.to_pixels(*catalogue_positions(self.state.catalogue, panel.row, radius))

    # -- pan and zoom --------------------------------------------------------------------------------------------------

    def _limit(self, panel):
        self._setting = True
        try:
            panel.limit(*(self.state.view or (0.0, 0.0, self.state.half_arcsec)), self.state.orientation)
        finally:
            self._setting = False

    def _note_move(self, panel):
        if self._setting:
            return
        self._moved = panel
        if self.on_moved is not None:
            self.on_moved()

    def settle(self):
        """After the user moved one panel: make what is seen a square again, and let the others follow if locked."""
        panel, self._moved = self._moved, None
        if panel is None or panel not in self.panels:
            return
        (left, right), (low, high) = panel.axes.get_xlim(), panel.axes.get_ylim()
        middle = (left + right) / 2, (low + high) / 2
        half = max(abs(right - left), abs(high - low)) / 2
        self._see(panel, *middle, half)

    def zoom(self, panel, factor, x, y):
        """Zoom around a point of a panel.

        Parameters
        ----------
        panel : Panel
        factor : float
            Below 1 to see less.
        x, y : float, arcsec
            In the panel's own coordinates.
        """
        (left, right), (low, high) = panel.axes.get_xlim(), panel.axes.get_ylim()
        half = np.clip(abs(right - left) / 2 * factor, 2.0, 4 * self.state.half_arcsec)
        factor = half / (abs(right - left) / 2)
        middle_x, middle_y = x + ((left + right) / 2 - x) * factor, y + ((low + high) / 2 - y) * factor
        self._see(panel, middle_x, middle_y, half)

    def _see(self, panel, middle_x, middle_y, half):
        if self.state.wcs_locked:
            self.state.view = [float(middle_x), float(middle_y), float(half)]
            return
        self._setting = True
        try:
            panel.limit(middle_x, middle_y, half, self.state.orientation)
        finally:
            self._setting = False
        panel.compass(self.state.show_compass and panel is self.panels[0], self.state.orientation)

    def apply_view(self):
        """Show what the state says is seen."""
        for panel in self.panels:
            self._limit(panel)
        if self.panels:
            self.panels[0].compass(self.state.show_compass, self.state.orientation)

    def use_colours(self):
        """Take glue's colours for paper and text."""
        from glue.config import settings

        self.figure.set_facecolor(settings.BACKGROUND_COLOR)
        self._message.set_color(settings.FOREGROUND_COLOR)
        for panel in self._all:
            panel.title.set_color(settings.FOREGROUND_COLOR)
            panel.caption.set_color(settings.FOREGROUND_COLOR)

    # -- questions -----------------------------------------------------------------------------------------------------

    def panel_of(self, axes):
        """The panel of some axes, None if they are not of this page."""
        return next((panel for panel in self.panels if panel.axes is axes), None)

    def flag_counts(self):
        """Number of pixels with each flag in the frames of the cutouts shown, dict of bit to int."""
        state = self.state
        return count_flags(
            panel.view.flags[panel.view.inside(state.half_arcsec, state.orientation)]
            for panel in self.panels
            if panel.view is not None
        )

    def describe(self, panel, x, y):
        """What lies under a point of a panel.

        Parameters
        ----------
        panel : Panel
        x, y : float, arcsec
            In the panel's own coordinates.

        Returns
        -------
        str
            Detector pixel (0-based), brightness and flags; '' where there is no pixel.
        """
        view = panel.view
        if view is None or x is None:
            return ""
        column, row = np.round(panel.pixels_to_plane.inverted().transform((x, y))).astype(int)
        ny, nx = view.shape
        if not (0 <= column < nx and 0 <= row < ny):
            return "not on the image"
        image, _ = shown_image(view, panel.row, self.state.background)
        value = image[row, column]
        names = ", ".join(Flag.decode(int(view.flags[row, column]))) or "no flag"
        brightness = f"{value:.5g} MJy/sr" if np.isfinite(value) else "no value"
        return f"x {view.x0_det + column}, y {view.y0_det + row} · {brightness} · {names}"

    @property
    def problems(self):
        """The sentences in the panels that have no image, each once."""
        return list(dict.fromkeys(panel.problem for panel in self.panels if panel.problem))


def _brief(value):
    return f"{value:.3g}"
