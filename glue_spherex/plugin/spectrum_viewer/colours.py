"""What the colour of a point means: its source, detector, a flag, or the value of any column."""

from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_rgba
from matplotlib.path import Path

from ...model import COLUMNS, DETECTORS, FLAG_TABLE, Flag
from ..columns import column_values, find_column
from .quantities import WORDS, name_of, unit_text
from .sources import sources_of

FIXED, SOURCE, DETECTOR, FLAG = "one colour", "source", "detector", "flag"

#: Maps for numbers; none of them fades into a white background.
COLOUR_MAPS = ("viridis", "plasma", "cividis", "turbo", "coolwarm")

#: Shapes of points, to tell datasets apart.
MARKERS = {
    "circle": Path.unit_circle(),
    "square": Path([(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85), (-0.85, -0.85)], closed=True),
    "diamond": Path([(0, -1.15), (1.15, 0), (0, 1.15), (-1.15, 0), (0, -1.15)], closed=True),
    "triangle": Path([(-1.05, -0.8), (1.05, -0.8), (0, 1.1), (-1.05, -0.8)], closed=True),
}

#: Up to so many categories have colours of their own.
MOST_CATEGORIES = 20

#: Numbers are drawn in so many steps of a map.
STEPS = 48

_YES_OR_NO = {column.name for column in COLUMNS if column.dtype == "bool"}

#: Place of a legend entry that stands for all colours.
ANY = -1

GREY = to_rgba("#9a9a9a")
_TAB20 = [colormaps["tab20"](k / 20 + 0.01) for k in (*range(0, 20, 2), *range(1, 20, 2))]


class Scale(NamedTuple):
    """The colours of numbers: text of the bar, name of the map, limits."""

    label: str
    colour_map: str
    low: float
    high: float


class Colouring(NamedTuple):
    """The colours of a dataset's rows.

    ``index`` (n,) int: place in ``palette`` (k, 4); ``entries``: (text, colour, place or `ANY`) for the legend;
    ``scale``: for the colour bar, or None; ``many``: kind (n,) int of each row, and the name of each kind, where there
    are too many for a legend of all.
    """

    index: np.ndarray
    palette: np.ndarray
    entries: list
    scale: Scale | None
    many: tuple | None = None

    def entries_of(self, rows):
        """Entries of the legend for some rows: (text, colour), those of few kinds among many by name."""
        if self.many is not None:
            code, labels = self.many
            present, first = np.unique(code[rows], return_index=True)
            if present.size <= MOST_CATEGORIES:
                places = self.index[rows[first]]
                return [(labels[kind], tuple(self.palette[place])) for kind, place in zip(present, places)]
        present = {ANY, *np.unique(self.index[rows]).tolist()} if len(rows) else set()
        return [(text, colour) for text, colour, place in self.entries if place in present]


def colour_choices(data):
    """What points can be coloured by: words, then the components.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    list of str or glue.core.ComponentID
    """
    words = [FIXED]
    words += [SOURCE] if find_column(data, "source_id") or find_column(data, "label") else []
    words += [DETECTOR] if find_column(data, "det_id") else []
    words += [FLAG] if find_column(data, "flags") else []
    return [*words, *data.main_components, *data.derived_components]


def default_colour(data):
    """By source where there are several, else by detector.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    str
    """
    choices = [choice for choice in colour_choices(data) if isinstance(choice, str)]
    if SOURCE in choices and len(sources_of(data).keys) > 1:
        return SOURCE
    return DETECTOR if DETECTOR in choices else FIXED


def flag_choices(data):
    """Names of the flags that occur in a dataset, else all.

    Parameters
    ----------
    data : glue.core.Data or None

    Returns
    -------
    list of str
    """
    flags = None if data is None else column_values(data, "flags")
    every = [info.name for info in FLAG_TABLE]
    if flags is None or flags.dtype.kind not in "iu" or flags.size == 0:
        return every
    union = int(np.bitwise_or.reduce(flags.ravel()))
    return [info.name for info in FLAG_TABLE if union >> info.bit & 1] or every


def colour_limits(data, cid):
    """Limits of the colours for a column: the middle 98 % of its values.

    Parameters
    ----------
    data : glue.core.Data
    cid : glue.core.ComponentID

    Returns
    -------
    low, high : float
        ``low < high``; 0 and 1 where there are no numbers.
    """
    if data.get_kind(cid) != "numerical":
        return 0.0, 1.0
    values = np.asarray(data.get_data(cid), dtype=float)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(values, [1, 99])
    return (float(low), float(high)) if low < high else (float(low) - 0.5, float(low) + 0.5)


