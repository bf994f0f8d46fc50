"""Closed-form scenes: PSFs that are sums of round Gaussians, whose light in any cell or pixel is a product of erf."""

import numpy as np
import pytest
from scipy.special import erf

from glue_spherex.images.psf import PSF

COMPONENTS = ((0.75, 0.36), (0.25, 0.80))  # fraction of the flux, sigma in pixels


def _between(low, high, sigma):
    return 0.5 * (erf(high / sigma / np.sqrt(2)) - erf(low / sigma / np.sqrt(2)))


def _light(columns, rows, half, components):
    """Flux in cells of half-width `half` around offsets from the source."""
    return sum(
        part * np.outer(_between(rows - half, rows + half, sigma), _between(columns - half, columns + half, sigma))
        for part, sigma in components
    )


@pytest.fixture(scope="session")
def gaussian_psf():
    """A function that makes a PSF value."""

    def make(kind="optical", oversampling=10, cells=121, components=COMPONENTS, centre=(0.0, 0.0)):
        offset = (np.arange(cells) - cells // 2) / oversampling
        half = 0.5 if kind == "effective" else 0.5 / oversampling
        return PSF(_light(offset - centre[0], offset - centre[1], half, components), oversampling, kind)

    return make


@pytest.fixture(scope="session")
def gaussian_star():
    """A function that gives the exact pixels of a source of unit flux."""

    def draw(x, y, shape, components=COMPONENTS):
        return _light(np.arange(shape[1]) - x, np.arange(shape[0]) - y, 0.5, components)

    return draw
