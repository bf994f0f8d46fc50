import json
import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from glue_spherex import FolderCollection, Sersic, Source, jobs, read_spectra, read_targets
from glue_spherex.cli import main
from glue_spherex.images.archive import ArchiveChoice
from glue_spherex.io import Rejected
from glue_spherex.jobs import JobError, JobStore, Phase, lock, worker
from glue_spherex.jobs.queue import claim_next
from glue_spherex.jobs.request_files import Request, read_request, write_request
from glue_spherex.photometry import PhotometryError, Settings, output, stored_run
from glue_spherex.photometry.result_store import ResultStore


def submit(field, **options):
    return jobs.submit(read_targets(field.targets), field.folder / "images", field.calibration, **options)


def test_a_job_gives_what_measure_gives(field, plain, ended, same_result):
    job = submit(field, title="my stars")
    assert job.phase in (Phase.QUEUED, Phase.EXECUTING)
    assert job.title == "my stars"
    done = ended(job.id)
    assert done.phase is Phase.COMPLETED, jobs.log(job.id)
    assert (done.images_done, done.images_total, done.measurements, done.failures) == (24, 24, 48, 0)
    assert done.submitted <= done.started <= done.ended
    assert done.seconds > 0
    assert not done.can_resume
    assert "48 measurements of 2 sources" in done.message
    assert "begins" in jobs.log(job.id)
    same_result(jobs.result_folder(job.id), plain)
    partial, whole = jobs.partial_spectra(job.id), read_spectra(plain / "spectra.vot")
    for name in partial.colnames:
        np.testing.assert_array_equal(np.asarray(partial[name]), np.asarray(whole[name]))
    assert json.loads(json.dumps(partial.meta["glue_spherex"])) == whole.meta["glue_spherex"]
    one = jobs.partial_spectra(job.id, source_id=1)
    np.testing.assert_array_equal(one["flux"], whole["flux"][whole["source_id"] == 1])
    assert set(one["source_id"]) == {1}
    for n, numbers in ((1, {0}), (2, {0, 1}), (3, {0, 1})):
        assert set(jobs.partial_spectra(job.id, n_sources=n)["source_id"]) == numbers
    with pytest.raises(JobError, match=r"source 2: .* has the sources 0 to 1"):
        jobs.partial_spectra(job.id, source_id=2)
    with pytest.raises(JobError, match="nothing is left to do"):
        jobs.resume(job.id)
    with pytest.raises(JobError, match="ended already"):
        jobs.cancel(job.id)


def test_two_workers_give_the_same(field, plain, ended, same_result):
    job = submit(field, workers=2)
    assert ended(job.id).phase is Phase.COMPLETED, jobs.log(job.id)
    same_result(jobs.result_folder(job.id), plain)


def test_rerun_gives_the_same(field, tmp_path, finished, same_result):
    first = finished(submit(field, title="stars", output=tmp_path / "mine"))
    job = jobs.rerun(first.id)
    assert job.id != first.id
    assert (job.title, job.result) == ("stars", job.folder / "result")
    same_result(finished(job).result, first.result)


def test_the_request_comes_back_exactly(tmp_path):
    from astropy.table import QTable

    from glue_spherex.io import Targets

    sources = [
        Source(0.1 + 0.2, -89.999999999, 'name "quoted" \\ / \u2028 µ', Sersic(0.1 + 0.7, 1 / 3, 0.3, -12.3)),
        Source(359.9, 1e-300, "", None, 1 / 7, -3.3, 2016.5),
    ]
    table = QTable({"name": ["a", "bad 'one'", "b"]})
    targets = Targets(sources, np.array([0, 2]), [Rejected(1, "because")], table, {"name": "name"})
    settings = Settings(detectors=(1, 4), wavelength=((1.1, 1 / 0.7),), time=(1 / 3, 60900.1), psf_shift=(0.1, -0.2))
    request = Request(("/a", "/b"), "/c", False, settings, 3, "tcp://h:1", "fits", "/out", ["1 2", "3 4"])
    write_request(tmp_path, request, targets)
    back, same = read_request(tmp_path)
    assert back == request
    assert same.sources == sources
    assert same.rows.tolist() == [0, 2]
    assert same.rejected == targets.rejected
    assert same.table["name"][1] == "bad 'one'"


