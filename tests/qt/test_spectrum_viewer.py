"""The spectrum viewer in a window: clicks, keys, options, tools, faults, sessions."""

import gc

import numpy as np
import pytest
from glue.core import Data
from glue.core.roi import RectangularROI, XRangeROI
from glue_qt.app import GlueApplication
from glue_qt.utils import process_events
from matplotlib.backend_bases import MouseEvent
from qtpy.QtCore import QPoint, Qt

from glue_spherex.model import DETECTORS, Flag
from glue_spherex.model.spectrum import COLUMNS, new_table
from glue_spherex.plugin.flag_subsets import FlagSubsetState
from glue_spherex.plugin.focus import focus_row, focus_source, focused_row
from glue_spherex.plugin.loader import spectrum_data
from glue_spherex.plugin.row_order import ordered_rows
from glue_spherex.qt.cutout_viewer import SpherexCutoutViewer
from glue_spherex.qt.spectrum_viewer import SpherexSpectrumViewer
from glue_spherex.qt.spectrum_viewer.layer_style_editor import SpectrumLayerStyleEditor
from glue_spherex.qt.table_viewer import SpherexTableViewer


def made(n=60, n_sources=2, **given):
    """A spectrum of made-up numbers in which no two points lie on top of each other."""
    rng = np.random.default_rng(11)
    kinds = {"float": rng.normal(size=n), "int": np.arange(n), "bool": np.arange(n) % 2 == 0, "text": np.full(n, "x")}
    columns = {c.name: kinds[c.dtype] for c in COLUMNS}
    columns["source_id"] = np.arange(n) % n_sources
    columns["label"] = np.array([f"star {k}" for k in columns["source_id"]])
    columns["wavelength"] = np.linspace(0.8, 4.9, n)[rng.permutation(n)] if n > 1 else np.full(n, 2.0)
    columns["lambda_width"] = columns["wavelength"] / 40
    columns["flux"] = 100 + 10 * columns["source_id"] + rng.normal(0, 2, n)
    columns["flux_err"] = rng.uniform(0.5, 2, n)
    columns["flux_bkg"], columns["flux_bkg_err"] = 0.3 + rng.normal(0, 0.002, n), np.full(n, 0.001)
    columns["det_id"] = np.searchsorted([1.11, 1.64, 2.42, 3.82, 4.42], columns["wavelength"]) + 1
    columns["mjd"] = 60800 + rng.permutation(n).astype(float)
    columns["flags"] = np.where(np.arange(n) % 5 == 0, int(Flag.SOURCE | Flag.HOT), int(Flag.SOURCE))
    columns["fit_ql"] = rng.uniform(0.5, 1.5, n)
    data = spectrum_data(new_table(columns | given))
    data.label = "spectra"
    return data


def shown_viewer(application, *datasets):
    for data in datasets:
        if data not in application.data_collection:
            application.data_collection.append(data)
    viewer = application.new_data_viewer(SpherexSpectrumViewer, data=datasets[0])
    for data in datasets[1:]:
        viewer.add_data(data)
    viewer.viewer_size = (900, 600)
    settle(viewer)
    return viewer


def settle(viewer):
    process_events()
    viewer._do_steps()
    viewer._summarise()
    process_events()


@pytest.fixture
def data():
    return made()


@pytest.fixture
def viewer(application, data):
    return shown_viewer(application, data)


def pixels(viewer, data, row):
    shown = viewer.state.shown(data)
    return viewer.axes.transData.transform((shown.x[row], shown.y[row]))


def click(qtbot, viewer, px, py):
    canvas = viewer.figure.canvas
    ratio = canvas.device_pixel_ratio
    where = QPoint(round(px / ratio), round(canvas.height() - py / ratio))
    qtbot.mouseClick(canvas, Qt.LeftButton, pos=where)
    settle(viewer)


def key(qtbot, viewer, which, modifier=Qt.NoModifier):
    qtbot.keyClick(viewer.figure.canvas, which, modifier)
    qtbot.wait(5)
    settle(viewer)


def test_opens_with_flux_against_wavelength(viewer, data):
    assert (viewer.axes.get_xlabel(), viewer.axes.get_ylabel()) == ("wavelength (µm)", "flux (µJy)")
    artist = viewer.data_artists[0]
    np.testing.assert_allclose(artist.markers.xy, np.column_stack([data["wavelength"], data["flux"]]))
    assert artist.markers.hollow.tolist() == (np.arange(60) % 5 == 0).tolist()
    bars = artist.error_bars.segments
    np.testing.assert_allclose(bars[:, 1, 1] - bars[:, 0, 1], 2 * data["flux_err"])
    assert viewer.summary_label.text() == "60 points of 2 sources shown; 12 flagged"


