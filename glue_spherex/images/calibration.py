"""Calibration files: found by kind, detector and data release, read where they are needed."""

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from glue_spherex.model.detectors import N_PIX

from .errors import ImageFileError
from .fits_file import open_file, scan_hdus
from .pixels import PixelPlane
from .psf_zones import read_psf_planes
from .releases import folder_release, is_newer
from .wavelength import OFF_DETECTOR_PX

#: Patterns of the file names, by kind.
KINDS = {
    "solid_angle": r"solid_angle_pixel_map|cal-sapm-",
    "spectral_wcs": r"spectral_wcs|cal-s?wcs-",
    "average_psf": r"average_psf|cal-psf-",
    "flux_correction": r"flux_correction|cal-flxc-",
    "epsf": r"(^|_)epsf_|cal-epsf-",
}
OTHER_PRODUCTS = (
    r"abs_gain_matrix|dark_D|dichroic_|gain_factors|nonfunc_|nonlinear_pars|readnoise_pars|spectral_channels"
)
QR3_FIRST_CALIBRATION = (2026, 180)  # year and day: QR3's files are of 2026-191, the last of QR2 of 2026-082
_SHARED_READ_ROWS = 8  # positions this close in y are interpolated in one box; more rows cost more than a second read
_DETECTOR = re.compile(r"_D(\d)(?!\d)", re.IGNORECASE)
_TOKEN = re.compile(r"cal-[a-z]+-v(\d+)-(\d{4})-(\d{3})", re.IGNORECASE)
_FITS = re.compile(r"\.fits?(\.fz)?$", re.IGNORECASE)


@dataclass(frozen=True)
class CalibrationFile:
    """A calibration file, as its name and folder describe it.

    Parameters
    ----------
    path : str
    kind : str
        One of `KINDS`.
    detector : int
    release : str
        As ``qr2``; '' where nothing tells.
    order : tuple
        Newer versions compare greater.
    """

    path: str
    kind: str
    detector: int
    release: str
    order: tuple

    def serves(self, release):
        """Whether it may be used for images of a release."""
        if self.release == "qr3" and not folder_release(self.path):  # told by its date: of QR3 or of a newer one
            return release == "qr3" or is_newer(release, "qr3")
        return self.release in (release, "")


def kind_of(name):
    """Kind of a calibration file by its name: a key of `KINDS`, 'other' for a product that is not needed, or None."""
    for kind, pattern in KINDS.items():
        if re.search(pattern, name, re.IGNORECASE):
            return kind
    return "other" if re.search(OTHER_PRODUCTS, name, re.IGNORECASE) else None


def calibration_release(path, kind):
    """Data release that a calibration file belongs to.

    A folder in the path that is called as a release tells (``qr2``); else the date in the name's token
    (``cal-sapm-v2-2025-164``), which tells QR2 from QR3 and all that is newer. Flux corrections put QR2 images on the
    gain of QR3, so that they always belong to QR2. '' where nothing tells.
    """
    if kind == "flux_correction":
        return "qr2"
    if named := folder_release(path):
        return named
    token = _TOKEN.search(Path(path).name)
    if not token:
        return ""
    return "qr3" if (int(token.group(2)), int(token.group(3))) >= QR3_FIRST_CALIBRATION else "qr2"


