"""What the headers of one Level-2 file say, in a form that the image index can keep."""

import json
import os
import re
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from glue_spherex.model.detectors import DETECTORS, N_PIX
from glue_spherex.model.flags import FLAG_TABLE

from .astrometry import Astrometry, pack_wcs
from .detector_origin import detector_origin
from .errors import ImageFileError
from .exposures import exposure_of
from .fits_file import DTYPES, open_file, scan_hdus
from .pixels import PixelPlane
from .psf_zones import PSFZones, read_psf_planes
from .releases import COLLECTION_NAME, FILE_VERSION, check_release, release_of
from .wavelength import WaveTable, read_wave_table

#: Cards of IMAGE by which this program's cutouts tell what they were cut out of: pixels, and the archive's collection.
CUT_FROM, CUT_COLLECTION = "CUTFROM", "CUTCOLL"
#: An image of so few pixels is fetched, and measured, as a whole.
SMALL_PIXELS = 160**2
_BOX = re.compile(r"(\d{1,4}):(\d{1,4}),(\d{1,4}):(\d{1,4})")
_FILE_VERSION = re.compile(FILE_VERSION)
_UNITS = ("MJy/sr", "MJysr-1", "MJysr^-1", "MJysr**-1", "")
_CANONICAL_BITS = {info.name: info.bit for info in FLAG_TABLE if info.bit < 32}


class ImageRecord(NamedTuple):
    """One Level-2 spectral image: what its headers say, and where its pixels are.

    A tuple, because an index of 20,000 images is loaded with every run.

    Parameters
    ----------
    path : str
    size, mtime_ns : int
        Of the file when its headers were read; another value means that the file was replaced.
    detector : int
    obsid : str
        As ``2025W51_1A_0684_2``.
    exposure_id : int
        15 digits; IRSA's ``lvf_id``. 0 where neither EXPIDN nor OBSID tells it.
    release : str
        As ``qr2``: for what was fetched that of the archive's collection, else see `release_of`.
    deep : bool
        Whether it belongs to the deep fields.
    version : str
        Pipeline version, ``VERSION`` of the primary header.
    file_version : str
        As ``l2b-v21-2025-354``; '' where the file name does not hold it.
    mjd_begin, mjd, mjd_end : float, d
        Begin, middle and end of the exposure, UTC.
    exposure_s : float
        Exposure time; NaN without XPOSURE.
    ny, nx : int
        Shape of the images in the file.
    x0, y0 : int
        Detector pixel (0-based) of the file's pixel (0, 0).
    omega_median_arcsec2 : float
        Median pixel solid angle as the header gives it; NaN without.
    wcs_numbers : bytes
        From `pack_wcs`.
    corners : bytes
        `footprint` as float64 bytes.
    layout : str
        JSON of the image planes, see `planes`, of flags whose bits are not the canonical ones, and of `cut_from`.
    psf_offset : int
        First byte of PSF plane 0.
    psf_key : str
        Hash of the PSFs and zones; '' for a file without PSF.
    psf_fixed : bool
        Whether the transposed zone cards of IRSA's erratum were put right.
    notes : str
        What was unusual but could be dealt with, a line each.
    zones : PSFZones or None
    wave : WaveTable or None
    """

    path: str
    size: int
    mtime_ns: int
    detector: int
    obsid: str
    exposure_id: int
    release: str
    deep: bool
    version: str
    file_version: str
    mjd_begin: float
    mjd: float
    mjd_end: float
    exposure_s: float
    ny: int
    nx: int
    x0: int
    y0: int
    omega_median_arcsec2: float
    wcs_numbers: bytes
    corners: bytes
    layout: str
    psf_offset: int
    psf_key: str
    psf_fixed: bool
    notes: str
    zones: PSFZones | None = None
    wave: WaveTable | None = None

    @property
    def shape(self):
        """Shape of the images in the file, (ny, nx)."""
        return self.ny, self.nx

    @property
    def origin(self):
        """Detector pixel (x, y) of the file's pixel (0, 0)."""
        return self.x0, self.y0

    @property
    def psf_kind(self):
        """'optical', 'effective', or '' for a file without PSF."""
        return self.zones.kind if self.zones else ""

    @property
    def collection(self):
        """IRSA's collection, as ``spherex_qr2``, with ``_deep`` for the deep fields."""
        return f"spherex_{self.release}{'_deep' if self.deep else ''}"

    @property
    def obs_publisher_did(self):
        """IRSA's identifier of the image."""
        return f"ivo://irsa.ipac/{self.collection}?{self.obsid}/D{self.detector}"

    @property
    def footprint(self):
        """Right ascension and declination of the outer corners, shape (4, 2), deg."""
        return np.frombuffer(self.corners).reshape(4, 2)

    @property
    def planes(self):
        """`PixelPlane` by HDU name: IMAGE, FLAGS, VARIANCE and, where the file has it, ZODI."""
        return _parsed_layout(self.layout)[0]

    @property
    def moved_flags(self):
        """(bit in the file, canonical bit) of each flag that the header puts elsewhere."""
        return _parsed_layout(self.layout)[1]

    @property
    def cut_from(self):
        """(x_lo, x_hi, y_lo, y_hi), half-open detector pixels of the image that this program cut the file out of.

        None for a file that it did not make.
        """
        return _parsed_layout(self.layout)[2]

    @property
    def is_small(self):
        """Whether it is an image of at most `SMALL_PIXELS`, and not a part of one."""
        everything = self.x0, self.x0 + self.nx, self.y0, self.y0 + self.ny
        return self.nx * self.ny <= SMALL_PIXELS and self.cut_from in (None, everything)


