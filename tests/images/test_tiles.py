"""Compressed rows of which only the beginning is there, or that are damaged."""

import os

import numpy as np
import pytest
from astropy.io import fits

from glue_spherex.images import ImageFileError, tiles
from glue_spherex.images.fits_file import scan_hdus
from glue_spherex.images.pixels import PixelPlane

SHAPE = (60, 2040)


class Fetched:
    """Parts of a file; what was not fetched is zero."""

    def __init__(self, data):
        self.data, self.here, self.asked = data, np.zeros(len(data), dtype=bool), []

    def need(self, spans):
        self.asked += spans
        for start, stop in spans:
            self.here[start:stop] = True

    def here_until(self, offset):
        missing = np.flatnonzero(~self.here[offset:])
        return offset + (missing[0] if len(missing) else len(self.data) - offset)

    def pread(self, size, offset):
        piece = np.frombuffer(self.data, "u1")[offset : offset + size].copy()
        piece[~self.here[offset : offset + size]] = 0
        return piece.tobytes()


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Flags packed by astropy: (path, flags). Some rows need more bytes on the right, some on the left."""
    rng = np.random.default_rng(5)
    flags = np.where(rng.random(SHAPE) < 0.6, 1 << 21, 0) | np.where(rng.random(SHAPE) < 0.05, 1 << 9, 0)
    flags[3], flags[4, 1000:], flags[5, :1000] = 0, 0, 0
    path = tmp_path_factory.mktemp("tiles") / "flags.fits"
    return write(path, flags.astype("i4")), flags


def write(path, values, **options):
    """Pack an image with astropy."""
    options = {"compression_type": "RICE_1", "tile_shape": (1, values.shape[1])} | options
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(values, name="FLAGS", **options)]).writeto(path)
    return path


def hdu_of(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return scan_hdus(fd, path.stat().st_size, str(path))[1]
    finally:
        os.close(fd)


def opened(path):
    """The plane of FLAGS, and the file with its headers and tile table only."""
    hdu, file = hdu_of(path), Fetched(path.read_bytes())
    file.need([(0, hdu.data_offset + SHAPE[0] * hdu.header.integer("NAXIS1"))])
    file.asked.clear()
    return PixelPlane.of(hdu), file


def unpacked(path, y_lo, y_hi, x_hi):
    """Rows of a file on disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return tiles.unpack_rows(fd, str(path), PixelPlane.of(hdu_of(path)), y_lo, y_hi, x_hi)
    finally:
        os.close(fd)


@pytest.mark.parametrize("x_hi", [1, 41, 32, 500, 1000, 1025, 1700, 1950, 2039, 2040])
def test_the_beginning_of_rows_is_enough(packed, x_hi):
    path, flags = packed
    plane, file = opened(path)
    wanted = tiles.tile_spans(file, str(path), plane, 10, 51, x_hi)
    file.need(wanted)
    rows = tiles.unpack_rows(file, str(path), plane, 10, 51, x_hi)
    np.testing.assert_array_equal(rows, flags[10:51, :x_hi])
    assert file.asked == wanted
    (one,) = tiles.tile_spans(file, str(path), plane, 10, 51, SHAPE[1])
    share = sum(stop - start for start, stop in wanted) / (one[1] - one[0])
    assert share < min(x_hi / SHAPE[1] + tiles.SPARE_SHARE + 0.01, 1.01)


def test_rows_that_need_more_than_their_share_are_fetched(packed):
    """Most of their bytes are those of the first pixels."""
    path, flags = packed
    plane, file = opened(path)
    wanted = tiles.tile_spans(file, str(path), plane, 3, 6, 1000)
    file.need(wanted)
    rows = tiles.unpack_rows(file, str(path), plane, 3, 6, 1000)
    np.testing.assert_array_equal(rows, flags[3:6, :1000])
    assert file.asked[len(wanted) :] == tiles.tile_spans(file, str(path), plane, 3, 6, SHAPE[1])


