"""From an image of the archive and positions on the sky to a small file on disk, in as few round trips as possible."""

import os
import tempfile
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

from glue_spherex.model import sky_positions
from glue_spherex.model.detectors import PIXEL_SCALE_ARCSEC

from ..astrometry import Astrometry, pack_wcs
from ..errors import ImageFileError
from ..fits_file import open_file, scan_hdus
from ..pixels import PixelPlane
from ..psf_zones import read_zones
from ..record import PLANES, detector_origin, read_record
from .boxes import FULL_FRAME, REACH_PX, PixelBox, target_boxes
from .cutout_files import PSFSource, cut, pixel_spans, tile_spans
from .errors import ArchiveError, ArchiveStopped, FileChanged, RangeRefused
from .layouts import Layout, begin, locate_hdus, psf_hdu, read_layout
from .products import psf_products
from .psf_library import probe_spans, psf_key, psf_source
from .ranges import RemoteFile

#: A guess of where a target is may be wrong by this much without costing a further round trip.
_GUESS_MARGIN_PX = 1
_SERVICE_BYTES = 80_000_000
_SERVICE_MARGIN_PX = 12
_FIRST, _FIRST_LOCK = {}, threading.Lock()


@dataclass(frozen=True)
class FetchedCutout:
    """A cutout that is on disk now.

    Attributes
    ----------
    path : Path
    box : PixelBox
        What was asked for; the file may hold more.
    targets : ndarray of int
        Places in the list of sources of the targets that it was asked for.
    """

    path: Path
    box: PixelBox
    targets: np.ndarray


def fetch_cutout(image, box, store, client, cancelled=None):
    """Fetch a box of an image, unless the store has it.

    Parameters
    ----------
    image : ArchiveImage
    box : PixelBox
        Detector pixels.
    store : CutoutStore
    client : ArchiveClient or None
        None to look into the store only.
    cancelled : callable, optional
        When it says yes, `ArchiveStopped` is raised.

    Returns
    -------
    Path

    Raises
    ------
    ArchiveError
        If it cannot be had; nothing of it is kept.
    ImageFileError
        If the archive's file cannot be used.
    """
    found = store.find(image, box)
    if found is None:
        found = _fetch(image, _Boxes([box]), store, client, cancelled)[0].path
    return found


def fetch_cutouts(image, sources, store, client, reach=REACH_PX, cancelled=None, read=read_record):
    """Fetch the surroundings of all sources on an image, as far as the store does not have them.

    Parameters
    ----------
    image : ArchiveImage
    sources : sequence of Source
    store, client, cancelled
        As in `fetch_cutout`.
    reach : int or array_like of int, shape (n,), px
        From the pixel of a source to the edge of its box; see `glue_spherex.images.archive.boxes.reach_px`.
    read : callable, optional
        Gives the `ImageRecord` of a path; an index is faster than `read_record`.

    Returns
    -------
    list of FetchedCutout
        One for each group of sources whose boxes overlap; empty if none is on the image.

    Raises
    ------
    ArchiveError, ImageFileError
        As in `fetch_cutout`.
    """
    ra, dec = sky_positions(sources, image.mjd)
    wanted = _Targets(np.asarray(ra), np.asarray(dec), np.broadcast_to(reach, len(ra)))
    found = _in_store(image, wanted, store, read)
    return _fetch(image, wanted, store, client, cancelled) if found is None else found


