"""glue, opened on a spectrum."""

import os
import sys


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
        return (
            f'glue-qt or a Qt binding is missing ({error}); install it with: python -m pip install "glue-spherex[qt]"'
        )
    return ""


def spectrum_window(path):
    """A glue window with a spectrum in a scatter viewer: flux against wavelength, with error bars.

    Parameters
    ----------
    path : path-like
        A spectrum in any format that `glue_spherex.read_spectra` reads.

    Returns
    -------
    glue_qt.app.GlueApplication
        Not yet shown.
    """
    from glue.config import colormaps
    from glue.core.data_factories import load_data
    from glue.main import load_plugins
    from glue_qt.app import GlueApplication
    from glue_qt.viewers.scatter import ScatterViewer

    load_plugins()
    application = GlueApplication()
    data = load_data(str(path))
    application.data_collection.append(data)
    viewer = application.new_data_viewer(ScatterViewer, data=data)
    viewer.state.x_att, viewer.state.y_att = data.id["wavelength"], data.id["flux"]
    layer = viewer.state.layers[0]
    layer.yerr_att, layer.yerr_visible = data.id["flux_err"], True
    layer.cmap_att, layer.cmap_mode, layer.cmap = data.id["det_id"], "Linear", dict(colormaps.members)["Viridis"]
    layer.cmap_vmin, layer.cmap_vmax = 1.0, 7.0  # the brightest end of the map is hard to see
    viewer.viewer_size = (1000, 620)
    viewer.state.x_axislabel, viewer.state.y_axislabel = "wavelength (µm)", "flux (µJy)"
    return application


def open_spectra(path):
    """Open glue on a spectrum and stay until it is closed.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    int
        glue's exit status.
    """
    return spectrum_window(path).start(maximized=True) or 0