def test_click_focuses_the_point_without_a_redraw(application, viewer, data, qtbot):
    heard = []
    application.session.hub.subscribe(application, type_of_focus(), handler=heard.append)
    draws = viewer.figure.canvas._draw_count
    px, py = pixels(viewer, data, 17)
    click(qtbot, viewer, px + 3, py + 2)
    assert focused_row(application.session) == (data, 17)
    assert (viewer.state.focus_data, viewer.state.focus_row) == (data, 17)
    assert [(message.data, message.row) for message in heard] == [(data, 17)]
    assert viewer.overlay.marked == (data["wavelength"][17], data["flux"][17])
    assert viewer.figure.canvas._draw_count == draws
    assert viewer.figure.canvas.hasFocus()


def type_of_focus():
    from glue_spherex.plugin.focus import RowFocusMessage

    return RowFocusMessage


def test_click_on_nothing_changes_nothing(application, viewer, data, qtbot):
    focus_row(application.session, data, 5)
    frame = viewer.axes.bbox
    click(qtbot, viewer, frame.x0 + 3, frame.y0 + 3)
    assert focused_row(application.session) == (data, 5)


def test_click_with_subsets_on_top_and_when_zoomed(application, viewer, data, qtbot):
    application.data_collection.new_subset_group("hot", FlagSubsetState(data.id["flags"], int(Flag.HOT)))
    process_events()
    click(qtbot, viewer, *pixels(viewer, data, 20))
    assert focused_row(application.session) == (data, 20)
    viewer.state.x_min, viewer.state.x_max = data["wavelength"][33] - 0.05, data["wavelength"][33] + 0.05
    process_events()
    click(qtbot, viewer, *pixels(viewer, data, 33))
    assert focused_row(application.session) == (data, 33)


def test_click_prefers_what_is_shown(application, viewer, data, qtbot):
    viewer.state.layers[0].show_sources([1])
    process_events()
    hidden = pixels(viewer, data, 0)
    click(qtbot, viewer, *hidden)
    assert focused_row(application.session)[1] in (None, *np.flatnonzero(data["source_id"] == 1))
    viewer.state.layers[0].visible = False
    process_events()
    before = focused_row(application.session)
    click(qtbot, viewer, *pixels(viewer, data, 21))
    assert focused_row(application.session) == before
    assert "switched off" in viewer.summary_label.text()


def test_click_after_another_viewer_had_the_focus(application, viewer, data, qtbot):
    other = application.new_data_viewer(SpherexTableViewer, data=data)
    process_events()
    application.current_tab.setActiveSubWindow(other.parent())
    process_events()
    viewer.parent().raise_()
    click(qtbot, viewer, *pixels(viewer, data, 8))
    assert focused_row(application.session) == (data, 8)


def test_a_drag_does_not_pick(application, viewer, data, qtbot):
    canvas = viewer.figure.canvas
    px, py = pixels(viewer, data, 17)
    start, end = (QPoint(int(px), int(canvas.height() - py)), QPoint(int(px) + 30, int(canvas.height() - py)))
    qtbot.mousePress(canvas, Qt.LeftButton, pos=start)
    qtbot.mouseMove(canvas, end)
    qtbot.mouseRelease(canvas, Qt.LeftButton, pos=end)
    assert focused_row(application.session) == (None, None)


@pytest.mark.parametrize("order", ["wavelength", "time"])
def test_keys_step_through_the_source(application, viewer, data, qtbot, order):
    viewer.state.order = order
    keys = data["wavelength" if order == "wavelength" else "mjd"]
    rows = np.flatnonzero(data["source_id"] == 1)
    rows = rows[np.argsort(keys[rows])]
    click(qtbot, viewer, *pixels(viewer, data, int(rows[3])))
    for which, modifier, place in (
        (Qt.Key_Right, Qt.NoModifier, 4),
        (Qt.Key_Left, Qt.NoModifier, 3),
        (Qt.Key_Right, Qt.ShiftModifier, 13),
        (Qt.Key_Left, Qt.ShiftModifier, 3),
        (Qt.Key_PageDown, Qt.NoModifier, 13),
        (Qt.Key_PageUp, Qt.NoModifier, 3),
        (Qt.Key_Left, Qt.ShiftModifier, 0),
        (Qt.Key_End, Qt.NoModifier, 29),
        (Qt.Key_Right, Qt.NoModifier, 29),
        (Qt.Key_Home, Qt.NoModifier, 0),
    ):
        key(qtbot, viewer, which, modifier)
        assert focused_row(application.session) == (data, int(rows[place]))
    key(qtbot, viewer, Qt.Key_Escape)
    assert focused_row(application.session) == (None, None)
    assert viewer.state.focus_row is None
    assert viewer.overlay.marked is None


