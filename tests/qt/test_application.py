import pytest
from glue_qt.utils import process_events
from qtpy.QtWidgets import QDockWidget

from glue_spherex.plugin.columns import kind_of
from glue_spherex.qt.application import can_show, result_window
from glue_spherex.qt.arrange import PLACES
from glue_spherex.qt.spectrum_viewer import SpherexSpectrumViewer
from glue_spherex.qt.table_viewer import SpherexTableViewer


def test_window_with_a_result(measured_spectra, small_field, tmp_path, qtbot):
    """The window of the demonstration: the given targets left, the spectrum of the first one right, cutouts below."""
    targets = tmp_path / "targets.csv"
    targets.write_text(small_field.targets.read_text())
    application = result_window(measured_spectra, targets)
    try:
        application.show()
        process_events()
        viewers = {type(viewer): viewer for viewer in application.viewers[0]}
        assert set(viewers) == set(PLACES)
        assert [kind_of(data) for data in application.data_collection] == ["targets", "spectrum"]
        assert viewers[SpherexTableViewer].data is application.data_collection[0]
        assert viewers[SpherexTableViewer].marked_row == 0
        spectrum = viewers[SpherexSpectrumViewer]
        assert (spectrum.axes.get_xlabel(), spectrum.axes.get_ylabel()) == ("wavelength (µm)", "flux (µJy)")
    finally:
        application.close()


def test_window_without_targets(measured_spectra, qtbot):
    application = result_window(measured_spectra)
    try:
        assert [kind_of(data) for data in application.data_collection] == ["spectrum", "targets"]
        assert list(application.data_collection[1]["source_id"]) == list(range(7))
    finally:
        application.close()


def test_says_why_glue_cannot_be_opened(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert "no display" in can_show()
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert can_show() == ""


def test_menu_and_viewers_are_there(application):
    from glue_qt.config import qt_client

    entries = [action.text() for action in application._actions["plugins"]]
    ours = ("Measure spectra…", "Job monitor", "Flag subsets…", "Arrange viewers", "Link spectra, targets and images")
    assert {f"SPHEREx: {entry}" for entry in ours} <= set(entries)
    assert {"SPHEREx Spectrum", "SPHEREx Cutouts", "SPHEREx Table"} <= {viewer.LABEL for viewer in qt_client.members}


def menu_action(application, text):
    (action,) = [action for action in application._actions["plugins"] if action.text() == text]
    return action


def test_menu_entries_do_what_they_say(application, measured_spectra, qtbot):
    application.load_data(str(measured_spectra))
    menu_action(application, "SPHEREx: Arrange viewers").trigger()
    process_events()
    assert {type(viewer) for viewer in application.viewers[0]} == set(PLACES)
    menu_action(application, "SPHEREx: Link spectra, targets and images").trigger()
    assert "links were added" in application.statusBar().currentMessage()
    for entry in ("Flag subsets…", "Measure spectra…", "Job monitor"):
        menu_action(application, f"SPHEREx: {entry}").trigger()
        process_events()
    assert [type(dock).__name__ for dock in application.findChildren(QDockWidget)].count("JobMonitor") == 1


def test_a_fault_is_shown(application, monkeypatch):
    """Without a spectrum there is nothing to arrange: a message says so, and glue lives on."""
    from qtpy import QtWidgets

    shown = []
    monkeypatch.setenv("GLUE_TESTING", "False")
    monkeypatch.setattr(QtWidgets.QMessageBox, "exec_", lambda box: shown.append(box.text()), raising=False)
    menu_action(application, "SPHEREx: Arrange viewers").trigger()
    monkeypatch.setenv("GLUE_TESTING", "True")
    assert len(shown) == 1
    assert "cannot be arranged" in shown[0]
    assert "open one with File > Open" in shown[0]


@pytest.mark.parametrize(
    "label",
    ["Measure SPHEREx spectra…", "SPHEREx: Arrange viewers", "SPHEREx: Flag subsets…", "SPHEREx: Check-up…"],
)
def test_layer_actions(application, measured_spectra, label):
    from glue_qt.config import layer_action

    data = application.load_data(str(measured_spectra))
    (action,) = [member for member in layer_action.members if member.label == label]
    assert action.callback(data, application.data_collection) is not None
    process_events()
