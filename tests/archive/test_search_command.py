import json

import numpy as np
import pytest
from astropy.table import Table
from loopback_services import SearchServices, row

from glue_spherex.cli import main

OBSID = "2025W51_1A_{:04d}_1"
KEY = "qr2/level2/2025W51_1A/l2b-v21-2025-354/{d}/level2_{o}D{d}_spx_l2b-v21-2025-354.fits"


@pytest.fixture
def archive(loopback, monkeypatch):
    """Two images around (150, 2), on detectors 3 and 4."""
    archive = loopback()
    services = SearchServices().join(archive)
    for detector in (3, 4):
        obsid = OBSID.format(detector)
        corners = np.array([[148.5, 0.5], [151.5, 0.5], [151.5, 3.5], [148.5, 3.5]])
        key = KEY.format(d=detector, o=obsid)
        services.rows.append(row(archive, key, corners, 61027.5, 61027.6, "spherex_qr2", 70_000, obsid, detector))
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", archive.url)
    return archive


def test_search(archive, capsys):
    assert main(["search", "--target", "150.0 2.0", "--target", "20.0 2.0"]) == 0
    out, _ = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["target", "images", "D1", "D2", "D3", "D4", "D5", "D6", "mjd_first", "mjd_last"]
    assert lines[-3] == ["150.00000_2.00000", "2", "0", "0", "1", "1", "0", "0", "61027.550", "61027.550"]
    assert lines[-2] == ["20.00000_2.00000", "0", "0", "0", "0", "0", "0", "0", "--", "--"]
    assert out.splitlines()[-1].startswith("2 images, 140 MB as whole files; the archive was asked on 20")


def test_search_as_json(archive, capsys):
    assert main(["search", "--target", "150.0 2.0", "--detectors", "4", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary.pop("asked").endswith(" UTC")
    assert summary == {
        "images": 1, "detectors": [4], "collections": ["spherex_qr2"], "megabytes": 70.0, "requests": 6,
    }  # fmt: skip


@pytest.mark.parametrize("extension", ["ecsv", "csv", "vot", "fits"])
def test_list_of_images(archive, tmp_path, capsys, extension):
    path = tmp_path / f"images.{extension}"
    assert main(["search", "--target", "150.0 2.0", "--output", str(path)]) == 0
    table = Table.read(path)
    assert list(table["detector"]) == [3, 4]
    assert [str(text) for text in table["obsid"]] == [OBSID.format(3), OBSID.format(4)]
    assert str(table["access_url"][0]).startswith(archive.url)
    asked, content = len(archive.requests), path.read_bytes()
    words = ["search", "--target", "20.0 2.0", "--output", str(path)]
    assert main(words) == 2
    assert f"{path}: it is there already, and would be replaced; name another file, or add --overwrite" in (
        capsys.readouterr().err
    )
    assert (len(archive.requests), path.read_bytes()) == (asked, content)
    main([*words, "--overwrite"])
    assert len(Table.read(path)) == 0


@pytest.mark.parametrize(
    ("name", "message"), [("x.foo", "the extension '.foo' is unknown"), ("none/x.ecsv", "there is no folder")]
)
def test_a_list_that_cannot_be_written_is_refused_before_anybody_is_asked(archive, tmp_path, capsys, name, message):
    assert main(["search", "--target", "150.0 2.0", "--output", str(tmp_path / name)]) == 2
    assert message in capsys.readouterr().err
    assert archive.requests == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--target", "20.0 2.0"], "no image of this position in any collection"),
        (["--target", "20.0 2.0", "--detectors", "4"], "no image of this position in any collection"),
        (["--target", "20.0 2.0", "--target", "30 2"], "no image of any of these 2 positions in any collection"),
        (["--target", "150.0 2.0", "--release", "QR3"], "no image of this position in any collection of qr3"),
        (["--target", "150.0 2.0", "--fields", "deep"], "no image of this position in any deep collection"),
        (["--target", "150 2", "--collection", "qr3"], "no image of this position in any collection among qr3"),
        (
            ["--target", "150.0 2.0", "--detectors", "5"],
            "2 images of this position, but none that --detectors lets pass",
        ),
        (
            ["--target", "150.0 2.0", "--detectors", "4", "--time", "60000:61000"],
            "2 images of this position, but none that --detectors and --time let pass",
        ),
    ],
)
def test_why_nothing_is_found(archive, capsys, words, reason):
    for command in ("search", "fetch"):
        assert main([command, *words]) == 2
        out, err = capsys.readouterr()
        assert out.splitlines()[-1].startswith("0 ")
        assert err == f"glue-spherex: the archive has {reason}\n"
    assert main(["estimate", *words]) == 2
    assert capsys.readouterr() == ("", f"glue-spherex: the archive has {reason}\n")
    assert main(["search", *words, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["images"] == 0


def test_what_cannot_be_done_is_one_sentence(archive, capsys, tmp_path):
    assert main(["search", "--target", "150.0 2.0", "--output", str(tmp_path / "x.txt")]) == 2
    assert "the extension '.txt' is unknown" in capsys.readouterr().err
    assert main(["search", "--target", "150.0 2.0", "--release", "qr9"]) == 2
    assert "no collection of the release 'qr9'" in capsys.readouterr().err
    asked = len(archive.requests)
    for command in ("search", "fetch", "estimate"):
        assert main([command, "--target", "150.0 2.0", "--release", "third"]) == 2
        assert "release is 'third'; a name such as 'qr3' is needed" in capsys.readouterr().err
    assert len(archive.requests) == asked
    (tmp_path / "glue-spherex-home").mkdir(exist_ok=True)
    (tmp_path / "glue-spherex-home" / "archive.toml").write_text("patience_s = 0.0\n")
    archive.stop()
    archive.stop = lambda: None
    assert main(["search", "--target", "20.0 60.0"]) == 2
    assert "is this computer connected?" in capsys.readouterr().err
