"""What the job monitor shows, without a window."""

import os
import shutil
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from glue_spherex import jobs as desk
from glue_spherex.jobs import Job, JobStore, Phase
from glue_spherex.plugin.job_monitor import details, table, texts
from glue_spherex.plugin.job_monitor.state import JobMonitorState
from glue_spherex.plugin.job_monitor.watching import Sight, StoreView

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOSTILE = "<b>bold</b> 'a' \"b\" ../../etc/passwd \\ & % " + "x" * 9_950


@pytest.fixture
def a_job(tmp_path):
    def make(number=1, phase=Phase.COMPLETED, **given):
        job_id = f"{number:08x}"
        values = {
            "id": job_id, "title": f"job {number}", "kind": "measure", "phase": phase, "folder": tmp_path / job_id,
            "result": tmp_path / job_id / "result", "submitted": NOON, "started": NOON, "resumed": None,
            "ended": None if phase.is_active else NOON + timedelta(minutes=number), "n_sources": number,
            "images_done": 3, "images_total": 12, "measurements": 30, "failures": 0, "seconds": 60.0, "rate": 0.5,
            "seconds_left": 18.0 if phase is Phase.EXECUTING else None, "message": "", "cancelled": False, "pid": None,
        }  # fmt: skip
        return Job(**values | given)

    return make


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.4, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (273_600, "3 d 4 h")],
)
def test_durations(seconds, text):
    assert texts.duration_text(seconds) == text


def test_phases(a_job):
    words = [texts.phase_look(a_job(phase=phase)).word for phase in Phase]
    assert words == ["Queued", "Running", "Completed", "Error", "Aborted"]
    assert texts.phase_look(a_job(phase=Phase.EXECUTING, cancelled=True)).word == "Stopping"
    assert texts.phase_look(a_job(failures=2)).word == "Completed, 2 failed"


def test_progress_and_time_left(a_job):
    running = a_job(phase=Phase.EXECUTING)
    assert texts.progress_of(running) == (0.25, "3 of 12")
    assert texts.left_text(running) == "18 s"
    assert texts.left_text(replace(running, cancelled=True)) == ""
    assert texts.progress_of(replace(running, images_total=0)) == (None, "finding images")
    assert texts.progress_of(replace(running, images_done=13))[0] == 1.0


def test_what_a_job_says(a_job):
    """Of a running one how far it is; of one that has failed why."""
    running = a_job(phase=Phase.EXECUTING, images_done=1, images_total=1200, measurements=1500, message="measures")
    name = texts.named(running)
    assert texts.message_text(running) == f"{name}: measures, 1 of 1,200 images done, 1,500 measurements, 18 s left"
    assert texts.message_text(replace(running, images_total=0)) == f"{name}: measures"
    failed = replace(a_job(phase=Phase.ERROR), message="no space")
    assert texts.message_text(failed) == f"{texts.named(failed)}: no space"
    assert table.BY_NAME["phase"].text(failed) == "Error: no space"
    assert table.BY_NAME["phase"].text(running) == "Running"


def test_summary(a_job):
    jobs = [a_job(1, Phase.EXECUTING), a_job(2, Phase.QUEUED), a_job(3), a_job(4, Phase.ERROR), a_job(5)]
    line = "5 jobs · 1 running, 18 s left · 1 queued · 2 completed · 1 with errors"
    assert texts.summary_text(jobs) == line
    assert texts.summary_text([]) == "No jobs"
    state = JobMonitorState()
    state.take(Sight(tuple(jobs), 2))
    state.words = "job 3"
    assert state.summary == f"{line} · 1 shown"


def test_hostile_titles_are_plain_and_short(a_job):
    job = a_job(title=HOSTILE, message=HOSTILE, phase=Phase.ERROR)
    assert table.BY_NAME["title"].text(job) == HOSTILE[:199] + "…"
    assert "<b>" not in texts.tooltip(HOSTILE)
    assert "&lt;b&gt;bold&lt;/b&gt;" in texts.tooltip(HOSTILE)
    assert len(texts.tooltip(HOSTILE)) < 2000
    assert len(texts.ended_text(job)) < 500


