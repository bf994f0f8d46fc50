"""The measurements of one source of a dataset, column by column, for judging them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..model import CLEAN_MASK, COLUMNS
from .columns import column_values, find_column
from .sources import SourceRows, source_with_rows

_UNITS = {spec.name: spec.unit for spec in COLUMNS}


@dataclass(frozen=True, eq=False)
class SourceSpectrum:
    """The rows of a source that are looked at.

    Attributes
    ----------
    data : glue.core.Data
    source : SourceRows
    rows : ndarray of int, shape (n,)
        In the order of the dataset.
    """

    data: object
    source: SourceRows
    rows: np.ndarray

    @classmethod
    def of(cls, data, source_id=None, row_filter=None):
        """The spectrum of a source.

        Parameters
        ----------
        data : glue.core.Data
        source_id : int or str, optional
            The first source by default.
        row_filter : array_like of bool, shape (rows of the dataset,), optional
            Look only at these rows.

        Raises
        ------
        ValueError
            If the dataset is no table, has no such source, or the filter has another length.
        """
        if data.ndim != 1:
            raise ValueError(f"{data.label!r} is no table of measurements; it has {data.ndim} dimensions.")
        source = source_with_rows(data, source_id)
        rows = source.rows
        if row_filter is not None:
            row_filter = np.asarray(row_filter, dtype=bool)
            if row_filter.shape != (data.size,):
                raise ValueError(f"row_filter has the shape {row_filter.shape}; {data.label!r} has {data.size} rows.")
            rows = rows[row_filter[rows]]
        return cls(data, source, rows)

    def __len__(self):
        return self.rows.size

    def column(self, name):
        """The values of a column, in the unit of the spectrum table.

        Parameters
        ----------
        name : str

        Returns
        -------
        ndarray of float, shape (n,), or None
            None where the dataset has no such column, it does not hold numbers, or its unit is of another kind.
        """
        values = column_values(self.data, name)
        if values is None or values.dtype.kind not in "iufb":
            return None
        return _converted(values[self.rows].astype(float), self.data.get_component(find_column(self.data, name)), name)

    @cached_property
    def flags(self):
        """Bitmasks, int64 of shape (n,); None where there are none. Missing ones (negative) are 0."""
        values = column_values(self.data, "flags")
        if values is None or values.dtype.kind not in "iub":
            return None
        return np.maximum(values[self.rows].astype(np.int64), 0)

    @cached_property
    def detector(self):
        """Detector of each row, an int array; 0 where it is not known."""
        values = self.column("det_id")
        return np.zeros(len(self), dtype=int) if values is None else np.nan_to_num(values).astype(int)

    @cached_property
    def measured(self):
        """Rows with a finite flux, wavelength, and error (where there are errors)."""
        good = np.ones(len(self), dtype=bool)
        for name in ("wavelength", "flux", "flux_err"):
            values = self.column(name)
            if values is not None:
                good &= np.isfinite(values)
        return good

    @cached_property
    def clean(self):
        """Measured rows without any flag, or with SOURCE alone."""
        return self.measured if self.flags is None else self.measured & ((self.flags & ~CLEAN_MASK) == 0)

    def place_of(self, index):
        """Where a row is, in words: wavelength and detector."""
        wavelength = self.column("wavelength")
        parts = []
        if wavelength is not None and np.isfinite(wavelength[index]):
            parts.append(f"at {wavelength[index]:.3f} µm")
        if self.detector[index]:
            parts.append(f"detector {self.detector[index]}")
        return ", ".join(parts) or f"in row {self.rows[index]}"


def _converted(values, component, name):
    """Values in the unit of the schema; None where the component's unit is of another kind."""
    unit, wanted = str(component.units or ""), _UNITS.get(name, "")
    if not unit or not wanted or unit == wanted:
        return values
    import astropy.units as u

    try:
        return (values * u.Unit(unit)).to_value(wanted)
    except (u.UnitConversionError, ValueError, TypeError):
        return None
