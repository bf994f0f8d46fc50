import os
import pickle

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from glue_spherex.images.errors import ImageFileError
from glue_spherex.images.exposures import exposure_id
from glue_spherex.images.record import read_record
from glue_spherex.images.spectral_image import SpectralImage
from glue_spherex.model.flags import Flag


def expected(x, y):
    return np.float32(0.1 + 1e-4 * x + 1e-6 * y * y)


@pytest.mark.parametrize("release", ["qr2", "qr3"])
@pytest.mark.parametrize("compressed", [False, True])
def test_all_planes_of_an_off_origin_cutout(make_image, release, compressed):
    path = make_image(release=release, compressed=compressed)
    with SpectralImage.open(path) as image, fits.open(path) as hdus:
        cutout = image.cutout(5, 30, 3, 21)
        box = np.s_[3:21, 5:30]
        assert cutout.shape == (18, 25)
        assert (cutout.x0, cutout.y0, cutout.x0_det, cutout.y0_det) == (5, 3, 1297, 866)
        for name, values in (("IMAGE", cutout.image), ("VARIANCE", cutout.variance), ("ZODI", cutout.zodi)):
            np.testing.assert_array_equal(values, hdus[name].data[box])
            assert values.dtype == float
        np.testing.assert_array_equal(cutout.flags, hdus["FLAGS"].data[box])
        assert cutout.flags.dtype == np.int64
        assert cutout.image[2, 4] == expected(1297 + 4, 866 + 2)
        np.testing.assert_array_equal(cutout.usable, cutout.flags & Flag.HOT == 0)


@pytest.mark.parametrize("tile", [(1, 40), (7, 16), (30, 40), (4, 3)])
def test_compressed_flags_unpack_only_what_is_needed(make_image, tile):
    flags = np.random.default_rng(1).integers(0, 2**28, (30, 40))
    path = make_image(compressed=True, tile=tile, flags=flags)
    with SpectralImage.open(path) as image:
        for box in ((0, 40, 0, 30), (5, 6, 29, 30), (11, 39, 6, 9), (0, 3, 0, 1)):
            np.testing.assert_array_equal(image.cutout(*box).flags, flags[box[2] : box[3], box[0] : box[1]])


@pytest.mark.parametrize("kind", ["GZIP_1", "GZIP_2"])
def test_other_compressions_go_through_astropy(make_image, kind):
    flags = np.random.default_rng(1).integers(0, 2**20, (30, 40))
    path = make_image(compressed=kind, tile=(5, 40), flags=flags)
    with SpectralImage.open(path) as image:
        np.testing.assert_array_equal(image.cutout(3, 33, 6, 21).flags, flags[6:21, 3:33])


def test_a_compression_that_is_not_read(make_image):
    with (
        SpectralImage.open(make_image(compressed="PLIO_1", flags=np.ones((30, 40), int))) as image,
        pytest.raises(ImageFileError, match="compressed as 'PLIO_1'; use one of RICE_1"),
    ):
        image.cutout(0, 5, 0, 5)


def test_a_box_is_clipped_and_must_touch_the_image(make_image):
    with SpectralImage.open(make_image()) as image:
        assert image.cutout(-10, 5, 25, 99).shape == (5, 5)
        with pytest.raises(ImageFileError, match="box x 40 to 50, y 0 to 10 does not touch the image of 40 x 30"):
            image.cutout(40, 50, 0, 10)


def test_units(make_image):
    with SpectralImage.open(make_image()) as image:
        cutout = image.cutout(0, 10, 0, 10)
    np.testing.assert_allclose(cutout.ujy, 23.50443 * 37.86, rtol=1e-7)
    np.testing.assert_allclose(cutout.data_ujy, cutout.image * 889.8777, rtol=1e-6)
    np.testing.assert_allclose(cutout.variance_ujy, cutout.variance * 889.8777**2, rtol=1e-6)


def test_usable_leaves_out_what_is_not_finite_or_positive(make_image):
    path = make_image(flags=np.zeros((30, 40)))
    with fits.open(path, mode="update") as hdus:
        hdus["IMAGE"].data[0, 0] = np.nan
        hdus["VARIANCE"].data[0, 1:5] = np.nan, 0, -1, np.inf
    with SpectralImage.open(path) as image:
        usable = image.cutout(0, 40, 0, 30).usable
    assert not usable[0, :5].any()
    assert usable.sum() == 30 * 40 - 5


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize(("angle", "centre"), [(25, (10.0, 40.9)), (-140, (359.99, -89.6)), (90, (0.01, 0.0))])
def test_astrometry_agrees_with_astropy(make_image, flip, angle, centre):
    path = make_image(flip=flip, angle=angle, centre=centre)
    with fits.open(path) as hdus:
        wcs = WCS(hdus["IMAGE"].header)
    image = SpectralImage.open(path)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1292, 748, 200), rng.uniform(-863, 1177, 200)  # the whole detector
    ra, dec = wcs.all_pix2world(x, y, 0)
    for found in (image.to_sky(x, y), image.wcs.all_pix2world(x, y, 0)):
        np.testing.assert_allclose(found[0], ra, rtol=0, atol=1e-9)
        np.testing.assert_allclose(found[1], dec, rtol=0, atol=1e-9)
    x_back, y_back = image.to_pixels(ra, dec)
    assert np.hypot(x_back - x, y_back - y).max() < 1e-6


