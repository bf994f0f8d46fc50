"""Target lists and tables of images as glue data.

Of a target list the rows that can be sources are loaded, numbered as `measure` numbers them, so that they can be joined
with the spectra. The other rows are listed with their reasons, and the dataset's name says how many there are. The
tables that a measurement writes beside its spectra are loaded as they are.
"""

import os
from pathlib import Path

import numpy as np
from glue.config import data_factory
from glue.core import Data
from glue.core.component import CategoricalComponent, Component

from ..io import TargetListError, is_spectrum_file, read_targets
from ..io.columns import json_like, to_qtable
from ..io.errors import PARSER_ERRORS, reason
from ..io.recognition import column_names
from ..io.spectra import read_tables
from ..model import CLEAN_MASK
from .columns import column_values, kind_of
from .loader import PRIORITY
from .opening import component_of, descriptions_of, require_file

_SHAPE = {"sersic_n": "n", "r_eff": "r_eff", "axis_ratio": "axis_ratio", "position_angle": "position_angle"}
_OUTCOME = {"source_id", "status", "ra", "dec"}
_IMAGE_NAMES = {"path", "det_id", "lvf_id", "status"}


# -- target lists -----------------------------------------------------------------------------------------------------


def is_target_list(filename, **kwargs):
    """Whether a file is a target list of ours: positions, and a column that other catalogues do not have."""
    names = {name.lower() for name in column_names(filename)}
    if not {"ra", "dec"} <= names or is_spectrum_file(filename):
        return False
    return bool(names & {"sersic_n", "r_eff"}) or {"pmra", "name"} <= names or _OUTCOME | {"n_images"} <= names


@data_factory("SPHEREx target list", identifier=is_target_list, priority=PRIORITY - 10)
def load_targets(filename, **kwargs):
    """Load a target list for glue.

    Parameters
    ----------
    filename : path-like
        Any table with positions that `glue_spherex.read_targets` reads, or the ``targets.ecsv`` of a result.
    **kwargs
        Names of columns, as for `glue_spherex.read_targets`: ``load_data(path, factory=load_targets, ra="RA_1")``.

    Returns
    -------
    glue.core.Data
        A row per source: ``source_id``, ``label``, ``ra``, ``dec`` (deg), the shape and motion, ``row`` (1 is the
        first row of the list), and the other columns of the list. Of a ``targets.ecsv`` all rows and columns;
        ``source_id`` is -1 where the row could not be a source. ``meta["spherex"]["rejected"]`` lists rejected rows.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TargetListError
        If it is no table with positions; names the file and the reason.
    """
    require_file(filename, "target list")
    targets = read_targets(filename, **kwargs)
    if set(targets.table.colnames) >= _OUTCOME:
        data = _table_data(targets.table, "targets")
        rejected = _rejections(targets.table)
    else:
        data = _target_data(targets)
        rejected = [str(row) for row in targets.rejected]
    data.meta["spherex"]["rejected"] = rejected
    if rejected:
        data.label = f"{Path(filename).stem} ({len(rejected)} of {targets.n_rows} rows rejected)"
    return data


def _rejections(table):
    """Number and reason of each row of a ``targets.ecsv`` that could not be a source."""
    rows = np.flatnonzero(np.asarray(table["status"]).astype(str) == "rejected")
    reasons = table["reason"] if "reason" in table.colnames else [""] * len(table)
    numbers = table["row"] if "row" in table.colnames else np.arange(len(table)) + 1
    return [f"row {numbers[row]}: {reasons[row]}" for row in rows]


def _table_data(table, kind):
    """A table as it is; a missing ``source_id`` becomes -1."""
    data = Data()
    for name in table.colnames:
        column = table[name]
        if name == "source_id" and np.any(getattr(column, "mask", False)):
            column = column.filled(-1)
        data.add_component(component_of(column), name)
    _describe(data, kind, table.colnames, descriptions_of(table), table.meta)
    return data


def _target_data(targets):
    data, sources = Data(), targets.sources
    columns = {
        "source_id": np.arange(len(sources)),
        "label": [source.label for source in sources],
        "ra": [source.ra for source in sources],
        "dec": [source.dec for source in sources],
        **{name: [getattr(s.profile, part, np.nan) for s in sources] for name, part in _SHAPE.items()},
        **{name: [getattr(s, name) for s in sources] for name in ("pmra", "pmdec", "ref_epoch")},
        "row": np.asarray(targets.rows) + 1,
    }
    units = {"ra": "deg", "dec": "deg", "position_angle": "deg", "r_eff": "arcsec", "pmra": "mas / yr",
             "pmdec": "mas / yr", "ref_epoch": "yr"}  # fmt: skip
    for name, values in columns.items():
        data.add_component(_component(values, units.get(name, "")), name)
    names, used = list(columns), {name for role, name in targets.columns.items() if role != "role"}
    for name in targets.table.colnames:
        if name not in used:
            names.append(name if name not in names else f"{name}_in_list")
            data.add_component(component_of(targets.table[name][targets.rows]), names[-1])
    _describe(data, "targets", names, descriptions_of(targets.table), {})
    return data


def _component(values, unit=""):
    values = np.asarray(values)
    return CategoricalComponent(values.astype(str)) if values.dtype.kind == "U" else Component(values, units=unit)


def _describe(data, kind, names, descriptions, meta):
    data.meta.update(json_like(dict(meta)))
    data.meta["spherex"] = {"kind": kind, "columns": list(names), "descriptions": dict(descriptions)}


