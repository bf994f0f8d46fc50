import numpy as np
import pytest
from glue.core import Data, DataCollection, HubListener
from glue.core.session import Session

from glue_spherex.plugin.focus import (
    RowFocusMessage,
    SourceFocusMessage,
    focus_row,
    focus_source,
    focused_row,
)


class Listener(HubListener):
    def __init__(self, hub):
        self.heard = []
        hub.subscribe(self, RowFocusMessage, handler=lambda m: self.heard.append((m.data, m.row)))
        hub.subscribe(self, SourceFocusMessage, handler=lambda m: self.heard.append((m.data, "source", m.source_id)))


@pytest.fixture
def session():
    return Session(data_collection=DataCollection())


@pytest.fixture
def data(session):
    data = Data(
        label="two stars",
        source_id=np.array([4, 4, 9, 9, 9]),
        wavelength=np.array([1.0, 2.0, 1.1, 2.2, np.nan]),
        flux=np.array([5.0, 6.0, 7.0, 8.0, 9.0]),
    )
    session.data_collection.append(data)
    return data


def test_everyone_hears_of_it_and_it_is_remembered(session, data):
    listener = Listener(session.hub)
    assert focused_row(session) == (None, None)
    focus_row(session, data, np.int64(3))
    assert listener.heard == [(data, 3)]
    assert focused_row(session) == (data, 3)
    focus_row(session, data, None)
    assert focused_row(session) == (None, None)
    assert listener.heard[-1] == (data, None)


@pytest.mark.parametrize("row", [-1, 5, 10**12])
def test_row_that_does_not_exist(session, data, row):
    with pytest.raises(ValueError, match=r"not a row of 'two stars', whose rows are 0 to 4"):
        focus_row(session, data, row)


def test_foreign_data(session):
    with pytest.raises(ValueError, match="'elsewhere' is not in this session"):
        focus_row(session, Data(label="elsewhere", x=[1.0]), 0)


def test_forgotten_with_its_data(session, data):
    focus_row(session, data, 4)
    data.update_values_from_data(Data(source_id=[4, 4], wavelength=[1.0, 2.0], flux=[1.0, 2.0]))
    assert focused_row(session) == (None, None)
    focus_row(session, data, 1)
    session.data_collection.remove(data)
    assert focused_row(session) == (None, None)


def test_two_sessions_do_not_share_it(session, data):
    other = Session(data_collection=DataCollection())
    focus_row(session, data, 1)
    assert focused_row(other) == (None, None)


def test_source_keeps_the_wavelength(session, data):
    listener = Listener(session.hub)
    focus_row(session, data, 1)  # 2.0 µm of source 4
    focus_source(session, data, 9)
    assert focused_row(session) == (data, 3)  # 2.2 µm, not 1.1
    assert (data, "source", 9) in listener.heard
    focus_source(session, data, 9)
    assert focused_row(session) == (data, 3)
    with pytest.raises(ValueError, match="'two stars' has no row of source 7"):
        focus_source(session, data, 7)
