import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("glue")

from glue.core import DataCollection
from glue.core.application_base import Application
from glue.core.data_factories import find_factory, load_data
from glue.core.state import GlueSerializer, GlueUnSerializer

from glue_spherex import plugin, read_spectra, write_spectra
from glue_spherex.plugin.loader import load_spectrum


@pytest.fixture(autouse=True)
def registered():
    plugin.setup()


@pytest.mark.parametrize("extension", ["vot", "xml", "fits", "ecsv", "tbl", "csv", "parquet"])
def test_glue_takes_our_loader(tmp_path, extension, made_spectrum):
    if extension == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"spectra.{extension}"
    table = made_spectrum()
    write_spectra(table, path)
    assert find_factory(str(path)) is load_spectrum
    data = load_data(str(path))
    assert data.label == "spectra"
    assert [c.label for c in data.main_components] == table.colnames
    np.testing.assert_array_equal(data["flux"], table["flux"].value)
    np.testing.assert_array_equal(data["wavelength"], table["wavelength"].value)
    assert data["flags"].dtype == np.int64
    np.testing.assert_array_equal(data["flags"], table["flags"])
    np.testing.assert_array_equal(data["lvf_id"], table["lvf_id"])
    assert list(data["label"]) == list(table["label"])
    units = {name: data.get_component(name).units for name in ("flux", "wavelength", "flux_bkg", "mjd", "flags")}
    assert units["flux"] == "uJy"
    assert units["wavelength"] == "um"
    assert units["flags"] == ""


def test_other_files_are_left_to_others(tmp_path):
    from astropy.table import Table

    path = tmp_path / "catalogue.vot"
    Table({"ra": [1.0], "dec": [2.0], "flux": [3.0]}).write(path, format="votable")
    assert find_factory(str(path)) is not load_spectrum
    (tmp_path / "empty.xml").write_text("")
    assert find_factory(str(tmp_path / "empty.xml")) is not load_spectrum


def test_missing_flags_become_zero(tmp_path, made_spectrum):
    table = made_spectrum()
    table["flags"] = np.ma.masked_array(np.asarray(table["flags"]), mask=np.arange(len(table)) < 2)
    write_spectra(table, tmp_path / "s.vot")
    assert np.ma.is_masked(read_spectra(tmp_path / "s.vot")["flags"])
    data = load_data(str(tmp_path / "s.vot"))
    np.testing.assert_array_equal(data["flags"][:2], 0)
    assert data["flags"].min() >= 0


def test_descriptions_and_provenance(tmp_path, made_spectrum):
    write_spectra(made_spectrum(), tmp_path / "s.vot")
    meta = load_data(str(tmp_path / "s.vot")).meta
    assert meta["spherex"]["kind"] == "spectrum"
    assert "exposure" in meta["spherex"]["descriptions"]["mjd"]
    assert meta["glue_spherex"]["settings"] == {"background_box": 15}


@pytest.mark.parametrize("n_sources", [1, 2, 3, 20])
def test_session(tmp_path, n_sources, made_spectrum):
    path = tmp_path / "s.vot"
    write_spectra(made_spectrum(n_sources), path)
    application = Application(DataCollection([load_data(str(path))]))
    data = application.data_collection[0]
    subset = application.data_collection.new_subset_group("bright", data.id["flux"] > 0)
    text = GlueSerializer(application).dumps()
    again = GlueUnSerializer.loads(text).object("__main__")
    restored = again.data_collection[0]
    assert restored.label == data.label
    for component in data.main_components:
        np.testing.assert_array_equal(restored[component.label], data[component.label])
    assert restored.get_component("flux").units == "uJy"
    assert restored.meta["spherex"] == data.meta["spherex"]
    np.testing.assert_array_equal(restored.subsets[0].to_mask(), subset.subsets[0].to_mask())


@pytest.mark.parametrize("rows", [0, 1])
def test_hardly_any_rows(tmp_path, rows, made_spectrum):
    write_spectra(made_spectrum()[:rows], tmp_path / "s.vot")
    data = load_data(str(tmp_path / "s.vot"))
    assert data.shape == (rows,)
    text = GlueSerializer(Application(DataCollection([data]))).dumps()
    (again,) = GlueUnSerializer.loads(text).object("__main__").data_collection
    assert again.shape == (rows,)
    assert [cid.label for cid in again.main_components] == [cid.label for cid in data.main_components]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.vot: there is no such file, so the spectrum cannot be loaded"):
        load_spectrum(str(tmp_path / "gone.vot"))


def test_imitation_of_an_archive_file(test_data):
    for path in sorted((test_data / "tables").glob("*.xml")):
        data = load_data(str(path))
        assert find_factory(str(path)) is load_spectrum
        assert data["lvf_id"].dtype == np.int64
        assert data.size > 10


def test_the_loader_needs_no_qt():
    """With the Qt packages out of reach, the loader registers and loads."""
    code = (
        "import sys\n"
        "for name in ('qtpy', 'PyQt5', 'PyQt6', 'PySide6', 'glue_qt'): sys.modules[name] = None\n"
        "import glue_spherex.plugin as plugin; plugin.setup()\n"
        "from glue.config import data_factory\n"
        "sys.exit('SPHEREx spectrum' not in [f.label for f in data_factory])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_entry_point():
    from importlib.metadata import entry_points

    found = {entry.name: entry.value for entry in entry_points(group="glue.plugins")}
    assert found["glue_spherex"] == "glue_spherex.plugin:setup"
