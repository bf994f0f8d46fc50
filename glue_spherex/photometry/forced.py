"""Forced photometry: weighted linear least squares for the fluxes of sources at known places.

The model of an image is ``data = sum_k flux_k template_k + noise`` on its usable pixels, with inverse-variance weights:
``(T W T^T) flux = T W data``. That is the estimator of The Tractor's forced photometry (Lang, Hogg & Schlegel 2016, AJ
151, 36), without its approximation of the errors: `Fit.flux_err` is marginalised over the sources fitted together,
`Fit.flux_err_tractor` is the Tractor's ``1 / sqrt(diag(T W T^T))``.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .design import design
from .errors import PhotometryError
from .groups import solve_groups
from .joint_background import background_rows
from .sersic import EXTENTS
from .templates import source_templates

#: A source is measured if at least this fraction of its template's power (the sum of squares) is on usable pixels.
#: Below, its error is more than 100 times that on a clean image and rests on the PSF's outermost wings.
SMALLEST_POWER = 1e-4
_NO_POWER = 1e-8  # below, a source takes no part in the fit of the others

JOINT_BACKGROUNDS = ("none", "constant", "plane")


@dataclass(frozen=True, eq=False)
class Fit:
    """Fluxes of n sources on one image.

    Attributes
    ----------
    flux : ndarray, shape (n,), µJy
        NaN where `failed`.
    flux_err : ndarray, shape (n,), µJy
        Marginal error: of the pixels' noise, of the sources fitted together, and of the background. Infinite where
        `failed`.
    flux_err_tractor : ndarray, shape (n,), µJy
        The error that The Tractor reports, which ignores the neighbours and the background.
    flux_err_background : ndarray, shape (n,), µJy
        The part of `flux_err` that is due to the subtracted background (0 for one fitted jointly: there it is part of
        the noise's error).
    failed : bool ndarray, shape (n,)
        No usable pixel under the source (`SMALLEST_POWER`), or a source that cannot be told from another one.
    masked_fraction : ndarray, shape (n,)
        Fraction of the template's flux on unusable pixels or off the image.
    background, background_err : ndarray, shape (n,), µJy per pixel
        The background at the pixels nearest to the sources, given or jointly fitted.
    group : int ndarray, shape (n,)
        Sources with the same number were solved together.
    centroid_gradient : ndarray, shape (n, 2), per pixel, or None
        Gradient g of the log-likelihood with respect to a shift (x, y) of the source, and
    centroid_curvature : ndarray, shape (n, 2, 2), per pixel², or None
        its curvature H, both with the fluxes marginalised: the shift is ``inv(H) @ g`` with covariance ``inv(H)``;
        g and H of several images add up. Zero where `failed`.
    """

    flux: np.ndarray
    flux_err: np.ndarray
    flux_err_tractor: np.ndarray
    flux_err_background: np.ndarray
    failed: np.ndarray
    masked_fraction: np.ndarray
    background: np.ndarray
    background_err: np.ndarray
    group: np.ndarray
    centroid_gradient: np.ndarray | None
    centroid_curvature: np.ndarray | None
    _design: object = field(repr=False)
    _solution: object = field(repr=False)
    _joint_flux: np.ndarray = field(repr=False)

    @cached_property
    def covariance(self):
        """Covariance of the fluxes, shape (n, n), µJy²; without the subtracted background's part.

        Infinite on the diagonal and zero elsewhere for failed sources.
        """
        n = self.flux.size
        covariance = self._solution.covariance()[:n, :n]
        covariance[self.failed, :] = covariance[:, self.failed] = 0.0
        covariance[self.failed, self.failed] = np.inf
        return covariance

    @cached_property
    def model(self):
        """Image of the sources, shape (ny, nx), µJy per pixel.

        Sources that cannot be told apart are in it with their common flux.
        """
        return self._design.spread(self._joint_flux @ self._design.rows)

    @cached_property
    def templates(self):
        """Images of unit flux, shape (n, ny, nx)."""
        rows = self._design.rows if self._design.is_dense else self._design.rows.toarray()
        return np.array([self._design.spread(row) for row in rows]).reshape(-1, *self._design.shape)


def fit_sources(data, variance, usable, psf, x, y, profiles, cd, extent="tractor"):
    """Fluxes of sources at known positions on one image.

    Parameters
    ----------
    data : array_like, shape (ny, nx), µJy per pixel
        The image, its background subtracted.
    variance : array_like, shape (ny, nx), µJy²
        Of the pixels.
    usable : array_like of bool, shape (ny, nx)
        Pixels to use. Those where `data` is not finite, or `variance` not finite and positive, are left out as well.
    psf : PSF
        The point spread function.
    x, y : array_like, shape (n,), 0-based pixels
        Positions; the centre of ``data[j, i]`` is at x = i, y = j.
    profiles : sequence, length n
        For each source ``None`` (a point) or a `Sersic`; one below 1 arcsec is measured as a point.
    cd : array_like, shape (2, 2), deg per pixel
        ``(east, north) = cd @ (dx, dy)``.
    extent : {"tractor", "infinite"}
        Which total flux a Sérsic profile has; see `glue_spherex.photometry.sersic`.

    Returns
    -------
    Fit

    Raises
    ------
    PhotometryError
        If shapes or lengths disagree or a position is not finite.
    """
    data, variance, usable = _checked_images(data, variance, usable)
    x, y, profiles = _checked_sources(x, y, profiles, extent)
    if not hasattr(psf, "kernel"):
        raise PhotometryError(f"psf is {psf!r}; a glue_spherex.images.PSF is needed.")
    templates = source_templates(psf, x, y, profiles, cd, extent)
    return fit_templates(templates, data, variance, usable)


def fit_templates(templates, data, variance, usable, **options):
    """Fluxes of sources whose templates are known: `fit_design` for a single fit.

    Parameters
    ----------
    templates : Templates
        Of n sources, in the pixels of `data`; with derivatives if ``centroid``.
    data, variance, usable, **options
        As for `fit_design`.

    Returns
    -------
    Fit
    """
    return fit_design(design(templates, data.shape), data, variance, usable, **options)


def fit_design(
    matrix,
    data,
    variance,
    usable,
    background=None,
    background_err=None,
    background_correlation=None,
    joint_background="none",
    centroid=False,
):
    """Fluxes of sources whose design matrix is known; for thousands of them on a full frame as well.

    Parameters
    ----------
    matrix : Design
        Of n sources, in the pixels of `data`; with derivatives if `centroid`.
    data, variance : ndarray, shape (ny, nx), µJy per pixel, µJy²
        The image; where `background` is given, not yet subtracted.
    usable : bool ndarray, shape (ny, nx)
        Pixels to use.
    background, background_err : ndarray, shape (n,), µJy per pixel, optional
        Each source's local background, subtracted from the pixels under its own template, and its error. A source
        whose background is NaN fails, unless one is fitted jointly.
    background_correlation : callable, optional
        ``background_correlation(members)`` gives, for index arrays of shape (g, k), the correlation (g, k, k) of the
        errors; see `Background.correlation`. By default the errors within a group are fully correlated.
    joint_background : {"none", "constant", "plane"}
        A background fitted together with the fluxes, for each group of sources whose patches overlap, on the pixels of
        these patches. It takes the place of a given one, which would not change the fluxes.
    centroid : bool
        Compute the terms of the centroid offset.

    Returns
    -------
    Fit
    """
    if joint_background not in JOINT_BACKGROUNDS:
        allowed = ", ".join(JOINT_BACKGROUNDS)
        raise PhotometryError(f"joint_background is {joint_background!r}; allowed are {allowed}.")
    templates, rows = matrix.templates, matrix.rows
    values, weight = _weighted(matrix, data, variance, usable)
    if joint_background != "none":
        rows, levels = background_rows(matrix, joint_background)
    weighted = rows * weight if matrix.is_dense else _scaled(rows, weight)
    normal = weighted @ rows.T
    right, sums = weighted @ values, np.asarray(weighted.sum(axis=1))
    n = templates.n
    level, no_level, subtracted = np.zeros(n), False, None
    if background is not None and joint_background == "none":
        no_level = ~np.isfinite(background)
        level = subtracted = np.where(no_level, 0.0, background)
        right[:n] -= level * sums[:n]

    total, power = templates.totals
    seen = (weight > 0).astype(float)
    usable_power = _squared(matrix.rows) @ seen / power
    masked = np.minimum(np.maximum(1 - (matrix.rows @ seen) / total, 0), 1)
    information = normal.diagonal()
    active = information > 0
    active[:n] &= usable_power > _NO_POWER
    solution = solve_groups(normal, active)
    joint = solution.solve(right)
    level_err = np.zeros(n)
    background_variance = np.zeros(n)
    if joint_background != "none":
        level, level_err = levels(joint, solution)
    elif background_err is not None:
        level_err = np.where(no_level, np.inf, background_err)
        background_variance = _background_variance(solution, sums, level_err, background_correlation)
    failed = solution.failed[:n] | (usable_power < SMALLEST_POWER) | no_level
    pixel_variance = solution.variance()[:n]
    gradient = curvature = None
    if centroid:
        gradient, curvature = _centroid_terms(matrix, rows, weight, values, subtracted, joint, solution, failed)
    with np.errstate(divide="ignore"):
        diagonal_error = 1 / np.sqrt(information[:n])
    return Fit(
        flux=np.where(failed, np.nan, joint[:n]),
        flux_err=np.where(failed, np.inf, np.sqrt(pixel_variance + background_variance)),
        flux_err_tractor=np.where(failed, np.inf, diagonal_error),
        flux_err_background=np.where(failed, np.inf, np.sqrt(background_variance)),
        failed=failed,
        masked_fraction=masked,
        background=np.where(no_level, np.nan, level),
        background_err=level_err,
        group=solution.layout.label[:n],
        centroid_gradient=gradient,
        centroid_curvature=curvature,
        _design=matrix,
        _solution=solution,
        _joint_flux=joint[:n],
    )


def _checked_images(data, variance, usable):
    data, variance = np.asarray(data, dtype=float), np.asarray(variance, dtype=float)
    usable = np.asarray(usable, dtype=bool)
    if data.ndim != 2 or data.size == 0:
        raise PhotometryError(f"data has shape {data.shape}; an image (ny, nx) with at least one pixel is needed.")
    for name, array in (("variance", variance), ("usable", usable)):
        if array.shape != data.shape:
            raise PhotometryError(f"{name} has shape {array.shape}; it must be that of data, {data.shape}.")
    return data, variance, usable


def _checked_sources(x, y, profiles, extent):
    x, y = np.atleast_1d(np.asarray(x, dtype=float)), np.atleast_1d(np.asarray(y, dtype=float))
    profiles = [None] * x.size if profiles is None else list(profiles)
    if x.ndim != 1 or x.shape != y.shape or len(profiles) != x.size:
        raise PhotometryError(
            f"x has shape {x.shape}, y {y.shape} and there are {len(profiles)} profiles; all must have the length n."
        )
    for name, values in (("x", x), ("y", y)):
        good = np.abs(values) < 1e6  # false for NaN
        if not good.all():
            wrong = good.argmin()
            raise PhotometryError(f"{name}[{wrong}] is {values[wrong]}; a position must be finite, in pixels.")
    for k, profile in enumerate(profiles):
        if profile is not None and not hasattr(profile, "r_eff"):
            raise PhotometryError(f"profiles[{k}] is {profile!r}; None (a point source) or a Sersic is needed.")
    if extent not in EXTENTS:
        raise PhotometryError(f"extent is {extent!r}; allowed are {', '.join(EXTENTS)}.")
    return x, y, profiles


def _weighted(matrix, data, variance, usable):
    """Pixel values and weights on the columns; both zero where a pixel is not used."""
    values, variance, usable = matrix.take(data), matrix.take(variance), matrix.take(usable)
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = 1 / variance
        good = usable & (weight > 0) & np.isfinite(weight) & np.isfinite(values)
    return np.where(good, values, 0.0), np.where(good, weight, 0.0)


def _scaled(rows, weight):
    """Sparse rows times a weight for each column."""
    scaled = rows.copy()
    scaled.data *= weight[scaled.indices]
    return scaled


def _squared(rows):
    if isinstance(rows, np.ndarray):
        return rows * rows
    squared = rows.copy()
    squared.data **= 2
    return squared


def _background_variance(solution, sums, error, correlation):
    """Variance of the fluxes that is due to the errors of the subtracted backgrounds."""
    n = error.size
    amplitude = np.zeros(sums.size)
    amplitude[:n] = sums[:n] * np.where(np.isfinite(error), error, 0.0)

    def row_covariance(members):
        here = amplitude[members]
        outer = here[:, :, None] * here[:, None, :]
        return outer if correlation is None else outer * correlation(members)

    return solution.propagated(row_covariance)[:n]


def _centroid_terms(matrix, rows, weight, values, level, joint, solution, failed):
    """Gradient (n, 2) and curvature (n, 2, 2) of the log-likelihood for a shift of each source.

    The derivative images D with the fitted templates T projected out are ``D' = D - D W T^T (T W T^T)^-1 T``. To first
    order the residual of a source off by ``shift`` is ``flux D' @ shift``.
    """
    if not matrix.templates.derivatives:
        raise PhotometryError("centroid: the templates have no derivatives; make them with derivatives=True.")
    n = matrix.templates.n
    planes = [matrix.plane(name) for name in ("dx", "dy")]
    weighted = [plane * weight if matrix.is_dense else _scaled(plane, weight) for plane in planes]
    cross = [plane @ rows.T for plane in weighted]
    flux = np.where(failed, 0.0, joint[:n])
    gradient = np.empty((n, 2))
    for a in range(2):
        gradient[:, a] = weighted[a] @ values - cross[a] @ joint
        if level is not None:
            gradient[:, a] -= level * weighted[a].sum(axis=1)
    curvature = -solution.projected([_padded(terms, joint.size) for terms in cross])[:n]
    for a, b in ((0, 0), (0, 1), (1, 1)):
        curvature[:, a, b] += (weighted[a] * planes[b]).sum(axis=1)
    curvature[:, 1, 0] = curvature[:, 0, 1]
    return gradient * flux[:, None], curvature * (flux**2)[:, None, None]


def _padded(cross, size):
    """A square matrix from (n, size) rows; the rows of a jointly fitted background are empty."""
    if cross.shape[0] == size:
        return cross
    if isinstance(cross, np.ndarray):
        return np.vstack([cross, np.zeros((size - cross.shape[0], size))])
    square = cross.copy()
    square.resize(size, size)
    return square
