"""Sessions whose files were moved, cut off, replaced or lost."""

import os
import shutil

import numpy as np
import pytest
from glue.core import DataCollection
from glue.core.application_base import Application
from glue.core.data_factories import load_data

from glue_spherex import write_spectra
from glue_spherex.io import SpectrumFileError


@pytest.fixture
def session(tmp_path, made_spectrum):
    """A session of two spectra in another folder, and the folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("a", "b"):
        write_spectra(made_spectrum(), folder / f"{name}.vot")
    application = Application(DataCollection([load_data(str(folder / f"{name}.vot")) for name in ("a", "b")]))
    (tmp_path / "sessions").mkdir()
    path = tmp_path / "sessions" / "s.glu"
    application.save_session(str(path), absolute_paths=True)
    return path, folder


def test_all_missing_files_are_named(session):
    path, folder = session
    shutil.rmtree(folder)
    with pytest.raises(
        FileNotFoundError, match=r"2 of the session's SPHEREx files cannot be found: .*a\.vot, .*b\.vot"
    ):
        Application.restore_session(str(path))


def test_files_beside_the_session_are_found(session):
    path, folder = session
    before = load_data(str(folder / "b.vot"))
    for name in ("a.vot", "b.vot"):
        os.rename(folder / name, path.parent / name)
    restored = Application.restore_session(str(path)).data_collection
    np.testing.assert_array_equal(restored[1]["flux"], before["flux"])


def test_a_truncated_file(session):
    path, folder = session
    with open(folder / "a.vot", "r+b") as stream:
        stream.truncate(3000)
    with pytest.raises(SpectrumFileError, match=r"a\.vot: cannot be read as a spectrum"):
        Application.restore_session(str(path))


def test_relative_paths(tmp_path, session):
    path, folder = session
    application = Application.restore_session(str(path))
    application.save_session(str(path), absolute_paths=False)
    shutil.move(tmp_path / "sessions", tmp_path / "moved" / "sessions")
    shutil.move(folder, tmp_path / "moved" / "data")
    restored = Application.restore_session(str(tmp_path / "moved" / "sessions" / "s.glu"))
    assert [data.size for data in restored.data_collection] == [14, 14]


@pytest.mark.parametrize("extension", ["vot", "fits", "csv"])
def test_columns_are_found_by_name_when_their_order_changed(tmp_path, made_spectrum, extension):
    """glue finds them by place, and would silently show one for another."""
    path = tmp_path / f"s.{extension}"
    table = made_spectrum()
    write_spectra(table, path)
    data = load_data(str(path))
    data.id["flux"].label = "brightness"
    Application(DataCollection([data])).save_session(str(tmp_path / "s.glu"))
    write_spectra(table[[*reversed(table.colnames)]], path)
    (again,) = Application.restore_session(str(tmp_path / "s.glu")).data_collection
    for cid in data.main_components:
        np.testing.assert_array_equal(again[cid.label], data[cid.label])


def test_a_file_that_lost_a_column(session, made_spectrum):
    path, folder = session
    table = made_spectrum()
    table.remove_column("mjd")
    write_spectra(table, folder / "a.vot")
    with pytest.raises(ValueError, match=r"a\.vot: was replaced .* the session needs its column mjd"):
        Application.restore_session(str(path))


def test_a_list_with_another_order(tmp_path, made_spectrum):
    path = tmp_path / "list.csv"
    path.write_text("name,ra,dec,sersic_n,mag,size\na,1,2,,17,5\n")
    Application(DataCollection([load_data(str(path))])).save_session(str(tmp_path / "s.glu"))
    path.write_text("name,ra,dec,sersic_n,size,mag\na,1,2,,5,17\n")
    (again,) = Application.restore_session(str(tmp_path / "s.glu")).data_collection
    assert (again["mag"].tolist(), again["size"].tolist()) == ([17.0], [5.0])


def test_sessions_of_others_are_left_alone(tmp_path, made_spectrum):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n3,4\n")
    Application(DataCollection([load_data(str(tmp_path / "other.csv"))])).save_session(str(tmp_path / "s.glu"))
    (again,) = Application.restore_session(str(tmp_path / "s.glu")).data_collection
    assert again["b"].tolist() == [2, 4]


@pytest.mark.parametrize("renamed", [False, True])
def test_columns_that_the_user_reordered(tmp_path, made_spectrum, renamed):
    """The order of a dataset's components is not that of its file any more."""
    (tmp_path / "list.csv").write_text("name,ra,dec,sersic_n,mag,size\na,1,2,,17,5\n")
    write_spectra(made_spectrum(), tmp_path / "s.csv")
    loaded = [load_data(str(tmp_path / name)) for name in ("list.csv", "s.csv")]
    for data in loaded:
        if renamed:
            data.id["ra"].label, data.id["dec"].label = "east", "north"
        data.reorder_components([*data.coordinate_components, *data.main_components[::-1]])
    Application(DataCollection(loaded)).save_session(str(tmp_path / "s.glu"))
    again = Application.restore_session(str(tmp_path / "s.glu")).data_collection
    for before, after in zip(loaded, again):
        for cid in before.main_components:
            np.testing.assert_array_equal(after[cid.label], before[cid.label])


def test_renamed_and_reordered_columns_of_a_file_with_another_order(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("name,ra,dec,sersic_n,mag,size\na,1,2,,17,5\n")
    data = load_data(str(path))
    data.id["mag"].label = "brightness"
    data.reorder_components([*data.coordinate_components, *data.main_components[::-1]])
    Application(DataCollection([data])).save_session(str(tmp_path / "s.glu"))
    path.write_text("name,ra,dec,sersic_n,size,mag\na,1,2,,5,17\n")
    with pytest.raises(ValueError, match="renamed and put in another order"):
        Application.restore_session(str(tmp_path / "s.glu"))
