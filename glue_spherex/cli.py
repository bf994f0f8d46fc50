"""The ``glue-spherex`` command: a command line over the public functions."""

import json
import os
import re
import sys
import time
from contextlib import ExitStack

from ._version import __version__
from .cli_archive import add_archive
from .cli_jobs import add_jobs
from .cli_measure import add_estimate, add_measure
from .cli_output import add_overwrite, check_file, check_folder
from .terminal import DONE, INTERRUPTED, NOTHING, CommandParser, detectors, positive, progress_bar

_SPECTRUM = "any spectrum (its content is looked at, not its name), or address or id of a job of IRSA's tool"


def main(arguments=None):
    """Run the command.

    Parameters
    ----------
    arguments : list of str, optional
        Without the program's name; ``sys.argv`` if None.

    Returns
    -------
    int
        0 done (single images or targets may have failed: the tables say so), 2 nothing could be done or
        found, 130 interrupted, with everything finished so far on disk.
    """
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
        # by its name: the archive is not imported for commands that do without
        return INTERRUPTED if type(error).__name__ == "ArchiveStopped" else NOTHING


def _sentence(error):
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def _parser():
    parser = CommandParser(
        prog="glue-spherex", description="SPHEREx spectrophotometry: simulate, measure, convert, look."
    )
    parser.add_argument("--version", action="version", version=f"glue-spherex {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_demo(commands)
    _add_simulate(commands)
    add_measure(commands, _command)
    add_estimate(commands, _command)
    _add_index(commands)
    _add_convert(commands)
    _add_flags(commands)
    add_archive(commands, _command)
    add_jobs(commands, _command)
    return parser


def _command(commands, name, run, text):
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.set_defaults(run=run, parser=command)
    return command


# --- demo and simulate ------------------------------------------------------------------------------------------------


def _add_demo(commands):
    command = _command(commands, "demo", _demo, "simulate a field, measure it, and open glue on it")
    command.add_argument("--output", default="glue-spherex-demo", metavar="DIR", help="default: %(default)s")
    add_overwrite(command, "a demonstration")
    command.add_argument("--no-gui", action="store_true", help="write the result and a PNG, do not open glue")
    command.add_argument(
        "--archive",
        action="store_true",
        help="fetch the images from an archive, which this command runs on this computer until its end",
    )


def _demo(options):
    from .demo import archive_demo, make_demo, show
    from .qt.application import can_show

    with ExitStack() as until_the_end:
        with progress_bar("images") as progress:
            told = {"overwrite": options.overwrite, "progress": progress}
            if options.archive:
                demo = until_the_end.enter_context(archive_demo(options.output, **told))
            else:
                demo = make_demo(options.output, **told)
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
    add_overwrite(command, "a field")
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

    check_folder(options.output, ("targets.csv", "catalogue.csv", "truth.ecsv"), options.overwrite)
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
    command.add_argument("input", metavar="IN", help=_SPECTRUM)
    command.add_argument("output", metavar="OUT", help="vot, xml, fits, ecsv, tbl, csv, tsv or parquet")
    add_overwrite(command, "a file")


def _convert(options):
    from .io import write_spectra

    check_file(options.output, options.overwrite)
    write_spectra(_read(options.input), options.output)
    return DONE


def _read(text):
    """The spectra in a file, or of a job of IRSA's tool: its address, or an id where there is no such file."""
    from .io import read_spectra

    is_id = re.fullmatch(r"[\w-]{4,}", text) is not None and not os.path.lexists(text)
    if "://" in text or is_id:
        from .images.archive.errors import ArchiveError, ArchiveStopped
        from .jobs import fetch_irsa_job

        try:
            text = fetch_irsa_job(text)
        except ArchiveStopped:
            raise
        except ArchiveError as error:
            if not is_id:
                raise
            raise ValueError(
                f"there is no file {text!r} here, so that it was taken for the id of a job of IRSA's tool: {error}"
            ) from error
    return read_spectra(text)


def _add_flags(commands):
    command = _command(commands, "flags", _flags, "list the quality flags of a spectrum with counts and names")
    command.add_argument("spectrum", metavar="SPECTRUM", help=_SPECTRUM)


def _flags(options):
    import numpy as np

    from .model import CLEAN_MASK, FLAG_TABLE

    table = _read(options.spectrum)
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
