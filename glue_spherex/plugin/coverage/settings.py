"""Where the picture of the sky and the coverage maps come from, and how politely they are asked for."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit

from ...images.archive.errors import ArchiveError
from ...images.archive.settings import default_settings_path, is_loopback, origin

_LEAST = {"connect_s": 0.01, "timeout_s": 0.01, "longest_s": 0.01, "max_bytes": 1, "most_pixels": 64}
_MAPS = ("survey_moc", "deep_moc")


@dataclass(frozen=True)
class SkySettings:
    """Addresses of a service with pictures of the sky and of coverage maps, and limits of asking them.

    Parameters
    ----------
    hips2fits : str
        A service that draws a part of a HiPS, as CDS's hips2fits does; '' to ask for no picture.
    hips : tuple of str
        Names of the HiPS that can be chosen; the first one is shown at the start.
    survey_moc, deep_moc : str
        File or address of the Multi-Order Coverage map of the survey, and of its deep fields; '' for none.
    connect_s, timeout_s, longest_s : float, s
        Longest time until a connection stands, until the answer begins or goes on, and for one request.
    max_bytes : int
        The largest answer that is accepted.
    most_pixels : int
        Pixels of the longer side of a picture; a larger window gets a coarser one.

    Raises
    ------
    ArchiveError
        For an address that is not https (http is permitted for this computer's own loopback address), and for a
        number out of range.
    """

    hips2fits: str = "https://alasky.cds.unistra.fr/hips-image-services/hips2fits"
    hips: tuple = ("CDS/P/2MASS/color", "CDS/P/allWISE/color", "CDS/P/DSS2/color")
    survey_moc: str = ""
    deep_moc: str = ""
    connect_s: float = 5.0
    timeout_s: float = 15.0
    longest_s: float = 60.0
    max_bytes: int = 16_000_000
    most_pixels: int = 1600
    #: of `ArchiveClient`: one picture at a time, tried twice
    at_once = 1
    attempts = 2
    backoff_s = 0.5
    longest_wait_s = 5.0
    patience_s = 0.0

    def __post_init__(self):
        if isinstance(self.hips, str) or not all(isinstance(name, str) and name for name in self.hips):
            raise ArchiveError(f"coverage settings: hips is {self.hips!r}; a list of names of HiPS is needed.")
        object.__setattr__(self, "hips", tuple(self.hips))
        for name in ("hips2fits", *_MAPS):
            if not isinstance(getattr(self, name), str):
                raise ArchiveError(f"coverage settings: {name} is {getattr(self, name)!r}; a text is needed.")
        for name in self.addresses:
            _check_address(name, getattr(self, name))
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
                raise ArchiveError(f"coverage settings: {name} is {value!r}; a number from {least} up is needed.")

    @property
    def search_s(self):
        """As `timeout_s`: a service is not given more time than a file server."""
        return self.timeout_s

    @property
    def addresses(self):
        """Names of the settings that hold an address on the network."""
        return [name for name in ("hips2fits", *_MAPS) if is_address(getattr(self, name)) or name == "hips2fits"]

    @property
    def origins(self):
        """(scheme, host, port) of all addresses: nothing else is ever asked."""
        return {origin(getattr(self, name)) for name in self.addresses if getattr(self, name)}

    @classmethod
    def load(cls, path=None):
        """The user's settings.

        Parameters
        ----------
        path : path-like, optional
            A TOML file with any of the settings; ``coverage.toml`` beside the settings of the archive if None, which
            need not exist.

        Returns
        -------
        SkySettings

        Raises
        ------
        ArchiveError
            If the file cannot be read, or holds something that is not a setting.
        """
        path = Path(path) if path is not None else default_settings_path().with_name("coverage.toml")
        try:
            with open(path, "rb") as file:
                values = tomllib.load(file)
        except FileNotFoundError:
            return cls()
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ArchiveError(f"coverage settings: {path} cannot be read ({error}); mend or delete it.") from error
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ArchiveError(f"coverage settings: {path} holds {unknown[0]!r}, which is none; allowed are {known}.")
        return cls(**values)


def is_address(text):
    """Whether a text is an address on the network rather than the path of a file."""
    return text.startswith(("https://", "http://"))


def _check_address(name, url):
    if not url:
        return
    scheme, host, _ = origin(url)
    if not host or not (scheme == "https" or (scheme == "http" and is_loopback(host))):
        raise ArchiveError(
            f"coverage settings: {name} is {url!r}; an address with https:// is needed (http:// only for this "
            "computer)."
        )
    if "@" in urlsplit(url).netloc:
        raise ArchiveError(f"coverage settings: {name} holds a user or password; public services need none.")
