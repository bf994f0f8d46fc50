"""Making subsets, columns and datasets from quality flags."""

import copy
import re
from dataclasses import dataclass
from functools import reduce
from operator import or_

import numpy as np
from glue.core import Data
from glue.core.component import CategoricalComponent, Component
from glue.core.component_id import ComponentID
from glue.core.parse import ParsedCommand, ParsedComponentLink
from glue.core.subset import AndState, OrState, RangeSubsetState

from ..model import CLEAN_MASK, FIT_MASK, Flag
from .columns import find_column, plugin_meta
from .flag_counts import integer_components
from .flag_subsets import COLOURS, EVERY_BIT, FlagSubsetState, bit_name, bits_of, in_words, names_in_words
from .opening import in_ranges, ranges_of


@dataclass(frozen=True)
class FlagSelection:
    """Which rows are wanted.

    Attributes
    ----------
    mask : int
        The bits.
    mode : {"any", "all", "none"}
        How many of them a row must have.
    detectors : tuple of int
        Only rows of these detectors; empty for all.
    """

    mask: int
    mode: str = "any"
    detectors: tuple = ()

    def state(self, data, att=None):
        """The subset state for a dataset.

        Parameters
        ----------
        data : glue.core.Data
        att : glue.core.ComponentID, optional
            The component of flags; the column ``flags`` by default.

        Returns
        -------
        glue.core.subset.SubsetState
            A `FlagSubsetState`; combined by "and" with a selection of det_id where detectors are given.

        Raises
        ------
        ValueError
            If the dataset has no column of flags, or no det_id where detectors are given.
        """
        state = FlagSubsetState(flag_component(data, att), self.mask, self.mode)
        if not self.detectors:
            return state
        detector = find_column(data, "det_id")
        if detector is None:
            raise ValueError(f"{data.label!r} has no column det_id, so its rows cannot be told apart by detector.")
        return state & reduce(or_, [RangeSubsetState(number, number, detector) for number in self.detectors])

    @property
    def name(self):
        """A name for the subset: ``HOT or COLD``, ``no SOURCE``, ``DICHROIC in detectors 3, 4``."""
        if self.mask.bit_count() > 1 or self.detectors:
            preset = next((preset.name for preset in PRESETS if preset.selection == self), None)
            if preset:
                return preset
        names = names_in_words(self.mask, " and " if self.mode == "all" else " or ")
        text = f"no {names}" if self.mode == "none" and self.mask else names
        if self.detectors:
            text += f" in detector{'s' * (len(self.detectors) > 1)} {', '.join(map(str, self.detectors))}"
        return text

    def __str__(self):
        text = in_words(self.mask, self.mode)
        if self.detectors:
            text += f", in detector{'s' * (len(self.detectors) > 1)} {', '.join(map(str, self.detectors))} only"
        return text


@dataclass(frozen=True)
class Preset:
    """A selection with a name, and why one wants it."""

    name: str
    selection: FlagSelection
    reason: str


PRESETS = (
    Preset(
        "Clean",
        FlagSelection(EVERY_BIT & ~CLEAN_MASK, "none"),
        "no flag at all, or SOURCE alone, which nearly every target has",
    ),
    Preset(
        "Suspicious",
        FlagSelection(int(Flag.CONTAINS_BAD_PIXEL)),
        "a pixel within 2.5 px of the source was not used in the fit: a warning, not a verdict",
    ),
    Preset("Do not use", FlagSelection(int(Flag.FIT_ERROR)), "the fit failed: there is no flux"),
    Preset(
        "Dichroic, detectors 3 and 4",
        FlagSelection(int(Flag.DICHROIC), "any", (3, 4)),
        "the calibration where the dichroic splits the light, near 2.42 µm, is not final",
    ),
    Preset(
        "Ignored in the fit",
        FlagSelection(FIT_MASK),
        f"a pixel has one of the bits that the fit leaves out: {names_in_words(FIT_MASK)}",
    ),
)


