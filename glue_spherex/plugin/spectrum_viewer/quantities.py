"""What a component holds, in any dataset: the same quantity is found by link, by name, or by what it is."""

from functools import lru_cache

import numpy as np
from astropy import units as u

from ..columns import find_column, kind_of, plugin_meta
from .column_names import bandwidth_name, error_name, read_name, unit_in_name
from .flux_units import is_flux

#: Names under which other instruments' data hold what we call wavelength and flux.
OTHER_NAMES = {
    "wavelength": ("wavelength", "lambda", "wave", "lam", "wl", "spectral_axis"),
    "flux": ("flux", "flux_density", "fnu", "f_nu", "flam", "f_lam"),
}

#: Columns with errors of other columns.
ERROR_COLUMNS = {"flux": "flux_err", "flux_bkg": "flux_bkg_err"}
_OTHER_ERROR_NAMES = ("{}_err", "{}_error", "e_{}", "{}_unc", "{}_uncertainty", "err_{}", "sigma_{}")
_FLUX_ERROR_NAMES = ("uncertainty", "error", "err", "sigma", "unc")

#: Words for columns on axes.
WORDS = {
    "flux_bkg": "background",
    "flux_bkg_err": "background error",
    "flux_err": "flux error",
    "flux_err_tractor": "flux error with neighbours fixed",
    "fit_ql": "fit quality",
    "mjd": "MJD (UTC)",
    "lambda_width": "bandwidth",
    "det_id": "detector",
    "deep_flg": "deep field",
    "local_bkg_flg": "local background",
    "source_id": "source number",
    "x_image": "x on the detector",
    "y_image": "y on the detector",
    "masked_fraction": "masked fraction",
    "n_bad_pixels": "bad pixels",
    "n_bkg_pixels": "background pixels",
}


class CannotShow(ValueError):
    """A dataset that does not have what the viewer shows."""


@lru_cache(maxsize=256)
def parse_unit(text):
    """A unit from a component's text; None where astropy does not know it, or there is none."""
    if not text:
        return None
    unit = u.Unit(text, parse_strict="silent")
    return None if isinstance(unit, u.UnrecognizedUnit) or unit == u.dimensionless_unscaled else unit


def unit_of(data, cid):
    """The unit of a component.

    Parameters
    ----------
    data : glue.core.Data
    cid : glue.core.ComponentID

    Returns
    -------
    `~astropy.units.Unit` or None
        Of a component that the dataset has through a link, the unit that it has where it comes from. Where the table
        gives none, the one that its name says (``wave_um``).
    """
    owner = data if cid.parent is None or any(cid is own for own in data.components) else cid.parent
    text = owner.get_component(cid).units
    return parse_unit(text) if text or kind_of(owner) else unit_in_name(cid.label)


def unit_text(text):
    """A unit as it is printed on an axis: ``µJy``, ``MJy/sr``.

    Parameters
    ----------
    text : str
        As the component has it.

    Returns
    -------
    str
        An unknown unit as it is; empty where there is none.
    """
    unit = parse_unit(text)
    if unit is None:
        return (text or "").strip()
    known = {u.um: "µm", u.uJy: "µJy", u.AA: "Å", u.day: "d", u.pix: "px"}
    return known.get(unit) or unit.to_string().replace(" / ", "/").replace("uJy", "µJy").replace("um", "µm")


def name_of(data, cid):
    """The name of the column that a component was loaded as, also after it was renamed.

    Parameters
    ----------
    data : glue.core.Data
    cid : glue.core.ComponentID

    Returns
    -------
    str
    """
    loaded = plugin_meta(data).get("columns", [])
    if cid.label in loaded:
        return cid.label
    place = next((place for place, other in enumerate(data.main_components) if other is cid), len(loaded))
    return loaded[place] if place < len(loaded) and find_column(data, loaded[place]) is cid else cid.label


def quantity_of(data, cid):
    """What a component holds: ``wavelength``, ``flux``, or the name of its column.

    Parameters
    ----------
    data : glue.core.Data
    cid : glue.core.ComponentID

    Returns
    -------
    str
    """
    name = name_of(data, cid)
    unit = unit_of(data, cid)
    plain = name.lower()
    for quantity, names in OTHER_NAMES.items():
        if plain in names and (unit is None or _fits(unit, quantity)):
            return quantity
    read = None if kind_of(data) or unit is None else read_name(name)
    return read.quantity if read is not None and not read.error and _fits(unit, read.quantity) else name


def _fits(unit, quantity):
    return is_flux(unit) if quantity == "flux" else quantity == "wavelength" and unit.is_equivalent(u.um, u.spectral())


def find_quantity(data, quantity):
    """The component of a dataset that holds a quantity.

    Parameters
    ----------
    data : glue.core.Data
    quantity : str
        As `quantity_of` gives it.

    Returns
    -------
    glue.core.ComponentID or None
    """
    cid = find_column(data, quantity)
    if quantity not in OTHER_NAMES or (cid is not None and (kind_of(data) or unit_of(data, cid) is not None)):
        return cid
    found = candidates(data, quantity)
    return found[0] if found else cid