def test_every_length_gives_the_right_pixels_or_none(packed):
    """However many bytes of a row there are: no pixel is made of what follows them."""
    path, flags = packed
    hdu = hdu_of(path)
    plane, file = PixelPlane.of(hdu), Fetched(path.read_bytes())
    file.need([(0, len(file.data))])
    for row in (3, 4, 5, 20):
        ((start, stop),) = tiles.tile_spans(file, str(path), plane, row, row + 1, SHAPE[1])
        data, reached = file.pread(stop - start, start), 0
        for length in range(0, stop - start + 1, 1 if stop - start < 1000 else 7):
            while reached < SHAPE[1]:
                more = min(reached + 1, SHAPE[1])
                pixels = tiles._unpacked(data[:length], more, np.dtype("i4"), 32)
                if pixels is None:
                    break
                np.testing.assert_array_equal(pixels[-50:], flags[row, :more][-50:])
                reached = more
        np.testing.assert_array_equal(tiles._unpacked(data, SHAPE[1], np.dtype("i4"), 32), flags[row])
        assert tiles._unpacked(data[:-2], SHAPE[1], np.dtype("i4"), 32) is None


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4"])
@pytest.mark.parametrize("tile", [(1, 100), (1, 33), (4, 40), (7, 100)])
def test_pixels_and_tiles_of_all_sizes(tmp_path, dtype, tile):
    info = np.iinfo(dtype)
    values = np.random.default_rng(2).integers(info.min, info.max, (23, 100), endpoint=True).astype(dtype)
    path = write(tmp_path / "a.fits", values, tile_shape=tile)
    for y_lo, y_hi, x_hi in ((0, 23, 100), (5, 6, 1), (20, 23, 67), (8, 13, 40)):
        rows = unpacked(path, y_lo, y_hi, x_hi)
        np.testing.assert_array_equal(rows.astype(dtype), values[y_lo:y_hi, :x_hi])


def test_a_row_that_is_cut_short(packed, tmp_path):
    """Its tile table says that it has fewer bytes than its pixels take."""
    path, flags = packed
    hdu, content = hdu_of(path), bytearray(path.read_bytes())
    table = np.ndarray((SHAPE[0], 2), ">i4", content, hdu.data_offset)
    table[20, 0] -= 300
    damaged = tmp_path / "a.fits"
    damaged.write_bytes(content)
    with pytest.raises(ImageFileError, match=r"a\.fits: the compressed tile in bytes \d+ to \d+ ends before its pixel"):
        unpacked(damaged, 10, 51, SHAPE[1])
    np.testing.assert_array_equal(unpacked(damaged, 10, 51, 1500), flags[10:51, :1500])
    table[20, 0] = 0
    damaged.write_bytes(content)
    with pytest.raises(ImageFileError, match="tile 20 of an image has no bytes in COMPRESSED_DATA"):
        unpacked(damaged, 10, 51, 100)


def test_floating_point_numbers_are_not_read_from_rice(tmp_path):
    path = write(tmp_path / "a.fits", np.random.default_rng(1).normal(size=(60, 2040)).astype("f4"))
    with pytest.raises(ImageFileError, match=r"compressed as 'RICE_1', which changes them .* unpack it with funpack"):
        unpacked(path, 0, 5, 10)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_whatever_the_bytes_are_nothing_behind_them_is_read(monkeypatch, size):
    """Noise, zeros, and rows cut short: what would come after the bytes that the decompressor gets changes nothing."""
    rng, decode, outcomes = np.random.default_rng(3), tiles.rcomp_decode, []

    def followed(data, **options):
        one, other = (decode(data + 10_000 * more, **options) for more in (b"\0\1", b"\xaa\xcc"))
        np.testing.assert_array_equal(one, other)
        return one

    monkeypatch.setattr(tiles, "rcomp_decode", followed)
    for number in range(1500):
        length, wanted, block = (int(rng.integers(*limits)) for limits in ((0, 1500), (1, 2050), (1, 70)))
        data = rng.integers(0, 256, length).astype("u1")
        if number % 3:
            data[rng.random(length) < (0.5 if number % 3 == 1 else 0.95)] = 0
        outcomes.append(tiles._unpacked(data.tobytes(), wanted, np.dtype(f"i{size}"), block) is None)
    assert 0.05 < np.mean(outcomes) < 0.95


@pytest.mark.parametrize("block", [0, -5])
def test_a_block_without_pixels(packed, tmp_path, block):
    path, _ = packed
    content = path.read_bytes().replace(b"ZVAL1   =                   32", f"ZVAL1   = {block:>20}".encode())
    (tmp_path / "a.fits").write_bytes(content)
    with pytest.raises(ImageFileError, match="the compressed tiles of rows 10 to 51 cannot be unpacked"):
        unpacked(tmp_path / "a.fits", 10, 51, 100)