class CalibrationFolder:
    """The calibration files in a folder and its subfolders.

    Parameters
    ----------
    path : str or path-like

    Raises
    ------
    ImageFileError
        If there is no such folder, or no calibration file in it.
    """

    def __init__(self, path):
        self.path = os.path.abspath(os.fspath(path))
        if not os.path.isdir(self.path):
            raise ImageFileError(f"calibration: {self.path} is not a folder.")
        self._found = None
        self._planes = {}
        if not self.files:
            raise ImageFileError(
                f"calibration: {self.path} holds no calibration file of SPHEREx (such as solid_angle_pixel_map_D1_… "
                "or spectral_wcs_D1_…); name another folder, or none to go by the headers of the images."
            )

    def __getstate__(self):
        return {"path": self.path, "_found": self._found, "_planes": {}}

    @property
    def files(self):
        """All `CalibrationFile` in the folder, by path; the folder is searched once."""
        if self._found is None:
            self._found = tuple(search_calibration(self.path))
        return self._found

    def find(self, kind, detector, release):
        """The newest file of a kind for a detector and release.

        A file of another release is never returned. One whose release nobody can tell serves all, after those whose
        release is known; one of QR3 by its date alone serves newer releases as well.

        Parameters
        ----------
        kind : {"solid_angle", "spectral_wcs", "average_psf", "epsf", "flux_correction"}
        detector : int
        release : str

        Returns
        -------
        pathlib.Path or None
        """
        if kind not in KINDS:
            raise ImageFileError(f"calibration: kind is {kind!r}; allowed are {', '.join(KINDS)}.")
        fitting = [f for f in self.files if f.kind == kind and f.detector == detector and f.serves(release)]
        best = max(fitting, key=lambda f: (f.release == release, f.order), default=None)
        return Path(best.path) if best else None

    def planes(self, kind, detector, release):
        """The opened map of a kind, or None without a file. See `find` and `CalibrationPlanes`."""
        wanted = kind, detector, release
        if wanted not in self._planes:
            path = self.find(*wanted)
            self._planes[wanted] = open_planes(str(path), kind, _stamp(path)) if path else None
        return self._planes[wanted]

    def psf_planes(self, detector, release):
        """Opened file and `PSFPlanes` for images without a PSF of their own, or None.

        QR2: the average PSF, else the ePSF, which IRSA recommends for QR2 images too. QR3: the ePSF.
        """
        choices = [("epsf", release)]
        if release == "qr2":
            choices = [("average_psf", "qr2"), ("epsf", "qr2"), ("epsf", "qr3")]
        for kind, of_release in choices:
            path = self.find(kind, detector, of_release)
            if path:
                return open_psf(str(path), _stamp(path))
        return None


class NoCalibration:
    """Stands for a calibration folder where there is none."""

    path = ""

    def planes(self, kind, detector, release):
        """None."""

    def psf_planes(self, detector, release):
        """None."""


def as_calibration(calibration):
    """A `CalibrationFolder` from one, from a path, or from None (which has no files)."""
    if calibration is None:
        return NoCalibration()
    if isinstance(calibration, CalibrationFolder | NoCalibration):
        return calibration
    return CalibrationFolder(calibration)


