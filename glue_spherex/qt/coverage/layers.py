"""What is drawn on a view of the sky, each layer as matplotlib's artists."""

from typing import NamedTuple

import numpy as np
from matplotlib import colors, patheffects
from matplotlib.collections import LineCollection
from matplotlib.patches import Ellipse

from ...model import DETECTORS
from ...plugin.coverage.lines import circle, graticule, in_sight, outlines
from ...plugin.coverage.maps import DEEP_FIELDS
from ...plugin.coverage.picture import shifted_extent
from ...plugin.focus import FOCUS_COLOUR

#: Colours of the window: outside of the sky, and the sky without a picture.
OUTSIDE, SKY = "#0b0e16", "#161c2b"
_GRID, _TEXT = "#7d8fb0", "#c4d0e6"
_DEEP, _SURVEY, _MAP, _MARK = "#ffd166", "#5fa8ff", "#4fd1a5", "#ff5fa2"
_HALO = [patheffects.withStroke(linewidth=2.5, foreground="#0b0e16")]
_FILL = {"survey": (_SURVEY, 0.20), "deep": (_DEEP, 0.25), "images": (_MAP, 0.25)}
_MOST_NAMES, _NAME_PT = 25, 8
_SAME_PX = 4  # markers that are nearer to each other have one name
#: Where a name may stand beside its marker, in points: right and left of it, above and below.
_NAME_PLACES = ((7, 4, "left"), (7, -11, "left"), (-7, 4, "right"), (-7, -11, "right"))
_MARK_NAME = 11, -13
_FEW = 2000  # positions that are drawn with an edge
_TINY = 3.0  # diameter of very many
#: Diameter and white edge, points, of catalogues, target lists and sources of spectra; the latter stand out.
MARKERS = ((4.5, 0.5), (6.0, 0.7), (8.5, 1.8))


def on_dark(colour, towards_white=0.4):
    """A colour that can be seen on a dark ground."""
    return tuple(np.array(colors.to_rgb(colour)) * (1 - towards_white) + towards_white)


#: Colour of the outlines of each detector's images.
OUTLINE_COLOURS = {number: on_dark(detector.colour) for number, detector in DETECTORS.items()}


def draw_sky(axes, view, picture):
    """The ground: the sky as a picture, or plain.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        In pixels of the view.
    view : SkyView
    picture : SkyPicture or None

    Returns
    -------
    list of Artist
    """
    artists = []
    edge = None
    if view.all_sky:
        x, y, width, height = view.ellipse
        edge = Ellipse((x, y), width, height, facecolor=SKY, edgecolor=_GRID, linewidth=1, zorder=0)
        axes.add_patch(edge)
        artists.append(edge)
    axes.set_facecolor(OUTSIDE if view.all_sky else SKY)
    extent = None if picture is None else shifted_extent(picture, view)
    if extent is not None:
        image = axes.imshow(picture.pixels, extent=extent, origin="upper", zorder=1, aspect="auto",
                            interpolation="nearest")  # fmt: skip
        if edge is not None:
            image.set_clip_path(edge)
        artists.append(image)
        _keep_limits(axes, view)
    return artists


def _keep_limits(axes, view):
    axes.set_xlim(-0.5, view.nx - 0.5)
    axes.set_ylim(-0.5, view.ny - 0.5)


def draw_masks(axes, view, masks):
    """Coverage maps, filled; fainter the nearer one looks.

    Parameters
    ----------
    axes, view
        As in `draw_sky`.
    masks : dict of str to ndarray of bool
        By name of the map; the first row is the lowest.

    Returns
    -------
    list of Artist
    """
    artists = []
    for name, mask in masks.items():
        colour, alpha = _FILL[name]
        pixels = np.zeros((*mask.shape, 4), np.float32)
        pixels[mask] = colors.to_rgba(colour, alpha if view.width_deg > 20 else alpha / 2)
        artists.append(axes.imshow(pixels, extent=(-0.5, view.nx - 0.5, -0.5, view.ny - 0.5), origin="lower", zorder=2,
                                   aspect="auto", interpolation="nearest"))  # fmt: skip
    _keep_limits(axes, view)
    return artists


def draw_grid(axes, view):
    """The grid of coordinates with its numbers."""
    grid = graticule(view)
    lines = LineCollection(grid.lines, colors=_GRID, linewidths=0.6, alpha=0.55, zorder=3)
    artists = [axes.add_collection(lines, autolim=False)]
    for text, x, y, _ in grid.labels:
        artists.append(axes.annotate(text, (x, y), xytext=(4, 3), textcoords="offset points", ha="left", va="bottom",
                                     color=_TEXT, fontsize=7.5, alpha=0.9, zorder=8, path_effects=_HALO,
                                     annotation_clip=False))  # fmt: skip
    return artists


def draw_deep_fields(axes, view, with_circles):
    """The deep fields: their names, and circles where there is no map of them."""
    artists = []
    for field in DEEP_FIELDS:
        if with_circles:
            parts = in_sight(view, *view.pixels(*circle(field.ra, field.dec, field.radius_deg)))
            lines = LineCollection(parts, colors=_DEEP, linewidths=1.4, linestyles="--", zorder=5)
            artists.append(axes.add_collection(lines, autolim=False))
        x, y = view.pixels(field.ra, field.dec)
        below = float(y) - field.radius_deg / view.scale_deg * (0.6 if view.all_sky else 1.0)
        if np.isfinite(x) and 0 <= x < view.nx and 0 <= below < view.ny:
            artists.append(axes.annotate(field.name, (float(x), below), xytext=(0, -3), textcoords="offset points",
                                         color=_DEEP, fontsize=8, ha="center", va="top", zorder=8, path_effects=_HALO,
                                         annotation_clip=True))  # fmt: skip
    return artists


