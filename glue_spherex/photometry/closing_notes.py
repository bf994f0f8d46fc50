"""What is to be told about a whole result, beside its tables."""

from .provenance import has_mixed_calibration

#: What is said about a result whose ``made_with`` has several entries.
MIXED = "its images were measured with different versions of the program or its libraries (made_with in settings.json)"

#: What is said about a result whose images used different calibration files for the same.
MIXED_CALIBRATION = (
    "its images were measured with different calibration files, or such that have been replaced meanwhile "
    "(calibration_files in images.ecsv)"
)


def closing_notes(measurement, images):
    """What whoever looks at the numbers of a result should know.

    Parameters
    ----------
    measurement : Measurement or StoredMeasurement
    images : ImageCollection
        What it was measured on. ``notes`` of the archive come first: older releases that were left out, a search that
        was not possible.

    Returns
    -------
    list of str
        Sentences without capital letter and full stop; empty if there is nothing remarkable.
    """
    notes = [note.strip().removesuffix(".") for note in getattr(images, "notes", ())]
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


def _measured_collections(measurement):
    """The archive's collections of the images that gave the spectra, sorted."""
    return sorted({str(row["data_collection"]) for row in measurement.images if row["status"] == "measured"})
