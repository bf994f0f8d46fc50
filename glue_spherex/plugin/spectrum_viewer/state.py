"""The state of the spectrum viewer and of its layers; all of it is saved in sessions."""

import numpy as np
from echo import CallbackProperty, SelectionCallbackProperty, delay_callback
from glue.core import Subset
from glue.core.data_combo_helper import ComponentIDComboHelper
from glue.viewers.matplotlib.state import (
    DeferredDrawCallbackProperty,
    DeferredDrawSelectionCallbackProperty,
    MatplotlibDataViewerState,
    MatplotlibLayerState,
)

from .colours import COLOUR_MAPS, FIXED, MARKERS, colour_choices, colour_limits, default_colour, flag_choices
from .display import Axes, show
from .flux_units import FLUX_UNITS
from .limits import limits_of
from .quantities import CannotShow, find_quantity, quantity_of
from .sources import sources_of

__all__ = ["SpectrumLayerState", "SpectrumViewerState"]

#: Part of the points, in percent, that the y axis holds when limits are found.
Y_RANGES = (100.0, 99.5, 99.0, 95.0)

#: What the axes show as long as nothing else is chosen.
_DEFAULTS = {"x_att": "wavelength", "y_att": "flux"}

_POSITION = ("x_att", "y_att", "y_unit", "redshift", "x_log", "y_log")


def data_of(layer):
    """The dataset of a layer: itself, or the one a subset belongs to."""
    return layer.data if isinstance(layer, Subset) else layer


