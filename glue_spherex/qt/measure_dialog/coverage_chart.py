"""The chart of how many images of each detector hold the targets."""

from glue_qt.utils import get_qapp
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure

from ...model import DETECTORS

_WIDE_PX = 460  # of the chart with each label in two lines


class CoverageChart(FigureCanvasQTAgg):
    """Six bars, one for each detector; of all targets, or of those that are selected in the table.

    Parameters
    ----------
    state : MeasureState
    """

    def __init__(self, state):
        super().__init__(Figure(figsize=(4, 1.3), layout="constrained"))
        self._state, self._chosen = state, []
        self.axes = self.figure.add_subplot()
        self.counts = (0,) * 6
        self.setFixedHeight(132)
        self.setToolTip("Images of each detector that hold the targets: the measurements to expect")
        state.add_callback("plan", self.refresh)
        self.refresh()

    def choose(self, lines):
        """Show the numbers of some lines of the table; of all if there are none."""
        self._chosen = list(lines)
        self.refresh()

    def refresh(self, *args):
        """Draw what the state has now."""
        axes, colours = self.axes, get_qapp().palette()
        window, ink = colours.window().color().name(), colours.windowText().color().name()
        self.figure.set_facecolor(window)
        axes.clear()
        axes.set_facecolor("none")
        if self._state.plan is None:
            self.counts = (0,) * 6
            axes.set_axis_off()
            text = "images are being counted…" if self._state.planning else "the images of each detector are shown here"
            axes.text(0.5, 0.5, text, ha="center", va="center", color=ink, alpha=0.7, fontsize=9)
            self.draw_idle()
            return
        shown = set(map(id, self._state.lines))
        lines = [line for line in self._chosen if id(line) in shown]
        self.counts = tuple(sum(line.counts[k] for line in lines or self._state.plan.lines) for k in range(6))
        axes.set_axis_on()
        bars = axes.bar(list(DETECTORS), self.counts, width=0.7, color=[d.colour for d in DETECTORS.values()])
        axes.bar_label(bars, fontsize=8, color=ink, padding=1)
        axes.set_xticks(list(DETECTORS), labels=self._labels())
        axes.set_ylim(0, max(1, *self.counts) * 1.22)
        axes.set_yticks([])
        axes.set_title(self._title(lines), fontsize=9, loc="left", color=ink, parse_math=False)
        axes.tick_params(axis="x", labelsize=8, length=0, labelcolor=ink)
        axes.spines["bottom"].set_color(ink)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        self.draw_idle()

    def _labels(self):
        between = "-" if self.width() >= _WIDE_PX else "-\n"  # side by side, or one above the other
        return [
            f"D{d.number}\n{d.wavelength_min_um:.2f}{between}{d.wavelength_max_um:.2f} µm" for d in DETECTORS.values()
        ]

    def resizeEvent(self, event):
        """Labels that fit the width."""
        super().resizeEvent(event)
        if self._state.plan is not None:
            self.axes.set_xticks(list(DETECTORS), labels=self._labels())

    def _title(self, lines):
        if not lines:
            return "Measurements on each detector, all targets"
        whose = lines[0].label[:40] if len(lines) == 1 else f"{len(lines)} targets"
        return f"Measurements on each detector, {whose}"
