"""The images, coverage maps and deep fields of the sky coverage panel, without a window."""

import os
from functools import partial

from echo import CallbackProperty
from glue.core.hub import HubListener
from glue.core.state_objects import State

from ...extras import how_to_install
from ...images.archive.errors import ArchiveError
from ...io.files import replacing
from ...model.wording import counted
from ..columns import spectra_in
from ..cutouts.finding import image_folders
from ..measuring.remembered import remembered_folders
from .footprints import Footprints, date_of_answers, footprints_in, footprints_of_answers
from .maps import has_maps, map_of_footprints, read_map
from .settings import SkySettings


class SkyLayers(State, HubListener):
    """What SPHEREx has observed of the sky: outlines of images, maps, deep fields.

    Parameters
    ----------
    session, run, settings
        As of `CoverageState`.
    """

    show_deep = CallbackProperty(True, docstring="whether the deep fields are shown")
    show_survey = CallbackProperty(False, docstring="whether the map of the survey is shown")
    show_images = CallbackProperty(True, docstring="whether the outlines of images in folders are shown")
    show_map = CallbackProperty(False, docstring="whether the part of the sky that these images cover is filled")
    show_answers = CallbackProperty(False, docstring="whether the outlines of images that the archive has are shown")
    folders = CallbackProperty((), docstring="folders with images")
    images = CallbackProperty(Footprints(), docstring="images in the folders")
    answers = CallbackProperty(Footprints(), docstring="images in answers of the archive")
    maps = CallbackProperty({}, docstring="coverage maps by name: survey, deep, images")
    status = CallbackProperty("", docstring="what was done last, or why it could not be")
    failed = CallbackProperty(False, docstring="whether the status says why something could not be done")

    def __init__(self, session, run, settings=None):
        super().__init__()
        self.session, self._run = session, run
        self._client = None
        self._subject = None  # what the status is about, with its position
        self._date_of_answers = None  # of those that are shown
        self.settings = SkySettings() if settings is None else settings
        if settings is None:
            self._load_settings()
        self._preset_folders()
        for name in ("show_survey", "show_deep", "show_map"):
            self.add_callback(name, lambda value: self.read_maps())
        self.add_callback("show_answers", lambda value: value and self._read_answers())
        for name in ("show_images", "show_map", "show_answers"):
            self.add_callback(name, lambda value: self._tell_again())

    def _load_settings(self):
        try:
            self.settings = SkySettings.load()
        except ArchiveError as error:
            self.settings = SkySettings(hips2fits="")
            self.tell(str(error), failed=True)

    def _open_client(self):
        if self._client is None:
            from ...images.archive.client import ArchiveClient

            self._client = ArchiveClient(self.settings)
        return self._client

    def tell(self, text, failed=False):
        """Say something to the user."""
        self._subject = None
        self.failed, self.status = failed, text

    def _tell_about(self, what, ra, dec, addition=""):
        """Say where something is, and how many images hold it; again when there are other images."""
        self.tell(f"{what} · {position_text(ra, dec)} · {self.images_text(ra, dec)}{addition}")
        self._subject = what, ra, dec, addition

    def _tell_again(self):
        if self._subject:
            self._tell_about(*self._subject)

    # -- images and maps ----------------------------------------------------------------------------------------------

    def _preset_folders(self):
        """Folders of the spectra that are loaded, else those of the last job."""
        known = self._folders_of_spectra() or remembered_folders().used
        self.folders = tuple(folder for folder in known if os.path.isdir(folder))

    def _folders_of_spectra(self):
        spectra = spectra_in(self.session.data_collection)
        return tuple(dict.fromkeys(folder for data in spectra for folder in image_folders(data)))

    def _follow_spectra(self):
        """Show the images of spectra that were loaded meanwhile, too."""
        new = set(self._folders_of_spectra()) - set(self.folders)
        new = tuple(folder for folder in sorted(new) if os.path.isdir(folder))
        if new:
            self.folders = (*self.folders, *new)
            self.read_images()

    def add_folder(self, folder):
        """Show the images of one more folder."""
        self.folders = tuple(dict.fromkeys([*self.folders, os.fspath(folder)]))
        self.show_images = True
        self.read_images()

    def read_images(self):
        """Look into the folders."""
        folders = self.folders
        if folders:
            self._run("images", lambda *calls: footprints_in(folders, *calls), self._take_images)

    def _take_images(self, found, error):
        if error is not None:
            self.tell(f"The images cannot be read: {error}", failed=True)
            return
        self.images = found
        self._run("map of images", None, None)  # a map of other images is not wanted any more
        self.maps = {name: moc for name, moc in self.maps.items() if name != "images"}
        if found.problem:
            self.tell(found.problem, failed=True)
        else:
            self._tell_again()
        self.read_maps()

    def follow_answers(self):
        """Show what the archive has answered meanwhile, where its answers are shown; cheap when that is nothing."""
        if self.show_answers and date_of_answers() != self._date_of_answers:
            self._read_answers()

    def _read_answers(self):
        self._date_of_answers = date_of_answers()
        self._run("answers", lambda *calls: footprints_of_answers(), self._take_answers)

    def _take_answers(self, found, error):
        if error is not None:
            self.tell(f"The answers of the archive cannot be read: {error}", failed=True)
            return
        self.answers = found
        if not len(found):
            self.tell(found.problem or "No answers of the archive are kept: search it for images first.", failed=True)
        else:
            self._tell_again()

    @property
    def map_problem(self):
        """Why there are no coverage maps; '' if there can be."""
        return "" if has_maps() else f"Coverage maps need mocpy: {how_to_install('archive')}"

    def read_maps(self):
        """Read the maps that are to be shown and are not there yet."""
        wanted = {}
        if self.show_survey and self.settings.survey_moc:
            wanted["survey"] = partial(self._map_at, self.settings.survey_moc)
        if self.show_deep and self.settings.deep_moc:
            wanted["deep"] = partial(self._map_at, self.settings.deep_moc)
        if self.show_map and len(self.images):
            wanted["images"] = partial(_map_here, self.images.corners)
        for name, work in wanted.items():
            if name not in self.maps:
                self._run(f"map of {name}", work, partial(self._take_map, name))

    def _map_at(self, place, progress, cancelled):
        return read_map(place, self._open_client(), cancelled)

    def _take_map(self, name, moc, error):
        if error is not None:
            self.tell(f"The coverage map cannot be shown: {error}", failed=True)
            return
        self.maps = {**self.maps, name: moc}

    def save_map(self, path):
        """Write the part of the sky that the images in the folders cover, as a MOC; the status says when it is there.

        Parameters
        ----------
        path : path-like
            FITS.
        """
        path, images = os.fspath(path), self.images
        self.tell(f"The map of {counted(len(images), 'image')} is being written to {path}…")
        work = partial(_saved_map, path, self.maps.get("images"), images.corners)
        self._run(f"map to {path}", work, partial(self._map_is_saved, path, images))

    def _map_is_saved(self, path, images, moc, error):
        if error is not None:
            why = getattr(error, "strerror", None) or error
            self.tell(f"The map of the images cannot be saved as {path}: {why}", failed=True)
            return
        if images is self.images and "images" not in self.maps:
            self.maps = {**self.maps, "images": moc}
        self.tell(f"{path} holds the part of the sky that {counted(len(images), 'image')} cover.")

    def images_text(self, ra, dec):
        """How many of the images that are shown hold a position."""
        texts = []
        for footprints, where, shown in (
            (self.images, "in the folders", self.show_images or self.show_map),
            (self.answers, "in the archive", self.show_answers),
        ):
            if shown and len(footprints):
                counts = footprints.counts(ra, dec)
                each = ", ".join(f"D{k + 1}: {count}" for k, count in enumerate(counts) if count)
                texts.append(f"{counted(int(counts.sum()), 'image')} {where}" + (f" ({each})" if each else ""))
        return "; ".join(texts) or ("no images shown" if len(self.images) + len(self.answers) else "no images known")


def _map_here(corners, progress, cancelled):
    return map_of_footprints(corners)


def _saved_map(path, moc, corners, progress, cancelled):
    """Write a map to a file, and make it first where there is none."""
    moc = map_of_footprints(corners) if moc is None else moc
    with replacing(path) as part:
        moc.save(os.fspath(part), format="fits", overwrite=True)
    return moc


def position_text(ra, dec):
    """A position in degrees, as ``150.10000° +2.20000°``."""
    return f"{ra:.5f}° {dec:+.5f}°"
