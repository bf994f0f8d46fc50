"""The commands ``glue-spherex measure`` and ``glue-spherex estimate``."""

import argparse
import json
import os
import sys
import time

from .cli_output import add_overwrite, check_result
from .cli_request import (
    add_request,
    archive_of,
    read_target_options,
    refreshed,
    rejections,
    request_of,
    waiting_for_archive,
    why_none,
)
from .model.wording import counted
from .terminal import DONE, INTERRUPTED, NOTHING, pair, positive, progress_bar, stop_on_interrupt, told_if_slow


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

    command = new_command(
        commands, "measure", _measure, "measure the spectra of targets on images in folders or of the archive"
    )
    add_request(command)
    command.add_argument(
        "--output",
        metavar="DIR",
        help="result folder, made if it does not exist; with --background in the job's own folder if left out",
    )
    add_overwrite(command, "a result")
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
    command.add_argument(
        "--workers",
        type=positive,
        default=1,
        metavar="N",
        help="processes (%(default)s); starting them takes seconds, which pays from about a thousand cutouts on",
    )
    command.add_argument("--scheduler", metavar="ADDRESS", help="measure on a Dask cluster, as tcp://host:8786")
    command.add_argument(
        "--format",
        choices=("votable", "fits", "ecsv", "ipac", "csv", "parquet"),
        default="votable",
        help="default: %(default)s",
    )
    command.add_argument(
        "--keep-cutouts",
        action=argparse.BooleanOptionalAction,
        help="put what is fetched into the result folder; default: only of jobs",
    )
    command.add_argument("--json", action="store_true", help="end with one line of JSON on standard output")
    command.add_argument("--background", action="store_true", help="make it a job, print the job's id, and return")
    command.add_argument(
        "--title", default="", metavar="TEXT", help="of the job; default: the targets, the images and the date"
    )


def _measure(options):
    from .io.parquet import load_pyarrow
    from .jobs import check_result_folder
    from .photometry.closing_notes import closing_notes
    from .photometry.output import EXTENSIONS, result_folder, target_outcomes, write_result
    from .photometry.result_store import temporary_store
    from .photometry.result_tables import count_images

    start = time.perf_counter()
    settings = _settings(options)
    if options.format == "parquet":
        load_pyarrow()
    targets = read_target_options(options)
    if options.keep_cutouts is None:
        options.keep_cutouts = options.background
    request = request_of(options, settings)
    if options.output is not None:
        check_result_folder(options.output)
        check_result(options.output, options.overwrite)
    elif not options.background:
        raise ValueError("--output is missing: name the folder for the result")
    if options.background:
        return _submit(options, targets, request)
    images, begin = request.collection(options.output), time.perf_counter()
    refreshed(images)
    index_seconds = time.perf_counter() - begin
    with result_folder(options.output) as folder, temporary_store(folder) as results:
        check_result(folder, options.overwrite)  # another run may have ended meanwhile
        begin = time.perf_counter()
        result = _run(options, targets, images, request, results)
        measure_seconds = time.perf_counter() - begin
        table = target_outcomes(targets, result.targets)
        if request.archive is not None:
            images.pin(folder, result.images["path"])
        notes, described = closing_notes(result, images, targets.sources), request.described(images)
        write_result(result, folder, spectrum_format=options.format, targets=table, request=described, notes=notes)
    _remember(request, result, time.perf_counter() - begin)
    summary = {
        "images": count_images(row for row in result.images if row["status"] == "measured"),
        "measurements": result.n_rows,
        "failed_images": count_images(row for row in result.images if row["status"] in ("failed", "unreadable")),
        "rejected_targets": len(targets.rejected),
        "seconds": round(time.perf_counter() - start, 4),
        "index_seconds": round(index_seconds, 4),
        "measure_seconds": round(measure_seconds, 4),
    }
    if request.archive is not None:
        summary["megabytes_moved"] = round(images.client.moved / 1e6, 3)
    _tell(options, targets, result, summary, notes, folder / f"spectra{EXTENSIONS[options.format]}")
    return _status(result, table)


def _run(options, targets, images, request, results):
    """Measure, with a progress bar; Ctrl-C ends it after the images at work."""
    from .jobs import executor_of
    from .photometry.stored_run import run_stored

    waiting = "" if request.archive is None else waiting_for_archive(bool(request.image_folders))
    with (
        progress_bar("images", waiting) as progress,
        stop_on_interrupt() as stopped,
        executor_of(options.workers, options.scheduler) as pool,
    ):
        return run_stored(
            targets.sources, images, request.settings, results, executor=pool, cancelled=stopped,
            progress=lambda done, total, _: progress(done, total),
        )  # fmt: skip


