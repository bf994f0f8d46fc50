"""Boxes of detector pixels around targets, and where targets are on an image whose header is not here yet."""

import math
from dataclasses import dataclass

import numpy as np

from glue_spherex.model.detectors import N_PIX, PIXEL_SCALE_ARCSEC

from ..errors import ImageFileError
from ..record import SMALL_PIXELS

#: Half the side of a target's box, px: what the widest background box of the standard settings needs.
REACH_PX = 20
#: Targets whose boxes would overlap share one, as long as it is no wider than this.
LARGEST_SHARED_PX = 160


@dataclass(frozen=True, order=True)
class PixelBox:
    """A half-open box of detector pixels, 0-based.

    Parameters
    ----------
    x_lo, x_hi, y_lo, y_hi : int

    Raises
    ------
    ImageFileError
        If it is empty or reaches over the edge of the detector.
    """

    x_lo: int
    x_hi: int
    y_lo: int
    y_hi: int

    def __post_init__(self):
        for low, high in ((self.x_lo, self.x_hi), (self.y_lo, self.y_hi)):
            if not 0 <= low < high <= N_PIX:
                raise ImageFileError(
                    f"the box x {self.x_lo} to {self.x_hi}, y {self.y_lo} to {self.y_hi} is not on the detector; "
                    f"0 to {N_PIX} is possible."
                )

    @property
    def shape(self):
        """(ny, nx)"""
        return self.y_hi - self.y_lo, self.x_hi - self.x_lo

    @property
    def n_pixels(self):
        """Pixels in it."""
        return self.shape[0] * self.shape[1]

    def holds(self, other):
        """Whether another box lies in this one."""
        return (
            self.x_lo <= other.x_lo and other.x_hi <= self.x_hi and self.y_lo <= other.y_lo and other.y_hi <= self.y_hi
        )

    def in_file(self, origin):
        """(x_lo, x_hi, y_lo, y_hi) in the pixels of a file whose pixel (0, 0) is the detector pixel `origin`."""
        x0, y0 = origin
        return self.x_lo - x0, self.x_hi - x0, self.y_lo - y0, self.y_hi - y0

    @classmethod
    def around(cls, x, y, reach, within):
        """The box around positions.

        Parameters
        ----------
        x, y : array_like, shape (n,)
            0-based detector pixels.
        reach : int or array_like of int, px
            From the pixel of a position to the edge of the box.
        within : PixelBox
            What the file holds; the box is cut to it.

        Returns
        -------
        PixelBox or None
            None if nothing of it is left.
        """
        columns, rows = np.rint(x), np.rint(y)
        return cls.cut(
            int((columns - reach).min()), int((columns + reach).max()) + 1,
            int((rows - reach).min()), int((rows + reach).max()) + 1, within,
        )  # fmt: skip

    @classmethod
    def cut(cls, x_lo, x_hi, y_lo, y_hi, within):
        """The part of a box that lies in another one; None without."""
        x_lo, x_hi = max(x_lo, within.x_lo), min(x_hi, within.x_hi)
        y_lo, y_hi = max(y_lo, within.y_lo), min(y_hi, within.y_hi)
        return cls(x_lo, x_hi, y_lo, y_hi) if x_lo < x_hi and y_lo < y_hi else None


FULL_FRAME = PixelBox(0, N_PIX, 0, N_PIX)


def reach_px(shape=None, background_box=15):
    """Half the side of the box that measuring a source needs.

    Parameters
    ----------
    shape : Sersic or None
        None for a point.
    background_box : int, px
        Side of the box in which the local background is measured; it may be widened to 41 pixels.

    Returns
    -------
    int
    """
    light = 0 if shape is None else math.ceil(min(8.2 * shape.r_eff / PIXEL_SCALE_ARCSEC, 64))
    return max(REACH_PX, background_box // 2, 7 + light)


def target_boxes(x, y, reach=REACH_PX, within=FULL_FRAME):
    """Boxes around targets; targets whose boxes overlap share one, because they are fitted together.

    Of a small image it is one with all pixels, if it holds something of the surroundings of a target.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        0-based detector pixels; a target that is not finite or off the file is left out.
    reach : int or ndarray of int, shape (n,), px
    within : PixelBox
        What the file holds.

    Returns
    -------
    list of (PixelBox, ndarray of int)
        Each box and the places of its targets in `x`. A target is in one of them.
    """
    x, y = np.asarray(x, float).tolist(), np.asarray(y, float).tolist()
    reach = np.asarray(reach, int).tolist() if np.ndim(reach) else [int(reach)] * len(x)
    groups = []
    for k, (px, py, far) in enumerate(zip(x, y, reach, strict=True)):  # numbers: most images hold one target
        if not (math.isfinite(px) and math.isfinite(py)):
            continue
        column, row = round(px), round(py)
        box = PixelBox.cut(column - far, column + far + 1, row - far, row + far + 1, within)
        if box is None:
            continue
        members = [k]
        while (near := _first_touched(groups, box)) is not None:
            shared = _hull(box, groups[near][0])
            if max(shared.shape) > LARGEST_SHARED_PX:
                break
            box, members = shared, groups.pop(near)[1] + members
        groups.append((box, members))
    if groups and within.n_pixels <= SMALL_PIXELS:
        groups = [(within, [k for _, members in groups for k in members])]
    return [(box, np.array(sorted(members))) for box, members in sorted(groups, key=lambda group: group[0])]


def _first_touched(groups, box):
    for place, (other, _) in enumerate(groups):
        if (other.x_lo < box.x_hi and box.x_lo < other.x_hi) and (other.y_lo < box.y_hi and box.y_lo < other.y_hi):
            return place
    return None


def _hull(one, other):
    return PixelBox(
        min(one.x_lo, other.x_lo), max(one.x_hi, other.x_hi), min(one.y_lo, other.y_lo), max(one.y_hi, other.y_hi)
    )


def turned(ra, dec, corners, known_corners):
    """Sky positions as another exposure of the same detector would see them.

    All exposures of a detector look through the same optics. From the corners of two of them follows how the sky is
    turned between them (the rotation that fits best: Kabsch 1976, Acta Cryst. A32, 922), so that the astrometry of one
    tells where things are on the other, to a small part of a pixel.

    Parameters
    ----------
    ra, dec : array_like, shape (n,), deg
        On the new exposure.
    corners, known_corners : ndarray, shape (4, 2), deg
        Right ascension and declination of the corners of the new and of the known exposure, in the same order.

    Returns
    -------
    ra, dec : ndarray, shape (n,), deg
        To be used with the astrometry of the known exposure.
    """
    new, known = _vectors(*np.asarray(corners, float).T), _vectors(*np.asarray(known_corners, float).T)
    u, _, vt = np.linalg.svd(known.T @ new)
    rotation = u @ np.diag([1.0, 1.0, np.linalg.det(u) * np.linalg.det(vt)]) @ vt  # known = rotation @ new
    x, y, z = rotation @ _vectors(ra, dec).T
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arcsin(np.clip(z, -1.0, 1.0)))


def _vectors(ra_deg, dec_deg):
    ra, dec = np.radians(np.atleast_1d(ra_deg)), np.radians(np.atleast_1d(dec_deg))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)
