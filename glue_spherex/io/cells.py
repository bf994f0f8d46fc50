"""From cells of text to values: numbers, true and false, or text that stays text."""

import numpy as np

from .errors import TableFileError

#: Most memory that one column of text may take (bytes).
MAX_TEXT_BYTES = 2 * 1024**3
_TRUE, _FALSE = {"t", "true", "1", "1.0", "y", "yes"}, {"f", "false", "0", "0.0", "n", "no"}
_NO_VALUE = {"", "null", "none", "?", "--"}


def text_array(values, where="a column", rows=0):
    """Strings as an array, unless their widest makes it absurdly large for them or for that many rows."""
    widest, rows = max(map(len, values), default=0), max(rows, len(values))
    if 4 * widest * rows > MAX_TEXT_BYTES:
        raise TableFileError(f"{where} holds a text of {widest} characters, too long for {rows} rows")
    return np.array(values, dtype=f"U{max(widest, 1)}")


def floats_from_text(cells):
    """Numbers from text; empty cells become NaN. Shape (n,), float64."""
    try:
        return np.array(list(map(float, cells)), dtype=float)
    except ValueError:
        return np.array([np.nan if c.strip().lower() in _NO_VALUE else _number(float, c) for c in cells], dtype=float)


def ints_from_text(cells):
    """Whole numbers from text: values (int64) and mask (None if nothing is missing)."""
    try:
        return np.array(list(map(int, cells)), dtype=np.int64), None
    except (ValueError, OverflowError):
        mask = np.array([c.strip().lower() in _NO_VALUE for c in cells], dtype=bool)
        values = np.array([0 if no else _number(_whole, c) for c, no in zip(cells, mask)], dtype=np.int64)
        return values, mask if mask.any() else None


def bools_from_text(cells):
    """True and false from text: values and mask (None if nothing is missing)."""
    meaning = {}
    for cell in set(cells):
        word = cell.strip().lower()
        if word not in _TRUE | _FALSE | _NO_VALUE:
            raise TableFileError(f"{cell[:40]!r} is neither true nor false")
        meaning[cell] = (word in _TRUE, word in _NO_VALUE)
    pairs = np.array([meaning[cell] for cell in cells], dtype=bool).reshape(-1, 2)
    values, mask = pairs.T.copy()
    return values, mask if mask.any() else None


def _whole(text):
    text = text.strip()
    if text[:2].lower() == "0x":
        return int(text, 16)
    try:
        number = int(text)
    except ValueError:
        number = float(text)
        if not number.is_integer() or abs(number) > 2**53:
            raise ValueError(text) from None
        number = int(number)
    if not -(2**63) <= number < 2**63:
        raise ValueError(text)
    return number


def _number(kind, text):
    try:
        return kind(text)
    except (ValueError, OverflowError):
        what = "a number" if kind is float else "a whole number of 64 bits"
        raise TableFileError(f"{text[:40]!r} is not {what}") from None


def from_text(cells):
    """Values of the plainest type that keeps every cell as it is written: whole numbers, numbers, true/false, or text.

    Text that only looks like a number stays text: ``0012``, ``+5`` and ``1_000`` are names.
    """
    filled = {c.strip() for c in cells if c.strip().lower() not in _NO_VALUE}
    if filled and all(map(_is_plain_int, filled)):
        values, mask = ints_from_text(cells)
        return values, mask
    if filled and not any(_has_leading_zero(c) or "_" in c for c in filled):
        try:
            return floats_from_text(cells), None
        except TableFileError:
            pass
    if filled and {c.lower() for c in filled} <= {"true", "false"}:
        return bools_from_text(cells)
    return text_array(list(cells)), None


def _is_plain_int(cell):
    if len(cell) > 20 or not cell.isascii() or not cell.removeprefix("-").isdigit():
        return False
    return str(int(cell)) == cell and -(2**63) <= int(cell) < 2**63


def _has_leading_zero(cell):
    digits = cell.lstrip("+-")
    return len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
