"""Parts of the sky as Multi-Order Coverage maps (IVOA MOC), and the deep fields."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...extras import how_to_install
from ...images.archive.errors import ArchiveError
from .settings import is_address

_FINEST, _COARSEST = 15, 8  # orders of maps made here: cells of 0.1′ and 14′
_CELLS = 60  # across the smallest image
_FITS = b"SIMPLE  ="


@dataclass(frozen=True)
class DeepField:
    """Where SPHEREx comes back to in every orbit.

    Parameters
    ----------
    name : str
    ra, dec : float, deg
        Centre.
    radius_deg : float, deg
        Of a circle of 100 square degrees.
    """

    name: str
    ra: float
    dec: float
    radius_deg: float = float(np.sqrt(100 / np.pi))


#: Nominal: at the North ecliptic pole, and at ecliptic longitude 44.8°, latitude -82.0°, beside the Magellanic Clouds;
#: together about 200 square degrees (Bock et al. 2025, arXiv:2511.02985). Its own map of the archive is more exact.
DEEP_FIELDS = (DeepField("North deep field", 270.0, 66.561), DeepField("South deep field", 78.465, -60.406))


def read_map(place, client=None, cancelled=None):
    """Read a coverage map.

    Parameters
    ----------
    place : str
        Path of a FITS or JSON file, or an address.
    client : ArchiveClient, optional
        Needed for addresses; one with `SkySettings`.
    cancelled : callable, optional

    Returns
    -------
    mocpy.MOC

    Raises
    ------
    ArchiveError
        If there is no such map, or mocpy is not installed.
    """
    moc_class = _moc_class()
    if is_address(place):
        data = client.get(place, cancelled=cancelled)
    else:
        try:
            data = Path(place).expanduser().read_bytes()
        except OSError as error:
            raise ArchiveError(f"{place}: the coverage map cannot be read ({error.strerror or error}).") from error
    return _parsed(moc_class, data, place)


def _parsed(moc_class, data, place):
    import tempfile

    is_fits = data.startswith(_FITS)
    if not is_fits and not data.lstrip()[:1] == b"{":
        raise ArchiveError(f"{place}: this is no coverage map; a MOC as FITS or JSON is needed.")
    with tempfile.TemporaryDirectory() as folder:  # mocpy reads files only
        path = Path(folder) / "map"
        path.write_bytes(data)
        try:
            moc = moc_class.load(str(path), "fits" if is_fits else "json")
            moc.sky_fraction  # noqa: B018 - a map of times has none
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ArchiveError(f"{place}: the coverage map cannot be understood ({error}).") from error
    return moc


def map_of_footprints(corners):
    """The part of the sky that images cover.

    Parameters
    ----------
    corners : ndarray, shape (n, 4, 2), deg

    Returns
    -------
    mocpy.MOC
        In cells that are small beside the smallest image.

    Raises
    ------
    ArchiveError
        If there are no images, or mocpy is not installed.
    """
    moc_class = _moc_class()
    if not len(corners):
        raise ArchiveError("there are no images, so there is no map of what they cover.")
    side = np.abs(corners[:, 1, 1] - corners[:, 0, 1]) + np.abs(corners[:, 2, 1] - corners[:, 1, 1])
    order = int(np.clip(np.ceil(np.log2(58.6 * _CELLS / np.clip(side.min(), 1e-3, 10))), _COARSEST, _FINEST))
    flat = [np.ascontiguousarray(values) for image in corners for values in (image[:, 0], image[:, 1])]
    maps = moc_class.from_polygons(flat, max_depth=order)
    return maps[0].union(*maps[1:]) if len(maps) > 1 else maps[0]


def mask_of(moc, view, step_px=2):
    """Which parts of a view a map covers.

    Parameters
    ----------
    moc : mocpy.MOC
    view : SkyView
    step_px : int
        Pixels of the window for each of the mask.

    Returns
    -------
    ndarray of bool, shape (rows, columns)
        The first row is the lowest.
    """
    from astropy import units as u

    x, y = np.meshgrid(np.arange(0, view.nx, step_px), np.arange(0, view.ny, step_px))
    ra, dec = view.sky(x + (step_px - 1) / 2, y + (step_px - 1) / 2)
    covered, known = np.zeros(x.shape, bool), np.isfinite(ra)
    covered[known] = moc.contains_lonlat(ra[known] * u.deg, dec[known] * u.deg)
    return covered


def has_maps():
    """Whether mocpy is installed."""
    from importlib.util import find_spec

    return find_spec("mocpy") is not None


def _moc_class():
    try:
        from mocpy import MOC
    except ImportError as error:
        raise ArchiveError(
            f"coverage maps cannot be used without mocpy ({error}): {how_to_install('archive')}."
        ) from error
    return MOC
