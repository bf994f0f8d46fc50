"""Fetching the missing cutouts of a page: the buttons in the frames and at the foot, and what they do."""

from qtpy.QtWidgets import QPushButton

from ...plugin.cutouts.fetch_state import FETCHING, FetchState, Offer
from .canvas import told

READING = Offer("", FETCHING, busy=True)


class PageFetching:
    """What the cutout viewer does about missing cutouts.

    Parameters
    ----------
    viewer : SpherexCutoutViewer
    """

    def __init__(self, viewer):
        self._viewer = viewer
        self._requests = {}  # by row
        self._being_read = set()  # keys of what has come, but is not shown yet
        self.state = FetchState(viewer.delivery.fetched.emit)
        viewer.delivery.fetched.connect(self._on_fetched)
        self.button = QPushButton()
        self.button.clicked.connect(self.press_foot)
        self.button.hide()

    def tell(self, text):
        """Say something at the foot of the viewer."""
        self._viewer.tell(text)

    def page_changed(self, requests):
        """The page has other frames now.

        Parameters
        ----------
        requests : list of CutoutRequest
        """
        self._requests = {request.row.row: request for request in requests}
        self.state.keep_only(requests)

    def _offered(self):
        """(panel, request, offer) of each frame of the page."""
        for panel in self._viewer.page.panels:
            request = self._requests.get(panel.row.row)
            if request is not None:
                reading = panel.to_fetch and request.key in self._being_read
                yield panel, request, READING if reading else self.state.offer(request, panel.to_fetch)

    def missing(self):
        """The requests of the page whose image, or a part of it, is missing and not under way."""
        return [request for panel, request, offer in self._offered() if panel.to_fetch and not offer.busy]

    @property
    def failures(self):
        """Why cutouts of the page could not be fetched, each sentence once."""
        return list(dict.fromkeys(offer.status for *_, offer in self._offered() if offer.status and not offer.busy))

    def update(self):
        """Let frames and foot offer what can be done now; fetch it, if that is to happen by itself."""
        if self.state.by_itself:
            self.state.fetch_untried(self.missing())
        for panel, _, offer in self._offered():
            self._viewer.page.offer(panel, offer)
        count, busy = len(self.missing()), self.state.busy
        cutouts = "1 cutout" if count == 1 else f"{count} cutouts"
        self.button.setText("Cancel" if busy else f"Fetch {cutouts}")
        self.button.setToolTip("Stop fetching" if busy else "Fetch what is missing here from the archive")
        self.button.setVisible(busy or count > 0)
        self._viewer.draw_soon()

    @told
    def fetch_page(self):
        """Fetching the missing cutouts of this page."""
        missing = self.missing()
        if not missing and not self.state.busy:
            self.tell("Nothing that the archive may have is missing on this page.")
            return
        self.state.fetch(missing)
        self._changed()

    @told
    def press_foot(self, *args):
        """Fetching or giving up."""
        if self.state.busy:
            self.state.cancel()
            self._changed()
        else:
            self.fetch_page()

    @told
    def press(self, panel):
        """Fetching or giving up a cutout.

        Parameters
        ----------
        panel : Panel
            Whose button was pressed.
        """
        request = self._requests[panel.row.row]
        if panel.busy:
            self.state.cancel([request])
        else:
            self.state.fetch([request])
        self._changed()

    @told
    def choose(self, by_itself):
        """Choosing whether missing cutouts are fetched by themselves."""
        try:
            self.state.choose(by_itself)
        finally:
            self._changed()

    @told
    def _on_fetched(self, request, outcome):
        """Showing a cutout that was fetched."""
        if self._viewer.has_ended:
            return
        self.state.ended(request, outcome)
        if not outcome.problem and (shown := self._requests.get(request.row.row)) and shown.key == request.key:
            self._being_read.add(request.key)
            self._viewer.read_again(shown)
        self._changed()

    def was_read(self, request):
        """A cutout was read, from wherever it is."""
        self._being_read.discard(request.key)

    def _changed(self):
        self.update()
        self._viewer.tell_problems()

    def close(self):
        """Give up everything."""
        self.state.close()
