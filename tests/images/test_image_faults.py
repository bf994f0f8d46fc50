"""Files that cannot be measured: each ends in one sentence that names the file."""

import os
import socket
from contextlib import chdir, suppress

import numpy as np
import pytest
from astropy.io import fits

from glue_spherex.images.errors import ImageFileError
from glue_spherex.images.record import read_record
from glue_spherex.images.spectral_image import SpectralImage


def refused(path, message):
    with pytest.raises(ImageFileError, match=message) as caught:
        read_record(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["IMAGE", "FLAGS", "VARIANCE"])
def test_missing_plane(make_image, name):
    refused(make_image(drop=(name,)), f"there is no HDU named {name} .found: .*PSF, WCS-WAVE")


def test_missing_psf(make_image):
    path = make_image(drop=("PSF",))
    assert read_record(path).psf_kind == ""
    with SpectralImage.open(path) as image:
        assert np.isfinite(image.cutout(0, 5, 0, 5).image).any()  # pixels need no PSF
        asking = lambda: image.psf_source, lambda: image.used, lambda: image.psf(0), lambda: image.psf_zones(0, 0)
        for needs in asking:
            with pytest.raises(
                ImageFileError, match=f"{path}: there is no HDU named PSF or EPSF, and no average_psf or epsf"
            ):
                needs()


@pytest.mark.parametrize("name", ["FLAGS", "VARIANCE", "ZODI"])
def test_planes_of_different_shapes(make_image, name):
    path = make_image()
    with fits.open(path) as hdus:
        hdus[name].data = hdus[name].data[:-1]
        hdus.writeto(path.with_name("other.fits"))
    refused(path.with_name("other.fits"), rf"{name} has the shape \(29, 40\), IMAGE \(30, 40\); they must agree")


def test_an_image_larger_than_a_detector(make_image):
    refused(
        make_image(shape=(2041, 3), origin=(0, 0)), r"IMAGE has the shape \(2041, 3\); an image of 1 to 2040 pixels"
    )


def test_flags_that_are_no_integers(make_image):
    path = make_image()
    with fits.open(path) as hdus:
        hdus["FLAGS"].data = hdus["FLAGS"].data.astype("f4")
        hdus.writeto(path.with_name("other.fits"))
    refused(path.with_name("other.fits"), "FLAGS holds floating-point numbers")


def test_another_mission(tmp_path):
    path = tmp_path / "other.fits"
    fits.HDUList([fits.PrimaryHDU(np.zeros((5, 5))), fits.ImageHDU(np.zeros((5, 5)), name="SCI")]).writeto(path)
    refused(path, "no HDU named IMAGE .found: unnamed, SCI.; not a SPHEREx Level-2 image")


@pytest.mark.parametrize(
    ("cards", "message"),
    [
        ({"DETECTOR": None}, "DETECTOR of IMAGE is None; 1 to 6 is needed"),
        ({"DETECTOR": 7}, "DETECTOR of IMAGE is 7"),
        ({"BUNIT": "DN/s"}, "BUNIT of IMAGE is 'DN/s'; MJy/sr is needed"),
        ({"CTYPE1": "GLON-CAR"}, "CTYPE1/2 of IMAGE are 'GLON-CAR'"),
        ({"CUNIT1": "arcsec"}, r"CUNIT1/2 of IMAGE are \['arcsec', 'deg'\]; deg is needed"),
        ({"CRVAL1": None}, "CRVAL1/2 of IMAGE are None, 40.9; two numbers are needed"),
        ({"PC1_1": 0.0, "PC1_2": 0.0}, "the WCS of IMAGE cannot be inverted .PC matrix"),
        ({"CDELT2": 0.0}, "the WCS of IMAGE cannot be inverted"),
        (
            {"A_1_0": -1.0, "A_0_1": 0.0, "A_2_0": 0.0, "A_0_2": 0.0, "A_1_1": 0.0},
            "cannot be inverted at the image's corn",
        ),
        ({"A_ORDER": 99}, "A_ORDER is 99; 0 to 9 is allowed"),
        ({"B_ORDER": None}, "only one of the SIP polynomials"),
    ],
)
def test_headers_that_cannot_be_used(make_image, cards, message):
    refused(make_image(cards=cards), message)


