"""What the sky coverage panel holds and does, without a window."""

import os
from functools import partial

import numpy as np
from echo import CallbackProperty, SelectionCallbackProperty
from glue.core import message
from glue.core.hub import HubListener
from glue.core.state_objects import State

from ...images.archive.errors import ArchiveError, ArchiveUnreachable
from ...io import TargetListError, parse_target
from ..columns import spectra_in
from ..cutouts.finding import image_folders
from ..dialogs import DATA_MESSAGES
from ..finding import counted
from ..focus import RowFocusMessage, focus_source, focused_row
from ..measuring.remembered import remembered_folders
from ..measuring.resolver import targets_of_name
from ..sources import source_of_row
from .footprints import Footprints, footprints_in, footprints_of_answers
from .maps import has_maps, map_of_footprints, read_map
from .picture import fetch_picture
from .places import places_of, spectrum_of
from .settings import SkySettings
from .view import SkyView

_SUBSET_MESSAGES = (message.SubsetCreateMessage, message.SubsetUpdateMessage, message.SubsetDeleteMessage)
_NEAR_DEG, _NAMED_DEG = 0.2, 0.5  # widths of the views of a target, and of what was looked for
_MOST_FAILURES = 3  # in a row; then a picture is asked for again only when the user says so
#: Choice of the background: no picture.
PLAIN = ""


