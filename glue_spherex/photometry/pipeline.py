"""Many sources on many images: the spectrum.

Work is grouped by image: an image is opened once for all its sources. An image that fails is a row with a reason.
"""

import logging
import time
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, wait
from dataclasses import dataclass

import numpy as np

from ..model import Source
from .errors import PhotometryError
from .one_image import measure_image
from .provenance import made_with
from .result_tables import assemble
from .settings import Settings

_LOG = logging.getLogger(__name__)

#: Images that one task measures: large enough to hide the cost of sending it, small enough for a lively progress bar.
CHUNK = 16


def measure(
    sources,
    images,
    *,
    background_box=15,
    background="local",
    background_fit="none",
    detectors=None,
    wavelength=None,
    time=None,
    engine="builtin",
    extent="tractor",
    weights="model",
    psf_zones="nearest",
    psf_shift=(0.0, 0.0),
    executor=None,
    progress=None,
    cancelled=None,
):
    """Measure the spectra of sources at given positions.

    Parameters
    ----------
    sources : Source or sequence of Source
        All of them are fitted together wherever they overlap; companions are measured where a target is.
    images : ImageCollection
        Where the images are, for example a `FolderCollection`.
    background_box, background, background_fit, engine, extent, weights, psf_zones, psf_shift
        How to measure; see `Settings`.
    detectors, wavelength, time
        What to measure; see `Settings`.
    executor : concurrent.futures.Executor, optional
        Where images are measured; in this process if None.
    progress : callable(done, total), optional
        Called after each image.
    cancelled : callable() -> bool, optional
        Asked between images; when it says yes, what is finished is returned.

    Returns
    -------
    QTable
        A row per source and image with the columns of `glue_spherex.model.COLUMNS`: ``source_id`` is the place in
        `sources`.

    Raises
    ------
    PhotometryError
        If a setting is not allowed, or no source lies on any image.
    ImageFileError
        If there is no image at all.

    Examples
    --------
    >>> from glue_spherex import FolderCollection, Source, measure
    >>> spectra = measure([Source(150.1, 2.2)], FolderCollection("images/"))  # doctest: +SKIP
    """
    settings = Settings(
        background_box=background_box,
        background=background,
        background_fit=background_fit,
        engine=engine,
        extent=extent,
        weights=weights,
        psf_zones=psf_zones,
        psf_shift=psf_shift,
        detectors=detectors,
        wavelength=wavelength,
        time=time,
    )
    return run(sources, images, settings, executor=executor, progress=progress, cancelled=cancelled).spectra


def run(sources, images, settings=None, *, executor=None, progress=None, cancelled=None):
    """Measure, and return the tables about images and sources as well.

    Parameters
    ----------
    sources, images, executor, progress, cancelled
        As in `measure`.
    settings : Settings, optional

    Returns
    -------
    Measurement
    """
    sources = checked_sources(sources)
    settings = settings or Settings()
    check_engine(settings)
    matches = find(sources, images, settings)
    results = {}
    for number, result in measured_images(sources, images, matches, settings, executor, cancelled):
        results[number] = result
        if progress is not None:
            progress(len(results), len(matches))
    measured = [results[number] for number in sorted(results)]
    return assemble(sources, images, measured, settings, interrupted=len(results) < len(matches))


def check_engine(settings):
    """Raise a `PhotometryError` if the engine that is asked for is not installed."""
    if settings.engine == "tractor":
        from .tractor import require_tractor

        require_tractor()


def checked_sources(sources):
    """The sources as a list; a single one may be given as it is."""
    sources = [sources] if isinstance(sources, Source) else list(sources)
    if not sources:
        raise PhotometryError("there is no source to measure; give at least one.")
    for number, source in enumerate(sources):
        if not isinstance(source, Source):
            raise PhotometryError(f"sources[{number}] is {source!r}; a glue_spherex.Source is needed.")
    if all(source.companion for source in sources):
        raise PhotometryError(
            f"there is no target among the {len(sources)} sources: all are companions, which are measured along with "
            "targets only; give at least one source that is none."
        )
    return sources


def find(sources, images, settings):
    """The images that may hold at least one of the targets, each with the numbers of its sources.

    Raises
    ------
    PhotometryError
        If there is none, or `images` is no collection.
    """
    matches = matches_of(sources, images, settings)
    if not matches:
        which = "the source lies on none" if len(sources) == 1 else f"none of the {len(sources)} sources lies on any"
        raise PhotometryError(
            f"{which} of the images that were asked for; "
            "check the coordinates, and the ranges of detector, wavelength and time."
        )
    return matches


def matches_of(sources, images, settings):
    """As `find`, but no image is an empty list."""
    if not hasattr(images, "find"):
        raise PhotometryError(f"images is {images!r}; a collection such as FolderCollection({images!r}) is needed.")
    matches = images.find(sources, detectors=settings.detectors, wavelength=settings.wavelength, time=settings.time)
    is_target = np.array([not source.companion for source in sources])
    return matches if is_target.all() else [match for match in matches if is_target[match.sources].any()]


