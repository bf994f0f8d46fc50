"""Missing cutouts, fetched with real clicks from an archive on this machine."""

import errno
import os

import numpy as np
import pytest
from astropy.io import fits
from glue.core.data_factories import load_data
from glue_qt.app import GlueApplication
from glue_qt.utils import process_events
from loopback_services import SearchServices
from qtpy.QtCore import QPoint, Qt

from glue_spherex import read_spectra, read_targets, write_spectra
from glue_spherex.cli import main
from glue_spherex.images.archive.cutout_store import CutoutStore
from glue_spherex.plugin.columns import column_values
from glue_spherex.plugin.cutouts.fetch_state import FETCHING
from glue_spherex.plugin.focus import focus_row, focused_row
from glue_spherex.plugin.row_order import ordered_rows
from glue_spherex.qt.cutout_viewer import SpherexCutoutViewer
from glue_spherex.qt.spectrum_viewer import SpherexSpectrumViewer


@pytest.fixture
def archive(small_field, loopback, monkeypatch, tmp_path):
    """An archive with the images of the field, asked quickly; the user's settings lead to it."""
    archive = loopback()
    archive.search = SearchServices().join(archive)
    for path in small_field.images:
        archive.search.add_image(archive, archive.add_image(path))
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", archive.url)
    home = tmp_path / "glue-spherex-home"
    home.mkdir(exist_ok=True)
    (home / "archive.toml").write_text("backoff_s = 0.01\nattempts = 2\npatience_s = 0.1\n")
    return archive


@pytest.fixture
def spectrum(application, measured_spectra, tmp_path):
    """The spectra as IRSA gives them: they do not tell of any folder."""
    table = read_spectra(measured_spectra)
    table.meta.clear()
    path = tmp_path / "irsa.vot"
    write_spectra(table, path)
    data = load_data(str(path))
    assert "glue_spherex" not in data.meta
    application.data_collection.append(data)
    return data


@pytest.fixture
def settled(wait_for):
    """``settled(viewer, condition)``: when every frame shows something, and everything is drawn."""

    def settle(viewer, condition=lambda: True):
        def ready():
            arrived = all(panel.view is not None or panel.problem for panel in viewer.page.panels)
            return arrived and not viewer._pending and not viewer._drawing.isActive() and condition()

        process_events()
        wait_for(ready, meanwhile=process_events)
        process_events()
        return viewer

    return settle


@pytest.fixture
def open_viewer(application, spectrum, settled):
    def show(place=8, count=3):
        viewer = application.new_data_viewer(SpherexCutoutViewer, data=spectrum)
        viewer.viewer_size = (900, 380)
        viewer.state.n_cutouts = count
        process_events()
        focus_row(application.session, spectrum, int(ordered_rows(spectrum, 0)[place]))
        return settled(viewer)

    return show


def click_button(qtbot, viewer, panel):
    """Press the button in a frame with the mouse."""
    box, ratio = panel.button.get_bbox_patch().get_window_extent(), viewer.canvas.device_pixel_ratio
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    qtbot.mouseClick(
        viewer.canvas, Qt.LeftButton, pos=QPoint(round(x / ratio), round(viewer.canvas.height() - y / ratio))
    )


def labels(viewer):
    return [panel.button.get_text() for panel in viewer.page.panels]


def fetched(viewer):
    return lambda: not viewer.fetching.state.busy


def check_pixels(panel, small_field):
    """The frame shows the pixels that the archive's file has at this place of the detector."""
    path = next(p for p in small_field.images if f"{panel.row.obsid}D{panel.row.detector}_" in p.name)
    with fits.open(path) as hdus:
        header, view = hdus["IMAGE"].header, panel.view
        x, y = view.x0_det + round(header["CRPIX1A"]) - 1, view.y0_det + round(header["CRPIX2A"]) - 1
        box = slice(y, y + view.shape[0]), slice(x, x + view.shape[1])
        np.testing.assert_array_equal(view.image, hdus["IMAGE"].data[box])


def kept():
    return sorted(path.name for path in CutoutStore().folder.rglob("level2*"))


