"""Requests and time of searches for many targets, against an archive on this machine.

python docs/benchmarks/search.py [--latency 0.1]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from common import describe_machine

from glue_spherex import Source
from glue_spherex.images.archive.answer_cache import AnswerCache
from glue_spherex.images.archive.client import ArchiveClient
from glue_spherex.images.archive.search import search
from glue_spherex.images.archive.settings import ArchiveSettings
from glue_spherex.images.simulation import LoopbackArchive, SearchServices
from glue_spherex.images.simulation.archive_services import row

IMAGE_SIDE_DEG = 3.5
KEY = "qr2/level2/2025W51_1A/l2b-v21-2025-354/{d}/level2_{o}D{d}_spx_l2b-v21-2025-354.fits"


def offer(archive, services, ra, dec, n_images, spread_deg, rng):
    """Images around a place."""
    for number in range(n_images):
        x, y = rng.uniform(-spread_deg - 1.7, spread_deg + 1.7, 2)
        detector = 1 + number % 6
        obsid = f"2025W51_1A_{number // 4 % 10_000:04d}_{1 + number % 4}"
        side = IMAGE_SIDE_DEG / 2
        dx = side / np.cos(np.radians(dec))
        corners = np.array([[ra + x + i * dx, dec + y + j * side] for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
        begin = 61027 + number * 0.01
        services.rows.append(
            row(archive, KEY.format(d=detector, o=obsid), corners, begin, begin + 0.001, "spherex_qr2", 70_000, obsid,
                detector)
        )  # fmt: skip


def main():
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.1, help="s, of each answer")
    parser.add_argument("--targets", type=int, default=1000)
    options = parser.parse_args()
    describe_machine()
    print(f"{options.targets} targets in a square; answers after {options.latency:g} s, eight requests at once")
    print(f"{'side (deg)':>10} {'images':>7} {'found':>7} {'requests':>8} {'per deg²':>8} {'s':>7} {'again, s':>8}")
    rng = np.random.default_rng(1)
    for side, n_images in ((1.0, 400), (1.0, 20_000), (3.0, 2000), (10.0, 5000)):
        targets = [
            Source(150 + x / np.cos(np.radians(2 + y)), 2 + y)
            for x, y in rng.uniform(-side / 2, side / 2, (options.targets, 2))
        ]
        with LoopbackArchive(latency_s=options.latency) as archive, tempfile.TemporaryDirectory() as folder:
            services = SearchServices().join(archive)
            offer(archive, services, 150.0, 2.0, n_images, side / 2, rng)
            client = ArchiveClient(ArchiveSettings.at(archive.url))
            seconds = []
            for _ in range(2):
                start = time.perf_counter()
                answer = search(targets, client=client, cache=AnswerCache(Path(folder) / "answers.sqlite"))
                seconds.append(time.perf_counter() - start)
            print(
                f"{side:>10.0f} {n_images:>7} {len(answer.rows):>7} {client.requests:>8} "
                f"{client.requests / side**2:>8.1f} {seconds[0]:>7.1f} {seconds[1]:>8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
