"""What the dialog of the check-up holds and does, without a window."""

import numpy as np
from echo import CallbackProperty, SelectionCallbackProperty
from glue.core.hub import HubListener
from glue.core.state_objects import State
from glue.core.subset import ElementSubsetState, RangeSubsetState

from .check_up import check_up
from .check_up_report import ReportError, write_report
from .columns import find_column, source_numbers, spectra_in
from .dialogs import DATA_MESSAGES, listen, offer
from .flag_selection import free_label
from .flag_subsets import FlagSubsetState
from .focus import focus_row
from .sources import rows_by_source


def finding_subset(data_collection, data, finding, source_id=None, label=None):
    """Make a glue subset of the rows that a line of a check-up concerns.

    Parameters
    ----------
    data_collection : glue.core.DataCollection
    data : glue.core.Data
        Whose check-up it is.
    finding : Finding
    source_id : int, optional
        The source that was judged.
    label : str, optional
        Name of the subset; by default what the line is about.

    Returns
    -------
    glue.core.subset_group.SubsetGroup
        By flags where the line is about flags, so that it can be edited and follows links; else by rows.

    Raises
    ------
    ValueError
        If the line concerns no rows.
    """
    if finding.rows is None:
        raise ValueError(f"The line on {finding.title.lower()} concerns no rows in particular; there is no subset.")
    flags, sources = find_column(data, "flags"), find_column(data, "source_id")
    several = source_id is not None and sources is not None and len(rows_by_source(data)) > 1
    by_number = not several or np.array_equal(source_numbers(data), data.get_data(sources))
    if finding.flag_mask and flags is not None and by_number:
        state = FlagSubsetState(flags, finding.flag_mask, finding.mode)
        if several:
            state = state & RangeSubsetState(source_id, source_id, sources)
    else:
        state = ElementSubsetState(finding.rows, data=data)
    name = free_label(label or finding.title, [group.label for group in data_collection.subset_groups])
    return data_collection.new_subset_group(name, state)


class CheckUpState(State, HubListener):
    """The check-up of a source, kept up to date.

    Parameters
    ----------
    session : glue.core.Session
    data : glue.core.Data, optional
        A spectrum; the first one by default.
    source_id : int or str, optional
        Number or name; the first source by default.

    Attributes
    ----------
    findings : list of Finding
    chosen : int or None
        Place of the line that was clicked.
    status : str
        What was done last, or why it could not be.
    """

    data = SelectionCallbackProperty(docstring="spectrum")
    source = SelectionCallbackProperty(docstring="source")
    findings = CallbackProperty(docstring="lines of the check-up")
    chosen = CallbackProperty(docstring="line that was clicked")
    status = CallbackProperty("", docstring="what was done last")
    failed = CallbackProperty(False, docstring="whether the status says why something could not be done")

    def __init__(self, session, data=None, source_id=None):
        super().__init__()
        self.session = session
        self.findings = []
        CheckUpState.data.set_display_func(self, lambda dataset: "" if dataset is None else dataset.label)
        CheckUpState.source.set_display_func(self, lambda source: "" if source is None else source.label)
        self._asked_for = data
        self._refresh_data()
        if data is not None and data in session.data_collection:
            self.data = data
        self._refresh_sources()
        for source in CheckUpState.source.get_choices(self):
            if source_id is not None and source_id in (source.source_id, source.label):
                self.source = source
        self.add_callback("data", self._data_changed)
        self.add_callback("source", self.refresh)
        listen(self, session.hub, DATA_MESSAGES, self._on_message)
        self.refresh()

    def close(self):
        """Stop listening to glue; the dialog was closed."""
        self.session.hub.unsubscribe_all(self)

    @property
    def finding(self):
        """The line that was clicked, or None."""
        return self.findings[self.chosen] if self.chosen is not None and self.chosen < len(self.findings) else None

    def refresh(self, *args):
        """Judge the source again."""
        if self.data is None:
            self._show([])
            self._fail("There is no spectrum to judge; load one.")
            return
        if self.source is None:
            self._show([])
            self._fail(f"{self.data.label!r} has no rows, so there is nothing to judge.")
            return
        try:
            self._show(check_up(self.data, self.source.source_id, self.session.data_collection))
        except ValueError as error:
            self._show([])
            self._fail(str(error))
            return
        if self.failed:
            self._tell("")

    def make_subset(self):
        """Make the subset of the line that was clicked; returns the subset group, or None if there is none."""
        if self.finding is None:
            return self._fail("No line was chosen; click one.")
        try:
            collection, source = self.session.data_collection, self.source
            label = f"{source.label}: {self.finding.title.lower()}"
            group = finding_subset(collection, self.data, self.finding, source.source_id, label)
        except ValueError as error:
            return self._fail(str(error))
        self._tell(f"Subset {group.label} was made.")
        return group

    def show_worst(self):
        """Focus the worst row of the line that was clicked; returns the row, or None if there is none."""
        if self.finding is None:
            return self._fail("No line was chosen; click one.")
        row = self.finding.worst_row
        if row is None:
            return self._fail(f"The line on {self.finding.title.lower()} has no worst point.")
        try:
            focus_row(self.session, self.data, row)
        except ValueError as error:
            return self._fail(str(error))
        self._tell(f"Row {row} of {self.data.label} is shown in the viewers.")
        return row

    def save(self, path):
        """Save the report as text or HTML, by the extension; returns the path, or None if it could not be written."""
        if not self.findings:
            return self._fail("There is nothing to save.")
        try:
            written = write_report(
                self.findings, path, data_label=self.data.label, source_label=self.source.label if self.source else ""
            )
        except ReportError as error:
            return self._fail(str(error))
        self._tell(f"The report was saved as {written}.")
        return written

    @property
    def report_name(self):
        """A file name for the report."""
        name = "".join(c if c.isalnum() or c in "+-." else "_" for c in (self.source.label if self.source else ""))
        return f"check-up_{name[:80] or 'spectrum'}.html"

    def _data_changed(self, *args):
        self._refresh_sources()
        self.refresh()

    def _refresh_data(self):
        choices = spectra_in(self.session.data_collection)
        asked = self._asked_for
        if asked is not None and asked in self.session.data_collection and asked not in choices:
            choices.append(asked)
        offer(self, "data", choices)

    def _refresh_sources(self):
        choices = [] if self.data is None or self.data.ndim != 1 else rows_by_source(self.data)
        before = None if self.source is None else self.source.source_id
        offer(self, "source", choices, is_chosen=lambda choice: choice.source_id == before)

    def _show(self, findings):
        chosen = self.finding
        self.findings = findings
        keys = [finding.key for finding in findings]
        self.chosen = keys.index(chosen.key) if chosen is not None and chosen.key in keys else None

    def _on_message(self, message_):
        before = self.data
        self._refresh_data()
        self._refresh_sources()
        self.refresh()
        if before is not None and before not in self.session.data_collection:
            self._tell(
                f"{before.label} was removed." + ("" if self.data is not None else " There is no spectrum left.")
            )

    def _tell(self, text):
        self.failed = False
        self.status = text

    def _fail(self, text):
        self.failed = True
        self.status = text
        return None