def test_a_damaged_or_newer_request(field, no_workers):
    job = submit(field)
    path = job.folder / "job.json"
    good = json.loads(path.read_text())
    for content, words in (
        ("", "cannot be read"),
        ("[]", "does not describe a job"),
        (json.dumps(good | {"layout": 9}), "newer version"),
        (json.dumps(good | {"settings": {"background_box": "x"}}), "damaged"),
        (json.dumps(good | {"settings": {"__reduce__": 1}}), "damaged"),
    ):
        path.write_text(content)
        with pytest.raises(JobError, match=words):
            jobs.request(job.id)


@pytest.mark.parametrize(
    "title", ["'; DROP TABLE jobs; --", "../../etc/passwd", "a\x00b\x1b[31m\n\u202ec", "x" * 10_000, '"/\\ µ 星', ""]
)
def test_titles_are_harmless(field, no_workers, title):
    job = submit(field, title=title)
    assert job.title.isprintable()
    assert 0 < len(job.title) <= 10_000
    assert job.folder.name == job.id
    assert sorted(path.name for path in job.folder.iterdir()) == ["job.json", "targets.json"]
    assert [known.id for known in jobs.jobs()] == [job.id]


def test_default_titles_tell_what_is_measured_on_what(field, no_workers):
    noon = datetime(2026, 5, 1, 12, 3)
    star, nameless = Source(1, 2, "V\n1"), Source(1, 2)
    for measured, folders, with_archive, title in (
        ([star], ["/data/level2/"], False, "V 1, level2"),
        ([nameless], [], True, "1 target, archive"),
        ([star] * 24, ["/data/level2", "more"], True, "24 targets, level2 and more and archive"),
        ([star] * 2, list("abcd"), False, "2 targets, a and 3 other folders"),
        ([Source(1, 2, "x" * 99)], ["/"], False, f"{'x' * 39}…, /"),
    ):
        assert jobs.default_title(measured, folders, with_archive, noon) == f"{title}, 2026-05-01 12:03"
    companion = Source(1, 2.001, "beside", companion=True)
    assert jobs.submit([star, companion], field.folder / "images").title.startswith("V 1, images, 20")
    assert jobs.submit([star, nameless], archive=ArchiveChoice()).title.startswith("2 targets, archive, 20")


def test_names_of_targets_are_harmless(field, finished):
    first = read_targets(field.targets).sources[0]
    names = ["../../evil", "a" * 10_000, "'\"\x00\x1b", "/etc/passwd", "$(touch x)"]
    sources = [Source(first.ra + k * 1e-3, first.dec, name) for k, name in enumerate(names)]
    done = finished(jobs.submit(sources, field.folder / "images"))
    assert done.phase is Phase.COMPLETED, done.message
    assert len(list((done.result / "spectra").iterdir())) == 5
    assert all(path.parent == done.result / "spectra" for path in done.result.rglob("*.vot") if path.stem != "spectra")


def test_names_that_are_no_text_are_harmless(field, tmp_path, finished):
    """Names of folders are bytes, and need not mean anything."""
    folder, output = (tmp_path / os.fsdecode(name) for name in (b"im\xff\x1b[31m", b"out\xff"))
    folder.mkdir()
    (folder / "x.fits").write_text("nonsense")
    done = finished(jobs.submit(read_targets(field.targets), folder))
    assert done.phase is Phase.ERROR
    assert "is not a FITS file" in done.message
    assert done.message.isprintable()
    done = finished(submit(field, output=output))
    assert (done.phase, done.result) == (Phase.COMPLETED, output)
    assert (output / "spectra.vot").exists()


def test_where_the_targets_come_from(field, no_workers, capsys):
    """A file is told by its full path; words stay as they are."""
    for origin, kept in ((Path("x.csv"), os.path.abspath("x.csv")), ("my stars", "my stars"), (["1 2"], ["1 2"])):
        assert jobs.request(submit(field, origin=origin).id)[0].targets == kept
    words = ["measure", os.path.relpath(field.targets), "--images", str(field.folder / "images"), "--background"]
    assert main(words) == 0
    assert jobs.request(capsys.readouterr().out.split()[0])[0].targets == str(field.targets)


