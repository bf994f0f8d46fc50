"""A session that version 0.1.0 saved: a scatter viewer of a spectrum with error bars, and a subset."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from glue_spherex import read_spectra
from glue_spherex.plugin.columns import column_values, find_column, kind_of
from glue_spherex.plugin.exporters import export_spectrum

DATA = Path(__file__).parent / "data"


@pytest.fixture
def restored(tmp_path, qtbot, registered):
    from glue_qt.app import GlueApplication

    for name in ("session-0.1.glu", "session-0.1.vot"):
        shutil.copy(DATA / name, tmp_path)
    window = GlueApplication.restore_session(str(tmp_path / "session-0.1.glu"), show=False)
    yield window
    window.close()


@pytest.fixture
def registered():
    from glue.main import load_plugins

    load_plugins()


def test_it_opens_with_its_data_subset_and_viewer(restored):
    table = read_spectra(DATA / "session-0.1.vot")
    (data,) = restored.data_collection
    assert kind_of(data) == "spectrum"
    for name in ("flux", "flags", "lvf_id", "wavelength", "source_id"):
        np.testing.assert_array_equal(column_values(data, name), np.asarray(getattr(table[name], "value", table[name])))
    assert data.meta["glue_spherex"]["image_folders"] == ["images"]
    (group,) = restored.data_collection.subset_groups
    assert group.label == "bright"
    np.testing.assert_array_equal(data.subsets[0].to_mask(), table["flux"].value > 5000)
    ((viewer,),) = restored.viewers
    assert (viewer.state.x_att.label, viewer.state.y_att.label) == ("wavelength", "flux")
    assert viewer.state.layers[0].yerr_visible


def test_its_data_can_be_used_as_new_ones(restored, tmp_path):
    """Saved again, exported, and its columns found."""
    (data,) = restored.data_collection
    assert find_column(data, "flux").label == "flux"
    export_spectrum(tmp_path / "again.fits", data.subsets[0])
    assert len(read_spectra(tmp_path / "again.fits")) == data.subsets[0].to_mask().sum()
    restored.save_session(str(tmp_path / "again.glu"))
    assert (tmp_path / "again.glu").stat().st_size > 1000


def test_without_its_file(tmp_path, qtbot, registered):
    from glue_qt.app import GlueApplication

    shutil.copy(DATA / "session-0.1.glu", tmp_path)
    with pytest.raises(
        FileNotFoundError, match=r"1 of the session's SPHEREx files cannot be found: .*session-0\.1\.vot"
    ):
        GlueApplication.restore_session(str(tmp_path / "session-0.1.glu"), show=False)
