"""Many sources on many images: the spectrum.

Work is grouped by image: an image is opened once for all its sources. An image that fails is a row with a reason.
"""

import time
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, replace

import numpy as np

from ..model import COLUMNS
from ..model.spectrum import DTYPES, new_table
from .centroid import combined_offsets
from .errors import PhotometryError
from .one_image import measure_image
from .settings import Settings

#: Images that one task measures: large enough to hide the cost of sending it, small enough for a lively progress bar.
CHUNK = 16


@dataclass(frozen=True)
class Measurement:
    """What a run gives.

    Attributes
    ----------
    spectra : QTable
        A row per source and image; the sources in the order of the list, each in order of time.
    images : Table
        A row per image looked at: what it is, what was used for it, ``status`` and ``reason``, seconds.
    targets : Table
        A row per source: position, counts, the measured offset of the light from the position.
    settings : Settings
        What was asked for.
    interrupted : bool
        Whether the run was cancelled before its end.
    """

    spectra: object
    images: object
    targets: object
    settings: Settings
    interrupted: bool = False


def measure(sources, images, **options):
    """Measure the spectra of sources at given positions.

    Parameters
    ----------
    sources : sequence of Source
        All of them are fitted together wherever they overlap.
    images : ImageCollection
        Where the images are, for example a `FolderCollection`.
    **options
        The fields of `Settings` (``background_box=15``, ``detectors=None``, ``wavelength=None``, ``time=None``,
        ``engine="builtin"`` …), and

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
    return run(sources, images, **options).spectra


def run(sources, images, *, settings=None, executor=None, progress=None, cancelled=None, **options):
    """Measure, and return the tables about images and sources as well.

    Parameters are those of `measure`; `settings` may be given as a whole instead of field by field.

    Returns
    -------
    Measurement
    """
    sources = list(sources)
    if not sources:
        raise PhotometryError("there is no source to measure; give at least one.")
    settings = replace(settings or Settings(), **options)
    if settings.engine == "tractor":
        from .tractor import require_tractor

        require_tractor()
    matches = find(sources, images, settings)
    results = {}
    interrupted = False
    for done, (number, result) in enumerate(_measured(sources, images, matches, settings, executor, cancelled), 1):
        results[number] = result
        if progress is not None:
            progress(done, len(matches))
    if len(results) < len(matches):
        interrupted = True
    return _assemble(sources, images, [results[number] for number in sorted(results)], settings, interrupted)


def find(sources, images, settings):
    """The images that hold at least one of the sources, each with the numbers of its sources."""
    matches = images.find(sources, detectors=settings.detectors, wavelength=settings.wavelength, time=settings.time)
    if not matches:
        raise PhotometryError(
            f"none of the {len(sources)} sources lies on any of the images that were asked for; "
            "check the coordinates, and the ranges of detector, wavelength and time."
        )
    return matches


@dataclass(frozen=True)
class ImageResult:
    """What one image gave: rows, and a line about the image."""

    rows: dict
    about: dict


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
    }
    rows = {}
    status, reason = "measured", ""
    try:
        with images.open(match.record) as image:
            about |= image.used
            rows = measure_image(image, [sources[number] for number in match.sources], settings)
        rows["source_id"] = np.asarray(match.sources)[rows["source_id"]]
        if not len(rows["source_id"]):
            status, reason = "empty", "no source lies on the image within the wavelength ranges"
    except (ValueError, OSError, ArithmeticError, LookupError, np.linalg.LinAlgError, MemoryError) as error:
        rows, status, reason = {}, "failed", f"{type(error).__name__}: {error}" if not str(error) else str(error)
    about |= {
        "n_sources": len(rows.get("source_id", ())),
        "status": status,
        "reason": reason,
        "seconds": time.perf_counter() - start,
    }
    return ImageResult(rows, about)


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


def _measured(sources, images, matches, settings, executor, cancelled):
    """Yield (number of the match, result) as they become ready."""
    if executor is None:
        for number, match in enumerate(matches):
            if cancelled is not None and cancelled():
                return
            yield number, measure_match(sources, images, match, settings)
        return
    workers = getattr(executor, "_max_workers", None) or 4
    size = max(1, min(CHUNK, -(-len(matches) // (4 * workers))))
    opener = images.opener()
    starts = iter(range(0, len(matches), size))
    waiting = {}
    try:
        while True:
            while len(waiting) < 2 * workers and not (cancelled is not None and cancelled()):
                start = next(starts, None)
                if start is None:
                    break
                chunk = matches[start : start + size]
                needed = {int(k): sources[k] for match in chunk for k in match.sources}
                waiting[executor.submit(measure_chunk, needed, opener, chunk, settings)] = start
            if not waiting:
                return
            ready, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in ready:
                start = waiting.pop(future)
                yield from enumerate(future.result(), start)
    finally:
        for future in waiting:
            future.cancel()


def _assemble(sources, images, results, settings, interrupted):
    from astropy.table import Table

    columns = _joined([result.rows for result in results if result.rows])
    order = np.lexsort((columns["lvf_id"], columns["mjd"], columns["source_id"]))
    columns = {name: values[order] for name, values in columns.items()}
    centroid = columns.pop("centroid")
    labels = np.array([source.label for source in sources], dtype=str)
    columns["label"] = labels[columns["source_id"]] if len(order) else np.array([], dtype=str)
    spectra = new_table(columns)
    spectra.meta["glue_spherex"] = _provenance(images, results, settings)
    about = [result.about for result in results]
    about += [{"path": str(path), "status": "unreadable", "reason": reason} for path, reason in images.failures]
    names = dict.fromkeys(name for line in about for name in line)
    blank = {name: "" if isinstance(_first(about, name), str) else type(_first(about, name))() for name in names}
    image_table = Table({name: [line.get(name, blank[name]) for line in about] for name in names})
    return Measurement(
        spectra, image_table, _target_table(sources, columns, centroid), settings, interrupted=interrupted
    )


def _first(lines, name):
    return next(line[name] for line in lines if name in line)


def _joined(rows):
    kinds = {spec.name: DTYPES[spec.dtype] for spec in COLUMNS if spec.name != "label"}
    if not rows:
        return {name: np.array([], dtype=kind) for name, kind in kinds.items()} | {"centroid": np.zeros((0, 5))}
    return {name: np.concatenate([row[name] for row in rows]) for name in [*kinds, "centroid"]}


def _provenance(images, results, settings):
    from .._version import __version__

    return {
        "program": "glue-spherex",
        "version": __version__,
        "settings": settings.as_dict(),
        "image_folders": [str(folder) for folder in getattr(images, "folders", ())],
        "releases": sorted({result.about["data_collection"] for result in results}),
    }


def _target_table(sources, columns, centroid):
    from astropy.table import Table

    n = len(sources)
    number = columns["source_id"]
    finite = np.isfinite(columns["flux"])
    offsets = combined_offsets(number, centroid, n)
    rows = {
        "source_id": np.arange(n),
        "label": [source.label for source in sources],
        "ra": [source.ra for source in sources],
        "dec": [source.dec for source in sources],
        "sersic_n": [np.nan if source.shape is None else source.shape.n for source in sources],
        "n_images": np.bincount(number, minlength=n),
        "n_measured": np.bincount(number[finite], minlength=n),
        **offsets,
    }
    table = Table(rows)
    for name, unit, text in (
        ("ra", "deg", "right ascension at the reference epoch, ICRS"),
        ("dec", "deg", "declination at the reference epoch, ICRS"),
        ("offset_east", "arcsec", "offset of the measured light from the position, towards East; not applied"),
        ("offset_north", "arcsec", "offset of the measured light from the position, towards North; not applied"),
        ("offset_east_err", "arcsec", "1-sigma error of offset_east"),
        ("offset_north_err", "arcsec", "1-sigma error of offset_north"),
    ):
        table[name].unit, table[name].description = unit, text
    return table