def fetch_all(requests, store, client, at_once=None, progress=None, cancelled=None, read=read_record, prepare=None):
    """Fetch cutouts of many images, several at once.

    Parameters
    ----------
    requests : sequence of (ArchiveImage, sequence of Source, reach)
        As `fetch_cutouts` takes them.
    store, client, cancelled
        As in `fetch_cutout`. When it is cancelled, what is under way is given up.
    at_once : int, optional
        Images that are worked on at the same time; twice what the archive is asked at once by default, so that no
        connection waits for this computer.
    progress : callable, optional
        ``progress(done, total)``.
    read : callable, optional
        As in `fetch_cutouts`.
    prepare : callable, optional
        ``prepare(image)`` is called before an image is fetched; what it raises is the reason why there is none.

    Yields
    ------
    number : int or None
        Place in `requests`; in the order in which they are ready. None when nothing is ready for a while, so that
        whoever has other work can do it.
    cutouts : list of FetchedCutout
    reason : str
        Why there are none; '' if all went well.
    """
    requests = list(requests)
    at_once = at_once or 2 * (client.settings.at_once if client is not None else 1)
    stop = cancelled or (lambda: False)
    numbers, waiting, done = iter(range(len(requests))), {}, 0

    def fetch(image, sources, reach):
        if prepare is not None:
            prepare(image)
        return fetch_cutouts(image, sources, store, client, reach, cancelled, read)

    with ThreadPoolExecutor(at_once, thread_name_prefix="fetch") as pool:
        while True:
            while len(waiting) < 2 * at_once and not stop() and (number := next(numbers, None)) is not None:
                image, sources, reach = requests[number]
                waiting[pool.submit(fetch, image, sources, reach)] = number
            if not waiting:
                return
            ready, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            if not ready:
                yield None, [], ""
            for future in ready:
                number, done = waiting.pop(future), done + 1
                try:
                    cutouts, reason = future.result(), ""
                except ArchiveStopped:
                    continue
                except (ImageFileError, OSError) as error:
                    cutouts, reason = [], str(error)
                if progress is not None:
                    progress(done, len(requests))
                yield number, cutouts, reason


class _Boxes:
    """Boxes that are wanted."""

    def __init__(self, boxes):
        self.boxes = boxes

    def guess(self, layout, image):
        """Boxes on an image like one that is known."""
        return self.boxes

    def exact(self, astrometry, origin, held):
        """(PixelBox, places of targets) on an image."""
        for box in self.boxes:
            if not held.holds(box):
                raise ImageFileError(f"{box} is not on the image, which holds {held}.")
        return [(box, np.zeros(0, int)) for box in self.boxes]

    def centres(self, image):
        """(ra, dec, pixels) of squares that hold the boxes, roughly."""
        corners = image.footprint
        for box in self.boxes:
            fx, fy = (box.x_lo + box.x_hi) / 2 / FULL_FRAME.x_hi, (box.y_lo + box.y_hi) / 2 / FULL_FRAME.y_hi
            weights = np.array([(1 - fx) * (1 - fy), fx * (1 - fy), fx * fy, (1 - fx) * fy])
            ra, dec = np.radians(corners).T
            x, y, z = weights @ np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
            yield np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y))), max(box.shape) + 40


class _Targets:
    """Surroundings of positions that are wanted."""

    def __init__(self, ra, dec, reach):
        self.ra, self.dec, self.reach = ra, dec, reach

    def guess(self, layout, image):
        """Boxes on an image like one that is known."""
        x, y = layout.positions(self.ra, self.dec, image.footprint)
        return [box for box, _ in target_boxes(x, y, self.reach + _GUESS_MARGIN_PX, layout.held)]

    def exact(self, astrometry, origin, held):
        """(PixelBox, places of targets) on an image."""
        x, y = astrometry.to_pixels(self.ra, self.dec)
        return target_boxes(x + origin[0], y + origin[1], self.reach, held)

    def centres(self, image):
        """(ra, dec, pixels) of squares that hold the boxes."""
        for ra, dec, reach in zip(self.ra, self.dec, self.reach):
            yield ra, dec, 2 * int(reach) + _SERVICE_MARGIN_PX


def _in_store(image, wanted, store, read):
    """Cutouts in the store that hold everything that is wanted; None if something is missing."""
    known = store.cutouts(image)
    for _, path in known:
        try:
            record = read(path)
            held = PixelBox(*record.cut_from) if record.cut_from else FULL_FRAME
        except (ImageFileError, OSError):  # damaged, or removed by another process
            continue
        boxes = wanted.exact(Astrometry(record.wcs_numbers, record.origin), record.origin, held)
        found = [FetchedCutout(store.find(image, box), box, targets) for box, targets in boxes]
        return found if all(cutout.path for cutout in found) else None
    return None


