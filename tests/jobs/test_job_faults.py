"""What jobs survive, each fault really done."""

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from glue_spherex import FolderCollection, Source, jobs, read_spectra, read_targets
from glue_spherex.jobs import JobError, JobStore, JobWatch, Phase
from glue_spherex.photometry.result_store import ResultStore

KILLS = 25


def submit(field, **options):
    return jobs.submit(read_targets(field.targets), field.folder / "images", field.calibration, **options)


def stored(job):
    """Paths of the images in the store of results, whatever state a crash has left it in."""
    if not (job.folder / "results.sqlite").exists():
        return set()
    with ResultStore(job.folder / "results.sqlite") as results:
        return {line["path"] for line in results.about() if line["status"] != "failed"}


def measured(job):
    path = job.folder / "measured"
    return path.read_text().splitlines() if path.exists() else []


def test_a_worker_killed_25_times(field, plain, no_workers, nursery, until, same_result):
    """SIGKILL at random moments: nothing that was kept is measured again, and the result is that of a quiet run."""
    rng = random.Random(8)
    job = submit(field)
    before, phases = [], set()
    for number in range(KILLS):
        kept = stored(job)
        begin = len(measured(job))
        pid = nursery.start(batch=0.0)
        if number % 3:  # else while it begins
            wanted = begin + rng.randint(1, max(1, 6 - len(kept) % 6))
            until(lambda wanted=wanted: len(measured(job)) >= wanted or not jobs.job(job.id).phase.is_active)
        time.sleep(rng.uniform(0.0, 0.1))
        os.kill(pid, signal.SIGKILL)
        nursery.wait(pid)
        assert not kept & set(measured(job)[begin:])
        assert kept <= stored(job)
        before.append(len(kept))
        known = jobs.job(job.id)
        phases.add(known.phase)
        if known.phase is Phase.COMPLETED:  # it was faster: let it measure everything once more
            shutil.rmtree(job.folder / "result")
            for path in job.folder.glob("results.sqlite*"):
                path.unlink()
            with JobStore() as store:
                store.queue(job.id)
        elif known.phase is not Phase.QUEUED:
            assert known.phase is Phase.ERROR
            assert "ended unexpectedly" in known.message or "could not begin" in known.message
            assert "3 times at the same place" in known.message
            assert known.can_resume
            jobs.resume(job.id)
    assert Phase.QUEUED in phases
    assert len(set(before)) > 3  # killed at different stages
    kept, begin = stored(job), len(measured(job))
    nursery.wait(nursery.start())
    assert jobs.job(job.id).phase is Phase.COMPLETED
    again = measured(job)[begin:]
    assert len(again) == len(set(again)) == 24 - len(kept)
    assert not kept & set(again)
    assert jobs.job(job.id).measurements == 48
    same_result(jobs.result_folder(job.id), plain)


def test_a_worker_that_hangs(field, plain, ended, until, same_result):
    """As if it waited for a disk that does not answer: it is cancelled once more, and the job goes on later."""
    for _ in range(20):  # one that is stopped before it has ended
        job = submit(field)
        until(lambda job=job: jobs.job(job.id).pid or not jobs.job(job.id).phase.is_active)
        with contextlib.suppress(OSError, TypeError):
            os.kill(jobs.job(job.id).pid, signal.SIGSTOP)
        if jobs.job(job.id).phase is Phase.EXECUTING:
            break
    first = jobs.cancel(job.id)
    assert (first.phase, first.cancelled) == (Phase.EXECUTING, True)
    assert "once more" in first.message
    jobs.cancel(job.id)
    until(lambda: jobs.job(job.id).phase is Phase.ABORTED)
    jobs.resume(job.id)
    done = ended(job.id)
    assert done.phase is Phase.COMPLETED
    same_result(done.result, plain)


