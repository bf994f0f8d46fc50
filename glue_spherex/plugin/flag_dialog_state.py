"""What the dialog of flag subsets holds and does, without a window."""

import numpy as np
from echo import CallbackProperty, SelectionCallbackProperty, delay_callback
from glue.core import message
from glue.core.hub import HubListener
from glue.core.state_objects import State

from .columns import column_values, find_column, kind_of
from .dialogs import DATA_MESSAGES, listen, offer
from .flag_counts import (
    count_flags,
    describe_flags,
    integer_components,
    parse_flags,
    row_groups,
    wavelength_histogram,
)
from .flag_selection import (
    FlagSelection,
    change_flag_subset,
    flag_bit_attributes,
    flag_subset,
    flag_subset_groups,
    selection_of,
    subset_to_data,
)
from .flag_subsets import bits_of, matches

MODE_WORDS = {"any": "any of the ticked flags", "all": "all of the ticked flags", "none": "none of the ticked flags"}

_SUBSET_MESSAGES = (message.SubsetCreateMessage, message.SubsetUpdateMessage, message.SubsetDeleteMessage)

_MANY_BITS = 32  # of a mask with more bits, only those that occur are listed


class FlagDialogState(State, HubListener):
    """Which bits of which component are chosen, and what is made of them.

    Parameters
    ----------
    data_collection : glue.core.DataCollection
    data : glue.core.Data, optional
        Start with this dataset; the first spectrum by default.
    subset_group : glue.core.subset_group.SubsetGroup, optional
        Edit this subset.

    Attributes
    ----------
    counts : FlagCounts
        Of the chosen rows, `group`.
    n_selected : int
        Rows of the whole dataset that the subset will have.
    status : str
        What was done last, or why it could not be.
    """

    data = SelectionCallbackProperty(docstring="dataset")
    att = SelectionCallbackProperty(docstring="component of flags")
    group = SelectionCallbackProperty(docstring="rows whose flags are counted")
    mask = CallbackProperty(0, docstring="ticked bits")
    mode = SelectionCallbackProperty(docstring="how many of the bits")
    detectors = CallbackProperty((), docstring="only rows of these detectors; all where empty")
    name = CallbackProperty("", docstring="name of the subset")
    edited = SelectionCallbackProperty(docstring="subset that is edited; None for a new one")
    value_text = CallbackProperty("", docstring="flag value to decode")
    decoded = CallbackProperty("", docstring="what the value means")
    counts = CallbackProperty(docstring="bits that occur")
    n_selected = CallbackProperty(0, docstring="rows that are selected")
    status = CallbackProperty("", docstring="what was done last")
    failed = CallbackProperty(False, docstring="whether the status says why something could not be done")

    def __init__(self, data_collection, data=None, subset_group=None):
        super().__init__()
        self.data_collection = data_collection
        self._name_follows = True
        self._updating = False
        self._edited_before = self._edited_selection = None
        FlagDialogState.mode.set_choices(self, list(MODE_WORDS))
        FlagDialogState.mode.set_display_func(self, MODE_WORDS.get)
        FlagDialogState.data.set_display_func(self, lambda dataset: "" if dataset is None else dataset.label)
        FlagDialogState.att.set_display_func(self, lambda cid: "" if cid is None else cid.label)
        FlagDialogState.group.set_display_func(self, lambda rows: "" if rows is None else rows.name)
        FlagDialogState.edited.set_display_func(self, lambda group: "a new subset" if group is None else group.label)
        self._refresh_data()
        if data is not None and data in data_collection:
            if data not in FlagDialogState.data.get_choices(self):
                self._fail(f"{data.label!r} has no component of whole numbers that could hold flags.")
            else:
                self.data = data
        self._refresh_components()
        self._refresh_edited()
        self.add_callback("data", self._data_changed)
        for attribute in ("att", "group"):
            self.add_callback(attribute, self._count)
        for attribute in ("mask", "mode", "detectors"):
            self.add_callback(attribute, self._selection_changed)
        self.add_callback("name", self._name_changed)
        self.add_callback("edited", self._edited_changed)
        self.add_callback("value_text", self._decode)
        listen(self, data_collection.hub, DATA_MESSAGES, self._on_data_message)
        listen(self, data_collection.hub, _SUBSET_MESSAGES, self._on_subset_message)
        self._count()
        if subset_group is not None:
            self.edit(subset_group)

    def close(self):
        """Stop listening to glue; the dialog was closed."""
        self.data_collection.hub.unsubscribe_all(self)

    # what is chosen

    @property
    def selection(self):
        """The ticked bits, the mode and the detectors, as a `FlagSelection`."""
        return FlagSelection(self.mask, self.mode, tuple(self.detectors))

    @property
    def has_detectors(self):
        """Whether the dataset tells detectors apart."""
        return self.data is not None and find_column(self.data, "det_id") is not None

    @property
    def shown_bits(self):
        """The bits to list: those that occur in the dataset, and those ticked (unless nearly all are)."""
        if self.data is None or self.counts is None:
            return []
        ticked = bits_of(self.mask) if self.mask.bit_count() <= _MANY_BITS else []
        return sorted({entry.bit for entry in self._all_counts.bits} | set(ticked))

    def toggle(self, bit, ticked):
        """Tick a bit, or take the tick away."""
        self._tell("")
        self.mask = self.mask | 1 << bit if ticked else self.mask & ~(1 << bit)

    def untick(self):
        """Take all ticks away, those of detectors as well."""
        with delay_callback(self, "mask", "detectors"):
            self.mask, self.detectors = 0, ()
        self._tell("")

    def choose_preset(self, preset):
        """Tick the bits of a `Preset`.

        Parameters
        ----------
        preset : Preset
        """
        detectors = preset.selection.detectors if self.has_detectors else ()
        with delay_callback(self, "mask", "mode", "detectors"):
            self.mask, self.mode, self.detectors = preset.selection.mask, preset.selection.mode, detectors
        if self._name_follows:
            self._set_name(preset.name)
        text = f"{preset.name}: {preset.reason}."
        if detectors != preset.selection.detectors:
            text += " There is no column det_id, so all rows are looked at."
        self._tell(text)

    def edit(self, subset_group):
        """Edit a subset of flags.

        Parameters
        ----------
        subset_group : glue.core.subset_group.SubsetGroup
            One that cannot be edited here is refused in `status`.
        """
        if subset_group not in FlagDialogState.edited.get_choices(self):
            self._fail(f"{subset_group.label!r} is no subset of flags alone, so it cannot be edited here.")
            return
        self.edited = subset_group

    # what is done

    def apply(self, separate=False):
        """Make the subset, or change the one that is edited.

        Parameters
        ----------
        separate : bool
            One subset per ticked bit, always new ones.

        Returns
        -------
        list of glue.core.subset_group.SubsetGroup
            Empty if it could not be done; `status` says why.
        """
        if self.data is None or self.att is None:
            return self._fail("There are no data with flags; load a spectrum first.")
        try:
            if self.edited is not None and not separate:
                groups = [self.edited]
                change_flag_subset(self.edited, self.data, self.selection, self.att, self.name.strip())
                done = "was changed"
            else:
                selection = self.selection
                groups = flag_subset(
                    self.data_collection,
                    self.data,
                    selection.mask if not separate else selection.mask & self._listed_mask(),
                    selection.mode,
                    self.name.strip() or None,
                    separate=separate,
                    att=self.att,
                    detectors=selection.detectors,
                )
                done = "was made" if len(groups) == 1 else "were made"
        except ValueError as error:
            return self._fail(str(error))
        names = ", ".join(group.label for group in groups)
        self._tell(f"{'Subset' if len(groups) == 1 else f'{len(groups)} subsets'} {names} {done}.")
        return groups

    def add_columns(self):
        """Add a column per ticked bit; returns the list of components, empty if it could not be done."""
        if self.data is None or self.att is None:
            return self._fail("There are no data with flags; load a spectrum first.")
        try:
            added = flag_bit_attributes(self.data, bits_of(self.mask & self._listed_mask()), self.att)
        except ValueError as error:
            return self._fail(str(error))
        names = ", ".join(cid.label for cid in added)
        self._tell(f"{self.data.label} has the column{'s' * (len(added) > 1)} {names}.")
        return added

    def copy_rows(self):
        """Copy the selected rows into a dataset of their own; returns it, or None if it could not be done."""
        if self.data is None or self.att is None:
            self._fail("There are no data with flags; load a spectrum first.")
            return None
        try:
            if self.mask == 0:
                raise ValueError("No flag was chosen; tick one at least.")
            subset = self.data.new_subset(label=self.name.strip() or self.selection.name)
            try:
                subset.subset_state = self.selection.state(self.data, self.att)
                new = subset_to_data(subset, self.data_collection)
            finally:
                subset.delete()
        except ValueError as error:
            self._fail(str(error))
            return None
        self._tell(f"The dataset {new.label} with {new.size} rows was made.")
        return new

    def chart(self):
        """What the chart shows.

        Returns
        -------
        edges : ndarray, shape (bins + 1,)
            Of wavelength; empty where the dataset has none.
        n_all, n_chosen : ndarray of int, shape (bins,)
            Rows of the group, and those of them that have a ticked bit.
        unit : str
            Of the wavelength.
        """
        empty = np.zeros(0)
        wavelength = None if self.data is None else column_values(self.data, "wavelength")
        if wavelength is None or self.att is None or self.data.ndim != 1 or wavelength.dtype.kind not in "iuf":
            return empty, empty, empty, ""
        ticked = matches(self._values, self.mask, "any")
        rows = slice(None) if self.group is None or self.group.rows is None else self.group.rows
        unit = self.data.get_component(find_column(self.data, "wavelength")).units
        return *wavelength_histogram(wavelength[rows], ticked[rows]), unit

    # what follows from it

    def _listed_mask(self):
        return sum(1 << bit for bit in self.shown_bits)

    def _data_changed(self, *args):
        self._refresh_components()
        self._count()

    def _refresh_data(self):
        choices = [dataset for dataset in self.data_collection if integer_components(dataset)]
        spectra = [dataset for dataset in choices if kind_of(dataset) == "spectrum"]
        offer(self, "data", choices, default=spectra[0] if spectra else None)

    def _refresh_components(self):
        choices = [] if self.data is None else integer_components(self.data)
        flags = None if self.data is None else find_column(self.data, "flags")
        offer(self, "att", choices, default=flags if flags in choices else None)
        groups = [] if self.data is None else row_groups(self.data)
        name = None if self.group is None else self.group.name
        offer(self, "group", groups, is_chosen=lambda group: group.name == name)

    def _refresh_edited(self, *args):
        offer(self, "edited", [None, *flag_subset_groups(self.data_collection)])

    def _count(self, *args):
        if self.data is None or self.att is None or self.att not in self.data.components:
            self._values, self._all_counts = np.zeros(0, dtype=np.int64), count_flags([])
        else:
            self._values = np.asarray(self.data.get_data(self.att))
            self._all_counts = count_flags(self._values)
        rows = None if self.group is None else self.group.rows
        with delay_callback(self, "counts", "n_selected"):
            self.counts = self._all_counts if rows is None else count_flags(self._values[rows])
            self._count_selected()

    def _count_selected(self):
        if self._values.size == 0 or self.mask == 0:
            self.n_selected = 0
            return
        chosen = matches(self._values, self.mask, self.mode)
        detectors = column_values(self.data, "det_id") if self.detectors else None
        if detectors is not None:
            chosen = chosen & np.isin(detectors, self.detectors)
        self.n_selected = int(np.count_nonzero(chosen))

    def _selection_changed(self, *args):
        self._count_selected()
        self._suggest_name()

    def _suggest_name(self):
        if self._name_follows:
            self._set_name(self.selection.name if self.mask else "")

    def _set_name(self, name):
        self._updating = True
        try:
            self.name = name
        finally:
            self._updating = False

    def _name_changed(self, name):
        if not self._updating:
            self._name_follows = not name.strip()

    def _edited_changed(self, group):
        before = self._edited_before
        if group is before:  # only the list of subsets changed
            return
        self._edited_before = group
        if before is not None and before not in self.data_collection.subset_groups:
            self._tell(f"{before.label} was removed; the ticks stay, for a new subset.")
        if group is None:
            self._name_follows = True
            self._suggest_name()
            return
        self._show_edited()

    def _show_edited(self):
        group = self.edited
        selection, att = selection_of(group.subset_state)
        owner = next((dataset for dataset in self.data_collection if att in dataset.components), None)
        if owner is None:
            self._fail(f"The data of {group.label!r} are no longer loaded, so it cannot be edited.")
            return
        self._name_follows, self._edited_selection = False, selection
        self.data = owner
        self.att = att
        with delay_callback(self, "mask", "mode", "detectors"):
            self.mask, self.mode, self.detectors = selection.mask, selection.mode, selection.detectors
        self._set_name(group.label)
        self._tell(f"{group.label} is edited; it changes in all viewers when you apply.")

    def _decode(self, text):
        if not text.strip():
            self.decoded = ""
            return
        try:
            value = parse_flags(text)
        except ValueError as error:
            self.decoded = str(error)
            return
        self.decoded = "\n".join(describe_flags(value)) or "0: no flag is set"

    def _on_subset_message(self, message_):
        self._refresh_edited()
        if self.edited is not None and getattr(message_.subset, "group", None) is self.edited:
            selection = selection_of(self.edited.subset_state)[0]
            if selection not in (self._edited_selection, self.selection):  # changed elsewhere
                self._show_edited()
            self._edited_selection = selection

    def _on_data_message(self, *args):
        before = self.data
        self._refresh_data()
        if before is not None and before not in self.data_collection:
            self._tell(f"{before.label} was removed.")
        self._refresh_components()
        self._refresh_edited()
        self._count()

    def _tell(self, text):
        self.failed = False
        self.status = text

    def _fail(self, text):
        self.failed = True
        self.status = text
        return []
