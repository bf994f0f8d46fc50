"""The cutout viewer with real clicks and keys, offscreen."""

import shutil
import time

import numpy as np
import pytest
from astropy.io import fits
from glue.core import Data
from glue.core.data_factories import load_data
from glue.core.subset import ElementSubsetState
from glue_qt.app import GlueApplication
from glue_qt.utils import process_events
from matplotlib.backend_bases import MouseEvent
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QFileDialog, QToolTip

from glue_spherex.model import Flag
from glue_spherex.plugin.cutouts.mask_layers import ALL_BITS, ALL_BUT_SOURCE
from glue_spherex.plugin.cutouts.measured_row import title_lines
from glue_spherex.plugin.cutouts.reading import CutoutRequest
from glue_spherex.plugin.focus import focus_row, focused_row
from glue_spherex.plugin.row_order import ordered_rows
from glue_spherex.qt.cutout_viewer import SpherexCutoutViewer
from glue_spherex.qt.cutout_viewer.mouse import describe_pixel


@pytest.fixture
def settled(wait_for):
    """``settled(viewer)``: the viewer, when every panel has its image or says why not, and everything is drawn."""

    def settle(viewer, condition=lambda: True):
        def ready():
            panels = viewer.page.panels
            arrived = all(panel.view is not None or panel.problem for panel in panels)
            return arrived and not viewer._pending and not viewer._drawing.isActive() and condition()

        process_events()
        wait_for(ready, meanwhile=process_events)
        process_events()
        return viewer

    return settle


@pytest.fixture
def spectrum(application, measured_spectra):
    data = load_data(str(measured_spectra))
    application.data_collection.append(data)
    return data


@pytest.fixture
def viewer(application, spectrum, settled):
    viewer = application.new_data_viewer(SpherexCutoutViewer, data=spectrum)
    viewer.viewer_size = (1000, 380)
    process_events()
    focus_row(application.session, spectrum, int(ordered_rows(spectrum, 0)[8]))
    return settled(viewer)


@pytest.fixture
def own_images(application, spectrum, small_field, tmp_path, settled):
    """Copies of the images, as the dataset's only folder, free to be spoilt: folder and a viewer."""
    folder = tmp_path / "images"
    shutil.copytree(small_field.folder / "images", folder)
    spectrum.meta["glue_spherex"]["image_folders"] = [str(folder)]
    viewer = application.new_data_viewer(SpherexCutoutViewer, data=spectrum)
    viewer.viewer_size = (1000, 380)
    focus_row(application.session, spectrum, int(ordered_rows(spectrum, 0)[8]))
    return folder, settled(viewer)


def focused_panel(viewer):
    return next(panel for panel in viewer.page.panels if panel.focused)


def file_of(folder, panel):
    return folder / focused_name(panel)


def focused_name(panel):
    return panel.view.path.rpartition("/")[2]


def screen(viewer, panel, fraction=(0.5, 0.5)):
    """A point of a panel for Qt's mouse."""
    box, ratio = panel.axes.bbox, viewer.canvas.device_pixel_ratio
    x, y = box.x0 + fraction[0] * box.width, box.y0 + fraction[1] * box.height
    return QPoint(round(x / ratio), round(viewer.canvas.height() - y / ratio))


def test_shows_the_rows_around_the_focused_one(viewer, spectrum):
    order = ordered_rows(spectrum, 0)
    assert [panel.row.row for panel in viewer.page.panels] == order[6:11].tolist()
    assert [panel.focused for panel in viewer.page.panels] == [False, False, True, False, False]
    assert viewer.page.problems == []
    for panel in viewer.page.panels:  # the target of each is where the table says that it was measured
        x, y = panel.view.target
        assert panel.view.x0_det + x == pytest.approx(spectrum["x_image"][panel.row.row], abs=1e-6)
        assert panel.view.y0_det + y == pytest.approx(spectrum["y_image"][panel.row.row], abs=1e-6)


