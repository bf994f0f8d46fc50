"""Small Level-2 files cut out of larger ones, as the archive's cutout service would make them.

The images are cropped, and the reference pixels of the three coordinate systems (sky, active pixels ``A``, wavelength
``W``) move along; all other cards stay. Pixels are copied byte by byte, so that whatever is measured on the cutout is
the same to the last bit. Unlike the service, only those PSF zones are copied that positions in the box can need, FLAGS
are stored without compression, and each unit has checksums.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..errors import ImageFileError
from ..fits_file import DTYPES, HDU, header_at, read_bytes
from ..pixels import PixelPlane
from ..psf_zones import ERRATUM_FIXED_TAG, PSFZones
from ..record import CUT_COLLECTION, CUT_FROM, PLANES
from ..releases import check_release
from ..tiles import table_rows, tile_spans
from .boxes import PixelBox
from .fits_cards import card, cards_of, changed, hdu_bytes, history

#: Sources this far beside a box may be fitted along: their PSF zones are copied too.
BESIDE_PX = 8
_COMPRESSION = re.compile(
    r"XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|TTYPE\d+|TFORM\d+|THEAP|CHECKSUM|DATASUM|ZIMAGE|ZSIMPLE|ZTENSION|"
    r"ZEXTEND|ZBITPIX|ZNAXIS\d*|ZPCOUNT|ZGCOUNT|ZTILE\d+|ZNAME\d+|ZVAL\d+|ZCMPTYPE|ZQUANTIZ|ZDITHER0|ZBLANK|ZHECKSUM|"
    r"ZDATASUM|ZMASKCMP|ZBLOCKED"
)
_CUT_CARDS = tuple(f"{name:<8}=" for name in (CUT_FROM, CUT_COLLECTION))
_ZONE = re.compile(r"[XY](CTR|WID)_\d+")
_is_sum = frozenset({"CHECKSUM", "DATASUM"}).__contains__


@lru_cache(maxsize=4096)  # the files of a detector have the same keywords
def _is_of_compression(keyword):
    return _COMPRESSION.fullmatch(keyword) is not None


@dataclass(frozen=True)
class PSFSource:
    """Where the PSFs of a cutout come from: a file that holds all planes.

    Parameters
    ----------
    fd : int
    hdu : HDU
        ``PSF`` or ``EPSF``.
    zones : PSFZones
    mended : bool
        Whether the zones of the header were transposed and have been put right.
    path : str
        For messages.
    """

    fd: int
    hdu: HDU
    zones: PSFZones
    mended: bool
    path: str


def pixel_spans(fd, path, plane, box):
    """Bytes of the file that a box of a plane needs, as far as is known already.

    Parameters
    ----------
    fd, path
        The open file, for the tile table of a compressed plane, and its name.
    plane : PixelPlane
    box : (x_lo, x_hi, y_lo, y_hi)
        File pixels, half-open.

    Returns
    -------
    list of (int, int)
        First byte, and the one after the last. For a compressed plane the rows of its tile table; then see
        `packed_spans`.
    """
    x_lo, x_hi, y_lo, y_hi = box
    if plane.compressed:
        header, data_offset = header_at(fd, plane.header_offset, path)
        width = header.integer("NAXIS1", 0)
        first, last = table_rows(header, plane.shape, y_lo, y_hi, path)
        return [(data_offset + first * width, data_offset + last * width)]
    size, nx = DTYPES[plane.bitpix].itemsize, plane.shape[1]
    starts = [plane.data_offset + (y * nx + x_lo) * size for y in range(y_lo, y_hi)]
    return [(start, start + (x_hi - x_lo) * size) for start in starts]


def packed_spans(fd, path, plane, box):
    """Bytes of the compressed tiles under a box; the tile table must be there, see `pixel_spans`."""
    _, x_hi, y_lo, y_hi = box
    return tile_spans(fd, path, plane, y_lo, y_hi, x_hi) if plane.compressed else []


def cut(fd, hdus, box, origin, psf, name, collection, parent=None):
    """A cutout file.

    Parameters
    ----------
    fd : int or RemoteFile
        The open file; or a remote one of which headers, pixels, and WCS-WAVE are here.
    hdus : list of HDU
        Of this file.
    box : PixelBox
        Detector pixels; all of them in the file.
    origin : (int, int)
        Detector pixel of the file's pixel (0, 0).
    psf : PSFSource or None
        None for a file without PSFs.
    name : str
        Of the file.
    collection : str
        The archive's, which the file itself does not tell: as ``spherex_qr2_deep``.
    parent : PixelBox, optional
        Detector pixels of the archive's image, if this file is already cut out of it.

    Returns
    -------
    bytes

    Raises
    ------
    ImageFileError
        If a part cannot be read.
    """
    parts, done = [], set()
    for number, hdu in enumerate(hdus):
        if number == 0:
            parts.append(hdu_bytes(_primary_cards(fd, hdu, psf), b""))
        elif hdu.name in done:  # the first one of a name counts
            continue
        elif hdu.name in PLANES:
            parts.append(_plane(fd, hdu, box, origin, name, collection, parent))
        elif hdu.name in ("PSF", "EPSF"):
            if psf is not None and hdu.name == psf.hdu.name:
                parts.append(_psf(psf, box))
        elif hdu.name == "WCS-WAVE":
            cards = changed(_cards(fd, hdu), {}, _is_sum)
            parts.append(hdu_bytes(cards, _bytes(fd, hdu.data_offset, hdu.data_size, name)))
        done.add(hdu.name)
    return b"".join(parts)


def _bytes(fd, start, size, name):
    return read_bytes(fd, size, start, name)


def _cards(fd, hdu):
    return cards_of(_bytes(fd, hdu.header_offset, hdu.data_offset - hdu.header_offset, hdu.name))


def _primary_cards(fd, hdu, psf):
    """The cards of the primary header; its version says so where the PSF zones were put right."""
    values = {}
    version = hdu.header.text("VERSION")
    if psf is not None and psf.mended:
        values["VERSION"] = version + ("." if "+" in version else "+") + ERRATUM_FIXED_TAG + "1"
    return changed(_cards(fd, hdu), values, _is_sum)


def _plane(fd, hdu, detector_box, origin, name, collection, parent):
    """An image HDU of the box."""
    x_lo, x_hi, y_lo, y_hi = box = detector_box.in_file(origin)
    plane = PixelPlane.of(hdu)
    values = {"NAXIS1": x_hi - x_lo, "NAXIS2": y_hi - y_lo}
    for suffix in ("", "A", "W"):
        for axis, start in ((1, x_lo), (2, y_lo)):
            reference = hdu.header.number(f"CRPIX{axis}{suffix}")
            if reference is not None:
                values[f"CRPIX{axis}{suffix}"] = reference - start
    pixels = plane.stored(fd, name, *box).astype(DTYPES[plane.bitpix], copy=False).tobytes()
    if plane.compressed:
        cards = [*_image_cards(plane.bitpix, values), *changed(_cards(fd, hdu), values, _is_of_compression)]
    else:
        cards = changed(_cards(fd, hdu), values, _is_sum)
    if hdu.name == "IMAGE":
        (x0, y0), (ny, nx) = origin, plane.shape
        parent = parent or PixelBox(x0, x0 + nx, y0, y0 + ny)
        held = f"{parent.x_lo}:{parent.x_hi},{parent.y_lo}:{parent.y_hi}"
        cards = [line for line in cards if not line.startswith(_CUT_CARDS)]
        cards += [
            card(CUT_FROM, held, "detector pixels of the image it is cut from"),
            card(CUT_COLLECTION, collection, "collection of that image in the archive"),
            *history(f"Cut out of {name}"),
        ]
    return hdu_bytes(cards, pixels)


def _image_cards(bitpix, values):
    return [
        card("XTENSION", "IMAGE", "Image extension"),
        card("BITPIX", bitpix, "array data type"),
        card("NAXIS", 2, "number of array dimensions"),
        card("NAXIS1", values["NAXIS1"]),
        card("NAXIS2", values["NAXIS2"]),
        card("PCOUNT", 0, "number of parameters"),
        card("GCOUNT", 1, "number of groups"),
    ]


def _psf(psf, box):
    """The PSF HDU with the zones that the box needs, in their order."""
    kept = psf.zones.needed(
        box.x_lo - BESIDE_PX, box.x_hi - 1 + BESIDE_PX, box.y_lo - BESIDE_PX, box.y_hi - 1 + BESIDE_PX
    )
    step, hdu = psf.zones.step, psf.hdu
    data = b"".join(_bytes(psf.fd, hdu.data_offset + int(k) * step, step, psf.path) for k in kept)
    raw = _bytes(psf.fd, hdu.header_offset, hdu.data_offset - hdu.header_offset, psf.path)
    return hdu_bytes(_psf_cards(raw, hdu, psf.zones, tuple(kept.tolist())), data)


@lru_cache(maxsize=64)  # the library of PSFs gives the same zones again and again
def _psf_cards(raw, hdu, zones, kept):
    """The cards of the PSF HDU with some of its zones."""
    cards = cards_of(raw)
    if hdu.is_table:
        return changed(cards, {"NAXIS2": len(kept)}, _is_sum)
    renumbered = _zone_cards(hdu, zones, kept)
    place = next((k for k, line in enumerate(cards) if _ZONE.match(line)), len(cards))
    others = [line for line in cards[place:] if not _ZONE.match(line)]
    cards = changed([*cards[:place], *renumbered, *others], {"NAXIS3": len(kept)}, _is_sum)
    whole = f"{len(zones.x)} zones of the detector"
    return [*cards, *history(f"Planes {', '.join(str(k + 1) for k in kept)} of the {whole}")]


def _zone_cards(hdu, zones, kept):
    """XCTR, YCTR, XWID and YWID of zones, numbered anew."""
    widths = _zone_widths(hdu.header, len(zones.x))
    cards = []
    for i, k in enumerate(kept, start=1):
        for axis, centre in (("X", float(zones.x[k])), ("Y", float(zones.y[k]))):
            cards.append(card(f"{axis}CTR_{i}", centre, f"{axis} pixel at center of zone {k + 1} of the detector"))
        for axis, centre in (("X", zones.x[k]), ("Y", zones.y[k])):
            if (width := widths.get((axis, round(float(centre), 3)))) is not None:
                cards.append(card(f"{axis}WID_{i}", width, f"{axis} width of zone {k + 1} of the detector"))
    return cards


@lru_cache(maxsize=16)
def _zone_widths(header, count):
    """Width of the zones by ("X" or "Y", centre): the cards of a zone belong together, transposed or not."""
    widths = {}
    for axis in "XY":
        for i in range(1, count + 1):
            width = header.number(f"{axis}WID_{i}")
            if width is not None:
                widths[axis, round(header.number(f"{axis}CTR_{i}"), 3)] = width
    return widths


def check_cutout(record, image, box):
    """Make sure that a file is the cutout that was asked for.

    Parameters
    ----------
    record : ImageRecord
        Of the file.
    image : ArchiveImage
        What was asked for.
    box : PixelBox
        Detector pixels that must be in it.

    Raises
    ------
    ImageFileError
        If it is another exposure or detector, cannot be of that release, or holds other pixels.
    """
    found = record.obsid, record.detector
    if found != (image.obsid, image.detector):
        raise ImageFileError(
            f"{record.path}: holds {found[0]} of detector {found[1]}, but {image.obsid} of detector {image.detector} "
            "was asked for; it is not used."
        )
    check_release(image.release, record.version, record.path)
    x_lo, x_hi, y_lo, y_hi = box.in_file(record.origin)
    if min(x_lo, y_lo) < 0 or x_hi > record.nx or y_hi > record.ny:
        raise ImageFileError(
            f"{record.path}: holds {record.nx} x {record.ny} pixels from detector pixel {record.origin} on, but x "
            f"{box.x_lo} to {box.x_hi}, y {box.y_lo} to {box.y_hi} were asked for; it is not used."
        )
    if not np.isfinite(record.mjd):
        raise ImageFileError(f"{record.path}: the time of the exposure is not known; it is not used.")
