"""Neighbours of targets, to be fitted with them."""

from dataclasses import replace

import numpy as np

from ...io import Targets
from ...io.columns import distinct
from ...model import survey_vectors

#: A neighbour as near to a target as this is the target itself.
SAME_SOURCE_ARCSEC = 1.0


def with_companions(targets, neighbours, radius_arcsec):
    """The targets, and after them those of some neighbours that are near one of them.

    Parameters
    ----------
    targets : Targets
    neighbours : Targets
        Such as all sources of the catalogue that the targets are from.
    radius_arcsec : float
        Neighbours within this distance of a target are taken, unless they are as near as `SAME_SOURCE_ARCSEC` to a
        source that is there already: then they are that source. Motions are taken into account.

    Returns
    -------
    Targets
        The neighbours are companions, with their own shapes and motions. Their rows follow those of the targets'
        table, which they are added to.

    Raises
    ------
    ValueError
        If the radius is no positive number.
    """
    if not 0 < radius_arcsec < np.inf:
        raise ValueError(f"radius is {radius_arcsec!r}; a number of arcsec above 0 is needed.")
    near = [neighbours.sources[k] for k in _near(targets.sources, neighbours.sources, radius_arcsec)]
    if not near:
        return targets
    labels = distinct([source.label for source in (*targets.sources, *near)])[len(targets.sources) :]
    companions = [replace(source, label=label, companion=True) for source, label in zip(near, labels)]
    n_rows = _n_rows(targets)
    rows = np.concatenate([np.asarray(targets.rows, dtype=np.int64), n_rows + np.arange(len(near))])
    table, columns = _lengthened(targets, n_rows, labels)
    return Targets([*targets.sources, *companions], rows, targets.rejected, table, columns)


def _near(sources, neighbours, radius_arcsec):
    """Numbers of the neighbours that are near a target, but no source that is there already, in their order."""
    from scipy.spatial import cKDTree

    targets = [source for source in sources if not source.companion]
    if not targets or not neighbours:
        return []
    others = survey_vectors(neighbours)
    known = cKDTree(survey_vectors(sources)).query(others)[0] <= _chord(SAME_SOURCE_ARCSEC)
    near = np.flatnonzero(~known & (cKDTree(survey_vectors(targets)).query(others)[0] <= _chord(radius_arcsec)))
    twins = pairs_within([neighbours[k] for k in near], SAME_SOURCE_ARCSEC)
    return np.delete(near, np.unique([later for _, later in twins]).astype(int)).tolist()


def pairs_within(sources, arcsec):
    """The pairs of sources that are near each other at the time of the survey.

    Parameters
    ----------
    sources : sequence of Source
    arcsec : float

    Returns
    -------
    list of (int, int)
        Their numbers, the smaller one first, in order.
    """
    from scipy.spatial import cKDTree

    if len(sources) < 2:
        return []
    return sorted(cKDTree(survey_vectors(sources)).query_pairs(_chord(arcsec)))


def _chord(arcsec):
    return 2 * np.sin(np.radians(min(arcsec, 648_000) / 3600) / 2)


def _n_rows(targets):
    """Rows of the list: those of its table, and whatever other rows are told of."""
    numbers = [len(targets.table), *(row + 1 for row in np.asarray(targets.rows).tolist())]
    return max([*numbers, *(rejected.row + 1 for rejected in targets.rejected)])


def _lengthened(targets, n_rows, labels):
    """The names in all rows of the list, and in those of the companions."""
    from astropy.table import QTable

    name = targets.columns.get("name")
    names = [str(text) for text in targets.table[name]] if name in targets.table.colnames else []
    names += [""] * (n_rows - len(names))
    return QTable({"name": np.array([*names, *labels], dtype=str)}), {"name": "name"}
