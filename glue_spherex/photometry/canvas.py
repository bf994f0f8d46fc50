"""The pixels around many sources, in one array.

On a small file this is the whole file. On a full frame it is the boxes around groups of neighbouring sources, stacked
into one array, so that everything after it runs once over all sources and never over four million empty pixels. A
crowded frame is cut into tiles, each read with a margin in which the sources are fitted as companions only.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

#: Largest side of the box of a group of sources; a larger group is cut into tiles of this side.
TILE_PX = 384
#: Sources this far outside a tile are fitted with it, in units of the reach of a template. The influence of a source
#: falls with every link of a chain of neighbours, to less than 1e-3 over four of them.
MARGIN_REACHES = 4
#: Pixels that are worked on at once.
BATCH_PIXELS = 1_200_000


@dataclass(frozen=True)
class Region:
    """A box of a file and the sources that are measured in it.

    Attributes
    ----------
    x_lo, x_hi, y_lo, y_hi : int
        File pixels, half-open; may reach over the border of the file.
    members : ndarray of int
        Sources that are measured here.
    companions : ndarray of int
        Sources that are only fitted along.
    """

    x_lo: int
    x_hi: int
    y_lo: int
    y_hi: int
    members: np.ndarray
    companions: np.ndarray

    @property
    def n_pixels(self):
        """Pixels of the box."""
        return (self.x_hi - self.x_lo) * (self.y_hi - self.y_lo)


@dataclass(frozen=True)
class Canvas:
    """The pixels around some sources of an image.

    Attributes
    ----------
    image, variance : ndarray, shape (ny, nx), MJy/sr and its square
    flags : ndarray of int, shape (ny, nx)
    zodi : ndarray, shape (ny, nx), MJy/sr, or None
    ujy : ndarray, shape (ny, nx), µJy per MJy/sr
    usable : ndarray of bool, shape (ny, nx)
    sources : ndarray of int, shape (n,)
        Places in the list of sources.
    is_member : ndarray of bool, shape (n,)
        Whether the source is measured here, or only fitted along.
    x, y : ndarray, shape (n,), 0-based canvas pixels
    is_whole_file : bool
        Whether the canvas is a small file as it is.
    """

    image: np.ndarray
    variance: np.ndarray
    flags: np.ndarray
    zodi: np.ndarray | None
    ujy: np.ndarray
    usable: np.ndarray
    sources: np.ndarray
    is_member: np.ndarray
    x: np.ndarray
    y: np.ndarray
    is_whole_file: bool = False

    @cached_property
    def variance_ujy(self):
        """The variance in µJy² per pixel, shape (ny, nx)."""
        return self.variance * self.ujy**2

    @cached_property
    def nearest(self):
        """Index of the pixel nearest to each source: rows and columns, shape (n,) each."""
        ny, nx = self.image.shape
        rows, columns = np.maximum(np.rint(self.y), 0), np.maximum(np.rint(self.x), 0)
        return np.minimum(rows, ny - 1).astype(int), np.minimum(columns, nx - 1).astype(int)


def canvases(image, x, y, measured, reach):
    """Read the pixels around sources.

    Parameters
    ----------
    image : SpectralImage
    x, y : ndarray, shape (n,), 0-based file pixels
        All sources whose light may reach into the image.
    measured : ndarray of bool, shape (n,)
        Which of them are measured; the others are companions.
    reach : int, px
        Half the side of the box that a source needs, for its template and its background.

    Yields
    ------
    Canvas
    """
    if image.record.is_small:
        cutout = image.cutout(0, image.record.nx, 0, image.record.ny)
        yield Canvas(**_planes(cutout), sources=np.arange(len(x)), is_member=measured, x=x, y=y, is_whole_file=True)
        return
    batch, pixels = [], 0
    for region in regions(x, y, measured, reach):
        if batch and pixels + region.n_pixels > BATCH_PIXELS:
            yield _stacked(image, batch, x, y)
            batch, pixels = [], 0
        batch.append(region)
        pixels += region.n_pixels
    if batch:
        yield _stacked(image, batch, x, y)


def regions(x, y, measured, reach):
    """Boxes around groups of sources whose boxes touch; see `canvases`.

    Returns
    -------
    list of Region
        Each measured source is a member of exactly one of them.
    """
    points = np.column_stack([np.rint(x), np.rint(y)]).astype(int)
    pairs = cKDTree(points).query_pairs(2 * reach + 1, p=np.inf, output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(x), len(x)))
    n_groups, group = connected_components(links, directed=False)
    order = np.argsort(group, kind="stable")
    found = []
    for members in np.split(order, np.searchsorted(group[order], np.arange(1, n_groups))):
        if not measured[members].any():
            continue
        low, high = points[members].min(axis=0), points[members].max(axis=0)
        if (high - low).max() <= TILE_PX:
            found.append(_region(points, members[measured[members]], members[~measured[members]], reach, low, high))
        else:
            found += _tiles(points, members, measured, reach, low, high)
    return sorted(found, key=lambda region: region.x_hi - region.x_lo)


def _region(points, members, companions, reach, low, high):
    return Region(
        int(low[0]) - reach,
        int(high[0]) + reach + 1,
        int(low[1]) - reach,
        int(high[1]) + reach + 1,
        members,
        companions,
    )


def _tiles(points, group, measured, reach, low, high):
    found = []
    margin = MARGIN_REACHES * reach
    for x_lo in range(low[0], high[0] + 1, TILE_PX):
        for y_lo in range(low[1], high[1] + 1, TILE_PX):
            corner = np.array([x_lo, y_lo])
            inside = ((points[group] >= corner) & (points[group] < corner + TILE_PX)).all(axis=1) & measured[group]
            if not inside.any():
                continue
            near = ((points[group] >= corner - margin) & (points[group] < corner + TILE_PX + margin)).all(axis=1)
            members, companions = group[inside], group[near & ~inside]
            together = points[group[near | inside]]
            found.append(_region(points, members, companions, reach, together.min(axis=0), together.max(axis=0)))
    return found


def _planes(cutout):
    return {
        "image": cutout.image,
        "variance": cutout.variance,
        "flags": cutout.flags,
        "zodi": cutout.zodi,
        "ujy": cutout.ujy,
        "usable": cutout.usable,
    }


def _stacked(image, batch, x, y):
    """Boxes below each other in one array; what lies outside the file is not usable."""
    shape = (sum(r.y_hi - r.y_lo for r in batch), max(r.x_hi - r.x_lo for r in batch))
    planes = {
        "image": np.zeros(shape),
        "variance": np.ones(shape),
        "flags": np.zeros(shape, dtype=np.int64),
        "zodi": np.zeros(shape),
        "ujy": np.ones(shape),
        "usable": np.zeros(shape, dtype=bool),
    }
    top, sources, is_member, canvas_x, canvas_y = 0, [], [], [], []
    for region in batch:
        cutout = image.cutout(region.x_lo, region.x_hi, region.y_lo, region.y_hi)
        if cutout.zodi is None:
            planes["zodi"] = None
        rows = slice(top + cutout.y0 - region.y_lo, top + cutout.y0 - region.y_lo + cutout.image.shape[0])
        columns = slice(cutout.x0 - region.x_lo, cutout.x0 - region.x_lo + cutout.image.shape[1])
        for name, values in _planes(cutout).items():
            if planes[name] is not None:
                planes[name][rows, columns] = values
        here = np.concatenate([region.members, region.companions])
        sources.append(here)
        is_member.append(np.arange(len(here)) < len(region.members))
        canvas_x.append(x[here] - region.x_lo)
        canvas_y.append(y[here] - region.y_lo + top)
        top += region.y_hi - region.y_lo
    return Canvas(
        **planes,
        sources=np.concatenate(sources),
        is_member=np.concatenate(is_member),
        x=np.concatenate(canvas_x),
        y=np.concatenate(canvas_y),
    )
