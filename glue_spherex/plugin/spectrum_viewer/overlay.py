"""The mark of the focused point and the text of the hovered one: drawn over the finished plot, without redrawing it."""

import numpy as np
from matplotlib.lines import Line2D

from ..focus import FOCUS_COLOUR

_FONT, _PAD = 8, 4.5  # of the text and of the frame around it, in points


class Overlay:
    """Two small artists over a canvas.

    Parameters
    ----------
    axes : `~matplotlib.axes.Axes`
        Of a figure with a canvas that can restore a region (Agg).
    """

    def __init__(self, axes):
        self.axes = axes
        self.canvas = axes.figure.canvas
        self.mark = Line2D(
            [], [], ls="none", marker="o", ms=13, mfc="none", mec=FOCUS_COLOUR, mew=2.2, animated=True, zorder=90000
        )
        axes.add_line(self.mark)
        self.text = axes.annotate(
            *("", (0, 0)),
            xytext=(14, 14),
            textcoords="offset points",
            fontsize=_FONT,
            linespacing=1.35,
            multialignment="left",
            zorder=90001,
            animated=True,
            visible=False,
            annotation_clip=False,
            parse_math=False,
            bbox={"boxstyle": f"round,pad={_PAD / _FONT}", "fc": "#fffef4", "ec": "#888888", "alpha": 0.97},
        )
        self._background = None
        self.draws = 0  # finished draws of the whole plot
        self._connection = self.canvas.mpl_connect("draw_event", self._after_draw)

    def disconnect(self):
        """Leave the canvas alone from now on."""
        self.canvas.mpl_disconnect(self._connection)
        self._background = None

    def _after_draw(self, event):
        if event.canvas is not self.canvas or self.canvas.is_saving():
            return
        self.draws += 1
        self._background = self.canvas.copy_from_bbox(self.axes.figure.bbox)
        self._draw()

    def _draw(self):
        for artist in (self.mark, self.text):
            if artist.get_visible():
                self.axes.draw_artist(artist)

    def refresh(self):
        """Draw mark and text where they are now, over the plot as it was last drawn."""
        if self._background is None:
            self.canvas.draw_idle()
            return
        self.canvas.restore_region(self._background)
        self._draw()
        self.canvas.blit(self.axes.figure.bbox)

    def set_mark(self, x, y):
        """Move the mark of the focused point, in data coordinates; None takes it away."""
        self.mark.set_data(*(([], []) if x is None or not np.isfinite([x, y]).all() else ([x], [y])))

    @property
    def marked(self):
        """Where the mark is: (x, y), or None."""
        x, y = self.mark.get_data()
        return (float(x[0]), float(y[0])) if len(x) else None

    def show_text(self, text, x, y):
        """Put a text beside a point, on the side where it stays inside the axes.

        Parameters
        ----------
        text : str
        x, y : float
            Data coordinates.
        """
        self.text.set_text(text)
        self.text.xy = (x, y)
        self.text.set_visible(True)
        renderer = self.canvas.get_renderer()
        frame = self.axes.bbox
        for across, up in ((1, 1), (-1, 1), (1, -1), (-1, -1)):
            self.text.set_ha("left" if across > 0 else "right")
            self.text.set_va("bottom" if up > 0 else "top")
            self.text.set_position((14 * across, 14 * up))
            box = self._text_box(renderer)
            if frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1:
                return
        self._push_inside(renderer, frame)

    def _text_box(self, renderer):
        return self.text.get_window_extent(renderer).padded(renderer.points_to_pixels(_PAD))

    def _push_inside(self, renderer, frame):
        """Where no corner has room, keep the text inside by moving it."""
        box = self._text_box(renderer)
        right = max(frame.x0 - box.x0, 0) - max(box.x1 - frame.x1, 0)
        up = max(frame.y0 - box.y0, 0) - max(box.y1 - frame.y1, 0)
        per_point = renderer.points_to_pixels(1)
        across, above = self.text.get_position()
        self.text.set_position((across + right / per_point, above + up / per_point))

    def hide_text(self):
        """Take the text away; returns whether there was one."""
        visible = self.text.get_visible()
        self.text.set_visible(False)
        return visible
