"""One SPHEREx Level-2 spectral image and the boxes cut out of it."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from glue_spherex.model.detectors import UJY_ARCSEC2_PER_MJY_SR
from glue_spherex.model.flags import FIT_MASK

from .astrometry import Astrometry
from .calibration import as_calibration
from .errors import ImageFileError
from .fits_file import open_file
from .psf import PSF
from .psf_zones import PSF_CACHE, read_plane
from .record import read_record


@dataclass(frozen=True, eq=False)
class Cutout:
    """A box of one spectral image.

    Parameters
    ----------
    x0, y0 : int
        File pixel of element [0, 0].
    x0_det, y0_det : int
        Detector pixel of element [0, 0].
    image : ndarray, shape (ny, nx), MJy/sr
    variance : ndarray, shape (ny, nx), (MJy/sr)²
    flags : ndarray of int64, shape (ny, nx)
        Bits as in `glue_spherex.model.flags`.
    zodi : ndarray, shape (ny, nx), MJy/sr, or None
        Model of the zodiacal light, still contained in `image`.
    omega_arcsec2 : ndarray, shape (ny, nx)
        Solid angle of each pixel.
    """

    x0: int
    y0: int
    x0_det: int
    y0_det: int
    image: np.ndarray
    variance: np.ndarray
    flags: np.ndarray
    zodi: np.ndarray | None
    omega_arcsec2: np.ndarray

    @property
    def shape(self):
        """(ny, nx)"""
        return self.image.shape

    @cached_property
    def ujy(self):
        """µJy per pixel for 1 MJy/sr, shape (ny, nx)."""
        return UJY_ARCSEC2_PER_MJY_SR * self.omega_arcsec2

    @cached_property
    def data_ujy(self):
        """The image in µJy per pixel, shape (ny, nx)."""
        return self.image * self.ujy

    @cached_property
    def variance_ujy(self):
        """The variance in µJy² per pixel, shape (ny, nx)."""
        return self.variance * self.ujy**2

    @cached_property
    def usable(self):
        """Pixels that a fit may use, shape (ny, nx): finite data, finite positive variance and area, no bad flag."""
        good = np.isfinite(self.image) & np.isfinite(self.variance) & (self.flags & FIT_MASK == 0)
        return good & (self.variance > 0) & np.isfinite(self.ujy) & (self.ujy > 0)


class _PSFSource(NamedTuple):
    """The PSFs of an image: zones, hash, first byte of plane 0, the calibration file (None: the image's own), name."""

    zones: object
    key: str
    offset: int
    file: object
    name: str


class SpectralImage:
    """A Level-2 spectral image: pixels, sky, wavelength and PSF at every position.

    Nothing but the record is needed to make one; the file is opened with the first pixel. Use it in a ``with`` block,
    or call `close`. It can be sent to another process, which opens the file anew.

    Parameters
    ----------
    record : ImageRecord
        From `read_record` or an `ImageIndex`.
    calibration : CalibrationFolder or path, optional
        Calibration files. Without a solid-angle map, or without wavelength maps, the file's own headers serve.
    flux_correction : bool
        Whether images of QR2 are put on the gain of QR3, when the calibration folder holds the map.

    Attributes
    ----------
    record : ImageRecord
    wavelength_source : {"CWAVE", "WCS-WAVE", "none"}
    solid_angle_source : {"SAPM", "OMEGA_MEDIAN", "WCS"}
    flux_correction_source : str
        Name of the map's file; '' where none is applied.
    psf_source : str
        'PSF' or 'EPSF' for the file's own HDU, else the name of a calibration file.

    Notes
    -----
    Pixels can be read from a file without PSFs; whatever needs one (`psf`, `psf_zones`, `psf_source`, `used`) raises
    ImageFileError where neither the file nor the calibration folder has any.
    """

    def __init__(self, record, calibration=None, flux_correction=True):
        self.record = record
        self.calibration = calibration = as_calibration(calibration)
        self._fd = None
        where = record.detector, record.release
        self._solid_angle = calibration.planes("solid_angle", *where)
        self._wavelengths = calibration.planes("spectral_wcs", *where)
        correct = flux_correction and record.release == "qr2"
        self._correction = calibration.planes("flux_correction", *where) if correct else None
        self.flux_correction_source = self._correction.name if self._correction else ""
        self.solid_angle_source = "SAPM" if self._solid_angle else (
            "OMEGA_MEDIAN" if record.omega_median_arcsec2 > 0 else "WCS")  # fmt: skip
        self.wavelength_source = "CWAVE" if self._wavelengths else ("WCS-WAVE" if record.wave else "none")

    @cached_property
    def _psf(self):
        record = self.record
        if record.zones is not None:
            source = "EPSF" if record.psf_kind == "effective" else "PSF"
            return _PSFSource(record.zones, record.psf_key, record.psf_offset, None, source)
        product = self.calibration.psf_planes(record.detector, record.release)
        if product is None:
            raise ImageFileError(
                f"{record.path}: there is no HDU named PSF or EPSF, and no average_psf or epsf file of detector "
                f"{record.detector} and release {record.release} in a calibration folder; one of them is needed."
            )
        file, planes = product
        return _PSFSource(planes.zones, planes.key, planes.offset, file, file.name)

    @property
    def psf_source(self):
        """Where the PSFs come from; `ImageFileError` if neither the file nor the calibration folder has one."""
        return self._psf.name

    @property
    def used(self):
        """What the calibration of this image rests on, a dict of str, for tables about images.

        ``calibration_files`` is JSON: path, size in bytes and time of change in ns of each file.
        """
        files = self._solid_angle, self._wavelengths, self._correction, self._psf.file
        return {
            "psf_source": self.psf_source,
            "wavelength_source": self.wavelength_source,
            "solid_angle_source": self.solid_angle_source,
            "flux_correction": self.flux_correction_source,
            "calibration_files": json.dumps([[file.path, *file.stamp] for file in files if file]),
            "notes": self.record.notes.replace("\n", " "),
        }

    @classmethod
    def open(cls, path, calibration=None, flux_correction=True):
        """Open a Level-2 file by reading its headers.

        Parameters
        ----------
        path : str or path-like
        calibration, flux_correction
            As for the class.

        Raises
        ------
        ImageFileError
            See `read_record`.
        """
        return cls(read_record(path), calibration, flux_correction)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __del__(self):
        self.close()

    def __getstate__(self):
        return {**self.__dict__, "_fd": None}

    def __repr__(self):
        record = self.record
        return f"<SpectralImage {record.obsid} D{record.detector} {record.shape} {record.release}>"

    def close(self):
        """Close the file; it is opened again when pixels are asked for."""
        fd, self.__dict__["_fd"] = self.__dict__.get("_fd"), None
        if fd is not None:
            os.close(fd)

    def _file(self):
        if self._fd is None:
            record = self.record
            fd, status = open_file(record.path)
            if (status.st_size, status.st_mtime_ns) != (record.size, record.mtime_ns):
                os.close(fd)
                raise ImageFileError(
                    f"{record.path}: was replaced since its headers were read; refresh the image index."
                )
            self._fd = fd
        return self._fd

    @cached_property
    def astrometry(self):
        """`Astrometry` between file pixels and sky."""
        return Astrometry(self.record.wcs_numbers, self.record.origin)

    @cached_property
    def wcs(self):
        """`astropy.wcs.WCS` of the file's pixels, distortion included."""
        return self.astrometry.wcs()

    def to_pixels(self, ra, dec):
        """File pixels (0-based) of sky positions in deg; NaN where there is none. See `Astrometry.to_pixels`."""
        return self.astrometry.to_pixels(ra, dec)

    def to_sky(self, x, y):
        """Right ascension and declination in deg of file pixels."""
        return self.astrometry.to_sky(x, y)

    def local_cd(self, x, y):
        """Local transform at file pixels, shape (n, 2, 2), deg/pixel: ``(dEast, dNorth) = cd @ (dx, dy)``."""
        return self.astrometry.local_cd(x, y)

    def to_detector(self, x, y):
        """Detector pixels (0-based) of file pixels."""
        return np.asarray(x) + self.record.x0, np.asarray(y) + self.record.y0

    def cutout(self, x_lo, x_hi, y_lo, y_hi):
        """Cut a box out of all planes.

        Parameters
        ----------
        x_lo, x_hi, y_lo, y_hi : int
            Half-open box in file pixels; it is clipped to the file.

        Returns
        -------
        Cutout

        Raises
        ------
        ImageFileError
            If nothing of the box lies on the image, or the file cannot be read or was replaced.
        """
        ny, nx = self.record.shape
        box = max(int(x_lo), 0), min(int(x_hi), nx), max(int(y_lo), 0), min(int(y_hi), ny)
        if box[0] >= box[1] or box[2] >= box[3]:
            raise ImageFileError(f"{self.record.path}: the box x {x_lo} to {x_hi}, y {y_lo} to {y_hi} does not touch "
                                 f"the image of {nx} x {ny} pixels.")  # fmt: skip
        fd, path, planes = self._file(), self.record.path, self.record.planes
        image, variance = (planes[name].box(fd, path, *box).astype(float, copy=False) for name in ("IMAGE", "VARIANCE"))
        flags = _canonical(planes["FLAGS"].box(fd, path, *box), self.record.moved_flags)
        zodi = planes["ZODI"].box(fd, path, *box).astype(float, copy=False) if "ZODI" in planes else None
        x0, y0 = self.record.origin
        on_detector = box[0] + x0, box[1] + x0, box[2] + y0, box[3] + y0
        if self._correction:
            factor = self._correction.box("", *on_detector)
            image, variance = image * factor, variance * factor**2
            zodi = None if zodi is None else zodi * factor
        omega = self._omega(box, on_detector)
        return Cutout(box[0], box[2], on_detector[0], on_detector[2], image, variance, flags, zodi, omega)

    def _omega(self, box, on_detector):
        if self._solid_angle:
            return self._solid_angle.box("", *on_detector)
        x_lo, x_hi, y_lo, y_hi = box
        shape = y_hi - y_lo, x_hi - x_lo
        if self.solid_angle_source == "OMEGA_MEDIAN":
            return np.full(shape, self.record.omega_median_arcsec2)
        xs, ys = np.array([x_lo, x_hi - 1.0]), np.array([y_lo, y_hi - 1.0])
        area = self.astrometry.pixel_area_arcsec2(np.tile(xs, 2), np.repeat(ys, 2)).reshape(2, 2)
        fx, fy = np.linspace(0, 1, shape[1]), np.linspace(0, 1, shape[0])[:, None]  # it is smooth: corners suffice
        return (area[0, 0] * (1 - fx) + area[0, 1] * fx) * (1 - fy) + (area[1, 0] * (1 - fx) + area[1, 1] * fx) * fy

    def psf_zones(self, x_det, y_det):
        """Number of the PSF zone nearest to each detector position, shape (n,)."""
        return self._psf.zones.nearest(x_det, y_det)

    def psf(self, zone):
        """PSF of a zone; the zones used last are kept, for all files with the same PSFs.

        Parameters
        ----------
        zone : int

        Returns
        -------
        PSF
        """
        zone = int(zone)
        return PSF_CACHE.get(self._psf.key, zone, lambda: self._read_psf(zone))

    def psf_at(self, x_det, y_det):
        """PSF at a position, interpolated between the zones around it.

        Parameters
        ----------
        x_det, y_det : float, 0-based detector pixels

        Returns
        -------
        PSF
            A new one for every call; bilinear between the centres of the zones.
        """
        zones, weights = self._psf.zones.around(x_det, y_det)
        psfs = [self.psf(zone) for zone in zones]
        if len(psfs) == 1:
            return psfs[0]
        kernel = sum(weight * psf.kernel for weight, psf in zip(weights, psfs, strict=True))
        return PSF(kernel, psfs[0].oversampling, psfs[0].kind)

    def _read_psf(self, zone):
        source = self._psf
        if source.file is None:
            return read_plane(self._file(), self.record.path, source.zones, source.offset, zone)
        return read_plane(source.file.fd, source.file.path, source.zones, source.offset, zone)

    def wavelength(self, x_det, y_det):
        """Central wavelength and bandwidth at detector positions.

        Parameters
        ----------
        x_det, y_det : array_like, shape (n,)
            0-based detector pixels.

        Returns
        -------
        wavelength, bandwidth : ndarray, shape (n,), um
            Bilinear in the CWAVE and CBAND maps of the calibration folder, else in the file's WCS-WAVE table (good
            to about 1 nm); NaN off the detector or where neither exists.
        """
        x_det, y_det = np.atleast_1d(np.asarray(x_det, float)), np.atleast_1d(np.asarray(y_det, float))
        if self._wavelengths:
            wavelength, bandwidth = self._wavelengths.interpolate(x_det, y_det)
            return wavelength, bandwidth
        if self.record.wave is None:
            return np.full(x_det.shape, np.nan), np.full(x_det.shape, np.nan)
        return self.record.wave.at(x_det, y_det)


def _canonical(flags, moved):
    """Flags with the canonical bits, int64; a 32-bit sign bit becomes bit 31."""
    flags = np.where(flags < 0, flags & 0xFFFFFFFF, flags) if flags.min() < 0 else flags
    if not moved:
        return flags
    result = flags & ~np.int64(sum({1 << bit for bit, _ in moved}))
    for bit, canonical in moved:
        result |= (flags >> bit & 1) << canonical
    return result
