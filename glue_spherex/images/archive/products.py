"""The calibration products of a detector and release: fetched once, kept for good.

The solid angles and wavelengths of the pixels (50 MB per detector) are needed for every flux; the PSFs only for images
that have none of their own. The newest version that the archive lists is taken, from the file server or the bucket.
"""

import fcntl
import hashlib
import json
import os
import re
import time
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

from ..calibration import CalibrationFolder, CalibrationPSF, kind_of, open_planes
from ..errors import ImageFileError
from .errors import ArchiveError, ArchiveStopped, ArchiveUnreachable, NothingThere, RangeRefused, RangesIgnored
from .fits_cards import check_sums
from .habits import habit_of
from .hosts import pause
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
_KEY = re.compile(r"<Key>([A-Za-z0-9_./-]{1,300})</Key>")
_MD5 = re.compile(r'"([0-9a-f]{32})"')
_BELIEVED_S = 7 * 86400
_LOOK_AGAIN_S = 0.1  # between two looks whether another process has ended


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
    here = has_products(detector, release, store) and (release != "qr2" or _has_useful(detector, release, store))
    if here and not refresh:
        return store.calibration(release)
    with _one_at_a_time(store, detector, release, client, cancelled):
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
    if has_psf_products(detector, release, store):
        return store.calibration(release)
    with _one_at_a_time(store, detector, release, client, cancelled):
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


@contextmanager
def _one_at_a_time(store, detector, release, client, cancelled):
    """Only one thread of one process fetches the products of a detector and release; the others wait for it."""
    if client is None:  # nothing is fetched
        yield
        return
    path = store.current / f"products_{release}_D{detector}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be written ({error.strerror}); check the folder's permissions.") from error
    try:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                pause(_LOOK_AGAIN_S, cancelled or (lambda: False))
        yield
    finally:
        os.close(file)


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
        _fetch_product(key, path, kind, store, client, cancelled)


def _fetch_product(key, path, kind, store, client, cancelled):
    """Fetch a product from the first address that gives one that can be used."""
    reasons = []
    for url in (client.settings.ibe + key, client.settings.s3 + key):
        try:
            content, version = _content(url, client, cancelled)
            _check_digest(content, version, url)
            store.write(path, content, lambda written: _check_product(written, kind))
            return
        except ArchiveStopped:
            raise
        except ArchiveError as error:
            reasons.append(error)
    raise reasons[0]


def _newest(kind, detector, release, client, cancelled):
    """Key and file name of the newest version of a product, as the file server lists them, else the bucket."""
    family = f"{release}/{FAMILIES[kind]}"
    try:
        return _newest_on_server(family, kind, detector, client, cancelled)
    except (NothingThere, ArchiveStopped):
        raise
    except ArchiveError as error:
        try:
            return _newest_in_bucket(family, kind, detector, client, cancelled)
        except ArchiveStopped:
            raise
        except ArchiveError:  # what the bucket does not list may be there all the same
            raise error from None


def _newest_on_server(family, kind, detector, client, cancelled):
    names = _listing(family, client, cancelled)
    for token in sorted((name for name in names if _TOKEN.fullmatch(name)), key=_order, reverse=True):
        folder = f"{family}/{token}/{detector}"
        for name in _listing(folder, client, cancelled):
            if _is_product(name, token, kind, detector):
                return f"{folder}/{name}", name
    raise NothingThere(f"{family}: the archive lists no product of detector {detector}.")


def _newest_in_bucket(family, kind, detector, client, cancelled):
    url = f"{client.settings.s3}?list-type=2&prefix={quote(family + '/')}"
    found = []
    for key in _KEY.findall(client.get(url, max_bytes=10_000_000, cancelled=cancelled).decode("ascii", "replace")):
        token, _, name = key.removeprefix(f"{family}/").partition(f"/{detector}/")
        named = _TOKEN.fullmatch(token) and _is_product(name, token, kind, detector)
        if named and key == f"{family}/{token}/{detector}/{name}":
            found.append((_order(token), key, name))
    if not found:
        raise NothingThere(f"{family}: the bucket lists no product of detector {detector}.")
    return max(found)[1:]


def _order(token):
    """Increases from older to newer versions."""
    version, year, day = _TOKEN.fullmatch(token).groups()
    return int(year), int(day), int(version)


def _is_product(name, token, kind, detector):
    """Whether a file in the folder of a version is the product of a kind."""
    form = rf"[A-Za-z0-9_]{{1,60}}_D{detector}_spx_{re.escape(token)}\.fits"
    return bool(re.fullmatch(form, name)) and kind_of(name) == kind


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


def _content(url, client, cancelled):
    """Content of a file and what the server calls it; in pieces, where it gives them."""
    if not habit_of(client, url).sends_whole_files:
        remote = RemoteFile(client, url, cancelled, most=_LARGEST)
        try:
            return _in_pieces(remote), remote.version
        except RangesIgnored:
            habit_of(client, url).sent_whole_file()
        except RangeRefused:
            pass
    received = client.receive(url, max_bytes=_LARGEST, cancelled=cancelled)
    return received.data, received.version


def _in_pieces(remote):
    remote.need([(0, _PIECE)])
    if remote.size > _LARGEST:
        raise ArchiveError(f"{remote.url}: has {remote.size} bytes; at most {_LARGEST} are accepted.")
    for start in range(_PIECE, remote.size, _PIECE):
        remote.need([(start, start + _PIECE)])
    return remote.read(0, remote.size)


def _check_digest(content, version, url):
    """Compare with the MD5 sum, where the server's name for the content is one."""
    said = _MD5.fullmatch(version)
    if said and hashlib.md5(content, usedforsecurity=False).hexdigest() != said.group(1):
        raise ArchiveError(f"{url}: the content does not have the MD5 sum that the server says; fetch it again.")


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
