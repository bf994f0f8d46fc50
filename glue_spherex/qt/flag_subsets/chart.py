"""The chart of where in wavelength the ticked flags occur."""

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure

from ...plugin.flag_subsets import COLOURS, bits_of

_TICKS = (0.75, 1, 1.5, 2, 3, 4, 5)
_SEVERAL = "#d62728"  # colour of more than one flag


class FlagChart(FigureCanvasQTAgg):
    """Points along the wavelength: all of them in grey, those with a ticked flag in colour.

    Parameters
    ----------
    state : FlagDialogState
    """

    def __init__(self, state):
        super().__init__(Figure(figsize=(4, 2.5), layout="constrained"))
        self._state = state
        self.axes = self.figure.add_subplot()
        self.setMinimumSize(220, 130)
        for attribute in ("counts", "mask"):
            state.add_callback(attribute, self.refresh)
        self.refresh()

    def refresh(self, *args):
        """Draw what the state has now."""
        axes = self.axes
        axes.clear()
        edges, everything, chosen, unit = self._state.chart()
        if edges.size == 0:
            axes.set_axis_off()
            axes.text(0.5, 0.5, "no wavelengths to draw", ha="center", va="center", color="0.4")
            self.draw_idle()
            return
        axes.set_axis_on()
        axes.stairs(everything, edges, fill=True, color="0.85", label="all points")
        if self._state.mask:
            axes.stairs(chosen, edges, fill=True, color=self._colour(), label="with a ticked flag")
        _label(axes, edges, unit)
        axes.set_ylim(0, max(1, everything.max()) * 1.25)
        axes.legend(loc="upper left", ncols=2, fontsize=8, frameon=False, handlelength=1.2)
        self.draw_idle()

    def _colour(self):
        bits = bits_of(self._state.mask)
        return COLOURS.get(bits[0], _SEVERAL) if len(bits) == 1 else _SEVERAL


def _label(axes, edges, unit):
    """Axes in words, with a logarithmic wavelength and ticks that one can read."""
    axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    if unit in ("um", "µm", "micron"):
        ticks = [tick for tick in _TICKS if edges[0] * 0.99 <= tick <= edges[-1] * 1.01]
        if len(ticks) > 1:
            axes.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
        unit = "µm"
    elif edges[-1] < 2 * edges[0]:
        axes.set_xscale("linear")
    axes.set_xlabel(f"wavelength ({unit})" if unit else "wavelength", fontsize=9)
    axes.set_ylabel("points per bin", fontsize=9)
    axes.yaxis.get_major_locator().set_params(integer=True, nbins=4)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
