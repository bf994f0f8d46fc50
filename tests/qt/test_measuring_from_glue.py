"""From a catalogue in glue to spectra with their cutouts, as a user does it: with the mouse, in real widgets."""

import numpy as np
import pytest
from glue_qt.app import GlueApplication
from glue_qt.utils import process_events
from glue_qt.viewers.scatter import ScatterViewer
from qtpy.QtCore import QModelIndex, QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from glue_spherex.jobs import Phase, jobs
from glue_spherex.plugin.columns import column_values, spectra_in
from glue_spherex.plugin.focus import focused_row
from glue_spherex.qt.arrange import PLACES
from glue_spherex.qt.cutout_viewer import SpherexCutoutViewer
from glue_spherex.qt.job_monitor import job_monitor
from glue_spherex.qt.measure_dialog import MeasureDialog
from glue_spherex.qt.spectrum_viewer import SpherexSpectrumViewer

PATIENCE = 120_000  # ms


@pytest.fixture
def catalogue(application, small_field):
    """The catalogue of the field, and a scatter viewer of its positions."""
    data = application.load_data(str(small_field.catalogue))
    viewer = application.new_data_viewer(ScatterViewer, data=data)
    viewer.state.x_att, viewer.state.y_att = data.id["ra"], data.id["dec"]
    process_events()
    return data, viewer


def lasso(viewer, data, n):
    """Draw a polygon around the `n` sources in the middle of the field, by clicks; their rows."""
    places = viewer.axes.transData.transform(np.stack([data["ra"], data["dec"]], axis=1))
    middle = places[0]  # the first target lies there
    distance = np.hypot(*(places - middle).T)
    order = np.argsort(distance)
    radius = distance[order[n - 1 : n + 1]].mean()
    canvas = viewer.figure.canvas
    viewer.toolbar.active_tool = "select:polygon"
    for angle in np.linspace(0, 2 * np.pi, 48, endpoint=False):
        x, y = middle + radius * np.array([np.cos(angle), np.sin(angle)])
        QTest.mouseClick(canvas, Qt.LeftButton, pos=QPoint(round(x), round(canvas.height() - y)))
    QTest.keyClick(canvas, Qt.Key_Return)
    process_events()
    return np.sort(order[:n])


def right_click_action(application, layer, text):
    """Choose an entry of the menu that a right-click on a layer shows."""
    tree = application._layer_widget.ui.layerTree
    tree.expandAll()
    (index,) = [index for index in indices_of(tree.model()) if tree.model().glue_data([index])[0] is layer]
    tree.scrollTo(index)
    QTest.mouseClick(tree.viewport(), Qt.LeftButton, pos=tree.visualRect(index).center())
    process_events()
    assert tree.selected_layers() == [layer]
    (action,) = [action for action in tree.actions() if action.text() == text]
    assert action.isEnabled()
    action.trigger()
    process_events()


def indices_of(model, parent=None):
    """All lines of a tree below a line."""
    parent = parent or QModelIndex()
    for row in range(model.rowCount(parent)):
        index = model.index(row, 0, parent)
        yield from (index, *indices_of(model, index))


def open_dialog():
    (dialog,) = [widget for widget in QApplication.topLevelWidgets() if isinstance(widget, MeasureDialog)]
    return dialog


def hand_in(application, catalogue, small_field, qtbot, load):
    """Lasso ten sources, and press Measure; the rows, and the id of the job."""
    data, viewer = catalogue
    rows = lasso(viewer, data, 10)
    (group,) = application.data_collection.subset_groups
    assert np.array_equal(np.flatnonzero(group.subsets[0].to_mask()), rows)
    right_click_action(application, group, "Measure SPHEREx spectra…")
    dialog = open_dialog()
    dialog.state.request.image_folders = (str(small_field.folder / "images"),)
    dialog.state.request.calibration = str(small_field.calibration)
    dialog.load_box.setChecked(load)
    qtbot.waitUntil(lambda: dialog.state.is_planned and dialog.measure_button.isEnabled(), timeout=PATIENCE)
    assert len(dialog.state.plan.lines) == 10
    QTest.mouseClick(dialog.measure_button, Qt.LeftButton)
    qtbot.waitUntil(lambda: bool(jobs()), timeout=PATIENCE)
    (job,) = jobs()
    dialog.close()
    return rows, job.id


def test_a_single_subset_is_measured(application, catalogue, small_field):
    """That of one dataset, below its group in the list of layers."""
    data, viewer = catalogue
    application.load_data(str(small_field.targets))
    rows = lasso(viewer, data, 4)
    (group,) = application.data_collection.subset_groups
    (subset,) = [subset for subset in group.subsets if subset.data is data]
    assert len(application.data_collection) == len(group.subsets) == 2
    right_click_action(application, subset, "Measure SPHEREx spectra…")
    dialog = open_dialog()
    assert dialog.state.target.layer is subset
    wanted = np.asarray(data["label"])[rows].tolist()
    assert [dialog.table.row_texts(row)[0] for row in range(len(dialog.state.lines))] == wanted
    dialog.close()


