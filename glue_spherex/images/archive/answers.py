"""What the archive answers to a search: images, each checked to be one; nothing in an answer is believed unseen."""

import json
import re
from typing import NamedTuple

import numpy as np

from glue_spherex.model.detectors import N_PIX

from ..exposures import exposure_id
from ..releases import COLLECTION_NAME, FILE_VERSION, release_age
from .answer_tables import read_votable

_OBSID = r"\d{4}W\d{2}_\d[A-Z]_\d{4}_\d"
_KEY = re.compile(
    rf"(?:^|/)((?P<folder>[a-z][a-z0-9_]{{0,30}})/level2/(?P<planning>\d{{4}}W\d{{2}}_\d[A-Z])/(?P<version>{FILE_VERSION})"
    rf"/(?P<detector>[1-6])/level2_(?P<obsid>{_OBSID})D(?P=detector)_spx_(?P=version)\.fits)"
)
_DID = re.compile(rf"ivo://irsa\.ipac/(?P<collection>spherex_\w{{1,30}})\?(?P<obsid>{_OBSID})/D(?P<detector>[1-6])")
_LONGEST_ADDRESS = 1000
_MJD_RANGE = 58849.0, 88069.0  # 2020 to 2100


class ArchiveImage(NamedTuple):
    """A Level-2 spectral image that the archive has.

    Parameters
    ----------
    obs_publisher_did : str
        IRSA's identifier.
    obsid : str
        As ``2025W51_1A_0684_2``.
    detector : int
    release : str
        As ``qr2``.
    deep : bool
        Whether it is in the collection of the deep fields.
    mjd_begin, mjd_end : float, d
        Begin and end of the exposure, UTC.
    access_url : str
        Address on IRSA's file server.
    cloud : str
        Key in the public bucket; the path on the file server is the same.
    size_bytes : int
        Estimate of the archive; 0 where it gives none.
    corners : bytes
        Right ascension and declination of the outer corners, deg, as float64 of shape (4, 2).
    file_version : str
        As ``l2b-v21-2025-354``.
    """

    obs_publisher_did: str
    obsid: str
    detector: int
    release: str
    deep: bool
    mjd_begin: float
    mjd_end: float
    access_url: str
    cloud: str
    size_bytes: int
    corners: bytes
    file_version: str

    @property
    def collection(self):
        """IRSA's collection, as ``spherex_qr2_deep``."""
        return f"spherex_{self.release}{'_deep' if self.deep else ''}"

    @property
    def exposure_id(self):
        """15 digits; IRSA's ``lvf_id``."""
        return exposure_id(self.obsid, self.detector)

    @property
    def exposure(self):
        """What is the same in all releases: (obsid, detector)."""
        return self.obsid, self.detector

    @property
    def age(self):
        """Increases from an older to a newer processing of the same exposure."""
        version, year, day = (int(number) for number in re.findall(r"\d+", self.file_version)[1:])
        return release_age(self.release), version, year, day, "retry" in self.file_version, self.deep

    @property
    def mjd(self):
        """Middle of the exposure, d."""
        return (self.mjd_begin + self.mjd_end) / 2

    @property
    def footprint(self):
        """Right ascension and declination of the outer corners, shape (4, 2), deg."""
        return np.frombuffer(self.corners).reshape(4, 2)

    @property
    def nx(self):
        """Pixels along a row of the whole image."""
        return N_PIX

    ny = nx

    def as_values(self):
        """JSON-like values, from which `from_values` makes it again."""
        place = self._fields.index("corners")
        return [*self[:place], self.corners.hex(), *self[place + 1 :]]

    @classmethod
    def from_values(cls, values):
        """The image of `as_values`; a ValueError or TypeError for others."""
        place = cls._fields.index("corners")
        return cls(*values[:place], bytes.fromhex(values[place]), *values[place + 1 :])


def images_of(table, ibe, collections=None):
    """The images of an answer.

    Parameters
    ----------
    table : AnswerTable
    ibe : str
        Address of the file server: what an answer says about hosts is not followed.
    collections : container of str, optional
        Others are left out.

    Returns
    -------
    images : list of ArchiveImage
    rejected : list of (int, str)
        Number of each row, from 1, that is no usable image, and why.
    """
    images, rejected = [], []
    names = list(table.columns)
    for number, values in enumerate(zip(*table.columns.values()), 1):
        row = dict(zip(names, values))
        if collections is not None and row["obs_collection"] not in collections:
            continue
        try:
            images.append(_image(row, ibe))
        except ValueError as error:
            rejected.append((number, str(error)))
    return images, rejected