def flag_component(data, att=None):
    """The component of a dataset that holds its flags.

    Parameters
    ----------
    data : glue.core.Data
    att : glue.core.ComponentID, optional
        Use this one.

    Returns
    -------
    glue.core.ComponentID

    Raises
    ------
    ValueError
        If it does not hold whole numbers, or none is given and there is no column ``flags`` of whole numbers.
    """
    if att is not None:
        if att not in integer_components(data):
            raise ValueError(f"{att.label!r} of {data.label!r} does not hold whole numbers; flags are bits of such.")
        return att
    found = find_column(data, "flags")
    if found is None or found not in integer_components(data):
        raise ValueError(f"{data.label!r} has no column of flags (whole numbers, named flags); choose a component.")
    return found


def flag_subset(data_collection, data, mask, mode="any", label=None, *, separate=False, att=None, detectors=()):
    """Make glue subsets of the rows that have some flags.

    Parameters
    ----------
    data_collection : glue.core.DataCollection
    data : glue.core.Data
        Whose flags are meant.
    mask : int
        The bits, for instance ``Flag.HOT | Flag.COLD``.
    mode : {"any", "all", "none"}
        How many of them a row must have.
    label : str, optional
        Name of the subset; a number is added to one that exists. By default it says what is selected. Not used with
        ``separate``.
    separate : bool
        One subset per bit, named after the bit, instead of one for all.
    att : glue.core.ComponentID, optional
        The component of flags; the column ``flags`` by default.
    detectors : sequence of int, optional
        Only rows of these detectors.

    Returns
    -------
    list of glue.core.subset_group.SubsetGroup
        In the order of the bits; a subset of a single bit has the colour of the bit.

    Raises
    ------
    ValueError
        If no bit is given, the mode is unknown, or the dataset lacks a column that is needed.
    """
    if mask == 0:
        raise ValueError("No flag was chosen; tick one at least.")
    whole = FlagSelection(int(mask), mode, tuple(detectors))
    selections = [whole]
    if separate:
        selections = [FlagSelection(1 << bit, mode, whole.detectors) for bit in bits_of(whole.mask)]
        label = None
    states = [selection.state(data, att) for selection in selections]
    groups = []
    for selection, state in zip(selections, states):
        options = {}
        if selection.mask.bit_count() == 1 and selection.mode != "none":
            options = {"color": COLOURS.get(bits_of(selection.mask)[0])}
        name = free_label(label or selection.name, [group.label for group in data_collection.subset_groups])
        options = {key: value for key, value in options.items() if value}
        groups.append(data_collection.new_subset_group(name, state, **options))
    return groups


def change_flag_subset(group, data, selection, att=None, label=None):
    """Change a subset of flags in place, in all viewers.

    Parameters
    ----------
    group : glue.core.subset_group.SubsetGroup
    data : glue.core.Data
        Whose flags are meant.
    selection : FlagSelection
    att : glue.core.ComponentID, optional
        The component of flags; the column ``flags`` by default.
    label : str, optional
        A new name.

    Raises
    ------
    ValueError
        As `flag_subset`.
    """
    if selection.mask == 0:
        raise ValueError("No flag was chosen; tick one at least.")
    group.subset_state = selection.state(data, att)
    if label and label != group.label:
        group.label = label


def selection_of(state):
    """What a subset state selects, if it is one that `FlagSelection` can express.

    Parameters
    ----------
    state : glue.core.subset.SubsetState

    Returns
    -------
    selection : FlagSelection or None
    att : glue.core.ComponentID or None
        The component of flags. Both None for any other state.
    """
    if isinstance(state, FlagSubsetState):
        return FlagSelection(state.mask, state.mode), state.att
    if type(state) is AndState and isinstance(state.state1, FlagSubsetState):
        detectors = _detectors_of(state.state2)
        if detectors:
            return FlagSelection(state.state1.mask, state.state1.mode, detectors), state.state1.att
    return None, None


def _detectors_of(state):
    """The detectors of a restriction made by `FlagSelection.state`; empty for any other state."""
    if type(state) is OrState:
        first, second = _detectors_of(state.state1), _detectors_of(state.state2)
        return (*first, *second) if first and second else ()
    if type(state) is RangeSubsetState and state.lo == state.hi:
        return (int(state.lo),)
    return ()


