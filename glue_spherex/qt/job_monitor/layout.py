"""Spectra of jobs in the prepared layout."""

from contextlib import contextmanager

from glue_qt.app import GlueApplication

from ...plugin.spectrum_viewer.quantities import CannotShow
from ..arrange import arrange_viewers
from ..spectrum_viewer import SpherexSpectrumViewer


def show_in_viewers(session, data):
    """Show a spectrum with its targets and cutouts, in the prepared layout.

    Parameters
    ----------
    session : glue.core.Session
        Nothing is shown where it has no window.
    data : glue.core.Data
    """
    if isinstance(session.application, GlueApplication) and data.size:
        arrange_viewers(session.application, data)


def tab_renamed(session, before, label):
    """Let the tabs that are named after a dataset follow its name.

    Parameters
    ----------
    session : glue.core.Session
    before : str or None
        Its former name.
    label : str
    """
    if before in (None, label) or not isinstance(session.application, GlueApplication):
        return
    bar = session.application.tab_bar
    for number in range(bar.count()):
        if bar.tabText(number) == f"SPHEREx: {before}":
            bar.setTabText(number, f"SPHEREx: {label}")


@contextmanager
def all_points_in_view(session, data):
    """Let spectrum viewers that show all points of a dataset do so after it has changed; others keep their limits.

    Parameters
    ----------
    session : glue.core.Session
    data : glue.core.Data or None
    """
    application = session.application
    tabs = application.viewers if isinstance(application, GlueApplication) and data is not None else []
    ours = [viewer.state for tab in tabs for viewer in tab if isinstance(viewer, SpherexSpectrumViewer)]
    whole = [state for state in ours if data in state.datasets and _shows_all(state, data)]
    yield
    for state in whole:
        if not _shows_all(state, data):
            state.reset_limits()


def _shows_all(state, data):
    """Whether all points of a dataset are within the limits of a spectrum viewer."""
    try:
        shown = state.shown(data)
    except CannotShow:
        return True
    x, y = shown.x[shown.drawn], shown.y[shown.drawn]
    (left, right), (low, high) = sorted((state.x_min, state.x_max)), sorted((state.y_min, state.y_max))
    return bool(((x >= left) & (x <= right) & (y >= low) & (y <= high)).all())