class CoverageState(State, HubListener):
    """A view of the sky with targets, images, deep fields and coverage maps.

    Work that takes time is given to `run`, and its outcome comes back through the callable given with it.

    Parameters
    ----------
    session : glue.core.Session
    run : callable
        ``run(kind, work, then)``: call ``work(progress, cancelled)`` elsewhere, and then, in the thread of the
        window, ``then(result, error)``, unless something of the same kind was asked for meanwhile.
    settings : SkySettings, optional
        The user's by default.

    Attributes
    ----------
    places : list of Places
        The datasets with positions: target lists and catalogues first, then spectra.
    """

    view = CallbackProperty(SkyView(), docstring="what is shown of the sky")
    hips = SelectionCallbackProperty(docstring="survey that the picture is made of; '' for none")
    show_grid = CallbackProperty(True, docstring="whether the grid of coordinates is shown")
    show_deep = CallbackProperty(True, docstring="whether the deep fields are shown")
    show_survey = CallbackProperty(False, docstring="whether the map of the survey is shown")
    show_images = CallbackProperty(True, docstring="whether the outlines of images in folders are shown")
    show_map = CallbackProperty(False, docstring="whether the part of the sky that these images cover is filled")
    show_answers = CallbackProperty(False, docstring="whether the outlines of images that the archive has are shown")
    picture = CallbackProperty(None, docstring="the last SkyPicture that came")
    picture_problem = CallbackProperty("", docstring="why there is no picture")
    loading = CallbackProperty(False, docstring="whether a picture is being fetched")
    folders = CallbackProperty((), docstring="folders with images")
    images = CallbackProperty(Footprints(), docstring="images in the folders")
    answers = CallbackProperty(Footprints(), docstring="images in answers of the archive")
    maps = CallbackProperty({}, docstring="coverage maps by name: survey, deep, images")
    hidden = CallbackProperty((), docstring="datasets that are not shown")
    targets = CallbackProperty(0, docstring="number of changes of the targets so far")
    chosen = CallbackProperty(None, docstring="(Places, number) that was clicked last, or None")
    marked = CallbackProperty(None, docstring="(name, ra, dec) of what was looked for, or None")
    status = CallbackProperty("", docstring="what was done last, or why it could not be")
    failed = CallbackProperty(False, docstring="whether the status says why something could not be done")

    def __init__(self, session, run, settings=None):
        super().__init__()
        self.session, self._run = session, run
        self.settings = SkySettings() if settings is None else settings
        self._settings_given = settings is not None
        self._client = None
        self._failures = 0
        self.places = []
        if not self._settings_given:
            self._load_settings()
        CoverageState.hips.set_choices(self, [*(self.settings.hips if self.settings.hips2fits else ()), PLAIN])
        CoverageState.hips.set_display_func(self, lambda name: name or "no picture (plain grid)")
        self._preset_folders()
        self.refresh_targets()
        for name in ("hips", "view"):
            self.add_callback(name, self._forget_pause if name == "hips" else self._view_changed)
        for name in ("show_survey", "show_deep", "show_map"):
            self.add_callback(name, lambda value: self.read_maps())
        self.add_callback("show_answers", lambda value: value and self._read_answers())
        for kind in DATA_MESSAGES:
            session.hub.subscribe(self, kind, handler=self._hear)
        for kind in (*_SUBSET_MESSAGES, RowFocusMessage):
            session.hub.subscribe(self, kind, handler=lambda news: self._touch())

    def close(self):
        """Stop listening to glue; the panel was closed."""
        self.session.hub.unsubscribe_all(self)
        if self._client is not None:
            self._client.close()

    def _load_settings(self):
        try:
            self.settings = SkySettings.load()
        except ArchiveError as error:
            self.settings = SkySettings(hips2fits="")
            self.tell(str(error), failed=True)

    def tell(self, text, failed=False):
        """Say something to the user."""
        self.failed, self.status = failed, text

    # -- targets ------------------------------------------------------------------------------------------------------

    def refresh_targets(self):
        """Look which datasets have positions."""
        found = [places for data in self.session.data_collection if (places := places_of(data)) is not None]
        self.places = sorted(found, key=lambda places: places.ids is not None)
        present = {id(data) for data in self.session.data_collection}
        self.hidden = tuple(data for data in self.hidden if id(data) in present)
        self._touch()

    def _hear(self, news):
        """Data came, went or changed; or only a colour did."""
        if getattr(news, "attribute", None) == "style":
            self._touch()
        else:
            self.refresh_targets()

    def _touch(self):
        self.targets += 1

    @property
    def shown_places(self):
        """The datasets that are not hidden."""
        return [places for places in self.places if not any(places.data is data for data in self.hidden)]

    def show_data(self, data, shown):
        """Show or hide the targets of a dataset."""
        others = tuple(hidden for hidden in self.hidden if hidden is not data)
        self.hidden = others if shown else (*others, data)
        self._touch()

    def focused(self):
        """The source that is looked at, as (Places, number); None without one."""
        data, row = focused_row(self.session)
        for places in self.places if data is not None else ():
            if places.data is data and places.ids is not None:
                number = np.flatnonzero(places.ids == source_of_row(data, row))
                return (places, int(number[0])) if len(number) else None
        return None

    def choose(self, places, number):
        """Look at a target: the viewers show its spectrum, if there is one.

        Parameters
        ----------
        places : Places
        number : int
        """
        self.chosen = places, number
        self._touch()
        found = spectrum_of(self.session.data_collection, places, number, focused_row(self.session)[0])
        if found is None:
            self.tell(f"{self.describe(places, number)} · no spectrum of this target is loaded")
            return
        focus_source(self.session, *found)
        self.tell(self.describe(places, number))

    def describe(self, places, number):
        """A target in words: name, dataset, position, and images that hold it."""
        ra, dec = float(places.ra[number]), float(places.dec[number])
        return f"{places.name(number)} ({places.data.label}) · {position_text(ra, dec)} · {self.images_text(ra, dec)}"

    def images_text(self, ra, dec):
        """How many of the images that are shown hold a position."""
        texts = []
        for footprints, where in ((self.images, "in the folders"), (self.answers, "in the archive")):
            if len(footprints):
                counts = footprints.counts(ra, dec)
                each = ", ".join(f"D{k + 1}: {count}" for k, count in enumerate(counts) if count)
                texts.append(f"{counted(int(counts.sum()), 'image')} {where}" + (f" ({each})" if each else ""))
        return "; ".join(texts) or "no images known"

    # -- views --------------------------------------------------------------------------------------------------------

    def show_all_sky(self):
        """Zoom out."""
        self.view = self.view.on(self.view.ra, 0.0, 1e9)

    def show_all_targets(self):
        """Zoom to where the targets are."""
        shown = self.shown_places
        if not shown:
            self.tell("There are no targets: load a target list, a catalogue or a spectrum.", failed=True)
            return
        ra, dec = (np.concatenate([getattr(places, name) for places in shown]) for name in ("ra", "dec"))
        self.view = self.view.holding(ra, dec)

    def show_target(self):
        """Zoom to the target that was clicked last, or to the source that is looked at."""
        found = self.focused() or self.chosen
        if found is None:
            self.tell("No target is chosen: click one.", failed=True)
            return
        places, number = found
        ra, dec = float(places.ra[number]), float(places.dec[number])
        self.view = self.view.on(ra, dec, min(self.view.width_deg, _NEAR_DEG))
        self.tell(self.describe(places, number))

    def go_to(self, text):
        """Show a position, a target, or an object by its name.

        Coordinates and names of targets that are loaded need no network.

        Parameters
        ----------
        text : str
        """
        text = " ".join(text.split())
        if not text:
            self.tell("Type a position, such as 150.1 2.2, or the name of an object.", failed=True)
            return
        try:
            source = parse_target(text)
        except TargetListError as error:
            if "allowed is" in str(error):  # a position, but not one on the sky
                self.tell(str(error), failed=True)
                return
        else:
            self._mark(position_text(source.ra, source.dec), source.ra, source.dec)
            return
        for places in self.places:
            number = np.flatnonzero(np.char.lower(places.labels.astype(str)) == text.lower())
            if len(number):
                self.view = self.view.on(float(places.ra[number[0]]), float(places.dec[number[0]]), _NAMED_DEG)
                self.choose(places, int(number[0]))
                return
        self.tell(f"The name service is asked for {text[:60]!r}…")
        self._run("name", lambda progress, cancelled: targets_of_name(text), self._take_name)

    def _take_name(self, targets, error):
        if error is not None:
            sentence = str(error)
            self.tell(sentence[:1].upper() + sentence[1:], failed=True)
            return
        source = targets.sources[0]
        self._mark(source.label, source.ra, source.dec)

    def _mark(self, name, ra, dec):
        self.marked = name, ra, dec
        self.view = self.view.on(ra, dec, min(self.view.width_deg, _NAMED_DEG))
        self.tell(f"{name} · {position_text(ra, dec)} · {self.images_text(ra, dec)}")

    # -- the picture --------------------------------------------------------------------------------------------------

    def _view_changed(self, view):
        if self.hips == PLAIN:
            self.loading = False

    def _forget_pause(self, hips):
        self._failures = 0
        self.picture_problem = ""
        if hips == PLAIN:
            self._run("picture", None, None)
            self.loading, self.picture = False, None

    @property
    def paused(self):
        """Whether no picture is asked for until the user says so."""
        return self._failures >= _MOST_FAILURES

    def fetch(self, again=False):
        """Ask for the picture of the view, unless there is none, or the service cannot be reached.

        Parameters
        ----------
        again : bool
            Ask although it could not be reached before.
        """
        if again:
            self._failures, self.picture_problem = 0, ""
        if self.hips == PLAIN or self.paused:
            return
        view, hips = self.view, self.hips
        if self.picture is not None and (self.picture.hips, self.picture.view) == (hips, view):
            return
        self.loading = True
        self._run("picture", partial(self._fetch, view, hips), self._take_picture)

    def _fetch(self, view, hips, progress, cancelled):
        return fetch_picture(self._open_client(), view, hips, cancelled)

    def _open_client(self):
        if self._client is None:
            from ...images.archive.client import ArchiveClient

            self._client = ArchiveClient(self.settings)
        return self._client

    def _take_picture(self, picture, error):
        self.loading = False
        if error is None:
            self._failures, self.picture_problem, self.picture = 0, "", picture
            return
        if not isinstance(error, ArchiveError):
            self._failures = _MOST_FAILURES
            self.picture_problem = f"No picture of the sky: {type(error).__name__}: {error}"
            return
        self._failures = _MOST_FAILURES if isinstance(error, ArchiveUnreachable) else self._failures + 1
        self.picture_problem = f"No picture of the sky: {error}"

    # -- images and maps ----------------------------------------------------------------------------------------------

    def _preset_folders(self):
        """Folders of the spectra that are loaded, else those of the last job."""
        of_spectra = [folder for data in spectra_in(self.session.data_collection) for folder in image_folders(data)]
        known = dict.fromkeys(of_spectra or remembered_folders().used)
        self.folders = tuple(folder for folder in known if os.path.isdir(folder))

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
        self.maps = {name: moc for name, moc in self.maps.items() if name != "images"}
        if found.problem:
            self.tell(found.problem, failed=True)
        self.read_maps()

    def _read_answers(self):
        self._run("answers", lambda *calls: footprints_of_answers(), self._take_answers)

    def _take_answers(self, found, error):
        if error is not None:
            self.tell(f"The answers of the archive cannot be read: {error}", failed=True)
            return
        self.answers = found
        if not len(found):
            self.tell(found.problem or "No answers of the archive are kept: search it for images first.", failed=True)

    @property
    def map_problem(self):
        """Why there are no coverage maps; '' if there can be."""
        return "" if has_maps() else "Coverage maps need mocpy: pip install 'glue-spherex[archive]'"

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
        """Write the part of the sky that the images in the folders cover, as a MOC.

        Parameters
        ----------
        path : path-like
            FITS.

        Raises
        ------
        ArchiveError
            If there are no images, or mocpy is not installed.
        OSError
            If the file cannot be written.
        """
        moc = self.maps.get("images") or map_of_footprints(self.images.corners)
        moc.save(os.fspath(path), format="fits", overwrite=True)
        self.tell(f"{path} holds the part of the sky that {counted(len(self.images), 'image')} cover.")


def _map_here(corners, progress, cancelled):
    return map_of_footprints(corners)


def position_text(ra, dec):
    """A position in degrees, as ``150.10000° +2.20000°``."""
    return f"{ra:.5f}° {dec:+.5f}°"
