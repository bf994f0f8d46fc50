"""Where the archive is, and how politely it is asked."""

import ipaddress
import os
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from urllib.parse import urlsplit

from .errors import ArchiveError

#: Base address of another server with the paths of IRSA, for example a mirror.
ENVIRONMENT = "GLUE_SPHEREX_ARCHIVE"
_PATHS = {
    "sia": "/SIA", "tap": "/TAP", "ibe": "/ibe/data/spherex/", "s3": "/nasa-irsa-spherex/",
    "uws": "/api/spherex/spectrophotometry/async",
}  # fmt: skip
_LEAST = {
    "at_once": 1, "attempts": 1, "connect_s": 0.01, "timeout_s": 0.01, "search_s": 0.01, "longest_s": 0.01,
    "backoff_s": 0.0, "longest_wait_s": 0.0, "patience_s": 0.0, "max_bytes": 1, "max_rows": 1, "answer_days": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class ArchiveSettings:
    """Addresses of the archive's services, and limits of asking them.

    Parameters
    ----------
    sia, tap : str
        The services that find images: Simple Image Access 2, and Table Access.
    ibe, s3 : str
        Where the files are, below which the same paths hold: IRSA's file server (with its cutouts) and the public
        bucket.
    uws : str
        The jobs of IRSA's Spectrophotometry Tool.
    collections : tuple of str
        Which are searched, beside newer ones that the service lists.
    at_once : int
        Most requests to one host at the same time.
    connect_s, timeout_s, search_s, longest_s : float, s
        Longest time until a connection stands, without a byte arriving of a file, until a search is answered, and
        for one request.
    attempts : int
        How often a request is made until it is given up. Waits that the archive asks for do not count, as long as they
        are together not longer than so many of the longest.
    backoff_s, longest_wait_s : float, s
        Wait before the second attempt, which doubles with each further one; and the longest wait, also where the
        archive asks for it.
    patience_s : float, s
        How long a host that cannot be reached is tried again and again; afterwards each request is made once, until
        one succeeds.
    max_bytes : int
        The largest answer that is accepted.
    max_rows : int
        Most rows of an answer to a search.
    answer_days : float, d
        Age from which the answer to a search is asked for anew.

    Raises
    ------
    ArchiveError
        For an address that is not https (http is permitted for this computer's own loopback address) or that holds a
        user or password, and for a number out of range.
    """

    sia: str = "https://irsa.ipac.caltech.edu/SIA"
    tap: str = "https://irsa.ipac.caltech.edu/TAP"
    ibe: str = "https://irsa.ipac.caltech.edu/ibe/data/spherex/"
    s3: str = "https://nasa-irsa-spherex.s3.us-east-1.amazonaws.com/"
    uws: str = "https://irsa.ipac.caltech.edu/api/spherex/spectrophotometry/async"
    collections: tuple = ("spherex_qr2", "spherex_qr2_deep", "spherex_qr3", "spherex_qr3_deep")
    at_once: int = 8
    connect_s: float = 10.0
    timeout_s: float = 60.0
    search_s: float = 300.0
    longest_s: float = 900.0
    attempts: int = 5
    backoff_s: float = 1.0
    longest_wait_s: float = 120.0
    patience_s: float = 20.0
    max_bytes: int = 200_000_000
    max_rows: int = 200_000
    answer_days: float = 7.0

    def __post_init__(self):
        for name in _PATHS:
            _check_address(name, getattr(self, name))
            if name in ("ibe", "s3") and not getattr(self, name).endswith("/"):
                object.__setattr__(self, name, getattr(self, name) + "/")
        if isinstance(self.collections, str) or not all(isinstance(name, str) for name in self.collections):
            raise ArchiveError(f"archive settings: collections is {self.collections!r}; a list of names is needed.")
        object.__setattr__(self, "collections", tuple(self.collections))
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
                raise ArchiveError(f"archive settings: {name} is {value!r}; a number from {least} up is needed.")

    @property
    def origins(self):
        """(scheme, host, port) of all addresses: nothing else is ever asked."""
        return {origin(getattr(self, name)) for name in _PATHS}

    @classmethod
    def at(cls, base, **values):
        """The settings for a server that has all services below one address.

        Parameters
        ----------
        base : str
            For example ``http://127.0.0.1:8642``.
        **values
            Other settings.

        Returns
        -------
        ArchiveSettings
        """
        return cls(**{name: base.rstrip("/") + path for name, path in _PATHS.items()} | values)

    @classmethod
    def load(cls, path=None):
        """The user's settings.

        Parameters
        ----------
        path : path-like, optional
            A TOML file with any of the settings; `default_settings_path`, which need not exist, if None.

        Returns
        -------
        ArchiveSettings
            With the addresses below the one in the environment variable ``GLUE_SPHEREX_ARCHIVE``, if it is set.

        Raises
        ------
        ArchiveError
            If the file cannot be read, or holds something that is not a setting.
        """
        values = _read(Path(path)) if path is not None else _read(default_settings_path(), needed=False)
        settings = cls(**values)
        base = os.environ.get(ENVIRONMENT, "").strip()
        if not base:
            return settings
        return replace(settings, **{name: base.rstrip("/") + path for name, path in _PATHS.items()})


def default_settings_path():
    """Where the settings lie: ``$GLUE_SPHEREX_HOME/archive.toml``, or in the user's configuration folder."""
    home = os.environ.get("GLUE_SPHEREX_HOME")
    if not home:
        from platformdirs import user_config_dir

        home = user_config_dir("glue-spherex")
    return Path(home) / "archive.toml"


def _read(path, needed=True):
    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except FileNotFoundError:
        if needed:
            raise ArchiveError(f"archive settings: there is no file {path}.") from None
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArchiveError(f"archive settings: {path} cannot be read ({error}); mend or delete it.") from error
    known = [field.name for field in fields(ArchiveSettings)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ArchiveError(f"archive settings: {path} holds {unknown[0]!r}, which is none; allowed are {known}.")
    return values


def origin(url):
    """(scheme, host, port) of an address; a sentence for one that cannot be understood."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except (ValueError, TypeError, AttributeError) as error:
        raise ArchiveError(f"archive: {str(url)[:200]!r} is not an address ({error}).") from error
    return parts.scheme, (parts.hostname or "").lower(), port


def is_loopback(host):
    """Whether a host is this computer's own loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_address(name, url):
    if not isinstance(url, str):
        raise ArchiveError(f"archive settings: {name} is {url!r}; an address is needed.")
    scheme, host, _ = origin(url)
    if not host or not (scheme == "https" or (scheme == "http" and is_loopback(host))):
        raise ArchiveError(
            f"archive settings: {name} is {url!r}; an address with https:// is needed (http:// only for this computer)."
        )
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ArchiveError(f"archive settings: {name} holds a user or password; the archive is public and needs none.")
    if parts.query or parts.fragment:
        raise ArchiveError(f"archive settings: {name} is {url!r}; an address without ? and # is needed.")
