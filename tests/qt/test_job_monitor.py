"""The job monitor, with real widgets and real jobs."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from glue.core import DataCollection
from glue.core.application_base import Application
from glue.core.message import ApplicationClosedMessage
from qtpy import QtCore, QtGui, QtWidgets
from qtpy.QtCore import Qt

from glue_spherex import jobs as desk
from glue_spherex import plugin, read_targets
from glue_spherex.jobs import JobStore, Phase, lock
from glue_spherex.plugin.columns import spectra_in
from glue_spherex.plugin.focus import focus_row, focused_row
from glue_spherex.plugin.job_monitor.table import COLUMNS
from glue_spherex.plugin.job_monitor.texts import PHASES
from glue_spherex.qt import colours
from glue_spherex.qt.arrange import PLACES
from glue_spherex.qt.job_monitor import follow_job, job_monitor
from glue_spherex.qt.job_monitor.info_window import info_window
from glue_spherex.qt.job_monitor.table_model import PART_ROLE, bar_colours, draw_bar
from glue_spherex.qt.spectrum_viewer import SpherexSpectrumViewer

LONG_MS = 120_000
HOSTILE = "<b>bold</b> 'a' \"b\" ../../etc & " + "x" * 9_900


@pytest.fixture
def session():
    """Sessions without a window, closed afterwards."""
    plugin.setup()
    made = Application(DataCollection()).session
    yield made
    made.hub.broadcast(ApplicationClosedMessage(None))


@pytest.fixture
def made_jobs(no_job_processes):
    """Jobs that nobody works on: their ids by title, the newest first."""
    now, held, ids = time.time(), [], {}
    with JobStore() as store:
        for title, values in (
            ("aborted", {"phase": Phase.ABORTED, "started": now - 900, "ended": now, "message": "aborted by hand"}),
            (HOSTILE, {"phase": Phase.ERROR, "started": now - 90, "ended": now, "message": "<i>no</i> space"}),
            ("running", {"phase": Phase.EXECUTING, "started": now, "images_done": 3, "images_total": 12,
                         "seconds_left": 200.0, "measurements": 12, "message": "measures"}),
            ("queued", {"message": "waits for its turn"}),
        ):  # fmt: skip
            job_id = store.new_folder()
            store.insert(job_id, title, 2)
            store.update(job_id, **values)
            ids[title] = job_id
            if title == "running":
                held.append(lock.take(store.folder(job_id)))
    yield ids
    for file in held:
        os.close(file)


@pytest.fixture
def monitor(session, made_jobs, qtbot):
    opened = job_monitor(session)
    qtbot.waitUntil(lambda: opened.model.rowCount() == 4, timeout=LONG_MS)
    return opened


def cell(monitor, row, name, role=Qt.DisplayRole):
    names = [column.name for column in COLUMNS]
    return monitor.model.index(row, names.index(name)).data(role)


def titles(monitor):
    return [job.title for job in monitor.model.jobs]


def click_row(monitor, qtbot, title, modifier=Qt.NoModifier):
    row = titles(monitor).index(title)
    monitor.table.scrollTo(monitor.model.index(row, 0))
    place = monitor.table.visualRect(monitor.model.index(row, 0)).center()
    qtbot.mouseClick(monitor.table.viewport(), Qt.LeftButton, modifier, place)
    QtWidgets.QApplication.processEvents()


def click(monitor, qtbot, name):
    assert monitor.buttons[name].isEnabled(), monitor.state.why_not(name)
    qtbot.mouseClick(monitor.buttons[name], Qt.LeftButton)


# -- the table --------------------------------------------------------------------------------------------------------


def test_table(monitor):
    assert titles(monitor) == ["queued", "running", HOSTILE, "aborted"]
    assert cell(monitor, 1, "phase") == "Running"
    assert isinstance(cell(monitor, 1, "phase", Qt.DecorationRole), QtGui.QIcon)
    assert cell(monitor, 1, "phase", Qt.ForegroundRole).name() == "#1d6fd1"
    assert cell(monitor, 1, "progress", PART_ROLE) == 0.25
    assert cell(monitor, 1, "left") == "3 min 20 s"
    assert cell(monitor, 2, "title") == HOSTILE[:199] + "…"
    assert cell(monitor, 2, "phase") == "Error: <i>no</i> space"
    for name in ("phase", "title"):
        assert "&lt;i&gt;no&lt;/i&gt; space" in cell(monitor, 2, name, Qt.ToolTipRole)
    summary = "4 jobs · 1 running, 3 min 20 s left · 1 queued · 1 with errors · 1 aborted"
    assert monitor.summary_label.text().startswith(summary)
    assert monitor.summary_label.textFormat() == Qt.PlainText
    assert not monitor.grab().isNull()  # bars and icons can be drawn


def test_narrow(monitor):
    """Where there is little room, the columns that matter most stay in view."""
    for width, names in ((1200, [column.name for column in COLUMNS]), (560, ["title", "phase", "progress", "left"])):
        monitor.setFloating(True)
        monitor.resize(width, 300)
        QtWidgets.QApplication.processEvents()
        shown = [column.name for k, column in enumerate(COLUMNS) if not monitor.table.isColumnHidden(k)]
        assert shown == names
        assert monitor.table.horizontalHeader().length() <= monitor.table.viewport().width()
        assert all(button.isVisible() for button in monitor.buttons.values())
        assert monitor.message_label.width() > 0.95 * monitor.table.width()


@pytest.fixture
def palette(request):
    """The colours of the windows: those of the style, or dark ones."""
    application = QtWidgets.QApplication.instance()
    before, palette = application.palette(), QtGui.QPalette(application.palette())
    if request.param == "dark":
        roles = QtGui.QPalette
        named = {roles.Window: "#353535", roles.Base: "#232323", roles.Text: "#ffffff", roles.Highlight: "#2a82da"}
        for role, colour in named.items():
            palette.setColor(role, QtGui.QColor(colour))
        application.setPalette(palette)
    yield palette
    application.setPalette(before)


def contrast(colour, other):
    """The contrast ratio of WCAG 2."""

    def luminance(colour):
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in colour.getRgbF()[:3]]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    low, high = sorted((luminance(colour), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", ["bright", "dark"], indirect=True)
def test_texts_can_be_read(palette, qtbot):
    """As the Web Content Accessibility Guidelines ask for: a contrast of 4.5, and 3 beside the point."""
    done, rest, text = bar_colours(palette)
    assert min(contrast(text, done), contrast(text, rest)) >= 4.5
    assert contrast(done, rest) >= 1.2
    window, base = palette.color(QtGui.QPalette.Window), palette.color(QtGui.QPalette.Base)
    assert contrast(QtGui.QColor(colours.red()), window) >= 4.5
    assert contrast(QtGui.QColor(colours.pale()), window) >= 4.5
    for look in PHASES.values():
        assert contrast(colours.legible(look.colour), base) >= 4.5, look.word


def test_a_bar_is_as_long_as_what_is_done(qtbot):
    image = QtGui.QImage(100, 20, QtGui.QImage.Format_RGB32)
    palette = QtWidgets.QApplication.palette()
    done, rest, _ = bar_colours(palette)
    for part, length in ((0.0, 0), (0.25, 24), (1.0, 98)):
        painter = QtGui.QPainter(image)
        draw_bar(painter, image.rect(), palette, part, "")
        painter.end()
        line = [image.pixelColor(x, 10) for x in range(1, 99)]
        assert [line.count(done), line.count(rest)] == [length, 98 - length]


def test_sort_by_clicks(monitor, qtbot):
    header = monitor.table.horizontalHeader()
    place = QtCore.QPoint(header.sectionPosition(0) + 10, header.height() // 2)
    orders = []
    for _ in range(3):
        qtbot.mouseClick(header.viewport(), Qt.LeftButton, Qt.NoModifier, place)
        qtbot.wait(1)
        QtWidgets.QApplication.processEvents()
        orders.append(titles(monitor))
    up = [HOSTILE, "aborted", "queued", "running"]
    assert orders == [up, up[::-1], ["queued", "running", HOSTILE, "aborted"]]


def test_filter_by_keys(monitor, qtbot):
    qtbot.keyClicks(monitor.words_edit, "ABOR")
    qtbot.waitUntil(lambda: titles(monitor) == ["aborted"], timeout=LONG_MS)
    assert monitor.summary_label.text().endswith("1 shown")
    monitor.words_edit.clear()
    monitor.phases_combo.setCurrentText("waiting or running")
    qtbot.waitUntil(lambda: titles(monitor) == ["queued", "running"], timeout=LONG_MS)


def test_buttons_say_why_they_cannot(monitor, qtbot):
    assert not any(button.isEnabled() for button in monitor.buttons.values())
    assert monitor.buttons["show"].toolTip().endswith("Select a job first.")
    click_row(monitor, qtbot, "running")
    enabled = {name for name, button in monitor.buttons.items() if button.isEnabled()}
    assert enabled == {"preview", "abort", "again", "info", "folder"}
    assert monitor.buttons["delete"].toolTip().endswith("The job runs; abort it first.")
    assert monitor.buttons["delete"].toolTip().startswith("Delete: delete the job with its folder")
    assert monitor.message_label.text().startswith("“running”: measures, 3 of 12 images done")


def test_live_updates_keep_the_selection(monitor, qtbot):
    click_row(monitor, qtbot, "running")
    with JobStore() as store:
        store.update(monitor.state.chosen[0], images_done=6)
        qtbot.waitUntil(lambda: cell(monitor, 1, "progress") == "6 of 12", timeout=LONG_MS)
        store.insert(store.new_folder(), "new", 1)
        qtbot.waitUntil(lambda: titles(monitor)[0] == "new", timeout=LONG_MS)
    rows = [index.row() for index in monitor.table.selectionModel().selectedRows()]
    assert rows == [2]
    assert monitor.actions_by_name["abort"].isEnabled()


# -- what can be done -------------------------------------------------------------------------------------------------


def test_abort_resume_delete(monitor, made_jobs, qtbot, monkeypatch):
    click_row(monitor, qtbot, "queued")
    click(monitor, qtbot, "abort")
    qtbot.waitUntil(lambda: cell(monitor, 0, "phase") == "Aborted", timeout=LONG_MS)
    qtbot.waitUntil(lambda: "“queued”" in monitor.message_label.text(), timeout=LONG_MS)
    click(monitor, qtbot, "resume")
    qtbot.waitUntil(lambda: cell(monitor, 0, "phase") == "Queued", timeout=LONG_MS)
    questions = []
    monkeypatch.setattr(
        "glue_spherex.qt.job_monitor.dock.asked", lambda parent, question, action: questions.append(question)
    )
    click(monitor, qtbot, "delete")
    assert len(questions) == 1
    assert desk.job(made_jobs["queued"])  # the answer was no
    monkeypatch.setattr("glue_spherex.qt.job_monitor.dock.asked", lambda *args: True)
    click(monitor, qtbot, "delete")
    qtbot.waitUntil(lambda: "queued" not in titles(monitor), timeout=LONG_MS)
    qtbot.waitUntil(lambda: monitor.message_label.text() == "“queued” is deleted.", timeout=LONG_MS)


def test_several_are_deleted_with_a_key(monitor, qtbot, monkeypatch):
    monkeypatch.setattr("glue_spherex.qt.job_monitor.dock.asked", lambda *args: True)
    click_row(monitor, qtbot, HOSTILE)
    click_row(monitor, qtbot, "aborted", Qt.ControlModifier)
    assert len(monitor.state.chosen) == 2
    monitor.table.setFocus()
    monkeypatch.setattr(monitor.table, "hasFocus", lambda: True)
    QtWidgets.QApplication.sendEvent(monitor, QtGui.QKeyEvent(QtCore.QEvent.KeyPress, Qt.Key_Delete, Qt.NoModifier))
    qtbot.waitUntil(lambda: titles(monitor) == ["queued", "running"], timeout=LONG_MS)


def test_number_at_the_same_time(monitor, qtbot):
    qtbot.waitUntil(lambda: monitor.limit_box.value() == 2, timeout=LONG_MS)
    monitor.limit_box.setValue(5)
    with JobStore() as store:
        qtbot.waitUntil(lambda: store.running_limit() == 5, timeout=LONG_MS)
        store.set_running_limit(3)  # another program
    qtbot.waitUntil(lambda: monitor.limit_box.value() == 3, timeout=LONG_MS)


def test_folder(monitor, made_jobs, qtbot, monkeypatch):
    opened = []
    monkeypatch.setattr(QtGui.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()) or True)
    click_row(monitor, qtbot, "aborted")
    click(monitor, qtbot, "folder")
    folder = desk.job(made_jobs["aborted"]).folder
    assert opened == [str(folder)]
    folder.rmdir()  # by hand
    click(monitor, qtbot, "folder")
    qtbot.waitUntil(lambda: "is gone" in monitor.message_label.text(), timeout=LONG_MS)
    click(monitor, qtbot, "resume")
    qtbot.waitUntil(lambda: "can only be removed" in monitor.message_label.text(), timeout=LONG_MS)


def test_run_again(monitor, made_jobs, qtbot, monkeypatch):
    from types import ModuleType

    asked = []
    fake = ModuleType("glue_spherex.qt.measure_dialog")
    fake.measure_dialog = lambda session, job_id=None: asked.append((session, job_id))
    monkeypatch.setitem(sys.modules, "glue_spherex.qt.measure_dialog", fake)
    click_row(monitor, qtbot, "aborted")
    click(monitor, qtbot, "again")
    assert asked == [(monitor.jobs.session, made_jobs["aborted"])]


def test_question_is_plain_text(monitor, qtbot, monkeypatch):
    from glue_spherex.qt.job_monitor.dock import asked

    seen = []

    def press(box):
        seen.append((box.textFormat(), box.text()))
        next(button for button in box.buttons() if button.text() == "Delete").click()
        return 0

    monkeypatch.setattr(QtWidgets.QMessageBox, "exec", press)
    monkeypatch.setattr(QtWidgets.QMessageBox, "exec_", press, raising=False)
    assert asked(monitor, HOSTILE, "Delete")
    assert seen == [(Qt.PlainText, HOSTILE)]


def test_trouble_with_the_store(monitor, qtbot, monkeypatch):
    def full():
        raise desk.JobError("the job store cannot be used: database or disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr("glue_spherex.jobs.jobs", full)
        monitor.jobs.look_again()
        qtbot.waitUntil(lambda: "disk is full" in monitor.message_label.text(), timeout=LONG_MS)
        assert monitor.model.rowCount() == 4
    qtbot.waitUntil(lambda: monitor.message_label.text() == "", timeout=LONG_MS)


def test_a_fault_that_nobody_has_thought_of_passes(monitor, qtbot):
    """It is said, and no longer when it is over, although nothing has changed in the store."""

    def fault():
        raise RuntimeError("no idea")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glue_spherex.jobs.jobs", fault)
        monitor.jobs.look_again()
        qtbot.waitUntil(lambda: "RuntimeError: no idea" in monitor.message_label.text(), timeout=LONG_MS)
    qtbot.waitUntil(lambda: monitor.message_label.text() == "", timeout=LONG_MS)


def test_locked_store(monitor, qtbot):
    """Another program locks the store for good; glue goes on, and the monitor recovers."""
    with JobStore() as store:
        path = store.path
    monitor.jobs._timer.stop()
    qtbot.waitUntil(lambda: not monitor.jobs._looking, timeout=LONG_MS)
    database = sqlite3.connect(path, isolation_level=None, timeout=60)
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    closed = []  # the lock is to be had when nobody reads
    monitor.jobs.background.run(monitor.jobs._store.close, closed.append, closed.append)
    qtbot.waitUntil(lambda: closed == [None], timeout=LONG_MS)
    database.execute("BEGIN IMMEDIATE")
    database.execute("UPDATE jobs SET message = message")
    ticks = []
    timer = QtCore.QTimer(interval=20)
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start()
    monitor.jobs._timer.start()
    monitor.jobs.look_again()
    qtbot.waitUntil(lambda: "locked" in monitor.message_label.text(), timeout=LONG_MS)
    timer.stop()
    assert len(ticks) > 10  # the window was alive
    assert monitor.model.rowCount() == 4
    database.close()
    qtbot.waitUntil(lambda: monitor.message_label.text() == "", timeout=LONG_MS)


def test_closing_glue_leaves_nothing_behind(made_jobs, tmp_path):
    """In a process of its own, which has to end in silence."""
    script = tmp_path / "close.py"
    script.write_text(
        "from glue_qt.app import GlueApplication\n"
        "from glue_qt.utils import process_events\n"
        "from glue_spherex.qt.job_monitor import follow_job, job_monitor\n"
        "from glue_spherex.qt.job_monitor.info_window import info_window\n"
        "from glue_spherex.jobs import queue\n"
        "queue.start_waiting = lambda store: []\n"
        "application = GlueApplication()\n"
        "application.start(block=False, maximized=False)\n"
        "monitor = job_monitor(application.session)\n"
        "while monitor.model.rowCount() < 4: process_events(wait=0.05)\n"
        "info_window(monitor.jobs, monitor.model.jobs[0].id)\n"
        "follow_job(application.session, monitor.model.jobs[0].id, load=True)\n"
        "monitor.jobs.look_again()\n"
        "application.close()\n"
        "process_events(wait=0.05)\n"
        "print('closed')\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout.strip()) == (0, "closed"), done.stderr
    told = [line for line in done.stderr.splitlines() if line and "does not support" not in line]
    assert told == []


def test_one_monitor_per_window(monitor, session, qtbot):
    assert job_monitor(session) is monitor
    other = Application(DataCollection()).session
    second = job_monitor(other)
    assert second is not monitor
    qtbot.waitUntil(lambda: second.model.rowCount() == 4, timeout=LONG_MS)
    other.hub.broadcast(ApplicationClosedMessage(None))
    assert not second.isVisible()
    assert not second.jobs._timer.isActive()
    assert monitor.jobs._timer.isActive()
    monitor.close()
    assert job_monitor(session) is monitor
    assert monitor.isVisible()


def test_nothing_arrives_after_the_end(qtbot):
    from threading import Event

    from glue_spherex.qt.job_monitor.background import Background

    background, begun, go_on, told = Background(), Event(), Event(), []
    background.run(lambda: (begun.set(), go_on.wait(60)), told.append, told.append)
    background.run(lambda: told.append("late"), told.append, told.append)
    assert begun.wait(60)
    background.close(lambda: told.append("closed"))
    go_on.set()
    qtbot.waitUntil(lambda: told == ["closed"], timeout=LONG_MS)
    background.run(lambda: 1, told.append, told.append)
    QtWidgets.QApplication.processEvents()
    assert told == ["closed"]


def test_faults_of_the_background_are_sentences(monitor, qtbot, monkeypatch):
    def fault(again):
        raise RuntimeError("no idea")

    monkeypatch.setattr(monitor.jobs._store, "look", fault)
    qtbot.waitUntil(lambda: "RuntimeError: no idea" in monitor.message_label.text(), timeout=LONG_MS)
    monitor.jobs.do(lambda: 1 / 0)
    qtbot.waitUntil(lambda: "ZeroDivisionError" in monitor.state.notice, timeout=LONG_MS)


# -- everything about a job, results, previews ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def field(simulated):
    return simulated("pair", images=12, detectors=(2, 5), size=30, seed=4)


@pytest.fixture
def submitted(field):
    def submit(title="a pair"):
        return desk.submit(read_targets(field.targets), field.folder / "images", field.calibration, title=title)

    return submit


def test_info(session, submitted, worked, qtbot):
    job = submitted(HOSTILE)
    worked(job.id, images=4)
    monitor = job_monitor(session)
    qtbot.waitUntil(lambda: monitor.model.rowCount() == 1, timeout=LONG_MS)
    click_row(monitor, qtbot, HOSTILE)
    click(monitor, qtbot, "info")
    window = info_window(monitor.jobs, job.id)
    qtbot.waitUntil(lambda: "background_box" in window.parameters.toPlainText(), timeout=LONG_MS)
    assert HOSTILE.split("x")[0].strip() in window.parameters.toPlainText()
    assert window.parameters.textInteractionFlags() & Qt.TextSelectableByMouse
    assert "No image has failed." in window.failures.toPlainText()
    assert ".fits" in window.timings.toPlainText()
    window.refresh()
    window.close()


def test_info_that_takes_long_does_not_pile_up(monitor, made_jobs, qtbot, monkeypatch):
    """Of a job that changes all the time, it is read again when it has been read."""
    from threading import Event

    from glue_spherex.plugin.job_monitor.details import details_of

    read, go_on = [], Event()

    def slow(job_id):
        read.append(job_id)
        go_on.wait(60)
        return details_of(job_id)

    monkeypatch.setattr("glue_spherex.qt.job_monitor.info_window.details_of", slow)
    job_id = made_jobs["running"]
    window = info_window(monitor.jobs, job_id)
    state = monitor.state
    for done in range(4, 9):
        state.jobs = tuple(replace(job, images_done=done) if job.id == job_id else job for job in state.jobs)
        window.refresh()
    go_on.set()
    qtbot.waitUntil(lambda: "Id" in window.parameters.toPlainText(), timeout=LONG_MS)
    monitor.jobs.background.run(lambda: None, read.append, read.append)  # after all that was asked for
    qtbot.waitUntil(lambda: None in read, timeout=LONG_MS)
    assert read.index(None) <= 2
    window.close()


def test_the_keyboard_was_in_a_widget_that_is_gone(monitor, made_jobs, monkeypatch, qtbot):
    """A result that loads by itself may change what is on the screen."""
    edit = QtWidgets.QLineEdit()

    def load(collection, job_id, read):
        edit.deleteLater()
        QtWidgets.QApplication.sendPostedEvents(edit, QtCore.QEvent.DeferredDelete)
        raise OSError("gone")

    monkeypatch.setattr(QtWidgets.QApplication, "focusWidget", lambda: edit)
    monkeypatch.setattr("glue_spherex.qt.job_monitor.window_jobs.load_result", load)
    monkeypatch.setattr("glue_spherex.qt.job_monitor.window_jobs.read_result", lambda *args: {})
    monitor.jobs.show_result(made_jobs["running"], quietly=True)
    qtbot.waitUntil(lambda: "cannot be shown" in monitor.state.notice, timeout=LONG_MS)


def test_a_followed_job_loads_by_itself_without_taking_the_keyboard(application, submitted, worked, qtbot):
    job = submitted()
    running = worked(job.id, images=4)
    assert running.phase is Phase.EXECUTING
    edit = QtWidgets.QLineEdit(application)
    edit.show()
    edit.setFocus()
    told = []  # the sentence leaves the status line after some seconds, which a slow machine needs to load the result
    application.statusBar().messageChanged.connect(told.append)
    followed = follow_job(application.session, job.id, load=True)
    monitor = job_monitor(application.session)
    qtbot.waitUntil(lambda: titles(monitor) == ["a pair"], timeout=LONG_MS)
    worked(job.id)
    qtbot.waitUntil(lambda: len(spectra_in(application.data_collection)) == 1, timeout=LONG_MS)
    qtbot.waitUntil(lambda: "“a pair” is completed" in monitor.message_label.text(), timeout=LONG_MS)
    assert any("“a pair” is completed" in text for text in told)
    assert {type(viewer) for viewer in application.viewers[0]} == set(PLACES)
    assert QtWidgets.QApplication.focusWidget() in (edit, None)
    click_row(monitor, qtbot, "a pair")
    click(monitor, qtbot, "show")
    qtbot.waitUntil(lambda: monitor.state.reading == (), timeout=LONG_MS)
    assert len(spectra_in(application.data_collection)) == 1
    assert len(application.viewers[0]) == len(PLACES)
    assert followed.state is monitor.state


@pytest.fixture
def reading(monkeypatch):
    """The threads in which files were read, and an event that lets the reading go on."""
    from threading import Event, current_thread

    from glue_spherex.plugin.job_monitor import result_loading

    threads, go_on, read = [], Event(), result_loading.load_data

    def load_data(*arguments, **options):
        threads.append(current_thread())
        assert go_on.wait(60)
        return read(*arguments, **options)

    monkeypatch.setattr(result_loading, "load_data", load_data)
    yield threads, go_on
    go_on.set()


def test_the_files_of_a_result_that_loads_by_itself_are_read_in_the_background(
    session, submitted, worked, qtbot, reading
):
    """The window is not held up by them, however large they are."""
    from threading import current_thread

    threads, go_on = reading
    go_on.set()
    job = submitted()
    worked(job.id)
    follow_job(session, job.id, load=True)
    qtbot.waitUntil(lambda: len(spectra_in(session.data_collection)) == 1, timeout=LONG_MS)
    assert len(session.data_collection) == len(threads) == 2
    assert current_thread() not in threads


def test_the_window_lives_while_a_result_is_read(session, submitted, worked, qtbot, reading):
    from threading import current_thread

    threads, go_on = reading
    job = submitted()
    worked(job.id)
    monitor = job_monitor(session)
    qtbot.waitUntil(lambda: titles(monitor) == ["a pair"], timeout=LONG_MS)
    click_row(monitor, qtbot, "a pair")
    click(monitor, qtbot, "show")
    qtbot.waitUntil(lambda: not monitor.buttons["show"].isEnabled(), timeout=LONG_MS)
    assert monitor.buttons["show"].toolTip().endswith("Its files are being read.")
    assert monitor.message_label.text() == "The files of the result are being read…"
    monitor.table.doubleClicked.emit(monitor.model.index(0, 0))  # nothing more
    with JobStore() as store:
        store.insert(store.new_folder(), "new", 1)
    qtbot.waitUntil(lambda: titles(monitor) == ["new", "a pair"], timeout=LONG_MS)  # while it is read
    assert len(session.data_collection) == 0
    go_on.set()
    qtbot.waitUntil(lambda: len(session.data_collection) == 2, timeout=LONG_MS)
    qtbot.waitUntil(monitor.buttons["show"].isEnabled, timeout=LONG_MS)
    assert "being read" not in monitor.message_label.text()
    assert len(threads) == 2
    assert current_thread() not in threads
    click(monitor, qtbot, "show")
    qtbot.waitUntil(lambda: monitor.state.reading == (), timeout=LONG_MS)
    assert len(threads) == 2  # not again what is there


def test_a_large_result_is_loaded_only_if_it_is_asked_for(session, submitted, worked, qtbot, monkeypatch):
    monkeypatch.setattr("glue_spherex.plugin.job_monitor.result_loading.MOST_ROWS", 3)
    job = submitted()
    worked(job.id)
    folder = desk.result_folder(job.id) / "spectra"
    assert len(list(folder.iterdir())) == 2
    monitor = job_monitor(session)
    follow_job(session, job.id, load=True)
    qtbot.waitUntil(lambda: "are not loaded by themselves" in monitor.message_label.text(), timeout=LONG_MS)
    assert monitor.message_label.text().startswith("“a pair” is completed: ")
    assert f"Open single sources from {folder}" in monitor.message_label.text()
    assert (monitor.state.reading, len(session.data_collection)) == ((), 0)
    questions, answers = [], [False, True]

    def answer(parent, question, action):
        questions.append((question, action))
        return answers.pop(0)

    monkeypatch.setattr("glue_spherex.qt.job_monitor.dock.asked", answer)
    click_row(monitor, qtbot, "a pair")
    click(monitor, qtbot, "show")
    assert monitor.state.reading == ()
    assert questions[0][0].startswith(f"Load {desk.job(job.id).measurements} measurements of 2 sources, which takes")
    assert questions[0][1] == "Load"
    click(monitor, qtbot, "show")
    qtbot.waitUntil(lambda: len(session.data_collection) == 2, timeout=LONG_MS)
    qtbot.waitUntil(monitor.buttons["show"].isEnabled, timeout=LONG_MS)
    click(monitor, qtbot, "show")  # it is there
    assert len(questions) == 2


def test_the_preview_of_a_large_job_stays_one(session, submitted, worked, qtbot, monkeypatch):
    from glue_spherex.plugin.job_monitor.preview import open_preview

    monkeypatch.setattr("glue_spherex.plugin.job_monitor.result_loading.MOST_ROWS", 3)
    monkeypatch.setattr("glue_spherex.plugin.job_monitor.preview.SECONDS", 0.0)
    job = submitted()
    worked(job.id, images=4)
    data = open_preview(session.data_collection, job.id)
    n = data.size
    monitor = job_monitor(session)
    qtbot.waitUntil(lambda: bool(monitor.jobs._previews), timeout=LONG_MS)
    worked(job.id)
    qtbot.waitUntil(lambda: "are not loaded by themselves" in monitor.message_label.text(), timeout=LONG_MS)
    qtbot.waitUntil(lambda: data.label == "a pair (completed)", timeout=LONG_MS)
    assert data.size > n
    assert monitor.state.reading == ()


def test_preview_fills_in_and_becomes_the_result(application, submitted, worked, qtbot, monkeypatch):
    monkeypatch.setattr("glue_spherex.plugin.job_monitor.preview.SECONDS", 0.0)
    monkeypatch.setattr("glue_spherex.plugin.job_monitor.preview.TIMES", 0.0)
    job = submitted()
    worked(job.id, images=4)
    monitor = job_monitor(application.session)
    qtbot.waitUntil(lambda: titles(monitor) == ["a pair"], timeout=LONG_MS)
    click_row(monitor, qtbot, "a pair")
    click(monitor, qtbot, "preview")
    qtbot.waitUntil(lambda: len(application.viewers[0]) == len(PLACES), timeout=LONG_MS)
    (data,) = spectra_in(application.data_collection)
    viewer = next(viewer for viewer in application.viewers[0] if isinstance(viewer, SpherexSpectrumViewer))
    assert data.label == "a pair (running)"
    n = data.size
    focus_row(application.session, data, 1)
    wanted = data["lvf_id"][1], data["source_id"][1]
    group = application.data_collection.new_subset_group("high", data.id["flux"] > np.median(data["flux"]))

    worked(job.id, images=8)
    qtbot.waitUntil(lambda: data.size > n, timeout=LONG_MS)
    assert focused_row(application.session) == (data, 1)
    assert group.subsets[0].to_mask().size == data.size
    (artist,) = viewer.data_artists
    shown = np.isfinite(data["flux"]) & (data["source_id"] == data["source_id"][1])
    qtbot.waitUntil(lambda: len(artist.rows) == shown.sum(), timeout=LONG_MS)

    state = viewer.state  # all points are in view, as before
    x, y = artist.shown.x[artist.rows], artist.shown.y[artist.rows]
    assert state.x_min <= x.min() < x.max() <= state.x_max
    assert state.y_min <= y.min() < y.max() <= state.y_max

    state.x_max = zoomed = float(np.median(x))
    worked(job.id)
    qtbot.waitUntil(lambda: data.label == "a pair", timeout=LONG_MS)
    assert state.x_max == zoomed
    table = Table.read(desk.result_folder(job.id) / "spectra.vot")
    np.testing.assert_array_equal(data["flux"], table["flux"])
    focused, row = focused_row(application.session)
    assert focused is data
    assert (data["lvf_id"][row], data["source_id"][row]) == wanted
    assert (viewer.state.focus_data, viewer.state.focus_row) == (data, row)
    assert len(spectra_in(application.data_collection)) == 1
    assert application.tab_bar.tabText(0) == "SPHEREx: a pair"


def test_preview_of_a_session_goes_on(session, submitted, worked, qtbot):
    from glue_spherex.plugin.job_monitor.preview import open_preview

    job = submitted()
    worked(job.id, images=4)
    data = open_preview(session.data_collection, job.id)
    monitor = job_monitor(session)
    qtbot.waitUntil(lambda: monitor.model.rowCount() == 1, timeout=LONG_MS)
    worked(job.id)
    qtbot.waitUntil(lambda: data.label == "a pair", timeout=LONG_MS)
    assert data.size == desk.job(job.id).measurements


def test_preview_whose_result_is_gone(session, submitted, worked, qtbot):
    """It is said once, and the points stay."""
    from glue_spherex.plugin.job_monitor.preview import open_preview

    job = submitted()
    worked(job.id, images=4)
    data = open_preview(session.data_collection, job.id)
    n = data.size
    (desk.job(job.id).folder / "result").mkdir(exist_ok=True)
    worked(job.id)
    (desk.job(job.id).folder / "result" / "settings.json").unlink()
    monitor = job_monitor(session)
    qtbot.waitUntil(lambda: "is no longer in" in monitor.message_label.text(), timeout=LONG_MS)
    monitor.state.say("")
    monitor.jobs.look_again()
    qtbot.waitUntil(lambda: not monitor.jobs._looking, timeout=LONG_MS)
    assert monitor.state.notice == ""
    assert data.size == n


def test_native_viewers_follow_a_preview(application, submitted, worked, qtbot):
    from glue_qt.viewers.histogram import HistogramViewer
    from glue_qt.viewers.scatter import ScatterViewer

    from glue_spherex.plugin.job_monitor.preview import open_preview

    job = submitted()
    worked(job.id, images=4)
    collection = application.data_collection
    data = open_preview(collection, job.id)
    scatter = application.new_data_viewer(ScatterViewer, data=data)
    histogram = application.new_data_viewer(HistogramViewer, data=data)
    n = data.size
    collection.new_subset_group("high", data.id["flux"] > np.median(data["flux"]))
    worked(job.id, images=8)
    open_preview(collection, job.id)
    assert data.size > n
    for viewer in (scatter, histogram):
        viewer.figure.canvas.draw()
        assert all(layer.enabled for layer in viewer.layers)


def test_from_submission_to_the_viewer(application, submitted, qtbot):
    """A worker's own process; the result is shown by a click."""
    job = submitted("from end to end")
    monitor = job_monitor(application.session)
    qtbot.waitUntil(lambda: "“from end to end” is completed" in monitor.message_label.text()
                    or desk.job(job.id).phase is Phase.COMPLETED, timeout=LONG_MS)  # fmt: skip
    qtbot.waitUntil(lambda: cell(monitor, 0, "phase") == "Completed", timeout=LONG_MS)
    click_row(monitor, qtbot, "from end to end")
    click(monitor, qtbot, "show")
    qtbot.waitUntil(lambda: len(spectra_in(application.data_collection)) == 1, timeout=LONG_MS)
    (data,) = spectra_in(application.data_collection)
    assert data.size == desk.job(job.id).measurements
    assert {type(viewer) for viewer in application.viewers[0]} == set(PLACES)


