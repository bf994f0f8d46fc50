import numpy as np
import pytest

pytest.importorskip("glue_qt")
pytest.importorskip("pytestqt")

from glue_spherex import write_spectra
from glue_spherex.model.spectrum import COLUMNS, new_table


def test_window_with_a_spectrum(tmp_path, qtbot, monkeypatch):
    """The window of the demonstration: a scatter viewer of flux against wavelength with error bars."""
    from glue_qt.viewers.scatter import ScatterViewer

    from glue_spherex.qt.application import spectrum_window

    monkeypatch.setenv("GLUE_TESTING", "True")
    kinds = {"float": np.linspace(1, 2, 9), "int": np.arange(9), "bool": np.zeros(9, bool), "text": np.full(9, "a")}
    write_spectra(new_table({c.name: kinds[c.dtype] for c in COLUMNS}), tmp_path / "spectra.vot")
    application = spectrum_window(tmp_path / "spectra.vot")
    try:
        application.show()
        (viewer,) = application.viewers[0]
        assert isinstance(viewer, ScatterViewer)
        assert (viewer.state.x_att.label, viewer.state.y_att.label) == ("wavelength", "flux")
        assert viewer.state.layers[0].yerr_visible
        assert len(application.data_collection) == 1
        assert "µJy" in viewer.axes.get_ylabel()
    finally:
        application.close()


def test_says_why_glue_cannot_be_opened(monkeypatch):
    from glue_spherex.qt.application import can_show

    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert "no display" in can_show()
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert can_show() == ""
