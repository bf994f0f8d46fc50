"""Files that were fetched in parts give what the whole file on disk gives, to the last bit."""

import os

import numpy as np
import pytest
from archived import archive_image, client_of, fluxes

from glue_spherex import read_targets
from glue_spherex.images import ImageFileError, SpectralImage, read_record
from glue_spherex.images.archive.boxes import FULL_FRAME, PixelBox, reach_px, target_boxes, turned
from glue_spherex.images.archive.cutout_files import PSFSource, cut
from glue_spherex.images.archive.cutout_store import CutoutStore
from glue_spherex.images.archive.fetch import fetch_cutout, fetch_cutouts
from glue_spherex.images.fits_file import scan_hdus
from glue_spherex.images.psf_zones import read_zones
from glue_spherex.model import sky_positions


class Nowhere:
    ibe = "http://127.0.0.1:1"


@pytest.fixture(params=["qr2", "qr3", "erratum"])
def field(request, full_frames):
    """Full frames of a release."""
    return full_frames(request.param)


def cut_from_disk(path, box):
    record = read_record(path)
    with open(path, "rb") as file:
        hdus = scan_hdus(file.fileno(), os.path.getsize(path), str(path))
        psf = next(hdu for hdu in hdus if hdu.name in ("PSF", "EPSF"))
        zones, _, mended = read_zones(file.fileno(), psf, record.version, str(path))
        source = PSFSource(file.fileno(), psf, zones, mended, str(path))
        return cut(file.fileno(), hdus, box, record.origin, source, os.path.basename(path), record.collection)


def test_fetched_cutouts_give_the_fluxes_of_the_full_frames(field, loopback, tmp_path):
    archive, release = loopback(), read_record(field.images[0]).release
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    compared = 0
    for path in field.images:
        image = archive_image(path, archive, archive.add_image(path, release))
        for source in read_targets(field.targets).sources:
            for cutout in fetch_cutouts(image, [source], store, client, reach_px(source.shape)):
                for settings in ({}, {"psf_zones": "interpolated"}, {"background": "zodi"}):
                    expected, found = fluxes(path, source, **settings), fluxes(cutout.path, source, **settings)
                    assert {name for name in expected if not np.array_equal(expected[name], found[name])} == set()
                    compared += len(expected)
    assert compared >= 100


def test_cutouts_of_cutouts_and_wider_ones_give_the_same(field, tmp_path):
    path = field.images[0]
    targets = [s for s in read_targets(field.targets).sources if s.shape is None]
    with SpectralImage.open(path) as image:
        x, y = image.to_pixels(*sky_positions(targets, image.record.mjd))
    k = int(np.argmin(np.hypot(x - 1020, y - 1020)))
    box = PixelBox.around(x[k : k + 1], y[k : k + 1], 20, FULL_FRAME)
    wide = PixelBox.around(x[k : k + 1], y[k : k + 1], 47, FULL_FRAME)
    (tmp_path / "wide.fits").write_bytes(cut_from_disk(path, wide))
    (tmp_path / "narrow.fits").write_bytes(cut_from_disk(tmp_path / "wide.fits", box))
    (tmp_path / "direct.fits").write_bytes(cut_from_disk(path, box))
    expected = fluxes(path, targets[k])
    for name in ("wide", "narrow", "direct"):
        found = fluxes(tmp_path / f"{name}.fits", targets[k])
        assert all(np.array_equal(expected[column], found[column]) for column in expected), name
    assert read_record(tmp_path / "direct.fits").cut_from == (0, 2040, 0, 2040)
    assert read_record(tmp_path / "narrow.fits").cut_from == (wide.x_lo, wide.x_hi, wide.y_lo, wide.y_hi)


