"""Releases after QR3: what is fetched of them is called by their name, in the file, the result and the viewers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from loopback_services import SearchServices

from glue_spherex import FolderCollection, measure, read_spectra, read_targets
from glue_spherex.cli import main
from glue_spherex.images import ImageFileError, read_record
from glue_spherex.images.archive import ArchiveSettings, CutoutStore, IRSACollection
from glue_spherex.images.releases import check_release, release_of

COLLECTIONS = ("spherex_qr3", "spherex_qr4", "spherex_qr4_deep", "spherex_dr1")


@pytest.fixture
def field(simulated):
    return simulated("field", images=2, size=40, detectors=(3,), release="qr3")


@pytest.fixture
def archive(loopback, monkeypatch):
    archive = loopback()
    archive.search = SearchServices(collections=COLLECTIONS).join(archive)
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", archive.url)
    return archive


@pytest.fixture
def expected(field, source, loopback, tmp_path):
    """The spectrum that the same files give where all of them are called QR3."""
    archive = loopback()
    archive.search = SearchServices().join(archive)
    offer(archive, field, "spherex_qr3")
    return measure(source, IRSACollection(ArchiveSettings.at(archive.url), tmp_path / "store-of-qr3"))


def offer(archive, field, collection, images=None):
    """Offer images as a collection has them, with the calibration of its release."""
    folder = collection.removeprefix("spherex_")
    archive.add_calibration(field.calibration, folder.removesuffix("_deep"))
    for path in field.images if images is None else images:
        archive.search.add_image(archive, archive.add_image(path, folder), collection)


def measured(source, output, *words):
    assert main(["measure", "--target", f"{source.ra!r} {source.dec!r}", "--output", str(output), *words]) == 0
    return read_spectra(output / "spectra.vot")


def numbers(spectra):
    spectra = spectra[np.argsort(spectra["lvf_id"])]
    return {name: np.asarray(spectra[name]) for name in spectra.colnames if spectra[name].dtype.kind in "iuf"}


def assert_same(found, expected):
    found, expected = numbers(found), numbers(expected)
    assert len(expected["flux"]) == 2
    for name, values in expected.items():
        assert np.array_equal(found[name], values, equal_nan=values.dtype.kind == "f"), name


@pytest.mark.parametrize("release", ["qr4", "dr1"])
def test_a_newer_release_is_called_by_its_name(archive, field, source, expected, tmp_path, capsys, release):
    offer(archive, field, "spherex_qr3")
    offer(archive, field, f"spherex_{release}", field.images[1:])
    spectra = measured(source, tmp_path / "out", "--keep-cutouts")
    err = capsys.readouterr().err
    assert f"{release} is taken instead of qr3 for images that are in both: 1" in err
    both = sorted(["spherex_qr3", f"spherex_{release}"])
    assert f"mix releases, whose gains may differ: {', '.join(both)}" in err
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["releases"] == both
    spectra.sort("lvf_id")
    later = field.images[1].name > field.images[0].name
    names = ["spherex_qr3", f"spherex_{release}"] if later else [f"spherex_{release}", "spherex_qr3"]
    assert [str(name) for name in spectra["data_collection"]] == names
    assert [str(name).partition("?")[0].rpartition("/")[2] for name in spectra["obs_publisher_did"]] == names
    assert_same(spectra, expected)

    moved = tmp_path / "moved"  # the files tell it themselves
    moved.mkdir()
    for path in (tmp_path / "out" / "images" / release).glob("*.fits"):
        shutil.copy(path, moved)
    (record,) = FolderCollection(moved).records
    assert (record.release, record.collection) == (release, f"spherex_{release}")

    archive.forget()
    assert_same(measured(source, tmp_path / "again"), spectra)
    assert archive.requests == []


def test_what_is_fetched_into_a_folder_has_its_calibration(archive, field, source, expected, tmp_path):
    offer(archive, field, "spherex_dr1")
    words = ["fetch", "--target", f"{source.ra!r} {source.dec!r}", "--output", str(tmp_path / "out")]
    assert main(words) == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*/*")) == ["dr1", "dr1"]
    images = FolderCollection(tmp_path / "out" / "images", tmp_path / "out" / "calibration")
    found = measure(source, images)
    assert_same(found, expected)
    assert set(found["data_collection"]) == {"spherex_dr1"}
    # maps that are told by their dates only serve newer releases, too
    assert_same(measure(source, FolderCollection(tmp_path / "out" / "images", field.calibration)), found)


def test_deep_fields(archive, field, source, tmp_path):
    offer(archive, field, "spherex_qr4_deep")
    found = IRSACollection(store=tmp_path / "store").find([source])
    assert len(found) == 2
    for match in found:
        assert match.record.collection == "spherex_qr4_deep"
        assert match.record.obs_publisher_did.startswith("ivo://irsa.ipac/spherex_qr4_deep?")


def test_files_of_older_stores_are_read(archive, field, source, tmp_path):
    """They do not tell their collection: the folder does, as far as it can."""
    offer(archive, field, "spherex_qr4")
    images = IRSACollection(store=CutoutStore(tmp_path / "store"))
    before = measure(source, images)
    for match in images.find([source]):
        path = Path(match.record.path)
        content = path.read_bytes()
        assert content.count(b"CUTCOLL = 'spherex_qr4'") == 1
        path.chmod(0o644)
        path.write_bytes(content.replace(b"CUTCOLL = 'spherex_qr4'", b"COMMENT   spherex_qr4  "))
        assert read_record(path).release == "qr4"
    archive.forget()
    after = measure(source, images)
    assert not any("level2" in seen.path for seen in archive.requests)
    assert_same(after, before)
    assert set(after["data_collection"]) == {"spherex_qr4"}


def test_releases_that_contradict_the_pipeline_version_are_refused(archive, simulated, source, tmp_path):
    older = simulated("field", images=2, size=40, detectors=(3,))
    archive.add_calibration(older.calibration, "qr3")
    for path in older.images:
        key = archive.add_image(path, "qr3")
        archive.add(key, path)  # as it is
        archive.search.add_image(archive, key, "spherex_qr3")
    images = IRSACollection(store=tmp_path / "store")
    assert images.find(read_targets(older.targets).sources) == []
    assert len(images.failures) == 2
    for _, reason in images.failures:
        assert "is said to be of QR3, but VERSION is 6.5.7, as in QR2, whose gain is another one" in reason
    assert list((tmp_path / "store").rglob("level2*.fits")) == []


def test_a_card_that_contradicts_the_pipeline_version(archive, field, source, tmp_path):
    offer(archive, field, "spherex_qr3")
    match = IRSACollection(store=tmp_path / "store").find([source])[0]
    content = Path(match.record.path).read_bytes().replace(b"CUTCOLL = 'spherex_qr3'", b"CUTCOLL = 'spherex_qr2'")
    (tmp_path / "cutout.fits").write_bytes(content)
    with pytest.raises(ImageFileError, match=r"cutout\.fits: is said to be of QR2, but VERSION is 7\.0\.2"):
        read_record(tmp_path / "cutout.fits")


@pytest.mark.parametrize(
    ("version", "has_epsf", "path", "release"),
    [
        ("6.5.7", False, "/data/dr1/level2/file.fits", "qr2"),
        ("6.5.7", True, "/data/file.fits", "qr3"),
        ("7.0.2", True, "/data/file.fits", "qr3"),
        ("7.0.2", True, "/data/qr2/level2/file.fits", "qr3"),
        ("7.1", True, "/data/qr4_deep/level2/2026W30_1A/file.fits", "qr4"),
        ("7.1", True, "/data/DR1/level2/file.fits", "dr1"),
        ("8.0", False, "/qr4/dr1.fits", "qr4"),
        ("none", False, "/dr1/file.fits", "qr2"),
    ],
)
def test_the_release_of_a_file_that_does_not_tell_it(version, has_epsf, path, release):
    assert release_of(version, has_epsf, path) == release


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("qr2", "6.5.4+psffix1"),
        ("qr3", "7.0.2"),
        ("qr3", "8.1"),
        ("qr4", "6.0"),
        ("dr1", "9"),
        ("qr2", ""),
        ("qr3", "x"),
    ],
)
def test_releases_and_versions_that_fit(release, version):
    check_release(release, version, "file")


@pytest.mark.parametrize(("release", "version"), [("qr2", "7.0.0"), ("qr3", "6.9.9"), ("qr3", "6.5.4+psffix1")])
def test_releases_and_versions_that_do_not_fit(release, version):
    with pytest.raises(ImageFileError, match=f"file: is said to be of {release.upper()}"):
        check_release(release, version, "file")
