"""What a measurement will look at and how long it will take, target by target, before it starts."""

import os
from dataclasses import dataclass, replace

import numpy as np

from ...images import FolderCollection
from ...model.detectors import PIXEL_SCALE_ARCSEC
from ...photometry.forecast import count_images
from ...photometry.groups import LEAST_SEPARATION_PX
from ...photometry.image_flow import matches_of
from ...photometry.output import row_label
from ...photometry.pipeline import check_engine, checked_sources
from ...photometry.settings import Settings
from .archive_plan import ImagesToCome, ask_archive
from .companions import pairs_within
from .coverage import coverage_of

_SAME_PLACE_ARCSEC = LEAST_SEPARATION_PX * PIXEL_SCALE_ARCSEC
_OUTLOOK = ("images", "local", "kept", "megabytes", "seconds")
_FILTERS = {"detectors": "of the detectors", "wavelength": "at the wavelengths", "time": "in the time range"}


@dataclass(frozen=True, eq=False)
class PlanLine:
    """A row of the target list.

    Attributes
    ----------
    row : int
        0-based number in the list.
    label : str
    ra, dec : float, deg
        NaN for a row that is rejected.
    shape : Sersic or None
        What is fitted; None for a point.
    counts : tuple of 6 int
        Images of each detector that may hold it.
    problem : str
        Why it is not measured, as a sentence; '' if it is.
    companion : bool
    number : int
        Of the source, in the order of `Coverage`; -1 for a row that is rejected.
    """

    row: int
    label: str
    ra: float
    dec: float
    shape: object
    counts: tuple
    problem: str = ""
    companion: bool = False
    number: int = -1

    @property
    def images(self):
        """Images that may hold it."""
        return sum(self.counts)


@dataclass(frozen=True, eq=False)
class Plan:
    """What a measurement will do.

    Attributes
    ----------
    lines : list of PlanLine
        A line per row of the list, by row.
    images : int
        Images to open.
    measurements : int
        Rows of spectra to expect; sources near a border may turn out to lie beside the image.
    seconds : float or None
        Expected time of measuring; None if this machine has no record of runs.
    seconds_basis : str
        Where the run time is from.
    unreadable : list of (str, str)
        Path and reason of files in the folders that cannot be measured.
    coverage : Coverage or None
        Detectors, wavelengths and dates of each source.
    archive : ArchivePart or None
        Of images of the archive: what it knows of them, and what it takes to have them.
    """

    lines: list
    images: int
    measurements: int
    seconds: float | None
    seconds_basis: str
    unreadable: list
    coverage: object = None
    archive: object = None

    @property
    def is_complete(self):
        """Whether all images are known: not if the archive has not been asked."""
        return self.archive is None or self.archive.asked is not None

    @property
    def counts(self):
        """Measurements per detector: tuple of 6 int."""
        return tuple(sum(line.counts[k] for line in self.lines) for k in range(6))

    @property
    def n_measured(self):
        """Targets, without companions, that are on an image."""
        return sum(not line.problem and not line.companion for line in self.lines)

    @property
    def nothing_measured(self):
        """A sentence that says why no target is measured, by the first one with a position; '' if one is."""
        targets = [line for line in self.lines if not line.companion]
        if self.n_measured or not targets or not self.is_complete:
            return ""
        line = min(targets, key=lambda line: np.isnan(line.ra))
        if len(targets) == 1:
            return f"The target cannot be measured. {line.problem}"
        return f"None of the {len(targets):,} targets can be measured. {line.label or 'The first one'}: {line.problem}"


def plan(
    targets,
    image_folders,
    calibration=None,
    settings=None,
    workers=1,
    scheduler=None,
    progress=None,
    cancelled=None,
    *,
    flux_correction=True,
    archive=None,
    ask=False,
    refresh=False,
):
    """Say what a measurement will do, without measuring anything.

    Parameters
    ----------
    targets : Targets
    image_folders : path or sequence of paths
        None are needed with an archive.
    calibration : path, optional
    settings : Settings, optional
    workers : int, optional
    scheduler : str, optional
        Address of a Dask cluster.
    progress : callable(done, total), optional
        Called while headers of images are read that have not been seen before, and while the archive is asked.
    cancelled : callable() -> bool, optional
        Asked meanwhile, and between the steps.
    flux_correction : bool, optional
    archive : ArchiveChoice, optional
        Images of the archive that are wanted beside those of the folders.
    ask : bool, optional
        Whether the archive may be asked now; if not, what it has answered before serves.
    refresh : bool, optional
        Whether it is asked also about what it was asked lately.

    Returns
    -------
    Plan or None
        None if it was cancelled. An archive that cannot be asked is told in ``archive``.

    Raises
    ------
    ImageFileError
        If a folder does not exist, or holds no SPHEREx image.
    PhotometryError
        If there is no target, or the engine is not installed.
    """
    settings, stop = settings or Settings(), cancelled or (lambda: False)
    sources = checked_sources(targets.sources)
    check_engine(settings)
    images = _in_folders(image_folders, calibration, flux_correction, progress, cancelled)
    part = None
    if archive is not None and not stop():
        known, part = ask_archive(archive, sources, images, settings, flux_correction, ask=ask, refresh=refresh,
                                  progress=progress, cancelled=cancelled)  # fmt: skip
        images = known or images
        if part is None:
            return None
    if stop():
        return None
    return _plan(targets, images, part, settings, workers, scheduler, cancelled)


def _in_folders(folders, calibration, flux_correction, progress, cancelled):
    """The images in folders; None without a folder."""
    if not isinstance(folders, str | os.PathLike) and not folders:
        return None
    images = FolderCollection(folders, calibration, flux_correction=flux_correction)
    images.refresh(progress, cancelled)
    return images


