"""Asking the archive politely: limits, waits, checks of what comes back."""

import os
import random
import re
import threading
import time
from email.utils import parsedate_to_datetime
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urljoin, urlsplit

from glue_spherex._version import __version__
from glue_spherex.extras import how_to_install

from .errors import (
    AnswerTooLarge,
    ArchiveBusy,
    ArchiveError,
    ArchiveStopped,
    ArchiveUnreachable,
    FileChanged,
    NothingThere,
    NotPermitted,
    RangeRefused,
)
from .exchange import Received, Request
from .hosts import Host, pause, unless_stopped
from .settings import ArchiveSettings, is_loopback, origin

try:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.exceptions import NewConnectionError, ReadTimeoutError
except ImportError as missing:
    raise ArchiveError(f"the archive cannot be asked ({missing}): {how_to_install('archive')}.") from missing

_CHUNK = 1 << 16
_REDIRECTS, _MOST_REDIRECTS = (301, 302, 303, 307, 308), 5
_BUSY = (429, 503)
_PASSING = (408, 500, 502, 504)  # may be gone with the next attempt


class _Again(Exception):
    """An attempt that failed, but may succeed when repeated."""

    def __init__(self, error, wait_s=None, unreachable=False):
        super().__init__(str(error))
        self.error, self.wait_s, self.unreachable = error, wait_s, unreachable


