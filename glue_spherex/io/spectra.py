"""Reading and writing spectrum tables."""

from pathlib import Path

import numpy as np

from ..model.spectrum import DISK_NAMES, SpectrumError, check
from .columns import FileColumn, from_table, in_schema, to_qtable
from .errors import PARSER_ERRORS, SpectrumFileError, TableFileError, reason
from .files import open_table, replacing
from .pieces import Pieces
from .wide import long_form

#: Formats that `write_spectra` knows, by extension.
WRITE_FORMATS = {
    "vot": "votable",
    "xml": "votable",
    "fits": "fits",
    "ecsv": "ecsv",
    "tbl": "ipac",
    "csv": "csv",
    "tsv": "tsv",
    "parquet": "parquet",
}
_SAME_SOURCE_ARCSEC = 1.0


def read_tables(path, typed=True):
    """Read all tables of a file of any kind that is known, recognised by its content.

    Parameters
    ----------
    path : str or path
    typed : bool, optional
        Whether columns of CSV and the like become numbers where they can; else they stay as they are written.

    Returns
    -------
    list of FileTable
        At least one.

    Raises
    ------
    TableFileError, OSError, …
        One of `PARSER_ERRORS`.
    """
    with open_table(path) as (stream, kind):
        if kind == "votable":
            from .votable import read_votable

            tables = read_votable(stream)
        elif kind == "fits":
            from .fits_table import read_fits

            tables = read_fits(stream)
        elif kind == "parquet":
            from .parquet import read_parquet

            tables = [read_parquet(stream)]
        elif kind == "ecsv":
            from .ecsv import read_ecsv

            tables = [read_ecsv(stream)]
        else:
            from .text import read_ipac, read_text

            tables = [read_ipac(stream) if kind == "ipac" else read_text(stream, typed)]
    if not tables:
        raise TableFileError("it has no table")
    return tables


def read_spectra(path):
    """Read the spectra in a file, whatever its format and name.

    Results of IRSA's Spectrophotometry Tool are read in both shapes, a row per source with arrays and a row per
    measurement, and so is whatever `write_spectra` writes: VOTable, FITS, ECSV, IPAC table, CSV, TSV, Parquet; all of
    them gzipped as well. Of several tables in a file the first that can be a spectrum is read. Files above 2 GiB are
    refused, and VOTables that refer to anything outside themselves.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    QTable
        A row per measurement in the order of the file, columns in the order of the file; ``lambda`` is named
        ``wavelength``. Columns of the schema (`glue_spherex.model.COLUMNS`) have its types, and its units and
        descriptions where the file gives none; other columns are kept. ``flags`` and the schema's other integers have
        64 bits; integers and booleans are masked where there is no value, floats are NaN there. A file without
        ``source_id`` gets one: the number of the source, counted from 0, told by label or, without labels, by
        position. Parameters of the file are in ``meta``.

    Raises
    ------
    SpectrumFileError
        If the file cannot be read, or is no spectrum; names the file and the reason.

    Examples
    --------
    >>> spectra = read_spectra("result.xml")           # doctest: +SKIP
    >>> spectra["wavelength"].to("nm")                 # doctest: +SKIP
    """
    try:
        tables = read_tables(path)
        table = in_schema(long_form(next(filter(_is_spectrum, tables), tables[0])))
        if "source_id" not in table.names:
            table.columns.append(source_numbers(table))
            table = in_schema(table)
        spectra = to_qtable(table)
        check(spectra)
    except PARSER_ERRORS as error:
        raise SpectrumFileError(f"{path}: cannot be read as a spectrum: {reason(error)}.") from error
    return spectra


def _is_spectrum(table):
    names = {DISK_NAMES.get(name, name) for name in table.names}
    return {"lambda", "flux"} <= names


def source_numbers(table):
    """The column ``source_id`` of a spectrum without one: a number per source, in the order of their first rows.

    Parameters
    ----------
    table : FileTable
        A row per measurement. Sources are told by label, or by position where there is none.

    Returns
    -------
    FileColumn
    """
    columns = {column.name: column.values for column in table.columns}
    if "label" in columns:
        keys = columns["label"]
    elif "ra" in columns and "dec" in columns:
        keys = _same_position(columns["ra"], columns["dec"])
    else:
        keys = np.zeros(len(columns["flux"]), dtype=int)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return FileColumn("source_id", np.argsort(np.argsort(first))[inverse].astype(np.int64))


