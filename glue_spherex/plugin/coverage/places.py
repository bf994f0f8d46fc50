"""The targets on a view of the sky: positions of the rows of any dataset, and what a click on one means."""

from dataclasses import dataclass

import numpy as np
from glue.core import Data

from ...io import TargetListError
from ..columns import column_values, kind_of, source_numbers
from ..measuring.layers import selected_rows
from ..measuring.target_lists import guessed_columns, targets_of_layer
from ..positions import position_columns
from ..targets import SourceList, source_of_target, sources_in, spectrum_of_source


@dataclass(frozen=True, eq=False)
class Places:
    """Positions that a dataset holds.

    Parameters
    ----------
    data : glue.core.Data
    ra, dec : ndarray, shape (n,), deg
        NaN where a row has none.
    rows : ndarray of int, shape (n,)
        The row of each in the dataset; of a spectrum, the first row of the source.
    labels : ndarray of str, shape (n,)
        '' where there is no name.
    ids : ndarray of int, shape (n,), or None
        ``source_id`` of each; only of a spectrum.
    """

    data: object
    ra: np.ndarray
    dec: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    ids: np.ndarray | None = None

    @property
    def rank(self):
        """How much they matter here: 2 for sources of spectra, 1 for target lists, 0 for other catalogues."""
        return 2 if self.ids is not None else int(kind_of(self.data) == "targets")

    def name(self, number):
        """The name of one, or else its position."""
        if self.labels[number]:
            return str(self.labels[number])
        return f"{self.ra[number]:.5f} {self.dec[number]:+.5f}"

    def inside(self, subset):
        """Which of them a subset of the dataset holds.

        Parameters
        ----------
        subset : glue.core.Subset

        Returns
        -------
        ndarray of int
            Numbers of the positions; of a spectrum, those of its sources that have a row in it. Empty where the
            subset cannot be applied.
        """
        try:
            rows = selected_rows(subset)
        except TargetListError:
            return np.zeros(0, int)
        if self.ids is None:
            return np.flatnonzero(np.isin(self.rows, rows))
        return np.flatnonzero(np.isin(self.ids, np.unique(source_numbers(self.data)[rows])))


def places_of(data):
    """The positions of a dataset.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    Places or None
        None for datasets without positions, and for tables of images.
    """
    if not isinstance(data, Data) or data.ndim != 1 or not data.size or kind_of(data) == "images":
        return None
    if kind_of(data) == "spectrum":
        found = sources_in(data)
        places = Places(data, found.ra, found.dec, found.first_rows, found.labels, found.ids)
        return places if np.isfinite(found.ra + found.dec).any() else None
    ra, dec = position_columns(data)
    if ra is not None:
        values = (np.asarray(data.get_data(cid), float) for cid in (ra, dec))
        return Places(data, *values, np.arange(data.size), _labels(data))
    if not {"ra", "dec"} <= guessed_columns(data).keys():
        return None
    try:
        read = targets_of_layer(data)
    except TargetListError:
        return None
    sources = read.sources
    ra, dec = np.array([(source.ra, source.dec) for source in sources], float).reshape(-1, 2).T
    return Places(data, ra, dec, np.asarray(read.rows), np.array([source.label for source in sources], str))


def _labels(data):
    """The name of each row; '' where there is none."""
    name = guessed_columns(data).get("name")
    if name is None:
        return np.full(data.size, "")
    values = column_values(data, name)
    return np.full(data.size, "") if values is None else values.astype(str)


def spectrum_of(data_collection, places, number, preferred=None):
    """The spectrum that belongs to a target.

    Parameters
    ----------
    data_collection : glue.core.DataCollection
    places : Places
    number : int
    preferred : glue.core.Data, optional
        The spectrum table to take if several have the target.

    Returns
    -------
    (glue.core.Data, int) or None
        Spectrum table and ``source_id``; None where no table of the collection has the target.
    """
    if places.ids is not None:
        return places.data, int(places.ids[number])
    row = int(places.rows[number])
    if kind_of(places.data) == "targets":
        return source_of_target(data_collection, places.data, row, preferred)
    wanted = SourceList(np.array([-1]), *(values[[number]] for values in (places.labels, places.ra, places.dec)),
                        np.array([row]))  # fmt: skip
    return spectrum_of_source(data_collection, wanted, preferred)


@dataclass(frozen=True, eq=False)
class PlacesInView:
    """Positions of a dataset in the pixels of a window.

    Parameters
    ----------
    places : Places
    x, y : ndarray, shape (n,)
        NaN for those that are not seen.
    """

    places: Places
    x: np.ndarray
    y: np.ndarray


def in_view(places, view):
    """Where the positions of a dataset are in the window.

    Parameters
    ----------
    places : Places
    view : SkyView

    Returns
    -------
    PlacesInView
    """
    x, y = view.pixels(places.ra, places.dec)
    outside = ~((x > -20) & (x < view.nx + 20) & (y > -20) & (y < view.ny + 20))
    x[outside] = y[outside] = np.nan
    return PlacesInView(places, x, y)


def nearest(many, x, y, reach_px=9.0):
    """The target that is nearest to a place of the window.

    Parameters
    ----------
    many : sequence of PlacesInView
        Of targets at the same place, that of the first one is taken.
    x, y : float, pixels
    reach_px : float
        How far it may be.

    Returns
    -------
    (Places, int) or None
    """
    best, found = reach_px, None
    for shown in many:
        distance = np.hypot(shown.x - x, shown.y - y)
        if not np.isfinite(distance).any():
            continue
        number = int(np.nanargmin(distance))
        if distance[number] < best - 0.5 or (found is None and distance[number] <= best):
            best, found = distance[number], (shown.places, number)
    return found
