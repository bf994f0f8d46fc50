"""Cutouts against astropy's WCS and the bytes of the files."""

import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from glue.core import DataCollection
from glue.core.data_factories import load_data

from glue_spherex import write_spectra
from glue_spherex.images import ImageFileError, SpectralImage, read_record
from glue_spherex.plugin.cutouts.background_reader import BackgroundReader
from glue_spherex.plugin.cutouts.finding import ImageFinder, add_image_folder, calibration_folder, image_folders
from glue_spherex.plugin.cutouts.measured_row import MeasuredRow
from glue_spherex.plugin.cutouts.reading import CutoutRequest, CutoutSource, CutoutView, read_cutout

NAN = float("nan")


@pytest.fixture(scope="module")
def field(simulated):
    return simulated("field", images=3, detectors=(1, 3, 6), calibration=False)


@pytest.fixture(scope="module")
def field_qr3(simulated):
    return simulated("field", images=2, detectors=(2, 5), release="qr3", calibration=False)


def sky_truth(path):
    """WCS of a file as astropy reads it, and its middle pixel's position."""
    with fits.open(path) as hdus:
        header = hdus["IMAGE"].header
        wcs = WCS(header)
        ny, nx = hdus["IMAGE"].data.shape
    ra, dec = wcs.all_pix2world(nx / 2 + 1.3, ny / 2 - 2.2, 0)
    return wcs, (nx, ny), (float(ra), float(dec))


def measured(record, ra, dec, **changes):
    row = MeasuredRow(
        0, ra, dec, record.obs_publisher_did, record.exposure_id, record.detector,
        1.5, record.mjd, 100.0, 1.0, 0.2, 0,
    )  # fmt: skip
    return replace(row, **changes)


@pytest.mark.parametrize("release", ["qr2", "qr3"])
def test_every_pixel_lies_where_astropy_puts_it(field, field_qr3, release):
    chosen = field if release == "qr2" else field_qr3
    for path in chosen.images:
        wcs, _, (ra, dec) = sky_truth(path)
        record = read_record(path)
        assert record.x0 > 0  # off the detector's origin
        view = read_cutout(record, ra, dec, 1.5)
        target = SkyCoord(ra, dec, unit="deg")
        matrix = view.offsets("north")
        for x, y in ((0, 0), (view.shape[1] - 1, 3), (7, view.shape[0] - 2)):
            there = SkyCoord(*wcs.all_pix2world(x + view.x0, y + view.y0, 0), unit="deg")
            east, north = (value.to_value("arcsec") for value in target.spherical_offsets_to(there))
            drawn = matrix @ (x, y, 1)
            np.testing.assert_allclose(drawn[:2], (east, north), atol=0.05)  # 1/120 of a pixel
        np.testing.assert_allclose(view.to_pixels(np.array([ra]), np.array([dec])), np.transpose([view.target]))


def test_pixels_flags_and_zodi_are_those_of_the_file(field):
    path = field.images[0]
    _, _, (ra, dec) = sky_truth(path)
    view = read_cutout(read_record(path), ra, dec, 0.8)
    ny, nx = view.shape
    with fits.open(path) as hdus:
        box = slice(view.y0, view.y0 + ny), slice(view.x0, view.x0 + nx)
        np.testing.assert_array_equal(view.image, hdus["IMAGE"].data[box])
        np.testing.assert_array_equal(view.flags, hdus["FLAGS"].data[box])
        np.testing.assert_array_equal(view.zodi, hdus["ZODI"].data[box])
        header = hdus["IMAGE"].header
        assert view.x0_det == view.x0 + round(1 - header["CRPIX1A"])
        assert view.y0_det == view.y0 + round(1 - header["CRPIX2A"])


def test_the_detector_plane_has_x_right_and_y_up(field):
    _, _, (ra, dec) = sky_truth(field.images[0])
    view = read_cutout(read_record(field.images[0]), ra, dec)
    matrix = view.offsets("detector")
    x, y = view.target
    u, v, _ = matrix @ (x + 2, y - 3, 1)
    assert (u, v) == pytest.approx((2 * view.pixel_scale, -3 * view.pixel_scale))
    assert 5.5 < view.pixel_scale < 6.7