def target_table_from(spectra):
    """A target list of the sources of a spectrum, for results that came without one.

    Parameters
    ----------
    spectra : glue.core.Data
        A spectrum that this plugin loaded.

    Returns
    -------
    glue.core.Data
        A row per source in the order of first rows: ``source_id``, ``label``, ``ra`` and ``dec`` (deg, mean of the
        rows), ``n_points`` (rows with a flux), ``n_clean`` (of these, with no flag but SOURCE).

    Raises
    ------
    ValueError
        If the data are no spectrum.
    """
    if kind_of(spectra) != "spectrum":
        raise ValueError(f"target list: {spectra.label!r} is no SPHEREx spectrum; choose one.")
    ids = _column(spectra, "source_id", 0)
    known, first, number = np.unique(ids, return_index=True, return_inverse=True)
    order = np.argsort(first)
    measured = np.isfinite(_column(spectra, "flux", np.nan))
    clean = measured & (_column(spectra, "flags", 0) & ~CLEAN_MASK == 0)
    ra, dec = _mean_positions(_column(spectra, "ra", np.nan), _column(spectra, "dec", np.nan), number, len(known))
    columns = {
        "source_id": known,
        "label": _column(spectra, "label", "")[first].astype(str),
        "ra": ra,
        "dec": dec,
        "n_points": np.bincount(number[measured], minlength=len(known)),
        "n_clean": np.bincount(number[clean], minlength=len(known)),
    }
    data = Data(label=f"sources of {spectra.label}")
    for name, values in columns.items():
        data.add_component(_component(values[order], "deg" if name in ("ra", "dec") else ""), name)
    descriptions = {
        "n_points": "measurements with a flux",
        "n_clean": "measurements with a flux and no flag but SOURCE",
    }
    _describe(data, "targets", columns, descriptions, {})
    data.meta["spherex"]["rejected"] = []
    return data


def _column(data, name, default):
    values = column_values(data, name)
    return np.full(data.size, default) if values is None else values


def _mean_positions(ra, dec, number, n):
    """Mean right ascension and declination of the rows of each source, deg; NaN without any."""
    known = np.isfinite(ra) & np.isfinite(dec)
    a, d = np.radians(ra[known]), np.radians(dec[known])
    vectors = np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)
    x, y, z = (np.bincount(number[known], part, minlength=n) for part in vectors)
    none = np.bincount(number[known], minlength=n) == 0
    mean = np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))
    return tuple(np.where(none, np.nan, values) for values in mean)


# -- images -----------------------------------------------------------------------------------------------------------


def is_images_table(filename, **kwargs):
    """Whether a file is the ``images.ecsv`` of a result."""
    return set(column_names(filename)) >= _IMAGE_NAMES


@data_factory("SPHEREx table of images", identifier=is_images_table, priority=PRIORITY - 10)
def load_images_table(filename, **kwargs):
    """Load the ``images.ecsv`` of a result: a row per image that was looked at.

    Parameters
    ----------
    filename : path-like

    Returns
    -------
    glue.core.Data
        All columns; ``lvf_id`` is the number of exposure and detector.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TargetListError
        If it cannot be read, or is no such table.
    """
    require_file(filename, "table of images")
    try:
        table = to_qtable(read_tables(filename)[0])
    except PARSER_ERRORS as error:
        raise TargetListError(f"{filename}: cannot be read as a table of images: {reason(error)}.") from error
    missing = _IMAGE_NAMES - set(table.colnames)
    if missing:
        raise TargetListError(
            f"{filename}: is no table of images; it lacks {', '.join(sorted(missing))}. Open the images.ecsv of a "
            "result."
        )
    return _table_data(table, "images")


def images_table(images):
    """The Level-2 images of a folder as a table.

    Parameters
    ----------
    images : path-like or sequence of ImageRecord
        A folder, searched with its subfolders, or records of an index or collection.

    Returns
    -------
    glue.core.Data
        A row per image: ``path``, ``obsid``, ``det_id``, ``lvf_id`` (number of exposure and detector), ``mjd`` (d),
        ``data_collection``, ``obs_publisher_did``, ``ra`` and ``dec`` of the centre (deg). Files in the folder that
        are no SPHEREx image are listed in ``meta["spherex"]["rejected"]``.

    Raises
    ------
    ImageFileError
        If the folder does not exist, or there is no SPHEREx image in it.
    """
    from ..images import Astrometry, FolderCollection

    label, failures = "images", []
    if isinstance(images, str | os.PathLike):
        collection = FolderCollection(images)
        label = Path(images).name or label
        images, failures = collection.records, collection.failures
    images = list(images)
    centres = [Astrometry(r.wcs_numbers).to_sky((r.nx - 1) / 2, (r.ny - 1) / 2) for r in images]
    columns = {
        "path": [record.path for record in images],
        "obsid": [record.obsid for record in images],
        "det_id": [record.detector for record in images],
        "lvf_id": [record.exposure_id for record in images],
        "mjd": [record.mjd for record in images],
        "data_collection": [record.collection for record in images],
        "obs_publisher_did": [record.obs_publisher_did for record in images],
        "ra": [float(ra) for ra, _ in centres],
        "dec": [float(dec) for _, dec in centres],
    }
    data = Data(label=label)
    for name, values in columns.items():
        data.add_component(_component(values, {"ra": "deg", "dec": "deg", "mjd": "d"}.get(name, "")), name)
    descriptions = {
        "lvf_id": "15-digit number of the exposure and detector",
        "mjd": "middle of the exposure, UTC",
        "ra": "right ascension of the image's centre, ICRS",
        "dec": "declination of the image's centre, ICRS",
    }
    _describe(data, "images", columns, descriptions, {})
    data.meta["spherex"]["rejected"] = [f"{path}: {reason}" for path, reason in failures]
    return data