def left_overs():
    return list(CutoutStore().folder.rglob("*.part*"))


def test_the_button_of_a_frame(archive, open_viewer, qtbot, settled, small_field):
    viewer = open_viewer()
    assert archive.requests == []  # nothing is asked before somebody wants it
    assert labels(viewer) == ["Fetch"] * 3
    assert viewer.fetching.button.text() == "Fetch 3 cutouts"
    row = viewer.state.focus_row
    click_button(qtbot, viewer, viewer.page.panels[2])
    assert labels(viewer) == ["Fetch", "Fetch", "Cancel"]
    assert viewer.page.panels[2].status == FETCHING
    assert "0 of 1" in viewer._notice.text()
    settled(viewer, lambda: viewer.page.panels[2].view is not None)
    assert viewer.state.focus_row == row  # a press of the button chooses no row
    assert labels(viewer) == ["Fetch", "Fetch", ""]
    assert viewer.fetching.button.text() == "Fetch 2 cutouts"
    check_pixels(viewer.page.panels[2], small_field)
    assert len(kept()) == 1


def test_the_whole_page(archive, open_viewer, settled, small_field):
    viewer = open_viewer()
    viewer.toolbar.actions["spherex:fetch"].trigger()
    assert labels(viewer) == ["Cancel"] * 3
    assert viewer.fetching.button.text() == "Cancel"
    settled(viewer, lambda: all(panel.view is not None for panel in viewer.page.panels))
    for panel in viewer.page.panels:
        check_pixels(panel, small_field)
    assert not viewer.fetching.button.isVisibleTo(viewer)
    assert not viewer.folder_button.isVisibleTo(viewer)
    assert viewer._notice.text() == ""
    archive.forget()
    viewer.toolbar.actions["spherex:fetch"].trigger()
    assert viewer._notice.text() == "Nothing that the archive may have is missing on this page."
    again = open_viewer()  # found where they are kept, silently
    assert again.page.problems == []
    assert archive.requests == []


def test_cancelled_in_the_middle(archive, open_viewer, qtbot, settled, wait_for):
    """Over at once, although the archive never answers; nothing is half kept, and a second try succeeds."""
    viewer = open_viewer()
    archive.fault("/level2/", "silence")
    qtbot.mouseClick(viewer.fetching.button, Qt.LeftButton)
    wait_for(lambda: any("/level2/" in seen.path for seen in archive.requests), meanwhile=process_events)
    click_button(qtbot, viewer, viewer.page.panels[0])
    settled(viewer)
    assert labels(viewer) == ["Fetch", "Cancel", "Cancel"]
    qtbot.mouseClick(viewer.fetching.button, Qt.LeftButton)
    settled(viewer)
    assert labels(viewer) == ["Fetch"] * 3
    assert "no folder with images is known" in viewer.page.panels[0].problem
    assert kept() == left_overs() == []
    archive.faults.clear()
    archive.stopping.set()  # what was silent ends
    viewer.toolbar.actions["spherex:fetch"].trigger()
    settled(viewer, lambda: all(panel.view is not None for panel in viewer.page.panels))
    assert left_overs() == []


def test_the_archive_is_gone(archive, open_viewer, qtbot, settled):
    archive.stop()
    viewer = open_viewer()
    viewer.toolbar.actions["spherex:fetch"].trigger()
    settled(viewer, fetched(viewer))
    assert labels(viewer) == ["Try again"] * 3
    for panel in viewer.page.panels:
        assert panel.status.startswith(f"{panel.row.image_name}: the archive cannot be reached")
        assert "is this computer connected?" in " ".join(panel.message.get_text().split())
    assert "cannot be reached" in viewer._notice.text()


