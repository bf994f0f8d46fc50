"""A Dask cluster: on this machine, with workers that are lost."""

import json
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor
from typing import ClassVar

import pytest

from glue_spherex import jobs
from glue_spherex.jobs import JobError, executors
from glue_spherex.jobs.executors import call_checked

SCRIPT = """
import json, os, signal, sys, time
from glue_spherex import FolderCollection, measure, read_targets
from glue_spherex.cli import main
from glue_spherex.jobs import executor_of, executors
from glue_spherex.photometry import on_executor, run
from distributed import LocalCluster

def by_image(table):
    return [list(map(str, row)) for row in table["lvf_id", "flux", "flags"]]

def set_version(version):
    executors.__version__ = version

class Deadly(FolderCollection):
    # the process that opens its sixth image ends
    def open(self, record):
        if record.path == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().open(record)

    def opener(self):
        return self

if __name__ == "__main__":
    executors._WATCH_SECONDS = 0.1
    targets, images, calibration, output = sys.argv[1:]
    sources, collection = read_targets(targets).sources, FolderCollection(images, calibration)
    here = measure(sources, collection)
    answers = {}
    options = dict(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0)
    with LocalCluster(**options) as cluster:
        address = cluster.scheduler_address
        with executor_of(scheduler=address) as executor:
            ended, at_work, submit = [], [], executor.submit

            def counted(*arguments):
                at_work.append(len(at_work) + 1 - len(ended))
                return submit(*arguments)

            def scale(done, total):
                ended.append(done)
                if done == 3:  # a second one joins late
                    cluster.scale(2)
                    while executor._max_workers < 2:
                        time.sleep(0.01)

            executor.submit, on_executor.MOST_IMAGES = counted, 1
            answers["scaled"] = by_image(measure(sources, collection, executor=executor, progress=scale))
            answers["at_work"] = max(at_work[:5]), max(at_work)
            executor.submit, on_executor.MOST_IMAGES = submit, 2
            deadly = Deadly(images, calibration)
            deadly.deadly = sorted(record.path for record in collection.records)[5]
            cluster.scheduler.allowed_failures = 0  # it does not try again itself
            result = run(sources, deadly, executor=executor)
            cluster.scheduler.allowed_failures, executors._NO_WORKER_SECONDS = 3, 5.0
            failed = result.images[result.images["status"] != "measured"]
            answers["failed"] = [list(map(str, row)) for row in failed["path", "status", "reason"]]
            answers["deadly"] = str(deadly.deadly)
            answers["not_deadly"] = by_image(result.spectra)
        command = ["measure", targets, "--images", images, "--calibration", calibration, "--scheduler", address]
        answers["status"] = main([*command, "--output", output])
        with executor_of(scheduler=address) as executor:
            client = executor._client
            client.wait_for_workers(2, timeout=300)  # one that was killed begins again
            other, good = client.run(os.getpid)

            def note(done, total):
                if done == 3:  # as if it had joined late
                    client.run(set_version, "0.0.1", workers=[other])

            answers["mixed"] = by_image(measure(sources, collection, executor=executor, progress=note))
            answers["used"] = executor._good == [good]

            def lose(done, total):
                if done == 3:
                    client.run(set_version, "0.0.1")

            answers["no_good"] = by_image(measure(sources, collection, executor=executor, progress=lose))
            client.run(set_version, executors.__version__)
        with executor_of(scheduler=address) as executor:
            pids = list(executor._client.run(os.getpid).values())
            answers["workers"] = executor._max_workers

            def kill_a_worker(done, total):
                if done == 3:
                    os.kill(pids[0], signal.SIGKILL)

            answers["killed"] = by_image(measure(sources, collection, executor=executor, progress=kill_a_worker))
            done = []

            def close(number, total):
                done.append(number)
                if number == 3:
                    cluster.close()

            answers["gone"] = by_image(measure(sources, collection, executor=executor, progress=close))
    answers["here"] = by_image(here)
    print(json.dumps(answers))
"""


def test_lost_workers_and_a_lost_cluster(field, plain, tmp_path, same_result):
    """A worker joins late, an image kills its workers; one has another version, then all have; one is killed, then the
    whole cluster goes.

    The numbers stay the same, nothing is missing.
    """
    script = tmp_path / "cluster.py"
    script.write_text(SCRIPT)
    arguments = [field.targets, field.folder / "images", field.calibration, tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)], capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert answers["status"] == 0
    assert answers["workers"] == 2
    assert len(answers["here"]) == 48
    assert answers["scaled"] == answers["here"]
    assert answers["at_work"] == [2, 3]  # with one worker, and with two
    ((path, status, reason),) = answers["failed"]
    assert (path, status) == (answers["deadly"], "failed")
    assert "the processes that measured it ended unexpectedly" in reason
    assert len(answers["not_deadly"]) == 46
    assert all(row in answers["here"] for row in answers["not_deadly"])
    assert answers["mixed"] == answers["here"]
    assert answers["used"]
    assert answers["no_good"] == answers["here"]
    assert answers["killed"] == answers["here"]
    assert answers["gone"] == answers["here"]
    same_result(tmp_path / "out", plain)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "127.0.0.1:9", "localhost", "tcp://localhost", "no address"])
