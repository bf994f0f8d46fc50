import sqlite3
import threading

import numpy as np
import pytest
from glue.core import Data
from glue.core.application_base import Application
from glue.core.message import ApplicationClosedMessage
from glue_qt.utils import process_events
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtWidgets import QFileDialog, QSplitter

from glue_spherex.io import TargetListError
from glue_spherex.jobs import JobStore, jobs, request
from glue_spherex.plugin.focus import focus_row
from glue_spherex.plugin.measuring.planning import PlanRequest
from glue_spherex.qt import open_dialogs
from glue_spherex.qt.job_monitor import WindowJobs
from glue_spherex.qt.measure_dialog import measure_dialog
from glue_spherex.qt.measure_dialog.plan_table import HEADERS


@pytest.fixture
def session():
    made = Application().session
    yield made
    made.hub.broadcast(ApplicationClosedMessage(None))


@pytest.fixture
def field(simulated):
    """Six images of 30 x 30 px, one of each detector."""
    return simulated("field", images=6, size=30)


@pytest.fixture
def middle(field):
    """The place of the first target, which lies in the middle of all images."""
    from astropy.table import Table

    first = Table.read(field.targets, format="ascii.csv")[0]
    return f"{first['ra']} {first['dec']}"


@pytest.fixture
def followed(monkeypatch):
    """What the job monitor was asked to follow."""
    asked = []
    monkeypatch.setattr(WindowJobs, "follow", lambda self, job_id, load=False: asked.append((job_id, load)))
    return asked


@pytest.fixture
def opened(qtbot, session):
    """``opened(**options)``: the dialog; closed afterwards."""
    shown = []

    def show(**options):
        shown.append(measure_dialog(session, **options))
        return shown[-1]

    yield show
    for dialog in shown:
        if dialog in open_dialogs._open:
            dialog.close()
    process_events()


def settled(dialog, wait_for):
    """Wait until the dialog has done what a change asks for."""
    process_events()
    wait_for(lambda: not dialog._settling.isActive() and not dialog.state.planning, process_events)
    process_events()


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.LeftButton)
    process_events()


def measure(qtbot, dialog, wait_for):
    """Press Measure, and wait until the measurement has been handed in."""
    assert dialog.measure_button.isEnabled()
    click(qtbot, dialog.measure_button)
    wait_for(lambda: dialog.measure_button.text() == "Measure", process_events)


def catalogue(n=4):
    return Data(label="catalogue", ra=150.0 + 0.01 * np.arange(n), dec=np.linspace(2, 2.03, n))


def rows(dialog):
    return [dialog.table.row_texts(row) for row in range(len(dialog.state.lines))]


def test_from_coordinates_to_a_job(qtbot, opened, field, middle, followed, no_job_processes, wait_for):
    dialog = opened()
    assert not dialog.isModal()
    assert not dialog.measure_button.isEnabled()
    assert dialog.status_label.text() == "Type or paste coordinates, one target in a line."
    assert "folder with Level-2 images" in dialog.measure_button.toolTip()
    dialog.target_form.text_edit.setFocus()
    qtbot.keyClicks(dialog.target_form.text_edit, f"{middle} star")
    dialog.state.request.add_folder(str(field.folder / "images"))
    settled(dialog, wait_for)
    [row] = rows(dialog)
    assert (row[0], row[3:]) == ("star", ["point", *("1",) * 6, "6"])
    assert dialog.chart.counts == (1,) * 6
    assert dialog.plan_label.text() == "1 source · 6 images · 6 measurements · run time not known yet"
    assert "No run time is foretold" in dialog.plan_label.toolTip()
    assert dialog.method_form.title.placeholderText().startswith("star, images, 20")
    assert not dialog.status_label.isVisible()  # no empty lines
    assert dialog.measure_button.isEnabled()
    assert dialog.status_label.text() == ""
    click(qtbot, dialog.load_box)
    measure(qtbot, dialog, wait_for)
    [job] = jobs()
    assert followed == [(job.id, False)]
    assert job.id in dialog.status_label.text()
    assert "Look at it in the Job monitor, or change something to measure again." in dialog.status_label.text()
    assert not dialog.measure_button.isEnabled()  # not twice by a double click
    assert job.id in dialog.measure_button.toolTip()
    dialog.state.session.data_collection.append(catalogue())  # such as a result
    settled(dialog, wait_for)
    assert job.id in dialog.status_label.text()
    assert not dialog.measure_button.isEnabled()
    qtbot.keyClicks(dialog.method_form.fields["title"], "again")
    settled(dialog, wait_for)
    assert dialog.measure_button.isEnabled()
    measure(qtbot, dialog, wait_for)
    assert next(job.title for job in jobs()) == "again"


