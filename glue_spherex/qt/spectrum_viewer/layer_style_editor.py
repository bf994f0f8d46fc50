"""How a layer of the spectrum viewer is drawn."""

from pathlib import Path

from echo.qt import autoconnect_callbacks_to_qt
from glue.core import Subset
from glue_qt.utils import load_ui
from qtpy import QtWidgets

from ...plugin.spectrum_viewer.colours import FIXED, FLAG, SOURCE
from ...plugin.spectrum_viewer.sources import sources_of
from ...plugin.spectrum_viewer.state import data_of


class SpectrumLayerStyleEditor(QtWidgets.QWidget):
    """Colours, shape and size of the points of a layer.

    Parameters
    ----------
    layer : SpectrumDataArtist or SpectrumSubsetArtist
    """

    def __init__(self, layer, parent=None):
        super().__init__(parent=parent)
        self.ui = load_ui("layer_style_editor.ui", self, directory=str(Path(__file__).parent))
        options = {
            "alpha": {"value_range": (0, 1)},
            "colour_min": {"fmt": "{:.6g}"},
            "colour_max": {"fmt": "{:.6g}"},
        }
        self._connections = autoconnect_callbacks_to_qt(layer.state, self.ui, options)
        self.state = layer.state
        self.state.add_callback("colour_by", self._show_what_matters)
        self._show_what_matters()

    def _show_what_matters(self, *args):
        """Only the settings that the present colouring uses."""
        of_subset = isinstance(self.state.layer, Subset)
        by = FIXED if of_subset else self.state.colour_by
        word = by if isinstance(by, str) else ""
        self._show(not of_subset, "combosel_colour_by", "label_colour_by")
        one_source = word == SOURCE and len(sources_of(data_of(self.state.layer)).keys) == 1
        self._show(word == FIXED or one_source, "color_color", "label_color")
        self._show(word == FLAG, "combosel_flag", "label_flag")
        self._show(
            not word and data_of(self.state.layer).get_kind(by) == "numerical",
            *("combosel_colour_map", "label_colour_map", "valuetext_colour_min", "label_colour_min"),
            *("valuetext_colour_max", "label_colour_max"),
        )

    def _show(self, visible, *names):
        for name in names:
            getattr(self.ui, name).setVisible(visible)