def _fetch(image, wanted, store, client, cancelled):
    """Fetch from the first address that can give it."""
    if client is None:
        raise ArchiveError(f"{image.obs_publisher_did}: is not in {store.folder}, and the archive is not asked.")
    with _first_of_detector(image, store):
        reasons = []
        for url in _addresses(image, client.settings):
            try:
                try:
                    return _by_ranges(image, url, wanted, store, client, cancelled)
                except FileChanged:  # once more, all of it from the new one
                    return _by_ranges(image, url, wanted, store, client, cancelled)
            except ArchiveStopped:
                raise
            except ArchiveError as error:
                reasons.append(error)
        if not any(isinstance(error, RangeRefused) for error in reasons):
            raise reasons[0]
        return _by_service(image, wanted, store, client, cancelled)


def _addresses(image, settings):
    """Where an image is: the file server, which can give many parts at once, then the bucket."""
    return [address for address in (image.access_url, image.cloud and settings.s3 + image.cloud) if address]


def _layout_file(image, store):
    return store.layouts / f"{image.release}_D{image.detector}.json"


@contextmanager
def _first_of_detector(image, store):
    """The first image of a detector is fetched alone: the others profit from what is learned from it."""
    if _layout_file(image, store).exists():
        yield
        return
    with _FIRST_LOCK:
        lock = _FIRST.setdefault(str(_layout_file(image, store)), threading.Lock())
    with lock:
        yield


def _by_ranges(image, url, wanted, store, client, cancelled):
    with RemoteFile(client, url, cancelled) as remote:
        layout = read_layout(_layout_file(image, store))
        _fetch_guessed(remote, layout, wanted, image, store)
        hdus = locate_hdus(remote)
        astrometry, origin, held = _geometry({hdu.name: hdu for hdu in reversed(hdus)}, image, url)
        boxes = wanted.exact(astrometry, origin, held)
        _fetch_pixels(remote, hdus, [box.in_file(origin) for box, _ in boxes])
        name = url.rpartition("/")[2]
        with psf_source(store, remote, hdus, [box for box, _ in boxes]) as psf:
            found = [
                FetchedCutout(store.put(image, box, cut(remote.fd, hdus, box, origin, psf, name)), box, targets)
                for box, targets in boxes
            ]
            if psf is None:
                psf_products(image.detector, image.release, store, client, cancelled)
        _learn(layout, remote, hdus, image, store)
        return found


def _fetch_guessed(remote, layout, wanted, image, store):
    """Fetch what is probably needed, if a file of this kind is known; else the beginning."""
    if layout is None or layout.held != FULL_FRAME:
        begin(remote)
        return
    boxes = wanted.guess(layout, image)
    remote.need(_spans(layout, None, boxes, store))
    if any(place.moves for place in layout.places):  # now the header with the exact places is here, and the size
        hdus = {hdu.name: hdu for hdu in scan_hdus(remote.fd, remote.size, remote.url)}
        tiles = []
        if {"IMAGE", "FLAGS"} <= set(hdus) and hdus["FLAGS"].is_compressed:
            astrometry, origin, held = _geometry(hdus, image, remote.url, ("IMAGE",))
            boxes = [box for box, _ in wanted.exact(astrometry, origin, held)]
            flags = PixelPlane.of(hdus["FLAGS"])
            remote.need([s for box in boxes for s in pixel_spans(remote.fd, remote.url, flags, box.in_file(origin))])
            tiles = [s for box in boxes for s in tile_spans(remote.fd, remote.url, flags, box.in_file(origin))]
        remote.need(_spans(layout, remote.size, boxes, store) + tiles)


def _spans(layout, size, boxes, store):
    """What a known layout says is needed, with bytes of the PSFs to compare."""
    spans, psfs = layout.spans(boxes, size), layout.psf_data(size)
    return spans if psfs is None else spans + probe_spans(store, layout.psf_key, layout.version, psfs, boxes)