def test_no_scheduler(monkeypatch, address):
    monkeypatch.setattr("distributed.Client", None)  # none is made
    with (
        pytest.raises(JobError, match=rf"scheduler at '{address}' cannot be reached .* tcp://host:8786"),
        executors.executor_of(scheduler=address),
    ):
        pass


class Cluster:
    """What `executors` asks a client."""

    def __init__(self, answers):
        self._answers = answers

    def wait_for_workers(self, number, timeout):
        if not self._answers:
            time.sleep(timeout)
            raise TimeoutError

    def run(self, function, on_error):
        return self._answers


def test_versions_are_checked():
    from glue_spherex import __version__

    executors._check_workers(Cluster({"tcp://a:1": __version__}), "tcp://s:1")
    with pytest.raises(JobError, match=r"1 of 2 workers .* tcp://b:2 has glue-spherex 0.0.1"):
        executors._check_workers(Cluster({"tcp://a:1": __version__, "tcp://b:2": "0.0.1"}), "tcp://s:1")
    with pytest.raises(JobError, match="no usable glue-spherex"):
        executors._check_workers(Cluster({"tcp://a:1": ModuleNotFoundError("glue_spherex")}), "tcp://s:1")
    with pytest.raises(JobError, match="a worker of the Dask cluster has glue-spherex"):
        call_checked("0.0.1", int, "3")
    assert call_checked(__version__, int, "3") == 3


def test_it_is_said_that_workers_are_waited_for(monkeypatch, caplog):
    monkeypatch.setattr(executors, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(executors, "_TELL_SECONDS", 0.1)
    told = []
    with pytest.raises(JobError, match=r"has no worker, and none came within 0.5 s; start some with `dask worker tcp"):
        executors._wait_for_a_worker(Cluster({}), "tcp://s:1", told.append)
    assert 1 < len(told) < 6
    assert set(told) == {"waiting for workers of the Dask scheduler at tcp://s:1, 0 s left"}
    with pytest.raises(JobError, match="has no worker"):
        executors._wait_for_a_worker(Cluster({}), "tcp://s:1", executors._log_now_and_then())
    assert [line.message for line in caplog.records] == told[:1]  # once in ten seconds
    executors._wait_for_a_worker(Cluster({"tcp://a:1": "1.0"}), "tcp://s:1", told.clear)
    assert told


@pytest.fixture
def without_workers(tmp_path):
    """Address of a scheduler that has no worker."""
    file = tmp_path / "scheduler.json"
    words = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", *words]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=tmp_path) as scheduler:
        while not file.exists():
            assert scheduler.poll() is None
            time.sleep(0.05)
        yield json.loads(file.read_text())["address"]
        scheduler.terminate()


def test_a_job_that_waits_for_workers_says_so_and_can_be_cancelled(field, without_workers, until, ended):
    from glue_spherex import read_targets

    job = jobs.submit(read_targets(field.targets), field.folder / "images", scheduler=without_workers)
    until(lambda: "waiting for workers" in jobs.job(job.id).message)
    assert f"scheduler at {without_workers}, " in jobs.job(job.id).message
    jobs.cancel(job.id)
    done = ended(job.id, timeout=15)
    assert (done.phase, done.message) == (jobs.Phase.ABORTED, "aborted; no image is done yet; resume the job to go on")


def test_workers_that_are_gone_are_not_waited_for(monkeypatch):
    """What is bound to workers that are gone is given up, the rest waits; all is, when no worker is left for long."""
    monkeypatch.setattr(executors, "_WATCH_SECONDS", 0.01)

    class Remote:
        status = "pending"

        def cancel(self):
            self.status = "cancelled"

        def add_done_callback(self, call):
            pass

    class Client:
        status = "running"
        workers: ClassVar = {"tcp://b:2": 1}

        def nthreads(self):
            return self.workers

        def run(self, function, on_error):
            return {"tcp://b:2": "1.0"}

        def submit(self, *arguments, **options):
            return Remote()

    executor = executors.DaskExecutor(Client())
    try:
        free = executor.submit(int, "1")
        executor._good = ["tcp://a:1"]
        bound = executor.submit(int, "1")
        with pytest.raises(BrokenExecutor, match="workers are gone"):
            bound.result(timeout=60)
        assert not free.done()
        Client.workers = {}
        monkeypatch.setattr(executors, "_NO_WORKER_SECONDS", 0.1)
        with pytest.raises(BrokenExecutor, match="workers are gone"):
            free.result(timeout=60)
    finally:
        executor.shutdown()


def test_without_distributed(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(JobError, match=r'pip install "\.\[dask\]"'), executors.executor_of(scheduler="x"):
        pass


def test_a_job_on_a_cluster_that_is_not_there(field, ended):
    from glue_spherex import read_targets

    done = ended(jobs.submit(read_targets(field.targets), field.folder / "images", scheduler="nonsense").id)
    assert done.phase is jobs.Phase.ERROR
    assert "cannot be reached" in done.message
