"""The commands about the archive: ``glue-spherex search``, ``fetch`` and ``cache``."""

import json
import sys
import time

from .cli_output import add_overwrite, check_file
from .cli_request import (
    add_collections,
    add_ranges,
    add_targets,
    choice_of,
    read_target_options,
    rejections,
    waiting_for_archive,
    why_none,
)
from .terminal import DONE, INTERRUPTED, NOTHING, positive, progress_bar, stop_on_interrupt

#: Images that cannot be had and are told one by one.
MOST_FAILURES = 20


def add_archive(commands, new_command):
    """Add ``search``, ``fetch`` and ``cache`` to a parser.

    Parameters
    ----------
    commands, new_command
        As in `glue_spherex.cli_measure.add_measure`.
    """
    _add_search(commands, new_command)
    _add_fetch(commands, new_command)
    _add_cache(commands, new_command)


def _add_search(commands, new_command):
    command = new_command(commands, "search", _search, "ask the archive which images it has of the targets")
    add_targets(command)
    add_ranges(command)
    add_collections(command)
    command.add_argument("--refresh", action="store_true", help="ask even if the archive was asked lately")
    command.add_argument("--output", metavar="FILE", help="list of the images: ecsv, csv, vot, xml or fits")
    add_overwrite(command, "a list")
    command.add_argument("--json", action="store_true", help="one line of JSON on standard output")