def test_click_on_a_cutout_focuses_its_row(viewer, qtbot, spectrum, settled):
    panel = viewer.page.panels[4]
    row = panel.row.row
    qtbot.mouseClick(viewer.canvas, Qt.LeftButton, pos=screen(viewer, panel, (0.3, 0.8)))
    settled(viewer)
    assert focused_row(viewer.session) == (spectrum, row)
    assert viewer.state.focus_row == row
    assert viewer.page.panels[2].row.row == row  # now in the middle
    qtbot.mouseClick(viewer.canvas, Qt.LeftButton, pos=QPoint(1, 1))  # beside the panels
    assert viewer.state.focus_row == row


def test_a_drag_is_no_click(viewer, qtbot):
    row, panel = viewer.state.focus_row, viewer.page.panels[0]
    qtbot.mousePress(viewer.canvas, Qt.LeftButton, pos=screen(viewer, panel, (0.2, 0.5)))
    qtbot.mouseRelease(viewer.canvas, Qt.LeftButton, pos=screen(viewer, panel, (0.8, 0.5)))
    assert viewer.state.focus_row == row


def test_keys_step_in_the_chosen_order(viewer, qtbot, spectrum, settled):
    by_wavelength, by_time = ordered_rows(spectrum, 0), ordered_rows(spectrum, 0, "time")
    qtbot.keyClick(viewer.canvas, Qt.Key_Right)
    assert viewer.state.focus_row == by_wavelength[9]
    qtbot.keyClick(viewer.canvas, Qt.Key_Left)
    qtbot.keyClick(viewer.canvas, Qt.Key_Left)
    assert viewer.state.focus_row == by_wavelength[7]
    qtbot.keyClick(viewer.canvas, Qt.Key_PageDown)
    assert viewer.state.focus_row == by_wavelength[12]
    viewer.state.order = "time"
    place = by_time.tolist().index(by_wavelength[12])
    qtbot.keyClick(viewer.canvas, Qt.Key_Left)
    assert viewer.state.focus_row == by_time[max(place - 1, 0)]
    for _ in range(30):
        qtbot.keyClick(viewer.canvas, Qt.Key_Left)
    assert viewer.state.focus_row == by_time[0]
    settled(viewer)
    assert [panel.row.row for panel in viewer.page.panels] == by_time[:5].tolist()


def test_buttons_of_the_toolbar_step(viewer, spectrum):
    order = ordered_rows(spectrum, 0)
    viewer.toolbar.actions["spherex:next"].trigger()
    assert viewer.state.focus_row == order[9]
    viewer.toolbar.actions["spherex:previous"].trigger()
    assert viewer.state.focus_row == order[8]


def test_hover_tells_the_pixel(viewer, qtbot):
    panel = viewer.page.panels[1]
    qtbot.mouseMove(viewer.canvas, screen(viewer, panel, (0.5, 0.5)))
    process_events()
    x, y = (round(value) for value in panel.view.target)
    text = viewer.statusBar().currentMessage()
    assert text.startswith(f"x {panel.view.x0_det + x}, y {panel.view.y0_det + y} · ")
    assert "MJy/sr" in text


def test_hover_over_a_title_tells_all_of_it(viewer, qtbot, monkeypatch):
    told = []
    monkeypatch.setattr(QToolTip, "showText", lambda *a: told.append(a[1]))
    panel = viewer.page.panels[1]
    qtbot.mouseMove(viewer.canvas, screen(viewer, panel, (0.5, 1.1)))
    process_events()
    lines = told[-1].split("\n")
    assert lines[-2:] == [panel.row.image_name, panel.view.path]
    assert lines[3] == (", ".join(sorted(Flag.decode(panel.row.flags), key="SOURCE".__eq__)) or "no flag")
    qtbot.mouseClick(viewer.canvas, Qt.LeftButton, pos=screen(viewer, panel, (0.5, 1.1)))
    assert viewer.state.focus_row == panel.row.row


