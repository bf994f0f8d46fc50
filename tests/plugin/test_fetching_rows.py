"""The cutouts of rows from an archive on this machine; truth is what astropy reads in the archive's own files."""

import errno
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from glue.core.data_factories import load_data
from loopback_services import SearchServices

from glue_spherex import write_spectra
from glue_spherex.images.archive import ArchiveSettings
from glue_spherex.images.archive.cutout_store import CutoutStore
from glue_spherex.images.archive.errors import ArchiveError, ArchiveStopped, ArchiveUnreachable, NothingThere
from glue_spherex.plugin.cutouts.background_fetcher import BackgroundFetcher, FetchOutcome
from glue_spherex.plugin.cutouts.fetch_state import FetchState, Offer, remembered_choice
from glue_spherex.plugin.cutouts.fetching import _PATIENCE, ArchiveCutouts, OtherRelease, reason_of
from glue_spherex.plugin.cutouts.finding import calibration_of_fetched, image_folders
from glue_spherex.plugin.cutouts.kept_cutouts import kept_cutout, surroundings_px
from glue_spherex.plugin.cutouts.measured_row import MeasuredRow
from glue_spherex.plugin.cutouts.reading import CutoutRequest, CutoutSource, frame_reach_px

NAN = float("nan")


@pytest.fixture(scope="module")
def field(simulated):
    return simulated("field", images=3, size=180, detectors=(1, 3), calibration=False)


@pytest.fixture
def archive(field, loopback):
    """An archive that has the images of the field as QR2."""
    archive = loopback()
    archive.search = SearchServices().join(archive)
    for path in field.images:
        archive.search.add_image(archive, archive.add_image(path))
    return archive


def settings_of(archive, **values):
    return ArchiveSettings.at(archive.url, backoff_s=0.01, attempts=2, patience_s=0.1, **values)


@pytest.fixture
def cutouts(archive):
    return ArchiveCutouts(settings_of(archive))


def row_of(path, **changes):
    """A row of IRSA's: identifiers as the header tells them, a position 4 pixels from the middle of the file."""
    with fits.open(path) as hdus:
        header = hdus["IMAGE"].header
        ny, nx = hdus["IMAGE"].data.shape
    ra, dec = WCS(header).all_pix2world(nx / 2 + 4, ny / 2 - 4, 0)
    obsid, detector = header["OBSID"], header["DETECTOR"]
    week, slew, block, part = obsid.split("_")
    number = f"{week[:4]}{week[5:]}{slew[0]}{ord(slew[1]) - 64:02d}{block}{part}{detector}"
    row = MeasuredRow(
        0, float(ra), float(dec), f"ivo://irsa.ipac/spherex_qr2?{obsid}/D{detector}", int(number), detector,
        1.5, (header["MJD-BEG"] + header["MJD-END"]) / 2, 100.0, 1.0, 0.2, 0,
    )  # fmt: skip
    return replace(row, **changes)


def check_pixels(view, path):
    """A view shows the pixels that the archive's file has at this place of the detector."""
    with fits.open(path) as hdus:
        header = hdus["IMAGE"].header
        x, y = view.x0_det + round(header["CRPIX1A"]) - 1, view.y0_det + round(header["CRPIX2A"]) - 1
        box = slice(y, y + view.shape[0]), slice(x, x + view.shape[1])
        np.testing.assert_array_equal(view.image, hdus["IMAGE"].data[box])
        np.testing.assert_array_equal(view.flags, hdus["FLAGS"].data[box])


# -- what is fetched ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{}, {"lvf_id": 0, "det_id": 0, "mjd": NAN}, {"did": "", "det_id": 0}, {"did": "", "data_collection": "qr2_deep"}],
)
def test_a_row_is_found_by_whichever_identifier_it_has(field, cutouts, changes):
    row = row_of(field.images[1], **changes)
    request = CutoutRequest(row, ())
    missing = CutoutSource()(request)
    assert missing.to_fetch
    assert "no folder with images is known" in missing.problem
    cutouts.fetch(row)
    view = CutoutSource()(request)
    assert not view.to_fetch
    assert view.note == ""
    check_pixels(view, field.images[1])
    assert min(view.shape) == 2 * (11 + 1) + 1  # all that is read for 1.2 arcmin: 11 pixels and the one in the middle


