"""Saving spectra from glue: file, data, file, data."""

import numpy as np
import pytest
from glue.config import data_exporter
from glue.core import Data, DataCollection
from glue.core.data_factories import load_data

from glue_spherex import read_spectra, write_spectra
from glue_spherex.io import WRITE_FORMATS, SpectrumFileError
from glue_spherex.plugin.exporters import EXPORTERS, export_spectrum
from glue_spherex.plugin.flag_subsets import FlagSubsetState
from glue_spherex.plugin.links import link_all
from glue_spherex.plugin.loader import load_spectrum


@pytest.fixture
def saved(tmp_path, made_spectrum):
    """A spectrum on disk with missing flags, a missing number, odd text, and a column of its own."""
    from astropy.table import Column

    table = made_spectrum(3, 5)
    table["flags"] = np.ma.masked_array(np.asarray(table["flags"]), mask=np.isin(np.arange(15), [0, 1, 9]))
    table["fit_ql"][4] = np.nan
    table["priority"] = Column(np.arange(15), description="my own")
    write_spectra(table, tmp_path / "first.vot")
    return tmp_path / "first.vot"


def equal(a, b, units=True):
    assert a.colnames == b.colnames
    for name in a.colnames:
        x, y = a[name], b[name]
        np.testing.assert_array_equal(np.ma.getmaskarray(np.ma.asarray(x)), np.ma.getmaskarray(np.ma.asarray(y)))
        x, y = (np.ma.filled(np.ma.asarray(getattr(c, "value", c)), 0) if c.dtype.kind in "iub" else c for c in (x, y))
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y), err_msg=name)
        assert a[name].dtype.kind == b[name].dtype.kind, name
        if units:
            assert a[name].unit == b[name].unit
            assert a[name].info.description == b[name].info.description


@pytest.mark.parametrize("extension", list(WRITE_FORMATS))
def test_round_trip(saved, tmp_path, extension):
    if extension == "parquet":
        pytest.importorskip("pyarrow")
    data = load_data(str(saved))
    path = tmp_path / f"second.{extension}"
    (exporter,) = (e for e in data_exporter if e.label.startswith("SPHEREx") and extension in e.extension)
    exporter.function(str(path), data)
    exact = extension not in ("csv", "tsv", "tbl")
    equal(read_spectra(saved), read_spectra(path), units=exact)
    if exact:
        assert read_spectra(path).meta["glue_spherex"] == read_spectra(saved).meta["glue_spherex"]
    again = load_data(str(path))
    for cid in data.main_components:
        np.testing.assert_array_equal(again[cid.label], data[cid.label])
        assert again[cid.label].dtype.kind == data[cid.label].dtype.kind


def test_a_subset_saves_its_rows(saved, tmp_path):
    data = load_data(str(saved))
    collection = DataCollection([data])
    collection.new_subset_group("bad fit", FlagSubsetState(data.id["flags"], 1 << 33))
    export_spectrum(tmp_path / "bad.fits", data.subsets[0])
    table = read_spectra(tmp_path / "bad.fits")
    rows = np.flatnonzero(data["flags"] >> 33 & 1)
    assert len(rows) > 1
    equal(read_spectra(saved)[rows], table)
    assert table.meta["subset"] == "bad fit"


def test_a_subset_of_linked_data_and_an_empty_one(saved, tmp_path, made_spectrum):
    write_spectra(made_spectrum(1, 4), tmp_path / "other.ecsv")
    a, b = load_data(str(saved)), load_data(str(tmp_path / "other.ecsv"))
    collection = DataCollection([a, b])
    link_all(collection)
    group = collection.new_subset_group("red", a.id["wavelength"] > 2.5)
    export_spectrum(tmp_path / "red.vot", b.subsets[0])
    assert (
        read_spectra(tmp_path / "red.vot")["wavelength"].value.tolist()
        == b["wavelength"][b["wavelength"] > 2.5].tolist()
    )
    group.subset_state = a.id["wavelength"] > 100
    export_spectrum(tmp_path / "none.vot", b.subsets[0])
    assert len(read_spectra(tmp_path / "none.vot")) == 0


def test_renamed_and_added_columns(saved, tmp_path):
    """A renamed column keeps its name in the file; what the user added has the user's name."""
    data = load_data(str(saved))
    data.id["flux"].label = "brightness"
    data.id["lvf_id"].label = "exposure"
    data.add_component(np.arange(15.0), "mine")
    DataCollection([data])
    data["doubled"] = data.id["brightness"] * 2
    export_spectrum(tmp_path / "x.ecsv", data)
    table = read_spectra(tmp_path / "x.ecsv")
    np.testing.assert_array_equal(table["flux"], read_spectra(saved)["flux"])
    np.testing.assert_array_equal(table["lvf_id"], read_spectra(saved)["lvf_id"])
    np.testing.assert_array_equal(table["doubled"], 2 * table["flux"].value)
    assert "mine" in table.colnames


def test_chosen_columns(saved, tmp_path):
    data = load_data(str(saved))
    export_spectrum(tmp_path / "x.csv", data, [data.id[name] for name in ("wavelength", "flux", "flags")])
    assert read_spectra(tmp_path / "x.csv").colnames[:3] == ["flags", "wavelength", "flux"]
    with pytest.raises(SpectrumFileError, match=r"x\.csv: not written: .*no column flux"):
        export_spectrum(tmp_path / "x.csv", data, [data.id["wavelength"]])


def test_named_image_folders_go_with_the_spectrum(saved, tmp_path):
    data = load_data(str(saved))
    data.meta["spherex"]["image_folders"] = ["/somewhere", "a"]
    export_spectrum(tmp_path / "x.vot", data)
    assert load_data(str(tmp_path / "x.vot")).meta["glue_spherex"]["image_folders"] == ["/somewhere", "a"]


def test_what_cannot_be_saved(tmp_path, saved):
    with pytest.raises(SpectrumFileError, match=r"x\.vot: not written: 'other' is no SPHEREx spectrum"):
        export_spectrum(tmp_path / "x.vot", Data(label="other", x=[1, 2]))
    data = load_data(str(saved))
    with pytest.raises(SpectrumFileError, match=r"extension '\.doc' is unknown"):
        export_spectrum(tmp_path / "x.doc", data)
    with pytest.raises(SpectrumFileError, match="cannot be written"):
        export_spectrum(tmp_path / "nowhere" / "x.vot", data)
    assert not (tmp_path / "x.vot").exists()


def test_every_format_has_an_exporter(made_spectrum):
    assert set(EXPORTERS) == set(WRITE_FORMATS.values())


def test_data_of_an_older_version(saved, tmp_path):
    """Their metadata knows the kind only."""
    data = load_spectrum(str(saved))
    data.meta["spherex"] = {"kind": "spectrum"}
    export_spectrum(tmp_path / "x.vot", data)
    np.testing.assert_array_equal(read_spectra(tmp_path / "x.vot")["flux"], read_spectra(saved)["flux"])
