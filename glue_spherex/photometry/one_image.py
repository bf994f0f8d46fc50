"""All sources on one image: positions, templates, fit, quality."""

from dataclasses import dataclass

import numpy as np

from ..model import sky_positions
from ..model.detectors import PIXEL_SCALE_ARCSEC
from .background import LARGEST_BOX_PX
from .canvas import canvases
from .canvas_fit import fit_canvas
from .centroid import sky_normal_equations
from .one_thread import one_thread
from .quality import quality
from .settings import Settings
from .templates import source_templates


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


@one_thread
def measure_image(image, sources, settings=None):
    """Measure sources on one image.

    Parameters
    ----------
    image : SpectralImage
    sources : sequence of Source, length n
        All of them are fitted together where they overlap. Sources beside the image whose light may reach into it are
        fitted along, without a row of their own; so are companions if no target has a row.
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
        reach = int(max(LARGEST_BOX_PX // 2, settings.background_box // 2, where.reach[near].max()))
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
    if not any(here and not source.companion for here, source in zip(measured, sources)):
        measured = np.zeros_like(measured)
    reach = np.array([_template_reach(source.shape) for source in sources])
    return _Positions(ra, dec, x, y, x_det, y_det, wavelength, bandwidth, measured, reach)


def _template_reach(shape):
    """Pixels from a source's centre that its template may touch; the PSF's stamp is 10.1 px wide at most."""
    return 7 if shape is None else 7 + int(np.ceil(min(8.2 * shape.r_eff / PIXEL_SCALE_ARCSEC, 64)))


def _touches(shape, where):
    ny, nx = shape
    beyond_x, beyond_y = np.abs(where.x - (nx - 1) / 2) - nx / 2, np.abs(where.y - (ny - 1) / 2) - ny / 2
    return np.maximum(beyond_x, beyond_y) < where.reach


def _measure_canvas(image, canvas, numbers, sources, where, settings):
    """Rows of the sources that are measured on a canvas: a dict of columns, and their numbers."""
    shapes = [sources[number].shape for number in numbers]
    cd = image.local_cd(where.x[numbers], where.y[numbers])
    templates = _templates(image, canvas, numbers, where, shapes, cd, settings)
    result = fit_canvas(canvas, templates, shapes, settings)
    columns = _fit_columns(canvas, result, settings)
    columns["centroid"] = sky_normal_equations(result.fit.centroid_curvature, result.fit.centroid_gradient, cd)
    member = canvas.is_member
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


def _fit_columns(canvas, result, settings):
    """The columns that come from the fit, for every source of a canvas."""
    fit, background = result.fit, result.background
    level = background.level
    under = level * canvas.ujy[canvas.nearest]
    judged = quality(
        result.data_ujy,
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
        "flux_bkg_err": background.error,
        "n_bkg_pixels": background.n_pixels,
        "local_bkg_flg": result.is_local,
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