def _image(row, ibe):
    """An image from a row; ValueError with the reason where the row contradicts itself or is absurd."""
    kind = COLLECTION_NAME.fullmatch(row["obs_collection"])
    if not kind:
        raise ValueError(f"its collection is {row['obs_collection'][:60]!r}")
    key = _key(row["access_url"])
    if key["folder"] not in (kind[1], f"{kind[1]}_deep"):
        raise ValueError(
            f"its collection is {kind.group()!r}, but its address {key.group(1)!r} is of {key['folder']!r}"
        )
    cloud = _cloud_key(row.get("cloud_access", ""))
    if cloud and _key(cloud).group(1) != key.group(1):
        raise ValueError(f"its address and its place in the cloud differ: {row['access_url'][:200]!r}, {cloud[:200]!r}")
    did = row.get("obs_publisher_did") or f"ivo://irsa.ipac/{kind.group()}?{key['obsid']}/D{key['detector']}"
    told = _DID.fullmatch(did)
    if not told or (told["obsid"], told["detector"]) != (key["obsid"], key["detector"]):
        raise ValueError(f"its identifier {did[:200]!r} does not fit to its address {row['access_url'][:200]!r}")
    begin, end = _time(row["t_min"]), _time(row["t_max"])
    if end < begin:
        raise ValueError(f"it ends, at {end}, before it begins, at {begin}")
    return ArchiveImage(
        did, key["obsid"], int(key["detector"]), kind[1], bool(kind[2]), begin, end, ibe + key.group(1), key.group(1),
        _size_bytes(row.get("access_estsize", "")), _corners(row["s_region"]), key["version"],
    )  # fmt: skip


def _key(address):
    """The path of a Level-2 file at the end of an address: exactly as such paths are, or ValueError."""
    found = _KEY.search(address) if len(address) <= _LONGEST_ADDRESS else None
    if not found or found.end() != len(address):
        raise ValueError(f"its address {address[:200]!r} ({len(address)} characters) is not that of a Level-2 file")
    if not found["obsid"].startswith(found["planning"]):
        raise ValueError(f"its address {address[:200]!r} names two planning periods")
    return found


def _cloud_key(text):
    """Key in the bucket from the JSON of ``cloud_access``; '' without."""
    if not text.strip():
        return ""
    try:
        key = json.loads(text)["aws"]["key"]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise ValueError(f"cloud_access is {text[:100]!r}") from error
    return str(key)


def _time(text):
    low, high = _MJD_RANGE
    number = _number(text)
    if not low <= number <= high:
        raise ValueError(f"its time is {text[:40]!r}; an MJD is needed")
    return number


def _number(text):
    try:
        return float(text)
    except ValueError:
        return np.nan


def _size_bytes(text):
    size = _number(text) * 1000  # the archive counts in kB
    return int(size) if 0 <= size < 1e12 else 0


def _corners(region):
    """The four corners of a polygon as bytes."""
    words = region.split()[:20]
    if not words or words[0].upper() != "POLYGON":
        raise ValueError(f"its region is {region[:60]!r}; a polygon is needed")
    numbers = words[2:] if words[1:] and words[1].upper() in ("ICRS", "J2000", "FK5") else words[1:]
    corners = np.array([_number(word) for word in numbers])
    if len(corners) == 10 and np.allclose(corners[:2], corners[8:], rtol=0, atol=1e-6):  # the first one again
        corners = corners[:8]
    if len(corners) != 8 or not np.isfinite(corners).all() or np.abs(corners[1::2]).max() > 90:
        raise ValueError(f"its region is {region[:60]!r}; a polygon of four corners is needed")
    corners[::2] %= 360
    return corners.tobytes()


def listed_collections(data, where):
    """Collections of SPHEREx's Level-2 images that the description of the search service lists.

    Parameters
    ----------
    data : bytes
        The service's answer without rows.
    where : str

    Returns
    -------
    list of str
    """
    options = set()
    for resource in _resources(read_votable(data, where).resources):
        groups = [param for group in resource.groups for param in group.entries]
        for param in [*resource.params, *groups]:
            if getattr(param, "name", "").upper().rpartition(":")[2] == "COLLECTION" and param.values is not None:
                options |= {str(value) for _, value in param.values.options}
    return sorted(name for name in options if COLLECTION_NAME.fullmatch(name))


def _resources(resources):
    for resource in resources:
        yield resource
        yield from _resources(resource.resources)
