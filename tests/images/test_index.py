import logging
import os
import shutil
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context

import pytest

from glue_spherex.images import index as index_module
from glue_spherex.images.errors import ImageFileError
from glue_spherex.images.index import ImageIndex, default_index_path
from glue_spherex.images.record import read_record


@pytest.fixture
def folder(make_image):
    """Three images, of both releases."""
    for number in (1, 2):
        make_image(name=f"level2_{number}.fits", obsid=f"2025W51_1A_068{number}_2")
    return make_image(name="sub/level2_3.fits", release="qr3", obsid="2025W51_1A_0683_2").parent.parent


@pytest.fixture
def parsed(monkeypatch):
    """Names of the files whose headers are read."""
    names = []

    def read(path):
        names.append(os.path.basename(path))
        return read_record(path)

    monkeypatch.setattr(index_module, "read_record", read)
    return names


def test_the_second_run_reads_no_header(folder, parsed):
    first = ImageIndex().refresh([folder])
    assert [os.path.basename(r.path) for r in first.records] == ["level2_1.fits", "level2_2.fits", "level2_3.fits"]
    assert sorted(parsed) == ["level2_1.fits", "level2_2.fits", "level2_3.fits"]
    assert (first.files, first.parsed, first.failures, first.complete) == (3, 3, [], True)
    parsed.clear()
    second = ImageIndex().refresh([folder])
    assert parsed == []
    assert second.parsed == 0
    for old, new in zip(first.records, second.records):
        assert old == new  # every field, the same zones and wavelength table
        assert [type(value) for value in old] == [type(value) for value in new]


def test_only_what_changed_is_read_again(folder, parsed, make_image):
    ImageIndex().refresh([folder])
    parsed.clear()
    path = make_image(name="level2_2.fits", obsid="2026W01_1A_0001_1", shape=(20, 20))
    os.utime(path, ns=(0, 1))
    make_image(name="level2_4.fits")
    os.remove(folder / "level2_1.fits")
    result = ImageIndex().refresh([folder])
    assert parsed == ["level2_2.fits", "level2_4.fits"]
    assert {r.obsid for r in result.records} == {"2026W01_1A_0001_1", "2025W51_1A_0684_2", "2025W51_1A_0683_2"}


def test_failures_are_remembered_until_the_file_changes(folder, parsed):
    bad = folder / "level2_0.fits"
    bad.write_bytes(b"nothing")
    result = ImageIndex().refresh([folder])
    reason = "is not a FITS file (it starts with b'nothing', not with 'SIMPLE  =')."
    assert result.failures == [(str(bad), reason)]
    assert len(result.records) == 3
    parsed.clear()
    assert ImageIndex().refresh([folder]).failures == [(str(bad), reason)]
    assert parsed == []
    bad.write_bytes((folder / "level2_1.fits").read_bytes())
    result = ImageIndex().refresh([folder])
    assert parsed == ["level2_0.fits"]
    assert len(result.records) == 4
    assert result.failures == []


def test_an_unreadable_file_is_tried_again(folder, parsed, monkeypatch):
    real = os.open

    def deny(path, *arguments):
        if str(path).endswith("level2_1.fits"):
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", deny)
        result = ImageIndex().refresh([folder])
        assert result.failures == [(str(folder / "level2_1.fits"), "may not be read; check its permissions.")]
    assert len(ImageIndex().refresh([folder]).records) == 3


def test_an_unforeseen_error_is_a_failure_of_that_file(folder, monkeypatch):
    def read(path):
        if path.endswith("1.fits"):
            raise ZeroDivisionError("division by zero")
        return read_record(path)

    monkeypatch.setattr(index_module, "read_record", read)
    result = ImageIndex().refresh([folder])
    assert "cannot be understood (ZeroDivisionError: division by zero)" in result.failures[0][1]
    assert len(result.records) == 2


def test_what_is_looked_at(folder):
    (folder / "notes.txt").write_text("no image")
    (folder / ".level2_hidden.fits").write_bytes(b"")
    (folder / "solid_angle_pixel_map_D1_spx_cal-sapm-v2-2025-164.fits").write_bytes(b"")
    os.mkfifo(folder / "pipe.fits")
    os.symlink(folder, folder / "sub" / "back")
    os.symlink(folder / "level2_1.fits", folder / "link.fits")
    os.symlink(folder / "nowhere", folder / "dangling.fits")
    (folder / "folder.fits").mkdir()
    result = ImageIndex().refresh([folder, folder / "sub", folder / "level2_1.fits"])
    assert len(result.records) == 3
    assert result.failures == []


