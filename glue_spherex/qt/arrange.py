"""The prepared layout: targets left, spectrum right, cutouts below, in one tab."""

from qtpy import QtCore, QtWidgets

from ..plugin.columns import kind_of, spectra_in
from ..plugin.focus import focus_source, focused_row
from ..plugin.links import link_all
from ..plugin.target_data import target_table_from
from ..plugin.targets import sources_in, target_list_of
from .cutout_viewer import SpherexCutoutViewer
from .spectrum_viewer import SpherexSpectrumViewer
from .table_viewer import SpherexTableViewer

#: Left, top, width and height of each viewer, as parts of the tab.
PLACES = {
    SpherexTableViewer: (0.0, 0.0, 0.27, 0.56),
    SpherexSpectrumViewer: (0.27, 0.0, 0.73, 0.56),
    SpherexCutoutViewer: (0.0, 0.56, 1.0, 0.44),
}
_OTHER_SPECTRA = "Spectra of other programs can be dragged onto the canvas, or into a viewer SPHEREx Spectrum."
#: Parts of the left side of the window: the data, the layers, the options.
_LEFT_SIDE = (0.2, 0.3, 0.5)


def arrange_viewers(application, data=None):
    """Show a spectrum table with its targets, its spectra and the cutouts, as three linked viewers in one tab.

    Viewers of this kind that the current tab has are put in their places; what is missing is opened, in a new tab
    when the current one holds something else.

    Parameters
    ----------
    application : glue_qt.app.GlueApplication
    data : glue.core.Data, optional
        A spectrum table; by default, and for a target list, the one whose row is focused, else the one that was loaded
        last.

    Returns
    -------
    dict
        The viewers by their class.

    Raises
    ------
    ValueError
        If there is no spectrum table, or it has no rows.
    """
    data = _spectra(application, data)
    targets = _targets(application.data_collection, data)
    link_all(application.data_collection)
    viewers = _viewers_in(application.current_tab)
    if set(viewers) != set(PLACES) or data not in _data_of(viewers[SpherexSpectrumViewer]):
        if application.current_tab.subWindowList():
            application.new_tab()
        number = application.tab_widget.currentIndex()
        application.tab_bar.setTabText(number, f"SPHEREx: {data.label}")
        shown = {SpherexTableViewer: targets, SpherexSpectrumViewer: data, SpherexCutoutViewer: data}
        viewers = {kind: application.new_data_viewer(kind, data=shown[kind]) for kind in PLACES}
    Layout.of(application.current_tab).place(viewers)
    _give_room_to_options(application)
    if focused_row(application.session)[0] is not data:
        focus_source(application.session, data, int(sources_in(data).ids[0]))
    return viewers


def _spectra(application, data):
    known = spectra_in(application.data_collection)
    if data is None or kind_of(data) == "targets":
        focused = focused_row(application.session)[0]
        data = focused if focused in known else (known[-1] if known else None)
    if data is None:
        raise ValueError(
            "Arrange viewers: there is no SPHEREx spectrum here; open one with File > Open (a result of "
            "glue-spherex or of IRSA's Spectrophotometry Tool). " + _OTHER_SPECTRA
        )
    if data not in known:
        raise ValueError(f"Arrange viewers: {data.label!r} is no SPHEREx spectrum; choose one. {_OTHER_SPECTRA}")
    if data.size == 0:
        raise ValueError(f"Arrange viewers: {data.label!r} has no rows, so there is nothing to show.")
    return data


def _targets(data_collection, data):
    """The target list that a spectrum table was measured for, or else one made of its sources."""
    targets = target_list_of(data_collection, data)
    if targets is None:
        targets = target_table_from(data)
        data_collection.append(targets)
    return targets


def _viewers_in(tab):
    viewers = {}
    for window in getattr(tab, "subWindowList", list)():
        viewers.setdefault(type(window.widget()), window.widget())
    return {kind: viewers[kind] for kind in PLACES if kind in viewers}


def _give_room_to_options(application):
    """Share the left side of glue's window among the data, the layers and the options, which need most."""
    splitter = application.findChild(QtWidgets.QSplitter, "data_plot_splitter")
    if splitter is not None and splitter.count() == len(_LEFT_SIDE):
        splitter.setSizes([round(part * max(splitter.height(), 600)) for part in _LEFT_SIDE])


def _data_of(viewer):
    return [getattr(layer.layer, "data", layer.layer) for layer in viewer.layers]


class Layout(QtCore.QObject):
    """Keeps viewers in their places when the tab changes its size.

    A viewer that was moved by hand keeps the part of the tab where it was put.

    Parameters
    ----------
    area : QMdiArea
    """

    def __init__(self, area):
        super().__init__(area)
        self._area = area
        self._places = {}  # window -> (part of the tab, geometry given to it)
        area.viewport().installEventFilter(self)

    @classmethod
    def of(cls, area):
        """The layout of a tab."""
        return area.findChild(cls) or cls(area)

    def place(self, viewers):
        """Put viewers in their places.

        Parameters
        ----------
        viewers : dict
            Viewer by its class, a key of `PLACES`.
        """
        self._places = {viewer.parent(): (PLACES[kind], None) for kind, viewer in viewers.items()}
        for window in self._places:
            window.showNormal()
            window.raise_()
        self._apply()

    def eventFilter(self, watched, event):
        """Follow the size of the tab."""
        if event.type() == QtCore.QEvent.Resize:
            self._keep_moved(event.oldSize())
            self._apply()
        return False

    def _keep_moved(self, size):
        for window, (_, given) in list(self._places.items()):
            try:
                now = window.geometry()
            except RuntimeError:  # closed
                del self._places[window]
                continue
            if given is not None and now != given and size.width() > 0 and size.height() > 0:
                width, height = size.width(), size.height()
                part = now.x() / width, now.y() / height, now.width() / width, now.height() / height
                self._places[window] = part, None

    def _apply(self):
        width, height = self._area.viewport().width(), self._area.viewport().height()
        for window, (part, _) in list(self._places.items()):
            left, top = round(part[0] * width), round(part[1] * height)
            right, bottom = round((part[0] + part[2]) * width), round((part[1] + part[3]) * height)
            try:
                if not (window.isMaximized() or window.isMinimized()):
                    window.setGeometry(left, top, right - left, bottom - top)
                self._places[window] = part, window.geometry()
            except RuntimeError:  # closed
                del self._places[window]
