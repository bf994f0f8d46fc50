"""Where the points of a dataset stand in the viewer, in the units of its axes, and which cannot be drawn."""

from typing import NamedTuple

import numpy as np
from astropy import units as u

from ...model import CLEAN_MASK
from ..columns import column_values
from .column_names import read_name
from .flux_units import FLUX_UNITS, is_flux, shown_error, shown_flux, to_ujy
from .quantities import (
    WORDS,
    CannotShow,
    bandwidth_component,
    error_component,
    find_quantity,
    local_component,
    name_of,
    quantity_of,
    standard_errors,
    unit_of,
    unit_text,
)
from .sources import Sources, shown_rows, sources_of
from .unit_notes import RENAME, unit_notes


class Axes(NamedTuple):
    """What the two axes show; everything that decides where a point stands.

    ``x_att``, ``y_att``: component; ``y_unit``: one of `FLUX_UNITS`, used where y is a flux; ``redshift``: wavelengths
    are divided by 1 + redshift.
    """

    x_att: object
    y_att: object
    y_unit: str = "µJy"
    redshift: float = 0.0

    @property
    def x_is_wavelength(self):
        """Whether x is a wavelength, shown in µm."""
        owner = self.x_att.parent
        return quantity_of(owner, self.x_att) == "wavelength" and unit_of(owner, self.x_att) is not None

    @property
    def y_is_flux(self):
        """Whether y is a flux density, shown in ``y_unit``."""
        return is_flux(unit_of(self.y_att.parent, self.y_att))

    @property
    def y_is_magnitude(self):
        """Whether y is a magnitude, which grows downwards."""
        return self.y_is_flux and self.y_unit == "AB mag"

    @property
    def native(self):
        """Whether a point stands where the values of its components say."""
        x_same = not self.x_is_wavelength or (self.redshift == 0 and unit_of(self.x_att.parent, self.x_att) == u.um)
        y_same = not self.y_is_flux or (self.y_unit == "µJy" and unit_of(self.y_att.parent, self.y_att) == u.uJy)
        return x_same and y_same

    def labels(self):
        """The texts of the two axes, with their units."""
        x_name, y_name = _words(self.x_att), _words(self.y_att)
        if self.x_is_wavelength:
            x_text = f"rest-frame {x_name} at z = {self.redshift:g} (µm)" if self.redshift else f"{x_name} (µm)"
        else:
            x_text = _with_unit(x_name, self.x_att)
        if not self.y_is_flux:
            return x_text, _with_unit(y_name, self.y_att)
        text = FLUX_UNITS[self.y_unit]
        if y_name == "flux":
            return x_text, text
        return x_text, text.replace("flux", y_name) if text.startswith("flux") else f"{text} of {y_name}"


def _words(cid):
    name = name_of(cid.parent, cid)
    if name != cid.label:
        return cid.label
    read = None if cid.parent.get_component(cid).units else read_name(name)
    return WORDS.get(name, name if read is None or read.unit is None else read.plain)


def _with_unit(name, cid):
    unit = unit_text(cid.parent.get_component(cid).units or str(unit_of(cid.parent, cid) or ""))
    if unit == "d" and name == WORDS["mjd"]:
        return name
    return f"{name} ({unit})" if unit else name


def wavelength_um(data):
    """The observed wavelengths of a dataset.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    ndarray, shape (n,), µm
        NaN where there is none.
    """
    cid = find_quantity(data, "wavelength")
    unit = None if cid is None else unit_of(data, cid)
    if unit is None:
        return np.full(data.size, np.nan)
    return _converted(data.get_data(cid), unit, u.um, u.spectral())


def _converted(values, unit, to, equivalencies=()):
    values = np.asarray(values, dtype=float).ravel()
    return values if unit == to else (values * unit).to_value(to, equivalencies)


def positions(data, axes):
    """Where the rows of a dataset stand.

    Parameters
    ----------
    data : glue.core.Data
    axes : Axes

    Returns
    -------
    x, y : ndarray, shape (n,)
        In the units of the axes; NaN where a row has no place.

    Raises
    ------
    CannotShow
        If the dataset has no such component, or its unit does not fit the axis.
    """
    x_cid = local_component(data, axes.x_att, axes.x_att.parent)
    y_cid = local_component(data, axes.y_att, axes.y_att.parent)
    if axes.x_is_wavelength:
        unit = _needed_unit(data, x_cid, "a wavelength in µm", lambda unit: unit.is_equivalent(u.um, u.spectral()))
        x = _converted(data.get_data(x_cid), unit, u.um, u.spectral()) / (1 + axes.redshift)
    else:
        x = _plain(data, x_cid, axes.x_att)
    if axes.y_is_flux:
        unit = _needed_unit(data, y_cid, "a flux density", is_flux)
        wavelength = wavelength_um(data)
        y = shown_flux(to_ujy(np.ravel(data.get_data(y_cid)), unit, wavelength), wavelength, axes.y_unit)
    else:
        y = _plain(data, y_cid, axes.y_att)
    return x, y


def _needed_unit(data, cid, wanted, fits):
    unit = unit_of(data, cid)
    if unit is None or not fits(unit):
        has = f"the unit {unit_text(str(unit))!r}" if unit is not None else "no unit"
        raise CannotShow(f"{cid.label!r} of {data.label!r} has {has}; the axis shows {wanted}. {RENAME}")
    return unit


