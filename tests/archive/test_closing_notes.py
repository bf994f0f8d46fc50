"""What is told about a whole result: by the command, in the result, and by jobs."""

import json
import os
from pathlib import Path

import pytest
from loopback_services import SearchServices

from glue_spherex import jobs, read_spectra
from glue_spherex.cli import main
from glue_spherex.images.archive import ArchiveChoice, IRSACollection
from glue_spherex.images.archive.errors import ArchiveUnreachable

NOT_SEARCHED = "the archive was not searched, so that only local images are measured: "
MIXED = (
    "the spectra mix releases, whose gains may differ: spherex_qr2, spherex_qr3 (column data_collection; "
    "flux_correction in images.ecsv)"
)
TAKEN = "qr3 is taken instead of qr2 for images that are in both: 1"
TWICE = "some exposures are there more than once, in different files; images.ecsv lists them"


@pytest.fixture
def field(simulated):
    return simulated("field", images=2, size=40, detectors=(3,))


@pytest.fixture
def archive(field, loopback, monkeypatch):
    """Both images in QR2."""
    archive = loopback()
    archive.search = SearchServices().join(archive)
    archive.search.add_field(archive, field)
    archive.add_calibration(field.calibration, "qr3")
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", archive.url)
    home = Path(os.environ["GLUE_SPHEREX_HOME"])
    home.mkdir(exist_ok=True)
    (home / "archive.toml").write_text("patience_s = 0.1\nbackoff_s = 0.01\n")
    return archive


@pytest.fixture
def newer(archive, field):
    """One of them in QR3 as well."""
    archive.search.add_image(archive, archive.add_image(field.images[1], "qr3"), "spherex_qr3")


@pytest.fixture
def local(field, tmp_path):
    """A folder with the first image, and the calibration."""
    folder = tmp_path / "local"
    folder.mkdir()
    os.link(field.images[0], folder / field.images[0].name)
    return folder, field.calibration


def notes_of(result):
    return json.loads((result / "settings.json").read_text())["notes"]


def measured(source, output, *words):
    assert main(["measure", "--target", f"{source.ra!r} {source.dec!r}", "--output", str(output), *words]) == 0
    return notes_of(output)


def ended(job):
    job = jobs.wait(job.id, timeout=300)
    assert not job.phase.is_active, job
    return job


def test_an_undisturbed_result_has_no_notes(archive, source, local, tmp_path, capsys):
    assert measured(source, tmp_path / "archive") == []
    assert measured(source, tmp_path / "local", "--images", str(local[0]), "--calibration", str(local[1])) == []
    assert capsys.readouterr().err == ""
    job = ended(jobs.submit(source, archive=ArchiveChoice()))
    assert job.message.startswith("2 measurements of ")
    assert ";" not in job.message
    assert jobs.notes(job.id) == []


def test_the_command_tells_of_mixed_releases(archive, newer, source, tmp_path, capsys):
    assert measured(source, tmp_path / "out") == [TAKEN, MIXED]
    assert capsys.readouterr().err.splitlines() == [f"glue-spherex: {TAKEN}", f"glue-spherex: {MIXED}"]
    assert measured(source, tmp_path / "one", "--release", "qr2") == []


def information(job):
    """What the job monitor shows about a job."""
    pytest.importorskip("glue")
    from glue_spherex.plugin.job_monitor.details import details_of

    return details_of(job.id).parameters


def test_a_job_tells_of_mixed_releases(archive, newer, source, capsys):
    job = ended(jobs.submit(source, archive=ArchiveChoice()))
    assert job.phase is jobs.Phase.COMPLETED
    assert job.message.endswith(f"; {TAKEN}; {MIXED}")
    assert notes_of(job.result) == jobs.notes(job.id) == [TAKEN, MIXED]
    told = information(job)
    assert [value for name, value in told if name == "Note"] == [TAKEN, MIXED]
    assert dict(told)["Message"] == job.message
    assert main(["jobs", "show", job.id]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines if line.startswith("note ")] == [TAKEN, MIXED]
    assert main(["jobs", "show", job.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == [TAKEN, MIXED]


def test_releases_of_images_that_gave_nothing_do_not_count(archive, newer, field, source, tmp_path):
    """An image of another release that cannot be fetched is a failure, and not in the spectra."""
    archive.fault("qr3/level2", "page")
    assert measured(source, tmp_path / "out") == [TAKEN]
    assert len(read_spectra(tmp_path / "out" / "spectra.vot")) == 1


def test_exposures_that_are_there_twice(field, local, source, tmp_path, capsys):
    folder, calibration = local
    name = field.images[0].name
    (folder / name.replace("l2b-v", "l2b-v9")).write_bytes(field.images[0].read_bytes())
    words = ["--images", str(folder), "--calibration", str(calibration)]
    assert measured(source, tmp_path / "out", *words) == [TWICE]
    assert TWICE in capsys.readouterr().err
    job = ended(jobs.submit(source, folder, calibration))
    assert job.message.endswith(f"; {TWICE}")
    assert jobs.notes(job.id) == [TWICE]


def test_the_command_without_a_network(archive, source, local, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", "http://127.0.0.1:9")
    words = ["--images", str(local[0]), "--calibration", str(local[1]), "--archive", "irsa"]
    (note,) = measured(source, tmp_path / "out", *words)
    assert note.startswith(NOT_SEARCHED)
    assert "127.0.0.1 cannot be reached" in note
    assert f"glue-spherex: {note}" in capsys.readouterr().err


def test_a_job_whose_archive_cannot_be_asked_is_not_complete(archive, source, local, monkeypatch, capsys):
    """What is on this computer can be seen, and the rest comes when the job is resumed."""
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", "http://127.0.0.1:9")
    job = ended(jobs.submit(source, *local, archive=ArchiveChoice()))
    assert job.phase is jobs.Phase.ERROR
    assert job.can_resume
    assert job.message.startswith(
        "resume the job when the archive can be asked: only the local images are measured, 1 measurement of 1 source; "
        + NOT_SEARCHED
    )
    assert "127.0.0.1 cannot be reached" in job.message
    assert len(jobs.partial_spectra(job.id)) == 1
    assert len(read_spectra(job.result / "spectra.vot")) == 1
    assert jobs.notes(job.id)[0].startswith(NOT_SEARCHED)
    assert "with what is measured so far" in dict(information(job))["Result"]
    with pytest.raises(jobs.JobError, match="is ERROR: resume the job when the archive can be asked"):
        jobs.result_folder(job.id)

    again = ended(jobs.resume(job.id))  # still nothing
    assert again.phase is jobs.Phase.ERROR
    assert len(jobs.partial_spectra(job.id)) == 1

    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", archive.url)
    job = ended(jobs.resume(job.id))
    assert job.phase is jobs.Phase.COMPLETED, job.message
    assert jobs.notes(job.id) == []
    assert len(read_spectra(job.result / "spectra.vot")) == 2


def test_an_archive_that_can_be_asked_again_a_moment_later(archive, source, local, worked, monkeypatch):
    """The job then keeps to what it answers."""
    search, asked = IRSACollection.search, []

    def first_not(self, *args, **kwargs):
        asked.append(1)
        if len(asked) == 1:
            raise ArchiveUnreachable("the archive cannot be reached.")
        return search(self, *args, **kwargs)

    monkeypatch.setattr(IRSACollection, "search", first_not)
    job = worked(jobs.submit(source, *local, archive=ArchiveChoice()).id)
    assert job.phase is jobs.Phase.COMPLETED, job.message
    assert job.measurements == 2
    assert len(json.loads((job.folder / "archive.json").read_text())["images"]) == 2
