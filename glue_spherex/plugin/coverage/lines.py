"""Lines on a view of the sky: the grid of coordinates, circles, and the outlines of images."""

from typing import NamedTuple

import numpy as np

from ...model import unit_vectors

_STEPS_DEG = (60, 30, 20, 10, 5, 2, 1, 1 / 2, 1 / 4, 1 / 6, 1 / 12, 1 / 30, 1 / 60, 1 / 120, 1 / 360)
_RA_STEPS_DEG = (60, 45, 30, 15, 7.5, 5, 2.5, 1.25, 0.5, 0.25, 1 / 8, 1 / 24, 1 / 48, 1 / 120, 1 / 240, 1 / 720)
_APART_PX = {"ra": 90, "dec": 40}  # so far apart are lines at least, about: their numbers need room
_POINTS = 121  # of a line


class Graticule(NamedTuple):
    """Lines of constant right ascension and declination.

    Parameters
    ----------
    lines : list of ndarray, shape (n, 2)
        x and y; parts that are not in sight are left out.
    labels : list of (str, float, float, str)
        Text, x, y, and ``"ra"`` or ``"dec"``.
    """

    lines: list
    labels: list


def graticule(view):
    """The grid of coordinates of a view.

    Parameters
    ----------
    view : SkyView

    Returns
    -------
    Graticule
    """
    ra_range, dec_range = _ranges(view)
    ra_side, dec_side = (view.ellipse[2], view.ellipse[3]) if view.all_sky else (view.nx, view.ny)
    dec_step = _step(_STEPS_DEG, dec_range[1] - dec_range[0], dec_side / _APART_PX["dec"])
    ra_step = _step(_RA_STEPS_DEG, ra_range[1] - ra_range[0], ra_side / _APART_PX["ra"])
    lines, labels = [], []
    for dec in _multiples(dec_step, *dec_range):
        if abs(dec) < 90:
            ra = np.linspace(*ra_range, _POINTS)
            found = in_sight(view, *view.pixels(ra, np.full(_POINTS, dec)))
            lines += found
            labels += _label(view, found, _dec_text(dec, dec_step), "dec")
    ends = max(dec_range[0], -90), min(dec_range[1], 90)
    for ra in np.unique(np.round(_multiples(ra_step, *ra_range) % 360, 9)):
        found = in_sight(view, *view.pixels(np.full(_POINTS, ra), np.linspace(*ends, _POINTS)))
        lines += found
        labels += _label(view, found, _ra_text(ra, ra_step), "ra")
    return Graticule(lines, _legible(labels))


def _legible(labels):
    """Without those that would cover an earlier one."""
    kept = []
    for label in labels:
        if not any(abs(label[1] - x) < 46 and abs(label[2] - y) < 14 for _, x, y, _ in kept):
            kept.append(label)
    return kept


def _ranges(view):
    """The ranges of both coordinates in the window, a little more."""
    if view.all_sky:  # its seam is opposite to the centre
        return (view.ra - 179.999, view.ra + 179.999), (-90.0, 90.0)
    x, y = np.meshgrid(np.linspace(0, view.nx - 1, 25), np.linspace(0, view.ny - 1, 25))
    ra, dec = view.sky(x, y)
    low, high = np.nanmin(dec), np.nanmax(dec)
    off = (ra - view.ra + 180) % 360 - 180
    for sign in (1, -1):
        px, py = view.pixels(0.0, 90.0 * sign)
        if np.isfinite(px) and -1 <= px <= view.nx and -1 <= py <= view.ny:  # a pole is in sight
            low, high = (low, 90.0) if sign > 0 else (-90.0, high)
            return (view.ra - 180, view.ra + 180), (low, high)
    return (view.ra + np.nanmin(off), view.ra + np.nanmax(off)), (low, high)


def _step(steps, span, most):
    """The narrowest step of which a span has no more than `most`."""
    return min((step for step in steps if span / step <= max(most, 2)), default=steps[0])


def _multiples(step, low, high):
    return np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step


def _dec_text(dec, step):
    if step >= 1:
        return f"{dec:+.0f}°" if dec else "0°"
    seconds = round(abs(dec) * 3600)
    text = f"{'-' if dec < 0 else '+'}{seconds // 3600}°{seconds % 3600 // 60:02d}′"
    return text if step >= 1 / 60 else f"{text}{seconds % 60:02d}″"


def _ra_text(ra, step):
    seconds = round(ra * 240)
    text = f"{seconds // 3600 % 24}h"
    if step % 15:
        text += f"{seconds % 3600 // 60:02d}m"
    return text if step >= 0.25 else f"{text}{seconds % 60:02d}s"


