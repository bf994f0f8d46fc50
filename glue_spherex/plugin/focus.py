"""The focused row: the measurement that is looked at, the same one in all viewers and for scripts."""

from weakref import WeakKeyDictionary, ref

import numpy as np
from glue.core.message import Message

from .columns import column_values, source_numbers

#: In which colour all viewers mark it.
FOCUS_COLOUR = "#f08000"

_focused = WeakKeyDictionary()  # session -> (weak reference to the data, row)


class RowFocusMessage(Message):
    """A row of a dataset was chosen to be looked at.

    Parameters
    ----------
    sender : object
        Whoever chose it.
    data : glue.core.Data or None
    row : int or None
        0-based, in the order of the dataset; None when nothing is looked at any more.
    """

    def __init__(self, sender, data, row, tag=None):
        super().__init__(sender, tag=tag)
        self.data = data
        self.row = row


def focus_row(session, data, row):
    """Look at a row: the viewers mark its point and show its image.

    Parameters
    ----------
    session : glue.core.Session
    data : glue.core.Data
        One of the session's datasets.
    row : int or None
        0-based row of the dataset; None to look at nothing.

    Raises
    ------
    ValueError
        If the dataset is not in the session, or does not have the row.
    """
    if row is None:
        _focused.pop(session, None)
        session.hub.broadcast(RowFocusMessage(session, data, None))
        return
    if data not in session.data_collection:
        raise ValueError(
            f"focused row: the dataset {getattr(data, 'label', data)!r} is not in this session; load it first."
        )
    if not 0 <= int(row) < data.size:
        raise ValueError(f"focused row: {row} is not a row of {data.label!r}, whose rows are 0 to {data.size - 1}.")
    _focused[session] = ref(data), int(row)
    session.hub.broadcast(RowFocusMessage(session, data, int(row)))


def focused_row(session):
    """What is looked at.

    Parameters
    ----------
    session : glue.core.Session

    Returns
    -------
    data : glue.core.Data or None
    row : int or None
        Both None when nothing is, or when the dataset was removed or became shorter.
    """
    data, row = _focused.get(session, (lambda: None, None))
    data = data()
    if data is None or data not in session.data_collection or row >= data.size:
        return None, None
    return data, row


class SourceFocusMessage(Message):
    """A source of a spectrum table was chosen to be looked at.

    Parameters
    ----------
    sender : object
        Whoever chose it.
    data : glue.core.Data
        The spectrum table.
    source_id : int
    """

    def __init__(self, sender, data, source_id, tag=None):
        super().__init__(sender, tag=tag)
        self.data = data
        self.source_id = source_id


def focus_source(session, data, source_id):
    """Look at a source: the spectrum viewers show its points, and the point nearest in wavelength becomes the focus.

    Parameters
    ----------
    session : glue.core.Session
    data : glue.core.Data
        A spectrum table of the session.
    source_id : int

    Raises
    ------
    ValueError
        If the dataset is not in the session, or has no row of the source.
    """
    rows = np.flatnonzero(source_numbers(data) == int(source_id))
    if not len(rows):
        raise ValueError(f"focused source: {data.label!r} has no row of source {source_id}.")
    before, row = focused_row(session)
    wavelength = _numbers(data, "wavelength", np.nan)[rows]
    usable = np.isfinite(wavelength) & np.isfinite(_numbers(data, "flux", np.nan)[rows])
    candidates = rows[usable] if usable.any() else rows
    if before is not data or row not in rows:
        wanted = _numbers(before, "wavelength", np.nan)[row] if before is not None else np.nan
        distance = np.abs(_numbers(data, "wavelength", np.nan)[candidates] - wanted)
        row = candidates[np.nanargmin(distance)] if np.isfinite(distance).any() else candidates[0]
    session.hub.broadcast(SourceFocusMessage(session, data, int(source_id)))
    focus_row(session, data, int(row))


def _numbers(data, name, default):
    values = column_values(data, name)
    return np.full(data.size, default) if values is None or values.dtype.kind not in "iuf" else values


def follow_rows(data, moved):
    """Let the focus follow the rows of a dataset that has got others.

    Parameters
    ----------
    data : glue.core.Data
    moved : ndarray of int, shape (n,)
        Where each row is now; -1 if it is gone.
    """
    for session, (known, row) in list(_focused.items()):
        if known() is data:
            place = int(moved[row]) if row < len(moved) else -1
            if place != row:
                focus_row(session, data, place if place >= 0 else None)
