"""Fluxes, errors, failures and centroids against closed-form scenes."""

import numpy as np
import pytest

from glue_spherex.model.source import Sersic
from glue_spherex.photometry import PhotometryError, fit_sources
from glue_spherex.photometry.forced import fit_templates
from glue_spherex.photometry.templates import source_templates

CD = np.diag([-6.2, 6.2]) / 3600
SHAPE = (25, 31)


@pytest.fixture(scope="module")
def psf(gaussian_psf):
    return gaussian_psf()


def fit_points(psf, data, variance, x, y, usable=None):
    usable = np.ones(data.shape, dtype=bool) if usable is None else usable
    return fit_sources(data, variance, usable, psf, x, y, [None] * len(x), CD)


def pulls(psf, gaussian_star, x, y, flux, draws=400):
    """Deviations over errors of many noisy images, and the covariance that the fit states."""
    rng = np.random.default_rng(7)
    model = sum(f * gaussian_star(*position, SHAPE) for f, position in zip(flux, zip(x, y)))
    sigma = rng.uniform(2, 6, SHAPE)
    fits = [fit_points(psf, model + rng.normal(0, sigma), sigma**2, x, y) for _ in range(draws)]
    return np.array([fit.flux - flux for fit in fits]), fits[0]


def test_noiseless_fluxes(psf, gaussian_star):
    x, y, flux = [10.3, 11.6, 20.1], [9.8, 10.4, 17.5], np.array([1000.0, 300.0, -50.0])
    model = sum(f * gaussian_star(*position, SHAPE) for f, position in zip(flux, zip(x, y)))
    fit = fit_points(psf, model, np.full(SHAPE, 4.0), x, y)
    np.testing.assert_allclose(fit.flux, flux, atol=0.05)
    np.testing.assert_allclose(fit.model, model, atol=0.05)
    assert fit.templates.shape == (3, *SHAPE)
    assert not fit.failed.any()
    np.testing.assert_allclose(fit.masked_fraction, 0, atol=1e-6)


def test_errors_are_the_scatter_of_blended_sources(psf, gaussian_star):
    x, y = [12.0, 12.5, 13.3], [11.0, 11.0, 12.1]
    deviation, fit = pulls(psf, gaussian_star, x, y, np.array([900.0, 500.0, 700.0]))
    scatter = deviation.std(axis=0)
    np.testing.assert_allclose(scatter, fit.flux_err, rtol=0.1)
    assert (np.abs(deviation.mean(axis=0)) < 4 * fit.flux_err / np.sqrt(400)).all()
    assert (fit.flux_err_tractor[:2] < 0.8 * scatter[:2]).all()
    np.testing.assert_allclose(np.cov(deviation.T), fit.covariance, atol=0.2 * fit.covariance.max())


def test_covariance_is_that_of_the_normal_equations(psf):
    x, y = [5.0, 5.8, 20.0], [6.0, 6.3, 12.0]
    sigma = np.random.default_rng(2).uniform(1, 3, SHAPE)
    fit = fit_points(psf, np.zeros(SHAPE), sigma**2, x, y)
    rows = fit.templates.reshape(3, -1)
    normal = (rows / sigma.ravel() ** 2) @ rows.T
    np.testing.assert_allclose(fit.covariance, np.linalg.inv(normal), rtol=1e-10)
    np.testing.assert_allclose(fit.flux_err, np.sqrt(np.diag(fit.covariance)))
    np.testing.assert_allclose(fit.flux_err_tractor, 1 / np.sqrt(np.diag(normal)))


def test_sersic_and_point_together(psf):
    profiles = [None, Sersic(1.5, 9.0, 0.5, 30.0), Sersic(1.0, 0.5)]
    x, y, flux = [12.1, 13.4, 20.0], [12.0, 12.5, 5.0], [400.0, 5000.0, 100.0]
    ones = np.ones(SHAPE)
    templates = fit_sources(0 * ones, ones, ones > 0, psf, x, y, profiles, CD, extent="infinite").templates
    fit = fit_sources(np.tensordot(flux, templates, 1), ones, ones > 0, psf, x, y, profiles, CD, extent="infinite")
    np.testing.assert_allclose(fit.flux, flux, rtol=1e-9)
    lower = fit_sources(np.tensordot(flux, templates, 1), ones, ones > 0, psf, x, y, profiles, CD)
    assert 0.95 < lower.flux[1] / flux[1] < 0.995


