"""Where things lie in a FITS file, and reading only what is asked for.

Level-2 files are opened by the thousand, for 25 x 25 pixels each. Walking through the headers of one file takes
milliseconds, its pixels take microseconds. So the headers are read once, with the small parser below, the offsets are
kept in the image index, and pixels are read at their offsets. The layout follows the FITS standard 4.0 (Pence et al.
2010, A&A 524, A42, and the later revisions).
"""

import os
import re
import stat
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod

import numpy as np

from .errors import ImageFileError

BLOCK = 2880
MAX_HEADER_BLOCKS = 1000  # 36,000 cards: far above any real header, far below what would fill the memory
MAX_HDUS = 64
DTYPES = {8: np.dtype("u1"), 16: np.dtype(">i2"), 32: np.dtype(">i4"), 64: np.dtype(">i8"),
          -32: np.dtype(">f4"), -64: np.dtype(">f8")}  # fmt: skip
_READ_AHEAD = 8 * BLOCK
_CARDS = re.compile(r"(.{8})= (.{0,70})|.{1,80}", re.DOTALL)  # name and value; both empty for other lines
_STRING = re.compile(r"\s*'((?:[^']|'')*)'")


class Header:
    """The cards of one HDU: keyword to value, the first card of a name counts.

    Values are parsed when they are asked for. ``HIERARCH`` keywords are stored without that word.
    """

    __slots__ = ("_cards",)

    def __init__(self, text):
        found = _CARDS.findall(text)
        found.reverse()
        cards = {}
        if "HIERARCH" in text:
            for start in range(len(text) // 80 * 80, -80, -80):
                if text.startswith("HIERARCH", start) and "=" in (card := text[start + 8 : start + 80]):
                    name, _, rest = card.partition("=")
                    cards[name.strip().ljust(8)] = rest
        cards.update(found)  # names are filled up to eight letters, as they are in the file: that saves half the time
        cards.pop("", None)
        self._cards = cards

    def __contains__(self, keyword):
        return keyword.ljust(8) in self._cards

    def __iter__(self):
        return iter([keyword.rstrip() for keyword in reversed(self._cards)])

    def get(self, keyword, default=None):
        """Value of a card (str, bool, int or float), or `default` where it is missing or cannot be read."""
        rest = self._cards.get(keyword.ljust(8))
        if rest is None:
            return default
        match = _STRING.match(rest)
        if match:
            return match.group(1).replace("''", "'").rstrip()
        word = rest.partition("/")[0].strip()
        if word in ("T", "F"):
            return word == "T"
        try:
            return int(word)
        except ValueError:
            pass
        try:
            return float(word.replace("D", "E").replace("d", "e"))
        except ValueError:
            return default

    def number(self, keyword, default=None):
        """Value of a card as a float; a number in quotes counts, anything else gives `default`."""
        rest = self._cards.get(keyword.ljust(8))
        if rest is None:
            return default
        try:
            return float(rest.partition("/")[0])  # nearly every card ends here
        except ValueError:
            value = self.get(keyword)
        try:
            return default if value is None or isinstance(value, bool) else float(value)
        except ValueError:
            return default

    def integer(self, keyword, default=None):
        """Value of a card as an int (15 digits stay exact); anything that is not whole gives `default`."""
        rest = self._cards.get(keyword.ljust(8))
        if rest is None:
            return default
        try:
            return int(rest.partition("/")[0])  # nearly every card ends here
        except ValueError:
            value = self.get(keyword)
        if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d+\s*", value):
            return int(value)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value if isinstance(value, int) and not isinstance(value, bool) else default

    def text(self, keyword, default=""):
        """Value of a card as a str, without trailing blanks."""
        value = self.get(keyword)
        return default if value is None else str(value).strip()


@dataclass(frozen=True)
class HDU:
    """One header-data unit: its name, cards, and where its bytes are."""

    name: str
    header: Header
    header_offset: int
    data_offset: int
    data_size: int

    @cached_property
    def is_compressed(self):
        """Whether it is a tile-compressed image."""
        return self.header.get("ZIMAGE") is True

    @property
    def is_table(self):
        """Whether it is a binary table (and not an image in disguise)."""
        return self.header.text("XTENSION") == "BINTABLE" and not self.is_compressed

    @cached_property
    def shape(self):
        """Shape of its image in numpy order, () without one."""
        prefix = "ZNAXIS" if self.is_compressed else "NAXIS"
        count = self.header.integer(prefix, 0)
        return tuple(self.header.integer(f"{prefix}{i}", 0) for i in range(count, 0, -1))


def open_file(path):
    """Open a regular file for reading.

    Returns
    -------
    fd : int
        File descriptor; the caller closes it.
    status : os.stat_result

    Raises
    ------
    ImageFileError
        If the file is missing, not a regular file (a pipe or socket would wait for ever) or may not be read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ImageFileError(f"{path}: is not a regular file; a FITS file is needed.")
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise ImageFileError(f"{path}: no such file.") from None
    except PermissionError as error:
        raise ImageFileError(f"{path}: may not be read; check its permissions.") from error
    except (OSError, ValueError) as error:
        raise ImageFileError(f"{path}: cannot be opened ({error}).") from error
    return fd, os.fstat(fd)


def read_bytes(fd, size, offset, path):
    """Read exactly `size` bytes at `offset`; ImageFileError where the file ends or the disk fails before.

    `fd` is a descriptor, or an object with its own ``pread(size, offset)``.
    """
    data = _read_some(fd, size, offset, path)
    while len(data) < size:
        more = _read_some(fd, size - len(data), offset + len(data), path)
        if not more:
            break
        data += more
    if len(data) < size:
        raise ImageFileError(
            f"{path}: is truncated: {size} bytes are needed at byte {offset}, {len(data)} are there. Fetch it again."
        )
    return data


def _read_some(fd, size, offset, path):
    try:
        return os.pread(fd, size, offset) if isinstance(fd, int) else fd.pread(size, offset)
    except OSError as error:
        raise ImageFileError(f"{path}: reading byte {offset} failed ({error}).") from error


def scan_hdus(fd, size, path):
    """Find all HDUs of an open FITS file by walking from header to header.

    Parameters
    ----------
    fd : int
        Descriptor of the open file.
    size : int
        Bytes in the file.
    path : str
        For messages.

    Returns
    -------
    list of HDU
        In file order, at most `MAX_HDUS`.

    Raises
    ------
    ImageFileError
        If this is not FITS, a header has no end, or a unit's data would reach beyond the end of the file.
    """
    hdus, offset = [], 0
    check_start(_read_some(fd, 30, 0, path), size, path)
    while offset < size and len(hdus) < MAX_HDUS:
        found = _read_header(fd, offset, path, first=not hdus)
        if found is None:  # padding or special records after the last HDU
            break
        header, data_offset = found
        data_size = _data_size(header, path)
        hdu = HDU(header.text("EXTNAME").upper(), header, offset, data_offset, data_size)
        if data_offset + data_size > size:
            raise ImageFileError(
                f"{path}: is truncated: HDU {len(hdus)} ({hdu.name or 'unnamed'}) ends at byte "
                f"{data_offset + data_size}, the file at {size}. Fetch it again."
            )
        hdus.append(hdu)
        offset = data_offset + -(-data_size // BLOCK) * BLOCK
    return hdus


def header_at(fd, offset, path):
    """Header of one HDU at a known offset: `Header` and the offset of its data."""
    found = _read_header(fd, offset, path, first=offset == 0)
    if found is None:
        raise ImageFileError(f"{path}: no HDU starts at byte {offset}; the file was replaced.")
    return found


def hdu_at(fd, offset, path):
    """The `HDU` whose header begins at a known offset; see `header_at`."""
    header, data_offset = header_at(fd, offset, path)
    return HDU(header.text("EXTNAME").upper(), header, offset, data_offset, _data_size(header, path))


def check_start(start, size, path):
    """Raise ImageFileError if the first bytes of a file of some size are not those of FITS."""
    if size == 0:
        raise ImageFileError(f"{path}: is empty.")
    if start[:2] == b"\x1f\x8b" or start[:3] == b"BZh" or start[:2] == b"PK":
        raise ImageFileError(f"{path}: is packed (gzip, bzip2 or zip); unpack it, so that single pixels can be read.")
    if not start.startswith(b"SIMPLE  ="):
        raise ImageFileError(f"{path}: is not a FITS file (it starts with {start[:9]!r}, not with 'SIMPLE  =').")


def _read_header(fd, offset, path, first):
    text, position = b"", offset
    while True:
        chunk = _read_some(fd, _READ_AHEAD, position, path)
        if position == offset and not first and not chunk.startswith(b"XTENSION="):
            return None
        text += chunk
        end = end_card(text, max(0, position - offset))
        if end is not None:
            break
        position += len(chunk)
        if len(chunk) < _READ_AHEAD or position - offset > MAX_HEADER_BLOCKS * BLOCK:
            kind = "is truncated: " if len(chunk) < _READ_AHEAD else ""
            raise ImageFileError(f"{path}: {kind}the header at byte {offset} has no END card.")
    header = _parsed(text[:end])
    return header, offset + -(-(end + 80) // BLOCK) * BLOCK


@lru_cache(maxsize=256)  # some for each of the threads that fetch
def _parsed(text):
    """The `Header` of a text; those of a file that is fetched in parts are looked at several times."""
    return Header(text.decode("ascii", "replace"))


def end_card(text, start=0):
    """Position of the END card at or after `start` in the bytes of a header, or None."""
    found = text.find(b"END" + b" " * 77, start)
    while found >= 0 and found % 80:
        found = text.find(b"END" + b" " * 77, found + 1)
    return found if found >= 0 else None


def _data_size(header, path):
    bitpix, naxis = header.integer("BITPIX", 0), header.integer("NAXIS", -1)
    if bitpix not in DTYPES or not 0 <= naxis <= 999:
        raise ImageFileError(
            f"{path}: BITPIX is {header.get('BITPIX')!r} and NAXIS {header.get('NAXIS')!r} in an HDU; not valid FITS."
        )
    axes = [header.integer(f"NAXIS{i}", -1) for i in range(1, naxis + 1)]
    pcount, gcount = header.integer("PCOUNT", 0), header.integer("GCOUNT", 1)
    if any(n < 0 for n in axes) or pcount < 0 or gcount < 0:
        raise ImageFileError(f"{path}: an HDU has the axes {axes}, PCOUNT {pcount}, GCOUNT {gcount}; not valid FITS.")
    return abs(bitpix) // 8 * gcount * (pcount + prod(axes)) if naxis else 0
