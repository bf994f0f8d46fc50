"""Spectra of jobs in the prepared layout."""

from contextlib import contextmanager

import numpy as np
from echo import delay_callback
from glue_qt.app import GlueApplication

from ..arrange import arrange_viewers
from ..spectrum_viewer import SpherexSpectrumViewer

_LIMITS = ("x_min", "x_max", "y_min", "y_max")


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
    whole = [state for state in ours if data in state.datasets and _shows_all(state)]
    yield
    for state in whole:
        state.reset_limits()


def _shows_all(state):
    """Whether the limits of a spectrum viewer are those of its tool Home."""
    before = [getattr(state, name) for name in _LIMITS]
    with delay_callback(state, *_LIMITS):
        state.reset_limits()
        home = [getattr(state, name) for name in _LIMITS]
        for name, value in zip(_LIMITS, before):
            setattr(state, name, value)
    return np.allclose(np.array(before, dtype=float), np.array(home, dtype=float), rtol=1e-9)
