"""Which target of a list is which source of a spectrum table."""

from typing import NamedTuple

import numpy as np

from ..model import unit_vectors
from .columns import column_values, kind_of, source_numbers, spectra_in

#: Sources without a common name are the same one within this distance.
SAME_PLACE_ARCSEC = 3.0
#: Sources of one name farther apart than this are two sources; proper motions reach some arcminutes in decades.
FARTHEST_NAMESAKE_ARCSEC = 600.0


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
        A table without ``source_id`` is one source, number 0, as far as it is a spectrum. Where ``source_id`` is
        text, it is the name of sources without ``label``.
    """
    ids = source_numbers(data)
    first = np.sort(np.unique(ids, return_index=True)[1])
    labels = column_values(data, "label")
    text = column_values(data, "source_id") if labels is None else None
    labels = text if text is not None and text.dtype.kind in "OSU" else labels
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
        name and are not farther apart than 10 arcmin; of those with the same name the one with the same number, else
        the nearest. A target without such a namesake belongs to the nearest source within 3 arcsec.
    """
    result = np.full(len(targets.ids), -1)
    by_name = {}
    for place, label in enumerate(spectra.labels.tolist()):
        by_name.setdefault(label, []).append(place)
    pairs = [(k, place) for k, label in enumerate(targets.labels.tolist()) if label for place in by_name.get(label, ())]
    k, place = np.array(pairs, dtype=int).reshape(-1, 2).T
    distance = distance_arcsec(targets.ra[k], targets.dec[k], spectra.ra[place], spectra.dec[place])
    near = ~(distance > FARTHEST_NAMESAKE_ARCSEC)  # also where a position is not known
    order = np.lexsort((distance, targets.ids[k] != spectra.ids[place], k))
    order = order[near[order]]
    named, first = np.unique(k[order], return_index=True)
    result[named] = place[order][first]
    rest = np.flatnonzero(result < 0)
    result[rest] = _nearest(targets.ra[rest], targets.dec[rest], spectra.ra, spectra.dec)
    return result


def _nearest(ra, dec, ras, decs):
    """The nearest of some places within 3 arcsec of each of others, an int array; -1 where there is none."""
    from scipy.spatial import cKDTree

    found, known, choices = np.full(len(ra), -1), np.isfinite(ra + dec), np.flatnonzero(np.isfinite(ras + decs))
    if known.any() and len(choices):
        tree = cKDTree(unit_vectors(ras[choices], decs[choices]))
        reach = 2 * np.sin(np.radians(SAME_PLACE_ARCSEC / 3600) / 2)
        distance, place = tree.query(unit_vectors(ra[known], dec[known]), distance_upper_bound=reach)
        found[known] = np.where(np.isfinite(distance), np.r_[choices, -1][place], -1)
    return found


def distance_arcsec(ra, dec, ras, decs):
    """Angular distance from one place to others (haversine formula).

    Parameters
    ----------
    ra, dec : float or ndarray, deg
    ras, decs : ndarray, shape (n,), deg

    Returns
    -------
    ndarray, shape (n,), arcsec
        NaN where a place is not known.
    """
    half_ra, half_dec = np.radians(np.asarray(ras) - ra) / 2, np.radians(np.asarray(decs) - dec) / 2
    product = np.cos(np.radians(dec)) * np.cos(np.radians(decs))
    square = np.sin(half_dec) ** 2 + product * np.sin(half_ra) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(np.clip(square, 0, 1)))) * 3600


def source_of_target(data_collection, targets, row, preferred=None):
    """The spectrum that belongs to a target.

    Parameters
    ----------
    data_collection : glue.core.DataCollection
    targets : glue.core.Data
        A target list.
    row : int
    preferred : glue.core.Data, optional
        The spectrum table to take if several have the target, such as the one that is looked at.

    Returns
    -------
    (glue.core.Data, int) or None
        Spectrum table and ``source_id``; None where no table of the collection has the target.
    """
    wanted = sources_in(targets)
    place = np.flatnonzero(wanted.first_rows == row)
    if not len(place):
        return None
    return spectrum_of_source(data_collection, SourceList(*(values[place] for values in wanted)), preferred)


def spectrum_of_source(data_collection, wanted, preferred=None):
    """The spectrum of a source that is in a list.

    Parameters
    ----------
    data_collection : glue.core.DataCollection
    wanted : SourceList, length 1
    preferred : glue.core.Data, optional
        Spectrum table that is searched first.

    Returns
    -------
    (Data, int) or None
        Spectrum table and ``source_id``; None where no table of the collection has the source.
    """
    for spectra in sorted(spectra_in(data_collection), key=lambda data: data is not preferred):
        found = sources_in(spectra)
        [match] = match_sources(wanted, found)
        if match >= 0:
            return spectra, int(found.ids[match])
    return None


def target_list_of(data_collection, spectra):
    """The target list that a spectrum table was measured for.

    Parameters
    ----------
    data_collection : glue.core.DataCollection
    spectra : glue.core.Data

    Returns
    -------
    glue.core.Data or None
        The list with the most of the table's sources, and of several such the shortest; None where no list has any.
    """
    lists = [data for data in data_collection if kind_of(data) == "targets"]
    found = sources_in(spectra)
    shared = [len(set(match_sources(sources_in(targets), found).tolist()) - {-1}) for targets in lists]
    if not any(shared):
        return None
    return lists[max(range(len(lists)), key=lambda k: (shared[k], -lists[k].size))]


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
