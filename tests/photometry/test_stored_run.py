import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glue_spherex import FolderCollection, read_spectra, read_targets, write_spectra
from glue_spherex.images import ImageIndex
from glue_spherex.model import Source
from glue_spherex.photometry import PhotometryError, Settings, run, stored_run
from glue_spherex.photometry.output import EXTENSIONS, WritingStopped, target_outcomes, write_result
from glue_spherex.photometry.result_store import ROW, ResultStore, temporary_store
from glue_spherex.photometry.stored_run import run_stored


@pytest.fixture
def field(simulated):
    return simulated("pair", images=24, detectors=(2, 5), seed=12)


@pytest.fixture
def images(field):
    return FolderCollection(field.folder / "images", field.calibration)


@pytest.fixture
def targets(field):
    """Two on the images, one beside them, and an odd name."""
    first = read_targets(field.targets)
    sources = [
        Source(10.0, 80.0, "elsewhere"),
        *first.sources,
        Source(first.sources[0].ra + 2e-3, first.sources[0].dec, "µ"),
    ]
    return read_targets_of(sources)


def read_targets_of(sources):
    from astropy.table import Table

    return read_targets(
        Table({"ra": [s.ra for s in sources], "dec": [s.dec for s in sources], "name": [s.label for s in sources]})
    )


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("block_rows", [1, 30, 10**6])
def test_pieces_give_the_same_files(images, targets, tmp_path, monkeypatch, block_rows):
    """In memory, or on disk and written in pieces of any size: the same bytes."""
    monkeypatch.setattr(stored_run, "BLOCK_ROWS", block_rows)
    whole = run(targets.sources, images)
    (tmp_path / "whole").mkdir()
    write_result(whole, tmp_path / "whole", targets=target_outcomes(targets, whole.targets))
    with ResultStore(tmp_path / "results.sqlite") as results:
        pieces = run_stored(targets.sources, images, Settings(), results)
        assert not pieces.interrupted
        assert not pieces.repeats
        assert pieces.n_rows == len(whole.spectra) == 3 * 24
        (tmp_path / "pieces").mkdir()
        write_result(pieces, tmp_path / "pieces", targets=target_outcomes(targets, pieces.targets))
    one, other = files(tmp_path / "whole"), files(tmp_path / "pieces")
    assert one.keys() == other.keys()
    different = {str(name) for name in one if one[name] != other[name]}
    assert different <= {"images.ecsv", "settings.json"}  # seconds, and when it was made


@pytest.mark.parametrize("name", ["fits", "csv", "ecsv", "ipac", "parquet"])
def test_other_formats_in_pieces(images, targets, tmp_path, monkeypatch, name):
    monkeypatch.setattr(stored_run, "BLOCK_ROWS", 30)
    with ResultStore(tmp_path / "results.sqlite") as results:
        pieces = run_stored(targets.sources, images, Settings(), results)
        paths = write_result(pieces, tmp_path, spectrum_format=name)
    assert len(paths) == 3
    back, whole = read_spectra(tmp_path / f"spectra{EXTENSIONS[name]}"), run(targets.sources, images).spectra
    for column in ("flux", "flags", "label", "obs_publisher_did", "mjd"):
        np.testing.assert_array_equal(np.asarray(back[column]), np.asarray(whole[column]))
    (tmp_path / "whole").mkdir()
    write_result(run(targets.sources, images), tmp_path / "whole", spectrum_format=name)
    one, other = (folder / f"spectra{EXTENSIONS[name]}" for folder in (tmp_path, tmp_path / "whole"))
    assert one.read_bytes() == other.read_bytes()  # what it says about itself as well


def test_a_file_that_cannot_be_written_is_named_once(images, targets, tmp_path):
    (tmp_path / "spectra" / "elsewhere.vot").mkdir(parents=True)
    (tmp_path / "spectra" / "pair-1a.vot").mkdir()
    with (
        ResultStore(tmp_path / "results.sqlite") as results,
        pytest.raises(PhotometryError, match=r"pair-1a.vot: cannot be written: .*not a file") as caught,
    ):
        write_result(run_stored(targets.sources, images, Settings(detectors=[2]), results), tmp_path)
    assert str(caught.value).count("cannot be written: ") == 1
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize("name", EXTENSIONS)
def test_writing_is_stopped(images, targets, tmp_path, monkeypatch, name):
    """Before a source, or while all of them go into one file: nothing is left, not even of an earlier result."""
    monkeypatch.setattr(stored_run, "BLOCK_ROWS", 24)
    with ResultStore(tmp_path / "results.sqlite") as results:
        pieces = run_stored(targets.sources, images, Settings(), results)
        folder = tmp_path / "result"
        folder.mkdir()
        for asked in (1, 3, 4):
            seen = []
            write_result(
                pieces, folder, spectrum_format=name, progress=lambda done, total, seen=seen: seen.append((done, total))
            )
            assert seen == [(1, 3), (2, 3), (3, 3)]
            assert (folder / "settings.json").exists()
            answers = iter([False] * (asked - 1))
            with pytest.raises(WritingStopped):
                write_result(
                    pieces, folder, spectrum_format=name, cancelled=lambda answers=answers: next(answers, True)
                )
            assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_memory_does_not_grow_with_the_images(images, targets, tmp_path, monkeypatch):
    """Only the sources of a piece are read, not the whole of an image's results."""
    monkeypatch.setattr(stored_run, "BLOCK_ROWS", 24)
    with ResultStore(tmp_path / "results.sqlite") as results:
        pieces = run_stored(targets.sources, images, Settings(), results)
        sizes = [len(block) for block in pieces.blocks()]
    assert max(sizes) == 24
    assert sum(sizes) == 72


