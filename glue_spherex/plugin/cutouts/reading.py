"""Reading the pixels around a position, and what is known about them."""

import os
from dataclasses import dataclass, replace
from math import ceil, sqrt

import numpy as np

from ...images import CalibrationFolder, ImageFileError, SpectralImage
from ...model.detectors import PIXEL_SCALE_ARCSEC
from .finding import ImageFinder
from .kept_cutouts import is_fetched

#: Pixels beyond the frame are read as well, so that one can pan and zoom out a little: 1.25 of the frame's diagonal.
_REACH = 1.25 * sqrt(2)
LARGEST_ARCMIN = 30.0
_READ_ERRORS = (ImageFileError, OSError, ValueError, ArithmeticError, LookupError, MemoryError)


@dataclass(frozen=True)
class CutoutRequest:
    """Which cutout is wanted.

    Parameters
    ----------
    row : MeasuredRow
    folders : tuple of str
    size_arcmin : float
        Side of the frame.
    calibration : str
        Folder with calibration files; '' without.
    of_fetched : str
        Folder with those of cutouts from the archive, where `calibration` is not given; '' without.
    """

    row: object
    folders: tuple
    size_arcmin: float = 1.2
    calibration: str = ""
    of_fetched: str = ""

    @property
    def key(self):
        """Requests with the same key have the same pixels."""
        row = self.row
        position = np.array([row.ra, row.dec]).tobytes()
        where = self.folders, self.calibration, self.of_fetched
        return row.did, row.lvf_id, row.detector, row.data_collection, position, self.size_arcmin, where


@dataclass(frozen=True, eq=False)
class CutoutView:
    """Pixels around a target, ready to be drawn; or the sentence that says why there are none.

    Parameters
    ----------
    image : ndarray, shape (ny, nx), MJy/sr, or None
    flags : int ndarray, shape (ny, nx), or None
    zodi : ndarray, shape (ny, nx), MJy/sr, or None
    x0, y0 : int
        File pixel of element [0, 0].
    x0_det, y0_det : int
        Detector pixel of element [0, 0].
    target : (float, float)
        Where the target is, in pixels of this array: (0, 0) is the centre of element [0, 0].
    cd : ndarray, shape (2, 2), arcsec/pixel
        ``(east, north) = cd @ (x - x_target, y - y_target)``, distortion included.
    astrometry : Astrometry or None
        Of the file.
    path : str
    stamp : (int, int)
        Size and time of the file that was read.
    note, problem : str
    to_fetch : bool
        Whether the archive may have what is missing; see `FoundImage`.
    """

    image: np.ndarray | None = None
    flags: np.ndarray | None = None
    zodi: np.ndarray | None = None
    x0: int = 0
    y0: int = 0
    x0_det: int = 0
    y0_det: int = 0
    target: tuple = (0.0, 0.0)
    cd: np.ndarray | None = None
    astrometry: object = None
    path: str = ""
    stamp: tuple = (0, 0)
    note: str = ""
    problem: str = ""
    to_fetch: bool = False

    @property
    def shape(self):
        """(ny, nx)"""
        return self.image.shape

    @property
    def pixel_scale(self):
        """Side of a square pixel of the same area, arcsec."""
        return float(sqrt(abs(np.linalg.det(self.cd))))

    def to_pixels(self, ra, dec):
        """Positions in deg as pixels of this array, shape (n,) each; NaN where there is none."""
        x, y = self.astrometry.to_pixels(ra, dec)
        return x - self.x0, y - self.y0

    def offsets(self, orientation="north"):
        """The transform from pixels to the plane that is drawn.

        Parameters
        ----------
        orientation : {"north", "detector"}
            East and north, or the detector's x and y at the scale of its pixels.

        Returns
        -------
        ndarray, shape (3, 3)
            ``(u, v, 1) = matrix @ (x, y, 1)``, arcsec from the target.
        """
        linear = self.cd if orientation == "north" else np.eye(2) * self.pixel_scale
        matrix = np.eye(3)
        matrix[:2, :2] = linear
        matrix[:2, 2] = -linear @ self.target
        return matrix

    def inside(self, half_arcsec, orientation="north"):
        """Which pixels have their centre within the frame around the target, shape (ny, nx) bool."""
        y, x = np.indices(self.shape)
        matrix = self.offsets(orientation)
        u, v = (row[0] * x + row[1] * y + row[2] for row in matrix[:2])
        return (np.abs(u) <= half_arcsec) & (np.abs(v) <= half_arcsec)


