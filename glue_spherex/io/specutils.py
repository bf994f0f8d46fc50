"""Spectra as specutils objects, and the loader by which specutils reads spectrum files.

Importing this module registers the loader; it imports specutils, which takes seconds.
"""

import os

import numpy as np
from specutils import Spectrum, SpectrumList
from specutils.io.registers import data_loader

from ..model import COLUMNS, Flag, SpectrumError
from ..model.spectrum import check
from .columns import FileColumn, FileTable, in_schema, json_like, to_qtable
from .errors import SpectrumFileError
from .recognition import is_spectrum_file
from .spectra import read_spectra

LOADER = "SPHEREx spectrum"

_AXES = ("wavelength", "flux", "flux_err")


# -- to specutils -----------------------------------------------------------------------------------------------------


def to_spectrum(spectra, source_id=None, *, mask_flags=0):
    """The spectrum of one source as specutils knows it: sorted by wavelength.

    Parameters
    ----------
    spectra : QTable
        A spectrum table, as from `read_spectra`.
    source_id : int or str, optional
        The source; may be left out if there is only one.
    mask_flags : int or Flag, optional
        Flags whose points are masked as well.

    Returns
    -------
    specutils.Spectrum
        With the standard deviations ``flux_err``; masked where the fit failed (``Flag.FIT_ERROR``) or the flux is NaN.
        Rows without a wavelength are left out. In ``meta``: ``"row"``, the number of each point's row in `spectra`,
        and every other column under its name, in the order of the points.

    Raises
    ------
    SpectrumError
        If there is no such source, or there are several and none is named.
    """
    from astropy.nddata import StdDevUncertainty
    from astropy.units import Quantity

    check(spectra)
    wavelength = Quantity(spectra["wavelength"], spectra["wavelength"].unit or "um")
    rows = _rows_of(spectra, source_id)
    rows = rows[np.isfinite(wavelength.value[rows])]
    rows = rows[np.argsort(wavelength.value[rows], kind="stable")]
    flux = Quantity(spectra["flux"], spectra["flux"].unit or "uJy")[rows]
    bits = int(Flag.FIT_ERROR) | int(mask_flags)
    mask = np.isnan(flux.value)
    if "flags" in spectra.colnames:
        mask |= (np.ma.filled(np.ma.asarray(spectra["flags"][rows]), 0).astype(np.int64) & bits) != 0
    error = None
    if "flux_err" in spectra.colnames:
        error = StdDevUncertainty(
            Quantity(spectra["flux_err"], spectra["flux_err"].unit or flux.unit)[rows].to(flux.unit)
        )
    meta = dict(spectra.meta)
    for name in spectra.colnames:
        if name not in _AXES:
            meta[name] = _bare(spectra[name], rows)
    meta["row"] = rows
    return Spectrum(flux=flux, spectral_axis=wavelength[rows], uncertainty=error, mask=mask, meta=meta)


def _rows_of(spectra, source_id):
    """Row numbers of a source."""
    if "source_id" not in spectra.colnames:
        if source_id is not None:
            raise SpectrumError(f"source_id is {source_id!r}, but the table has no column source_id; leave it out.")
        return np.arange(len(spectra))
    column = np.asarray(spectra["source_id"])
    known = list(dict.fromkeys(column.tolist()))
    listed = ", ".join(map(repr, known[:20])) + (f", … ({len(known)} in all)" if len(known) > 20 else "")
    if source_id is None:
        if len(known) > 1:
            raise SpectrumError(f"the table has several sources; say which with source_id, one of {listed}.")
        return np.arange(len(spectra))
    if source_id not in known:
        raise SpectrumError(f"there is no source with source_id {source_id!r}; the table has {listed or 'no source'}.")
    return np.flatnonzero(column == source_id)


def _bare(column, rows):
    """Some rows of a column as a quantity or array, masked if values are missing."""
    if getattr(column, "unit", None) is not None and hasattr(column, "to"):
        return column[rows]
    if isinstance(column, np.ma.MaskedArray):
        return np.ma.MaskedArray(np.asarray(column.data)[rows], np.ma.getmaskarray(column)[rows])
    return np.asarray(column)[rows]


# -- from specutils ---------------------------------------------------------------------------------------------------


def from_spectrum(spectrum):
    """A spectrum table from one or more specutils objects.

    Parameters
    ----------
    spectrum : specutils.Spectrum or sequence of them
        One-dimensional; the flux must be convertible to µJy, by way of the wavelength if it is per wavelength. A
        ``Spectrum1D`` of older versions will do as well.

    Returns
    -------
    QTable
        A row per point, in the order of the spectra. Columns of the schema that are found in ``meta``, with one value
        per point or one for all, are taken from there; ``source_id`` is counted from 0 where it is not, and masked
        points without flags get ``Flag.FIT_ERROR``.

    Raises
    ------
    SpectrumError
        If something is no spectrum, has more than one dimension, or units that cannot be converted.
    """
    single = hasattr(spectrum, "spectral_axis")
    spectra = [spectrum] if single else list(spectrum)
    parts = [_columns_of(one, number) for number, one in enumerate(spectra)]
    ids = [part["source_id"][0][0] for part in parts if len(part["source_id"][0])]
    if len(set(map(str, ids))) < len(ids):  # two spectra must not become one source
        for number, part in enumerate(parts):
            part["source_id"] = (np.full(len(part["flux"][0]), number), None)
    known = [spec.name for spec in COLUMNS if any(spec.name in part for part in parts)]
    units = {"wavelength": "um", "flux": "uJy", "flux_err": "uJy"}
    columns = [FileColumn(name, *_stacked(name, parts), unit=units.get(name, "")) for name in known]
    if not parts:
        columns = [FileColumn(name, np.zeros(0), unit=units[name]) for name in _AXES]
    return to_qtable(in_schema(FileTable(columns, _plain_meta(spectrum.meta) if single else {})))


