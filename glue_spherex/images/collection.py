"""Collections of spectral images, and which of them hold which sources."""

import os
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from glue_spherex.model import unit_vectors
from glue_spherex.model.detectors import DETECTORS, N_PIX, PIXEL_SCALE_ARCSEC

from .calibration import as_calibration, search_calibration
from .errors import ImageFileError
from .index import ImageIndex
from .record import ImageRecord
from .shared_exposures import each_once
from .spectral_image import SpectralImage

_BLOCK = 2_000_000  # source-image pairs looked at in one step; bounds the memory
_MARGIN_PX = 10  # sources this close to an image may reach into it; and as much again for the distortion's curvature
_REACH_R_EFF, _MOST_REACH_PX = 8.2, 64  # of the template of a profile; its light beyond this is not counted
_MJD_J2000, _DAYS_PER_YEAR = 51544.5, 365.25


@dataclass(frozen=True, eq=False)
class ImageMatch:
    """An image, and the sources that may lie on it.

    Parameters
    ----------
    record : ImageRecord
    sources : ndarray of int, shape (k,)
        Indices into the list of sources, increasing. They lie on the image or within about 20 pixels of it; sources
        with a profile that is fitted farther by the reach of their light, 8.2 half-light radii but at most 64 pixels,
        and moving sources by the way they go.
    beside : ndarray of int, optional
        Further sources, which are fitted along; they are measured on another file of the same exposure.
    """

    record: ImageRecord
    sources: np.ndarray
    beside: np.ndarray = ()

    @property
    def fitted(self):
        """Indices of all sources that are fitted, increasing."""
        return np.union1d(self.sources, self.beside).astype(int) if len(self.beside) else self.sources


@runtime_checkable
class ImageCollection(Protocol):
    """Where spectral images come from: `find` and `open`.

    Two more parts are optional, and used where they are there:

    ``failures`` : list of (str, str)
        Path and reason of each file that cannot be measured; they are listed beside the images that were measured.
    ``opener()``
        A small object with the method ``open(record)`` of the collection, which is sent to worker processes instead
        of the collection. Without it the collection itself is sent, and must be picklable.
    """

    def find(self, sources, detectors=None, wavelength=None, time=None):
        """The images that may hold at least one of the sources.

        Parameters
        ----------
        sources : sequence of Source
        detectors : iterable of int, optional
        wavelength : (float, float) or sequence of (float, float), um, optional
        time : (float, float), MJD, optional

        Returns
        -------
        list of ImageMatch
        """

    def open(self, record):
        """The `SpectralImage` of a record."""


@dataclass(frozen=True)
class ImageOpener:
    """Opens images with one set of calibration files; what worker processes need of a collection.

    Parameters
    ----------
    calibration : CalibrationFolder or NoCalibration
    flux_correction : bool
    """

    calibration: object
    flux_correction: bool

    def open(self, record):
        """The `SpectralImage` of a record."""
        return SpectralImage(record, self.calibration, self.flux_correction)


