"""The sky coverage panel with its window: mouse, buttons, pictures from a service on this machine."""

import sys
from pathlib import Path
from threading import Event

import numpy as np
import pytest

pytest.importorskip("glue_qt")
pytest.importorskip("requests")
sys.path.insert(0, str(Path(__file__).parents[1] / "plugin"))

from glue.core import Data
from glue_qt.utils import process_events
from qtpy import QtCore, QtGui, QtWidgets
from sky_service import PATH, SkyService

from glue_spherex.images.archive.answer_cache import AnswerCache
from glue_spherex.images.archive.answers import ArchiveImage
from glue_spherex.images.archive.grouping import SkyCircle
from glue_spherex.plugin.columns import spectra_in
from glue_spherex.plugin.coverage.footprints import footprints_of
from glue_spherex.plugin.coverage.settings import SkySettings
from glue_spherex.plugin.focus import focused_row
from glue_spherex.qt.coverage import sky_coverage


@pytest.fixture
def sky():
    with SkyService() as service:
        yield service


@pytest.fixture
def panel(application, small_field, measured_spectra):
    """The panel beside the spectra of the small field, without network."""
    application.load_data(str(measured_spectra))
    return opened(application)


def opened(application, settings=None):
    panel = sky_coverage(application.session, settings or SkySettings(hips2fits=""))
    panel.resize(900, 620)
    process_events()
    settled(panel)
    return panel


def settled(panel):
    """Let what has changed be drawn."""
    process_events()
    panel.canvas._settle()
    panel.canvas.draw_now()
    panel.canvas.draw()


def at(panel, ra, dec):
    """The place of a position, in Qt's pixels of the canvas."""
    x, y = panel.state.view.pixels(ra, dec)
    ratio = panel.canvas.device_pixel_ratio
    return QtCore.QPoint(round(float(x) / ratio), round((panel.state.view.ny - 1 - float(y)) / ratio))


def wheel(canvas, point, steps):
    event = QtGui.QWheelEvent(
        QtCore.QPointF(point), canvas.mapToGlobal(QtCore.QPointF(point)), QtCore.QPoint(0, 0),
        QtCore.QPoint(0, 120 * steps), QtCore.Qt.NoButton, QtCore.Qt.NoModifier, QtCore.Qt.NoScrollPhase, False,
    )  # fmt: skip
    QtWidgets.QApplication.sendEvent(canvas, event)


def move(canvas, point):
    """Move the mouse without a button to a place of the canvas."""
    event = QtGui.QMouseEvent(
        QtCore.QEvent.MouseMove, QtCore.QPointF(point), canvas.mapToGlobal(QtCore.QPointF(point)), QtCore.Qt.NoButton,
        QtCore.Qt.NoButton, QtCore.Qt.NoModifier,
    )  # fmt: skip
    QtWidgets.QApplication.sendEvent(canvas, event)


def answered_image():
    corners = np.array([(149.0, 1.0), (151.0, 1.0), (151.0, 3.0), (149.0, 3.0)]).tobytes()
    return ArchiveImage("ivo://irsa.ipac/spherex_qr2?2025W51_1A_0684_2/D3", "2025W51_1A_0684_2", 3, "qr2", False,
                        61027.2, 61027.3, "https://irsa/x", "x", 0, corners, "l2b-v21-2025-354")  # fmt: skip


def test_menu_opens_one_panel(application):
    [action] = [
        action
        for menu in application.menuBar().actions()
        if menu.text().replace("&", "") == "Plugins"
        for action in menu.menu().actions()
        if action.text() == "SPHEREx: Sky coverage"
    ]
    assert action.isEnabled()
    first = opened(application)
    assert first.isVisible()
    first.close()
    assert opened(application) is first
    assert first.isVisible()


def test_click_on_a_target_shows_its_spectrum(panel, qtbot, application):
    [spectra] = spectra_in(application.data_collection)
    [places] = panel.state.places
    for number in (2, 4, 0):
        panel.state.view = panel.state.view.on(places.ra[number], places.dec[number], 0.002)
        settled(panel)
        qtbot.mouseClick(panel.canvas, QtCore.Qt.LeftButton, pos=at(panel, places.ra[number], places.dec[number]))
        data, row = focused_row(application.session)
        assert data is spectra
        assert spectra["source_id"][row] == places.ids[number]
        assert panel.state.focused() == (places, number)
        assert panel.status_label.text().startswith(places.name(number))
    qtbot.mouseClick(panel.canvas, QtCore.Qt.LeftButton, pos=QtCore.QPoint(3, 3))
    assert panel.state.focused() == (places, 0)  # a click beside all targets chooses nothing


