"""What the network and the archive may do wrong with files: nothing wrong is kept, the reason is a sentence."""

import errno
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from archived import archive_image, client_of
from astropy.io import fits

from glue_spherex import read_targets
from glue_spherex.images import ImageFileError, SpectralImage, read_record
from glue_spherex.images.archive import fetch as fetching
from glue_spherex.images.archive.boxes import PixelBox
from glue_spherex.images.archive.cutout_store import CutoutStore
from glue_spherex.images.archive.errors import ArchiveError, ArchiveStopped
from glue_spherex.images.archive.eviction import check_file
from glue_spherex.images.archive.fetch import fetch_all, fetch_cutout, fetch_cutouts

BOX = PixelBox(1000, 1041, 700, 741)


@pytest.fixture
def field(full_frames):
    return full_frames("qr2")


@pytest.fixture
def known(field, loopback, tmp_path):
    """An archive with two images, the first of which has been fetched: client, store, archive, images."""
    archive = loopback()
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    images = [archive_image(path, archive, archive.add_image(path)) for path in field.images]
    fetch_cutout(images[0], BOX, store, client)
    archive.forget()
    return client, store, archive, images


def kept(store):
    """Files in the store that any reader would find."""
    return sorted(p.name for p in store.current.rglob("*.fits") if p.parent != store.psfs and "_x" in p.name)


HALF_A_FILE = b"SIMPLE  =                    T" + b" " * 9000


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("page", {}), ("body", {"content": HALF_A_FILE}), ("short", {"after": 9000}), ("cut", {"after": 9000}),
        ("silence", {}), ("status", {"status": 404}), ("status", {"status": 403}), ("status", {"status": 503}),
        ("redirect", {"location": "http://192.0.2.1/x.fits"}), ("redirect", {"location": "http://localhost:1/x.fits"}),
        ("redirect", {"location": "file:///etc/passwd"}),
    ],
)  # fmt: skip
def test_nothing_wrong_is_kept(known, kind, options):
    client, store, archive, images = known
    before = kept(store)
    archive.fault(images[1].obsid, kind, **options)
    asking = client_of(archive, timeout_s=0.3) if kind == "silence" else client  # all its requests meet silence
    with pytest.raises(ArchiveError, match=images[1].obsid):
        fetch_cutout(images[1], BOX, store, asking)
    assert kept(store) == before
    assert not list(store.current.rglob("*.part*"))
    archive.faults.clear()
    check_file(str(fetch_cutout(images[1], BOX, store, client)))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("status", {"status": 503}), ("status", {"status": 429, "retry_after": 0}), ("cut", {"after": 9000}),
        ("short", {"after": 9000}), ("whole", {}), ("page", {}), ("status", {"status": 404}), ("lie", {}),
        ("shifted", {}),
    ],
)  # fmt: skip
def test_a_fault_that_passes_does_no_harm(known, field, kind, options):
    """Another attempt, one range at a time, or the bucket."""
    client, store, archive, images = known
    archive.fault("/ibe/", kind, times=1, **options)
    check_right(fetch_cutout(images[1], BOX, store, client), field.images[1])


@pytest.mark.parametrize("kind", ["long", "shifted", "lie", "whole"])
def test_wrong_ranges_do_no_harm(known, field, kind):
    """Whatever the server does with ranges, the cutout service remains."""
    client, store, archive, images = known
    archive.fault(images[1].obsid, kind, after=100)
    check_right(fetch_cutout(images[1], BOX, store, client), field.images[1])


def check_right(path, whole_path):
    """A file of the box holds the pixels of the whole image."""
    check_file(str(path))
    with fits.open(path, checksum=True) as cutout, fits.open(whole_path) as whole:
        for name in ("IMAGE", "FLAGS", "VARIANCE", "ZODI"):
            np.testing.assert_array_equal(cutout[name].data, whole[name].data[700:741, 1000:1041])


