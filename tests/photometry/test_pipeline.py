import shutil
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from glue_spherex import FolderCollection, Source, estimate, measure, read_targets
from glue_spherex.model.spectrum import check
from glue_spherex.photometry import PhotometryError, run
from glue_spherex.photometry.output import result_folder, spectrum_names, target_outcomes, write_result


@pytest.fixture
def field(simulated):
    return simulated("pair", images=24, detectors=(2, 5), seed=12)


@pytest.fixture
def images(field):
    return FolderCollection(field.folder / "images", field.calibration)


@pytest.fixture
def sources(field):
    return read_targets(field.targets).sources


def assert_same(one, other):
    assert one.colnames == other.colnames
    for name in one.colnames:
        np.testing.assert_array_equal(np.asarray(one[name]), np.asarray(other[name]), err_msg=name)


def test_table(sources, images):
    spectra = measure(sources, images)
    check(spectra)
    assert len(spectra) == 2 * 24
    np.testing.assert_array_equal(spectra["source_id"], np.repeat([0, 1], 24))
    for number in (0, 1):
        assert (np.diff(spectra["mjd"][spectra["source_id"] == number].value) > 0).all()
    assert spectra.meta["glue_spherex"]["settings"]["background_box"] == 15
    assert spectra.meta["glue_spherex"]["releases"] == ["spherex_qr2"]
    assert spectra["obs_publisher_did"][0].startswith("ivo://irsa.ipac/spherex_qr2?")
    assert set(spectra["label"]) == {source.label for source in sources}


def test_the_number_of_workers_does_not_matter(sources, images):
    here = measure(sources, images)
    with ThreadPoolExecutor(3) as threads:
        assert_same(measure(sources, images, executor=threads), here)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        assert_same(measure(sources, images, executor=processes), here)


def test_progress_and_cancel(sources, images):
    seen = []
    whole = run(sources, images, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 24) for number in range(1, 25)]
    assert not whole.interrupted
    seen.clear()
    part = run(sources, images, progress=lambda done, total: seen.append(done), cancelled=lambda: len(seen) >= 5)
    assert part.interrupted
    assert len(part.images) == 5
    known = np.isin(whole.spectra["lvf_id"], part.spectra["lvf_id"])
    assert_same(part.spectra, whole.spectra[known])


def test_cancel_before_the_first_image(sources, images):
    nothing = run(sources, images, cancelled=lambda: True)
    assert nothing.interrupted
    assert len(nothing.spectra) == 0
    check(nothing.spectra)


def test_a_bad_image_is_a_row(field, sources, tmp_path):
    folder = tmp_path / "images"
    shutil.copytree(field.folder / "images", folder)
    paths = sorted(folder.glob("*.fits"))
    images = FolderCollection(folder, field.calibration)
    images.refresh()
    paths[3].unlink()
    with open(paths[5], "r+b") as file:
        file.truncate(200_000)
    result = run(sources, images)
    status = {row["path"]: (row["status"], row["reason"]) for row in result.images}
    assert len(result.images) == 24
    assert status[str(paths[3])][0] == "failed"
    assert "no such file" in status[str(paths[3])][1]
    assert status[str(paths[5])][0] == "failed"
    assert "replaced" in status[str(paths[5])][1]
    assert len(result.spectra) == 2 * 22


def test_unreadable_files_are_rows_too(field, sources, tmp_path):
    folder = tmp_path / "images"
    shutil.copytree(field.folder / "images", folder)
    (folder / "broken.fits").write_bytes(b"SIMPLE  =                    T" + b" " * 100)
    result = run(sources, FolderCollection(folder, field.calibration))
    row = result.images[result.images["status"] == "unreadable"]
    assert [path.endswith("broken.fits") for path in row["path"]] == [True]
    assert row["reason"][0]
    assert len(result.spectra) == 48


def test_nothing_to_measure(sources, images):
    with pytest.raises(PhotometryError, match="no source to measure"):
        measure([], images)
    with pytest.raises(PhotometryError, match="the source lies on none"):
        measure([Source(10, 80)], images)
    with pytest.raises(PhotometryError, match="none of the 2 sources"):
        measure(sources, images, time=(10, 20))


