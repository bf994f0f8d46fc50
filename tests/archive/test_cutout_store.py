import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from archived import archive_image

from glue_spherex.images import FolderCollection, ImageFileError, read_record
from glue_spherex.images.archive import eviction, under_way
from glue_spherex.images.archive.boxes import PixelBox
from glue_spherex.images.archive.cutout_store import NOTED_AFTER_S, STORE_VERSION, CutoutStore, copy_cutouts
from glue_spherex.images.archive.errors import ArchiveError
from glue_spherex.images.archive.fits_cards import check_sums


class Archive:
    ibe = "http://127.0.0.1:1"


@pytest.fixture
def cutouts(simulated):
    """(ArchiveImage, PixelBox, bytes) of four files."""
    field = simulated("field", images=4, size=20, detectors=(2, 3), calibration=False)
    found = []
    for path in field.images:
        record = read_record(path)
        box = PixelBox(record.x0, record.x0 + record.nx, record.y0, record.y0 + record.ny)
        found.append((archive_image(path, Archive, "key"), box, path.read_bytes()))
    return found


@pytest.fixture
def store(tmp_path, cutouts):
    """A store with all of them, the first one used longest ago."""
    store = CutoutStore(tmp_path / "store")
    for age, (image, box, content) in enumerate(cutouts):
        path = store.put(image, box, content)
        os.utime(path, (time.time() - 100_000 + 10 * age,) * 2)
    return store


def held(store, cutouts):
    return [store.find(image, box) is not None for image, box, _ in cutouts]


