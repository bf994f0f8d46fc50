import numpy as np
import pytest

from glue_spherex.photometry.centroid import combined_offsets, sky_normal_equations


def test_rotation_to_the_sky():
    """A shift of (1, 0) px on a rotated and flipped image."""
    angle = np.radians(37)
    cd = 6.15 / 3600 * np.array([[-np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    hessian_px = np.array([[[5.0, 1.0], [1.0, 3.0]]])
    shift_px = np.array([0.02, -0.01])
    terms = sky_normal_equations(hessian_px, (hessian_px @ shift_px), cd[None])
    found = combined_offsets(np.array([0]), terms, 1)
    east, north = cd @ shift_px * 3600
    assert found["offset_east"][0] == pytest.approx(east)
    assert found["offset_north"][0] == pytest.approx(north)
    covariance = 6.15**2 * (cd / (6.15 / 3600)) @ np.linalg.inv(hessian_px[0]) @ (cd / (6.15 / 3600)).T
    assert found["offset_east_err"][0] == pytest.approx(np.sqrt(covariance[0, 0]))
    assert found["offset_north_err"][0] == pytest.approx(np.sqrt(covariance[1, 1]))


def _terms(rng, n, shift, error):
    """Normal equations of n measurements of a shift with independent errors."""
    measured = shift + rng.normal(0, error, (n, 2))
    weight = np.full(n, error**-2.0)
    return np.column_stack([weight, 0 * weight, weight, weight * measured[:, 0], weight * measured[:, 1]])


def test_errors_are_the_scatter():
    rng = np.random.default_rng(0)
    pulls = []
    for _ in range(300):
        found = combined_offsets(np.zeros(20, dtype=int), _terms(rng, 20, [0.3, -0.2], 0.1), 1)
        pulls.append((found["offset_east"][0] - 0.3) / found["offset_east_err"][0])
    assert np.std(pulls) == pytest.approx(1.0, abs=0.15)
    assert np.mean(pulls) == pytest.approx(0.0, abs=0.2)


def test_one_wrong_image_is_left_out():
    rng = np.random.default_rng(1)
    terms = _terms(rng, 30, [0.0, 0.0], 0.05)
    terms[7] = 1e4 * np.array([400.0, 0, 400.0, 400.0, 400.0])  # 1" off, with a weight that is far too large
    found = combined_offsets(np.zeros(30, dtype=int), terms, 1)
    assert abs(found["offset_east"][0]) < 0.05
    assert found["offset_east_err"][0] == pytest.approx(0.05 / np.sqrt(29), rel=0.4)


def test_sources_without_information():
    found = combined_offsets(np.array([1, 1]), np.zeros((2, 5)), 3)
    assert all(np.isnan(values).all() and values.shape == (3,) for values in found.values())
    terms = sky_normal_equations(np.full((1, 2, 2), np.nan), np.zeros((1, 2)), np.eye(2)[None])
    np.testing.assert_array_equal(terms, 0.0)
