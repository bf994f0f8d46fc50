"""What is counted before a measurement starts, and how it is told."""

import re
from dataclasses import dataclass
from datetime import datetime

from ..job_monitor.texts import duration_text
from .plan import plan

#: Estimates from so many seconds on are told in these steps.
_STEPS = ((864_000, 86_400), (36_000, 3600), (3600, 1800), (600, 300), (60, 60), (10, 5), (0, 1))


@dataclass(frozen=True, eq=False)
class PlanRequest:
    """What has to be counted.

    Two are equal if they give the same counts.

    Parameters
    ----------
    targets : Targets
    image_folders : tuple of str
    calibration : str or None
    settings : Settings
    workers : int
    scheduler : str or None
    flux_correction : bool
    archive : ArchiveChoice or None
        Which images of the archive are wanted beside those of the folders.
    """

    targets: object
    image_folders: tuple
    calibration: str | None
    settings: object
    workers: int
    scheduler: str | None
    flux_correction: bool = True
    archive: object = None

    def __eq__(self, other):
        return isinstance(other, PlanRequest) and self._parts() == other._parts()

    __hash__ = None

    def _parts(self):
        rest = self.image_folders, self.calibration, self.settings, self.workers, self.scheduler
        return rest, self.archive, self.targets.rejected, self.targets.sources

    def count(self, progress=None, cancelled=None, **asking):
        """Look at the images; parameters and result are those of `plan`."""
        return plan(
            self.targets,
            self.image_folders,
            self.calibration,
            self.settings,
            self.workers,
            self.scheduler,
            progress,
            cancelled,
            flux_correction=self.flux_correction,
            archive=self.archive,
            **asking,
        )


def plan_text(targets, plan):
    """Numbers and run time in a sentence.

    Parameters
    ----------
    targets : Targets or None
    plan : Plan or None

    Returns
    -------
    str
    """
    if targets is None:
        return ""
    text = _sources_text(targets, plan, companions=False)
    if any(source.companion for source in targets.sources):
        text += f" and {_sources_text(targets, plan, companions=True)}"
    if targets.rejected:
        text += f", {_counted(len(targets.rejected), 'row')} that cannot be measured"
    if plan is None or not (plan.images or plan.is_complete):
        return text
    text += f" · {_counted(plan.images, 'image')} · {_counted(plan.measurements, 'measurement')}"
    if plan.unreadable:
        text += f", {_counted(len(plan.unreadable), 'file')} unusable"
    what = "measuring time" if plan.archive is not None else "run time"
    if plan.seconds is None:
        return f"{text} · {what} not known yet"
    text += " · measuring takes" if plan.archive is not None else " ·"
    return f"{text} about {about_text(plan.seconds)}, {plan.seconds_basis}"


def _sources_text(targets, plan, companions):
    """How many of the targets, or of the companions, are measured, and why the others are not."""
    total = sum(source.companion == companions for source in targets.sources)
    noun = "companion" if companions else "source"
    lines = [] if plan is None else [line for line in plan.lines if line.companion == companions and line.number >= 0]
    lost = [line for line in lines if line.problem]
    if not lost:
        return _counted(total, noun)
    nowhere = sum(not line.images for line in lost)
    reasons = [f"{_spaced(nowhere)} on no image"] if nowhere else []
    reasons += [f"{_spaced(len(lost) - nowhere)} at the same place"] if len(lost) > nowhere else []
    return f"{_spaced(total - len(lost))} of {_counted(total, noun)} ({', '.join(reasons)})"


def about_text(seconds):
    """An estimate of a time span, no more exact than estimates are: ``11 s`` is ``10 s``, ``5 min 5 s`` ``5 min``.

    Parameters
    ----------
    seconds : float

    Returns
    -------
    str
    """
    step = next(step for least, step in _STEPS if seconds >= least)
    return re.sub(" 0 (s|min|h)$", "", duration_text(max(round(seconds / step) * step, 1)))


def _counted(number, noun):
    return f"{_spaced(number)} {noun}{'' if number == 1 else 's'}"


def _spaced(number):
    return f"{number:,}".replace(",", "\u2009")


def shape_text(shape):
    """The shape of a source in words.

    Parameters
    ----------
    shape : Sersic or None

    Returns
    -------
    str
        As ``point`` or ``n 1.5, 6″, b/a 0.6, 35°``.
    """
    if shape is None:
        return "point"
    text = f"n {shape.n:g}, {shape.r_eff:g}″"
    return text + (f", b/a {shape.axis_ratio:g}, {shape.position_angle:g}°" if shape.axis_ratio < 1 else ", round")


def archive_text(part):
    """What the archive adds, in a sentence.

    Parameters
    ----------
    part : ArchivePart or None
        None while it is not known.

    Returns
    -------
    str
    """
    if part is None:
        return ""
    if part.fault:
        return f"The archive could not be asked: {part.fault}"
    if part.asked is None:
        only = "; only images in the folders are counted" if part.local else ""
        return f"The archive has not been asked about these targets yet{only}."
    date = datetime.fromtimestamp(part.asked).strftime("%Y-%m-%d")
    parts = [f"{_spaced(part.local)} in the folders"] if part.local else []
    parts += [f"{_spaced(part.kept)} kept from earlier"] if part.kept else []
    parts += [f"{_spaced(part.missing)} to fetch"]
    text = f"Archive, asked {date}: {', '.join(parts)}"
    if part.missing:
        text += f" · {megabytes_text(part.megabytes)} to move · about {about_text(part.seconds)}"
    return text


def megabytes_text(megabytes):
    """An amount of data in words, such as ``12 MB``.

    Parameters
    ----------
    megabytes : float

    Returns
    -------
    str
    """
    if megabytes >= 1000:
        return f"{megabytes / 1000:.3g} GB"
    return f"{megabytes:.0f} MB" if megabytes >= 10 else f"{megabytes:.1f} MB"