def test_keys_do_not_undo_zooms(viewer, data, qtbot):
    viewer.toolbar.active_tool = "mpl:zoom"
    viewer.toolbar.active_tool = None
    viewer._mpl_nav.push_current()
    viewer.state.x_min, viewer.state.x_max = 1.0, 2.0
    viewer._mpl_nav.push_current()
    scale = viewer.axes.get_yscale()
    for which in (Qt.Key_Left, Qt.Key_L, Qt.Key_K):
        key(qtbot, viewer, which)
    assert viewer.state.x_max - viewer.state.x_min == pytest.approx(1.0)
    assert (viewer.axes.get_xscale(), viewer.axes.get_yscale()) == ("linear", scale)


def test_held_keys_are_taken_together(application, viewer, data, qtbot):
    focus_row(application.session, data, int(ordered_rows(data, 0)[0]))
    heard = []
    application.session.hub.subscribe(application, type_of_focus(), handler=heard.append)
    for _ in range(5):
        qtbot.keyPress(viewer.figure.canvas, Qt.Key_Right)
    settle(viewer)
    assert focused_row(application.session)[1] == int(ordered_rows(data, 0)[5])
    assert len(heard) < 5


def test_step_shifts_the_axes_to_the_point(application, viewer, data):
    rows = ordered_rows(data, 0)
    viewer.state.x_min, viewer.state.x_max = 0.79, 1.0
    focus_row(application.session, data, int(rows[15]))
    place = data["wavelength"][rows[15]]
    assert viewer.state.x_max - place == pytest.approx(0.15 * 0.21)
    assert viewer.state.x_max - viewer.state.x_min == pytest.approx(0.21)
    viewer.state.x_log = True
    viewer.state.x_min, viewer.state.x_max = 0.8, 1.6
    focus_row(application.session, data, int(rows[-1]))
    assert viewer.state.x_max / viewer.state.x_min == pytest.approx(2)


def hover(viewer, px, py):
    canvas = viewer.figure.canvas
    MouseEvent("motion_notify_event", canvas, px, py)._process()
    viewer._show_hovered()


def test_hover_stays_inside_and_goes_away(viewer, data, qtbot):
    draws = viewer.figure.canvas._draw_count
    for row in (int(np.argmin(data["wavelength"])), int(np.argmax(data["wavelength"])), int(np.argmax(data["flux"]))):
        hover(viewer, *pixels(viewer, data, row))
        text = viewer.overlay.text
        assert text.get_visible()
        assert text.get_text().startswith(f"star {row % 2} · spectra\nwavelength ")
        box = text.get_bbox_patch().get_window_extent()
        frame = viewer.axes.bbox
        assert frame.x0 <= box.x0 + 1
        assert box.x1 <= frame.x1 + 1
        assert frame.y0 <= box.y0 + 1
        assert box.y1 <= frame.y1 + 1
    hover(viewer, viewer.axes.bbox.x0 + 2, viewer.axes.bbox.y0 + 2)
    assert not viewer.overlay.text.get_visible()
    assert viewer.figure.canvas._draw_count == draws


def test_hover_comes_by_itself(viewer, data, qtbot):
    px, py = pixels(viewer, data, 9)
    MouseEvent("motion_notify_event", viewer.figure.canvas, px, py)._process()
    qtbot.waitUntil(viewer.overlay.text.get_visible, timeout=180_000)


def test_every_option_of_show(viewer, data):
    artist, ui = viewer.data_artists[0], viewer.options.ui
    ui.bool_show_errors.setChecked(False)
    assert not artist.error_bars.get_visible()
    ui.bool_show_bandwidth.setChecked(True)
    bars = artist.bandwidth_bars.segments
    np.testing.assert_allclose(bars[:, 1, 0] - bars[:, 0, 0], data["lambda_width"])
    assert artist.bandwidth_bars.get_visible()
    ui.bool_hollow_flagged.setChecked(False)
    assert not artist.markers.hollow.any()
    ui.bool_show_binned.setChecked(True)
    assert artist.binned_markers.get_visible()
    assert len(artist.binned_markers.xy) > 10
    assert "mean per channel" in legend_texts(viewer)
    background = data["flux_bkg"].copy()
    background[30] += 1
    data.update_components({data.id["flux_bkg"]: background})
    ui.bool_mark_jumps.setChecked(True)
    assert artist.jump_lines.get_visible()
    ui.bool_show_legend.setChecked(False)
    assert viewer.key.legend is None
    ui.combosel_order.setCurrentIndex(1)
    assert viewer.state.order == "time"


def legend_texts(viewer):
    return [] if viewer.key.legend is None else [text.get_text() for text in viewer.key.legend.get_texts()]


