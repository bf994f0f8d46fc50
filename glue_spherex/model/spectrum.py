"""The spectrum table: a row per measurement, columns with IRSA's names.

The table is a `~astropy.table.QTable` in the order of its file. `COLUMNS` is its schema; new columns are appended and
never inserted, because saved sessions know columns by their place. On disk the wavelength is ``lambda``, as IRSA
writes it; in Python it is ``wavelength``, because ``lambda`` is a keyword.
"""

from typing import NamedTuple

import numpy as np


class SpectrumError(ValueError):
    """A table that is not a spectrum table."""


class ColumnSpec(NamedTuple):
    """One column of the spectrum table."""

    name: str
    unit: str
    dtype: str
    description: str
    ucd: str

    @property
    def disk_name(self):
        """The name in files."""
        return DISK_NAMES.get(self.name, self.name)


#: Names that differ between Python and files.
DISK_NAMES = {"wavelength": "lambda"}

#: numpy dtype codes by the schema's words; text columns are Unicode of any width.
DTYPES = {"float": np.float64, "int": np.int64, "bool": np.bool_, "text": np.str_}

_SKY = "of the source at the epoch of the exposure, ICRS"

COLUMNS = tuple(
    ColumnSpec(*row)
    for row in (
        # what IRSA's tool returns, in its order
        ("ra", "deg", "float", f"right ascension {_SKY}", "pos.eq.ra;meta.main"),
        ("dec", "deg", "float", f"declination {_SKY}", "pos.eq.dec;meta.main"),
        ("x_image", "pix", "float", "0-based x on the full detector frame", "pos.cartesian.x;instr.det"),
        ("y_image", "pix", "float", "0-based y on the full detector frame", "pos.cartesian.y;instr.det"),
        ("mjd", "d", "float", "middle of the exposure, UTC", "time.epoch;obs.exposure"),
        (
            "flux_bkg",
            "MJy / sr",
            "float",
            "local background subtracted, zodiacal light included",
            "phot.flux.density.sb;instr.background",
        ),
        ("local_bkg_flg", "", "bool", "whether a local background was subtracted", "meta.code"),
        ("flags", "", "int", "quality flags of the pixels within 2.5 px, and of the fit", "meta.code.qual"),
        (
            "fit_ql",
            "",
            "float",
            "mean |data - model| / sigma within 2.5 px; 0.80 for a perfect model",
            "stat.fit.goodness",
        ),
        ("deep_flg", "", "bool", "whether the image belongs to a deep field", "meta.code"),
        ("det_id", "", "int", "detector, 1 to 6", "meta.id;instr.det"),
        ("lvf_id", "", "int", "15-digit number of the exposure and detector", "meta.id;obs.exposure"),
        ("obs_publisher_did", "", "text", "IVOA identifier of the image", "meta.ref.ivoid"),
        ("wavelength", "um", "float", "central wavelength at the source", "em.wl.central"),
        ("lambda_width", "um", "float", "bandwidth at the source", "instr.bandwidth"),
        ("flux", "uJy", "float", "flux density", "phot.flux.density;em.wl"),
        (
            "flux_err",
            "uJy",
            "float",
            "1-sigma error, marginalised over neighbours, background included",
            "stat.error;phot.flux.density",
        ),
        # what this program adds; append only
        ("source_id", "", "int", "number of the source in the target list", "meta.id;src"),
        ("label", "", "text", "name of the source", "meta.id;meta.main"),
        (
            "flux_err_tractor",
            "uJy",
            "float",
            "error with all neighbours held fixed, as The Tractor reports it",
            "stat.error;phot.flux.density",
        ),
        ("data_collection", "", "text", "archive collection of the image", "meta.id"),
        ("flux_bkg_err", "MJy / sr", "float", "1-sigma error of flux_bkg", "stat.error;instr.background"),
        ("n_bkg_pixels", "", "int", "pixels used for the local background", "meta.number"),
        ("n_bad_pixels", "", "int", "pixels within 2.5 px that the fit must not use", "meta.number"),
        ("masked_fraction", "", "float", "part of the source's light on pixels that were not used", "stat.value"),
    )
)

COLUMN = {spec.name: spec for spec in COLUMNS}


def new_table(columns):
    """A spectrum table from bare arrays.

    Parameters
    ----------
    columns : dict of str to array_like, each of shape (n,)
        One entry per column of the schema, in the schema's units.

    Returns
    -------
    QTable
        Columns in the schema's order with units, descriptions and UCDs (``info.meta["ucd"]``).

    Raises
    ------
    SpectrumError
        If a column of the schema is missing, or one is given that the schema does not know.
    """
    from astropy.table import Column, QTable

    missing = [spec.name for spec in COLUMNS if spec.name not in columns]
    unknown = [name for name in columns if name not in COLUMN]
    if missing or unknown:
        raise SpectrumError(
            f"spectrum table: missing columns {missing or 'none'}, unknown columns {unknown or 'none'}; "
            f"needed are {', '.join(COLUMN)}."
        )
    table = QTable()
    for spec in COLUMNS:
        values = np.asarray(columns[spec.name], dtype=DTYPES[spec.dtype])
        table[spec.name] = Column(values, unit=spec.unit or None)
        describe(table, spec)
    return table


def describe(table, spec):
    """Give a column of a table the description and UCD of the schema."""
    info = table[spec.name].info
    info.description = spec.description
    info.meta = {**(info.meta or {}), "ucd": spec.ucd}


def check(table):
    """Make sure that a table can be used as a spectrum table.

    Parameters
    ----------
    table : Table
        Needs at least wavelength and flux; columns of the schema must have convertible units.

    Raises
    ------
    SpectrumError
        Naming the column, what it is, and what is needed.
    """
    import astropy.units as u

    for name in ("wavelength", "flux"):
        if name not in table.colnames:
            raise SpectrumError(f"spectrum table: no column {name!r}; the columns are {', '.join(table.colnames)}.")
    for spec in COLUMNS:
        if spec.name not in table.colnames or not spec.unit:
            continue
        unit = table[spec.name].unit
        if unit is not None and not u.Unit(unit).is_equivalent(spec.unit):
            raise SpectrumError(f"spectrum table: column {spec.name!r} has the unit {unit}; {spec.unit} is needed.")