def test_hover_over_a_small_cutout_tells_its_row(viewer, monkeypatch, settled):
    told = []
    monkeypatch.setattr(QToolTip, "showText", lambda place, text, widget: told.append(text))
    viewer.state.n_cutouts = 25
    viewer.viewer_size = (500, 220)
    settled(viewer)
    assert not viewer.page.has_texts
    panel = focused_panel(viewer)
    assert panel.title.get_text() == panel.caption.get_text() == ""
    place = QPointF(screen(viewer, panel))
    middle = panel.axes.bbox.x0 + panel.axes.bbox.width / 2, panel.axes.bbox.y0 + panel.axes.bbox.height / 2
    gui = QMouseEvent(QEvent.MouseMove, place, place, Qt.NoButton, Qt.NoButton, Qt.NoModifier)
    describe_pixel(viewer, MouseEvent("motion_notify_event", viewer.canvas, *middle, guiEvent=gui))
    assert told[-1].startswith("x ")
    assert title_lines(panel.row)[0] in told[-1]


def test_wheel_zooms_all_cutouts_and_home_undoes_it(viewer, qtbot):
    from qtpy.QtCore import QPointF
    from qtpy.QtGui import QWheelEvent
    from qtpy.QtWidgets import QApplication

    where = QPointF(screen(viewer, viewer.page.panels[1]))
    event = QWheelEvent(
        where, QPointF(viewer.canvas.mapToGlobal(where.toPoint())), QPoint(0, 0), QPoint(0, 120),
        Qt.NoButton, Qt.NoModifier, Qt.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(viewer.canvas, event)
    process_events()
    assert viewer.state.view[2] == pytest.approx(36 / 1.2)
    assert all(np.ptp(panel.axes.get_xlim()) == pytest.approx(60) for panel in viewer.page.panels)
    viewer.toolbar.actions["mpl:home"].trigger()
    assert viewer.state.view is None
    assert viewer.page.panels[0].axes.get_xlim() == (36, -36)


def test_panning_with_the_tool_moves_all_and_does_not_focus(viewer, qtbot):
    row, panel = viewer.state.focus_row, viewer.page.panels[0]
    viewer.toolbar.active_tool = "mpl:pan"
    qtbot.mousePress(viewer.canvas, Qt.LeftButton, pos=screen(viewer, panel, (0.5, 0.5)))
    qtbot.mouseMove(viewer.canvas, screen(viewer, panel, (0.7, 0.5)))
    qtbot.mouseRelease(viewer.canvas, Qt.LeftButton, pos=screen(viewer, panel, (0.7, 0.5)))
    process_events()
    process_events()
    viewer.toolbar.active_tool = None
    assert viewer.state.focus_row == row
    assert viewer.state.view[0] == pytest.approx(0.2 * 72, abs=1.5)  # the middle is now farther East
    assert len({panel.axes.get_xlim() for panel in viewer.page.panels}) == 1


# -- options -----------------------------------------------------------------------------------------------------------


def test_every_option_through_its_widget(viewer, settled):
    options, state = viewer.options, viewer.state
    options.combosel_n_cutouts.setCurrentIndex(3)
    assert state.n_cutouts == 7
    settled(viewer)
    assert len(viewer.page.panels) == 7
    options.combosel_order.setCurrentIndex(1)
    assert state.order == "time"
    options.value_size_arcmin.setValue(2.0)
    assert state.size_arcmin == 2.0
    settled(viewer)
    assert viewer.page.panels[0].axes.get_xlim() == (60, -60)
    options.combosel_orientation.setCurrentIndex(1)
    assert state.orientation == "detector"
    assert viewer.page.panels[0].axes.get_xlim() == (-60, 60)
    for name, prop, value in (
        ("combosel_background", "background", "local"),
        ("combosel_stretch", "stretch", "log"),
        ("combosel_limits", "limits", "common"),
        ("combosel_cmap", "cmap", "viridis"),
    ):
        combo = getattr(options, name)
        combo.setCurrentIndex([combo.itemData(k) for k in range(combo.count())].index(combo_data(combo, value)))
        assert getattr(state, prop) == value
    options.value_percentile.setValue(90)
    assert state.percentile == 90
    assert len({panel.limits for panel in viewer.page.panels}) == 1  # common
    for name in ("wcs_locked", "show_target", "show_sources", "show_aperture", "show_box", "show_compass"):
        before = getattr(state, name)
        getattr(options, f"bool_{name}").click()
        assert getattr(state, name) is not before
    assert not options.valuetext_vmin.isEnabled()
    state.limits = "fixed"
    assert options.valuetext_vmin.isEnabled()
    options.valuetext_vmax.setText("3.5")
    options.valuetext_vmax.editingFinished.emit()
    assert state.vmax == 3.5
    settled(viewer)
    assert viewer.page.panels[0].limits == (0.0, 3.5)


def combo_data(combo, value):
    return next(combo.itemData(k) for k in range(combo.count()) if getattr(combo.itemData(k), "data", None) == value)


def test_mask_list(viewer, qtbot):
    mask, state = viewer.options.mask, viewer.state
    mask.buttons["Show all"].click()
    assert state.mask_bits == ALL_BITS
    mask.buttons["Hide all"].click()
    assert state.mask_bits == 0
    assert all(item.checkState(0) == Qt.Unchecked for item in mask.items.values())
    mask.buttons["All but SOURCE"].click()
    assert state.mask_bits == ALL_BUT_SOURCE
    mask.items[21].setCheckState(0, Qt.Checked)
    assert state.mask_bits == ALL_BITS
    mask.items[10].setCheckState(0, Qt.Unchecked)
    assert state.mask_bits == ALL_BITS & ~int(Flag.HOT)
    mask.slider.setValue(30)
    assert state.mask_alpha == 0.3
    mask.bool_show_mask.click()
    assert state.show_mask is False
    assert viewer.page.panels[0].image.get_array().shape[:2] == viewer.page.panels[0].view.shape
    inside = [
        panel.view.flags[panel.view.inside(36)] & int(Flag.SOURCE) > 0 for panel in viewer.page.panels
    ]  # fmt: skip
    assert mask.items[21].text(1) == str(sum(int(values.sum()) for values in inside))


def test_catalogue_is_offered_and_dropped_onto_the_viewer(viewer, application, spectrum):
    stars = Data(label="stars", ra=[spectrum["ra"][0]], dec=[spectrum["dec"][0] + 0.002])
    application.data_collection.append(stars)
    combo = viewer.options.combo_catalogue
    names = [combo.itemText(k) for k in range(combo.count())]
    assert names[0] == "nothing"
    assert "stars" in names
    viewer.add_data(stars)
    assert viewer.state.catalogue is stars
    assert combo.currentText() == "stars"
    assert viewer.page.panels[0].catalogue.get_visible()
    combo.setCurrentIndex(0)
    combo.activated.emit(0)
    assert viewer.state.catalogue is None
    viewer.state.catalogue = stars
    application.data_collection.remove(stars)
    assert viewer.state.catalogue is None
    plain = Data(label="plain", a=[1, 2])
    application.data_collection.append(plain)
    with pytest.raises(ValueError, match="'plain' is neither a SPHEREx spectrum"):
        viewer.add_data(plain)


def test_subsets_mark_their_cutouts(viewer, application, spectrum):
    rows = [panel.row.row for panel in viewer.page.panels]
    group = application.data_collection.new_subset_group("two", ElementSubsetState(rows[1:3], data=spectrum))
    marked = [len(panel.subsets.get_segments()) for panel in viewer.page.panels]
    assert marked == [0, 1, 1, 0, 0]
    group.subset_state = ElementSubsetState(rows[:1], data=spectrum)
    assert [len(panel.subsets.get_segments()) for panel in viewer.page.panels] == [1, 0, 0, 0, 0]
    layer = next(layer for layer in viewer.layers if layer.layer is group.subsets[0])
    layer.visible = False
    assert [len(panel.subsets.get_segments()) for panel in viewer.page.panels] == [0] * 5
    layer.visible = True
    application.data_collection.remove_subset_group(group)
    assert [len(panel.subsets.get_segments()) for panel in viewer.page.panels] == [0] * 5


def test_follows_two_datasets_of_one_label(viewer, application, spectrum, measured_spectra, settled):
    second = load_data(str(measured_spectra))
    second.label = spectrum.label
    application.data_collection.append(second)
    other = application.new_data_viewer(SpherexCutoutViewer, data=second)
    focus_row(application.session, second, 5)
    for each in (viewer, other):
        settled(each)
        assert each.state.focus_data is second
        assert focused_panel(each).row.row == 5
        assert each.page.problems == []
    focus_row(application.session, spectrum, 4)
    assert viewer.state.focus_data is other.state.focus_data is spectrum
    application.data_collection.remove(second)
    settled(viewer)
    assert focused_panel(viewer).row.row == 4


# -- faults ------------------------------------------------------------------------------------------------------------


def test_opens_on_what_is_focused_already(application, spectrum, settled):
    focus_row(application.session, spectrum, 3)
    viewer = application.new_data_viewer(SpherexCutoutViewer)
    assert viewer.state.focus_row == 3
    settled(viewer)
    assert viewer.page.problems == []


def test_says_what_to_do_before_a_row_is_chosen(application, spectrum):
    viewer = application.new_data_viewer(SpherexCutoutViewer)
    assert "Drag a SPHEREx spectrum onto this viewer" in said(viewer)
    viewer.add_data(spectrum)
    assert f"Click a point of {spectrum.label}" in said(viewer)
    focus_row(application.session, spectrum, 0)
    assert said(viewer) == ""
    focus_row(application.session, spectrum, None)
    assert "Click a point" in said(viewer)


def said(viewer):
    return " ".join(viewer.page._message.get_text().split())


def test_no_rows(application, spectrum):
    empty = Data(label="empty", ra=[], dec=[], lvf_id=np.zeros(0, int))
    application.data_collection.append(empty)
    viewer = application.new_data_viewer(SpherexCutoutViewer, data=empty)
    assert said(viewer) == "empty has no rows, so that there is no image to show."


def test_missing_images_and_naming_their_folder(
    application, spectrum, small_field, tmp_path, monkeypatch, qtbot, settled
):
    spectrum.meta["glue_spherex"]["image_folders"] = [str(tmp_path / "gone")]
    viewer = application.new_data_viewer(SpherexCutoutViewer, data=spectrum)
    focus_row(application.session, spectrum, 0)
    settled(viewer)
    assert len(viewer.page.problems) == 5
    assert f"the folder {tmp_path / 'gone'} cannot be found" in viewer.page.problems[0]
    assert "(and 4 more)" in viewer._notice.text()
    assert viewer.folder_button.isVisibleTo(viewer)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args: str(small_field.folder / "images"))
    qtbot.mouseClick(viewer.folder_button, Qt.LeftButton)
    settled(viewer)
    assert viewer.page.problems == []
    assert not viewer.folder_button.isVisibleTo(viewer)
    assert spectrum.meta["spherex"]["image_folders"] == [str(small_field.folder / "images")]
    viewer.name_folder(tmp_path / "nothing")
    assert "is not a folder" in viewer._notice.text()


