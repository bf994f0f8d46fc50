"""The part of the measure dialog that says what is measured: targets, shapes, neighbours."""

from qtpy import QtCore, QtWidgets

from ...plugin.measuring.target_choice import OTHER_ROLES, ROLES, SHAPE_ROLES
from ..open_dialogs import push_button
from .form import Fold, Form

_SETTLE_MS = 300
_NUMBERS = 72  # width of a field for a number, px
_FILTERS = "Tables (*.csv *.txt *.dat *.tsv *.tbl *.vot *.xml *.fits *.ecsv *.parquet);;All files (*)"
_EXAMPLE = "150.1000 2.2000 star\n10:00:24.0 +02:12:00 galaxy"
_COLUMN_TIPS = {
    "ra": "Column of the right ascension (ICRS): degrees, or sexagesimal in hours",
    "dec": "Column of the declination (ICRS): degrees or sexagesimal",
    "name": "Column of the names; without one, sources are named after their positions",
    "sersic_n": "Column of the Sérsic index, 0.5 to 6; an empty cell means a point source",
    "r_eff": "Column of the half-light radius along the major axis, above 0 to 20 arcsec; below 1 arcsec: a point",
    "axis_ratio": "Column of minor over major axis, above 0 to 1; round where empty",
    "position_angle": "Column of the position angle of the major axis, -360 to 360 degrees East of North",
    "pmra": "Column of the proper motion in right ascension times cos(dec), mas/yr; none where empty",
    "pmdec": "Column of the proper motion in declination, mas/yr; none where empty",
    "ref_epoch": "Column of the epoch at which the positions hold, Julian year; 2000 where empty",
    "role": "Column that says target or companion, or 1 for a companion; without one all are targets",
}


class TargetForm(Form):
    """Where the targets come from, and their columns.

    Parameters
    ----------
    state : MeasureState
    look_up : callable()
        Looks the name of the object up.
    """

    def __init__(self, state, look_up):
        super().__init__()
        self.state, self.target = state, state.target
        self.add_row("Fro&m", self.combo(self.target, "how", "Where the targets come from"), name="how")
        self._tables()
        self._typed(look_up)
        self._columns()
        for attribute in ("how", "layer"):
            self.target.add_callback(attribute, self.refresh)
        for attribute in ("found", "name"):
            self.target.add_callback(attribute, self._show_found)
        state.add_callback("shape", self.refresh)
        self.refresh()

    def _tables(self):
        target = self.target
        tip = "Every row with a position is a target; of a SPHEREx spectrum its sources"
        self.add_row("&Dataset", self.combo(target, "layer", tip), name="layer")
        region = self.combo(target, "region", "A subset of an image with sky coordinates")
        self.add_row("Re&gion", region, name="region")
        part = self.combo(target, "region_part", "One target at the middle of the region, or one at each of its pixels")
        self.add_row("Measure", part, name="region_part")
        browse = push_button("Browse…", self._browse)
        tip = "Any table with positions: VOTable, FITS, ECSV, IPAC, CSV, Parquet, or columns parted by blanks"
        self.add_row("&File", self._file_line(tip), browse, name="file")

    def _file_line(self, tip):
        line = self.line(self.target, "file", tip, placeholder="targets.csv")
        line.textEdited.disconnect()
        settling = QtCore.QTimer(self)  # the file is not read at each letter
        settling.setSingleShot(True)
        settling.setInterval(_SETTLE_MS)
        settling.timeout.connect(lambda: setattr(self.target, "file", line.text()))
        line.textEdited.connect(lambda text: settling.start())
        line.editingFinished.connect(lambda: setattr(self.target, "file", line.text()))
        return line

    def _typed(self, look_up):
        target = self.target
        self.text_edit = QtWidgets.QPlainTextEdit(target.text)
        self.text_edit.setPlaceholderText(_EXAMPLE)
        self.text_edit.setTabChangesFocus(True)
        self.text_edit.setFixedHeight(4 * self.text_edit.fontMetrics().lineSpacing() + 14)
        self.text_edit.setToolTip(
            "One target in a line: right ascension, declination (ICRS), and a name if you like; degrees, or "
            "sexagesimal with the right ascension in hours"
        )
        self.text_edit.textChanged.connect(lambda: setattr(target, "text", self.text_edit.toPlainText()))
        target.add_callback("text", self._show_text)
        self.fields["text"] = self.text_edit
        self.add_row("&Coordinates", self.text_edit, name="text")
        name = self.line(target, "name", "As SIMBAD, NED or VizieR know it; asks the name service over the network")
        name.setPlaceholderText("M 87")
        name.returnPressed.connect(look_up)
        self.look_up_button = push_button("Look up", lambda checked=False: look_up())
        self.add_row("&Name", name, self.look_up_button, name="name")
        self.found_label = QtWidgets.QLabel()
        self.found_label.setTextFormat(QtCore.Qt.PlainText)
        self.found_label.setTextInteractionFlags(QtCore.Qt.TextSelectableByMouse)
        self.add_row("", self.found_label, name="found")

    def _columns(self):
        self._column_combos = {
            role: self.combo(self.target, f"{role}_column", tip) for role, tip in _COLUMN_TIPS.items()
        }
        for role in ("ra", "dec", "name"):
            self.add_row(f"  {ROLES[role]}", self._column_combos[role], name=f"{role}_column", tip=_COLUMN_TIPS[role])
        self.more = Form()
        for role in (*SHAPE_ROLES, *OTHER_ROLES):
            self.more.fields[f"{role}_column"] = self._column_combos[role]
            self.more.add_row(f"  {ROLES[role]}", self._column_combos[role], name=role, tip=_COLUMN_TIPS[role])
            self.target.add_callback(f"{role}_column", self._name_fold)
        self.fold = Fold("", self.more)
        self.add_widget(self.fold)

    # -- what is shown -------------------------------------------------------------------------------------------------

    def refresh(self, *args):
        """Show the rows of what is chosen."""
        target = self.target
        for name in ("layer", "region", "text", "name", "file"):
            self.show_row(name, target.how == name)
        self.show_row("region_part", target.how == "region")
        self.show_row("found", target.how == "name")
        for role in ("ra", "dec", "name"):
            self.show_row(f"{role}_column", target.has_columns)
        for role in SHAPE_ROLES:
            self.more.show_row(role, self.state.shape == "columns")
        self.fold.setVisible(target.has_columns)
        self._name_fold()
        self._show_found()

    def mark(self, wrong, notes=None):
        """Mark fields, also those of the columns that are folded away."""
        super().mark(wrong, notes)
        self.more.mark(wrong)
        if set(wrong) & set(self.more.fields):
            self.fold.unfold()

    def _name_fold(self, *args):
        used = [role for role in self.state.used_columns if role not in ("ra", "dec", "name")]
        number = sum(self.target.columns[role] is not None for role in used)
        what = "shape, motion and role" if self.state.shape == "columns" else "motion and role"
        self.fold.button.setText(f"Columns of {what} ({number or 'none'} chosen)")

    def _show_text(self, text):
        if self.text_edit.toPlainText() != text:
            self.text_edit.setPlainText(text)

    def _show_found(self, *args):
        found = self.target.found
        if found is None or not found.sources:
            self.found_label.setText("")
            return
        source = found.sources[0]
        self.found_label.setText(f"{source.ra:.6f} {source.dec:+.6f} deg (ICRS)")

    def _browse(self, *args):
        path, _ = QtWidgets.QFileDialog.getOpenFileName(self, "File with targets", self.target.file, _FILTERS)
        if path:
            self.target.file = path