@dataclass(frozen=True)
class ImageResult:
    """What one image gave.

    Attributes
    ----------
    rows : dict of str to ndarray, shape (n,)
        The columns of `measure_image`, with the numbers of the sources as ``source_id``; empty if the image failed.
    about : dict
        The image's line in the table of images: JSON-like values.
    sources : ndarray of int, shape (k,)
        The sources that may lie on the image.
    """

    rows: dict
    about: dict
    sources: np.ndarray


def measure_match(sources, images, match, settings):
    """Measure one image; a failure becomes the image's status.

    Returns
    -------
    ImageResult
    """
    start = time.perf_counter()
    about = {
        "path": str(match.record.path),
        "det_id": match.record.detector,
        "lvf_id": match.record.exposure_id,
        "mjd": match.record.mjd,
        "data_collection": match.record.collection,
        "version": match.record.version,
        "file_version": match.record.file_version,
        "psf_header_mended": bool(match.record.psf_fixed),
        "size": match.record.size,
        "mtime_ns": match.record.mtime_ns,
    }
    rows = {}
    status, reason = "measured", ""
    try:
        with images.open(match.record) as image:
            about |= image.used
            rows = measure_image(image, [sources[number] for number in match.sources], settings)
        rows["source_id"] = np.asarray(match.sources)[rows["source_id"]]
        status, reason = _outcome(rows, settings, about["wavelength_source"])
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one image, the others are measured
        rows, status, reason = {}, "failed", str(error) or type(error).__name__
    about |= {
        "n_sources": len(rows.get("source_id", ())),
        "status": status,
        "reason": reason,
        "seconds": time.perf_counter() - start,
        "made_with": made_with(),
    }
    return ImageResult(rows, about, np.asarray(match.sources))


def _outcome(rows, settings, wavelength_source):
    """Status and reason of an image that was read."""
    if not len(rows["source_id"]):
        if settings.wavelength is not None and wavelength_source == "none":
            return "empty", "wavelengths were asked for, but the file has no WCS-WAVE table and there is no CWAVE map"
        return "empty", "no source lies on the image within the wavelength ranges"
    if not np.isfinite(rows["flux"]).any():
        return "measured", "no flux could be fitted: no usable pixels, no background, or sources that coincide"
    return "measured", ""


def measure_chunk(sources, images, matches, settings):
    """Measure several images; what a worker process runs.

    Parameters
    ----------
    sources : dict of int to Source
        The sources that the images hold, by number.
    images : ImageCollection
    matches : list of ImageMatch
    settings : Settings

    Returns
    -------
    list of ImageResult
    """
    return [measure_match(sources, images, match, settings) for match in matches]


def measured_images(sources, images, matches, settings, executor=None, cancelled=None):
    """Measure images, and yield their results as they become ready.

    Parameters
    ----------
    sources : list of Source
    images : ImageCollection
    matches : list of ImageMatch
        From `find`.
    settings : Settings
    executor, cancelled
        As in `measure`.

    Yields
    ------
    number : int
        Place in `matches`.
    result : ImageResult
    """
    stop = cancelled or (lambda: False)
    opener = images.opener() if hasattr(images, "opener") else images
    here = range(len(matches))
    if executor is not None:
        here = yield from _on_executor(sources, opener, matches, settings, executor, stop)
    for number in here:
        if stop():
            return
        yield number, measure_match(sources, opener, matches[number], settings)


def _on_executor(sources, opener, matches, settings, executor, stop):
    """Yield results from an executor; return the numbers of the matches that are left because its workers died."""
    workers = getattr(executor, "_max_workers", None) or 4
    size = max(1, min(CHUNK, -(-len(matches) // (4 * workers))))
    starts = iter(range(0, len(matches), size))
    waiting, left = {}, []
    try:
        while not left:
            while len(waiting) < 2 * workers and not stop() and (start := next(starts, None)) is not None:
                chunk = matches[start : start + size]
                needed = {int(k): sources[k] for match in chunk for k in match.sources}
                waiting[executor.submit(measure_chunk, needed, opener, chunk, settings)] = range(
                    start, start + len(chunk)
                )
            if stop():
                waiting = {future: numbers for future, numbers in waiting.items() if not future.cancel()}
            if not waiting:
                return []
            ready, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in ready:
                numbers = waiting.pop(future)
                try:
                    yield from zip(numbers, future.result(), strict=True)
                except BrokenExecutor:
                    left += numbers
    except BrokenExecutor:  # from submit
        left += range(start, start + len(chunk))
    finally:
        for future in waiting:
            future.cancel()
    _LOG.warning("a worker process ended unexpectedly; the images that are left are measured without it")
    lost = [number for numbers in waiting.values() for number in numbers]
    return sorted(
        {*left, *lost, *(number for start in starts for number in range(start, min(start + size, len(matches))))}
    )