def test_targets_that_are_on_no_image_are_not_promised(opened, field, middle, wait_for):
    dialog = opened(text=f"{middle} star\n10 -80 far\n11 -80 farther")
    assert dialog.method_form.title.placeholderText().startswith("3 targets, 20")
    dialog.state.request.add_folder(str(field.folder / "images"))
    settled(dialog, wait_for)
    assert dialog.plan_label.text().startswith("1 of 3 sources (2 on no image) · 6 images · ")
    assert dialog.method_form.title.placeholderText().startswith("star, images, 20")


def test_wrong_values_are_marked_where_they_stand(qtbot, opened, field, middle, wait_for):
    dialog = opened(text=middle)
    dialog.state.request.add_folder(str(field.folder / "images"))
    box, folded = dialog.method_form.fields["background_box"], dialog.method_form.advanced
    assert not folded.content.isVisible()
    box.selectAll()
    qtbot.keyClicks(box, "200")
    settled(dialog, wait_for)
    assert dialog.method_form.note_of("background_box") == (
        "Background box is 200; a whole number of pixels from 5 to 101 is needed."
    )
    assert dialog.method_form.is_marked("background_box")
    assert box.styleSheet() == ""  # the field keeps its look
    assert dialog.status_label.text() == dialog.method_form.note_of("background_box")
    assert not dialog.measure_button.isEnabled()
    assert "5 to 101" in dialog.measure_button.toolTip()
    dialog.state.request.scheduler = "nowhere"
    settled(dialog, wait_for)
    assert folded.content.isVisibleTo(dialog)
    assert dialog.status_label.text() == f"{dialog.method_form.note_of('background_box')} And 1 more, in red above."
    assert "tcp://" in folded.content.note_of("scheduler")
    box.selectAll()
    qtbot.keyClicks(box, "21")
    dialog.state.request.scheduler = ""
    settled(dialog, wait_for)
    assert dialog.method_form.note_of("background_box") == ""
    assert not dialog.method_form.is_marked("background_box")
    assert dialog.measure_button.isEnabled()


def test_every_field_says_what_it_is(opened):
    dialog = opened()
    forms = [*dialog._all_forms, dialog.target_form.more, dialog.method_form.advanced.content]
    fields = {name: field for form in forms for name, field in form.fields.items()}
    assert len(fields) > 35
    assert [name for name, field in fields.items() if not field.toolTip()] == []


def test_shortcuts_are_all_different(opened):
    from qtpy.QtWidgets import QLabel

    dialog = opened()
    letters = [
        text[text.index("&") + 1].lower() for label in dialog.findChildren(QLabel) if "&" in (text := label.text())
    ]
    assert len(letters) > 15
    assert len(set(letters)) == len(letters)


def test_the_monitor_is_opened(qtbot, opened, session, monkeypatch):
    asked = []
    monkeypatch.setattr("glue_spherex.qt.job_monitor.job_monitor", asked.append)
    click(qtbot, opened().monitor_button)
    assert asked == [session]


def test_rows_that_cannot_be_measured_are_red(opened, wait_for, middle):
    dialog = opened(text=f"{middle} good\n400 2 bad")
    assert len(rows(dialog)) == 2
    model = dialog.table.model()
    assert model.data(model.index(1, 0), Qt.ForegroundRole).name() == "#b00020"
    assert model.data(model.index(0, 0), Qt.ForegroundRole) is None
    assert "400" in rows(dialog)[1][3]
    assert "400" in model.data(model.index(1, 5), Qt.ToolTipRole)
    assert dialog.table.columnSpan(1, 3) == len(HEADERS) - 3
    assert "1 row that cannot be measured" in dialog.plan_label.text()


