"""The design matrix: one row per source, one column per pixel.

For a stamp with a few sources the rows are a dense array over all its pixels. For many sources, or a large image, they
are a sparse matrix over the pixels that some template touches.
"""

from dataclasses import dataclass

import numpy as np

_LARGEST_DENSE = 300_000  # elements of a dense design matrix


@dataclass(frozen=True, eq=False)
class Design:
    """Rows of templates over the pixels of an image.

    Attributes
    ----------
    shape : tuple of int
        Of the image, (ny, nx).
    pixels : int ndarray, shape (p,), or None
        Flat indices of the columns in the image; ``None`` when the columns are all pixels.
    rows : ndarray or `~scipy.sparse.csr_array`, shape (n, p)
        The templates, zero outside the image.
    places : tuple of int ndarray, or None
        Row and column of every entry of a sparse matrix, in the order of the patches.
    """

    shape: tuple
    pixels: np.ndarray | None
    rows: object
    places: tuple | None = None

    @property
    def is_dense(self):
        return isinstance(self.rows, np.ndarray)

    def take(self, image):
        """The image's values on the columns, shape (p,)."""
        flat = np.reshape(image, -1)
        return flat if self.pixels is None else flat[self.pixels]

    def spread(self, columns):
        """An image from values on the columns; zero elsewhere."""
        if self.pixels is None:
            return columns.reshape(self.shape)
        image = np.zeros(self.shape)
        image.reshape(-1)[self.pixels] = columns
        return image


def design(templates, shape, plane="values", like=None):
    """Rows of a design matrix.

    Parameters
    ----------
    templates : Templates
        Patches of n sources; what lies outside the image is left out.
    shape : tuple of int
        Of the image, (ny, nx).
    plane : {"values", "dx", "dy", "footprint"}
        Which values: the template, a derivative, or 1 wherever the patch reaches.
    like : Design, optional
        Use its columns.

    Returns
    -------
    Design
    """
    dense = templates.n * shape[0] * shape[1] <= _LARGEST_DENSE if like is None else like.is_dense
    return _dense(templates, shape, plane) if dense else _sparse(templates, shape, plane, like)


def _plane(patches, plane):
    return np.ones_like(patches.values) if plane == "footprint" else getattr(patches, plane)


def _dense(templates, shape, plane):
    ny, nx = shape
    rows = np.zeros((templates.n, ny, nx))
    for members, patches in templates.blocks:
        values = _plane(patches, plane)
        side = values.shape[-1]
        for k, x0, y0, patch in zip(members.tolist(), patches.x0.tolist(), patches.y0.tolist(), values, strict=True):
            x_low, x_high, y_low, y_high = max(x0, 0), min(x0 + side, nx), max(y0, 0), min(y0 + side, ny)
            if x_low < x_high and y_low < y_high:
                rows[k, y_low:y_high, x_low:x_high] = patch[y_low - y0 : y_high - y0, x_low - x0 : x_high - x0]
    return Design(shape, None, rows.reshape(templates.n, ny * nx))


def _sparse(templates, shape, plane, like):
    from scipy.sparse import csr_array

    ny, nx = shape
    row_parts, pixel_parts, value_parts = [np.empty(0, int)], [np.empty(0, int)], [np.empty(0)]
    for members, patches in templates.blocks:
        side = np.arange(patches.values.shape[-1])
        y, x = patches.y0[:, None] + side, patches.x0[:, None] + side
        inside = ((y >= 0) & (y < ny))[:, :, None] & ((x >= 0) & (x < nx))[:, None, :]
        value_parts.append(_plane(patches, plane)[inside])
        if like is None:
            row_parts.append(np.repeat(members, np.count_nonzero(inside, axis=(1, 2))))
            pixel_parts.append((y[:, :, None] * nx + x[:, None, :])[inside])
    if like is None:
        pixels, column = _columns(np.concatenate(pixel_parts), ny * nx)
        places = (np.concatenate(row_parts), column)
    else:
        pixels, places = like.pixels, like.places
    rows = csr_array((np.concatenate(value_parts), places), shape=(templates.n, pixels.size))
    return Design(shape, pixels, rows, places)


def _columns(pixel, size):
    """Distinct pixels, and for every entry its place among them."""
    if pixel.size < size // 20:
        return np.unique(pixel, return_inverse=True)
    touched = np.zeros(size, dtype=bool)
    touched[pixel] = True
    pixels = np.flatnonzero(touched)
    place = np.empty(size, dtype=np.int32)
    place[pixels] = np.arange(pixels.size)
    return pixels, place[pixel]