@lru_cache(maxsize=256)
def _parsed_layout(layout):
    """What the properties of `ImageRecord` say about the pixels: most files have the layout of another one."""
    numbers = json.loads(layout)
    planes = {name: PixelPlane(*values) for name, values in numbers["planes"].items()}
    moved = tuple((bit, canonical) for bit, canonical in numbers["moved_flags"])
    return MappingProxyType(planes), moved, tuple(numbers["cut_from"]) or None


def read_record(path, check=None):
    """Read what the headers of a Level-2 file say.

    Parameters
    ----------
    path : str or path-like
    check : callable(fd, hdus, path), optional
        Looks at more of the file while it is open; raises `ImageFileError` if something is wrong with it.

    Returns
    -------
    ImageRecord

    Raises
    ------
    ImageFileError
        If the file cannot be read, is no SPHEREx Level-2 image, or lacks something that measuring needs.
    """
    path = os.path.abspath(os.fspath(path))
    fd, status = open_file(path)
    try:
        hdus = scan_hdus(fd, status.st_size, path)
        if check is not None:
            check(fd, hdus, path)
        return _record_of(fd, hdus, path, status)
    finally:
        os.close(fd)


def _record_of(fd, hdus, path, status):
    named = {}
    for hdu in hdus:
        named.setdefault(hdu.name, hdu)
    _check_planes(named, path)
    image, notes = named["IMAGE"], []
    header, version = image.header, hdus[0].header.text("VERSION")
    detector = _detector(header, path)
    obsid, exposure_id = exposure_of(header, detector, path, notes)
    x0, y0 = detector_origin(header, image.shape, path)
    wcs_numbers = pack_wcs(header, path)
    psf, wave = _psf(fd, named, version, path, notes), _wave(fd, named, path, notes)
    begin, middle, end = _times(header, path)
    layout = {
        "planes": {n: list(vars(PixelPlane.of(named[n])).values()) for n in PLANES if n in named},
        "moved_flags": _moved_flags(named["FLAGS"].header, notes),
        "cut_from": _cut_from(header),
    }
    return ImageRecord(
        path, status.st_size, status.st_mtime_ns, detector, obsid, exposure_id,
        *_collection(header, version, "EPSF" in named, path), version, _file_version(path),
        begin, middle, end, header.number("XPOSURE", np.nan), *image.shape, x0, y0,
        header.number("OMEGA_MEDIAN", np.nan), wcs_numbers, _corners(wcs_numbers, image.shape, path),
        json.dumps(layout, separators=(",", ":")), psf.offset, psf.key, psf.mended, "\n".join(notes), psf.zones, wave,
    )  # fmt: skip


PLANES = ("IMAGE", "FLAGS", "VARIANCE", "ZODI")


def _check_planes(named, path):
    found = ", ".join(name or "unnamed" for name in named)
    if "IMAGE" not in named:
        raise ImageFileError(f"{path}: there is no HDU named IMAGE (found: {found}); not a SPHEREx Level-2 image.")
    for name in PLANES:
        if name not in named:
            if name != "ZODI":
                raise ImageFileError(f"{path}: there is no HDU named {name} (found: {found}); it is needed.")
            continue
        shape = named[name].shape
        if len(shape) != 2 or min(shape) < 1 or max(shape) > N_PIX or named[name].is_table:
            raise ImageFileError(f"{path}: {name} has the shape {shape}; an image of 1 to {N_PIX} pixels is needed.")
        if PixelPlane.of(named[name]).bitpix not in DTYPES:
            raise ImageFileError(f"{path}: {name} has pixels of an unknown type; its header is damaged.")
        if shape != named["IMAGE"].shape:
            raise ImageFileError(
                f"{path}: {name} has the shape {shape}, IMAGE {named['IMAGE'].shape}; they must agree."
            )
    if PixelPlane.of(named["FLAGS"]).bitpix < 0:
        raise ImageFileError(f"{path}: FLAGS holds floating-point numbers; integers are needed.")
    unit = named["IMAGE"].header.text("BUNIT").replace(" ", "")
    if unit not in _UNITS:
        raise ImageFileError(f"{path}: BUNIT of IMAGE is {unit!r}; MJy/sr is needed.")


