"""What a server does when it is asked for parts of a file, as its answers tell; it is believed for a while."""

import time
from weakref import WeakKeyDictionary

from .settings import origin

_TIMES_IGNORED = 2  # requests for several parts in a row, until a server is asked for one part at a time
_BELIEVED_S = 600.0
_KNOWN = WeakKeyDictionary()  # client: {origin: Habit}


class Habit:
    """Of one server, as one client knows it; see `habit_of`."""

    def __init__(self):
        self._ignored, self._singly_until, self._whole_until = 0, 0.0, 0.0

    @property
    def is_asked_singly(self):
        """Whether it is not to be asked for several parts at once."""
        return time.monotonic() < self._singly_until

    @property
    def sends_whole_files(self):
        """Whether it is not to be asked for parts at all."""
        return time.monotonic() < self._whole_until

    def sent_parts(self):
        """It has answered a request for several parts."""
        self._ignored = 0

    def ignored_parts(self):
        """It has sent something else instead of several parts."""
        self._ignored += 1
        if self._ignored >= _TIMES_IGNORED:
            self._singly_until = time.monotonic() + _BELIEVED_S

    def sent_whole_file(self):
        """It has sent a whole file instead of one part."""
        self._whole_until = time.monotonic() + _BELIEVED_S


def habit_of(client, url):
    """The `Habit` of the server of an address."""
    return _KNOWN.setdefault(client, {}).setdefault(origin(url), Habit())