@pytest.mark.parametrize("column", table.COLUMNS, ids=lambda column: column.name)
def test_sorting(a_job, column):
    jobs = [
        a_job(4, Phase.EXECUTING, images_total=0),
        a_job(3, Phase.ERROR, images_done=12),
        a_job(2, Phase.QUEUED, started=None),
        a_job(1, title="Älpha"),
    ]
    up = table.shown_jobs(jobs, sort_by=column.name)
    down = table.shown_jobs(jobs, sort_by=column.name, descending=True)
    keys = [column.key(job) for job in up]
    assert keys == sorted(keys)
    assert [column.key(job) for job in down] == keys[::-1]
    assert table.shown_jobs(jobs) == jobs


def test_filters(a_job):
    jobs = [a_job(1, Phase.EXECUTING), a_job(2), a_job(3, Phase.ABORTED, message="Aborted by hand")]
    assert table.shown_jobs(jobs, "JOB 2") == [jobs[1]]
    assert table.shown_jobs(jobs, "hand job") == [jobs[2]]
    assert table.shown_jobs(jobs, "00000001") == [jobs[0]]
    assert table.shown_jobs(jobs, phases="waiting or running") == [jobs[0]]
    assert table.shown_jobs(jobs, phases="error or aborted") == [jobs[2]]
    assert table.shown_jobs(jobs, phases="completed") == [jobs[1]]


def test_ended_jobs_are_noticed_once(a_job):
    state = JobMonitorState()
    running, other = a_job(1, Phase.EXECUTING), a_job(2)
    assert state.take(Sight((running, other), 2)) == []
    done = replace(running, phase=Phase.COMPLETED)
    assert state.take(Sight((done, other), 2)) == [done]
    assert state.take(Sight((done, other), 2)) == []


def test_a_problem_of_the_store_keeps_the_jobs(a_job):
    state = JobMonitorState()
    state.take(Sight((a_job(),), 2))
    state.take(Sight(None, None, "The store is locked."))
    assert state.message == "The store is locked."
    assert len(state.shown) == 1
    state.take(Sight((a_job(),), 2))
    assert state.problem == ""


@pytest.mark.parametrize(
    ("phase", "given", "possible"),
    [
        (Phase.QUEUED, {"measurements": 0}, {"abort", "delete"}),
        (Phase.EXECUTING, {}, {"preview", "abort"}),
        (Phase.EXECUTING, {"cancelled": True, "measurements": 0}, {"abort"}),  # once more kills a worker that hangs
        (Phase.COMPLETED, {}, {"show", "delete"}),
        (Phase.COMPLETED, {"failures": 1}, {"show", "resume", "delete"}),
        (Phase.ERROR, {}, {"preview", "resume", "delete"}),
        (Phase.ABORTED, {"measurements": 0}, {"resume", "delete"}),
    ],
)
def test_what_can_be_done(a_job, phase, given, possible):
    state = JobMonitorState()
    state.take(Sight((a_job(1, phase, **given), a_job(2)), 2))
    assert {state.why_not(action) for action in ("show", "info", "delete")} == {"Select a job first."}
    state.choose(["00000001"])
    actions = {"show", "preview", "abort", "resume", "delete"}
    assert {action for action in actions if not state.why_not(action)} == possible
    assert [state.why_not(action) for action in ("again", "info", "folder")] == ["", "", ""]
    state.choose(["00000001", "00000002"])
    assert state.why_not("show") == "Select one job only."
    assert state.why_not("delete") == ""


def test_selection_follows_the_filter(a_job):
    state = JobMonitorState()
    state.take(Sight((a_job(1), a_job(2)), 2))
    state.choose(["00000001", "00000002"])
    assert state.message == "2 jobs are selected."
    state.words = "job 2"
    assert state.chosen == ("00000002",)


# -- the store --------------------------------------------------------------------------------------------------------


def add(store, title="a job", **values):
    job_id = store.new_folder()
    store.insert(job_id, title, 1)
    if values:
        store.update(job_id, **values)
    return job_id


def test_changes_are_seen(no_job_processes):
    view = StoreView()
    assert view.look().jobs == ()
    assert view.look() is None
    with JobStore() as store:
        job_id = add(store)
        assert [job.id for job in view.look().jobs] == [job_id]
        desk.set_running_limit(5)
        assert view.look().running_limit == 5
        assert view.look() is None
        assert view.look(again=True) is not None
    view.close()


