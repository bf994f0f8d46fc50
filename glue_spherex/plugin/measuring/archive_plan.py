"""What the archive has of some targets, before anything of it is fetched."""

from dataclasses import dataclass, replace
from importlib.util import find_spec

from ...extras import how_to_install
from ...images import ImageFileError

_NEEDED = ("pyvo", "requests")
_PATIENCE_S = 3.0


@dataclass(frozen=True)
class ArchivePart:
    """What the archive adds to a plan.

    Attributes
    ----------
    asked : float or None
        When it was asked, seconds since 1970; None if it was not, so that only local images are known.
    fault : str
        Why it could not be asked, as a sentence; '' if nothing went wrong.
    notes : tuple of str
        What it told beside the images.
    images, local, kept : int
        All images that are known; those in the folders; those of which nothing has to be fetched, because their
        cutouts are kept.
    megabytes : float
        To move, MB.
    seconds : float
        That moving takes with an ordinary connection.
    """

    asked: float | None = None
    fault: str = ""
    notes: tuple = ()
    images: int = 0
    local: int = 0
    kept: int = 0
    megabytes: float = 0.0
    seconds: float = 0.0

    @property
    def missing(self):
        """Images of which something has to be fetched."""
        return self.images - self.local - self.kept


class ImagesToCome:
    """Local images, and those of the archive beside them: as a collection of which nothing is opened.

    Parameters
    ----------
    archive : IRSACollection
        With the local images as its ``local``.
    answer : ArchiveAnswer
        About all sources that are asked for.
    """

    def __init__(self, archive, answer):
        self.archive, self.answer = archive, answer

    @property
    def failures(self):
        """Local files that cannot be measured."""
        return [] if self.archive.local is None else self.archive.local.failures

    def find(self, sources, detectors=None, wavelength=None, time=None):
        """The images that may hold some sources; see `ImageCollection`."""
        local, wanted = self.archive.matches(sources, detectors, wavelength, time, answer=self.answer)
        return [*local, *wanted]

    def outlook(self, sources, matches, cancelled=None):
        """What it takes to have some images; returns an `ArchivePlan`."""
        from ...images.archive.answers import ArchiveImage

        wanted = [match for match in matches if isinstance(match.record, ArchiveImage)]
        local = [match for match in matches if not isinstance(match.record, ArchiveImage)]
        return self.archive.outlook(sources, local, wanted, cancelled=cancelled)


def ask_archive(
    choice, sources, local, settings, flux_correction, *, ask=False, refresh=False, progress=None, cancelled=None
):
    """Find out which images the archive has.

    Parameters
    ----------
    choice : ArchiveChoice
    sources : list of Source
    local : FolderCollection or None
    settings : Settings
    flux_correction : bool
    ask : bool
        Whether it is asked now; if not, what it answered before serves.
    refresh : bool
        Whether it is asked also about what it was asked lately.
    progress, cancelled : callable, optional

    Returns
    -------
    images : ImagesToCome or None
        None if the archive has not been asked, or cannot be.
    part : ArchivePart or None
        None if it was cancelled. Its numbers are to be filled in.
    """
    from ...images.archive.errors import ArchiveStopped, NotAsked

    try:
        archive = choice.collection(
            local,
            client=_impatient_client(),
            background_box=settings.background_box,
            flux_correction=flux_correction,
        )
        answer = archive.search(sources, ask=ask, refresh=refresh, progress=progress, cancelled=cancelled)
    except ArchiveStopped:
        return None, None
    except NotAsked:
        return None, ArchivePart()
    except ImageFileError as error:
        return None, ArchivePart(fault=str(error))
    return ImagesToCome(archive, answer), ArchivePart(answer.date, notes=tuple(answer.notes))


def _impatient_client():
    """A client of the user's archive that soon gives up where nobody answers: somebody waits in front of a window."""
    from ...images.archive import ArchiveClient, ArchiveSettings

    settings = ArchiveSettings.load()
    return ArchiveClient(replace(settings, patience_s=min(settings.patience_s, _PATIENCE_S)))


def archive_available():
    """Whether the archive can be used.

    Returns
    -------
    available : bool
    note : str
        Why not, and what to install; '' if it is.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if not missing:
        return True, ""
    return False, f"The archive needs {' and '.join(missing)}, not installed here: {how_to_install('archive')}."