def test_no_folder_known_at_all(application, spectrum, settled):
    spectrum.meta["glue_spherex"]["image_folders"] = []
    viewer = application.new_data_viewer(SpherexCutoutViewer, data=spectrum)
    focus_row(application.session, spectrum, 0)
    settled(viewer)
    assert all("no folder with images is known for this dataset" in text for text in viewer.page.problems)


def test_an_image_removed_truncated_and_replaced_while_open(own_images, settled):
    folder, viewer = own_images
    panel = focused_panel(viewer)
    path = file_of(folder, panel)
    away = shutil.move(path, folder.parent / "away.fits")
    viewer.refresh()
    settled(viewer, lambda: focused_panel(viewer).problem)
    assert "is not among the" in focused_panel(viewer).problem
    assert sum(panel.view is not None for panel in viewer.page.panels) == 4  # the others are there
    shutil.copy(away, path)
    viewer.refresh(forget=True)
    settled(viewer, lambda: focused_panel(viewer).view is not None)
    before = focused_panel(viewer).view.image
    with fits.open(away) as hdus:
        hdus["IMAGE"].data += 2
        hdus.writeto(path, overwrite=True)
    viewer.refresh()
    settled(viewer, lambda: focused_panel(viewer).view.image is not before)
    np.testing.assert_allclose(focused_panel(viewer).view.image, before + 2, rtol=1e-5)
    path.write_bytes(path.read_bytes()[:20_000])
    viewer.refresh()
    settled(viewer, lambda: focused_panel(viewer).problem)
    assert "is truncated" in focused_panel(viewer).problem