def test_every_option_of_axes(viewer, data):
    artist, ui, state = viewer.data_artists[0], viewer.options.ui, viewer.state
    ui.combosel_y_unit.setCurrentIndex(ui.combosel_y_unit.findText("mJy"))
    np.testing.assert_allclose(artist.markers.xy[:, 1], data["flux"] / 1000)
    assert viewer.axes.get_ylabel() == "flux (mJy)"
    ui.combosel_y_unit.setCurrentIndex(ui.combosel_y_unit.findText("AB mag"))
    assert viewer.axes.yaxis_inverted()
    assert not ui.bool_y_log.isEnabled()
    ui.combosel_y_unit.setCurrentIndex(0)
    ui.bool_y_log.setChecked(True)
    ui.bool_x_log.setChecked(True)
    assert (viewer.axes.get_xscale(), viewer.axes.get_yscale()) == ("log", "log")
    ui.value_redshift.setValue(1.0)
    np.testing.assert_allclose(artist.markers.xy[:, 0], data["wavelength"] / 2)
    assert viewer.axes.get_xlabel() == "rest-frame wavelength at z = 1 (µm)"
    ui.combosel_y_att.setCurrentIndex(ui.combosel_y_att.findText("flux_bkg"))
    assert viewer.axes.get_ylabel() == "background (MJy/sr)"
    assert not ui.combosel_y_unit.isEnabled()
    ui.combosel_x_att.setCurrentIndex(ui.combosel_x_att.findText("mjd"))
    assert viewer.axes.get_xlabel() == "MJD (UTC)"
    assert not ui.value_redshift.isEnabled()
    ui.valuetext_x_min.setText("60810")
    ui.valuetext_x_min.editingFinished.emit()
    assert viewer.axes.get_xlim()[0] == 60810
    ui.button_reset_limits.click()
    assert state.x_min < 60800.5
    ui.combosel_y_range.setCurrentIndex(3)
    assert state.y_range == 95


def test_log_axes_of_negative_values_and_back(application):
    data = made(40, flux=np.linspace(-50, 50, 40))
    viewer = shown_viewer(application, data)
    for log in (True, False, True, False):
        viewer.state.y_log = log
        process_events()
        assert viewer.axes.get_yscale() == ("log" if log else "linear")
        assert (viewer.axes.get_ylim()[0] > 0) == log
        settle(viewer)
        assert ("20 rows with a flux of 0 or less are not shown." in viewer.summary_label.text()) == log
    viewer.state.y_log = True
    viewer.state.y_unit = "AB mag"
    process_events()
    assert viewer.axes.get_yscale() == "linear"
    viewer.state.y_unit = "µJy"
    assert viewer.axes.get_ylim()[0] < -50


def test_sources_are_ticked(viewer, data, qtbot):
    artist, ui = viewer.data_artists[0], viewer.options.ui
    assert [ui.list_sources.item(k).text() for k in range(2)] == ["star 0  (30 points)", "star 1  (30 points)"]
    ui.list_sources.item(0).setCheckState(Qt.Unchecked)
    assert set(data["source_id"][artist.rows]) == {1}
    assert legend_texts(viewer) == ["star 1", "flagged"]
    ui.button_none.click()
    settle(viewer)
    assert not artist.rows.size
    assert "No source of 'spectra' is ticked" in viewer.empty_text.get_text()
    ui.list_sources.setCurrentRow(0)
    ui.button_only.click()
    settle(viewer)
    assert set(data["source_id"][artist.rows]) == {0}
    assert viewer.empty_text.get_text() == ""
    ui.button_all.click()
    assert artist.rows.size == 60
    assert viewer.state.layers[0].sources is None


def test_rings_of_hidden_sources_are_hidden(application, viewer, data):
    application.data_collection.new_subset_group("hot", FlagSubsetState(data.id["flags"], int(Flag.HOT)))
    process_events()
    hot = np.flatnonzero(np.arange(60) % 5 == 0)
    assert viewer.layers[-1].rows.tolist() == hot.tolist()
    viewer.state.layers[0].show_sources([1])
    assert viewer.layers[-1].rows.tolist() == hot[hot % 2 == 1].tolist()


def test_colours(viewer, data):
    artist, state = viewer.data_artists[0], viewer.state.layers[0]
    state.colour_by = "detector"
    process_events()
    assert legend_texts(viewer) == [f"detector {n}" for n in range(1, 7)] + ["flagged"]
    np.testing.assert_allclose(
        artist.markers.palette[artist.markers.index[2]][:3], rgb(DETECTORS[data["det_id"][2]].colour)
    )
    state.colour_by = data.id["mjd"]
    process_events()
    assert viewer.key.bar_axes.get_ylabel() == "MJD (UTC)"
    assert viewer.key.bar_axes.get_position().x0 > viewer.axes.get_position().x1
    state.colour_map = "plasma"
    state.colour_by = data.id["flux_bkg"]
    assert (state.colour_min, state.colour_max) == pytest.approx(tuple(np.percentile(data["flux_bkg"], [1, 99])))
    state.colour_by, state.flag = "flag", "HOT"
    assert legend_texts(viewer) == ["no HOT", "HOT", "flagged"]
    assert viewer.key.bar_axes is None
    state.colour_by = "one colour"
    state.color = "#ff0000"
    assert artist.markers.palette.tolist() == [[1, 0, 0, 1]]
    state.size, state.marker, state.alpha = 9, "square", 0.3
    assert (artist.markers.size, artist.markers.get_alpha()) == (9, pytest.approx(0.3, abs=0.01))