def test_nothing_is_asked_twice(field, archive, cutouts):
    rows = [row_of(path) for path in field.images]
    for row in rows:
        cutouts.fetch(row)
    searches = [seen for seen in archive.requests if seen.path == "/SIA"]
    assert len(searches) == 2  # the wide survey and the deep fields of this release, once for all
    assert {query.split("COLLECTION=")[1].split("&")[0] for query in (seen.query for seen in searches)} == {
        "spherex_qr2", "spherex_qr2_deep",
    }  # fmt: skip
    archive.forget()
    for row in rows:
        cutouts.fetch(row)
    assert archive.requests == []
    archive.stop()
    for row in rows:  # as another program started later, without a network
        assert ArchiveCutouts(settings_of(archive)).fetch(row).exists()
        assert CutoutSource()(CutoutRequest(row, ())).image is not None
    assert CutoutStore().pins() == {}


def test_a_larger_frame_needs_a_wider_cutout(field, cutouts):
    row = row_of(field.images[0])
    small = cutouts.fetch(row)
    request = CutoutRequest(row, (), 8.0)
    part = CutoutSource()(request)
    assert part.to_fetch  # what is here does not fill the frame
    assert part.shape == (41, 41)
    wide = cutouts.fetch(row, 8.0)
    assert wide != small
    whole = CutoutSource()(request)
    assert not whole.to_fetch
    check_pixels(whole, field.images[0])
    assert surroundings_px(row, kept_cutout(row, frame_reach_px(8.0))) >= 39
    assert kept_cutout(row, 6).path == str(small)  # the smallest one that will do
    cutouts.fetch(row, 30.0)
    assert not CutoutSource()(CutoutRequest(row, (), 30.0)).to_fetch  # the file of the archive ends there


def test_the_result_of_the_archives_own_folder_comes_before_the_store(field, cutouts, tmp_path):
    row = row_of(field.images[0])
    cutouts.fetch(row)
    view = CutoutSource()(CutoutRequest(row, (str(field.folder / "images"),)))
    assert view.path == str(field.images[0])


def test_where_a_result_looks_for_its_images(made_spectrum, tmp_path):
    """In the folder beside its files; the store, which is large, is looked into without being searched."""
    result = tmp_path / "result"
    for folder in ("images", "spectra"):
        (result / folder).mkdir(parents=True)
    table = made_spectrum()
    table.meta["glue_spherex"]["image_folders"] = [str(CutoutStore().images), "/gone"]
    for path in (result / "spectra.vot", result / "spectra" / "star.vot"):
        write_spectra(table, path)
        assert image_folders(load_data(str(path))) == ["/gone"]  # any folder may have one that is called images
    (result / "settings.json").write_text("{}")
    for path in (result / "spectra.vot", result / "spectra" / "star.vot"):
        assert image_folders(load_data(str(path))) == ["/gone", str(result / "images")]


def test_a_spectrum_measured_on_the_archive_is_shown_on_the_same_gain(simulated, loopback, tmp_path, made_spectrum):
    """Images of QR2 are brought to the gain of QR3 for fluxes that are so; IRSA's are shown as they are."""
    field = simulated("field", images=1, size=60, detectors=(3,), flux_correction=True)
    archive = loopback()
    services = SearchServices().join(archive)
    services.add_image(archive, archive.add_image(field.images[0]))
    row = row_of(field.images[0])
    ArchiveCutouts(settings_of(archive)).fetch(row)
    plain = CutoutSource()(CutoutRequest(row, ()))
    check_pixels(plain, field.images[0])
    data = load_data(str(write(made_spectrum(), tmp_path / "spectra.vot")))
    assert calibration_of_fetched(data) == ""  # there is none yet
    CutoutStore().calibrations.mkdir(parents=True)
    shutil.copytree(field.calibration, CutoutStore().calibration("qr2"))
    corrected = CutoutSource()(CutoutRequest(row, (), of_fetched=calibration_of_fetched(data)))
    (path,) = field.calibration.glob("l3_flux_corrections*")
    with fits.open(path) as hdus:
        (plane,) = [hdu.data for hdu in hdus if hdu.data is not None and hdu.data.shape == (2040, 2040)]
    y, x = plain.y0_det, plain.x0_det
    factor = plane[y : y + plain.shape[0], x : x + plain.shape[1]]
    assert np.abs(factor - 1).max() > 1e-3
    np.testing.assert_allclose(corrected.image, plain.image * factor, rtol=1e-5)
    data.meta.clear()
    assert calibration_of_fetched(data) == ""


def write(table, path):
    write_spectra(table, path)
    return path


# -- what cannot be had ------------------------------------------------------------------------------------------------


