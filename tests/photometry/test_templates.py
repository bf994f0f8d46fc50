import gc
import weakref

import numpy as np
import pytest

from glue_spherex.images.psf import PSF
from glue_spherex.model.source import Sersic
from glue_spherex.photometry.errors import PhotometryError
from glue_spherex.photometry.templates import point_templates, sersic_template, source_templates

CD = np.diag([-6.2, 6.2]) / 3600
POSITIONS = np.random.default_rng(4).uniform(8, 12, (40, 2))
CORNERS = np.array([(10.0, 10.0), (10.5, 9.5), (9.5, 10.5), (10.05, 9.95), (9.499999, 10.500001)])


def image_of(patches, shape, number=0, plane="values"):
    """A patch in an image, for comparison with the truth."""
    image = np.zeros(shape)
    patch = getattr(patches, plane)[number]
    for j, row in enumerate(patch):
        for i, value in enumerate(row):
            y, x = patches.y0[number] + j, patches.x0[number] + i
            if 0 <= y < shape[0] and 0 <= x < shape[1]:
                image[y, x] = value
    return image


@pytest.mark.parametrize(
    ("kind", "oversampling", "cells", "tolerance"),
    [
        ("optical", 10, 121, 3e-5),
        ("optical", 10, 101, 3e-5),
        ("optical", 9, 109, 5e-5),
        ("optical", 4, 49, 2e-3),
        ("effective", 10, 121, 1e-4),
        ("effective", 5, 61, 1e-3),
    ],
)
def test_points_are_exact_at_any_phase(gaussian_psf, gaussian_star, kind, oversampling, cells, tolerance):
    psf = gaussian_psf(kind, oversampling, cells)
    positions = np.concatenate([POSITIONS, CORNERS])
    patches = point_templates(psf, *positions.T)
    for number, (x, y) in enumerate(positions):
        true = gaussian_star(x, y, (21, 21))
        drawn = image_of(patches, true.shape, number)
        assert np.abs(drawn - true).max() < tolerance * true.max()
        assert (drawn * true).sum() / (drawn**2).sum() == pytest.approx(1, abs=tolerance)


def test_source_sits_at_the_centre_of_the_middle_cell():
    kernel = np.zeros((21, 21))
    kernel[10, 10] = 1.0
    patches = point_templates(PSF(kernel, 10), [5.0, 5.0], [7.0, 7.2])
    inside = image_of(patches, (15, 11), 0)
    assert inside[7, 5] == pytest.approx(1, abs=5e-3)
    assert inside.sum() == pytest.approx(1, abs=5e-3)


def test_centroid_of_the_kernel_is_not_touched(gaussian_psf, gaussian_star):
    psf = gaussian_psf(centre=(0.13, -0.21))
    drawn = image_of(point_templates(psf, [9.4], [10.3]), (21, 21))
    np.testing.assert_allclose(drawn, gaussian_star(9.53, 10.09, (21, 21)), atol=1e-5)


def test_derivatives_are_those_of_the_template(gaussian_psf, gaussian_star):
    psf, step = gaussian_psf(), 1e-4
    patches = point_templates(psf, [10.3], [9.6], derivatives=True)
    for plane, dx, dy in (("dx", step, 0), ("dy", 0, step)):
        true = (gaussian_star(10.3 + dx, 9.6 + dy, (21, 21)) - gaussian_star(10.3 - dx, 9.6 - dy, (21, 21))) / (
            2 * step
        )
        assert np.abs(image_of(patches, (21, 21), plane=plane) - true).max() < 5e-4 * np.abs(true).max()


def test_half_width_cuts_and_grows(gaussian_psf):
    psf = gaussian_psf()
    full = image_of(point_templates(psf, [10.2], [10.7]), (31, 31))
    small, large = (point_templates(psf, [10.2], [10.7], half_width=h, derivatives=True) for h in (2, 10))
    assert small.values.shape == (1, 5, 5)
    assert large.dx.shape == (1, 21, 21)
    np.testing.assert_allclose(image_of(small, (31, 31))[9:14, 8:13], full[9:14, 8:13], atol=1e-15)
    np.testing.assert_allclose(image_of(large, (31, 31)), full, atol=1e-15)
    with pytest.raises(PhotometryError, match="half_width is -1"):
        point_templates(psf, [1.0], [1.0], half_width=-1)


def test_many_sources_are_the_single_ones(gaussian_psf):
    psf = gaussian_psf()
    x, y = np.random.default_rng(1).uniform(-5, 2045, (2, 2100))
    together = point_templates(psf, x, y)
    for k in (0, 1023, 1024, 2099):
        alone = point_templates(psf, x[k], y[k])
        np.testing.assert_allclose(together.values[k], alone.values[0], atol=1e-15)
        assert (together.x0[k], together.y0[k]) == (alone.x0[0], alone.y0[0])


def test_coefficients_die_with_their_psf(gaussian_psf):
    psf = gaussian_psf(cells=41)
    point_templates(psf, [1.0], [1.0])
    gone = weakref.ref(psf)
    del psf
    gc.collect()
    assert gone() is None


def test_sources_of_several_zones_and_shapes(gaussian_psf):
    narrow, wide = gaussian_psf(), gaussian_psf(components=((1.0, 0.7),))
    profile = Sersic(1.0, 6.0, 0.5, 20.0)
    profiles = [None, Sersic(4.0, 0.9), profile, None]
    x, y = [5.0, 6.5, 9.2, 3.1], [4.0, 8.0, 9.9, 3.0]
    templates = source_templates([narrow, wide, wide, narrow], x, y, profiles, CD, derivatives=True)
    assert templates.n == 4
    assert templates.derivatives
    members = np.concatenate([m for m, _ in templates.blocks])
    assert sorted(members) == [0, 1, 2, 3]
    found = {int(k): patches.values[i] for m, patches in templates.blocks for i, k in enumerate(m)}
    np.testing.assert_allclose(found[3], point_templates(narrow, 3.1, 3.0).values[0], atol=1e-15)
    np.testing.assert_allclose(
        found[1], point_templates(wide, 6.5, 8.0).values[0], atol=1e-15
    )  # below 1 arcsec: a point
    np.testing.assert_allclose(found[2], sersic_template(wide, profile, 9.2, 9.9, CD).values[0], atol=1e-15)


def test_no_source(gaussian_psf):
    assert source_templates(gaussian_psf(), [], [], []).blocks == ()
