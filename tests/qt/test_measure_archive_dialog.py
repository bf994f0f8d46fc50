"""The archive in the measure dialog."""

import threading

import pytest

pytest.importorskip("pyvo")

from glue.core.application_base import Application
from glue.core.message import ApplicationClosedMessage
from glue_qt.utils import process_events
from qtpy.QtCore import QPoint, Qt

from glue_spherex.images.archive import ArchiveChoice
from glue_spherex.images.simulation.archive_server import Answer
from glue_spherex.jobs import jobs, request
from glue_spherex.qt import open_dialogs
from glue_spherex.qt.job_monitor import WindowJobs
from glue_spherex.qt.measure_dialog import measure_dialog

RA, DEC = 150.1, 2.2


@pytest.fixture
def session():
    made = Application().session
    yield made
    made.hub.broadcast(ApplicationClosedMessage(None))


@pytest.fixture
def listed(listed_archive):
    listed = listed_archive(RA, DEC)
    listed.add_many(30)
    return listed


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
    process_events()
    wait_for(lambda: not dialog._settling.isActive() and not dialog.state.planning, process_events)
    process_events()


def click(qtbot, button):
    place = QPoint(8, button.height() // 2)
    qtbot.mouseClick(button, Qt.LeftButton, pos=place)
    process_events()


def with_archive(qtbot, dialog, wait_for):
    click(qtbot, dialog.request_form.fields["use_archive"])
    settled(dialog, wait_for)
    return dialog.archive_line


def test_from_the_archive_to_a_job(qtbot, opened, listed, no_job_processes, monkeypatch, wait_for):
    followed = []
    monkeypatch.setattr(WindowJobs, "follow", lambda self, job_id, load=False: followed.append(job_id))
    dialog = opened(text=f"{RA} {DEC} star")
    fields = dialog.request_form.fields
    assert not fields["archive_release"].isVisible()
    assert not dialog.archive_line.isVisible()
    line = with_archive(qtbot, dialog, wait_for)
    assert fields["archive_release"].isVisible()
    assert line.label.text() == "The archive has not been asked about these targets yet."
    assert listed.archive.requests == []
    assert dialog.measure_button.isEnabled()  # the job asks
    assert dialog.table.row_texts(0)[4:] == [""] * 7
    qtbot.keyClicks(dialog.method_form.fields["title"], "from the archive")
    settled(dialog, wait_for)
    assert listed.archive.requests == []  # not at a letter
    click(qtbot, line.button)
    settled(dialog, wait_for)
    assert dialog.table.row_texts(0)[4:] == ["5"] * 6 + ["30"]
    assert dialog.chart.counts == dialog.chart.to_fetch == (5,) * 6
    assert "30 to fetch · 309 MB to move · about " in line.label.text()
    assert dialog.plan_label.text() == "1 source · 30 images · 30 measurements · measuring time not known yet"
    assert line.button.text() == "Ask the archive again"
    before = len(listed.archive.requests)
    fields["archive_fields"].setCurrentIndex(1)
    settled(dialog, wait_for)
    assert dialog.chart.counts == (5,) * 6
    assert len(listed.archive.requests) == before  # what was answered serves
    click(qtbot, dialog.measure_button)
    wait_for(lambda: followed and dialog.measure_button.text() == "Measure", process_events)
    [job] = jobs()
    assert followed == [job.id]
    asked, _ = request(job.id)
    assert (asked.archive, asked.image_folders, asked.keep_cutouts) == (ArchiveChoice(fields="wide"), (), True)
    again = opened(text=f"{RA} {DEC} star")
    settled(again, wait_for)
    assert again.request_form.fields["use_archive"].isChecked()  # remembered
    assert again.request_form.fields["archive_fields"].currentText() == "wide survey only"
    assert again.chart.counts == (5,) * 6
    assert len(listed.archive.requests) == before
    from_job = opened(job_id=job.id)
    assert from_job.state.request.archive_choice() == ArchiveChoice(fields="wide")


def test_an_archive_that_cannot_be_reached(qtbot, opened, listed, wait_for):
    dialog = opened(text=f"{RA} {DEC} star")
    line = with_archive(qtbot, dialog, wait_for)
    answers = listed.archive.services.pop("/SIA"), listed.archive.services.pop("/TAP/sync")
    click(qtbot, line.button)
    settled(dialog, wait_for)
    assert line.label.text().startswith("The archive could not be asked: ")
    assert "status 404" in line.label.text()
    assert "color" in line.label.styleSheet()
    assert dialog.measure_button.isEnabled()
    assert line.button.text() == "Ask the archive again"
    listed.archive.services.update({"/SIA": answers[0], "/TAP/sync": answers[1]})
    click(qtbot, line.button)
    settled(dialog, wait_for)
    assert dialog.chart.counts == (5,) * 6
    assert line.label.styleSheet() == ""
    listed.archive.stop()
    click(qtbot, line.button)
    settled(dialog, wait_for)
    assert dialog.chart.counts == (5,) * 6  # the answer of before
    assert "asking again failed" in line.label.toolTip()


def test_asking_can_be_stopped(qtbot, opened, listed, wait_for):
    """An archive that keeps silent holds nothing up."""
    begun, go_on = threading.Event(), threading.Event()
    services = dict(listed.archive.services)

    def silent(question):
        begun.set()
        go_on.wait(60)
        return Answer(status=404)

    listed.archive.services.update(dict.fromkeys(services, silent))
    dialog = opened(text=f"{RA} {DEC} star")
    line = with_archive(qtbot, dialog, wait_for)
    click(qtbot, line.button)
    wait_for(begun.is_set, process_events)
    assert line.label.text() == "Asking the archive which images hold the targets…"
    assert not line.button.isEnabled()
    assert dialog.count_button.text() == "Stop"
    assert dialog.count_button.toolTip() == "Stop asking the archive"
    click(qtbot, dialog.count_button)
    assert not dialog.state.planning
    assert line.label.text() == "The archive has not been asked about these targets yet."
    qtbot.keyClicks(dialog.request_form.fields["time_from"], "2025-01-01")
    settled(dialog, wait_for)  # although the other thread waits still
    assert not go_on.is_set()
    listed.archive.services.update(services)
    click(qtbot, line.button)
    settled(dialog, wait_for)
    assert dialog.chart.counts == (5,) * 6
    go_on.set()


def test_the_chart_shows_wavelengths_and_dates(qtbot, opened, listed, wait_for):
    dialog = opened(text=f"{RA} {DEC} star\n{RA + 30} {DEC} elsewhere")
    line = with_archive(qtbot, dialog, wait_for)
    assert not dialog.chart_switch.key.isVisible()
    assert [text.get_text() for text in dialog.chart.axes.texts] == [
        "the images of the archive are shown here,\nas soon as it has been asked"
    ]
    click(qtbot, line.button)
    settled(dialog, wait_for)
    buttons = dialog.chart_switch.buttons
    assert dialog.chart_switch.key.text() == "pale: to be fetched"
    assert buttons["detectors"].isChecked()
    click(qtbot, buttons["wavelengths"])
    assert not buttons["detectors"].isChecked()
    assert len(dialog.chart.counts) == 102
    assert sum(dialog.chart.counts) == 30
    assert dialog.chart.axes.get_title(loc="left") == "Measurements in each spectral channel, all targets"
    assert dialog.chart_switch.key.isVisible()
    click(qtbot, buttons["dates"])
    assert sum(dialog.chart.counts) == 30
    assert "per 5 days" in dialog.chart.axes.get_title(loc="left")
    dialog.table.selectRow(1)
    assert sum(dialog.chart.counts) == 0
    dialog.resize(860, 520)
    process_events()
    click(qtbot, buttons["detectors"])
    dialog.table.selectRow(0)
    assert dialog.chart.counts == (5,) * 6


def test_without_the_optional_part(qtbot, opened, monkeypatch):
    monkeypatch.setattr("glue_spherex.plugin.measuring.archive_plan._NEEDED", ("pyvo", "no_such_package"))
    dialog = opened(text=f"{RA} {DEC}")
    form = dialog.request_form
    assert not form.fields["use_archive"].isEnabled()
    assert form.note_of("use_archive") == (
        'The archive needs no_such_package, not installed here: run python -m pip install ".[archive]" in the source '
        "folder of glue-spherex."
    )
    assert not form.is_marked("use_archive")
    assert dialog.status_label.text() == "Tick or add a folder with Level-2 images, or tick the archive."
    dialog.state.request.use_archive = True  # such as from a job
    dialog.settle()
    assert form.is_marked("use_archive")
    assert not dialog.measure_button.isEnabled()
    click(qtbot, form.fields["use_archive"])
    assert not dialog.state.request.use_archive
