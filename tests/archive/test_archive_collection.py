"""A measurement on the archive's images gives what the same images on disk give, to the last bit."""

import os
import pickle
import shutil
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from archived import client_of
from loopback_services import SearchServices

from glue_spherex import FolderCollection, Source, read_targets
from glue_spherex.images import Astrometry, ImageCollection, ImageIndex, read_record
from glue_spherex.images.archive import ArchiveSettings, IRSACollection
from glue_spherex.images.archive import collection as collection_module
from glue_spherex.images.archive.beside_local import worth_fetching
from glue_spherex.images.archive.boxes import PixelBox
from glue_spherex.images.archive.cutout_store import CutoutStore
from glue_spherex.images.archive.errors import ArchiveError
from glue_spherex.images.archive.fetch import fetch_cutout
from glue_spherex.images.archive.known_cutouts import KnownCutouts
from glue_spherex.images.archive.ranges import RemoteFile
from glue_spherex.model import sky_positions
from glue_spherex.photometry.pipeline import measure, run


@pytest.fixture
def field(simulated):
    """Two full frames and their calibration."""
    return simulated("field", images=2, full=True, detectors=(3,), n_sources=6)


@pytest.fixture
def archive(field, loopback):
    archive = loopback()
    archive.search = SearchServices().join(archive)
    for key in archive.add_field(field):
        if "/level2/" in key:
            archive.search.add_image(archive, key)
    return archive


@pytest.fixture
def targets(field):
    return list(read_targets(field.targets).sources)


def collection_of(archive, tmp_path, **options):
    return IRSACollection(store=tmp_path / "store", client=client_of(archive), **options)


def by_measurement(spectra):
    """Rows by source and exposure; without what names the files."""
    spectra = spectra[np.lexsort((spectra["lvf_id"], spectra["source_id"]))]
    return {name: np.asarray(spectra[name]) for name in spectra.colnames if spectra[name].dtype.kind in "fiub"}


