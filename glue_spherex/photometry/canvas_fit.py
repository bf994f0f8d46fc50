"""Fluxes and background of the sources on a canvas, fitted so that each knows of the other.

A first guess of the fluxes, with the VARIANCE plane as weights, serves two purposes: the sources are subtracted before
the background is measured, so that it does not hold their wings; and the variance of a pixel is what the model predicts
(`expected_variance`), so that a pixel that happens to be faint does not count for more.

Extended sources fill their own background box. Background and flux are iterated until they agree; where they do not
(little of the galaxy is outside the box, or its core is masked), and where a box has no background pixels, a constant
is fitted together with the fluxes of the group instead.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..model import BACKGROUND_MASK
from ..model.detectors import PIXEL_SCALE_ARCSEC
from .background import Background, local_background
from .design import design
from .fit import Fit
from .forced import fit_design
from .quality import pixels_within

#: Pixels this close to a source are not used for any background, px. Extended sources: half-light radius added.
CORE_PX = 2.5
#: Background and flux of extended sources are iterated at most so often, until no flux changes by more than this part
#: of its error. An error that shrinks by a third in each pass is settled in time; with more, so strong a coupling of
#: flux and background would have to be part of the error, which it is in a joint fit.
MOST_PASSES, CONVERGED_SIGMA = 6, 0.03
#: How far the observed value of a pixel may move its expected variance, in units of its sigma.
LARGEST_CORRECTION_SIGMA = 3.0


@dataclass(frozen=True)
class CanvasFit:
    """What was fitted on a canvas.

    Attributes
    ----------
    fit : Fit
    background : Background
        Level that was subtracted under each source and its error, MJy/sr, without a starting background.
    is_local : bool ndarray, shape (n,)
        Whether it was measured in a box; otherwise it was fitted together with the fluxes.
    data_ujy : ndarray, shape (ny, nx), µJy per pixel
        What was fitted: the image without a starting background.
    """

    fit: Fit
    background: Background
    is_local: np.ndarray
    data_ujy: np.ndarray


def fit_canvas(canvas, templates, shapes, settings):
    """Fit all sources of a canvas.

    Parameters
    ----------
    canvas : Canvas
    templates : Templates
        Of its n sources, with derivatives.
    shapes : sequence, length n
        ``None`` or the `Sersic` of each source.
    settings : Settings

    Returns
    -------
    CanvasFit
    """
    problem = _problem(canvas, templates, shapes, settings)
    level = _first_level(problem)
    guess = problem.with_levels(canvas.variance_ujy, level).model / canvas.ujy
    weights = canvas.variance_ujy
    if settings.weights == "model":
        expected = guess + _spread_levels(problem.matrix, level)
        weights = expected_variance(problem.image, canvas.variance, canvas.usable, expected) * canvas.ujy**2
    if settings.background_fit != "none":
        local = problem.background(guess)
        fit, background = problem.jointly(weights, settings.background_fit, level, local)
        is_local = np.zeros(len(level), dtype=bool)
    else:
        fit, background, is_local = _locally(problem, weights, guess, level, shapes)
    if settings.engine == "tractor":
        from .tractor import with_tractor_fluxes

        under = problem.data - _spread_levels(problem.matrix, background.level) * canvas.ujy
        fit = with_tractor_fluxes(fit, templates, under, weights, canvas.usable)
    return CanvasFit(fit, background, is_local, problem.data)


@dataclass(frozen=True)
class _Problem:
    """The pixels and templates of a canvas, and the fits that can be made of them."""

    canvas: object
    matrix: object
    image: np.ndarray
    data: np.ndarray
    quiet: np.ndarray
    factor: np.ndarray
    box: int

    def background(self, sources):
        """Local backgrounds after the sources (MJy/sr) are subtracted."""
        return local_background(self.image - sources, self.quiet, self.canvas.x, self.canvas.y, box=self.box)

    def with_levels(self, weights, level, **options):
        """Fit with a known background under each source, MJy/sr."""
        known = level * self.factor
        return fit_design(self.matrix, self.data, weights, self.canvas.usable, background=known, **options)

    def locally(self, weights, sources, centroid=False):
        """Fit with the local backgrounds; the fit and the backgrounds."""
        background = self.background(sources)
        errors = {"background_err": background.error * self.factor, "background_correlation": background.correlation}
        return self.with_levels(weights, background.level, centroid=centroid, **errors), background

    def jointly(self, weights, kind, level, local):
        """Fit with a background for each group of sources; the fit, and the local backgrounds with its levels."""
        known = level[np.isfinite(level)]
        start = _median(known) if known.size else 0.0
        under = self.data - start * self.canvas.ujy
        fit = fit_design(self.matrix, under, weights, self.canvas.usable, joint_background=kind, centroid=True)
        fitted = replace(local, level=start + fit.background / self.factor, error=fit.background_err / self.factor)
        return fit, fitted


def _problem(canvas, templates, shapes, settings):
    image = canvas.image if settings.background == "local" or canvas.zodi is None else canvas.image - canvas.zodi
    quiet = canvas.usable & ((canvas.flags & BACKGROUND_MASK) == 0) & ~_cores(canvas, shapes)
    matrix = design(templates, image.shape)
    factor = canvas.ujy[canvas.nearest]
    return _Problem(canvas, matrix, image, image * canvas.ujy, quiet, factor, settings.background_box)


def _locally(problem, weights, sources, level, shapes):
    """Fit with local backgrounds, and with a joint one where they fail; also which of the sources have a local one."""
    unsettled = np.zeros(len(level), dtype=bool)
    if any(shape is not None for shape in shapes):
        sources, unsettled = _iterated(problem, weights, sources)
    fit, background = problem.locally(weights, sources, centroid=True)
    unsettled |= ~np.isfinite(background.level)
    if not unsettled.any():
        return fit, background, ~unsettled
    joint, fitted = problem.jointly(weights, "constant", level, background)
    unsettled = np.isin(fit.group, fit.group[unsettled])
    merged = _chosen(Fit, unsettled, joint, fit)
    if not unsettled.all():  # the others without the light of those that were wrong
        fit, background = problem.locally(weights, merged.model / problem.canvas.ujy, centroid=True)
        merged = _chosen(Fit, unsettled, joint, fit)
    return merged, _chosen(Background, unsettled, fitted, background), ~unsettled


def _iterated(problem, weights, sources):
    """The sources' light after several passes, MJy/sr, and which fluxes have not settled, shape (n,)."""
    previous = np.inf
    for _ in range(MOST_PASSES):
        fit, _ = problem.locally(weights, sources)
        sources = fit.model / problem.canvas.ujy
        with np.errstate(invalid="ignore"):
            unsettled = np.abs(fit.flux - previous) > CONVERGED_SIGMA * fit.flux_err
        if not unsettled.any():
            break
        previous = fit.flux
    return sources, unsettled


