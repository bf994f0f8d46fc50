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
