"""glue, opened on a result."""

import os
import sys

from ..extras import how_to_install


def can_show():
    """Why glue cannot be opened here; an empty string when it can."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("QT_QPA_PLATFORM")
    ):
        return "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    try:
        import glue_qt  # noqa: F401
        from qtpy import QtWidgets  # noqa: F401
    except ImportError as error:
        return f"glue-qt or a Qt binding is missing ({error}): {how_to_install('qt')}"
    return ""


def result_window(spectra, targets=None, catalogue=None):
    """A glue window with spectra and their targets, and the viewers arranged.

    Parameters
    ----------
    spectra : path-like
        A spectrum file in any format that `glue_spherex.read_spectra` reads.
    targets : path-like, optional
        The target list, as `measure` writes it beside the spectra.
    catalogue : path-like, optional
        Another table, such as a list of sources that are not measured yet.

    Returns
    -------
    glue_qt.app.GlueApplication
        Not yet shown.
    """
    from glue.main import load_plugins
    from glue_qt.app import GlueApplication

    from .arrange import arrange_viewers

    load_plugins()
    application = GlueApplication()
    for table in (catalogue, targets):
        if table is not None:
            application.load_data(str(table))
    arrange_viewers(application, application.load_data(str(spectra)))
    return application


def open_result(spectra, targets=None, catalogue=None):
    """Open glue on spectra and stay until it is closed.

    Parameters
    ----------
    spectra, targets, catalogue : path-like
        As for `result_window`.

    Returns
    -------
    int
        glue's exit status.
    """
    return result_window(spectra, targets, catalogue).start(maximized=True) or 0
