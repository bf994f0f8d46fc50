"""Files that the archive replaces under the same name while they are fetched."""

import numpy as np
from archived import archive_image, client_of
from astropy.io import fits

from glue_spherex.images import read_record
from glue_spherex.images.archive.boxes import PixelBox
from glue_spherex.images.archive.cutout_store import CutoutStore
from glue_spherex.images.archive.eviction import check_file
from glue_spherex.images.archive.fetch import fetch_cutout
from glue_spherex.images.fits_file import open_file, scan_hdus

PLANES = ("IMAGE", "FLAGS", "VARIANCE", "ZODI")
X, Y, SIDE = 5, 10, 41  # of the box, in pixels of the file


def other_pixels(path):
    """The content of a file, with the lowest bit of every pixel turned."""
    content, fd = bytearray(path.read_bytes()), open_file(path)[0]
    with open(fd, "rb"):
        hdus = scan_hdus(fd, len(content), str(path))
    for hdu in hdus:
        if hdu.name in PLANES:
            pixels = np.frombuffer(content, ">u4", hdu.data_size // 4, hdu.data_offset)
            pixels ^= 1
    return bytes(content)


def test_one_version_is_kept_and_all_of_it(simulated, loopback, tmp_path):
    """Whenever it happens: between any two requests for the file."""
    path = simulated("field", images=1, size=60, detectors=(3,), calibration=False).images[0]
    record = read_record(path)
    box = PixelBox(record.x0 + X, record.x0 + X + SIDE, record.y0 + Y, record.y0 + Y + SIDE)
    replaced = other_pixels(path)
    before = pixels_of(path)
    (tmp_path / "new.fits").write_bytes(replaced)
    after = pixels_of(tmp_path / "new.fits")
    assert all((before[name] != after[name]).all() for name in PLANES)
    versions = []
    for skip in range(100):
        archive = loopback()
        image = archive_image(path, archive, archive.add_image(path))
        place = image.access_url.removeprefix(archive.url)
        archive.fault(place, "replace", times=1, skip=skip, content=replaced)
        kept = fetch_cutout(image, box, CutoutStore(tmp_path / str(skip)), client_of(archive))
        check_file(str(kept))
        pixels = pixels_of(kept, whole=False)
        is_new = [(pixels[name] == after[name]).all() for name in PLANES]
        is_old = [(pixels[name] == before[name]).all() for name in PLANES]
        assert all(is_new) or all(is_old)
        versions.append("new" if all(is_new) else "old")
        if archive.files[place] != replaced:
            break
    assert versions[0] == "new"
    assert versions[-1] == "old"
    assert len(versions) > 2  # there were several requests


def pixels_of(path, whole=True):
    """The pixels of the box, by plane; of a whole file, or of a cutout that holds no others."""
    part = (slice(Y, Y + SIDE), slice(X, X + SIDE)) if whole else ...
    with fits.open(path, memmap=False) as hdus:
        return {name: np.array(hdus[name].data[part]).view(np.uint32) for name in PLANES}
