"""The page of cutouts: which panel shows what, in the way the state asks for."""

import numpy as np
from matplotlib.patches import Rectangle

from ..columns import background_box_px
from .brightness import display_limits, pixel_sample, shown_image
from .layout import FONT_PT, lay_out, wrapped
from .mask_layers import count_flags
from .measured_row import flux_text, short_title_lines, title_lines
from .panel import Panel
from .positions import catalogue_positions, other_sources

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
        self._dirty = set()
        self._whole = True  # whether the whole page must be drawn
        self.on_moved = None  # called when the user pans or zooms; `settle` then does the rest
        self._message = figure.text(0.5, 0.5, "", ha="center", va="center", fontsize=FONT_PT + 2.5,
                                    linespacing=1.4, parse_math=False)  # fmt: skip
        self._paper = Rectangle((0, 0), 1, 1, transform=None, linewidth=0)  # wipes the place of a single panel
        self._paper.set_figure(figure)
        self.use_colours()

    # -- what is shown -------------------------------------------------------------------------------------------------

    def show(self, rows, focused, views, moved=False):
        """Show rows.

        Parameters
        ----------
        rows : list of MeasuredRow
            One for each panel.
        focused : int or None
            The row that is outlined.
        views : list of CutoutView or None
            What is known already; None where a view is still to come.
        moved : bool
            Whether only the choice of rows changed. Panels of rows that stay then keep what they show.
        """
        self._use(len(rows))
        kept = self._reorder(rows, views) if moved and self.state.limits != "common" else set()
        for panel, row, view in zip(self.panels, rows, views, strict=True):
            panel.row = row
            panel.focused = row.row == focused
            panel.outline(panel.focused)
            if panel not in kept:
                self._fill(panel, view)
                self._style(panel)
                self._set_brightness(panel)
            self._dirty.add(panel)
        if self.state.limits == "common":
            self._set_brightness()
        self._put_compass()

    def _reorder(self, rows, views):
        """Move panels that show one of the rows already to its place; the set of them."""
        known = {panel.row.row: panel for panel in self.panels if panel.view is not None and panel.row is not None}
        kept = {}
        for place, (row, view) in enumerate(zip(rows, views, strict=True)):
            panel = known.get(row.row)
            if panel is not None and panel.view is view and panel.row == row:
                kept[place] = panel
        others = iter([panel for panel in self.panels if panel not in kept.values()])
        self.panels = [kept[place] if place in kept else next(others) for place in range(len(rows))]
        self._place()
        return set(kept.values())

    def say(self, message):
        """Show a sentence instead of cutouts."""
        if message:
            self._use(0)
        self._whole = True
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
                self._set_brightness(panel)
                changed = True
        if changed and self.state.limits == "common":
            self._set_brightness()
        if changed and self.panels[0].row is row:
            self._put_compass()
        return changed

    def offer(self, panel, offer):
        """Offer, in a panel, to do something about what is missing in it.

        Parameters
        ----------
        panel : Panel
        offer : Offer
        """
        if panel.offer(*offer):
            self._dirty.add(panel)

    def _fill(self, panel, view):
        if view is None or view.image is None:
            panel.empty(view.problem if view is not None else "", view is not None and view.to_fetch)
            return
        image, _ = shown_image(view, panel.row, self.state.background)
        panel.put(view, image, self.state.orientation)

    def _use(self, count):
        """As many panels as are needed; those that are not stay for later."""
        if count != len(self.panels):
            self.prepare(count)
            for panel in self._all[count:]:
                panel.hide()
            self.panels = self._all[:count]
            self.arrange(force=True)
        if count:
            self._message.set_text("")

    def prepare(self, count):
        """Make panels before they are needed: each takes some 50 ms."""
        while len(self._all) < count:
            self._new_panel()
            self._all[-1].hide()

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
        self._size, self._whole = size, True
        self._layout = lay_out(len(self.panels), *size, self.figure.dpi)
        self._place()

    def _place(self):
        for panel, corner in zip(self.panels, self._layout.corners, strict=True):
            panel.place(corner, self._layout.side, self._size)
            panel.cell = self._layout.cell(corner)

    @property
    def has_texts(self):
        """Whether panels are large enough for texts around them."""
        return self._layout is not None and self._layout.lines > 0

    def rewrite(self):
        """Fit all texts to the panels."""
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
            self._style(panel)
        self._set_brightness()
        self._put_compass()

    def _style(self, panel):
        state = self.state
        self._limit(panel)
        if panel.view is not None:
            panel.put_marks(
                target=state.show_target,
                aperture=state.show_aperture,
                box_px=background_box_px(state.focus_data) if state.show_box else 0,
                sources=self._sources(panel) if state.show_sources else _NOTHING,
                catalogue=self._catalogue(panel) if state.catalogue is not None else _NOTHING,
            )

    def _put_compass(self):
        for panel in self.panels:
            first = panel is self.panels[0] and self.has_texts
            panel.compass(self.state.show_compass and first, self.state.orientation)

    def restyle_mask(self):
        """Draw the flags as the state says now."""
        for panel in self.panels:
            self._put_mask(panel)

    def _put_mask(self, panel):
        if panel.view is not None:
            panel.put_mask(self.state.mask_bits if self.state.show_mask else 0, self.state.mask_alpha)
            self._dirty.add(panel)

    def mark_subsets(self, colours):
        """Mark panels with the colours of the subsets that their rows belong to; one list for each panel."""
        for panel, mine in zip(self.panels, colours):
            panel.mark_subsets(mine)
            self._dirty.add(panel)

    def _set_brightness(self, only=None):
        """Set the limits of all panels, or of one, and draw their pixels."""
        state = self.state
        panels = self.panels if only is None else [only]
        limits = state.fixed_limits
        if state.limits == "common":
            samples = [self._sample(panel) for panel in self.panels if panel.view is not None]
            limits = display_limits(samples, state.allowed_percentile)
        for panel in panels:
            if panel.view is not None:
                own = (
                    display_limits([self._sample(panel)], state.allowed_percentile)
                    if state.limits == "each"
                    else limits
                )
                panel.put_brightness(own, state.stretch, state.cmap)
                self._put_mask(panel)
            self._write(panel)
            self._dirty.add(panel)

    def _sample(self, panel):
        image, _ = shown_image(panel.view, panel.row, self.state.background)
        return pixel_sample(panel.view, image, panel.view.inside(self.state.half_arcsec, self.state.orientation))

    def _write(self, panel):
        if self._layout is None or panel.row is None:
            return
        compact = self._layout.compact
        lines = short_title_lines(panel.row) if compact else title_lines(panel.row)
        caption = ""
        if panel.view is None:
            panel.say(panel.problem)
        else:
            low, high = (f"{value:.3g}" for value in panel.limits)
            _, note = shown_image(panel.view, panel.row, self.state.background)
            below = flux_text(panel.row) if compact else f"{low} to {high} MJy/sr"
            caption = "; ".join(text for text in (panel.view.note, note, below) if text)
        if not self.has_texts:  # resting the mouse on the panel tells all of it
            lines, caption = [], ""
        panel.write(lines, self._layout.width, caption)

    def _sources(self, panel):
        return panel.view.to_pixels(*other_sources(self.state.focus_data, panel.row))

    def _catalogue(self, panel):
        radius = 3 * self.state.half_arcsec / 3600
        return panel.view.to_pixels(*catalogue_positions(self.state.catalogue, panel.row, radius))

    # -- drawing -------------------------------------------------------------------------------------------------------

    def draw_next(self):
        """Draw one panel that changed, the focused one first and empty ones last.

        One at a time, so that a window stays alive between them. If their arrangement changed, the page is wiped first.

        Returns
        -------
        bool
            Whether there is more to draw.
        """
        canvas = self.figure.canvas
        renderer = canvas.get_renderer()
        if self._whole:
            renderer.clear()
            self.figure.patch.draw(renderer)
            self._message.draw(renderer)
            canvas.blit(self.figure.bbox)
            self.drawn()
            self._dirty.update(self.panels)
            return bool(self.panels)
        waiting = [panel for panel in self.panels if panel in self._dirty]
        if waiting:
            panel = min(waiting, key=lambda panel: (panel.view is None and not panel.problem, not panel.focused))
            self._dirty.discard(panel)
            self._paper.set_bounds(*panel.cell.bounds)
            self._paper.draw(renderer)
            panel.axes.draw(renderer)
            canvas.blit(panel.cell)
        else:
            self._dirty.clear()
        return len(waiting) > 1

    def is_drawn(self, row):
        """Whether the cutout of a row is on the screen, with its pixels."""
        return not self._whole and any(
            panel.row is not None and panel.row.row == row and panel.view is not None and panel not in self._dirty
            for panel in self.panels
        )

    def drawn(self):
        """The whole page has been drawn."""
        self._dirty.clear()
        self._whole = False

    # -- pan and zoom --------------------------------------------------------------------------------------------------

    def _limit(self, panel):
        self._setting = True
        try:
            panel.limit(*(self.state.view or (0.0, 0.0, self.state.half_arcsec)), self.state.orientation)
            self._dirty.add(panel)
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
            self._dirty.add(panel)
        finally:
            self._setting = False
        self._put_compass()

    def apply_view(self):
        """Show what the state says is seen."""
        for panel in self.panels:
            self._limit(panel)
        self._put_compass()

    def use_colours(self):
        """Take glue's colours for paper and text."""
        from glue.config import settings

        self.figure.set_facecolor(settings.BACKGROUND_COLOR)
        self._paper.set_facecolor(settings.BACKGROUND_COLOR)
        self._message.set_color(settings.FOREGROUND_COLOR)
        for panel in self._all:
            panel.title.set_color(settings.FOREGROUND_COLOR)
            panel.caption.set_color(settings.FOREGROUND_COLOR)

    # -- questions -----------------------------------------------------------------------------------------------------

    def panel_of(self, axes):
        """The panel of some axes, None if they are not of this page."""
        return next((panel for panel in self.panels if panel.axes is axes), None)

    def panel_at(self, x, y):
        """The panel whose image or texts are at a point of the figure, in pixels; None beside them."""
        return next((panel for panel in self.panels if panel.cell.contains(x, y)), None)

    def button_at(self, x, y):
        """The panel whose button is at a point of the figure, in pixels; None elsewhere."""
        return next((panel for panel in self.panels if panel.on_button(x, y)), None)

    def flag_counts(self):
        """Number of pixels with each flag in the frames of the cutouts shown, dict of bit to int."""
        state = self.state
        return count_flags(
            panel.view.flags[panel.view.inside(state.half_arcsec, state.orientation)]
            for panel in self.panels
            if panel.view is not None
        )

    @property
    def problems(self):
        """The sentences in the panels that have no image, and about which nothing is done now; each once."""
        return list(dict.fromkeys(panel.problem for panel in self.panels if panel.problem and not panel.busy))
