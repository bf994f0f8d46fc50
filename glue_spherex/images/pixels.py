"""Boxes of pixels, read at known offsets from plain and from tile-compressed images."""

import re
from dataclasses import dataclass
from io import BytesIO

import numpy as np

from .errors import ImageFileError
from .fits_file import BLOCK, DTYPES, header_at, read_bytes

_VARIABLE_COLUMN = re.compile(r"^\s*\d*([PQ])([A-Z])")
_COLUMN = re.compile(r"^\s*(\d*)([A-Z])")
_BYTES = {"L": 1, "X": 1 / 8, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}
_ROW_READS_BELOW = 0.25  # where less than this part of each row is wanted, the rows are read one by one


@dataclass(frozen=True)
class PixelPlane:
    """Where one image lies in a file.

    Parameters
    ----------
    header_offset, data_offset : int
        First byte of the HDU's header and data.
    shape : (ny, nx)
    bitpix : int
        Pixel type of the stored (uncompressed) image, as in the FITS standard.
    bscale, bzero : float
        Value = bzero + bscale × stored.
    compressed : bool
        Whether it is tile-compressed; then only the tiles under a box are unpacked.
    """

    header_offset: int
    data_offset: int
    shape: tuple
    bitpix: int
    bscale: float = 1.0
    bzero: float = 0.0
    compressed: bool = False

    @classmethod
    def of(cls, hdu):
        """The plane of an image `HDU`."""
        header = hdu.header
        return cls(
            hdu.header_offset, hdu.data_offset, hdu.shape,
            header.integer("ZBITPIX" if hdu.is_compressed else "BITPIX"),
            header.number("BSCALE", 1.0), header.number("BZERO", 0.0), hdu.is_compressed,
        )  # fmt: skip

    def box(self, fd, path, x_lo, x_hi, y_lo, y_hi):
        """Read the half-open box ``[y_lo:y_hi, x_lo:x_hi]``, which must lie inside the image.

        Returns
        -------
        ndarray, shape (y_hi - y_lo, x_hi - x_lo)
            float64, or int64 for an unscaled integer image.
        """
        if self.compressed:
            return _unpack_box(fd, path, self, x_lo, x_hi, y_lo, y_hi)
        dtype, nx = DTYPES[self.bitpix], self.shape[1]
        width, rows = x_hi - x_lo, y_hi - y_lo
        size = dtype.itemsize
        if width < _ROW_READS_BELOW * nx:
            starts = range(self.data_offset + (y_lo * nx + x_lo) * size, self.data_offset + y_hi * nx * size, nx * size)
            data = b"".join([read_bytes(fd, width * size, start, path) for start in starts])
            stored = np.frombuffer(data, dtype).reshape(rows, width)
        else:
            data = read_bytes(fd, rows * nx * size, self.data_offset + y_lo * nx * size, path)
            stored = np.frombuffer(data, dtype).reshape(rows, nx)[:, x_lo:x_hi]
        return self._values(stored)

    def _values(self, stored):
        if self.bscale == 1.0 and self.bzero == 0.0:
            return stored.astype(np.int64 if stored.dtype.kind in "iu" else float)
        if stored.dtype.kind in "iu" and self.bscale == 1.0 and float(self.bzero).is_integer():
            return stored.astype(np.int64) + int(self.bzero)
        return stored * self.bscale + self.bzero


def _unpack_box(fd, path, plane, x_lo, x_hi, y_lo, y_hi):
    try:
        return _unpack_rows(fd, path, plane, y_lo, y_hi)[:, x_lo:x_hi]
    except ImageFileError:
        raise
    except Exception as error:  # astropy's decompressor has exception types of its own
        raise ImageFileError(
            f"{path}: the compressed tiles of rows {y_lo} to {y_hi} cannot be unpacked ({error})."
        ) from error