def test_positions_off_the_image(field):
    record = read_record(field.images[0])
    wcs, (nx, ny), _ = sky_truth(field.images[0])
    ra, dec = (float(value) for value in wcs.all_pix2world(nx + 3, ny / 2, 0))
    near = read_cutout(record, ra, dec)
    assert near.image is not None
    assert near.note == "the position lies off the image"
    far = read_cutout(record, ra + 2, dec)
    assert far.image is None
    assert f"{record.obsid} D{record.detector}: the position" in far.problem
    assert "does not lie on the image" in far.problem
    with pytest.raises(ValueError, match="size of the cutouts: 0 arcmin; above 0 and up to 30 is allowed"):
        read_cutout(record, ra, dec, 0)


# -- faults, each caused -----------------------------------------------------------------------------------------------


@pytest.fixture
def copied(field, tmp_path):
    """A folder with a copy of the first image, its record and a request for its middle."""
    folder = tmp_path / "images"
    folder.mkdir()
    path = shutil.copy(field.images[0], folder)
    _, _, (ra, dec) = sky_truth(path)
    record = read_record(path)
    return path, record, CutoutRequest(measured(record, ra, dec), (str(folder),))


def test_a_missing_moved_and_truncated_file(copied, tmp_path):
    path, record, request = copied
    source = CutoutSource()
    assert source(request).image is not None
    moved = tmp_path / "images" / "moved.fits"
    shutil.move(path, moved)
    assert source(request).path == str(moved)  # found again under its other name
    moved.write_bytes(moved.read_bytes()[:40_000])
    problem = CutoutSource()(request).problem
    assert "there is no SPHEREx image in" in problem
    truncated = tmp_path / "images" / f"level2_{record.obsid}D{record.detector}_spx.fits"
    shutil.move(moved, truncated)
    assert "is truncated" in CutoutSource()(request).problem
    truncated.unlink()
    problem = CutoutSource()(request).problem
    assert problem.startswith(
        f"{record.obsid} D{record.detector}: there is no SPHEREx image in {tmp_path / 'images'}. Name"
    )


def test_a_file_truncated_after_its_headers_were_read(copied):
    path, _, request = copied
    source = CutoutSource()
    assert source(request).image is not None
    with open(path, "r+b") as file:
        file.truncate(20_000)
    assert "is truncated" in source(request).problem


def test_a_replaced_file_is_read_anew(copied):
    path, _, request = copied
    source = CutoutSource()
    before = source(request)
    with fits.open(path) as hdus:
        hdus["IMAGE"].data += 5
        hdus.writeto(path, overwrite=True)
    np.testing.assert_allclose(source(request).image, before.image + 5, rtol=1e-5)


def test_foreign_files_do_not_disturb(copied):
    path, _, request = copied
    folder = request.folders[0]
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(f"{folder}/other.fits")
    with open(f"{folder}/text.fits", "w") as file:
        file.write("not FITS")
    assert CutoutSource()(request).path == path


def test_an_image_without_psf_is_shown(copied):
    path, _, request = copied
    with fits.open(path) as hdus:
        del hdus["PSF"]
        hdus.writeto(path, overwrite=True)
    assert CutoutSource()(request).image is not None


def test_rows_that_cannot_have_an_image(copied):
    _, _, request = copied
    source = CutoutSource()

    def problem(folders=request.folders, **changes):
        return source(CutoutRequest(replace(request.row, **changes), folders)).problem

    assert problem(did="", lvf_id=0, det_id=0).startswith("Row 0 does not tell its image")
    assert problem(ra=NAN).startswith("Row 0 has no position: ra is nan")
    assert "no folder with images is known" in problem(folders=())
    assert "the folder /nowhere cannot be found" in problem(folders=("/nowhere",))
    assert problem(did="ivo://irsa.ipac/spherex_qr2?2025W01_1A_0001_1/D2", lvf_id=0).endswith(
        f"is not among the 1 images in {request.folders[0]}. Name the folder that has it."
    )


# -- finding -----------------------------------------------------------------------------------------------------------


