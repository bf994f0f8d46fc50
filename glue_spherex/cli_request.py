"""What is to be measured, from the options of a command: targets, images, how."""

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from .model.wording import counted
from .terminal import detectors, progress_bar, time_range, wavelength_ranges

_LOOK_UP = " Names of objects are looked up by the measure dialog in glue only."


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


def add_collections(command):
    """Add the options that choose among the archive's images."""
    command.add_argument(
        "--collection", action="append", metavar="NAME", help="as qr2_deep; repeat for more; default: all"
    )
    command.add_argument("--release", type=str.lower, metavar="NAME", help="only this data release, as qr3")
    command.add_argument("--fields", choices=("wide", "deep"), help="only the wide survey, or only the deep fields")


def add_request(command):
    """Add the options that name targets and images."""
    add_targets(command)
    command.add_argument(
        "--images", action="append", default=[], metavar="DIR", help="repeat for more folders; without, the archive"
    )
    command.add_argument(
        "--calibration",
        metavar="DIR",
        help="for images in folders: maps of solid angle and wavelength; else their headers",
    )
    command.add_argument(
        "--archive", choices=("irsa",), help="fetch from the archive what is not in the folders of --images"
    )
    add_ranges(command)
    add_collections(command)
    command.add_argument("--no-flux-correction", action="store_true", help="leave QR2 images on their own gain")


def archive_of(options):
    """Which images of the archive are wanted; None if only those in folders are.

    Raises
    ------
    ValueError
        If options are given that are about the archive, without it.
    """
    if options.archive is None and options.images:
        for name in ("collection", "release", "fields"):
            if getattr(options, name):
                raise ValueError(f"--{name} chooses among the archive's images; add --archive irsa, or leave it out")
        return None
    return choice_of(options)


def choice_of(options):
    """Which images of the archive the options of `add_collections` choose."""
    from .images.archive.choice import ArchiveChoice

    return ArchiveChoice(options.collection, options.release, options.fields)


def waiting_for_archive(has_local=False):
    """What to say while the archive does not answer.

    Parameters
    ----------
    has_local : bool
        Whether there are images in folders as well.

    Returns
    -------
    str
    """
    from .images.archive.settings import ArchiveSettings

    settings = ArchiveSettings.load()
    host, seconds = urlsplit(settings.sia).hostname, settings.patience_s + settings.connect_s
    instead = ", and the images in the folders are measured" if has_local else ""
    return (
        f"waiting for the archive, {host}; if it cannot be reached, it is given up after about {seconds:.0f} s{instead}"
    )


def why_none(options, sources):
    """Why the archive, which was asked just now, has no image that is wanted.

    Parameters
    ----------
    options : argparse.Namespace
        Of `add_ranges` and `add_collections`.
    sources : list of Source

    Returns
    -------
    str
    """
    from .images.archive.errors import ArchiveError
    from .images.archive.search import search

    choice = choice_of(options)
    kinds = [choice.fields, "collection", choice.release and f"of {choice.release}"]
    kinds += [choice.collections and f"among {', '.join(choice.collections)}"]
    where = "of this position" if len(sources) == 1 else f"of any of these {len(sources)} positions"
    try:  # the answers were kept
        there = search(sources, None, choice.collections, release=choice.release, fields=choice.fields, ask=False).rows
    except ArchiveError:
        there = []
    ranges = [f"--{name}" for name in ("detectors", "wavelength", "time") if getattr(options, name)]
    if there and ranges:
        pass_them = f"{' and '.join(ranges)} {'lets' if len(ranges) == 1 else 'let'} pass"
        return f"the archive has {counted(len(there), 'image')} {where}, but none that {pass_them}"
    return f"the archive has no image {where} in any {' '.join(filter(None, kinds))}"


def request_of(options, settings):
    """What the options ask for, as a job has it.

    Parameters
    ----------
    options : argparse.Namespace
    settings : Settings

    Returns
    -------
    glue_spherex.jobs.Request
    """
    from .jobs import Request

    return Request.of(
        options.images,
        options.calibration,
        settings,
        workers=options.workers,
        scheduler=options.scheduler,
        flux_correction=not options.no_flux_correction,
        spectrum_format=options.format,
        output=options.output,
        origin=Path(options.targets) if options.targets else options.target,
        archive=archive_of(options),
        keep_cutouts=options.keep_cutouts,
    )


def refreshed(images):
    """The same images, after a look into their folders with a progress bar."""
    with progress_bar("index") as progress:
        images.refresh(progress=progress)
    return images


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
