import sqlite3
import threading

import pytest

from glue_spherex.jobs import JobError, JobStore, JobWatch, Phase, store_file


def add(store, title="t"):
    job_id = store.new_folder()
    store.insert(job_id, title, 1)
    return job_id


def test_a_new_job(store):
    job_id = add(store)
    known = store.job(job_id)
    assert (known.phase, known.title, known.n_sources) == (Phase.QUEUED, "t", 1)
    assert known.folder.is_dir()
    assert known.result == known.folder / "result"
    assert [job.id for job in store.jobs()] == [job_id]


def test_the_newest_comes_first_even_if_the_clock_is_set_back(tmp_path):
    clock = iter([2e9, 1e9, 0.5e9])
    with JobStore(tmp_path, clock=lambda: next(clock)) as store:
        ids = [add(store) for _ in range(3)]
        assert [job.id for job in store.jobs()] == ids[::-1]
        assert [job.id for job in store.in_phase(Phase.QUEUED)] == ids


@pytest.mark.parametrize("wrong", ["../../etc", "", "0123456", "0123456g", "ABCDEF01", None, "01234567/../x"])
def test_only_ids_become_paths(store, wrong):
    with pytest.raises(JobError, match="is not the id of a job"):
        store.job(wrong)


def test_an_unknown_job(store):
    with pytest.raises(JobError, match="there is no job 01234567"):
        store.job("01234567")


def test_an_older_store_is_migrated(tmp_path, monkeypatch):
    """What the first version wrote, opened by this one and by the next: by many at once, and only one migrates."""
    steps = store_file.STEPS
    monkeypatch.setattr(store_file, "STEPS", steps[:1])
    with JobStore() as old:
        job_id = add(old, "kept")
        old.update(job_id, phase=Phase.COMPLETED, images_done=3, message="as it was")
    monkeypatch.setattr(store_file, "STEPS", steps)
    with JobStore() as store:
        before = store.job(job_id)
        assert (before.title, before.phase, before.images_done) == ("kept", Phase.COMPLETED, 3)
        assert (before.message, before.resumed) == ("as it was", None)
        assert store.runs() == []
    step = ("ALTER TABLE jobs ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'", "CREATE TABLE more (x INTEGER)")
    monkeypatch.setattr(store_file, "STEPS", (*steps, step))
    failed = []

    def use():
        try:
            with JobStore() as newer:
                assert newer.job(job_id) == before
                add(newer)
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    with sqlite3.connect(store.path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (len(steps) + 1,)
        assert {row[0] for row in database.execute("SELECT colour FROM jobs")} == {"red"}
        assert database.execute("SELECT COUNT(*) FROM jobs").fetchone() == (9,)
    database.close()


def test_a_migration_that_fails_changes_nothing(store, monkeypatch):
    add(store)
    broken = ("CREATE TABLE more (x INTEGER)", "CREATE TABLE more (x INTEGER)")
    monkeypatch.setattr(store_file, "STEPS", (*store_file.STEPS, broken))
    with pytest.raises(JobError, match="cannot be used"):
        JobStore()
    monkeypatch.undo()
    with sqlite3.connect(store.path) as database:
        assert database.execute("SELECT name FROM sqlite_master WHERE name = 'more'").fetchall() == []
    database.close()
    assert len(store.jobs()) == 1


def test_a_newer_store_is_refused_and_untouched(tmp_path):
    with JobStore(tmp_path) as store:
        add(store)
    database = sqlite3.connect(tmp_path / "jobs.sqlite")
    database.execute("PRAGMA user_version = 77")
    database.close()
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.glob("jobs.sqlite*")}
    with pytest.raises(JobError, match=r"newer version of glue-spherex \(layout 77; this one knows up to 3\)"):
        JobStore(tmp_path)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.glob("jobs.sqlite*")} == before


def test_a_damaged_store(tmp_path):
    (tmp_path / "jobs.sqlite").write_bytes(b"no database, but long enough to be looked at" * 100)
    with pytest.raises(JobError, match="not a database; move it away"):
        JobStore(tmp_path)
    assert (tmp_path / "jobs.sqlite").read_bytes().startswith(b"no database")


def test_a_home_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(JobError, match="set GLUE_SPHEREX_HOME"):
        JobStore(tmp_path / "file" / "home")


def test_a_locked_store(store, monkeypatch):
    add(store)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    store._database.execute("PRAGMA busy_timeout = 50")
    with pytest.raises(JobError, match="locked by another program; try again"):
        add(store)
    assert len(store.jobs()) == 1  # it can be read meanwhile
    assert not store.update_soon(store.jobs()[0].id, message="x")
    other.execute("ROLLBACK")
    other.close()
    add(store)
    assert len(store.jobs()) == 2


def test_a_transaction_is_all_or_nothing(store):
    job_id = add(store)

    def change():
        with store.transaction():
            store.update(job_id, message="changed")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    assert store.job(job_id).message == "waits for its turn"


def test_running_limit(store):
    assert store.running_limit() == 2
    store.set_running_limit(5)
    with JobStore() as other:
        assert other.running_limit() == 5
    for wrong in (0, 65, 1.5, True, "3"):
        with pytest.raises(JobError, match="a whole number from 1 to 64"):
            store.set_running_limit(wrong)


def test_changes_are_noticed(store):
    watch = JobWatch()
    try:
        assert watch.changed()
        assert not watch.changed()
        add(store)
        assert watch.changed()
        assert not watch.changed()
    finally:
        watch.close()
