"""Where positions lie on an image whose header is not here, and which wavelength that is."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from glue_spherex.images.frame_pixels import frame_pixels
from glue_spherex.model.detectors import CHANNELS, N_PIX, mean_wavelength


@pytest.mark.filterwarnings("ignore")  # astropy's, about the header
def test_positions_from_the_corners_of_the_archive(test_data):
    """A real header, and the corners that the archive gives for the same image."""
    header = fits.Header.fromtextfile(test_data / "headers" / "qr2_cutout_image_header.txt")
    header["CRPIX1"] = header["CRPIX2"] = 1020.5
    row = (test_data / "archive" / "sia2_rows_qr2_m31.csv").read_text().splitlines()[1]
    corners = np.array(row.partition("POLYGON ICRS ")[2].partition(",")[0].split(), float)[:8].reshape(4, 2)
    image = SimpleNamespace(corners=corners.tobytes(), nx=N_PIX, ny=N_PIX)
    x, y = np.random.default_rng(3).uniform(0, N_PIX - 1, (2, 2000))
    ra, dec = WCS(header).all_pix2world(x, y, 0)
    found_x, found_y = frame_pixels(image, ra, dec)
    assert np.abs(found_x - x).max() < 8
    assert np.abs(found_y - y).max() < 8
    assert np.isnan(frame_pixels(image, np.array([187.0]), np.array([-41.0]))).all()


def test_wavelengths_of_a_real_detector():
    """The last row of WCS-WAVE of detector 3, to its nearest 0.1 nm."""
    x = np.array([1, 255, 1020, 1530, 1785, 2040]) - 1
    told = [1.63787, 1.62847, 1.61626, 1.62185, 1.62901, 1.63858]
    assert mean_wavelength(3, x, 2039) == pytest.approx(told, abs=1.5e-3)


def test_channels_of_the_map(test_data):
    """At each place the wavelength of the channel that the calibration product has there."""
    with fits.open(test_data / "calibration" / "spectral_channels_spx_cal-sch-v1-2026-106.fits") as hdus:
        channel = hdus["CHANNEL_MAP"].data[5::60, 5::60]
    y, x = np.mgrid[5:2040:60, 5:2040:60]
    for detector in range(1, 7):
        centres = np.array([c.wavelength_um for c in CHANNELS if c.detector == detector])
        wide = np.array([c.bandwidth_um for c in CHANNELS if c.detector == detector])
        inside = (channel >= 1) & (channel <= 17)
        number = channel[inside].astype(int) - 1
        away = np.abs(mean_wavelength(detector, x, y)[inside] - centres[number])
        assert (away < 0.62 * wide[number]).all()