def test_mouse_over_a_target_tells_about_it(panel, wait_for):
    wait_for(lambda: "images" not in panel.work.busy, process_events)
    assert len(panel.state.images) == 18
    [places] = panel.state.places
    panel.state.view = panel.state.view.on(places.ra[0], places.dec[0], 0.01)
    settled(panel)
    move(panel.canvas, at(panel, places.ra[0], places.dec[0]) + QtCore.QPoint(60, 0))
    assert panel.canvas._hovered is None
    move(panel.canvas, at(panel, places.ra[0], places.dec[0]))
    ra, dec = (float(word.rstrip("°")) for word in panel.position_label.text().split())
    assert (ra, dec) == pytest.approx((places.ra[0], places.dec[0]), abs=2 * panel.state.view.scale_deg)
    text = panel.state.describe(*panel.canvas._hovered)
    assert places.name(0) in text
    assert f"{places.ra[0]:.5f}° {places.dec[0]:+.5f}°" in text
    assert "18 images in the folders (D1: 3, D2: 3, D3: 3, D4: 3, D5: 3, D6: 3)" in text


def test_wheel_zooms_about_the_mouse(panel, application):
    panel.buttons["all_sky"].click()
    settled(panel)
    place = at(panel, panel.state.view.ra + 20, 15)
    there = panel.state.view.sky(place.x(), panel.state.view.ny - 1 - place.y())
    for _ in range(12):
        wheel(panel.canvas, place, 1)
    view = panel.state.view
    assert view.width_deg < 40
    now = view.sky(place.x(), view.ny - 1 - place.y())
    assert np.subtract(there, now) == pytest.approx([0, 0], abs=3)
    wheel(panel.canvas, place, -40)
    assert panel.state.view.all_sky
    settled(panel)


def test_drag_moves_the_sky_and_chooses_nothing(panel, qtbot, application):
    [places] = panel.state.places
    panel.state.show_all_targets()
    settled(panel)
    start = at(panel, places.ra[1], places.dec[1])
    before = focused_row(application.session)
    qtbot.mousePress(panel.canvas, QtCore.Qt.LeftButton, pos=start)
    for step in range(1, 6):
        qtbot.mouseMove(panel.canvas, start + QtCore.QPoint(14 * step, -6 * step))
        process_events()
    qtbot.mouseRelease(panel.canvas, QtCore.Qt.LeftButton, pos=start + QtCore.QPoint(70, -30))
    moved = at(panel, places.ra[1], places.dec[1]) - start
    assert (moved.x(), moved.y()) == pytest.approx((70, -30), abs=2)
    assert focused_row(application.session) == before


def test_buttons_and_keys(panel, qtbot):
    width = panel.state.view.width_deg
    panel.buttons["nearer"].click()
    assert panel.state.view.width_deg == pytest.approx(width / 2)
    panel.buttons["farther"].click()
    panel.buttons["farther"].click()
    assert panel.state.view.width_deg == pytest.approx(2 * width)
    qtbot.keyClick(panel.canvas, QtCore.Qt.Key_Plus)
    assert panel.state.view.width_deg < 2 * width
    ra = panel.state.view.ra
    qtbot.keyClick(panel.canvas, QtCore.Qt.Key_Right)  # westwards: the sky moves to the left
    assert panel.state.view.ra < ra
    panel.layers_button.click()
    assert not panel.controls.isVisible()
    panel.buttons["target"].click()
    panel.place_edit.setText("83.633 22.0145")
    panel.go_button.click()
    settled(panel)
    assert (panel.state.view.ra, panel.state.view.dec) == pytest.approx((83.633, 22.0145))


