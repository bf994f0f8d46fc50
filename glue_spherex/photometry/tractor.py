"""The real Tractor as the engine of the fit, for those who have it.

The Tractor (Lang, Hogg & Schlegel 2016, AJ 151, 36; https://github.com/dstndstn/tractor) is not on the Python package
index: the projects called ``tractor`` and ``astrometry`` there are others. It is imported only when it is asked for,
and is given templates at the right sub-pixel phase: for points the exact-phase, pixel-integrated patches of
`glue_spherex.photometry.templates`, and for galaxies its own profiles, convolved on the grid of the oversampled PSF and
summed over the pixels. (Its stock oversampled PSF neither integrates over the pixel nor rescales.)
"""

from dataclasses import replace
from importlib import import_module

import numpy as np

from .errors import PhotometryError
from .fit_input import checked_images, checked_positions
from .forced import NO_POWER, fit_templates
from .sersic import enclosed_radius
from .templates import Patches, Templates, point_templates, sersic_template

_HOMEPAGE = "https://github.com/dstndstn/tractor"
_PROFILE_RADIUS = 8.5  # in r_eff: the profiles of The Tractor end inside
_LARGEST_HALF_WIDTH = 64


def tractor_available():
    """Whether The Tractor can be used.

    Returns
    -------
    available : bool
    reason : str
        Empty, or a sentence that says what is missing.
    """
    for module, attribute, sentence in (
        ("tractor", None, f"The Tractor is not installed; it is built from {_HOMEPAGE}."),
        (
            "tractor.engine",
            "Tractor",
            "The installed package 'tractor' is not The Tractor of Lang & Hogg but another project of that name (it "
            f"has no tractor.engine.Tractor); The Tractor is built from {_HOMEPAGE}.",
        ),
        (
            "tractor._mp_fourier",
            None,
            "The Tractor is installed without its compiled part tractor._mp_fourier, and would lose the sub-pixel "
            "position of galaxies without saying so; build its extensions.",
        ),
        (
            "astrometry.util.miscutils",
            "get_overlapping_region",
            "The Tractor needs the Python modules of astrometry.net (astrometry.util.miscutils), which are missing; "
            "the package 'astrometry' of the Python package index is another project.",
        ),
    ):
        try:
            found = import_module(module)
        except ImportError as error:
            return False, f"{sentence} ({error})"
        if attribute is not None and not hasattr(found, attribute):
            return False, sentence
    return True, ""


def require_tractor():
    """Raise a `PhotometryError` with the reason if The Tractor cannot be used."""
    available, reason = tractor_available()
    if not available:
        raise PhotometryError(f'engine="tractor": {reason}')


def fit_sources_tractor(data, variance, usable, psf, x, y, profiles, cd, extent="tractor"):
    """Fluxes by The Tractor's forced photometry.

    Parameters are those of `glue_spherex.photometry.fit_sources`; `psf` may also be a sequence with one for each
    source, and `cd` of shape (n, 2, 2).

    Returns
    -------
    Fit
        `flux` and `flux_err_tractor` as The Tractor gives them. It does not compute marginal errors: `flux_err`, and
        the sources that cannot be measured, are those of the least squares with its templates.

    Raises
    ------
    PhotometryError
        If The Tractor cannot be used, for bad input, and for ``extent="infinite"``, which it does not have.
    """
    require_tractor()
    data, variance, usable = checked_images(data, variance, usable)
    x, y, profiles = checked_positions(x, y, profiles, extent)
    if extent != "tractor":
        raise PhotometryError(f'extent is {extent!r}; the profiles of engine="tractor" are those of extent "tractor".')
    templates = tractor_templates(psf, x, y, profiles, cd)
    fit = fit_templates(templates, data, variance, usable)
    return with_tractor_fluxes(fit, templates, data, variance, usable)


def with_tractor_fluxes(fit, templates, data, variance, usable):
    """A fit with its fluxes, and the errors that hold neighbours fixed, replaced by those of The Tractor.

    Parameters
    ----------
    fit : Fit
        Of the same templates and pixels.
    templates, data, variance, usable
        As in `tractor_fluxes`.

    Returns
    -------
    Fit
    """
    flux, error = tractor_fluxes(templates, data, variance, usable)
    return replace(
        fit,
        flux=np.where(fit.failed, np.nan, flux),
        flux_err_tractor=np.where(fit.failed, np.inf, error),
        _joint_flux=flux,
    )


def tractor_templates(psf, x, y, profiles, cd, derivatives=False):
    """Templates as `glue_spherex.photometry.templates.source_templates` makes them, the galaxies drawn by The Tractor.

    The derivatives of galaxies are those of our own templates.
    """
    psfs = [psf] * len(x) if hasattr(psf, "kernel") else list(psf)
    blocks = []
    for k, (one, profile) in enumerate(zip(psfs, profiles, strict=True)):
        if profile is None or profile.is_point:
            patches = point_templates(one, x[k], y[k], derivatives=derivatives)
        else:
            one_cd = np.asarray(cd, dtype=float)
            one_cd = one_cd[k] if one_cd.ndim == 3 else one_cd
            patches = _galaxy_patch(one, profile, x[k], y[k], one_cd)
            if derivatives:
                half = patches.values.shape[-1] // 2
                own = sersic_template(one, profile, x[k], y[k], one_cd, half, derivatives=True)
                patches = replace(patches, dx=own.dx, dy=own.dy)
        blocks.append((np.array([k]), patches))
    return Templates(len(x), tuple(blocks))