def test_without_ranges_the_cutout_service_is_asked(known, field):
    client, store, archive, images = known
    for side in ("ibe/data/spherex/qr2/level2", "nasa-irsa"):
        archive.fault(side, "whole")
    path = fetch_cutout(images[1], BOX, store, client)
    assert "center=" in archive.requests[-1].query
    check_right(path, field.images[1])
    archive.forget()
    assert fetch_cutout(images[1], BOX, store, client) == path
    assert archive.requests == []


def test_an_archive_without_ranges_gives_targets_as_well(field, loopback, tmp_path):
    archive = loopback()
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    image = archive_image(field.images[1], archive, archive.add_image(field.images[1]))
    sources = read_targets(field.targets).sources
    parts = fetching.fetch_cutouts(image, sources, store, client)
    sources = [sources[k] for cutout in parts[:2] for k in cutout.targets]
    parts = fetching.fetch_cutouts(image, sources, store, client)
    archive.fault(".fits", "whole")
    whole = fetching.fetch_cutouts(image, sources, CutoutStore(tmp_path / "other"), client_of(archive))
    assert len(whole) == len(parts) > 0
    assert [(c.box, list(c.targets)) for c in whole] == [(c.box, list(c.targets)) for c in parts]


def test_another_image_under_a_name_is_refused(known, field):
    client, store, archive, images = known
    before = kept(store)
    for key in list(archive.files):
        archive.files[key] = field.images[0]
    with pytest.raises(ImageFileError, match="was asked for; it is not used"):
        fetch_cutout(images[1], BOX, store, client)
    assert kept(store) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"obsid": "../../../../etc"}, {"obsid": "2025W51_1A_0684_2/../../x"}, {"obsid": "2025W51_1A_0684_2" * 50},
        {"file_version": "l2b-v21-2025-354/../.."}, {"file_version": "x" * 10_000}, {"release": "../qr2"},
        {"release": "qr2\0"}, {"detector": 7},
    ],
)  # fmt: skip
def test_hostile_names_are_refused(known, changes):
    client, store, _, images = known
    with pytest.raises(ImageFileError, match=r"refused|does not exist"):
        fetch_cutout(images[1]._replace(**changes), BOX, store, client)


def test_a_box_that_is_not_on_the_detector():
    for box in ((-1, 5, 0, 5), (0, 0, 0, 5), (0, 5, 2030, 2041)):
        with pytest.raises(ImageFileError, match="0 to 2040 is possible"):
            PixelBox(*box)


def test_a_full_disk_leaves_nothing(known, monkeypatch):
    client, store, _, images = known
    before = kept(store)

    def full(fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("glue_spherex.images.archive.cutout_store.os.fsync", full)
    with pytest.raises(ArchiveError, match="the disk is full; make room, or run 'glue-spherex cache prune'"):
        fetch_cutout(images[1], BOX, store, client)
    monkeypatch.undo()
    assert kept(store) == before
    assert not [path for path in store.current.rglob("*") if ".part" in path.name]


def _write_and_die(folder, image, content):
    store = CutoutStore(folder)
    os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)
    store.put(image, BOX, content)


