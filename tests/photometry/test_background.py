import numpy as np
import pytest

from glue_spherex.model.flags import BACKGROUND_MASK
from glue_spherex.photometry import PhotometryError
from glue_spherex.photometry.background import (
    LARGEST_BOX_PX,
    NEEDED_PIXELS,
    WANTED_PIXELS,
    clipped_mean,
    local_background,
)


@pytest.mark.parametrize(("pixels", "scatter"), [(225, 0.03), (100, 0.03), (30, 0.05), (12, 0.2)])
def test_errors_are_the_scatter(pixels, scatter):
    values = np.random.default_rng(1).normal(5, 2, (6000, pixels))
    mean, error, count = clipped_mean(values)
    pull = (mean - 5) / error
    assert abs(pull.mean()) < 0.05
    assert pull.std() == pytest.approx(1, abs=scatter)
    assert mean.std() * np.sqrt(pixels) < 2 * 1.08  # close to the error of a plain mean
    assert np.median(count) >= pixels - 1


def test_bright_pixels_are_clipped():
    rng = np.random.default_rng(2)
    values = rng.normal(1, 0.1, (3000, 120))
    values[:, :12] += rng.uniform(1, 1000, (3000, 12))
    mean, error, count = clipped_mean(values)
    assert np.abs(mean - 1).mean() < 0.012
    assert (count <= 108).all()
    assert error.mean() == pytest.approx(0.1 / np.sqrt(108), rel=0.05)


def test_light_of_faint_stars_raises_the_level_no_more_than_it_is(gaussian_star):
    """Stars below the noise lie under the source as well as around it: no estimator can or should remove them."""
    rng = np.random.default_rng(3)
    image, added = rng.normal(0, 1, (300, 300)), np.zeros((300, 300))
    star = {(a, b): gaussian_star(10 + a / 4, 10 + b / 4, (21, 21)) for a in range(4) for b in range(4)}
    for _ in range(1800):  # 0.02 per pixel
        flux = rng.uniform(1, 8) ** -0.5 * 4
        j, i = rng.integers(0, 279, 2)
        added[j : j + 21, i : i + 21] += flux * star[tuple(rng.integers(0, 4, 2))]
    x, y = (g.ravel() for g in np.meshgrid(np.arange(20, 280, 16.0), np.arange(20, 280, 16.0)))
    background = local_background(image + added, np.ones(image.shape, dtype=bool), x, y)
    true = added[12:288, 12:288].mean()
    assert 0.5 * true < background.level.mean() < 1.1 * true
    assert background.level.std() < 1.3 * background.error.mean()


def test_box_and_border():
    image = np.zeros((40, 50))
    image[13:28, 17:32] = 7.0  # the box of 15 pixels around (24.2, 19.6)
    background = local_background(image, np.ones(image.shape, dtype=bool), [24.2, 0.0], [19.6, 0.0])
    np.testing.assert_allclose(background.level, [7.0, 0.0])
    np.testing.assert_array_equal(background.n_pixels, [225, 64])
    assert (background.error == 0).all()


def test_box_grows_when_pixels_are_missing():
    rng = np.random.default_rng(5)
    image = rng.normal(3, 0.2, (80, 80))
    usable = np.ones(image.shape, dtype=bool)
    usable[29:50, 29:50] = False
    image[29:50, 29:50] = np.nan
    background = local_background(image, usable, [39.0, 10.0], [39.0, 12.0])
    np.testing.assert_array_equal(background.box, [27, 15])
    assert background.n_pixels[0] >= WANTED_PIXELS
    np.testing.assert_allclose(background.level, 3, atol=5 * 0.2 / np.sqrt(200))


def test_few_pixels_in_the_widest_box():
    image, usable = np.random.default_rng(6).normal(2, 0.1, (60, 60)), np.zeros((60, 60), dtype=bool)
    usable[30, 20 : 20 + NEEDED_PIXELS + 6] = True
    some = local_background(image, usable, [30.0], [30.0])
    assert some.level[0] == pytest.approx(2, abs=0.15)
    assert some.box[0] == LARGEST_BOX_PX
    usable[30, 25:] = False
    none = local_background(image, usable, [30.0], [30.0])
    assert np.isnan(none.level[0])
    assert np.isinf(none.error[0])
    nothing = local_background(image, np.zeros_like(usable), [30.0, 500.0], [30.0, 2.0])
    assert np.isnan(nothing.level).all()
    np.testing.assert_array_equal(nothing.n_pixels, 0)


def test_many_sources_are_the_single_ones():
    rng = np.random.default_rng(7)
    image, usable = rng.normal(size=(100, 90)), rng.random((100, 90)) > 0.6
    x, y = rng.uniform(-0.5, 89, 300), rng.uniform(-0.5, 99, 300)
    together = local_background(image, usable, x, y)
    for k in (0, 17, 299):
        alone = local_background(image, usable, x[k], y[k])
        assert together.level[k] == alone.level[0]
        assert together.error[k] == alone.error[0]


def test_correlation_is_the_shared_part_of_the_boxes():
    """Measured with noise alone, clipping hardly matters."""
    rng = np.random.default_rng(8)
    x, y = np.array([20.0, 24.0, 60.0]), np.array([20.0, 22.0, 20.0])
    usable = np.ones((41, 81), dtype=bool)
    levels = np.array([local_background(rng.normal(size=usable.shape), usable, x, y).level for _ in range(1500)])
    stated = local_background(rng.normal(size=usable.shape), usable, x, y).correlation(np.array([[0, 1, 2]]))[0]
    np.testing.assert_allclose(np.corrcoef(levels.T), stated, atol=0.08)
    assert stated[0, 2] == 0


def test_scene_with_known_background(test_cases):
    for path in sorted(test_cases.glob("H_*.npz")):
        scene = np.load(path)
        usable = (scene["flags"] & BACKGROUND_MASK) == 0
        background = local_background(scene["image"], usable, scene["x"], scene["y"])
        true = scene["bkg_true_MJysr"][np.rint(scene["y"]).astype(int), np.rint(scene["x"]).astype(int)]
        assert (np.abs(background.level - true) < 3.5 * background.error).all()


def test_bad_input_is_refused():
    image = np.zeros((20, 20))
    with pytest.raises(PhotometryError, match=r"image has shape \(20, 20\) and usable \(3,\)"):
        local_background(image, np.ones(3), [1.0], [1.0])
    with pytest.raises(PhotometryError, match="the background box is 2 pixels"):
        local_background(image, image == 0, [1.0], [1.0], box=2)