def test_data_removed_renamed_and_changed_while_open(viewer, application, spectrum, settled):
    spectrum.label = "renamed"
    flux = spectrum.id["flux"]
    flux.label = "brightness"  # a column renamed by the user
    viewer.refresh()
    assert "µJy" in focused_panel(viewer).title.get_text()
    spectrum.update_components({flux: np.full(spectrum.size, 7.0)})
    settled(viewer)
    assert "7.0 ±" in focused_panel(viewer).title.get_text() or "7 ±" in focused_panel(viewer).title.get_text()
    spectrum.update_components({spectrum.id["ra"]: np.full(spectrum.size, np.nan)})
    settled(viewer)
    assert "has no position: ra is nan" in viewer.page.problems[0]
    application.data_collection.remove(spectrum)
    assert said(viewer).startswith("The dataset 'renamed' was removed.")
    assert viewer.page.panels == []
    assert viewer.state.focus_data is None


def test_data_replaced_by_shorter_ones(viewer, spectrum, settled):
    shorter = Data()
    for cid in spectrum.main_components:
        shorter.add_component(np.asarray(spectrum[cid][:3]), cid.label)
    spectrum.update_values_from_data(shorter)
    process_events()
    assert viewer.page.panels == [] or settled(viewer)
    assert "does not have the row" in said(viewer) or viewer.page.panels


