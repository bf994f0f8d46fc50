"""Regions drawn in the viewer, as subsets of what the user saw inside them."""

import numpy as np
from glue.core.exceptions import IncompatibleAttribute
from glue.core.subset import SubsetState, roi_to_subset_state

from .display import Axes, positions
from .quantities import CannotShow, has
from .sources import shown_rows, sources_of


class SpectrumRegionState(SubsetState):
    """The rows that stand inside a region of the spectrum viewer.

    Parameters
    ----------
    axes : Axes
        What the axes showed when the region was drawn.
    roi : glue.core.roi.Roi
        In the units of the axes.
    sources : dict of str to (list or None)
        What was shown: identifier of each dataset (``data.uuid``) and keys of its sources, None for all of them. Other
        datasets take part where they have the components of the axes, by a link.
    log : (bool, bool)
        Whether x and y were logarithmic: what is 0 or less could not be seen.
    """

    def __init__(self, axes=None, roi=None, sources=None, log=(False, False)):
        super().__init__()
        self.axes = axes
        self.roi = roi
        self.sources = {uuid: None if keys is None else list(keys) for uuid, keys in (sources or {}).items()}
        self.log = tuple(map(bool, log))

    @property
    def attributes(self):
        """The components of the two axes."""
        return (self.axes.x_att, self.axes.y_att)

    def to_mask(self, data, view=None):
        """Which rows are inside.

        Parameters
        ----------
        data : glue.core.Data
        view : slice or index, optional

        Returns
        -------
        ndarray of bool

        Raises
        ------
        glue.core.exceptions.IncompatibleAttribute
            If the dataset has no such components.
        """
        if data.ndim != 1 or not (data.uuid in self.sources or all(has(data, cid) for cid in self.attributes)):
            raise IncompatibleAttribute(*self.attributes)
        try:
            x, y = positions(data, self.axes)
        except CannotShow:
            raise IncompatibleAttribute(*self.attributes) from None
        inside = np.zeros(x.size, dtype=bool)
        seen = np.isfinite(x) & np.isfinite(y)
        for log, values in zip(self.log, (x, y)):
            seen &= (values > 0) | (not log)
        placed = np.flatnonzero(seen)
        inside[placed] = self.roi.contains(x[placed], y[placed])
        if self.sources.get(data.uuid) is not None:
            inside &= shown_rows(sources_of(data), self.sources[data.uuid])
        return inside if view is None else inside[view]

    def copy(self):
        """The same state again."""
        return SpectrumRegionState(self.axes, self.roi.copy(), self.sources, self.log)

    def center(self):
        """Where the region is, in the units of the axes."""
        return self.roi.center()

    def move_to(self, *position):
        """Move the region, in the units of the axes."""
        self.roi.move_to(*position)

    def __str__(self):
        return f"region of {' and '.join(self.axes.labels()[::-1])}"

    def __gluestate__(self, context):
        return {
            "x_att": context.id(self.axes.x_att),
            "y_att": context.id(self.axes.y_att),
            "y_unit": context.id(self.axes.y_unit),
            "redshift": float(self.axes.redshift),
            "roi": context.id(self.roi),
            "sources": self.sources,
            "log": list(self.log),
        }

    @classmethod
    def __setgluestate__(cls, rec, context):
        axes = Axes(*(context.object(rec[name]) for name in ("x_att", "y_att", "y_unit")), rec["redshift"])
        return cls(axes, context.object(rec["roi"]), rec["sources"], rec.get("log", (False, False)))


def region_state(viewer_state, roi):
    """The subset state of a region drawn in the viewer.

    Parameters
    ----------
    viewer_state : SpectrumViewerState
    roi : glue.core.roi.Roi
        In the units of the axes.

    Returns
    -------
    glue.core.subset.SubsetState
        glue's own state of the two components where points stand where their values say and nothing inside was hidden
        by a logarithmic axis or the choice of sources, so that every other viewer can work with it; else a
        `SpectrumRegionState`.
    """
    axes, datasets = viewer_state.axes, viewer_state.datasets
    if axes.native and all(data is axes.x_att.parent and data is axes.y_att.parent for data in datasets):
        state = roi_to_subset_state(roi, x_att=axes.x_att, y_att=axes.y_att)
        if not any((state.to_mask(data) & _hidden(viewer_state.shown(data))).any() for data in datasets):
            return state
    shown = {data.uuid: viewer_state.source_keys(data) for data in datasets}
    return SpectrumRegionState(axes, roi, shown, (viewer_state.x_log, viewer_state.y_log))


def _hidden(shown):
    """Rows with values on both axes that are not drawn all the same."""
    return np.isfinite(shown.x) & np.isfinite(shown.y) & ~shown.drawn
