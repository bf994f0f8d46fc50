"""Whether a kept cutout holds what is wanted: told by corners alone, and never otherwise than by the astrometry."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from archived import archive_image, client_of

from glue_spherex import Source
from glue_spherex.images import Astrometry, ImageIndex, read_record
from glue_spherex.images.archive import known_cutouts
from glue_spherex.images.archive.boxes import PixelBox
from glue_spherex.images.archive.cutout_store import CutoutStore
from glue_spherex.images.archive.fetch import _in_store, fetch_cutout
from glue_spherex.images.archive.known_cutouts import KnownCutouts
from glue_spherex.images.archive.wanted import WantedTargets

BOXES = [
    PixelBox(1000, 1041, 700, 741), PixelBox(1003, 1044, 702, 743), PixelBox(500, 660, 900, 1060),
    PixelBox(0, 30, 1500, 1541), PixelBox(2010, 2040, 2000, 2040), PixelBox(800, 841, 0, 21),
]  # fmt: skip


@pytest.fixture
def kept(simulated, loopback, tmp_path):
    """An image of the archive, its astrometry, and a store with cutouts of it."""
    field, archive = simulated("field", images=1, full=True, detectors=(3,)), loopback()
    path = field.images[0]
    record, client, store = read_record(path), client_of(archive), CutoutStore(tmp_path / "store")
    image = archive_image(path, archive, archive.add_image(path, record.release))
    for box in BOXES:
        store.find(image, box) or fetch_cutout(image, box, store, client)
    return image, Astrometry(record.wcs_numbers), store


def everything_known(store, image):
    """What is known after all headers were read once."""
    with KnownCutouts(store, ImageIndex(), [image]) as known:
        for _, path in known.cutouts(image):
            known.read(path)
    return KnownCutouts(store, ImageIndex(), [image])


def sources_near(box, sky, rng, n):
    """Sources in and around a box, most of them where the box just holds their surroundings."""
    x = rng.choice([box.x_lo + 20, box.x_hi - 21, rng.uniform(box.x_lo - 5, box.x_hi + 5)]) + rng.normal(0, 0.3, n)
    y = rng.choice([box.y_lo + 20, box.y_hi - 21, rng.uniform(box.y_lo - 5, box.y_hi + 5)]) + rng.normal(0, 0.3, n)
    return [Source(*position) for position in np.transpose(sky.to_sky(x, y))]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_what_it_says_is_true_and_it_says_most_of_it(kept, n):
    image, sky, store = kept
    rng, known = np.random.default_rng(n), everything_known(store, image)
    requests = [
        (image, sources_near(BOXES[k % len(BOXES)], sky, rng, n), rng.choice([20, 17, 14]) if k % 2 else np.full(n, 20))
        for k in range(900)
    ]
    holding, held = known.holding(requests), 0
    for number, (_, sources, reach) in enumerate(requests):
        wanted = WantedTargets.around(sources, image.mjd, reach)
        exact = _in_store(image, wanted, store.cutouts(image), store, None, read_record)
        paths = {cutout.path for cutout in exact or ()}
        on_one = len(paths) == 1 and sum(len(cutout.targets) for cutout in exact) == n
        held += on_one
        if number in holding:
            assert on_one
            assert paths == {holding[number].path}
            assert list(holding[number].targets) == list(range(n))
    assert 50 < held < 800
    assert len(holding) > 0.8 * held


def test_many_sources_and_none(kept):
    image, sky, store = kept
    known = everything_known(store, image)
    inside = [Source(*sky.to_sky(580.0, 980.0))]
    assert list(known.holding([(image, [], 20), (image, inside * 9, 20), (image, inside, 20)])) == [2]
    assert known.holding([]) == {}
    assert (
        KnownCutouts(CutoutStore(store.folder / "nothing"), ImageIndex(), [image]).holding([(image, inside, 20)]) == {}
    )


def test_moving_sources_are_looked_for_where_they_are(kept):
    image, sky, store = kept
    known, (ra, dec) = everything_known(store, image), sky.to_sky(1020.0, 720.0)
    years = 2000 + (image.mjd - 51544.5) / 365.25 - 2016
    moved = 25 * 6.15e3 / years  # 25 pixels since then, mas per year
    there = Source(ra, dec, pmdec=moved, ref_epoch=2016.0)
    came = Source(ra, dec - 25 * 6.15 / 3600, pmdec=moved, ref_epoch=2016.0)
    assert list(known.holding([(image, [there], 20), (image, [came], 15)])) == [1]


def test_only_the_images_that_are_wanted_are_looked_at_and_headers_once(kept, monkeypatch):
    image, _, store = kept
    other = image._replace(obsid=image.obsid.replace(image.obsid[-6:], "0001_1"))
    copy = f"{store.beginning(other)}_x0-10_y0-10.fits"
    os.makedirs(os.path.dirname(copy))
    with open(copy, "wb") as file:
        file.write(b"not to be read")
    read = []

    def counted(path):
        read.append(path)
        return read_record(path)

    monkeypatch.setattr(known_cutouts, "read_record", counted)
    paths = [path for _, path in store.cutouts(image)]
    with KnownCutouts(store, ImageIndex(), [image]) as known:
        assert [path for _, path in known.cutouts(image)] == paths
        assert known.cutouts(other) == ()
        records = [known.read(path) for path in paths]
    assert read == paths
    with KnownCutouts(store, ImageIndex(), [image]) as known:
        assert [known.read(path) for path in paths] == records
        os.utime(paths[0], ns=(1, 1))  # replaced by another process
        assert known.read(paths[0]).mtime_ns == 1
    assert read == [*paths, paths[0]]


def test_what_is_removed_from_the_store_is_forgotten_by_the_index(kept):
    image, _, store = kept
    everything_known(store, image)
    stamps = {record.path: (record.size, record.mtime_ns) for record in ImageIndex().refresh(store.images).records}
    assert len(stamps) == len(BOXES)
    assert list(ImageIndex().known(stamps)) == sorted(stamps)
    first, *others = stamps
    for path in others:
        os.utime(path, (1, 1))
    store.pin(store.folder / "result", [first])
    store.prune(0)
    assert list(ImageIndex().known(stamps)) == [first]
    Path(first).chmod(0o644)
    Path(first).write_bytes(b"damaged")
    assert [path for path, _ in store.verify()[1]] == [first]
    assert ImageIndex().known(stamps) == {}


@pytest.mark.parametrize("remove", [CutoutStore.clear, CutoutStore.forget_missing_results])
def test_other_ways_to_remove_are_noticed_by_the_index_too(kept, remove):
    image, _, store = kept
    everything_known(store, image)
    paths = [path for _, path in store.cutouts(image)]
    stamps = {path: (os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in paths}
    assert len(ImageIndex().known(stamps)) == len(BOXES)
    for path in paths:
        os.utime(path, (1, 1))
    if remove is CutoutStore.forget_missing_results:
        store.pin(store.folder / "gone", paths)
    remove(store)
    assert store.cutouts(image) == []
    assert ImageIndex().known(stamps) == {}


def test_what_was_read_is_remembered_on_the_way(kept, monkeypatch):
    image, _, store = kept
    monkeypatch.setattr(known_cutouts, "_WAITING", 2)
    remembered = []

    class Index(ImageIndex):
        works = True

        def remember(self, records):
            remembered.append(len(records))
            return super().remember(records) and self.works

    with KnownCutouts(store, Index(), [image]) as known:
        for _, path in known.cutouts(image):
            known.read(path)
        assert remembered == [3, 3]
    assert remembered == [3, 3]
    store.images.rename(store.current / "elsewhere")
    shutil.copytree(store.current / "elsewhere", store.images, copy_function=shutil.copyfile)  # all of them are new
    Index.works = False  # as one that is locked for half a minute
    with KnownCutouts(store, Index(), [image]) as known:
        for _, path in known.cutouts(image):
            known.read(path)
    assert remembered == [3, 3, 3]


def test_of_a_small_image_all_is_wanted(simulated, loopback, tmp_path):
    field, archive = simulated("field", images=1, size=100, detectors=(3,)), loopback()
    path = field.images[0]
    record, store = read_record(path), CutoutStore(tmp_path / "store")
    image = archive_image(path, archive, archive.add_image(path, record.release))
    x0, y0 = record.origin
    fetch_cutout(image, PixelBox(x0 + 20, x0 + 80, y0 + 20, y0 + 80), store, client_of(archive))
    sky = Astrometry(record.wcs_numbers)
    request = image, [Source(*sky.to_sky(50.0, 50.0))], 20
    assert everything_known(store, image).holding([request]) == {}
    fetch_cutout(image, PixelBox(x0, x0 + record.nx, y0, y0 + record.ny), store, client_of(archive))
    (whole,) = everything_known(store, image).holding([request]).values()
    assert whole.record.is_small
    with pytest.raises(ValueError, match="zip"):
        everything_known(store, image).holding([(image, request[1] * 2, [20])])