def test_rows_without_identifier(application, spectrum, settled):
    bare = Data(label="bare", ra=spectrum["ra"], dec=spectrum["dec"], lvf_id=np.zeros(spectrum.size, int))
    application.data_collection.append(bare)
    viewer = application.new_data_viewer(SpherexCutoutViewer, data=bare)
    focus_row(application.session, bare, 2)
    settled(viewer)
    assert "does not tell its image" in viewer.page.problems[0]


def test_a_fault_in_drawing_is_told(viewer, monkeypatch):
    def broken(*args):
        raise RuntimeError("no paint")

    monkeypatch.setattr(viewer.page, "restyle", broken)
    viewer.state.stretch = "log"
    assert viewer._notice.text() == "Drawing the cutouts failed: no paint"


# -- sessions and the end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("include_data", [False, True])
def test_session_round_trip(viewer, application, spectrum, tmp_path, include_data, settled):
    stars = Data(label="stars", ra=[spectrum["ra"][0]], dec=[spectrum["dec"][0]])
    application.data_collection.append(stars)
    changes = {
        "n_cutouts": 3, "order": "time", "size_arcmin": 0.8, "orientation": "detector", "stretch": "sqrt",
        "limits": "fixed", "vmin": 0.1, "vmax": 2.0, "cmap": "magma", "background": "zodi", "mask_bits": 1024,
        "mask_alpha": 0.4, "show_box": True, "catalogue": stars, "percentile": 95.0, "wcs_locked": True,
    }  # fmt: skip
    viewer.state.update_from_dict(changes)
    viewer.state.view = [1.0, 2.0, 20.0]
    application.data_collection.new_subset_group("all", spectrum.id["flux"] > -1e9)
    settled(viewer)
    row, rows = viewer.state.focus_row, [panel.row.row for panel in viewer.page.panels]
    limits = viewer.page.panels[0].limits
    path = tmp_path / "session.glu"
    application.save_session(str(path), include_data=include_data)
    again = GlueApplication.restore_session(str(path), show=False)
    try:
        other = next(v for tab in again.viewers for v in tab if isinstance(v, SpherexCutoutViewer))
        settled(other)
        data = again.data_collection[0]
        assert focused_row(again.session) == (data, row)
        assert [panel.row.row for panel in other.page.panels] == rows
        assert other.page.problems == []
        assert other.page.panels[0].limits == limits
        for name, value in changes.items():
            if name != "catalogue":
                assert getattr(other.state, name) == value, name
        assert list(other.state.view) == [1.0, 2.0, 20.0]
        assert other.state.catalogue is again.data_collection[1]
        assert [len(panel.subsets.get_segments()) for panel in other.page.panels] == [1, 1, 1]
    finally:
        again.close()
        process_events()