def test_a_cutout_is_valid_for_other_programs(field, tmp_path):
    from astropy.io import fits
    from astropy.wcs import WCS

    path, box = field.images[0], PixelBox(0, 35, 2000, 2040)  # in a corner of the detector
    (tmp_path / "cutout.fits").write_bytes(cut_from_disk(path, box))
    with fits.open(tmp_path / "cutout.fits", checksum=True) as hdus, fits.open(path) as whole:  # a bad sum warns
        hdus.verify("exception")
        assert [hdu.name for hdu in hdus] == [hdu.name for hdu in whole]
        for name in ("IMAGE", "FLAGS", "VARIANCE", "ZODI"):
            np.testing.assert_array_equal(hdus[name].data, whole[name].data[2000:2040, 0:35])
            assert hdus[name].data.dtype.newbyteorder("=") == whole[name].data.dtype.newbyteorder("=")
            ours, theirs = WCS(hdus[name].header), WCS(whole[name].header)
            sky, there = ours.all_pix2world([[3, 5]], 0), theirs.all_pix2world([[3, 2005]], 0)
            np.testing.assert_allclose(sky, there, rtol=0, atol=1e-9)
            active = WCS(hdus[name].header, key="A").wcs_pix2world([[0, 0]], 0)
            np.testing.assert_array_equal(active, [[0, 2000]])
            wave, wave_there = (WCS(h[name].header, fobj=h, key="W") for h in (hdus, whole))
            wave.sip = wave_there.sip = None
            for here, full in zip(wave.pixel_to_world(3, 5), wave_there.pixel_to_world(3, 2005), strict=True):
                assert here == full
        assert set(whole["FLAGS"].header) - set(hdus["FLAGS"].header) <= {"ZIMAGE", "ZBITPIX", "ZCMPTYPE", "CHECKSUM"}


def test_a_header_that_holds_many_zeros(simulated, tmp_path):
    """Such a card stays as it is, and the cutout is sound: for this program, and for others."""
    from astropy.io import fits

    path = simulated("field", images=1, size=60, detectors=(3,), calibration=False).images[0]
    content = path.read_bytes()
    place = content.index(b"HISTORY ", 2880)
    zeros = b"OFFSET  =   0.0000000000000000E+00 / in IMAGE".ljust(80)
    full = tmp_path / path.name
    full.write_bytes(content[:place] + zeros + content[place + 80 :])
    record = read_record(full)
    box = PixelBox(record.x0 + 5, record.x0 + 46, record.y0 + 5, record.y0 + 46)
    store, image = CutoutStore(tmp_path / "store"), archive_image(full, Nowhere, "key")
    kept = store.put(image, box, cut_from_disk(full, box))
    assert zeros in kept.read_bytes()
    assert store.verify() == (1, [])
    with fits.open(kept, checksum=True) as hdus:  # a wrong sum is a warning, which is an error here
        assert all("CHECKSUM" in hdu.header for hdu in hdus)


def test_a_cutout_with_a_wrong_checksum_is_not_kept(simulated, tmp_path):
    """`verify` would remove it, and it would be fetched again for ever."""
    path = simulated("field", images=1, size=60, detectors=(3,), calibration=False).images[0]
    record = read_record(path)
    box = PixelBox(record.x0, record.x0 + 41, record.y0, record.y0 + 41)
    content = bytearray(cut_from_disk(path, box))
    content[record.planes["IMAGE"].data_offset] ^= 1
    store, image = CutoutStore(tmp_path / "store"), archive_image(path, Nowhere, "key")
    with pytest.raises(ImageFileError, match="IMAGE does not have the checksum it says"):
        store.put(image, box, bytes(content))
    assert store.cutouts(image) == []


def test_the_zones_of_a_cutout_are_those_of_the_full_frame(field, tmp_path):
    path = field.images[0]
    with SpectralImage.open(path) as whole:
        for box in (PixelBox(0, 41, 0, 41), PixelBox(900, 960, 1000, 1041), PixelBox(2010, 2040, 180, 221)):
            (tmp_path / "cutout.fits").write_bytes(cut_from_disk(path, box))
            with SpectralImage.open(tmp_path / "cutout.fits") as image:
                for x in np.linspace(box.x_lo, box.x_hi - 1, 5):
                    for y in np.linspace(box.y_lo, box.y_hi - 1, 5):
                        here, there = image.psf_at(x, y).kernel, whole.psf_at(x, y).kernel
                        np.testing.assert_array_equal(here, there)
                        nearest = image.psf(image.psf_zones(x, y)[0]).kernel
                        np.testing.assert_array_equal(nearest, whole.psf(whole.psf_zones(x, y)[0]).kernel)