def test_a_real_worker_killed_with_its_processes(field, plain, ended, until, same_result):
    """The processes of a killed worker end as well, the queue moves on, and another worker ends the job."""
    watch = JobWatch()
    jobs.set_running_limit(1)
    assert watch.changed()
    for _ in range(5):
        job, children = submit(field, workers=2), []
        until(lambda job=job: jobs.job(job.id).pid is not None or not jobs.job(job.id).phase.is_active)
        pid = jobs.job(job.id).pid
        while pid and not children and _alive(pid):
            children = _descendants(pid)
        if pid and _stopped(pid):
            break
    else:
        pytest.skip("five workers were faster than this test")
    second = jobs.submit(Source(10, 80), field.folder / "images")
    until(lambda: watch.changed() or True)
    assert second.phase is Phase.QUEUED
    os.kill(pid, signal.SIGKILL)
    until(lambda: not any(_alive(child) for child in children))
    until(watch.changed)
    watch.close()
    assert ended(job.id).phase is Phase.COMPLETED
    assert jobs.log(job.id).count("begins") == 2
    same_result(jobs.result_folder(job.id), plain)
    assert "the source lies on none" in ended(second.id).message


def _stopped(pid):
    """Stop a process, so that it ends only by SIGKILL; no, if it has ended."""
    try:
        os.kill(pid, signal.SIGSTOP)
    except ProcessLookupError:
        return False
    return _alive(pid)