def test_numbers_of_numpy(field, no_workers):
    settings = Settings(background_box=np.int64(21), time=(np.float32(1), np.float64(1e5)))
    assert jobs.request(submit(field, settings=settings).id)[0].settings == settings


def test_a_request_that_cannot_be_kept_leaves_nothing(field, no_workers):
    with pytest.raises(TypeError, match="cannot be kept"):
        submit(field, origin=[object()])
    with JobStore() as store:
        assert list((store.home / "jobs").iterdir()) == []
    assert jobs.jobs() == []


def test_what_cannot_be_submitted(field, tmp_path):
    with pytest.raises(PhotometryError, match="no source to measure"):
        jobs.submit([], field.folder / "images")
    with pytest.raises(JobError, match="images: there is no folder"):
        jobs.submit(Source(1, 2), tmp_path / "missing")
    with pytest.raises(JobError, match="calibration: there is no folder"):
        jobs.submit(Source(1, 2), field.folder / "images", tmp_path / "missing")
    with pytest.raises(JobError, match="workers is 0"):
        submit(field, workers=0)
    with pytest.raises(JobError, match="scheduler is 3; an address"):
        submit(field, scheduler=3)
    with pytest.raises(JobError, match="format is 'doc'"):
        submit(field, spectrum_format="doc")
    assert jobs.jobs() == []


def test_nothing_to_measure_is_an_error_with_a_reason(field, finished):
    done = finished(jobs.submit(Source(10, 80), field.folder / "images"))
    assert done.phase is Phase.ERROR
    assert "the source lies on none" in done.message
    with pytest.raises(JobError, match="is ERROR: the source lies on none"):
        jobs.result_folder(done.id)


def test_rejected_rows_are_in_the_result(field, tmp_path, finished):
    from astropy.table import Table

    lines = field.targets.read_text().splitlines()
    (tmp_path / "list.csv").write_text("\n".join([lines[0], "400,0,far,,,,,,,", *lines[1:]]) + "\n")
    done = finished(jobs.submit(read_targets(tmp_path / "list.csv"), field.folder / "images"))
    table = Table.read(done.result / "targets.ecsv")
    assert table["status"].tolist() == ["rejected", "measured", "measured"]
    assert table["label"][0] == "far"


def test_cancel_and_resume(field, plain, ended, no_workers, nursery, same_result, until):
    job = submit(field)
    pid = nursery.start(slow=0.2, batch=0.0)
    until(lambda: jobs.job(job.id).images_done >= 3)
    known = jobs.job(job.id)
    assert known.rate > 0
    assert known.seconds_left == pytest.approx((24 - known.images_done) / known.rate)
    assert 0 < len(jobs.partial_spectra(job.id)) < 48
    running = jobs.cancel(job.id)
    assert running.phase is Phase.EXECUTING
    assert running.cancelled
    nursery.wait(pid)
    done = jobs.job(job.id)
    assert done.phase is Phase.ABORTED
    assert done.resumed is None
    assert 3 <= done.images_done < 24
    assert len(jobs.partial_spectra(job.id)) == 2 * done.images_done
    assert jobs.partial_spectra(job.id).meta["glue_spherex"]["image_folders"] == [str(field.folder / "images")]
    assert jobs.resume(job.id).phase is Phase.QUEUED
    nursery.wait(nursery.start())
    again = ended(job.id)
    assert again.phase is Phase.COMPLETED
    assert again.started == done.started  # when it first began
    assert done.ended <= again.resumed <= again.ended
    assert again.as_dict()["resumed"] == again.resumed.isoformat(timespec="milliseconds")
    measured = (job.folder / "measured").read_text().split()
    assert len(measured) == len(set(measured)) == 24
    same_result(jobs.result_folder(job.id), plain)


