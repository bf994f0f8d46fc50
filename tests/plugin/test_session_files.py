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
    with pytest.raises(FileNotFoundError, match=r"2 of the session's SPHEREx files cannot be found: .*a\.vot, .*b\.vot"):
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
