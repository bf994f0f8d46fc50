"""Many error bars of few colours, drawn fast: some dozens of them are one path."""

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.path import Path

#: Bars per path, neighbours in x; one path per bar takes three times as long to draw.
_PER_PATH = 60


class Bars(PathCollection):
    """Straight bars in data coordinates.

    Attributes
    ----------
    segments : ndarray, shape (n, 2, 2)
        The ends of each bar.
    wanted : bool
        Whether they are to be seen when their layer is.
    """

    def __init__(self, axes, width=0.8):
        super().__init__([], facecolors="none", linewidths=width, antialiaseds=False)
        self.segments, self.wanted = np.zeros((0, 2, 2)), True
        self.set_transform(axes.transData)
        axes.add_collection(self, autolim=False)

    def set_bars(self, segments, index, palette):
        """Replace all bars.

        Parameters
        ----------
        segments : ndarray, shape (n, 2, 2)
        index : ndarray of int, shape (n,)
            Place of each bar's colour in the palette.
        palette : ndarray, shape (k, 4)
        """
        self.segments = segments
        order = np.lexsort((segments[:, 0, 0], index))
        cuts = np.flatnonzero(np.diff(index[order])) + 1
        paths, colours = [], []
        for rows in np.split(order, cuts) if order.size else []:
            for start in range(0, rows.size, _PER_PATH):
                part = segments[rows[start : start + _PER_PATH]]
                codes = np.tile([Path.MOVETO, Path.LINETO], len(part)).astype(Path.code_type)
                paths.append(Path(part.reshape(-1, 2), codes))
                colours.append(palette[index[rows[0]]])
        self.set_paths(paths)
        self.set_edgecolor(colours or "none")
        self.stale = True


def segments(x, y, half, along_x=False):
    """Bars around points.

    Parameters
    ----------
    x, y, half : ndarray, shape (n,)
        Centres and half lengths.
    along_x : bool

    Returns
    -------
    ndarray, shape (n, 2, 2)
    """
    ends = np.empty((x.size, 2, 2))
    ends[:, :, 0], ends[:, :, 1] = x[:, None], y[:, None]
    ends[:, :, 0 if along_x else 1] += np.column_stack([-half, half])
    return ends