def rgb(colour):
    from matplotlib.colors import to_rgb

    return to_rgb(colour)


@pytest.mark.parametrize("text", ["", "nan", "inf", "abc"])
def test_colour_limits_that_are_none(viewer, data, text):
    artist = viewer.data_artists[0]
    artist.state.colour_by = data.id["mjd"]
    editor = SpectrumLayerStyleEditor(artist)
    editor.ui.valuetext_colour_max.setText(text)
    editor.ui.valuetext_colour_max.editingFinished.emit()
    settle(viewer)
    scale = artist.colouring.scale
    assert np.isfinite([scale.low, scale.high]).all()
    if text != "abc":  # glue takes that as 0
        assert 60800 < scale.high < 60860


def test_style_editor_shows_what_matters(viewer, data):
    editor = viewer.layer_view().layout_style_widgets[viewer.layers[0]]
    state = viewer.state.layers[0]
    for by, widget in (
        ("one colour", "color_color"),
        ("flag", "combosel_flag"),
        (data.id["mjd"], "valuetext_colour_min"),
    ):
        state.colour_by = by
        assert not getattr(editor.ui, widget).isHidden()
    assert editor.ui.color_color.isHidden()


def test_legend_and_bar_fit_a_small_window(application):
    data = made(80, n_sources=20)
    viewer = shown_viewer(application, data)
    viewer.viewer_size = (700, 450)
    process_events()
    viewer.figure.canvas.draw()
    renderer = viewer.figure.canvas.get_renderer()
    box = viewer.key.legend.get_window_extent(renderer)
    assert box.x1 <= viewer.figure.bbox.x1
    assert box.y0 >= viewer.axes.bbox.y1 - 1
    viewer.state.layers[0].colour_by = data.id["fit_ql"]
    process_events()
    viewer.figure.canvas.draw()
    bar = viewer.key.bar_axes.get_tightbbox(renderer)
    assert bar.x1 <= viewer.figure.bbox.x1
    assert bar.x0 > viewer.axes.bbox.x1


def test_regions_make_subsets(application, viewer, data):
    viewer.apply_roi(RectangularROI(1, 3, 95, 105))
    truth = (data["wavelength"] > 1) & (data["wavelength"] < 3) & (data["flux"] > 95) & (data["flux"] < 105)
    np.testing.assert_array_equal(data.subsets[0].to_mask(), truth)
    process_events()
    assert np.array_equal(np.sort(viewer.layers[-1].rows), np.flatnonzero(truth))
    viewer.state.y_unit = "AB mag"
    application.session.edit_subset_mode.edit_subset = []
    viewer.state.layers[0].show_sources([0])
    viewer.apply_roi(XRangeROI(2, 4))
    truth = (data["wavelength"] > 2) & (data["wavelength"] < 4) & (data["source_id"] == 0)
    np.testing.assert_array_equal(data.subsets[-1].to_mask(), truth)


def test_a_region_tool_by_mouse(application, viewer, data, qtbot):
    viewer.toolbar.active_tool = "select:xrange"
    canvas, frame = viewer.figure.canvas, viewer.axes.bbox
    y = int(canvas.height() - (frame.y0 + frame.y1) / 2)
    ends = [int(frame.x0 + part * frame.width) for part in (0.25, 0.75)]
    qtbot.mousePress(canvas, Qt.LeftButton, pos=QPoint(ends[0], y))
    qtbot.mouseMove(canvas, QPoint(ends[0] + 40, y))
    qtbot.mouseMove(canvas, QPoint(ends[1], y))
    qtbot.mouseRelease(canvas, Qt.LeftButton, pos=QPoint(ends[1], y))
    process_events()
    mask = data.subsets[0].to_mask()
    assert 20 < mask.sum() < 40
    assert focused_row(application.session) == (None, None)


@pytest.mark.parametrize(("tool", "x_log", "unit"), [("circle", False, "µJy"), ("circle", True, "AB mag")])
def test_a_circle_selects_what_it_surrounds(application, viewer, data, qtbot, tool, x_log, unit):
    viewer.state.x_log, viewer.state.y_unit = x_log, unit
    process_events()
    viewer.toolbar.active_tool = f"select:{tool}"
    canvas, frame = viewer.figure.canvas, viewer.axes.bbox
    centre = round((frame.x0 + frame.x1) / 2), round((frame.y0 + frame.y1) / 2)
    start = QPoint(centre[0], canvas.height() - centre[1])
    qtbot.mousePress(canvas, Qt.LeftButton, pos=start)
    for away in (30, 100):
        qtbot.mouseMove(canvas, start + QPoint(away, 0))
    qtbot.mouseRelease(canvas, Qt.LeftButton, pos=start + QPoint(100, 0))
    process_events()
    places = np.array([pixels(viewer, data, row) for row in range(data.size)])
    away = np.hypot(*(places - centre).T)
    mask = data.subsets[0].to_mask()
    assert mask[away < 95].all()
    assert not mask[away > 105].any()
    assert (away < 95).any()


