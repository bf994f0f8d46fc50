"""What the dialog that opens a job of IRSA's Spectrophotometry Tool holds and does, without a window."""

import os
import time

from echo import CallbackProperty
from glue.core.data_factories import load_data
from glue.core.state_objects import State

from ..images.archive.errors import ArchiveError
from ..images.archive.irsa_job import job_address
from ..images.archive.settings import ArchiveSettings
from ..jobs import fetch_irsa_job
from .columns import spectra_in
from .links import link_all
from .loader import load_spectrum
from .measuring.sentences import sentence_of
from .opening import is_from
from .sources import rows_by_source

#: What is done at each step of `fetch_irsa_job`.
STEPS = ("Asking for the job…", "Fetching its result…", "Checking the result…", "Reading the spectra…")
_LONGEST_LABEL = 60


def read_irsa_job(address, progress=None, cancelled=None):
    """Fetch the spectra of a job, if they are not here already, and read them; in any thread.

    Parameters
    ----------
    address, progress, cancelled
        As in `glue_spherex.jobs.fetch_irsa_job`.

    Returns
    -------
    glue.core.Data
        With a label. It remembers its file, so that sessions find it again.

    Raises
    ------
    ArchiveError, SpectrumFileError
        If it cannot be had, or not be read.
    """
    path = fetch_irsa_job(address, progress=progress, cancelled=cancelled)
    data = load_data(str(path), factory=load_spectrum)
    data.label = f"IRSA job {path.stem.removeprefix('irsa-job-').partition('++')[0]}"[:_LONGEST_LABEL]
    return data


def add_irsa_job(data_collection, data):
    """Show glue the spectra of a job, linked to what is there.

    Parameters
    ----------
    data_collection : glue.core.DataCollection
    data : glue.core.Data
        From `read_irsa_job`.

    Returns
    -------
    glue.core.Data
        What was loaded from the same file before, where there is such; otherwise the data.
    """
    path = data._load_log.path
    known = next((one for one in spectra_in(data_collection) if is_from(one, path)), None)
    if known is None:
        data_collection.append(data)
        link_all(data_collection)
    return data if known is None else known


class IrsaJobState(State):
    """The job that is wanted, and what became of it.

    Parameters
    ----------
    session : glue.core.Session
    clipboard : str
        Taken as the address, if it is one of a job.

    Attributes
    ----------
    address : str
        As `fetch_irsa_job` takes it.
    working : bool
    status : str
        What is done, or why it could not be.
    failed : bool
    """

    address = CallbackProperty("", docstring="address or id of the job")
    working = CallbackProperty(False, docstring="whether a job is being fetched")
    status = CallbackProperty("", docstring="what is done")
    failed = CallbackProperty(False, docstring="whether the status says why something could not be done")

    def __init__(self, session, clipboard=""):
        super().__init__()
        self.session = session
        if "://" in clipboard and len(clipboard) < 1000 and self._is_of_job(clipboard):
            self.address = clipboard.strip()
        self.add_callback("address", self._address_changed)

    @staticmethod
    def _is_of_job(text):
        try:
            return job_address(text, ArchiveSettings.load()).is_job
        except ArchiveError:
            return False

    def start(self):
        """Begin.

        Returns
        -------
        callable(progress, cancelled) or None
            What is to be done in another thread, for `step` and `finish`; None if the address is none.
        """
        try:
            job_address(self.address, ArchiveSettings.load())
        except ArchiveError as error:
            self._say(_sentence(error), failed=True)
            return None
        self.working = True
        self._say(STEPS[0])
        address = self.address
        return lambda progress, cancelled: read_irsa_job(address, progress, cancelled)

    def step(self, done):
        """Say how far it is."""
        if self.working:
            self._say(STEPS[min(done, len(STEPS) - 1)])

    def stop(self):
        """The user does not want it any more."""
        if self.working:
            self.working = False
            self._say("Stopped; nothing was opened.")

    def finish(self, data, error):
        """Take what came.

        Parameters
        ----------
        data : glue.core.Data or None
        error : Exception or None

        Returns
        -------
        glue.core.Data or None
            What glue holds now.
        """
        self.working = False
        if error is not None:
            self._say(_sentence(error), failed=True)
            return None
        data = add_irsa_job(self.session.data_collection, data)
        path = data._load_log.path
        fetched = time.strftime("%Y-%m-%d %H:%M", time.localtime(os.stat(path).st_mtime))
        n_sources = len(rows_by_source(data))
        self._say(
            f"{data.label}: {data.size} measurements of {n_sources} source{'' if n_sources == 1 else 's'}, fetched on "
            f"{fetched}, kept as {path}"
        )
        return data

    def _address_changed(self, *args):
        if not self.working:
            self._say("")

    def _say(self, text, failed=False):
        self.failed = failed
        self.status = text


def _sentence(error):
    """What an exception says, with a capital letter unless it begins with an address."""
    text = sentence_of(error)
    return str(error) if "://" in text.partition(" ")[0] else text
