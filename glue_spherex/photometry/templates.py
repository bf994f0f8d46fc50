"""Templates: what a source of unit flux puts into each detector pixel.

A point source is placed at its exact sub-pixel phase. The oversampled PSF is turned once into the *effective* PSF, the
flux in a pixel as a function of the offset between pixel and source, which is a smooth function; its cubic B-spline is
evaluated at the pixel centres (Anderson & King 2000, PASP 112, 1360, for the effective PSF; Unser 1999, IEEE Signal
Processing Magazine 16(6), 22, for the spline). For a kernel of cells of 1/s pixel the sums over s cells are exact
values of the effective PSF on a grid of 1/s pixel, so only the spline between these nodes approximates.
"""

from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
from numpy.lib.stride_tricks import as_strided
from scipy.ndimage import spline_filter

from .errors import PhotometryError
from .sersic import sersic_patch

_PAD_CELLS = 8  # the spline coefficients of an isolated sample fall by 0.268 per cell: 3e-5 after 8
_CHUNK = 1024  # sources whose coefficients are gathered at once (some 20 kB each)


@dataclass(frozen=True, eq=False)
class Patches:
    """Templates of n sources on squares of the same size.

    Attributes
    ----------
    values : ndarray, shape (n, m, m)
        Fraction of the flux in each pixel.
    x0, y0 : int ndarray, shape (n,), 0-based pixels
        The pixel of ``values[:, 0, 0]``. A patch may reach over the border of an image, or lie outside it.
    dx, dy : ndarray, shape (n, m, m), per pixel, or None
        Derivatives of `values` with respect to the source's position.
    """

    values: np.ndarray
    x0: np.ndarray
    y0: np.ndarray
    dx: np.ndarray | None = None
    dy: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Templates:
    """Templates of n sources, as blocks of patches of the same size.

    Attributes
    ----------
    n : int
        Number of sources.
    blocks : tuple of (int ndarray, Patches)
        Which sources (0-based, each of them once) and their patches.
    """

    n: int
    blocks: tuple

    @cached_property
    def totals(self):
        """Sum and sum of squares of each template over its whole patch, shape (n,) each."""
        total, power = np.empty(self.n), np.empty(self.n)
        for members, patches in self.blocks:
            values = patches.values.reshape(members.size, -1)
            total[members] = values.sum(axis=1)
            power[members] = (values * values).sum(axis=1)
        return total, power

    @property
    def derivatives(self):
        """Whether the derivatives with respect to the position are there."""
        return all(patches.dx is not None for _, patches in self.blocks)