def test_nothing_is_left_after_closing(application, spectrum, wait_for):
    viewer = application.new_data_viewer(SpherexCutoutViewer, data=spectrum)
    focus_row(application.session, spectrum, 0)
    reader = viewer._reader
    process_events()
    assert reader.alive
    viewer.close(warn=False)
    process_events()
    wait_for(lambda: not reader.alive)
    focus_row(application.session, spectrum, 1)  # nobody listens any more
    process_events()


def test_closing_while_headers_are_read(application, spectrum, monkeypatch, wait_for):
    from glue_spherex.images import ImageIndex

    started = []

    def endless(self, folders, progress=None, cancelled=None):
        started.append(True)
        while not cancelled():
            progress(3, 12)
            time.sleep(0.01)
        return real(self, folders, progress, cancelled)

    real = ImageIndex.refresh
    monkeypatch.setattr(ImageIndex, "refresh", endless)
    viewer = application.new_data_viewer(SpherexCutoutViewer, data=spectrum)
    focus_row(application.session, spectrum, 0)
    wait_for(lambda: "3 of 12" in viewer._notice.text(), meanwhile=process_events)
    assert viewer._notice.text() == "Reading the headers of new images: 3 of 12."
    reader = viewer._reader
    viewer.close(warn=False)
    assert started
    wait_for(lambda: not reader.alive)


def test_held_key_makes_nothing_new(viewer, qtbot, spectrum, settled):
    order = ordered_rows(spectrum, 0)
    focus_row(viewer.session, spectrum, int(order[0]))
    settled(viewer)
    artists = len(viewer.figure.findobj())
    for key in [Qt.Key_Right] * 20 + [Qt.Key_Left] * 15:
        qtbot.keyClick(viewer.canvas, key)
    settled(viewer)
    assert viewer.state.focus_row == order[max(min(20, len(order) - 1) - 15, 0)]
    assert len(viewer.figure.findobj()) == artists


def test_progress_goes_when_the_last_cutout_arrives_unchanged(viewer):
    panel = focused_panel(viewer)
    viewer._on_progress(2, 2)
    assert "headers" in viewer._notice.text()
    viewer._on_arrived(CutoutRequest(panel.row, ()), panel.view)
    process_events()
    assert viewer._notice.text() == ""


def test_a_box_larger_than_the_cutouts_is_told_until_it_fits(viewer, settled):
    viewer.options.bool_show_box.setChecked(True)
    assert "is larger than the cutouts" in viewer._notice.text()
    viewer.state.size_arcmin = 2.5
    settled(viewer)
    assert viewer._notice.text() == ""


def test_renamed_datasets_are_offered_by_their_new_names(viewer, application):
    stars = Data(label="stars", ra=[1.0], dec=[2.0])
    application.data_collection.append(stars)
    stars.label = "bright stars"
    combo = viewer.options.combo_catalogue
    assert "bright stars" in [combo.itemText(place) for place in range(combo.count())]
    application.data_collection.remove(stars)
    assert "bright stars" not in [combo.itemText(place) for place in range(combo.count())]
