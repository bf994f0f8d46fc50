"""The controls beside the view of the sky: background, layers, targets, and the key of colours."""

from echo.qt.connect import connect_checkable_button, connect_combo_selection
from qtpy import QtCore, QtGui, QtWidgets

from ...model import DETECTORS
from ..open_dialogs import push_button
from .layers import MARKERS, OUTLINE_COLOURS, SKY


class SkyControls(QtWidgets.QScrollArea):
    """Which background, layers and targets are shown.

    Parameters
    ----------
    state : CoverageState
    choose_folder : callable()
        Asks the user for a folder with images.
    save_map : callable()
        Asks the user for a file, and writes the map of what the images cover.
    """

    def __init__(self, state, choose_folder, save_map):
        super().__init__()
        self.state = state
        self._connections, self.boxes, self._hints = [], {}, {}
        self.setWidgetResizable(True)
        self.setFrameShape(QtWidgets.QFrame.NoFrame)
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarAlwaysOff)
        content = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(content)
        column.setContentsMargins(6, 0, 4, 0)
        column.setSpacing(4)
        column.addWidget(_heading("Background"))
        column.addWidget(self._background())
        column.addWidget(self._box("show_grid", "Grid", "Right ascension and declination, ICRS"))
        column.addWidget(_heading("SPHEREx"))
        column.addWidget(self._box("show_deep", "Deep fields", "Their map, if the settings name one; else circles of "
                                   "100 square degrees at their nominal places"))  # fmt: skip
        column.addWidget(self._box("show_survey", "Survey map", "The map of the survey that the settings name"))
        column.addWidget(_heading("Images"))
        column.addWidget(self._box("show_images", "In folders", "Outlines of the Level-2 images in these folders"))
        column.addWidget(self._box("show_map", "Fill what they cover", "The part of the sky that these images cover"))
        column.addWidget(self._box("show_answers", "Found in the archive", "Outlines of images in answers of the "
                                   "archive that are kept; nothing is asked"))  # fmt: skip
        column.addWidget(self._key())
        row = QtWidgets.QHBoxLayout()
        self.folder_button = push_button("Folder…", lambda checked=False: choose_folder())
        self.folder_button.setToolTip("Show the images in one more folder")
        self.save_button = push_button("Save map…", lambda checked=False: save_map())
        self.save_button.setToolTip("Write what the images in the folders cover as a MOC, for Aladin or TOPCAT")
        row.addWidget(self.folder_button)
        row.addWidget(self.save_button)
        column.addLayout(row)
        column.addWidget(_heading("Targets"))
        column.addWidget(self._targets(), 1)
        self.setWidget(content)
        self.setFixedWidth(206)
        for name in ("targets", "images", "answers", "folders", "hidden", "maps", "show_answers"):
            state.add_callback(name, self._show_soon)
        self._soon = QtCore.QTimer(self, interval=0, singleShot=True)
        self._soon.timeout.connect(self.refresh)
        self.refresh()

    def _background(self):
        self.hips_combo = QtWidgets.QComboBox()
        self.hips_combo.setToolTip("The survey that the picture of the sky is made of; it comes from the network")
        self.hips_combo.setSizeAdjustPolicy(QtWidgets.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        self._connections.append(connect_combo_selection(self.state, "hips", self.hips_combo))
        return self.hips_combo

    def _box(self, name, text, hint):
        box = self.boxes[name] = QtWidgets.QCheckBox(text)
        self._hints[name] = hint
        box.setToolTip(hint)
        self._connections.append(connect_checkable_button(self.state, name, box))
        return box

    def _key(self):
        key = QtWidgets.QLabel(
            " ".join(
                f"<span style='background:{SKY};color:{QtGui.QColor.fromRgbF(*colour).name()}'>&nbsp;<b>D{number}</b>"
                "&nbsp;</span>"
                for number, colour in OUTLINE_COLOURS.items()
            )
        )
        ranges = (f"D{d.number} {d.wavelength_min_um:.2f}-{d.wavelength_max_um:.2f} µm" for d in DETECTORS.values())
        key.setToolTip(f"Colours of the outlines: {', '.join(ranges)}")
        return key

    def _targets(self):
        self.target_list = QtWidgets.QListWidget()
        self.target_list.setToolTip("Datasets with positions; subsets are drawn on top, in their colours")
        self.target_list.setMinimumHeight(60)
        self.target_list.setSelectionMode(QtWidgets.QAbstractItemView.NoSelection)
        self.target_list.itemChanged.connect(self._ticked)
        return self.target_list

    def _ticked(self, item):
        self.state.show_data(item.data(QtCore.Qt.UserRole), item.checkState() == QtCore.Qt.Checked)

    def _show_soon(self, *args):
        self._soon.start()

    def refresh(self):
        """Show what the state has now."""
        state = self.state
        self.boxes["show_images"].setText(f"In folders ({len(state.images):,})".replace(",", "\u2009"))
        answers = f" ({len(state.answers):,})".replace(",", "\u2009") if len(state.answers) else ""
        self.boxes["show_answers"].setText(f"Found in the archive{answers}")
        self.boxes["show_images"].setToolTip("\n".join(state.folders) or "No folder is known: choose one.")
        for name, usable, why in (
            (
                "show_survey",
                state.settings.survey_moc,
                "It has the whole sky; coverage.toml names no survey_moc",
            ),
            ("show_map", len(state.images), "There are no images: choose a folder"),
        ):
            problem = state.map_problem if usable else why
            self.boxes[name].setEnabled(not problem)
            self.boxes[name].setToolTip(problem or self._hints[name])
        self.save_button.setEnabled(bool(len(state.images)) and not state.map_problem)
        self._refresh_targets()

    def _refresh_targets(self):
        shown = {id(places.data) for places in self.state.shown_places}
        self.target_list.blockSignals(True)
        self.target_list.clear()
        for places in self.state.places:
            item = QtWidgets.QListWidgetItem(f"{places.data.label} ({len(places.ra):,})".replace(",", "\u2009"))
            item.setData(QtCore.Qt.UserRole, places.data)
            item.setIcon(_spot(places.data.style.color, places.rank))
            item.setFlags(QtCore.Qt.ItemIsEnabled | QtCore.Qt.ItemIsUserCheckable)
            item.setCheckState(QtCore.Qt.Checked if id(places.data) in shown else QtCore.Qt.Unchecked)
            item.setToolTip(places.data.label)
            self.target_list.addItem(item)
        self.target_list.blockSignals(False)


def _heading(text):
    label = QtWidgets.QLabel(text)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    return label


def _spot(colour, rank):
    """A disc in a colour of matplotlib on a piece of sky, as large and with the edge that it has there."""
    from matplotlib.colors import to_hex

    side, (size, edge) = 16, MARKERS[rank]
    pixmap = QtGui.QPixmap(side, side)
    pixmap.fill(QtGui.QColor(SKY))
    painter = QtGui.QPainter(pixmap)
    painter.setRenderHint(QtGui.QPainter.Antialiasing)
    painter.setBrush(QtGui.QColor(to_hex(colour)))
    painter.setPen(QtGui.QPen(QtGui.QColor("white"), edge))
    painter.drawEllipse(QtCore.QRectF(0, 0, size, size).translated((side - size) / 2, (side - size) / 2))
    painter.end()
    return QtGui.QIcon(pixmap)