def test_a_process_that_is_killed_while_it_writes(known):
    _, store, _, images = known
    content = store.find(images[0], BOX).read_bytes()
    other = CutoutStore(store.folder.parent / "killed")
    process = multiprocessing.get_context("spawn").Process(
        target=_write_and_die, args=(str(other.folder), images[0], content)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    left = [path for path in other.current.rglob("*") if ".part" in path.name]
    assert len(left) == 1
    assert other.find(images[0], BOX) is None
    assert other.status().cutouts == 0
    check_file(str(other.put(images[0], BOX, content)))
    os.utime(left[0], (1, 1))  # long ago
    other.prune(10**12)
    assert not left[0].exists()
    check_file(str(other.find(images[0], BOX)))


def test_one_image_that_fails_leaves_the_others(known, field):
    client, store, archive, images = known
    source = read_targets(field.targets).sources[0]
    archive.fault(images[1].obsid, "page")
    bad = images[0]._replace(access_url="https://example.org/x.fits", cloud="", file_version="l2b-v99-2025-001")
    got = fetch_all([(i, [source], 20) for i in (*images, bad)], store, client)
    found = {number: (cutouts, reason) for number, cutouts, reason in got if number is not None}
    assert set(found) == {0, 1, 2}
    assert found[0][1] == ""
    assert "not a FITS file" in found[1][1]
    assert "does not belong to the archive" in found[2][1]


def test_cancelling_ends_the_transfer(known):
    client, store, archive, images = known
    archive.fault(images[1].obsid, "silence")
    with pytest.raises(ArchiveStopped):
        fetch_cutout(images[1], BOX, store, client, cancelled=lambda: True)
    assert list(fetch_all([(images[1], [], 20)], store, client, cancelled=lambda: True)) == []


def test_cancelling_does_not_wait_for_the_first_image_of_a_detector(known, tmp_path):
    """Another thread waits for it; the archive is silent."""
    client, _, archive, images = known
    archive.fault(images[1].obsid, "silence")
    store = CutoutStore(tmp_path / "new")
    stop = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(fetch_cutout, images[1], BOX, store, client, cancelled=stop.is_set)
        while not archive.requests:
            assert not first.done()
        with pytest.raises(ArchiveStopped):
            fetch_cutout(images[1], BOX, store, client, cancelled=lambda: True)
        assert not first.done()
        stop.set()
        with pytest.raises(ArchiveStopped):
            first.result(60)


def test_offline_the_store_serves(known):
    _, store, archive, images = known
    archive.stop()
    assert fetch_cutout(images[0], PixelBox(1005, 1035, 705, 735), store, None).exists()
    with pytest.raises(ArchiveError, match="and the archive is not asked"):
        fetch_cutout(images[1], BOX, store, None)


def test_what_is_kept_waits_for_no_other_detector(known, field):
    """It is given by the thread that asks for it, and nothing is asked of the archive."""
    client, store, archive, images = known
    source = read_targets(field.targets).sources[0]
    path = Path(fetch_cutouts(images[0], [source], store, client, 20)[0].path)
    slow = images[0]._replace(detector=images[0].detector % 6 + 1)
    store.image_folder(slow).mkdir(parents=True)
    name = path.name.replace(f"D{images[0].detector}", f"D{slow.detector}")
    (store.image_folder(slow) / name).write_bytes(path.read_bytes())
    archive.forget()
    maps_are_there, prepared = threading.Event(), []

    def prepare(image, stop):
        assert image is not slow or maps_are_there.wait(60)
        prepared.append((image.detector, threading.current_thread() is threading.main_thread()))

    found = {}
    wanted = [(image, [source], 20) for image in (slow, slow, *[images[0]] * 3)]
    for number, cutouts, reason in fetch_all(wanted, store, client, prepare=prepare):
        if number is not None:
            found[number] = len(cutouts), reason
            if set(found) == {2, 3, 4}:
                maps_are_there.set()
    assert found == dict.fromkeys(range(5), (1, ""))
    assert sorted(prepared) == sorted([(image.detector, here) for image, here in (
        (slow, False), (slow, True), (images[0], False), (images[0], True), (images[0], True))])  # fmt: skip
    assert archive.requests == []


def test_other_psfs_behind_the_same_header_are_noticed(known, field):
    """A file of the detector whose PSFs are others is given its own."""
    client, store, archive, images = known
    record = read_record(field.images[1])
    content = bytearray(field.images[1].read_bytes())
    size = record.zones.step * len(record.zones.x)
    start = record.psf_offset
    content[start : start + size] = content[start + 4 : start + size] + content[start : start + 4]
    for key in list(archive.files):
        if images[1].obsid in key:
            archive.files[key] = bytes(content)
    path = fetch_cutout(images[1], BOX, store, client)
    assert len(list(store.psfs.iterdir())) == 2
    (path.parent / "whole.fits").write_bytes(bytes(content))
    with SpectralImage.open(path) as cutout, SpectralImage.open(path.parent / "whole.fits") as whole:
        assert (cutout.psf_at(1020, 720).kernel == whole.psf_at(1020, 720).kernel).all()