def test_a_fault_and_a_second_try(archive, open_viewer, qtbot, settled, monkeypatch):
    """The archive has a fault, then the disk is full, then all is well."""
    viewer = open_viewer(count=1)
    (panel,) = viewer.page.panels
    archive.fault("/level2/", "status", status=500)
    click_button(qtbot, viewer, panel)
    settled(viewer, fetched(viewer))
    assert "the archive has a fault (status 500)" in panel.status
    archive.faults.clear()

    def full(fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("glue_spherex.images.archive.cutout_store.os.fsync", full)
        click_button(qtbot, viewer, panel)
        settled(viewer, fetched(viewer))
    assert "the disk is full; make room" in panel.status
    assert kept() == left_overs() == []
    click_button(qtbot, viewer, panel)
    settled(viewer, lambda: panel.view is not None)
    assert viewer._notice.text() == ""


def test_another_release_is_offered(archive, open_viewer, qtbot, settled, small_field):
    archive.search.rows.clear()
    for path in small_field.images:
        archive.search.add_image(archive, archive.add_image(path, "qr3"), "spherex_qr3")
    viewer = open_viewer(count=1)
    (panel,) = viewer.page.panels
    click_button(qtbot, viewer, panel)
    settled(viewer, fetched(viewer))
    assert "as QR3 only; it was measured on QR2" in panel.status
    assert labels(viewer) == ["Fetch QR3"]
    click_button(qtbot, viewer, panel)
    settled(viewer, lambda: panel.view is not None)
    check_pixels(panel, small_field)


def test_by_themselves(archive, application, open_viewer, qtbot, settled, tmp_path):
    """A choice of the user, for all viewers to come; a session does not bring it along."""
    viewer = open_viewer()
    viewer.options.setCurrentIndex(0)
    assert not viewer.options.bool_by_itself.isChecked()
    viewer.options.bool_by_itself.click()
    settled(viewer, lambda: all(panel.view is not None for panel in viewer.page.panels))
    for _ in range(2):
        qtbot.keyClick(viewer.canvas, Qt.Key_Right)
    settled(viewer, lambda: all(panel.view is not None for panel in viewer.page.panels))
    assert "by_itself" not in viewer.state.as_dict()
    viewer.close(warn=False)
    archive.fault("/level2/", "status", status=500)
    other = open_viewer(place=2)
    assert other.options.bool_by_itself.isChecked()
    settled(other, lambda: fetched(other)() and "Try again" in labels(other))
    archive.forget()
    other.refresh()  # what cannot be had is not asked for again and again
    settled(other, fetched(other))
    assert archive.requests == []
    other.options.bool_by_itself.click()
    assert not other.options.bool_by_itself.isChecked()
    focus_row(application.session, other.state.focus_data, int(ordered_rows(other.state.focus_data, 0)[12]))
    settled(other, fetched(other))
    assert archive.requests == []
    assert "Fetch" in labels(other)


def test_cancelled_while_they_come_by_themselves(archive, open_viewer, qtbot, settled, wait_for):
    """Cancelling is final, and a page that is left is not fetched any more."""
    archive.fault("/level2/", "silence")
    viewer = open_viewer()
    viewer.options.bool_by_itself.click()
    wait_for(lambda: any("/level2/" in seen.path for seen in archive.requests), meanwhile=process_events)
    qtbot.mouseClick(viewer.fetching.button, Qt.LeftButton)
    settled(viewer)
    assert labels(viewer) == ["Fetch"] * 3
    assert not viewer.fetching.state.busy
    shown = {panel.row.row for panel in viewer.page.panels}
    qtbot.keyClick(viewer.canvas, Qt.Key_PageDown)
    settled(viewer, lambda: "Cancel" in labels(viewer))
    assert shown.isdisjoint(panel.row.row for panel in viewer.page.panels)
    before = viewer.fetching.state.progress
    qtbot.keyClick(viewer.canvas, Qt.Key_PageUp)
    settled(viewer)
    assert before
    assert not viewer.fetching.state.busy
    archive.stopping.set()


def test_small_frames_have_the_button_alone_and_frames_without_image_none(archive, spectrum, open_viewer, settled):
    viewer = open_viewer(count=25)
    viewer.viewer_size = (700, 300)
    settled(viewer)
    panel = viewer.page.panels[0]
    assert panel.message.get_text() == ""
    assert panel.button.get_text() == "Fetch"
    assert panel.problem in panel.about()
    spectrum.update_components({spectrum.id["ra"]: np.full(spectrum.size, np.nan)})
    settled(viewer)
    assert set(labels(viewer)) == {""}
    assert not viewer.fetching.button.isVisibleTo(viewer)


def test_closing_while_it_is_fetched(archive, open_viewer, wait_for):
    viewer = open_viewer()
    archive.bytes_per_s = 20_000
    viewer.toolbar.actions["spherex:fetch"].trigger()
    wait_for(lambda: any("/level2/" in seen.path for seen in archive.requests), meanwhile=process_events)
    state = viewer.fetching.state
    viewer.close(warn=False)
    archive.bytes_per_s = None
    wait_for(lambda: not state.alive, meanwhile=process_events)
    assert left_overs() == []


# -- offline afterwards ------------------------------------------------------------------------------------------------


@pytest.fixture
def session(archive, application, small_field, tmp_path, settled):
    """A session with spectra measured from the archive, in the result's folder: file, row, fluxes, pixels shown."""
    archive.add_calibration(small_field.calibration)
    source = read_targets(small_field.targets).sources[0]
    folder = tmp_path / "result"
    assert (
        main(["measure", "--target", f"{source.ra!r} {source.dec!r}", "--output", str(folder), "--keep-cutouts"]) == 0
    )
    data = load_data(str(folder / "spectra.vot"))
    application.data_collection.append(data)
    application.new_data_viewer(SpherexSpectrumViewer, data=data)
    viewer = application.new_data_viewer(SpherexCutoutViewer, data=data)
    focus_row(application.session, data, int(ordered_rows(data, 0)[5]))
    settled(viewer)
    assert viewer.page.problems == []
    path = folder / "session.glu"
    application.save_session(str(path))
    shown = [(panel.row.row, panel.view.image) for panel in viewer.page.panels]
    return path, viewer.state.focus_row, column_values(data, "flux"), shown


def test_a_session_without_network(session, archive, small_field, tmp_path, monkeypatch, settled):
    """Spectra and pixels are drawn again, from the result's own folder, and nothing is asked.

    Here, and then on another computer, which has the folder of the result and nothing else.
    """
    path, *shown = session
    archive.stop()  # its address leads nowhere now
    assert os.environ["GLUE_SPHEREX_ARCHIVE"] == archive.url
    asked = []
    monkeypatch.setattr("glue_spherex.images.archive.client.ArchiveClient._attempt", lambda *given: asked.append(given))
    check_session(path, *shown, small_field, settled)
    path.parent.rename(tmp_path / "elsewhere")
    monkeypatch.setenv("GLUE_SPHEREX_HOME", str(tmp_path / "new home"))
    check_session(tmp_path / "elsewhere" / path.name, *shown, small_field, settled)
    assert asked == []


def check_session(path, row, flux, shown, small_field, settled):
    again = GlueApplication.restore_session(str(path), show=False)
    try:
        viewers = [viewer for tab in again.viewers for viewer in tab]
        cutouts = next(viewer for viewer in viewers if isinstance(viewer, SpherexCutoutViewer))
        spectra = next(viewer for viewer in viewers if isinstance(viewer, SpherexSpectrumViewer))
        settled(cutouts)
        (data,) = again.data_collection
        np.testing.assert_array_equal(column_values(data, "flux"), flux)
        assert focused_row(again.session) == (data, row)
        assert cutouts.page.problems == []
        assert [panel.row.row for panel in cutouts.page.panels] == [number for number, _ in shown]
        for panel, (number, image) in zip(cutouts.page.panels, shown, strict=True):
            np.testing.assert_array_equal(panel.view.image, image)
            check_pixels(panel, small_field)
            assert f"{path.parent / 'images'}{os.sep}" in panel.view.path
            assert cutouts.page.is_drawn(number)
        assert labels(cutouts) == [""] * 5
        assert spectra.layers[0].visible
        assert spectra.layers[0].enabled
        assert len({tuple(colour) for colour in pixels_of(spectra)}) > 3
    finally:
        again.close()
        process_events()


def pixels_of(viewer):
    """The colours on a viewer's canvas."""
    canvas = viewer.figure.canvas
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[::3, ::3].reshape(-1, 4).tolist()
