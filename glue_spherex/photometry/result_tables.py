"""The tables of a measurement: spectra, images, targets."""

from dataclasses import dataclass

import numpy as np

from ..model import COLUMNS
from ..model.spectrum import DTYPES, new_table
from .centroid import combined_offsets
from .settings import Settings

_SHAPE = ("r_eff", "axis_ratio", "position_angle")
_MOTION = ("pmra", "pmdec", "ref_epoch")
_IMAGE_COLUMNS = (
    ("mjd", "d", "middle of the exposure, UTC"),
    ("lvf_id", "", "15-digit number of the exposure and detector; 0 where the file cannot be read"),
    ("seconds", "s", "time that the image took"),
    ("n_sources", "", "sources with a row"),
    ("status", "", "measured, empty (no source on it), failed, or unreadable"),
    ("size", "byte", "of the file when its headers were read"),
    ("mtime_ns", "ns", "time of the file's last change, since 1970-01-01, when its headers were read"),
    ("psf_header_mended", "", "whether the transposed zone centres of versions up to 6.5.5 were put right"),
    ("wavelength_source", "", "CWAVE: calibration map; WCS-WAVE: table in the file, good to 1 nm"),
    ("solid_angle_source", "", "SAPM: solid-angle map; OMEGA_MEDIAN: header; WCS: pixel area of the WCS"),
    ("psf_source", "", "HDU of the file, or a calibration file"),
    ("flux_correction", "", "map that put the image on the gain of QR3"),
)
_TARGET_COLUMNS = (
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
)


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


def assemble(sources, images, measured, settings, interrupted):
    from astropy.table import Table

    columns = _joined([result.rows for result in measured if result.rows])
    order = np.lexsort((columns["lvf_id"], columns["mjd"], columns["source_id"]))
    columns = {name: values[order] for name, values in columns.items()}
    centroid = columns.pop("centroid")
    labels = np.array([source.label for source in sources], dtype=str)
    columns["label"] = labels[columns["source_id"]] if len(order) else np.array([], dtype=str)
    spectra = new_table(columns)
    spectra.meta["glue_spherex"] = _provenance(images, measured, settings)
    about = [result.about for result in measured]
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
    for result in measured:
        if result.about["status"] == "failed":
            count[result.sources] += 1
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
        "sersic_n": [np.nan if source.shape is None else source.shape.n for source in sources],
        **{name: [getattr(source.shape, name, np.nan) for source in sources] for name in _SHAPE},
        **{name: [getattr(source, name) for source in sources] for name in _MOTION},
        "n_images": np.bincount(number, minlength=n),
        "n_measured": np.bincount(number[finite], minlength=n),
        "n_failed_images": n_failed_images,
        **offsets,
    }
    table = Table(rows)
    for name, unit, text in _TARGET_COLUMNS:
        table[name].unit, table[name].description = unit or None, text
    return table
