"""The design matrix: one row per source, one column per pixel that some template touches.

For a few sources the rows are a dense array, for many a sparse matrix.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .templates import Templates

_LARGEST_DENSE = 300_000  # elements of a dense design matrix


@dataclass(frozen=True, eq=False)
class Design:
    """Rows of templates over the pixels of an image.

    Attributes
    ----------
    templates : Templates
        Of n sources.
    shape : tuple of int
        Of the image, (ny, nx).
    pixels : int ndarray, shape (p,)
        Flat indices of the columns in the image, ascending.
    entries : int ndarray, shape (e,)
        The values of the patches that lie on the image, as places in all their values one after the other.
    places : tuple of int ndarray, shape (e,) each
        Row and column of these values.
    """

    templates: Templates
    shape: tuple
    pixels: np.ndarray
    entries: np.ndarray
    places: tuple

    @property
    def is_dense(self):
        """Whether the rows are an ndarray; else they are a `~scipy.sparse.csr_array`."""
        return self.templates.n * self.pixels.size <= _LARGEST_DENSE

    @cached_property
    def rows(self):
        """The templates, shape (n, p)."""
        return self.plane("values")

    def plane(self, name):
        """A matrix of another plane of the patches: "dx", "dy"; or "footprint", 1 wherever a patch reaches."""
        if name == "footprint":
            values = np.ones(self.entries.size)
        else:
            values = [getattr(patches, name).reshape(-1) for _, patches in self.templates.blocks]
            values = np.concatenate(values or [np.empty(0)])[self.entries]
        shape = self.templates.n, self.pixels.size
        if not self.is_dense:
            from scipy.sparse import csr_array

            return csr_array((values, self.places), shape=shape)
        rows = np.zeros(shape)
        rows[self.places] = values
        return rows

    def weighted(self, rows, weight):
        """Rows over the columns, dense or sparse as `rows` are, times a weight for each column."""
        if self.is_dense:
            return rows * weight
        scaled = rows.copy()
        scaled.data *= weight[scaled.indices]
        return scaled

    def take(self, image):
        """The image's values on the columns, shape (p,)."""
        return image.reshape(-1)[self.pixels]

    def spread(self, columns, fill=0.0):
        """An image from values on the columns; `fill` elsewhere."""
        image = np.full(self.shape, fill)
        image.reshape(-1)[self.pixels] = columns
        return image


def design(templates, shape):
    """The design matrix of sources on an image.

    Parameters
    ----------
    templates : Templates
        Patches of n sources; what lies outside the image is left out.
    shape : tuple of int
        Of the image, (ny, nx).

    Returns
    -------
    Design
    """
    ny, nx = shape
    entry_parts, row_parts, pixel_parts, total = [], [], [], 0
    for members, patches in templates.blocks:
        side = np.arange(patches.values.shape[-1])
        y, x = patches.y0[:, None] + side, patches.x0[:, None] + side
        inside = ((y >= 0) & (y < ny))[:, :, None] & ((x >= 0) & (x < nx))[:, None, :]
        entries = inside.reshape(-1).nonzero()[0]
        pixel_parts.append((y[:, :, None] * nx + x[:, None, :]).reshape(-1)[entries])
        row_parts.append(members[entries // side.size**2])
        entry_parts.append(entries + total)
        total += inside.size
    entries, row, pixel = (_joined(parts) for parts in (entry_parts, row_parts, pixel_parts))
    pixels, column = _columns(pixel, ny * nx)
    return Design(templates, shape, pixels, entries, (row, column))


def _joined(parts):
    return parts[0] if len(parts) == 1 else np.concatenate(parts or [np.empty(0, dtype=int)])


def _columns(pixel, size):
    """Distinct pixels, and for every entry its place among them."""
    if pixel.size < size // 20:
        return np.unique(pixel, return_inverse=True)
    touched = np.zeros(size, dtype=bool)
    touched[pixel] = True
    pixels = touched.nonzero()[0]
    place = np.empty(size, dtype=np.int32)
    place[pixels] = np.arange(pixels.size)
    return pixels, place[pixel]
