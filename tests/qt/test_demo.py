"""The demonstration from the command line to the window."""

import numpy as np
from glue_qt.app import GlueApplication

from glue_spherex.cli import main
from glue_spherex.demo import make_demo
from glue_spherex.plugin.columns import spectra_in
from glue_spherex.qt.arrange import PLACES


def test_demo(tmp_path, monkeypatch, capsys, qtbot):
    windows = []
    monkeypatch.setitem(make_demo.__kwdefaults__, "images", 12)
    monkeypatch.setattr(GlueApplication, "start", lambda window, **options: windows.append(window))
    assert main(["demo", "--output", str(tmp_path / "demo")]) == 0
    (window,) = windows
    try:
        assert {type(viewer) for viewer in window.viewers[0]} == set(PLACES)
        (spectra,) = spectra_in(window.data_collection)
        assert len(set(spectra["label"])) == 7
        assert len(set(spectra["lvf_id"])) == 12
        assert np.isfinite(spectra["flux"]).any()
    finally:
        window.close()
    told = capsys.readouterr().out
    assert "hot-star has a point to look at, at " in told
    assert (tmp_path / "demo" / "spectra.png").stat().st_size > 10_000
