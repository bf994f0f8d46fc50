"""Changing single cards of a FITS header and leaving all others as they are; checksums of header-data units."""

import os
import re
from functools import lru_cache

import numpy as np

from ..errors import ImageFileError
from ..fits_file import BLOCK, end_card, open_file, read_bytes, scan_hdus

_VALUE = re.compile(r"\s*(?:'(?:[^']|'')*'|[^/]*)")
_NOT_IN_CHECKSUM = frozenset(b":;<=>?@[\\]^_`")
_NO_CHECKSUM = "0" * 16


def cards_of(raw):
    """The cards of a header as they are in the file, without END and what follows.

    Parameters
    ----------
    raw : bytes

    Returns
    -------
    list of str
        80 characters each.
    """
    end = end_card(raw)
    text = raw[:end].decode("ascii", "replace")
    return [text[start : start + 80] for start in range(0, len(text), 80)]


def keyword_of(card):
    """Keyword of a card, without HIERARCH; '' for a comment."""
    if card[8:10] == "= ":
        return card[:8].rstrip()
    if card.startswith("HIERARCH") and "=" in card:
        return card[8:].partition("=")[0].strip()
    return ""


@lru_cache(maxsize=8192)  # the files of a detector have the same keywords
def _keyword_of_start(start):
    """The keyword that the first ten characters of a card tell; None if they do not."""
    return None if start.startswith("HIERARCH") and start[8:] != "= " else keyword_of(start)


def card(keyword, value, comment=""):
    """A card with a bool, whole number, float or short text as its value."""
    if isinstance(value, bool):
        shown = f"{'T' if value else 'F':>20}"
    elif isinstance(value, str):
        shown = "'" + value.replace("'", "''").ljust(8) + "'"
        shown = f"{shown:<20}"
    elif isinstance(value, int | np.integer):
        shown = f"{int(value):>20}"
    else:
        shown = f"{repr(float(value)).upper():>20}"
    return f"{keyword:<8}= {shown}{' / ' + comment if comment else ''}".ljust(80)[:80]


def changed(cards, values, dropped):
    """Cards with other values in some of them, which keep their comments and places.

    Parameters
    ----------
    cards : list of str
    values : dict of str to value
        Keywords that are not there are left out.
    dropped : callable
        ``dropped(keyword)`` says whether a card is left out.

    Returns
    -------
    list of str
    """
    result = []
    for line in cards:
        name = _keyword_of_start(line[:10])
        if name is None:
            name = keyword_of(line)
        if dropped(name):
            continue
        if name in values:
            rest = line[10:]
            line = card(name, values[name], rest[_VALUE.match(rest).end() :].lstrip(" /").rstrip())
        result.append(line)
    return result


def history(text):
    """HISTORY cards with a text."""
    return [f"HISTORY {text[start : start + 72]}".ljust(80) for start in range(0, len(text), 72)]


def hdu_bytes(cards, data):
    """A header-data unit with its checksums (FITS standard 4.0, section 4.4.2.7 and appendix J).

    Parameters
    ----------
    cards : list of str
        Without END and checksums.
    data : bytes

    Returns
    -------
    bytes
        Header and data, each padded to whole blocks.
    """
    data = data + bytes(-len(data) % BLOCK)
    data_sum = ones_sum(data)
    lines = [*cards, card("CHECKSUM", _NO_CHECKSUM, "HDU checksum"), card("DATASUM", str(data_sum), "data checksum")]
    text = "".join(lines) + "END".ljust(80)
    header = text.ljust(-(-len(text) // BLOCK) * BLOCK).encode("ascii", "replace")
    encoded = _encoded(0xFFFFFFFF - ones_sum(header, data_sum))
    place = sum(map(len, cards)) + len("CHECKSUM= '")
    return header[:place] + encoded + header[place + len(encoded) :] + data


def ones_sum(data, start=0):
    """The 32-bit ones' complement sum of bytes, a multiple of four of them."""
    total = start + int(np.frombuffer(data, ">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def check_sums(path):
    """Raise ImageFileError if a FITS file is damaged, as far as its units have checksums."""
    fd, file_status = open_file(path)
    try:
        check_sums_of(fd, scan_hdus(fd, file_status.st_size, path), path)
    finally:
        os.close(fd)


def check_sums_of(fd, hdus, path):
    """As `check_sums`, of an open file whose units are known."""
    for hdu in hdus:
        if "CHECKSUM" not in hdu.header:
            continue
        stop = hdu.data_offset + hdu.data_size + -hdu.data_size % BLOCK
        if ones_sum(read_bytes(fd, stop - hdu.header_offset, hdu.header_offset, path)) not in (0, 0xFFFFFFFF):
            raise ImageFileError(f"{path}: {hdu.name or 'the primary HDU'} does not have the checksum it says.")


def _encoded(number):
    """A number as 16 letters and digits whose sum as bytes it is."""
    result = bytearray(16)
    for place in range(4):
        value = number >> 24 - 8 * place & 0xFF
        letters = [value // 4 + 48] * 4
        letters[0] += value % 4
        while any(letter in _NOT_IN_CHECKSUM for letter in letters):
            for first in (0, 2):
                if letters[first] in _NOT_IN_CHECKSUM or letters[first + 1] in _NOT_IN_CHECKSUM:
                    letters[first] += 1
                    letters[first + 1] -= 1
        for k, letter in enumerate(letters):
            result[4 * k + place] = letter
    return bytes(result[-1:] + result[:-1])
