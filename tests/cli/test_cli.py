import json
import os
import subprocess
import sys

import numpy as np
import pytest
from astropy.table import Table

from glue_spherex import read_spectra
from glue_spherex.cli import main


@pytest.fixture
def field(simulated):
    return simulated("pair", images=24, detectors=(2, 5), seed=12)


def fails(capsys, *arguments):
    """Run a command that can do nothing; the one line that it says."""
    assert main([str(a) for a in arguments]) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert lines[-1].startswith("glue-spherex: ")
    assert "Traceback" not in captured.err
    assert captured.out == ""
    return lines[-1]


def measure(field, output, *more):
    return main(
        ["measure", str(field.targets), "--images", str(field.folder / "images"), "--calibration",
         str(field.calibration), "--output", str(output), *map(str, more)]
    )  # fmt: skip


def test_measure(field, tmp_path, capsys):
    assert measure(field, tmp_path / "out", "--json") == 0
    captured = capsys.readouterr()
    summary = json.loads(captured.out.strip().splitlines()[-1])
    assert list(summary) == [
        "images", "measurements", "failed_images", "rejected_targets", "seconds", "index_seconds", "measure_seconds",
    ]  # fmt: skip
    assert (summary["images"], summary["measurements"]) == (24, 48)
    assert (summary["failed_images"], summary["rejected_targets"]) == (0, 0)
    assert summary["seconds"] >= summary["index_seconds"] + summary["measure_seconds"] - 1e-3
    assert captured.err == ""  # not a terminal: no progress bar
    spectra = read_spectra(tmp_path / "out" / "spectra.vot")
    assert len(spectra) == 48
    names = sorted(path.name for path in (tmp_path / "out" / "spectra").iterdir())
    assert names == ["pair-1a.vot", "pair-1b.vot"]
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert settings["settings"]["engine"] == "builtin"
    assert settings["releases"] == ["spherex_qr2"]
    assert set(Table.read(tmp_path / "out" / "targets.ecsv")["status"]) == {"measured"}
    assert set(Table.read(tmp_path / "out" / "images.ecsv")["wavelength_source"]) == {"CWAVE"}


def test_same_numbers_with_two_workers_and_again(field, tmp_path):
    assert measure(field, tmp_path / "one") == 0
    assert measure(field, tmp_path / "two", "--workers", 2) == 0
    one, two = (read_spectra(tmp_path / name / "spectra.vot") for name in ("one", "two"))
    for name in one.colnames:
        np.testing.assert_array_equal(np.asarray(one[name]), np.asarray(two[name]))


def test_same_numbers_whatever_the_number_of_threads(field, tmp_path):
    """Fits of many sources at once, in programs whose libraries may use all cores."""
    from glue_spherex import FolderCollection, read_targets
    from glue_spherex import measure as measured

    images = FolderCollection(field.folder / "images", field.calibration)
    images.refresh()
    with images.open(images.records[0]) as image:
        sky = image.wcs.pixel_to_world(*np.random.default_rng(6).uniform(5, 35, (2, 150)))
    Table({"ra": sky.ra.deg, "dec": sky.dec.deg}).write(tmp_path / "crowd.csv")
    begin, end = np.sort([record.mjd for record in images.records])[[0, 7]]
    here = measured(read_targets(tmp_path / "crowd.csv").sources, images, time=(begin - 0.01, end + 0.01))
    code = "import sys; from glue_spherex.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "measure", str(tmp_path / "crowd.csv"), "--images"]
    command += [str(field.folder / "images"), "--calibration", str(field.calibration)]
    command += ["--time", f"{begin - 0.01}:{end + 0.01}", "--format", "fits", "--output"]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    for name, more, variables in (("plain", [], {}), ("workers", ["--workers", "2"], {"OPENBLAS_NUM_THREADS": "1"})):
        there = [*command, str(tmp_path / name), *more]
        subprocess.run(there, env=environment | variables, check=True, capture_output=True)
        there = read_spectra(tmp_path / name / "spectra.fits")
        assert len(here) == len(there) > 1000
        for column in ("flux", "flux_err", "flux_bkg", "fit_ql"):
            np.testing.assert_array_equal(np.asarray(there[column]), np.asarray(here[column]), err_msg=column)


