"""Tile-compressed images: unpacking only the tiles under some rows.

The convention is that of the FITS standard 4.0, section 10: a binary table with a row per tile, which points to the
tile's bytes in the heap behind the table. RICE_1, which SPHEREx uses for FLAGS, is unpacked tile by tile; for GZIP
astropy reads a small FITS file, made in memory, that holds just the tiles wanted.

RICE_1 writes one pixel after the other: the bytes up to the last pixel that is wanted are enough. How many they are is
known when they are unpacked; whoever must fetch them guesses, with something to spare (`tile_spans`).

Its decompressors trust the bytes, and read on behind the end of those that are damaged or cut short. So the bytes are
followed by others in which every code is short, and by more of them than any pixels can take; and they are unpacked
with two different ones, whose first bits differ. Where both give the same pixels, nothing but the bytes themselves was
used for them.
"""

import re
from functools import cached_property
from io import BytesIO
from math import ceil

import numpy as np
from imagecodecs import rcomp_decode

from .errors import ImageFileError
from .fits_file import BLOCK, header_at, read_bytes

#: Compressions that can be read; the decoders of the others do not survive damaged files.
COMPRESSIONS = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "NOCOMPRESS")
#: Of the bytes of a row, what is fetched beyond the share of its pixels that are wanted. In the benchmark of fetching
#: it was too little for about 3 of 100 simulated images, for which the rest of the rows is fetched as well.
SPARE_SHARE = 0.05
_RICE = ("RICE_1", "RICE_ONE")
_FILLINGS = b"\xff", b"\x55"  # a code begins with zeros up to a one: here there is a one within two bits
_COLUMN = re.compile(r"^\s*(\d*)([A-Z])([A-Z]?)")
_BYTES = {"L": 1, "X": 1 / 8, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}
_STRUCTURE = ("XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "TFIELDS")
_TABLE_CARDS = ("TTYPE", "TFORM", "TSCAL", "TZERO", "TNULL", "Z", "BLANK")


def unpack_rows(fd, path, plane, y_lo, y_hi, x_hi):
    """Unpack the pixels ``[y_lo:y_hi, :x_hi]`` of a compressed image.

    Parameters
    ----------
    fd : int or RemoteFile
        Descriptor of the open file; or a remote file of which `tile_spans` is here. What is missing is fetched.
    path : str
        For messages.
    plane : PixelPlane
    y_lo, y_hi, x_hi : int

    Returns
    -------
    ndarray, shape (y_hi - y_lo, x_hi)
        The stored numbers, before BSCALE and BZERO.

    Raises
    ------
    ImageFileError
        If the tiles are damaged.
    """
    try:
        return _unpack(fd, path, plane, y_lo, y_hi, x_hi)
    except ImageFileError:
        raise
    except Exception as error:  # the decompressors have exception types of their own
        raise ImageFileError(
            f"{path}: the compressed tiles of rows {y_lo} to {y_hi} cannot be unpacked ({error})."
        ) from error


def _unpack(fd, path, plane, y_lo, y_hi, x_hi):
    table = _table(fd, path, plane, y_lo, y_hi)
    tile_y, tile_x = tile_shape(table.header, plane.shape, path)
    start, stop = y_lo // tile_y * tile_y, min(-(-y_hi // tile_y) * tile_y, plane.shape[0])
    if table.compression in _RICE:
        rows = _unpack_rice(table, (stop - start, plane.shape[1]), (tile_y, tile_x), x_hi)
    else:
        table.fetch()
        rows = _unpack_with_astropy(table, {"ZNAXIS2": stop - start, "ZTILE1": tile_x, "ZTILE2": tile_y})[:, :x_hi]
    return rows[y_lo - start : y_hi - start]


def _table(fd, path, plane, y_lo, y_hi):
    """The part of the tile table that some rows need."""
    header, data_offset = header_at(fd, plane.header_offset, path)
    compression = header.text("ZCMPTYPE")
    if compression not in COMPRESSIONS:
        raise ImageFileError(
            f"{path}: an image is compressed as {compression!r}; use one of {', '.join(COMPRESSIONS)}."
        )
    if compression in _RICE and plane.bitpix < 0:
        raise ImageFileError(
            f"{path}: an image of floating-point numbers is compressed as {compression!r}, which changes them and is "
            "read for integers only; unpack it with funpack, or take the original file."
        )
    return TileTable(fd, path, header, data_offset, *table_rows(header, plane.shape, y_lo, y_hi, path))


def tile_spans(fd, path, plane, y_lo, y_hi, x_hi):
    """Bytes of the tiles that hold the pixels ``[y_lo:y_hi, :x_hi]``, as far as can be said before they are unpacked.

    Parameters
    ----------
    fd, path, plane, y_lo, y_hi, x_hi
        As in `unpack_rows`; the rows of the tile table must be there.

    Returns
    -------
    list of (int, int)
        First byte, and the one after the last.
    """
    table = _table(fd, path, plane, y_lo, y_hi)
    nx = plane.shape[1]
    share = x_hi / nx + SPARE_SHARE
    if table.compression not in _RICE or tile_shape(table.header, plane.shape, path) != (1, nx) or share >= 1:
        return [table.heap_span]
    spans = [table.tile_span(number) for number in range(y_hi - y_lo)]
    return [(start, start + ceil(share * (stop - start))) for start, stop in spans]


def tile_shape(header, shape, path):
    """Pixels of a tile, (ny, nx), of a compressed image of a shape."""
    ny, nx = shape
    tile_x, tile_y = min(header.integer("ZTILE1", nx), nx), min(header.integer("ZTILE2", 1), ny)
    if min(tile_x, tile_y) < 1:
        raise ImageFileError(f"{path}: the compressed image has tiles of {tile_x} x {tile_y} pixels.")
    return tile_y, tile_x


def table_rows(header, shape, y_lo, y_hi, path):
    """First row, and the one after the last, of the tile table that the rows ``[y_lo:y_hi]`` of an image need."""
    tile_y, tile_x = tile_shape(header, shape, path)
    per_row = -(-shape[1] // tile_x)
    return y_lo // tile_y * per_row, -(-y_hi // tile_y) * per_row


def _unpack_rice(table, shape, tile, x_hi):
    """Unpack the pixels ``[:, :x_hi]`` of RICE_1 tiles one by one."""
    header, (ny, nx), (tile_y, tile_x) = table.header, shape, tile
    options = {header.text(f"ZNAME{i}"): header.integer(f"ZVAL{i}") for i in range(1, 10)}
    block, size = options.get("BLOCKSIZE", 32), options.get("BYTEPIX", 4)
    rows = np.empty((ny, x_hi), "u1" if size == 1 else f"i{size}")  # bytes have no sign in FITS
    corners = [(y, x) for y in range(0, ny, tile_y) for x in range(0, nx, tile_x)]
    for number, (y, x) in enumerate(corners):
        if x >= x_hi:
            continue
        part = rows[y : y + tile_y, x : x + tile_x]
        height, width = len(part), min(tile_x, nx - x)
        wanted = part.shape[1] if height == 1 else height * width
        part[:] = _first_pixels(table, number, wanted, rows.dtype, block).reshape(height, -1)[:, : part.shape[1]]
    return rows


def _first_pixels(table, number, wanted, dtype, block):
    """The first pixels of a RICE_1 tile, shape (wanted,); what is missing of the table's tiles is fetched."""
    pixels = _unpacked(table.tile(number), wanted, dtype, block)
    if pixels is None:
        table.fetch()
        pixels = _unpacked(table.tile(number), wanted, dtype, block)
    if pixels is None:
        start, stop = table.tile_span(number)
        raise ImageFileError(
            f"{table.path}: the compressed tile in bytes {start} to {stop} ends before its pixel {wanted}; the file is "
            "damaged. Fetch it again."
        )
    return pixels


def _unpacked(data, wanted, dtype, block):
    """The first pixels of a RICE_1 tile; None if the bytes do not reach so far."""
    room = wanted * (dtype.itemsize + 1) + 16  # a code takes the bits of a pixel, one more, and five of its block
    one, other = (
        rcomp_decode(data + room * filling, shape=(wanted,), dtype=dtype, nblock=block) for filling in _FILLINGS
    )
    return one if np.array_equal(one, other) else None


def _unpack_with_astropy(table, changed):
    from astropy.io import fits

    header, heap = table.header, table.heap
    changed |= {"NAXIS2": len(table.rows), "PCOUNT": len(heap)}
    if "ZDITHER0" in header:  # the dither of a tile depends on its number
        changed["ZDITHER0"] = (header.integer("ZDITHER0", 1) - 1 + table.start) % 10000 + 1
    data = table.rows.tobytes() + heap
    small = _PRIMARY + _small_header(header, changed) + data + b"\0" * (-len(data) % BLOCK)
    with fits.open(BytesIO(small), memmap=False) as hdus:
        return hdus[1].data


class TileTable:
    """Some rows of a tile table, and the part of the heap they point to.

    Parameters
    ----------
    fd, path
        The open or remote file and its name.
    header : Header
    data_offset : int
        First byte of the table.
    start, stop : int
        Rows that are read.

    Attributes
    ----------
    rows : ndarray of uint8, shape (stop - start, NAXIS1)
        The rows, their pointers moved so that they fit `heap`.
    heap_span : (int, int)
        First byte in the file that they point to, and the one after the last.
    compression : str
    """

    def __init__(self, fd, path, header, data_offset, start, stop):
        width = header.integer("NAXIS1", 0)
        self.rows = np.frombuffer(
            bytearray(read_bytes(fd, width * (stop - start), data_offset + width * start, path)), "u1"
        ).reshape(stop - start, width)
        self._fd, self.path, self.header, self.start = fd, path, header, start
        self.compression = header.text("ZCMPTYPE")
        self._pointers, self.heap_span = {}, (data_offset, data_offset)
        places = _pointer_places(header)
        for name, (place, dtype, _) in places.items():
            self._pointers[name] = np.ascontiguousarray(self.rows[:, place]).view(dtype).astype(np.int64)
        spans = [
            (p[:, 1][p[:, 0] > 0].min(), (p[:, 1] + p[:, 0] * places[name][2]).max())
            for name, p in self._pointers.items()
            if np.any(p[:, 0] > 0)
        ]
        if not spans:
            return
        low, high = int(min(s[0] for s in spans)), int(max(s[1] for s in spans))
        if low < 0 or high > header.integer("PCOUNT", 0):
            raise ImageFileError(
                f"{path}: the tile table points to bytes {low} to {high} of a heap of "
                f"{header.integer('PCOUNT', 0)} bytes; the file is damaged."
            )
        heap_offset = data_offset + header.integer("THEAP", width * header.integer("NAXIS2", 0))
        self.heap_span = heap_offset + low, heap_offset + high
        for name, (place, dtype, _) in places.items():
            pointer = self._pointers[name]
            pointer[:, 1] = np.where(pointer[:, 0] > 0, pointer[:, 1] - low, 0)
            self.rows[:, place] = pointer.astype(dtype).view("u1").reshape(len(self.rows), -1)

    @property
    def heap(self):
        """The bytes of `heap_span`."""
        start, stop = self.heap_span
        return read_bytes(self._fd, stop - start, start, self.path)

    def tile_span(self, number):
        """First byte in the file, and the one after the last, of a tile; rows are counted from `start`."""
        length, begin = self._places[number]
        if length <= 0:
            raise ImageFileError(
                f"{self.path}: tile {self.start + number} of an image has no bytes in COMPRESSED_DATA, although it is "
                f"compressed as {self.compression}; the file is damaged, or packed in a way that is not read."
            )
        return self.heap_span[0] + begin, self.heap_span[0] + begin + length

    @cached_property
    def _places(self):
        none = np.zeros((len(self.rows), 2), int)
        return self._pointers.get("COMPRESSED_DATA", none).tolist()

    def tile(self, number):
        """The bytes of a tile; of a remote file, as far as they are here."""
        start, stop = self.tile_span(number)
        if not isinstance(self._fd, int):
            stop = min(stop, self._fd.here_until(start))
        return read_bytes(self._fd, stop - start, start, self.path)

    def fetch(self):
        """Make sure that all tiles are here."""
        if not isinstance(self._fd, int):
            self._fd.need([self.heap_span])


def _pointer_places(header):
    """Bytes in the row, type, and bytes per element of each column of variable length, by name."""
    found, position = {}, 0
    for i in range(1, header.integer("TFIELDS", 0) + 1):
        match = _COLUMN.match(header.text(f"TFORM{i}"))
        if not match:
            raise ValueError(f"TFORM{i} is {header.text(f'TFORM{i}')!r}")
        count, code, of = match.groups()
        size = int(np.ceil(int(count or 1) * _BYTES.get(code, 0)))
        if code in "PQ" and size:
            dtype = np.dtype(">i4" if code == "P" else ">i8")
            found[header.text(f"TTYPE{i}").upper()] = slice(position, position + size), dtype, int(_BYTES.get(of, 1))
        position += size
    return found


def _card(keyword, value):
    return f"{keyword:<8}= {value:>20}".ljust(80).encode("ascii")


_PRIMARY = b"".join(
    [_card("SIMPLE", "T"), _card("BITPIX", 8), _card("NAXIS", 0), _card("EXTEND", "T"), b"END".ljust(80)]
).ljust(BLOCK)


def _small_header(header, changed):
    cards = []
    for keyword in (*_STRUCTURE, *(k for k in header if k not in _STRUCTURE and k.startswith(_TABLE_CARDS))):
        value = changed.get(keyword, header.get(keyword))
        if isinstance(value, bool):
            value = "T" if value else "F"
        elif isinstance(value, str):
            value = "'" + value.replace("'", "''").ljust(8) + "'"
        cards.append(_card(keyword, value))
    text = b"".join(cards) + b"END".ljust(80)
    return text.ljust(-(-len(text) // BLOCK) * BLOCK)
