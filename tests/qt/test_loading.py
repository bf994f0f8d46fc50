"""Our data in glue's own window: links without a question, an image with its coordinates."""

import numpy as np
import pytest

from glue_spherex.plugin.links import link_all


@pytest.fixture
def never_asks(monkeypatch):
    """A modal question fails the test instead of waiting for ever."""
    from glue_qt.dialogs.autolinker.autolinker import AutoLinkPreview

    def ask(*args, **kwargs):
        raise AssertionError("glue asked about links")

    monkeypatch.setattr(AutoLinkPreview, "__init__", ask)


def test_files_are_linked_when_they_are_loaded(application, never_asks, measured_spectra, small_field):
    spectra = application.load_data(str(measured_spectra))
    targets = application.load_data(str(small_field.targets))
    application.data_collection.new_subset_group("first", targets.id["source_id"] == 0)
    np.testing.assert_array_equal(spectra.subsets[0].to_mask(), spectra["source_id"] == 0)
    again = application.load_data(str(measured_spectra))
    np.testing.assert_array_equal(again.subsets[0].to_mask(), spectra["source_id"] == 0)
    assert link_all(application.data_collection) == []


def test_images_in_an_image_viewer(application, never_asks, small_field):
    """Two images of one field overlay by their sky."""
    from glue_qt.viewers.image import ImageViewer

    first, second, *_ = sorted((small_field.folder / "images").glob("*.fits"))
    a, b = (application.load_data(str(path)) for path in (first, second))
    viewer = application.new_data_viewer(ImageViewer, data=a)
    viewer.add_data(b)
    assert [layer.enabled for layer in viewer.layers] == [True, True]
    viewer.figure.canvas.draw()
    assert {viewer.axes.get_xlabel(), viewer.axes.get_ylabel()} == {"Right Ascension", "Declination"}


def test_the_preferences_show_how_links_are_made(application, monkeypatch):
    """And pressing OK there does not change it."""
    from glue.config import settings
    from glue_qt.app.preferences import AutolinkPreferencesPane

    from glue_spherex import plugin

    monkeypatch.setattr(settings, "_members", {**settings._members, "AUTOLINK": {}})
    plugin.setup()
    pane = AutolinkPreferencesPane()
    assert pane.combos["SPHEREx"].currentData() == "always_accept"
    pane.finalize()
    assert settings.AUTOLINK["SPHEREx"] == "always_accept"


def test_a_bad_file_is_said_in_words(application, tmp_path, monkeypatch, measured_spectra):
    """The reason is the first thing among the details of glue's message."""
    from glue_qt.dialogs.data_wizard import data_wizard_dialog
    from qtpy import QtWidgets

    bad = tmp_path / "bad.vot"
    bad.write_bytes(measured_spectra.read_bytes()[:20000])
    said = []

    class Dialog(data_wizard_dialog.GlueDataDialog):
        def _get_paths_and_factory(self):
            self._curfile = str(bad)
            return [str(bad)], data_wizard_dialog.GlueDataDialog.factory(self)

    monkeypatch.setattr(data_wizard_dialog, "GlueDataDialog", Dialog)
    monkeypatch.setattr(QtWidgets.QMessageBox, "exec_", lambda box: said.append(box.detailedText()), raising=False)
    assert data_wizard_dialog.data_wizard() == []
    assert said[0].startswith(f"Error message: {bad}: cannot be read as a spectrum")