def _remember(request, result, seconds):
    """Note how long it took, for forecasts; see `glue_spherex.jobs.expected_seconds`."""
    from .jobs import remember_run
    from .photometry.result_tables import count_images

    read = [row for row in result.images if row["status"] != "unreadable"]
    if request.archive is not None:  # the measurement alone: the archive is not this machine
        seconds = sum(row["seconds"] for row in read) / min(request.workers, os.cpu_count() or 1)
    images = count_images(read)  # as they are counted before a run: the archive gives several cutouts of one
    remember_run(
        result.settings, images, result.n_rows, seconds, workers=request.workers, scheduler=request.scheduler,
        image_bytes=sum(row["size"] for row in read) / max(1, images),
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


def _submit(options, targets, request):
    """Make the run a job."""
    from .jobs import submit_request

    for note in rejections(targets):
        print(f"glue-spherex: {note}", file=sys.stderr)
    job = submit_request(request, targets, title=options.title)
    print(json.dumps(job.as_dict()) if options.json else job.id)
    return DONE


def _tell(options, targets, result, summary, closing, spectra):
    notes = rejections(targets)
    lost = len(targets.sources) - sum(result.targets["n_measured"] > 0)
    if lost and summary["measurements"]:
        notes.append(f"{lost} of {len(targets.sources)} targets have no flux in any image; targets.ecsv says why")
    if result.interrupted:
        notes.append(f"interrupted after {summary['images']} images; the result holds these")
    if options.images and options.calibration is None and summary["measurements"]:
        notes.append("without --calibration wavelengths are good to 1 nm and fluxes to 2 %")
    if summary["failed_images"]:
        notes.append(f"{counted(summary['failed_images'], 'image')} failed; images.ecsv says why")
    for note in [*notes, *closing]:
        print(f"glue-spherex: {note}", file=sys.stderr)
    if options.json:
        print(json.dumps(summary))
    elif summary["measurements"]:
        print(
            f"{counted(summary['measurements'], 'measurement')} of {targets.in_words} "
            f"on {counted(summary['images'], 'image')} "
            f"in {summary['seconds']:.1f} s: {spectra}"
        )


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
    add_request(command)


def _estimate(options):
    from .images import FolderCollection
    from .photometry import estimate
    from .photometry.settings import Settings

    targets = read_target_options(options)
    for note in rejections(targets):
        print(f"glue-spherex: {note}", file=sys.stderr)
    settings = Settings(
        detectors=options.detectors, wavelength=tuple(options.wavelength or ()) or None, time=options.time
    )
    local, archive = None, archive_of(options)
    if options.images:
        local = refreshed(
            FolderCollection(options.images, options.calibration, flux_correction=not options.no_flux_correction)
        )
    if archive is not None:
        return _estimate_archive(options, targets, archive.collection(local), settings)
    result = estimate(targets.sources, local, settings=settings)
    result.counts.pprint_all()
    numbers = f"{counted(result.images, 'image')}, {counted(result.measurements, 'measurement')}"
    print(f"{numbers}, about {result.seconds:.1f} s with one worker")
    return DONE


def _estimate_archive(options, targets, images, settings):
    """Say what would be fetched and measured, without fetching anything."""
    from .images.archive.coverage import coverage_table
    from .jobs import expected_seconds

    with told_if_slow(waiting_for_archive(images.local is not None)):
        local, wanted = images.matches(targets.sources, **settings.ranges)
    plan = images.outlook(targets.sources, local, wanted)
    for note in images.notes:
        print(f"glue-spherex: {note}", file=sys.stderr)
    if not plan.images:
        print(f"glue-spherex: {why_none(options, targets.sources)}", file=sys.stderr)
        return NOTHING
    if images.answer is not None:  # the archive could be asked
        coverage_table(images.answer, targets.sources).pprint_all()
    print(
        f"{counted(plan.images, 'image')}: {plan.local} in the folders, {plan.kept} fetched already; "
        f"{plan.megabytes:.0f} MB to move, about {plan.seconds:.0f} s"
    )
    seconds, basis = expected_seconds(plan.images, sum(len(m.sources) for m in [*local, *wanted]), settings)
    print(
        f"measuring: about {seconds:.0f} s with one worker, {basis}" if seconds is not None else f"measuring: {basis}"
    )
    return DONE