def _geometry(named, image, url, needed=("IMAGE", "FLAGS", "VARIANCE")):
    """Astrometry, origin and extent of an image, once it is known to be the one that was asked for."""
    missing = [name for name in needed if name not in named]
    if missing:
        raise ImageFileError(f"{url}: there is no HDU named {', '.join(missing)}; it is not used.")
    shapes = {named[name].shape for name in PLANES if name in named}
    header, shape = named["IMAGE"].header, named["IMAGE"].shape
    if len(shapes) != 1 or len(shape) != 2:
        raise ImageFileError(f"{url}: its images have the shapes {sorted(shapes)}; they must agree.")
    found = header.text("OBSID"), header.integer("DETECTOR")
    if found != (image.obsid, image.detector):
        raise ImageFileError(
            f"{url}: holds {found[0]!r} of detector {found[1]}, but {image.obsid} of detector {image.detector} was "
            "asked for; it is not used."
        )
    origin = detector_origin(header, shape, url)
    held = PixelBox(origin[0], origin[0] + shape[1], origin[1], origin[1] + shape[0])
    return Astrometry(pack_wcs(header, url), origin), origin, held


def _fetch_pixels(remote, hdus, boxes):
    spans, planes = [], []
    for hdu in hdus:
        if hdu.name in PLANES:
            planes.append(PixelPlane.of(hdu))
            spans += [s for box in boxes for s in pixel_spans(remote.fd, remote.url, planes[-1], box)]
        elif hdu.name == "WCS-WAVE":
            spans.append((hdu.data_offset, hdu.data_offset + hdu.data_size))
    remote.need(spans)
    remote.need([s for plane in planes for box in boxes for s in tile_spans(remote.fd, remote.url, plane, box)])


def _learn(layout, remote, hdus, image, store):
    """Remember the layout of a file, if it was not known."""
    psf, key = psf_hdu(hdus), ""
    if psf is not None:
        key = psf_key(remote.read(psf.header_offset, psf.data_offset), hdus[0].header.text("VERSION"))
    if layout is None or (layout.held == FULL_FRAME and not layout.fits(hdus, remote.size, key)):
        new = Layout.of(hdus, remote.size, remote.url, image.footprint, key)
        store.write(_layout_file(image, store), new.to_json().encode())


def _by_service(image, wanted, store, client, cancelled):
    """Cutouts from the archive's own service: larger, but they need no ranges."""
    found, reasons = {}, []
    for ra, dec, pixels in wanted.centres(image):
        parameters = urlencode(
            {"center": f"{ra:.8f},{dec:.8f}deg", "size": f"{pixels * PIXEL_SCALE_ARCSEC / 3600:.8f}deg"}, safe=","
        )
        url = f"{image.access_url}?{parameters}"
        try:
            content = client.get(url, max_bytes=_SERVICE_BYTES, cancelled=cancelled)
            cutouts = _cut_again(content, url, image, wanted, store)
        except ArchiveStopped:
            raise
        except ArchiveError as error:  # a target beside the image has no cutout
            reasons.append(error)
            continue
        for cutout in cutouts:
            if cutout.box not in found or len(cutout.targets) > len(found[cutout.box].targets):
                found[cutout.box] = cutout
    if not found:
        raise (
            reasons[0]
            if reasons
            else ArchiveError(f"{image.access_url}: what the archive's cutout service sends does not hold the target.")
        )
    return [found[box] for box in sorted(found)]


def _cut_again(content, url, image, wanted, store):
    """Cutouts of exactly what is wanted, from one that the service made."""
    with tempfile.NamedTemporaryFile(prefix="glue-spherex-", suffix=".fits") as file:
        file.write(content)
        file.flush()
        try:
            record = read_record(file.name)
        except ImageFileError as error:
            reason = str(error).removeprefix(f"{file.name}: ")
            raise ArchiveError(f"{url}: what the archive sent cannot be used: {reason}") from error
        fd, status = open_file(file.name)
        try:
            hdus = scan_hdus(fd, status.st_size, url)
            astrometry, origin, held = _geometry({hdu.name: hdu for hdu in reversed(hdus)}, image, url)
            boxes = [(box, targets) for box, targets in wanted.exact(astrometry, origin, FULL_FRAME) if held.holds(box)]
            psf = psf_hdu(hdus)
            if psf is not None:
                zones, _, mended = read_zones(fd, psf, record.version, url)
                psf = PSFSource(fd, psf, zones, mended, url)
            name = image.access_url.rpartition("/")[2]
            return [
                FetchedCutout(store.put(image, box, cut(fd, hdus, box, origin, psf, name, FULL_FRAME)), box, targets)
                for box, targets in boxes
            ]
        finally:
            os.close(fd)
