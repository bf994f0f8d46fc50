"""The whole way: the prepared layout, a bad point, its pixel, a subset of its flag, and a session of all that."""

import numpy as np
import pytest
from astropy.table import Table
from glue.core import Data
from glue_qt.utils import process_events
from qtpy.QtCore import QPoint, Qt

from glue_spherex.model import Flag
from glue_spherex.plugin.columns import kind_of, spectra_in
from glue_spherex.plugin.flag_subsets import FlagSubsetState
from glue_spherex.plugin.focus import focus_source, focused_row
from glue_spherex.qt.arrange import PLACES, arrange_viewers
from glue_spherex.qt.cutout_viewer import SpherexCutoutViewer
from glue_spherex.qt.flag_subsets import flag_subsets_dialog
from glue_spherex.qt.menu import arrange_layer
from glue_spherex.qt.spectrum_viewer import SpherexSpectrumViewer
from glue_spherex.qt.table_viewer import SpherexTableViewer


@pytest.fixture
def loaded(application, measured_spectra):
    return application.load_data(str(measured_spectra))


@pytest.fixture
def bad_row(small_field, loaded):
    """Row of the measurement that the simulator spoiled."""
    truth = Table.read(small_field.truth)
    spoiled = truth[(truth["label"] == truth.meta["bad_point_label"]) & (truth["file"] == truth.meta["bad_point_file"])]
    here = (loaded["label"] == spoiled["label"][0]) & (loaded["lvf_id"] == spoiled["exposure_id"][0])
    return int(np.flatnonzero(here)[0])


def arranged(application):
    viewers = arrange_viewers(application)
    process_events()
    return viewers


def test_places(application, loaded):
    viewers = arranged(application)
    area = application.current_tab.viewport().geometry()
    table, spectrum, cutouts = (viewers[kind].parent().geometry() for kind in PLACES)
    assert table.left() == 0
    assert table.right() < spectrum.left() + 2
    assert table.bottom() < cutouts.top() + 2
    assert spectrum.bottom() < cutouts.top() + 2
    assert cutouts.width() == pytest.approx(area.width(), abs=2)
    assert spectrum.right() == pytest.approx(area.right(), abs=2)
    assert cutouts.bottom() == pytest.approx(area.bottom(), abs=2)
    assert application.tab_bar.tabText(0) == f"SPHEREx: {loaded.label}"
    assert [kind_of(data) for data in application.data_collection] == ["spectrum", "targets"]


def test_follows_the_window_and_what_was_moved(application, loaded):
    viewers = arranged(application)
    table = viewers[SpherexTableViewer].parent()
    table.setGeometry(0, 0, 100, 100)
    before = application.current_tab.viewport().width()
    application.resize(1000, 700)
    process_events()
    after = application.current_tab.viewport().width()
    assert after < before
    assert table.width() == pytest.approx(100 * after / before, abs=2)
    cutouts = viewers[SpherexCutoutViewer].parent().geometry()
    assert cutouts.width() == pytest.approx(after, abs=2)
    arranged(application)
    assert table.width() == pytest.approx(PLACES[SpherexTableViewer][2] * after, abs=2)


def test_again_does_not_open_more(application, loaded):
    first, again = arranged(application), arranged(application)
    assert first == again
    assert application.tab_count == 1
    assert len(application.viewers[0]) == 3


def test_a_tab_in_use_is_left_alone(application, loaded):
    from glue_qt.viewers.scatter import ScatterViewer

    application.new_data_viewer(ScatterViewer, data=loaded)
    arranged(application)
    assert [len(tab) for tab in application.viewers] == [1, 3]


def test_without_a_spectrum(application):
    with pytest.raises(ValueError, match="there is no SPHEREx spectrum here; open one with File > Open"):
        arrange_viewers(application)


def test_a_viewer_was_closed(application, loaded):
    viewers = arranged(application)
    viewers[SpherexCutoutViewer].close(warn=False)
    process_events()
    application.resize(1100, 700)
    process_events()
    arranged(application)
    assert {type(viewer) for viewer in application.viewers[application.tab_widget.currentIndex()]} == set(PLACES)