def _detector(header, path):
    detector = header.integer("DETECTOR")
    if detector not in DETECTORS:
        raise ImageFileError(
            f"{path}: DETECTOR of IMAGE is {header.get('DETECTOR')!r}; 1 to 6 is needed (is it a SPHEREx file?)."
        )
    return detector


def _collection(header, version, has_epsf, path):
    """Release of a file, and whether it belongs to the deep fields."""
    told = COLLECTION_NAME.fullmatch(header.text(CUT_COLLECTION))
    if not told:
        return release_of(version, has_epsf, path), is_deep(path, header)
    check_release(told[1], version, path)
    return told[1], bool(told[2])


def is_deep(path, header):
    """Whether a file belongs to the deep fields.

    No card is documented for it. A guess, to be replaced when a real deep file is seen: the word "deep" in SPS_FLAGS
    (``all_sky`` elsewhere), or a folder named as IRSA's collections (``qr2_deep``, ``spherex_qr3_deep``).
    """
    return "deep" in header.text("SPS_FLAGS").lower() or bool(re.search(r"(qr|dr)\d+_deep", path.lower()))


def _cut_from(header):
    """Detector pixels of the image that a cutout of this program was cut out of; [] for another file."""
    found = _BOX.fullmatch(header.text(CUT_FROM))
    return [min(int(number), N_PIX) for number in found.groups()] if found else []


def _file_version(path):
    match = _FILE_VERSION.search(os.path.basename(path))
    return match.group() if match else ""


def _times(header, path):
    begin, middle, end = (header.number(name) for name in ("MJD-BEG", "MJD-AVG", "MJD-END"))
    begin = header.number("MJD-OBS") if begin is None else begin
    if end is None and begin is not None:
        end = begin + header.number("TELAPSE", header.number("XPOSURE", 0.0)) / 86400
    if middle is None and begin is not None:
        middle = (begin + end) / 2
    if middle is None or not np.isfinite(middle):
        raise ImageFileError(f"{path}: IMAGE has neither MJD-AVG nor MJD-BEG nor MJD-OBS; the time is needed.")
    return middle if begin is None else begin, middle, middle if end is None else end


def _corners(wcs_numbers, shape, path):
    """The outer corners in the archive's order: (-.5, -.5), (nx - .5, -.5), (nx - .5, ny - .5), (-.5, ny - .5)."""
    ny, nx = shape
    x, y = np.array([-0.5, nx - 0.5, nx - 0.5, -0.5]), np.array([-0.5, -0.5, ny - 0.5, ny - 0.5])
    try:
        astrometry = Astrometry(wcs_numbers)
        sky = np.stack(astrometry.to_sky(x, y), axis=1)
        back = np.stack(astrometry.to_pixels(*sky.T))
    except ValueError as error:  # of WCSLIB
        reason = " ".join(str(error).split())
        raise ImageFileError(f"{path}: the WCS of IMAGE cannot be used ({reason}).") from error
    if not np.all(np.isfinite(sky)) or not np.allclose(back, [x, y], atol=1e-3):
        raise ImageFileError(
            f"{path}: the WCS of IMAGE cannot be inverted at the image's corners; its header is damaged."
        )
    return sky.tobytes()


class _NoPSF(NamedTuple):
    zones: None = None
    offset: int = 0
    key: str = ""
    mended: bool = False


def _psf(fd, named, version, path, notes):
    hdu = named.get("EPSF") or named.get("PSF")
    if hdu is None:
        notes.append("There is no HDU named PSF or EPSF; a PSF from the calibration folder is needed.")
        return _NoPSF()
    planes = read_psf_planes(fd, hdu, version, path)
    if planes.mended:
        notes.append(f"The zone cards of PSF are transposed (IRSA's erratum, VERSION {version}); they were put right.")
    return planes


def _wave(fd, named, path, notes):
    if "WCS-WAVE" not in named:
        return None
    try:
        return read_wave_table(fd, named["WCS-WAVE"], path)
    except ImageFileError as error:
        notes.append(f"WCS-WAVE is not used: {error}")
        return None


def _moved_flags(header, notes):
    """(bit in the file, canonical bit) of flags that the header of FLAGS puts on another bit.

    QR2 gives the number of the bit (``MP_<NAME>``), QR3 its mask (``MSKNnnnn`` with ``MSKMnnnn``).
    """
    bits = {}
    for keyword in header:
        if keyword.startswith("MP_"):
            bits[keyword[3:]] = header.integer(keyword, -1)
        elif keyword.startswith("MSKN"):
            mask = header.integer("MSKM" + keyword[4:], 0)
            bits[header.text(keyword).upper()] = mask.bit_length() - 1 if mask & (mask - 1) == 0 else -1
    moved = [(bit, _CANONICAL_BITS[name]) for name, bit in bits.items()
             if name in _CANONICAL_BITS and 0 <= bit < 63 and bit != _CANONICAL_BITS[name]]  # fmt: skip
    if moved:
        notes.append("FLAGS puts flags on other bits than usual (file bit, usual bit): " + str(moved))
    return moved
