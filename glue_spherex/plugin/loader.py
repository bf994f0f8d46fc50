"""Spectra as glue data: one `~glue.core.Data` per file, in the order of the file.

Sessions refer to the columns by their place, so the columns stay in the order in which `read_spectra` gives them.
"""

import json

import numpy as np
from glue.config import data_factory
from glue.core import Data
from glue.core.component import CategoricalComponent, Component

from ..io import is_spectrum_file, read_spectra

#: Above glue's readers for VOTables (1), and FITS files and HDF5 (100).
PRIORITY = 200


def is_spectrum(filename, **kwargs):
    """Whether a file is a SPHEREx spectrum, by its content; False for anything odd."""
    return is_spectrum_file(filename)


@data_factory("SPHEREx spectrum", identifier=is_spectrum, priority=PRIORITY)
def load_spectrum(filename, **kwargs):
    """Load a spectrum for glue.

    Parameters
    ----------
    filename : path-like
        Any format that `glue_spherex.read_spectra` reads.

    Returns
    -------
    glue.core.Data
        All sources of the file; missing flags are 0, text stays text, units and descriptions are kept, and ``meta``
        holds the provenance.
    """
    return spectrum_data(read_spectra(filename))


def spectrum_data(table):
    """Turn a spectrum table into glue data.

    Parameters
    ----------
    table : QTable
        Spectrum table.

    Returns
    -------
    glue.core.Data
        Without a label; glue gives it the file's name.
    """
    data = Data()
    descriptions = {}
    for name in table.colnames:
        data.add_component(_component(table[name]), name)
        if table[name].info.description:
            descriptions[name] = table[name].info.description
    data.meta.update(_json_like(dict(table.meta)))
    data.meta["spherex"] = {"kind": "spectrum", "columns": list(table.colnames), "descriptions": descriptions}
    return data


def _component(column):
    values = getattr(column, "value", column)
    if np.ma.isMaskedArray(values):
        blank = {"f": np.nan, "U": "", "S": b""}.get(values.dtype.kind, 0)
        values = values.filled(blank)
    values = np.asarray(values)
    if values.dtype.kind in "OUS":
        return CategoricalComponent(values.astype(str))
    if values.dtype.kind == "b":
        values = values.astype(np.int64)
    return Component(values, units=str(column.unit or ""))


def _json_like(meta):
    """The part of the metadata that a session can hold: text, numbers, lists and dictionaries of them."""
    kept = {}
    for key, value in meta.items():
        try:
            kept[str(key)] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            kept[str(key)] = str(value)
    return kept