def same(one, other):
    return [name for name in one if not np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f")]


def test_bit_identical_to_local_files(field, archive, targets, tmp_path):
    """Each target, and two that blend with each other."""
    local, images = FolderCollection(field.images[0].parent, field.calibration), collection_of(archive, tmp_path)
    assert isinstance(images, ImageCollection)
    blend = [target for target in targets if target.label.startswith("blend")]
    seen = {match.record.obsid: match.sources for match in local.find(targets)}
    alone = [[target] for k, target in enumerate(targets) if any(k in sources for sources in seen.values())]
    compared = 0
    with ThreadPoolExecutor(2) as pool:
        for group in (blend, *alone):
            expected = by_measurement(measure(group, local))
            assert same(expected, by_measurement(measure(group, images, executor=pool))) == []
            compared += np.isfinite(expected["flux"]).sum()
    assert compared >= 8
    assert images.failures == []
    assert images.notes == []
    archive.forget()
    again = by_measurement(measure(blend, collection_of(archive, tmp_path)))
    assert same(by_measurement(measure(blend, local)), again) == []
    assert archive.requests == []  # nothing is moved twice


@pytest.mark.parametrize("extent", ["tractor", "infinite"])
def test_bit_identical_where_the_archive_has_small_images(simulated, loopback, tmp_path, extent):
    """As of the demonstration: many targets, and each of them, also near the edges of images and of the detector."""
    field, archive = simulated("field", images=8, size=40, detectors=(1, 3), seed=1), loopback()
    SearchServices().join(archive).add_field(archive, field)
    local, images = FolderCollection(field.images[0].parent, field.calibration), collection_of(archive, tmp_path)
    targets = list(read_targets(field.targets).sources)
    assert any(record.nx * record.ny < 1600 for record in local.records)  # at an edge of the detector
    for group in (targets, *[[target] for target in targets]):
        expected = by_measurement(measure(group, local, extent=extent))
        assert same(expected, by_measurement(measure(group, images, extent=extent))) == []
        assert np.isfinite(expected["flux"]).any()
    assert images.failures == []
    archive.forget()
    assert same(expected, by_measurement(measure(group, images, extent=extent))) == []
    assert archive.requests == []
    plan = images.plan(targets)
    assert (plan.images, plan.local, plan.kept, plan.megabytes, plan.missing) == (8, 0, 8, 0.0, ())
    folder = FolderCollection(images.store.images, images.store.calibration("qr2"))
    both = IRSACollection(store=tmp_path / "another", client=images.client, local=folder)
    assert len(both.find(targets)) == 8  # where there are no more pixels, nothing is fetched
    assert not (tmp_path / "another").exists()
    plan = both.plan(targets)
    assert (plan.images, plan.local, plan.kept, plan.missing) == (8, 8, 0, ())


def test_targets_far_from_each_other(field, archive, targets, tmp_path):
    """On a full frame they are fitted in one go, which makes a difference far below the errors."""
    expected = by_measurement(measure(targets, FolderCollection(field.images[0].parent, field.calibration)))
    found = by_measurement(measure(targets, collection_of(archive, tmp_path)))
    assert len(found["flux"]) == len(expected["flux"]) >= 6
    assert np.abs((found["flux"] - expected["flux"]) / expected["flux_err"]).max() < 1e-4
    for name in ("source_id", "lvf_id", "flags", "x_image", "y_image", "wavelength", "n_bad_pixels"):
        assert np.array_equal(found[name], expected[name]), name


def test_headers_are_read_once(archive, targets, tmp_path, monkeypatch):
    paths = [match.record.path for match in collection_of(archive, tmp_path).find(targets)]
    collection_of(archive, tmp_path).find(targets)
    with monkeypatch.context() as patch:
        patch.setattr("glue_spherex.images.archive.known_cutouts.read_record", None)
        assert [match.record.path for match in collection_of(archive, tmp_path).find(targets)] == paths
    read = []

    def counted(path):
        read.append(str(path))
        return read_record(path)

    monkeypatch.setattr("glue_spherex.images.archive.known_cutouts.read_record", counted)
    new = ImageIndex(tmp_path / "new.sqlite")  # what is kept, of which the index knows nothing
    assert [match.record.path for match in collection_of(archive, tmp_path, index=new).find(targets[4:])]
    assert len(read) == len(set(read)) > 0


def test_a_cutout_that_was_damaged_is_fetched_again(archive, targets, tmp_path):
    before = collection_of(archive, tmp_path).find(targets[4:])
    with open(before[0].record.path, "r+b") as file:
        file.write(b"nothing")
    again = collection_of(archive, tmp_path).find(targets[4:])
    assert [match.record.path for match in again] == [match.record.path for match in before]
    assert same(by_measurement(measure(targets[4:], collection_of(archive, tmp_path))),
                by_measurement(measure(targets[4:], collection_of(archive, tmp_path / "anew")))) == []  # fmt: skip


def test_a_run_of_many_hours_keeps_what_its_result_refers_to(simulated, loopback, tmp_path):
    """Room is made while it goes on: what it used first is older than anything that is kept otherwise."""
    field, archive = simulated("field", images=3, size=60, detectors=(3,)), loopback()
    services = SearchServices().join(archive)
    for key in archive.add_field(field):
        if "level2" in key:
            services.add_image(archive, key)
    targets = list(read_targets(field.targets).sources)
    store = CutoutStore(tmp_path / "store", limit_bytes=1)
    images, paths = IRSACollection(store=store, client=client_of(archive, at_once=1)), []
    for match in images.stream(targets):
        if match is not None:
            paths.append(match.record.path)
            os.utime(paths[-1], (time.time() - 3600 * (9 - len(paths)),) * 2)
            for mark in (store.current / "under-way").glob("*"):
                os.utime(mark, (time.time() - 3600 * 10,) * 2)
    assert len(paths) >= 3
    assert store.prune()[0] == 0
    images.pin(tmp_path, paths[:2])
    assert images.notes == []
    assert store.prune()[0] == len(paths) - 2
    assert all(os.path.exists(path) for path in paths[:2])


@pytest.mark.parametrize("held", ["blend-a", "blend-b"])
def test_blends_at_the_edge_of_a_local_file_are_taken_apart(field, archive, targets, tmp_path, held):
    """One of the two is measured on the local file, the other one is too near to its edge and is fetched."""
    blend = [target for target in targets if target.label.startswith("blend")]
    whole = by_measurement(measure(blend, FolderCollection(field.images[0].parent, field.calibration)))
    images, folder = collection_of(archive, tmp_path / "fetched"), tmp_path / "local"
    folder.mkdir()
    for match in images.find(blend):
        record = match.record
        x, y = Astrometry(record.wcs_numbers, record.origin).to_pixels(*sky_positions(blend, record.mjd))
        x, y = x + record.x0, y + record.y0
        first, other = (0, 1) if held == "blend-a" else (1, 0)
        axis = x if abs(x[0] - x[1]) > abs(y[0] - y[1]) else y
        low, high = round(axis.mean() - 9.5), round(axis.mean() + 10.5)  # 10 px from the one, less from the other
        low, high = (low, low + 60) if axis[first] > axis[other] else (high - 60, high)
        box = [int(x.mean()) - 30, int(x.mean()) + 30, int(y.mean()) - 30, int(y.mean()) + 30]
        box[slice(0, 2) if axis is x else slice(2, 4)] = low, high
        (image,) = [row for row in images.answer.rows if row.obsid == record.obsid]
        path = fetch_cutout(image, PixelBox(*box), CutoutStore(tmp_path / "other"), images.client)
        shutil.copy(path, folder / path.name)
    local = FolderCollection(folder, field.calibration)
    both = IRSACollection(store=tmp_path / "store", client=images.client, local=local)
    assert any(len(match.beside) for match in both.find(blend))
    plan = both.plan(blend)
    assert (plan.images, plan.local, plan.kept, plan.missing) == (2, 2, 2, ())  # on both of them
    found = by_measurement(measure(blend, both))
    assert len(found["flux"]) == len(whole["flux"]) == 4
    assert np.abs((found["flux"] - whole["flux"]) / whole["flux_err"]).max() < 0.1
    assert found["fit_ql"].max() < 1.5


def test_what_others_add_and_remove_meanwhile(archive, targets, tmp_path, monkeypatch):
    """After the look at the store."""
    expected = by_measurement(measure(targets, collection_of(archive, tmp_path)))

    class Meanwhile(ImageIndex):
        def known(self, files):
            known = super().known(files)
            self.change(known)
            return known

    def measured(change=lambda known: None):
        archive.forget()
        meanwhile = Meanwhile()
        meanwhile.change = change
        return by_measurement(measure(targets, collection_of(archive, tmp_path, index=meanwhile)))

    with monkeypatch.context() as patch:  # all are new: they are seen before anything is fetched
        patch.setattr(collection_module, "KnownCutouts", lambda store, index, images: KnownCutouts(store, index, []))
        assert same(expected, measured()) == []
    assert same(expected, measured(dict.clear)) == []  # their headers are not in the index
    assert archive.requests == []
    for which in (min, max):  # one is fetched first, another one is waiting
        assert same(expected, measured(lambda known, which=which: os.unlink(which(known)))) == []
        assert len({seen.path for seen in archive.requests}) == 1  # only this one is fetched


def test_what_is_odd_in_the_store_costs_one_image(archive, targets, tmp_path):
    images = collection_of(archive, tmp_path)
    first, second = (Path(match.record.path) for match in images.find(targets[4:]))
    (first.parent / f"{first.name.rpartition('_x')[0]}_x5-5_y0-41.fits").write_bytes(b"")  # no possible box
    assert len(collection_of(archive, tmp_path).find(targets[4:])) == 2
    shutil.rmtree(second.parent)
    second.parent.symlink_to(second.parent)  # cannot be looked at
    images = collection_of(archive, tmp_path)
    assert [match.record.path for match in images.find(targets[4:])] == [str(first)]
    ((_, reason),) = images.failures
    assert "Too many levels of symbolic links" in reason
    assert images.plan(targets[4:]).images == 2


def test_nothing_comes_after_cancelling(simulated, loopback, tmp_path):
    """Of what is kept, too."""
    field, archive = simulated("field", images=8, size=40, detectors=(1, 3), seed=1), loopback()
    SearchServices().join(archive).add_field(archive, field)
    targets = list(read_targets(field.targets).sources)
    assert len(collection_of(archive, tmp_path).find(targets)) == 8
    for wanted in range(1, 8):
        enough = threading.Event()
        given = 0
        for match in collection_of(archive, tmp_path).stream(targets, cancelled=enough.is_set):
            given += match is not None
            if given == wanted:
                enough.set()
        assert given == wanted


def test_memory_does_not_grow_with_the_number_of_images(simulated, loopback, tmp_path, monkeypatch, wait_for):
    """Whatever is held of images on the way: no more than are worked on, however slowly they are taken."""
    field, archive = simulated("field", images=12, size=60, detectors=(3,)), loopback()
    services = SearchServices().join(archive)
    for key in archive.add_field(field):
        if "level2" in key:
            services.add_image(archive, key)
    alive, most = weakref.WeakSet(), [0]

    class Watched(RemoteFile):
        def __init__(self, *args):
            super().__init__(*args)
            alive.add(self)
            most[0] = max(most[0], len(alive))

    monkeypatch.setattr("glue_spherex.images.archive.by_ranges.RemoteFile", Watched)
    store, targets = CutoutStore(tmp_path / "store"), list(read_targets(field.targets).sources)[:1]
    submitted, done = [], []

    class Counted(ThreadPoolExecutor):
        def submit(self, *args):
            submitted.append(args)
            return super().submit(*args)

    monkeypatch.setattr("glue_spherex.images.archive.fetch.ThreadPoolExecutor", Counted)
    for _ in range(2):  # fetched, and kept
        images, n = IRSACollection(store=store, client=client_of(archive, at_once=1)), 0
        for match in images.stream(targets, progress=lambda *step: done.append(step)):
            n += match is not None
            assert len(submitted) <= len(done) + 4  # two at once, and as many that wait
        assert n == images.expected >= 8
        assert len(submitted) >= 8
        wait_for(lambda: not alive)
    assert 1 <= most[0] <= 2


def test_offline_afterwards(archive, targets, tmp_path):
    expected = measure(targets[:2], collection_of(archive, tmp_path))
    archive.stop()
    archive.stop = lambda: None
    images = collection_of(archive, tmp_path, refresh=True)
    again = measure(targets[:2], images)
    assert same(by_measurement(expected), by_measurement(again)) == []
    assert any("was last asked on" in note for note in images.notes)


def test_an_image_that_cannot_be_had(archive, targets, tmp_path):
    """It is a row with its reason; the other one is measured."""
    broken = archive.search.rows[0]["access_url"]
    for part in ("level2_" + broken.rpartition("level2_")[2],):
        archive.fault(part, "status", status=500)
    result = run(targets, collection_of(archive, tmp_path))
    rows = {row["path"]: row for row in result.images}
    assert rows[broken]["status"] == "unreadable"
    assert "status 500" in rows[broken]["reason"]
    assert sum(row["status"] == "measured" for row in result.images) >= 1
    assert len({row["lvf_id"] for row in result.spectra}) == 1


@pytest.mark.parametrize("kept", [False, True])
def test_without_calibration_nothing_is_measured(archive, targets, tmp_path, kept):
    """Fluxes with other solid angles would be others."""
    if kept:
        images = collection_of(archive, tmp_path)
        assert len({match.record.exposure_id for match in images.find(targets)}) == 2
        shutil.rmtree(images.store.calibrations)
    archive.fault("solid_angle_pixel_map", "status", status=404)
    images = collection_of(archive, tmp_path)
    assert images.find(targets) == []
    assert len(images.failures) == 2
    assert all("the calibration of detector 3 cannot be had" in reason for _, reason in images.failures)


def test_local_images_come_first(field, archive, targets, tmp_path):
    folder = tmp_path / "local"
    folder.mkdir()
    os.link(field.images[0], folder / field.images[0].name)
    local = FolderCollection(folder, field.calibration)
    archive.search.add_image(archive, archive.add_image(field.images[0], "qr3"), "spherex_qr3")
    images = collection_of(archive, tmp_path, local=local)
    plan = images.plan(targets)
    assert (plan.images, plan.local, plan.kept) == (2, 1, 0)
    assert plan.megabytes > 50
    expected = by_measurement(measure(targets, FolderCollection(field.images[0].parent, field.calibration)))
    found = by_measurement(measure(targets, images))
    assert np.array_equal(found["lvf_id"], expected["lvf_id"])
    assert not any(field.images[0].name in seen.path for seen in archive.requests)
    assert "local images of which the archive has a newer release: 1." in images.notes
    plan = images.plan(targets)
    assert (plan.images, plan.local, plan.kept, plan.megabytes) == (2, 1, 1, 0)


def test_images_come_as_they_are_ready(archive, targets, tmp_path):
    images = collection_of(archive, tmp_path)
    steps = []
    stream = images.stream(targets, progress=lambda *step: steps.append(step))
    first = next(match for match in stream if match)
    assert first.record.path.startswith(str(tmp_path / "store"))
    with images.open(first.record) as image:
        assert image.solid_angle_source == "SAPM"
        assert image.record.cut_from == (0, 2040, 0, 2040)
    opener = pickle.loads(pickle.dumps(images.opener()))
    with opener.open(first.record) as image:
        assert image.wavelength_source == "CWAVE"
    assert len([match for match in stream if match]) >= 1
    assert steps[-1] == (2, 2)
    assert pickle.loads(pickle.dumps(images)).client.settings == images.client.settings


def test_cancelled(archive, targets, tmp_path):
    images = collection_of(archive, tmp_path, cancelled=lambda: any("level2" in s.path for s in archive.requests))
    assert images.find(targets) == []


def test_only_some_are_wanted(archive, targets, tmp_path):
    images = collection_of(archive, tmp_path)
    assert images.find(targets, detectors=[4]) == []
    with pytest.raises(ArchiveError, match="no collection of the release 'qr9'"):
        collection_of(archive, tmp_path, release="qr9").find(targets)


def test_companions_far_from_targets_are_not_fetched(archive, targets, tmp_path):
    star = targets[0]
    near = Source(star.ra, min(star.dec + 0.01, 90), companion=True)
    far = Source(star.ra, min(star.dec + 0.3, 90), companion=True)
    assert worth_fetching([star, near, far]).tolist() == [True, True, False]
    matches = collection_of(archive, tmp_path).find([star, near, far])
    assert matches
    assert all(2 not in match.sources for match in matches)


def test_the_users_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", "http://127.0.0.1:9")
    images = IRSACollection()
    assert images.client.settings == ArchiveSettings.at("http://127.0.0.1:9")
    assert images.store.folder == CutoutStore().folder
