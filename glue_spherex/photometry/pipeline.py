"""Many sources on many images: the spectrum.

Work is grouped by image: an image is opened once for all its sources. An image that fails is a row with a reason.
"""

import time
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, wait
from dataclasses import dataclass

import numpy as np

from ..model import COLUMNS, Source
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
        All of them are fitted together wherever they overlap.
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
    if settings.engine == "tractor":
        from .tractor import require_tractor

        require_tractor()
    matches = find(sources, images, settings)
    results = {}
    for done, (number, result) in enumerate(_measured(sources, images, matches, settings, executor, cancelled), 1):
        results[number] = result
        if progress is not None:
            progress(done, len(matches))
    measured = [(matches[number], results[number]) for number in sorted(results)]
    return _assemble(sources, images, measured, settings, interrupted=len(results) < len(matches))


def checked_sources(sources):
    """The sources as a list; a single one may be given as it is."""
    sources = [sources] if isinstance(sources, Source) else list(sources)
    if not sources:
        raise PhotometryError("there is no source to measure; give at least one.")
    for number, source in enumerate(sources):
        if not isinstance(source, Source):
            raise PhotometryError(f"sources[{number}] is {source!r}; a glue_spherex.Source is needed.")
    return sources


def find(sources, images, settings):
    """The images that hold at least one of the sources, each with the numbers of its sources."""
    if not hasattr(images, "find"):
        raise PhotometryError(f"images is {images!r}; a collection such as FolderCollection({images!r}) is needed.")
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
        status, reason = _outcome(rows, settings, about["wavelength_source"])
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one image, the others are measured
        rows, status, reason = {}, "failed", str(error) or type(error).__name__
    about |= {
        "n_sources": len(rows.get("source_id", ())),
        "status": status,
        "reason": reason,
        "seconds": time.perf_counter() - start,
    }
    return ImageResult(rows, about)


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


def _measured(sources, images, matches, settings, executor, cancelled):
    """Yield (number of the match, result) as they become ready."""
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
    lost = [number for numbers in waiting.values() for number in numbers]
    return sorted(
        {*left, *lost, *(number for start in starts for number in range(start, min(start + size, len(matches))))}
    )


def _assemble(sources, images, measured, settings, interrupted):
    from astropy.table import Table

    results = [result for _, result in measured]
    columns = _joined([result.rows for result in results if result.rows])
    order = np.lexsort((columns["lvf_id"], columns["mjd"], columns["source_id"]))
    columns = {name: values[order] for name, values in columns.items()}
    centroid = columns.pop("centroid")
    labels = np.array([source.label for source in sources], dtype=str)
    columns["label"] = labels[columns["source_id"]] if len(order) else np.array([], dtype=str)
    spectra = new_table(columns)
    spectra.meta["glue_spherex"] = _provenance(images, results, settings)
    about = [result.about for result in results]
    about += [
        {"path": str(path), "status": "unreadable", "reason": reason}
        for path, reason in getattr(images, "failures", ())
    ]
    names = dict.fromkeys(name for line in about for name in line)
    blank = {name: "" if isinstance(_first(about, name), str) else type(_first(about, name))() for name in names}
    image_table = Table({name: [line.get(name, blank[name]) for line in about] for name in names})
    for name, unit, text in _IMAGE_COLUMNS:
        if name in image_table.colnames:
            image_table[name].unit, image_table[name].description = unit or None, text
    return Measurement(
        spectra,
        image_table,
        _target_table(sources, columns, centroid, _times_failed(measured, len(sources))),
        settings,
        interrupted,
    )


_IMAGE_COLUMNS = (
    ("mjd", "d", "middle of the exposure, UTC"),
    ("lvf_id", "", "15-digit number of the exposure and detector; 0 where the file cannot be read"),
    ("seconds", "s", "time that the image took"),
    ("n_sources", "", "sources with a row"),
    ("status", "", "measured, empty (no source on it), failed, or unreadable"),
    ("psf_header_mended", "", "whether the transposed zone centres of versions up to 6.5.5 were put right"),
    ("wavelength_source", "", "CWAVE: calibration map; WCS-WAVE: table in the file, good to 1 nm"),
    ("solid_angle_source", "", "SAPM: solid-angle map; OMEGA_MEDIAN: header; WCS: pixel area of the WCS"),
    ("psf_source", "", "HDU of the file, or a calibration file"),
    ("flux_correction", "", "map that put the image on the gain of QR3"),
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


def _times_failed(measured, n_sources):
    """Number of images that may hold each source and could not be measured, shape (n,)."""
    count = np.zeros(n_sources, dtype=int)
    for match, result in measured:
        if result.about["status"] == "failed":
            count[match.sources] += 1
    return count


def _target_table(sources, columns, centroid, n_failed_images):
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
        **{
            name: [np.nan if source.shape is None else getattr(source.shape, attribute) for source in sources]
            for name, attribute in (
                ("sersic_n", "n"),
                ("r_eff", "r_eff"),
                *((n, n) for n in ("axis_ratio", "position_angle")),
            )
        },
        **{name: [getattr(source, name) for source in sources] for name in ("pmra", "pmdec", "ref_epoch")},
        "n_images": np.bincount(number, minlength=n),
        "n_measured": np.bincount(number[finite], minlength=n),
        "n_failed_images": n_failed_images,
        **offsets,
    }
    table = Table(rows)
    for name, unit, text in (
        ("source_id", "", "number of the source in the spectra"),
        ("sersic_n", "", "Sersic index as measured; missing for a point source"),
        ("r_eff", "arcsec", "half-light radius along the major axis as measured"),
        ("position_angle", "deg", "of the major axis, East of North"),
        ("pmra", "mas / yr", "proper motion in right ascension, with cos(dec)"),
        ("pmdec", "mas / yr", "proper motion in declination"),
        ("ref_epoch", "yr", "Julian year of the position"),
        ("n_images", "", "images that hold the source: rows of its spectrum"),
        ("n_measured", "", "rows with a flux"),
        ("n_failed_images", "", "images that may hold the source and could not be measured"),
        ("ra", "deg", "right ascension at the reference epoch, ICRS"),
        ("dec", "deg", "declination at the reference epoch, ICRS"),
        ("offset_east", "arcsec", "offset of the measured light from the position, towards East; not applied"),
        ("offset_north", "arcsec", "offset of the measured light from the position, towards North; not applied"),
        ("offset_east_err", "arcsec", "1-sigma error of offset_east"),
        ("offset_north_err", "arcsec", "1-sigma error of offset_north"),
    ):
        table[name].unit, table[name].description = unit or None, text
    return table
