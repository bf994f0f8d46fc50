"""Jobs that were interrupted go on when glue is opened."""

import os
import threading

import pytest

from glue_spherex import jobs, read_targets
from glue_spherex.jobs import JobStore, Phase, lock
from glue_spherex.jobs.store import default_home
from glue_spherex.qt.jobs_at_start import go_on_with_jobs


@pytest.fixture
def interrupted(simulated, monkeypatch):
    """A job as a reboot leaves it: the store says that it runs, and nobody works on it."""
    field = simulated("pair", images=12, detectors=(2, 5), size=30, seed=4)
    with monkeypatch.context() as patch:
        patch.setattr("glue_spherex.jobs.queue.start_waiting", lambda store: [])
        job = jobs.submit(read_targets(field.targets), field.folder / "images", field.calibration)
    with JobStore() as store:
        store.update(job.id, phase=Phase.EXECUTING, started=store.clock(), pid=4711, attempts=1)
    return job


def test_an_interrupted_job_goes_on_when_glue_is_opened(interrupted, wait_for):
    """By loading the plugin alone, with a worker of its own."""
    from glue_spherex.qt import setup

    setup()
    with JobStore() as store:  # which only reads
        wait_for(lambda: not store.job(interrupted.id).phase.is_active)
        assert store.job(interrupted.id).phase is Phase.COMPLETED, store.job(interrupted.id)


def test_a_job_that_runs_is_left_alone(interrupted, no_job_processes):
    held = lock.take(interrupted.folder)
    with JobStore() as store:
        before = store.job(interrupted.id)
        go_on_with_jobs().join()
        assert store.job(interrupted.id) == before
        os.close(held)
        go_on_with_jobs().join()
        assert store.job(interrupted.id).phase is Phase.QUEUED


def test_no_store_is_made():
    assert go_on_with_jobs() is None
    assert not default_home().exists()


@pytest.mark.parametrize("fault", ["damaged", "newer", "locked", "unreadable"])
def test_a_fault_of_the_store_does_not_keep_glue_from_opening(fault, monkeypatch, recwarn, capfd):
    """Silent here; the monitor says it."""
    with JobStore() as store:
        path = store.path
        if fault == "newer":
            store._database.execute("PRAGMA user_version = 99")
        if fault == "locked":
            monkeypatch.setattr("glue_spherex.qt.jobs_at_start.JobStore", lambda home: JobStore(home, busy_seconds=0.0))
            store._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            store._database.execute("BEGIN EXCLUSIVE")
        if fault != "locked":
            store.close()
        if fault == "damaged":
            path.write_bytes(b"no database, but long enough to be looked at" * 100)
        if fault == "unreadable":
            monkeypatch.setattr("sqlite3.connect", lambda *arguments, **options: 1 / 0)
        faults = []
        monkeypatch.setattr(threading, "excepthook", faults.append)
        content = path.read_bytes()
        go_on_with_jobs().join()
        assert path.read_bytes() == content
    assert not faults
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")
