"""Servers that send whole files when they are asked for parts: for a while they are not asked again."""

import time
from weakref import WeakKeyDictionary

from .settings import origin

_BELIEVED_S = 600.0
_UNTIL = WeakKeyDictionary()  # client: {origin: until when it is believed, s}


def note_whole_files(client, url):
    """The server of an address has sent a whole file instead of a part."""
    _UNTIL.setdefault(client, {})[origin(url)] = time.monotonic() + _BELIEVED_S


def sends_whole_files(client, url):
    """Whether a client should not ask the server of an address for parts of files."""
    return time.monotonic() < _UNTIL.get(client, {}).get(origin(url), 0.0)