def test_positions_without_a_pixel_are_nan(make_image):
    image = SpectralImage.open(make_image())
    x, y = image.to_pixels([10.0, 190.0, 10.0, np.nan, 30.0], [40.9, -40.9, -40.0, 0.0, 40.9])
    assert np.isfinite(x[0])
    assert np.isfinite(y[0])
    assert np.isnan(x[1:]).all()
    assert np.isnan(y[1:]).all()
    assert image.to_pixels(10.0, 40.9)[0].shape == ()
    assert image.to_pixels([], [])[0].shape == (0,)


@pytest.mark.parametrize("centre", [(10.0, 40.9), (200.0, 89.7)])
def test_local_cd_is_the_derivative(make_image, centre):
    image = SpectralImage.open(make_image(centre=centre, flip=-1))
    x, y = np.array([3.0, 30.5]), np.array([4.0, 20.25])
    cd = image.local_cd(x, y)
    assert cd.shape == (2, 2, 2)
    wcs = image.wcs
    from astropy.coordinates import SkyCoord

    for k in range(2):
        here = SkyCoord(*wcs.all_pix2world(x[k], y[k], 0), unit="deg")
        for step, column in (((1e-2, 0), cd[k][:, 0]), ((0, 1e-2), cd[k][:, 1])):
            there = SkyCoord(*wcs.all_pix2world(x[k] + step[0], y[k] + step[1], 0), unit="deg")
            separation, angle = here.separation(there).deg, here.position_angle(there).rad
            np.testing.assert_allclose(column * 1e-2, separation * np.array([np.sin(angle), np.cos(angle)]), atol=2e-10)


def test_without_sip(make_image):
    path = make_image(cards={"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    image = SpectralImage.open(path)
    x, y = image.to_pixels(*image.to_sky(3.0, 4.0))
    np.testing.assert_allclose([x, y], [3.0, 4.0], atol=1e-9)


def test_detector_pixels_of_cutouts_and_full_frames(make_image):
    image = SpectralImage.open(make_image(origin=(1292, 863)))
    assert image.record.origin == (1292, 863)
    np.testing.assert_array_equal(image.to_detector(2.5, 3.0), [1294.5, 866.0])
    assert read_record(make_image(origin=(0, 0))).origin == (0, 0)
    assert read_record(make_image(origin=(2000, 2010))).origin == (2000, 2010)
    assert read_record(make_image(cards={"CRPIX1A": None, "CRPIX2A": None})).origin == (1292, 863)


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"CRPIX1A": 1293.0}, "CRPIX1A 1293.0 puts axis 1 of the image at detector pixels -1292.0"),
        ({"CRPIX2A": -2029.0}, "0 to 2039 is possible"),
        ({"CRPIX1A": -1000.0}, "detector pixel 1001.0, CRPIX1 -271.5 at 1292.0; they must agree"),
        ({"CRPIX1A": None, "CRPIX1": 1100.0}, "CRPIX1 1100.0 puts axis 1"),
    ],
)
def test_impossible_origins_are_refused(make_image, cards, message):
    with pytest.raises(ImageFileError, match="level2_.*" + message.replace(".", r"\.")):
        read_record(make_image(cards=cards))


@pytest.mark.filterwarnings("ignore:.*'celfix' made the change.*")
def test_wavelength_agrees_with_astropy_without_sip(make_image):
    path = make_image(origin=(100, 50))
    image = SpectralImage.open(path)
    assert image.wavelength_source == "WCS-WAVE"
    with fits.open(path) as hdus:
        wcs = WCS(hdus["IMAGE"].header, fobj=hdus, key="W")
        wcs.sip = None
        y, x = (a.ravel().astype(float) for a in np.mgrid[0:30:2.25, 0:40:3.5])
        wave, band = wcs.wcs_pix2world(x, y, 0)
    if wave.max() < 1e-3:  # astropy gives metres
        wave, band = wave * 1e6, band * 1e6
    found = image.wavelength(*image.to_detector(x, y))
    np.testing.assert_allclose(found[0], wave, rtol=1e-9)
    np.testing.assert_allclose(found[1], band, rtol=1e-9)