@pytest.mark.parametrize("place", [(stored_run, "has_repeats"), (output, "write_spectra")])
def test_cancel_while_the_result_is_written(field, plain, finished, store, monkeypatch, same_result, place):
    """It says how far it is, stops between two sources, leaves no half of a result, and goes on later."""
    job, seen = submit(field), []
    work = getattr(*place)

    def work_and_cancel(*arguments):
        jobs.cancel(job.id)
        return work(*arguments)

    def written(run, done, total):
        real(run, done, total)
        known = jobs.job(job.id)
        seen.append((known.message, known.seconds_left, known.cancelled))

    with monkeypatch.context() as patch:
        real = worker.Run._written
        patch.setattr(worker.Run, "_written", written)
        patch.setattr(worker, "REPORT_SECONDS", 0.0)
        patch.setattr(*place, work_and_cancel)
        claimed, held = claim_next(store)
        worker.Run(store, claimed, SimpleNamespace(told=False)).run()
        os.close(held)
    assert len(seen) == (place[0] is output)
    for message, seconds_left, cancelled in seen:
        assert message == "writes the result, 1 of 2 sources"
        assert seconds_left > 0
        assert cancelled
    stopped = jobs.job(job.id)
    assert (stopped.phase, stopped.images_done) == (Phase.ABORTED, 24)
    assert "24 of 24 images are done and kept; resume the job" in stopped.message
    assert [path.name for path in stopped.result.rglob("*") if path.is_file()] == []
    assert len(jobs.partial_spectra(job.id)) == 48
    jobs.resume(job.id)
    assert finished(job).phase is Phase.COMPLETED
    assert len((job.folder / "measured").read_text().split()) == 0  # nothing once more
    same_result(jobs.result_folder(job.id), plain)


def test_calibration_is_replaced_before_a_job_goes_on(field, tmp_path, worked):
    """The result lists both versions, says which image was measured with which, and the message that they differ."""
    from astropy.io import fits
    from astropy.table import Table

    calibration = tmp_path / "calibration"
    shutil.copytree(field.calibration, calibration)
    job = jobs.submit(read_targets(field.targets), field.folder / "images", calibration)
    worked(job.id, images=13)
    with ResultStore(job.folder / "results.sqlite", reader=True) as results:
        kept = {line["path"] for line in results.about() if line["det_id"] == 5}
    path = next(calibration.rglob("spectral_wcs_D5*"))
    before = path.stat()
    with fits.open(path, mode="update") as hdus:
        hdus["CWAVE"].data *= np.float32(1.05)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    done = worked(job.id)
    assert done.phase is Phase.COMPLETED
    assert "measured with different calibration files" in done.message
    images = Table.read(done.result / "images.ecsv")
    used = {row["path"]: json.loads(row["calibration_files"]) for row in images}
    old, new = ([str(path), before.st_size, before.st_mtime_ns + later] for later in (0, 10**9))
    assert {image for image, files in used.items() if old in files} == kept
    assert {image for image, files in used.items() if new in files} == {*images["path"][images["det_id"] == 5]} - kept
    assert 0 < len(kept) < 12
    made = json.loads((done.result / "settings.json").read_text())["made"]["calibration_files"]
    assert [list(file.values()) for file in made if file["path"] == str(path)] == [old, new]
    assert {file["path"] for file in made} == {name for files in used.values() for name, _, _ in files}
    assert any("calibration files" in note for note in jobs.notes(job.id))
    again = worked(jobs.rerun(job.id).id)
    assert (again.phase, "calibration" in again.message) == (Phase.COMPLETED, False)


def test_resume_elsewhere(field, finished):
    job = submit(field, scheduler="tcp://lost:1", workers=3)
    jobs.cancel(job.id)
    with pytest.raises(JobError, match="workers is -1"):
        jobs.resume(job.id, workers=-1)
    jobs.resume(job.id, workers=1, scheduler="")
    assert (jobs.request(job.id)[0].workers, jobs.request(job.id)[0].scheduler) == (1, None)
    assert finished(job).phase is Phase.COMPLETED
    assert jobs.wait(job.id).phase is Phase.COMPLETED


def test_a_run_that_fails_before_it_measures_forgets_nothing(field, finished, nursery, no_workers, until):
    job = submit(field)
    pid = nursery.start(slow=0.2, batch=0.0)
    until(lambda: jobs.job(job.id).images_done >= 3)
    jobs.cancel(job.id)
    nursery.wait(pid)
    before = jobs.job(job.id)
    jobs.resume(job.id, scheduler="nonsense")
    failed = finished(job)
    assert (failed.phase, failed.images_total) == (Phase.ERROR, 24)
    assert (failed.images_done, failed.measurements) == (before.images_done, before.measurements)


