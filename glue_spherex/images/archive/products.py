"""The calibration products of a detector and release: fetched once, kept for good.

The solid angles and wavelengths of the pixels (50 MB per detector) are needed for every flux; the PSFs only for images
that have none of their own. The newest version that the archive lists is taken.
"""

import hashlib
import json
import re
import threading
import time
from urllib.parse import urlsplit

from ..calibration import CalibrationFolder, CalibrationPSF, kind_of, open_planes
from ..errors import ImageFileError
from .errors import ArchiveError, ArchiveUnreachable, NothingThere
from .eviction import check_sums
from .ranges import RemoteFile

#: Folders of the archive, by kind.
FAMILIES = {
    "solid_angle": "solid_angle_pixel_map",
    "spectral_wcs": "spectral_wcs",
    "flux_correction": "l3_flux_corrections",
    "average_psf": "average_psf",
    "epsf": "epsf",
}
#: What fluxes need, and what they are better with (it puts images of QR2 on the gain of QR3).
NEEDED, USEFUL = ("solid_angle", "spectral_wcs"), ("flux_correction",)
_TOKEN = re.compile(r"cal-[a-z0-9]{1,12}-v(\d{1,4})-(\d{4})-(\d{3})")
_PIECE = 8 << 20  # a broken transfer repeats no more than this
_LARGEST = 400_000_000
_MD5 = re.compile(r'"([0-9a-f]{32})"')
_BELIEVED_S = 7 * 86400
_LOCKS, _LOCK = {}, threading.Lock()


def has_products(detector, release, store):
    """Whether the products that fluxes need are in a store."""
    return all(_find(kind, detector, release, store) for kind in NEEDED)


def _find(kind, detector, release, store):
    """The file of a product in a store; None if it is not there."""
    folder = store.calibration(release)
    try:
        return CalibrationFolder(folder).find(kind, detector, release)
    except ImageFileError:  # no folder, or nothing in it
        return None


def products(detector, release, store, client, cancelled=None, refresh=False):
    """The calibration products of a detector, fetched if the store does not have them.

    Parameters
    ----------
    detector : int
    release : str
        As ``qr2``.
    store : CutoutStore
    client : ArchiveClient or None
        None to look into the store only.
    cancelled : callable, optional
        When it says yes, `ArchiveStopped` is raised.
    refresh : bool
        Whether the archive is asked for newer versions.

    Returns
    -------
    Path
        The folder, for `CalibrationFolder`.

    Raises
    ------
    ArchiveError
        If a product that is needed cannot be had.
    """
    with _one_at_a_time(store, detector, release):
        if refresh or not has_products(detector, release, store):
            _fetch_kinds(NEEDED, detector, release, store, client, cancelled)
        if release == "qr2" and (refresh or not _has_useful(detector, release, store)):
            try:
                _fetch_useful(detector, release, store, client, cancelled)
            except ArchiveUnreachable:
                if not _has_useful(detector, release, store, any_age=True):
                    raise
    return store.calibration(release)


def _none(kind, detector, release, store):
    """A file that says that the archive was asked for a product and has none."""
    return store.calibration(release) / f".no_{kind}_D{detector}"


def _has_useful(detector, release, store, any_age=False):
    """Whether it is known which of the useful products there are; that there is none is believed for a while."""
    return all(
        _find(kind, detector, release, store) or _is_none(kind, detector, release, store, any_age) for kind in USEFUL
    )


def _is_none(kind, detector, release, store, any_age):
    try:
        age_s = time.time() - _none(kind, detector, release, store).stat().st_mtime
    except OSError:
        return False
    return any_age or age_s < _BELIEVED_S


def _fetch_useful(detector, release, store, client, cancelled):
    """Fetch what is useful. Where the archive has none, fluxes stay on the gain of their release.

    The products that bring QR2 to the gain of QR3 may lie in the folder of either.
    """
    for kind in USEFUL:
        for place in (release, "qr3"):
            try:
                _fetch_kinds((kind,), detector, release, store, client, cancelled, place)
                break
            except NothingThere:
                continue
        else:
            store.write(_none(kind, detector, release, store), b"The archive was asked for it, and has none.\n")