class SpectrumViewerState(MatplotlibDataViewerState):
    """What the spectrum viewer shows."""

    x_att = DeferredDrawSelectionCallbackProperty(docstring="The component on x")
    y_att = DeferredDrawSelectionCallbackProperty(docstring="The component on y")
    y_unit = DeferredDrawSelectionCallbackProperty(docstring="The unit of y where it is a flux")
    y_range = DeferredDrawSelectionCallbackProperty(docstring="Percent of the points that the y axis holds")
    redshift = DeferredDrawCallbackProperty(0.0, docstring="Wavelengths are divided by 1 + redshift")
    show_errors = DeferredDrawCallbackProperty(True, docstring="Error bars")
    show_bandwidth = DeferredDrawCallbackProperty(False, docstring="Bars as wide as the bandwidth")
    hollow_flagged = DeferredDrawCallbackProperty(True, docstring="Flagged points are hollow")
    show_binned = DeferredDrawCallbackProperty(False, docstring="The mean in each of the 102 channels")
    mark_jumps = DeferredDrawCallbackProperty(False, docstring="Marks where the background jumps")
    show_legend = DeferredDrawCallbackProperty(True, docstring="What the colours mean, above the plot")
    order = SelectionCallbackProperty(docstring="In which order the arrow keys step")
    focus_data = CallbackProperty(None, docstring="The dataset of the focused row")
    focus_row = CallbackProperty(None, docstring="The focused row")

    def __init__(self, **kwargs):
        super().__init__()
        self._shown = {}
        self._datasets = []
        self._quantities = dict(_DEFAULTS)
        SpectrumViewerState.y_unit.set_choices(self, list(FLUX_UNITS))
        SpectrumViewerState.y_range.set_choices(self, list(Y_RANGES))
        SpectrumViewerState.y_range.set_display_func(self, lambda p: "all points" if p == 100 else f"{p:g} % of them")
        SpectrumViewerState.order.set_choices(self, ["wavelength", "time"])
        self._att_choices = {
            name: ComponentIDComboHelper(self, name, categorical=False, datetime=False, world_coord=True)
            for name in ("x_att", "y_att")
        }
        self.add_callback("layers", self._layers_changed)
        for name in _POSITION:
            self.add_callback(name, self._positions_changed, priority=5000)
        for name in ("x_att", "redshift"):
            self.add_callback(name, self.reset_x, priority=4000)
        for name in ("y_att", "y_unit", "y_range"):
            self.add_callback(name, self.reset_y, priority=4000)
        self.add_callback("x_log", self.reset_x, priority=500)  # after the scale itself, which glue sets at 1000:
        self.add_callback("y_log", self.reset_y, priority=500)  # a scale still logarithmic takes no negative limits
        self.update_from_dict(kwargs)

    def _update_priority(self, name):
        return 0.25 if name.startswith("focus") else super()._update_priority(name)

    @property
    def datasets(self):
        """The datasets that have a layer, each once."""
        found = []
        for layer_state in self.layers:
            data = data_of(layer_state.layer)
            if data is not None and not any(data is other for other in found):
                found.append(data)
        return found

    @property
    def axes(self):
        """What decides where points stand; None as long as there is no data, or a component has just been removed."""
        if not (_exists(self.x_att) and _exists(self.y_att)):
            return None
        return Axes(self.x_att, self.y_att, self.y_unit, float(self.redshift or 0))

    def layer_state_of(self, data):
        """The state of a dataset's own layer; None where only subsets of it are shown."""
        return next((state for state in self.layers if state.layer is data), None)

    def source_keys(self, data):
        """Keys of the sources of a dataset that are shown; None for all."""
        state = self.layer_state_of(data)
        return None if state is None or state.sources is None else list(state.sources)

    def shown(self, data):
        """A dataset as it is drawn; raises `CannotShow` where it cannot be.

        Parameters
        ----------
        data : glue.core.Data

        Returns
        -------
        Shown
        """
        axes = self.axes
        if data.size == 0:
            raise CannotShow(f"{data.label!r} has no rows.")
        if axes is None:
            raise CannotShow(self._what_to_choose(data))
        keys = self.source_keys(data)
        settings = (axes, None if keys is None else tuple(keys), bool(self.x_log), bool(self.y_log))
        kept, shown = self._shown.get(data, (None, None))
        if kept is None or not _same(kept, settings):
            shown = show(data, axes, keys, settings[2], settings[3])
            self._shown[data] = settings, shown
        return shown

    def _what_to_choose(self, data):
        missing = [name for name in ("x_att", "y_att") if not _exists(getattr(self, name))]
        letters = " and ".join(name[0] for name in missing)
        what = " and no ".join(_DEFAULTS[name] for name in missing)
        return (
            f"Choose {letters} in the tab Axes of the options: no {what} was found among the names and units of "
            f"the columns of {data.label!r}."
        )

    def forget(self, data):
        """Take notice of new values in a dataset."""
        self._shown.pop(data, None)

    def reset_limits(self):
        """Limits that hold all points (of y: the chosen part); the tool Home."""
        with delay_callback(self, "x_min", "x_max", "y_min", "y_max"):
            self.reset_x()
            self.reset_y()

    def reset_x(self, *args):
        """Limits of x that hold all points."""
        with delay_callback(self, "x_min", "x_max"):
            self.x_min, self.x_max = limits_of(self._drawn("x"), self.x_log, empty=(0.7, 5.1))

    def reset_y(self, *args):
        """Limits of y that hold the chosen part of the points; magnitudes grow downwards."""
        low, high = limits_of(self._drawn("y"), self.y_log, percent=self.y_range, margin=0.06)
        axes = self.axes
        if axes is not None and axes.y_is_magnitude:
            low, high = high, low
        with delay_callback(self, "y_min", "y_max"):
            self.y_min, self.y_max = low, high

    def _drawn(self, name):
        values = []
        for data in self.datasets:
            try:
                shown = self.shown(data)
            except CannotShow:
                continue
            values.append(getattr(shown, name)[shown.drawn])
        return np.concatenate(values) if values else np.zeros(0)

    def _positions_changed(self, *args):
        axes = self.axes
        if axes is None:
            return
        for name in ("x_att", "y_att"):
            cid = getattr(self, name)
            self._quantities[name] = quantity_of(cid.parent, cid)
        if axes.y_is_magnitude and self.y_log:
            self.y_log = False
        self.update_labels()

    def update_labels(self):
        """Set the texts of the axes."""
        if self.axes is not None:
            self.x_axislabel, self.y_axislabel = self.axes.labels()

    def _layers_changed(self, *args):
        datasets = self.datasets
        if len(datasets) == len(self._datasets) and all(a is b for a, b in zip(datasets, self._datasets)):
            return
        self._datasets = datasets
        for data in [data for data in self._shown if not any(data is other for other in datasets)]:
            self.forget(data)
        self.refresh_components()
        if datasets and not any(data is self.focus_data for data in datasets):
            self.focus_data = self.focus_row = None
        self.reset_limits()

    def refresh_components(self):
        """Offer the components of the datasets; where the shown one is gone, take the same quantity elsewhere."""
        quantities = dict(self._quantities)
        # glue cannot tell what an empty component holds
        datasets = [data for data in self.datasets if data.size and data.ndim == 1]
        with delay_callback(self, "x_att", "y_att"):
            for name, choices in self._att_choices.items():
                before = getattr(self, name)
                found = self._found((quantities[name], _DEFAULTS[name]), datasets)
                choices.none = False if found else "choose…"  # glue would take the first column, whatever it holds
                choices.set_multiple_data(datasets)
                if before is None or getattr(self, name) is not before:
                    self._choose(name, found)

    @staticmethod
    def _found(quantities, datasets):
        found = [find_quantity(data, quantity) for quantity in quantities for data in datasets]
        return [cid for cid in found if cid is not None and cid.parent.get_kind(cid) == "numerical"]

    def _choose(self, name, found):
        choices = getattr(type(self), name).get_choices(self)
        for cid in found:
            if any(cid is choice for choice in choices):
                setattr(self, name, cid)
                return


