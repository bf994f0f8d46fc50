"""What the sky coverage panel holds and does, without a window."""

from functools import partial

import numpy as np
from echo import CallbackProperty, SelectionCallbackProperty
from glue.core import message

from ...images.archive.errors import ArchiveError, ArchiveUnreachable
from ...io import TargetListError, parse_target
from ..dialogs import DATA_MESSAGES
from ..focus import RowFocusMessage, focus_source, focused_row
from ..measuring.resolver import targets_of_name
from ..sources import source_of_row
from .picture import fetch_picture, picture_view
from .places import places_of, spectrum_of
from .sky_layers import SkyLayers, position_text
from .view import SkyView

_SUBSET_MESSAGES = (message.SubsetCreateMessage, message.SubsetUpdateMessage, message.SubsetDeleteMessage)
_NEAR_DEG, _NAMED_DEG = 0.2, 0.5  # widths of the views of a target, and of what was looked for
_MOST_FAILURES = 3  # in a row; then a picture is asked for again only when the user says so
#: Choice of the background: no picture.
PLAIN = ""


class CoverageState(SkyLayers):
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
        The datasets with positions: catalogues first, then target lists, then spectra.
    """

    view = CallbackProperty(SkyView(), docstring="what is shown of the sky")
    hips = SelectionCallbackProperty(docstring="survey that the picture is made of; '' for none")
    show_grid = CallbackProperty(True, docstring="whether the grid of coordinates is shown")
    picture = CallbackProperty(None, docstring="the last SkyPicture that came")
    picture_problem = CallbackProperty("", docstring="why there is no picture")
    loading = CallbackProperty(False, docstring="whether a picture is being fetched")
    hidden = CallbackProperty((), docstring="datasets that are not shown")
    targets = CallbackProperty(0, docstring="number of changes of the targets so far")
    chosen = CallbackProperty(None, docstring="(Places, number) that was clicked last, or None")
    marked = CallbackProperty(None, docstring="(name, ra, dec) of what was looked for, or None")

    def __init__(self, session, run, settings=None):
        super().__init__(session, run, settings)
        self._failures = 0
        self._asked_name = ""  # the sentence about the name that is being looked up
        self.places = []
        CoverageState.hips.set_choices(self, [*(self.settings.hips if self.settings.hips2fits else ()), PLAIN])
        CoverageState.hips.set_display_func(self, lambda name: name or "no picture (plain grid)")
        self.refresh_targets()
        self.add_callback("hips", self._forget_pause)
        for kind in DATA_MESSAGES:
            session.hub.subscribe(self, kind, handler=self._hear)
        for kind in (*_SUBSET_MESSAGES, RowFocusMessage):
            session.hub.subscribe(self, kind, handler=lambda news: self._touch())

    def close(self):
        """Stop listening to glue; the panel was closed."""
        self.session.hub.unsubscribe_all(self)
        if self._client is not None:
            self._client.close()

    # -- targets ------------------------------------------------------------------------------------------------------

    def refresh_targets(self):
        """Look which datasets have positions."""
        found = [places for data in self.session.data_collection if (places := places_of(data)) is not None]
        self.places = sorted(found, key=lambda places: places.rank)
        present = {id(data) for data in self.session.data_collection}
        self.hidden = tuple(data for data in self.hidden if id(data) in present)
        if self.chosen is not None and id(self.chosen[0].data) not in present:
            self.chosen = None
        self._touch()

    def _hear(self, news):
        """Data came, went or changed; or only a colour did."""
        if getattr(news, "attribute", None) == "style":
            self._touch()
        else:
            self.refresh_targets()
        if isinstance(news, message.DataCollectionAddMessage):
            self._follow_spectra()

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
        self._forget_name()
        self.chosen = places, number
        self._touch()
        found = spectrum_of(self.session.data_collection, places, number, focused_row(self.session)[0])
        if found is not None:
            focus_source(self.session, *found)
        self._tell_target(places, number, "" if found else " · no spectrum of this target is loaded")

    def _tell_target(self, places, number, addition=""):
        ra, dec = float(places.ra[number]), float(places.dec[number])
        self._tell_about(f"{places.name(number)} ({places.data.label})", ra, dec, addition)

    def describe(self, places, number):
        """A target in words: name, dataset, position, and images that hold it."""
        ra, dec = float(places.ra[number]), float(places.dec[number])
        return f"{places.name(number)} ({places.data.label}) · {position_text(ra, dec)} · {self.images_text(ra, dec)}"

    # -- views --------------------------------------------------------------------------------------------------------

    def show_all_sky(self):
        """Zoom out."""
        self._forget_name()
        self.view = self.view.on(self.view.ra, 0.0, 1e9)

    def show_all_targets(self):
        """Zoom to where the targets are."""
        self._forget_name()
        shown = self.shown_places
        if not shown:
            self.tell("There are no targets: load a target list, a catalogue or a spectrum.", failed=True)
            return
        ra, dec = (np.concatenate([getattr(places, name) for places in shown]) for name in ("ra", "dec"))
        self.view = self.view.holding(ra, dec)

    def show_target(self):
        """Zoom to the target that was clicked last, or to the source that is looked at."""
        self._forget_name()
        found = self.focused() or self.chosen
        if found is None:
            self.tell("No target is chosen: click one.", failed=True)
            return
        places, number = found
        ra, dec = float(places.ra[number]), float(places.dec[number])
        self.view = self.view.on(ra, dec, min(self.view.width_deg, _NEAR_DEG))
        self._tell_target(places, number)

    def go_to(self, text):
        """Show a position, a target, or an object by its name.

        Coordinates and names of targets that are loaded need no network. What was looked for before, and whatever
        else moves the view meanwhile, makes an answer that is late unwanted.

        Parameters
        ----------
        text : str
        """
        self._forget_name()
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
        self._asked_name = f"The name service is asked for {text[:60]!r}…"
        self.tell(self._asked_name)
        self._run("name", lambda progress, cancelled: targets_of_name(text), self._take_name)

    def _forget_name(self):
        """The view goes elsewhere: the name that is being looked up is not wanted any more."""
        if self._asked_name:
            self._run("name", None, None)
            if self.status == self._asked_name:
                self.tell("")
            self._asked_name = ""

    def _take_name(self, targets, error):
        self._asked_name = ""
        if error is not None:
            sentence = str(error)
            self.tell(sentence[:1].upper() + sentence[1:], failed=True)
            return
        source = targets.sources[0]
        self._mark(source.label, source.ra, source.dec)

    def _mark(self, name, ra, dec):
        self.marked = name, ra, dec
        self.view = self.view.on(ra, dec, min(self.view.width_deg, _NAMED_DEG))
        self._tell_about(name, ra, dec)

    # -- the picture --------------------------------------------------------------------------------------------------

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
        if self._is_there():
            if self.loading:  # of a view that was left again
                self._run("picture", None, None)
                self.loading = False
            return
        self.loading = True
        self._run("picture", partial(self._fetch, self.view, self.hips), self._take_picture)

    def _is_there(self):
        """Whether the picture is the one of this view."""
        wanted = self.hips, picture_view(self.view, self.settings.most_pixels)
        return self.picture is not None and (self.picture.hips, self.picture.view) == wanted

    def _fetch(self, view, hips, progress, cancelled):
        return fetch_picture(self._open_client(), view, hips, cancelled)

    def _take_picture(self, picture, error):
        self.loading = False
        if error is None:
            self._failures, self.picture_problem = 0, ""
            if picture.hips == self.hips and not self._is_there():  # else what was chosen or looked at has changed
                self.picture = picture
            return
        if not isinstance(error, ArchiveError):
            self._failures = _MOST_FAILURES
            self.picture_problem = f"No picture of the sky: {type(error).__name__}: {error}"
            return
        self._failures = _MOST_FAILURES if isinstance(error, ArchiveUnreachable) else self._failures + 1
        self.picture_problem = f"No picture of the sky: {error}"