def _plain(data, cid, axis_cid):
    if data.get_kind(cid) != "numerical":
        raise CannotShow(f"{cid.label!r} of {data.label!r} holds text; numbers are needed on an axis.")
    values = np.asarray(data.get_data(cid), dtype=float).ravel()
    unit, wanted = unit_of(data, cid), unit_of(axis_cid.parent, axis_cid)
    if unit is None or wanted is None or unit == wanted:
        return values
    if not unit.is_equivalent(wanted):
        raise CannotShow(f"{cid.label!r} of {data.label!r} has the unit {unit}; the axis shows {wanted}.")
    return (values * unit).to_value(wanted)


class Shown(NamedTuple):
    """The rows of one dataset as the viewer shows them; arrays of shape (n,).

    ``x``, ``y``: position in the units of the axes; ``y_err``: 1-sigma error or None; ``x_half``: half the bandwidth or
    None; ``drawn``: rows that stand in the plot; ``flagged``: rows with another flag than SOURCE; ``notes``: what is
    not drawn, in sentences.
    """

    x: np.ndarray
    y: np.ndarray
    y_err: np.ndarray | None
    x_half: np.ndarray | None
    sources: Sources
    drawn: np.ndarray
    flagged: np.ndarray
    notes: list


def show(data, axes, keys=None, x_log=False, y_log=False):
    """Prepare a dataset for drawing.

    Parameters
    ----------
    data : glue.core.Data
    axes : Axes
    keys : list or None
        Keys of the sources to show; None for all.
    x_log, y_log : bool
        Whether the axes are logarithmic.

    Returns
    -------
    Shown

    Raises
    ------
    CannotShow
        See `positions`.
    """
    if data.ndim != 1:
        raise CannotShow(f"{data.label!r} has {data.ndim} dimensions; a spectrum has one row per measurement.")
    if axes.redshift <= -1:
        raise CannotShow(f"The redshift is {axes.redshift:g}; it must be above -1.")
    x, y = positions(data, axes)
    sources = sources_of(data)
    chosen = shown_rows(sources, keys)
    drawn, notes = _drawable(x, y, chosen, axes, x_log, y_log, data)
    notes = [*unit_notes(data, axes), *notes]
    return Shown(x, y, y_errors(data, axes), _half_widths(data, axes), sources, drawn, flagged_rows(data), notes)


def _drawable(x, y, chosen, axes, x_log, y_log, data):
    x_words, y_words = _words(axes.x_att), _words(axes.y_att)
    y_cid = local_component(data, axes.y_att, axes.y_att.parent)
    given = np.isfinite(x) & np.isfinite(np.asarray(data.get_data(y_cid), dtype=float).ravel())
    drawn = given & np.isfinite(y)
    notes = _note(chosen & ~given, f"without {x_words} or {y_words}")
    if axes.y_is_magnitude:
        notes += _note(chosen & given & ~drawn, f"with a {y_words} of 0 or less, which has no magnitude,")
    elif axes.y_is_flux:
        notes += _note(chosen & given & ~drawn, "without a wavelength, which νFν needs,")
    for log, values, words in ((x_log, x, x_words), (y_log, y, y_words)):
        if log:
            notes += _note(chosen & drawn & ~(values > 0), f"with a {words} of 0 or less")
            drawn = drawn & (values > 0)
    return drawn & chosen, notes


def _note(rows, what):
    n = int(np.count_nonzero(rows))
    return [f"{n:,} row{'s' if n > 1 else ''} {what} {'are' if n > 1 else 'is'} not shown."] if n else []


def y_errors(data, axes):
    """The 1-sigma errors of y in the unit of the axis.

    Parameters
    ----------
    data : glue.core.Data
    axes : Axes

    Returns
    -------
    ndarray, shape (n,), or None
        None where the dataset has no errors of that component; NaN where an error is missing, infinite or negative.
    """
    y_cid = local_component(data, axes.y_att, axes.y_att.parent)
    error_cid = error_component(data, y_cid)
    if error_cid is None:
        return None
    errors = standard_errors(data, error_cid).ravel()
    unit = unit_of(data, error_cid) if error_cid.label != "uncertainty" else None
    unit = unit or unit_of(data, y_cid)
    if axes.y_is_flux:
        wavelength = wavelength_um(data)
        flux = to_ujy(np.ravel(data.get_data(y_cid)), unit_of(data, y_cid), wavelength)
        errors = shown_error(to_ujy(errors, unit, wavelength), flux, wavelength, axes.y_unit)
    elif unit is not None and unit_of(axes.y_att.parent, axes.y_att) not in (None, unit):
        errors = (errors * unit).to_value(unit_of(axes.y_att.parent, axes.y_att))
    return np.where(np.isfinite(errors) & (errors >= 0), errors, np.nan)


def _half_widths(data, axes):
    cid = bandwidth_component(data, local_component(data, axes.x_att, axes.x_att.parent))
    unit = None if cid is None else unit_of(data, cid)
    if unit is None or not unit.is_equivalent(u.um) or not axes.x_is_wavelength:
        return None
    return _converted(data.get_data(cid), unit, u.um) / 2 / (1 + axes.redshift)


def flagged_rows(data):
    """Rows with any flag but SOURCE.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    ndarray of bool, shape (n,)
        All False where the dataset has no flags.
    """
    flags = column_values(data, "flags")
    if flags is None or flags.dtype.kind not in "iu":
        return np.zeros(data.size, dtype=bool)
    return (flags.ravel().astype(np.int64, copy=False) & ~np.int64(CLEAN_MASK)) != 0
