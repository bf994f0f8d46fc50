"""The zones of a detector and the PSF of each: ``PSF`` cubes (QR2) and ``EPSF`` tables (QR3)."""

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import sha256
from math import isqrt
from threading import Lock

import numpy as np
from packaging.version import InvalidVersion, Version

from .errors import ImageFileError
from .fits_file import DTYPES, read_bytes
from .psf import PSF
from .wavelength import table_columns

ERRATUM_LAST_VERSION = Version("6.5.5")
ERRATUM_FIXED_TAG = "psffix"
CACHED_PSFS = 400  # each 0.35 MB, with the coefficients of its templates
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class PSFZones:
    """Zone centres and where the planes lie in their file.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        Zone centres, 0-based detector pixels; plane k of the file belongs to zone k.
    kind : {"optical", "effective"}
    oversampling : int
    side : int
        Cells along each axis of a plane.
    bitpix : int
        Type of the stored numbers, as in FITS.
    step : int
        Bytes from plane to plane.
    """

    x: np.ndarray
    y: np.ndarray
    kind: str
    oversampling: int
    side: int
    bitpix: int
    step: int

    def __reduce__(self):
        return shared_zones, (self.to_bytes(),)  # a process that gets many records keeps one copy

    @cached_property
    def key(self):
        """Hash of the content: files of one detector and calibration share their zones."""
        return sha256(self.to_bytes()).hexdigest()[:32]

    def to_bytes(self):
        """The zones as bytes, for `from_bytes`."""
        head = [self.kind == "effective", self.oversampling, self.side, self.bitpix, self.step]
        return np.concatenate([np.array(head, float), self.x, self.y]).tobytes()

    @classmethod
    def from_bytes(cls, data):
        """The zones that `to_bytes` wrote."""
        numbers = np.frombuffer(data)
        kind = "effective" if numbers[0] else "optical"
        x, y = numbers[5:].reshape(2, -1)
        return cls(x, y, kind, *(int(value) for value in numbers[1:5]))

    def nearest(self, x_det, y_det):
        """Zone whose centre is nearest to each position, shape (n,), int."""
        x_det, y_det = np.atleast_1d(np.asarray(x_det, float)), np.atleast_1d(np.asarray(y_det, float))
        return np.argmin((x_det[:, None] - self.x) ** 2 + (y_det[:, None] - self.y) ** 2, axis=1)

    @cached_property
    def _grid(self):
        """Zone centres along x and along y, and the number of the zone in each cell of that grid."""
        x, column = np.unique(np.round(self.x, 3), return_inverse=True)
        y, row = np.unique(np.round(self.y, 3), return_inverse=True)
        number = np.full((y.size, x.size), -1)
        number[row, column] = np.arange(self.x.size)
        return x, y, number

    def needed(self, x_lo, x_hi, y_lo, y_hi):
        """The zones that `nearest` or `around` can give for positions in a box of detector pixels.

        Returns
        -------
        ndarray of int
            In the order of the file; on a regular grid of zones, a smaller grid.
        """
        x, y, number = self._grid
        if np.any(number < 0):
            return np.arange(self.x.size)
        columns, rows = (
            slice(max(np.searchsorted(centres, low, side="right") - 1, 0), np.searchsorted(centres, high) + 1)
            for centres, low, high in ((x, x_lo, x_hi), (y, y_lo, y_hi))
        )
        return np.sort(number[rows, columns], axis=None)

    def around(self, x_det, y_det):
        """The zones around a position with their bilinear weights.

        Parameters
        ----------
        x_det, y_det : float, 0-based detector pixels

        Returns
        -------
        zones : list of int
            Up to four; on the detector's rim, and where zones are missing, fewer.
        weights : list of float
            Their sum is 1.
        """
        x, y, number = self._grid
        weights = {}
        for row, along in _two_around(y, y_det):
            for column, across in _two_around(x, x_det):
                zone = int(number[row, column])
                weights[zone] = weights.get(zone, 0.0) + along * across
        weights = {zone: weight for zone, weight in weights.items() if weight > 0}
        if -1 in weights:  # not a full grid
            return [int(self.nearest(x_det, y_det)[0])], [1.0]
        return list(weights), list(weights.values())