def test_unusable_pixels_do_not_count(psf, gaussian_star):
    data = 500 * gaussian_star(10.2, 9.7, SHAPE)
    variance, usable = np.full(SHAPE, 2.0), np.ones(SHAPE, dtype=bool)
    data[9, 10], variance[10, 10], variance[10, 11], variance[9, 9], usable[9, 11] = np.nan, 0, -1, np.inf, False
    data[9, 11] = 1e6
    fit = fit_points(psf, data, variance, [10.2], [9.7], usable)
    assert fit.flux[0] == pytest.approx(500, rel=1e-3)
    lost = gaussian_star(10.2, 9.7, SHAPE)[[9, 10, 10, 9, 9], [10, 10, 11, 9, 11]].sum()
    assert fit.masked_fraction[0] == pytest.approx(lost, abs=1e-4)


def test_sources_without_pixels_fail_and_leave_the_others_alone(psf, gaussian_star):
    data = 800 * gaussian_star(20.2, 12.3, SHAPE)
    usable = np.ones(SHAPE, dtype=bool)
    usable[4:17, 0:13] = False
    x, y = [20.2, 6.0, -9.0, 5000.0], [12.3, 10.0, 12.0, 3.0]
    fit = fit_points(psf, data, np.ones(SHAPE), x, y, usable)
    np.testing.assert_array_equal(fit.failed, [False, True, True, True])
    assert np.isnan(fit.flux[1:]).all()
    assert np.isinf(fit.flux_err[1:]).all()
    assert np.isinf(fit.flux_err_tractor[1:]).all()
    np.testing.assert_allclose(fit.masked_fraction[1:], 1, atol=1e-4)
    alone = fit_points(psf, data, np.ones(SHAPE), x[:1], y[:1], usable)
    assert fit.flux[0] == pytest.approx(alone.flux[0], rel=1e-9)
    assert fit.flux_err[0] == pytest.approx(alone.flux_err[0], rel=1e-9)
    np.testing.assert_array_equal(np.isinf(np.diag(fit.covariance)), fit.failed)


@pytest.mark.parametrize("apart", [0.0, 1e-9, 1e-5, 5e-4])
def test_coincident_sources_fail_and_leave_the_others_alone(psf, gaussian_star, apart):
    x, y = [10.2, 10.2 + apart, 11.4, 24.0], [9.7, 9.7, 10.3, 12.0]
    data = sum(f * gaussian_star(*p, SHAPE) for f, p in zip((500.0, 100.0, 300.0, 200.0), zip(x, y)))
    fit = fit_points(psf, data, np.ones(SHAPE), x, y)
    np.testing.assert_array_equal(fit.failed, [True, True, False, False])
    assert np.isnan(fit.flux[:2]).all()
    assert np.isinf(fit.flux_err[:2]).all()
    np.testing.assert_allclose(fit.flux[2:], [300, 200], rtol=1e-3)
    alone = fit_points(psf, data, np.ones(SHAPE), x[1:], y[1:])
    np.testing.assert_allclose(fit.flux_err[2:], alone.flux_err[1:], rtol=1e-3)
    np.testing.assert_allclose(fit.model, data, atol=0.1)


def test_close_sources_are_measured(psf, gaussian_star):
    x, y = [10.2, 10.25], [9.7, 9.7]
    data = 500 * gaussian_star(10.2, 9.7, SHAPE) + 100 * gaussian_star(10.25, 9.7, SHAPE)
    fit = fit_points(psf, data, np.ones(SHAPE), x, y)
    assert not fit.failed.any()
    assert fit.flux.sum() == pytest.approx(600, rel=1e-3)
    assert (fit.flux_err > 5 * fit.flux_err_tractor).all()


def test_border_and_no_source(psf, gaussian_star):
    data = 300 * gaussian_star(0.2, 24.3, SHAPE)
    fit = fit_points(psf, data, np.ones(SHAPE), [0.2], [24.3])
    assert fit.flux[0] == pytest.approx(300, rel=1e-4)
    assert 0.2 < fit.masked_fraction[0] < 0.5
    assert fit_points(psf, data, np.ones(SHAPE), [], []).flux.size == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": np.zeros(5)}, r"data has shape \(5,\); an image \(ny, nx\)"),
        ({"variance": np.ones((3, 3))}, r"variance has shape \(3, 3\); it must be that of data, \(25, 31\)"),
        ({"usable": np.ones((3, 3))}, "usable has shape"),
        ({"x": [1.0, 2.0]}, "all must have the length n"),
        ({"profiles": []}, "0 profiles; all must have the length n"),
        ({"x": [np.nan]}, r"x\[0\] is nan; a position must be finite"),
        ({"y": [-np.inf]}, r"y\[0\] is -inf; a position must be finite"),
        ({"profiles": ["star"]}, r"profiles\[0\] is 'star'; None \(a point source\) or a Sersic"),
        ({"extent": "all"}, "extent is 'all'; allowed are tractor, infinite"),
        ({"psf": np.ones((3, 3))}, "a glue_spherex.images.PSF is needed"),
    ],
)
def test_bad_input_is_refused(psf, change, message):
    ones = np.ones(SHAPE)
    values = {"data": ones, "variance": ones, "usable": ones > 0, "psf": psf, "x": [3.0], "y": [4.0]}
    values |= {"profiles": [None], "cd": CD} | change
    with pytest.raises(PhotometryError, match=message):
        fit_sources(**values)