def test_missing_file_folder_and_pipe(tmp_path):
    refused(tmp_path / "none.fits", "no such file")
    refused(tmp_path, "is not a regular file")
    os.mkfifo(tmp_path / "pipe.fits")
    refused(tmp_path / "pipe.fits", "is not a regular file")
    with socket.socket(socket.AF_UNIX) as server:
        with chdir(tmp_path):  # the name of a socket must be short
            server.bind("socket.fits")
        refused(tmp_path / "socket.fits", "is not a regular file")


def test_unreadable_file(make_image, monkeypatch):
    path = make_image()

    def deny(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", deny)
    refused(path, "may not be read; check its permissions")


def test_a_failing_disk(make_image, monkeypatch):
    path = make_image()

    def fail(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", fail)
    refused(path, "reading byte 0 failed .*Input/output error")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<html>404 Not found</html>", "is not a FITS file .it starts with b'<html>404'"),
        (b"\x1f\x8b\x08rest", "is packed"),
        (b"SIMPLE  =                    T" + b" " * 50, "is truncated: the header at byte 0 has no END card"),
        (b"SIMPLE  = " + b"x" * 4_000_000, "the header at byte 0 has no END card"),
    ],
)
def test_not_fits(tmp_path, content, message):
    path = tmp_path / "level2_broken.fits"
    path.write_bytes(content)
    refused(path, message)


def test_truncated_at_any_length(make_image):
    path = make_image()
    whole = path.read_bytes()
    end = len(whole) - 2880
    for length in np.linspace(1, end, 40).astype(int):
        path.write_bytes(whole[:length])
        with suppress(ImageFileError):  # cut between two HDUs, only the last one, WCS-WAVE, may be missing
            assert read_record(path).wave is None


def test_truncated_pixels_are_named(make_image):
    path = make_image()
    with fits.open(path) as hdus:
        start = hdus["VARIANCE"].fileinfo()["datLoc"]
    path.write_bytes(path.read_bytes()[: start + 100])
    refused(path, rf"is truncated: HDU 3 .VARIANCE. ends at byte {start + 4 * 30 * 40}, the file at {start + 100}")


@pytest.mark.parametrize(
    "card", [b"NAXIS1  =                   -5", b"NAXIS1  = 99999999999999999999", b"BITPIX  =                   33"]
)
def test_nonsense_sizes(make_image, card):
    path = make_image()
    data = path.read_bytes()
    place = data.index(card[:10], 2880)
    path.write_bytes(data[:place] + card + data[place + 30 :])
    refused(path, "not valid FITS|is truncated|has the shape")


def test_damaged_headers_never_raise_anything_else(make_image):
    path = make_image(release="qr3")
    whole = bytearray(path.read_bytes())
    with fits.open(path) as hdus:
        headers = [range(h.fileinfo()["hdrLoc"], h.fileinfo()["datLoc"]) for h in hdus]
    rng = np.random.default_rng(5)
    for _ in range(150):
        broken = bytearray(whole)
        for _ in range(20):
            part = headers[rng.integers(len(headers))]
            broken[part[rng.integers(len(part))]] = rng.choice(list(b"0123456789 ='/-.EXTNASIMG"))
        path.write_bytes(broken)
        with suppress(ImageFileError), SpectralImage.open(path) as image:
            image.cutout(0, 10, 0, 10)
            image.wavelength([5.0], [5.0])
            image.psf(0)


def test_damaged_tiles(make_image):
    path = make_image(compressed=True)
    with fits.open(path, disable_image_compression=True) as hdus:
        location = hdus["FLAGS"].fileinfo()["datLoc"]
    data = bytearray(path.read_bytes())
    data[location : location + 4] = b"\x7f\xff\xff\xff"  # the length of the first tile
    path.write_bytes(data)
    with SpectralImage.open(path) as image:
        image.cutout(0, 40, 1, 30)
        with pytest.raises(ImageFileError, match="the tile table points to bytes"):
            image.cutout(0, 40, 0, 30)


def test_an_image_without_a_good_pixel_opens(make_image):
    path = make_image()
    with fits.open(path, mode="update") as hdus:
        hdus["IMAGE"].data[:] = np.nan
        hdus["VARIANCE"].data[:] = -1
    with SpectralImage.open(path) as image:
        assert not image.cutout(0, 40, 0, 30).usable.any()
