import numpy as np
import pytest
from astropy.io import fits

from glue_spherex.images.errors import ImageFileError
from glue_spherex.images.psf_zones import PSF_CACHE, PSFCache, has_erratum
from glue_spherex.images.record import read_record
from glue_spherex.images.spectral_image import SpectralImage


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch):
    monkeypatch.setattr("glue_spherex.images.spectral_image.PSF_CACHE", PSFCache())


def plane(zone, side):
    r = np.arange(side) - side // 2
    values = np.exp(-(r[:, None] ** 2 + r**2) / (2 * (2 + 0.01 * zone) ** 2))
    return values / values.sum()


def test_zones_of_a_cube(make_image):
    with SpectralImage.open(make_image()) as image:
        step = 2040 / 11
        np.testing.assert_array_equal(image.psf_zones([0, step - 1, step + 1, 2039], [0, 1, 1, 2039]), [0, 0, 1, 120])
        zone = image.psf_zones(5.5 * step, 2.5 * step)[0]
        assert zone == 2 * 11 + 5  # x fastest
        psf = image.psf(zone)
        assert (psf.kind, psf.oversampling) == ("optical", 10)
        np.testing.assert_allclose(psf.kernel, plane(zone, 11), atol=1e-8)
        assert psf.kernel.sum() == pytest.approx(1, abs=1e-14)
        assert image.psf_source == "PSF"


def test_zones_of_a_table(make_image):
    with SpectralImage.open(make_image(release="qr3")) as image:
        zone = image.psf_zones(1020, 1000.0)[0]
        assert zone == 20 * 11 + 5  # 11 x 41 zones
        psf = image.psf(zone)
        assert (psf.kind, psf.oversampling) == ("effective", 5)
        np.testing.assert_allclose(psf.kernel, plane(zone, 9), atol=1e-14)
        assert image.psf_source == "EPSF"
        assert image.psf(450).kernel[4, 4] == pytest.approx(plane(450, 9)[4, 4])
        with pytest.raises(ImageFileError, match="there is no PSF zone 451; 0 to 450 exist"):
            image.psf(451)


@pytest.mark.parametrize(
    ("version", "wrong"),
    [
        ("6.5.5", True), ("6.4.1", True), ("6.5.5+other", True), ("6.5.5+psffix1", False), ("6.4+psffix1", False),
        ("6.5.6", False), ("7.0.2", False), ("6.5.5.dev1", True), ("", False), ("unknown", False),
    ],
)  # fmt: skip
def test_which_versions_have_the_erratum(version, wrong):
    assert has_erratum(version) is wrong


def test_transposed_zone_cards_are_put_right_and_recorded(make_image):
    right = read_record(make_image(name="right.fits", version="6.5.7"))
    mended = read_record(make_image(name="wrong.fits", version="6.5.5", transposed=True))
    assert mended.psf_fixed
    assert "erratum" in mended.notes
    np.testing.assert_allclose(mended.zones.x, right.zones.x, atol=0.001)
    np.testing.assert_allclose(mended.zones.y, right.zones.y, atol=0.001)
    assert mended.zones.x[1] > mended.zones.x[0]  # x fastest


def test_headers_that_are_right_stay(make_image):
    old = read_record(make_image(name="old.fits", version="6.5.5"))
    new = read_record(make_image(name="new.fits", version="6.5.7"))
    assert not old.psf_fixed
    assert old.psf_key == new.psf_key  # the same content
    tagged = read_record(make_image(name="tagged.fits", version="6.5.5+psffix1", transposed=True))
    assert not tagged.psf_fixed
    assert tagged.zones.x[1] == tagged.zones.x[0]


def test_files_with_the_same_psf_share_it(make_image):
    one = SpectralImage.open(make_image(name="one.fits"))
    other = SpectralImage.open(make_image(name="other.fits", origin=(0, 0), detector=2))
    assert one.record.psf_key == other.record.psf_key
    assert one.psf(7) is other.psf(7)
    assert other._fd is None  # nothing was read for it


def test_another_psf_has_another_key(make_image):
    first = read_record(make_image(name="one.fits"))
    path = make_image(name="other.fits")
    with fits.open(path, mode="update") as hdus:
        hdus["PSF"].data[120, 10, 10] *= 1.0001
    assert read_record(path).psf_key != first.psf_key


def test_the_cache_is_bounded():
    cache, reads = PSFCache(size=3), []
    for zone in (0, 1, 2, 0, 3, 0, 1):
        cache.get("key", zone, lambda zone=zone: reads.append(zone) or zone)
    assert reads == [0, 1, 2, 3, 1]
    assert PSF_CACHE is not cache


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.remove("XCTR_17"), "PSF has 121 planes, but not every XCTR_i and YCTR_i card"),
        (lambda h: h.set("YCTR_3", "unknown"), "PSF has 121 planes, but not every"),
    ],
)
def test_missing_zone_centres(make_image, change, message):
    path = make_image()
    with fits.open(path, mode="update") as hdus:
        change(hdus["PSF"].header)
    with pytest.raises(ImageFileError, match=message):
        read_record(path)


@pytest.mark.parametrize("shape", [(11, 11), (4, 10, 10), (4, 11, 9)])
def test_a_psf_of_another_shape(make_image, shape):
    psf = fits.ImageHDU(np.ones(shape, "f4"), name="PSF")
    with pytest.raises(ImageFileError, match=r"PSF has the shape .* a cube \(zones, k, k\) of floats with odd k"):
        read_record(make_image(psf=psf))


def test_a_psf_without_light_is_refused_when_it_is_used(make_image):
    path = make_image()
    with fits.open(path, mode="update") as hdus:
        hdus["PSF"].data[3] = 0
    with SpectralImage.open(path) as image:
        image.psf(2)
        with pytest.raises(ImageFileError, match=r"level2.*zone 3: PSF: the kernel sums to 0"):
            image.psf(3)


def test_interpolation_between_zones(make_image):
    """Half-way between four zones it is their mean; at a centre and beyond the rim it is the zone's own."""
    with SpectralImage.open(make_image()) as image:
        step = 2040 / 11
        centre = (np.arange(11) + 0.5) * step
        middle = image.psf_at((centre[4] + centre[5]) / 2, (centre[7] + centre[8]) / 2)
        zones = [7 * 11 + 4, 7 * 11 + 5, 8 * 11 + 4, 8 * 11 + 5]
        np.testing.assert_allclose(middle.kernel, np.mean([plane(zone, 11) for zone in zones], axis=0), atol=1e-4)
        quarter = image.psf_at(centre[4] + step / 4, centre[7])
        expected = 0.75 * plane(zones[0], 11) + 0.25 * plane(zones[1], 11)
        np.testing.assert_allclose(quarter.kernel, expected, atol=1e-4)
        np.testing.assert_allclose(image.psf_at(0.0, 0.0).kernel, plane(0, 11), atol=1e-8)
        np.testing.assert_allclose(image.psf_at(2039.0, 2039.0).kernel, plane(120, 11), atol=1e-8)
    with SpectralImage.open(make_image(release="qr3")) as image:
        assert image.psf_at(700.0, 900.0).kind == "effective"