def test_tools(application, viewer, data, qtbot):
    focus_row(application.session, data, 7)
    viewer.toolbar.actions["spherex:next"].trigger()
    rows = ordered_rows(data, 7)
    place = int(np.flatnonzero(rows == 7)[0])
    assert focused_row(application.session)[1] == rows[place + 1]
    viewer.toolbar.actions["spherex:previous"].trigger()
    assert focused_row(application.session)[1] == 7
    viewer.toolbar.actions["spherex:table"].trigger()
    process_events()
    (table,) = [v for tab in application.viewers for v in tab if isinstance(v, SpherexTableViewer)]
    assert table.data is data
    assert table.marked_row == 7
    assert viewer.current_source() == (data, 1)
    opened = dialogs(application)
    for tool in ("spherex:check-up", "spherex:flag-subsets"):
        viewer.toolbar.actions[tool].trigger()
        process_events()
        (dialog,) = dialogs(application) - opened
        dialog.close()
        process_events()


def dialogs(application):
    from qtpy import QtWidgets

    return {w for w in QtWidgets.QApplication.topLevelWidgets() if isinstance(w, QtWidgets.QDialog) and w.isVisible()}


def test_focus_from_elsewhere(application, viewer, data):
    focus_source(application.session, data, 1)
    assert viewer.state.layers[0].sources == [1]
    assert data["source_id"][viewer.state.focus_row] == 1
    focus_row(application.session, data, 0)
    assert viewer.state.layers[0].sources == [0]
    cutouts = application.new_data_viewer(SpherexCutoutViewer, data=data)
    process_events()
    assert cutouts.state.focus_row == 0


def test_two_datasets_with_the_same_label(application, data, qtbot):
    second = made(30, n_sources=1, flux=np.linspace(200, 300, 30))
    viewer = shown_viewer(application, data, second)
    assert viewer.summary_label.text().startswith("90 points of 3 sources shown")
    click(qtbot, viewer, *pixels(viewer, second, 11))
    assert focused_row(application.session) == (second, 11)
    assert not viewer.options.ui.combo_data.isHidden()
    viewer.options.ui.combo_data.setCurrentIndex(1)
    assert viewer.options.ui.list_sources.count() == 1
    application.data_collection.remove(data)
    settle(viewer)
    assert viewer.state.x_att is second.id["wavelength"]
    assert viewer.state.y_att is second.id["flux"]
    assert len(viewer.data_artists[0].rows) == 30
    assert (viewer.state.focus_data, viewer.state.focus_row) == (second, 11)


def test_other_instruments_overlay(application, viewer, data):
    lamp = Data(label="lamp", wave=np.array([8000.0, 30000.0]), fnu=np.array([0.09, 0.11]))
    lamp.get_component("wave").units, lamp.get_component("fnu").units = "Angstrom", "mJy"
    bare = Data(label="bare", a=[1.0])
    for other in (lamp, bare):
        application.data_collection.append(other)
        viewer.add_data(other)
    settle(viewer)
    np.testing.assert_allclose(viewer.data_artists[1].markers.xy, [[0.8, 90], [3.0, 110]])
    assert legend_texts(viewer) == ["star 0", "star 1", "flagged", "lamp"]
    assert not viewer.data_artists[2].enabled
    assert "'bare' has no 'wavelength'; link" in viewer.summary_label.text()
    assert "'bare' has no 'wavelength'" in viewer.data_artists[2].disabled_message


def test_long_notes_do_not_widen_the_window(viewer):
    before = viewer.minimumSizeHint().width()
    viewer.summary_label.say(["A sentence that is told here."] * 30)
    process_events()
    assert viewer.minimumSizeHint().width() == before
    assert viewer.summary_label.toolTip().count("\n") == 29


def test_images_are_refused_in_words(application, viewer):
    image = Data(label="image", flux=np.zeros((3, 4)))
    application.data_collection.append(image)
    viewer.add_data(image)
    settle(viewer)
    assert "'image' has 2 dimensions" in viewer.summary_label.text()


def test_a_subset_alone(application, data, qtbot):
    application.data_collection.append(data)
    group = application.data_collection.new_subset_group("bright", data.id["flux"] > 105)
    viewer = application.new_data_viewer(SpherexSpectrumViewer)
    viewer.add_subset(group.subsets[0])
    settle(viewer)
    rows = np.flatnonzero(data["flux"] > 105)
    assert viewer.summary_label.text().startswith(f"{rows.size} points of ")
    click(qtbot, viewer, *pixels(viewer, data, int(rows[4])))
    assert focused_row(application.session) == (data, rows[4])


