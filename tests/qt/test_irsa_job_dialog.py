"""Opening a job of IRSA's tool: typed, clicked, fetched from a server on this computer, shown."""

from threading import Event

import pytest
from glue_qt.utils import get_qapp
from loopback_jobs import JOBS, JobService, answer, spectra
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from glue_spherex.images.simulation import LoopbackArchive
from glue_spherex.plugin.columns import kind_of, spectra_in
from glue_spherex.plugin.irsa_job_state import IrsaJobState
from glue_spherex.qt.arrange import PLACES
from glue_spherex.qt.irsa_job import irsa_job_dialog

ID = "1763600000-ab12"


@pytest.fixture
def archive(monkeypatch):
    with LoopbackArchive() as archive:
        archive.jobs = JobService(archive)
        monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", archive.url)
        yield archive


@pytest.fixture
def clipboard(qtbot):
    board = QApplication.clipboard()
    board.clear()
    yield board
    board.clear()


@pytest.fixture
def opened(application, archive, clipboard):
    """``opened()``: the dialog; ``dialog.results`` holds something when it is closed, and gone."""

    def open_dialog():
        dialogs.append(irsa_job_dialog(application.session))
        dialogs[-1].results = []
        dialogs[-1].finished.connect(dialogs[-1].results.append)
        return dialogs[-1]

    dialogs = []
    yield open_dialog
    for dialog in dialogs:
        if not dialog.results:
            dialog.close()


@pytest.fixture
def dialog(opened):
    return opened()


@pytest.fixture
def until(wait_for):
    return lambda condition: wait_for(condition, get_qapp().processEvents)


def typed(dialog, text):
    dialog.address_edit.clear()
    QTest.keyClicks(dialog.address_edit, text)


def click(button):
    QTest.mouseClick(button, Qt.LeftButton)


def test_a_job_is_opened_and_a_session_finds_it_again_offline(dialog, application, archive, until, tmp_path):
    from glue_qt.app import GlueApplication

    url = archive.jobs.add(ID, spectra(n_sources=3))
    assert not dialog.open_button.isEnabled()
    typed(dialog, f"{url}/results/result")
    click(dialog.open_button)
    assert dialog.open_button.text() == "Stop"
    until(lambda: dialog.results)
    (data,) = spectra_in(application.data_collection)
    assert data.label == f"IRSA job {ID}"
    assert data["flux"].tolist()[:2] == [100.0, 101.0]
    assert {type(viewer) for viewer in application.viewers[0]} == set(PLACES)
    assert [kind_of(one) for one in application.data_collection] == ["spectrum", "targets"]
    assert "15 measurements of 3 sources, fetched on 20" in application.statusBar().currentMessage()
    session = tmp_path / "session.glu"
    application.save_session(str(session))
    archive.stop()
    archive.stop = lambda: None
    window = GlueApplication.restore_session(str(session), show=False)
    try:
        (again,) = spectra_in(window.data_collection)
        assert again["flux"].tolist() == data["flux"].tolist()
    finally:
        window.close()


def test_what_is_open_is_shown_and_not_loaded_twice(opened, application, archive, until):
    archive.jobs.add(ID, spectra())
    for dialog in (opened(), opened()):
        typed(dialog, ID)
        QTest.keyClick(dialog.address_edit, Qt.Key_Return)
        until(lambda results=dialog.results: results)
    assert len(spectra_in(application.data_collection)) == 1
    assert len(archive.requests) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://example.org/1", "no address of the archive"),
        ("a job", "nor the id of a job"),
        ("running", "still runs; try again when it is completed"),
        ("failed", "has failed: no image"),
        ("gone", "no such job"),
        ("page", "is a web page"),
    ],
)
def test_what_cannot_be_opened_is_said_in_the_dialog(dialog, application, archive, until, text, message):
    archive.jobs.add("running", phase="EXECUTING")
    archive.jobs.add("failed", phase="ERROR", message="no image")
    archive.jobs.add("page", description="<html>Maintenance</html>")
    typed(dialog, text)
    click(dialog.open_button)
    until(lambda: not dialog.state.working)
    assert message in dialog.status_label.text()
    first = dialog.status_label.text().split()[0]
    assert "://" in first or not first[0].islower()
    assert dialog.state.failed
    assert "color" in dialog.status_label.styleSheet()
    assert dialog.isVisible()
    assert (dialog.open_button.text(), dialog.open_button.isEnabled()) == ("Open", True)
    assert len(application.data_collection) == 0
    QTest.keyClicks(dialog.address_edit, "x")
    assert dialog.status_label.text() == ""