def test_nothing_is_measured_twice(images, targets, tmp_path):
    path = tmp_path / "results.sqlite"
    seen = []
    with ResultStore(path) as results:
        part = run_stored(
            targets.sources, images, Settings(), results, cancelled=lambda: len(seen) >= 5,
            progress=lambda done, total, result: seen.append(result.about["path"]),
        )  # fmt: skip
        assert part.interrupted
        assert part.n_rows == 3 * 5
    with ResultStore(path) as results:
        assert results.counts() == (5, 3 * 5, 0)
        whole = run_stored(
            targets.sources, images, Settings(), results,
            progress=lambda done, total, result: seen.append(result.about["path"]),
        )  # fmt: skip
        assert whole.n_rows == 3 * 24
    assert len(seen) == len(set(seen)) == 24


@pytest.mark.parametrize("again", ["renamed", "copied", "failed and renamed"])
def test_a_file_with_another_name(field, targets, tmp_path, monkeypatch, again):
    """A file that was measured under another name is not measured twice; a copy beside it is, as in a run at once."""
    folder = tmp_path / "images"
    shutil.copytree(field.folder / "images", folder)
    index, seen = ImageIndex(tmp_path / "index.sqlite"), []
    with ResultStore(tmp_path / "results.sqlite") as results:
        with monkeypatch.context() as patch:
            if "failed" in again:
                patch.setattr("glue_spherex.photometry.image_result.measure_image", lambda *_: 1 / 0)
            run_stored(
                targets.sources, FolderCollection(folder, field.calibration, index=index), Settings(), results,
                cancelled=lambda: len(seen) >= 1, progress=lambda *now: seen.append(now[2].about["path"]),
            )  # fmt: skip
        (first,) = map(Path, seen)
        shutil.copy2(first, folder / "other.fits")
        if "renamed" in again:
            first.unlink()
        images = FolderCollection(folder, field.calibration, index=index)
        whole = run_stored(
            targets.sources, images, Settings(), results, progress=lambda *now: seen.append(now[2].about["path"])
        )
        assert whole.repeats == (again == "copied")
    assert not whole.interrupted
    assert (str(folder / "other.fits") in seen) == (again != "renamed")
    assert whole.n_rows == 3 * (25 if again == "copied" else 24)


def test_a_store_that_cannot_be_used(tmp_path):
    with pytest.raises(PhotometryError, match=r"cannot be kept in .*missing"):
        ResultStore(tmp_path / "missing" / "results.sqlite")
    (tmp_path / "text").write_text("no database at all, but long enough" * 100)
    with pytest.raises(PhotometryError, match="not a database"):
        ResultStore(tmp_path / "text")
    with ResultStore(tmp_path / "newer"):
        pass
    database = sqlite3.connect(tmp_path / "newer")
    database.execute("PRAGMA user_version = 9")
    database.close()
    before = (tmp_path / "newer").read_bytes()
    with pytest.raises(PhotometryError, match="newer version of this program"):
        ResultStore(tmp_path / "newer")
    assert (tmp_path / "newer").read_bytes() == before


def test_a_reader_sees_one_state_and_writes_nothing(images, targets, tmp_path):
    path = tmp_path / "results.sqlite"
    with ResultStore(path, reader=True) as nothing:
        assert nothing.counts() == (0, 0, 0)
        assert len(nothing.columns(0, 4)["flux"]) == 0
    assert not path.exists()
    path.touch()  # begun this moment
    with ResultStore(path, reader=True) as nothing:
        assert nothing.failures() == []
    assert path.stat().st_size == 0
    with ResultStore(path) as results:
        run_stored(targets.sources, images, Settings(detectors=[2]), results)
        with ResultStore(path, reader=True) as look:
            run_stored(targets.sources, images, Settings(detectors=[5]), results)
            assert look.counts() == (12, 36, 0)
            assert len(look.columns(1, 2)["flux"]) == 12
        assert results.counts() == (24, 72, 0)


def test_a_temporary_store_leaves_nothing(images, targets, tmp_path, monkeypatch):
    """It has no name while it is used, so that a killed run leaves nothing either."""
    monkeypatch.setattr("glue_spherex.photometry.result_store.BATCH_SECONDS", 0.0)
    folder = tmp_path / "result"
    folder.mkdir()
    with temporary_store(folder) as results:
        assert list(folder.iterdir()) == []
        measured = run_stored(targets.sources, images, Settings(), results)
        assert [len(block) for block in measured.blocks()] == [72]
        assert list(folder.iterdir()) == []
    assert list(folder.iterdir()) == []


def test_rows_hold_numbers_only():
    """Nothing on disk has to be unpickled."""
    assert not ROW.hasobject


def test_the_largest_result_can_be_read_again(images, targets, tmp_path):
    """10,000 sources on 500 images with long names, from the size of a row."""
    from glue_spherex.io.files import MAX_FILE_BYTES

    sources = [replace(source, label="x" * 100) for source in targets.sources]
    spectra = run(sources, images).spectra
    write_spectra(spectra, tmp_path / "spectra.vot")
    head = (tmp_path / "spectra.vot").read_bytes().index(b"<TR>")
    row = ((tmp_path / "spectra.vot").stat().st_size - head) / len(spectra)
    assert 5_000_000 * row < MAX_FILE_BYTES