def test_a_subset_that_does_not_apply_says_so(application, viewer, data):
    other = Data(label="other", a=[1.0, 2.0])
    application.data_collection.append(other)
    application.data_collection.new_subset_group("elsewhere", other.id["a"] > 1)
    process_events()
    assert not viewer.layers[-1].enabled
    assert "link the datasets" in viewer.layers[-1].disabled_message


@pytest.mark.parametrize("n", [0, 1])
def test_few_rows(application, n, qtbot):
    data = made(n, n_sources=1)
    viewer = shown_viewer(application, data)
    limits = [getattr(viewer.state, name) for name in ("x_min", "x_max", "y_min", "y_max")]
    assert np.isfinite(limits).all()
    viewer.state.show_binned = viewer.state.mark_jumps = True
    for unit in ("AB mag", "νFν", "µJy"):
        viewer.state.y_unit = unit
    viewer.state.x_log = viewer.state.y_log = True
    viewer.step(1)
    viewer.go_to_end(-1)
    settle(viewer)
    assert focused_row(application.session) == ((data, 0) if n else (None, None))
    assert bool(viewer.empty_text.get_text()) == (n == 0)


def test_nothing_but_nan(application):
    nan = np.full(8, np.nan)
    data = made(8, flux=nan, flux_err=nan, wavelength=nan)
    viewer = shown_viewer(application, data)
    assert np.isfinite([viewer.state.y_min, viewer.state.y_max]).all()
    assert "8 rows without wavelength or flux are not shown." in viewer.empty_text.get_text()
    viewer.step(1)
    focus_row(application.session, data, 3)
    settle(viewer)
    assert "has no place on these axes" in viewer.summary_label.text()
    assert viewer.overlay.marked is None


def test_all_flagged(application):
    data = made(8, flags=np.full(8, int(Flag.HOT)))
    viewer = shown_viewer(application, data)
    viewer.state.show_binned = True
    settle(viewer)
    assert viewer.data_artists[0].markers.hollow.all()
    assert "no clean row" in viewer.summary_label.text()


def test_data_change_while_open(application, viewer, data):
    focus_row(application.session, data, 50)
    data.update_components({data.id["flux"]: data["flux"] + 5})
    assert viewer.overlay.marked[1] == data["flux"][50]
    shorter = made(20)
    data.update_values_from_data(shorter)
    settle(viewer)
    assert viewer.state.focus_row is None
    assert len(viewer.data_artists[0].rows) == 20
    assert viewer.summary_label.text().startswith("20 points of 2 sources")
    data.id["flux"].label = "my flux"
    process_events()
    assert viewer.axes.get_ylabel() in ("flux (µJy)", "my flux (µJy)")
    data.add_component(
        np.arange(20.0),
        "weight",
    )
    assert "weight" in [str(c) for c in type(viewer.state).y_att.get_choices(viewer.state)]


def test_renamed_column(application, viewer, data):
    data.id["flux"].label = "brightness"
    process_events()
    assert viewer.axes.get_ylabel() == "brightness (µJy)"
    focus_row(application.session, data, 3)
    assert viewer.overlay.marked is not None


def test_a_renamed_column_at_the_colours(viewer, data):
    viewer.data_artists[0].state.colour_by = data.id["fit_ql"]
    data.id["fit_ql"].label = "quality"
    settle(viewer)
    assert viewer.key.bar.ax.get_ylabel() == "quality"


def test_columns_removed_while_open(viewer, data):
    state = viewer.data_artists[0].state
    state.colour_by = data.id["fit_ql"]
    data.remove_component(data.id["fit_ql"])
    assert state.colour_by == "one colour"
    viewer.state.y_att = data.id["flux_bkg"]
    data.remove_component(data.id["flux_bkg"])
    settle(viewer)
    assert viewer.state.y_att is data.id["flux"]
    assert viewer.state.y_axislabel == "flux (µJy)"
    assert len(viewer.data_artists[0].rows) == 60


def test_names_with_dollars(application):
    data = made(40, label=np.array(["$\\bad{$ x_$", "_star"])[np.arange(40) % 2])
    viewer = shown_viewer(application, data)
    quality = data.id["fit_ql"]
    data.id["flux"].label, quality.label = "$\\flux{$", "$\\fit{$"
    viewer.data_artists[0].state.colour_by = quality
    settle(viewer)
    viewer.figure.canvas.draw()  # mathematics that is none raises
    assert viewer.state.y_axislabel == "$\\flux{$ (µJy)"
    viewer.data_artists[0].state.colour_by = "source"
    settle(viewer)
    assert {"$\\bad{$ x_$", "_star"} <= {text.get_text() for text in viewer.key.legend.get_texts()}
    viewer._hovered = tuple(viewer.axes.transData.transform(viewer.data_artists[0].markers.xy[0]))
    viewer._show_hovered()
    assert viewer.overlay.text.get_visible()