def test_wait_gives_up(field, no_workers):
    assert jobs.wait(submit(field).id, timeout=0.01).phase is Phase.QUEUED


def test_cancel_before_it_begins(field, no_workers):
    job = submit(field)
    assert len(jobs.partial_spectra(job.id)) == 0
    assert jobs.failures(job.id) == []
    assert jobs.cancel(job.id).phase is Phase.ABORTED
    assert jobs.resume(job.id).phase is Phase.QUEUED
    with pytest.raises(JobError, match="need not be resumed"):
        jobs.resume(job.id)


def test_failed_images_are_tried_again(field, tmp_path, finished):
    """An image on a disk that was away: the job is resumed when it is back."""
    folder = tmp_path / "images"
    shutil.copytree(field.folder / "images", folder)
    collection = FolderCollection(folder, field.calibration)
    collection.refresh()
    path = sorted(folder.glob("*.fits"))[4]
    content, stamp = path.read_bytes(), path.stat().st_mtime_ns
    path.write_bytes(b"")
    job = jobs.submit(read_targets(field.targets), folder, field.calibration)
    done = finished(job)
    assert (done.phase, done.failures, done.measurements) == (Phase.COMPLETED, 1, 46)
    assert "; 1 image failed, images.ecsv" in done.message
    ((failed, reason),) = jobs.failures(job.id)
    assert failed == str(path)
    assert "empty" in reason
    path.write_bytes(content)
    os.utime(path, ns=(stamp, stamp))
    jobs.resume(job.id)
    done = finished(job)
    assert (done.phase, done.failures, done.measurements) == (Phase.COMPLETED, 0, 48)
    assert jobs.failures(job.id) == []
    assert (done.result / "spectra" / "pair-1a.vot").exists()


def test_remove(field, tmp_path, finished):
    job = submit(field, output=tmp_path / "mine")
    done = finished(job)
    assert jobs.result_folder(job.id) == tmp_path / "mine"
    jobs.remove(job.id)
    assert not job.folder.exists()
    assert (done.result / "spectra.vot").exists()
    assert jobs.jobs() == []
    with pytest.raises(JobError, match="there is no job"):
        jobs.remove(job.id)


def test_a_running_job_is_not_removed(field, no_workers, nursery, until):
    job = submit(field)
    pid = nursery.start(slow=0.1)
    until(lambda: jobs.job(job.id).phase is Phase.EXECUTING)
    with pytest.raises(JobError, match="is running; cancel it first"):
        jobs.remove(job.id)
    nursery.wait(pid)
    jobs.remove(job.id)


def test_two_programs_submit_200_jobs(field, ended, until, tmp_path):
    """Each runs exactly once, never more than two at a time; most of them find nothing to do, so that it is quick."""
    code = (
        "import sys; from glue_spherex import Source, jobs, read_targets\n"
        "there, nowhere = read_targets(sys.argv[1]).sources[0], Source(1, 2)\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for k in range(100): jobs.submit(there if k % 20 == 0 else nowhere, sys.argv[2], title=str(k))\n"
    )
    folder = tmp_path / "images"
    folder.mkdir()
    image = next(path for path in field.images if "D2" in path.name)
    (folder / image.name).symlink_to(image)
    FolderCollection(folder).refresh()
    command = [sys.executable, "-c", code, str(field.targets), str(folder)]
    programs = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [program.stdout.readline() for program in programs] == ["ready\n"] * 2
    for program in programs:
        program.stdin.write("go\n")
        program.stdin.flush()
    running = []
    with JobStore() as store:

        def over():
            running.append(len(store.in_phase(Phase.EXECUTING)))
            return all(program.poll() is not None for program in programs) and not store.in_phase(Phase.QUEUED)

        until(over, 600)
    for program in programs:
        program.communicate()
        assert program.returncode == 0
    known = jobs.jobs()
    assert len(known) == 200
    for job in known:
        done = ended(job.id)
        assert done.phase is (Phase.COMPLETED if int(job.title) % 20 == 0 else Phase.ERROR), job
        assert done.phase is Phase.COMPLETED or "lies on none of the images" in done.message
        assert (job.folder / "log.txt").read_text().count("begins") == 1
    assert 1 <= max(running) <= 2


