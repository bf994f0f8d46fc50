"""New values for a dataset that stays the same one for its viewers, subsets and links, also with other rows."""

import numpy as np
from glue.core.decorators import clear_cache
from glue.core.message import NumericalDataChangedMessage
from glue.core.subset import ElementSubsetState, MaskSubsetState

from ..columns import find_column
from ..focus import follow_rows


def replace_values(data, new, moved=None):
    """Put the values of another dataset into one.

    Columns of the same name stay the same components, so that axes, subsets and links hold; the meta data become those
    of the other one. Subsets of rows, and the focused row, follow the rows.

    Parameters
    ----------
    data : glue.core.Data
        One-dimensional; changed in place.
    new : glue.core.Data
        One-dimensional, and in no collection; of no use afterwards.
    moved : array_like of int, shape (n,), optional
        Where each row of `data` is in `new`; -1 where it is not. By default the rows stay where they are.
    """
    n = data.size
    moved = np.where(np.arange(n) < new.size, np.arange(n), -1) if moved is None else np.asarray(moved, dtype=int)
    known = {other.label: find_column(data, other.label) for other in new.main_components}  # also if it was renamed
    for cid in data.main_components:
        if not any(cid is kept for kept in known.values()):
            data.remove_component(cid)  # also a column that the user has added: it has no values for new rows
    data._shape = new.shape
    for other in new.main_components:
        component = new.get_component(other)
        if known[other.label] is None:
            data.add_component(component, other.label)
        else:
            data._components[known[other.label]] = component
    if hasattr(new, "_load_log"):  # the session names the file from now on
        data._load_log = new._load_log
        data._load_log.data = [data]
    data.meta.clear()
    data.meta.update(new.meta)
    followed = []
    for subset in data.subsets:
        _follow_rows(subset.subset_state, data, moved, followed)
    if data.hub is not None:
        data.hub.broadcast(NumericalDataChangedMessage(data))
    follow_rows(data, moved)


def _follow_rows(state, data, moved, followed):
    """Forget what was kept of a state, and renumber the rows in it; `followed` are the states that have been."""
    if any(state is other for other in followed):
        return
    followed.append(state)
    clear_cache(state.to_mask)
    parts = (getattr(state, "state1", None), getattr(state, "state2", None), *getattr(state, "states", ()))
    for part in parts:
        if part is not None:
            _follow_rows(part, data, moved, followed)
    if isinstance(state, ElementSubsetState) and state.data == data.uuid and state.indices is not None:
        rows = np.zeros(len(moved), dtype=bool)
        rows[np.asarray(state.indices)] = True
        places = moved[rows]
        state.indices = places[places >= 0]
    elif isinstance(state, MaskSubsetState) and state.cids == data.pixel_component_ids:
        places = moved[state.mask]
        state.mask = np.isin(np.arange(data.size), places[places >= 0])
