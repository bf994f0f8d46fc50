"""Colours of texts that can be read on the windows, whether these are bright or dark."""

from glue_qt.utils import get_qapp
from qtpy import QtGui

_RED, _RED_ON_DARK = "#b00020", "#ff8080"
_PALE, _PALE_ON_DARK = "#666666", "#a8a8a8"
_LIGHTNESS_ON_DARK = 165


def is_dark():
    """Whether windows are dark."""
    return get_qapp().palette().window().color().lightness() < 128


def red():
    """The colour of what is wrong, as ``#rrggbb``."""
    return _RED_ON_DARK if is_dark() else _RED


def pale():
    """The colour of what is beside the point, as ``#rrggbb``."""
    return _PALE_ON_DARK if is_dark() else _PALE


def legible(colour):
    """A dark colour as it can be read: a lighter one of the same hue where windows are dark.

    Parameters
    ----------
    colour : str
        As ``#rrggbb``.

    Returns
    -------
    QColor
    """
    made = QtGui.QColor(colour)
    if is_dark():
        made.setHsl(made.hslHue(), made.hslSaturation(), max(made.lightness(), _LIGHTNESS_ON_DARK))
    return made