def test_wavelength_at_control_points_and_off_the_detector(make_image):
    image = SpectralImage.open(make_image())
    with fits.open(image.record.path) as hdus:
        table = hdus["WCS-WAVE"].data[0]
        points_x, points_y, values = table["X"], table["Y"], table["VALUES"]
    wave, band = image.wavelength([points_x[2] - 1.0, 0.0, -0.5, -20.0], [points_y[3] - 1.0, 2039.0, 2039.5, 5.0])
    assert wave[0] == pytest.approx(values[3, 2, 0], abs=1e-12)
    assert band[0] == pytest.approx(values[3, 2, 1], abs=1e-12)
    assert wave[1] == pytest.approx(values[-1, 0, 0], abs=1e-12)
    assert np.isfinite(wave[2])
    assert np.isnan(wave[3])
    assert np.isnan(band[3])


def test_without_zodi_and_wcs_wave(make_image):
    with SpectralImage.open(make_image(drop=("ZODI", "WCS-WAVE"))) as image:
        assert image.cutout(0, 5, 0, 5).zodi is None
        assert image.wavelength_source == "none"
        assert np.isnan(image.wavelength([5.0], [5.0])).all()


def test_solid_angle_from_the_wcs_if_the_header_has_none(make_image):
    path = make_image(cards={"OMEGA_MEDIAN": None})
    with SpectralImage.open(path) as image:
        assert image.solid_angle_source == "WCS"
        omega = image.cutout(0, 40, 0, 30).omega_arcsec2
    area = image.astrometry.pixel_area_arcsec2([0.0, 20.0, 39.0], [0.0, 11.0, 29.0])
    np.testing.assert_allclose(omega[[0, 11, 29], [0, 20, 39]], area, rtol=1e-6)
    assert 37 < omega.mean() < 39
    assert SpectralImage.open(make_image()).solid_angle_source == "OMEGA_MEDIAN"


def test_hdus_in_any_order(make_image):
    order = ["WCS-WAVE", "PSF", "ZODI", "VARIANCE", "FLAGS", "IMAGE"]
    with SpectralImage.open(make_image(order=order)) as image:
        assert image.cutout(0, 5, 0, 5).image[0, 0] == expected(1292, 863)


def test_what_the_headers_say(make_image):
    record = read_record(make_image(detector=3))
    assert record.exposure_id == 202551101068423 == exposure_id("2025W51_1A_0684_2", 3)
    assert record.obs_publisher_did == "ivo://irsa.ipac/spherex_qr2?2025W51_1A_0684_2/D3"
    assert (record.collection, record.release, record.deep) == ("spherex_qr2", "qr2", False)
    assert (record.version, record.file_version) == ("6.5.7", "l2b-v21-2025-354")
    assert record.mjd == 61027.215650564
    assert record.mjd_begin < record.mjd < record.mjd_end
    assert record.exposure_s == 113.5826
    assert record.shape == (30, 40)
    assert record.psf_kind == "optical"
    assert record.notes == ""
    with fits.open(record.path) as hdus:
        corners = WCS(hdus["IMAGE"].header).all_pix2world([-0.5, 39.5, 39.5, -0.5], [-0.5, -0.5, 29.5, 29.5], 0)
    np.testing.assert_allclose(record.footprint, np.transpose(corners), atol=1e-9)


@pytest.mark.parametrize(
    ("options", "release"),
    [
        ({"release": "qr3"}, "qr3"),
        ({"release": "qr2", "version": "7.1"}, "qr3"),
        ({"release": "qr2", "version": "6.5.5+psffix1"}, "qr2"),
        ({"release": "qr3", "version": "6.5.9"}, "qr3"),
        ({"release": "qr2", "version": "unknown"}, "qr2"),
    ],
)
def test_release(make_image, options, release):
    assert read_record(make_image(**options)).release == release


def test_deep_fields(make_image, tmp_path):
    assert read_record(make_image(cards={"SPS_FLAGS": "deep_north"})).collection == "spherex_qr2_deep"
    path = make_image(name="qr2_deep/level2/level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits")
    assert read_record(path).obs_publisher_did == "ivo://irsa.ipac/spherex_qr2_deep?2025W51_1A_0684_2/D3"


def test_exposure_id_is_computed_and_compared(make_image):
    assert read_record(make_image(cards={"EXPIDN": None})).exposure_id == 202551101068423
    record = read_record(make_image(cards={"EXPIDN": 202551101068424}))
    assert record.exposure_id == 202551101068424
    assert "OBSID 2025W51_1A_0684_2 and detector 3 give 202551101068423" in record.notes
    assert exposure_id("2026W30_2B_0100_1", 4) == 202630202010014
    assert exposure_id("something else", 4) is None