def _descendants(pid):
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _alive(pid):
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_submitting_program_is_killed(field, plain, ended, same_result):
    code = (
        "import os, signal, sys; from glue_spherex import jobs, read_targets\n"
        "job = jobs.submit(read_targets(sys.argv[1]), sys.argv[2], sys.argv[3])\n"
        "print(job.id, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", code, str(field.targets), str(field.folder / "images"), str(field.calibration)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    job_id = done.stdout.strip()
    assert ended(job_id).phase is Phase.COMPLETED
    same_result(jobs.result_folder(job_id), plain)


def test_a_worker_that_is_told_to_end(field, no_workers, nursery, until):
    """SIGTERM, as at a shutdown: what is measured is kept, and the job goes on when somebody looks."""
    job = submit(field)
    pid = nursery.start(slow=0.2)
    until(lambda: len(measured(job)) >= 3)
    os.kill(pid, signal.SIGTERM)
    nursery.wait(pid)
    known = jobs.job(job.id)
    assert (known.phase, known.ended, known.pid) == (Phase.QUEUED, None, None)
    assert "told its worker to end; it goes on by itself" in known.message
    kept = measured(job)
    assert len(stored(job)) == len(kept) == known.images_done
    nursery.wait(nursery.start())
    assert jobs.job(job.id).phase is Phase.COMPLETED
    assert len(measured(job)) == len(set(measured(job))) == 24


def test_a_killed_worker_is_replaced_by_whoever_looks(field, no_workers, nursery, until, store, monkeypatch):
    """The job keeps its place in the queue."""
    first, second = submit(field), submit(field)
    pid = nursery.start(slow=0.2)
    until(lambda: len(measured(first)) >= 2)
    os.kill(pid, signal.SIGKILL)
    nursery.wait(pid)
    started = []
    monkeypatch.setattr("glue_spherex.jobs.queue.start_waiting", lambda store: started.append(True))
    known = {job.id: job for job in jobs.jobs()}
    assert started
    assert known[first.id].phase is Phase.QUEUED
    assert "ended unexpectedly" in known[first.id].message
    assert "goes on by itself" in known[first.id].message
    assert [job.id for job in store.in_phase(Phase.QUEUED)] == [first.id, second.id]
    nursery.wait(nursery.start())
    assert jobs.job(first.id).phase is Phase.COMPLETED


def test_a_job_that_kills_its_workers(field, no_workers, nursery):
    """One image ends each worker that comes to it: the job is given up; what could be measured is kept."""
    job = submit(field)
    path = sorted(FolderCollection(field.folder / "images").records, key=lambda record: record.path)[5].path
    phases = []
    for _ in range(3):
        nursery.wait(nursery.start(fault="kills", at=str(path), batch=0.0))
        phases.append(jobs.job(job.id).phase)
    assert phases == [Phase.QUEUED, Phase.QUEUED, Phase.ERROR]
    known = jobs.job(job.id)
    assert "ended unexpectedly" in known.message
    assert "3 times at the same place; resume the job to try again" in known.message
    assert len(stored(job)) == 5
    assert jobs.resume(job.id).phase is Phase.QUEUED
    nursery.wait(nursery.start(fault="kills", at=str(path)))
    assert jobs.job(job.id).phase is Phase.QUEUED  # it has its chances again
    aborted = jobs.cancel(job.id)
    assert aborted.phase is Phase.ABORTED
    assert aborted.message.startswith("aborted while it waited")


def test_a_job_that_gets_further_is_never_given_up(field, no_workers, nursery, until, monkeypatch):
    """Killed after each few images, as by reboots: it ends all the same."""
    job = submit(field)
    for _ in range(5):
        done = len(measured(job))
        pid = nursery.start(slow=0.2, batch=0.0, report=0.0)
        until(lambda done=done: len(measured(job)) >= done + 3)
        os.kill(pid, signal.SIGKILL)
        nursery.wait(pid)
        assert jobs.job(job.id).phase is Phase.QUEUED
    nursery.wait(nursery.start())
    assert jobs.job(job.id).phase is Phase.COMPLETED


def test_a_worker_looks_after_the_queue(field, no_workers, nursery, until):
    """While it works on one job, another one's worker dies, and nobody else looks."""
    first, second = submit(field), submit(field)
    pid = nursery.start(slow=0.2)
    until(lambda: measured(first))
    other = nursery.start(slow=0.2, queue=0.0)
    until(lambda: measured(second))
    os.kill(pid, signal.SIGKILL)
    nursery.wait(pid)
    nursery.wait(other)
    with JobStore() as store:
        until(lambda: store.job(first.id).phase is Phase.COMPLETED)  # by a real worker that the second one started


def test_the_program_is_updated_before_a_job_goes_on(field, plain, no_workers, nursery, until):
    """The result says which image was measured with what; the numbers of the first run stay."""
    from astropy.table import Table

    job = submit(field)
    old = "glue-spherex 0.0.1, numpy 1.0"
    pid = nursery.start(slow=0.2, batch=0.0, made_with=old)
    until(lambda: len(measured(job)) >= 5)
    os.kill(pid, signal.SIGKILL)
    nursery.wait(pid)
    kept = stored(job)
    nursery.wait(nursery.start())
    done = jobs.job(job.id)
    assert done.phase is Phase.COMPLETED
    assert "measured with different versions" in done.message
    images = Table.read(done.result / "images.ecsv")
    assert {row["path"] for row in images if row["made_with"] == old} == kept
    settings = json.loads((done.result / "settings.json").read_text())
    assert sorted(set(images["made_with"])) == settings["made_with"]
    assert len(settings["made_with"]) == 2
    assert jobs.partial_spectra(job.id).meta["glue_spherex"]["made_with"] == settings["made_with"]
    assert read_spectra(done.result / "spectra.vot").meta["glue_spherex"]["made_with"] == settings["made_with"]
    quiet = json.loads((plain / "settings.json").read_text())
    assert quiet["made_with"] == [text for text in settings["made_with"] if text != old]


def test_a_worker_that_cannot_begin(field, ended, monkeypatch):
    """Nobody tries for ever."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    done = ended(submit(field).id)
    assert done.phase is Phase.ERROR
    assert "could not begin" in done.message
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    done = ended(submit(field).id)
    assert "could not be started (No such file" in done.message
    monkeypatch.undo()


def test_the_store_is_locked_while_a_job_runs(field, plain, no_workers, nursery, until, same_result):
    job = submit(field)
    pid = nursery.start(slow=0.1)
    until(lambda: len(measured(job)) >= 2)
    other = sqlite3.connect(os.path.join(os.environ["GLUE_SPHEREX_HOME"], "jobs.sqlite"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    until(lambda: len(measured(job)) == 24)  # it goes on
    time.sleep(0.3)
    other.execute("ROLLBACK")
    other.close()
    nursery.wait(pid)
    assert jobs.job(job.id).phase is Phase.COMPLETED
    same_result(jobs.result_folder(job.id), plain)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a small disk")
def test_the_disk_is_full(field, plain, tmp_path, monkeypatch, no_workers, nursery, same_result):
    home = tmp_path / "small"
    home.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(home)], check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        shutil.copy(tmp_path / "glue-spherex-home" / "index.sqlite", home)
        monkeypatch.setenv("GLUE_SPHEREX_HOME", str(home))
        job = submit(field)
        filler = home / "filler"
        _fill(filler, 450_000)
        nursery.wait(nursery.start(batch=0.0))
        known = jobs.job(job.id)
        assert known.phase is Phase.ERROR, known.message
        assert "full" in known.message or "No space" in known.message
        assert "Free some space, then resume" in known.message
        _fill(home / "more", 0)
        with pytest.raises(JobError, match=r"No space|full|cannot"):
            submit(field)
        (home / "more").unlink(missing_ok=True)
        filler.unlink()
        assert [listed.id for listed in jobs.jobs()] == [job.id]
        kept = stored(job)
        assert 0 < len(kept) < 24
        jobs.resume(job.id)
        nursery.wait(nursery.start())
        assert jobs.job(job.id).phase is Phase.COMPLETED, jobs.job(job.id).message
        assert len(measured(job)) <= 24 + 1  # at most the image whose result did not fit twice
        same_result(jobs.result_folder(job.id), plain)
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)


def test_a_file_may_not_grow(field, no_workers, nursery):
    """The same for a limit of the size of files, which needs no small disk."""
    first = read_targets(field.targets).sources[0]
    sources = [Source(first.ra + k * 2e-4, first.dec + k % 5 * 1e-3, str(k)) for k in range(60)]
    job = jobs.submit(sources, field.folder / "images", field.calibration)
    nursery.wait(nursery.start(batch=0.0, largest=300_000))
    known = jobs.job(job.id)
    assert known.phase is Phase.ERROR, known.message
    assert "Free some space, then resume" in known.message
    kept = stored(job)
    assert 0 < len(kept) < 24
    jobs.resume(job.id)
    nursery.wait(nursery.start())
    known = jobs.job(job.id)
    assert known.phase is Phase.COMPLETED
    assert kept < stored(job)
    assert len(measured(job)) <= 24 + 1
    assert known.measurements == len(jobs.partial_spectra(job.id))


def _fill(path, free):
    """Fill a disk up to some bytes."""
    status = os.statvfs(path.parent)
    with contextlib.suppress(OSError), open(path, "wb") as file:
        file.write(b"\0" * (status.f_bavail * status.f_frsize - free))
        while not free:
            file.write(b"\0" * 4096)
            file.flush()


def test_the_folder_of_a_job_is_deleted(field, no_workers, nursery, until):
    waiting, running, over = submit(field), None, None
    shutil.rmtree(waiting.folder)
    with JobStore() as store:
        from glue_spherex.jobs.queue import claim_next

        assert claim_next(store) is None
    gone = jobs.job(waiting.id)
    assert gone.phase is Phase.ERROR
    assert "its folder is gone" in gone.message
    for act in (jobs.resume, jobs.request, jobs.partial_spectra):
        with pytest.raises(JobError, match="somebody has deleted or moved it"):
            act(waiting.id)
    assert jobs.failures(waiting.id) == []
    assert jobs.log(waiting.id) == ""

    running = submit(field)
    pid = nursery.start(slow=0.2)
    until(lambda: len(measured(running)) >= 2)
    shutil.rmtree(running.folder)
    nursery.wait(pid)
    assert not running.folder.exists()
    gone = jobs.job(running.id)
    assert gone.phase is Phase.ERROR
    assert "deleted or moved" in gone.message or "gone" in gone.message

    over = submit(field)
    nursery.wait(nursery.start())
    assert jobs.job(over.id).phase is Phase.COMPLETED
    shutil.rmtree(over.folder)
    with pytest.raises(JobError, match="is no longer in"):
        jobs.result_folder(over.id)
    for job in jobs.jobs():
        jobs.remove(job.id)
    assert jobs.jobs() == []


@pytest.mark.parametrize("fault", ["vanishes", "is truncated", "is replaced"])
def test_an_image_goes_bad_during_the_run(field, tmp_path, no_workers, nursery, fault):
    """It is a row with a reason; when it is back, the job can be resumed, and measures this one alone."""
    folder = tmp_path / "images"
    shutil.copytree(field.folder / "images", folder)
    path = sorted(folder.glob("*.fits"))[7]
    good = path.read_bytes()
    job = jobs.submit(read_targets(field.targets), folder, field.calibration)
    nursery.wait(nursery.start(fault=fault, at=str(path)))
    known = jobs.job(job.id)
    assert (known.phase, known.failures, known.measurements) == (Phase.COMPLETED, 1, 46)
    ((failed, reason),) = jobs.failures(job.id)
    assert failed == str(path)
    assert ("no such file" if fault == "vanishes" else "replaced") in reason
    if fault == "is replaced":
        return
    if fault == "vanishes":  # and is still away
        jobs.resume(job.id)
        nursery.wait(nursery.start())
        assert jobs.job(job.id).failures == len(jobs.failures(job.id)) == 1
    path.write_bytes(good)
    jobs.resume(job.id)
    nursery.wait(nursery.start())
    known = jobs.job(job.id)
    assert (known.phase, known.failures, known.measurements) == (Phase.COMPLETED, 0, 48)
    assert len(measured(job)) == 25


def test_the_clock_is_set_back(field, no_workers, nursery, monkeypatch):
    """Jobs keep their order and end as ever; only what is shown is odd."""
    first = submit(field)
    monkeypatch.setattr("glue_spherex.jobs.submission.JobStore", lambda: JobStore(clock=lambda: 1e9))
    second = submit(field)
    assert second.submitted.year == 2001
    assert [job.id for job in jobs.jobs()] == [second.id, first.id]
    for job in (first, second):
        nursery.wait(nursery.start())
        known = jobs.job(job.id)
        assert known.phase is Phase.COMPLETED
        assert 0 < known.seconds < 1e6  # not the time between the two clocks


def test_nothing_from_a_job_folder_is_run(field, no_workers, nursery, tmp_path):
    """Files that Python would import or unpickle lie in the folder, and are not touched."""
    job = submit(field)
    trap = f"open({str(tmp_path / 'sprung')!r}, 'w')"
    for name in ("numpy.py", "astropy.py", "sitecustomize.py", "usercustomize.py", "glue_spherex.py", "json.py"):
        (job.folder / name).write_text(trap)
    (job.folder / "conftest.pkl").write_bytes(b"cos\nsystem\n(S'touch sprung'\ntR.")
    monkey = job.folder / "results.sqlite"
    with ResultStore(monkey):
        pass
    nursery.wait(nursery.start())
    assert jobs.job(job.id).phase is Phase.COMPLETED
    assert not (tmp_path / "sprung").exists()


def test_names_of_files_are_plain_in_the_log(field, tmp_path, worked, caplog, monkeypatch):
    """A name cannot forge a line of the log, nor steer the terminal that shows it."""
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "x\x1b[31m\nCOMPLETED.fits").symlink_to(field.images[0])

    def fail(*arguments):
        raise ValueError("bad\nCOMPLETED\x1b[0m")

    monkeypatch.setattr("glue_spherex.photometry.image_result.measure_image", fail)
    caplog.set_level("INFO")
    job = jobs.submit(read_targets(field.targets), folder)
    assert worked(job.id).failures == 1
    assert [text for text in caplog.messages if "failed: " in text] == [
        f"{folder}/x [31m COMPLETED.fits failed: bad COMPLETED [0m"
    ]
    assert all(text.isprintable() for text in caplog.messages)
