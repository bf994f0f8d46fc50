import numpy as np
import pytest

from glue_spherex.model.flags import Flag
from glue_spherex.photometry.quality import RADIUS_PX, quality

SHAPE = (30, 40)


def brute_force(flags, x, y):
    """Pixels within the radius, one by one."""
    return [(j, i) for j in range(SHAPE[0]) for i in range(SHAPE[1]) if (j - y) ** 2 + (i - x) ** 2 <= RADIUS_PX**2]


def test_perfect_model_has_the_mean_deviation_of_a_gaussian():
    rng = np.random.default_rng(1)
    sigma = rng.uniform(1, 4, SHAPE)
    x, y = rng.uniform(3, 36, 60), rng.uniform(3, 26, 60)
    values = [
        quality(7 + rng.normal(0, sigma), np.full(SHAPE, 5.0), sigma**2, sigma > 0, sigma > 9, x, y, background=2.0)
        for _ in range(40)
    ]
    assert np.mean([v.fit_ql for v in values]) == pytest.approx(np.sqrt(2 / np.pi), abs=0.01)


def test_flags_of_the_pixels_within_the_radius():
    rng = np.random.default_rng(2)
    bits = np.array([0, Flag.SOURCE, Flag.HOT, Flag.TRANSIENT, Flag.NONFUNC, Flag.FULLSAMPLE])
    flags = rng.choice(bits, SHAPE, p=[0.7, 0.1, 0.02, 0.06, 0.02, 0.1]).astype(np.int32)
    bad = (flags & int(Flag.HOT | Flag.NONFUNC)) != 0
    x, y = rng.uniform(-0.5, 39.49, 200), rng.uniform(-0.5, 29.49, 200)
    ones = np.ones(SHAPE)
    found = quality(ones, 0 * ones, ones, ~bad, flags, x, y, failed=np.arange(200) % 2 == 0)
    assert found.flags.dtype == np.int64
    for k in range(200):
        near = brute_force(flags, x[k], y[k])
        joined = int(np.bitwise_or.reduce([int(flags[p]) for p in near]))
        n_bad = sum(bool(bad[p]) for p in near)
        joined |= int(Flag.CONTAINS_BAD_PIXEL) if n_bad else 0
        joined |= int(Flag.FIT_ERROR) if k % 2 == 0 else 0
        assert found.flags[k] == joined
        assert found.n_bad_pixels[k] == n_bad
        assert found.n_pixels[k] == len(near)
    assert np.isnan(found.fit_ql[::2]).all()
    np.testing.assert_allclose(found.fit_ql[1::2], 1)


def test_unusable_pixels_do_not_count():
    data, variance, usable = np.full(SHAPE, 3.0), np.ones(SHAPE), np.ones(SHAPE, dtype=bool)
    data[10, 10], variance[11, 10] = np.nan, -1.0
    usable[10, 10] = usable[11, 10] = False
    found = quality(data, np.zeros(SHAPE), variance, usable, np.zeros(SHAPE, dtype=int), [10.0, 300.0], [10.2, 4.0])
    assert found.fit_ql[0] == pytest.approx(3)
    assert np.isnan(found.fit_ql[1])
    assert found.n_pixels[1] == 0
    nothing = quality(data, 0 * data, variance, usable & False, usable.astype(int), [10.0], [10.0])
    assert np.isnan(nothing.fit_ql[0])