def _exists(cid):
    """Whether a component is still part of its dataset."""
    return cid is not None and cid.parent is not None and any(cid is other for other in cid.parent.components)


def _same(a, b):
    """Whether two settings are the same; components are compared by identity, their == makes a subset."""
    (axes_a, *rest_a), (axes_b, *rest_b) = a, b
    same = axes_a.x_att is axes_b.x_att and axes_a.y_att is axes_b.y_att and axes_a[2:] == axes_b[2:]
    return same and rest_a == rest_b


class SpectrumLayerState(MatplotlibLayerState):
    """How a dataset or a subset is drawn."""

    sources = DeferredDrawCallbackProperty(None, docstring="Keys of the sources that are shown; None for all")
    colour_by = DeferredDrawSelectionCallbackProperty(docstring="What decides the colour of a point")
    flag = DeferredDrawSelectionCallbackProperty(docstring="The flag that decides it")
    colour_map = DeferredDrawSelectionCallbackProperty(docstring="The colours of numbers")
    colour_min = DeferredDrawCallbackProperty(0.0, docstring="The number at the lower end of the colours")
    colour_max = DeferredDrawCallbackProperty(1.0, docstring="The number at the upper end of the colours")
    size = DeferredDrawCallbackProperty(5.0, docstring="Diameter of a point, in points of 1/72 inch")
    marker = DeferredDrawSelectionCallbackProperty(docstring="The shape of the points")

    def __init__(self, viewer_state=None, layer=None, **kwargs):
        super().__init__(viewer_state=viewer_state, layer=layer)
        self._coloured_by = None
        SpectrumLayerState.colour_map.set_choices(self, list(COLOUR_MAPS))
        SpectrumLayerState.marker.set_choices(self, list(MARKERS))
        self.refresh_choices()
        if self.layer is not None:
            self.colour_by = default_colour(data_of(self.layer))
            self.reset_colour_limits()
        self.add_callback("colour_by", self.reset_colour_limits)
        self.update_from_dict(kwargs)

    def _update_priority(self, name):
        return 1 if name == "colour_by" else 0

    def refresh_choices(self):
        """Offer the columns and flags that the dataset has now."""
        data = None if self.layer is None else data_of(self.layer)
        with delay_callback(self, "colour_by", "flag"):
            choices = [FIXED] if data is None else colour_choices(data)
            present = self.colour_by is None or isinstance(self.colour_by, str)
            if not present and not any(self.colour_by is choice for choice in choices):
                self.colour_by = FIXED  # a column that is gone; its == with a word would be a subset, which is true
            SpectrumLayerState.colour_by.set_choices(self, choices)
            SpectrumLayerState.colour_by.set_display_func(self, lambda c: c if isinstance(c, str) else c.label)
            SpectrumLayerState.flag.set_choices(self, flag_choices(data))

    def reset_colour_limits(self, *args):
        """Let the colours reach over nearly all values of the chosen column."""
        again, self._coloured_by = self._coloured_by is self.colour_by, self.colour_by
        if again or self.layer is None or isinstance(self.colour_by, str) or self.colour_by is None:
            return
        with delay_callback(self, "colour_min", "colour_max"):
            self.colour_min, self.colour_max = colour_limits(data_of(self.layer), self.colour_by)

    @property
    def usable_colour_limits(self):
        """``colour_min`` and ``colour_max`` as numbers; those of the column where one of them is none, as ``nan``."""
        try:
            low, high = float(self.colour_min), float(self.colour_max)
        except (TypeError, ValueError):  # an emptied field holds no time (NaT)
            low = high = np.nan
        if np.isfinite([low, high]).all() or isinstance(self.colour_by, str) or self.colour_by is None:
            return low, high
        return colour_limits(data_of(self.layer), self.colour_by)

    def show_sources(self, keys):
        """Choose the sources of the dataset that are shown.

        Parameters
        ----------
        keys : list or None
            Keys as in `sources_of`; None for all.

        Raises
        ------
        ValueError
            If the dataset has no such source.
        """
        known = sources_of(data_of(self.layer)).keys
        unknown = [] if keys is None else [key for key in keys if key not in known]
        if unknown:
            raise ValueError(f"sources: {self.layer.label!r} has no {unknown[0]!r}; allowed are {known}.")
        self.sources = None if keys is None or len(keys) == len(known) else list(keys)
