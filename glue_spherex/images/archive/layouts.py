"""Where things are in the archive's files, known from earlier files of the same kind.

Full frames of one detector and release have pixels of the same number and headers of a few different lengths: what lies
where in the next one can be asked for before anything of it is known. It is only a guess that saves round trips: every
header is fetched and read, and what turns out to be elsewhere is fetched again. Compressed planes differ in length; all
that follows them is counted from the end of the file.
"""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from math import inf
from pathlib import Path

import numpy as np

from glue_spherex.model.detectors import N_PIX

from ..astrometry import Astrometry, pack_wcs
from ..detector_origin import detector_origin
from ..errors import ImageFileError
from ..fits_file import BLOCK, DTYPES, MAX_HDUS, check_start, end_card, hdu_at
from ..record import PLANES
from .boxes import PixelBox, turned
from .errors import ArchiveError, ArchiveStopped, ArchiveUnreachable

_HEADER_BLOCKS = (16, 1000)  # read where nothing is known of a header; the longest real one has 15
_PSF = ("PSF", "EPSF")
#: Bytes of the data that are fetched as a whole, and of a compressed plane; real files have 0.1, 5 and 12 MB.
_MOST_BYTES = {"WCS-WAVE": 1_000_000, "PSF": 20_000_000, "EPSF": 20_000_000}
_MOST_COMPRESSED = N_PIX * 20_000
_MOST_LAYOUTS = 8  # of a detector and release; the one that was not seen for longest goes


@dataclass(frozen=True)
class Place:
    """Where an HDU is.

    Parameters
    ----------
    name : str
    header_offset, data_offset, data_size : int
    bitpix : int
        0 for what is no plain image.
    moves : bool
        Whether it is counted from the end of the file, because a compressed plane lies before it.
    """

    name: str
    header_offset: int
    data_offset: int
    data_size: int
    bitpix: int
    moves: bool