def _same_position(ra, dec):
    """A number per row that is equal for rows within 1 arcsec of each other, directly or through other rows."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    positions, inverse = np.unique(np.column_stack([ra, dec]), axis=0, return_inverse=True, equal_nan=True)
    known = np.isfinite(positions).all(axis=1)
    a, d = np.radians(positions[known].T)
    vectors = np.column_stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    keys = np.full(len(positions), -1)
    if len(vectors):
        pairs = cKDTree(vectors).query_pairs(np.radians(_SAME_SOURCE_ARCSEC / 3600), output_type="ndarray")
        links = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(vectors),) * 2)
        keys[known] = connected_components(links, directed=False)[1]
    return keys[inverse.reshape(-1)]


def write_spectra(spectra, path, format=None):
    """Write spectra to a file.

    The file appears when it is complete, in place of one that was there. The wavelength's column is named ``lambda``
    on disk. VOTable, FITS, ECSV and Parquet carry everything that `read_spectra` returned; an IPAC table cannot carry
    text with line breaks, and CSV and TSV hold names and values only.

    Parameters
    ----------
    spectra : QTable or Table
        A spectrum table; needs at least the columns wavelength and flux.
    path : str or path
        The file; its extension tells the format.
    format : str, optional
        ``"votable"``, ``"fits"``, ``"ecsv"``, ``"ipac"``, ``"csv"``, ``"tsv"`` or ``"parquet"``, or an extension;
        takes precedence over the extension of `path`.

    Raises
    ------
    SpectrumFileError
        If the format is unknown, the table is none of spectra or cannot be carried by the format, or the file cannot
        be written.
    """
    write_blocks([spectra], path, format)


def write_blocks(blocks, path, format=None, *, head=None, n_rows=None, step=None):
    """Write spectra that come in pieces; a file of any length takes the memory of one piece, but for an IPAC table.

    Parameters
    ----------
    blocks : iterable of QTable or Table
        Spectrum tables with the same columns.
    path, format
        As in `write_spectra`.
    head : QTable or Table, optional
        A table like the pieces that has every text of theirs in it, every source number, and a missing value where
        they have any; needed with more than one.
    n_rows : int, optional
        Rows of all pieces; needed with `head`.
    step : callable(), optional
        Called now and then; what it raises ends the writing, and the file does not appear.

    Raises
    ------
    SpectrumFileError
        As in `write_spectra`.
    """
    path = Path(path)
    name = _format(path, format)
    try:
        with replacing(path) as part:
            if head is None:
                (table,) = blocks
                pieces = Pieces.of(_checked(table), step)
            else:
                pieces = Pieces(map(_checked, blocks), _checked(head), n_rows, step)
            _write(pieces, part, name)
    except SpectrumFileError:  # about another file, on whose way the pieces are
        raise
    except SpectrumError as error:
        raise SpectrumFileError(f"{path}: not written: {error}") from error
    except PARSER_ERRORS as error:
        raise SpectrumFileError(f"{path}: cannot be written: {reason(error)}.") from error


def _checked(spectra):
    check(spectra)
    return from_table(spectra)


def _format(path, given):
    word = (given if given is not None else path.suffix).lower().removeprefix(".")
    if word in WRITE_FORMATS.values():
        return word
    if word in WRITE_FORMATS:
        return WRITE_FORMATS[word]
    what = f"format {given!r} is" if given is not None else f"extension {path.suffix!r} is"
    raise SpectrumFileError(f"{path}: the {what} unknown; known are {', '.join(WRITE_FORMATS)}.")


def _write(pieces, path, name):
    if name == "votable":
        from .votable_write import write_votable as write
    elif name == "fits":
        from .fits_table import write_fits as write
    elif name == "ecsv":
        from .ecsv import write_ecsv as write
    elif name == "parquet":
        from .parquet import write_parquet as write
    elif name == "ipac":
        from .text import write_ipac as write
    else:
        from .text import write_delimited

        return write_delimited(pieces, path, "\t" if name == "tsv" else ",")
    return write(pieces, path)
