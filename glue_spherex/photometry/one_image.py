"""All sources on one image: background, templates, fit, quality.

A first guess of the fluxes, with the VARIANCE plane as weights, serves two purposes: the sources are subtracted before
the background is measured, so that it does not hold their wings; and the variance of a pixel is what the model predicts
(`expected_variance`), so that a pixel that happens to be faint does not count for more.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..model import BACKGROUND_MASK, sky_positions
from .background import local_background
from .canvas import canvases
from .centroid import sky_normal_equations
from .design import design
from .forced import fit_design
from .quality import pixels_within, quality
from .settings import Settings
from .templates import source_templates

#: Pixels this close to a source are not used for any background, px. Extended sources: half-light radius added.
CORE_PX = 2.5
#: Half the side of the largest box that a background may grow to, px.
BACKGROUND_REACH = 20
#: Extended sources fill their own background box, so that background and flux converge over several passes: at most
#: so many, until no flux changes by more than this part of its error.
MOST_PASSES, CONVERGED_SIGMA = 8, 0.03
#: How far the observed value of a pixel may move its expected variance, in units of its sigma.
LARGEST_CORRECTION_SIGMA = 3.0


@dataclass(frozen=True)
class _Positions:
    """Where the sources are on an image, shape (n,) each."""

    ra: np.ndarray
    dec: np.ndarray
    x: np.ndarray
    y: np.ndarray
    x_det: np.ndarray
    y_det: np.ndarray
    wavelength: np.ndarray
    bandwidth: np.ndarray
    measured: np.ndarray
    reach: np.ndarray


def measure_image(image, sources, settings=None):
    """Measure sources on one image.

    Parameters
    ----------
    image : SpectralImage
    sources : sequence of Source, length n
        All of them are fitted together where they overlap. Sources beside the image whose light may reach into it are
        fitted along, without a row of their own.
    settings : Settings, optional

    Returns
    -------
    dict of str to ndarray, shape (m,)
        The columns of the spectrum table (without ``label``), a row for each source on the image whose wavelength is
        asked for; ``source_id`` is the place in `sources`. And ``centroid``, shape (m, 5): see
        `glue_spherex.photometry.centroid`.

    Raises
    ------
    ImageFileError
        If the image cannot be read.
    """
    settings = settings or Settings()
    where = _positions(image, sources, settings)
    near = np.flatnonzero(_touches(image.record.shape, where))
    parts = []
    if where.measured[near].any():
        reach = int(max(BACKGROUND_REACH, settings.background_box // 2, where.reach[near].max()))
        for canvas in canvases(image, where.x[near], where.y[near], where.measured[near], reach):
            parts.append(_measure_canvas(image, canvas, near[canvas.sources], sources, where, settings))
    return _rows(image, where, parts)


def _positions(image, sources, settings):
    ra, dec = sky_positions(sources, image.record.mjd)
    x, y = image.to_pixels(ra, dec)
    ny, nx = image.record.shape
    inside = (x >= -0.5) & (x < nx - 0.5) & (y >= -0.5) & (y < ny - 0.5)
    x_det, y_det = image.to_detector(x, y)
    wavelength, bandwidth = image.wavelength(x_det, y_det)
    measured = inside if settings.wavelength is None else inside & settings.in_wavelength(wavelength)
    reach = np.array([_template_reach(source.shape) for source in sources])
    return _Positions(ra, dec, x, y, x_det, y_det, wavelength, bandwidth, measured, reach)


def _template_reach(shape):
    """Pixels from a source's centre that its template may touch; the PSF's stamp is 10.1 px wide at most."""
    return 7 if shape is None else 7 + int(np.ceil(min(8.2 * shape.r_eff / 6.15, 64)))


def _touches(shape, where):
    ny, nx = shape
    beyond_x, beyond_y = np.abs(where.x - (nx - 1) / 2) - nx / 2, np.abs(where.y - (ny - 1) / 2) - ny / 2
    return np.maximum(beyond_x, beyond_y) < where.reach


def _measure_canvas(image, canvas, numbers, sources, where, settings):
    """Rows of the sources that are measured on a canvas: a dict of columns, and their numbers."""
    shapes = [sources[number].shape for number in numbers]
    cd = image.local_cd(where.x[numbers], where.y[numbers])
    templates = _templates(image, canvas, numbers, where, shapes, cd, settings)
    fit, background, data_ujy = _fit(canvas, templates, shapes, settings)
    member = canvas.is_member
    columns = _fit_columns(canvas, fit, background, data_ujy, settings)
    terms = sky_normal_equations(fit.centroid_curvature, fit.centroid_gradient, cd)
    columns["centroid"] = terms
    return {name: values[member] for name, values in columns.items()}, numbers[member]


def _templates(image, canvas, numbers, where, shapes, cd, settings):
    """Templates of all sources of a canvas, with the PSFs and the engine that are asked for."""
    psfs = _psfs(image, where.x_det[numbers], where.y_det[numbers], settings.psf_zones)
    shift_x, shift_y = settings.psf_shift
    place = psfs, canvas.x + shift_x, canvas.y + shift_y, shapes, cd
    if settings.engine == "tractor":
        from .tractor import tractor_templates

        return tractor_templates(*place, derivatives=True)
    return source_templates(*place, settings.extent, derivatives=True)


def _psfs(image, x_det, y_det, choice):
    """The PSF of each source; sources in the same zone share one."""
    if choice == "interpolated":
        return [image.psf_at(x, y) for x, y in zip(x_det, y_det)]
    zones = image.psf_zones(x_det, y_det).tolist()
    by_zone = {zone: image.psf(zone) for zone in set(zones)}
    return [by_zone[zone] for zone in zones]


def _fit(canvas, templates, shapes, settings):
    """The fit, the local background under it, and the data that were fitted (µJy per pixel)."""
    image = canvas.image if settings.background == "local" or canvas.zodi is None else canvas.image - canvas.zodi
    matrix = design(templates, image.shape)
    data, weights = image * canvas.ujy, canvas.variance_ujy
    factor = canvas.ujy[canvas.nearest]
    quiet = canvas.usable & ((canvas.flags & BACKGROUND_MASK) == 0) & ~_cores(canvas, shapes)
    extended = any(shape is not None for shape in shapes)

    def once(sky, weights, centroid=False):
        background = local_background(sky, quiet, canvas.x, canvas.y, box=settings.background_box)
        if settings.background_fit != "none":
            levels = _spread_levels(matrix, background.level)
            under = data - levels * canvas.ujy
            kind = settings.background_fit
            fit = fit_design(matrix, under, weights, canvas.usable, joint_background=kind, centroid=centroid)
            return fit, replace(background, level=levels[canvas.nearest])
        fit = fit_design(
            matrix,
            data,
            weights,
            canvas.usable,
            background=background.level * factor,
            background_err=background.error * factor,
            background_correlation=background.correlation,
            centroid=centroid,
        )
        return fit, background

    level = _first_level(canvas, image, quiet, settings)
    sources = fit_design(matrix, data, weights, canvas.usable, background=level * factor).model / canvas.ujy
    if settings.weights == "model":
        expected = sources + _spread_levels(matrix, level)
        weights = expected_variance(image, canvas.variance, canvas.usable, expected) * canvas.ujy**2
    previous = np.inf
    for _ in range(MOST_PASSES if extended else 0):
        fit, _ = once(image - sources, weights)
        sources = fit.model / canvas.ujy
        with np.errstate(invalid="ignore"):
            if not (np.abs(fit.flux - previous) > CONVERGED_SIGMA * fit.flux_err).any():
                break
        previous = fit.flux
    fit, background = once(image - sources, weights, centroid=True)
    if settings.engine == "tractor":
        from .tractor import with_tractor_fluxes

        under = data - _spread_levels(matrix, background.level) * canvas.ujy
        fit = with_tractor_fluxes(fit, templates, under, weights, canvas.usable)
    return fit, background, data


def _first_level(canvas, image, quiet, settings):
    """Background for the first guess of the fluxes, shape (n,): on a small file one level will do."""
    if canvas.is_whole_file and np.count_nonzero(quiet) > 100:
        return np.full(len(canvas.x), _median(image[quiet]))
    return local_background(image, quiet, canvas.x, canvas.y, box=settings.background_box).level


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
    radius = np.array([CORE_PX if shape is None else CORE_PX + shape.r_eff / 6.15 for shape in shapes])
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


def _fit_columns(canvas, fit, background, data_ujy, settings):
    """The columns that come from the fit, for every source of a canvas."""
    factor = canvas.ujy[canvas.nearest]
    quiet_level = background.level * factor
    level, level_err = background.level, background.error
    under = quiet_level
    if settings.background_fit != "none":
        level, level_err = level + fit.background / factor, fit.background_err / factor
        under = quiet_level + fit.background
    judged = quality(
        data_ujy,
        fit.model,
        canvas.variance_ujy,
        canvas.usable,
        canvas.flags,
        canvas.x,
        canvas.y,
        background=np.where(np.isfinite(under), under, 0.0),
        failed=fit.failed,
    )
    if settings.background == "zodi" and canvas.zodi is not None:
        level = level + canvas.zodi[canvas.nearest]
    return {
        "flux": fit.flux,
        "flux_err": fit.flux_err,
        "flux_err_tractor": fit.flux_err_tractor,
        "flux_bkg": level,
        "flux_bkg_err": level_err,
        "n_bkg_pixels": background.n_pixels,
        "local_bkg_flg": np.isfinite(level),
        "flags": judged.flags,
        "fit_ql": judged.fit_ql,
        "n_bad_pixels": judged.n_bad_pixels,
        "masked_fraction": fit.masked_fraction,
    }


def _rows(image, where, parts):
    """The columns of the spectrum table, in the order of the sources."""
    record = image.record
    number = np.concatenate([numbers for _, numbers in parts]) if parts else np.zeros(0, dtype=int)
    order = np.argsort(number)
    number = number[order]
    fitted = _no_rows()
    if parts:
        fitted = {name: np.concatenate([columns[name] for columns, _ in parts])[order] for name in fitted}
    n = len(number)
    return fitted | {
        "source_id": number,
        "ra": where.ra[number],
        "dec": where.dec[number],
        "x_image": where.x_det[number],
        "y_image": where.y_det[number],
        "wavelength": where.wavelength[number],
        "lambda_width": where.bandwidth[number],
        "mjd": np.full(n, record.mjd),
        "deep_flg": np.full(n, record.deep),
        "det_id": np.full(n, record.detector),
        "lvf_id": np.full(n, record.exposure_id),
        "obs_publisher_did": np.full(n, record.obs_publisher_did),
        "data_collection": np.full(n, record.collection),
    }


def _no_rows():
    names = "flux flux_err flux_err_tractor flux_bkg flux_bkg_err n_bkg_pixels local_bkg_flg flags fit_ql n_bad_pixels"
    return {name: np.zeros(0) for name in (*names.split(), "masked_fraction")} | {"centroid": np.zeros((0, 5))}
