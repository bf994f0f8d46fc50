import numpy as np
import pytest

from glue_spherex.photometry.background_jumps import background_jumps


def sky(n=20, seed=3, detector=1):
    """A background of 0.25 that scatters by 20 % from exposure to exposure, in any order of wavelength."""
    rng = np.random.default_rng(seed)
    return rng.permutation(np.linspace(0.75, 1.1, n)), rng.uniform(0.2, 0.3, n), np.full(n, 0.002), np.full(n, detector)


@pytest.mark.parametrize("seed", range(20))
def test_different_exposures_are_no_jump(seed):
    assert not background_jumps(*sky(seed=seed)).any()
    assert not background_jumps(*sky(n=3000, seed=seed)).any()


def test_one_exposure_that_differs_is_marked_alone():
    wavelength, background, error, detector = sky()
    row = np.argsort(wavelength)[8]
    background[row] = 1.2
    assert np.flatnonzero(background_jumps(wavelength, background, error, detector)).tolist() == [row]


@pytest.mark.parametrize("place", [0, -1])
def test_at_the_end_either_of_two_may_be_wrong(place):
    wavelength, background, error, detector = sky()
    order = np.argsort(wavelength)
    background[order[place]] = 1.2
    expected = sorted([order[place], order[1 if place == 0 else -2]])
    assert np.flatnonzero(background_jumps(wavelength, background, error, detector)).tolist() == expected


def test_a_step_has_two_ends():
    wavelength, background, error, detector = sky()
    order = np.argsort(wavelength)
    background[order[12:]] += 1.0
    expected = sorted(order[11:13])
    assert np.flatnonzero(background_jumps(wavelength, background, error, detector)).tolist() == expected


def test_detectors_are_not_compared():
    first, second = sky(detector=1), sky(detector=4, seed=5)
    together = [np.concatenate(pair) for pair in zip(first, second)]
    together[1][20:] += 3.0
    assert not background_jumps(*together).any()


def test_errors_count():
    wavelength, background, error, detector = sky()
    row = np.argsort(wavelength)[8]
    background[row], error[row] = 1.2, 0.4
    assert not background_jumps(wavelength, background, error, detector).any()
    assert background_jumps(wavelength, background, None, detector)[row]
    error[row] = np.nan
    assert background_jumps(wavelength, background, error, detector)[row]
    error[row] = np.inf
    assert not background_jumps(wavelength, background, error, detector).any()


def test_small_differences_do_not_count():
    wavelength, _, _, detector = sky()
    background = 0.25 + 1e-5 * np.random.default_rng(1).normal(size=20)
    row = np.argsort(wavelength)[8]
    background[row] += 0.02
    assert not background_jumps(wavelength, background, None, detector).any()
    background[row] += 0.02
    assert np.flatnonzero(background_jumps(wavelength, background, None, detector)).tolist() == [row]


def test_unknown_values():
    wavelength, background, error, detector = sky()
    order = np.argsort(wavelength)
    wavelength[order[2]], background[order[5]], background[order[8]] = np.nan, np.nan, 1.2
    assert np.flatnonzero(background_jumps(wavelength, background, error, detector)).tolist() == [order[8]]


@pytest.mark.parametrize("n", [0, 1, 5])
def test_few_points(n):
    background = np.arange(n) ** 5.0
    assert background_jumps(np.arange(n), background, None, np.ones(n)).tolist() == [False] * n


@pytest.mark.parametrize("n", [8, 10, 15, 30])
def test_scatter_rarely_makes_a_jump(n):
    """1000 detectors of Gaussian scatter; what is usual is not well known from few points."""
    rng = np.random.default_rng(7)
    detector = np.repeat(np.arange(1000), n)
    background = rng.normal(1.0, 0.2, detector.size)
    jumps = background_jumps(rng.uniform(1, 2, detector.size), background, None, detector)
    assert jumps.reshape(1000, n).any(axis=1).sum() <= 3
