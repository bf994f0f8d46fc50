"""The text that a point shows when the mouse rests on it."""

import numpy as np

from ...model import Flag
from ..columns import column_values, find_column
from ..texts import date_text, with_error
from .quantities import WORDS, unit_text


def point_text(data, row, axes, shown):
    """What is known about one measurement, in words.

    Parameters
    ----------
    data : glue.core.Data
    row : int
    axes : Axes
    shown : Shown

    Returns
    -------
    str
        One fact per line.
    """
    label = shown.sources.labels[shown.sources.code[row]]
    head = label if label == data.label or len(data.label) > 40 else f"{label} · {data.label}"
    lines = [head, *_position(row, axes, shown)]
    lines += [text for text in (_image(data, row), _flags(data, row), _quality(data, row)) if text]
    name = _value(data, "obs_publisher_did", row)
    return "\n".join([*lines, f"image {_shortened(str(name).rpartition('?')[2], 40)}"] if name else lines)


def _position(row, axes, shown):
    lines = []
    for text, values, errors in zip(axes.labels(), (shown.x, shown.y), (shown.x_half, shown.y_err)):
        name, unit = _split(text)
        error = np.nan if errors is None else errors[row]
        lines.append(f"{name} {with_error(values[row], error)} {unit}".rstrip())
    return lines


def _split(label):
    """An axis text as name and unit."""
    if label in WORDS.values() or not label.endswith(")"):
        return label, ""
    name, _, unit = label[:-1].rpartition(" (")
    return name, unit


def _image(data, row):
    detector, mjd = _value(data, "det_id", row), _number(data, "mjd", row)
    words = [] if detector is None else [f"detector {detector}"]
    if np.isfinite(mjd):
        words.append(f"{date_text(mjd)} UTC")
    return ", ".join(words)


def _flags(data, row):
    flags = _value(data, "flags", row)
    if flags is None or not isinstance(flags, (int, np.integer)) or flags < 0:
        return ""
    names = Flag.decode(int(flags))
    lines = [", ".join(names[k : k + 3]) for k in range(0, len(names), 3)]
    return "flags " + ",\n  ".join(lines) if names else "no flags"


def _quality(data, row):
    quality, background = _number(data, "fit_ql", row), _number(data, "flux_bkg", row)
    words = []
    if np.isfinite(quality):
        words.append(f"{WORDS['fit_ql']} {quality:.3g}")
    if np.isfinite(background):
        unit = unit_text(data.get_component(find_column(data, "flux_bkg")).units)
        words.append(f"background {background:.4g} {unit}".rstrip())
    return ", ".join(words)


def _number(data, name, row):
    """A value of a column of numbers; NaN where there is none."""
    value = _value(data, name, row)
    return float(value) if isinstance(value, (int, float, np.integer, np.floating)) else np.nan


def _value(data, name, row):
    values = column_values(data, name, view=slice(row, row + 1))
    return None if values is None or values.size == 0 else values.ravel()[0]


def _shortened(text, most):
    """A long identifier with its middle left out."""
    return text if len(text) <= most else f"{text[: most // 3]}…{text[-(most - most // 3 - 1) :]}"
