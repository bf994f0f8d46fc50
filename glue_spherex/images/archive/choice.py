"""Which images of the archive are wanted, as values that a request can keep."""

from dataclasses import dataclass

from ..releases import COLLECTION_NAME, RELEASE_NAME, release_age
from .errors import ArchiveError

_FIELDS = ("wide", "deep")


@dataclass(frozen=True)
class ArchiveChoice:
    """Which images of the archive are wanted; all by default, of each exposure the newest processing.

    Parameters
    ----------
    collections : tuple of str, optional
        As ``spherex_qr2_deep`` or ``qr2_deep``.
    release : str, optional
        Only this data release, as ``qr3``.
    fields : {"wide", "deep"}, optional
        Only the wide survey, or only the deep fields.

    Raises
    ------
    ArchiveError
        For a release or fields that there cannot be.
    """

    collections: tuple | None = None
    release: str | None = None
    fields: str | None = None

    def __post_init__(self):
        if isinstance(self.collections, str):
            raise ArchiveError(f"archive: collections is {self.collections!r}; a list of names is needed.")
        object.__setattr__(self, "collections", tuple(self.collections) if self.collections else None)
        if isinstance(self.release, str):
            object.__setattr__(self, "release", self.release.lower())
        if self.release is not None and not (isinstance(self.release, str) and RELEASE_NAME.fullmatch(self.release)):
            raise ArchiveError(f"archive: release is {self.release!r}; a name such as 'qr3' is needed.")
        if self.fields is not None and self.fields not in _FIELDS:
            raise ArchiveError(f"archive: fields is {self.fields!r}; allowed are {', '.join(_FIELDS)}.")

    def collection(self, local=None, **options):
        """The images.

        Parameters
        ----------
        local : ImageCollection, optional
            Images on disk, which are taken instead of the archive's.
        **options
            Of `IRSACollection`.

        Returns
        -------
        IRSACollection
        """
        from .collection import IRSACollection

        return IRSACollection(
            local=local, collections=self.collections, release=self.release, fields=self.fields, **options
        )


def known_releases():
    """Releases that can be chosen, as far as that is known without asking the archive.

    Returns
    -------
    list of str
        Of the collections in the user's settings, and of those that the archive listed when it was asked last; the
        newest first.

    Raises
    ------
    ArchiveError
        If the settings cannot be read.
    """
    from .answer_cache import AnswerCache
    from .settings import ArchiveSettings

    settings = ArchiveSettings.load()
    names, _ = AnswerCache().names(settings.sia) or ((), None)
    found = [COLLECTION_NAME.fullmatch(str(name)) for name in (*settings.collections, *names)]
    return sorted({name[1] for name in found if name}, key=release_age, reverse=True)
