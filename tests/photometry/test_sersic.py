"""Sérsic templates against GalSim, which draws them with code of its own."""

from itertools import pairwise

import numpy as np
import pytest

from glue_spherex.model.source import Sersic
from glue_spherex.photometry.errors import PhotometryError
from glue_spherex.photometry.sersic import TRUNCATION, enclosed_radius, sersic_b, truncation_radius
from glue_spherex.photometry.templates import sersic_template

COMPONENTS = ((0.75, 0.36), (0.25, 0.80))  # of the fixture gaussian_psf: fraction of the flux, sigma in pixels

SQUARE = np.diag([-6.2, 6.2]) / 3600
ANGLE = np.radians(37.0)
ROTATION = np.array([[np.cos(ANGLE), -np.sin(ANGLE)], [np.sin(ANGLE), np.cos(ANGLE)]])
ROTATED = ROTATION @ np.diag([6.2, 6.2]) / 3600
ANISOTROPIC = ROTATION @ np.array([[-6.4, 0.3], [0.0, 5.9]]) / 3600

SHAPES = [
    (Sersic(0.5, 3.0, 0.45, -179.5), SQUARE),
    (Sersic(0.6, 1.0, 0.7, 10.0), SQUARE),
    (Sersic(1.0, 8.0, 0.6, -20.0), ROTATED),
    (Sersic(1.0, 10.0, 0.1, 45.0), SQUARE),
    (Sersic(1.7, 9.0, 0.35, 25.0), ANISOTROPIC),
    (Sersic(2.5, 20.0, 0.3, 144.0), ANISOTROPIC),
    (Sersic(4.0, 3.0, 0.1, -117.0), ROTATED),
    (Sersic(4.0, 20.0, 0.9, 300.0), SQUARE),
    (Sersic(6.0, 1.0, 0.9, 165.0), ROTATED),
    (Sersic(6.0, 20.0, 0.2, 70.0), ANISOTROPIC),
]


def galsim_template(profile, x, y, cd, side, extent):
    """The template on an image (side, side) as GalSim draws it."""
    galsim = pytest.importorskip("galsim")
    params = galsim.GSParams(folding_threshold=2e-3, maxk_threshold=1e-3, maximum_fft_size=8192)
    trunc = truncation_radius(profile.n) if extent == "tractor" and profile.n > 0.5 else 0.0
    galaxy = galsim.Sersic(profile.n, half_light_radius=1.0, trunc=trunc, flux_untruncated=True, gsparams=params)
    angle = np.radians(profile.position_angle)
    axes = np.array([[np.sin(angle), np.cos(angle)], [np.cos(angle), -np.sin(angle)]]).T
    axes = np.linalg.inv(cd * 3600) @ axes @ np.diag([profile.r_eff, profile.r_eff * profile.axis_ratio])
    galaxy = galaxy.transform(*axes.ravel()).withFlux(1.0)
    psf = galsim.Sum([galsim.Gaussian(sigma=sigma, flux=part, gsparams=params) for part, sigma in COMPONENTS])
    middle = (side - 1) / 2
    image = galsim.Convolve([galaxy, psf], gsparams=params).drawImage(
        nx=side, ny=side, scale=1.0, offset=(x - middle, y - middle), dtype=float
    )
    return image.array


@pytest.mark.parametrize("extent", ["tractor", "infinite"])
@pytest.mark.parametrize(("profile", "cd"), SHAPES, ids=[f"n{p.n:g}-r{p.r_eff:g}-q{p.axis_ratio:g}" for p, _ in SHAPES])
def test_templates_are_those_of_galsim(gaussian_psf, profile, cd, extent):
    side, x, y = 41, 20.31, 19.64
    patches = sersic_template(gaussian_psf(), profile, x, y, cd, half_width=24, extent=extent)
    drawn = patches.values[0, -patches.y0[0] :, -patches.x0[0] :][:side, :side]
    true = galsim_template(profile, x, y, cd, side, extent)
    assert (drawn * true).sum() / (drawn**2).sum() == pytest.approx(1, abs=5e-4)
    assert np.abs(drawn - true).max() < 1e-3 * true.max()


