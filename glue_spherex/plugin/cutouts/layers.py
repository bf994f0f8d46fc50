"""Layers of the cutout viewer: datasets whose rows are shown, subsets that mark cutouts."""

import numpy as np
from glue.core import Subset
from glue.core.exceptions import IncompatibleAttribute
from glue.viewers.common.layer_artist import LayerArtist

from .state import CutoutLayerState


class CutoutLayerArtist(LayerArtist):
    """A layer that draws nothing itself: it tells the viewer that something changed.

    Parameters
    ----------
    viewer_state : CutoutViewerState
    layer_state : CutoutLayerState, optional
    layer : glue.core.Data or glue.core.Subset, optional
    changed : callable, optional
        ``changed(layer_artist)``, called when the layer's content, colour or visibility changed.
    """

    _layer_state_cls = CutoutLayerState

    def __init__(self, viewer_state, layer_state=None, layer=None, changed=None):
        super().__init__(viewer_state, layer_state=layer_state, layer=layer)
        self._tell = changed or _tell_nobody
        self.state.add_global_callback(self._on_state)

    def _on_state(self, **changes):
        if changes.keys() & {"visible", "color", "zorder", "alpha"}:
            self._tell(self)

    def update(self):
        """The layer's data or its selection changed."""
        self._tell(self)

    def redraw(self):
        """As `update`."""
        self._tell(self)

    def clear(self):
        """Nothing is drawn here."""

    def remove(self):
        """Stop telling."""
        self.state.remove_global_callback(self._on_state)
        self._tell = _tell_nobody


def _tell_nobody(layer_artist):
    pass


def marked_rows(layers, data, rows):
    """Colours of the subsets that each row belongs to.

    Parameters
    ----------
    layers : iterable of CutoutLayerArtist
    data : glue.core.Data
    rows : sequence of int

    Returns
    -------
    list of list of str
        For each row the colours of the visible subsets, the one drawn on top first.
    """
    colours = [[] for _ in rows]
    wanted = np.asarray(rows, dtype=int)
    for layer in sorted(layers, key=lambda layer: -(layer.zorder or 0)):
        subset = layer.layer
        if not (isinstance(subset, Subset) and subset.data is data and layer.visible and wanted.size):
            continue
        try:
            inside = np.asarray(subset.to_mask(view=(wanted,)))
        except (IncompatibleAttribute, IndexError):
            layer.disable_incompatible_subset()
            continue
        layer.enable()
        for place in np.flatnonzero(inside):
            colours[place].append(layer.state.color)
    return colours