def test_columns_shapes_and_neighbours(qtbot, opened, session, wait_for):
    data = catalogue()
    data.add_component(np.full(4, 2.5), "b")
    session.data_collection.append(data)
    dialog = opened(layer=data)
    form, model = dialog.target_form, dialog.model_form
    assert form.fields["layer"].currentText() == "catalogue"
    assert form.fields["ra_column"].currentText() == "ra"
    assert form.fields["dec_column"].isVisible()
    assert not form.fields["pmra_column"].isVisible()
    click(qtbot, form.fold.button)
    assert form.fold.button.text() == "Columns of shape, motion and role (none chosen)"
    combo = form.fields["dec_column"]
    combo.setCurrentIndex(combo.findText("b"))
    settled(dialog, wait_for)
    assert {row[2] for row in rows(dialog)} == {"2.50000"}
    assert not model.fields["r_eff"].isVisibleTo(dialog)
    model.fields["shape"].setCurrentIndex(2)
    qtbot.keyClicks(model.fields["r_eff"], "0")
    settled(dialog, wait_for)
    assert {row[3] for row in rows(dialog)} == {""}  # not what they would be without the wrong value
    assert "allowed" in model.note_of("r_eff")
    model.fields["r_eff"].setText("")
    qtbot.keyClicks(model.fields["r_eff"], "4")
    neighbours = model.fields["neighbours"]
    neighbours.setCurrentIndex(neighbours.findText("catalogue"))
    settled(dialog, wait_for)
    assert model.fields["radius"].isVisibleTo(dialog)
    assert rows(dialog)[0][3] == "n 1, 4″, round"


def test_what_changes_in_glue_is_followed(opened, session, wait_for):
    data = catalogue()
    session.data_collection.append(data)
    group = session.data_collection.new_subset_group("bright", data.id["ra"] > 150.015)
    dialog = opened(layer=group)
    assert len(rows(dialog)) == 2
    group.subset_state = data.id["ra"] > 150.005
    settled(dialog, wait_for)
    assert len(rows(dialog)) == 3
    session.data_collection.remove_subset_group(group)
    settled(dialog, wait_for)
    assert dialog.status_label.text() == "bright (subset of catalogue) was removed."
    assert len(rows(dialog)) == 4
    session.data_collection.remove(data)
    settled(dialog, wait_for)
    assert rows(dialog) == []
    assert dialog.status_label.text() == "catalogue was removed."
    assert not dialog.measure_button.isEnabled()


def test_names_are_looked_up_in_the_background(qtbot, opened, monkeypatch, wait_for):
    from glue_spherex.plugin.measuring.target_lists import targets_of_text

    go_on = threading.Event()

    def resolver(name):
        go_on.wait(60)
        if name == "nowhere":
            raise TargetListError("no object is known as 'nowhere'")
        return targets_of_text("187.70593 12.39112 M87")

    monkeypatch.setattr("glue_spherex.plugin.measuring.target_choice.targets_of_name", resolver)
    dialog = opened()
    form = dialog.target_form
    form.fields["how"].setCurrentIndex(form.fields["how"].findText("an object's name"))
    qtbot.keyClicks(form.fields["name"], "M 87")
    qtbot.keyClick(form.fields["name"], Qt.Key_Return)
    assert dialog.isVisible()
    assert form.found_label.text() == "asking the name service…"
    assert not form.look_up_button.isEnabled()
    go_on.set()
    wait_for(form.look_up_button.isEnabled, process_events)
    assert form.found_label.text() == "187.705930 +12.391120 deg (ICRS)"
    assert rows(dialog)[0][:3] == ["M87", "187.70593", "12.39112"]
    form.fields["name"].clear()
    qtbot.keyClicks(form.fields["name"], "nowhere")
    settled(dialog, wait_for)
    assert rows(dialog) == []
    click(qtbot, form.look_up_button)
    wait_for(form.look_up_button.isEnabled, process_events)
    assert dialog.status_label.text() == "no object is known as 'nowhere'"
    assert "color" in dialog.status_label.styleSheet()


