import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.linalg import splu

from glue_spherex.photometry import groups
from glue_spherex.photometry.giant import _inverse_diagonal_by_columns, inverse_diagonal
from glue_spherex.photometry.groups import solve_groups


def overlapping(n, side, seed, reach=2.0):
    """A normal matrix of round sources: positive definite, sparse, in groups."""
    rng = np.random.default_rng(seed)
    position = rng.uniform(0, side, (n, 2))
    apart = np.hypot(*(position[:, None] - position).T)
    matrix = np.where(apart < reach, (1 - apart / reach) ** 2 * (1 + apart / reach / 2), 0.0)  # Wendland, 2-d
    scale = rng.uniform(0.1, 10, n)
    return matrix * scale * scale[:, None]


@pytest.fixture
def small_dense_limit(monkeypatch):
    monkeypatch.setattr(groups, "LARGEST_DENSE_GROUP", 6)


def check(normal, solution, active):
    inverse = np.zeros_like(normal)
    inverse[np.ix_(active, active)] = np.linalg.inv(normal[np.ix_(active, active)])
    right = np.random.default_rng(1).normal(size=len(normal))
    np.testing.assert_allclose(solution.variance(), np.diag(inverse), rtol=1e-8)
    np.testing.assert_allclose(solution.solve(right), inverse @ right, atol=1e-8 * np.abs(inverse).max())
    np.testing.assert_allclose(solution.covariance(), inverse, atol=1e-8 * np.abs(inverse).max())


def test_groups_are_solved_exactly():
    normal = overlapping(300, 40, seed=1)
    active = np.random.default_rng(2).random(300) > 0.05
    solution = solve_groups(csr_array(normal), active)
    assert len(solution.layout.batches) > 3
    np.testing.assert_array_equal(solution.failed, ~active)
    check(normal, solution, active)
    dense = solve_groups(normal, active)
    np.testing.assert_allclose(dense.variance(), solution.variance(), rtol=1e-8)


def test_large_groups_are_solved_exactly(small_dense_limit):
    normal = overlapping(400, 30, seed=3)
    active = np.ones(400, dtype=bool)
    solution = solve_groups(csr_array(normal), active)
    assert len(solution.giants) > 0
    check(normal, solution, active)


def test_propagated_and_projected_terms():
    normal = overlapping(60, 15, seed=4)
    solution = solve_groups(csr_array(normal), np.ones(60, dtype=bool))
    inverse = np.linalg.inv(normal)
    amplitude = np.random.default_rng(5).uniform(1, 2, 60)
    got = solution.propagated(lambda m: amplitude[m][:, :, None] * amplitude[m][:, None, :])
    same = np.asarray(solution.layout.label)[:, None] == solution.layout.label
    covariance = np.outer(amplitude, amplitude) * same
    np.testing.assert_allclose(got, np.diag(inverse @ covariance @ inverse), rtol=1e-8)
    planes = [normal * 0.3, normal * (np.arange(60) % 3)]
    projected = solution.projected([csr_array(plane) for plane in planes])
    for a in range(2):
        for b in range(2):
            expected = np.diag(planes[a] @ inverse @ planes[b].T)
            np.testing.assert_allclose(projected[:, a, b], expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("large", [False, True])
def test_coincident_sources_fail_in_their_group_only(large, monkeypatch):
    if large:
        monkeypatch.setattr(groups, "LARGEST_DENSE_GROUP", 6)
    normal = overlapping(100, 12, seed=6)
    normal[1], normal[:, 1] = normal[0], normal[:, 0]  # the same source twice
    normal[1, 1] = normal[0, 1] = normal[1, 0] = normal[0, 0]
    solution = solve_groups(csr_array(normal), np.ones(100, dtype=bool))
    np.testing.assert_array_equal(np.flatnonzero(solution.failed), [0, 1])
    alone = solve_groups(csr_array(normal[1:, 1:]), np.ones(99, dtype=bool))
    np.testing.assert_allclose(solution.variance()[2:], alone.variance()[1:], rtol=1e-5)
    right = np.random.default_rng(1).normal(size=100)
    right[1] = right[0]
    both, single = solution.solve(right), alone.solve(right[1:])
    np.testing.assert_allclose(both[2:], single[1:], rtol=1e-4)
    assert both[:2].sum() == pytest.approx(single[0], rel=1e-4)


def test_inverse_diagonal_from_sparse_factors():
    normal = overlapping(500, 24, seed=7)
    scale = 1 / np.sqrt(np.diag(normal))
    scaled = normal * scale * scale[:, None]
    factor = splu(
        csr_array(scaled).tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    expected = np.diag(np.linalg.inv(scaled))
    np.testing.assert_allclose(inverse_diagonal(factor), expected, rtol=1e-9)
    np.testing.assert_allclose(_inverse_diagonal_by_columns(factor), expected, rtol=1e-9)
