"""Where the time goes: indexing, measuring, refitting, reading, importing.

    python docs/benchmarks/speed.py [--images 300]

Every figure is for one core, except that of two workers. Figures of a comparison are taken in turn, several times; the
median is printed, and the smallest in brackets.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from common import describe_machine, field, one_thread

one_thread()

import numpy as np  # noqa: E402

from glue_spherex import FolderCollection, fit_sources, measure, read_spectra, read_targets, write_spectra  # noqa: E402
from glue_spherex.images import PSF, ImageIndex  # noqa: E402
from glue_spherex.photometry import Settings  # noqa: E402
from glue_spherex.photometry.image_result import measure_match  # noqa: E402

REPEATS = 5


def report(what, seconds, per=1, unit="ms"):
    """Print a line: median, and smallest."""
    scale = {"ms": 1e3, "s": 1.0}[unit] / per
    values = np.sort(np.atleast_1d(seconds)) * scale
    print(f"{what:<66} {np.median(values):>8.2f} {unit} [{values[0]:.2f}]", flush=True)


def timed(call, repeats=REPEATS):
    """Seconds of each call."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def indexing(folder, n):
    """The first time on a folder, and once it is known."""
    first, again = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(3):
            index = ImageIndex(Path(scratch) / f"{number}.sqlite")
            first += timed(lambda index=index: index.refresh([folder / "images"]), 1)
            again += timed(lambda index=index: index.refresh([folder / "images"]), 3)
    report("index a file, the first time", first, n)
    report("index a file, known", again, n)
    return float(np.median(first)) / n


def measuring(name, folder, *requests):
    """Seconds per indexed image (open, read, fit) for each request, a name and its sources; taken in turn."""
    collection = FolderCollection(folder / "images", folder / "calibration")
    matches = {what: collection.find(sources) for what, sources in requests}

    def each(what, sources):
        for match in matches[what]:
            measure_match(sources, collection, match, Settings())

    seconds = {what: [] for what, _ in requests}
    for _ in range(REPEATS + 1):
        for what, sources in requests:
            seconds[what] += timed(lambda what=what, sources=sources: each(what, sources), 1)
    per_image = {what: np.array(values[1:]) / len(matches[what]) for what, values in seconds.items()}
    for what, values in per_image.items():
        report(f"measure {what}, {name}, per image", values)
    return list(per_image.values())


def two_workers(folder):
    """How much faster two processes are."""
    targets = read_targets(folder / "targets.csv").sources
    collection = FolderCollection(folder / "images", folder / "calibration")
    collection.refresh()
    ratios = []
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
        measure(targets, collection, executor=pool)  # start them, and fill their caches
        for _ in range(REPEATS):
            (one,) = timed(lambda: measure(targets, collection), 1)
            (two,) = timed(lambda: measure(targets, collection, executor=pool), 1)
            ratios.append(one / two)
    print(f"{'two workers are faster than one by (1,200 images)':<66} {np.median(ratios):>8.2f}    [{max(ratios):.2f}]")


def memory(folder):
    """Peak memory of a process that measures the folder."""
    code = (
        "import sys; from glue_spherex.cli import main; main(sys.argv[1:]); "
        "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')][0])"
    )
    with tempfile.TemporaryDirectory() as scratch:
        command = [
            sys.executable,
            "-c",
            code,
            "measure",
            str(folder / "targets.csv"),
            "--images",
            str(folder / "images"),
        ]
        command += ["--calibration", str(folder / "calibration"), "--output", scratch]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(out.split()[-1]) / 1024


def refitting():
    """200 images in memory, three sources each."""
    rng = np.random.default_rng(1)
    axis = (np.arange(101) - 50) / 10
    kernel = np.exp(-0.5 * (axis[:, None] ** 2 + axis**2) / 0.37**2)
    psf = PSF(kernel, 10)
    images = rng.normal(0, 1, (200, 40, 40))
    variance, usable = np.ones((40, 40)), np.ones((40, 40), dtype=bool)
    x, y = np.array([20.2, 21.5, 12.0]), np.array([19.7, 20.8, 30.1])
    cd = np.diag([-6.15, 6.15]) / 3600

    def refit():
        for image in images:
            fit_sources(image, variance, usable, psf, x, y, [None] * 3, cd)

    refit()
    report("refit 200 images in memory, 3 sources each", timed(refit))


def reading(folder):
    """A spectrum of 20,000 rows."""
    from astropy.table import vstack

    targets = read_targets(folder / "targets.csv").sources
    spectra = measure(targets, FolderCollection(folder / "images", folder / "calibration"))
    table = vstack([spectra] * -(-20000 // len(spectra)), metadata_conflicts="silent")[:20000]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "spectra.vot"
        write_spectra(table, path)
        read_spectra(path)
        report("read a VOTable of 20,000 rows", timed(lambda: read_spectra(path)), unit="s")


def importing():
    """What `import glue_spherex` costs beyond numpy and astropy."""

    code = "import time, numpy, astropy; t = time.perf_counter(); import glue_spherex; print(time.perf_counter() - t)"
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) for _ in "1234567"
    ]
    report("import glue_spherex, beyond numpy and astropy", seconds)


def main():
    """Print all figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--frames", type=int, default=6)
    options = parser.parse_args()
    describe_machine()
    n = options.images
    one = field(f"isolated-qr2-{n}", scene="isolated", release="qr2", images=n, seed=21)
    crowd = field(f"crowd20-{n}", scene="crowded", images=n, n_sources=20, seed=23)
    first = indexing(one, n)
    measuring("40 × 40 px", one, ("1 source", read_targets(one / "targets.csv").sources))
    sources = read_targets(crowd / "targets.csv").sources
    single, twenty = measuring("40 × 40 px", crowd, ("1 of 20 sources", sources[:1]), ("20 sources", sources))
    for what, ratio in (("indexed", twenty / single), ("first run", (first + twenty) / (first + single))):
        print(f"{'20 sources cost, ' + what + ', in units of one':<66} {np.median(ratio):>8.2f}    [{ratio.min():.2f}]")
    for release in ("qr2", "qr3"):
        frames = field(f"full-{release}-{options.frames}", scene="field", release=release, images=options.frames,
                       full=True, seed=22)  # fmt: skip
        stars = [s for s in read_targets(frames / "targets.csv").sources if s.shape is None]
        measuring(f"full frame {release}", frames, ("1 source", stars[:1]), (f"{len(stars)} sources", stars))
    two_workers(field("faint-1200", scene="faint", images=1200, seed=31))
    print(f"{'peak memory, ' + str(n) + ' images':<66} {memory(one):>8.0f} MB")
    print(f"{'peak memory, ' + str(options.frames) + ' full frames':<66} {memory(frames):>8.0f} MB")
    refitting()
    reading(one)
    importing()


if __name__ == "__main__":
    main()
