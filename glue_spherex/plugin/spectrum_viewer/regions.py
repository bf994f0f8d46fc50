"""Regions drawn in the viewer, as subsets of what the user saw inside them."""

import numpy as np
from glue.core.exceptions import IncompatibleAttribute
from glue.core.subset import SubsetState, roi_to_subset_state

from .display import Axes, positions
from .quantities import CannotShow
from .sources import shown_rows, sources_of


class SpectrumRegionState(SubsetState):
    """The rows that stand inside a region of the spectrum viewer.

    Parameters
    ----------
    axes : Axes
        What the axes showed when the region was drawn.
    roi : glue.core.roi.Roi
        In the units of the axes.
    sources : dict of str to list
        Where only some sources were shown: identifier of the dataset (``data.uuid``) and keys of its sources.
    """

    def __init__(self, axes=None, roi=None, sources=None):
        super().__init__()
        self.axes = axes
        self.roi = roi
        self.sources = {uuid: list(keys) for uuid, keys in (sources or {}).items()}

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
        if data.ndim != 1:
            raise IncompatibleAttribute(*self.attributes)
        try:
            x, y = positions(data, self.axes)
        except CannotShow:
            raise IncompatibleAttribute(*self.attributes) from None
        inside = np.zeros(x.size, dtype=bool)
        placed = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        inside[placed] = self.roi.contains(x[placed], y[placed])
        if data.uuid in self.sources:
            inside &= shown_rows(sources_of(data), self.sources[data.uuid])
        return inside if view is None else inside[view]

    def copy(self):
        """The same state again."""
        return SpectrumRegionState(self.axes, self.roi.copy(), self.sources)

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
        }

    @classmethod
    def __setgluestate__(cls, rec, context):
        axes = Axes(*(context.object(rec[name]) for name in ("x_att", "y_att", "y_unit")), rec["redshift"])
        return cls(axes, context.object(rec["roi"]), rec["sources"])


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
        glue's own state of the two components where points stand where their values say and all sources are shown,
        so that every other viewer can work with it; else a `SpectrumRegionState`.
    """
    axes = viewer_state.axes
    filtered = {data.uuid: viewer_state.source_keys(data) for data in viewer_state.datasets}
    filtered = {uuid: keys for uuid, keys in filtered.items() if keys is not None}
    one = all(data is axes.x_att.parent and data is axes.y_att.parent for data in viewer_state.datasets)
    if axes.native and one and not filtered:
        return roi_to_subset_state(roi, x_att=axes.x_att, y_att=axes.y_att)
    return SpectrumRegionState(axes, roi, filtered)
