"""Where positions lie on images of which only the corners are known."""

import numpy as np

from glue_spherex.model import unit_vectors


def frame_matrices(records):
    """What turns directions into pixels of images.

    A gnomonic image is a projective map of directions, and four pairs of points fix such a map. The distortion, some
    pixels, is left out.

    Parameters
    ----------
    records : sequence of ArchiveImage
        Or of anything else with its ``corners``, the outer ones of the pixels (0, 0), (nx - 1, 0),
        (nx - 1, ny - 1) and (0, ny - 1), and with ``nx`` and ``ny``.

    Returns
    -------
    ndarray, shape (n, 3, 3)
        For `at_directions`.
    """
    if not len(records):
        return np.zeros((0, 3, 3))
    footprints = np.frombuffer(b"".join([record.corners for record in records])).reshape(len(records), 4, 2)
    corners = np.swapaxes(unit_vectors(footprints[..., 0], footprints[..., 1]), 1, 2)
    right, top = (np.array([getattr(record, side) for record in records]) - 0.5 for side in ("nx", "ny"))
    left, one = np.full(len(records), -0.5), np.ones(len(records))
    pixels = np.moveaxis(np.array([[left, right, right, left], [left, left, top, top], [one] * 4]), 2, 0)
    on_sky, on_frame = (np.linalg.solve(points[:, :, :3], points[:, :, 3:]) for points in (corners, pixels))
    return (pixels[:, :, :3] * np.swapaxes(on_frame / on_sky, 1, 2)) @ np.linalg.inv(corners[:, :, :3])


def at_directions(matrix, vectors):
    """Pixels of directions on an image.

    Parameters
    ----------
    matrix : ndarray, shape (3, 3) or (k, 3, 3)
        Of `frame_matrices`; one, or one for each direction.
    vectors : ndarray, shape (k, 3)
        Unit vectors.

    Returns
    -------
    x, y : ndarray, shape (k,)
        0-based; NaN on the other side of the sky.
    """
    x, y, scale = np.einsum("...ij,...j->i...", matrix, vectors)
    scale = np.where(scale > 0, scale, np.nan)
    return x / scale, y / scale


def frame_pixels(record, ra, dec):
    """Pixels of positions, from the corners of an image; see `frame_matrices`.

    Parameters
    ----------
    record : ArchiveImage
    ra, dec : ndarray, shape (k,), deg

    Returns
    -------
    x, y : ndarray, shape (k,)
        As of `at_directions`.
    """
    return at_directions(frame_matrices([record])[0], unit_vectors(ra, dec))
