import numpy as np
import pytest

pytest.importorskip("glue")

from glue.core import Data

from glue_spherex.plugin.row_order import ordered_rows, step


@pytest.fixture
def data():
    nan = np.nan
    return Data(
        label="s",
        source_id=[0, 1, 0, 1, 0, 1, 0],
        wavelength=[3.0, 1.0, 2.0, nan, 2.0, 0.5, nan],
        mjd=[60000.0, 60004.0, 60002.0, 60003.0, 60001.0, 60005.0, 60006.0],
    )


def test_by_wavelength_with_ties_in_file_order(data):
    assert ordered_rows(data, 0).tolist() == [2, 4, 0]
    assert ordered_rows(data, 3).tolist() == [5, 1]


def test_by_time(data):
    assert ordered_rows(data, 6, "time").tolist() == [0, 4, 2, 6]


def test_step_stops_at_the_ends(data):
    assert step(data, 2) == 4
    assert step(data, 2, n=-3) == 2
    assert step(data, 2, n=10) == 0
    assert step(data, 4, "time", -1) == 0


def test_a_row_without_wavelength_leads_to_the_first(data):
    assert step(data, 3) == 5
    assert step(data, 6, n=-1) == 2


def test_data_without_sources_or_keys():
    plain = Data(label="p", wavelength=[2.0, 1.0])
    assert ordered_rows(plain, 0).tolist() == [1, 0]
    assert ordered_rows(plain, 0, "time").tolist() == [0, 1]
    nothing = Data(label="n", wavelength=[np.nan])
    assert ordered_rows(nothing, 0).tolist() == []
    assert step(nothing, 0) == 0


def test_what_does_not_exist_is_refused(data):
    with pytest.raises(ValueError, match="allowed are wavelength, time"):
        ordered_rows(data, 0, "flux")
    with pytest.raises(ValueError, match="rows are 0 to 6"):
        ordered_rows(data, 7)