def search_calibration(folder):
    """Yield the `CalibrationFile` of each calibration product in a folder and those below it."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            detector, kind = _DETECTOR.search(name), kind_of(name)
            if kind in KINDS and detector and _FITS.search(name):
                path = os.path.join(parent, name)
                token = _TOKEN.search(name)
                order = tuple(int(number) for number in token.groups()) if token else ()
                release = calibration_release(path, kind)
                yield CalibrationFile(path, kind, int(detector.group(1)), release, order)


class CalibrationPlanes:
    """Full-detector maps of one calibration file, read pixel by pixel; the file stays open.

    Parameters
    ----------
    path : str
    names : sequence of str
        Names of the HDUs; '' is the first image of the detector's size.

    Raises
    ------
    ImageFileError
        If the file cannot be read, or one of the maps is missing or of another size.
    """

    def __init__(self, path, names):
        self.path, self.name = path, os.path.basename(path)
        self.fd, status = open_file(path)
        self.stamp = status.st_size, status.st_mtime_ns
        self._planes = {}
        hdus = scan_hdus(self.fd, status.st_size, path)
        for name in names:
            fitting = [h for h in hdus if (not name or h.name == name) and h.shape == (N_PIX, N_PIX) and not h.is_table]
            if not fitting:
                raise ImageFileError(f"{path}: there is no {N_PIX} x {N_PIX} image {name or 'at all'}; found are "
                                     f"{[(h.name, h.shape) for h in hdus]}.")  # fmt: skip
            self._planes[name] = PixelPlane.of(fitting[0])

    def __del__(self):
        fd, self.__dict__["fd"] = self.__dict__.get("fd"), None
        if fd is not None:
            os.close(fd)

    def __reduce__(self):
        return type(self), (self.path, tuple(self._planes))

    def box(self, name, x_lo, x_hi, y_lo, y_hi):
        """The half-open box of a map in detector pixels, float64."""
        return self._planes[name].box(self.fd, self.path, x_lo, x_hi, y_lo, y_hi).astype(float, copy=False)

    def interpolate(self, x_det, y_det):
        """All maps at detector positions, bilinear, shape (maps, n); NaN off the detector."""
        positions = np.array([x_det, y_det], dtype=float)
        known = (np.abs(positions - (N_PIX - 1) / 2) <= (N_PIX - 1) / 2 + OFF_DETECTOR_PX).all(axis=0)
        positions = positions[:, known]
        cells = np.minimum(np.maximum(np.floor(positions), 0), N_PIX - 2)
        fx, fy = positions - cells
        a, b, c, d = self._corners(*cells.astype(int))
        result = np.full((len(self._planes), known.size), np.nan)
        result[:, known] = (a * (1 - fx) + b * fx) * (1 - fy) + (c * (1 - fx) + d * fx) * fy
        return result

    def _corners(self, x, y):
        """Values at (x, y), (x + 1, y), (x, y + 1) and (x + 1, y + 1), shape (4, maps, n)."""
        corners = np.empty((4, len(self._planes), x.size))
        columns, rows = x + [[0], [1], [0], [1]], y + [[0], [0], [1], [1]]
        order = np.argsort(y, kind="stable")
        apart = y[order[1:]] - y[order[:-1]] > _SHARED_READ_ROWS
        breaks = [0, *(apart.nonzero()[0] + 1).tolist(), x.size] if x.size else []
        for start, stop in pairwise(breaks):
            part = order[start:stop]
            x_lo, x_hi, y_lo, y_hi = int(x[part].min()), int(x[part].max()) + 2, int(y[part[0]]), int(y[part[-1]]) + 2
            place = rows[:, part] - y_lo, columns[:, part] - x_lo
            for number, name in enumerate(self._planes):
                corners[:, number, part] = self.box(name, x_lo, x_hi, y_lo, y_hi)[place]
        return corners


class CalibrationPSF:
    """An opened PSF product."""

    def __init__(self, path):
        self.path, self.name = path, os.path.basename(path)
        self.fd, status = open_file(path)
        self.stamp = status.st_size, status.st_mtime_ns

    def __del__(self):
        fd, self.__dict__["fd"] = self.__dict__.get("fd"), None
        if fd is not None:
            os.close(fd)

    def __reduce__(self):
        return type(self), (self.path,)

    def planes(self):
        """`PSFPlanes` of the file's EPSF or PSF HDU, or of its first cube."""
        hdus = scan_hdus(self.fd, self.stamp[0], self.path)
        fitting = [h for h in hdus if h.name in ("EPSF", "PSF")] or [h for h in hdus if len(h.shape) == 3]
        if not fitting:
            raise ImageFileError(f"{self.path}: there is no HDU named PSF or EPSF; it cannot serve as a PSF product.")
        # the planes of all average PSFs are in the same order, so that transposed zone cards are always put right
        return read_psf_planes(self.fd, fitting[0], "0", self.path)


def _stamp(path):
    """Size and time of a file: part of the key of what is kept open, so that a replaced file is opened anew."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=64)
def open_planes(path, kind, stamp):
    """The maps of a calibration file, opened once per process."""
    return CalibrationPlanes(path, ("CWAVE", "CBAND") if kind == "spectral_wcs" else ("",))


@lru_cache(maxsize=16)
def open_psf(path, stamp):
    """(`CalibrationPSF`, its `PSFPlanes`) of a PSF product, opened and hashed once per process."""
    product = CalibrationPSF(path)
    return product, product.planes()
