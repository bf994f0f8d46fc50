"""Targets far apart on an image are in several cutouts of it: told are images, as they are counted before a run."""

import json

import numpy as np
import pytest
from astropy.table import Table
from loopback_services import SearchServices

from glue_spherex import jobs, measure, read_targets
from glue_spherex.cli import main
from glue_spherex.images import read_record
from glue_spherex.images.archive import ArchiveChoice
from glue_spherex.images.astrometry import Astrometry
from glue_spherex.photometry import Settings
from glue_spherex.photometry.result_store import ResultStore
from glue_spherex.photometry.stored_run import run_stored


@pytest.fixture(scope="module")
def field(simulated):
    return simulated("field", images=2, full=True, detectors=(3,), n_sources=6)


@pytest.fixture
def targets(field, tmp_path):
    """Places far apart on the images."""
    x, y = np.array([300.0, 1000.0, 1700.0]), np.array([400.0, 1000.0, 1800.0])
    ra, dec = Astrometry(read_record(field.images[0]).wcs_numbers).to_sky(x, y)
    path = tmp_path / "targets.csv"
    path.write_text("ra,dec\n" + "".join(f"{a!r},{d!r}\n" for a, d in zip(ra.tolist(), dec.tolist())))
    return path


@pytest.fixture
def archive(field, loopback, monkeypatch):
    archive = loopback()
    SearchServices().join(archive).add_field(archive, field)
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", archive.url)
    return archive


def noted_runs():
    with jobs.JobStore() as store:
        return store.runs()


def test_of_the_command(archive, targets, tmp_path, capsys):
    words = ["measure", str(targets), "--output", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 2
    lines = Table.read(tmp_path / "out" / "images.ecsv")
    assert len(lines) > 2
    assert len(set(lines["lvf_id"])) == 2
    assert main([*words, "--overwrite"]) == 0
    assert " on 2 images in " in capsys.readouterr().out
    for run in noted_runs():
        assert run["images"] == 2
        assert run["measurements"] == sum(lines["n_sources"])
        assert run["image_bytes"] == pytest.approx(sum(lines["size"]) / 2)


def test_of_images_that_cannot_be_fetched(archive, field, targets, tmp_path, capsys):
    archive.fault(field.images[0].name, "page")
    assert main(["measure", str(targets), "--output", str(tmp_path / "out"), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["images"], summary["failed_images"]) == (1, 1)


def test_while_it_is_measured(archive, targets):
    """The number of all images does not grow; an image is done when all of its cutouts are."""
    seen = []
    measure(
        read_targets(targets).sources, ArchiveChoice().collection(),
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    done = [number for number, _ in seen]
    assert len(seen) > 4
    assert {total for _, total in seen} == {2}
    assert (done, done[0], done[-2:]) == (sorted(done), 0, [1, 2])


def test_of_a_run_that_goes_on_in_the_middle_of_an_image(archive, targets, tmp_path):
    sources, seen = read_targets(targets).sources, []

    def go_on(most):
        seen.clear()
        with ResultStore(tmp_path / "results.sqlite") as results:
            return run_stored(
                sources, ArchiveChoice().collection(), Settings(), results, cancelled=lambda: len(seen) >= most,
                progress=lambda done, total, result: seen.append((done, total)),
            )  # fmt: skip

    assert go_on(3).interrupted
    assert [seen[0], seen[-1]] == [(0, 2), (1, 2)]
    assert not go_on(99).interrupted
    assert [seen[0], seen[-1]] == [(1, 2), (2, 2)]
    assert not go_on(99).interrupted
    assert seen == []


def test_of_a_job(archive, targets, worked):
    job = worked(jobs.submit(read_targets(targets), archive=ArchiveChoice()).id)
    assert job.phase is jobs.Phase.COMPLETED, job.message
    lines = Table.read(job.result / "images.ecsv")
    assert len(lines) > 2
    assert job.images_done == job.images_total == 2
    (run,) = noted_runs()
    assert run["images"] == 2
    assert run["image_bytes"] == pytest.approx(sum(lines["size"]) / 2)