def test_effective_psf_has_the_pixel_already(gaussian_psf):
    profile = Sersic(1.0, 6.0, 0.5, 30.0)
    optical, effective = (
        sersic_template(gaussian_psf(kind), profile, 12.3, 12.2, ROTATED, half_width=12).values
        for kind in ("optical", "effective")
    )
    np.testing.assert_allclose(optical, effective, atol=2e-5 * optical.max())


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0, 6.0])
def test_truncated_profiles_have_unit_flux_on_their_patch(gaussian_psf, n):
    patch = sersic_template(gaussian_psf(), Sersic(n, 20.0, 0.8, 10.0), 5.2, 7.4, SQUARE).values
    assert patch.sum() == pytest.approx(1, abs=2e-4)


def test_derivatives_are_those_of_the_template(gaussian_psf):
    psf, profile, step = gaussian_psf(), Sersic(2.0, 5.0, 0.4, 60.0), 1e-4
    patches = sersic_template(psf, profile, 10.2, 9.7, ROTATED, half_width=10, derivatives=True)

    def moved(dx, dy):
        return sersic_template(psf, profile, 10.2 + dx, 9.7 + dy, ROTATED, half_width=10).values

    np.testing.assert_allclose(patches.dx, (moved(step, 0) - moved(-step, 0)) / (2 * step), atol=1e-6)
    np.testing.assert_allclose(patches.dy, (moved(0, step) - moved(0, -step)) / (2 * step), atol=1e-6)


def test_position_angle_is_east_of_north(gaussian_psf):
    """With East to the left, a position angle of 45 degrees points to the upper left."""
    patch = sersic_template(gaussian_psf(), Sersic(1.0, 15.0, 0.2, 45.0), 10, 10, SQUARE, half_width=10).values[0]
    y, x = np.mgrid[-10:11, -10:11]
    assert (patch * x * y).sum() < -0.5


def test_truncation_radius():
    for n, radius in TRUNCATION:
        assert truncation_radius(n) == pytest.approx(radius)
    assert 3.70 < truncation_radius(0.6) < np.inf
    assert 5.18 < truncation_radius(2.2) < 5.81


def test_sersic_constants():
    """Ciotti & Bertin (1999), eq. 18, and the definition of the half-light radius."""
    for n in (1.0, 2.5, 4.0, 6.0):
        series = 2 * n - 1 / 3 + 4 / (405 * n) + 46 / (25515 * n**2)
        assert sersic_b(n) == pytest.approx(series, abs=1e-4)
        assert enclosed_radius(n, 0.5) == pytest.approx(1)


@pytest.mark.parametrize("cd", [np.zeros((2, 2)), np.full((2, 2), np.nan), np.eye(3)])
def test_bad_cd_is_refused(gaussian_psf, cd):
    with pytest.raises(PhotometryError, match="a finite, invertible 2×2 matrix is needed"):
        sersic_template(gaussian_psf(), Sersic(1.0, 5.0), 1, 1, cd)


def test_unknown_extent_is_refused(gaussian_psf):
    with pytest.raises(PhotometryError, match="extent is 'huge'; allowed are tractor, infinite"):
        sersic_template(gaussian_psf(), Sersic(1.0, 5.0), 1, 1, SQUARE, extent="huge")


@pytest.mark.parametrize("n", [1.0, 4.0, 6.0])
@pytest.mark.parametrize("k", [0.0012, 0.01, 0.1, 1.0, 5.0])
def test_transform_of_the_profile_against_quadrature(n, k):
    """In the variable t = b r^(1/n) the flux within r is an incomplete gamma function, and the integrand smooth."""
    from scipy.integrate import quad
    from scipy.special import gamma, gammaincinv, j0

    from glue_spherex.photometry.sersic import _profile_transform

    b = gammaincinv(2 * n, 0.5)

    def integrand(t):
        return np.exp(-t) * t ** (2 * n - 1) * j0(k * (t / b) ** n) / gamma(2 * n)

    edges = np.linspace(0, 60, 121)
    exact = sum(quad(integrand, low, high, limit=2000)[0] for low, high in pairwise(edges))
    tolerance = 5e-4 if k < 0.01 else 2e-5
    assert _profile_transform(n, "infinite", np.array([k**2]))[0] == pytest.approx(exact, abs=tolerance)
