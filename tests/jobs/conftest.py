import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from glue_spherex import FolderCollection, read_targets
from glue_spherex.jobs import JobStore, job
from glue_spherex.photometry import run
from glue_spherex.photometry.output import result_folder, target_outcomes, write_result

NURSERY = Path(__file__).with_name("nursery.py")


@pytest.fixture(scope="session")
def undisturbed(simulated, tmp_path_factory):
    """A field, its index, and the result folder of a run without jobs; made once, and never written to."""
    field = simulated("pair", images=24, detectors=(2, 5), seed=12)
    home = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLUE_SPHEREX_HOME", str(home / "home"))
        targets = read_targets(field.targets)
        measurement = run(targets.sources, FolderCollection(field.folder / "images", field.calibration))
    with result_folder(home / "plain") as folder:
        write_result(measurement, folder, targets=target_outcomes(targets, measurement.targets))
    return field, home / "home" / "index.sqlite", folder


@pytest.fixture
def field(undisturbed, tmp_path):
    """A field of 24 images whose headers need not be read again."""
    found, index, _ = undisturbed
    home = tmp_path / "glue-spherex-home"
    home.mkdir()
    shutil.copy(index, home)
    return found


@pytest.fixture
def plain(undisturbed):
    """The result folder of a run without jobs."""
    return undisturbed[2]


def _until(condition, timeout=300):
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            pytest.fail("it has not come about in time")
        time.sleep(0.01)


@pytest.fixture
def until():
    """``until(condition)``: wait for something to come about."""
    return _until


@pytest.fixture
def ended():
    """``ended(id)``: wait for the end of a job, and return it."""

    def wait(job_id, timeout=300):
        _until(lambda: not job(job_id).phase.is_active, timeout)
        return job(job_id)

    return wait


@pytest.fixture
def same_result():
    """``same_result(folder, other)``: spectra and targets agree byte for byte, the images but for the seconds."""
    from astropy.table import Table

    def check(folder, other):
        names = [path.relative_to(other) for path in other.rglob("*") if path.is_file()]
        assert sorted(map(str, names)) == sorted(
            str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
        )
        for name in names:
            if str(name) not in ("settings.json", "images.ecsv"):
                assert (folder / name).read_bytes() == (other / name).read_bytes(), name
        images = [Table.read(where / "images.ecsv") for where in (folder, other)]
        for table in images:
            table.remove_column("seconds")
        assert images[0].colnames == images[1].colnames
        for name in images[0].colnames:
            assert images[0][name].tolist() == images[1][name].tolist(), name

    return check


class Nursery:
    """Starts workers quickly; see nursery.py."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, str(NURSERY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, **options):
        """A worker for the next waiting job; its pid."""
        return int(self._order({"home": os.environ["GLUE_SPHEREX_HOME"], "options": options}))

    def wait(self, pid):
        assert self._order({"wait": pid}) == "ended"

    def _order(self, order):
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self):
        self._process.stdin.close()
        self._process.wait(100)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def nursery():
    found = Nursery()
    yield found
    found.close()


@pytest.fixture
def finished(nursery, no_workers):
    """``finished(job)``: let a quick worker do a job that waits, and return it."""

    def work(waiting):
        nursery.wait(nursery.start())
        return job(waiting.id)

    return work


@pytest.fixture
def no_workers(monkeypatch):
    """Jobs wait for the workers of the nursery."""
    monkeypatch.setattr("glue_spherex.jobs.queue.start_waiting", lambda store: [])


@pytest.fixture
def store():
    with JobStore() as opened:
        yield opened
