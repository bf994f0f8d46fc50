"""What is drawn on a view of the sky, each layer as matplotlib's artists."""

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
_MOST_NAMES = 25
_FEW = 2000  # targets that are drawn large


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
    """The targets of a dataset and of its subsets, in their colours.

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
    size = 6.0 if len(seen) < _FEW else 3.0
    artists = _points(axes, shown, seen, places.data.style.color, size, 6)
    for subset in places.data.subsets:
        inside = places.inside(subset)
        inside = inside[np.isfinite(shown.x[inside])]
        artists += _points(axes, shown, inside, subset.style.color, size + 1, 6.5)
    return artists


def _points(axes, shown, numbers, colour, size, zorder):
    if not len(numbers):
        return []
    edge = 0.7 if size >= 6 else 0.0
    return axes.plot(shown.x[numbers], shown.y[numbers], "o", markersize=size, color=colour, markeredgecolor="white",
                     markeredgewidth=edge, zorder=zorder, scalex=False, scaley=False)  # fmt: skip


def draw_names(axes, many):
    """The names of the targets in sight, where they are few."""
    texts = {}
    for shown in many:
        seen = np.flatnonzero(np.isfinite(shown.x))
        if len(seen) > _MOST_NAMES:
            return []
        for number in seen:  # the same target in two datasets is named once
            texts.setdefault((round(shown.x[number]), round(shown.y[number])), (shown, number))
    return [
        axes.annotate(shown.places.name(number), (shown.x[number], shown.y[number]), xytext=(7, 4),
                      textcoords="offset points", color="white", fontsize=8, zorder=8, path_effects=_HALO,
                      parse_math=False)
        for shown, number in texts.values()
    ]  # fmt: skip


def draw_focus(axes, view, focused, chosen, marked):
    """Rings around the source that is looked at and around the target that was clicked, and a cross."""
    marks = []
    for found, colour in ((focused, FOCUS_COLOUR), (chosen, "white")):
        if found is not None:
            places, number = found
            marks.append((places.name(number), places.ra[number], places.dec[number], "o", colour))
    if marked is not None:
        marks.append((*marked, "+", _MARK))
    artists, taken = [], []
    for name, ra, dec, shape, colour in marks:
        x, y = (float(value) for value in view.pixels(ra, dec))
        if not (0 <= x < view.nx and 0 <= y < view.ny) or any(abs(x - u) + abs(y - v) < 4 for u, v in taken):
            continue
        taken.append((x, y))
        artists += axes.plot([x], [y], shape, markersize=19, markerfacecolor="none", zorder=7, markeredgecolor=colour,
                             markeredgewidth=2, scalex=False, scaley=False)  # fmt: skip
        artists.append(axes.annotate(name, (x, y), xytext=(11, -13), textcoords="offset points", color=colour,
                                     fontsize=8, zorder=9, path_effects=_HALO, parse_math=False))  # fmt: skip
    return artists
