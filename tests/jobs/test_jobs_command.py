import json

import pytest

from glue_spherex.cli import main
from glue_spherex.jobs import Phase, job


def arguments(field):
    images = str(field.folder / "images")
    return ["measure", str(field.targets), "--images", images, "--calibration", str(field.calibration)]


def fails(capsys, *words):
    assert main([*map(str, words)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err.strip().splitlines()[-1]


@pytest.fixture
def submitted(field, no_workers, capsys):
    assert main([*arguments(field), "--background", "--title", 'the "title"', "--background-box", "21"]) == 0
    return capsys.readouterr().out.strip()


def test_background(field, plain, tmp_path, capsys, finished, same_result):
    out = tmp_path / "out"
    assert main([*arguments(field), "--background", "--title", "stars", "--output", str(out), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["phase"] == "QUEUED"
    assert summary["title"] == "stars"
    done = finished(job(summary["id"]))
    assert (done.phase, done.result) == (Phase.COMPLETED, out)
    same_result(out, plain)


def test_list_and_show(submitted, capsys, finished):
    assert main(["jobs", "list"]) == 0
    header, line = capsys.readouterr().out.strip().splitlines()
    assert header.split()[:2] == ["id", "phase"]
    assert line.split()[:2] == [submitted, "QUEUED"]
    assert line.endswith('the "title"')
    finished(job(submitted))
    assert main(["jobs", "list", "--json"]) == 0
    (known,) = json.loads(capsys.readouterr().out)
    assert (known["id"], known["phase"], known["images_done"], known["measurements"]) == (
        submitted,
        "COMPLETED",
        24,
        48,
    )
    assert known["submitted"].endswith("+00:00")
    assert main(["jobs", "show", submitted]) == 0
    text = capsys.readouterr().out
    assert "COMPLETED: 48 measurements of 2 sources" in text
    assert "background_box 21" in text
    assert main(["jobs", "show", submitted, "--json"]) == 0
    known = json.loads(capsys.readouterr().out)
    assert known["request"]["settings"]["background_box"] == 21
    assert known["failed_images"] == []


def test_cancel_resume_rerun_remove(submitted, capsys, monkeypatch):
    assert main(["jobs", "cancel", submitted]) == 0
    assert capsys.readouterr().out == f"{submitted}: ABORTED, aborted before it began\n"
    assert "ended already (ABORTED)" in fails(capsys, "jobs", "cancel", submitted)
    assert main(["jobs", "resume", submitted, "--workers", "2"]) == 0
    assert capsys.readouterr().out.startswith(f"{submitted}: QUEUED")
    assert main(["jobs", "rerun", submitted]) == 0
    other = capsys.readouterr().out.strip()
    assert job(other).title == 'the "title"'
    assert "add --yes" in fails(capsys, "jobs", "remove", other)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "n" if 'the "title"' in question else "y")
    assert main(["jobs", "remove", other]) == 0
    assert "nothing is deleted" in capsys.readouterr().out
    assert main(["jobs", "remove", other, "--yes"]) == 0
    capsys.readouterr()
    assert "there is no job" in fails(capsys, "jobs", "show", other)
    assert main(["jobs", "limit", "3"]) == 0
    assert main(["jobs", "limit"]) == 0
    assert capsys.readouterr().out.splitlines() == 2 * ["jobs that run at the same time: 3"]
    for action, phase in (("cancel", "ABORTED"), ("resume", "QUEUED"), ("rerun", "QUEUED")):
        assert main(["jobs", action, submitted, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["phase"] == phase


def test_no_jobs(capsys):
    assert main(["jobs", "list"]) == 0
    assert "no jobs" in capsys.readouterr().out
    assert main(["jobs", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    for action in ("show", "cancel", "resume", "rerun", "remove"):
        assert "there is no job 01234567" in fails(capsys, "jobs", action, "01234567")
        assert "is not the id of a job" in fails(capsys, "jobs", action, "../../x")


def test_wrong_requests(field, tmp_path, capsys):
    assert "--output is missing" in fails(capsys, *arguments(field))
    images = ["--images", tmp_path / "missing", "--background"]
    assert "there is no folder" in fails(capsys, "measure", "--target", "1 2", *images)
    assert "layout" in _newer_store(capsys, tmp_path)


def _newer_store(capsys, tmp_path):
    import sqlite3

    main(["jobs", "list"])
    capsys.readouterr()
    database = sqlite3.connect(tmp_path / "glue-spherex-home" / "jobs.sqlite")
    database.execute("PRAGMA user_version = 99")
    database.close()
    return fails(capsys, "jobs", "list")


def test_names_of_files_do_not_reach_the_terminal_as_they_are(field, tmp_path, no_workers, finished, capsys):
    folder = tmp_path / "im\x1b[31m"
    folder.mkdir()
    (folder / "x.fits").write_text("nonsense")
    (folder / field.images[0].name).symlink_to(field.images[0])
    assert main(["measure", str(field.targets), "--images", str(folder), "--background"]) == 0
    job_id = capsys.readouterr().out.strip()
    finished(job(job_id))
    assert main(["jobs", "show", job_id]) == 0
    text = capsys.readouterr().out
    assert "failed: " in text
    assert "\x1b" not in text


def told_by_show(capsys, job_id):
    capsys.readouterr()
    assert main(["jobs", "show", job_id]) == 0
    return {line[:13].strip(): line[13:].strip() for line in capsys.readouterr().out.splitlines()}


def test_show_tells_the_targets_and_what_measures(field, submitted, no_workers, capsys):
    told = told_by_show(capsys, submitted)
    assert (told["targets from"], told["workers"], told["scheduler"]) == (str(field.targets), "1", "-")
    words = ["measure", "--target", "10 20", "--target", "10:00:24 +02:12:00", "--images", str(field.folder / "images")]
    assert main([*words, "--background", "--workers", "2", "--scheduler", "tcp://host:8786"]) == 0
    told = told_by_show(capsys, capsys.readouterr().out.strip())
    assert told["targets from"] == "10 20, 10:00:24 +02:12:00"
    assert (told["workers"], told["scheduler"]) == ("2", "tcp://host:8786")


def test_show_when_the_folder_is_gone(submitted, capsys):
    import shutil

    shutil.rmtree(job(submitted).folder)
    assert main(["jobs", "show", submitted]) == 0
    captured = capsys.readouterr()
    assert "somebody has deleted or moved it" in captured.err
    assert "QUEUED" in captured.out
