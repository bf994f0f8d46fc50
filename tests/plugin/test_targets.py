import numpy as np
import pytest
from glue.core import Data, DataCollection

from glue_spherex.plugin.columns import find_column, kind_of, source_numbers
from glue_spherex.plugin.sources import rows_by_source
from glue_spherex.plugin.targets import source_of_target, sources_in, target_list_of, target_of_source


def spectra(labels, ids, ra, dec, label="spectra"):
    data = Data(label=label, source_id=ids, label_=labels, ra=np.array(ra, float), dec=np.array(dec, float))
    data.id["label_"].label = "label"
    data.meta["spherex"] = {"kind": "spectrum"}
    return data


def targets(labels, ids, ra, dec):
    data = spectra(labels, ids, ra, dec, "targets")
    data.meta["spherex"] = {"kind": "targets"}
    return data


def test_by_name_also_when_the_star_moved():
    table = spectra(["a", "a", "b"], [0, 0, 1], [10.0, 10.0, 20.0], [0, 0, 0])
    wanted = targets(["b", "a", "c"], [0, 1, 2], [20.01, 10.01, 30.0], [0, 0, 0])  # 36″ away, other numbers
    collection = DataCollection([table, wanted])
    assert source_of_target(collection, wanted, 0) == (table, 1)
    assert source_of_target(collection, wanted, 1) == (table, 0)
    assert source_of_target(collection, wanted, 2) is None
    assert (target_of_source(wanted, table, 0), target_of_source(wanted, table, 1)) == (1, 0)


def test_same_names_by_number():
    table = spectra(["x", "x"], [0, 1], [10.0, 10.1], [0, 0])
    wanted = targets(["x", "x"], [0, 1], [10.0, 10.1], [0, 0])
    collection = DataCollection([table, wanted])
    assert [source_of_target(collection, wanted, row)[1] for row in (0, 1)] == [0, 1]


def test_without_names_by_place_across_0h():
    table = spectra(["", ""], [5, 6], [359.9999, 40.0], [60.0, -80.0])
    wanted = targets(["", "", ""], [0, 1, 2], [0.0002, 40.003, 40.02], [60.0, -80.0, -80.0])
    collection = DataCollection([table, wanted])
    # 0.0003° · cos 60° = 0.54″; 0.003° · cos 80° = 1.9″; 0.02° · cos 80° = 12.5″
    assert source_of_target(collection, wanted, 0) == (table, 5)
    assert source_of_target(collection, wanted, 1) == (table, 6)
    assert source_of_target(collection, wanted, 2) is None
    assert target_of_source(wanted, table, 6) == 1


def test_one_source_without_number():
    table = Data(ra=[1.0, 1.0], dec=[2.0, 2.0])
    assert list(sources_in(table).ids) == [0]


def test_columns_after_renaming():
    data = Data(wavelength=[1.0], flux=[2.0], extra=[3.0])
    data.meta["spherex"] = {"kind": "spectrum", "columns": ["wavelength", "flux"]}
    flux = data.id["flux"]
    flux.label = "my flux"
    assert find_column(data, "flux") is flux
    data.id["extra"].label = "flux"
    assert find_column(data, "flux") is data.id["flux"]
    assert find_column(data, "fit_ql") is None
    assert kind_of(data) == "spectrum"
    assert kind_of(Data(x=[1])) == ""
    data.meta["spherex"] = "nonsense"
    assert kind_of(data) == ""
    assert find_column(data, "extra2") is None


def test_namesakes_in_another_field_are_others():
    """Lists often call their targets 1, 2, 3."""
    table = spectra(["1", "2"], [0, 1], [10.0, 10.1], [0, 0])
    wanted = targets(["1", "2", "3"], [0, 1, 2], [200.0, 201.0, 10.1], [50, 50, 0])
    collection = DataCollection([table, wanted])
    assert [source_of_target(collection, wanted, row) for row in (0, 1)] == [None, None]
    assert source_of_target(collection, wanted, 2) == (table, 1)
    assert target_of_source(wanted, table, 0) is None


def test_of_several_namesakes_the_nearest():
    table = spectra(["x", "x"], [5, 6], [10.0, 10.1], [0, 0])
    wanted = targets(["x", "x"], [0, 1], [10.1, 10.0], [0, 0])
    collection = DataCollection([table, wanted])
    assert [source_of_target(collection, wanted, row)[1] for row in (0, 1)] == [6, 5]


def test_of_several_tables_the_one_that_is_looked_at():
    tables = [spectra(["a"], [number], [10.0], [0], f"table {number}") for number in (0, 1)]
    wanted = targets(["a"], [0], [10.0], [0])
    collection = DataCollection([*tables, wanted])
    assert source_of_target(collection, wanted, 0) == (tables[0], 0)
    assert source_of_target(collection, wanted, 0, preferred=tables[1]) == (tables[1], 1)
    assert source_of_target(collection, wanted, 0, preferred=wanted) == (tables[0], 0)


def test_the_shortest_list_with_the_most_sources():
    table = spectra(["a", "b"], [0, 1], [10.0, 20.0], [0, 0])
    one, both = targets(["a"], [0], [10.0], [0]), targets(["b", "a"], [0, 1], [20.0, 10.0], [0, 0])
    catalogue = targets(["a", "b", "c"], [0, 1, 2], [10.0, 20.0, 30.0], [0, 0, 0])
    assert target_list_of(DataCollection([catalogue, table, one, both]), table) is both


def test_no_list_with_any_of_the_sources():
    table = spectra(["a"], [0], [10.0], [0])
    assert target_list_of(DataCollection([table, targets(["c"], [0], [1.0], [0])]), table) is None


@pytest.mark.parametrize(
    ("ids", "numbers"),
    [
        (["b", "a", "b"], [0, 1, 0]),
        ([1.5, np.nan, 1.5], [0, 1, 0]),
        ([7.0, 8.0, 7.0], [7, 8, 7]),
        (np.array([2**63 + 5, 1, 2**63 + 5], np.uint64), [0, 1, 0]),
        (np.array([2**62, 1, 2**62]), [2**62, 1, 2**62]),
    ],
)
def test_numbers_of_sources_in_tables_of_others(ids, numbers):
    data = Data(label="others", source_id=np.array(ids), ra=[1.0, 2.0, 1.0], dec=[0.0, 0.0, 0.0])
    assert source_numbers(data).tolist() == numbers
    found = rows_by_source(data)
    assert [source.rows.tolist() for source in found] == [[0, 2], [1]]
    assert [source.source_id for source in found] == list(dict.fromkeys(numbers))
    if isinstance(ids[0], str):
        assert [source.label for source in found] == ["b", "a"]


def test_renamed_columns_in_another_order_are_not_guessed():
    data = Data(wavelength=[1.0], flux=[2.0], flux_err=[0.1], extra=[3.0])
    data.meta["spherex"] = {"kind": "spectrum", "columns": ["wavelength", "flux", "flux_err"]}
    data.id["flux"].label = "my flux"
    order = [data.id[name] for name in ("flux_err", "extra", "wavelength", "my flux")]
    data.reorder_components([*data.coordinate_components, *order])
    assert find_column(data, "flux") is None
    assert find_column(data, "flux_err") is order[0]