def draw_outlines(axes, view, footprints, dashed=False):
    """The outlines of images, in the colours of their detectors.

    Parameters
    ----------
    axes, view
        As in `draw_sky`.
    footprints : Footprints
    dashed : bool

    Returns
    -------
    list of Artist
    """
    segments, owners = outlines(view, footprints.corners)
    if not len(segments):
        return []
    table = np.array([(0, 0, 0), *(OUTLINE_COLOURS[number] for number in sorted(OUTLINE_COLOURS))])
    opacity = np.full(len(owners), 0.8 if len(owners) < 500 else 0.45)
    colours = np.column_stack([table[footprints.detectors[owners]], opacity])
    lines = LineCollection(segments, colors=colours, linewidths=0.8, linestyles=":" if dashed else "-", zorder=4)
    return [axes.add_collection(lines, autolim=False)]


def draw_targets(axes, shown):
    """The positions of a dataset and of its subsets, in their colours, and as large as they matter.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    shown : PlacesInView

    Returns
    -------
    list of Artist
    """
    places = shown.places
    seen = np.flatnonzero(np.isfinite(shown.x))
    size, edge = MARKERS[places.rank] if len(seen) < _FEW else (_TINY, 0.0)
    zorder = 6 + 0.2 * places.rank
    artists = _points(axes, shown, seen, places.data.style.color, size, edge, zorder)
    for subset in places.data.subsets:
        inside = places.inside(subset)
        inside = inside[np.isfinite(shown.x[inside])]
        artists += _points(axes, shown, inside, subset.style.color, size + 1, edge, zorder + 0.1)
    return artists


def _points(axes, shown, numbers, colour, size, edge, zorder):
    if not len(numbers):
        return []
    return axes.plot(shown.x[numbers], shown.y[numbers], "o", markersize=size, color=colour, markeredgecolor="white",
                     markeredgewidth=edge, zorder=zorder, scalex=False, scaley=False)  # fmt: skip


def draw_names(axes, many, marks=()):
    """The names of the positions in sight, of each dataset where they are few; where there is room.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    many : sequence of PlacesInView
        The uppermost first.
    marks : sequence of Mark
        They have names of their own.

    Returns
    -------
    list of Artist
    """
    artists, named = [], [(mark.x, mark.y) for mark in marks]
    scale = axes.figure.dpi / 72
    taken = [_box(mark.x + _MARK_NAME[0] * scale, mark.y + _MARK_NAME[1] * scale, mark.name, scale) for mark in marks]
    for shown in many:
        seen = np.flatnonzero(np.isfinite(shown.x))
        if len(artists) + len(seen) > _MOST_NAMES:
            continue
        for number in seen:
            x, y, name = shown.x[number], shown.y[number], shown.places.name(number)
            if any(np.hypot(x - u, y - v) < _SAME_PX for u, v in named):  # in another dataset, or another one there
                continue
            named.append((x, y))
            for dx, dy, side in _NAME_PLACES:
                box = _box(x + dx * scale, y + dy * scale, name, scale, side)
                if not any(_overlap(box, other) for other in taken):
                    taken.append(box)
                    artists.append(_name(axes, name, x, y, dx, dy, side, "white", 8))
                    break
    return artists


def _name(axes, name, x, y, dx, dy, side, colour, zorder):
    return axes.annotate(name, (x, y), xytext=(dx, dy), textcoords="offset points", color=colour, fontsize=_NAME_PT,
                         ha=side, zorder=zorder, path_effects=_HALO, parse_math=False)  # fmt: skip


def _box(x, y, name, scale, side="left"):
    """Left, bottom, right and top of a name, about."""
    width = 0.55 * _NAME_PT * scale * len(name)
    left = x if side == "left" else x - width
    return left, y - 2, left + width, y + _NAME_PT * scale


def _overlap(box, other):
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]


class Mark(NamedTuple):
    """Something on the sky that stands out, and its name.

    Parameters
    ----------
    name : str
    x, y : float
        Pixels of the view.
    shape, colour : str
    """

    name: str
    x: float
    y: float
    shape: str
    colour: str


def marks_in(view, focused, chosen, marked):
    """The source that is looked at, the target that was clicked, and what was looked for, as far as they are in sight.

    Parameters
    ----------
    view : SkyView
    focused, chosen : (Places, int) or None
    marked : (str, float, float) or None

    Returns
    -------
    list of Mark
        One at each place.
    """
    wanted = []
    for found, colour in ((focused, FOCUS_COLOUR), (chosen, "white")):
        if found is not None:
            places, number = found
            wanted.append((places.name(number), places.ra[number], places.dec[number], "o", colour))
    if marked is not None:
        wanted.append((*marked, "+", _MARK))
    marks = []
    for name, ra, dec, shape, colour in wanted:
        x, y = (float(value) for value in view.pixels(ra, dec))
        there = any(abs(x - mark.x) + abs(y - mark.y) < 4 for mark in marks)
        if 0 <= x < view.nx and 0 <= y < view.ny and not there:
            marks.append(Mark(name, x, y, shape, colour))
    return marks


def draw_marks(axes, marks):
    """Rings around the source that is looked at and around the target that was clicked, and a cross.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    marks : sequence of Mark

    Returns
    -------
    list of Artist
    """
    artists = []
    for mark in marks:
        artists += axes.plot([mark.x], [mark.y], mark.shape, markersize=19, markerfacecolor="none", zorder=7,
                             markeredgecolor=mark.colour, markeredgewidth=2, scalex=False, scaley=False)  # fmt: skip
        artists.append(_name(axes, mark.name, mark.x, mark.y, *_MARK_NAME, "left", mark.colour, 9))
    return artists