def test_estimate(sources, images):
    result = estimate(sources, images)
    assert result.images == 24
    assert result.measurements == 48
    assert result.counts["D2"].tolist() == [12, 12]
    assert result.counts["D1"].tolist() == [0, 0]
    assert result.seconds > 0
    with pytest.raises(PhotometryError, match="no source"):
        estimate([], images)


def test_result_folder(sources, images, tmp_path):
    from glue_spherex import read_spectra

    result = run(sources, images)
    with result_folder(tmp_path / "new" / "result") as folder:
        paths = write_result(result, folder)
    assert sorted(p.name for p in folder.iterdir()) == [
        "images.ecsv", "settings.json", "spectra", "spectra.vot", "targets.ecsv",
    ]  # fmt: skip
    back = read_spectra(folder / "spectra.vot")
    assert_same(back[result.spectra.colnames], result.spectra)
    one = read_spectra(paths[1])
    assert_same(one[result.spectra.colnames], result.spectra[24:])


def test_what_a_killed_run_left_is_cleared_away(sources, images, tmp_path):
    (tmp_path / "spectra").mkdir()
    left = [tmp_path / ".spectra.vot.0123456789ab.part", tmp_path / "spectra" / ".star.vot.ba9876543210.part"]
    other = [tmp_path / ".mine.part", tmp_path / "spectra" / "notes.txt"]
    for path in left + other:
        path.write_text("x")
    write_result(run(sources, images), tmp_path)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in other)


def test_two_runs_never_share_a_folder(tmp_path):
    with result_folder(tmp_path / "a"):
        with pytest.raises(PhotometryError, match="another run is writing"), result_folder(tmp_path / "a"):
            pass
        with result_folder(tmp_path / "b"):
            pass
    with result_folder(tmp_path / "a"):
        pass


def test_no_empty_folder_stays(tmp_path):
    """Where nothing was written, because the run came to nothing; the user's own folder does."""
    with result_folder(tmp_path / "new"):
        pass
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    with result_folder(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").exists()
    with result_folder(tmp_path / "new") as folder:
        (folder / "spectra.vot").write_text("x")
    assert (tmp_path / "new" / "spectra.vot").exists()


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(PhotometryError, match="cannot be written"), result_folder(tmp_path / "file"):
        pass


def test_full_disk(sources, images, tmp_path, monkeypatch):
    import errno
    import os

    result = run(sources, images)
    real = os.replace

    def replace(source, target, **options):
        if str(target).endswith("spectra.vot"):
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return real(source, target, **options)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(PhotometryError, match="No space left on device"):
        write_result(result, tmp_path)
    written = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert written == ["images.ecsv", "targets.ecsv"]


def test_file_names():
    from astropy.table import Table

    labels = ["a/b", "../../etc/passwd", "A_b", "", "", "x" * 300, "..", "Vega\n", "æ", "con trol\x07"]
    names = spectrum_names(Table({"label": labels, "ra": np.arange(10.0), "dec": -np.arange(10.0)}))
    assert len({name.lower() for name in names}) == 10
    assert all("/" not in name and not name.startswith(".") and len(name) <= 110 and name.isascii() for name in names)
    assert names[:5] == ["a_b", "etc_passwd", "A_b_2", "3.000000_-3.000000", "4.000000_-4.000000"]


def test_outcomes_follow_the_target_list(field, images, tmp_path):
    path = tmp_path / "list.csv"
    rows = field.targets.read_text().splitlines()
    header, first = rows[0], rows[1]
    path.write_text("\n".join([header, first, "400,0,wrong,,,,,,,", "10.0,80.0,elsewhere,,,,,,,"]) + "\n")
    targets = read_targets(path)
    table = target_outcomes(targets, run(targets.sources, images).targets)
    assert table["row"].tolist() == [1, 2, 3]
    assert table["status"].tolist() == ["measured", "rejected", "no image"]
    assert "400" in table["reason"][1]
    assert table["n_images"][0] == 24