def test_locked_store(no_job_processes, monkeypatch):
    with JobStore() as store:
        add(store)
        path = store.path
    view = StoreView()
    assert len(view.look().jobs) == 1

    def locked():
        raise desk.JobError(f"the job store {str(path)!r} cannot be used: it is locked by another program.")

    with monkeypatch.context() as patch:
        patch.setattr("glue_spherex.jobs.jobs", locked)
        sight = view.look(again=True)
        assert sight.jobs is None
        assert "is locked by another program. It is tried again." in sight.problem
        assert view.look() is None  # said once
    assert len(view.look().jobs) == 1
    view.close()


def test_store_of_a_newer_version_damaged_and_begun_anew(no_job_processes):
    with JobStore() as store:
        add(store)
        path = store.path
    database = sqlite3.connect(path)
    (layout,) = database.execute("PRAGMA user_version").fetchone()
    database.execute("PRAGMA user_version = 999")
    database.close()
    view = StoreView()
    assert "newer version of glue-spherex" in view.look().problem
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA user_version = {layout}")
    database.close()
    assert len(view.look().jobs) == 1
    for file in path.parent.glob("jobs.sqlite*"):
        file.unlink()
    assert view.look().jobs == ()  # somebody has deleted it
    view.close()
    for file in path.parent.glob("jobs.sqlite*"):
        file.unlink()
    path.write_bytes(b"no database" * 1000)
    assert "not a database" in view.look().problem
    view.close()


def test_work_goes_on_after_a_job_that_fails(no_job_processes):
    with JobStore() as store:
        first, second = add(store, "first"), add(store, "second")
        state, view = JobMonitorState(), StoreView()
        state.take(view.look())
        state.choose([first, second])
        desk.cancel(first)
        said, failed = state.work("abort")()
        assert failed
        assert "“second” stops" in said
        assert "ended already" in said
        assert store.job(second).phase is Phase.ABORTED
        shutil.rmtree(store.folder(first))  # by hand
        state.take(view.look())
        assert "and their folders" in state.deletion_question()
        assert state.work("delete")() == ("Each of 2 jobs is deleted.", False)
        assert store.jobs() == []
        view.close()


def test_question_before_deletion(a_job, tmp_path):
    state = JobMonitorState()
    state.take(Sight((a_job(1), a_job(2, result=tmp_path / "else"), a_job(3, Phase.ABORTED)), 2))
    for number, text in ((1, "Its result is deleted, too."), (2, "else stays."), (3, "What it has measured is lost.")):
        state.choose([f"{number:08x}"])
        assert state.deletion_question().endswith(text)


# -- everything about a job -------------------------------------------------------------------------------------------


def test_details(simulated, worked):
    from glue_spherex import read_targets

    field = simulated("pair", images=12, detectors=(2, 5), size=30, seed=4)
    job = desk.submit(read_targets(field.targets), field.folder / "images", field.calibration, title=HOSTILE)
    worked(job.id, images=4)
    found = details.details_of(job.id)
    parameters = dict(found.parameters)
    assert parameters["Title"] == HOSTILE[:999] + "…"
    assert parameters["Images"].startswith("4 of ")
    assert parameters["Images in"] == str(field.folder / "images")
    assert parameters["Setting background_box"] == "15"
    assert sum(name.startswith("Source ") for name in parameters) == job.n_sources
    timings = dict(found.timings)
    assert timings["Submitted"]
    assert "Resumed" not in timings
    with desk.JobStore() as store:
        store.update(job.id, resumed=1.8e9)
    assert "(UTC 2027-01-15 08:00:00)" in dict(details.details_of(job.id).timings)["Resumed"]
    assert timings["Slowest images"].endswith(".fits")
    assert found.problem == ""
    shutil.rmtree(job.folder)
    assert "is gone" in details.details_of(job.id).problem


def test_logs_are_bounded_and_harmless():
    assert details.log_end("") == ""
    assert details.log_end("a\x1b[31m\tb\x00\nc") == "a�[31m\tb�\nc"
    long = details.log_end("\n".join(f"line {k}" for k in range(100_000)))
    assert long.endswith("line 99999")
    assert long.startswith("… (the beginning is in the file log.txt")
    assert len(long.splitlines()) == details.MOST_LOG_LINES + 1
    assert len(details.log_end("x" * 3_000_000)) <= details.MOST_LOG_LETTERS + 100


def test_home_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GLUE_SPHEREX_HOME", str(tmp_path / "file" / "home"))
    view = StoreView()
    assert "cannot be made" in view.look().problem
    assert view.look() is None
    os.unlink(tmp_path / "file")
    assert view.look().jobs == ()
    view.close()
