"""The commands ``glue-spherex measure`` and ``glue-spherex estimate``."""

import json
import os
import re
import sys
import time
from dataclasses import replace
from importlib import import_module

from .terminal import (
    DONE,
    INTERRUPTED,
    NOTHING,
    detectors,
    pair,
    positive,
    progress_bar,
    stop_on_interrupt,
    time_range,
    wavelength_ranges,
)

_LOOK_UP = " Names of objects are looked up by the measure dialog in glue only."


def add_measure(commands, new_command):
    """Add ``measure`` to a parser.

    Parameters
    ----------
    commands
        What `argparse.ArgumentParser.add_subparsers` gives.
    new_command : callable(commands, name, run, text)
        Makes a command.
    """
    from .photometry.settings import BACKGROUND_FITS, BACKGROUNDS, ENGINES, EXTENTS, PSF_ZONES, WEIGHTS

    command = new_command(commands, "measure", _measure, "measure the spectra of targets on a folder of images")
    _add_request(command)
    command.add_argument(
        "--output",
        metavar="DIR",
        help="result folder, made if it does not exist; with --background in the job's own folder if left out",
    )
    command.add_argument("--background-box", type=int, default=15, metavar="PX", help="side of the box (%(default)s)")
    command.add_argument("--background-mode", choices=BACKGROUNDS, default="local", help="default: %(default)s")
    command.add_argument("--background-fit", choices=BACKGROUND_FITS, default="none", help="default: %(default)s")
    command.add_argument("--engine", choices=ENGINES, default="builtin", help="default: %(default)s")
    command.add_argument(
        "--extent",
        choices=EXTENTS,
        default="tractor",
        help="which total flux of a Sersic profile: The Tractor's, as IRSA (default), or of all its light",
    )
    command.add_argument(
        "--weights",
        choices=WEIGHTS,
        default="model",
        help="variance of a pixel: expected from the model (default), or the plane",
    )
    command.add_argument("--psf-zones", choices=PSF_ZONES, default="nearest", help="default: %(default)s")
    command.add_argument("--psf-shift", type=pair, default=(0.0, 0.0), metavar="DX,DY", help="pixels; default: 0,0")
    command.add_argument("--workers", type=positive, default=1, metavar="N", help="processes (%(default)s)")
    command.add_argument("--scheduler", metavar="ADDRESS", help="measure on a Dask cluster, as tcp://host:8786")
    command.add_argument(
        "--format",
        choices=("votable", "fits", "ecsv", "ipac", "csv", "parquet"),
        default="votable",
        help="default: %(default)s",
    )
    command.add_argument("--json", action="store_true", help="end with one line of JSON on standard output")
    command.add_argument("--background", action="store_true", help="make it a job, print the job's id, and return")
    command.add_argument("--title", default="", metavar="TEXT", help="of the job; default: the targets and the date")


def add_targets(command):
    """Add the options that name the targets."""
    command.add_argument("targets", nargs="?", metavar="TARGETS", help="a table with coordinates")
    command.add_argument(
        "--target", action="append", default=[], metavar='"RA DEC"', help="degrees or sexagesimal; repeat for more"
    )


def add_ranges(command):
    """Add the options that say which images are wanted."""
    command.add_argument("--detectors", type=detectors, metavar="1,4", help="default: all")
    command.add_argument(
        "--wavelength", type=wavelength_ranges, action="extend", metavar="LO:HI", help="µm; repeat for more"
    )
    command.add_argument(
        "--time", type=time_range, metavar="FROM:TO", help="dates as 2025-08-13, or modified Julian dates"
    )


def _add_request(command):
    add_targets(command)
    command.add_argument("--images", required=True, action="append", metavar="DIR", help="repeat for more folders")
    command.add_argument(
        "--calibration", metavar="DIR", help="solid-angle and wavelength maps; else what the headers say"
    )
    add_ranges(command)
    command.add_argument("--no-flux-correction", action="store_true", help="leave QR2 images on their own gain")


