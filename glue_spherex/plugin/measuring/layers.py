"""Which rows or pixels a subset has, and on which dataset it was made."""

import numpy as np
from glue.core.exceptions import IncompatibleAttribute

from ...io import TargetListError


def selected_rows(subset):
    """The numbers of the rows of a subset.

    Parameters
    ----------
    subset : glue.core.Subset

    Returns
    -------
    ndarray of int, shape (n,)

    Raises
    ------
    TargetListError
        If its condition is one about other data.
    """
    try:
        return np.flatnonzero(subset.to_mask())
    except IncompatibleAttribute:
        raise TargetListError(
            f"the subset {subset.label!r} cannot be applied to {subset.data.label!r}: it was made with data that are "
            "not linked to it. Link them (Data Manager > Link Data), or choose the dataset on which it was made."
        ) from None


def has_rows(subset):
    """Whether a subset has rows or pixels; not if its condition is one about other data.

    Parameters
    ----------
    subset : glue.core.Subset

    Returns
    -------
    bool
    """
    try:
        return len(selected_rows(subset)) > 0
    except TargetListError:
        return False


def is_made_on(subset):
    """Whether the condition of a subset is one about its own dataset, and not about another one that is linked.

    Parameters
    ----------
    subset : glue.core.Subset

    Returns
    -------
    bool
    """
    return _is_about(subset.subset_state, subset.data)


def _is_about(state, data):
    parts = [part for name in ("state1", "state2") if (part := getattr(state, name, None)) is not None]
    if parts:
        return any(_is_about(part, data) for part in parts)
    named = (getattr(state, name, None) for name in ("att", "left", "right"))
    is_listed = getattr(state, "_data_uuid", None) == data.uuid  # rows or pixels by their numbers
    return is_listed or any(getattr(cid, "parent", None) is data for cid in (*state.attributes, *named))