def test_choosing_a_target_shows_its_spectrum(application, loaded, qtbot):
    viewers = arranged(application)
    table, spectrum = viewers[SpherexTableViewer], viewers[SpherexSpectrumViewer]
    place = 3
    where = table.ui.table.visualRect(table.model.index(place, 0)).center()
    qtbot.mouseClick(table.ui.table.viewport(), Qt.LeftButton, pos=where)
    process_events()
    label = table.data["label"][table.model.order_visible[place]]
    data, row = focused_row(application.session)
    assert data is loaded
    assert data["label"][row] == label
    shown = spectrum.state.shown(loaded)
    assert set(loaded["label"][shown.drawn]) == {label}


def click_point(viewer, data, row, qtbot):
    """Click the point of a row on the canvas."""
    viewer.figure.canvas.draw()
    shown = viewer.state.shown(data)
    x, y = viewer.axes.transData.transform((shown.x[row], shown.y[row]))
    canvas = viewer.figure.canvas
    ratio = canvas.device_pixel_ratio
    qtbot.mouseClick(canvas, Qt.LeftButton, pos=QPoint(round(x / ratio), round(canvas.height() - y / ratio)))
    process_events()


def test_from_a_bad_point_to_a_session(application, loaded, bad_row, qtbot, tmp_path):
    from glue_qt.app import GlueApplication

    viewers = arranged(application)
    spectrum, cutouts = viewers[SpherexSpectrumViewer], viewers[SpherexCutoutViewer]
    focus_source(application.session, loaded, int(loaded["source_id"][bad_row]))
    process_events()
    click_point(spectrum, loaded, bad_row, qtbot)
    assert focused_row(application.session) == (loaded, bad_row)
    assert cutouts.state.focus_row == bad_row

    dialog = flag_subsets_dialog(application.session, loaded)
    dialog.state.mask = int(Flag.TRANSIENT)
    qtbot.mouseClick(dialog.apply_button, Qt.LeftButton)
    process_events()
    (group,) = application.data_collection.subset_groups
    assert isinstance(group.subset_state, FlagSubsetState)
    expected = np.asarray(loaded["flags"]) & int(Flag.TRANSIENT) != 0
    assert expected[bad_row]
    np.testing.assert_array_equal(group.subsets[0].to_mask(), expected)
    for viewer in (spectrum, cutouts):
        assert any(layer.layer in group.subsets and layer.enabled for layer in viewer.layers)

    path = str(tmp_path / "session.glu")
    application.save_session(path)
    again = GlueApplication.restore_session(path, show=False)
    try:
        restored = {type(viewer): viewer for viewer in again.viewers[0]}
        assert set(restored) == set(PLACES)
        (data,) = spectra_in(again.data_collection)
        assert restored[SpherexSpectrumViewer].state.focus_row == bad_row
        assert restored[SpherexCutoutViewer].state.focus_row == bad_row
        assert restored[SpherexCutoutViewer].state.focus_data is data
        assert focused_row(again.session) == (data, bad_row)
        subset = again.data_collection.subset_groups[0].subsets[0]
        np.testing.assert_array_equal(subset.to_mask(), expected)
    finally:
        again.close()


def test_two_results_of_the_same_targets_share_the_list(application, loaded, measured_spectra):
    arranged(application)
    again = application.load_data(str(measured_spectra))
    viewers = arrange_viewers(application, again)
    arrange_viewers(application, again)
    process_events()
    assert [kind_of(data) for data in application.data_collection] == ["spectrum", "targets", "spectrum"]
    assert focused_row(application.session)[0] is again
    viewers[SpherexTableViewer]._chosen(2)
    assert focused_row(application.session)[0] is again


def test_a_spectrum_without_rows_and_data_of_others(application, loaded):
    empty, others = without_rows(loaded), Data(label="others", x=[1.0])
    application.data_collection.extend([empty, others])
    with pytest.raises(ValueError, match="'empty' has no rows, so there is nothing to show"):
        arrange_viewers(application, empty)
    with pytest.raises(ValueError, match="'empty' has no rows, so there is nothing to show"):
        application.new_data_viewer(SpherexTableViewer, data=empty)
    with pytest.raises(ValueError, match="'others' is no SPHEREx spectrum"):
        arrange_viewers(application, others)


def without_rows(data):
    """A spectrum with the columns of another and no rows."""
    empty = Data(label="empty")
    for cid in data.main_components:
        empty.add_component(np.zeros(0), cid.label)
    empty.meta["spherex"] = {"kind": "spectrum", "columns": [cid.label for cid in empty.main_components]}
    return empty


def test_from_the_target_list(application, loaded):
    viewers = arranged(application)
    targets = viewers[SpherexTableViewer].data
    assert arrange_layer(targets, application.data_collection) == viewers