def test_a_name_like_that_of_a_calibration_file_hides_no_image(folder, make_image):
    names = ["my_epsf_cutout.fits", "level2_epsf_cal-epsf-v1-2026-191.fits", "epsf_cutout.fits", "dichroics_x.fits"]
    for number, name in enumerate(names):
        make_image(name=name, obsid=f"2025W51_1A_07{number:02}_2")
    (folder / "qso_spectral_wcs_D1.fits").write_bytes(b"nothing")
    for product in (
        "average_psf_D1_spx_cal-psf-v4-2025-161.fits",
        "epsf_D1_spx_cal-epsf-v1-2026-191.fits",
        "spectral_wcs_D1_spx_cal-wcs-v4-2025-254.fits",
        "l3_flux_corrections_D1_spx_cal-flxc-v1-2026-191.fits",
        "spectral_channels_spx_cal-sch-v1-2026-106.fits",
        "abs_gain_matrix_D1_spx.fits",
    ):
        (folder / product).write_bytes(b"")
    result = ImageIndex().refresh([folder])
    assert {os.path.basename(record.path) for record in result.records} >= set(names)
    assert [(os.path.basename(path), reason[:20]) for path, reason in result.failures] == [
        ("qso_spectral_wcs_D1.fits", "is not a FITS file (")
    ]


def test_names_that_are_no_text(make_image):
    folder = make_image(name="level2_1.fits").parent
    os.rename(os.fsencode(folder / "level2_1.fits"), os.fsencode(folder) + b"/level2_\xff\xfe.fits")
    ImageIndex().refresh([folder])
    result = ImageIndex().refresh([folder])
    assert result.parsed == 0
    assert result.records[0].path.endswith("level2_\udcff\udcfe.fits")


def test_folders_do_not_disturb_each_other(make_image, tmp_path, parsed):
    make_image(name="a/level2_1.fits")
    make_image(name="ab/level2_2.fits")
    index = ImageIndex()
    index.refresh([tmp_path / "images" / "a"])
    index.refresh([tmp_path / "images" / "ab"])
    parsed.clear()
    assert len(index.refresh([tmp_path / "images" / "a", tmp_path / "images" / "ab"]).records) == 2
    assert parsed == []


def test_no_such_folder(tmp_path):
    with pytest.raises(ImageFileError, match=rf"images: there is no folder {tmp_path}/none\."):
        ImageIndex().refresh(tmp_path / "none")


def test_progress_and_cancel(folder):
    seen = []
    result = ImageIndex().refresh(folder, lambda done, total: seen.append((done, total)), lambda: len(seen) == 2)
    assert seen == [(1, 3), (2, 3)]
    assert len(result.records) == 2
    assert not result.complete
    assert ImageIndex().refresh(folder).parsed == 1  # the rest


def test_an_interruption_forgets_nothing(folder):
    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ImageIndex().refresh(folder, interrupt)
    assert ImageIndex().refresh(folder).parsed == 1  # the rest


def test_where_the_index_lies(tmp_path, monkeypatch):
    monkeypatch.setenv("GLUE_SPHEREX_HOME", str(tmp_path / "own"))
    assert default_index_path() == tmp_path / "own" / "index.sqlite"
    monkeypatch.delenv("GLUE_SPHEREX_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert default_index_path() == tmp_path / "cache" / "glue-spherex" / "index.sqlite"


def damaged(path):
    path.write_bytes(b"This is no database. " * 1000)


def newer(path):
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize("spoil", [damaged, newer])
def test_an_index_that_cannot_be_used_is_made_beside_it(folder, tmp_path, caplog, spoil):
    path = tmp_path / "index.sqlite"
    spoil(path)
    with caplog.at_level(logging.WARNING):
        assert len(ImageIndex(path).refresh([folder]).records) == 3
    assert f"{path} " in caplog.text
    assert ImageIndex(path).refresh([folder]).parsed == 0
    assert (tmp_path / f"index-v{index_module.SCHEMA_VERSION}.sqlite").exists()


def test_a_place_that_cannot_be_written(folder, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    index = ImageIndex(tmp_path / "file" / "index.sqlite")
    assert len(index.refresh([folder]).records) == 3
    assert "is kept in memory" in caplog.text


def test_a_full_disk_costs_only_the_memory_of_it(folder, tmp_path, caplog):
    path = tmp_path / "index.sqlite"
    ImageIndex(path).refresh([folder / "sub"])
    limited = sqlite3.connect

    def connect(*arguments, **options):
        database = limited(*arguments, **options)
        database.execute("PRAGMA max_page_count = 1")  # it cannot grow
        return database

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect)
        assert len(ImageIndex(path).refresh([folder]).records) == 3
    assert "cannot be written" in caplog.text
    assert len(ImageIndex(path).refresh([folder]).records) == 3


def refresh(path, folder):
    result = ImageIndex(path).refresh([folder])
    return len(result.records), result.failures


def test_two_processes_on_one_new_index(make_image, tmp_path):
    first = make_image(name="level2_0.fits")
    folder = first.parent
    for number in range(1, 40):
        shutil.copy(first, folder / f"level2_{number}.fits")
    path = tmp_path / "index.sqlite"
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(refresh, [path] * 2, [folder] * 2))
    assert results == [(40, [])] * 2
    assert ImageIndex(path).refresh([folder]).parsed == 0
    assert not (tmp_path / f"index-v{index_module.SCHEMA_VERSION}.sqlite").exists()


