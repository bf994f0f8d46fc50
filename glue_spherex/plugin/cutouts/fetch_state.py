"""What the cutout viewer fetches from the archive, what it offers to fetch, and what the user chose about it."""

import json
from typing import NamedTuple

from echo import CallbackProperty
from glue.core.state_objects import State

from ...io.files import replacing
from ...jobs.store import default_home
from .background_fetcher import BackgroundFetcher, FetchOutcome

_NAME = "cutout-viewer.json"
FETCHING = "Fetching from the archive…"


class Offer(NamedTuple):
    """What a frame offers about what is missing in it.

    Parameters
    ----------
    label : str
        On its button; '' for none.
    status : str
        What is done, or why it failed; '' while nothing was tried.
    busy : bool
        Whether it is fetched now.
    """

    label: str = ""
    status: str = ""
    busy: bool = False


class FetchState(State):
    """Cutouts that are fetched for a viewer.

    Parameters
    ----------
    deliver : callable
        ``deliver(request, outcome)``, called in another thread; `ended` must then be called in the viewer's own.
    fetcher : BackgroundFetcher, optional

    Attributes
    ----------
    by_itself : bool
        Whether missing cutouts are fetched without being asked for. It is the user's choice, remembered for all
        viewers to come, and no part of a session.
    """

    by_itself = CallbackProperty(False, docstring="Fetch missing cutouts without being asked")

    def __init__(self, deliver, fetcher=None):
        super().__init__()
        self.by_itself = remembered_choice()
        self._fetcher = fetcher or BackgroundFetcher(deliver)
        self._under_way, self._tried = set(), {}  # as the viewer knows it
        self._asked = self._ended = self._failed = 0

    def choose(self, by_itself):
        """Fetch by itself from now on, or no more; remembered for the viewers to come.

        Parameters
        ----------
        by_itself : bool

        Raises
        ------
        OSError
            If it cannot be remembered; it holds for this viewer.
        """
        self.by_itself = bool(by_itself)
        remember_choice(self.by_itself)

    def fetch(self, requests):
        """Fetch cutouts; where only another release can be had, and that was said before, that one.

        Parameters
        ----------
        requests : iterable of CutoutRequest
        """
        for request in requests:
            if request.key in self._under_way:
                continue
            if not self.busy:
                self._asked = self._ended = self._failed = 0
            outcome = self._tried.pop(request.key, None)
            self._asked += 1
            self._under_way.add(request.key)
            self._fetcher.fetch(request, other_release=bool(outcome and outcome.instead))

    def fetch_untried(self, requests):
        """As `fetch`, those that were not tried before: what cannot be had is not asked for again and again."""
        self.fetch([request for request in requests if request.key not in self._tried])

    def cancel(self, requests=None):
        """Give up some requests, or all of them; they count as tried."""
        keep = set() if requests is None else self._under_way - {request.key for request in requests}
        self._tried.update(dict.fromkeys(self._under_way - keep, FetchOutcome()))
        self._keep(keep)

    def keep_only(self, requests):
        """Give up what is fetched by itself for frames that are not shown any more."""
        if self.by_itself:
            self._keep({request.key for request in requests})

    def _keep(self, keys):
        self._fetcher.cancel(keys)
        self._asked -= len(self._under_way - keys)
        self._under_way &= keys

    def ended(self, request, outcome):
        """Note how fetching a cutout ended."""
        self._under_way.discard(request.key)
        self._tried[request.key] = outcome
        self._ended += 1
        self._failed += bool(outcome.problem)

    def offer(self, request, to_fetch):
        """What the frame of a request offers.

        Parameters
        ----------
        request : CutoutRequest
        to_fetch : bool
            Whether the archive may have what is missing in it.

        Returns
        -------
        Offer
        """
        if request.key in self._under_way:
            return Offer("Cancel", FETCHING, busy=True)
        outcome = self._tried.get(request.key)
        if not to_fetch:
            return Offer()
        if outcome is None or not outcome.problem:
            return Offer("Fetch")
        return Offer(f"Fetch {outcome.instead.upper()}" if outcome.instead else "Try again", outcome.problem)

    @property
    def busy(self):
        """Whether anything is fetched."""
        return bool(self._under_way)

    @property
    def progress(self):
        """A sentence about what is fetched; '' while nothing is."""
        if not self.busy:
            return ""
        failed = f", {self._failed} could not be had" if self._failed else ""
        here, asked = self._ended - self._failed, max(self._asked, self._ended + 1)
        return f"Fetching from the archive: {here} of {asked} cutouts are here{failed}."

    @property
    def alive(self):
        """Whether a transfer still ends."""
        return self._fetcher.alive

    def close(self):
        """Give up everything."""
        self._fetcher.close()


def remembered_choice():
    """Whether the user chose that missing cutouts are fetched by themselves; no where nothing is remembered."""
    try:
        return json.loads((default_home() / _NAME).read_text(encoding="utf-8"))["fetch_by_itself"] is True
    except (OSError, ValueError, LookupError, TypeError):
        return False


def remember_choice(by_itself):
    """Keep the choice for the next viewers.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    home = default_home()
    home.mkdir(parents=True, exist_ok=True)
    with replacing(home / _NAME) as part, open(part, "w", encoding="utf-8") as file:
        json.dump({"fetch_by_itself": by_itself}, file)
