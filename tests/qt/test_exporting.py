"""Saving through glue's dialog, and what it says when it fails."""

import numpy as np
import pytest
from glue.config import data_exporter

from glue_spherex import read_spectra
from glue_spherex.qt.exporting import say_failures


@pytest.fixture
def dialog(application, measured_spectra, monkeypatch, tmp_path):
    """glue's dialog, the spectrum that is loaded, and the messages that are shown."""
    from glue_qt.app.save_data import SaveDataDialog
    from glue_qt.core.data_exporters import dialog as export_dialog
    from qtpy import QtWidgets

    say_failures()
    data = application.load_data(str(measured_spectra))
    said = []
    monkeypatch.setattr(QtWidgets.QMessageBox, "exec_", lambda box: said.append(box.text()), raising=False)
    monkeypatch.setenv("GLUE_TESTING", "False")
    window = SaveDataDialog(application.data_collection)

    def choose(name):
        (exporter,) = (e for e in data_exporter if e.label == "SPHEREx spectrum, FITS")
        window.state.exporter = exporter
        monkeypatch.setattr(export_dialog.compat, "getsavefilename", lambda **kwargs: (str(tmp_path / name), ""))
        return window

    yield choose, data, said
    window.close()
    monkeypatch.setenv("GLUE_TESTING", "True")


def test_a_subset_is_saved(dialog, application, tmp_path):
    choose, data, said = dialog
    application.data_collection.new_subset_group("red", data.id["wavelength"] > 2.5)
    window = choose("red.fits")
    window.state.data = data
    window.state._sync_subsets()
    window.state.subset = data.subsets[0]
    window.ui.button_ok.click()
    assert said == []
    np.testing.assert_array_equal(
        read_spectra(tmp_path / "red.fits")["flux"].value, data["flux"][data["wavelength"] > 2.5]
    )


def test_what_fails_is_said(dialog):
    choose, _, said = dialog
    choose("nowhere/x.fits").ui.button_ok.click()
    assert len(said) == 1
    assert said[0].startswith("The spectrum cannot be saved\n")
    assert "nowhere/x.fits: cannot be written" in said[0]
