"""The text that a point shows when the mouse rests on it."""

import numpy as np

from ...model import Flag
from ..columns import column_values
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


def with_error(value, error):
    """A number with as many digits as its error deserves: ``22942 ± 311``, ``3.911 ± 0.017``.

    Parameters
    ----------
    value, error : float
        An error of 0 or NaN is not shown.

    Returns
    -------
    str
    """
    if not (np.isfinite(error) and error > 0):
        return f"{value:.3f}" if 1e4 <= abs(value) < 1e6 else f"{value:.5g}"
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.4g} ± {error:.2g}"
    decimals = min(max(1 - int(np.floor(np.log10(error))), 0), 6)
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def _split(label):
    """An axis text as name and unit."""
    if label in WORDS.values() or not label.endswith(")"):
        return label, ""
    name, _, unit = label[:-1].rpartition(" (")
    return name, unit


def _image(data, row):
    detector, mjd = _value(data, "det_id", row), _value(data, "mjd", row)
    words = [] if detector is None else [f"detector {detector}"]
    if mjd is not None and np.isfinite(mjd):
        words.append(f"{_utc(float(mjd))} UTC")
    return ", ".join(words)


def _utc(mjd):
    """A modified Julian date as a calendar date, to the minute."""
    minutes = round(mjd * 1440) - 40587 * 1440
    return str(np.datetime64("1970-01-01T00:00") + np.timedelta64(minutes, "m")).replace("T", " ")


def _flags(data, row):
    flags = _value(data, "flags", row)
    if flags is None or not isinstance(flags, (int, np.integer)) or flags < 0:
        return ""
    names = Flag.decode(int(flags))
    lines = [", ".join(names[k : k + 3]) for k in range(0, len(names), 3)]
    return "flags " + ",\n  ".join(lines) if names else "no flags"


def _quality(data, row):
    quality, background = _value(data, "fit_ql", row), _value(data, "flux_bkg", row)
    words = []
    if quality is not None and np.isfinite(quality):
        words.append(f"{WORDS['fit_ql']} {quality:.3g}")
    if background is not None and np.isfinite(background):
        words.append(f"background {background:.4g} {unit_text('MJy / sr')}")
    return ", ".join(words)


def _value(data, name, row):
    values = column_values(data, name, view=slice(row, row + 1))
    return None if values is None or values.size == 0 else values.ravel()[0]


def _shortened(text, most):
    """A long identifier with its middle left out."""
    return text if len(text) <= most else f"{text[: most // 3]}…{text[-(most - most // 3 - 1) :]}"
