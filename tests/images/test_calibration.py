import json
import pickle

import numpy as np
import pytest
from astropy.io import fits

from glue_spherex.images.calibration import CalibrationFolder, calibration_release, kind_of
from glue_spherex.images.errors import ImageFileError
from glue_spherex.images.spectral_image import SpectralImage

N = 2040


def wave_map(y, x):
    return 2.4 - 0.00037 * y + 2e-8 * (x - 1020.0) ** 2


def save(path, *hdus):
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Calibration files of QR2 and QR3 with different values; rows and columns of the maps differ."""
    root = tmp_path_factory.mktemp("calibration")
    y, x = np.mgrid[:N, :N]
    wave = wave_map(y, x).astype("f4")
    for token, shift in (("cal-wcs-v4-2025-254", 0), ("cal-swcs-v5-2026-191", 0.1)):
        save(root / f"spectral_wcs_D3_spx_{token}.fits",
             fits.ImageHDU(wave / 40, name="CBAND"), fits.ImageHDU(wave + np.float32(shift), name="CWAVE"))  # fmt: skip
    omega = (37 + 1e-3 * x + 1e-5 * y).astype("f4")
    save(root / "deeper" / "solid_angle_pixel_map_D3_spx_cal-sapm-v2-2025-164.fits", fits.ImageHDU(omega, name="IMAGE"))
    save(root / "l3_flux_corrections_D3_spx_cal-flxc-v1-2026-191.fits", fits.ImageHDU(omega / 40, name="CORRECTION"))
    return root


def test_find_by_kind_detector_and_release(folder):
    found = CalibrationFolder(folder)
    assert found.find("spectral_wcs", 3, "qr2").name == "spectral_wcs_D3_spx_cal-wcs-v4-2025-254.fits"
    assert found.find("spectral_wcs", 3, "qr3").name == "spectral_wcs_D3_spx_cal-swcs-v5-2026-191.fits"
    assert found.find("solid_angle", 3, "qr2").parent.name == "deeper"
    assert found.find("solid_angle", 3, "qr3") is None  # never the map of another release
    assert found.find("solid_angle", 2, "qr2") is None
    assert found.find("flux_correction", 3, "qr2").name.startswith("l3_flux")
    assert found.find("average_psf", 3, "qr2") is None
    with pytest.raises(ImageFileError, match="kind is 'dark'; allowed are solid_angle, spectral_wcs"):
        found.find("dark", 3, "qr2")


@pytest.mark.parametrize(
    ("name", "kind", "release"),
    [
        ("solid_angle_pixel_map_D1_spx_cal-sapm-v2-2025-164.fits", "solid_angle", "qr2"),
        ("solid_angle_pixel_map_D1_spx_cal-sapm-v3-2026-191.fits", "solid_angle", "qr3"),
        ("spectral_wcs_D1_spx_cal-wcs-v4-2025-254.fits", "spectral_wcs", "qr2"),
        ("spectral_wcs_D1_spx_cal-swcs-v5-2026-191.fits", "spectral_wcs", "qr3"),
        ("average_psf_D1_spx_cal-psf-v4-2025-161.fits", "average_psf", "qr2"),
        ("average_psf_D1_spx_cal-psf-v5-2026-082.fits", "average_psf", "qr2"),
        ("epsf_D1_spx_cal-epsf-v1-2026-191.fits", "epsf", "qr3"),
        ("l3_flux_corrections_D1_spx_cal-flxc-v1-2026-191.fits", "flux_correction", "qr2"),
        ("qr3/solid_angle_pixel_map_D1_spx_cal-sapm-v2-2025-164.fits", "solid_angle", "qr3"),
        ("qr2/solid_angle_pixel_map_D1.fits", "solid_angle", "qr2"),
        ("solid_angle_pixel_map_D1.fits", "solid_angle", ""),
        ("spectral_channels_spx_cal-sch-v1-2026-106.fits", "other", "qr2"),
        ("level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits", None, ""),
    ],
)
def test_kind_and_release_by_name(name, kind, release):
    assert kind_of(name.rpartition("/")[2]) == kind
    assert calibration_release(f"/data/{name}", kind) == release


def test_the_newest_of_a_release_is_taken(tmp_path):
    for name in ("v9-2025-100", "v10-2025-101", "v11-2026-200"):
        save(tmp_path / f"solid_angle_pixel_map_D1_spx_cal-sapm-{name}.fits")
    save(tmp_path / "solid_angle_pixel_map_D1.fits")
    save(tmp_path / "solid_angle_pixel_map_D2.fits")
    found = CalibrationFolder(tmp_path)
    assert "v10" in found.find("solid_angle", 1, "qr2").name
    assert found.find("solid_angle", 2, "qr2").name == "solid_angle_pixel_map_D2.fits"


def test_no_such_folder(tmp_path):
    with pytest.raises(ImageFileError, match=r"calibration: .*nothing is not a folder"):
        CalibrationFolder(tmp_path / "nothing")


@pytest.mark.parametrize(("origin", "shape"), [((1292, 863), (30, 40)), ((0, 0), (30, 40)), ((2000, 2010), (30, 40))])
def test_maps_are_read_at_the_detector_position(make_image, folder, origin, shape):
    path = make_image(origin=origin, shape=shape)
    with SpectralImage.open(path, folder) as image:
        assert image.wavelength_source == "CWAVE"
        assert image.solid_angle_source == "SAPM"
        assert image.flux_correction_source == "l3_flux_corrections_D3_spx_cal-flxc-v1-2026-191.fits"
        x, y = image.to_detector(np.array([0.0, 10.3, 38.9]), np.array([0.0, 7.75, 28.6]))
        wave, band = image.wavelength(x, y)
        np.testing.assert_allclose(wave, wave_map(y, x), atol=2e-7)
        np.testing.assert_allclose(band, wave_map(y, x) / 40, atol=1e-8)
        cutout = image.cutout(2, 12, 3, 9)
        yy, xx = np.mgrid[3:9, 2:12]
        omega = 37 + 1e-3 * (xx + origin[0]) + 1e-5 * (yy + origin[1])
        np.testing.assert_allclose(cutout.omega_arcsec2, omega, rtol=1e-7)


def test_positions_at_and_beyond_the_edge(make_image, folder):
    image = SpectralImage.open(make_image(), folder)
    wave, _ = image.wavelength([0.0, 2039.0, 2039.4, -100.0, np.nan], [0.0, 2039.0, 5.0, 5.0, 5.0])
    np.testing.assert_allclose(wave[:3], wave_map(np.array([0, 2039, 5]), np.array([0, 2039, 2039.4])), atol=3e-7)
    assert np.isnan(wave[3:]).all()


def test_flux_correction_of_qr2(make_image, folder):
    path = make_image()
    with SpectralImage.open(path) as plain, SpectralImage.open(path, folder) as corrected:
        before, after = plain.cutout(0, 40, 0, 30), corrected.cutout(0, 40, 0, 30)
    y, x = np.mgrid[:30, :40]
    factor = (37 + 1e-3 * (x + 1292) + 1e-5 * (y + 863)) / 40
    np.testing.assert_allclose(after.image, before.image * factor, rtol=1e-6)
    np.testing.assert_allclose(after.variance, before.variance * factor**2, rtol=1e-6)
    np.testing.assert_allclose(after.zodi, before.zodi * factor, rtol=1e-6)
    with SpectralImage.open(path, folder, flux_correction=False) as image:
        assert image.flux_correction_source == ""
        np.testing.assert_array_equal(image.cutout(0, 40, 0, 30).image, before.image)


def test_qr3_has_no_flux_correction_and_says_what_is_used(make_image, folder):
    image = SpectralImage.open(make_image(release="qr3"), folder)
    used = image.used
    path = folder / "spectral_wcs_D3_spx_cal-swcs-v5-2026-191.fits"
    assert json.loads(used.pop("calibration_files")) == [[str(path), path.stat().st_size, path.stat().st_mtime_ns]]
    assert used == {
        "psf_source": "EPSF",
        "wavelength_source": "CWAVE",
        "solid_angle_source": "OMEGA_MEDIAN",
        "flux_correction": "",
        "notes": "",
    }
    x = np.array([1300.0])
    np.testing.assert_allclose(image.wavelength(x, x)[0], wave_map(x, x) + 0.1, atol=3e-7)


def test_calibration_travels_to_other_processes(make_image, folder):
    image = SpectralImage.open(make_image(), folder)
    expected = image.cutout(0, 5, 0, 5)
    copy = pickle.loads(pickle.dumps(image))
    np.testing.assert_array_equal(copy.cutout(0, 5, 0, 5).image, expected.image)
    np.testing.assert_array_equal(copy.cutout(0, 5, 0, 5).omega_arcsec2, expected.omega_arcsec2)


def psf_cube(transposed=False):
    cube = fits.ImageHDU(np.ones((4, 5, 5), "f4") * np.arange(1, 5, dtype="f4")[:, None, None], name="PSF")
    for k, (x, y) in enumerate([(510, 510), (1530, 510), (510, 1530), (1530, 1530)]):
        cube.header[f"XCTR_{k + 1}"], cube.header[f"YCTR_{k + 1}"] = (y, x) if transposed else (x, y)
    cube.header["OVERSAMP"] = 10
    return cube


@pytest.mark.parametrize("transposed", [False, True])
def test_a_psf_product_serves_files_without_psf(make_image, tmp_path, transposed):
    save(tmp_path / "c" / "average_psf_D3_spx_cal-psf-v5-2026-082.fits", psf_cube(transposed))
    path = make_image(drop=("PSF",))
    image = SpectralImage.open(path, tmp_path / "c")
    assert image.psf_source == "average_psf_D3_spx_cal-psf-v5-2026-082.fits"
    assert image.psf_zones(1500, 100)[0] == 1
    assert image.psf(1).kernel.shape == (5, 5)
    copy = pickle.loads(pickle.dumps(image))
    assert copy.psf(2).kernel.shape == (5, 5)
    with pytest.raises(ImageFileError, match="no average_psf or epsf file of detector 2"):
        SpectralImage.open(make_image(drop=("PSF",), detector=2), tmp_path / "c").psf_source


def test_broken_maps_are_named(make_image, tmp_path):
    path = make_image()
    wrong = tmp_path / "c" / "solid_angle_pixel_map_D3_spx_cal-sapm-v2-2025-164.fits"
    save(wrong, fits.ImageHDU(np.ones((204, 204)), name="IMAGE"))
    with pytest.raises(ImageFileError, match=f"{wrong}: there is no 2040 x 2040 image at all"):
        SpectralImage.open(path, wrong.parent)
    wrong.write_bytes(b"nothing")
    with pytest.raises(ImageFileError, match=f"{wrong}: is not a FITS file"):
        SpectralImage.open(path, wrong.parent)


def test_a_folder_of_something_else(tmp_path):
    (tmp_path / "level2_2025W20_1A_0100_1D3_spx_l2b-v21-2025-354.fits").write_bytes(b"")
    with pytest.raises(ImageFileError, match="holds no calibration file of SPHEREx"):
        CalibrationFolder(tmp_path)
