"""The fields of a request that say whether the archive is used, and which of its images."""

from echo import CallbackProperty, SelectionCallbackProperty
from glue.core.state_objects import State

from .archive_plan import archive_available

NEWEST = "the newest of each image"
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
        self.archive_note, self._releases = archive_available()[1], []
        self.offer_releases()
        ArchiveFields.archive_release.set_display_func(self, lambda name: f"{name.upper()} only" if name else NEWEST)
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
        if values.get("release") in self._releases:
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
            self.offer_releases(choice.release)
            self.archive_release, self.archive_fields = choice.release, choice.fields
            self.keep_cutouts = request.keep_cutouts

    def offer_releases(self, another=None):
        """Offer the releases that are known by now; what is chosen stays.

        Parameters
        ----------
        another : str, optional
            One that is offered in any case.
        """
        releases = [None, *_known_releases()]
        releases += [name for name in dict.fromkeys([another, self.archive_release]) if name not in releases]
        if releases != self._releases:
            self._releases = releases
            ArchiveFields.archive_release.set_choices(self, releases)


def _known_releases():
    from ...images import ImageFileError
    from ...images.archive.choice import known_releases

    try:
        return known_releases()
    except ImageFileError:  # the settings cannot be read, which is told when the archive is asked
        return ["qr3", "qr2"]
