"""What an answer of the archive covers, as tables: its images, and how many of them hold each target."""

import numpy as np
from astropy.table import Table

from glue_spherex.model.detectors import DETECTORS

from ..collection import match_images
from .errors import ArchiveError

_COLUMNS = (
    "obs_publisher_did", "obsid", "detector", "collection", "file_version", "mjd_begin", "mjd_end", "size_bytes",
    "access_url", "cloud",
)  # fmt: skip
_TYPES = {"detector": int, "mjd_begin": float, "mjd_end": float, "size_bytes": np.int64}
_UNITS = {"mjd_begin": "d", "mjd_end": "d", "size_bytes": "byte"}
_FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".vot": "votable", ".xml": "votable", ".fits": "fits"}


def image_listing(answer):
    """The images of an answer, a row each.

    Parameters
    ----------
    answer : ArchiveAnswer

    Returns
    -------
    Table
    """
    columns = {
        name: np.array([getattr(image, name) for image in answer.rows], dtype=_TYPES.get(name, str))
        for name in _COLUMNS
    }
    return Table(columns, units=_UNITS, meta={"archive_asked": answer.date, "notes": list(answer.notes)})


def listing_format(path):
    """The format of a list of images, before there is one to write.

    Parameters
    ----------
    path : pathlib.Path
        The extension tells the format: ecsv, csv, vot, xml or fits.

    Returns
    -------
    str
        As astropy calls it.

    Raises
    ------
    ArchiveError
        For another extension, or if there is no such folder.
    """
    if path.suffix.lower() not in _FORMATS:
        raise ArchiveError(f"{path}: the extension {path.suffix!r} is unknown; known are {', '.join(_FORMATS)}.")
    if not path.parent.is_dir():
        raise ArchiveError(f"{path}: there is no folder {str(path.parent)!r}.")
    return _FORMATS[path.suffix.lower()]


def write_listing(answer, path):
    """Write the images of an answer as a table.

    Parameters
    ----------
    answer : ArchiveAnswer
    path : pathlib.Path
        As in `listing_format`, which tells the errors.
    """
    format_name, table = listing_format(path), image_listing(answer)
    if format_name == "fits":
        table.meta.clear()  # a list does not fit into a header
    table.write(path, format=format_name, overwrite=True)


def coverage_table(answer, sources):
    """How many images hold each source.

    Parameters
    ----------
    answer : ArchiveAnswer
    sources : sequence of Source

    Returns
    -------
    Table
        A row per source: ``target``, ``images``, ``D1`` to ``D6``, and ``mjd_first`` and ``mjd_last``, masked where
        there is no image.
    """
    sources = list(sources)
    counts = np.zeros((len(sources), len(DETECTORS)), int)
    first, last = np.full(len(sources), np.inf), np.full(len(sources), -np.inf)
    for match in match_images(answer.rows, sources):
        counts[match.sources, match.record.detector - 1] += 1
        first[match.sources] = np.minimum(first[match.sources], match.record.mjd)
        last[match.sources] = np.maximum(last[match.sources], match.record.mjd)
    labels = [source.label or f"{source.ra:.5f} {source.dec:+.5f}" for source in sources]
    table = Table({"target": labels, "images": counts.sum(axis=1)})
    for detector in DETECTORS:
        table[f"D{detector}"] = counts[:, detector - 1]
    none = ~np.isfinite(first)
    for name, values in (("mjd_first", first), ("mjd_last", last)):
        table[name] = np.ma.masked_array(np.where(none, 0, values), none)
        table[name].info.format = ".3f"
        table[name].unit = "d"
    return table