@pytest.fixture
def slow_count(monkeypatch):
    """Counting waits until it is let go; returns (begun, go_on, calls)."""
    begun, go_on, calls = threading.Event(), threading.Event(), []
    count = PlanRequest.count

    def slow(self, progress=None, cancelled=None):
        calls.append(self)
        progress(3, 10)
        begun.set()
        go_on.wait(60)
        return None if cancelled() else count(self, progress, cancelled)

    monkeypatch.setattr(PlanRequest, "count", slow)
    yield begun, go_on, calls
    go_on.set()


def test_counting_can_be_stopped_and_done_again(qtbot, opened, field, middle, slow_count, wait_for):
    begun, go_on, calls = slow_count
    dialog = opened(text=middle)
    dialog.state.request.add_folder(str(field.folder / "images"))
    wait_for(begun.is_set, process_events)
    wait_for(lambda: dialog.progress.value() == 3, process_events)
    assert dialog.progress.isVisible()
    assert dialog.measure_button.isEnabled()  # one need not wait for the count
    click(qtbot, dialog.count_button)
    assert not dialog.state.planning
    assert not dialog.progress.isVisible()
    go_on.set()
    qtbot.keyClicks(dialog.method_form.fields["title"], "title")
    settled(dialog, wait_for)
    assert len(calls) == 1  # what was stopped does not begin by itself
    assert dialog.count_button.text() == "Count again"
    click(qtbot, dialog.count_button)
    settled(dialog, wait_for)
    assert dialog.chart.counts == (1,) * 6


def test_closing_while_images_are_counted(qtbot, opened, field, middle, slow_count, wait_for):
    begun, go_on, _ = slow_count
    dialog = opened(text=middle)
    dialog.state.request.add_folder(str(field.folder / "images"))
    wait_for(begun.is_set, process_events)
    thread = dialog._count_work._thread
    click(qtbot, dialog.close_button)
    assert dialog not in open_dialogs._open
    go_on.set()
    wait_for(lambda: not thread.is_alive(), process_events)
    process_events()


def test_late_answers_do_not_count(opened, field, middle, slow_count, wait_for):
    """What was sent before something else was asked for arrives after it."""
    begun, go_on, calls = slow_count
    dialog = opened(text=middle)
    dialog.state.request.add_folder(str(field.folder / "images"))
    wait_for(begun.is_set, process_events)
    number = dialog._count_number
    dialog.state.request.detectors = (2,)
    dialog.settle()
    dialog._on_counted(number, "the counts of all detectors", None)
    assert dialog.state.plan is None
    assert dialog.state.planning
    go_on.set()
    settled(dialog, wait_for)
    assert dialog.chart.counts == (0, 1, 0, 0, 0, 0)
    assert len(calls) == 2


def test_scrolling_changes_nothing(qtbot, opened):
    from qtpy.QtCore import QPointF
    from qtpy.QtGui import QWheelEvent

    dialog = opened()
    combo = dialog.method_form.fields["background"]
    middle = QPointF(combo.rect().center())
    turn = QWheelEvent(
        middle,
        combo.mapToGlobal(middle),
        QPoint(),
        QPoint(0, -120),
        Qt.NoButton,
        Qt.NoModifier,
        Qt.NoScrollPhase,
        False,
    )
    combo.wheelEvent(turn)
    assert combo.currentIndex() == 0
    assert not turn.isAccepted()


def test_folders(qtbot, opened, field, tmp_path, monkeypatch):
    dialog = opened()
    folders = dialog.request_form.folder_list
    assert folders.count() == 0
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args: str(tmp_path))
    click(qtbot, dialog.request_form.add_folder_button)
    dialog.state.request.known_folders = (str(tmp_path), "/no/such/folder")
    assert [folders.item(row).text() for row in range(2)] == [str(tmp_path), "/no/such/folder"]
    assert folders.item(0).checkState() == Qt.Checked
    assert "no such folder" in folders.item(1).toolTip()
    place = folders.visualItemRect(folders.item(0))
    qtbot.mouseClick(folders.viewport(), Qt.LeftButton, pos=QPoint(place.left() + 10, place.center().y()))
    assert dialog.state.request.image_folders == ()
    folders.setCurrentRow(1)
    qtbot.keyClick(folders, Qt.Key_Delete)
    assert dialog.state.request.known_folders == (str(tmp_path),)