def test_source_numbers_that_are_words(application):
    n = 6
    data = Data(
        label="words", wavelength=np.linspace(1, 4, n), flux=np.arange(n) + 1.0, source_id=np.array(["a", "b"] * 3)
    )
    viewer = shown_viewer(application, data)
    focus_row(application.session, data, 3)
    assert viewer.current_source() == (data, 1)
    viewer.step(1)
    assert focused_row(application.session) == (data, 5)


def test_data_removed_while_open(application, viewer, data):
    focus_row(application.session, data, 3)
    application.data_collection.remove(data)
    process_events()
    assert focused_row(application.session) == (None, None)


def test_no_growth_over_many_steps(application, viewer, data):
    viewer.go_to_end(0)
    counts = []
    for _ in range(3):
        for _ in range(10):
            viewer.step(1)
            viewer.step(-1)
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[2] - counts[1] < 50


def test_session(application, tmp_path, qtbot):
    from glue_spherex import write_spectra

    rng = np.random.default_rng(2)
    n = 40
    kinds = {"float": rng.uniform(1, 2, n), "int": np.arange(n), "bool": np.zeros(n, bool), "text": np.full(n, "x")}
    columns = {c.name: kinds[c.dtype] for c in COLUMNS} | {"source_id": np.arange(n) % 3}
    columns["label"] = np.array([f"star {k}" for k in columns["source_id"]])
    write_spectra(new_table(columns), tmp_path / "s.vot")
    data = application.load_data(str(tmp_path / "s.vot"))
    viewer = shown_viewer(application, data)
    changed = {"y_unit": "νFν", "y_range": 99.0, "redshift": 0.4, "x_log": True, "y_log": True, "order": "time"}
    changed |= dict.fromkeys(("show_bandwidth", "show_binned", "mark_jumps"), True)
    changed |= dict.fromkeys(("show_errors", "hollow_flagged", "show_legend"), False)
    for name, value in changed.items():
        setattr(viewer.state, name, value)
    viewer.state.y_att = data.id["flux_err"]
    look = {"colour_map": "plasma", "size": 7.5, "marker": "diamond", "flag": "OVERFLOW"}
    layer = viewer.state.layers[0]
    layer.colour_by = data.id["mjd"]
    for name, value in (look | {"colour_min": 1.25, "colour_max": 1.75}).items():
        setattr(layer, name, value)
    layer.show_sources([0, 2])
    viewer.apply_roi(RectangularROI(0, 10, viewer.state.y_min, viewer.state.y_max))
    focus_row(application.session, data, 5)
    viewer.state.x_min, viewer.state.x_max = 0.5, 3.5
    application.save_session(str(tmp_path / "s.glu"), absolute_paths=True)
    again = GlueApplication.restore_session(str(tmp_path / "s.glu"), show=False)
    try:
        process_events()
        (restored,) = [v for tab in again.viewers for v in tab]
        settle(restored)
        ours = again.data_collection[0]
        assert isinstance(restored, SpherexSpectrumViewer)
        assert {name: getattr(restored.state, name) for name in changed} == changed
        assert restored.state.y_att is ours.id["flux_err"]
        state = restored.state.layer_state_of(ours)
        assert {name: getattr(state, name) for name in look} == look
        assert (state.colour_by, state.colour_min, state.colour_max) == (ours.id["mjd"], 1.25, 1.75)
        assert state.sources == [0, 2]
        assert (restored.state.x_min, restored.state.x_max) == (0.5, 3.5)
        assert (restored.state.focus_data, restored.state.focus_row) == (ours, 5)
        assert focused_row(again.session) == (ours, 5)
        assert restored.overlay.marked is not None
        np.testing.assert_array_equal(ours.subsets[0].to_mask(), data.subsets[0].to_mask())
        np.testing.assert_allclose(restored.data_artists[0].markers.xy, viewer.data_artists[0].markers.xy)
        assert restored.summary_label.text() == viewer.summary_label.text()
    finally:
        again.close()


def test_two_datasets_coloured_by_different_numbers(application, viewer, data):
    other = made(30, n_sources=1)
    other.label = "other"
    application.data_collection.append(other)
    viewer.add_data(other)
    viewer.data_artists[0].state.colour_by = data.id["mjd"]
    viewer.data_artists[1].state.colour_by = other.id["fit_ql"]
    settle(viewer)
    viewer._summarise()
    assert viewer.key.bar.ax.get_ylabel() == "fit quality of other"
    assert "The colours of 'spectra' mean: MJD (UTC)" in viewer.summary_label.toolTip()
