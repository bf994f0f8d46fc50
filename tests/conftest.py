import os
import sys
import time
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# the archive of the tests, with its faults
sys.path.insert(0, str(Path(__file__).parent / "archive"))


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
def wait_for():
    """``wait_for(condition, meanwhile=None)``: return when something has happened that must happen.

    `meanwhile` is called between two looks. The limit is wide: the machine may have much else to do.
    """

    def wait(condition, meanwhile=None, seconds=180):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s")
            if meanwhile is not None:
                meanwhile()
            time.sleep(0.002)  # the other threads want to work

    return wait


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


@pytest.fixture
def loopback():
    """``loopback(**options)``: an archive on this machine, stopped after the test."""
    from loopback import LoopbackArchive

    running = []

    def start(**options):
        running.append(LoopbackArchive(**options).start())
        return running[-1]

    yield start
    for archive in running:
        archive.stop()


@pytest.fixture
def listed_archive(monkeypatch):
    """``listed_archive(ra, dec)``: a `ListedArchive`, which is the user's archive for this test."""
    from listed_archive import ListedArchive

    running = []

    def start(ra, dec):
        running.append(ListedArchive(ra, dec))
        home = Path(os.environ["GLUE_SPHEREX_HOME"])
        home.mkdir(exist_ok=True)
        (home / "archive.toml").write_text("backoff_s = 0.01\npatience_s = 0.1\n")  # does not wait long
        monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", running[-1].archive.url)
        return running[-1]

    yield start
    for listed in running:
        listed.archive.stop()


@pytest.fixture
def no_job_processes(monkeypatch):
    """Jobs wait in the queue: no process is started for them."""
    monkeypatch.setattr("glue_spherex.jobs.queue.start_waiting", lambda store: [])


@pytest.fixture
def worked(no_job_processes):
    """``worked(job_id, images=None)``: work on a job here until so many images are done; it runs until all are."""
    from types import SimpleNamespace

    from glue_spherex.jobs import JobStore, Phase, lock
    from glue_spherex.jobs.worker import Run

    held = {}

    class PartOfRun(Run):
        images = None

        def _progress(self, done, total, result):
            super()._progress(done, total, result)
            self._stop = self.images is not None and done >= self.images

    def work(job_id, images=None):
        with JobStore() as store:
            if job_id not in held:
                held[job_id] = lock.take(store.job(job_id).folder)
            store.update(job_id, phase=Phase.EXECUTING, started=store.clock(), cancelled=0)
            run = PartOfRun(store, store.job(job_id), SimpleNamespace(told=False))
            run.images = images
            run.run()
            if store.job(job_id).phase is Phase.ABORTED:
                store.update(job_id, phase=Phase.EXECUTING, ended=None, message="measures", pid=os.getpid())
            else:
                os.close(held.pop(job_id))
            return store.job(job_id)

    yield work
    for file in held.values():
        os.close(file)