def test_detectors_and_the_engine(qtbot, opened, monkeypatch):
    monkeypatch.setattr(
        "glue_spherex.plugin.measuring.request_fields.tractor_available", lambda: (False, "The Tractor is not here.")
    )
    dialog = opened()
    for number in (3, 5):
        qtbot.mouseClick(dialog.request_form.detector_boxes[number], Qt.LeftButton, pos=QPoint(8, 8))
    assert dialog.state.request.detectors == (3, 5)
    dialog.state.request.detectors = (1,)
    assert [n for n, box in dialog.request_form.detector_boxes.items() if box.isChecked()] == [1]
    engine = dialog.method_form.fields["engine"]
    assert not engine.model().item(1).isEnabled()
    assert "The Tractor is not here." in engine.toolTip()


def test_names_are_shown_as_they_are(opened):
    dialog = opened(text="150 2 <b>bold</b>")
    model = dialog.table.model()
    assert model.data(model.index(0, 0)) == "<b>bold</b>"
    assert "&lt;b&gt;bold" in model.data(model.index(0, 0), Qt.ToolTipRole)
    dialog.state.request.scheduler = "<img src=x>"
    dialog.settle()
    assert "&lt;img" in dialog.measure_button.toolTip()
    assert dialog.status_label.textFormat() == Qt.PlainText


def test_run_again_with_changes(qtbot, opened, field, middle, followed, no_job_processes, wait_for):
    first = opened(text=f"{middle} star")
    first.state.request.update_from_dict({"background_box": "21", "detectors": (2,), "title": "one"})
    first.state.request.add_folder(str(field.folder / "images"))
    job = first.state.submit()
    dialog = opened(job_id=job.id)
    assert dialog.target_form.fields["how"].currentText() == f"the targets of job {job.id}"
    assert dialog.method_form.fields["background_box"].text() == "21"
    assert dialog.request_form.detector_boxes[2].isChecked()
    assert dialog.method_form.fields["title"].text() == "one"
    assert rows(dialog)[0][0] == "star"
    dialog.method_form.fields["background_box"].selectAll()
    qtbot.keyClicks(dialog.method_form.fields["background_box"], "31")
    settled(dialog, wait_for)
    measure(qtbot, dialog, wait_for)
    assert request(followed[0][0])[0].settings.background_box == 31


def test_faults_are_told_in_the_dialog(qtbot, opened, field, middle, monkeypatch, wait_for):
    dialog = opened(text=middle)
    dialog.state.request.add_folder(str(field.folder / "images"))
    settled(dialog, wait_for)

    def broken(*args, **kwargs):
        raise RuntimeError("the roof leaks")

    monkeypatch.setattr("glue_spherex.plugin.measuring.state.submit", broken)
    measure(qtbot, dialog, wait_for)
    assert dialog.status_label.text() == "Handing the measurement in failed: the roof leaks"
    assert dialog.measure_button.isEnabled()


@pytest.fixture
def locked(monkeypatch, no_job_processes):
    """``locked(seconds)``: lock the store of jobs, for which others wait so long; gives the connection."""
    opened = []

    def lock(seconds):
        with JobStore() as store:
            path = store.path
        monkeypatch.setitem(JobStore.__init__.__kwdefaults__, "busy_seconds", seconds)
        opened.append(sqlite3.connect(path, isolation_level=None))
        opened[-1].execute("BEGIN IMMEDIATE")
        return opened[-1]

    yield lock
    for connection in opened:
        connection.close()


@pytest.fixture
def ready(opened, field, middle, wait_for):
    """The dialog with a target and images."""
    dialog = opened(text=middle)
    dialog.state.request.add_folder(str(field.folder / "images"))
    settled(dialog, wait_for)
    return dialog


