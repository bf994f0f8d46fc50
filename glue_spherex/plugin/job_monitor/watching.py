"""Looking at the store of jobs again and again: cheap while nothing happens, and alive whatever is wrong with it."""

import os
from typing import NamedTuple

from ... import jobs as desk
from ...jobs.store import STORE_NAME, default_home


class Sight(NamedTuple):
    """What was seen in the store.

    ``jobs``: tuple of `Job`, the newest first; None where the store could not be read; ``running_limit``: how many run
    at once, or None; ``problem``: why the store cannot be used, in a sentence, else ''.
    """

    jobs: tuple | None
    running_limit: int | None
    problem: str = ""


class StoreView:
    """The store of jobs, looked at from one thread.

    It can be locked, replaced or damaged at any moment: a look then gives the reason, and the next one tries again.
    """

    def __init__(self):
        self._watch = None
        self._file = None
        self._problem = ""

    def look(self, again=False):
        """What has changed.

        Parameters
        ----------
        again : bool
            Look even if nothing has changed.

        Returns
        -------
        Sight or None
            None if nothing has changed since the last look.
        """
        try:
            if self._watch is None or self._file != _identity():
                self.close()
                self._watch = desk.JobWatch()
                self._file = _identity()
            if not (self._watch.changed() or again or self._problem):
                return None
            with desk.JobStore() as store:
                limit = store.running_limit()
            found = Sight(tuple(desk.jobs()), limit)
            self._problem = ""
        except (desk.JobError, OSError) as error:
            self.close()
            if str(error) == self._problem and not again:
                return None
            self._problem = str(error) or type(error).__name__
            return Sight(None, None, f"{self._problem[0].upper()}{self._problem[1:]} It is tried again.")
        return found

    def close(self):
        """Close the store."""
        if self._watch is not None:
            self._watch.close()
            self._watch = self._file = None


def _identity():
    """Which file the store is: another one has taken its place if this changes."""
    try:
        about = os.stat(default_home() / STORE_NAME)
    except OSError:
        return None
    return about.st_dev, about.st_ino