class ArchiveClient:
    """Gets bytes from the archive's addresses, and from no others.

    It may be used by many threads at once, and is sent to other processes as its settings.

    Parameters
    ----------
    settings : ArchiveSettings, optional
        The user's by default.

    Attributes
    ----------
    settings : ArchiveSettings
    moved : int
        Bytes of content received so far.
    requests : int
        Requests made so far, attempts that failed among them.
    """

    def __init__(self, settings=None):
        self.settings = settings or ArchiveSettings.load()
        self.moved = self.requests = 0
        self._lock = threading.Lock()
        self._hosts, self._proxies = {}, {}
        self._session = None

    def __reduce__(self):
        return type(self), (self.settings,)

    def get(self, url, start=None, stop=None, *, match="", max_bytes=None, cancelled=None):
        """The content at an address, or a part of it.

        Parameters
        ----------
        url : str
        start, stop : int, optional
            First byte, and the one after the last, of the part; to the end without `stop`. At the end of a file fewer
            bytes come back.
        match : str
            ETag that the file must have, else `FileChanged` is raised.
        max_bytes : int, optional
            Most that is accepted; the settings' by default.
        cancelled : callable, optional
            Asked while waiting and receiving; when it says yes, `ArchiveStopped` is raised.

        Returns
        -------
        bytes

        Raises
        ------
        ArchiveError
            If it cannot be had; the subclasses tell no network, a busy archive, too large an answer, another part
            than the one asked for, and a cancelled transfer.
        """
        return self.receive(url, start, stop, match=match, max_bytes=max_bytes, cancelled=cancelled).data

    def receive(self, url, start=None, stop=None, *, match="", max_bytes=None, cancelled=None):
        """As `get`, with what the archive says about the file.

        Returns
        -------
        Received
        """
        if start is None and stop is not None:
            start = 0
        if start is not None and (start < 0 or (stop is not None and stop <= start)):
            raise ArchiveError(f"{url}: bytes {start} to {stop} are no part of a file.")
        received = self._ask(Request(url, start, stop, match), max_bytes, cancelled)
        if match and received.headers.get("etag", match) != match:
            raise FileChanged(f"{url}: the file was replaced meanwhile; ask anew.")
        return received

    def receive_request(self, request, *, max_bytes=None, cancelled=None):
        """As `receive`, for a request of another kind, such as one for several parts of a file.

        Parameters
        ----------
        request : object
            With the attributes of `Request`; its ``expected`` judges the answer before anything of it is read.

        Returns
        -------
        Received
        """
        return self._ask(request, max_bytes, cancelled)

    def ask(self, url, parameters, *, post=False, max_bytes=None, cancelled=None):
        """The answer of a service.

        Parameters
        ----------
        url : str
        parameters : dict of str to (str or list of str)
        post : bool
            Whether they are sent as a form; in the address otherwise.
        max_bytes, cancelled
            As in `get`.

        Returns
        -------
        bytes
        """
        return self._ask(Request(url, parameters=parameters, post=post), max_bytes, cancelled).data

    def close(self):
        """Close the connections; they are opened again when needed."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def _ask(self, request, max_bytes, cancelled):
        """All attempts of a request; waits that the archive asks for are none, but are not without end either."""
        most = self.settings.max_bytes if max_bytes is None else max_bytes
        stop = cancelled or (lambda: False)
        host, attempt, waited_s = self._host(request.url), 1, 0.0
        while True:
            try:
                received = self._attempt(request, host, most, stop)
            except _Again as again:
                longest_wait_s = self.settings.longest_wait_s
                if again.unreachable:
                    host.missed()
                    given_up = not host.patient(self.settings.patience_s)
                elif again.wait_s:
                    waited_s += again.wait_s
                    given_up = again.wait_s > longest_wait_s or waited_s > self.settings.attempts * longest_wait_s
                else:
                    given_up = attempt >= self.settings.attempts
                if given_up:
                    raise again.error from again.__cause__
                if not again.wait_s:  # otherwise it waits for its turn
                    pause(self._backoff_s(attempt), stop)
                    attempt += 1
            else:
                host.answered()
                return received

    def _backoff_s(self, attempt):
        """How long to wait before the next attempt: longer each time, never the same for two."""
        wait_s = min(self.settings.backoff_s * 2.0 ** min(attempt - 1, 20), self.settings.longest_wait_s)
        return wait_s * random.uniform(0.5, 1.0)

    def _attempt(self, request, host, most, stop):
        """One attempt: redirects are followed, within the archive."""
        url, longest_s = request.url, self.settings.longest_s
        try:
            for _ in range(_MOST_REDIRECTS + 1):
                self._check_permitted(url, request.url)
                with host.turn(request.url, self.settings.longest_wait_s, stop):
                    exchange = partial(self._exchange, url, request, host, most, stop)
                    received, url = unless_stopped(exchange, stop, longest_s)
                if received is not None:
                    return received
        except TimeoutError as error:
            raise _Again(ArchiveError(f"{request.url}: not complete after {longest_s:g} s.")) from error
        except requests.exceptions.SSLError as error:
            raise ArchiveError(
                f"{url}: there is no secure connection to the server ({_cause(error)}); refused."
            ) from error
        except requests.exceptions.ConnectTimeout as error:
            raise _Again(self._unreachable(url, error), unreachable=True) from error
        except requests.exceptions.Timeout as error:
            raise _Again(self._silent(request)) from error
        except requests.exceptions.ConnectionError as error:
            if error.args and isinstance(error.args[0], ReadTimeoutError):  # in the middle
                raise _Again(self._silent(request)) from error
            if _never_connected(error):
                raise _Again(self._unreachable(url, error), unreachable=True) from error
            raise _Again(ArchiveError(f"{url}: the connection broke ({_cause(error)}); try again.")) from error
        except requests.exceptions.ChunkedEncodingError as error:
            raise _Again(ArchiveError(f"{url}: the connection was cut in the middle; try again.")) from error
        except requests.exceptions.RequestException as error:
            raise ArchiveError(f"{url}: the request failed ({_cause(error)}).") from error
        raise ArchiveError(f"{request.url}: the server sends from one address to the next, without end; refused.")

    def _exchange(self, url, request, host, most, stop):
        """What an address answers; None and the next address if it sends on to one."""
        end = time.monotonic() + self.settings.longest_s
        with self._send(url, request) as response:
            if response.status_code not in _REDIRECTS:
                self._check_status(response, request, host)
                return self._read(response, request, most, stop, end), url
            return None, urljoin(url, response.headers.get("Location", ""))

    def _send(self, url, request):
        with self._lock:
            self.requests += 1
            session = self._session = self._session or _new_session(self.settings.at_once)
        first = url == request.url  # what a service sends on to is a finished answer
        data = request.parameters if first and request.post else None
        params = request.parameters if first and not request.post else None
        prepared = requests.PreparedRequest()  # `session.request` would look for what it might merge, for longer
        prepared.prepare(
            "POST" if first and request.post else "GET", url, params=params, data=data,
            headers={**session.headers, **request.headers},
        )  # fmt: skip
        return session.send(
            prepared, stream=True, allow_redirects=False, proxies=self._proxies_of(url), verify=session.verify,
            timeout=(self.settings.connect_s, self._silence_s(request)),
        )  # fmt: skip

    def _proxies_of(self, url):
        """The proxies of the environment for a host, looked up once: that takes as long as a request."""
        host = origin(url)
        if host not in self._proxies:  # a proxy cannot reach what is named 127.0.0.1 here
            here = is_loopback(urlsplit(url).hostname)
            self._proxies[host] = {} if here else requests.utils.get_environ_proxies(url)
        return self._proxies[host]

    def _read(self, response, request, most, stop, end):
        """The content of an answer, after checks that it is what was asked for."""
        start, size, length = request.expected(response)
        if length is not None and length > most:
            raise AnswerTooLarge(f"{request.url}: the answer has {length} bytes; at most {most} are accepted.")
        pieces, received = [], 0
        for piece in response.iter_content(_CHUNK):
            received += len(piece)
            with self._lock:
                self.moved += len(piece)
            if received > most:
                raise AnswerTooLarge(f"{request.url}: the answer has more than {most} bytes; no more are accepted.")
            if stop():
                raise ArchiveStopped(f"{request.url}: cancelled.")
            if time.monotonic() > end:
                raise TimeoutError
            pieces.append(piece)
        if length is not None and received != length:
            raise _Again(ArchiveError(f"{request.url}: {received} of {length} bytes came; try again."))
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Received(b"".join(pieces), start, size, headers)

    def _check_status(self, response, request, host):
        status, url = response.status_code, request.url
        if status in _BUSY:
            wait_s = _retry_after_s(response.headers.get("Retry-After"))
            if wait_s or status == 429:
                host.busy(wait_s or self.settings.backoff_s)  # all other requests wait too
            text = f"{url}: the archive is busy (status {status})"
            text += f" and asks to come back in {wait_s:.0f} s." if wait_s else "; try again later."
            raise _Again(ArchiveBusy(text), wait_s)
        if status in _PASSING:
            raise _Again(ArchiveError(f"{url}: the archive has a fault (status {status}); try again later."))
        if status == 412:
            raise FileChanged(f"{url}: the file was replaced meanwhile; ask anew.")
        if status == 416:
            raise RangeRefused(f"{url}: the file has no bytes {request.start} to {request.stop}.")
        if status not in (200, 206):
            what = {404: "there is no such file", 403: "the archive does not give it", 401: "a password is asked for"}
            kind = {404: NothingThere, 403: NotPermitted, 401: NotPermitted}.get(status, ArchiveError)
            raise kind(f"{url}: {what.get(status, 'the archive refuses it')} (status {status}).")
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise ArchiveError(f"{url}: the answer is packed ({encoding[:40]}), which was not asked for; refused.")

    def _check_permitted(self, url, asked):
        """Only the archive's own addresses: what an answer or a redirect names may be anything."""
        permitted = self.settings.origins
        if origin(url) in permitted and "@" not in urlsplit(url).netloc:
            return
        names = ", ".join(sorted({host for _, host, _ in permitted}))
        if url == asked:
            raise ArchiveError(f"{url[:300]}: the address does not belong to the archive ({names}); refused.")
        raise ArchiveError(
            f"{asked}: the server sends on to {url[:300]!r}, which does not belong to the archive ({names}); refused."
        )

    def _silence_s(self, request):
        """How long nothing may come: a service thinks longer than a file server."""
        return self.settings.timeout_s if request.parameters is None else self.settings.search_s

    def _silent(self, request):
        return ArchiveError(f"{request.url}: nothing came for {self._silence_s(request):g} s; try again later.")

    def _unreachable(self, url, error):
        host = urlsplit(url).hostname
        return ArchiveUnreachable(f"{host} cannot be reached ({_cause(error)}); is this computer connected?")

    def _host(self, url):
        key = origin(url)
        with self._lock:
            return self._hosts.setdefault(key, Host(self.settings.at_once))


def _retry_after_s(text):
    """Seconds that a Retry-After line asks for, given as a number or as a date; None without a usable one."""
    text = (text or "").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _new_session(at_once):
    """A session that keeps connections open, but neither cookies nor passwords of the user."""
    session = requests.Session()
    session.headers["User-Agent"] = f"glue-spherex/{__version__}"
    session.trust_env = False  # it would be searched anew for each request, and passwords be looked up in ~/.netrc
    session.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=at_once, max_retries=0))
    return session


def _never_connected(error):
    """Whether a connection could not be made at all, rather than cut."""
    inner = error.args[0] if error.args else None
    return isinstance(error, requests.exceptions.ProxyError) or isinstance(
        getattr(inner, "reason", inner), NewConnectionError
    )


def _cause(error):
    """What lies at the bottom of an exception, in a few words."""
    while True:
        inner = getattr(error, "reason", None)
        inner = inner if isinstance(inner, BaseException) else next(iter(error.args), None)
        if not isinstance(inner, BaseException):
            return re.sub(r"^.*?\): ", "", " ".join(str(error).split()))[:200]
        error = inner