def psf_products(detector, release, store, client, cancelled=None):
    """As `products`: the PSFs for images that have none of their own."""
    with _one_at_a_time(store, detector, release):
        if not has_psf_products(detector, release, store):
            kinds = ("average_psf", "epsf") if release == "qr2" else ("epsf",)
            for kind in kinds:
                try:
                    _fetch_kinds((kind,), detector, release, store, client, cancelled)
                    break
                except NothingThere:  # but not because of the network: the other ones give slightly other fluxes
                    if kind == kinds[-1]:
                        raise
    return store.calibration(release)


def has_psf_products(detector, release, store):
    """Whether the PSFs for images that have none of their own are in a store."""
    folder = store.calibration(release)
    try:
        return CalibrationFolder(folder).psf_planes(detector, release) is not None
    except ImageFileError:  # no folder, or nothing in it
        return False


def _one_at_a_time(store, detector, release):
    with _LOCK:
        return _LOCKS.setdefault((str(store.folder), detector, release), threading.Lock())


def _fetch_kinds(kinds, detector, release, store, client, cancelled, place=None):
    """Fetch products into the folder of a release; from that of another one, if `place` names it."""
    for kind in kinds:
        if client is None:
            raise ArchiveError(
                f"{kind} of detector {detector} of {release}: is not in {store.folder}, and the archive is not asked."
            )
        key, name = _newest(kind, detector, place or release, client, cancelled)
        path = store.calibration(release) / name
        if path.exists():
            continue
        remote = RemoteFile(client, client.settings.ibe + key, cancelled, most=_LARGEST)
        content = _whole(remote)
        _check_digest(content, remote)
        store.write(path, content, lambda written, kind=kind: _check_product(written, kind))


def _newest(kind, detector, release, client, cancelled):
    """Key and file name of the newest version of a product."""
    family = f"{release}/{FAMILIES[kind]}"
    versions = {}
    for name in _listing(family, client, cancelled):
        token = _TOKEN.fullmatch(name)
        if token:
            versions[tuple(int(number) for number in (token.group(2), token.group(3), token.group(1)))] = name
    for order in sorted(versions, reverse=True):
        folder = f"{family}/{versions[order]}/{detector}"
        form = re.compile(rf"[A-Za-z0-9_]{{1,60}}_D{detector}_spx_{re.escape(versions[order])}\.fits")
        for name in _listing(folder, client, cancelled):
            if form.fullmatch(name) and kind_of(name) == kind:
                return f"{folder}/{name}", name
    raise NothingThere(f"{family}: the archive lists no product of detector {detector}.")


def _listing(folder, client, cancelled):
    """Names in a folder of the archive."""
    parts = urlsplit(client.settings.ibe)
    path = parts.path.replace("/ibe/data/", "/ibe/dir/list/", 1)
    url = parts._replace(path=path).geturl() + folder
    names = []
    for line in client.get(url, max_bytes=10_000_000, cancelled=cancelled).splitlines():
        try:
            name = json.loads(line)["name"]
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
        if isinstance(name, str):
            names.append(name.rstrip("/"))
    return names


def _whole(remote):
    remote.need([(0, _PIECE)])
    if remote.size > _LARGEST:
        raise ArchiveError(f"{remote.url}: has {remote.size} bytes; at most {_LARGEST} are accepted.")
    for start in range(_PIECE, remote.size, _PIECE):
        remote.need([(start, start + _PIECE)])
    return remote.read(0, remote.size)


def _check_digest(content, remote):
    """Compare with the MD5 sum, where the server's name for the content is one."""
    said = _MD5.fullmatch(remote.version)
    if said and hashlib.md5(content, usedforsecurity=False).hexdigest() != said.group(1):
        raise ArchiveError(f"{remote.url}: the content does not have the MD5 sum that the server says; fetch it again.")


def _check_product(path, kind):
    """Make sure that a product can be used."""
    try:
        check_sums(path)
        if kind in ("average_psf", "epsf"):
            CalibrationPSF(path).planes()
        else:
            open_planes.__wrapped__(path, kind, None)
    except ImageFileError as error:
        raise ArchiveError(f"{error} It cannot serve as {FAMILIES[kind]}.") from error