def test_transposed_zones_are_right_in_a_cutout_and_said_to_be(full_frames, tmp_path):
    field = full_frames("erratum")
    (tmp_path / "cutout.fits").write_bytes(cut_from_disk(field.images[0], PixelBox(150, 220, 1500, 1560)))
    record = read_record(tmp_path / "cutout.fits")
    assert read_record(field.images[0]).psf_fixed
    assert not record.psf_fixed
    assert record.version == "6.5.4+psffix1"


def test_a_cutout_moves_little_in_few_requests(field, loopback, tmp_path):
    """After the first image of a detector: one round trip, two with compressed flags."""
    archive, release = loopback(), read_record(field.images[0]).release
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    first, second = (archive_image(path, archive, archive.add_image(path, release)) for path in field.images)
    box = PixelBox(1000, 1041, 700, 741)
    fetch_cutout(first, box, store, client)
    archive.forget()
    fetch_cutout(second, box, store, client)
    assert len(archive.requests) <= (2 if release == "qr3" else 1)
    assert archive.moved <= (240_000 if release == "qr3" else 200_000)  # half of a row of flags has 3 kB
    archive.forget()
    fetch_cutout(second, PixelBox(1002, 1040, 701, 741), store, client)  # the wider one serves it
    assert archive.requests == []


def test_one_range_per_request_works_as_well(field, loopback, tmp_path):
    """As a bucket answers: more bytes and requests, but the same file."""
    archive, release = loopback(multi_range=False), read_record(field.images[0]).release
    client = client_of(archive)
    image = archive_image(field.images[0], archive, archive.add_image(field.images[0], release))
    box = PixelBox(1000, 1041, 700, 741)
    path = fetch_cutout(image, box, CutoutStore(tmp_path / "store"), client)
    assert path.read_bytes() == cut_from_disk(field.images[0], box)
    assert sum("," in seen.range for seen in archive.requests) in (1, 2)  # then it is asked singly for a while
    bucket = image._replace(access_url="")
    again = fetch_cutout(bucket, box, CutoutStore(tmp_path / "other"), client)
    assert again.read_bytes() == path.read_bytes()
    assert archive.requests[-1].path.startswith("/nasa-irsa-spherex/")


def test_small_files_of_an_archive_are_cut_as_well(simulated, loopback, tmp_path):
    """The archive of the demonstration holds cutouts: targets at their edges have smaller boxes, for good."""
    field = simulated("field", images=2, size=40, detectors=(3,), calibration=False)
    archive = loopback()
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    image = archive_image(field.images[0], archive, archive.add_image(field.images[0]))
    sources = read_targets(field.targets).sources
    found = fetch_cutouts(image, sources, store, client)
    assert found
    assert sum(len(cutout.targets) for cutout in found) <= len(sources)
    archive.forget()
    assert [c.path for c in fetch_cutouts(image, sources, store, client)] == [c.path for c in found]
    assert archive.requests == []


def test_targets_whose_boxes_overlap_share_one():
    x, y = np.array([100.0, 130.0, 500.0, np.nan, -200.0, 2039.2]), np.array([100.0, 90.0, 600.0, 5.0, 5.0, 2039.4])
    boxes = target_boxes(x, y, 20)
    assert [box for box, _ in boxes] == [
        PixelBox(80, 151, 70, 121), PixelBox(480, 521, 580, 621), PixelBox(2019, 2040, 2019, 2040),
    ]  # fmt: skip
    assert [list(members) for _, members in boxes] == [[0, 1], [2], [5]]


def test_positions_on_another_exposure_are_known_from_its_corners(field):
    from glue_spherex.images import Astrometry

    one, other = (read_record(path) for path in field.images)
    assert one.detector == other.detector
    x, y = np.array([30.0, 1020.0, 2000.0]), np.array([1990.0, 400.0, 50.0])
    ra, dec = Astrometry(other.wcs_numbers).to_sky(x, y)
    found = Astrometry(one.wcs_numbers).to_pixels(*turned(ra, dec, other.footprint, one.footprint))
    np.testing.assert_allclose(found, [x, y], atol=0.05)
