import json
import os

import pytest
from loopback_services import SearchServices

from glue_spherex import FolderCollection, measure, read_targets
from glue_spherex.cli import main
from glue_spherex.images.archive.answer_cache import AnswerCache
from glue_spherex.images.archive.cutout_store import CutoutStore


@pytest.fixture
def field(simulated):
    return simulated("field", images=1, size=30, detectors=(3,), flux_correction=True)


@pytest.fixture
def archive(field, loopback, monkeypatch):
    archive = loopback()
    archive.search = SearchServices().join(archive)
    archive.search.add_field(archive, field)
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", archive.url)
    return archive


def said(capsys, *arguments, status=0):
    assert main([*arguments, "--json"]) == status
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_fetch_makes_a_folder_that_can_be_measured(archive, field, tmp_path, capsys):
    output = tmp_path / "fetched"
    summary = said(capsys, "fetch", str(field.targets), "--output", str(output))
    assert summary["cutouts"] >= 1
    assert summary["failed_images"] == 0
    assert summary["megabytes"] > 50
    assert summary["folder"] == str(output)
    sources = read_targets(field.targets).sources
    there = measure(sources, FolderCollection(field.folder / "images", field.calibration))
    here = measure(sources, FolderCollection(output / "images", output / "calibration"))
    assert set(here["label"]) <= set(there["label"])
    assert all(here["lvf_id"] == there["lvf_id"][0])

    archive.forget()
    again = said(capsys, "fetch", str(field.targets), "--output", str(output))
    assert again["cutouts"] == summary["cutouts"]
    assert (again["megabytes"], archive.moved) == (0.0, 0)


def test_fetch_adds_to_a_folder_and_replaces_nothing(archive, field, tmp_path, capsys):
    words = ["fetch", str(field.targets), "--output", str(tmp_path / "out")]
    said(capsys, *words)
    (cutout,) = (tmp_path / "out" / "images").rglob("*.fits")
    (tmp_path / "out" / "mine.txt").write_text("mine")
    maps = sorted((tmp_path / "out" / "calibration").rglob("*.fits"))
    maps[0].unlink()
    cutout.unlink()
    cutout.write_bytes(b"mine")
    said(capsys, *words)
    assert (cutout.read_bytes(), (tmp_path / "out" / "mine.txt").read_text()) == (b"mine", "mine")
    assert sorted((tmp_path / "out" / "calibration").rglob("*.fits")) == maps


def test_fetch_says_what_cannot_be_had(archive, field, capsys):
    archive.fault("level2", "page")
    assert main(["fetch", str(field.targets)]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("0 cutouts in ")
    assert "1 images cannot be had" in out
    assert "is not a FITS file" in err


@pytest.mark.parametrize("box", ["4", "102", "500"])
def test_a_box_that_cannot_be_measured_with(archive, field, capsys, box):
    assert main(["fetch", str(field.targets), "--background-box", box]) == 2
    assert f"background_box is {box}; a whole number of pixels from 5 to 101 is needed" in capsys.readouterr().err
    assert archive.requests == []


def test_a_folder_that_cannot_be_written(archive, field, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["fetch", str(field.targets), "--output", str(tmp_path / "file" / "fetched")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "fetched' cannot be written: Not a directory; choose another one" in line
    assert archive.requests == []


def test_many_failures_are_not_all_told(archive, field, capsys, monkeypatch):
    monkeypatch.setattr("glue_spherex.cli_archive.MOST_FAILURES", 1)
    entry = archive.search.rows[0]
    name = entry["obs_publisher_did"].partition("?")[2].partition("/")[0]
    for number in range(3, 6):  # images that are not there
        other = f"{name[:-6]}{number}{name[-5:]}"
        told = {key: entry[key].replace(name, other) for key in ("access_url", "obs_publisher_did", "cloud_access")}
        archive.search.rows.append(entry | told)
    assert main(["fetch", str(field.targets)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "level2_" in lines[0]
    assert lines[1] == "glue-spherex: … and 2 more images"


def test_cache(archive, field, capsys):
    n = said(capsys, "fetch", str(field.targets))["cutouts"]
    store = CutoutStore()
    status = said(capsys, "cache", "status")
    assert status["folder"] == str(store.folder)
    assert status["cutouts"] == n
    assert status["product_bytes"] > 50_000_000
    assert main(["cache", "status"]) == 0
    assert f"cutouts      {n}, " in capsys.readouterr().out

    assert said(capsys, "cache", "verify")["removed"] == []
    path = next((store.current / "images").rglob("*.fits"))
    content = bytearray(path.read_bytes())
    content[-5000] ^= 1
    path.write_bytes(content)
    assert said(capsys, "cache", "verify")["removed"] == [str(path)]
    assert said(capsys, "fetch", str(field.targets))["cutouts"] == n

    assert said(capsys, "cache", "prune", "--limit", "0")["removed"] == 0  # used just now
    for file in (store.current / "images").rglob("*.fits"):
        os.utime(file, (1, 1))
    assert said(capsys, "cache", "prune")["removed"] == 0
    assert said(capsys, "cache", "prune", "--limit", "0")["removed"] == n
    assert main(["cache", "clear"]) == 2
    assert "add --yes" in capsys.readouterr().err
    assert AnswerCache().images()
    assert main(["cache", "clear", "--yes"]) == 0
    assert "files stay, because a run is under way or they were used lately" in capsys.readouterr().out
    assert AnswerCache().images() == []
    assert said(capsys, "cache", "status")["product_bytes"] > 50_000_000
    assert said(capsys, "cache", "clear", "--yes", "--all")["removed"] >= 3
    assert said(capsys, "cache", "status")["product_bytes"] == 0


def test_cutouts_of_results_that_are_gone(archive, field, tmp_path, capsys):
    n = said(capsys, "fetch", str(field.targets))["cutouts"]
    store, result = CutoutStore(), str(tmp_path / "result")
    files = list(store.images.rglob("*.fits"))
    store.pin(result, files)
    for file in files:
        os.utime(file, (1, 1))
    assert main(["cache", "status"]) == 0
    assert "cache prune --missing-results" in capsys.readouterr().out
    assert main(["cache", "prune", "--limit", "0"]) == 0
    assert "results that are gone, whose cutouts are kept: 1" in capsys.readouterr().out
    answer = said(capsys, "cache", "prune", "--missing-results")
    assert (answer["removed"], answer["forgotten_results"]) == (n, [result])
    store.pin(result, [])
    assert main(["cache", "prune", "--missing-results"]) == 0
    assert f"forgotten: the result {result}, which is gone" in capsys.readouterr().out


@pytest.mark.parametrize("limit", ["-1", "much", "nan"])
def test_a_limit_that_is_none(limit, capsys):
    with pytest.raises(SystemExit):
        main(["cache", "prune", f"--limit={limit}"])
    assert "is not a size in GB" in capsys.readouterr().err