def _unpack_rows(fd, path, plane, y_lo, y_hi):
    """Unpack the tile rows under a box: astropy reads a FITS file made in memory that holds just those."""
    from astropy.io import fits

    header, data_offset = header_at(fd, plane.header_offset, path)
    ny, nx = plane.shape
    tile_x, tile_y = min(header.integer("ZTILE1", nx), nx), min(header.integer("ZTILE2", 1), ny)
    if min(tile_x, tile_y) < 1:
        raise ImageFileError(f"{path}: the compressed image has tiles of {tile_x} x {tile_y} pixels.")
    per_row = -(-nx // tile_x)
    first, last = y_lo // tile_y, -(-y_hi // tile_y)
    content, heap = _table_rows(fd, path, header, data_offset, first * per_row, last * per_row)
    start, stop = first * tile_y, min(last * tile_y, ny)
    changed = {
        "NAXIS2": (last - first) * per_row,
        "PCOUNT": len(heap),
        "ZNAXIS2": stop - start,
        "ZTILE1": tile_x,
        "ZTILE2": tile_y,
    }
    if "ZDITHER0" in header:  # the dither of a tile depends on its number
        changed["ZDITHER0"] = (header.integer("ZDITHER0", 1) - 1 + first * per_row) % 10000 + 1
    data = content + heap
    small = _PRIMARY + _small_header(header, changed) + data + b"\0" * (-len(data) % BLOCK)
    with fits.open(BytesIO(small), memmap=False) as hdus:
        image = hdus[1].data[y_lo - start : y_hi - start]
    return image.astype(np.int64 if image.dtype.kind in "iu" else float)


def _card(keyword, value):
    return f"{keyword:<8}= {value:>20}".ljust(80).encode("ascii")


_PRIMARY = b"".join([_card("SIMPLE", "T"), _card("BITPIX", 8), _card("NAXIS", 0), _card("EXTEND", "T"),
                     b"END".ljust(80)]).ljust(BLOCK)  # fmt: skip


def _small_header(header, changed):
    structural = ("XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "TFIELDS")
    others = [
        k
        for k in header
        if k not in structural
        and k != "THEAP"
        and (k in ("BSCALE", "BZERO", "BLANK") or k.startswith(("TTYPE", "TFORM", "TSCAL", "TZERO", "TNULL", "Z")))
    ]
    cards = []
    for keyword in (*structural, *others):
        value = changed.get(keyword, header.get(keyword))
        if isinstance(value, bool):
            value = "T" if value else "F"
        elif isinstance(value, str):
            value = "'" + value.replace("'", "''").ljust(8) + "'"
        cards.append(_card(keyword, value if isinstance(value, str) else repr(value)))
    text = b"".join(cards) + b"END".ljust(80)
    return text.ljust(-(-len(text) // BLOCK) * BLOCK)


def _table_rows(fd, path, header, data_offset, start, stop):
    """Rows ``[start:stop]`` of a tile table, and the part of its heap they point to; their pointers are moved."""
    width = header.integer("NAXIS1", 0)
    heap_offset = data_offset + header.integer("THEAP", width * header.integer("NAXIS2", 0))
    table = np.frombuffer(bytearray(read_bytes(fd, width * (stop - start), data_offset + width * start, path)), "u1")
    table = table.reshape(stop - start, width)
    pointers = _pointer_columns(header, table)
    used = [
        (int(p[:, 1][p[:, 0] > 0].min()), int((p[:, 1] + np.ceil(p[:, 0] * size).astype(np.int64)).max()))
        for p, _, _, size in pointers
        if np.any(p[:, 0] > 0)
    ]
    if not used:
        return table.tobytes(), b""
    low, high = min(u[0] for u in used), max(u[1] for u in used)
    if low < 0 or high > header.integer("PCOUNT", 0):
        raise ImageFileError(
            f"{path}: the tile table points to bytes {low} to {high} of a heap of "
            f"{header.integer('PCOUNT', 0)} bytes; the file is damaged."
        )
    for pointer, place, dtype, _ in pointers:
        pointer[:, 1] = np.where(pointer[:, 0] > 0, pointer[:, 1] - low, 0)
        table[:, place] = pointer.astype(dtype).view("u1").reshape(len(table), -1)
    return table.tobytes(), read_bytes(fd, high - low, heap_offset + low, path)


def _pointer_columns(header, table):
    """(count and offset per row, place in the row, type, bytes per element) of each variable-length column."""
    found, position = [], 0
    for i in range(1, header.integer("TFIELDS", 0) + 1):
        form = header.text(f"TFORM{i}")
        match = _COLUMN.match(form)
        count = int(match.group(1) or 1)
        size = int(np.ceil(count * _BYTES.get(match.group(2), 0)))
        variable = _VARIABLE_COLUMN.match(form)
        if variable and count:
            dtype = np.dtype(">i4" if variable.group(1) == "P" else ">i8")
            place = slice(position, position + size)
            values = np.ascontiguousarray(table[:, place]).view(dtype).astype(np.int64)
            found.append((values, place, dtype, _BYTES.get(variable.group(2), 1)))
        position += size
    return found
