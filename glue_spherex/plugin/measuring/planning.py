"""What is counted before a measurement starts, and how it is told."""

from dataclasses import dataclass
from datetime import datetime

from ..job_monitor.texts import duration_text
from .plan import plan


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
    companions = sum(source.companion for source in targets.sources)
    text = _counted(len(targets.sources) - companions, "source")
    if companions:
        text += f" and {_counted(companions, 'companion')}"
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
    return f"{text} about {duration_text(max(plan.seconds, 1))}, {plan.seconds_basis}"


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
        text += f" · {megabytes_text(part.megabytes)} to move · about {duration_text(max(part.seconds, 1))}"
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
