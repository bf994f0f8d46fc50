"""Measuring without a folder of images: the command, jobs, and what a result keeps."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from loopback_services import SearchServices

from glue_spherex import FolderCollection, Source, jobs, measure, read_spectra, read_targets
from glue_spherex.cli import main
from glue_spherex.images.archive import ArchiveChoice, CutoutStore


@pytest.fixture
def field(simulated):
    """Full frames, as the archive has them."""
    return simulated("field", images=2, full=True, detectors=(3,), n_sources=6)


@pytest.fixture
def targets(source, tmp_path):
    """A list with this target only."""
    path = tmp_path / "target.csv"
    path.write_text(f"ra,dec\n{source.ra!r},{source.dec!r}\n")
    return path


@pytest.fixture
def archive(field, loopback, monkeypatch):
    archive = loopback()
    archive.search = SearchServices().join(archive)
    for key in archive.add_field(field):
        if "/level2/" in key:
            archive.search.add_image(archive, key)
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", archive.url)
    set_archive("patience_s = 0.1", "backoff_s = 0.01")
    return archive


def set_archive(*lines):
    path = Path(os.environ["GLUE_SPHEREX_HOME"]) / "archive.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))


@pytest.fixture
def expected(field, source):
    """What the same images give as local files."""
    return numbers(measure(source, FolderCollection(field.images[0].parent, field.calibration)))


def numbers(spectra):
    spectra = spectra[np.lexsort((spectra["lvf_id"], spectra["source_id"]))]
    return {name: np.asarray(spectra[name]) for name in spectra.colnames if spectra[name].dtype.kind in "fiub"}


def assert_same(found, expected):
    found = numbers(found)
    assert len(expected["flux"]) == 2
    assert np.isfinite(expected["flux"]).all()
    for name, values in expected.items():
        assert np.array_equal(found[name], values, equal_nan=values.dtype.kind == "f"), name


def settings_of(folder):
    return json.loads((folder / "settings.json").read_text())


def test_bit_identical_to_local_files_by_the_command(archive, source, expected, tmp_path, capsys, monkeypatch):
    words = ["measure", "--target", f"{source.ra!r} {source.dec!r}", "--output"]
    assert main([*words, str(tmp_path / "one"), "--keep-cutouts", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["images"], summary["measurements"], summary["failed_images"]) == (2, 2, 0)
    assert summary["megabytes_moved"] > 1
    assert_same(read_spectra(tmp_path / "one" / "spectra.vot"), expected)
    kept = sorted((tmp_path / "one" / "images").rglob("*.fits"))
    assert [path.parent.name for path in kept] == ["qr2", "qr2"]
    assert all(os.stat(path).st_nlink == 2 for path in kept)  # no space is used twice
    written = settings_of(tmp_path / "one")
    assert written["image_folders"] == [str(tmp_path / "one" / "images")]
    assert len(written["made"]["calibration_files"]) >= 2

    archive.stop()  # from now on there is no network
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", "http://127.0.0.1:9")
    again = written["made"]["command"]
    assert "--archive" not in again
    assert main(again[1:]) == 0
    assert_same(read_spectra(tmp_path / "one-again" / "spectra.vot"), expected)


def test_the_second_run_needs_no_network(archive, targets, expected, tmp_path, capsys):
    words = ["measure", str(targets), "--archive", "irsa", "--release", "qr2", "--workers", "2", "--json"]
    assert main([*words, "--output", str(tmp_path / "one")]) == 0
    archive.forget()
    assert main([*words, "--output", str(tmp_path / "two")]) == 0
    assert archive.requests == []
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["megabytes_moved"] == 0
    for name in ("one", "two"):
        assert_same(read_spectra(tmp_path / name / "spectra.vot"), expected)
        assert not (tmp_path / name / "images").exists()
    pins = CutoutStore().pins()
    assert set(pins) == {str(tmp_path / "one"), str(tmp_path / "two")}
    assert [len(files) for files in pins.values()] == [2, 2]
    command = settings_of(tmp_path / "one")["made"]["command"]
    assert command[command.index("--archive") :][:4] == ["--archive", "irsa", "--release", "qr2"]


def test_local_files_are_preferred(archive, field, targets, expected, tmp_path, capsys):
    folder = tmp_path / "local"
    folder.mkdir()
    os.link(field.images[0], folder / field.images[0].name)
    words = ["measure", str(targets), "--images", str(folder), "--calibration", str(field.calibration)]
    assert main([*words, "--archive", "irsa", "--output", str(tmp_path / "out")]) == 0
    assert_same(read_spectra(tmp_path / "out" / "spectra.vot"), expected)
    assert not any(field.images[0].name in seen.path for seen in archive.requests)
    assert any(field.images[1].name in seen.path for seen in archive.requests)


def test_estimate(archive, targets, capsys):
    assert main(["estimate", str(targets)]) == 0
    out = capsys.readouterr().out
    assert "2 images: 0 in the folders, 0 fetched already; 51 MB to move" in out
    assert "measuring: no run with the engine builtin" in out
    assert not any("level2" in seen.path for seen in archive.requests)


def test_options_of_the_archive_without_it(archive, field, targets, tmp_path, capsys):
    words = ["measure", str(targets), "--images", str(field.images[0].parent), "--output", str(tmp_path / "out")]
    assert main([*words, "--release", "qr2"]) == 2
    assert "--release chooses among the archive's images; add --archive irsa" in capsys.readouterr().err
    assert main(["measure", str(targets), "--output", str(tmp_path / "out"), "--release", "third"]) == 2
    assert "release is 'third'; a name such as 'qr3' is needed" in capsys.readouterr().err


def test_an_image_that_cannot_be_had_is_a_row(archive, field, targets, tmp_path, capsys):
    archive.fault(field.images[0].name, "page")
    assert main(["measure", str(targets), "--output", str(tmp_path / "out")]) == 0
    assert "1 image failed; images.ecsv says why" in capsys.readouterr().err
    lines = [line for line in (tmp_path / "out" / "images.ecsv").read_text().splitlines() if "unreadable" in line]
    assert len(lines) == 2  # the description of the column, and the image
    assert field.images[0].name in lines[1]
    assert "not a FITS file" in lines[1]
    assert len(read_spectra(tmp_path / "out" / "spectra.vot")) == 1


def test_no_image_and_no_network(archive, tmp_path, capsys, monkeypatch):
    assert main(["measure", "--target", "10 80", "--output", str(tmp_path / "none")]) == 2
    assert "the source lies on none of the images" in capsys.readouterr().err
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", "http://127.0.0.1:9")
    assert main(["measure", "--target", "20 70", "--output", str(tmp_path / "none")]) == 2
    assert "127.0.0.1" in capsys.readouterr().err


def submitted(source):
    return jobs.submit(source, archive=ArchiveChoice())


def ended(job):
    job = jobs.wait(job.id, timeout=300)
    assert not job.phase.is_active, job
    return job


def test_a_job_keeps_its_cutouts_and_its_images(archive, field, source, expected, monkeypatch):
    job = ended(submitted(source))
    assert job.phase is jobs.Phase.COMPLETED, job.message
    assert_same(read_spectra(job.result / "spectra.vot"), expected)
    assert len(list((job.result / "images").rglob("*.fits"))) == 2
    assert (job.images_done, job.images_total, job.failures) == (2, 2, 0)
    newer = archive.add_image(field.images[0], "qr2", collection="qr3")  # published afterwards
    archive.search.add_image(archive, newer, "spherex_qr3")
    CutoutStore().clear(everything=True)  # what is needed again is fetched again
    again = ended(jobs.rerun(job.id))
    assert again.phase is jobs.Phase.COMPLETED, again.message
    assert_same(read_spectra(again.result / "spectra.vot"), expected)
    assert not any("qr3/level2" in seen.path for seen in archive.requests)

    archive.stop()
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", "http://127.0.0.1:9")
    offline = ended(jobs.rerun(job.id))
    assert offline.phase is jobs.Phase.COMPLETED, offline.message
    assert_same(read_spectra(offline.result / "spectra.vot"), expected)


def test_a_job_goes_on_at_another_server(archive, field, source, expected, loopback, monkeypatch):
    """Its answer names the old one; the images are asked of the server that is set now, not of the bucket alone."""
    job = ended(submitted(source))
    archive.stop()
    CutoutStore().clear(everything=True)
    mirror = loopback()
    mirror.add_field(field)
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", mirror.url)
    again = ended(jobs.rerun(job.id))
    assert again.phase is jobs.Phase.COMPLETED, again.message
    assert_same(read_spectra(again.result / "spectra.vot"), expected)
    assert {seen.path.split("/")[1] for seen in mirror.requests if "level2" in seen.path} == {"ibe"}
    assert settings_of(again.result)["request"]["archive"]["address"].startswith(mirror.url)


@pytest.fixture
def known_detector(archive, field, source):
    """The first image of a detector is fetched alone; here this has happened."""
    others = [other for other in read_targets(field.targets).sources if abs(other.dec - source.dec) > 0.1]
    images = ArchiveChoice().collection()
    assert images.find(others)


def test_the_first_points_come_while_the_rest_is_fetched(archive, field, source, expected, wait_for, known_detector):
    last = field.images[1].name
    released = threading.Event()
    plain = archive.fault_of
    archive.fault_of = lambda target: (last in target and not released.wait(300), plain(target))[1]
    job = submitted(source)
    wait_for(lambda: jobs.job(job.id).images_done == 1)
    assert len(jobs.partial_spectra(job.id)) == 1
    assert jobs.job(job.id).message == "fetches and measures"
    released.set()
    job = ended(job)
    assert job.phase is jobs.Phase.COMPLETED, job.message
    assert_same(read_spectra(job.result / "spectra.vot"), expected)


def test_a_job_that_is_cancelled_goes_on_where_it_was(archive, field, source, expected, wait_for, known_detector):
    last = field.images[1].name
    archive.fault(last, "silence")
    set_archive("timeout_s = 3.0", "attempts = 1000", "backoff_s = 0.01")  # asks again and again
    job = submitted(source)
    wait_for(lambda: jobs.job(job.id).images_done == 1)
    jobs.cancel(job.id)
    job = ended(job)
    assert job.phase is jobs.Phase.ABORTED, job.message
    archive.faults.clear()
    archive.forget()
    job = ended(jobs.resume(job.id))
    assert job.phase is jobs.Phase.COMPLETED, job.message
    assert_same(read_spectra(job.result / "spectra.vot"), expected)
    assert not any(field.images[0].name in seen.path for seen in archive.requests)  # nothing is fetched twice


def test_what_is_asked_for_is_checked():
    with pytest.raises(jobs.JobError, match="no folder is given; at least one is needed, or the archive"):
        jobs.submit(Source(1, 2))
    with pytest.raises(jobs.JobError, match="archive is 'irsa'; an ArchiveChoice is needed"):
        jobs.submit(Source(1, 2), archive="irsa")


def test_local_images_are_measured_where_the_archive_cannot_be_asked(archive, field, targets, expected, tmp_path,
                                                                      capsys, monkeypatch):  # fmt: skip
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", "http://127.0.0.1:9")
    words = ["measure", str(targets), "--images", str(field.images[0].parent), "--calibration", str(field.calibration)]
    assert main([*words, "--archive", "irsa", "--output", str(tmp_path / "out")]) == 0
    assert "the archive was not searched, so that only local images are measured" in capsys.readouterr().err
    assert_same(read_spectra(tmp_path / "out" / "spectra.vot"), expected)
    assert main(["estimate", *words[1:], "--archive", "irsa"]) == 0
    out, err = capsys.readouterr()
    assert "the archive was not searched" in err
    assert out.startswith("2 images: 2 in the folders")


def test_a_long_wait_for_the_archive_is_told_on_the_terminal(archive, field, targets, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", "http://127.0.0.1:9")
    (tmp_path / "glue-spherex-home").mkdir(exist_ok=True)
    (tmp_path / "glue-spherex-home" / "archive.toml").write_text("patience_s = 0.5\nconnect_s = 2.5\n")
    told = "waiting for the archive, 127.0.0.1; if it cannot be reached, it is given up after about 3 s"
    local = ["--images", str(field.images[0].parent), "--archive", "irsa"]
    commands = [
        ["search"],
        ["fetch"],
        ["estimate"],
        ["estimate", *local],
        ["measure", *local, "--output", str(tmp_path / "out")],
    ]
    for slow_s, is_terminal in ((0.01, True), (0.01, False), (60, True)):
        monkeypatch.setattr("glue_spherex.terminal._SLOW_S", slow_s)
        for name, *more in commands:
            monkeypatch.setattr("sys.stderr.isatty", lambda is_terminal=is_terminal: is_terminal, raising=False)
            main([name, str(targets), *more])
            err = capsys.readouterr().err
            assert (told in err) == (is_terminal and slow_s < 1), (name, err)
            if told in err and local[0] in more:
                assert f"{told}, and the images in the folders are measured" in err


def test_the_result_of_a_job_is_not_written_over(archive, source, targets, tmp_path, capsys):
    job = ended(jobs.submit(source, archive=ArchiveChoice(), output=tmp_path / "out"))
    assert job.phase is jobs.Phase.COMPLETED, job.message
    assert main(["measure", str(targets), "--output", str(job.result)]) == 2
    assert f"is that of job {job.id}" in capsys.readouterr().err