@dataclass(frozen=True)
class Layout:
    """What is known of a kind of files.

    Parameters
    ----------
    size : int
        Bytes of the file that it is known from.
    places : tuple of Place
    shape : (ny, nx)
    origin : (x0, y0)
        Detector pixel of the file's pixel (0, 0).
    table_width : int
        Bytes in a row of the tile table of compressed FLAGS; 0 without.
    wcs : str
        `pack_wcs`, hexadecimal.
    corners : tuple
        Corners of the exposure as the archive's search told them, to compare with those of another one.
    version : str
        Pipeline version of the file.
    file_version : str
        As the file name tells it.
    psf_key : str
        Of its PSFs in the library; '' without.
    """

    size: int
    places: tuple
    shape: tuple
    origin: tuple
    table_width: int
    wcs: str
    corners: tuple
    version: str
    file_version: str
    psf_key: str

    @classmethod
    def of(cls, hdus, size, url, found, psf_key):
        """The layout of a file whose headers were read."""
        image = next(hdu for hdu in hdus if hdu.name == "IMAGE")
        origin = detector_origin(image.header, image.shape, url)
        wcs, version = pack_wcs(image.header, url).hex(), hdus[0].header.text("VERSION")
        width = next((hdu.header.integer("NAXIS1", 0) for hdu in hdus if hdu.is_compressed), 0)
        corners = tuple(np.ravel(found.footprint).tolist())
        return cls(
            size, _places(hdus), image.shape, origin, width, wcs, corners, version, found.file_version, psf_key
        )  # fmt: skip

    def fits(self, hdus, size, psf_key):
        """Whether the guesses that come from it are right for a file whose headers were read."""
        shift = size - self.size
        mine = [(p.name, p.header_offset + shift * p.moves, p.data_offset + shift * p.moves) for p in self.places]
        return psf_key == self.psf_key and mine == [(h.name, h.header_offset, h.data_offset) for h in hdus]

    def begins_as(self, hdus):
        """Whether the first HDUs of a file lie where it says."""
        mine = [(p.name, p.header_offset, p.data_offset) for p in self.places[: len(hdus)]]
        return mine == [(h.name, h.header_offset, h.data_offset) for h in hdus]

    def to_json(self):
        """The layout as text, for `from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text):
        """The layout that `to_json` wrote; ValueError, TypeError or KeyError for anything else."""
        values = json.loads(text)
        values["places"] = tuple(Place(**place) for place in values["places"])
        return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})

    def spans(self, boxes, size=None):
        """What is needed of another file of this kind, as far as it can be said.

        Parameters
        ----------
        boxes : list of PixelBox
            Pixels that will be wanted.
        size : int, optional
            Bytes of that file, for what is counted from its end.

        Returns
        -------
        list of (int, int)
        """
        result = self.headers(size)
        for place, shift in self._told(size):
            if place.name == "WCS-WAVE":
                result.append((place.data_offset + shift, place.data_offset + shift + place.data_size))
            for box in boxes:
                result += self._pixels(place, box, place.data_offset + shift)
        return result

    def headers(self, size=None):
        """As `spans`: what is needed of the headers alone."""
        return [(place.header_offset + shift, place.data_offset + shift) for place, shift in self._told(size)]

    def _told(self, size):
        """What can be said of a file: places, and by how much they are moved."""
        if size is None:
            return [(place, 0) for place in self.places if not place.moves]
        return [(place, (size - self.size) * place.moves) for place in self.places]

    def _pixels(self, place, box, start):
        x_lo, x_hi, y_lo, y_hi = box.in_file(self.origin)
        ny, nx = self.shape
        if min(x_lo, y_lo) < 0 or x_hi > nx or y_hi > ny:
            return []
        if place.bitpix:
            width = DTYPES[place.bitpix].itemsize
            return [(start + (y * nx + x_lo) * width, start + (y * nx + x_hi) * width) for y in range(y_lo, y_hi)]
        if place.name == "FLAGS" and self.table_width:  # a row of the table for each row of pixels
            return [(start + y_lo * self.table_width, start + y_hi * self.table_width)]
        return []

    def psf_data(self, size=None):
        """First byte of the PSFs in a file of this kind; None if that cannot be said."""
        for place in self.places:
            if place.name in _PSF and not (place.moves and size is None):
                return place.data_offset + (size - self.size if place.moves else 0)
        return None

    @cached_property
    def _astrometry(self):
        return Astrometry(bytes.fromhex(self.wcs), self.origin)

    @property
    def held(self):
        """Detector pixels in the file, a PixelBox."""
        (ny, nx), (x0, y0) = self.shape, self.origin
        return PixelBox(x0, x0 + nx, y0, y0 + ny)

    def positions(self, ra, dec, corners):
        """Where things are on another exposure, detector pixels; NaN where that cannot be said."""
        known = np.reshape(self.corners, (4, 2))
        x, y = self._astrometry.to_pixels(*turned(ra, dec, corners, known))
        return x + self.origin[0], y + self.origin[1]


def _places(hdus):
    places, moves = [], False
    for hdu in hdus:
        plain = hdu.name in PLANES and not hdu.is_compressed
        bitpix = hdu.header.integer("BITPIX", 0) if plain else 0
        places.append(Place(hdu.name, hdu.header_offset, hdu.data_offset, hdu.data_size, bitpix, moves))
        moves |= hdu.is_compressed
    return tuple(places)


def known_layouts(image, store):
    """What is known of the files of a detector and release.

    Parameters
    ----------
    image : ArchiveImage
        Of which something is wanted.
    store : CutoutStore

    Returns
    -------
    list of Layout
        The likeliest first: of the same file version, and seen last.
    """
    found = []
    for mtime_ns, path in _files(image, store):
        try:
            found.append(_read_layout(path, mtime_ns))
        except (OSError, ValueError, TypeError, KeyError):  # damaged, or of another version of this program
            continue
    return sorted(found, key=lambda layout: layout.file_version != image.file_version)


def keep_layout(layout, image, store):
    """Keep a layout, as the one that was seen last."""
    lengths = [(place.name, place.data_offset - place.header_offset) for place in layout.places]
    kind = json.dumps([layout.file_version, layout.psf_key, lengths])
    name = f"{_stem(image)}{hashlib.sha256(kind.encode()).hexdigest()[:16]}.json"
    store.write(store.layouts / name, layout.to_json().encode())
    for _, path in _files(image, store)[_MOST_LAYOUTS:]:
        Path(path).unlink(missing_ok=True)


def _files(image, store):
    """(time of change in ns, path) of the files of layouts, the one seen last first."""
    found, stem = [], _stem(image)
    try:
        with os.scandir(store.layouts) as entries:
            for entry in entries:
                if entry.name.startswith(stem):
                    with suppress(FileNotFoundError):  # removed by another process
                        found.append((entry.stat().st_mtime_ns, entry.path))
    except FileNotFoundError:  # none yet
        pass
    return sorted(found, reverse=True)


def _stem(image):
    return f"{image.release}_D{image.detector}_"


@lru_cache(maxsize=64)
def _read_layout(path, mtime_ns):
    return Layout.from_json(Path(path).read_text())


def locate_hdus(remote, to_compressed=False):
    """All HDUs of a remote file; headers that are not here yet are fetched one after the other.

    Parameters
    ----------
    remote : RemoteFile
    to_compressed : bool
        Whether the first compressed one is the last.

    Returns
    -------
    list of HDU

    Raises
    ------
    ArchiveError
        If this is no FITS file, or damaged.
    """
    hdus, offset = [], 0
    try:
        while not hdus or offset < remote.size:
            _fetch_header(remote, offset)
            if not hdus:
                check_start(remote.read(0, 30), remote.size, remote.url)
            hdus.append(hdu_at(remote, offset, remote.url))
            _check_size(hdus[-1], remote.url)
            offset = hdus[-1].data_offset + -(-hdus[-1].data_size // BLOCK) * BLOCK
            if len(hdus) > MAX_HDUS or offset > remote.size:
                raise ArchiveError(
                    f"{remote.url}: HDU {len(hdus) - 1} ends at byte {offset}, the file at {remote.size}."
                )
            if to_compressed and hdus[-1].is_compressed:
                break
    except ImageFileError as error:
        if isinstance(error, ArchiveStopped | ArchiveUnreachable):
            raise
        raise type(error)(f"{error} Nothing of it is used.") from error
    return hdus


def _check_size(hdu, url):
    """Make sure that what is fetched of an HDU does not fill the memory, whatever its header says."""
    most = _MOST_COMPRESSED if hdu.is_compressed else _MOST_BYTES.get(hdu.name, inf)
    if hdu.data_size > most:
        raise ArchiveError(f"{url}: {hdu.name} has {hdu.data_size} bytes of data; at most {most} are accepted.")


def _fetch_header(remote, offset):
    """Make sure that all of a header is here."""
    for blocks in (0, *_HEADER_BLOCKS):
        remote.need([(offset, offset + blocks * BLOCK)])
        header = remote.read(offset, remote.here_until(offset))
        if header and not header.startswith((b"XTENSION=", b"SIMPLE  =")):
            return
        if end_card(header) is not None:
            return


def begin(remote):
    """Fetch the beginning of a file of which nothing is known."""
    remote.need([(0, _HEADER_BLOCKS[0] * BLOCK)])


def psf_hdu(hdus):
    """The HDU with the PSFs, or None."""
    found = [hdu for hdu in hdus if hdu.name in _PSF]
    return next((hdu for hdu in found if hdu.name == "EPSF"), found[0] if found else None)