def test_a_result_tells_how_to_make_it_again(field, tmp_path):
    """The command in settings.json gives the same spectra, bit for bit."""
    options = ["--detectors", "2,5", "--wavelength", "1.2:1.4", "--wavelength", "4:4.21", "--psf-shift=-0.1,0.02"]
    options += ["--background-box", 21, "--background-mode", "zodi", "--time", "60000:70000.5", "--workers", 2]
    assert measure(field, tmp_path / "out", *options) == 0
    made = json.loads((tmp_path / "out" / "settings.json").read_text())["made"]
    assert made["command"][0] == "glue-spherex"
    assert main(made["command"][1:]) == 0
    for name in ("spectra.vot", "targets.ecsv", "spectra/pair-1a.vot"):
        assert (tmp_path / "out-again" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    assert {"python", "numpy", "scipy", "astropy"} == set(made["libraries"])
    assert made["time"].endswith("+00:00")
    assert {os.path.dirname(file["path"]) for file in made["calibration_files"]} <= {
        str(path) for path in [field.calibration, *field.calibration.rglob("*")]
    }
    assert all(file["size"] > 0 and file["mtime_ns"] > 0 for file in made["calibration_files"])
    images = Table.read(tmp_path / "out" / "images.ecsv")
    for row in images:
        status = os.stat(row["path"])
        assert (row["size"], row["mtime_ns"]) == (status.st_size, status.st_mtime_ns)
        assert row["version"]
        assert row["file_version"]


@pytest.mark.parametrize("file_format", ["fits", "ecsv", "ipac", "csv"])
def test_formats(field, tmp_path, file_format):
    assert measure(field, tmp_path, "--format", file_format, "--detectors", "2") == 0
    paths = list((tmp_path / "spectra").iterdir())
    assert len(paths) == 2
    assert all(len(read_spectra(path)) == 12 for path in paths)


def test_parquet_without_its_package(field, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    arguments = ["measure", field.targets, "--images", field.folder / "images", "--output", tmp_path / "o"]
    assert "Parquet needs pyarrow" in fails(capsys, *arguments, "--format", "parquet")
    assert not (tmp_path / "o").exists()


def test_targets_on_the_command_line(field, tmp_path):
    row = Table.read(field.targets)[0]
    arguments = ["measure", "--target", f"{row['ra']} {row['dec']}", "--images", str(field.folder / "images")]
    assert main([*arguments, "--output", str(tmp_path), "--wavelength", "1.2:1.4", "--wavelength", "4:4.2"]) == 0
    spectra = read_spectra(tmp_path / "spectra.vot")
    wavelength = spectra["wavelength"].value
    assert len(spectra) > 3
    assert (((wavelength > 1.2) & (wavelength < 1.4)) | ((wavelength > 4.0) & (wavelength < 4.2))).all()
    assert [path.suffix for path in (tmp_path / "spectra").iterdir()] == [".vot"]


def test_wrong_rows_are_listed_and_the_others_measured(field, tmp_path, capsys):
    good = field.targets.read_text().splitlines()
    rows = [
        *good,
        "400,0,far,,,,,,,",
        "x,y,text,,,,,,,",
        f"{good[1].split(',')[0]},95,up,,,,,,,",
        "1,2,thick,9,1,0,5,,,",
    ]
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    out = tmp_path / "out"
    status = main(
        ["measure", str(tmp_path / "list.csv"), "--images", str(field.folder), "--output", str(out), "--json"]
    )
    captured = capsys.readouterr()
    assert status == 0
    assert json.loads(captured.out)["rejected_targets"] == 4
    for words in ("row 3: ", "400", "row 4: ", "row 5: ", "95", "row 6: ", "0.5 <= n <= 6"):
        assert words in captured.err
    table = Table.read(out / "targets.ecsv")
    assert table["status"].tolist() == ["measured"] * 2 + ["rejected"] * 4


def test_one_wrong_position_does_not_stop_the_others(field, tmp_path, capsys):
    row = Table.read(field.targets)[0]
    arguments = ["measure", "--target", "400 20", "--target", f"{row['ra']} {row['dec']}", "--json"]
    assert main([*arguments, "--images", str(field.folder / "images"), "--output", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["rejected_targets"] == 1
    assert "row 1" in captured.err
    assert "400" in captured.err
    table = Table.read(tmp_path / "targets.ecsv")
    assert table["status"].tolist() == ["rejected", "measured"]


def test_nothing_measured_is_status_2(field, tmp_path, capsys):
    """Beside the image by less than the margin of the search: found, but without a row."""
    from glue_spherex.images import SpectralImage

    with SpectralImage.open(field.images[0]) as image:
        ra, dec = image.to_sky(np.array([-5.0]), np.array([20.0]))
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / field.images[0].name).symlink_to(field.images[0])
    message = fails(
        capsys, "measure", "--target", f"{ra[0]} {dec[0]}", "--images", folder, "--output", tmp_path / "out"
    )
    assert "no source lies on the image" in message
    assert Table.read(tmp_path / "out" / "targets.ecsv")["status"].tolist() == ["no image"]
    assert not (tmp_path / "out" / ".glue-spherex.lock").exists()


def test_an_image_that_fails_is_the_reason(field, tmp_path, capsys):
    from astropy.io import fits

    folder = tmp_path / "one"
    folder.mkdir()
    with fits.open(field.images[0]) as hdus:
        hdus["PSF"].data[:] = np.nan
        hdus.writeto(folder / field.images[0].name)
    message = fails(capsys, "measure", field.targets, "--images", folder, "--output", tmp_path / "out")
    assert "PSF" in message
    table = Table.read(tmp_path / "out" / "targets.ecsv")
    assert set(table["status"]) == {"failed"}
    assert "images could not be measured" in table["reason"][0]


def test_a_second_result_replaces_the_first_if_that_is_said(field, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert measure(field, tmp_path) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    capsys.readouterr()
    for more in (["--format", "fits"], ["--background"]):
        assert measure(field, tmp_path, *more) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith(
            f"glue-spherex: the folder {str(tmp_path)!r} holds settings.json, targets.ecsv, images.ecsv, "
        )
        assert err.endswith("which would be replaced; name another folder, or add --overwrite.\n")
    assert {path: path.read_bytes() for path in before} == before
    assert measure(field, tmp_path, "--format", "fits", "--overwrite") == 0
    assert sorted(path.name for path in (tmp_path / "spectra").iterdir()) == ["pair-1a.fits", "pair-1b.fits"]
    assert not (tmp_path / "spectra.vot").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_target_list_is_not_replaced_by_that_of_the_result(field, tmp_path, capsys):
    (tmp_path / "targets.ecsv").write_text("mine")
    assert "holds targets.ecsv already" in fails(
        capsys, "measure", field.targets, "--images", field.folder / "images", "--output", tmp_path
    )
    assert [path.name for path in tmp_path.iterdir() if "home" not in path.name] == ["targets.ecsv"]


def test_a_result_that_appears_while_the_images_are_looked_at(field, tmp_path, capsys, monkeypatch):
    from glue_spherex import cli_measure

    def refreshed(images):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "settings.json").write_text("{}")
        images.refresh()

    monkeypatch.setattr(cli_measure, "refreshed", refreshed)
    assert measure(field, tmp_path / "out") == 2
    assert "holds settings.json already" in capsys.readouterr().err
    assert (tmp_path / "out" / "settings.json").read_text() == "{}"


def test_releases_are_never_mixed_silently(simulated, field, tmp_path, capsys):
    other = simulated("pair", images=4, detectors=(2, 5), seed=12, release="qr3")
    arguments = ["measure", "--images", str(field.folder), "--images", str(other.folder), "--output", str(tmp_path)]
    for one in (field, other):
        row = Table.read(one.targets)[0]
        arguments += ["--target", f"{row['ra']} {row['dec']}"]
    assert main(arguments) == 0
    assert "mix releases, whose gains may differ: spherex_qr2, spherex_qr3" in capsys.readouterr().err


def test_a_killed_worker_costs_nothing(field, tmp_path, capsys):
    """SIGKILL to a worker, as a system without memory does: its images are measured here."""
    code = (
        "import multiprocessing, os, signal, sys\n"
        "from glue_spherex.photometry import pipeline\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from glue_spherex import FolderCollection, read_targets\n"
        "if __name__ == '__main__':\n"
        "    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context('fork')) as pool:\n"
        "        pool.submit(os.getpid).result()\n"
        "        images = FolderCollection(sys.argv[2]); images.refresh()\n"
        "        def progress(done, total):\n"
        "            if done == 3: [os.kill(p, signal.SIGKILL) for p in list(pool._processes)]\n"
        "        table = pipeline.run(read_targets(sys.argv[1]).sources, images, executor=pool, progress=progress)\n"
        "        print(len(table.spectra), table.interrupted)\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    command = [sys.executable, str(script), str(field.targets), str(field.folder / "images")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.stdout.split() == ["48", "False"], done.stderr


def test_ctrl_c_with_workers(field, tmp_path):
    """The first Ctrl-C ends the run with what the workers have at hand."""
    code = (
        "import signal, sys; from contextlib import contextmanager; from glue_spherex import terminal\n"
        "@contextmanager\n"
        "def bar(unit, waiting=None):\n"
        "    yield lambda done, total: (unit, done) == ('images', 1) and signal.raise_signal(signal.SIGINT)\n"
        "terminal.progress_bar = bar\n"
        "from glue_spherex.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "measure", str(field.targets), "--images", str(field.folder / "images")]
    command += ["--output", str(tmp_path / "out"), "--workers", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 130)  # the workers may have been faster
    assert "Traceback" not in done.stderr
    assert "stopping after the images at work" in done.stderr
    assert 1 <= json.loads(done.stdout.splitlines()[-1])["images"] <= 24


def test_bad_names_stay_inside_the_folder(field, tmp_path):
    ra, dec = field.targets.read_text().splitlines()[1].split(",")[:2]
    names = ["../../evil", "a/b", "a/b", "", "..", "/etc/passwd"]
    text = "ra,dec,name\n" + "".join(f"{float(ra) + k * 1e-3},{dec},{name}\n" for k, name in enumerate(names))
    (tmp_path / "list.csv").write_text(text)
    out = tmp_path / "out"
    assert main(["measure", str(tmp_path / "list.csv"), "--images", str(field.folder), "--output", str(out)]) == 0
    inside = [path.name for path in (out / "spectra").iterdir()]
    assert len(inside) == 6
    assert sorted(path.name for path in tmp_path.iterdir() if "home" not in path.name) == ["list.csv", "out"]


def test_bad_images(field, tmp_path, capsys):
    target = ["--target", "10 20"]
    folder = tmp_path / "images"
    out = ["--output", tmp_path / "out"]
    assert "there is no folder" in fails(capsys, "measure", *target, "--images", tmp_path / "missing", *out)
    folder.mkdir()
    assert "no FITS file" in fails(capsys, "measure", *target, "--images", folder, *out)
    (folder / "notes.txt").write_text("hello")
    (folder / "text.fits").write_text("hello")
    message = fails(capsys, "measure", *target, "--images", folder, *out)
    assert "text.fits" in message
    assert "none of the 1 FITS files" in message
    assert "the source lies on none" in fails(capsys, "measure", *target, "--images", field.folder / "images", *out)


def test_another_mission_beside_good_images(field, tmp_path, capsys):
    import shutil

    from astropy.io import fits

    folder = tmp_path / "images"
    shutil.copytree(field.folder / "images", folder)
    hdu = fits.ImageHDU(np.zeros((40, 40)), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(folder / "hst.fits")
    paths = sorted(folder.glob("level2*.fits"))
    with open(paths[0], "r+b") as file:
        file.truncate(100_000)
    with fits.open(paths[1], mode="update") as hdus:
        del hdus["VARIANCE"]
    with fits.open(paths[2], mode="update") as hdus:
        hdus["FLAGS"].data = hdus["FLAGS"].data[:-1]
    (folder / "folder.fits").mkdir()
    out = tmp_path / "out"
    assert main(["measure", str(field.targets), "--images", str(folder), "--output", str(out), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["failed_images"] == 4
    assert "4 images failed" in captured.err
    images = Table.read(out / "images.ecsv")
    reasons = {row["path"].rsplit("/", 1)[1]: row["reason"] for row in images if row["status"] == "unreadable"}
    assert set(reasons) == {"hst.fits", *(path.name for path in paths[:3])}
    assert "VARIANCE" in reasons[paths[1].name]
    assert all(reasons.values())


def test_bad_targets(field, tmp_path, capsys):
    images = ["--images", field.folder / "images", "--output", tmp_path / "out"]
    assert "missing.csv: there is no such file; check" in fails(capsys, "measure", tmp_path / "missing.csv", *images)
    (tmp_path / "no.csv").write_text("a,b\n1,2\n")
    assert "no.csv" in fails(capsys, "measure", tmp_path / "no.csv", *images)
    (tmp_path / "bad.csv").write_text("ra,dec\n400,2\n")
    message = fails(capsys, "measure", tmp_path / "bad.csv", *images)
    assert "its only row cannot be measured; row 1: ra is 400" in message
    assert "400" in message
    (tmp_path / "empty.csv").write_text("")
    assert "empty" in fails(capsys, "measure", tmp_path / "empty.csv", *images)
    assert "--target" in fails(capsys, "measure", *images)
    assert "somewhere" in fails(capsys, "measure", "--target", "somewhere", *images)
    assert "looked up by the measure dialog" in fails(capsys, "measure", "--target", "M 87", *images)
    assert "looked up" not in fails(capsys, "measure", "--target", "150 95", *images)


def test_bad_output(field, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    arguments = ["measure", field.targets, "--images", field.folder / "images", "--output"]
    assert "cannot be written" in fails(capsys, *arguments, tmp_path / "file")
    assert "cannot be written" in fails(capsys, *arguments, "/proc/nowhere")


def test_bad_settings(field, tmp_path, capsys):
    arguments = ["measure", field.targets, "--images", field.folder / "images", "--output", tmp_path / "o"]
    assert "a whole number" in fails(capsys, *arguments, "--background-box", 4)
    for wrong in (["--detectors", "7"], ["--wavelength", "2:1"], ["--time", "x"], ["--workers", "0"]):
        with pytest.raises(SystemExit) as stopped:
            main([*map(str, arguments), *wrong])
        assert stopped.value.code == 2
        message = capsys.readouterr().err
        assert wrong[0] in message
        assert ("2025-08-13:2025-09-01" in message) == (wrong[0] == "--time")


def test_ranges_are_typed_as_in_the_dialog(field, capsys):
    arguments = ["estimate", field.targets, "--images", field.folder / "images"]
    said = []
    for wavelength, time in (
        (["--wavelength", "1.2:1.5", "--wavelength", "4:4.2"], "60000:80000"),
        (["--wavelength", "1.2-1.5, 4-4.2"], "2023-02-25:2077-11-27"),
    ):
        assert main([str(a) for a in (*arguments, *wavelength, "--time", time)]) == 0
        said.append(capsys.readouterr().out.rpartition(", about")[0])
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("words", "command", "reason"),
    [
        (["measure", "--workers", "x"], "measure", "argument --workers: 'x' is not a whole number from 1 up"),
        (["measure", "--out", "result/"], "measure", "unrecognized arguments: --out"),  # not taken for --output
        (["cache", "prune", "--lim", "5"], "cache prune", "unrecognized arguments: --lim 5"),
        (["jobs", "show", "--js", "3f9a01c7"], "jobs show", "unrecognized arguments: --js"),
        (["jobs"], "jobs", "the following arguments are required: ACTION"),
        (["--vers"], "", "the following arguments are required: COMMAND"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_where_to_look(capsys, words, command, reason):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    name = f"glue-spherex {command}".strip()
    assert capsys.readouterr().err.splitlines() == [f"{name}: {reason}", f"try '{name} --help'"]


def test_the_tractor_is_asked_for_and_missing(field, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tractor", None)
    arguments = ["measure", field.targets, "--images", field.folder / "images", "--output", tmp_path / "o"]
    assert "ractor" in fails(capsys, *arguments, "--engine", "tractor")


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(ValueError, match="missing"):
        main(["flags", str(tmp_path / "missing.vot"), "--debug"])


def test_estimate_index_convert_flags(field, tmp_path, capsys):
    images = str(field.folder / "images")
    assert main(["index", images, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["images"], summary["detectors"], summary["collections"]) == (24, [2, 5], ["spherex_qr2"])
    assert main(["estimate", str(field.targets), "--images", images]) == 0
    assert "24 images, 48 measurements" in capsys.readouterr().out
    assert measure(field, tmp_path) == 0
    words = ["convert", str(tmp_path / "spectra.vot"), str(tmp_path / "spectra.fits")]
    assert main(words) == 0
    capsys.readouterr()
    assert "spectra.fits: it is there already, and would be replaced; name another" in fails(capsys, *words)
    assert main([*words, "--overwrite"]) == 0
    capsys.readouterr()
    assert main(["flags", str(tmp_path / "spectra.fits")]) == 0
    out = capsys.readouterr().out
    assert "SOURCE" in out
    assert "48 measurements" in out
    assert "xyz" in fails(capsys, "convert", tmp_path / "spectra.vot", tmp_path / "spectra.xyz")


def test_simulate(tmp_path, capsys):
    arguments = ["simulate", "--output", str(tmp_path / "s"), "--images", "2", "--detectors", "4", "--release", "qr3"]
    assert main(arguments) == 0
    assert "2 images" in capsys.readouterr().out
    assert len(list((tmp_path / "s").rglob("level2*.fits"))) == 2
    assert "holds targets.csv, catalogue.csv, truth.ecsv already" in fails(capsys, *arguments)
    assert main([*arguments, "--overwrite"]) == 0
    capsys.readouterr()
    message = fails(capsys, "simulate", "--output", tmp_path / "t", "--scene", "ocean")
    assert "ocean" in message
    assert "isolated" in message


def test_ctrl_c_keeps_what_is_finished(field, tmp_path):
    """Interrupt a run in the middle: status 130, and a result with the images done so far."""
    code = (
        "import signal, sys; from glue_spherex.photometry import image_result as at\n"
        "real, begun = at.measure_image, []\n"
        "def interrupted(*a):\n    begun.append(a)\n    if len(begun) == 3: signal.raise_signal(signal.SIGINT)\n"
        "    return real(*a)\n"
        "at.measure_image = interrupted\n"
        "from glue_spherex.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    out = tmp_path / "out"
    command = [sys.executable, "-c", code, "measure", str(field.targets), "--images", str(field.folder / "images")]
    done = subprocess.run([*command, "--output", str(out), "--json"], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 130
    summary = json.loads(done.stdout.strip().splitlines()[-1])
    assert 3 <= summary["images"] < 24
    assert len(read_spectra(out / "spectra.vot")) == 2 * summary["images"]
    assert json.loads((out / "settings.json").read_text())["interrupted"]


def test_a_second_run_waits_for_nobody(field, tmp_path, capsys):
    from glue_spherex.photometry.output import result_folder

    with result_folder(tmp_path / "out"):
        message = fails(
            capsys, "measure", field.targets, "--images", field.folder / "images", "--output", tmp_path / "out"
        )
    assert "another run is writing" in message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a small disk")
def test_full_disk(field, tmp_path, capsys):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        message = fails(
            capsys, "measure", field.targets, "--images", field.folder / "images", "--output", small / "out"
        )
        assert "No space left" in message
        assert not (small / "out" / "spectra.vot").exists()
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


def test_messages_while_waiting_need_no_terminal(monkeypatch):
    """Glue replaces what errors are written to by a log that cannot be asked whether it is a terminal."""
    from types import SimpleNamespace

    from glue_spherex import terminal

    monkeypatch.setattr("sys.stderr", SimpleNamespace(write=len, flush=lambda: None))
    with terminal.told_if_slow("waiting for something") as arrived:
        arrived()