def colouring(data, colour_by, fixed, *, flag="", colour_map="viridis", low=0.0, high=1.0):
    """The colours of the rows of a dataset.

    Parameters
    ----------
    data : glue.core.Data
    colour_by : str or glue.core.ComponentID
        See `colour_choices`.
    fixed : str
        The dataset's own colour.
    flag : str
        The flag, for ``"flag"``.
    colour_map : str
        One of `COLOUR_MAPS`, for numbers.
    low, high : float
        Numbers at the ends of the map.

    Returns
    -------
    Colouring
    """
    if colour_by is None or isinstance(colour_by, str):
        return _by_word(data, colour_by, fixed, flag)
    values = np.ravel(data.get_data(colour_by))
    if name_of(data, colour_by) == "det_id":
        return _detectors(values)
    if data.get_kind(colour_by) != "numerical" or values.dtype.kind in "iub":
        kinds, code = np.unique(np.asarray(values), return_inverse=True)
        if data.get_kind(colour_by) != "numerical" or kinds.size <= MOST_CATEGORIES:
            return _categories(code.reshape(-1), [_word(kind, data, colour_by) for kind in kinds], None)
    words = WORDS.get(colour_by.label, colour_by.label)
    unit = unit_text(data.get_component(colour_by).units)
    scale = Scale(f"{words} ({unit})" if unit and words != WORDS["mjd"] else words, colour_map, low, high)
    return _numbers(np.asarray(values, dtype=float), scale)


def _by_word(data, word, fixed, flag):
    if word == SOURCE:
        sources = sources_of(data)
        return _categories(sources.code, sources.labels, [fixed] if len(sources.keys) == 1 else None)
    detectors, flags = column_values(data, "det_id"), column_values(data, "flags")
    if word == DETECTOR and detectors is not None:
        return _detectors(detectors)
    if word == FLAG and flags is not None and flags.dtype.kind in "iu":
        return _one_flag(flags, flag)
    return Colouring(np.zeros(data.size, dtype=int), np.array([to_rgba(fixed)]), [], None)


def _word(kind, data, cid):
    name = name_of(data, cid)
    words = WORDS.get(cid.label, cid.label)
    if name in _YES_OR_NO and kind in (0, 1):
        return f"{words}: {'yes' if kind else 'no'}"
    if not isinstance(kind, (int, np.integer)):
        return str(kind) or "(empty)"
    if name == "flags" and kind >= 0:
        return ", ".join(Flag.decode(int(kind))) or "no flag"
    return f"{words} {kind}"


def _categories(code, labels, colours):
    n = len(labels)
    if n > MOST_CATEGORIES:  # more than an eye can tell apart: colours in order, as for numbers
        steps = min(n, STEPS)
        palette = colormaps["turbo"](np.linspace(0, 1, steps))
        entries = [(f"{n:,} different values", "none", ANY)]
        return Colouring(code * steps // n, palette, entries, None, (code, labels))
    palette = np.array([to_rgba(colour) for colour in (colours or _TAB20[:n])]).reshape(-1, 4)
    entries = [(label, tuple(palette[k]), k) for k, label in enumerate(labels)]
    return Colouring(code, palette, entries, None)


def _detectors(values):
    palette = np.array([to_rgba(d.colour) for d in DETECTORS.values()] + [GREY])
    index = np.full(values.size, len(DETECTORS))
    for k, number in enumerate(DETECTORS):
        index[np.ravel(values) == number] = k
    entries = [(f"detector {number}", tuple(palette[k]), k) for k, number in enumerate(DETECTORS)]
    return Colouring(index, palette, [*entries, ("no detector", GREY, len(DETECTORS))], None)


def _one_flag(flags, name):
    info = next(info for info in FLAG_TABLE if info.name == name)
    index = (flags.ravel() >> info.bit & 1).astype(int)
    palette = np.array([GREY, to_rgba(info.colour)])
    return Colouring(index, palette, [(f"no {name}", GREY, 0), (name, to_rgba(info.colour), 1)], None)


def _numbers(values, scale):
    palette = np.vstack([colormaps[scale.colour_map](np.linspace(0, 1, STEPS)), [GREY]])
    width = (scale.high - scale.low) or 1.0
    with np.errstate(invalid="ignore"):
        place = np.nan_to_num((values - scale.low) / width * STEPS, nan=0.0, posinf=STEPS, neginf=0.0)
    index = np.where(np.isfinite(values), np.clip(place, 0, STEPS - 1).astype(int), STEPS)
    missing = [("no value", GREY, STEPS)] if not np.isfinite(values).all() else []
    return Colouring(index, palette, missing, scale)