def test_layers_can_be_switched_off(panel, wait_for):
    wait_for(lambda: "images" not in panel.work.busy, process_events)
    panel.state.show_all_targets()
    settled(panel)
    groups = panel.canvas._groups
    for name, group in (("show_grid", "grid"), ("show_images", "images")):
        assert groups[group]
        panel.controls.boxes[name].click()
        settled(panel)
        assert not groups[group]
    item = panel.controls.target_list.item(0)
    assert item.text().endswith("(7)")
    shown = len(groups["targets"])
    item.setCheckState(QtCore.Qt.Unchecked)
    settled(panel)
    assert panel.state.shown_places == []
    assert len(groups["targets"]) < shown
    pytest.importorskip("mocpy")
    panel.controls.boxes["show_map"].click()
    wait_for(lambda: "images" in panel.state.maps, process_events)
    settled(panel)
    assert len(groups["masks"]) == 1


def test_subsets_are_drawn_in_their_colours(panel, application):
    from matplotlib.colors import to_rgb

    [spectra] = spectra_in(application.data_collection)
    group = application.data_collection.new_subset_group("one", spectra.id["source_id"] == 2)
    group.style.color = "#00aa33"
    panel.state.show_all_targets()
    settled(panel)
    colours = [to_rgb(artist.get_color()) for artist in panel.canvas._groups["targets"] if hasattr(artist, "get_xdata")]
    assert to_rgb("#00aa33") in colours


def test_picture_arrives_and_is_in_its_place(application, sky, wait_for):
    application.data_collection.append(Data(label="stars", ra=[150.0, 151.0], dec=[2.0, 2.5], name=["a", "b"]))
    sky.stars = [(150.0, 2.0, 0.1)]
    panel = opened(application, sky.settings(most_pixels=400))
    wait_for(lambda: panel.state.picture is not None and not panel.state.loading, process_events)
    settled(panel)
    assert panel.picture_label.isHidden()
    pixels = np.asarray(panel.canvas.buffer_rgba())
    red = (pixels[..., 0] > 200) & (pixels[..., 1] < 60) & (pixels[..., 2] < 60)
    rows, columns = np.nonzero(red)
    place = at(panel, 150.0, 2.0)
    assert (columns.mean(), rows.mean()) == pytest.approx((place.x(), place.y()), abs=4)
    panel.controls.hips_combo.setCurrentIndex(2)  # none
    settled(panel)
    assert panel.state.picture is None


def test_service_that_answers_nonsense_is_told_and_retried(application, sky, wait_for):
    sky.fault(PATH, "page")  # more than once: what a view that is left at once was told is not shown
    panel = opened(application, sky.settings(most_pixels=400))
    wait_for(lambda: panel.state.picture_problem and not panel.state.loading, process_events)
    sky.faults.clear()
    assert "the answer is no picture" in panel.picture_label.text()
    assert panel.retry_button.isVisible()
    panel.retry_button.click()
    wait_for(lambda: panel.state.picture is not None, process_events)
    assert panel.retry_button.isHidden()
    assert panel.picture_label.isHidden()


def test_silent_service_blocks_nothing(application, sky, wait_for):
    """While a picture does not come, the sky is drawn and moved; the newest view is what comes in the end."""
    sky.fault(PATH, "silence", times=1)
    panel = opened(application, sky.settings(timeout_s=3.0, most_pixels=64))
    wait_for(lambda: sky.requests, process_events)
    for _ in range(3):
        panel.buttons["nearer"].click()
        settled(panel)
    assert panel.canvas._groups["grid"]

    def go_on():
        process_events()
        if panel.state.picture_problem:  # a machine with much to do may be slow, too
            panel.retry_button.click()

    width = panel.state.view.width_deg
    wait_for(lambda: panel.state.picture is not None and panel.state.picture.view.width_deg == width, go_on)


def test_offline_is_one_line(application, wait_for):
    panel = opened(application, SkySettings(hips2fits="http://127.0.0.1:9/hips2fits", connect_s=1.0))
    wait_for(lambda: panel.state.picture_problem, process_events)
    settled(panel)
    assert panel.picture_label.text().startswith("No picture of the sky: 127.0.0.1 cannot be reached")
    assert panel.canvas._groups["grid"]


def test_name_offline_is_a_clear_answer(panel, monkeypatch, wait_for):
    from glue_spherex.io import TargetListError

    def offline(name):
        raise TargetListError("the position of 'M 31' cannot be looked up: the name service does not answer.")

    monkeypatch.setattr("glue_spherex.plugin.coverage.state.targets_of_name", offline)
    panel.place_edit.setText("M 31")
    panel.place_edit.returnPressed.emit()
    wait_for(lambda: panel.state.failed, process_events)
    assert panel.status_label.text().startswith("The position of 'M 31' cannot be looked up")


