"""Wavelength and bandwidth at a detector position."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256

import numpy as np

from .errors import ImageFileError
from .fits_file import read_bytes

OFF_DETECTOR_PX = 8.0  # a position is extrapolated by at most this much beyond the detector's edge
_TABLE_TYPES = {"I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}


@dataclass(frozen=True, eq=False)
class WaveTable:
    """The ``WCS-WAVE`` look-up table of a Level-2 file.

    Parameters
    ----------
    x : ndarray, shape (n,)
        Control points along x, 1-based detector pixels, increasing.
    y : ndarray, shape (m,)
        The same along y.
    values : ndarray, shape (m, n, 2), um
        Central wavelength and bandwidth.
    """

    x: np.ndarray
    y: np.ndarray
    values: np.ndarray

    def __reduce__(self):
        return shared_wave_table, (self.to_bytes(),)  # a process that gets many records keeps one copy

    @cached_property
    def key(self):
        """Hash of the content: files of one detector and pipeline version share one table."""
        return sha256(self.to_bytes()).hexdigest()[:32]

    def to_bytes(self):
        """The table as bytes, for `from_bytes`."""
        sizes = np.array([len(self.x), len(self.y)], float)
        return np.concatenate([sizes, self.x, self.y, self.values.ravel()]).tobytes()

    @classmethod
    def from_bytes(cls, data):
        """The table that `to_bytes` wrote."""
        numbers = np.frombuffer(data)
        n, m = numbers[:2].astype(int)
        return cls(numbers[2 : 2 + n], numbers[2 + n : 2 + n + m], numbers[2 + n + m :].reshape(m, n, 2))

    def at(self, x_det, y_det):
        """Bilinear interpolation at detector pixels (0-based).

        Parameters
        ----------
        x_det, y_det : array_like, shape (n,)

        Returns
        -------
        wavelength, bandwidth : ndarray, shape (n,), um
            NaN more than `OFF_DETECTOR_PX` beyond the table.
        """
        x_det, y_det = np.broadcast_arrays(np.asarray(x_det, float), np.asarray(y_det, float))
        i, fx = _cell(self.x, x_det + 1)
        j, fy = _cell(self.y, y_det + 1)
        fx, fy = fx[..., None], fy[..., None]
        low = self.values[j, i] * (1 - fx) + self.values[j, i + 1] * fx
        high = self.values[j + 1, i] * (1 - fx) + self.values[j + 1, i + 1] * fx
        result = low * (1 - fy) + high * fy
        return result[..., 0], result[..., 1]


@lru_cache(maxsize=64)
def shared_wave_table(data):
    """`WaveTable` from bytes, one object per content."""
    return WaveTable.from_bytes(data)


def _cell(points, position):
    """Cell index of positions among increasing control points, and the fraction in the cell."""
    with np.errstate(invalid="ignore"):
        inside = (position >= points[0] - OFF_DETECTOR_PX) & (position <= points[-1] + OFF_DETECTOR_PX)
    i = np.clip(np.searchsorted(points, position, side="right") - 1, 0, len(points) - 2)
    fraction = (position - points[i]) / (points[i + 1] - points[i])
    return i, np.where(inside, fraction, np.nan)


def read_wave_table(fd, hdu, path):
    """Read a ``WCS-WAVE`` table.

    Parameters
    ----------
    fd : int
        Descriptor of the open file.
    hdu : HDU
    path : str
        For messages.

    Returns
    -------
    WaveTable

    Raises
    ------
    ImageFileError
        For missing columns, sizes that do not fit together, and control points that do not increase.
    """
    columns = table_columns(hdu, path)
    missing = {"X", "Y", "VALUES"} - set(columns)
    if missing:
        raise ImageFileError(f"{path}: WCS-WAVE lacks the column {', '.join(sorted(missing))}.")
    row = read_bytes(fd, hdu.header.integer("NAXIS1", 0), hdu.data_offset, path)
    x, y, values = (
        np.frombuffer(row, dtype, count, offset).astype(float)
        for offset, dtype, count in (columns[name] for name in ("X", "Y", "VALUES"))
    )
    if len(x) < 2 or len(y) < 2 or values.size != 2 * len(x) * len(y):
        raise ImageFileError(f"{path}: WCS-WAVE has {len(x)} x {len(y)} control points and {values.size} values; "
                             "two values per point are needed.")  # fmt: skip
    values = values.reshape(len(y), len(x), 2)
    if x[0] > x[-1]:
        x, values = x[::-1], values[:, ::-1]
    if y[0] > y[-1]:
        y, values = y[::-1], values[::-1]
    if np.any(np.diff(x) <= 0) or np.any(np.diff(y) <= 0):
        raise ImageFileError(f"{path}: the control points of WCS-WAVE are not in order.")
    return shared_wave_table(WaveTable(x, y, values).to_bytes())


def table_columns(hdu, path):
    """Byte offset in the row, dtype and count of each numeric column of a binary table, by name."""
    header, offset, columns = hdu.header, 0, {}
    for i in range(1, header.integer("TFIELDS", 0) + 1):
        form = header.text(f"TFORM{i}")
        count, code = form[:-1].strip() or "1", form[-1:]
        if code not in _TABLE_TYPES or not count.isdigit():
            raise ImageFileError(
                f"{path}: TFORM{i} of {hdu.name} is {form!r}; a count and one of I, J, K, E, D is needed."
            )
        dtype = np.dtype(_TABLE_TYPES[code])
        columns[header.text(f"TTYPE{i}").upper()] = (offset, dtype, int(count))
        offset += int(count) * dtype.itemsize
    if offset > header.integer("NAXIS1", 0):
        raise ImageFileError(
            f"{path}: the columns of {hdu.name} need {offset} bytes, its rows have {header.get('NAXIS1')}."
        )
    return columns