class FolderCollection:
    """The spectral images in folders on disk.

    The folders are searched when something is asked for the first time, and by `refresh`.

    Parameters
    ----------
    folders : path or sequence of paths
        Searched with their subfolders.
    calibration : path or CalibrationFolder, optional
        Calibration files.
    index : ImageIndex, optional
        Where headers are remembered; the user's own index by default.
    flux_correction : bool
        Whether images of QR2 are put on the gain of QR3, when the calibration folder holds the map.

    Examples
    --------
    >>> images = FolderCollection("images/", "calibration/")  # doctest: +SKIP
    >>> [match.record.obsid for match in images.find([Source(150.1, 2.2)])]  # doctest: +SKIP
    """

    def __init__(self, folders, calibration=None, *, index=None, flux_correction=True):
        folders = [folders] if isinstance(folders, str | os.PathLike) else folders
        self.folders = tuple(os.path.abspath(os.fspath(folder)) for folder in folders)
        if not self.folders:
            raise ImageFileError("images: no folder is given; at least one is needed.")
        self._opener = ImageOpener(as_calibration(calibration), flux_correction)
        self.index = index or ImageIndex()
        self._result = None
        self._failures = []

    def __getstate__(self):
        return {**self.__dict__, "_result": None, "_failures": []}  # workers look the records up themselves

    def __repr__(self):
        return f"<FolderCollection {', '.join(self.folders)}>"

    @property
    def calibration(self):
        """The `CalibrationFolder`, or a stand-in without files."""
        return self._opener.calibration

    @property
    def records(self):
        """`ImageRecord` of all images that can be measured, by path."""
        return self._refreshed().records

    @property
    def failures(self):
        """(path, reason) of each FITS file that cannot be measured."""
        self._refreshed()
        return self._failures

    @property
    def parsed(self):
        """Number of files whose headers the last refresh read."""
        return self._refreshed().parsed

    def refresh(self, progress=None, cancelled=None):
        """Search the folders, and read the headers of files that are new or changed.

        Parameters
        ----------
        progress : callable, optional
            ``progress(done, total)``.
        cancelled : callable, optional
            When it says yes, the images known so far make the collection.

        Raises
        ------
        ImageFileError
            If a folder does not exist, or there is no SPHEREx image in any of them.
        """
        result = self.index.refresh(self.folders, progress, cancelled)
        where = ", ".join(self.folders)
        if not result.files:
            raise ImageFileError(f"images: {self._nothing_in(where)}; SPHEREx Level-2 images are needed.")
        records, failures = [], list(result.failures)
        for record in result.records:
            lacking = "" if record.zones is not None else self._missing_psf(record)
            failures += [(record.path, lacking)] if lacking else []
            records += [] if lacking else [record]
        if result.complete and not records:
            path, reason = failures[0]
            raise ImageFileError(
                f"images: none of the {result.files} FITS files in {where} is a SPHEREx Level-2 image that can be "
                f"measured. The first, {path}: {reason}"
            )
        result.records[:] = records
        self._result, self._failures = result, failures
        self._geometry = footprints(records)

    def _nothing_in(self, where):
        if any(file for folder in self.folders for file in search_calibration(folder)):
            return f"there are calibration files in {where}, which are given as the calibration, but no image"
        return f"there is no FITS file in {where}"

    def _missing_psf(self, record):
        try:
            SpectralImage(record, self.calibration).psf_source  # noqa: B018 - asks for it
        except ImageFileError as error:
            return str(error).removeprefix(f"{record.path}: ")
        return ""

    def _refreshed(self):
        if self._result is None:
            self.refresh()
        return self._result

    def opener(self):
        """The part that opens images: small, for worker processes."""
        return self._opener

    def open(self, record):
        """Open an image.

        Parameters
        ----------
        record : ImageRecord

        Returns
        -------
        SpectralImage
        """
        return self._opener.open(record)

    def find(self, sources, detectors=None, wavelength=None, time=None):
        """The images that may hold at least one of the sources.

        Parameters
        ----------
        sources : sequence of Source
        detectors : iterable of int, optional
            Only these detectors, 1 to 6.
        wavelength : (float, float) or sequence of (float, float), um, optional
            Only detectors whose range touches this range, or one of these ranges.
        time : (float, float), MJD, optional
            Only images whose middle lies in this range, ends included.

        Returns
        -------
        list of ImageMatch
            By path; images without a source are left out.

        Raises
        ------
        ImageFileError
            For a detector that does not exist, and what `refresh` raises.
        """
        records = self.records
        sources = list(sources)
        return each_once(match_images(records, sources, detectors, wavelength, time, self._geometry), sources)


def match_images(records, sources, detectors=None, wavelength=None, time=None, geometry=None):
    """The images that may hold at least one of the sources.

    Parameters
    ----------
    records : sequence
        Of `ImageRecord` or of anything else with its ``detector``, ``mjd``, ``corners``, ``nx`` and ``ny``.
    sources, detectors, wavelength, time
        As in `FolderCollection.find`.
    geometry : tuple of ndarray, optional
        From `footprints` of the records, where it is known.

    Returns
    -------
    list of ImageMatch
        In the order of the records.
    """
    chosen = _chosen(records, detectors, wavelength, time)
    sources = list(sources)
    if not len(chosen) or not sources:
        return []
    vectors, slack = _source_vectors(sources, [records[k].mjd for k in chosen])
    images, hits = _pairs(footprints(records) if geometry is None else geometry, chosen, vectors, slack)
    starts = np.flatnonzero(np.diff(images, prepend=-1))
    groups = np.split(hits, starts[1:])
    return [ImageMatch(records[images[s]], group) for s, group in zip(starts, groups)] if len(hits) else []