def wait_for_end(monitor, job_id, qtbot):
    """Watch the monitor until the job has ended; the numbers of images it has shown."""
    seen = []

    def ended():
        found = [job for job in monitor.model.jobs if job.id == job_id]
        seen.extend(job.images_done for job in found)
        return bool(found) and not found[0].phase.is_active

    qtbot.waitUntil(ended, timeout=PATIENCE)
    (job,) = [job for job in monitor.model.jobs if job.id == job_id]
    assert job.phase is Phase.COMPLETED, job.message
    return seen


def check_spectra(application, catalogue, rows, qtbot):
    """Ten spectra at the places of the lassoed sources; spectrum and cutouts are shown; a click finds a point."""
    (spectra,) = spectra_in(application.data_collection)
    labels, first = np.unique(column_values(spectra, "label"), return_index=True)
    assert set(labels.tolist()) == set(np.asarray(catalogue["label"])[rows].tolist())
    ra = dict(zip(np.asarray(catalogue["label"]).tolist(), catalogue["ra"].tolist()))
    still = [k for k, label in enumerate(labels.tolist()) if label != "fast-star"]
    found = column_values(spectra, "ra")[first]
    assert np.allclose(found[still], [ra[labels[k]] for k in still], rtol=0, atol=1e-9)
    viewers = {type(viewer): viewer for tab in application.viewers for viewer in tab if type(viewer) in PLACES}
    assert set(viewers) == set(PLACES)
    cutouts, spectrum = viewers[SpherexCutoutViewer], viewers[SpherexSpectrumViewer]
    process_events(wait=0.5)
    shown = spectrum.state.shown(spectra)
    row = int(np.flatnonzero(shown.drawn)[3])
    x, y = spectrum.axes.transData.transform((shown.x[row], shown.y[row]))
    canvas = spectrum.figure.canvas
    QTest.mouseClick(canvas, Qt.LeftButton, pos=QPoint(round(x), round(canvas.height() - y)))
    data, focused = focused_row(application.session)
    assert data is spectra
    near = spectrum.axes.transData.transform((shown.x[focused], shown.y[focused]))
    assert np.hypot(*(near - (x, y))) < 2  # this point, or one that lies on it
    qtbot.waitUntil(lambda: cutouts.page.is_drawn(focused), timeout=PATIENCE)
    assert cutouts.page.problems == []


def test_from_the_lasso_to_spectra_and_cutouts(application, catalogue, small_field, qtbot):
    rows, job_id = hand_in(application, catalogue, small_field, qtbot, load=False)
    monitor = job_monitor(application.session)
    seen = wait_for_end(monitor, job_id, qtbot)
    assert seen[-1] == 18
    assert spectra_in(application.data_collection) == []  # not before it is asked for
    place = [job.id for job in monitor.model.jobs].index(job_id)
    at = monitor.table.visualRect(monitor.model.index(place, 0)).center()
    QTest.mouseClick(monitor.table.viewport(), Qt.LeftButton, pos=at)
    process_events()
    QTest.mouseClick(monitor.buttons["show"], Qt.LeftButton)
    qtbot.waitUntil(lambda: bool(spectra_in(application.data_collection)), timeout=PATIENCE)
    check_spectra(application, catalogue[0], rows, qtbot)


def test_the_result_comes_by_itself(application, catalogue, small_field, qtbot):
    rows, _ = hand_in(application, catalogue, small_field, qtbot, load=True)
    qtbot.waitUntil(lambda: bool(spectra_in(application.data_collection)), timeout=PATIENCE)
    check_spectra(application, catalogue[0], rows, qtbot)


def test_closing_glue_in_between_changes_nothing(application, catalogue, small_field, qtbot):
    data = catalogue[0]
    rows, job_id = hand_in(application, catalogue, small_field, qtbot, load=True)
    application.close()
    process_events()
    again = GlueApplication()
    try:
        again.start(block=False, maximized=False)
        again.resize(1400, 900)
        monitor = job_monitor(again.session)
        wait_for_end(monitor, job_id, qtbot)
        monitor.state.choose([job_id])
        process_events()
        QTest.mouseClick(monitor.buttons["show"], Qt.LeftButton)
        qtbot.waitUntil(lambda: bool(spectra_in(again.data_collection)), timeout=PATIENCE)
        check_spectra(again, data, rows, qtbot)
    finally:
        again.close()
        process_events()
