"""Spectra of jobs in the prepared layout."""

from glue_qt.app import GlueApplication

from ..arrange import arrange_viewers


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