def _chosen(records, detectors, wavelength, time):
    """Indices of the records that pass the filters."""
    allowed = set(DETECTORS) if detectors is None else set(detectors)
    unknown = allowed - set(DETECTORS)
    if unknown:
        raise ImageFileError(f"detectors: {sorted(unknown)} do not exist; allowed are 1 to 6.")
    if wavelength is not None:
        ranges = list(wavelength)
        if len(ranges) == 2 and np.ndim(ranges[0]) == 0:  # a single one
            ranges = [ranges]
        allowed = {
            number for number in allowed
            if any(low <= DETECTORS[number].wavelength_max_um and high >= DETECTORS[number].wavelength_min_um
                   for low, high in ranges)
        }  # fmt: skip
    low, high = (-np.inf, np.inf) if time is None else time
    return np.array([k for k, r in enumerate(records) if r.detector in allowed and low <= r.mjd <= high], dtype=int)


def footprints(records):
    """Centre (n, 3), radius (n,), inward edge normals (n, 4, 3) and margin (n,), rad, of all footprints."""
    if not records:
        return np.zeros((0, 3)), np.zeros(0), np.zeros((0, 4, 3)), np.zeros(0)
    corners = np.frombuffer(b"".join([record.corners for record in records])).reshape(-1, 4, 2)
    vectors = unit_vectors(corners[..., 0], corners[..., 1])
    centre = vectors.mean(axis=1)
    centre /= np.linalg.norm(centre, axis=1, keepdims=True)
    chord = np.linalg.norm(vectors - centre[:, None], axis=2).max(axis=1)
    normals = np.cross(vectors, np.roll(vectors, -1, axis=1))
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    normals *= np.sign(np.einsum("nek,nk->ne", normals, centre))[..., None]
    side = np.array([max(record.nx, record.ny) for record in records])
    margin = np.radians(PIXEL_SCALE_ARCSEC / 3600) * _MARGIN_PX * (1 + side / N_PIX)
    return centre, 2 * np.arcsin(np.minimum(chord / 2, 1)), normals, margin


def _source_vectors(sources, mjds):
    """Unit vectors (n, 3) at the reference epochs, and each source's slack (n,), rad.

    The slack is the farthest that the source moves until the images, and the reach of its template.
    """
    numbers = np.array([(s.ra, s.dec, s.pmra, s.pmdec, s.ref_epoch) for s in sources], float)
    years = 2000 + (np.array([min(mjds), max(mjds)]) - _MJD_J2000) / _DAYS_PER_YEAR
    elapsed = np.abs(years[:, None] - numbers[:, 4]).max(axis=0)
    motion = np.radians(np.hypot(numbers[:, 2], numbers[:, 3]) * elapsed / 3.6e6)
    return unit_vectors(numbers[:, 0], numbers[:, 1]), motion + [_reach(source.shape) for source in sources]


def _reach(shape):
    """How far the light of a source counts beyond that of a point, rad."""
    if shape is None:
        return 0.0
    return np.radians(min(_REACH_R_EFF * shape.r_eff, _MOST_REACH_PX * PIXEL_SCALE_ARCSEC) / 3600)


def _pairs(geometry, chosen, vectors, source_slack):
    """(image, source) of each source that may lie on an image, by image and source.

    First a cap around each footprint; images with a source in it are tested against their four edges.
    """
    centre, radius, normals, margin = geometry
    images, hits = [np.zeros(0, int)], [np.zeros(0, int)]
    most = source_slack.max()
    step = max(1, _BLOCK // len(vectors))
    for start in range(0, len(chosen), step):
        block = chosen[start : start + step]
        reach = np.minimum(radius[block] + margin[block] + most, np.pi)
        near = centre[block] @ vectors.T >= np.cos(reach)[:, None]
        touched = near.any(axis=1)
        block, near = block[touched], near[touched]
        slack = margin[block][:, None] + source_slack if most else margin[block][:, None]
        beyond = -np.sin(np.minimum(slack, np.pi / 2))
        for edge in range(4):
            near &= normals[block, edge] @ vectors.T >= beyond
        image, source = np.nonzero(near)
        images.append(block[image])
        hits.append(source)
    return np.concatenate(images), np.concatenate(hits)
