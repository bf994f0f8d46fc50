"""Forced photometry: weighted linear least squares for the fluxes of sources at known places.

The model of an image is ``data = sum_k flux_k template_k + noise`` on its usable pixels, with inverse-variance weights:
``(T W T^T) flux = T W data``. That is the estimator of The Tractor's forced photometry (Lang, Hogg & Schlegel 2016, AJ
151, 36), without its approximation of the errors: `Fit.flux_err` is marginalised over the sources fitted together,
`Fit.flux_err_tractor` is the Tractor's ``1 / sqrt(diag(T W T^T))``.
"""

import numpy as np

from .centroid import shift_terms
from .design import design
from .errors import PhotometryError
from .fit import Fit
from .fit_input import checked_images, checked_positions
from .groups import solve_groups
from .joint_background import background_rows
from .templates import source_templates

#: A source is measured if at least this fraction of its template's power (the sum of squares) is on usable pixels.
#: Below, its error is more than 100 times that on a clean image and rests on the PSF's outermost wings.
SMALLEST_POWER = 1e-4
#: Below, a source takes no part in the fit of the others.
NO_POWER = 1e-8

JOINT_BACKGROUNDS = ("none", "constant", "plane")


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
    data, variance, usable = checked_images(data, variance, usable)
    x, y, profiles = checked_positions(x, y, profiles, extent)
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
    values, weight = _weighted(matrix, data, variance, usable)
    rows, levels = matrix.rows, None
    if joint_background != "none":
        rows, levels = background_rows(matrix, joint_background)
    weighted = matrix.weighted(rows, weight)
    normal = weighted @ rows.T
    right, sums = weighted @ values, np.asarray(weighted.sum(axis=1))
    n = matrix.templates.n
    level, no_level, subtracted = np.zeros(n), False, None
    if background is not None and levels is None:
        no_level = ~np.isfinite(background)
        level = subtracted = np.where(no_level, 0.0, background)
        right[:n] -= level * sums[:n]

    usable_power, masked = _seen(matrix, weight)
    information = normal.diagonal()
    active = information > 0
    active[:n] &= usable_power > NO_POWER
    solution = solve_groups(normal, active)
    joint = solution.solve(right)

    level_err, background_variance = np.zeros(n), np.zeros(n)
    if levels is not None:
        level, level_err = levels(joint, solution)
    elif background_err is not None:
        level_err = np.where(no_level, np.inf, background_err)
        background_variance = _background_variance(solution, sums, level_err, background_correlation)
    failed = solution.failed[:n] | (usable_power < SMALLEST_POWER) | no_level
    pixel_variance = solution.variance()[:n]
    gradient = curvature = None
    if centroid:
        gradient, curvature = shift_terms(matrix, rows, weight, values, subtracted, joint, solution, failed)
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


def _weighted(matrix, data, variance, usable):
    """Pixel values and weights on the columns; both zero where a pixel is not used."""
    values, variance, usable = matrix.take(data), matrix.take(variance), matrix.take(usable)
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = 1 / variance
        good = usable & (weight > 0) & np.isfinite(weight) & np.isfinite(values)
    return np.where(good, values, 0.0), np.where(good, weight, 0.0)


def _seen(matrix, weight):
    """How much of each template is on pixels that are used: of its power; and which part of its flux is not."""
    total, power = matrix.templates.totals
    seen = (weight > 0).astype(float)
    masked = np.minimum(np.maximum(1 - (matrix.rows @ seen) / total, 0), 1)
    return _squared(matrix.rows) @ seen / power, masked


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
