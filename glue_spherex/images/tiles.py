"""Tile-compressed images: unpacking only the tiles under some rows.

The convention is that of the FITS standard 4.0, section 10: a binary table with a row per tile, which points to the
tile's bytes in the heap behind the table. RICE_1, which SPHEREx uses for FLAGS, is unpacked tile by tile; for GZIP
astropy reads a small FITS file, made in memory, that holds just the tiles wanted.

Tiles are unpacked as a whole: the decompressor of RICE_1 reads beyond the end of bytes that are cut short, where the
process may crash, and does not free the memory of what it could not unpack.
"""

import re
from functools import cached_property
from io import BytesIO

import numpy as np

from .errors import ImageFileError
from .fits_file import BLOCK, header_at, read_bytes

#: Compressions that can be read; the decoders of the others do not survive damaged files.
COMPRESSIONS = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "NOCOMPRESS")
_COLUMN = re.compile(r"^\s*(\d*)([A-Z])([A-Z]?)")
_BYTES = {"L": 1, "X": 1 / 8, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}
_STRUCTURE = ("XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "TFIELDS")
_TABLE_CARDS = ("TTYPE", "TFORM", "TSCAL", "TZERO", "TNULL", "Z", "BLANK")


def unpack_rows(fd, path, plane, y_lo, y_hi):
    """Unpack the rows ``[y_lo:y_hi]`` of a compressed image.

    Parameters
    ----------
    fd : int
        Descriptor of the open file.
    path : str
        For messages.
    plane : PixelPlane
    y_lo, y_hi : int

    Returns
    -------
    ndarray, shape (y_hi - y_lo, nx)
        The stored numbers, before BSCALE and BZERO.

    Raises
    ------
    ImageFileError
        If the tiles are damaged.
    """
    try:
        return _unpack(fd, path, plane, y_lo, y_hi)
    except ImageFileError:
        raise
    except Exception as error:  # the decompressor has exception types of its own
        raise ImageFileError(
            f"{path}: the compressed tiles of rows {y_lo} to {y_hi} cannot be unpacked ({error})."
        ) from error


def _unpack(fd, path, plane, y_lo, y_hi):
    header, data_offset = header_at(fd, plane.header_offset, path)
    compression = header.text("ZCMPTYPE")
    if compression not in COMPRESSIONS:
        raise ImageFileError(
            f"{path}: an image is compressed as {compression!r}; use one of {', '.join(COMPRESSIONS)}."
        )
    ny, nx = plane.shape
    tile_y, tile_x = tile_shape(header, plane.shape, path)
    lowest, highest = table_rows(header, plane.shape, y_lo, y_hi, path)
    start, stop = y_lo // tile_y * tile_y, min(-(-y_hi // tile_y) * tile_y, ny)
    table = TileTable(fd, path, header, data_offset, lowest, highest)
    rows = None
    if compression in ("RICE_1", "RICE_ONE") and plane.bitpix > 0:
        rows = _unpack_rice(table, header, (stop - start, nx), (tile_y, tile_x))
    if rows is None:
        changed = {"ZNAXIS2": stop - start, "ZTILE1": tile_x, "ZTILE2": tile_y}
        rows = _unpack_with_astropy(table, header, changed, lowest)
    return rows[y_lo - start : y_hi - start]


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


def _unpack_rice(table, header, shape, tile):
    """Unpack RICE_1 tiles one by one; None where that is not possible."""
    try:
        from astropy.io.fits.hdu.compressed._codecs import Rice1
    except ImportError:  # it is not public: astropy may move it
        return None
    pointers = table.pointers.get("COMPRESSED_DATA")
    if pointers is None or np.any(pointers[:, 0] <= 0):  # a tile kept in another column
        return None
    names = {header.text(f"ZNAME{i}"): header.integer(f"ZVAL{i}") for i in range(1, 10)}
    block, size = names.get("BLOCKSIZE", 32), names.get("BYTEPIX", 4)
    rows = np.empty(shape, "u1" if size == 1 else f"i{size}")  # bytes have no sign in FITS
    heap, ends = np.frombuffer(table.heap, "u1"), pointers.sum(axis=1)
    corners = [(y, x) for y in range(0, shape[0], tile[0]) for x in range(0, shape[1], tile[1])]
    for (y, x), (_, begin), end in zip(corners, pointers, ends, strict=True):
        part = rows[y : y + tile[0], x : x + tile[1]]
        codec = Rice1(blocksize=block, bytepix=size, tilesize=part.size)
        part[:] = codec.decode(heap[begin:end]).reshape(part.shape)
    return rows


def _unpack_with_astropy(table, header, changed, first_tile):
    from astropy.io import fits

    changed |= {"NAXIS2": len(table.rows), "PCOUNT": len(table.heap)}
    if "ZDITHER0" in header:  # the dither of a tile depends on its number
        changed["ZDITHER0"] = (header.integer("ZDITHER0", 1) - 1 + first_tile) % 10000 + 1
    data = table.rows.tobytes() + table.heap
    small = _PRIMARY + _small_header(header, changed) + data + b"\0" * (-len(data) % BLOCK)
    with fits.open(BytesIO(small), memmap=False) as hdus:
        return hdus[1].data


class TileTable:
    """Some rows of a tile table, and the part of the heap they point to.

    Parameters
    ----------
    fd, path
        The open file and its name.
    header : Header
    data_offset : int
        First byte of the table.
    start, stop : int
        Rows that are read.

    Attributes
    ----------
    rows : ndarray of uint8, shape (stop - start, NAXIS1)
        The rows, their pointers moved so that they fit `heap`.
    pointers : dict of str to ndarray, shape (stop - start, 2)
        Number of elements and first byte in `heap`, for each column of variable length.
    heap_span : (int, int)
        First byte in the file that they point to, and the one after the last.
    """

    def __init__(self, fd, path, header, data_offset, start, stop):
        width = header.integer("NAXIS1", 0)
        self.rows = np.frombuffer(
            bytearray(read_bytes(fd, width * (stop - start), data_offset + width * start, path)), "u1"
        ).reshape(stop - start, width)
        self._fd, self._path = fd, path
        self.pointers, self.heap_span = {}, (data_offset, data_offset)
        places = _pointer_places(header)
        for name, (place, dtype, _) in places.items():
            self.pointers[name] = np.ascontiguousarray(self.rows[:, place]).view(dtype).astype(np.int64)
        spans = [
            (p[:, 1][p[:, 0] > 0].min(), (p[:, 1] + p[:, 0] * places[name][2]).max())
            for name, p in self.pointers.items()
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
            pointer = self.pointers[name]
            pointer[:, 1] = np.where(pointer[:, 0] > 0, pointer[:, 1] - low, 0)
            self.rows[:, place] = pointer.astype(dtype).view("u1").reshape(len(self.rows), -1)

    @cached_property
    def heap(self):
        """The bytes of `heap_span`; read when they are asked for."""
        start, stop = self.heap_span
        return read_bytes(self._fd, stop - start, start, self._path)


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