def test_the_default_folder_is_among_the_users_data(monkeypatch, tmp_path):
    assert CutoutStore().folder.name == "cutouts"
    assert os.environ["GLUE_SPHEREX_HOME"] in str(CutoutStore().folder)
    monkeypatch.delenv("GLUE_SPHEREX_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert CutoutStore().folder.is_relative_to(tmp_path)


def test_a_wider_cutout_serves_a_narrower_request(store, cutouts):
    image, box, _ = cutouts[0]
    inner = PixelBox(box.x_lo + 1, box.x_hi - 1, box.y_lo + 1, box.y_hi - 1)
    assert store.find(image, inner) == store.find(image, box)
    if box.x_hi < 2040:
        assert store.find(image, PixelBox(box.x_lo, box.x_hi + 1, box.y_lo, box.y_hi)) is None
    assert store.find(image._replace(file_version="l2b-v99-2026-001"), box) is None
    assert store.find(image._replace(detector=6), box) is None
    assert store.find(image._replace(deep=True), box) is None


def test_other_programs_read_the_files(store, cutouts):
    images = FolderCollection(store.folder)
    assert len(images.records) == 4
    assert images.failures == []


def test_the_time_of_use_does_not_change_the_file(store, cutouts):
    """Else the image index would read its headers again."""
    path = store.find(*cutouts[0][:2])
    before = path.stat()
    assert store.find(*cutouts[0][:2]) == path
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_atime >= before.st_atime > before.st_mtime


def test_what_was_used_least_recently_goes(store, cutouts):
    size = store.status().cutout_bytes
    store.find(*cutouts[0][:2])  # used now
    removed, freed = store.prune(size - 2 * len(cutouts[1][2]))
    assert (removed, freed) == (2, len(cutouts[1][2]) + len(cutouts[2][2]))
    assert held(store, cutouts) == [True, False, False, True]
    assert store.prune(size) == (0, 0)


def test_what_a_kept_result_refers_to_stays(store, cutouts, tmp_path):
    result = tmp_path / "result"
    result.mkdir()
    paths = [store.cutouts(image)[0][1] for image, _, _ in cutouts]
    assert store.pin(result, [paths[1], tmp_path / "elsewhere.fits"]) == []
    assert store.pin(result, [paths[2]]) == []
    assert store.prune(0)[0] == 2
    assert held(store, cutouts) == [False, True, True, False]
    assert store.clear()[0] == 0
    assert store.pins() == {str(result): sorted(str(path) for path in paths[1:3])}
    assert store.pin(result, [paths[0]]) == [str(paths[0])]  # it says what is gone
    status = store.status()
    assert (status.pinned, status.results, status.missing_results) == (2, 1, [])
    result.rmdir()
    assert store.status().missing_results == [str(result)]
    store.unpin(result)
    os.utime(paths[1], (1, 1))
    os.utime(paths[2], (1, 1))
    assert store.prune(0)[0] == 2
    assert store.status().cutouts == 0


def test_what_is_taken_into_use_meanwhile_stays(store, cutouts, monkeypatch):
    """Between the look at all files and the removal of one."""
    path = store.cutouts(cutouts[0][0])[0][1]

    def pinned(store):  # after the look
        assert store.use(path)
        return set()

    monkeypatch.setattr(eviction, "_pinned", pinned)
    assert store.prune(0)[0] == 3
    assert held(store, cutouts) == [True, False, False, False]


def test_a_use_is_noted_if_the_last_one_is_some_time_ago(store, cutouts):
    path, now = Path(store.cutouts(cutouts[0][0])[0][1]), time.time()
    for ago_s, noted in ((NOTED_AFTER_S / 2, False), (NOTED_AFTER_S * 2, True)):
        os.utime(path, (now - ago_s, now - 100_000))
        before = path.stat().st_atime
        assert store.use(path)
        assert (path.stat().st_atime > before) == noted


@contextmanager
def run(store, hours):
    """A run that is under way, and began so many hours ago."""
    mark = under_way.begin(store)
    os.utime(mark, (time.time() - 3600 * hours,) * 2)
    yield
    os.close(mark)


def used(store, cutouts, *hours_ago):
    """Let the cutouts be used last so many hours ago."""
    for (image, _, _), hours in zip(cutouts, hours_ago, strict=True):
        os.utime(store.cutouts(image)[0][1], (time.time() - 3600 * hours,) * 2)


def test_what_a_run_has_used_stays_until_it_ends(store, cutouts):
    used(store, cutouts, 9, 7, 3, 2)
    with run(store, 8):
        pass
    with run(store, 5):
        with run(store, 4):
            assert store.prune(0)[0] == 2
        assert held(store, cutouts) == [False, False, True, True]
        used(store, cutouts[2:], 4.5, 2)
        assert store.prune(0)[0] == 0
    assert store.prune(0)[0] == 2


def test_a_run_that_was_killed_keeps_nothing(store, cutouts):
    used(store, cutouts, 9, 7, 3, 2)
    code = (
        "import os, sys; from glue_spherex.images.archive import CutoutStore, under_way; "
        "under_way.begin(CutoutStore(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(store.folder)]).returncode == -9
    (mark,) = (store.current / "under-way").iterdir()
    os.utime(mark, (time.time() - 3600 * 12,) * 2)
    assert store.prune(0)[0] == 4
    assert not mark.exists()


def test_clear_leaves_what_may_be_in_use(store, cutouts):
    product = store.write(store.calibration("qr2") / "solid_angle.fits", b"old")
    nothing = store.write(store.calibration("qr2") / ".no_flux_correction_D3", b"")
    os.utime(product, (1, 1))
    used(store, cutouts, 9, 3, 0.5, 9)
    with run(store, 5):
        assert store.clear() == (2, len(cutouts[0][2]) + len(cutouts[3][2]), 3)
    assert held(store, cutouts) == [False, True, True, False]
    assert product.exists()  # the run may need it for its next image
    used(store, cutouts[1:3], 3, 0.5)
    assert store.clear() == (2, len(cutouts[1][2]) + 3, 1)
    assert held(store, cutouts) == [False, False, True, False]
    assert not product.exists()
    assert not nothing.exists()
    assert store.clear(everything=True) == (1, len(cutouts[2][2]), 0)


def test_results_that_are_gone_are_forgotten_when_that_is_asked_for(store, cutouts, tmp_path):
    there, gone = tmp_path / "there", tmp_path / "gone"
    there.mkdir()
    paths = [store.cutouts(image)[0][1] for image, _, _ in cutouts]
    store.pin(there, paths[:1])
    store.pin(gone, paths[:3])
    os.utime(paths[2], (time.time(), 1))  # used just now
    assert store.prune(10**9) == (0, 0)
    assert store.status().missing_results == [str(gone)]
    assert store.forget_missing_results() == ([str(gone)], 1, len(cutouts[1][2]))
    assert held(store, cutouts) == [True, False, True, True]
    assert list(store.pins()) == [str(there)]
    assert store.forget_missing_results() == ([], 0, 0)


def test_the_limit_is_kept_without_being_asked(tmp_path, cutouts):
    store = CutoutStore(tmp_path / "store", limit_bytes=2 * len(cutouts[0][2]))
    for image, box, content in cutouts:
        path = store.put(image, box, content)
        os.utime(path, (time.time() - 100_000,) * 2)
    assert store.status().cutouts <= 3  # the limit, and the one written last


def test_damaged_files_are_found_and_removed(store, cutouts):
    paths = [Path(store.cutouts(image)[0][1]) for image, _, _ in cutouts]
    paths[0].write_bytes(paths[0].read_bytes()[:-2880])
    paths[1].write_bytes(paths[2].read_bytes())
    paths[3].write_bytes(b"")
    assert store.find(*cutouts[3][:2]) is None  # not even a header
    checked, damaged = store.verify()
    assert checked == 4
    assert {path for path, _ in damaged} == {str(paths[k]) for k in (0, 1, 3)}
    assert "is truncated" in dict(damaged)[str(paths[0])]
    assert "not what its name says" in dict(damaged)[str(paths[1])]
    assert "is empty" in dict(damaged)[str(paths[3])]
    assert held(store, cutouts) == [False, False, True, False]
    assert store.verify() == (1, [])


def test_a_changed_bit_is_found_by_the_checksums(tmp_path):
    from glue_spherex.images.archive.fits_cards import card, hdu_bytes

    cards = [card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", 0), card("FLUX", 1.5e-7), card("NAME", "O'Neil")]
    data = [card("XTENSION", "IMAGE"), card("BITPIX", 8), card("NAXIS", 1), card("NAXIS1", 9)]
    data += [card("PCOUNT", 0), card("GCOUNT", 1)]
    whole = hdu_bytes(cards, b"") + hdu_bytes(data, b"123456789")
    path = tmp_path / "file.fits"
    path.write_bytes(whole)
    check_sums(str(path))
    from astropy.io import fits

    with fits.open(path, checksum=True) as hdus:  # another opinion: a wrong sum is a warning, which is an error here
        assert (hdus[0].header["FLUX"], hdus[0].header["NAME"]) == (1.5e-7, "O'Neil")
        assert bytes(hdus[1].data) == b"123456789"
    for place in (250, 2880 * 2 + 4):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ImageFileError, match="checksum"):
            check_sums(str(path))


def test_checksums_of_headers_that_hold_many_zeros(tmp_path):
    """Only the value of CHECKSUM is written, whatever else looks like one that is still to be written."""
    from astropy.io import fits

    from glue_spherex.images.archive.fits_cards import card, hdu_bytes

    zeros = "OFFSET  =   0.0000000000000000E+00 / in IMAGE".ljust(80)
    quoted = "HISTORY CHECKSUM= '0000000000000000'   / HDU checksum".ljust(80)
    cards = [card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", 0), zeros, quoted]
    path = tmp_path / "file.fits"
    path.write_bytes(hdu_bytes(cards, b""))
    check_sums(str(path))
    with fits.open(path, checksum=True) as hdus:  # a wrong sum is a warning, which is an error here
        found = [card.image for card in hdus[0].header.cards]
    assert found[3:5] == [zeros, quoted]


def test_a_store_of_an_older_version_is_not_read(tmp_path, cutouts):
    image, box, content = cutouts[0]
    store = CutoutStore(tmp_path / "store")
    path = store.put(image, box, content)
    old = store.folder / f"v{STORE_VERSION - 1}"
    (store.current).rename(old)
    assert store.find(image, box) is None
    status = store.status()
    assert (status.cutouts, status.other_versions) == (0, {str(old): len(content)})
    assert store.put(image, box, content) == path
    store.prune(0)
    assert old.exists()
    store.clear()
    assert not old.exists()


def test_two_writers_and_a_cleaner_do_not_disturb_each_other(tmp_path, cutouts):
    failed = []

    def work(store):
        try:
            for _ in range(5):
                for image, box, content in cutouts:
                    store.put(image, box, content)
                    found = store.find(image, box)
                    if found is not None:
                        assert found.read_bytes() == content
        except (ImageFileError, OSError, AssertionError) as error:
            failed.append(error)

    stores = [CutoutStore(tmp_path / "store") for _ in range(3)]
    threads = [threading.Thread(target=work, args=(store,)) for store in stores[:2]]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        stores[2].prune(0)
        stores[2].pin(tmp_path / "result", [])
        stores[2].status()
    for thread in threads:
        thread.join()
    assert failed == []
    assert held(stores[2], cutouts) == [True] * 4


def test_files_that_vanish_while_they_are_looked_at(store, cutouts, monkeypatch):
    """Another process renames what it has written, and removes what was used least recently."""
    passing = [store.images / ".a1b2c3d4.part.fits", store.folder / "v0" / "image.fits"]
    for path in passing:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path, (0, 0))
    walk, stat = os.walk, os.stat

    def with_one_that_is_gone(folder):
        for parent, folders, names in walk(folder):
            yield parent, folders, [*names, ".b1b2c3d4.part.fits", "gone.fits"]

    def last_look(path, *args, **kwargs):
        status = stat(path, *args, **kwargs)
        if Path(path) in passing:
            os.unlink(path)
        return status

    before = store.status()
    monkeypatch.setattr(eviction.os, "walk", with_one_that_is_gone)
    monkeypatch.setattr(os, "stat", last_look)
    assert store.status() == before
    assert store.prune(before.cutout_bytes - 1)[0] == 1
    monkeypatch.setattr(os, "stat", stat)
    assert not any(path.exists() for path in passing)
    assert store.verify() == (3, [])
    assert held(store, cutouts) == [False, True, True, True]


def test_a_folder_that_may_not_be_written(tmp_path, cutouts):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match="cannot be written"):
        CutoutStore(tmp_path / "file" / "store").put(*cutouts[0])
    assert CutoutStore(tmp_path / "file" / "store").find(*cutouts[0][:2]) is None
    assert CutoutStore(tmp_path / "nowhere").status().cutouts == 0
    assert CutoutStore(tmp_path / "nowhere").verify() == (0, [])


def test_cutouts_travel_with_a_result(store, cutouts, tmp_path):
    paths = [store.cutouts(image)[0][1] for image, _, _ in cutouts]
    copies = copy_cutouts(paths, tmp_path / "job" / "images")
    assert copy_cutouts(paths, tmp_path / "job" / "images") == copies
    store.clear(everything=True)
    assert [copy.read_bytes() for copy in copies] == [content for _, _, content in cutouts]
    with pytest.raises(ArchiveError, match="cannot be written"):
        copy_cutouts([tmp_path / "missing.fits"], tmp_path / "job" / "images")
