"""Saving spectra from glue, whole or as a subset, in every format that `write_spectra` knows."""

from glue.config import data_exporter
from glue.core.subset import Subset

from ..io import WRITE_FORMATS, SpectrumFileError, write_spectra
from ..model import SpectrumError
from .translator import to_table

_NAMES = {
    "votable": "VOTable",
    "fits": "FITS",
    "ecsv": "ECSV",
    "ipac": "IPAC table",
    "csv": "CSV",
    "tsv": "TSV",
    "parquet": "Parquet",
}


def export_spectrum(filename, data, components=None, format=None):
    """Save a spectrum, or a subset of one.

    Parameters
    ----------
    filename : path-like
    data : glue.core.Data or glue.core.Subset
        A spectrum that this plugin loaded; of a subset its rows are saved.
    components : list of glue.core.ComponentID, optional
        Only these columns; wavelength and flux are needed.
    format : str, optional
        As for `glue_spherex.write_spectra`; by default the extension tells.

    Raises
    ------
    SpectrumFileError
        If the data are no spectrum, or the file cannot be written.
    """
    try:
        table = to_table(data, components=components)
    except SpectrumError as error:
        raise SpectrumFileError(f"{filename}: not written: {error}") from None
    if isinstance(data, Subset):
        table.meta["subset"] = data.label
    write_spectra(table, filename, format)


def _register(format):
    def export(filename, data, components=None):
        return export_spectrum(filename, data, components, format)

    export.__name__ = f"export_{format}"
    export.__doc__ = f"Save a spectrum as {_NAMES[format]}; see `export_spectrum`."
    extensions = [extension for extension, kind in WRITE_FORMATS.items() if kind == format]
    return data_exporter(f"SPHEREx spectrum, {_NAMES[format]}", extension=extensions)(export)


#: The exporters by format.
EXPORTERS = {format: _register(format) for format in dict.fromkeys(WRITE_FORMATS.values())}
