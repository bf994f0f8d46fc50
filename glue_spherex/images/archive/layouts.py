"""Where things are in the archive's files, known from the last file of the same kind.

Full frames of one detector and release have headers of the same length and pixels of the same number: what lies where
in the next one can be asked for before anything of it is known. It is only a guess that saves round trips: every header
is fetched and read, and what turns out to be elsewhere is fetched again. Compressed planes differ in length; all that
follows them is counted from the end of the file.
"""

import json
import os
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from ..astrometry import Astrometry, pack_wcs
from ..errors import ImageFileError
from ..fits_file import BLOCK, DTYPES, MAX_HDUS, check_start, end_card, hdu_at
from ..record import PLANES, detector_origin
from .boxes import PixelBox, turned
from .errors import ArchiveError, ArchiveStopped, ArchiveUnreachable

_HEADER_BLOCKS = (16, 1000)  # read where nothing is known of a header; the longest real one has 15
_PSF = ("PSF", "EPSF")


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
    psf_key: str

    @classmethod
    def of(cls, hdus, size, url, corners, psf_key):
        """The layout of a file whose headers were read."""
        image = next(hdu for hdu in hdus if hdu.name == "IMAGE")
        origin = detector_origin(image.header, image.shape, url)
        wcs, version = pack_wcs(image.header, url).hex(), hdus[0].header.text("VERSION")
        width = next((hdu.header.integer("NAXIS1", 0) for hdu in hdus if hdu.is_compressed), 0)
        corners = tuple(np.ravel(corners).tolist())
        return cls(size, _places(hdus), image.shape, origin, width, wcs, corners, version, psf_key)

    def fits(self, hdus, size, psf_key):
        """Whether the guesses that come from it are right for a file whose headers were read."""
        shift = size - self.size
        mine = [(p.name, p.header_offset + shift * p.moves, p.data_offset + shift * p.moves) for p in self.places]
        return psf_key == self.psf_key and mine == [(h.name, h.header_offset, h.data_offset) for h in hdus]

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
        result = []
        for place in self.places:
            if place.moves and size is None:
                continue
            shift = size - self.size if place.moves else 0
            result.append((place.header_offset + shift, place.data_offset + shift))
            if place.name == "WCS-WAVE":
                result.append((place.data_offset + shift, place.data_offset + shift + place.data_size))
            for box in boxes:
                result += self._pixels(place, box, place.data_offset + shift)
        return result

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


def read_layout(path):
    """The layout in a file; None if there is none that can be used."""
    try:
        return _read_layout(str(path), os.stat(path).st_mtime_ns)
    except (OSError, ValueError, TypeError, KeyError):
        return None


@lru_cache(maxsize=64)
def _read_layout(path, mtime_ns):
    return Layout.from_json(Path(path).read_text())


def locate_hdus(remote):
    """All HDUs of a remote file; headers that are not here yet are fetched one after the other.

    Parameters
    ----------
    remote : RemoteFile

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
            hdus.append(hdu_at(remote.fd, offset, remote.url))
            offset = hdus[-1].data_offset + -(-hdus[-1].data_size // BLOCK) * BLOCK
            if len(hdus) > MAX_HDUS or offset > remote.size:
                raise ArchiveError(
                    f"{remote.url}: HDU {len(hdus) - 1} ends at byte {offset}, the file at {remote.size}."
                )
    except ImageFileError as error:
        if isinstance(error, ArchiveStopped | ArchiveUnreachable):
            raise
        raise type(error)(f"{error} Nothing of it is used.") from error
    return hdus


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