def test_all_ways_to_name_an_image(copied):
    _, record, request = copied
    finder = ImageFinder()
    for changes in (
        {"lvf_id": 0, "det_id": 0},
        {"did": ""},
        {"did": "", "det_id": 0},
        {"did": f"ivo://irsa.ipac/spherex_qr2?{record.obsid}", "lvf_id": 0},
        {"did": "something else", "det_id": 0},
    ):
        found = finder.find(replace(request.row, **changes), request.folders)
        assert found.record == record, changes
        assert found.note == ""


def test_another_release_is_told(copied):
    _, record, request = copied
    row = replace(request.row, did=record.obs_publisher_did.replace("qr2", "qr3"), lvf_id=0)
    found = ImageFinder().find(row, request.folders)
    assert found.record == record
    assert found.note == "image of QR2, measured on QR3"
    assert CutoutSource()(CutoutRequest(row, request.folders)).note == "image of QR2, measured on QR3"


def test_of_several_files_the_one_with_the_position_is_taken(copied, tmp_path):
    path, record, request = copied
    with fits.open(path) as hdus:  # the first columns only, as a second cutout of the same image
        for name in ("IMAGE", "FLAGS", "VARIANCE", "ZODI"):
            hdus[name].data = np.ascontiguousarray(hdus[name].data[:, :8])
        hdus.writeto(tmp_path / "images" / "a_first.fits")
    finder = ImageFinder()
    assert finder.find(request.row, request.folders).record.path == path
    with SpectralImage(record) as image:
        ra, dec = (float(value) for value in image.to_sky(2.0, 15.0))
    assert finder.find(replace(request.row, ra=ra, dec=dec), request.folders).record is not None
    with SpectralImage(record) as image:  # on both, but near the edge of the smaller one
        ra, dec = (float(value) for value in image.to_sky(6.9, 15.0))
    assert finder.find(replace(request.row, ra=ra, dec=dec), request.folders).record.path == path


def test_a_new_file_is_found_without_being_told(copied, tmp_path, monkeypatch, wait_for):
    path, _, request = copied
    away = shutil.move(path, tmp_path / "away.fits")
    source = CutoutSource()
    assert source(request).image is None
    shutil.move(away, path)
    monkeypatch.setattr("glue_spherex.plugin.cutouts.finding._SEARCH_AGAIN_S", 0.0)
    monkeypatch.setattr("glue_spherex.plugin.cutouts.finding._SHARE_OF_TIME", 1e9)
    wait_for(lambda: source(request).image is not None)


# -- in the background -------------------------------------------------------------------------------------------------


class SlowSource:
    """Takes its time, and notes what it was asked for."""

    def __init__(self):
        self.asked, self.go = [], threading.Semaphore(0)

    def __call__(self, request, progress, cancelled):
        self.asked.append(request.row.row)
        self.go.acquire(timeout=180)
        if request.row.row == 99:
            raise RuntimeError("a fault nobody thought of")
        return CutoutView(problem=f"row {request.row.row}")


def a_request(row):
    return CutoutRequest(MeasuredRow(row, 1.0, 2.0, f"x?{row}/D1", row, 1, NAN, NAN, NAN, NAN, NAN, 0), ("/nowhere",))


def test_the_latest_request_wins(wait_for):
    source, arrived = SlowSource(), []
    reader = BackgroundReader(lambda request, view: arrived.append(request.row.row), source=source)
    reader.request([a_request(0), a_request(1), a_request(2)])
    wait_for(lambda: source.asked == [0])
    for step in range(10, 60, 2):  # a held key
        reader.request([a_request(step), a_request(step + 1)])
    for _ in range(5):
        source.go.release()
    wait_for(lambda: len(arrived) == 3)
    assert reader._waiting == []
    assert source.asked == arrived == [0, 58, 59]  # what was being read is finished, the rest is dropped
    reader.close()
    wait_for(lambda: not reader.alive)


def test_the_thread_survives_a_fault_and_ends_with_close(wait_for):
    source, arrived = SlowSource(), []
    reader = BackgroundReader(lambda request, view: arrived.append(view), source=source)
    reader.request([a_request(99), a_request(3)])
    source.go.release()
    source.go.release()
    wait_for(lambda: len(arrived) == 2)
    assert arrived[0].problem == "x?99/D1 D1: reading failed (RuntimeError: a fault nobody thought of)."
    assert arrived[1].problem == "row 3"
    reader.close()
    wait_for(lambda: not reader.alive)
    reader.request([a_request(4)])  # after the end nothing happens
    assert not reader.alive
    assert 4 not in source.asked


