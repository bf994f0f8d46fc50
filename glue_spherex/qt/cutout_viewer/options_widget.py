"""The options of the cutout viewer."""

from echo.qt import (
    connect_checkable_button,
    connect_combo_selection,
    connect_float_text,
)
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QTabWidget,
    QWidget,
)

from ...plugin.cutouts.reading import LARGEST_ARCMIN
from ...plugin.cutouts.state import SMALLEST_ARCMIN
from ...plugin.positions import position_columns
from .mask_list import MaskList


class CutoutOptions(QTabWidget):
    """Options in four tabs: cutouts, brightness, marks, mask.

    Parameters
    ----------
    viewer_state : CutoutViewerState
    session : glue.core.Session
    """

    def __init__(self, viewer_state, session, parent=None):
        super().__init__(parent)
        self.state, self.session = viewer_state, session
        self._viewer = None
        self._connections = []
        self.mask = MaskList(viewer_state)
        for name, page in (
            ("Cutouts", self._cutouts()),
            ("Brightness", self._brightness()),
            ("Marks", self._marks()),
            ("Mask", self.mask),
        ):
            self.addTab(page, name)
        self.setCurrentWidget(self.mask)
        viewer_state.add_callback("catalogue", self.update_catalogues)
        viewer_state.add_callback("limits", self._enable_limits)
        self.update_catalogues()
        self._enable_limits()

    def viewer_ready(self, viewer):
        """The viewer that the button belongs to."""
        self._viewer = viewer
        self.bool_by_itself.setChecked(viewer.fetching.state.by_itself)
        self.bool_by_itself.clicked.connect(viewer.fetching.choose)

    def _cutouts(self):
        page, form = _page()
        self.combosel_n_cutouts = self._combo(form, "Cutouts", "n_cutouts", "How many cutouts, around the focused row")
        self.combosel_order = self._combo(form, "Order", "order", "In which order cutouts stand and arrow keys step")
        self.value_size_arcmin = self._number(
            form, "Size (arcmin)", "size_arcmin", SMALLEST_ARCMIN, LARGEST_ARCMIN, 0.2, 2, "Side of a cutout"
        )
        self.combosel_orientation = self._combo(form, "Orientation", "orientation", "What points up")
        self.bool_wcs_locked = self._check(
            form, "Lock pan and zoom on the sky", "wcs_locked", "Pan and zoom all cutouts together"
        )
        self.bool_by_itself = QCheckBox("Fetch missing cutouts by themselves")
        self.bool_by_itself.setToolTip("From IRSA's archive, as soon as they are to be shown; remembered")
        form.addRow(self.bool_by_itself)
        self.button_folder = QPushButton("Name the folder…")
        self.button_folder.setToolTip("Name a folder with SPHEREx images; it is remembered with the dataset")
        self.button_folder.clicked.connect(lambda: self._viewer.ask_for_folder())
        form.addRow(self.button_folder)
        return page

    def _brightness(self):
        page, form = _page()
        self.combosel_background = self._combo(form, "Subtract", "background", "Subtracted before drawing")
        self.combosel_stretch = self._combo(form, "Stretch", "stretch", "From brightness to grey")
        self.combosel_limits = self._combo(form, "Limits", "limits", "Where the limits of the brightness come from")
        self.value_percentile = self._number(
            form, "Percentile", "percentile", 50.5, 100, 0.5, 2, "Per cent of the pixels below the upper limit"
        )
        self.valuetext_vmin = self._text(form, "Lower (MJy/sr)", "vmin")
        self.valuetext_vmax = self._text(form, "Upper (MJy/sr)", "vmax")
        self.combosel_cmap = self._combo(form, "Colours", "cmap", "Colour map")
        return page

    def _marks(self):
        page, form = _page()
        self.bool_show_target = self._check(form, "Target", "show_target", "Cross hairs at the row's position")
        self.bool_show_sources = self._check(
            form, "Other sources of the table", "show_sources", "Crosses at the table's other sources on the image"
        )
        self.bool_show_aperture = self._check(
            form, "Circle of 2.5 pixels", "show_aperture", "Flags of pixels inside count for the measurement"
        )
        self.bool_show_box = self._check(
            form, "Box of the background", "show_box", "Pixels from which the local background was taken"
        )
        self.bool_show_compass = self._check(form, "Scale and directions", "show_compass", "In the first cutout")
        self.combo_catalogue = QComboBox()
        self.combo_catalogue.setToolTip("Mark the positions of a dataset with ra and dec in degrees")
        self.combo_catalogue.setSizeAdjustPolicy(QComboBox.AdjustToMinimumContentsLengthWithIcon)
        self.combo_catalogue.activated.connect(self._choose_catalogue)
        form.addRow("Positions of", self.combo_catalogue)
        return page

    def _combo(self, form, label, name, tip):
        combo = QComboBox()
        combo.setToolTip(tip)
        self._connections.append(connect_combo_selection(self.state, name, combo))
        form.addRow(label, combo)
        return combo

    def _check(self, form, label, name, tip):
        box = QCheckBox(label)
        box.setToolTip(tip)
        self._connections.append(connect_checkable_button(self.state, name, box))
        form.addRow(box)
        return box

    def _number(self, form, label, name, low, high, single_step, decimals, tip):
        box = QDoubleSpinBox()
        box.setRange(low, high)
        box.setDecimals(decimals)
        box.setSingleStep(single_step)
        box.setKeyboardTracking(False)
        box.setToolTip(f"{tip}, {low:g} to {high:g}")
        box.setValue(float(getattr(self.state, name)))
        box.valueChanged.connect(lambda value: setattr(self.state, name, value))
        self.state.add_callback(name, lambda value: _set_quietly(box, value))
        form.addRow(label, box)
        return box

    def _text(self, form, label, name):
        line = QLineEdit()
        self._connections.append(connect_float_text(self.state, name, line))
        form.addRow(label, line)
        return line

    def _enable_limits(self, *args):
        fixed = self.state.limits == "fixed"
        self.valuetext_vmin.setEnabled(fixed)
        self.valuetext_vmax.setEnabled(fixed)
        self.value_percentile.setEnabled(not fixed)

    # -- catalogues ----------------------------------------------------------------------------------------------------

    def update_catalogues(self, *args):
        """Offer the datasets that have positions."""
        self._catalogues = [None, *(data for data in self.session.data_collection if position_columns(data)[0])]
        self.combo_catalogue.clear()
        self.combo_catalogue.addItems(["nothing", *(data.label for data in self._catalogues[1:])])
        place = next((k for k, data in enumerate(self._catalogues) if data is self.state.catalogue), 0)
        self.combo_catalogue.setCurrentIndex(place)

    def _choose_catalogue(self, place):
        self.state.catalogue = self._catalogues[place]

    def show_counts(self, counts):
        """Numbers of pixels with each flag, for the list of mask layers."""
        self.mask.show_counts(counts)


def _page():
    inner = QWidget()
    form = QFormLayout(inner)
    form.setContentsMargins(6, 6, 6, 6)
    form.setVerticalSpacing(4)
    area = QScrollArea()
    area.setWidget(inner)
    area.setWidgetResizable(True)
    area.setFrameShape(QScrollArea.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarAlwaysOff)
    return area, form


def _set_quietly(box, value):
    try:
        value = float(value)
    except (TypeError, ValueError):
        return
    box.blockSignals(True)
    box.setValue(value)
    box.blockSignals(False)
