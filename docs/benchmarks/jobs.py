"""What jobs cost: submitting, running, listing; and what a Dask cluster gains.

    python docs/benchmarks/jobs.py [--images 2000]

Figures of a comparison are taken in turn, several times; the median is printed, and the smallest in brackets.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import describe_machine, field, one_thread

one_thread()

import numpy as np  # noqa: E402

from glue_spherex import FolderCollection, jobs, measure, read_spectra, read_targets  # noqa: E402

REPEATS = 3


def report(what, values, unit="s"):
    """Print a line: median, and smallest."""
    values = np.sort(np.atleast_1d(values))
    print(f"{what:<70} {np.median(values):>8.3f} {unit:<2} [{values[0]:.3f}]", flush=True)


def timed(call):
    """Seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def request(folder):
    """Targets, images and calibration of a simulated field."""
    return read_targets(folder / "targets.csv"), folder / "images", folder / "calibration"


def small_jobs(folder):
    """Submitting, and the way from there to the spectra."""
    targets, images, calibration = request(folder)
    FolderCollection(images).refresh()
    submitting, whole = [], []
    for _ in range(7):
        start = time.perf_counter()
        job = jobs.submit(targets, images, calibration)
        submitting.append(time.perf_counter() - start)
        job = jobs.wait(job.id)
        spectra = read_spectra(job.result / "spectra.vot")
        whole.append(time.perf_counter() - start)
    report("submit a job", submitting)
    report(f"from submitting to the spectra, 1 source, {len(spectra)} images", whole)


def overhead(folder, n):
    """A job beside the same as a plain command."""
    targets, images, calibration = request(folder)
    FolderCollection(images).refresh()
    command = [
        sys.executable,
        "-m",
        "glue_spherex.cli",
        "measure",
        str(folder / "targets.csv"),
        "--images",
        str(images),
    ]
    command += ["--calibration", str(calibration), "--output"]
    plain, as_job = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(REPEATS + 1):
            words = [*command, os.path.join(scratch, str(number))]
            plain.append(costs(lambda words=words: subprocess.run(words, check=True, stdout=subprocess.DEVNULL)))
            as_job.append(costs(lambda: jobs.wait(jobs.submit(targets, images, calibration).id)))
    for what, place in (("wall time", 0), ("processor time", 1)):
        one, other = (np.array([pair[place] for pair in values[1:]]) for values in (plain, as_job))
        report(f"measure {n} images, plain command, {what}", one)
        report(f"measure {n} images, job, {what}", other)
        print(f"{f'a job takes more {what} than the command by':<70} {100 * (np.median(other / one) - 1):>8.1f} %")


def costs(call):
    """Seconds, and processor seconds of the processes that have ended, of a call."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = timed(call)
    time.sleep(1.0)  # until the worker is gone
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def many_jobs(folder):
    """A store with 1,000 jobs."""
    targets = request(folder)[0]
    with jobs.JobStore() as store:
        for number in range(1000 - len(store.jobs())):
            job_id = store.new_folder()
            store.insert(job_id, f"job {number}", len(targets))
            store.update(job_id, phase=jobs.Phase.COMPLETED, ended=time.time(), images_done=200, images_total=200)
    code = "import time; t = time.perf_counter(); from glue_spherex import jobs; n = len(jobs.jobs()); "
    code += "print(time.perf_counter() - t, n)"
    fresh = [float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.split()[0])
             for _ in range(7)]  # fmt: skip
    report("list 1,000 jobs", [timed(jobs.jobs) for _ in range(7)])
    report("list 1,000 jobs in a new process, imports included", fresh)
    watch = jobs.JobWatch()
    watch.changed()
    once = timed(lambda: [watch.changed() for _ in range(1000)]) / 1000
    watch.close()
    print(f"{'look for changes twice a second: part of a core':<70} {200 * once:>8.4f} %")


def cluster(folder, n):
    """Two local workers of a Dask cluster beside one."""
    from distributed import LocalCluster

    targets, images, calibration = request(folder)
    collection = FolderCollection(images, calibration)
    collection.refresh()
    seconds = {1: [], 2: []}
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None, "memory_limit": 0}
    with (
        LocalCluster(n_workers=1, **options) as one,
        LocalCluster(n_workers=2, **options) as two,
        jobs.executor_of(scheduler=one.scheduler_address) as first,
        jobs.executor_of(scheduler=two.scheduler_address) as second,
    ):
        for _ in range(REPEATS + 1):
            for number, executor in ((1, first), (2, second)):
                call = lambda executor=executor: measure(targets.sources, collection, executor=executor)  # noqa: E731
                seconds[number].append(timed(call))
    one, two = (np.array(values[1:]) for values in seconds.values())
    for number, values in seconds.items():
        report(f"measure {n} images, Dask, workers: {number}", values[1:])
    ratio = one / two
    print(f"{'two Dask workers are faster than one by':<70} {np.median(ratio):>8.2f}    [{ratio.max():.2f}]")


def main():
    """Print all figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=2000)
    n = parser.parse_args().images
    describe_machine()
    small = field("isolated-200", scene="isolated", images=200, seed=41)
    large = field(f"isolated-{n}", scene="isolated", images=n, seed=42)
    with tempfile.TemporaryDirectory() as home:
        os.environ["GLUE_SPHEREX_HOME"] = str(Path(home) / "home")
        small_jobs(small)
        overhead(large, n)
        cluster(large, n)
        many_jobs(small)


if __name__ == "__main__":
    main()
