import os
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def _folder_from(variable, holding):
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: no folder with {holding}")
    folder = Path(value).resolve()
    if not folder.is_dir():
        pytest.fail(f"{variable} is {value!r}, which is not a folder")
    return folder


@pytest.fixture(scope="session")
def test_data():
    """Folder with real headers, archive rows and sample cutouts."""
    return _folder_from("SPHEREX_TEST_DATA", "real SPHEREx headers and samples")


@pytest.fixture(scope="session")
def test_cases():
    """Folder with scenes of known answers (.npz)."""
    return _folder_from("SPHEREX_TEST_CASES", "scenes with known answers")


@pytest.fixture(autouse=True)
def private_home(tmp_path, monkeypatch):
    """Each test has its own index, cache and settings."""
    monkeypatch.setenv("GLUE_SPHEREX_HOME", str(tmp_path / "glue-spherex-home"))


@pytest.fixture(autouse=True)
def same_folder():
    """A test that changes the working folder changes it back: the next ones would fail in a folder that is gone."""
    folder = os.getcwd()
    yield
    changed = os.getcwd()
    os.chdir(folder)
    assert changed == folder


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """``simulated(scene, **options)``: a simulated field, made once per test run and never written to."""
    from glue_spherex.images import simulate

    fields = {}

    def make(scene, **options):
        key = (scene, *sorted(options.items()))
        if key not in fields:
            fields[key] = simulate(tmp_path_factory.mktemp(scene), scene=scene, **options)
        return fields[key]

    return make