def candidates(data, quantity):
    """The components of another program's table that may hold a quantity, the most likely first.

    Parameters
    ----------
    data : glue.core.Data
    quantity : {"wavelength", "flux"}

    Returns
    -------
    list of glue.core.ComponentID
        Those with a known unit; where there are none, what has the very name of the quantity, or the only one that has
        another of its names.
    """
    everything = _numeric(data)
    alike = [cid for cid in everything if quantity_of(data, cid) == quantity]
    names = OTHER_NAMES[quantity]
    plain = sorted((c for c in alike if c.label.lower() in names), key=lambda c: names.index(c.label.lower()))
    others = [cid for cid in alike if cid.label.lower() not in names]
    known = [cid for cid in [*plain, *others] if unit_of(data, cid) is not None]
    if known or (known := [cid for cid in everything if _by_unit(data, cid, quantity)]):
        return known
    return plain[:1] if len(plain) == 1 or (plain and plain[0].label.lower() == names[0]) else []


def _by_unit(data, cid, quantity):
    """Whether a component can hold a quantity by the unit that the table gives, whatever its name is."""
    read, unit = read_name(cid.label), parse_unit(data.get_component(cid).units)
    if unit is None or any(word in cid.label.lower() for word in ("err", "unc", "width", "bkg")):
        return False
    if read is not None and (read.error or read.quantity != quantity):
        return False
    return is_flux(unit) if quantity == "flux" else unit.is_equivalent(u.um)


def _numeric(data):
    if data.size == 0:
        return []
    world = list(getattr(data, "world_component_ids", []))
    return [
        cid for cid in (*data.main_components, *data.derived_components, *world) if data.get_kind(cid) == "numerical"
    ]


def has(data, cid):
    """Whether a dataset has a component, of its own or by a link."""
    return any(cid is other for other in (*data.components, *data.externally_derivable_components))


def linked_as_equal(data, cid):
    """The dataset's own component that links say is the same as one of another dataset.

    Parameters
    ----------
    data : glue.core.Data
    cid : glue.core.ComponentID

    Returns
    -------
    glue.core.ComponentID or None
        None where `cid` is its own, or a link computes it from others.
    """
    for _ in range(len(data._externally_derivable_components)):
        derived = data._externally_derivable_components.get(cid)
        if derived is None or not derived.link.identity:
            return None
        cid = derived.link.get_from_ids()[0]
        if any(cid is other for other in data.components):
            return cid
    return None


def local_component(data, cid, owner):
    """The component with which a dataset takes part in an axis.

    Parameters
    ----------
    data : glue.core.Data
    cid : glue.core.ComponentID
        Of the axis.
    owner : glue.core.Data
        The dataset that `cid` belongs to.

    Returns
    -------
    glue.core.ComponentID
        `cid` itself where the dataset has it or is linked to it (its own component, with its own unit, if the link
        says that both are the same), else the component that holds the same quantity.

    Raises
    ------
    CannotShow
        If there is none, saying what to do.
    """
    if owner is data or any(cid is other for other in data.components):
        return cid
    if has(data, cid):
        own = linked_as_equal(data, cid)
        return own if own is not None and unit_of(data, own) is not None else cid
    quantity = quantity_of(owner, cid)
    local = find_column(data, cid.label)
    if local is None or quantity_of(data, local) != quantity:
        local = find_quantity(data, quantity)
    if local is None:
        raise CannotShow(
            f"{data.label!r} has no {cid.label!r}; link one of its components to {cid.label!r} of "
            f"{owner.label!r} (Data Manager > Link Data), or show another column."
        )
    return local


def error_component(data, cid):
    """The component that holds the 1-sigma errors of another.

    Parameters
    ----------
    data : glue.core.Data
    cid : glue.core.ComponentID

    Returns
    -------
    glue.core.ComponentID or None
    """
    name = name_of(data, cid)
    if name in ERROR_COLUMNS:
        return find_column(data, ERROR_COLUMNS[name])
    names = [text.format(name) for text in _OTHER_ERROR_NAMES]
    if quantity_of(data, cid) == "flux":
        names += _FLUX_ERROR_NAMES
    by_label = {c.label.lower(): c for c in _numeric(data)}
    found = [by_label[n.lower()] for n in names if n.lower() in by_label]
    other = error_name(name, [c.label for c in by_label.values()])
    return found[0] if found else by_label.get((other or "").lower())


def bandwidth_component(data, cid):
    """The component that holds the bandwidths at the wavelengths of another.

    Parameters
    ----------
    data : glue.core.Data
    cid : glue.core.ComponentID
        With wavelengths.

    Returns
    -------
    glue.core.ComponentID or None
    """
    found = find_column(data, "lambda_width")
    if found is not None or kind_of(data):
        return found
    by_label = {c.label: c for c in _numeric(data)}
    return by_label.get(bandwidth_name(cid.label, list(by_label)))


def standard_errors(data, cid):
    """Errors as standard deviations, also where the data hold variances or inverse variances.

    Parameters
    ----------
    data : glue.core.Data
    cid : glue.core.ComponentID

    Returns
    -------
    ndarray, shape (n,)
        NaN or infinite where there is no error.
    """
    values = np.asarray(data.get_data(cid), dtype=float)
    kind = str(data.meta.get("uncertainty_type", "std")) if cid.label == "uncertainty" else "std"
    if kind == "std":
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(values) if kind == "var" else 1 / np.sqrt(values)
