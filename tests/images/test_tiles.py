"""Compressed rows of which only the beginning is there, as when parts of a remote file are fetched."""

import os

import numpy as np
import pytest
from astropy.io import fits

from glue_spherex.images import tiles
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
    hdu = fits.CompImageHDU(flags.astype("i4"), name="FLAGS", compression_type="RICE_1", tile_shape=(1, SHAPE[1]))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path, flags


def opened(path):
    """The plane of FLAGS, and the file with its headers and tile table only."""
    fd = os.open(path, os.O_RDONLY)
    try:
        hdu = scan_hdus(fd, path.stat().st_size, str(path))[1]
    finally:
        os.close(fd)
    file = Fetched(path.read_bytes())
    file.need([(0, hdu.data_offset + SHAPE[0] * hdu.header.integer("NAXIS1"))])
    file.asked.clear()
    return PixelPlane.of(hdu), file


@pytest.mark.parametrize("x_hi", [1, 41, 32, 500, 1000, 1025, 1700, 1950, 2039, 2040])
def test_the_beginning_of_rows_is_enough(packed, x_hi):
    path, flags = packed
    plane, file = opened(path)
    wanted = tiles.wanted_spans(file, str(path), plane, 10, 51, x_hi)
    file.need(wanted)
    rows = tiles.unpack_rows(file, str(path), plane, 10, 51, x_hi)
    np.testing.assert_array_equal(rows[:, :x_hi], flags[10:51, :x_hi])
    assert file.asked == wanted
    whole = tiles.wanted_spans(file, str(path), plane, 10, 51, SHAPE[1])
    (one,) = whole
    share = sum(stop - start for start, stop in wanted) / (one[1] - one[0])
    assert share < min((x_hi + 32) / SHAPE[1] + tiles.SPARE_SHARE + 0.01, 1.01)


def test_rows_that_need_more_than_their_share_are_fetched(packed):
    """Most of their bytes are those of the first pixels."""
    path, flags = packed
    plane, file = opened(path)
    wanted = tiles.wanted_spans(file, str(path), plane, 3, 6, 1000)
    file.need(wanted)
    rows = tiles.unpack_rows(file, str(path), plane, 3, 6, 1000)
    np.testing.assert_array_equal(rows[:, :1000], flags[3:6, :1000])
    assert file.asked[: len(wanted)] == wanted
    assert file.asked[len(wanted) :] == tiles.wanted_spans(file, str(path), plane, 3, 6, SHAPE[1])


def test_messages_of_the_decompressor_that_are_not_known(packed, monkeypatch):
    """Another version of astropy may word them in another way, or hide it: all of the rows are used then."""
    path, flags = packed
    for codec in (None, _Mute):
        plane, file = opened(path)
        file.need(tiles.wanted_spans(file, str(path), plane, 10, 51, 700))
        monkeypatch.setattr(tiles, "_rice", lambda header, codec=codec: (codec, "i4"))
        rows = tiles.unpack_rows(file, str(path), plane, 10, 51, 700)
        np.testing.assert_array_equal(rows[:, :700], flags[10:51, :700])


class _Mute:
    """A decompressor that unpacks whole rows only, and does not say what is wrong with others."""

    def __init__(self, tilesize):
        from astropy.io.fits.hdu.compressed._codecs import Rice1

        self._codec, self._pixels = Rice1(blocksize=32, bytepix=4, tilesize=tilesize), tilesize

    def decode(self, data):
        if self._pixels < SHAPE[1]:
            raise RuntimeError("no")
        return self._codec.decode(data)