def flag_subset_groups(data_collection):
    """The subsets of a collection that can be edited as subsets of flags: made of them alone, of data still there.

    Parameters
    ----------
    data_collection : glue.core.DataCollection

    Returns
    -------
    list of glue.core.subset_group.SubsetGroup
    """
    components = {cid for data in data_collection for cid in integer_components(data)}
    return [group for group in data_collection.subset_groups if selection_of(group.subset_state)[1] in components]


def flag_bit_attributes(data, bits, att=None):
    """Add a column of 0 and 1 per bit, computed from the flags; 0 where they are missing (negative).

    Parameters
    ----------
    data : glue.core.Data
    bits : iterable of int
        Numbers of the bits, 0 to 62.
    att : glue.core.ComponentID, optional
        The component of flags; the column ``flags`` by default.

    Returns
    -------
    list of glue.core.ComponentID
        Named after the bits. A column that exists already is returned as it is.

    Raises
    ------
    ValueError
        If no bit is given, or one is out of range, or the dataset has no flags.
    """
    att = flag_component(data, att)
    bits = sorted({int(bit) for bit in bits})
    if not bits:
        raise ValueError("No flag was chosen; tick one at least.")
    if not 0 <= bits[0] <= bits[-1] <= 62:
        raise ValueError(f"columns of flag bits: bits {bits} were asked for; they must be from 0 to 62.")
    return [_bit_attribute(data, bit, att) for bit in bits]


def _bit_attribute(data, bit, att):
    formula = "(({{{name}}} >> {bit}) & 1) * ({{{name}}} >= 0)"
    command = formula.format(name=att.label, bit=bit)
    for cid in data.derived_components:
        parsed = getattr(getattr(data.get_component(cid), "link", None), "_parsed", None)
        if parsed is not None and parsed.reference_list == [att] and parsed.render() == command:
            return cid
    name = free_label(bit_name(bit), [cid.label for cid in data.components])
    cid = ComponentID(name, parent=data)
    data.add_component_link(
        ParsedComponentLink(cid, ParsedCommand(formula.format(name="flags", bit=bit), {"flags": att}))
    )
    return cid


def subset_to_data(subset, data_collection=None, label=None):
    """Make a dataset of its own from the rows of a subset.

    Parameters
    ----------
    subset : glue.core.Subset
        Of a table.
    data_collection : glue.core.DataCollection, optional
        Where the new dataset goes; it is not added to any without.
    label : str, optional
        Of the new dataset; ``<dataset> [<subset>]`` by default.

    Returns
    -------
    glue.core.Data
        A copy that does not follow the subset: the same columns with their units, in their order, computed ones as
        plain columns behind them, and the same provenance.

    Raises
    ------
    ValueError
        If the subset has no rows, or belongs to no table.
    """
    data = subset.data
    if data.ndim != 1:
        raise ValueError(
            f"{data.label!r} is no table but has {data.ndim} dimensions; only rows of tables can be copied."
        )
    rows = np.flatnonzero(subset.to_mask())
    if rows.size == 0:
        raise ValueError(f"The subset {subset.label!r} has no rows in {data.label!r}; there is nothing to copy.")
    new = Data(label=label or f"{data.label} [{subset.label}]")
    for cid in (*data.main_components, *data.derived_components):
        new.add_component(_copied(data, cid, rows), cid.label)
    new.meta.update(copy.deepcopy(dict(data.meta)))
    missing = plugin_meta(new).get("missing", {})
    missing.update({name: ranges_of(in_ranges(missing[name], data.size)[rows]) for name in missing})
    new.style.color = subset.style.color
    if data_collection is not None:
        new.label = free_label(new.label, [other.label for other in data_collection])
        data_collection.append(new)
    return new


def _copied(data, cid, rows):
    values = np.asarray(data.get_data(cid))[rows]
    if data.get_kind(cid) == "categorical":
        return CategoricalComponent(values)
    return Component(values, units=data.get_component(cid).units)


def free_label(label, taken):
    """A label that is not taken: the given one, or with a number behind it."""
    bare = re.sub(r" \(\d+\)$", "", label) if label in taken else label
    number, free = 2, label
    while free in taken:
        free, number = f"{bare} ({number})", number + 1
    return free
