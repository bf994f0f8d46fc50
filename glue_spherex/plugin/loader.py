"""Spectra as glue data: one `~glue.core.Data` per file, in the order of the file.

Sessions refer to the columns by their place, so the columns stay in the order in which `read_spectra` gives them.
"""

import numpy as np
from glue.config import data_factory
from glue.core import Data

from ..io import is_spectrum_file, read_spectra
from ..io.columns import json_like
from .columns import numbered
from .opening import component_of, descriptions_of, ranges_of, require_file

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

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    SpectrumFileError
        If it cannot be read; names the file and the reason.
    """
    require_file(filename, "spectrum")
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
        Without a label; glue gives it the file's name. What glue's components cannot hold is in ``meta["spherex"]``:
        ``columns``, the names in order; ``descriptions``; ``ucds``; ``truth_values``, the columns of truth values;
        ``missing``, for each column of whole numbers the ranges of rows ``[start, stop]`` without a value. Sources
        that the file tells apart by text get numbers; their text is in the component that ``identifiers`` names.
    """
    data = Data()
    truth_values, missing = [], {}
    table, identifiers = _numbered(table)
    for name in table.colnames:
        column = table[name]
        data.add_component(component_of(column), name)
        if column.dtype.kind == "b":
            truth_values.append(name)
        if column.dtype.kind in "biu" and np.any(getattr(column, "mask", False)):
            missing[name] = ranges_of(column.mask)
    data.meta.update(json_like(dict(table.meta)))
    data.meta["spherex"] = {
        "kind": "spectrum",
        "columns": list(table.colnames),
        "descriptions": descriptions_of(table),
        "ucds": {name: str(ucd) for name in table.colnames if (ucd := (table[name].info.meta or {}).get("ucd"))},
        "truth_values": truth_values,
        "missing": missing,
        "identifiers": identifiers,
    }
    return data


def _numbered(table):
    """The table with whole numbers as ``source_id``, and the name of the column that has the file's text instead."""
    if "source_id" not in table.colnames or table["source_id"].dtype.kind in "iu":
        return table, ""
    table, text = table.copy(copy_data=False), np.asarray(table["source_id"]).astype(str)
    name = next(name for name in ("label", "identifier", "source_identifier") if name not in table.colnames)
    table.replace_column("source_id", numbered(text))
    table[name] = text
    return table, name