def crowded(psf, n, side, seed, separation=0.3):
    """A field of random sources with noise: the fit's input and the true fluxes."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-1, side, (2, 4 * n))
    kept = []
    for k in range(x.size):
        if len(kept) < n and all(np.hypot(x[k] - x[j], y[k] - y[j]) > separation for j in kept[-400:]):
            kept.append(k)
    x, y, flux = x[kept], y[kept], 10 ** rng.uniform(2, 4, len(kept))
    templates = source_templates(psf, x, y, derivatives=True)
    image = rng.normal(0, 3, (side, side))
    for _, patches in templates.blocks:
        for k, patch in enumerate(patches.values):
            for (j, i), value in np.ndenumerate(patch):
                if 0 <= patches.y0[k] + j < side and 0 <= patches.x0[k] + i < side:
                    image[patches.y0[k] + j, patches.x0[k] + i] += flux[k] * value
    return templates, image, np.full((side, side), 9.0), rng.random((side, side)) > 0.02, flux


@pytest.fixture(scope="module")
def field(psf):
    return crowded(psf, 500, 330, seed=11)


def test_many_sources_are_the_dense_solution(field):
    templates, data, variance, usable, flux = field
    fit = fit_templates(templates, data, variance, usable)
    assert not fit._design.is_dense
    assert np.unique(fit.group).size > 20
    rows = fit.templates.reshape(flux.size, -1)
    weighted = rows * (usable / variance).ravel()
    good = ~fit.failed
    normal = (weighted @ rows.T)[np.ix_(good, good)]
    np.testing.assert_allclose(fit.flux[good], np.linalg.solve(normal, weighted[good] @ data.ravel()), rtol=1e-6)
    np.testing.assert_allclose(fit.flux_err[good], np.sqrt(np.diag(np.linalg.inv(normal))), rtol=1e-6)
    pull = ((fit.flux - flux) / fit.flux_err)[good]
    assert abs(pull.mean()) < 0.15
    assert 0.9 < pull.std() < 1.1


def test_subtracted_background_and_its_error(field):
    """Each source has a background of its own; its error moves the flux by what the errors say."""
    templates, data, variance, usable, flux = field
    rng = np.random.default_rng(3)
    n, error = flux.size, 0.4
    clean = fit_templates(templates, data, variance, usable)
    independent = fit_templates(
        templates,
        data + 7,
        variance,
        usable,
        background=np.full(n, 7.0),
        background_err=np.full(n, error),
        background_correlation=lambda members: np.broadcast_to(
            np.eye(members.shape[1]), (*members.shape, members.shape[1])
        ),
    )
    np.testing.assert_allclose(independent.flux, clean.flux, atol=1e-6)
    moved = [
        fit_templates(templates, data, variance, usable, background=rng.normal(0, error, n)).flux - clean.flux
        for _ in range(60)
    ]
    good = ~clean.failed
    ratio = (np.std(moved, axis=0) / independent.flux_err_background)[good]
    assert np.median(ratio) == pytest.approx(1, abs=0.03)
    np.testing.assert_allclose(
        independent.flux_err[good] ** 2,
        clean.flux_err[good] ** 2 + independent.flux_err_background[good] ** 2,
    )
    common = fit_templates(
        templates, data, variance, usable, background=np.zeros(n), background_err=np.full(n, error)
    ).flux_err_background
    shifted = fit_templates(templates, data, variance, usable, background=np.full(n, error)).flux - clean.flux
    np.testing.assert_allclose(common[good], np.abs(shifted)[good], rtol=1e-6)


def test_source_without_background_fails(psf):
    templates = source_templates(psf, [8.0, 20.0], [9.0, 12.0])
    ones = np.ones(SHAPE)
    fit = fit_templates(templates, ones, ones, ones > 0, background=np.array([np.nan, 1.0]), background_err=[0.1, 0.1])
    np.testing.assert_array_equal(fit.failed, [True, False])
    assert fit.flux[1] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("kind", ["constant", "plane"])
@pytest.mark.parametrize("side", [40, 600])
def test_jointly_fitted_background(psf, gaussian_star, kind, side):
    rng = np.random.default_rng(5)
    x, y, flux = [12.2, 14.0, 30.5], [11.8, 12.7, 31.2], np.array([900.0, 400.0, 600.0])
    true = sum(f * gaussian_star(*p, (side, side)) for f, p in zip(flux, zip(x, y)))
    templates = source_templates(psf, x, y, half_width=9)
    rows, columns = np.mgrid[:side, :side]
    slope = 0.1 if kind == "plane" else 0.0
    sky = 12.0 + slope * (3 * (columns - 20) - 2 * (rows - 20))
    at = np.floor(np.array(y) + 0.5).astype(int), np.floor(np.array(x) + 0.5).astype(int)
    variance, usable = np.full((side, side), 4.0), np.ones((side, side), dtype=bool)
    deviation, levels = [], []
    for _ in range(150):
        fit = fit_templates(
            templates, true + sky + rng.normal(0, 2, true.shape), variance, usable, joint_background=kind
        )
        deviation.append((fit.flux - flux) / fit.flux_err)
        levels.append((fit.background - sky[at]) / fit.background_err)
    assert (fit.flux_err > fit.flux_err_tractor).all()
    for pull in (np.array(deviation), np.array(levels)):
        assert np.abs(pull.mean(axis=0)).max() < 0.3
        np.testing.assert_allclose(pull.std(axis=0), 1, atol=0.2)


def test_unknown_joint_background_is_refused(psf):
    templates = source_templates(psf, [8.0], [9.0])
    ones = np.ones(SHAPE)
    with pytest.raises(PhotometryError, match="joint_background is 'cubic'; allowed are none, constant, plane"):
        fit_templates(templates, ones, ones, ones > 0, joint_background="cubic")
    with pytest.raises(PhotometryError, match="no derivatives"):
        fit_templates(templates, ones, ones, ones > 0, centroid=True)


def shift_of(fit):
    covariance = np.linalg.inv(fit.centroid_curvature)
    return np.einsum("kij,kj->ki", covariance, fit.centroid_gradient), covariance


def test_centroid_offset_is_unbiased_with_the_right_error(psf, gaussian_star):
    """A blended pair, one of them 0.05 pixel off its place."""
    rng = np.random.default_rng(8)
    x, y, flux, true = [10.3, 12.4], [9.8, 10.3], (2000.0, 1500.0), np.array([0.05, -0.03])
    data = flux[0] * gaussian_star(x[0] + true[0], y[0] + true[1], SHAPE) + flux[1] * gaussian_star(x[1], y[1], SHAPE)
    templates, variance = source_templates(psf, x, y, derivatives=True), np.full(SHAPE, 25.0)
    usable = rng.random(SHAPE) > 0.02
    shifts = []
    for _ in range(300):
        fit = fit_templates(templates, data + rng.normal(0, 5, SHAPE), variance, usable, centroid=True)
        shift, covariance = shift_of(fit)
        shifts.append(shift[0])
    error = np.sqrt(np.diag(covariance[0]))
    np.testing.assert_allclose(np.std(shifts, axis=0), error, rtol=0.12)
    np.testing.assert_allclose(np.mean(shifts, axis=0), true, atol=0.004)


def test_centroids_of_many_sources(field):
    templates, data, variance, usable, flux = field
    fit = fit_templates(templates, data + 3, variance, usable, background=np.full(flux.size, 3.0), centroid=True)
    good = ~fit.failed & (fit.flux > 30 * fit.flux_err)
    shift, covariance = (array[good] for array in shift_of_good(fit, good))
    pull = shift / np.sqrt(np.einsum("kii->ki", covariance))
    assert np.abs(pull.mean(axis=0)).max() < 0.2
    np.testing.assert_allclose(pull.std(axis=0), 1, atol=0.12)
    assert (fit.centroid_gradient[fit.failed] == 0).all()


def shift_of_good(fit, good):
    covariance = np.zeros_like(fit.centroid_curvature)
    covariance[good] = np.linalg.inv(fit.centroid_curvature[good])
    return np.einsum("kij,kj->ki", covariance, fit.centroid_gradient), covariance