def test_a_name_does_not_wait_for_the_one_before(panel, monkeypatch, wait_for):
    """The service keeps silent about the first name until the end of the test."""
    from glue_spherex.plugin.measuring.target_lists import targets_of_text

    asked, go_on, answered = Event(), Event(), Event()

    def service(name):
        if name == "M 31":
            asked.set()
            go_on.wait(600)
            answered.set()
        return targets_of_text({"M 31": "10.68 41.27 M31", "M 33": "23.46 30.66 M33"}[name])

    monkeypatch.setattr("glue_spherex.plugin.coverage.state.targets_of_name", service)
    for name in ("M 31", "M 33"):
        panel.place_edit.setText(name)
        panel.go_button.click()
        wait_for(asked.is_set, process_events)
    wait_for(lambda: panel.state.marked is not None, process_events)
    assert panel.state.marked[0] == "M33"
    go_on.set()
    wait_for(answered.is_set, process_events)
    process_events()
    assert panel.state.marked[0] == "M33"
    assert panel.state.view.dec == pytest.approx(30.66)


def test_answers_that_come_meanwhile_are_shown(panel, wait_for):
    panel.controls.boxes["show_answers"].click()
    wait_for(lambda: "No answers of the archive are kept" in panel.status_label.text(), process_events)
    AnswerCache().keep("service", "spherex_qr2", SkyCircle(150.0, 2.0, 0.1), [answered_image()], 1e9)
    wait_for(lambda: len(panel.state.answers) == 1, process_events)
    process_events()
    assert panel.controls.boxes["show_answers"].text() == "Found in the archive (1)"


def test_hints_say_what_holds_now(panel, wait_for):
    pytest.importorskip("mocpy")
    box = panel.controls.boxes["show_map"]
    wait_for(box.isEnabled, process_events)
    assert box.toolTip() == "The part of the sky that these images cover"
    panel.state.images = footprints_of([])
    wait_for(lambda: not box.isEnabled(), process_events)
    assert box.toolTip() == "There are no images: choose a folder"


def test_a_narrow_panel_keeps_its_room_for_the_sky(panel):
    shown, button = panel.controls.isVisible, panel.layers_button

    def resized(width):
        panel.resize(width, 620)
        process_events()

    assert shown()
    assert panel.place_edit.placeholderText() == "Position, target or name of an object"
    resized(520)
    assert not shown()
    assert not button.isChecked()
    assert panel.canvas.width() > 500
    hint = panel.place_edit.placeholderText()
    assert panel.place_edit.fontMetrics().horizontalAdvance(hint) < panel.place_edit.width()
    button.click()  # the user wants them all the same
    assert shown()
    resized(530)
    assert shown()
    resized(900)
    assert shown()
    resized(520)
    assert not shown()
    resized(900)
    assert shown()
    assert button.isChecked()
    button.click()  # and here the user does not
    resized(520)
    resized(900)
    assert not shown()


def test_targets_stand_out_from_a_catalogue(panel, application):
    """Sources of spectra are larger, above it, and keep their names when it has too many for names of its own."""
    [places] = panel.state.places
    around = np.linspace(-0.01, 0.01, 60)
    stars = Data(label="stars", ra=places.ra[0] + around, dec=places.dec[0] - around,
                 name=[f"star {k}" for k in range(60)])  # fmt: skip
    application.data_collection.append(stars)
    panel.state.show_all_targets()
    settled(panel)
    artists = panel.canvas._groups["targets"]
    names = [artist.get_text() for artist in artists if hasattr(artist, "get_text")]
    assert sorted(names) == sorted(places.labels)
    points = {len(artist.get_xdata()): artist for artist in artists if hasattr(artist, "get_xdata")}
    assert points[7].get_markersize() > points[60].get_markersize()
    assert points[7].get_zorder() > points[60].get_zorder()
    assert [shown.data for shown in panel.state.places] == [stars, places.data]  # a click finds the target first
    panel.state.show_data(stars, False)
    few = Data(label="few", ra=places.ra[:1] + 0.01, dec=places.dec[:1], name=["a star"])
    application.data_collection.append(few)
    settled(panel)
    assert "a star" in [artist.get_text() for artist in panel.canvas._groups["targets"] if hasattr(artist, "get_text")]