def _search(options):
    from pathlib import Path

    from .images.archive.coverage import coverage_table, listing_format, write_listing
    from .images.archive.search import search

    if options.output:
        listing_format(Path(options.output))  # before anybody is asked
        check_file(options.output, options.overwrite)
    choice, targets = choice_of(options), read_target_options(options)
    with (
        progress_bar("answers", waiting_for_archive()) as progress,
        stop_on_interrupt("the answers under way") as stopped,
    ):
        answer = search(
            targets.sources,
            collections=choice.collections,
            detectors=options.detectors,
            wavelength=options.wavelength,
            time=options.time,
            release=choice.release,
            fields=choice.fields,
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
    if not answer.rows:
        print(f"glue-spherex: {why_none(options, targets.sources)}", file=sys.stderr)
        return NOTHING
    return DONE


def _add_fetch(commands, new_command):
    command = new_command(commands, "fetch", _fetch, "fetch the pixels around the targets from the archive")
    add_targets(command)
    add_ranges(command)
    add_collections(command)
    command.add_argument("--refresh", action="store_true", help="ask even if the archive was asked lately")
    command.add_argument(
        "--output",
        metavar="DIR",
        help="folder for images/ and calibration/, added to what is there; without, they are only kept in the cache",
    )
    command.add_argument(
        "--background-box", type=positive, default=15, metavar="PX", help="the widest that will be used (%(default)s)"
    )
    command.add_argument("--json", action="store_true", help="one line of JSON on standard output")


def _fetch(options):
    from pathlib import Path

    from .images.archive.cutout_store import copy_cutouts
    from .photometry.output import check_writable
    from .photometry.settings import Settings

    start = time.perf_counter()
    settings = Settings(
        background_box=options.background_box,
        detectors=options.detectors,
        wavelength=tuple(options.wavelength or ()) or None,
        time=options.time,
    )
    output = Path(options.output) if options.output else None
    choice, targets = choice_of(options), read_target_options(options)
    if output is not None:
        check_writable(output)
    images = choice.collection(
        refresh=options.refresh,
        background_box=settings.background_box,
        keep_in=output and output / "images",
    )
    files, releases = [], set()
    with (
        progress_bar("images", waiting_for_archive()) as progress,
        stop_on_interrupt("the images under way") as stopped,
    ):
        for match in images.stream(targets.sources, **settings.ranges, progress=progress, cancelled=stopped):
            if match is None:
                continue
            files.append(match.record.path)
            releases.add(match.record.release)
        interrupted = stopped()
    for release in sorted(releases) if output is not None else ():
        copy_cutouts(sorted(images.store.calibration(release).glob("*.fits")), output / "calibration" / release)
    failures = dict(images.failures)
    for note in [*rejections(targets), *images.notes, *_told_failures(failures)]:
        print(f"glue-spherex: {note}", file=sys.stderr)
    summary = {
        "cutouts": len(files),
        "failed_images": len(failures),
        "megabytes": round(images.client.moved / 1e6, 3),
        "requests": images.client.requests,
        "seconds": round(time.perf_counter() - start, 3),
        "folder": str(output or images.store.folder),
    }
    if options.json:
        print(json.dumps(summary))
    else:
        print(
            f"{summary['cutouts']} cutouts in {summary['folder']}; {summary['megabytes']:.1f} MB in "
            f"{summary['requests']} requests were moved, {summary['failed_images']} images cannot be had"
        )
    if interrupted:
        return INTERRUPTED
    if not images.answer.rows:
        print(f"glue-spherex: {why_none(options, targets.sources)}", file=sys.stderr)
    return DONE if files else NOTHING


def _told_failures(failures):
    """A sentence for each of the first images that cannot be had, from the reasons by address."""
    told = [f"{address}: {reason.removeprefix(f'{address}: ')}" for address, reason in failures.items()]
    more = [f"… and {len(told) - MOST_FAILURES} more images"] if len(told) > MOST_FAILURES else []
    return [*told[:MOST_FAILURES], *more]


def _add_cache(commands, new_command):
    command = commands.add_parser(
        "cache", help="look after the cutouts that are kept", description="Cutouts of the archive's images on disk."
    )
    actions = command.add_subparsers(metavar="ACTION", required=True)
    texts = {
        "status": (_cache_status, "show what is kept, where, and how much space it takes"),
        "prune": (_cache_prune, "remove what was used least recently"),
        "clear": (_cache_clear, "remove everything but what kept results refer to, and what may be in use"),
        "verify": (_cache_verify, "read all files, and remove those that are damaged"),
    }
    for name, (run, text) in texts.items():
        action = new_command(actions, name, run, text)
        action.add_argument("--json", action="store_true", help="one line of JSON on standard output")
        if name == "prune":
            action.add_argument("--limit", type=_gigabytes, metavar="GB", help="wanted size; default: the usual limit")
            action.add_argument(
                "--missing-results",
                action="store_true",
                help="also the cutouts that only results refer to that are gone "
                "(not just on a disk that is not mounted)",
            )
        elif name == "clear":
            action.add_argument(
                "--all", action="store_true", help="also what kept results refer to, and what may be in use"
            )
            action.add_argument("--yes", action="store_true", help="do not ask")


def _gigabytes(text):
    import argparse

    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is not a size in GB from 0 up")
    return int(number * 1e9)


def _store():
    from .images.archive.cutout_store import CutoutStore

    return CutoutStore()


def _cache_status(options):
    from dataclasses import asdict

    status = _store().status()
    if options.json:
        print(json.dumps(asdict(status)))
        return DONE
    print(f"folder       {status.folder}")
    print(f"cutouts      {status.cutouts}, {_size(status.cutout_bytes)} of {_size(status.limit_bytes)}")
    print(f"kept results {status.results}, with {status.pinned} cutouts, {_size(status.pinned_bytes)}")
    print(f"calibration  {_size(status.product_bytes)}")
    for result in status.missing_results:
        print(f"not found    the result {result}, whose cutouts are kept")
    if status.missing_results:
        print("             if they are gone for good: glue-spherex cache prune --missing-results")
    for folder, size in status.other_versions.items():
        print(f"not used     {folder}, of another version of this program, {_size(size)}")
    return DONE


def _cache_prune(options):
    store = _store()
    results, removed, freed = store.forget_missing_results() if options.missing_results else ([], 0, 0)
    more = store.prune(options.limit)
    if not options.json:
        for result in results:
            print(f"forgotten: the result {result}, which is gone")
        kept = len(store.status().missing_results)
        if kept:
            print(f"results that are gone, whose cutouts are kept: {kept}; --missing-results removes them")
    return _told(options, removed + more[0], freed + more[1], forgotten_results=results)


def _cache_clear(options):
    from .images.archive.answer_cache import AnswerCache

    store = _store()
    if not options.yes:
        if not sys.stdin.isatty():
            raise ValueError("nothing is deleted without a question: add --yes")
        if input(f"Delete what is kept in {store.folder}? [y/N] ").strip().lower() not in ("y", "yes"):
            print("nothing is deleted")
            return DONE
    AnswerCache().clear()
    removed, freed, in_use = store.clear(everything=options.all)
    if in_use and not options.json:
        print(f"{in_use} files stay, because a run is under way or they were used lately; --all removes them too")
    return _told(options, removed, freed, in_use=in_use)


def _told(options, removed, freed_bytes, **more):
    if options.json:
        print(json.dumps({"removed": removed, "freed_bytes": freed_bytes} | more))
    else:
        print(f"{removed} files removed, {_size(freed_bytes)}")
    return DONE


def _cache_verify(options):
    with progress_bar("files") as progress, stop_on_interrupt("the file at work") as stopped:
        checked, damaged = _store().verify(progress, stopped)
    for path, reason in damaged:
        print(f"glue-spherex: {path}: {reason}", file=sys.stderr)
    if options.json:
        print(json.dumps({"checked": checked, "removed": [path for path, _ in damaged]}))
    else:
        print(f"{checked} files checked, {len(damaged)} of them damaged and removed")
    return DONE


def _size(n_bytes):
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes / 1e3:.0f} kB"
