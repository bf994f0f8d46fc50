"""What is doubtful about the columns and units that a dataset is drawn with, in sentences."""

from ..columns import kind_of
from .quantities import candidates, find_quantity, linked_as_equal, local_component, quantity_of, unit_of, unit_text

#: What to do about a column without a unit.
RENAME = "Write its unit into its name, as in wave_um or flux_ujy (Reorder/rename under a right click on the dataset)."


def unit_notes(data, axes):
    """What the user has to know about the columns of a dataset on the axes.

    Parameters
    ----------
    data : glue.core.Data
    axes : Axes

    Returns
    -------
    list of str
        Units that are not known, and choices that were made by name; empty where there is no doubt.
    """
    notes = []
    for letter, axis_cid in (("x", axes.x_att), ("y", axes.y_att)):
        notes += [text for text in (_of_unit(data, axis_cid), _of_choice(data, axis_cid, letter)) if text]
    return notes


def _of_unit(data, axis_cid):
    owner = axis_cid.parent
    cid = local_component(data, axis_cid, owner)
    wanted = unit_of(owner, axis_cid)
    own = linked_as_equal(data, axis_cid)
    if own is not None and cid is axis_cid and owner is not data:
        if wanted is None:
            return ""
        return (
            f"No unit of {own.label!r} of {data.label!r} is known; as it is linked to {axis_cid.label!r}, its values "
            f"are taken as {unit_text(str(wanted))}. {RENAME}"
        )
    unit = unit_of(data, cid)
    if unit is None and wanted is None and quantity_of(data, cid) in ("wavelength", "flux"):
        return f"No unit of {cid.label!r} of {data.label!r} is known; its values are drawn as they are. {RENAME}"
    if unit is not None and wanted is None and cid is not axis_cid:
        return (
            f"{cid.label!r} of {data.label!r} is drawn in {unit_text(str(unit))}, beside {axis_cid.label!r} of "
            f"{owner.label!r}, whose unit is not known."
        )
    return ""


def _of_choice(data, axis_cid, letter):
    """Which other columns could have been meant, as long as the choice is not the user's."""
    owner = axis_cid.parent
    quantity, cid = quantity_of(owner, axis_cid), local_component(data, axis_cid, owner)
    if kind_of(data) or quantity not in ("wavelength", "flux") or find_quantity(data, quantity) is not cid:
        return ""
    others = [other.label for other in candidates(data, quantity) if other is not cid]
    if not others:
        return ""
    do = (
        f"choose another {letter} in the tab Axes"
        if owner is data
        else f"link another one to {axis_cid.label!r} of {owner.label!r} to show that"
    )
    return (
        f"{data.label!r} has {len(others) + 1} columns with a {quantity}; {cid.label!r} is shown, {do}: "
        f"{', '.join(others[:4])}{'…' if len(others) > 4 else ''}."
    )
