"""Images without PSFs of their own are measured with the archive's products, or not kept at all."""

import numpy as np
import pytest
from archived import archive_image, client_of
from astropy.io import fits
from loopback_services import SearchServices

from glue_spherex import read_targets
from glue_spherex.images import CalibrationFolder, read_record
from glue_spherex.images.archive import CutoutStore, IRSACollection
from glue_spherex.images.archive.boxes import PixelBox
from glue_spherex.images.archive.errors import ArchiveError
from glue_spherex.images.archive.fetch import fetch_cutout
from glue_spherex.images.archive.products import psf_products
from glue_spherex.images.fits_file import BLOCK, open_file, scan_hdus
from glue_spherex.photometry.pipeline import run

NAMES = {"average_psf": "average_psf_D3_spx_cal-psf-v5-2026-082.fits", "epsf": "epsf_D3_spx_cal-epsf-v2-2026-191.fits"}
ONES = {"qr2": "average_psf", "qr3": "epsf"}


@pytest.fixture(params=["qr2", "qr3"])
def release(request):
    return request.param


@pytest.fixture
def field(simulated, release):
    return simulated("field", images=1, size=60, detectors=(3,), release=release)


@pytest.fixture
def archive(field, release, loopback, tmp_path):
    """An archive with an image without PSFs, which are a product."""
    archive = loopback()
    archive.search = SearchServices().join(archive)
    (whole,) = field.images
    image, products = tmp_path / "image" / whole.name, tmp_path / "products"
    image.parent.mkdir()
    products.mkdir()
    with fits.open(whole) as hdus:
        psf = next(hdu for hdu in hdus if hdu.name in ("PSF", "EPSF"))
        fits.HDUList([fits.PrimaryHDU(), psf.copy()]).writeto(products / NAMES[ONES[release]])
        fits.HDUList([hdu for hdu in hdus if hdu is not psf]).writeto(image)
    for folder in (field.calibration, products):
        archive.add_calibration(folder, release)
    archive.search.add_image(archive, archive.add_image(image, release), f"spherex_{release}")
    return archive


@pytest.fixture
def measured(archive, field, tmp_path):
    """``measured(store)``: the result of a run."""

    def measure(store="store"):
        images = IRSACollection(store=tmp_path / store, client=client_of(archive))
        return run(list(read_targets(field.targets).sources), images)

    return measure


def test_a_fault_that_passes_does_not_spoil_an_exposure(archive, release, measured):
    for family in ("average_psf", "epsf"):
        archive.fault(f"list/spherex/{release}/{family}", "status", status=500)
    (failed,) = measured().images
    assert failed["status"] == "unreadable"
    assert f"{release}/{ONES[release]}" in failed["reason"]
    archive.faults.clear()
    assert np.isfinite(measured().spectra["flux"]).any()


def test_so_it_is_with_cutouts_of_the_service(archive, release, full_frames, tmp_path):
    path, store, client = full_frames(release).images[0], CutoutStore(tmp_path / "store"), client_of(archive)
    content, fd = path.read_bytes(), open_file(path)[0]
    with open(fd, "rb"):
        psf = next(hdu for hdu in scan_hdus(fd, len(content), str(path)) if hdu.name in ("PSF", "EPSF"))
    key = archive.add_image(path, release)
    end = psf.data_offset + psf.data_size + -psf.data_size % BLOCK
    archive.add(key, content[: psf.header_offset] + content[end:])
    image, box = archive_image(path, archive, key), PixelBox(1000, 1041, 700, 741)
    for side in ("level2", "nasa-irsa"):
        archive.fault(side, "whole")
    archive.fault(f"list/spherex/{release}/{ONES[release]}", "status", status=500, times=3)
    with pytest.raises(ArchiveError, match=f"{release}/{ONES[release]}"):
        fetch_cutout(image, box, store, client)
    assert store.cutouts(image) == []
    assert read_record(fetch_cutout(image, box, store, client)).psf_key == ""
    assert CalibrationFolder(store.calibration(release)).psf_planes(3, release)
    assert any("center=" in seen.query for seen in archive.requests)


def test_kept_cutouts_need_them_as_well(archive, release, measured, tmp_path):
    expected = measured().spectra
    assert np.isfinite(expected["flux"]).any()
    (tmp_path / "store" / "v1" / "calibration" / release / NAMES[ONES[release]]).unlink()
    again = measured().spectra
    assert np.array_equal(again["flux"], expected["flux"], equal_nan=True)
    archive.forget()
    measured()
    assert archive.requests == []


def test_others_are_not_taken_because_of_the_network(simulated, loopback, tmp_path):
    """QR2 images may be measured with either; fluxes would be silently different."""
    archive = loopback()
    for release in ("qr2", "qr3"):
        (image,) = simulated("field", images=1, size=60, detectors=(3,), release=release).images
        family = ONES[release]
        with fits.open(image) as hdus:
            psf = next(hdu for hdu in hdus if hdu.name in ("PSF", "EPSF"))
            (tmp_path / family).mkdir()
            fits.HDUList([fits.PrimaryHDU(), psf.copy()]).writeto(tmp_path / family / NAMES[family])
        archive.add_calibration(tmp_path / family)
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    archive.fault("list/spherex/qr2/average_psf", "status", status=500, times=3)
    with pytest.raises(ArchiveError, match="average_psf"):
        psf_products(3, "qr2", store, client)
    folder = psf_products(3, "qr2", store, client)
    assert [path.name for path in folder.iterdir()] == [NAMES["average_psf"]]
