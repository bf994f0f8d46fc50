"""What goes wrong between here and the archive."""

from ..errors import ImageFileError


class ArchiveError(ImageFileError):
    """Something that the archive did not give as it should; the message says what, why and what to do."""


class ArchiveUnreachable(ArchiveError):
    """The archive cannot be reached at all: no network, no such host, nobody answers."""


class ArchiveBusy(ArchiveError):
    """The archive asks to come back later, and did so until the last attempt."""


class AnswerTooLarge(ArchiveError):
    """An answer larger than was permitted; nothing of it is kept."""


class RangeRefused(ArchiveError):
    """A part of a file was asked for, and the archive did not answer with this part."""


class RangesIgnored(RangeRefused):
    """Parts of a file were asked for, and the archive answered as if it could give only one, or all of it."""


class NothingThere(ArchiveError):
    """The archive can be asked, but does not have it."""


class NotPermitted(ArchiveError):
    """The archive has it, perhaps, but does not give it to everybody."""


class FileChanged(ArchiveError):
    """The content of a file is not what it was at the first look."""


class ArchiveStopped(ArchiveError):
    """The transfer was cancelled."""


class NotAsked(ArchiveError):
    """The archive may not be asked now, and there is no kept answer."""