def frame_reach_px(size_arcmin):
    """Pixels from the position to the edge of a frame of this side, as the detector stands."""
    return ceil(size_arcmin * 60 / 2 / PIXEL_SCALE_ARCSEC)


def read_reach_px(size_arcmin):
    """Pixels from the position to the edge of what is read for a frame of this side, turned as it may be."""
    return ceil(size_arcmin * 60 / 2 / PIXEL_SCALE_ARCSEC * _REACH) + 1


def read_cutout(record, ra, dec, size_arcmin=1.2, calibration=None, note=""):
    """Read the pixels around a position.

    Parameters
    ----------
    record : ImageRecord
    ra, dec : float, deg
    size_arcmin : float
        Side of the frame, above 0 and up to 30; somewhat more is read.
    calibration : CalibrationFolder, optional
        With the flux correction, if images of QR2 were measured on the gain of QR3.
    note : str
        What must be known about the image.

    Returns
    -------
    CutoutView
        With a `problem` instead of pixels where the position does not lie on the image.

    Raises
    ------
    ImageFileError
        If the file cannot be read or was replaced.
    ValueError
        If the size is not allowed.
    """
    if not 0 < size_arcmin <= LARGEST_ARCMIN:
        raise ValueError(f"size of the cutouts: {size_arcmin} arcmin; above 0 and up to {LARGEST_ARCMIN:g} is allowed.")
    with SpectralImage(record, calibration) as image:
        x, y = (float(value) for value in image.to_pixels(ra, dec))
        half = read_reach_px(size_arcmin)
        ny, nx = record.shape
        if not (-half < x < nx - 1 + half and -half < y < ny - 1 + half):
            return CutoutView(path=record.path, problem=_off_image(record, ra, dec))
        middle_x, middle_y = round(x), round(y)
        box = image.cutout(middle_x - half, middle_x + half + 1, middle_y - half, middle_y + half + 1)
        if not (-0.5 <= x <= nx - 0.5 and -0.5 <= y <= ny - 0.5):
            note = "; ".join(text for text in (note, "the position lies off the image") if text)
        return CutoutView(
            box.image, box.flags, box.zodi, box.x0, box.y0, box.x0_det, box.y0_det, (x - box.x0, y - box.y0),
            image.local_cd(x, y)[0] * 3600, image.astrometry, record.path, (record.size, record.mtime_ns), note,
        )  # fmt: skip


def _off_image(record, ra, dec):
    return (
        f"{record.obsid} D{record.detector}: the position {ra:.5f} {dec:+.5f} does not lie on the image "
        f"{os.path.basename(record.path)} of {record.nx} x {record.ny} pixels."
    )


class CutoutSource:
    """Answers requests: finds the image and reads it. Not for two threads at once.

    Parameters
    ----------
    finder : ImageFinder, optional
    """

    def __init__(self, finder=None):
        self._finder = finder or ImageFinder()
        self._calibration = {}

    def forget(self):
        """Search all folders again when the next image is asked for."""
        self._finder.forget()

    def __call__(self, request, progress=None, cancelled=None):
        """The `CutoutView` of a `CutoutRequest`; whatever is wrong is its `problem`."""
        try:
            return self._read(request, progress, cancelled)
        except _READ_ERRORS as error:
            return CutoutView(problem=f"{request.row.image_name}: {error or type(error).__name__}")

    def _read(self, request, progress, cancelled):
        found = self._find(request, progress, cancelled)
        if found.record is None:
            return CutoutView(problem=found.problem, to_fetch=found.to_fetch)
        try:
            return self._pixels(found, request)
        except ImageFileError:
            if stamp_of(found.record.path) == (found.record.size, found.record.mtime_ns):
                raise
        self._finder.forget()  # the file was replaced or removed since its headers were read
        found = self._find(request, progress, cancelled)
        if found.record is None:
            return CutoutView(problem=found.problem, to_fetch=found.to_fetch)
        return self._pixels(found, request)

    def _find(self, request, progress, cancelled):
        reach_px = frame_reach_px(request.size_arcmin)
        return self._finder.find(request.row, request.folders, progress, cancelled, reach_px)

    def _pixels(self, found, request):
        row, calibration = request.row, None
        folder = request.calibration or (request.of_fetched if is_fetched(found.record) else "")
        if folder:
            if folder not in self._calibration:
                self._calibration = {folder: CalibrationFolder(folder)}
            calibration = self._calibration[folder]
        view = read_cutout(found.record, row.ra, row.dec, request.size_arcmin, calibration, found.note)
        return replace(view, to_fetch=True) if found.to_fetch else view


def stamp_of(path):
    """Size and time of a file; (0, 0) where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
