"""Positions of objects by their names."""

from urllib.parse import urlsplit

from ...images.archive.settings import is_loopback
from ...io import TargetListError, Targets
from ...model import Source

#: Seconds to wait for each server that knows names.
TIMEOUT_SECONDS = 10.0


def targets_of_name(name):
    """The position of an object, from the Sesame service (SIMBAD, NED, VizieR).

    Waits for the answer: up to `TIMEOUT_SECONDS` for each server. Of astropy's list of servers
    (`astropy.coordinates.name_resolve.sesame_url`) those with https are asked, so that the answer is theirs.

    Parameters
    ----------
    name : str
        Such as ``"NGC 1275"``.

    Returns
    -------
    Targets
        A single one.

    Raises
    ------
    TargetListError
        If there is no name, nobody knows it, no server of the list has https, or there is no network.
    """
    from http.client import HTTPException

    import numpy as np
    from astropy.coordinates import name_resolve
    from astropy.table import QTable
    from astropy.utils.data import conf

    name = " ".join("".join(letter if letter.isprintable() else " " for letter in str(name)).split())
    if not name:
        raise TargetListError("the name of the object is empty; type one, such as NGC 1275, or coordinates.")
    servers = [url for url in name_resolve.sesame_url.get() if _is_secure(url)]
    if not servers:
        raise TargetListError(
            "names cannot be looked up: none of the name servers that astropy is set to (sesame_url) has an address "
            "with https://; add one, or type coordinates."
        )
    try:
        with conf.set_temp("remote_timeout", TIMEOUT_SECONDS), name_resolve.sesame_url.set(servers):
            place = name_resolve.get_icrs_coordinates(name)
    except (name_resolve.NameResolveError, HTTPException, OSError, ValueError) as error:
        raise TargetListError(_sentence(name, error)) from error
    source = Source(place.ra.deg, place.dec.deg, label=name)
    table = QTable({"ra": [source.ra], "dec": [source.dec], "name": [name]})
    return Targets([source], np.array([0]), [], table, {"ra": "ra", "dec": "dec", "name": "name"})


def _is_secure(url):
    """Whether nobody in between can change the answers of an address; this computer may be asked without https."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def _sentence(name, error):
    """Why a name could not be turned into a position, and what to do."""
    shown = name if len(name) <= 60 else f"{name[:59]}…"
    said = " ".join(str(error).split())
    if said.startswith("Unable to find coordinates"):
        return (
            f"no object is known as {shown!r} (SIMBAD, NED and VizieR were asked); check the name, or type coordinates."
        )
    why = said.partition("See errors per URL below:")[2].strip() or said or type(error).__name__
    return (
        f"the position of {shown!r} cannot be looked up: the name service does not answer ({why[:300]}). Check the "
        "network connection, or type coordinates."
    )