def test_what_is_known_of_single_files(folder, parsed):
    index, paths = ImageIndex(), [str(folder / "level2_1.fits"), str(folder / "sub" / "level2_3.fits")]
    stamps = {path: (os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in paths}
    assert index.known(stamps) == {}
    assert parsed == []
    index.remember(read_record(path) for path in paths)
    assert index.known(stamps) == {path: read_record(path) for path in paths}
    assert index.known({paths[0]: (stamps[paths[0]][0], 1)}) == {}  # changed
    assert index.refresh(folder).parsed == 1  # only the one that was not remembered
    index.forget([paths[1]])
    assert list(index.known(stamps)) == [paths[0]]
    assert index.known({}) == {}


def test_many_single_files(folder):
    index, one = ImageIndex(), read_record(folder / "level2_1.fits")
    records = [one._replace(path=f"/images/{number}.fits") for number in range(2345)]
    index.remember(records)
    stamps = {record.path: (one.size, one.mtime_ns) for record in records[::2]}
    assert index.known(stamps) == {record.path: record for record in records[::2]}


def test_nothing_is_made_to_forget(tmp_path):
    index = ImageIndex(tmp_path / "none" / "index.sqlite")
    index.forget(["/images/1.fits"])
    assert not index.db_path.parent.exists()


DAMAGE = [
    "DELETE FROM shared", "UPDATE shared SET data = 'rubbish'", "UPDATE shared SET data = x'00'",
    "UPDATE files SET zones = 'none'",
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_inside_is_read_once_more(folder, tmp_path, caplog, damage):
    path = tmp_path / "index.sqlite"
    expected = ImageIndex(path).refresh(folder).records
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(damage)
    with caplog.at_level(logging.WARNING):
        again = ImageIndex(path).refresh(folder)
    assert "3 entries are damaged" in caplog.text
    assert (again.records, again.parsed) == (expected, 3)
    again = ImageIndex(path).refresh(folder)
    assert (again.records, again.parsed) == (expected, 0)


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_cannot_be_told_of_single_files_is_unknown(folder, damage):
    """A failure that is remembered, and a damaged index, which is so only once."""
    bad, index = folder / "level2_0.fits", ImageIndex()
    bad.write_bytes(b"nothing")
    index.refresh(folder)
    paths = [str(bad), str(folder / "level2_1.fits"), str(folder / "level2_2.fits")]
    stamps = {path: (os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in paths}
    assert list(index.known(stamps)) == paths[1:]
    with closing(sqlite3.connect(index.db_path)) as database, database:
        database.execute(damage)
        database.execute("DELETE FROM files WHERE path = ?", (os.fsencode(paths[2]),))
    assert index.known(stamps) == {}
    assert all(index.remember([read_record(path)]) for path in paths[1:])  # one that it knew, and one that is new
    assert list(index.known(stamps)) == paths[1:]


def test_whether_it_is_remembered(folder, tmp_path):
    record = read_record(folder / "level2_1.fits")
    assert ImageIndex(tmp_path / "index.sqlite").remember([record])
    assert not ImageIndex(tmp_path / "index.sqlite" / "index.sqlite").remember([record])  # in no folder: in memory
    assert not ImageIndex(tmp_path / "index.sqlite").remember([record._replace(exposure_id=10**25)])
