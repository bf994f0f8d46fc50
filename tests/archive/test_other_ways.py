"""Servers that send whole files only, a file server that is down, and who waits for whom meanwhile."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from archived import archive_image, client_of
from loopback import BUCKET, Answer
from loopback_services import SearchServices

from glue_spherex import FolderCollection, Source, measure, read_targets
from glue_spherex.images import Astrometry, read_record
from glue_spherex.images.archive import ArchiveClient, IRSACollection
from glue_spherex.images.archive import fetch as fetching
from glue_spherex.images.archive.boxes import PixelBox
from glue_spherex.images.archive.cutout_store import CutoutStore
from glue_spherex.images.archive.errors import ArchiveError, ArchiveStopped
from glue_spherex.images.archive.fetch import fetch_all, fetch_cutout
from glue_spherex.images.archive.products import products
from glue_spherex.images.collection import match_images

BOXES = [PixelBox(x, x + 41, 700, 741) for x in range(1000, 1400, 60)]


@pytest.fixture
def field(full_frames):
    return full_frames("qr2")


@pytest.fixture
def archive(field, loopback):
    """An archive with two full frames and their calibration, which can list its bucket."""
    archive = loopback()
    archive.search = SearchServices().join(archive)
    archive.keys = archive.add_field(field)
    for key in archive.keys:
        archive.search.add_image(archive, key)
    return archive


@pytest.fixture
def images(field, archive):
    return [archive_image(*pair) for pair in zip(field.images, [archive] * 2, archive.keys, strict=True)]


def same(found, expected):
    found, expected = (table[np.lexsort((table["lvf_id"], table["source_id"]))] for table in (found, expected))
    assert np.isfinite(expected["flux"]).sum() >= 2
    return all(
        np.array_equal(found[name], expected[name], equal_nan=True) for name in ("flux", "flux_err", "wavelength")
    )


@pytest.fixture
def star(field):
    """A target that is on both images, and what local files give for it."""
    stars = [target for target in read_targets(field.targets).sources if target.shape is None]
    local = FolderCollection(field.images[0].parent, field.calibration)
    rows = measure(stars, local)
    chosen = stars[np.flatnonzero(np.bincount(rows["source_id"], np.isfinite(rows["flux"])) == 2)[0]]
    return chosen, measure([chosen], local)


def test_measured_without_ranges(archive, star, tmp_path):
    """Each image is one request, and each product; one is made in vain."""
    archive.fault(".fits", "whole")
    collection = IRSACollection(store=tmp_path / "store", client=client_of(archive))
    assert same(measure([star[0]], collection), star[1])
    assert collection.failures == []
    assert sum(bool(seen.range) for seen in archive.requests) == 1
    assert sum("center=" in seen.query for seen in archive.requests) == 2
    whole = [seen for seen in archive.requests if seen.path.endswith(".fits") and not seen.range and not seen.query]
    assert len(whole) == len({seen.path for seen in whole}) == 2


def test_ranges_are_asked_for_again_after_a_while(archive, images, tmp_path, monkeypatch):
    archive.fault(".fits", "whole")
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    asked = []
    for box in BOXES[:3]:
        archive.forget()
        fetch_cutout(images[0], box, store, client)
        asked.append(len(archive.requests))
    assert asked[1:] == [1, 1]
    archive.faults.clear()
    archive.forget()
    monkeypatch.setattr("glue_spherex.images.archive.habits._KNOWN", {})  # as if that was long ago
    fetch_cutout(images[0], BOXES[3], store, client)
    assert all(seen.range for seen in archive.requests)


def test_a_page_does_not_count_as_a_whole_file(archive, images, tmp_path):
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    fetch_cutout(images[0], BOXES[0], store, client)
    archive.fault("/ibe/", "page", times=2)
    fetch_cutout(images[0], BOXES[1], store, client)
    archive.forget()
    fetch_cutout(images[0], BOXES[2], store, client)
    assert all("/ibe/" in seen.path for seen in archive.requests)


@pytest.fixture
def after_the_first(archive, images, tmp_path, monkeypatch):
    """``after_the_first()``: while an image is fetched, two threads ask for another one; what became of all three.

    The archive answers the two only when it has been asked by both.
    """
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    waiting, both = threading.Semaphore(0), threading.Barrier(2)
    released, asked = threading.Event(), threading.Event()
    plain, fault_of = fetching.held, archive.fault_of
    passed = threading.local()

    def held(lock, stop):
        waiting.release()
        return plain(lock, stop)

    def slowly(target):
        if images[0].obsid in target:
            asked.set()
            assert released.wait(180)
        elif images[1].obsid in target and not both.broken and not hasattr(passed, "by"):
            passed.by = both.wait(180)
        return fault_of(target)

    monkeypatch.setattr(fetching, "held", held)
    archive.fault_of = slowly

    def outcomes(cancelled=None):
        with ThreadPoolExecutor(3) as pool:
            first = pool.submit(fetch_cutout, images[0], BOXES[0], store, client, cancelled)
            assert asked.wait(180)
            others = [pool.submit(fetch_cutout, images[1], box, store, client) for box in BOXES[1:3]]
            for _ in range(3):
                assert waiting.acquire(timeout=180)
            assert not any(seen.path.endswith(images[1].access_url.rpartition("/")[2]) for seen in archive.requests)
            released.set()
            errors = [future.exception() for future in (first, *others)]
        assert not both.broken  # nobody has waited alone
        return errors

    return outcomes


@pytest.mark.parametrize("fault", [None, "whole", "page"])
def test_after_the_first_image_of_a_detector_all_go_at_once(archive, images, after_the_first, fault):
    """Also where nothing was learned from it, or it could not be had."""
    if fault:
        archive.fault(images[0].obsid if fault == "page" else ".fits", fault)
    first, *others = after_the_first()
    assert isinstance(first, ArchiveError if fault == "page" else type(None))
    assert others == [None, None]


def test_without_the_file_server_products_come_from_the_bucket(archive, star, simulated, tmp_path):
    archive.add_calibration(simulated("field", images=1, size=30, detectors=(3,), flux_correction=True).calibration)
    expected = measure([star[0]], IRSACollection(store=tmp_path / "expected", client=client_of(archive)))
    archive.fault("/ibe/", "status", status=500)
    with pytest.raises(ArchiveError, match="/ibe/dir/list/spherex/qr2/solid_angle_pixel_map: the archive has a fault"):
        products(3, "qr2", CutoutStore(tmp_path / "unlisted"), client_of(archive))

    def listing(question):
        (prefix,) = question.query["prefix"]
        keys = [key.removeprefix(BUCKET) for key in archive.files if key.startswith(BUCKET + prefix)]
        keys += [f"{prefix}cal-sapm-v9-2026-300/3/../../evil_D3_spx_cal-sapm-v9-2026-300.fits", f"{prefix}<b>"]
        return Answer("".join(f"<Contents><Key>{key}</Key></Contents>" for key in keys).encode())

    archive.services[BUCKET] = listing
    collection = IRSACollection(store=tmp_path / "store", client=client_of(archive))
    assert same(measure([star[0]], collection), expected)


def test_a_product_that_is_damaged_on_the_file_server(archive, field, tmp_path):
    archive.fault("/ibe/data/spherex/qr2/solid_angle", "page")
    folder = products(3, "qr2", CutoutStore(tmp_path / "store"), client_of(archive))
    for path in field.calibration.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()


def _products(settings, folder, begun):
    begun.release()
    products(3, "qr2", CutoutStore(folder), ArchiveClient(settings))


def test_two_processes_fetch_products_once(archive, tmp_path, wait_for):
    client, store = client_of(archive), CutoutStore(tmp_path / "one")
    products(3, "qr2", store, client)
    once = sorted(seen.path for seen in archive.requests)
    archive.forget()
    context = multiprocessing.get_context("spawn")
    begun, both = context.Semaphore(0), threading.Event()
    fault_of = archive.fault_of
    archive.fault_of = lambda target: (both.wait(180), fault_of(target))[1]
    two = [context.Process(target=_products, args=(client.settings, tmp_path / "two", begun)) for _ in range(2)]
    for process in two:
        process.start()
    for _ in two:
        assert begun.acquire(timeout=180)
    both.set()
    for process in two:
        process.join()
    assert [process.exitcode for process in two] == [0, 0]
    assert sorted(seen.path for seen in archive.requests) == once


def test_waiting_for_the_products_of_another_thread_can_be_cancelled(archive, tmp_path):
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    asked, released = threading.Event(), threading.Event()
    fault_of = archive.fault_of
    archive.fault_of = lambda target: (asked.set(), released.wait(180), fault_of(target))[2]
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(products, 3, "qr2", store, client)
        assert asked.wait(180)
        with pytest.raises(ArchiveStopped):
            products(3, "qr2", store, client, cancelled=lambda: True)
        with pytest.raises(ArchiveError, match="the archive is not asked"):
            products(3, "qr2", store, None)
        released.set()
        assert first.result(180) == store.calibration("qr2")


def test_nothing_more_is_fetched_for_a_stream_that_is_left(archive, images, star, tmp_path):
    client, store = client_of(archive, at_once=1, timeout_s=0.5), CutoutStore(tmp_path / "store")
    list(fetch_all([(images[0], [star[0]], 20)], store, client))
    archive.fault(images[1].obsid, "silence")
    stream = fetch_all([(image, [star[0]], 20) for image in (images[0], *images[1:] * 9)], store, client)
    assert next(outcome for outcome in stream if outcome[1])[0] == 0
    before = client.requests
    stream.close()
    assert client.requests <= before + 2  # of the two threads


def test_nor_are_its_calibration_maps(archive, star, tmp_path):
    client = client_of(archive, timeout_s=0.5, attempts=20)
    archive.fault("qr2/solid_angle", "silence")
    stream = IRSACollection(store=tmp_path / "store", client=client).stream([star[0]])
    assert next(stream) is None
    before = client.requests
    stream.close()
    assert client.requests <= before + 1


@pytest.mark.parametrize("fault", [None, "whole"])
def test_a_target_just_beside_an_image_is_asked_for_once(field, archive, tmp_path, fault):
    """The archive's corners do not tell that no pixel of its surroundings is on the image."""
    beside = just_beside(read_record(field.images[0]))

    def collection():
        return IRSACollection(store=tmp_path / "store", client=client_of(archive))

    if fault:
        archive.fault("level2", fault)
    assert field.images[0].name in [url.rpartition("/")[2] for url in outside(collection(), beside)]
    assert any(field.images[0].name in seen.path for seen in archive.requests)
    archive.forget()
    assert outside(collection(), beside)
    plan = collection().plan([beside])
    assert archive.requests == []
    assert (plan.missing, plan.megabytes) == ((), 0)  # an estimate does not count it any more
    archive.stop()
    archive.stop = lambda: None
    assert outside(collection(), beside)
    (note,) = (tmp_path / "store" / "v1" / "layouts" / "looked-at").iterdir()
    note.unlink()
    note.write_text('{"wcs": "00", "origin": [0, 0], "held": [0, 2040, 0, 2040]}')
    images = collection()
    assert images.find([beside]) == []
    assert len(images.failures) == 1


def just_beside(record):
    """A source that is too far beside an image, but not so far that its corners would tell."""
    along, off = np.linspace(100, 1940, 40), np.full(40, 23.0)
    x, y = np.concatenate([(-off, along), (2039 + off, along), (along, -off), (along, 2039 + off)], axis=1)
    sources = [Source(float(ra), float(dec)) for ra, dec in zip(*Astrometry(record.wcs_numbers).to_sky(x, y))]
    (match,) = match_images([record], sources)
    return sources[match.sources[0]]


def outside(images, source):
    """Addresses of images that may hold a source; none does, and none fails."""
    assert images.find([source]) == []
    assert images.failures == []
    return [image.access_url for image in images.answer.rows]
