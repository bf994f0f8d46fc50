"""Where positions lie on images of which only the corners are known."""

import numpy as np

from glue_spherex.model import unit_vectors

_FEW_DEG = np.cos(np.radians(6.0))  # farther from the middle of an image than this nothing lies on it


def frame_pixels(record, ra, dec):
    """Pixels of positions, from the corners of an image.

    The corners fix the projection; the distortion, some pixels, is left out.

    Parameters
    ----------
    record : ArchiveImage
        Or anything else with its ``footprint``, the outer corners of the pixels (0, 0), (nx - 1, 0), (nx - 1, ny - 1)
        and (0, ny - 1), and with ``nx`` and ``ny``.
    ra, dec : ndarray, shape (n,), deg

    Returns
    -------
    x, y : ndarray, shape (n,)
        0-based; NaN on the other side of the sky.
    """
    corners = unit_vectors(*record.footprint.T).T
    right, top = record.nx - 0.5, record.ny - 0.5
    pixels = np.array([[-0.5, right, right, -0.5], [-0.5, -0.5, top, top], [1.0, 1.0, 1.0, 1.0]])
    # a gnomonic image is a projective map of directions: four pairs of points fix it
    on_sky, on_frame = (np.linalg.solve(points[:, :3], points[:, 3]) for points in (corners, pixels))
    to_frame = (pixels[:, :3] * (on_frame / on_sky)) @ np.linalg.inv(corners[:, :3])
    vectors = unit_vectors(ra, dec)
    x, y, scale = to_frame @ vectors.T
    middle = corners.sum(axis=1)
    near = vectors @ (middle / np.linalg.norm(middle)) > _FEW_DEG
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(near, x / scale, np.nan), np.where(near, y / scale, np.nan)