def _columns_of(spectrum, number):
    """Values and masks of one spectrum, by column."""
    import astropy.units as u
    from astropy.nddata import StdDevUncertainty

    if not hasattr(spectrum, "spectral_axis") or not hasattr(spectrum, "flux"):
        raise SpectrumError(f"spectrum {number} is a {type(spectrum).__name__}; a specutils Spectrum is needed.")
    if spectrum.flux.ndim != 1:
        raise SpectrumError(f"spectrum {number} has the shape {spectrum.flux.shape}; one dimension is needed.")
    try:
        wavelength = u.Quantity(spectrum.spectral_axis).to(u.um, u.spectral())
        density = u.spectral_density(wavelength)
        flux = spectrum.flux.to(u.uJy, density)
        result = {"wavelength": (wavelength.value, None), "flux": (flux.value, None)}
        if spectrum.uncertainty is not None:
            deviation = spectrum.uncertainty.represent_as(StdDevUncertainty)
            error = u.Quantity(deviation.array, deviation.unit or spectrum.flux.unit).to(u.uJy, density)
            result["flux_err"] = (error.value, None)
    except u.UnitConversionError as error:
        raise SpectrumError(f"spectrum {number}: {error}; a wavelength and a flux density are needed.") from None
    for spec in COLUMNS:
        if spec.name in spectrum.meta and spec.name not in _AXES:
            result[spec.name] = _from_meta(spec, spectrum.meta[spec.name], len(flux))
    if "flags" not in result and spectrum.mask is not None:
        result["flags"] = (np.where(np.asarray(spectrum.mask), int(Flag.FIT_ERROR), 0), None)
    if "source_id" not in result:
        result["source_id"] = (np.full(len(flux), number), None)
    return result


def _from_meta(spec, value, n):
    """Values and mask of a column that meta holds, for n points."""
    if spec.unit and hasattr(value, "to_value") and getattr(value, "unit", None) is not None:
        value = value.to_value(spec.unit)
    mask = np.ma.getmaskarray(value) if isinstance(value, np.ma.MaskedArray) else None
    values = np.asarray(value.data if mask is not None else value)
    if values.dtype.kind in "SO":
        values = values.astype(str)
    if values.shape not in ((), (n,)):
        raise SpectrumError(f"meta[{spec.name!r}] has the shape {values.shape}; {n} values or one are needed.")
    return np.broadcast_to(values, (n,)), None if mask is None else np.broadcast_to(mask, (n,))


def _stacked(name, parts):
    """Values and mask of a column over all spectra; what one of them lacks is missing there."""
    found = [part[name][0] for part in parts if name in part]
    text, real = any(v.dtype.kind == "U" for v in found), any(v.dtype.kind == "f" for v in found)
    blank = "" if text else np.nan if real else found[0].dtype.type(0)
    values, masks = [], []
    for part in parts:
        n = len(part["flux"][0])
        block, mask = part.get(name, (np.full(n, blank), np.full(n, not (text or real))))
        values.append(block.astype(str) if text else block)
        masks.append(np.zeros(n, dtype=bool) if mask is None else mask)
    mask = np.concatenate(masks)
    return np.concatenate(values), mask if mask.any() else None


def _plain_meta(meta):
    names = {spec.name for spec in COLUMNS} | {"row", "header"}
    return json_like(
        {key: value for key, value in meta.items() if key not in names and isinstance(value, str | int | float | dict)}
    )


# -- the loader -------------------------------------------------------------------------------------------------------


def identify(origin, path, fileobj, *args, **kwargs):
    """Whether specutils should read a file with this loader."""
    return origin == "read" and isinstance(path, str | os.PathLike) and is_spectrum_file(path)


def _path_of(file):
    path = file if isinstance(file, str | os.PathLike) else getattr(file, "name", None)
    if not isinstance(path, str | os.PathLike):
        raise SpectrumFileError(f"{file!r}: SPHEREx spectra are read from files with a name.")
    return path


@data_loader(LOADER, identifier=identify, dtype=Spectrum, priority=10, autogenerate_spectrumlist=False, force=True)
def read_one(file, **kwargs):
    """The loader of ``Spectrum.read``: a file with one source."""
    path = _path_of(file)
    spectra = read_spectra(path)
    ids = list(dict.fromkeys(np.asarray(spectra["source_id"]).tolist()))
    if len(ids) > 1:
        raise SpectrumFileError(
            f"{path}: holds {len(ids)} sources ({', '.join(map(str, ids[:20]))}); read it with SpectrumList.read."
        )
    return to_spectrum(spectra)


@data_loader(LOADER, identifier=identify, dtype=SpectrumList, priority=10, force=True)
def read_list(file, **kwargs):
    """The loader of ``SpectrumList.read``: a spectrum per source."""
    spectra = read_spectra(_path_of(file))
    ids = dict.fromkeys(np.asarray(spectra["source_id"]).tolist())
    return SpectrumList([to_spectrum(spectra, source_id) for source_id in ids])
