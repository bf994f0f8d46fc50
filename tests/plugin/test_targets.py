import numpy as np
from glue.core import Data, DataCollection

from glue_spherex.plugin.columns import find_column, kind_of
from glue_spherex.plugin.targets import source_of_target, sources_in, target_of_source


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