def test_times_from_what_there_is(make_image):
    assert read_record(make_image(cards={"MJD-AVG": None})).mjd == pytest.approx(61027.215650564, abs=1e-9)
    with pytest.raises(ImageFileError, match="neither MJD-AVG nor MJD-BEG"):
        read_record(make_image(cards={"MJD-AVG": None, "MJD-BEG": None}))


@pytest.mark.parametrize("release", ["qr2", "qr3"])
def test_flags_on_other_bits_are_put_right(make_image, release):
    bits = {"HOT": 11, "COLD": 10, "SOURCE": 20}
    flags = np.zeros((30, 40), int)
    flags[0, :4] = 1 << 11, 1 << 10, 1 << 20, 1 << 3
    with SpectralImage.open(make_image(release=release, bits=bits, flags=flags)) as image:
        found = image.cutout(0, 4, 0, 1).flags[0]
        np.testing.assert_array_equal(found, [Flag.HOT, Flag.COLD, Flag.SOURCE, 1 << 3])
        assert "other bits" in image.record.notes


def test_the_sign_bit_is_a_flag(make_image):
    flags = np.full((30, 40), -(2**31))
    with SpectralImage.open(make_image(flags=flags)) as image:
        assert (image.cutout(0, 4, 0, 1).flags == 1 << 31).all()


def test_a_replaced_file_is_noticed(make_image):
    record = read_record(make_image())
    os.utime(record.path, ns=(0, record.mtime_ns + 1_000_000))
    with pytest.raises(ImageFileError, match="was replaced since its headers were read; refresh the image index"):
        SpectralImage(record).cutout(0, 5, 0, 5)


def test_images_and_records_travel_to_other_processes(make_image):
    image = SpectralImage.open(make_image())
    expected_image = image.cutout(0, 5, 0, 5).image
    copy = pickle.loads(pickle.dumps(image))
    np.testing.assert_array_equal(copy.cutout(0, 5, 0, 5).image, expected_image)
    record = pickle.loads(pickle.dumps(image.record))
    assert record.zones is image.record.zones  # one copy per process
    assert record.wave is image.record.wave


def test_an_image_can_be_used_after_it_was_closed(make_image):
    image = SpectralImage.open(make_image())
    image.cutout(0, 5, 0, 5)
    image.close()
    image.close()
    assert image.cutout(0, 5, 0, 5).shape == (5, 5)


SAMPLES = [
    ("level2_2025W20_1A_0100_1D3_spx_l2b-v21-2025-354.fits", 157.1, -35.0, 1637.9934, 1265.4003, 1.90323, 60807.215643),
    ("level2_2026W30_1A_0100_1D4_spx_l2b-v26-2026-250.fits", 164.1, 61.0, 649.3277, 1808.6542, 2.55138, 61241.215643),
]


@pytest.mark.parametrize(("name", "ra", "dec", "x", "y", "wave", "mjd"), SAMPLES)
def test_samples(test_data, name, ra, dec, x, y, wave, mjd):
    with SpectralImage.open(test_data / "samples" / name) as image:
        position = image.to_detector(*image.to_pixels(ra, dec))
        np.testing.assert_allclose(position, [x, y], atol=2e-4)
        assert image.wavelength(*position)[0] == pytest.approx(wave, abs=1e-3)
        assert image.record.mjd == pytest.approx(mjd, abs=1e-6)
        assert image.cutout(0, 40, 0, 40).usable.mean() > 0.9


def test_real_header(test_data, tmp_path):
    text = (test_data / "headers" / "qr2_cutout_image_header.txt").read_text()
    header = fits.Header.fromstring("".join(line.ljust(80)[:80] for line in text.splitlines()))
    from glue_spherex.images.astrometry import Astrometry, pack_wcs
    from glue_spherex.images.detector_origin import detector_origin
    from glue_spherex.images.fits_file import Header

    ours = Header(header.tostring(endcard=False, padding=False))
    for keyword in header:
        if keyword not in ("COMMENT", "HISTORY", ""):
            assert ours.get(keyword) == header[keyword]
    assert detector_origin(ours, (117, 117), "real") == (1292, 863)
    found = Astrometry(pack_wcs(ours, "real")).to_sky([0.0, 116.0], [0.0, 116.0])
    np.testing.assert_allclose(found, WCS(header).all_pix2world([0.0, 116.0], [0.0, 116.0], 0), atol=1e-9)


@pytest.mark.parametrize("number", [10**24 + 7, -202551101068423, 0])
def test_an_exposure_number_of_another_length_is_not_used(make_image, number):
    """The image index, and tables, could not hold the first one."""
    record = read_record(make_image(cards={"EXPIDN": number}))
    assert record.exposure_id == 202551101068423
    assert "which is no number of 15 digits; it is not used" in record.notes
