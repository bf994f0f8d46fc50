"""From a cutout to the measure dialog: the focused source, or the place of a click."""

from qtpy.QtCore import Qt
from qtpy.QtGui import QCursor
from qtpy.QtWidgets import QMenu

from ...plugin.columns import column_values
from .canvas import told

_MOST_LETTERS = 200  # of a name


@told
def measure_focused(viewer):
    """Opening the measure dialog with the position of the source that is looked at.

    Parameters
    ----------
    viewer : SpherexCutoutViewer

    Returns
    -------
    MeasureDialog
        With the position of the focused row and the name of its source; as glue's data suggest where no row is.
    """
    data, row = viewer.state.focus_data, viewer.state.focus_row
    if data is None or row is None:
        return _dialog(viewer)
    ra, dec, label = (column_values(data, name, [row]) for name in ("ra", "dec", "label"))
    return _dialog(viewer, _line(ra[0], dec[0], "" if label is None else label[0]))


@told
def offer_to_measure(viewer, event):
    """Showing a menu at the place of a click into a cutout.

    Parameters
    ----------
    viewer : SpherexCutoutViewer
    event : matplotlib.backend_bases.MouseEvent

    Returns
    -------
    QMenu or None
        None where there is no sky below the mouse.
    """
    panel = viewer.page.panel_of(event.inaxes)
    place = panel.sky_at(event.xdata, event.ydata) if panel is not None else None
    if place is None:
        return None
    menu = QMenu(viewer)
    menu.setAttribute(Qt.WA_DeleteOnClose)
    text = "Measure SPHEREx spectra here ({:.5f} {:+.5f})…".format(*place)
    menu.addAction(text, lambda: measure_at(viewer, *place))
    menu.popup(QCursor.pos())
    return menu


@told
def measure_at(viewer, ra, dec):
    """Opening the measure dialog with a position, deg."""
    return _dialog(viewer, _line(ra, dec))


def _dialog(viewer, text=None):
    from ..measure_dialog import measure_dialog  # it tells faults as this viewer does, and needs its module

    return measure_dialog(viewer.session, text=text)


def _line(ra, dec, label=""):
    return f"{ra:.7f} {dec:+.7f} {label[:_MOST_LETTERS]}".strip()
