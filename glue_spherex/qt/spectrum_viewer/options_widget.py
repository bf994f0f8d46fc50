"""The options of the spectrum viewer in glue's left panel: axes, what is shown, sources."""

from pathlib import Path

from echo.qt import autoconnect_callbacks_to_qt
from glue_qt.utils import fix_tab_widget_fontsize, load_ui
from qtpy import QtWidgets
from qtpy.QtCore import Qt

from ...plugin.spectrum_viewer.sources import sources_of


class SpectrumOptionsWidget(QtWidgets.QWidget):
    """What the viewer shows.

    Parameters
    ----------
    viewer_state : SpectrumViewerState
    session : glue.core.Session
    """

    def __init__(self, viewer_state, session, parent=None):
        super().__init__(parent=parent)
        self.state = viewer_state
        self.ui = load_ui("options_widget.ui", self, directory=str(Path(__file__).parent))
        fix_tab_widget_fontsize(self.ui.tab_widget)
        limits = {name: {"fmt": "{:.6g}"} for name in ("x_min", "x_max", "y_min", "y_max")}
        self._connections = autoconnect_callbacks_to_qt(viewer_state, self.ui, limits)
        self._datasets, self._listed = [], None
        self.ui.combo_data.currentIndexChanged.connect(self._list_sources)
        self.ui.list_sources.itemChanged.connect(self._ticked)
        self.ui.list_sources.itemDoubleClicked.connect(self._only)
        self.ui.button_all.clicked.connect(lambda: self._choose(None))
        self.ui.button_none.clicked.connect(lambda: self._choose([]))
        self.ui.button_only.clicked.connect(lambda: self._only(self.ui.list_sources.currentItem()))
        viewer_state.add_callback("layers", self._list_datasets)
        for name in ("x_att", "y_att", "y_unit"):
            viewer_state.add_callback(name, self._enable_what_matters)
        self._list_datasets()
        self._enable_what_matters()

    def _enable_what_matters(self, *args):
        axes = self.state.axes
        self.ui.combosel_y_unit.setEnabled(axes is not None and axes.y_is_flux)
        self.ui.value_redshift.setEnabled(axes is not None and axes.x_is_wavelength)
        self.ui.bool_y_log.setEnabled(axes is None or not axes.y_is_magnitude)

    @property
    def data(self):
        """The dataset whose sources are listed."""
        place = self.ui.combo_data.currentIndex()
        return self._datasets[place] if 0 <= place < len(self._datasets) else None

    def _list_datasets(self, *args):
        datasets = [data for data in self.state.datasets if self.state.layer_state_of(data) is not None]
        if [data.label for data in datasets] != [data.label for data in self._datasets] or any(
            a is not b for a, b in zip(datasets, self._datasets)
        ):
            before = self.data
            self._datasets = datasets
            combo = self.ui.combo_data
            combo.blockSignals(True)
            combo.clear()
            combo.addItems([data.label for data in datasets])
            combo.setCurrentIndex(next((k for k, data in enumerate(datasets) if data is before), 0))
            combo.blockSignals(False)
            combo.setVisible(len(datasets) > 1)
        self._list_sources()

    def _list_sources(self, *args):
        """List the sources of the dataset, ticked as they are shown."""
        data = self.data
        keys = None if data is None else self.state.source_keys(data)
        known = None if data is None else sources_of(data)
        wanted = None if data is None else (id(data), known.labels, list(known.counts), keys)
        if wanted == self._listed:
            return
        self._listed = wanted
        widget = self.ui.list_sources
        current = widget.currentRow()
        widget.blockSignals(True)
        widget.clear()
        for key, label, count in zip(known.keys, known.labels, known.counts) if known else []:
            item = QtWidgets.QListWidgetItem(f"{label}  ({count:,} point{'' if count == 1 else 's'})")
            item.setFlags(item.flags() | Qt.ItemIsUserCheckable)
            item.setCheckState(Qt.Checked if keys is None or key in keys else Qt.Unchecked)
            item.setData(Qt.UserRole, key)
            widget.addItem(item)
        widget.setCurrentRow(current if 0 <= current < widget.count() else 0)
        widget.blockSignals(False)

    def _ticked(self, item):
        items = [self.ui.list_sources.item(row) for row in range(self.ui.list_sources.count())]
        self._choose([item.data(Qt.UserRole) for item in items if item.checkState() == Qt.Checked])

    def _only(self, item):
        if item is not None:
            self._choose([item.data(Qt.UserRole)])

    def _choose(self, keys):
        if self.data is not None:
            self.state.layer_state_of(self.data).show_sources(keys)
            self.state.reset_limits()
