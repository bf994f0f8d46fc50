"""Targets from whatever is at hand in glue: datasets, subsets, typed coordinates, files, names of objects."""

import os
from dataclasses import replace

import numpy as np
from glue.core import Subset
from glue.core.subset_group import SubsetGroup

from ...io import Rejected, TargetListError, Targets, read_targets
from ...io.columns import to_qtable
from ...io.target_columns import NOT_USED, ROLES, assigned, check_columns
from ...io.targets import targets_in
from ..columns import kind_of, source_numbers
from ..target_data import target_table_from
from ..targets import sources_in
from .layers import has_rows, is_made_on, selected_rows
from .pasted import targets_of_text
from .resolver import targets_of_name
from .table_columns import columns_of, rows_of, table_of

__all__ = [
    "Rejected",
    "TargetListError",
    "Targets",
    "guessed_columns",
    "targets_of_file",
    "targets_of_layer",
    "targets_of_name",
    "targets_of_text",
    "with_shape",
]


def guessed_columns(data):
    """Which columns of a dataset look like those of a target list: by name, UCD and unit.

    Parameters
    ----------
    data : glue.core.Data, Subset or SubsetGroup

    Returns
    -------
    dict of str to str
        Label of the column for each of `glue_spherex.io.target_columns.ROLES` that one was found for; without ``ra``
        and ``dec`` the dataset has no positions.
    """
    data = _one_layer(data)
    data = getattr(data, "data", data)
    if data.ndim != 1:
        return {}
    found = assigned(columns_of(data), dict.fromkeys(ROLES))
    return {role: column.name for role, column in found.items()}


def targets_of_layer(layer, columns=None):
    """The targets in a dataset or subset.

    Parameters
    ----------
    layer : glue.core.Data, Subset, GroupedSubset or SubsetGroup
        Of a group, the subset of the dataset on which it was made, if it has positions, else that of another one.
    columns : dict of str to (str, glue.core.ComponentID or None), optional
        Column for each of `glue_spherex.io.target_columns.ROLES`; None for none. Roles that are not named are guessed.

    Returns
    -------
    Targets
        ``rows`` are row numbers in the dataset, also those of rejected rows. Of a SPHEREx spectrum, its sources with
        a row in the layer: one each, at the mean of its positions, as points without motion.

    Raises
    ------
    TargetListError
        If it has no positions or no rows, or its condition does not apply to its dataset.
    """
    layer = _one_layer(layer)
    data = getattr(layer, "data", layer)
    _check_table(data)
    rows = selected_rows(layer) if isinstance(layer, Subset) else np.arange(data.size)
    if not len(rows):
        what = f"the subset {layer.label!r} of {data.label!r}" if isinstance(layer, Subset) else f"{data.label!r}"
        raise TargetListError(f"{what} has no rows, so there is nothing to measure; select some rows.")
    if kind_of(data) == "spectrum":
        return _targets_of_spectrum(data, rows)
    return _read(data, rows, _chosen(columns))


def _chosen(columns):
    """The columns that were chosen, as `glue_spherex.io.read_targets` takes them."""
    return {role: _label(column) for role, column in (columns or {}).items() if role in ROLES}


def _label(column):
    """The label of a column that is given as that, as a component ID, or as None for none."""
    return "" if column is None else str(getattr(column, "label", column))


def _check_table(data):
    """Raise a `TargetListError` for datasets that are no lists of positions."""
    if kind_of(data) == "images":
        raise TargetListError(f"{data.label!r} lists images, not sources; choose a catalogue, or a subset of one.")
    if data.ndim != 1:
        raise TargetListError(
            f"{data.label!r} has {data.ndim} dimensions: it is no table of positions. Choose a catalogue; or select a "
            "region in an image with sky coordinates, and measure that."
        )


def _read(data, rows, chosen):
    """The targets in some rows of a dataset, with row numbers of the whole dataset."""
    columns = columns_of(data)
    used = assigned(columns, dict.fromkeys(ROLES) | chosen)
    check_columns(repr(data.label), [column.name for column in columns], used, chosen)
    whole = table_of(used.values())
    part = whole if len(rows) == data.size else rows_of(whole, rows)
    names = dict.fromkeys(ROLES, NOT_USED) | {role: column.name for role, column in used.items()}
    read = targets_in([part], repr(data.label), names)
    if part is whole:
        return read
    rejected = [Rejected(int(rows[row]), reason) for row, reason in read.rejected]
    return replace(read, rows=rows[read.rows], rejected=rejected, table=to_qtable(whole))


def _targets_of_spectrum(data, rows):
    """The sources of a spectrum with at least one of some rows."""
    from astropy.table import QTable

    listed, found = target_table_from(data), sources_in(data)
    wanted = np.isin(found.ids, np.unique(source_numbers(data)[rows]))
    first = found.first_rows[wanted]
    values = {name: np.asarray(listed.get_data(listed.id[name]))[wanted] for name in ("ra", "dec", "label")}
    table = QTable({"ra": values["ra"], "dec": values["dec"], "name": values["label"].astype(str)})
    read = read_targets(table)
    whole = QTable({"name": np.full(data.size, "", dtype=table["name"].dtype)})
    whole["name"][first] = table["name"]
    rejected = [Rejected(int(first[row]), reason) for row, reason in read.rejected]
    return Targets(read.sources, first[read.rows], rejected, whole, {"name": "name"})


# -- groups -----------------------------------------------------------------------------------------------------------


def _one_layer(layer):
    """Of a subset group, the subset in the likeliest table; other layers as they are."""
    if not isinstance(layer, SubsetGroup):
        return layer
    subsets = sorted(layer.subsets, key=_unlikely)
    if not subsets:
        raise TargetListError(f"the subset {layer.label!r} belongs to no dataset.")
    return subsets[0]


def _unlikely(subset):
    """What to sort by to find the subset of a group that lists targets."""
    data = subset.data
    is_table = data.ndim == 1 and kind_of(data) != "images"
    has_place = is_table and (kind_of(data) == "spectrum" or {"ra", "dec"} <= guessed_columns(data).keys())
    return not is_table, not has_place, not has_rows(subset), kind_of(data) == "spectrum", not is_made_on(subset)


# -- files and shapes -------------------------------------------------------------------------------------------------


def targets_of_file(path, columns=None):
    """The targets in a file.

    Parameters
    ----------
    path : path-like
        Any table that `glue_spherex.read_targets` reads.
    columns : dict of str to (str or None), optional
        As in `targets_of_layer`.

    Returns
    -------
    Targets

    Raises
    ------
    TargetListError
        If there is no such file, or it holds no positions.
    """
    path = os.path.expanduser(os.fspath(path))
    if not os.path.isfile(path):
        what = "is a folder, not a file" if os.path.isdir(path) else "does not exist"
        raise TargetListError(f"the target list {path!r} {what}; choose a table with positions.")
    return read_targets(path, **_chosen(columns))


def with_shape(targets, profile):
    """The same targets, all of the same shape.

    Parameters
    ----------
    targets : Targets
    profile : Sersic or None
        None for point sources.

    Returns
    -------
    Targets
        Companions keep their own shapes.
    """
    sources = [s if s.companion or s.profile == profile else replace(s, profile=profile) for s in targets.sources]
    return replace(targets, sources=sources)
