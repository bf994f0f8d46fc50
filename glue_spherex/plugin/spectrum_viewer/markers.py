"""Many points of few colours, drawn fast: one stamp per colour instead of one path per point."""

import numpy as np
from matplotlib.artist import Artist
from matplotlib.path import Path
from matplotlib.transforms import Affine2D

HOLLOW_WIDTH = 1.0  #: of the outline of hollow points, in points of 1/72 inch


class Markers(Artist):
    """Points in data coordinates, filled or hollow.

    Attributes
    ----------
    xy : ndarray, shape (n, 2)
    index : ndarray of int, shape (n,)
        Place of each point's colour in ``palette``.
    palette : ndarray, shape (k, 4)
    hollow : ndarray of bool, shape (n,)
    size : float
        Diameter in points of 1/72 inch.
    shape : `~matplotlib.path.Path`
        Of radius 1.
    """

    def __init__(self, axes):
        super().__init__()
        self.xy = np.zeros((0, 2))
        self.index = np.zeros(0, dtype=int)
        self.palette = np.zeros((1, 4))
        self.hollow = np.zeros(0, dtype=bool)
        self.size, self.shape, self.width = 4.0, Path.unit_circle(), HOLLOW_WIDTH
        axes.add_artist(self)
        self.set_clip_path(axes.patch)

    def set_points(self, xy, index, palette, hollow):
        """Replace all points; see the attributes."""
        self.xy, self.index, self.palette, self.hollow = xy, index, palette, hollow
        self.stale = True

    def draw(self, renderer):
        """Draw the points; called by matplotlib."""
        if not self.get_visible() or not len(self.xy):
            return
        transform = self.axes.transData  # renderers apply affine transforms only; a logarithmic scale is none
        xy, affine = transform.transform_non_affine(self.xy), transform.get_affine()
        radius = renderer.points_to_pixels(self.size) / 2
        gc = renderer.new_gc()
        self._set_gc_clip(gc)
        gc.set_linewidth(renderer.points_to_pixels(self.width))
        alpha = 1.0 if self.get_alpha() is None else self.get_alpha()
        # filled points first, so that a flagged one is not hidden among clean ones
        group = self.index * 2 + self.hollow
        order = np.argsort(group, kind="stable")
        codes, starts = np.unique(group[order], return_index=True)
        parts = np.split(order, starts[1:])
        for code, rows in sorted(zip(codes.tolist(), parts), key=lambda part: part[0] % 2):
            colour = (*self.palette[code // 2][:3], self.palette[code // 2][3] * alpha)
            shrink = radius - (renderer.points_to_pixels(self.width) / 2 if code % 2 else 0)
            gc.set_alpha(colour[3])
            gc.set_foreground(colour, isRGBA=True)
            gc.set_linewidth(renderer.points_to_pixels(self.width) if code % 2 else 0)
            renderer.draw_markers(
                gc,
                self.shape,
                Affine2D().scale(max(shrink, 0.5)),
                Path(xy[rows]),
                affine,
                None if code % 2 else colour,
            )
        gc.restore()
        self.stale = False