def test_stop_and_another_one(dialog, application, archive, until):
    archive.jobs.add(ID, spectra())
    archive.jobs.add("other", spectra(n_sources=1))
    asked, go_on = Event(), Event()

    def slow(question):
        asked.set()
        go_on.wait(600)
        return answer(spectra())

    archive.services[f"{JOBS}/{ID}/results/result"] = slow
    typed(dialog, ID)
    click(dialog.open_button)
    until(asked.is_set)
    until(lambda: dialog.status_label.text() == "Fetching its result…")
    assert not dialog.address_edit.isEnabled()
    assert dialog.progress.isVisible()
    assert dialog.progress.maximum() == 0  # busy
    click(dialog.open_button)
    assert dialog.status_label.text() == "Stopped; nothing was opened."
    assert not dialog.progress.isVisible()
    typed(dialog, "other")
    click(dialog.open_button)
    until(lambda: dialog.results)
    (data,) = spectra_in(application.data_collection)
    assert data.label == "IRSA job other"
    go_on.set()


def test_stop_while_spectra_are_read_and_another_one(dialog, application, archive, until, monkeypatch):
    """Reading a large table cannot be interrupted; it holds up nothing, and what it gives is not shown."""
    from glue.core.data_factories import load_data

    archive.jobs.add(ID, spectra())
    archive.jobs.add("other", spectra(n_sources=1))
    reading, go_on, read = Event(), Event(), Event()

    def slow(path, **kwargs):
        if ID in path:
            reading.set()
            go_on.wait(600)
            read.set()
        return load_data(path, **kwargs)

    monkeypatch.setattr("glue_spherex.plugin.irsa_job_state.load_data", slow)
    typed(dialog, ID)
    click(dialog.open_button)
    until(reading.is_set)
    click(dialog.open_button)
    typed(dialog, "other")
    click(dialog.open_button)
    until(lambda: dialog.results)
    go_on.set()
    until(read.is_set)
    assert [data.label for data in spectra_in(application.data_collection)] == ["IRSA job other"]


def test_closed_while_it_waits(dialog, application, archive, until):
    archive.jobs.add(ID, spectra())
    asked, go_on = Event(), Event()

    def slow(question):
        asked.set()
        go_on.wait(600)
        return answer(b"")

    archive.services[f"{JOBS}/{ID}"] = slow
    typed(dialog, ID)
    click(dialog.open_button)
    until(asked.is_set)
    click(dialog.close_button)
    go_on.set()
    get_qapp().processEvents()
    assert len(application.data_collection) == 0


def test_an_address_in_the_clipboard_is_filled_in(application, archive, clipboard):
    url = archive.jobs.add(ID, spectra())
    for text, expected in ((f" {url}\n", url), ("some words", ""), (ID, ""), (archive.url, ""), ("x" * 10_000, "")):
        clipboard.setText(text)
        dialog = irsa_job_dialog(application.session)
        assert dialog.address_edit.text() == dialog.state.address == expected
        dialog.close()
    assert archive.requests == []


def test_broken_settings_are_told(application, archive, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    (home / "archive.toml").write_text("uws = 3\n")
    monkeypatch.setenv("GLUE_SPHEREX_HOME", str(home))
    state = IrsaJobState(application.session, f"{archive.url}{JOBS}/1")
    assert state.address == ""
    state.address = ID
    assert state.start() is None
    assert "uws is 3" in state.status
    assert state.failed


@pytest.mark.parametrize("width", [520, 900])
def test_long_reasons_are_seen_in_full(dialog, archive, until, width):
    archive.jobs.add("failed", phase="ERROR", message="The reason is told in many words. " * 10)
    dialog.resize(width, 100)
    typed(dialog, "failed")
    click(dialog.open_button)
    until(lambda: not dialog.state.working)
    label = dialog.status_label
    until(lambda: label.height() >= label.heightForWidth(label.width()))
    assert label.geometry().bottom() < dialog.open_button.geometry().top()
    assert dialog.height() < 400
