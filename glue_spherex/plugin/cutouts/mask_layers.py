"""Mask layers: which pixels have which flags, in the colours of the flag table."""

import numpy as np

from ...model import FLAG_TABLE, Flag

#: The flags that pixels can have, in bit order.
PIXEL_FLAGS = tuple(info for info in FLAG_TABLE if info.bit < 32)
ALL_BITS = sum(1 << info.bit for info in PIXEL_FLAGS)
#: Nearly every cutout has a known source in its middle; its flag would hide what matters.
ALL_BUT_SOURCE = ALL_BITS & ~int(Flag.SOURCE)
#: Shown at first: whatever may be wrong with a pixel. That a full sample history exists is no fault.
DEFAULT_BITS = ALL_BUT_SOURCE & ~int(Flag.FULLSAMPLE)
#: Cells into which a pixel is divided along each axis, so that one with several flags shows them all.
CELLS = 6


def _rgb(colour):
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


_COLOURS = np.array([_rgb(info.colour) for info in PIXEL_FLAGS], np.uint8)
_BITS = np.array([info.bit for info in PIXEL_FLAGS])


def mask_overlay(flags, bits, alpha):
    """Colours that lie over an image.

    A pixel with one of the shown flags has its colour; one with several is divided across its diagonal into a band
    for each, so that none hides another.

    Parameters
    ----------
    flags : int ndarray, shape (ny, nx)
    bits : int
        The flags shown, as a bitmask.
    alpha : float
        Opacity, 0 to 1.

    Returns
    -------
    uint8 ndarray, shape (6 ny, 6 nx, 4)
        Red, green, blue, opacity; each pixel is 6 x 6 cells.
    """
    ny, nx = flags.shape
    shown = _BITS[(bits >> _BITS) & 1 == 1]
    overlay = np.zeros((ny, CELLS, nx, CELLS, 4), np.uint8)
    rows, columns = np.nonzero(flags & np.int64(bits & ALL_BITS))
    if not (shown.size and rows.size):
        return overlay.reshape(ny * CELLS, nx * CELLS, 4)
    has = (flags[rows, columns][:, None] >> _BITS) & (bits >> _BITS) & 1  # (pixels, flags)
    order = np.argsort(-has, axis=1, kind="stable")  # the flags that a pixel has come first, in bit order
    count = has.sum(axis=1)
    diagonal = np.add.outer(np.arange(CELLS), np.arange(CELLS))  # 0 to 2 CELLS - 2
    band = diagonal * count[:, None, None] // (2 * CELLS - 1)
    chosen = order[np.arange(rows.size)[:, None, None], band]
    colours = overlay.transpose(0, 2, 1, 3, 4)
    colours[rows, columns, ..., :3] = _COLOURS[chosen]
    colours[rows, columns, ..., 3] = round(255 * min(max(alpha, 0.0), 1.0))
    return overlay.reshape(ny * CELLS, nx * CELLS, 4)


def under_mask(colours, overlay):
    """An image with its mask over it.

    Parameters
    ----------
    colours : uint8 ndarray, shape (ny, nx, 4)
    overlay : uint8 ndarray, shape (6 ny, 6 nx, 4)
        From `mask_overlay`.

    Returns
    -------
    uint8 ndarray, shape (6 ny, 6 nx, 4)
    """
    result = colours.repeat(CELLS, axis=0).repeat(CELLS, axis=1)
    covered = overlay[..., 3] > 0
    above, below = overlay[covered] / 255.0, result[covered] / 255.0
    seen = below[:, 3:] * (1 - above[:, 3:])
    opacity = above[:, 3:] + seen
    mixed = (above[:, :3] * above[:, 3:] + below[:, :3] * seen) / opacity
    result[covered] = np.round(255 * np.concatenate([mixed, opacity], axis=1))
    return result


def count_flags(flags):
    """How many pixels have each flag.

    Parameters
    ----------
    flags : iterable of int ndarray
        Flags of the pixels of each cutout, any shape.

    Returns
    -------
    dict of int to int
        Bit to number of pixels, for all pixel flags.
    """
    counts = np.zeros(_BITS.size, int)
    for values in flags:
        counts += ((values.ravel()[:, None] >> _BITS) & 1).sum(axis=0)
    return dict(zip(_BITS.tolist(), counts.tolist(), strict=True))
