import numpy as np
import pytest
from astropy.table import Table
from glue_qt.utils import process_events
from qtpy import QtWidgets
from qtpy.QtCore import Qt

from glue_spherex.plugin.focus import focus_row, focused_row
from glue_spherex.plugin.loader import load_spectrum
from glue_spherex.qt import open_dialogs
from glue_spherex.qt.check_up import check_up_dialog


@pytest.fixture
def spectra(application, measured_spectra):
    data = load_spectrum(measured_spectra)
    data.label = "spectra"
    application.data_collection.append(data)
    return data


@pytest.fixture
def bad_row(small_field, spectra):
    """The row that the simulation made bad, from its truth."""
    truth = Table.read(small_field.truth)
    label, file = truth.meta["bad_point_label"], truth.meta["bad_point_file"]
    exposure = truth["exposure_id"][(truth["label"] == label) & (truth["file"] == file)][0]
    [row] = np.flatnonzero((spectra["label"] == label) & (spectra["lvf_id"] == exposure))
    return int(row)


@pytest.fixture
def dialog(application, spectra, bad_row):
    return check_up_dialog(application.session, spectra, int(spectra["source_id"][bad_row]))


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.LeftButton)
    process_events()


def place_of(dialog, key):
    return [finding.key for finding in dialog.state.findings].index(key)


def click_line(qtbot, dialog, key, double=False):
    table = dialog.table
    item = table.item(place_of(dialog, key), 2)
    table.scrollToItem(item)
    pos = table.visualItemRect(item).center()
    qtbot.mouseClick(table.viewport(), Qt.LeftButton, pos=pos)
    if double:
        qtbot.mouseDClick(table.viewport(), Qt.LeftButton, pos=pos)
    process_events()


def test_lines(dialog, spectra, bad_row):
    assert dialog.isVisible()
    assert not dialog.isModal()
    assert dialog.source_combo.currentText() == spectra["label"][bad_row]
    assert dialog.table.rowCount() == len(dialog.state.findings) > 10
    words = {dialog.table.item(row, 0).text() for row in range(dialog.table.rowCount())}
    assert words <= {"OK", "Note", "Check", "Problem"}
    assert all(not dialog.table.item(row, 0).icon().isNull() for row in range(dialog.table.rowCount()))
    assert not dialog.worst_button.isEnabled()
    assert not dialog.subset_button.isEnabled()


def test_the_bad_point_is_found(qtbot, application, dialog, spectra, bad_row):
    click_line(qtbot, dialog, "flags")
    assert bad_row in dialog.state.finding.rows
    click_line(qtbot, dialog, "fit_quality")
    click(qtbot, dialog.worst_button)
    assert focused_row(application.session) == (spectra, bad_row)
    assert f"Row {bad_row} of spectra" in dialog.status_label.text()


def test_double_click_shows_the_worst_point(qtbot, application, dialog, spectra, bad_row):
    click_line(qtbot, dialog, "fit_quality", double=True)
    assert focused_row(application.session) == (spectra, bad_row)


def test_a_line_becomes_a_subset(qtbot, application, dialog, spectra, bad_row):
    click_line(qtbot, dialog, "bad_pixels")
    click(qtbot, dialog.subset_button)
    [group] = application.data_collection.subset_groups
    mine = (spectra["source_id"] == spectra["source_id"][bad_row]) & (spectra["flags"] >= 1 << 32)
    np.testing.assert_array_equal(group.subsets[0].to_mask(), mine)
    assert group.label == f"{spectra['label'][bad_row]}: bad pixels"
    click_line(qtbot, dialog, "dates")
    assert not dialog.subset_button.isEnabled()
    assert dialog.state.make_subset() is None
    assert "concerns no rows" in dialog.status_label.text()


def test_another_source(dialog, spectra):
    texts = [finding.text for finding in dialog.state.findings]
    dialog.source_combo.setCurrentIndex((dialog.source_combo.currentIndex() + 1) % dialog.source_combo.count())
    process_events()
    assert dialog.source_combo.currentText() in set(spectra["label"])
    assert [finding.text for finding in dialog.state.findings] != texts
    assert dialog.table.item(0, 2).text() == dialog.state.findings[0].text


