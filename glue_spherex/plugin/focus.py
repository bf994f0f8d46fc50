"""The focused row: the measurement that is looked at, the same one in all viewers and for scripts."""

from weakref import WeakKeyDictionary, ref

from glue.core.message import Message

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