def test_names_do_not_cover_each_other(panel, application):
    """Where there is no room beside a marker, its name waits until one is nearer; what is marked is named once."""
    application.data_collection.append(
        Data(label="close", ra=[150.0, 150.0, 150.0, 150.0], dec=[2.0, 2.001, 2.01, 2.001], name=["a", "b", "c", "d"])
    )
    [close] = [places for places in panel.state.places if places.data.label == "close"]

    def names(width):
        panel.state.view = panel.state.view.on(150.0, 2.0, width)
        settled(panel)
        found = [artist for artist in panel.canvas._groups["targets"] if hasattr(artist, "get_text")]
        boxes = [artist.get_window_extent(panel.canvas.get_renderer()) for artist in found]
        assert not any(one.overlaps(other) for k, one in enumerate(boxes) for other in boxes[:k])
        return sorted(artist.get_text() for artist in found)

    assert names(0.1) == ["a", "b", "c"]  # d is where b is
    assert names(100) == ["a"]
    panel.state.choose(close, 1)
    assert names(0.1) == ["a", "b", "c"]
    assert names(100) == ["b"]


def test_map_that_cannot_be_written_is_told(panel, wait_for, monkeypatch, tmp_path):
    pytest.importorskip("mocpy")
    wait_for(panel.controls.save_button.isEnabled, process_events)
    for path, says in ((tmp_path / "none" / "map.fits", "map.fits: No such file or directory"),
                       (tmp_path / "map.fits", "18 images cover")):  # fmt: skip
        monkeypatch.setattr(QtWidgets.QFileDialog, "getSaveFileName", lambda *args, path=path: (str(path), ""))
        panel.controls.save_button.click()
        wait_for(lambda says=says: says in panel.status_label.text(), process_events)
    assert (tmp_path / "map.fits").stat().st_size > 2880


def test_failure_while_taking_a_result_is_told(panel, wait_for):
    def then(result, error):
        raise RuntimeError("the disk is upside down")

    panel.work("other", lambda *calls: 1, then)
    wait_for(lambda: panel.state.failed, process_events)
    assert "the disk is upside down" in panel.status_label.text()


def test_closing_glue_ends_the_panel(application, sky, wait_for):
    sky.fault(PATH, "silence")
    panel = opened(application, sky.settings(timeout_s=0.5))
    wait_for(lambda: sky.requests, process_events)
    application.close()
    process_events()
    assert panel.work._closed


class _Record:
    nx = ny = 2040

    def __init__(self, number, corners):
        self.detector, self.corners, self.mjd = number % 6 + 1, corners.tobytes(), 61000.0


def test_thousands_of_targets_and_images(application, qtbot):
    """All of them are drawn, and a click finds its target."""
    rng = np.random.default_rng(3)
    ra, dec = rng.uniform(0, 360, 20_000), np.degrees(np.arcsin(rng.uniform(-1, 1, 20_000)))
    application.data_collection.append(Data(label="many", ra=ra, dec=dec))
    panel = opened(application)
    centres = np.column_stack([rng.uniform(0, 360, 5000), rng.uniform(-80, 80, 5000)])
    square = np.array([(-1.7, -1.7), (1.7, -1.7), (1.7, 1.7), (-1.7, 1.7)])
    corners = centres[:, None] + square / np.array([1, 1])
    corners[..., 0] = (centres[:, :1] + square[:, 0] / np.cos(np.radians(centres[:, 1:]))) % 360
    panel.state.images = footprints_of([_Record(k, image) for k, image in enumerate(corners)])
    panel.buttons["all_sky"].click()
    settled(panel)
    [lines] = panel.canvas._groups["images"]
    assert len(lines.get_segments()) >= 5000
    panel.state.view = panel.state.view.on(ra[123], dec[123], 0.5)
    settled(panel)
    qtbot.mouseClick(panel.canvas, QtCore.Qt.LeftButton, pos=at(panel, ra[123], dec[123]))
    assert panel.state.chosen[1] == 123
    assert "no spectrum of this target is loaded" in panel.status_label.text()
