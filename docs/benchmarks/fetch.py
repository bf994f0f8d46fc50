"""Bytes, requests and time of fetching cutouts, against an archive in another process of this machine.

python docs/benchmarks/fetch.py [--images 500] [--latency 0.1] [--megabytes-per-s 20]

All exposures are one simulated full frame: the server changes observation, exposure number and pointing in the headers
that it sends, so that the target is somewhere else on each of them and no header is like another one.
"""

# ruff: noqa: E402
import argparse
import mmap
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path

from common import describe_machine, one_thread

one_thread()
import numpy as np

from glue_spherex import FolderCollection, Source, measure, simulate
from glue_spherex.images import Astrometry, read_record
from glue_spherex.images.archive import ArchiveAnswer, ArchiveClient, ArchiveSettings, CutoutStore, IRSACollection
from glue_spherex.images.archive.answers import ArchiveImage
from glue_spherex.images.archive.fetch import fetch_all
from glue_spherex.images.simulation.archive_server import IBE, Connection, LoopbackArchive

REACH_PX = 20
ROUNDS = 25
POINTED = ("IMAGE", "FLAGS", "VARIANCE", "ZODI")  # HDUs whose headers tell the pointing


def seconds_of_processor():
    """User and system time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Exposures(Connection):
    """Sends parts of the frame, with what is different in the exposure that is asked for."""

    def parts_of(self, content, spans):
        archive, parts = self.server.archive, []
        changes = archive.changes.get(self.seen.path)
        if changes is None:
            return super().parts_of(content, spans)
        for start, stop in spans:
            part = archive.frame[start:stop]
            for place, text in changes:
                if start <= place < stop:
                    part = part[: place - start] + text + part[place - start + len(text) :]
            parts.append(((start, stop), part))
        return parts


class ManyExposures(LoopbackArchive):
    """The server, and what the exposures change in the frame: (place, bytes) by path."""

    connection = Exposures
    changes, frame = {}, b""


def exposures_of(path, archive, options):
    """`ArchiveImage` of each exposure, and the position of the target."""
    from astropy.io import fits

    record, rng = read_record(path), np.random.default_rng(1)
    sky = Astrometry(record.wcs_numbers)
    ra, dec = (float(value) for value in sky.to_sky(1020.0, 1020.0))
    with fits.open(path) as hdus:
        places = {hdu.name: hdu.fileinfo()["hdrLoc"] for hdu in hdus}
        pointing = hdus["IMAGE"].header["CRVAL1"]
    with open(path, "rb") as file:
        archive.frame = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def change(name, keyword, value):
        start = archive.frame.find(f"{keyword:<8}= ".encode(), places[name]) + 10
        return start, value.ljust(20).encode() if value.startswith("'") else value.rjust(20).encode()

    images = []
    while len(images) <= options.images:
        shift = rng.uniform(-3, 3) / np.cos(np.radians(dec))
        x, y = sky.to_pixels(ra - shift, dec)
        if not (30 < x < 2010 and 30 < y < 2010):
            continue
        number = f"{1000 + len(images):04d}"
        obsid, exposure = record.obsid[:11] + number + record.obsid[15:], str(record.exposure_id)
        name = path.name.replace(record.obsid, obsid)
        key = archive.add_image(path.with_name(name), record.release)
        archive.changes[IBE + key] = [change(hdu, "CRVAL1", f"{pointing + shift:.10f}") for hdu in POINTED] + [
            change("IMAGE", "OBSID", f"'{obsid}'"), change("IMAGE", "EXPIDN", exposure[:9] + number + exposure[13:]),
        ]  # fmt: skip
        archive.files[IBE + key] = path
        images.append(ArchiveImage(
            f"ivo://irsa.ipac/{record.collection}?{obsid}/D{record.detector}", obsid, record.detector, record.release,
            False, record.mjd_begin, record.mjd_end, f"{archive.ibe}/{key}", key, record.size,
            (record.footprint + [shift, 0.0]).tobytes(), record.file_version,
        ))  # fmt: skip
    return images, Source(ra, dec)


def serve(folder, release, options, pipe):
    """Simulate a frame, and run an archive with exposures made of it until something arrives in the pipe."""
    field = simulate(folder, release=release, images=1, full=True, detectors=(3,))
    with ManyExposures(latency_s=options.latency, bytes_per_s=1e6 * options.megabytes_per_s) as archive:
        archive.add_calibration(field.calibration, release)
        pipe.send((archive.url, *exposures_of(field.images[0], archive, options)))
        while pipe.recv() != "end":
            pipe.send(seconds_of_processor())


def fetched(client, store, requests, server):
    """Fetch, and return seconds, processor seconds of this process and of the server, MB moved, requests, failures."""
    server.send("time")
    served, used, moved, asked, start = (
        server.recv(), seconds_of_processor(), client.moved, client.requests, time.perf_counter(),
    )  # fmt: skip
    failed = sum(bool(reason) for _, _, reason in fetch_all(requests, store, client))
    seconds, used = time.perf_counter() - start, seconds_of_processor() - used
    server.send("time")
    return seconds, used, server.recv() - served, (client.moved - moved) / 1e6, client.requests - asked, failed


def first_run(release, options, client, store, requests, server):
    """Fetch everything, and print a line."""
    _, _, _, first_mb, _, _ = fetched(client, store, requests[:1], server)
    seconds, used, served, megabytes, asked, failed = fetched(client, store, requests[1:], server)
    ideal = (asked * options.latency + megabytes / options.megabytes_per_s) / client.settings.at_once
    n, memory = len(requests) - 1, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{release:<7} {first_mb:>9.2f} {megabytes / n:>9.3f} {asked / n:>9.2f} {failed:>6} {seconds:>7.1f} "
        f"{ideal:>8.1f} {100 * ideal / seconds:>8.0f} {1e3 * used / n:>9.1f} {1e3 * served / n:>9.1f} {memory:>9.0f}"
    )


def second_run(release, images, source, client, store):
    """Measure from the archive's collection, and from the same files as a folder; return a line about both.

    Both collections are new each time, as in a new process: each looks at its files and asks the index. They are
    compared round by round, so that a slow minute of the machine hits both; which one is first alternates.
    """

    def archive():
        collection = IRSACollection(client=client, store=store, flux_correction=False)
        collection.keep_to(ArchiveAnswer(images, time.time(), []))
        return collection

    def folder():
        return FolderCollection(store.images, store.calibration(release), flux_correction=False)

    list(archive().stream([source]))  # fetches the calibration, and puts the headers into the index
    moved, asked, spectra, seconds = client.moved, client.requests, [], np.zeros((1 + ROUNDS, 2, 3))
    for number in range(1 + ROUNDS):  # the first time, both warm up
        for which in (0, 1) if number % 2 else (1, 0):
            new = (archive, folder)[which]
            begin = time.perf_counter()
            new().find([source])
            found, used = time.perf_counter(), seconds_of_processor()
            spectra.append(measure([source], new()))
            seconds[number, which] = (
                found - begin, time.perf_counter() - found, seconds_of_processor() - used,
            )  # fmt: skip
    (find, one, _), (find_in_folder, other, _) = np.median(seconds[1:], axis=0)
    share, of_processor = 100 * np.moveaxis(seconds[1:, 1, 1:] / seconds[1:, 0, 1:], 1, 0)
    low, middle, high = np.percentile(share, (25, 50, 75))
    fluxes = [np.sort(table["flux"]) for table in spectra]
    same = all(np.array_equal(fluxes[0], flux, equal_nan=True) for flux in fluxes[1:])
    n = len(fluxes[0])
    return (
        f"{release:<7} {n:>7} {client.requests - asked:>9} {(client.moved - moved) / 1e6:>6.2f} {find:>8.2f} "
        f"{find_in_folder:>9.2f} {n / one:>12.0f} {n / other:>13.0f} {middle:>5.0f} {low:>7.0f}-{high:<5.0f} "
        f"{np.median(of_processor):>6.0f} {'yes' if same else 'NO':>11}"
    )


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--latency", type=float, default=0.1, help="s, of each answer")
    parser.add_argument("--megabytes-per-s", type=float, default=20.0, help="of each connection")
    options = parser.parse_args()
    describe_machine()
    print(
        f"{options.images} images of one target; answers after {options.latency:g} s with {options.megabytes_per_s:g} "
        "MB/s on each connection, eight requests at once"
    )
    print(
        f"{'release':<7} {'first, MB':>9} {'MB/image':>9} {'req/image':>9} {'failed':>6} {'s':>7} {'ideal, s':>8} "
        f"{'ideal, %':>8} {'CPU, ms':>9} {'server ms':>9} {'memory MB':>9}"
    )
    archives, lines = [], []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GLUE_SPHEREX_HOME"] = folder
        for release in ("qr2", "qr3"):
            here, there = multiprocessing.Pipe()
            place = Path(folder)
            server = multiprocessing.Process(target=serve, args=(place / release, release, options, there), daemon=True)
            server.start()
            url, images, source = here.recv()
            client, store = ArchiveClient(ArchiveSettings.at(url)), CutoutStore(place / f"store-{release}")
            first_run(release, options, client, store, [(image, [source], REACH_PX) for image in images], here)
            archives.append((release, images, source, client, store, here, server))
        for *known, here, server in archives:  # afterwards: the memory of the first runs is looked at alone
            lines.append(second_run(*known))
            here.send("end")
            server.join()
    print(f"\nAgain, from what is kept, and from the same files as a folder; medians of {ROUNDS} rounds")
    print(
        f"{'release':<7} {'matches':>7} {'requests':>9} {'MB':>6} {'find, s':>8} {'folder, s':>9} {'measure, 1/s':>12} "
        f"{'folder, 1/s':>13} {'%':>5} {'quartiles, %':>13} {'CPU, %':>6} {'same fluxes':>11}"
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