def test_a_folder_that_somebody_still_works_in(field, no_workers, store):
    """The job waits, and the next one has its turn."""
    first, second = submit(field), submit(field)
    held = lock.take(first.folder)
    claimed, other = claim_next(store)
    assert claimed.id == second.id
    assert jobs.job(first.id).phase is Phase.QUEUED
    assert "waits until another process" in jobs.job(first.id).message
    os.close(held)
    claimed, held = claim_next(store)
    assert claimed.id == first.id
    os.close(held)
    os.close(other)


def test_whoever_looks_fills_a_place_that_has_become_free(field, no_workers, store, monkeypatch):
    first, second = submit(field), submit(field)
    _, held = claim_next(store)
    started = []
    monkeypatch.setattr("glue_spherex.jobs.queue.start_waiting", lambda store: started.append(store))
    assert {job.id: job.phase for job in jobs.jobs()} == {first.id: Phase.EXECUTING, second.id: Phase.QUEUED}
    assert len(started) == 1
    jobs.set_running_limit(1)
    jobs.jobs()
    assert len(started) == 2  # by `set_running_limit` itself
    os.close(held)


def test_a_claim_that_cannot_be_stored_leaves_no_lock(field, no_workers, store, monkeypatch):
    """The disk is full, or the store locked, just then: the job waits, and whoever comes next can have it."""
    job = submit(field)

    def full(*arguments, **values):
        raise JobError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "update", full)
        with pytest.raises(JobError, match="disk is full"):
            claim_next(store)
    assert not lock.is_held(job.folder)
    claimed, held = claim_next(store)
    os.close(held)
    assert claimed.id == job.id


def test_a_job_that_is_in_the_store_is_submitted(field, no_workers, monkeypatch):
    """The store is locked just when a worker is to be started: the job waits, and is not handed in a second time."""

    def locked(store):
        raise JobError("the job store is locked by another program; try again in a moment.")

    with monkeypatch.context() as patch:
        patch.setattr("glue_spherex.jobs.queue.start_waiting", locked)
        job = submit(field)
    jobs.cancel(job.id)
    with monkeypatch.context() as patch:
        patch.setattr("glue_spherex.jobs.queue.start_waiting", locked)
        assert jobs.resume(job.id).phase is Phase.QUEUED
        jobs.set_running_limit(1)
    assert [known.id for known in jobs.jobs()] == [job.id]


def test_the_result_of_another_job_is_not_written_over(field, tmp_path, finished):
    """Neither that of a job that is done, nor that of one that waits; the folder is free when the job is removed."""
    first = submit(field, output=tmp_path / "mine")

    def refused():
        with pytest.raises(JobError, match=rf"mine.* is that of job {first.id} .*choose another one"):
            submit(field, output=f"{tmp_path}/x/../mine/")
        assert len(jobs.jobs()) == 1
        return [path.name for path in first.folder.parent.iterdir()] == [first.id]

    assert refused()
    assert finished(first).phase is Phase.COMPLETED
    assert refused()
    jobs.remove(first.id)
    second = submit(field, output=tmp_path / "mine")
    jobs.cancel(second.id)
    assert jobs.resume(second.id).phase is Phase.QUEUED
    jobs.cancel(second.id)
    third = submit(field, output=tmp_path / "mine")  # the second one has no result
    with pytest.raises(JobError, match=rf"is that of job {third.id}"):
        jobs.resume(second.id)
    assert jobs.job(second.id).phase is Phase.ABORTED


def test_many_resume_at_once(field, no_workers, store):
    """One of them does it; the others are told so, and nothing is started twice."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    job = submit(field)
    jobs.cancel(job.id)
    together = Barrier(8)

    def resume(number):
        together.wait()
        try:
            return jobs.resume(job.id).phase
        except JobError as error:
            return str(error)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(resume, range(8)))
    assert answers.count(Phase.QUEUED) == 1
    assert sum("is QUEUED; it need not be resumed" in answer for answer in answers) == 7
    _, held = claim_next(store)
    assert claim_next(store) is None
    os.close(held)