def _two_around(centres, position):
    """The two grid lines around a position and their weights; the outermost one beyond the rim."""
    after = int(np.clip(np.searchsorted(centres, position), 1, max(centres.size - 1, 1)))
    if centres.size == 1:
        return [(0, 1.0)]
    fraction = (position - centres[after - 1]) / (centres[after] - centres[after - 1])
    fraction = min(max(float(fraction), 0.0), 1.0)
    return [(after - 1, 1 - fraction), (after, fraction)]


@lru_cache(maxsize=64)
def shared_zones(data):
    """`PSFZones` from bytes, one object per content."""
    return PSFZones.from_bytes(data)


@dataclass(frozen=True)
class PSFPlanes:
    """The zones of one file, the first byte of plane 0, and the hash of everything."""

    zones: PSFZones
    offset: int
    key: str
    mended: bool


def read_plane(fd, path, zones, offset, zone):
    """Read the plane of a zone at its offset.

    Returns
    -------
    PSF

    Raises
    ------
    ImageFileError
        For a zone that does not exist, or a plane that is no PSF.
    """
    if not 0 <= zone < len(zones.x):
        raise ImageFileError(f"{path}: there is no PSF zone {zone}; 0 to {len(zones.x) - 1} exist.")
    dtype = DTYPES[zones.bitpix]
    data = read_bytes(fd, zones.side**2 * dtype.itemsize, offset + zone * zones.step, path)
    try:
        return PSF(np.frombuffer(data, dtype).reshape(zones.side, zones.side), zones.oversampling, zones.kind)
    except ImageFileError as error:
        raise ImageFileError(f"{path}: zone {zone}: {error}") from None


def read_psf_planes(fd, hdu, version, path):
    """Read the zones of a ``PSF`` cube or an ``EPSF`` table, and hash its content.

    Parameters
    ----------
    fd : int
        Descriptor of the open file.
    hdu : HDU
    version : str
        Pipeline version of the file (``VERSION`` in the primary header), which decides about the erratum.
    path : str
        For messages.

    Returns
    -------
    PSFPlanes
        ``mended`` tells whether the transposed zone cards of the published erratum were put right.

    Raises
    ------
    ImageFileError
        For planes that are not odd squares, and zone centres that are missing or not numbers.
    """
    if hdu.is_compressed:
        raise ImageFileError(f"{path}: {hdu.name} is tile-compressed; unpack it with funpack.")
    zones, offset, mended = read_zones(fd, hdu, version, path)
    digest = sha256(zones.to_bytes())
    for start in range(0, hdu.data_size, _CHUNK):
        digest.update(read_bytes(fd, min(_CHUNK, hdu.data_size - start), hdu.data_offset + start, path))
    return PSFPlanes(shared_zones(zones.to_bytes()), offset, digest.hexdigest()[:32], mended)


def read_zones(fd, hdu, version, path):
    """The zones of a ``PSF`` cube or an ``EPSF`` table, without a look at the planes; see `read_psf_planes`.

    Returns
    -------
    zones : PSFZones
    offset : int
        First byte of plane 0.
    mended : bool
    """
    mended = False
    if hdu.is_table:
        zones, offset = _table_zones(fd, hdu, path)
    else:
        zones, offset = _cube_zones(hdu, path), hdu.data_offset
        if has_erratum(version):
            zones, mended = _mend(zones)
    if not (np.all(np.isfinite(zones.x)) and np.all(np.isfinite(zones.y))):
        raise ImageFileError(f"{path}: a zone centre of {hdu.name} is not a number.")
    return zones, offset, mended


def has_erratum(version):
    """Whether files of this pipeline version have transposed zone cards.

    IRSA's erratum of March 2026: files with ``VERSION`` up to 6.5.5 that were not reissued (tag ``+psffix1``).
    """
    try:
        found = Version(version)
    except InvalidVersion:
        return False
    return Version(found.public) <= ERRATUM_LAST_VERSION and ERRATUM_FIXED_TAG not in (found.local or "")


