"""What one image gives: its rows, or the reason why there are none."""

import time
from dataclasses import dataclass

import numpy as np

from .one_image import measure_image
from .provenance import made_with


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
    start, about = time.perf_counter(), _about(match)
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
    return _result(match, rows, about, status, reason, time.perf_counter() - start, made_with(settings.engine))


def failed_match(match, reason):
    """The result of an image that could not be measured.

    Parameters
    ----------
    match : ImageMatch
    reason : str

    Returns
    -------
    ImageResult
    """
    return _result(match, {}, _about(match), "failed", reason, 0.0)


def _about(match):
    """What is known of an image before it is opened."""
    return {
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


def _result(match, rows, about, status, reason, seconds, programs=""):
    about |= {
        "n_sources": len(rows.get("source_id", ())),
        "status": status,
        "reason": reason,
        "seconds": seconds,
        "made_with": programs,
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