def test_an_image_that_the_archive_does_not_have(field, archive, cutouts):
    row = row_of(field.images[0])
    archive.search.rows = [row for row in archive.search.rows if "D1" not in row["obs_publisher_did"]]
    with pytest.raises(NothingThere, match="the archive has no image of this exposure and detector there"):
        cutouts.fetch(row)
    archive.forget()
    with pytest.raises(NothingThere):
        cutouts.fetch(row)
    assert archive.requests == []  # it was asked a moment ago


def test_another_release(field, archive, cutouts):
    row = row_of(field.images[0])
    archive.search.rows.clear()
    archive.search.add_image(archive, archive.add_image(field.images[0], "qr3"), "spherex_qr3")
    with pytest.raises(OtherRelease, match="this exposure as QR3 only; it was measured on QR2") as raised:
        cutouts.fetch(row)
    assert raised.value.release == "qr3"
    cutouts.fetch(row, other_release=True)
    assert "qr3" in kept_cutout(row).path


def test_the_measured_release_comes_first(field, archive, cutouts):
    row = row_of(field.images[0])
    archive.search.add_image(archive, archive.add_image(field.images[0], "qr3"), "spherex_qr3")
    assert f"{os.sep}qr2{os.sep}" in str(cutouts.fetch(row))


def test_no_network(field, archive, cutouts):
    archive.stop()
    row = row_of(field.images[0])
    with pytest.raises(ArchiveUnreachable) as raised:
        cutouts.fetch(row)
    text = f"{row.image_name}: the archive cannot be reached; is this computer connected?"
    assert reason_of(raised.value, row) == text


def test_a_file_that_was_replaced_since_the_search(field, archive, cutouts):
    """The archive made a new version of the file: what it said before leads to one that is gone."""
    row = row_of(field.images[0])
    with pytest.raises(ArchiveStopped):
        cutouts.fetch(row, cancelled=lambda: any("level2" in seen.path for seen in archive.requests))
    entry = next(e for e in archive.search.rows if e["obs_publisher_did"] == row.did)
    old = entry["access_url"].removeprefix(f"{archive.url}/ibe/data/spherex/")
    new = old.replace("l2b-v21", "l2b-v22")
    content = archive.files.pop(f"/ibe/data/spherex/{old}")
    del archive.files[f"/nasa-irsa-spherex/{old}"]
    archive.add(new, content)
    entry |= {name: entry[name].replace(old, new) for name in ("access_url", "cloud_access")}
    assert "l2b-v22" in str(cutouts.fetch(row))


