"""Positions of objects by their names."""

from ...io import TargetListError, Targets
from ...model import Source

#: Seconds to wait for each server that knows names.
TIMEOUT_SECONDS = 10.0


def targets_of_name(name):
    """The position of an object, from the Sesame service (SIMBAD, NED, VizieR).

    Waits for the answer: up to `TIMEOUT_SECONDS` for each server.

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
        If there is no name, nobody knows it, or there is no network.
    """
    from http.client import HTTPException

    import numpy as np
    from astropy.coordinates import name_resolve
    from astropy.table import QTable
    from astropy.utils.data import conf

    name = " ".join("".join(letter if letter.isprintable() else " " for letter in str(name)).split())
    if not name:
        raise TargetListError("the name of the object is empty; type one, such as NGC 1275, or coordinates.")
    try:
        with conf.set_temp("remote_timeout", TIMEOUT_SECONDS):
            place = name_resolve.get_icrs_coordinates(name)
    except (name_resolve.NameResolveError, HTTPException, OSError, ValueError) as error:
        raise TargetListError(_sentence(name, error)) from error
    source = Source(place.ra.deg, place.dec.deg, label=name)
    table = QTable({"ra": [source.ra], "dec": [source.dec], "name": [name]})
    return Targets([source], np.array([0]), [], table, {"ra": "ra", "dec": "dec", "name": "name"})


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
