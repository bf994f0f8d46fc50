"""Which target of a list is which source of a spectrum table."""

from typing import NamedTuple

import numpy as np

from .columns import column_values, spectra_in

#: Sources without a common name are the same one within this distance.
SAME_PLACE_ARCSEC = 3.0


class SourceList(NamedTuple):
    """The sources of a spectrum table, or the rows of a target list.

    Parameters
    ----------
    ids : ndarray of int, shape (n,)
    labels : ndarray of str, shape (n,)
        '' where there is no name.
    ra, dec : ndarray, shape (n,), deg
    first_rows : ndarray of int, shape (n,)
        The first row of each.
    """

    ids: np.ndarray
    labels: np.ndarray
    ra: np.ndarray
    dec: np.ndarray
    first_rows: np.ndarray


def sources_in(data):
    """The sources of a spectrum table or target list, in the order of their first rows.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    SourceList
        A table without ``source_id`` is one source, number 0, as far as it is a spectrum.
    """
    ids = column_values(data, "source_id")
    ids = np.zeros(data.size, int) if ids is None else ids.astype(np.int64)
    first = np.sort(np.unique(ids, return_index=True)[1])
    labels = column_values(data, "label")
    labels = np.full(data.size, "") if labels is None else labels.astype(str)
    places = []
    for name in ("ra", "dec"):
        values = column_values(data, name)
        places.append(np.full(data.size, np.nan) if values is None or values.dtype.kind not in "iuf" else values)
    return SourceList(ids[first], labels[first], places[0][first], places[1][first], first)


def match_sources(targets, spectra):
    """Pair the rows of two source lists.

    Parameters
    ----------
    targets, spectra : SourceList

    Returns
    -------
    ndarray of int, shape (number of targets,)
        Index into the sources of the spectra; -1 for a target without. Two belong together if they have the same
        name, and of those with the same name the one with the same number; a target without a name, or whose name
        the spectra do not have, belongs to the nearest source within 3 arcsec.
    """
    result = np.full(len(targets.ids), -1)
    for k, label in enumerate(targets.labels):
        named = np.flatnonzero(spectra.labels == label) if label else np.zeros(0, int)
        if len(named):
            same = named[spectra.ids[named] == targets.ids[k]]
            result[k] = same[0] if len(same) else named[0]
            continue
        distance = _distance_arcsec(targets.ra[k], targets.dec[k], spectra.ra, spectra.dec)
        if np.isfinite(distance).any() and np.nanmin(distance) <= SAME_PLACE_ARCSEC:
            result[k] = np.nanargmin(distance)
    return result


def _distance_arcsec(ra, dec, ras, decs):
    """Distance of places near each other, arcsec."""
    east = (ras - ra + 180) % 360 - 180
    return 3600 * np.hypot(east * np.cos(np.radians(dec)), decs - dec)


def source_of_target(data_collection, targets, row):
    """The spectrum that belongs to a target.

    Parameters
    ----------
    data_collection : glue.core.DataCollection
    targets : glue.core.Data
        A target list.
    row : int

    Returns
    -------
    (glue.core.Data, int) or None
        Spectrum table and ``source_id``; None where no table of the collection has the target.
    """
    wanted = sources_in(targets)
    place = np.flatnonzero(wanted.first_rows == row)
    if not len(place):
        return None
    for spectra in spectra_in(data_collection):
        found = sources_in(spectra)
        match = match_sources(wanted, found)[place[0]]
        if match >= 0:
            return spectra, int(found.ids[match])
    return None


def target_of_source(targets, spectra, source_id):
    """The row of a target list that a source of a spectrum table was measured for.

    Parameters
    ----------
    targets, spectra : glue.core.Data
    source_id : int

    Returns
    -------
    int or None
    """
    wanted, found = sources_in(targets), sources_in(spectra)
    match = match_sources(wanted, found)
    rows = wanted.first_rows[(match >= 0) & (found.ids[match] == source_id)] if len(found.ids) else []
    return int(rows[0]) if len(rows) else None