def _label(view, found, text, kind):
    """Where the text of a line goes.

    On the left for a declination; for a right ascension at the bottom, and on the equator of the whole sky.
    """
    points = np.concatenate(found) if found else np.zeros((0, 2))
    room = np.array([view.nx - (60, 6)[kind == "dec"], view.ny - 18])  # for the text
    points = points[((points > 6) & (points < room)).all(axis=1)]
    if not len(points):
        return []
    if kind == "dec":
        place = points[np.argmin(points[:, 0])]
    else:
        level = min(max(view.ellipse[1], 6), room[1]) if view.all_sky else 6
        place = points[np.argmin(np.abs(points[:, 1] - level))]
        if view.all_sky and abs(place[1] - level) > 20:
            return []
    return [(text, float(place[0]), float(place[1]), kind)]


def in_sight(view, x, y):
    """The parts of a line that can be drawn: without points that are not seen, and without jumps over the seam.

    Parameters
    ----------
    view : SkyView
    x, y : ndarray, shape (n,)

    Returns
    -------
    list of ndarray, shape (m, 2)
        Only parts that touch the window.
    """
    points = np.column_stack([x, y])
    known = np.isfinite(points).all(axis=1)
    broken = ~(known[1:] & known[:-1])
    if view.all_sky:
        broken |= _over_the_seam(view, x, y)
    parts = np.split(points, np.flatnonzero(broken) + 1)
    return [part for part in parts if len(part) > 1 and _touches(view, part)]


def _over_the_seam(view, x, y):
    """Whether each step of lines on the whole sky goes from one side of its edge to the other.

    Near a pole all of the sky is narrow: steps are compared with its width at their height, that is in longitude.

    Parameters
    ----------
    view : SkyView
    x, y : ndarray, shape (..., n)

    Returns
    -------
    ndarray of bool, shape (..., n - 1)
    """
    width = view.row_width(y)
    turns = np.where(width > 1e-3, (x - view.ellipse[0]) / np.maximum(width, 1e-3), 0.0)
    return np.abs(np.diff(turns)) > 0.5


def _touches(view, points):
    low, high = points.min(axis=0), points.max(axis=0)
    return bool((high >= 0).all() and low[0] <= view.nx and low[1] <= view.ny)


def circle(ra, dec, radius_deg, n=181):
    """The positions on a circle on the sky.

    Parameters
    ----------
    ra, dec : float, deg
    radius_deg : float, deg

    Returns
    -------
    ra, dec : ndarray, shape (n,), deg
    """
    centre = unit_vectors(np.array([ra]), np.array([dec]))[0]
    east = np.array([-np.sin(np.radians(ra)), np.cos(np.radians(ra)), 0])
    north = np.cross(centre, east)
    angle, radius = np.linspace(0, 2 * np.pi, n)[:, None], np.radians(radius_deg)
    vectors = centre * np.cos(radius) + (east * np.sin(angle) + north * np.cos(angle)) * np.sin(radius)
    return np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0])) % 360, np.degrees(np.arcsin(vectors[:, 2]))


def outlines(view, corners):
    """The outlines of four-cornered images.

    Parameters
    ----------
    view : SkyView
    corners : ndarray, shape (n, 4, 2), deg
        Right ascension and declination.

    Returns
    -------
    segments : ndarray, shape (m, k, 2)
        x and y of lines, all of the same number of points; those in sight.
    image : ndarray of int, shape (m,)
        To which image each belongs.
    """
    numbers = np.flatnonzero(_may_be_seen(view, corners))
    closed = np.concatenate([corners[numbers], corners[numbers, :1]], axis=1)  # (m, 5, 2)
    x, y = view.pixels(closed[..., 0], closed[..., 1])
    segments = np.stack([x, y], axis=-1)
    whole = np.isfinite(segments).all(axis=(1, 2))
    jumping = np.zeros(len(numbers), bool)
    if view.all_sky:
        jumping = _over_the_seam(view, x, y).any(axis=1)
    low, high = segments.min(axis=1), segments.max(axis=1)
    seen = whole & ~jumping & (high >= 0).all(axis=1) & (low[:, 0] <= view.nx) & (low[:, 1] <= view.ny)
    pieces, owners = _pieces(view, segments[jumping & whole], numbers[jumping & whole])
    return np.concatenate([segments[seen], pieces]), np.concatenate([numbers[seen], owners])


def _may_be_seen(view, corners):
    if not len(corners):
        return np.zeros(0, bool)
    return view.near(corners[:, 0, 0], corners[:, 0, 1], margin_deg=6.0)  # the diagonal of an image has 5°


def _pieces(view, segments, numbers):
    """Of outlines that are cut by the seam, the sides that are not; each as a line of five points."""
    if not len(segments):
        return np.zeros((0, 5, 2)), np.zeros(0, int)
    first, last = segments[:, :-1], segments[:, 1:]
    kept = ~_over_the_seam(view, segments[..., 0], segments[..., 1])
    sides = np.stack([first, *[last] * 4], axis=2)[kept]  # (k, 5, 2)
    return sides, np.repeat(numbers, kept.sum(axis=1))
