"""Many sources on many images: the spectrum.

Work is grouped by image: an image is opened once for all its sources. An image that fails is a row with a reason.
"""

from itertools import chain

from ..model import Source
from .errors import PhotometryError
from .image_flow import ImageFlow
from .image_result import measure_match
from .on_executor import on_executor
from .renewed_pool import renewed
from .result_tables import assemble
from .settings import Settings


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
        Where images are measured; in this process if None. One of its processes may end: what it was at is measured
        again, and an image that ends its processes is left out.
    progress : callable(done, total), optional
        Called after each image, and after each cutout where there are several of one; counted are images.
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
        flow.note(result)
        if progress is not None:
            progress(flow.n_done, flow.n_images)
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


def measured_images(sources, images, matches, settings, executor=None, cancelled=None):
    """Measure images, and yield their results as they become ready.

    Parameters
    ----------
    sources : list of Source
    images : ImageCollection
    matches : ImageFlow
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
        with renewed(executor) as pool:
            left = yield from on_executor(pool, numbered, lambda: matches.total, sources, opener, settings, stop)
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