class ModelForm(Form):
    """Shapes of the targets, and their neighbours.

    Parameters
    ----------
    state : MeasureState
    """

    def __init__(self, state):
        super().__init__()
        self.state = state
        tip = "Point sources, or galaxies with a Sérsic profile; columns may mix both. Only fluxes are fitted"
        self.add_row("Targets a&re", self.combo(state, "shape", tip), name="shape")
        for name, label, unit, tip in (
            ("sersic_n", "  Sérsic index", "0.5 to 6", "Sérsic index n of all targets, 0.5 to 6"),
            ("r_eff", "  half-light radius", "arcsec, up to 20", "Along the major axis, above 0 to 20 arcsec; below 1 "
             "arcsec a target is measured as a point"),
            ("axis_ratio", "  axis ratio", "above 0, to 1", "Minor over major axis, above 0 to 1"),
            ("position_angle", "  position angle", "degrees East of North", "Of the major axis, -360 to 360 degrees"),
        ):  # fmt: skip
            self.add_row(label, self.line(state, name, tip, _NUMBERS), unit, tip=tip)
        tip = "Sources of a dataset or subset near the targets are fitted with them, so that they do not disturb them"
        self.add_row("Neigh&bours", self.combo(state, "neighbours", tip), name="neighbours", tip=tip)
        tip = "Neighbours farther than this from every target are left out, above 0 to 600 arcsec"
        self.add_row("  within", self.line(state, "radius", tip, _NUMBERS), "arcsec of a target", name="radius")
        for attribute in ("shape", "neighbours"):
            state.add_callback(attribute, self.refresh)
        self.refresh()

    def refresh(self, *args):
        """Show the fields that count."""
        for label in ("  Sérsic index", "  half-light radius", "  axis ratio", "  position angle"):
            self.show_row(label, self.state.shape == "sersic")
        self.show_row("radius", self.state.neighbours is not None)
