"""What is to be told about a whole result, beside its tables."""

import numpy as np

from glue_spherex.model import unit_vectors

from .provenance import has_mixed_calibration

#: Sources closer than this share their light: the error of each is ten times that of one alone, or more.
TOO_CLOSE_ARCSEC = 0.5

#: What is said about a result whose ``made_with`` has several entries.
MIXED = "its images were measured with different versions of the program or its libraries (made_with in settings.json)"

#: What is said about a result whose images used different calibration files for the same.
MIXED_CALIBRATION = (
    "its images were measured with different calibration files, or such that have been replaced meanwhile "
    "(calibration_files in images.ecsv)"
)


def closing_notes(measurement, images, sources):
    """What whoever looks at the numbers of a result should know.

    Parameters
    ----------
    measurement : Measurement or StoredMeasurement
    images : ImageCollection
        What it was measured on. ``notes`` of the archive come first: older releases that were left out, a search that
        was not possible.
    sources : sequence of Source
        What was measured.

    Returns
    -------
    list of str
        Sentences without capital letter and full stop; empty if there is nothing remarkable.
    """
    notes = [note.strip().removesuffix(".") for note in getattr(images, "notes", ())]
    notes += coincidences(sources)
    releases = _measured_collections(measurement)
    if len({name.removesuffix("_deep") for name in releases}) > 1:
        notes.append(
            f"the spectra mix releases, whose gains may differ: {', '.join(releases)} (column data_collection; "
            "flux_correction in images.ecsv)"
        )
    if measurement.repeats:
        notes.append("some exposures are there more than once, in different files; images.ecsv lists them")
    if len(measurement.about["made_with"]) > 1:
        notes.append(MIXED)
    if has_mixed_calibration(measurement.images):
        notes.append(MIXED_CALIBRATION)
    return notes


def coincidences(sources):
    """What is to be told of sources at the same place: their fluxes cannot be told apart.

    Parameters
    ----------
    sources : sequence of Source
        Their positions are compared as they are given, without motion.

    Returns
    -------
    list of str
        One sentence, or none.
    """
    from scipy.spatial import cKDTree

    if len(sources) < 2:
        return []
    places = unit_vectors([source.ra for source in sources], [source.dec for source in sources])
    separation, nearest = cKDTree(places).query(places, k=2)
    close = np.flatnonzero(separation[:, 1] < np.radians(TOO_CLOSE_ARCSEC / 3600))
    if not close.size:
        return []
    first = int(close[0])
    other = int(next(k for k in nearest[first] if k != first))  # at the very same place, it may come first
    names = " and ".join(repr(sources[k].label or f"source {k}") for k in (first, other))
    arcsec = np.degrees(separation[first, 1]) * 3600
    return [
        f"{len(close)} sources have another one within {TOO_CLOSE_ARCSEC:g}″, so that their fluxes cannot be told "
        f"apart: {names} are {arcsec:.2f}″ apart; of what is the same, keep one"
    ]


def _measured_collections(measurement):
    """The archive's collections of the images that gave the spectra, sorted."""
    return sorted({str(row["data_collection"]) for row in measurement.images if row["status"] == "measured"})