def _measure(options):
    from .images import FolderCollection  # noqa: F401 - imported here, so that `index_seconds` is the index alone
    from .photometry.output import EXTENSIONS, result_folder, target_outcomes, write_result
    from .photometry.result_store import temporary_store

    start = time.perf_counter()
    settings = _settings(options)
    if options.format == "parquet":
        import_module("pyarrow")
    targets = read_target_options(options)
    if options.background:
        return _submit(options, targets, settings)
    if options.output is None:
        raise ValueError("--output is missing: name the folder for the result")
    images, index_seconds = _folder_collection(options)
    with result_folder(options.output) as folder, temporary_store(folder) as results:
        begin = time.perf_counter()
        result = _run(options, targets, images, settings, results)
        measure_seconds = time.perf_counter() - begin
        table = target_outcomes(targets, result.targets)
        write_result(result, folder, spectrum_format=options.format, targets=table, request=_request(options, images))
    _remember(options, result, time.perf_counter() - begin)
    summary = {
        "images": sum(row["status"] == "measured" for row in result.images),
        "measurements": result.n_rows,
        "failed_images": sum(row["status"] in ("failed", "unreadable") for row in result.images),
        "rejected_targets": len(targets.rejected),
        "seconds": round(time.perf_counter() - start, 4),
        "index_seconds": round(index_seconds, 4),
        "measure_seconds": round(measure_seconds, 4),
    }
    _tell(options, targets, result, summary, folder / f"spectra{EXTENSIONS[options.format]}")
    return _status(result, table)


def _run(options, targets, images, settings, results):
    """Measure, with a progress bar; Ctrl-C ends it after the images at work."""
    from .jobs import executor_of
    from .photometry.stored_run import run_stored

    with (
        progress_bar("images") as progress,
        stop_on_interrupt() as stopped,
        executor_of(options.workers, options.scheduler) as pool,
    ):
        return run_stored(
            targets.sources, images, settings, results, executor=pool, cancelled=stopped,
            progress=lambda done, total, _: progress(done, total),
        )  # fmt: skip


def _request(options, images):
    """What was asked for beside the settings, for the result folder."""
    return {
        "targets": options.targets or options.target,
        "image_folders": list(images.folders),
        "calibration": options.calibration and os.path.abspath(options.calibration),
        "flux_correction": not options.no_flux_correction,
    }


def _remember(options, result, seconds):
    """Note how long it took, for forecasts; see `glue_spherex.jobs.expected_seconds`."""
    from .jobs import remember_run

    sizes = [row["size"] for row in result.images if row["status"] != "unreadable"]
    remember_run(
        result.settings, len(sizes), result.n_rows, seconds, workers=options.workers, scheduler=options.scheduler,
        image_bytes=sum(sizes) / max(1, len(sizes)),
    )  # fmt: skip


def _status(result, table):
    """The exit status, with a reason if it is not 0."""
    if result.interrupted:
        return INTERRUPTED
    if not result.n_rows:
        reasons = [row["reason"] for row in result.images if row["reason"]] or list(table["reason"])
        print(f"glue-spherex: nothing could be measured: {reasons[0]}", file=sys.stderr)
        return NOTHING
    return DONE


def _settings(options):
    from .photometry.settings import Settings

    return Settings(
        background_box=options.background_box,
        background=options.background_mode,
        background_fit=options.background_fit,
        engine=options.engine,
        extent=options.extent,
        weights=options.weights,
        psf_zones=options.psf_zones,
        psf_shift=options.psf_shift,
        detectors=options.detectors,
        wavelength=tuple(options.wavelength or ()) or None,
        time=options.time,
    )


def _submit(options, targets, settings):
    """Make the run a job."""
    from .jobs import submit

    for note in rejections(targets):
        print(f"glue-spherex: {note}", file=sys.stderr)
    job = submit(
        targets,
        options.images,
        options.calibration,
        settings,
        title=options.title,
        workers=options.workers,
        scheduler=options.scheduler,
        flux_correction=not options.no_flux_correction,
        spectrum_format=options.format,
        output=options.output,
        origin=options.targets or options.target,
    )
    print(json.dumps(job.as_dict()) if options.json else job.id)
    return DONE