def test_it_starts_with_the_focused_source(application, spectra):
    focus_row(application.session, spectra, int(spectra.size - 1))
    dialog = check_up_dialog(application.session)
    assert dialog.source_combo.currentText() == spectra["label"][-1]
    dialog = check_up_dialog(application.session, spectra, 0)
    assert dialog.source_combo.currentText() == spectra["label"][0]


@pytest.mark.parametrize(("name", "start"), [("report.html", "<!DOCTYPE html>"), ("report.txt", "Check-up of ")])
def test_save(qtbot, dialog, tmp_path, monkeypatch, name, start):
    monkeypatch.setattr(QtWidgets.QFileDialog, "getSaveFileName", lambda *args: (str(tmp_path / name), ""))
    click(qtbot, dialog.save_button)
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert text.startswith(start)
    assert "spectra" in text
    assert str(tmp_path / name) in dialog.status_label.text()


def test_a_report_that_cannot_be_saved(qtbot, dialog, tmp_path, monkeypatch):
    monkeypatch.setattr(QtWidgets.QFileDialog, "getSaveFileName", lambda *args: (str(tmp_path / "no" / "r.txt"), ""))
    click(qtbot, dialog.save_button)
    assert "The report cannot be written" in dialog.status_label.text()
    monkeypatch.setattr(QtWidgets.QFileDialog, "getSaveFileName", lambda *args: ("", ""))
    click(qtbot, dialog.save_button)
    assert list(tmp_path.glob("*.txt")) == []


def test_it_follows_the_data(qtbot, dialog, spectra, bad_row):
    click_line(qtbot, dialog, "fit_error")
    flags = spectra["flags"].copy()
    flags |= 1 << 33
    spectra.update_components({spectra.id["flags"]: flags})
    process_events()
    assert dialog.table.item(place_of(dialog, "fit_error"), 0).text() == "Problem"
    assert dialog.state.finding.key == "fit_error"
    assert dialog.subset_button.isEnabled()
    spectra.id["flux"].label = "brightness"
    process_events()
    assert not dialog.state.failed
    spectra.label = "renamed"
    process_events()
    assert dialog.data_combo.currentText() == "renamed"


def test_data_are_removed(application, dialog, spectra, measured_spectra):
    twin = load_spectrum(measured_spectra)
    twin.label = "spectra"
    application.data_collection.append(twin)
    source = dialog.source_combo.currentText()
    application.data_collection.remove(spectra)
    process_events()
    assert dialog.state.data is twin
    assert dialog.source_combo.currentText() == source
    assert dialog.status_label.text() == "spectra was removed."
    application.data_collection.remove(twin)
    process_events()
    assert dialog.table.rowCount() == 0
    assert "There is no spectrum left" in dialog.status_label.text()
    assert not dialog.save_button.isEnabled()
    assert dialog.state.save("anywhere") is None
    assert dialog.state.show_worst() is None


def test_other_tables_can_be_asked_for(application):
    """A table from elsewhere with wavelength and flux is judged as far as that goes."""
    from glue.core import Data

    data = Data(label="elsewhere", wavelength=np.linspace(1, 2, 9), flux=np.ones(9))
    empty = Data(label="empty", wavelength=np.zeros(0), flux=np.zeros(0))
    application.data_collection.append(data)
    application.data_collection.append(empty)
    dialog = check_up_dialog(application.session, data)
    assert dialog.table.rowCount() > 5
    dialog = check_up_dialog(application.session, empty)
    assert "'empty' has no rows" in dialog.status_label.text()


def test_it_stays_until_closed(qtbot, application, dialog, spectra):
    assert dialog in open_dialogs._open
    click(qtbot, dialog.close_button)
    assert dialog not in open_dialogs._open
    state = dialog.state
    application.data_collection.remove(spectra)
    assert state.data is spectra  # it no longer listens


def test_sizes(dialog):
    for size in ((600, 400), (1000, 700)):
        dialog.resize(*size)
        process_events()
        assert (dialog.width(), dialog.height()) == size
        assert dialog.table.horizontalScrollBar().maximum() == 0
