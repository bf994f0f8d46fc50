"""What a component holds, in any dataset: the same quantity is found by link, by name, or by what it is."""

from functools import lru_cache

import numpy as np
from astropy import units as u

from ..columns import find_column
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
        Of a component that the dataset has through a link, the unit that it has where it comes from.
    """
    owner = data if cid.parent is None or any(cid is own for own in data.components) else cid.parent
    return parse_unit(owner.get_component(cid).units)


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
    loaded = (data.meta.get("spherex") or {}).get("columns", [])
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
    if plain in OTHER_NAMES["wavelength"] and (unit is None or unit.is_equivalent(u.um, u.spectral())):
        return "wavelength"
    if plain in OTHER_NAMES["flux"] and (unit is None or is_flux(unit)):
        return "flux"
    return name


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
    if cid is not None or quantity not in OTHER_NAMES:
        return cid
    everything = _numeric(data)
    for name in OTHER_NAMES[quantity]:
        for cid in everything:
            if cid.label.lower() == name and quantity_of(data, cid) == quantity:
                return cid
    for cid in everything:
        unit = unit_of(data, cid)
        if quantity == "wavelength" and unit is not None and unit.is_equivalent(u.um):
            return cid
        if quantity == "flux" and is_flux(unit) and "err" not in cid.label.lower() and "unc" not in cid.label.lower():
            return cid
    return None


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


def _linked_as_equal(data, cid):
    """The dataset's own component that a link says is the same as another's, if its unit is known; else None."""
    derived = data._externally_derivable_components.get(cid)
    origins = derived.link.get_from_ids() if derived is not None and derived.link.identity else []
    own = [origin for origin in origins if any(origin is other for other in data.components)]
    return own[0] if own and unit_of(data, own[0]) is not None else None


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
        return _linked_as_equal(data, cid) or cid
    local = find_quantity(data, quantity_of(owner, cid))
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
    return found[0] if found else None


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
