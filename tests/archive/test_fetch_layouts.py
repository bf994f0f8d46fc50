"""Files of a detector whose headers have other lengths than those of the file before."""

from dataclasses import replace

import numpy as np
import pytest
from archived import archive_image, client_of
from astropy.io import fits

from glue_spherex.images.archive.boxes import PixelBox
from glue_spherex.images.archive.cutout_store import CutoutStore
from glue_spherex.images.archive.errors import ArchiveError
from glue_spherex.images.archive.eviction import check_file
from glue_spherex.images.archive.fetch import fetch_cutout
from glue_spherex.images.archive.layouts import keep_layout, known_layouts
from glue_spherex.images.fits_file import end_card, open_file, scan_hdus

PLANES = ("IMAGE", "FLAGS", "VARIANCE", "ZODI")


def longer(path, names, folder):
    """A copy of a file in which the headers of some HDUs are a block longer."""
    content, fd = path.read_bytes(), open_file(path)[0]
    with open(fd, "rb"):
        hdus = scan_hdus(fd, len(content), str(path))
    for hdu in reversed(hdus):
        if hdu.name in names:
            end = hdu.header_offset + end_card(content[hdu.header_offset : hdu.data_offset])
            step = b"HISTORY one more step of the pipeline".ljust(80) * 36
            content = content[:end] + step + content[end:]
    folder.mkdir()
    (folder / path.name).write_bytes(content)
    return folder / path.name


@pytest.fixture(params=["qr2", "qr3"])
def release(request):
    return request.param


@pytest.fixture
def two_kinds(full_frames, release, loopback, tmp_path):
    """``two_kinds(names)``: an archive with a frame, and another one in which headers are a block longer.

    Gives the archive, and (ArchiveImage, path) of each.
    """

    def make(names):
        archive = loopback()
        first, second = full_frames(release).images
        paths = first, longer(second, names, tmp_path / "longer")
        return archive, [(archive_image(p, archive, archive.add_image(p, release)), p) for p in paths]

    return make


class Fetching:
    """Fetches one box after the other, no one twice."""

    def __init__(self, archive, folder):
        self.archive, self.store, self.client, self.number = archive, CutoutStore(folder), client_of(archive), 0

    def requests(self, image, path):
        """Fetch the next box, make sure that it is right; how many requests that took."""
        x, y = 100 + 45 * self.number, 700
        self.number += 1
        self.archive.forget()
        found = fetch_cutout(image, PixelBox(x, x + 41, y, y + 41), self.store, self.client)
        check_file(str(found))
        with fits.open(found, checksum=True) as cutout, fits.open(path) as whole:
            for name in PLANES:
                expected = whole[name].section[y : y + 41, x : x + 41]
                np.testing.assert_array_equal(cutout[name].data, expected, err_msg=name)
        return len(self.archive.requests)


@pytest.mark.parametrize("names", [("IMAGE",), ("FLAGS",), ("IMAGE", "FLAGS", "VARIANCE"), ("VARIANCE",)])
def test_headers_of_two_lengths_in_turn(two_kinds, release, tmp_path, names):
    archive, (short, long) = two_kinds(names)
    fetching = Fetching(archive, tmp_path / "store")
    usual = 1 if release == "qr2" else 2
    fetching.requests(*short)
    assert fetching.requests(*short) == usual
    assert fetching.requests(*long) <= 10  # of this kind nothing is known
    assert fetching.requests(*long) == usual
    for kind in (short, long) * 2:
        assert fetching.requests(*kind) <= usual + 1 + (names == ("VARIANCE",))
        assert fetching.requests(*kind) == usual


def test_headers_that_are_shorter_than_known(two_kinds, release, tmp_path):
    archive, (short, long) = two_kinds(("IMAGE", "FLAGS"))
    fetching = Fetching(archive, tmp_path / "store")
    fetching.requests(*long)
    assert fetching.requests(*short) <= 10
    assert fetching.requests(*short) == (1 if release == "qr2" else 2)


def test_the_same_file_version_is_expected_to_be_alike(two_kinds, release, tmp_path):
    archive, (short, (image, path)) = two_kinds(("IMAGE", "FLAGS"))
    other = image.file_version.replace("v2", "v3")
    renamed = path.rename(path.with_name(path.name.replace(image.file_version, other)))
    long = archive_image(renamed, archive, archive.add_image(renamed, release)), renamed
    fetching = Fetching(archive, tmp_path / "store")
    for kind in (short, long):
        fetching.requests(*kind)
    for kind in (short, long) * 2:
        assert fetching.requests(*kind) == (1 if release == "qr2" else 2)


def test_only_some_layouts_are_kept(two_kinds, release, tmp_path):
    archive, (short, _) = two_kinds(())
    fetching = Fetching(archive, tmp_path / "store")
    fetching.requests(*short)
    (known,) = known_layouts(short[0], fetching.store)
    for k in range(20):
        keep_layout(replace(known, psf_key=str(k)), short[0], fetching.store)
    assert [layout.psf_key for layout in known_layouts(short[0], fetching.store)] == [str(k) for k in range(19, 11, -1)]
    for path in fetching.store.layouts.iterdir():
        path.unlink()
        path.write_text("{}")
    assert known_layouts(short[0], fetching.store) == []
    fetching.requests(*short)
    assert len(known_layouts(short[0], fetching.store)) == 1


def test_an_image_that_is_damaged_on_the_file_server_comes_from_the_bucket(two_kinds, release, tmp_path):
    archive, (short, (image, path)) = two_kinds(())
    fetching = Fetching(archive, tmp_path / "store")
    fetching.requests(*short)
    content = bytearray(path.read_bytes())
    place = content.index(b"EXTNAME = 'IMAGE")
    content[place : place + 20] = b"EXTNAME = 'NOTHING '"
    archive.files[image.access_url.removeprefix(archive.url)] = bytes(content)
    fetching.requests(image, path)
    assert any("nasa-irsa" in seen.path for seen in archive.requests)


@pytest.mark.parametrize("name", ["WCS-WAVE", "PSF", "FLAGS"])
def test_a_part_that_would_fill_the_memory(full_frames, loopback, tmp_path, name):
    release = "qr3" if name == "FLAGS" else "qr2"  # compressed or not
    path = full_frames(release).images[0]
    content = bytearray(path.read_bytes())
    place = content.rfind(b"XTENSION", 0, content.index(f"EXTNAME = '{name}".encode()))
    keyword = "NAXIS3" if name == "PSF" else "PCOUNT"
    place = content.index(f"{keyword:<8}=".encode(), place) + 10
    content[place : place + 20] = f"{500_000_000 if keyword == 'PCOUNT' else 12_000:>20}".encode()
    hostile = tmp_path / path.name
    hostile.write_bytes(content)
    with hostile.open("r+b") as file:
        file.truncate(600_000_000 // 2880 * 2880)  # a hole: it takes no space
    archive = loopback()
    image = archive_image(path, archive, archive.add(f"{release}/level2/x/{path.name}", hostile))
    box = PixelBox(100, 141, 100, 141)
    with pytest.raises(ArchiveError, match=rf"{name} has [45]\d{{8}} bytes of data; at most \d+ are accepted. Nothing"):
        fetch_cutout(image, box, CutoutStore(tmp_path / "store"), client_of(archive))
    assert archive.moved < 2_000_000