def tractor_fluxes(templates, data, variance, usable):
    """Fluxes of The Tractor's optimiser and its errors, ``1 / sqrt`` of the diagonal of the normal matrix.

    Parameters
    ----------
    templates : Templates
        Of n sources.
    data, variance : ndarray, shape (ny, nx), µJy per pixel, µJy²
        The image, its background subtracted.
    usable : bool ndarray, shape (ny, nx)

    Returns
    -------
    flux, error : ndarray, shape (n,), µJy
        0 and infinite for a source without a usable pixel.
    """
    from tractor.basics import Flux, LinearPhotoCal, PixPos
    from tractor.engine import Catalog, Tractor
    from tractor.image import Image

    with np.errstate(invalid="ignore", divide="ignore"):
        good = usable & np.isfinite(data) & (variance > 0) & np.isfinite(1 / variance)
        inverse_error = np.where(good, 1 / np.sqrt(variance), 0.0)
    drawn = _drawn_source()
    sources, numbers = [], []
    for members, patches in templates.blocks:
        for number, x0, y0, values in zip(members, patches.x0, patches.y0, patches.values, strict=True):
            patch = _clipped(int(x0), int(y0), values, good)
            if patch is not None:
                sources.append(drawn(PixPos(float(x0), float(y0)), Flux(1.0)))
                sources[-1].unit_flux = patch
                numbers.append(number)
    flux, error = np.zeros(templates.n), np.full(templates.n, np.inf)
    if sources:
        image = Image(np.where(good, data, 0.0), inverr=inverse_error, psf=_no_psf(), photocal=LinearPhotoCal(1.0))
        engine = Tractor([image], Catalog(*sources))
        engine.freezeParam("images")
        for source in sources:
            source.freezeAllBut("brightness")
        result = engine.optimize_forced_photometry(variance=True, shared_params=False, wantims=False, sky=False)
        flux[numbers] = [source.brightness.getValue() for source in sources]
        error[numbers] = 1 / np.sqrt(result.IV)
    return flux, error


def _drawn_source():
    """A class of sources for The Tractor whose patches are known."""
    from tractor.basics import PointSource
    from tractor.patch import Patch

    class Drawn(PointSource):
        unit_flux = None

        def getUnitFluxModelPatch(self, *_, **__):  # The Tractor's name
            x0, y0, values = self.unit_flux
            return Patch(x0, y0, values.copy())

    return Drawn


def _clipped(x0, y0, values, good):
    """The part of a patch on the image: x0, y0 and values; None where it covers no usable pixel."""
    side = values.shape[0]
    rows, columns = slice(max(y0, 0), max(y0 + side, 0)), slice(max(x0, 0), max(x0 + side, 0))
    under = good[rows, columns]
    inside = values[rows.start - y0 :, columns.start - x0 :][: under.shape[0], : under.shape[1]]
    if not ((inside * under) ** 2).sum() > NO_POWER * (values**2).sum():
        return None
    return columns.start, rows.start, inside


def _no_psf():
    """The Tractor wants a PSF; the sources carry their own."""
    from tractor.psf import PixelizedPSF

    return PixelizedPSF(np.ones((1, 1)))


def _galaxy_patch(psf, profile, x, y, cd):
    """The Tractor's profile, convolved on the grid of the oversampled PSF and brought to the pixels.

    The position angle changes sign: with a real CD matrix the major axis of ``GalaxyShape(re, ab, phi)`` points along
    (sin phi, -cos phi).
    """
    from tractor.basics import Flux, PixPos
    from tractor.galaxy import GalaxyShape
    from tractor.image import Image
    from tractor.patch import ModelMask
    from tractor.psf import PixelizedPSF
    from tractor.sersic import SersicGalaxy, SersicIndex
    from tractor.wcs import NullWCS

    s, optical = psf.oversampling, psf.kind == "optical"
    scale = 3600 * np.linalg.svd(cd, compute_uv=False).min()  # arcsec per pixel, the smaller one
    radius = min(_PROFILE_RADIUS, enclosed_radius(profile.n, 1 - 1e-6)) * profile.r_eff / scale
    half = int(min(np.ceil(radius + psf.half_width_px + 0.5), _LARGEST_HALF_WIDTH))
    x0, y0 = int(np.floor(x + 0.5)) - half, int(np.floor(y + 0.5)) - half
    side = 2 * half + 1
    fine = side * s if optical else (side - 1) * s + 1
    shift = (s - 1) / 2 if optical else 0.0  # the centre of the first pixel on the fine grid

    class FineWCS(NullWCS):
        def pixscale_at(self, *_):
            return self.pixscale

    wcs = FineWCS(pixscale=scale / s)
    wcs.cd, wcs.cd_inverse = cd / s, np.linalg.inv(cd / s)
    image = Image(
        data=np.zeros((fine, fine)),
        inverr=np.ones((fine, fine)),
        psf=PixelizedPSF(psf.kernel),
        wcs=wcs,
    )
    galaxy = SersicGalaxy(
        PixPos((x - x0) * s + shift, (y - y0) * s + shift),
        Flux(1.0),
        GalaxyShape(profile.r_eff, profile.axis_ratio, -profile.position_angle),
        SersicIndex(profile.n),
    )
    patch = galaxy.getUnitFluxModelPatch(image, minval=0.0, modelMask=ModelMask(0, 0, fine, fine)).patch
    patch = np.asarray(patch, dtype=float)
    values = patch.reshape(side, s, side, s).sum(axis=(1, 3)) if optical else patch[::s, ::s] * s**2
    return Patches(values[None], np.array([x0]), np.array([y0]))
