"""What jobs cost: submitting, running, listing; and what a Dask cluster gains.

    python docs/benchmarks/jobs.py [--images 2000] [--frames 12] [--only jobs | cluster | frames]

Figures of a comparison are taken in turn, several times; the median is printed, and the smallest in brackets. Many
images are copies of few: what they cost is the same.
"""

import argparse
import os
import resource
import shutil
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


def small_jobs(folder, images):
    """Submitting, and the way from there to the spectra."""
    targets, calibration = read_targets(folder / "targets.csv"), folder / "calibration"
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


def overhead(folder, images, n):
    """A job beside the same as a plain command."""
    targets, calibration = read_targets(folder / "targets.csv"), folder / "calibration"
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
            as_job.append(costs(lambda: completed(jobs.submit(targets, images, calibration), n)))
    for what, place in (("wall time", 0), ("processor time", 1)):
        one, other = (np.array([pair[place] for pair in values[1:]]) for values in (plain, as_job))
        report(f"measure {n} images, plain command, {what}", one)
        report(f"measure {n} images, job, {what}", other)
        print(f"{f'a job takes more {what} than the command by':<70} {100 * (np.median(other / one) - 1):>8.1f} %")


def many_sources(folder, scratch, n, numbers):
    """Memory and time of a plain command with many sources on full frames."""
    from astropy.table import Table

    images = FolderCollection(folder / "images")
    images.refresh()
    pixel = np.random.default_rng(5).uniform(20, 2019, (2, n))
    with images.open(images.records[0]) as image:
        sky = image.wcs.pixel_to_world(*pixel)
    targets = scratch / "many.csv"
    Table({"ra": sky.ra.deg, "dec": sky.dec.deg}).write(targets, format="ascii.csv")
    for number in numbers:
        words = [sys.executable, "-m", "glue_spherex.cli", "measure", str(targets), "--images",
                 str(copies(folder, scratch / f"frames-{number}", number)), "--calibration",
                 str(folder / "calibration"), "--output", str(scratch / f"many-{number}")]  # fmt: skip
        start = time.perf_counter()
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0
        seconds = time.perf_counter() - start
        result = scratch / f"many-{number}" / "spectra.vot"
        what = f"{n} sources on {number} full frames"
        print(f"{what + ', peak memory':<70} {usage.ru_maxrss / 1024:>8.0f} MB")
        print(f"{what + ', wall time':<70} {seconds:>8.1f} s ")
        print(f"{what + ', processor time':<70} {usage.ru_utime + usage.ru_stime:>8.1f} s ")
        print(f"{what + ', spectra.vot':<70} {result.stat().st_size / 2**20:>8.0f} MB", flush=True)
        shutil.rmtree(scratch / f"many-{number}")


def copies(folder, other, n):
    """A folder with n images: those of a field, again and again."""
    images = sorted((folder / "images").glob("*.fits"))
    other.mkdir()
    for number in range(n):
        image = images[number % len(images)]
        shutil.copyfile(image, other / f"{image.stem}-{number // len(images)}.fits")
    return other


def completed(job, n):
    """Wait for a job that measures a source on n images."""
    job = jobs.wait(job.id)
    assert (job.phase, job.measurements) == (jobs.Phase.COMPLETED, n), job


def costs(call):
    """Seconds, and processor seconds of the processes that have ended, of a call."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = timed(call)
    time.sleep(1.0)  # until the worker is gone
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def many_jobs(folder):
    """A store with 1,000 jobs."""
    targets = read_targets(folder / "targets.csv")
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


def cluster(folder, images, n):
    """Two local workers of a Dask cluster beside one."""
    from distributed import LocalCluster

    targets, calibration = read_targets(folder / "targets.csv"), folder / "calibration"
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
    parser.add_argument("--frames", type=int, default=12, help="72 MB each; the same is done with a quarter of them")
    parser.add_argument("--only", choices=("jobs", "cluster", "frames"))
    options = parser.parse_args()
    n, wanted = options.images, {options.only} if options.only else {"jobs", "cluster", "frames"}
    describe_machine()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        os.environ["GLUE_SPHEREX_HOME"] = str(scratch / "home")
        if wanted & {"jobs", "cluster"}:
            cutouts = field("isolated-qr2-300", scene="isolated", release="qr2", images=300, seed=21)
            many = copies(cutouts, scratch / "many", n)
        if "jobs" in wanted:
            many_jobs(cutouts)
            small_jobs(cutouts, copies(cutouts, scratch / "few", 200))
            overhead(cutouts, many, n)
        if "cluster" in wanted:
            cluster(cutouts, many, n)
        if "frames" in wanted:
            frames = field("full-2", scene="field", images=2, full=True, seed=22)
            many_sources(frames, scratch, 10_000, sorted({options.frames // 4, options.frames} - {0}))


if __name__ == "__main__":
    main()