class _PointTemplate:
    """Spline coefficients of an effective PSF, laid out for fast evaluation.

    ``windows[q, p]`` holds the coefficients under the pixels of a patch when the source sits p (q) cells from the
    first phase in x (y), flattened: the template is the sum of 4 × 4 windows with the B-spline's weights.
    """

    def __init__(self, psf):
        cells, s = psf.kernel.shape[0], psf.oversampling
        if psf.kind == "optical":
            nodes = _sums_over_pixel(psf.kernel, s)
            centre = cells // 2 + (s - 1) / 2
            reach = cells / (2 * s) + 0.5
        else:
            nodes = psf.kernel * s**2
            centre = float(cells // 2)
            reach = cells / (2 * s)
        self.oversampling = s
        self.half_width = int(np.floor(reach + 0.5))
        self.side = 2 * self.half_width + 1
        self.first = int(np.floor(centre - s / 2))  # lowest cell of the spline under the central pixel
        self.centre = centre
        pad = max(self.half_width * s - self.first + 1, 0) + _PAD_CELLS
        coefficients = spline_filter(np.pad(nodes, pad), order=3)
        phases = s + 4
        start = pad - self.half_width * s + self.first - 1
        steps = coefficients.strides
        view = as_strided(
            coefficients[start:, start:],
            (phases, phases, self.side, self.side),
            (steps[0], steps[1], steps[0] * s, steps[1] * s),
            writeable=False,
        )
        needed = start + phases + s * (self.side - 1)
        if needed > coefficients.shape[0]:
            raise PhotometryError(f"PSF: a kernel of {cells} cells with oversampling {s} cannot be interpolated.")
        self.windows = np.ascontiguousarray(view).reshape(phases, phases, self.side**2)
        steps = self.windows.strides
        self.stencils = as_strided(
            self.windows,
            (phases - 3, phases - 3, 4, 4 * self.side**2),
            (steps[0], steps[1], steps[0], steps[2]),
            writeable=False,
        )

    def weights(self, fraction):
        """First cell, B-spline weights and place between the cells, for sources `fraction` of a pixel off a centre."""
        cell = self.centre - fraction * self.oversampling
        floor = np.floor(cell)
        t = cell - floor
        first = floor.astype(int) - self.first
        u = 1 - t
        tt, uu = t * t, u * u
        weights = np.empty((*t.shape, 4))
        weights[..., 0] = uu * u
        weights[..., 1] = (3 * t - 6) * tt + 4
        weights[..., 2] = (3 * u - 6) * uu + 4
        weights[..., 3] = tt * t
        weights *= 1 / 6
        return first, weights, t

    def slopes(self, t):
        """Derivatives of the weights with respect to the source's position, per pixel."""
        u = 1 - t
        slopes = np.empty((*t.shape, 4))
        slopes[..., 0] = u * u
        slopes[..., 1] = (4 - 3 * t) * t
        slopes[..., 2] = (3 * u - 4) * u
        slopes[..., 3] = -t * t
        slopes *= self.oversampling / 2
        return slopes


_POINT_TEMPLATES = WeakKeyDictionary()


def _point_template(psf):
    """The coefficients of a PSF, made once for each PSF."""
    template = _POINT_TEMPLATES.get(psf)
    if template is None:
        template = _POINT_TEMPLATES[psf] = _PointTemplate(psf)
    return template


def _sums_over_pixel(kernel, cells_per_pixel):
    """Sums of a kernel over squares of the size of a pixel, at every offset at which they touch it."""
    for _ in range(2):
        edge = np.zeros((kernel.shape[0], cells_per_pixel))
        total = np.cumsum(np.concatenate([edge, kernel, edge[:, 1:]], axis=1), axis=1)
        kernel = (total[:, cells_per_pixel:] - total[:, :-cells_per_pixel]).T
    return kernel


def point_templates(psf, x, y, half_width=None, derivatives=False):
    """Templates of point sources.

    Parameters
    ----------
    psf : PSF
        The point spread function of all these sources.
    x, y : array_like, shape (n,), 0-based pixels
        Finite positions; they may lie outside the image.
    half_width : int, optional
        The patches have ``2 * half_width + 1`` pixels a side. By default they hold the whole PSF.
    derivatives : bool, optional
        Also return the derivatives with respect to the position.

    Returns
    -------
    Patches
        Flux errors stay below 2e-5 for PSFs like SPHEREx's (see the tests).
    """
    template = _point_template(psf)
    position = np.array([x, y], dtype=float).reshape(2, -1)
    pixel = np.floor(position + 0.5)
    (column, row), (across, along), (t_x, t_y) = template.weights(position - pixel)
    n, side = row.size, template.side
    weights = np.empty((n, 3 if derivatives else 1, 4, 4))
    np.multiply(along[:, :, None], across[:, None, :], out=weights[:, 0])
    if derivatives:
        np.multiply(along[:, :, None], template.slopes(t_x)[:, None, :], out=weights[:, 1])
        np.multiply(template.slopes(t_y)[:, :, None], across[:, None, :], out=weights[:, 2])
    weights = weights.reshape(n, weights.shape[1], 16)
    values = np.empty((n, weights.shape[1], side**2))
    for start in range(0, n, _CHUNK):
        part = slice(start, start + _CHUNK)
        stencil = template.stencils[row[part], column[part]].reshape(-1, 16, side**2)
        np.matmul(weights[part], stencil, out=values[part])
    values = values.reshape(n, values.shape[1], side, side)
    return _patches(values, *pixel, template.half_width, half_width)


def _patches(values, x_pixel, y_pixel, half_width, wanted):
    """Patches of the wanted half-width from (n, 1 or 3, m, m) planes."""
    if wanted is not None and wanted != half_width:
        if wanted < 0:
            raise PhotometryError(f"point_templates: half_width is {wanted}; 0 or more is needed.")
        cut = max(half_width - wanted, 0)
        values = values[..., cut : values.shape[-2] - cut, cut : values.shape[-1] - cut]
        grow = max(wanted - half_width, 0)
        values = np.pad(values, ((0, 0), (0, 0), (grow, grow), (grow, grow)))
        half_width = wanted
    x0, y0 = x_pixel.astype(int) - half_width, y_pixel.astype(int) - half_width
    derivatives = (values[:, 1], values[:, 2]) if values.shape[1] == 3 else (None, None)
    return Patches(values[:, 0], x0, y0, *derivatives)


def sersic_template(psf, profile, x, y, cd, half_width=None, extent="tractor", derivatives=False):
    """Template of one source with a Sérsic profile.

    Parameters
    ----------
    psf : PSF
        The point spread function.
    profile : Sersic
        The shape. It is drawn as it is, also below the radius at which a source is measured as a point.
    x, y : float, 0-based pixels
        Position of the centre.
    cd : array_like, shape (2, 2), deg per pixel
        ``(east, north) = cd @ (dx, dy)``.
    half_width : int, optional
        The patch has ``2 * half_width + 1`` pixels a side. By default it holds the whole truncated profile, or 99.9 %
        of the infinite one, 64 and 48 pixels at most.
    extent : {"tractor", "infinite"}
        Truncated where The Tractor's profiles end and of total flux 1 within, or not truncated. See
        `glue_spherex.photometry.sersic`.
    derivatives : bool, optional
        Also return the derivatives with respect to the position.

    Returns
    -------
    Patches
        A single patch.
    """
    values, half_width = sersic_patch(psf, profile, x, y, cd, half_width, extent, derivatives)
    x_pixel, y_pixel = np.floor(np.array([x, y], dtype=float) + 0.5)
    return _patches(values[None], np.array([x_pixel]), np.array([y_pixel]), half_width, half_width)


def source_templates(psf, x, y, profiles=None, cd=None, extent="tractor", derivatives=False, half_width=None):
    """Templates of any sources.

    Parameters
    ----------
    psf : PSF or sequence of PSF, length n
        One for all sources, or one for each (several zones of a detector).
    x, y : array_like, shape (n,), 0-based pixels
        Finite positions.
    profiles : sequence, length n, optional
        For each source ``None`` (a point) or a `Sersic`; one below 1 arcsec is drawn as a point.
    cd : array_like, shape (2, 2) or (n, 2, 2), deg per pixel, optional
        Needed only where there is a profile.
    extent, derivatives
        As in `sersic_template`.
    half_width : int, optional
        Of all patches of point sources.

    Returns
    -------
    Templates
    """
    x, y = np.atleast_1d(np.asarray(x, dtype=float)), np.atleast_1d(np.asarray(y, dtype=float))
    n = x.size
    profiles = [None] * n if profiles is None else profiles
    extended = [k for k, profile in enumerate(profiles) if profile is not None and not profile.is_point]
    psfs = None if hasattr(psf, "kernel") else list(psf)
    if not extended and psfs is None:
        return Templates(n, ((np.arange(n), point_templates(psf, x, y, half_width, derivatives)),) if n else ())
    points = [k for k, profile in enumerate(profiles) if profile is None or profile.is_point]
    blocks = []
    for one, members in _by_psf(psf, psfs, points):
        blocks.append((members, point_templates(one, x[members], y[members], half_width, derivatives)))
    for k in extended:
        one = psf if psfs is None else psfs[k]
        one_cd = np.asarray(cd, dtype=float)
        one_cd = one_cd[k] if one_cd.ndim == 3 else one_cd
        patches = sersic_template(one, profiles[k], x[k], y[k], one_cd, None, extent, derivatives)
        blocks.append((np.array([k]), patches))
    return Templates(n, tuple(blocks))


def _by_psf(psf, psfs, members):
    """Pairs (PSF, sources) with the sources that share a PSF together."""
    if psfs is None:
        return [(psf, np.array(members))] if members else []
    order = {}
    for k in members:
        order.setdefault(id(psfs[k]), []).append(k)
    return [(psfs[group[0]], np.array(group)) for group in order.values()]