def _plan(targets, images, part, settings, workers, scheduler, cancelled):
    """The plan on images that are known; None if it was cancelled."""
    stop, sources = cancelled or (lambda: False), targets.sources
    matches = [] if images is None else matches_of(sources, images, settings)
    to_fetch = frozenset()
    if isinstance(images, ImagesToCome):
        outlook = images.outlook(sources, matches, cancelled)
        to_fetch = {match.record.exposure for match in outlook.missing}
        part = replace(part, **{name: getattr(outlook, name) for name in _OUTLOOK})
    elif part is not None:
        part = replace(part, images=len(matches), local=len(matches))
    coverage = coverage_of(matches, sources, to_fetch, cancelled)
    if stop():
        return None
    counts = coverage.counts
    is_complete = part is None or part.asked is not None
    lost = np.flatnonzero(counts.sum(axis=1) == 0) if is_complete else ()
    problems = _coincident(targets) | dict(zip(lost, _problems(lost, sources, images, settings, cancelled)))
    if stop():
        return None
    seconds, basis = _expected(matches, counts, settings, workers, scheduler)
    unreadable = [] if images is None else list(images.failures)
    lines = lines_of(targets, counts, problems)
    return Plan(lines, len(matches), int(counts.sum()), seconds, basis, unreadable, coverage, part)


def lines_of(targets, counts=None, problems=None):
    """A line for each row of a target list.

    Parameters
    ----------
    targets : Targets
    counts : ndarray of int, shape (n_sources, 6), optional
        Images of each detector; 0 before they are counted.
    problems : dict of int to str, optional
        Why sources are not measured, by their number.

    Returns
    -------
    list of PlanLine
        By row; of a rejected row with the reason.
    """
    counts = np.zeros((len(targets), 6), dtype=int) if counts is None else counts
    lines = [
        PlanLine(
            int(row), s.label, s.ra, s.dec, s.shape, tuple(count), (problems or {}).get(number, ""), s.companion, number
        )
        for number, (s, row, count) in enumerate(zip(targets.sources, targets.rows, counts.tolist()))
    ]
    lines += [
        PlanLine(row, row_label(targets, row), np.nan, np.nan, None, (0,) * 6, reason)
        for row, reason in targets.rejected
    ]
    return sorted(lines, key=lambda line: line.row)


def _problems(lost, sources, images, settings, cancelled):
    """Why each of some sources is on none of the images that are asked for."""
    if not len(lost):
        return []
    whole = replace(settings, detectors=None, wavelength=None, time=None)
    asked = [word for name, word in _FILTERS.items() if getattr(settings, name) is not None]
    held = np.zeros(len(lost), dtype=int)
    if asked or any(sources[k].companion for k in lost):
        alone = [replace(sources[k], companion=False) for k in lost]
        held = count_images(images.find(alone), alone, cancelled).sum(axis=1)
    matches = matches_of(sources, images, whole) if held.any() else []
    together = count_images(matches, sources, cancelled).sum(axis=1)
    dates = _dates(matches, sources, lost) if settings.time is not None else {}
    return [_problem(int(n), int(together[k]), asked, dates.get(k)) for k, n in zip(lost, held)]


def _dates(matches, sources, wanted):
    """First and last day of the images near each of some sources, as text, by its number."""
    from astropy.time import Time

    found = {}
    for k in wanted:
        moments = [match.record.mjd for match in matches if k in match.sources]
        if moments:
            found[k] = [Time(moment, format="mjd").strftime("%Y-%m-%d") for moment in (min(moments), max(moments))]
    return found


def _coincident(targets):
    """Why sources that are at the place of another one of the same shape are not measured, by their number."""
    sources, problems = targets.sources, {}
    for pair in pairs_within(sources, _SAME_PLACE_ARCSEC):
        for one, other in (pair, pair[::-1]):
            if sources[one].shape == sources[other].shape and one not in problems:
                row = int(targets.rows[other]) + 1
                problems[one] = (
                    f"It is at the same place as {sources[other].label} (row {row}): the two cannot be told apart, so "
                    "that neither is measured."
                )
    return problems


def _problem(n_images, n_together, asked, dates):
    """Why a source is on none of the images.

    Parameters
    ----------
    n_images, n_together : int
        Images that hold it; of these, that hold a target.
    asked : list of str
        What restricts the images.
    dates : pair of str or None
        First and last day of the images, to be told.
    """
    if not n_images:
        return "No image holds it."
    if not n_together:
        return f"It is on {_images(n_images)}, but on none together with a target, so that it is not needed."
    which = " and ".join([", ".join(asked[:-1]), asked[-1]] if asked[1:] else asked)
    begin = f"It is on {_images(n_together)}, but none of them is {which} that you ask for"
    if n_together == 1:
        begin = f"It is on 1 image, but that is not {which} that you ask for"
    if dates is None:
        return f"{begin}."
    days = f"on {dates[0]}" if dates[0] == dates[1] else f"from {dates[0]} to {dates[1]}"
    return f"{begin}; {'it was' if n_together == 1 else 'they were'} taken {days}."


def _images(count):
    return f"{count:,} image{'' if count == 1 else 's'}"


def _expected(matches, counts, settings, workers, scheduler):
    """Expected run time, from the record of this machine."""
    from ...jobs.record import expected_seconds

    if not matches:
        return None, "there is nothing to measure"
    sizes = [match.record.size for match in matches if hasattr(match.record, "size")]  # of those in the folders
    size = float(np.median(sizes)) if sizes else None
    return expected_seconds(len(matches), int(counts.sum()), settings, workers, scheduler, image_bytes=size)
