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
    ("calibration_files", "", "files that were used: path, bytes, time of the last change in ns since 1970-01-01"),
    ("made_with", "", "programs that measured it, with their versions"),
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
    ("role", "", "target, or companion: fitted with the targets, measured where one of them is"),
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

    @property
    def about(self):
        """Settings, version, image folders and data releases: what a file of spectra says about itself."""
        return self.spectra.meta["glue_spherex"]

    @property
    def n_rows(self):
        """Rows of the spectra."""
        return len(self.spectra)

    @property
    def repeats(self):
        """Whether a source has an exposure more than once, from different files."""
        return has_repeats(self.spectra)

    def head(self):
        """A table like `spectra` that has every text in it."""
        return self.spectra

    def blocks(self):
        """Yield the spectra in pieces, each with all rows of its sources."""
        yield self.spectra


def assemble(sources, images, measured, settings, interrupted):
    """The tables of a run that is held in memory.

    Parameters
    ----------
    sources : list of Source
    images : ImageCollection
    measured : list of ImageResult
        By path.
    settings : Settings
    interrupted : bool

    Returns
    -------
    Measurement
    """
    columns = _joined([result.rows for result in measured if result.rows])
    about = [result.about for result in measured]
    n_failed = np.zeros(len(sources), dtype=int)
    for result in measured:
        if result.about["status"] == "failed":
            n_failed[result.sources] += 1
    spectra, statistics = spectra_of(columns, sources)
    spectra.meta["glue_spherex"] = provenance_of(images, about, settings, sources)
    return Measurement(
        spectra,
        image_table(images, about),
        target_table(sources, statistics, n_failed),
        settings,
        interrupted,
    )


def spectra_of(columns, sources, first=0):
    """The spectrum table of sources, and what it tells about each of them.

    Parameters
    ----------
    columns : dict of str to ndarray, shape (n,)
        The columns of `measure_image`, in the order of the images.
    sources : list of Source, length m
        The sources from number `first` on.
    first : int

    Returns
    -------
    spectra : QTable
        By source and time.
    statistics : dict of str to ndarray, shape (m,)
        Counts of images, and the offset of the light.
    """
    order = np.lexsort((columns["lvf_id"], columns["mjd"], columns["source_id"]))
    columns = {name: values[order] for name, values in columns.items()}
    centroid = columns.pop("centroid")
    number = columns["source_id"] - first
    labels = np.array([source.label for source in sources], dtype=str)
    columns["label"] = labels[number] if len(order) else np.array([], dtype=str)
    statistics = {
        "n_images": np.bincount(number, minlength=len(sources)),
        "n_measured": np.bincount(number[np.isfinite(columns["flux"])], minlength=len(sources)),
        **combined_offsets(number, centroid, len(sources)),
    }
    return new_table(columns), statistics


def has_repeats(spectra):
    """Whether a source has an exposure more than once in a table from `spectra_of`."""
    same = [spectra[name][1:] == spectra[name][:-1] for name in ("source_id", "lvf_id")]
    return bool((same[0] & same[1]).any())  # rows are in order of source, time and exposure


def image_table(images, about):
    """The table of images from their lines, with the files that cannot be read at the end."""
    from astropy.table import Table

    about = about + [
        {"path": str(path), "status": "unreadable", "reason": reason}
        for path, reason in getattr(images, "failures", ())
    ]
    names = dict.fromkeys(name for line in about for name in line)
    blank = {name: "" if isinstance(_first(about, name), str) else type(_first(about, name))() for name in names}
    table = Table({name: [line.get(name, blank[name]) for line in about] for name in names})
    for name, unit, text in _IMAGE_COLUMNS:
        if name in table.colnames:
            table[name].unit, table[name].description = unit or None, text
    return table


def count_images(lines):
    """Number of images among lines of the table of images: several cutouts of one image count once.

    Parameters
    ----------
    lines : iterable of mapping
        Rows of the table, or the ``about`` of `ImageResult`.

    Returns
    -------
    int
    """
    return len({image_key(line) for line in lines})


def image_key(line):
    """What the cutouts of one image have in common: exposure and detector, and their processing; else the path."""
    if not line["lvf_id"]:
        return str(line["path"])
    return int(line["lvf_id"]), str(line["data_collection"]), str(line["file_version"])


def _first(lines, name):
    return next(line[name] for line in lines if name in line)


def _joined(rows):
    kinds = {spec.name: DTYPES[spec.dtype] for spec in COLUMNS if spec.name != "label"}
    if not rows:
        return {name: np.array([], dtype=kind) for name, kind in kinds.items()} | {"centroid": np.zeros((0, 5))}
    return {name: np.concatenate([row[name] for row in rows]) for name in [*kinds, "centroid"]}


def provenance_of(images, about, settings, sources):
    """What a file of spectra says about itself, from the lines about the images, and the sources."""
    from .._version import __version__

    return {
        "program": "glue-spherex",
        "version": __version__,
        "made_with": sorted({line.get("made_with", "an older version of glue-spherex") for line in about} - {""}),
        "settings": settings.as_dict(),
        "image_folders": [str(folder) for folder in getattr(images, "folders", ())],
        "calibration_folder": str(getattr(getattr(images, "calibration", None), "path", "")),
        "releases": sorted({line["data_collection"] for line in about}),
        "companions": [number for number, source in enumerate(sources) if source.companion],
    }


def target_table(sources, statistics, n_failed_images):
    """The table of sources.

    Parameters
    ----------
    sources : list of Source, length n
    statistics : dict of str to ndarray, shape (n,)
        From `spectra_of`.
    n_failed_images : ndarray of int, shape (n,)
        Images that may hold each source and could not be measured.

    Returns
    -------
    Table
    """
    from astropy.table import Table

    counts = {name: statistics[name] for name in ("n_images", "n_measured")}
    rows = {
        "source_id": np.arange(len(sources)),
        "label": [source.label for source in sources],
        "ra": [source.ra for source in sources],
        "dec": [source.dec for source in sources],
        "sersic_n": [np.nan if source.shape is None else source.shape.n for source in sources],
        **{name: [getattr(source.shape, name, np.nan) for source in sources] for name in _SHAPE},
        **{name: [getattr(source, name) for source in sources] for name in _MOTION},
        **counts,
        "n_failed_images": n_failed_images,
        **{name: values for name, values in statistics.items() if name not in counts},
        "role": ["companion" if source.companion else "target" for source in sources],
    }
    table = Table(rows)
    for name, unit, text in _TARGET_COLUMNS:
        table[name].unit, table[name].description = unit or None, text
    return table
