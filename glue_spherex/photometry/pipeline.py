"""Many sources on many images: the spectrum.

Work is grouped by image: an image is opened once for all its sources. An image that fails is a row with a reason.
"""

import logging
import time
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, wait
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ..model import Source
from .errors import PhotometryError
from .image_flow import ImageFlow
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
    flow, results = ImageFlow(sources, images, settings, cancelled), []
    for _, result in measured_images(sources, images, flow, settings, executor, cancelled):
        results.append(result)
        if progress is not None:
            progress(len(results), flow.total)
    results.sort(key=lambda result: result.about["path"])
    return assemble(sources, images, results, settings, interrupted=len(results) < flow.total)


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
            rows = measure_image(image, [sources[number] for number in match.fitted], settings)
        rows["source_id"] = np.asarray(match.fitted)[rows["source_id"]]
        if len(match.beside):
            mine = np.isin(rows["source_id"], match.sources)
            rows = {name: values[mine] for name, values in rows.items()}
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
    matches : ImageFlow or list of ImageMatch
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
    numbered, left = _numbered(matches), []
    if executor is not None:
        left = yield from _on_executor(sources, opener, matches, numbered, settings, executor, stop)
    for item in chain(left, numbered):
        if stop():
            return
        if item is not None:
            number, match = item
            yield number, measure_match(sources, opener, match, settings)


def _numbered(matches):
    """Yield (number, match), and None where nothing is ready."""
    number = 0
    for match in matches:
        yield match and (number, match)
        number += match is not None


def _chunks(numbered, size):
    """Yield lists of (number, match), shorter than `size` where nothing more is ready."""
    items = []
    for item in numbered:
        items += [] if item is None else [item]
        if item is None or len(items) == size:
            yield items
            items = []
    if items:
        yield items


def _on_executor(sources, opener, matches, numbered, settings, executor, stop):
    """Yield results from an executor; return the (number, match) that are left because its workers died."""
    workers = getattr(executor, "_max_workers", None) or 4
    total = matches.total if isinstance(matches, ImageFlow) else len(matches)
    chunks = _chunks(numbered, max(1, min(CHUNK, -(-total // (4 * workers)))))
    waiting, left, chunk = {}, [], []
    try:
        while not left:
            while len(waiting) < 2 * workers and not stop() and (chunk := next(chunks, None)):
                needed = {int(k): sources[k] for _, match in chunk for k in match.fitted}
                parts = [match for _, match in chunk]
                waiting[executor.submit(measure_chunk, needed, opener, parts, settings)] = chunk
            if stop():
                waiting = {future: items for future, items in waiting.items() if not future.cancel()}
            if not waiting and (chunk is None or stop()):
                return []
            ready, _ = wait(waiting, timeout=0 if chunk == [] else 0.2, return_when=FIRST_COMPLETED)
            for future in ready:
                items = waiting.pop(future)
                try:
                    yield from zip([number for number, _ in items], future.result(), strict=True)
                except BrokenExecutor:
                    left += items
    except BrokenExecutor:  # from submit
        left += chunk
    finally:
        for future in waiting:
            future.cancel()
    _LOG.warning("a worker process ended unexpectedly; the images that are left are measured without it")
    return sorted([*left, *(item for items in waiting.values() for item in items)], key=lambda item: item[0])