def test_the_window_lives_while_a_measurement_is_handed_in(qtbot, ready, locked, followed, wait_for):
    """The store is locked by another program."""
    lock, ticks = locked(600), []
    timer = QTimer(interval=0)
    timer.timeout.connect(lambda: ticks.append(1))
    click(qtbot, ready.measure_button)
    assert (ready.measure_button.text(), ready.measure_button.isEnabled()) == ("Handing in…", False)
    timer.start()
    wait_for(lambda: len(ticks) > 20, process_events)  # the lock is not released yet
    timer.stop()
    assert (ready.measure_button.text(), followed) == ("Handing in…", [])
    lock.rollback()
    wait_for(lambda: ready.measure_button.text() == "Measure", process_events)
    [job] = jobs()
    assert followed == [(job.id, True)]
    assert job.id in ready.status_label.text()
    assert not ready.measure_button.isEnabled()


def test_what_is_changed_while_a_measurement_is_handed_in_can_be_measured(qtbot, ready, locked, followed, wait_for):
    lock = locked(600)
    click(qtbot, ready.measure_button)
    qtbot.keyClicks(ready.method_form.fields["title"], "another")
    settled(ready, wait_for)
    assert not ready.measure_button.isEnabled()
    lock.rollback()
    wait_for(lambda: ready.measure_button.text() == "Measure", process_events)
    measured = [job.title for job in jobs()]
    assert len(measured) == 1
    assert measured != ["another"]
    measure(qtbot, ready, wait_for)
    assert "another" in [job.title for job in jobs()]


def test_closing_while_a_measurement_is_handed_in(qtbot, ready, locked, followed, wait_for):
    """It is handed in, and followed."""
    lock = locked(600)
    click(qtbot, ready.measure_button)
    click(qtbot, ready.close_button)
    assert ready not in open_dialogs._open
    lock.rollback()
    wait_for(lambda: followed, process_events)
    assert [(job.id, True) for job in jobs()] == followed


def test_closing_glue_while_a_measurement_is_handed_in(qtbot, ready, locked, followed, session, wait_for):
    lock = locked(600)
    click(qtbot, ready.measure_button)
    session.hub.broadcast(ApplicationClosedMessage(None))
    lock.rollback()
    wait_for(jobs, process_events)
    process_events()
    assert followed == []


def test_a_measurement_that_cannot_be_handed_in_is_told(qtbot, ready, locked, session, wait_for):
    locked(0.01)
    measure(qtbot, ready, wait_for)
    assert "locked" in ready.status_label.text()
    assert "color" in ready.status_label.styleSheet()
    assert ready.measure_button.isEnabled()
    state = WindowJobs.of(session).state
    click(qtbot, ready.measure_button)
    click(qtbot, ready.close_button)
    wait_for(lambda: "was not handed in" in state.notice, process_events)
    assert "locked" in state.notice
    assert state.failed


@pytest.mark.parametrize("size", [(1000, 700), (0, 0), (1400, 900)])
def test_sizes(opened, session, size):
    """The numbers are in view also where the dialog is as small as it can be."""
    data = catalogue(100)
    data.label = "y" * 300
    session.data_collection.append(data)
    dialog = opened()
    dialog.method_form.advanced.unfold()
    dialog.resize(*size)
    process_events()
    least = dialog.minimumWidth(), dialog.minimumHeight()
    assert (dialog.width(), dialog.height()) == tuple(map(max, size, least))
    assert least[0] <= 960
    assert dialog.measure_button.geometry().bottom() < dialog.height()
    assert dialog.table.columnWidth(3) >= 50
    assert dialog.table.verticalScrollBar().isVisible()
    assert dialog.table.horizontalHeader().length() <= dialog.table.viewport().width()
    dialog.findChild(QSplitter).moveSplitter(10_000, 1)
    process_events()
    assert dialog.table.horizontalHeader().length() <= dialog.table.viewport().width()


def test_from_a_cutout(qtbot, application, small_field, measured_spectra):
    from glue_spherex.plugin.loader import load_spectrum
    from glue_spherex.qt.cutout_viewer import SpherexCutoutViewer
    from glue_spherex.qt.cutout_viewer.measuring import measure_at, measure_focused

    data = load_spectrum(measured_spectra)
    application.data_collection.append(data)
    viewer = application.new_data_viewer(SpherexCutoutViewer, data=data)
    focus_row(application.session, data, 3)
    process_events()
    viewer.toolbar.actions["spherex:measure"].trigger()
    process_events()
    [dialog] = [dialog for dialog in open_dialogs._open if hasattr(dialog, "plan_label")]
    [source] = dialog.state.targets.sources
    assert (source.ra, source.dec) == pytest.approx((data["ra"][3], data["dec"][3]), abs=1e-7)
    assert source.label == data["label"][3]
    dialog.close()
    data.update_components({data.id["label"]: np.full(data.size, "x" * 10_000)})
    dialog = measure_focused(viewer)
    assert dialog.state.targets.sources[0].ra == pytest.approx(data["ra"][3], abs=1e-7)
    dialog.close()
    dialog = measure_at(viewer, 150.25, -2.5)
    assert dialog.state.target.text == "150.2500000 -2.5000000"
    dialog.close()


