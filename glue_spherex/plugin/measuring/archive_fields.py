"""The fields of a request that say whether the archive is used, and which of its images."""

from echo import CallbackProperty, SelectionCallbackProperty
from glue.core.state_objects import State

from .archive_plan import archive_available

#: Choices in words; releases that are not listed can come from a job.
RELEASE_WORDS = {None: "the newest of each image", "qr3": "QR3 only", "qr2": "QR2 only"}
FIELD_WORDS = {None: "wide survey and deep fields", "wide": "wide survey only", "deep": "deep fields only"}


class ArchiveFields(State):
    """Whether images of the archive are wanted, and which.

    Attributes
    ----------
    archive_note : str
        Why the archive cannot be chosen, and what to install; '' where it can.
    """

    use_archive = CallbackProperty(False, docstring="whether images come from the archive as well")
    archive_release = SelectionCallbackProperty(docstring="data release; None: the newest of each image")
    archive_fields = SelectionCallbackProperty(docstring="wide survey, deep fields, or both")
    keep_cutouts = CallbackProperty(True, docstring="whether the cutouts are kept with the result")

    def __init__(self):
        super().__init__()
        self.archive_note = archive_available()[1]
        self._offer_release(None)
        ArchiveFields.archive_release.set_display_func(self, lambda name: RELEASE_WORDS.get(name) or f"{name} only")
        ArchiveFields.archive_fields.set_choices(self, list(FIELD_WORDS))
        ArchiveFields.archive_fields.set_display_func(self, FIELD_WORDS.get)

    def archive_choice(self):
        """What is wanted of the archive.

        Returns
        -------
        ArchiveChoice or None
            None if it is not used.
        """
        if not self.use_archive or self.archive_note:
            return None
        from ...images.archive import ArchiveChoice

        return ArchiveChoice(release=self.archive_release, fields=self.archive_fields)

    def archive_values(self):
        """What is remembered for the next session, JSON-like."""
        return {
            "use": self.use_archive,
            "release": self.archive_release,
            "fields": self.archive_fields,
            "keep_cutouts": self.keep_cutouts,
        }

    def take_archive_values(self, values):
        """Take over what was remembered; what is not possible any more is left out.

        Parameters
        ----------
        values : dict or None
            From `archive_values`; None changes nothing.
        """
        if values is None:
            return
        self.use_archive = values.get("use") is True and not self.archive_note
        self.keep_cutouts = values.get("keep_cutouts") is not False
        if values.get("release") in RELEASE_WORDS:
            self.archive_release = values.get("release")
        if values.get("fields") in FIELD_WORDS:
            self.archive_fields = values.get("fields")

    def fill_archive_from(self, request):
        """Take the values of a request.

        Parameters
        ----------
        request : glue_spherex.jobs.Request
        """
        choice = request.archive
        self.use_archive = choice is not None
        if choice is not None:
            self._offer_release(choice.release)
            self.archive_release, self.archive_fields = choice.release, choice.fields
            self.keep_cutouts = request.keep_cutouts

    def _offer_release(self, name):
        releases = [*RELEASE_WORDS, *([name] if name not in RELEASE_WORDS else [])]
        ArchiveFields.archive_release.set_choices(self, releases)