def test_a_full_disk_leaves_nothing(field, cutouts, monkeypatch):
    def full(fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    row = row_of(field.images[0])
    monkeypatch.setattr("glue_spherex.images.archive.cutout_store.os.fsync", full)
    with pytest.raises(ArchiveError, match="the disk is full; make room"):
        cutouts.fetch(row)
    assert kept_cutout(row) is None
    assert not list(CutoutStore().folder.rglob("*.part*"))
    monkeypatch.undo()


def test_identifiers_that_are_paths(field):
    row = row_of(field.images[0], did="ivo://irsa.ipac/spherex_qr2?../D3", lvf_id=0)
    assert kept_cutout(row) is None
    assert not CutoutSource()(CutoutRequest(row, ())).to_fetch


def test_sentences_name_the_image_once_and_no_long_address(field):
    row = row_of(field.images[0])
    text = reason_of(ArchiveError("http://a.org:80/x/level2_y.fits: there is no such file (status 404)."), row)
    assert text == f"{row.image_name}: a.org: there is no such file (status 404)."
    assert reason_of(ArchiveError(f"{row.image_name}: gone."), row) == f"{row.image_name}: gone."
    assert "KeyError" in reason_of(KeyError("a"), row)


# -- several at once ---------------------------------------------------------------------------------------------------


@pytest.fixture
def delivered():
    return []


@pytest.fixture
def fetcher(cutouts, delivered):
    fetcher = BackgroundFetcher(lambda *given: delivered.append(given), cutouts)
    yield fetcher
    fetcher.close()


def test_in_the_background(field, fetcher, delivered, wait_for):
    requests = [CutoutRequest(row_of(path), ()) for path in field.images]
    for request in (*requests, requests[0]):
        fetcher.fetch(request)
    wait_for(lambda: len(delivered) == 3)
    assert {request.key for request, _ in delivered} == {request.key for request in requests}
    assert {outcome for _, outcome in delivered} == {FetchOutcome()}
    wait_for(lambda: not fetcher.alive)
    assert fetcher.under_way == ()


def test_cancelled_in_the_middle(field, archive, fetcher, delivered, wait_for):
    """What is cancelled is over at once, whatever the network does; nothing of it is kept."""
    archive.bytes_per_s = 50_000
    requests = [CutoutRequest(row_of(path), ()) for path in field.images]
    for request in requests:
        fetcher.fetch(request)
    wait_for(lambda: any("level2" in seen.path for seen in archive.requests))
    fetcher.cancel(keep={requests[1].key})
    assert fetcher.under_way == (requests[1].key,)
    archive.bytes_per_s = None
    wait_for(lambda: not fetcher.alive)
    assert [request.key for request, _ in delivered] == [requests[1].key]
    assert kept_cutout(requests[0].row) is None
    assert kept_cutout(requests[1].row) is not None
    assert not list(CutoutStore().folder.rglob("*.part*"))
    fetcher.fetch(requests[0])
    wait_for(lambda: len(delivered) == 2)
    assert kept_cutout(requests[0].row) is not None


def test_a_search_that_is_given_up_holds_up_no_other_one(field, archive, delivered, monkeypatch, wait_for):
    """The service keeps silent about the first row until the end of the test; the second one is fetched meanwhile."""
    monkeypatch.setitem(_PATIENCE, "search_s", 600.0)
    cutouts = ArchiveCutouts(settings_of(archive, search_s=600.0))
    fetcher = BackgroundFetcher(lambda *given: delivered.append(given), cutouts)
    archive.fault("/SIA", "silence", times=1)
    first, second = (CutoutRequest(row_of(path), ()) for path in field.images[:2])
    fetcher.fetch(first)
    wait_for(lambda: archive.requests)
    fetcher.cancel()
    fetcher.fetch(second)
    wait_for(lambda: delivered)
    assert delivered == [(second, FetchOutcome())]
    assert kept_cutout(first.row) is None
    fetcher.close()


def test_after_closing_nothing_is_delivered(field, archive, fetcher, delivered, wait_for):
    fetcher.fetch(CutoutRequest(row_of(field.images[0]), ()))
    fetcher.close()
    fetcher.fetch(CutoutRequest(row_of(field.images[1]), ()))
    wait_for(lambda: not fetcher.alive)
    assert delivered == []


def test_what_a_frame_offers(field, archive, cutouts, wait_for):
    ended = []
    state = FetchState(None, BackgroundFetcher(lambda *given: ended.append(given), cutouts))
    request = CutoutRequest(row_of(field.images[0]), ())
    assert state.offer(request, False) == Offer()
    assert state.offer(request, True) == Offer("Fetch")
    archive.fault("/level2/", "status", status=500)
    state.fetch([request])
    assert state.offer(request, True) == Offer("Cancel", "Fetching from the archive…", busy=True)
    assert state.progress == "Fetching from the archive: 0 of 1 cutouts are here."
    wait_for(lambda: ended)
    state.ended(*ended.pop())
    offer = state.offer(request, True)
    assert offer.label == "Try again"
    assert "the archive has a fault (status 500)" in offer.status
    assert not offer.busy
    state.fetch_untried([request])
    assert not state.busy
    archive.faults.clear()
    state.fetch([request])
    wait_for(lambda: ended)
    state.ended(*ended.pop())
    assert state.offer(request, False) == Offer()
    assert state.progress == ""
    state.close()


def test_what_failed_is_not_here(field):
    """The line at the foot counts what came and what did not, each by itself, and anew for the next cutouts."""

    class Fetcher:
        def fetch(self, request, other_release):
            pass

    state = FetchState(None, Fetcher())
    requests = [CutoutRequest(replace(row_of(path), row=k), ()) for k, path in enumerate(field.images)]
    state.fetch(requests)
    state.ended(requests[0], FetchOutcome("it is gone."))
    state.ended(requests[1], FetchOutcome())
    assert state.progress == "Fetching from the archive: 1 of 3 cutouts are here, 1 could not be had."
    state.ended(requests[2], FetchOutcome("it is gone."))
    assert state.progress == ""
    state.fetch(requests[:1])
    assert state.progress == "Fetching from the archive: 0 of 1 cutouts are here."


def test_the_choice_is_remembered(tmp_path, monkeypatch):
    assert not remembered_choice()
    FetchState(None).choose(True)
    assert remembered_choice()
    assert FetchState(None).by_itself
    FetchState(None).choose(False)
    assert not FetchState(None).by_itself
    monkeypatch.setenv("GLUE_SPHEREX_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="file"):
        FetchState(None).choose(True)