def _tell(options, targets, result, summary, spectra):
    from .photometry.output import MIXED

    notes = rejections(targets)
    lost = len(targets.sources) - sum(result.targets["n_measured"] > 0)
    if lost and summary["measurements"]:
        notes.append(f"{lost} of {len(targets.sources)} targets have no flux in any image; targets.ecsv says why")
    if result.interrupted:
        notes.append(f"interrupted after {summary['images']} images; the result holds these")
    if options.calibration is None and summary["measurements"]:
        notes.append("without --calibration wavelengths are good to 1 nm and fluxes to 2 %")
    if summary["failed_images"]:
        notes.append(f"{_counted(summary['failed_images'], 'image')} failed; images.ecsv says why")
    releases = result.about["releases"]
    if len({name.removesuffix("_deep") for name in releases}) > 1:
        notes.append(f"the spectra mix releases with different gains: {', '.join(releases)} (column data_collection)")
    if len(result.about["made_with"]) > 1:
        notes.append(MIXED)
    if result.repeats:
        notes.append("some exposures are there more than once, in different files; images.ecsv lists them")
    for note in notes:
        print(f"glue-spherex: {note}", file=sys.stderr)
    if options.json:
        print(json.dumps(summary))
    elif summary["measurements"]:
        print(
            f"{_counted(summary['measurements'], 'measurement')} of {targets.in_words} "
            f"on {_counted(summary['images'], 'image')} "
            f"in {summary['seconds']:.1f} s: {spectra}"
        )


def _counted(number, noun):
    return f"{number} {noun}{'' if number == 1 else 's'}"


def rejections(targets):
    """A sentence for each of the first rejected rows."""
    notes = [f"not measured: {rejected}" for rejected in targets.rejected[:20]]
    if len(targets.rejected) > 20:
        notes.append(f"… and {len(targets.rejected) - 20} more rows that cannot be sources")
    return notes


def read_target_options(options):
    """The target list of the options of `add_targets`; ValueError if nothing in it can be measured."""
    from .io import read_targets

    if bool(options.targets) == bool(options.target):
        raise ValueError('give either a table of targets or at least one --target "RA DEC"')
    targets = read_targets(options.targets) if options.targets else _targets_from(options.target)
    if not targets.sources:
        where = options.targets or "--target"
        if not targets.n_rows:
            raise ValueError(f"{where}: the list has no rows")
        which = f"none of its {targets.n_rows} rows can" if targets.n_rows > 1 else "its only row cannot"
        raise ValueError(f"{where}: {which} be measured; {targets.rejected[0]}")
    return targets


def _targets_from(texts):
    """The target list of ``--target`` options; what is no position is a rejected row."""
    import numpy as np
    from astropy.table import Table

    from .io import Rejected, TargetListError, parse_target, read_targets

    rows, positions, rejected = [], [], []
    for row, text in enumerate(texts):
        try:
            positions.append(parse_target(text))
            rows.append(row)
        except TargetListError as error:
            rejected.append(Rejected(row, f"{error}{_LOOK_UP if re.match('[^0-9]*[A-Za-z]', text) else ''}"))
    table = Table({"ra": [p.ra for p in positions], "dec": [p.dec for p in positions]}, dtype=(float, float))
    targets = read_targets(table)
    return replace(targets, rows=np.array(rows, dtype=int), rejected=rejected)


def _folder_collection(options):
    """The images, and the seconds that their index took."""
    from .images import FolderCollection

    images = FolderCollection(options.images, options.calibration, flux_correction=not options.no_flux_correction)
    start = time.perf_counter()
    with progress_bar("index") as progress:
        images.refresh(progress=progress)
    return images, time.perf_counter() - start


def add_estimate(commands, new_command):
    """Add ``estimate`` to a parser.

    Parameters
    ----------
    commands, new_command
        As in `add_measure`.
    """
    command = new_command(
        commands, "estimate", _estimate, "say how many images hold the targets, and how long it takes"
    )
    _add_request(command)


def _estimate(options):
    from .photometry import estimate

    targets = read_target_options(options)
    for note in rejections(targets):
        print(f"glue-spherex: {note}", file=sys.stderr)
    result = estimate(
        targets.sources,
        _folder_collection(options)[0],
        detectors=options.detectors,
        wavelength=tuple(options.wavelength or ()) or None,
        time=options.time,
    )
    result.counts.pprint_all()
    counted = f"{_counted(result.images, 'image')}, {_counted(result.measurements, 'measurement')}"
    print(f"{counted}, about {result.seconds:.1f} s with one worker")
    return DONE