def test_a_right_click_in_a_cutout(qtbot, application, measured_spectra, small_field, wait_for):
    from astropy.coordinates import SkyCoord
    from qtpy.QtWidgets import QMenu

    from glue_spherex.plugin.loader import load_spectrum
    from glue_spherex.qt.cutout_viewer import SpherexCutoutViewer

    data = load_spectrum(measured_spectra)
    data.meta["spherex"]["image_folders"] = [str(small_field.folder / "images")]
    application.data_collection.append(data)
    viewer = application.new_data_viewer(SpherexCutoutViewer, data=data)
    focus_row(application.session, data, 3)
    wait_for(lambda: viewer.page.panels and viewer.page.panels[0].view is not None, process_events)
    wait_for(lambda: not viewer._drawing.isActive(), process_events)
    panel = next(panel for panel in viewer.page.panels if panel.focused)
    x, y = panel.axes.transData.transform((0, 0))  # the target
    ratio = viewer.canvas.device_pixel_ratio
    place = QPoint(int(x / ratio), int(viewer.canvas.height() - y / ratio))
    qtbot.mouseClick(viewer.canvas, Qt.RightButton, pos=place)
    process_events()
    [menu] = [menu for menu in viewer.findChildren(QMenu) if "here" in " ".join(a.text() for a in menu.actions())]
    menu.actions()[0].trigger()
    menu.close()
    [dialog] = [dialog for dialog in open_dialogs._open if hasattr(dialog, "plan_label")]
    [source] = dialog.state.targets.sources
    clicked = SkyCoord(source.ra, source.dec, unit="deg")
    assert clicked.separation(SkyCoord(data["ra"][3], data["dec"][3], unit="deg")).arcsec < 2
    dialog.close()


def test_a_file_is_followed_while_it_is_typed(qtbot, opened, tmp_path, wait_for):
    (tmp_path / "list.csv").write_text("ra,dec\n150,2\n")
    dialog = opened()
    dialog.state.target.how = "file"
    settled(dialog, wait_for)
    assert dialog.status_label.text() == "Name a file with targets."
    line = dialog.target_form.fields["file"]
    qtbot.keyClicks(line, str(tmp_path / "list.csv"))
    wait_for(lambda: dialog.state.target.file == line.text(), process_events)
    settled(dialog, wait_for)
    assert len(rows(dialog)) == 1
    assert dialog.status_label.text() != "Name a file with targets."


def test_a_result_that_is_replaced_is_told_below_its_field(opened, tmp_path, wait_for):
    (tmp_path / "settings.json").write_text("{}")
    dialog = opened()
    dialog.state.request.output = str(tmp_path)
    settled(dialog, wait_for)
    assert "holds a result, which will be replaced" in dialog.method_form.note_of("output")
    assert not dialog.method_form.is_marked("output")
    dialog.state.request.output = "results"
    settled(dialog, wait_for)
    assert dialog.method_form.is_marked("output")
    assert "whole path" in dialog.method_form.note_of("output")


def test_no_scroll_bar_stays_where_no_rows_are_left(opened, session, wait_for):
    data = catalogue(300)
    session.data_collection.append(data)
    subset = session.data_collection.new_subset_group("some", data.id["ra"] > 0)
    dialog = opened(layer=subset)
    settled(dialog, wait_for)
    assert dialog.table.verticalScrollBar().maximum() > 0
    subset.subset_state = data.id["ra"] < 0
    settled(dialog, wait_for)
    assert dialog.table.verticalScrollBar().maximum() == 0
    assert not dialog.table.verticalScrollBar().isVisible()