def test_glue_is_killed_while_a_job_runs(field, tmp_path, wait_for):
    """SIGKILL of a window with its monitor: the job goes on as if nothing had happened."""
    script = tmp_path / "killed.py"
    script.write_text(
        "import os, signal, sys\n"
        "from glue_qt.app import GlueApplication\n"
        "from glue_qt.utils import process_events\n"
        "from glue_spherex import jobs, read_targets\n"
        "from glue_spherex.qt.job_monitor import follow_job, job_monitor\n"
        "application = GlueApplication()\n"
        "application.start(block=False, maximized=False)\n"
        "monitor = job_monitor(application.session)\n"
        "job = jobs.submit(read_targets(sys.argv[1]), sys.argv[2], sys.argv[3])\n"
        "follow_job(application.session, job.id, load=True)\n"
        "while not monitor.model.rowCount(): process_events(wait=0.01)\n"
        "print(job.id, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, script, field.targets, field.folder / "images", field.calibration]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    job_id = done.stdout.strip()
    with JobStore() as store:  # which only reads: nobody else lets the job go on
        wait_for(lambda: not store.job(job_id).phase.is_active)
        ended = store.job(job_id)
    assert (ended.phase, ended.images_done, ended.failures) == (Phase.COMPLETED, 12, 0)
    assert desk.log(job_id).count("begins") == 1