def _chosen(kind, mask, where_true, where_false):
    """A value of a dataclass whose arrays of n sources come from one or the other."""
    fields = {}
    for name in kind.__dataclass_fields__:
        one, other = getattr(where_true, name), getattr(where_false, name)
        if isinstance(one, np.ndarray):
            fields[name] = np.where(mask.reshape(-1, *[1] * (one.ndim - 1)), one, other)
    return replace(where_false, **fields)


def _first_level(problem):
    """Background for the first guess of the fluxes, shape (n,): on a small file one level will do."""
    if problem.canvas.is_whole_file and np.count_nonzero(problem.quiet) > 100:
        return np.full(len(problem.canvas.x), _median(problem.image[problem.quiet]))
    return problem.background(0.0).level


def _median(values):
    """`numpy.median` of finite values, in a third of its time."""
    ordered = np.sort(values)
    return (ordered[(ordered.size - 1) // 2] + ordered[ordered.size // 2]) / 2


def expected_variance(image, variance, usable, expected):
    """Variance of the pixels for the brightness that is expected instead of the one that was observed.

    The VARIANCE plane is affine in the observed rate, so a pixel that fluctuates up has a larger variance, and weights
    of 1/VARIANCE pull faint fluxes down. The slope of the plane against the image is the gain; with it the variance is
    moved to that of the expected rate.

    Parameters
    ----------
    image, variance, expected : ndarray, shape (ny, nx), MJy/sr and its square
        Observed brightness, its variance, and the brightness of the model.
    usable : ndarray of bool, shape (ny, nx)

    Returns
    -------
    ndarray, shape (ny, nx), (MJy/sr)²
        A pixel is moved by `LARGEST_CORRECTION_SIGMA` of its noise at most: what is farther off is no fluctuation but
        light that the model does not know, and its noise is real.
    """
    observed, plane = image[usable], variance[usable]
    if observed.size < 3:
        return variance
    deviation = observed - observed.mean()
    slope = max(float(deviation @ (plane - plane.mean())) / max(float(deviation @ deviation), 1e-300), 0.0)
    limit = LARGEST_CORRECTION_SIGMA * np.sqrt(plane)
    correction = np.minimum(np.maximum(expected[usable] - observed, -limit), limit)
    moved = variance.copy()
    moved[usable] = np.maximum(plane + slope * correction, 0.25 * plane)
    return moved


def _cores(canvas, shapes):
    """Pixels so close to a source that its light dominates them, shape (ny, nx)."""
    radius = np.array([CORE_PX if shape is None else CORE_PX + shape.r_eff / PIXEL_SCALE_ARCSEC for shape in shapes])
    pixel, within = pixels_within(canvas.x, canvas.y, radius, canvas.image.shape)
    near = np.zeros(canvas.image.shape, dtype=bool)
    near.reshape(-1)[pixel[within]] = True
    return near


def _spread_levels(matrix, level):
    """Background under each template, shape (ny, nx); between the sources the median of all."""
    known = np.isfinite(level)
    between = _median(level[known]) if known.any() else 0.0
    row, column = matrix.places
    drawn = known[row]
    columns = np.full(matrix.pixels.size, between)
    columns[column[drawn]] = level[row[drawn]]
    return matrix.spread(columns, between)
