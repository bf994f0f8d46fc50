"""Where the panels of a page lie: as large as they can be, square, none over another."""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from matplotlib.transforms import Bbox

MARGIN_PX, GAP_PX = 8, 10
FONT_PT = 8.0
LINE_SPACING = 1.25
#: A second row of panels must make them this much larger to be worth the longer way for the eye.
_WORTH_A_ROW = 1.35
_LINES = 4
#: Lines of text above panels of at least so many pixels; smaller ones have no texts at all.
_LINES_FROM_PX = ((_LINES, 120), (2, 70), (0, 0))


@dataclass(frozen=True)
class Layout:
    """A page of square panels, in pixels from the lower left.

    Parameters
    ----------
    side : float
        Of a panel.
    corners : tuple of (float, float)
        Lower left corner of each panel, in reading order.
    columns : int
    lines : int
        Lines of text above each panel: 4, 2 where panels are small, 0 where texts would be larger than they.
    width : float
        For text.
    above, below : float
        Room for text.
    """

    side: float
    corners: tuple
    columns: int
    lines: int
    width: float
    above: float
    below: float

    @property
    def compact(self):
        """Whether there is room for short texts only."""
        return self.lines < _LINES

    def cell(self, corner):
        """Panel and texts: `Bbox` in pixels."""
        x, y = corner
        reach = GAP_PX / 2
        return Bbox.from_bounds(x - reach, y - self.below, self.side + 2 * reach, self.below + self.side + self.above)


def lay_out(count, width, height, dpi=100.0):
    """Place panels.

    Parameters
    ----------
    count : int
        Panels, at least 1.
    width, height : float, pixels
    dpi : float

    Returns
    -------
    Layout
    """
    choices = [_with_columns(count, columns, width, height, dpi) for columns in range(count, 0, -1)]
    best = choices[0]
    for choice in choices[1:]:
        if choice.side > best.side * (_WORTH_A_ROW if best.columns == count else 1.0):
            best = choice
    return best


def _with_columns(count, columns, width, height, dpi):
    rows = ceil(count / columns)
    line = FONT_PT * dpi / 72 * LINE_SPACING
    for lines, smallest in _LINES_FROM_PX:
        above, below = (lines * line + 6, line + 8) if lines else (GAP_PX / 2, GAP_PX / 2)
        side = min(
            (width - 2 * MARGIN_PX - (columns - 1) * GAP_PX) / columns,
            (height - MARGIN_PX) / rows - above - below,
        )
        if side >= smallest:
            break
    side = max(side, 8.0)
    used_width, used_height = columns * side + (columns - 1) * GAP_PX, rows * (side + above + below)
    left, top = (width - used_width) / 2, height - max((height - used_height) / 2, 0)
    corners = tuple(
        (left + (k % columns) * (side + GAP_PX), top - (k // columns) * (side + above + below) - above - side)
        for k in range(count)
    )
    return Layout(side, corners, columns, lines, side, above, below)


@lru_cache(maxsize=4096)
def text_width(text, size_pt, dpi):
    """Width of a line of text in pixels."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font = FontProperties(size=size_pt)
    width, _, _ = TextToPath().get_text_width_height_descent(text, font, ismath=False)
    return width * dpi / 72


def elided(text, width, size_pt, dpi):
    """A line of text, cut with an ellipsis where it is longer than `width` pixels."""
    if text_width(text, size_pt, dpi) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text_width(text[:middle] + "…", size_pt, dpi) <= width else (low, middle - 1)
    return text[:low].rstrip(" ,·") + "…"


def wrapped(text, width, size_pt, dpi, lines=12):
    """Text broken into lines of at most `width` pixels; words that are too long are broken too."""
    result, line = [], ""
    for word in text.split():
        while word:
            joined = f"{line} {word}".strip()
            if text_width(joined, size_pt, dpi) <= width:
                line, word = joined, ""
            elif line:
                result.append(line)
                line = ""
            else:
                fits = max(
                    1, next((n for n in range(len(word), 0, -1) if text_width(word[:n], size_pt, dpi) <= width), 1)
                )
                result.append(word[:fits])
                word = word[fits:]
    result.append(line)
    if len(result) > lines:
        result = [*result[: lines - 1], elided(f"{result[lines - 1]} …", width, size_pt, dpi)]
    return "\n".join(result)
