"""Which point is meant by a place on the screen."""

import numpy as np

#: How far from a point, in logical pixels of the screen, it still is the one that is meant.
RADIUS = 12.0


def nearest(x, y, px, py, transform, inside, radius=RADIUS):
    """The point nearest to a place on the screen.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        Positions in data coordinates.
    px, py : float
        The place, in pixels.
    transform : `~matplotlib.transforms.Transform`
        Data coordinates to pixels.
    inside : `~matplotlib.transforms.BboxBase`
        Points outside of it (the axes), in pixels, are not seen and not meant.
    radius : float
        Pixels.

    Returns
    -------
    distance : float
        Pixels; infinite where no point is within the radius.
    place : int
        In the given arrays; -1 where there is none.
    """
    if x.size == 0:
        return np.inf, -1
    with np.errstate(invalid="ignore", over="ignore"):
        pixels = transform.transform(np.column_stack([x, y]))
        seen = (
            (pixels[:, 0] >= inside.x0 - 1)
            & (pixels[:, 0] <= inside.x1 + 1)
            & (pixels[:, 1] >= inside.y0 - 1)
            & (pixels[:, 1] <= inside.y1 + 1)
        )
        away = np.where(seen, np.hypot(pixels[:, 0] - px, pixels[:, 1] - py), np.inf)
    away = np.where(np.isnan(away), np.inf, away)
    place = int(np.argmin(away))
    return (float(away[place]), place) if away[place] <= radius else (np.inf, -1)
