"""What the colours mean: a legend above the plot and a colour bar beside it, neither of them over the data."""

from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

_FONT = 8  # points
_HANDLE_INCH = 0.36  # symbol and gaps of one entry
_ROW_INCH = 1.32 * _FONT / 72
#: Rows of the legend in figures up to so many inches high; 3 in higher ones.
_ROWS = ((2.2, 1), (3.2, 2))
_LONGEST = 30  # letters

#: Margins of the plot in inches: left, right, bottom, top; right with a colour bar.
MARGINS = (0.85, 0.2, 0.5, 0.12)
RIGHT_WITH_BAR = 1.0

_LOOKS = {
    "filled": {"marker": "o", "ls": "none", "ms": 5},
    "hollow": {"marker": "o", "ls": "none", "ms": 5, "mfc": "none"},
    "square": {"marker": "s", "ls": "none", "ms": 5},
    "line": {"ls": "dashed", "lw": 1},
}


class Key:
    """Legend and colour bar of a figure with one plot.

    Parameters
    ----------
    axes : `~matplotlib.axes.Axes`
        With glue's ``resizer``, which keeps its margins.
    """

    def __init__(self, axes):
        self.axes, self.figure = axes, axes.figure
        self.legend = self.bar = self.bar_axes = None
        self._entries, self._scale, self._drawn_for = [], None, None

    def show(self, entries, scale):
        """Show what the colours mean.

        Parameters
        ----------
        entries : list of (str, colour, {"filled", "hollow", "square", "line"})
        scale : Scale or None
            For the colour bar.
        """
        self._entries, self._scale = list(entries), scale
        self.fit()

    def fit(self):
        """Arrange everything for the present size of the figure."""
        width, height = self.figure.get_size_inches()
        wanted = (tuple(map(str, self._entries)), self._scale, round(width, 2), round(height, 2))
        if wanted == self._drawn_for:
            return
        self._drawn_for = wanted
        most = next((rows for up_to, rows in _ROWS if height <= up_to), 3)
        entries, columns = fitting_entries(self._entries, width - MARGINS[0] - MARGINS[1], self._inches_of, most)
        rows = -(-len(entries) // columns) if entries else 0
        right = RIGHT_WITH_BAR if self._scale else MARGINS[1]
        top = MARGINS[3] + (rows * _ROW_INCH + 0.05 if rows else 0)
        self.axes.resizer.margins = [MARGINS[0], right, MARGINS[2], top]
        self.axes.resizer.on_resize(None)
        self._draw_legend(entries, columns, width, height)
        self._draw_bar(width, height, right, top)

    def _inches_of(self, text):
        width, _, _ = self.figure.canvas.get_renderer().get_text_width_height_descent(
            text, FontProperties(size=_FONT), ismath=False
        )
        return width / self.figure.dpi

    def _draw_legend(self, entries, columns, width, height):
        if self.legend is not None:
            self.legend.remove()
            self.legend = None
        if not entries:
            return
        handles = [Line2D([], [], color=colour, label=text, **_LOOKS[look]) for text, colour, look in entries]
        for handle, (_, _, look) in zip(handles, entries):
            handle.set_markeredgewidth(1.0 if look == "hollow" else 0)
        self.legend = self.figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(MARGINS[0] / width, 1 - 0.05 / height),
            ncols=columns,
            fontsize=_FONT,
            frameon=False,
            borderaxespad=0,
            borderpad=0,
            handlelength=1.2,
            handletextpad=0.4,
            columnspacing=1.2,
            labelspacing=0.25,
            labelcolor=self.axes.xaxis.label.get_color(),
        )
        for text in self.legend.get_texts():
            text.set_parse_math(False)

    def _draw_bar(self, width, height, right, top):
        if self.bar_axes is not None:
            self.bar_axes.remove()
            self.bar = self.bar_axes = None
        if self._scale is None:
            return
        bottom = MARGINS[2] / height
        box = [1 - (right - 0.12) / width, bottom, 0.14 / width, max(1 - top / height - bottom, 0.01)]
        self.bar_axes = self.figure.add_axes(box)
        norm = Normalize(self._scale.low, self._scale.high)
        self.bar = Colorbar(self.bar_axes, ScalarMappable(norm, colormaps[self._scale.colour_map]))
        colour = self.axes.xaxis.label.get_color()
        self.bar.set_label(self._scale.label, fontsize=_FONT + 1, color=colour, parse_math=False)
        self.bar_axes.tick_params(labelsize=_FONT, colors=colour)
        self.bar.formatter.set_useOffset(False)
        self.bar.update_ticks()


def one_scale(scales):
    """The scale that the colour bar shows, where several datasets are coloured by numbers.

    Parameters
    ----------
    scales : list of (str, Scale)
        Names of the datasets and their scales.

    Returns
    -------
    scale : Scale or None
        The last one; its text names the dataset if another one has other colours.
    notes : list of str
        What the colours of the other datasets mean.
    """
    if not scales:
        return None, []
    name, scale = scales[-1]
    others = [(other, its) for other, its in scales[:-1] if its != scale]
    notes = [f"The colours of {other!r} mean: {its.label}, {its.low:.6g} to {its.high:.6g}." for other, its in others]
    return (scale._replace(label=f"{scale.label} of {name}") if others else scale), notes


def fitting_entries(entries, width, inches_of, most_rows=3):
    """As many entries as have room in a few rows, and in how many columns.

    Parameters
    ----------
    entries : list of (str, colour, str)
    width : float
        Inches.
    inches_of : callable
        Width of a text in inches.
    most_rows : int

    Returns
    -------
    entries : list of (str, colour, str)
        The last one tells how many were left out.
    columns : int
    """
    entries = [(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…", *rest) for text, *rest in entries]
    widths = [inches_of(text) + _HANDLE_INCH for text, *_ in entries]
    columns = _columns(widths, width)
    if -(-len(entries) // columns) <= most_rows:
        return entries, columns
    for n in range(len(entries) - 1, 0, -1):
        rest = f"… and {len(entries) - n} more"
        columns = _columns([*widths[:n], inches_of(rest) + _HANDLE_INCH], width)
        if -(-(n + 1) // columns) <= most_rows:
            return [*entries[:n], (rest, "none", "filled")], columns
    return entries[:1], 1


def _columns(widths, width):
    """The most columns, filled one after the other, that have room beside each other."""
    for columns in range(len(widths), 1, -1):
        rows = -(-len(widths) // columns)
        parts = [widths[k : k + rows] for k in range(0, len(widths), rows)]
        if sum(max(part) for part in parts) <= width:
            return len(parts)
    return 1
