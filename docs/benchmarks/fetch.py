"""Bytes, requests and time of fetching cutouts, against an archive in another process of this machine.

python docs/benchmarks/fetch.py [--images 500] [--latency 0.1] [--megabytes-per-s 20]

Full frames are simulated first (70 MB each). An "image" here is a frame and a target at another place on it: the same
frames are asked for again and again, but no cutout twice.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import describe_machine

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "archive"))

from archived import archive_image

from glue_spherex import Source, simulate
from glue_spherex.images import Astrometry, read_record
from glue_spherex.images.archive.client import ArchiveClient
from glue_spherex.images.archive.cutout_store import CutoutStore
from glue_spherex.images.archive.fetch import fetch_all
from glue_spherex.images.archive.settings import ArchiveSettings
from glue_spherex.images.simulation import LoopbackArchive

REACH_PX = 20
FRAMES = 4


def serve(folder, release, options, pipe):
    """Simulate images, and run an archive with them until something arrives in the pipe."""
    frames = {"images": FRAMES, "full": True, "detectors": (3,), "calibration": False}
    paths = simulate(folder, release=release, **frames).images
    with LoopbackArchive(latency_s=options.latency, bytes_per_s=1e6 * options.megabytes_per_s) as archive:
        pipe.send((archive.url, archive.ibe, paths, [archive.add_image(path, release) for path in paths]))
        pipe.recv()


class Address:
    """Where the archive of the other process is."""

    def __init__(self, ibe):
        self.ibe = ibe


def measured(client, store, requests):
    """Fetch, and return seconds, MB moved, requests and failures."""
    start, moved, asked = time.perf_counter(), client.moved, client.requests
    failed = sum(bool(reason) for _, _, reason in fetch_all(requests, store, client))
    return time.perf_counter() - start, (client.moved - moved) / 1e6, client.requests - asked, failed


def one_release(release, options, folder):
    """Print the line of a release."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(folder / release, release, options, there), daemon=True)
    server.start()
    url, ibe, paths, keys = here.recv()
    images = [archive_image(path, Address(ibe), key) for path, key in zip(paths, keys, strict=True)]
    skies = [Astrometry(read_record(path).wcs_numbers) for path in paths]
    rng, requests = np.random.default_rng(1), []
    for number in range(options.images + 1):
        ra, dec = skies[number % FRAMES].to_sky(*rng.uniform(30, 2010, 2))
        requests.append((images[number % FRAMES], [Source(float(ra), float(dec))], REACH_PX))
    client, store = ArchiveClient(ArchiveSettings.at(url)), CutoutStore(folder / f"store-{release}")
    _, first_mb, _, _ = measured(client, store, requests[:1])
    seconds, megabytes, asked, failed = measured(client, store, requests[1:])
    again, again_mb, _, _ = measured(client, store, requests[1:])
    ideal = (asked * options.latency + megabytes / options.megabytes_per_s) / client.settings.at_once
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{release:<7} {first_mb:>9.2f} {megabytes / options.images:>9.3f} {asked / options.images:>9.2f} {failed:>6} "
        f"{seconds:>7.1f} {ideal:>8.1f} {100 * ideal / seconds:>8.0f} {again:>8.1f} {again_mb:>9.3f} {memory:>9.0f}"
    )
    here.send("end")
    server.join()


def main():
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--latency", type=float, default=0.1, help="s, of each answer")
    parser.add_argument("--megabytes-per-s", type=float, default=20.0, help="of each connection")
    options = parser.parse_args()
    describe_machine()
    print(f"{options.images} images, a target in each; answers after {options.latency:g} s, eight requests at once")
    print(
        f"{'release':<7} {'first, MB':>9} {'MB/image':>9} {'req/image':>9} {'failed':>6} {'s':>7} {'ideal, s':>8} "
        f"{'ideal, %':>8} {'again, s':>8} {'again, MB':>9} {'memory MB':>9}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for release in ("qr2", "qr3"):
            one_release(release, options, Path(folder))


if __name__ == "__main__":
    main()