def _cube_zones(hdu, path):
    shape, header = hdu.shape, hdu.header
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] % 2 == 0 or header.integer("BITPIX") not in (-32, -64):
        raise ImageFileError(f"{path}: {hdu.name} has the shape {shape} and BITPIX {header.get('BITPIX')}; "
                             "a cube (zones, k, k) of floats with odd k is needed.")  # fmt: skip
    count, side, _ = shape
    centres = [[header.number(f"{name}_{i}") for i in range(1, count + 1)] for name in ("XCTR", "YCTR")]
    if any(None in values for values in centres):
        raise ImageFileError(f"{path}: {hdu.name} has {count} planes, but not every XCTR_i and YCTR_i card.")
    x, y = np.array(centres)
    bitpix = header.integer("BITPIX")
    step = side * side * DTYPES[bitpix].itemsize
    return PSFZones(x, y, "optical", header.integer("OVERSAMP", 10), side, bitpix, step)


def _table_zones(fd, hdu, path):
    header, columns = hdu.header, table_columns(hdu, path)
    missing = {"XCENTER", "YCENTER", "EPSF"} - set(columns)
    if missing:
        raise ImageFileError(f"{path}: {hdu.name} lacks the column {', '.join(sorted(missing))}.")
    rows, width = header.integer("NAXIS2", 0), header.integer("NAXIS1", 0)
    start, dtype, count = columns["EPSF"]
    side = isqrt(count)
    if rows < 1 or side * side != count or side % 2 == 0 or dtype.kind != "f":
        raise ImageFileError(f"{path}: {hdu.name} has {rows} rows of {count} {dtype} cells; an odd square is needed.")
    table = np.frombuffer(read_bytes(fd, rows * width, hdu.data_offset, path), "u1").reshape(rows, width)
    x, y = (_column(table, *columns[name]) for name in ("XCENTER", "YCENTER"))
    oversampling = header.integer("OVSMPX", 5), header.integer("OVSMPY", 5)
    if oversampling[0] != oversampling[1]:
        raise ImageFileError(
            f"{path}: {hdu.name} is oversampled {oversampling[0]} x {oversampling[1]}; one number is needed."
        )
    zones = PSFZones(x, y, "effective", oversampling[0], side, -8 * dtype.itemsize, width)
    return zones, hdu.data_offset + start


def _column(table, offset, dtype, count):
    return np.ascontiguousarray(table[:, offset : offset + dtype.itemsize]).view(dtype)[:, 0].astype(float)


def _mend(zones):
    """Zones in the true order of the planes, plane = iy * nx + ix, from a header whose cards are transposed.

    The centres form a regular grid, so that its sorted coordinates give the centre of every (ix, iy), whichever way
    the cards mix them up. A header that is right already stays as it is.
    """
    xs, ys = (np.unique(np.round(values, 3)) for values in (zones.x, zones.y))
    if len(xs) * len(ys) != len(zones.x):
        return zones, False
    x, y = np.tile(xs, len(ys)), np.repeat(ys, len(xs))
    if np.allclose(x, zones.x, atol=0.01) and np.allclose(y, zones.y, atol=0.01):
        return zones, False
    return PSFZones(x, y, zones.kind, zones.oversampling, zones.side, zones.bitpix, zones.step), True


class PSFCache:
    """The PSFs read last, by (content hash, zone): all files of one detector share theirs."""

    def __init__(self, size=CACHED_PSFS):
        self._size, self._psfs, self._lock = size, OrderedDict(), Lock()

    def get(self, key, zone, read):
        """PSF of a zone; `read`, called without arguments, fetches it when it is not here."""
        with self._lock:
            if (key, zone) in self._psfs:
                self._psfs.move_to_end((key, zone))
                return self._psfs[key, zone]
        psf = read()
        with self._lock:
            psf = self._psfs.setdefault((key, zone), psf)
            while len(self._psfs) > self._size:
                self._psfs.popitem(last=False)
        return psf


PSF_CACHE = PSFCache()
