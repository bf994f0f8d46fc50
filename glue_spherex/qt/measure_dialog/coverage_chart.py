"""The chart of the images that hold the targets: of which detectors, at which wavelengths, of which time."""

import numpy as np
from glue_qt.utils import get_qapp
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy import QtCore, QtWidgets

from ...model import DETECTORS
from ...model.detectors import CHANNELS
from ...plugin.measuring.coverage import VIEWS
from ..colours import pale

_WIDE_PX = 560  # of the chart with each label in two lines
_HEIGHT_PX = 132
_PALE = 0.35  # opacity of images that are to be fetched
_MICRONS = (0.75, 1, 1.5, 2, 3, 4, 5)
_TITLES = {
    "detectors": "Measurements on each detector",
    "wavelengths": "Measurements in each spectral channel",
    "dates": "Measurements",
}
_TIPS = {
    "detectors": "Images of each detector that hold the targets: the measurements to expect",
    "wavelengths": "Measurements to expect in each of the 102 spectral channels; from the wavelength tables of the "
    "files, for images of the archive from the corners of the images and the mean law of the detectors (1 to 2 nm)",
    "dates": "When the images that hold the targets were taken (UTC)",
}


class CoverageChart(FigureCanvasQTAgg):
    """Bars of all targets, or of those that are selected in the table; pale where images are to be fetched.

    Parameters
    ----------
    state : MeasureState

    Attributes
    ----------
    counts : tuple of int
        Heights of the bars.
    to_fetch : tuple of int
        How much of them is to be fetched.
    """

    def __init__(self, state):
        super().__init__(Figure(figsize=(4, 1.3), layout="constrained"))
        self._state, self._chosen = state, []
        self.axes = self.figure.add_subplot()
        self.counts = self.to_fetch = (0,) * 6
        self.setFixedHeight(_HEIGHT_PX)
        for attribute in ("plan", "coverage_view"):
            state.add_callback(attribute, self.refresh)
        self.refresh()

    def choose(self, lines):
        """Show the numbers of some lines of the table; of all if there are none."""
        self._chosen = list(lines)
        self.refresh()

    def refresh(self, *args):
        """Draw what the state has now."""
        axes = self.axes
        self.figure.set_facecolor(_colour("window"))
        axes.clear()
        axes.set_facecolor("none")
        self.setToolTip(_TIPS[self._state.coverage_view])
        shown = set(map(id, self._state.lines))
        lines = [line for line in self._chosen if id(line) in shown]
        numbers = self._state.coverage(lines)
        if numbers is None:
            self.counts = self.to_fetch = (0,) * 6
            self._say()
        else:
            self.counts, self.to_fetch = tuple(numbers.sum(axis=1).tolist()), tuple(numbers[:, 1].tolist())
            self._draw(numbers, lines)
        self.draw_idle()

    def _say(self):
        """A sentence in the place of bars."""
        plan = self._state.plan
        text = "images are being counted…" if self._state.planning else "the images of the targets are shown here"
        if plan is not None and not plan.is_complete:
            text = "the images of the archive are shown here,\nas soon as it has been asked"
        self.axes.set_axis_off()
        self.axes.text(0.5, 0.5, text, ha="center", va="center", color=_colour("windowText"), alpha=0.7, fontsize=9)

    def _draw(self, numbers, lines):
        axes, ink = self.axes, _colour("windowText")
        axes.set_axis_on()
        {"detectors": self._detectors, "wavelengths": self._wavelengths, "dates": self._dates}[
            self._state.coverage_view
        ](numbers)
        axes.set_ylim(0, max(1, numbers.sum(axis=1).max(initial=0)) * 1.22)
        axes.set_title(self._title(lines), fontsize=9, loc="left", color=ink, parse_math=False)
        axes.tick_params(axis="both", labelsize=8, length=0, labelcolor=ink)
        axes.tick_params(axis="x", length=0 if self._state.coverage_view == "detectors" else 3, color=ink)
        axes.spines["bottom"].set_color(ink)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)

    def _bars(self, places, numbers, widths, colours):
        """Bars of what is here, and above them pale ones of what is to be fetched."""
        here, away = numbers.T
        bars = self.axes.bar(places, here, widths, color=colours, linewidth=0)
        top = self.axes.bar(places, away, widths, bottom=here, color=colours, alpha=_PALE, linewidth=0)
        return top if away.any() else bars

    def _detectors(self, numbers):
        places = np.array(list(DETECTORS))
        bars = self._bars(places, numbers, 0.7, [detector.colour for detector in DETECTORS.values()])
        labels = [str(number) for number in numbers.sum(axis=1)]
        self.axes.bar_label(bars, labels, fontsize=8, color=_colour("windowText"), padding=1)
        self.axes.set_xticks(places, labels=self._labels())
        self.axes.set_yticks([])

    def _wavelengths(self, numbers):
        centres = np.array([channel.wavelength_um for channel in CHANNELS])
        widths = np.array([channel.bandwidth_um for channel in CHANNELS])
        self._bars(centres, numbers, 0.8 * widths, [DETECTORS[channel.detector].colour for channel in CHANNELS])
        self.axes.set_xscale("log")
        self.axes.set_xlim(0.73, 5.12)
        self.axes.set_xticks(_MICRONS, labels=[*(f"{micron:g}" for micron in _MICRONS[:-1]), "5 µm"])
        self.axes.set_xticks([], minor=True)
        self._whole_numbers()

    def _dates(self, numbers):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
        from matplotlib.ticker import NullLocator

        coverage = self._state.plan.coverage
        if not len(numbers):
            self.axes.set_xticks([])
            return
        begin = date2num(np.datetime64("1858-11-17")) + coverage.edges  # MJD 0
        colour = get_qapp().palette().highlight().color().name()
        self._bars(begin[:-1] + coverage.step_days / 2, numbers, 0.9 * coverage.step_days, colour)
        locator = AutoDateLocator(minticks=2, maxticks=7)
        self.axes.xaxis.set_major_locator(locator)
        self.axes.xaxis.set_minor_locator(NullLocator())
        self.axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        self.axes.xaxis.get_offset_text().set(fontsize=8, color=_colour("windowText"))
        edge = max(0.02 * (begin[-1] - begin[0]), 2 * coverage.step_days)
        self.axes.set_xlim(begin[0] - edge, begin[-1] + edge)
        self._whole_numbers()

    def _whole_numbers(self):
        from matplotlib.ticker import MaxNLocator

        self.axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))

    def _labels(self):
        between = "-" if self.width() >= _WIDE_PX else "-\n"  # side by side, or one above the other
        return [
            f"D{d.number}\n{d.wavelength_min_um:.2f}{between}{d.wavelength_max_um:.2f} µm" for d in DETECTORS.values()
        ]

    def resizeEvent(self, event):
        """Labels that fit the width."""
        super().resizeEvent(event)
        if self._state.coverage_view == "detectors" and self._state.coverage() is not None:
            self.axes.set_xticks(list(DETECTORS), labels=self._labels())

    def _title(self, lines):
        view, plan = self._state.coverage_view, self._state.plan
        what = _TITLES[view]
        if view == "dates" and len(plan.coverage.edges) > 1:
            step = plan.coverage.step_days
            what += " per day" if step == 1 else f" per {step:g} days"
        whose = "all targets"
        if lines:
            whose = lines[0].label[:40] if len(lines) == 1 else f"{len(lines)} targets"
        return f"{what}, {whose}"


