"""The record of run times, against runs whose times are made up."""

import sqlite3

import numpy as np
import pytest

from glue_spherex import jobs
from glue_spherex.cli import main
from glue_spherex.jobs import JobStore, expected_seconds, remember_run
from glue_spherex.photometry import Settings

USUAL = Settings()


def remember(images, measurements, seconds, settings=USUAL, **options):
    assert remember_run(settings, images, measurements, seconds, **options)


def test_nothing_is_known_at_first():
    seconds, basis = expected_seconds(100, 100, USUAL)
    assert seconds is None
    assert basis == "no run with the engine builtin has been made on this machine yet"


@pytest.mark.parametrize(("images", "sources", "took"), [(200, 1, 1.7), (500, 10_000, 5200.0), (1, 1, 0.4)])
def test_the_same_again_takes_as_long(images, sources, took):
    remember(images, images * sources, took)
    seconds, basis = expected_seconds(images, images * sources, USUAL)
    assert seconds == pytest.approx(took, rel=0.02)
    assert basis == "from 1 run on this machine"


def test_images_and_measurements_are_told_apart():
    """2 s to begin, 20 ms per image, 0.7 ms per measurement; two runs while the machine was busy."""
    rng = np.random.default_rng(3)

    def took(images, rows):
        return 2.0 + 0.02 * images + 0.0007 * rows

    for number in range(16):
        images, rows = (int(10 ** rng.uniform(1, most)) for most in (3.3, 5))
        slow = 6.0 if number in (5, 11) else rng.uniform(0.95, 1.05)
        remember(images, rows, slow * took(images, rows))
    for images, rows in ((100, 100), (1000, 1000), (100, 100_000), (2000, 500_000)):
        seconds, basis = expected_seconds(images, rows, USUAL)
        assert seconds == pytest.approx(took(images, rows), rel=0.15)
    assert basis == "from 16 runs on this machine"


def test_other_settings_count_only_if_there_is_nothing_better():
    remember(100, 100, 9.0, Settings(background_box=51))
    seconds, basis = expected_seconds(100, 100, USUAL)
    assert seconds == pytest.approx(9.0, rel=0.02)
    assert basis == "from 1 run on this machine with other settings"
    remember(100, 100, 3.0)
    assert expected_seconds(100, 100, USUAL)[0] == pytest.approx(3.0, rel=0.02)
    assert expected_seconds(100, 100, Settings(engine="tractor")) == (
        None,
        "no run with the engine tractor has been made on this machine yet",
    )
    which = Settings(detectors=(2,), wavelength=(1, 2), time=(60000, 61000))  # how many, but not how long each takes
    assert expected_seconds(100, 100, which) == expected_seconds(100, 100, USUAL)


def test_cutouts_and_full_frames_are_told_apart():
    remember(100, 100, 1.0, image_bytes=3e5)
    remember(100, 100, 20.0, image_bytes=7e7)
    assert expected_seconds(100, 100, USUAL, image_bytes=4e5)[0] == pytest.approx(1.0, rel=0.02)
    assert expected_seconds(100, 100, USUAL, image_bytes=6e7)[0] == pytest.approx(20.0, rel=0.02)
    assert expected_seconds(100, 100, USUAL, image_bytes=1)[1].endswith("with images of another size")


def test_processes_share_the_work(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    remember(10_000, 10_000, 100.0)
    several = expected_seconds(10_000, 10_000, USUAL, workers=4)[0]
    assert 25 <= several < 30
    assert expected_seconds(10_000, 10_000, USUAL, workers=8)[0] < several
    assert expected_seconds(10_000, 10_000, USUAL, workers=100)[0] == expected_seconds(10_000, 10_000, USUAL, 8)[0]
    remember(10_000, 10_000, 40.0, workers=4)  # what was seen is better than what was expected
    assert expected_seconds(10_000, 10_000, USUAL, workers=4)[0] == pytest.approx(40, rel=0.02)


def test_a_cluster_is_another_machine():
    remember(100, 100, 5.0)
    seconds, basis = expected_seconds(100, 100, USUAL, scheduler="tcp://host:8786")
    assert seconds is None
    assert basis == "no run with the engine builtin has been made on the cluster tcp://host:8786 from this machine yet"
    remember(100, 100, 0.5, scheduler="tcp://host:8786")
    assert expected_seconds(100, 100, USUAL, scheduler="tcp://host:8786")[0] == pytest.approx(0.5, rel=0.02)


def test_another_machine_that_shares_the_folder(monkeypatch):
    remember(100, 100, 5.0)
    monkeypatch.setattr("platform.node", lambda: "other")
    assert expected_seconds(100, 100, USUAL)[0] is None


def test_what_is_no_run_is_not_noted():
    for images, seconds in ((0, 1.0), (10, 0.0), (10, -1.0), (10, np.inf), (10, np.nan)):
        assert not remember_run(USUAL, images, 10, seconds)
    assert expected_seconds(10, 10, USUAL)[0] is None


def test_the_record_does_not_grow_for_ever(store, monkeypatch):
    monkeypatch.setattr("glue_spherex.jobs.store._MOST_RUNS", 5)
    for number in range(1, 9):
        remember(number, number, 1.0)
    assert [run["images"] for run in store.runs()] == [8, 7, 6, 5, 4]


def test_a_job_and_a_command_are_noted(field, store, finished, tmp_path):
    targets = jobs.submit(_targets(field), field.folder / "images", field.calibration, workers=1)
    finished(targets)
    images = str(field.folder / "images")
    assert main(["measure", str(field.targets), "--images", images, "--output", str(tmp_path / "out")]) == 0
    job, command = store.runs()[::-1]
    for run in (job, command):
        assert (run["images"], run["measurements"], run["engine"], run["workers"]) == (24, 48, "builtin", 1)
        assert 0 < run["seconds"] < 600
        assert run["image_bytes"] == pytest.approx(np.mean([path.stat().st_size for path in field.images]))
    assert expected_seconds(24, 48, USUAL)[1] == "from 2 runs on this machine"


def _targets(field):
    from glue_spherex import read_targets

    return read_targets(field.targets)


def _locked(home):
    JobStore().close()
    database = sqlite3.connect(home / "jobs.sqlite", isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    return database


def _newer(home):
    JobStore().close()
    database = sqlite3.connect(home / "jobs.sqlite")
    database.execute("PRAGMA user_version = 99")
    return database


def _damaged(home):
    home.mkdir(exist_ok=True)
    (home / "jobs.sqlite").write_bytes(b"no database, but long enough to be looked at" * 100)


def _folder_instead(home):
    (home / "jobs.sqlite").mkdir(parents=True)


@pytest.mark.parametrize("harm", [_locked, _newer, _damaged, _folder_instead])
def test_a_broken_store_harms_no_measurement(field, tmp_path, capsys, monkeypatch, harm):
    monkeypatch.setattr("glue_spherex.jobs.record._BUSY_SECONDS", 0.05)
    images = tmp_path / "images"
    images.mkdir()
    (images / field.images[0].name).symlink_to(field.images[0])
    open_database = harm(tmp_path / "glue-spherex-home")
    out = tmp_path / "out"
    assert main(["measure", str(field.targets), "--images", str(images), "--output", str(out)]) == 0
    assert "2 measurements" in capsys.readouterr().out
    assert (out / "spectra.vot").exists()
    if harm is not _locked:  # it can be read
        assert expected_seconds(1, 1, USUAL)[1].startswith("the record of this machine cannot be read: the job store")
    if open_database:
        open_database.close()