def test_closing_does_not_wait_and_nothing_comes_afterwards(monkeypatch, wait_for):
    """A window that is closed while a large file is read goes at once; its frames are gone when the file is read."""
    reading, go = threading.Event(), threading.Event()

    class Thread(threading.Thread):
        def join(self, timeout=None):
            pytest.fail("the window waits for the file")

    def source(request, progress, cancelled):
        progress(1, 2)
        reading.set()
        go.wait(180)
        progress(2, 2)
        return CutoutView(problem="read")

    monkeypatch.setattr("glue_spherex.plugin.cutouts.background_reader.Thread", Thread)
    arrived, told = [], []
    reader = BackgroundReader(lambda *given: arrived.append(given), lambda *given: told.append(given), source)
    reader.request([a_request(1)])
    wait_for(reading.is_set)
    reader.close()
    assert reader.alive
    go.set()
    wait_for(lambda: not reader.alive)
    assert arrived == []
    assert told == [(1, 2)]


def test_views_are_remembered_until_the_file_changes(copied, wait_for):
    path, _, request = copied
    arrived = []
    reader = BackgroundReader(lambda request, view: arrived.append(view))
    for count in (1, 2):
        reader.request([request])
        wait_for(lambda count=count: len(arrived) == count)
    assert arrived[1] is arrived[0] is reader.recent(request)
    with fits.open(path) as hdus:
        hdus["IMAGE"].data += 1
        hdus.writeto(path, overwrite=True)
    reader.request([request])
    wait_for(lambda: len(arrived) == 3)
    np.testing.assert_allclose(arrived[2].image, arrived[0].image + 1, rtol=1e-5)
    shutil.os.unlink(path)
    reader.request([request])
    wait_for(lambda: len(arrived) == 4)
    assert "there is no SPHEREx image in" in arrived[3].problem
    assert reader.recent(request) is None
    reader.close()


def test_memory_of_views_is_bounded(monkeypatch, wait_for):
    monkeypatch.setattr("glue_spherex.plugin.cutouts.background_reader._CACHED_BYTES", 3 * 8 * 100 * 5)
    arrived = []
    reader = BackgroundReader(
        lambda request, view: arrived.append(request),
        source=lambda *_: CutoutView(image=np.zeros((10, 10)), flags=np.zeros((10, 10), int)),
    )
    reader.request([a_request(row) for row in range(1, 21)])
    wait_for(lambda: len(arrived) == 20)
    assert sum(reader.recent(a_request(row)) is not None for row in range(1, 21)) == 5
    reader.close()


def test_reading_names_what_is_wrong(copied):
    path, record, request = copied
    with pytest.raises(ImageFileError, match="no such file"):
        read_cutout(record._replace(path=f"{path}.gone"), request.row.ra, request.row.dec)


# -- what a dataset remembers ------------------------------------------------------------------------------------------


def test_folders_of_a_dataset(made_spectrum, restored, tmp_path):
    (tmp_path / "result").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "more").mkdir()
    table = made_spectrum()
    table.meta["glue_spherex"] |= {"image_folders": ["images", "/elsewhere"], "calibration_folder": "more"}
    write_spectra(table, tmp_path / "result" / "spectra.vot")
    data = load_data(str(tmp_path / "result" / "spectra.vot"))
    here = str(tmp_path / "images")
    assert image_folders(data) == [here, "/elsewhere"]  # found from the file's own folder
    assert calibration_folder(data) == str(tmp_path / "more")
    add_image_folder(data, tmp_path / "more")
    add_image_folder(data, tmp_path / "more")
    assert image_folders(data) == [str(tmp_path / "more"), here, "/elsewhere"]
    collection = DataCollection([data])
    for include in (False, True):
        again = restored(collection, include_data=include)[0]
        assert image_folders(again)[0] == str(tmp_path / "more")
    with pytest.raises(ValueError, match="is not a folder; name the one that holds the Level-2 images"):
        add_image_folder(data, tmp_path / "nothing")
    data.meta.clear()  # data from elsewhere
    assert image_folders(data) == []
    assert calibration_folder(data) == ""
