"""The demonstration from the command line to the window."""

import json
import os
import re
import shutil

import numpy as np
import pytest
import requests
from glue_qt.app import GlueApplication

from glue_spherex import FolderCollection, measure, read_spectra, read_targets
from glue_spherex.cli import main
from glue_spherex.demo import _forget_earlier, archive_demo, make_demo
from glue_spherex.photometry import PhotometryError
from glue_spherex.plugin.columns import spectra_in
from glue_spherex.plugin.cutouts.finding import image_folders
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
    assert main(["demo", "--output", str(tmp_path / "demo")]) == 2
    result = tmp_path / "demo" / "result"
    assert (
        f"holds a demonstration already: look at it with 'glue {result / 'targets.ecsv'} {result / 'spectra.vot'}', "
        "or make it anew with --overwrite" in capsys.readouterr().err
    )
    written = json.loads((result / "settings.json").read_text())
    (command,) = (part["command"] for part in written.values() if isinstance(part, dict) and "command" in part)
    assert main(command[1:]) == 0  # measures the same again
    again = read_spectra(tmp_path / "demo" / "result-again" / "spectra.vot")
    np.testing.assert_array_equal(again["flux"], read_spectra(result / "spectra.vot")["flux"])
    before = (result / "settings.json").stat().st_mtime_ns
    assert main(["demo", "--output", str(tmp_path / "demo"), "--overwrite", "--no-gui"]) == 0
    assert (result / "settings.json").stat().st_mtime_ns > before


def test_demo_from_an_archive(tmp_path, monkeypatch, capsys, qtbot):
    """Fetched while the archive runs, measured, shown; afterwards neither the archive nor its files are needed."""
    windows, seen = [], {}

    def start(window, **options):
        windows.append(window)
        seen.update(url=os.environ["GLUE_SPHEREX_ARCHIVE"], home=os.environ["GLUE_SPHEREX_HOME"])
        seen["listing"] = requests.get(f"{seen['url']}/ibe/dir/list/spherex/", timeout=60).text

    monkeypatch.setitem(archive_demo.__wrapped__.__kwdefaults__, "images", 2)
    monkeypatch.setattr("glue_spherex.demo.LATENCY_S", 0.0)
    monkeypatch.setattr(GlueApplication, "start", start)
    home, output = os.environ["GLUE_SPHEREX_HOME"], tmp_path / "demo"
    assert main(["demo", "--archive", "--output", str(output)]) == 0
    told = capsys.readouterr().out
    (fetched,) = re.findall(r"fetched: +(\d+) MB in (\d+) requests from http://127", told)
    assert int(fetched[0]) >= 50  # the maps of a detector
    assert seen["home"] == str(output / "glue-spherex-home")
    assert '"qr2"' in seen["listing"]
    assert os.environ["GLUE_SPHEREX_HOME"] == home
    assert "GLUE_SPHEREX_ARCHIVE" not in os.environ
    assert not os.path.exists(os.path.join(home, "cutouts"))
    with pytest.raises(requests.ConnectionError):
        requests.get(seen["url"], timeout=60)

    targets = read_targets(output / "archive" / "targets.csv").sources
    (window,) = windows
    try:
        window.save_session(str(tmp_path / "demo.glu"))
        shutil.rmtree(output / "archive")
        (spectra,) = spectra_in(window.data_collection)
        assert image_folders(spectra) == [str(output / "result" / "images")]
        calibration = json.loads((output / "result" / "settings.json").read_text())["request"]["archive"]["calibration"]
        again = measure(
            targets,
            FolderCollection(output / "result" / "images", calibration),
            extent="infinite",
        )
        assert len(set(again["lvf_id"])) == 2
        np.testing.assert_array_equal(again["flux"].value, spectra["flux"])
    finally:
        window.close()
    assert (output / "spectra.png").stat().st_size > 10_000
    restored = GlueApplication.restore_session(str(tmp_path / "demo.glu"), show=False)
    try:
        labels = [data.label for data in window.data_collection]
        assert [data.label for data in restored.data_collection] == labels
        assert "catalogue" in labels
    finally:
        restored.close()


def test_a_second_demo_fetches_anew(tmp_path, monkeypatch):
    monkeypatch.setattr("glue_spherex.demo.LATENCY_S", 0.0)
    summaries = []
    for _ in range(2):
        with archive_demo(tmp_path / "demo", images=1, overwrite=True) as demo:
            summaries.append(re.findall(r"fetched: .* MB", demo.summary))
    assert summaries[0] == summaries[1] != []
    (tmp_path / "other" / "result" / "images").mkdir(parents=True)
    mine = tmp_path / "other" / "result" / "images" / "mine.fits"
    mine.write_bytes(b"")
    _forget_earlier(tmp_path / "other")  # where no demonstration was
    assert mine.exists()
    for demo in (archive_demo(tmp_path / "other").__enter__, lambda: make_demo(tmp_path / "other")):
        with pytest.raises(PhotometryError, match=r"other' holds other files, .* a folder of its own with --output"):
            demo()
