"""Cutouts from the archive's own cutout service: each has 5 MB, but needs no ranges."""

import os
import tempfile
from urllib.parse import urlencode

from glue_spherex.model.detectors import PIXEL_SCALE_ARCSEC

from ..astrometry import pack_wcs
from ..errors import ImageFileError
from ..fits_file import open_file, scan_hdus
from ..psf_zones import read_zones
from ..record import read_record
from .boxes import FULL_FRAME
from .by_ranges import geometry
from .cutout_files import PSFSource, cut
from .errors import ArchiveError, ArchiveStopped
from .layouts import psf_hdu
from .looked_at import holds_none, note_astrometry
from .products import psf_products
from .wanted import FetchedCutout

_SERVICE_BYTES = 80_000_000


def cutouts_by_service(image, wanted, store, client, cancelled):
    """Fetch cutouts that the archive's service makes, and keep what is needed of them.

    Parameters
    ----------
    image, wanted, store, client, cancelled
        As in `glue_spherex.images.archive.by_ranges.cutouts_by_ranges`.

    Returns
    -------
    list of FetchedCutout

    Raises
    ------
    ArchiveError, ImageFileError
        As in `glue_spherex.images.archive.fetch.fetch_cutout`.
    """
    found, reasons = {}, []
    for ra, dec, pixels in wanted.centres(image):
        parameters = urlencode(
            {"center": f"{ra:.8f},{dec:.8f}deg", "size": f"{pixels * PIXEL_SCALE_ARCSEC / 3600:.8f}deg"}, safe=","
        )
        url = f"{image.access_url}?{parameters}"
        try:
            content = client.get(url, max_bytes=_SERVICE_BYTES, cancelled=cancelled)
            cutouts = _cut_again(content, url, image, wanted, store, client, cancelled)
        except ArchiveStopped:
            raise
        except ArchiveError as error:  # a target beside the image has no cutout
            reasons.append(error)
            continue
        for cutout in cutouts:
            if cutout.box not in found or len(cutout.targets) > len(found[cutout.box].targets):
                found[cutout.box] = cutout
    if not found:
        if holds_none(wanted, image, store):
            return []
        raise (
            reasons[0]
            if reasons
            else ArchiveError(f"{image.access_url}: what the archive's cutout service sends does not hold the target.")
        )
    return [found[box] for box in sorted(found)]


def _cut_again(content, url, image, wanted, store, client, cancelled):
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
            named = {hdu.name: hdu for hdu in reversed(hdus)}
            astrometry, origin, held = geometry(named, image, url)
            exact = wanted.exact(astrometry, origin, FULL_FRAME)
            if not exact:
                note_astrometry(image, pack_wcs(named["IMAGE"].header, url), origin, FULL_FRAME, store)
            boxes = [(box, targets) for box, targets in exact if held.holds(box)]
            psf = psf_hdu(hdus)
            if psf is not None:
                zones, _, mended = read_zones(fd, psf, record.version, url)
                psf = PSFSource(fd, psf, zones, mended, url)
            elif boxes:  # before anything is kept: what is kept is not fetched again
                psf_products(image.detector, image.release, store, client, cancelled)
            name = image.access_url.rpartition("/")[2]
            contents = [cut(fd, hdus, box, origin, psf, name, image.collection, FULL_FRAME) for box, _ in boxes]
            return [
                FetchedCutout(str(store.put(image, box, content)), box, targets)
                for content, (box, targets) in zip(contents, boxes, strict=True)
            ]
        finally:
            os.close(fd)
