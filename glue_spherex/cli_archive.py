"""The commands about the archive: ``glue-spherex search``."""

import json
import sys
import time

from .cli_measure import add_ranges, add_targets, read_target_options, rejections
from .terminal import DONE, NOTHING, progress_bar, stop_on_interrupt


def add_archive(commands, new_command):
    """Add ``search`` to a parser.

    Parameters
    ----------
    commands, new_command
        As in `glue_spherex.cli_measure.add_measure`.
    """
    _add_search(commands, new_command)


def _add_search(commands, new_command):
    command = new_command(commands, "search", _search, "ask the archive which images it has of the targets")
    add_targets(command)
    add_ranges(command)
    add_collections(command)
    command.add_argument("--output", metavar="FILE", help="list of the images: ecsv, csv, vot, xml or fits")
    command.add_argument("--json", action="store_true", help="one line of JSON on standard output")


def add_collections(command):
    """Add the options that choose among the archive's images."""
    command.add_argument(
        "--collection", action="append", metavar="NAME", help="as qr2_deep; repeat for more; default: all"
    )
    command.add_argument("--release", metavar="NAME", help="only this data release, as qr3")
    command.add_argument("--fields", choices=("wide", "deep"), help="only the wide survey, or only the deep fields")
    command.add_argument("--refresh", action="store_true", help="ask even if the archive was asked lately")


def _search(options):
    from pathlib import Path

    from .images.archive.coverage import coverage_table, write_listing
    from .images.archive.search import search

    targets = read_target_options(options)
    with progress_bar("answers") as progress, stop_on_interrupt("the answers under way") as stopped:
        answer = search(
            targets.sources,
            collections=options.collection,
            detectors=options.detectors,
            wavelength=options.wavelength,
            time=options.time,
            release=options.release,
            fields=options.fields,
            refresh=options.refresh,
            progress=progress,
            cancelled=stopped,
        )
    for note in [*rejections(targets), *answer.notes]:
        print(f"glue-spherex: {note}", file=sys.stderr)
    if options.output:
        write_listing(answer, Path(options.output))
    asked = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(answer.date))
    if options.json:
        collections = sorted({image.collection for image in answer.rows})
        summary = {
            "images": len(answer.rows),
            "detectors": sorted({image.detector for image in answer.rows}),
            "collections": collections,
            "megabytes": round(answer.megabytes, 1),
            "requests": answer.requests,
            "asked": asked,
        }
        print(json.dumps(summary))
    else:
        coverage_table(answer, targets.sources).pprint_all()
        print(f"{len(answer.rows)} images, {answer.megabytes:.0f} MB as whole files; the archive was asked on {asked}")
    return DONE if answer.rows else NOTHING