class CoverageSwitch(QtWidgets.QWidget):
    """Three buttons: what the chart shows; and what pale bars mean.

    Parameters
    ----------
    state : MeasureState

    Attributes
    ----------
    key : QLabel
    buttons : dict of str to QToolButton
    """

    def __init__(self, state):
        super().__init__()
        self._state, self.buttons = state, {}
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        self.key = QtWidgets.QLabel("pale: to be fetched")
        self.key.setStyleSheet(f"color: {pale()}")
        row.addWidget(self.key)
        row.addStretch(1)
        for view in VIEWS:
            button = QtWidgets.QToolButton()
            button.setText(view.capitalize())
            button.setToolTip(_TIPS[view])
            button.setCheckable(True)
            button.setAutoRaise(True)
            button.setFocusPolicy(QtCore.Qt.TabFocus)
            button.clicked.connect(lambda checked=False, view=view: self._choose(view))
            row.addWidget(button)
            self.buttons[view] = button
        for attribute in ("plan", "coverage_view"):
            state.add_callback(attribute, self.refresh)
        self.refresh()

    def refresh(self, *args):
        """Show what is chosen."""
        numbers = self._state.coverage()
        self.key.setVisible(numbers is not None and bool(numbers[:, 1].any()))
        for view, button in self.buttons.items():
            button.setChecked(view == self._state.coverage_view)

    def _choose(self, view):
        self._state.coverage_view = view
        self.refresh()


def _colour(role):
    """A colour of the windows."""
    return getattr(get_qapp().palette(), role)().color().name()
