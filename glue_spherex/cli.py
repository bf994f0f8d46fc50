"""The ``glue-spherex`` command: argparse over the public functions."""

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from importlib import import_module

from ._version import __version__
from .cli_jobs import add_jobs
from .terminal import detectors, number_range, pair, positive, progress_bar, stop_on_interrupt

DONE, NOTHING, INTERRUPTED = 0, 2, 130


def main(arguments=None):
    """Run the command.

    Parameters
    ----------
    arguments : list of str, optional
        Without the program's name; ``sys.argv`` if None.

    Returns
    -------
    int
        0 done (single images or targets may have failed: the tables say so), 2 nothing could be done, 130
        interrupted, with everything finished so far on disk.
    """
    for library in (
        "OPENBLAS",
        "OMP",
        "MKL",
    ):  # read when numpy is imported: matrices this small gain nothing from threads
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    try:
        options = _parser().parse_args(arguments)
        return options.run(options)
    except KeyboardInterrupt:
        print("glue-spherex: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stderr.close()
        return DONE
    except (ValueError, OSError) as error:
        if options.debug:
            raise
        print(f"glue-spherex: {_sentence(error)}", file=sys.stderr)
        return NOTHING


def _sentence(error):
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _parser():
    parser = argparse.ArgumentParser(
        prog="glue-spherex", description="SPHEREx spectrophotometry: simulate, measure, convert, look."
    )
    parser.add_argument("--version", action="version", version=f"glue-spherex {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_simulate(commands)
    _add_measure(commands)
    _add_estimate(commands)
    _add_index(commands)
    _add_convert(commands)
    _add_flags(commands)
    add_jobs(commands, _command)
    return parser


def _command(commands, name, run, text):
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.set_defaults(run=run)
    return command


# --- demo and simulate ------------------------------------------------------------------------------------------------


def _add_demo(commands):
    command = _command(commands, "demo", _demo, "simulate a field, measure it, and open glue on it")
    command.add_argument("--output", default="glue-spherex-demo", metavar="DIR", help="default: %(default)s")
    command.add_argument("--no-gui", action="store_true", help="write the result and a PNG, do not open glue")


def _demo(options):
    from .demo import make_demo, show
    from .qt.application import can_show

    with progress_bar("images") as progress:
        demo = make_demo(options.output, progress=progress)
    print(demo.summary)
    if options.no_gui:
        return DONE
    reason = can_show()
    if reason:
        print(f"glue is not opened: {reason}", file=sys.stderr)
        return DONE
    return show(demo)


def _add_simulate(commands):
    command = _command(commands, "simulate", _simulate, "write synthetic SPHEREx images with known truth")
    command.add_argument("--output", required=True, metavar="DIR")
    command.add_argument(
        "--scene", default="field", metavar="NAME", help="default: %(default)s; an unknown one lists all"
    )
    command.add_argument("--images", type=positive, default=60, metavar="N", help="number of images (%(default)s)")
    size = command.add_mutually_exclusive_group()
    size.add_argument("--size", type=positive, default=40, metavar="PX", help="side of a cutout (%(default)s)")
    size.add_argument("--full", action="store_true", help="full 2040 x 2040 frames")
    command.add_argument("--release", default="qr2", choices=("qr2", "qr3"), help="default: %(default)s")
    command.add_argument("--detectors", type=detectors, default=(1, 2, 3, 4, 5, 6), metavar="1,4")
    command.add_argument("--sources", type=positive, metavar="N", help="number of sources, for scenes that have one")
    command.add_argument("--seed", type=int, default=0, metavar="N")


def _simulate(options):
    from .images import simulate

    with progress_bar("images") as progress:
        field = simulate(
            options.output,
            scene=options.scene,
            images=options.images,
            size=options.size,
            full=options.full,
            release=options.release,
            seed=options.seed,
            detectors=options.detectors,
            n_sources=options.sources,
            progress=progress,
        )
    print(f"{len(field.images)} images, calibration, {field.truth.name} and {field.targets.name} in {field.folder}")
    return DONE


# --- measure and estimate ---------------------------------------------------------------------------------------------


def _add_measure(commands):
    from .photometry.settings import BACKGROUND_FITS, BACKGROUNDS, ENGINES, EXTENTS, PSF_ZONES, WEIGHTS

    command = _command(commands, "measure", _measure, "measure the spectra of targets on a folder of images")
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


def _add_request(command):
    command.add_argument("targets", nargs="?", metavar="TARGETS", help="a table with coordinates")
    command.add_argument(
        "--target", action="append", default=[], metavar='"RA DEC"', help="degrees or sexagesimal; repeat for more"
    )
    command.add_argument("--images", required=True, action="append", metavar="DIR", help="repeat for more folders")
    command.add_argument(
        "--calibration", metavar="DIR", help="solid-angle and wavelength maps; else what the headers say"
    )
    command.add_argument("--detectors", type=detectors, metavar="1,4", help="default: all")
    command.add_argument(
        "--wavelength", type=number_range, action="append", metavar="LO:HI", help="µm; repeat for more"
    )
    command.add_argument("--time", type=number_range, metavar="LO:HI", help="modified Julian dates")
    command.add_argument("--no-flux-correction", action="store_true", help="leave QR2 images on their own gain")


def _measure(options):
    from .images import FolderCollection  # noqa: F401 - imported here, so that `index_seconds` is the index alone
    from .jobs import executor_of
    from .photometry.output import EXTENSIONS, result_folder, target_outcomes, write_result
    from .photometry.result_store import temporary_store
    from .photometry.stored_run import run_stored

    start = time.perf_counter()
    settings = _settings(options)
    if options.format == "parquet":
        import_module("pyarrow")
    targets = _read_targets(options)
    if options.background:
        return _submit(options, targets, settings)
    if options.output is None:
        raise ValueError("--output is missing: name the folder for the result")
    images, index_seconds = _folder_collection(options)
    request = {
        "targets": options.targets or options.target,
        "image_folders": list(images.folders),
        "calibration": options.calibration and os.path.abspath(options.calibration),
        "flux_correction": not options.no_flux_correction,
    }
    with result_folder(options.output) as folder, temporary_store(folder) as results:
        begin = time.perf_counter()
        with (
            progress_bar("images") as progress,
            stop_on_interrupt() as stopped,
            executor_of(options.workers, options.scheduler) as pool,
        ):
            result = run_stored(
                targets.sources, images, settings, results, executor=pool, cancelled=stopped,
                progress=lambda done, total, _: progress(done, total),
            )  # fmt: skip
        measure_seconds = time.perf_counter() - begin
        table = target_outcomes(targets, result.targets)
        write_result(result, folder, spectrum_format=options.format, targets=table, request=request)
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
        wavelength=tuple(options.wavelength) if options.wavelength else None,
        time=options.time,
    )


def _submit(options, targets, settings):
    """Make the run a job."""
    from .jobs import submit

    for note in _rejections(targets):
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
    notes = _rejections(targets)
    lost = len(targets.sources) - sum(result.targets["n_measured"] > 0)
    if lost and summary["measurements"]:
        notes.append(f"{lost} of {len(targets.sources)} targets have no flux in any image; targets.ecsv says why")
    if result.interrupted:
        notes.append(f"interrupted after {summary['images']} images; the result holds these")
    if options.calibration is None and summary["measurements"]:
        notes.append("without --calibration wavelengths are good to 1 nm and fluxes to 2 %")
    if summary["failed_images"]:
        notes.append(f"{summary['failed_images']} images failed; images.ecsv says why")
    releases = result.about["releases"]
    if len({name.removesuffix("_deep") for name in releases}) > 1:
        notes.append(f"the spectra mix releases with different gains: {', '.join(releases)} (column data_collection)")
    if result.repeats:
        notes.append("some exposures are there more than once, in different files; images.ecsv lists them")
    for note in notes:
        print(f"glue-spherex: {note}", file=sys.stderr)
    if options.json:
        print(json.dumps(summary))
    elif summary["measurements"]:
        print(
            f"{summary['measurements']} measurements of {len(targets.sources)} sources on {summary['images']} images "
            f"in {summary['seconds']:.1f} s: {spectra}"
        )


def _rejections(targets):
    """A sentence for each of the first rejected rows."""
    notes = [f"not measured: {rejected}" for rejected in targets.rejected[:20]]
    if len(targets.rejected) > 20:
        notes.append(f"… and {len(targets.rejected) - 20} more rows that cannot be sources")
    return notes


def _read_targets(options):
    from .io import read_targets

    if bool(options.targets) == bool(options.target):
        raise ValueError('give either a table of targets or at least one --target "RA DEC"')
    targets = read_targets(options.targets) if options.targets else _targets_from(options.target)
    if not targets.sources:
        where = options.targets or "--target"
        if not targets.n_rows:
            raise ValueError(f"{where}: the list has no rows")
        raise ValueError(f"{where}: none of its {targets.n_rows} rows can be measured; {targets.rejected[0]}")
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
            rejected.append(Rejected(row, str(error)))
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


def _add_estimate(commands):
    command = _command(commands, "estimate", _estimate, "say how many images hold the targets, and how long it takes")
    _add_request(command)


def _estimate(options):
    from .photometry import estimate

    targets = _read_targets(options)
    for note in _rejections(targets):
        print(f"glue-spherex: {note}", file=sys.stderr)
    result = estimate(
        targets.sources,
        _folder_collection(options)[0],
        detectors=options.detectors,
        wavelength=tuple(options.wavelength) if options.wavelength else None,
        time=options.time,
    )
    result.counts.pprint_all()
    print(f"{result.images} images, {result.measurements} measurements, about {result.seconds:.1f} s with one worker")
    return DONE


# --- index, convert, flags --------------------------------------------------------------------------------------------


def _add_index(commands):
    command = _command(commands, "index", _index, "build or refresh the index of a folder of images")
    command.add_argument("images", metavar="DIR", nargs="+")
    command.add_argument("--json", action="store_true", help="one line of JSON on standard output")


def _index(options):
    from .images import FolderCollection

    start = time.perf_counter()
    images = FolderCollection(options.images)
    with progress_bar("index") as progress:
        images.refresh(progress=progress)
    summary = {
        "images": len(images.records),
        "failed_images": len(images.failures),
        "detectors": sorted({record.detector for record in images.records}),
        "collections": sorted({record.collection for record in images.records}),
        "seconds": round(time.perf_counter() - start, 4),
    }
    for path, reason in images.failures:
        print(f"glue-spherex: {path}: {reason}", file=sys.stderr)
    if options.json:
        print(json.dumps(summary))
    else:
        print(
            f"{summary['images']} images of detectors {', '.join(map(str, summary['detectors'])) or '-'}, "
            f"{summary['failed_images']} files that cannot be used"
        )
    return DONE


def _add_convert(commands):
    command = _command(commands, "convert", _convert, "write a spectrum in another format")
    command.add_argument("input", metavar="IN", help="any spectrum; its content is looked at, not its name")
    command.add_argument("output", metavar="OUT", help="vot, xml, fits, ecsv, tbl, csv, tsv or parquet")


def _convert(options):
    from .io import read_spectra, write_spectra

    write_spectra(read_spectra(options.input), options.output)
    return DONE


def _add_flags(commands):
    command = _command(commands, "flags", _flags, "list the quality flags of a spectrum with counts and names")
    command.add_argument("spectrum", metavar="SPECTRUM")


def _flags(options):
    import numpy as np

    from .io import read_spectra
    from .model import CLEAN_MASK, FLAG_TABLE

    table = read_spectra(options.spectrum)
    if "flags" not in table.colnames:
        raise ValueError(f"{options.spectrum}: the spectrum has no column 'flags'")
    flags = np.ma.filled(table["flags"], 0)
    total = len(flags)
    print(f"{'bit':>3}  {'count':>7}  {'%':>5}  name")
    for info in FLAG_TABLE:
        count = int(((flags >> info.bit) & 1).sum())
        if count:
            print(f"{info.bit:>3}  {count:>7}  {100 * count / total:>5.1f}  {info.name}: {info.meaning}")
    clean = int(((flags & ~CLEAN_MASK) == 0).sum())
    print(f"{total} measurements, {clean} of them clean (no flag, or SOURCE alone)")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
