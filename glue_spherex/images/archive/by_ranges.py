"""Cutouts from parts of the archive's files, in as few round trips as possible."""

import threading

from ..astrometry import Astrometry, pack_wcs
from ..detector_origin import detector_origin
from ..errors import ImageFileError
from ..pixels import PixelPlane
from ..record import PLANES
from .boxes import FULL_FRAME, PixelBox
from .cutout_files import cut, packed_spans, pixel_spans
from .layouts import Layout, begin, keep_layout, known_layouts, locate_hdus, psf_hdu
from .looked_at import note_astrometry
from .products import psf_products
from .psf_library import probe_spans, psf_key, psf_source
from .ranges import RemoteFile
from .wanted import FetchedCutout

#: Held by the thread that cuts, but not while it waits for the archive or the disk: Python computes in one thread at a
#: time, and a dozen of them that take turns every few milliseconds need a tenth more.
_COMPUTING = threading.Lock()


def cutouts_by_ranges(image, url, wanted, store, client, cancelled):
    """Fetch the bytes of an image that are needed, and keep cutouts made of them.

    Parameters
    ----------
    image : ArchiveImage
    url : str
        Where its file is.
    wanted : WantedBoxes or WantedTargets
    store, client, cancelled
        As in `glue_spherex.images.archive.fetch.fetch_cutout`.

    Returns
    -------
    list of FetchedCutout

    Raises
    ------
    RangeRefused
        If the server does not answer ranges.
    FileChanged
        If the file was replaced meanwhile.
    ArchiveError, ImageFileError
        As in `glue_spherex.images.archive.fetch.fetch_cutout`.
    """
    with _COMPUTING:
        remote = RemoteFile(client, url, cancelled, _COMPUTING)
        layouts = known_layouts(image, store)
        _fetch_guessed(remote, layouts, wanted, image, store)
        hdus = locate_hdus(remote)
        named = {hdu.name: hdu for hdu in reversed(hdus)}
        astrometry, origin, held = geometry(named, image, url)
        boxes = wanted.exact(astrometry, origin, held)
        _fetch_pixels(remote, hdus, [box.in_file(origin) for box, _ in boxes])
        name = url.rpartition("/")[2]
        with psf_source(store, remote, hdus, [box for box, _ in boxes]) as psf:
            contents = [cut(remote, hdus, box, origin, psf, name, image.collection) for box, _ in boxes]
    if psf is None and boxes:  # before anything is kept: what is kept is not fetched again
        psf_products(image.detector, image.release, store, client, cancelled)
    found = [
        FetchedCutout(str(store.put(image, box, content)), box, targets)
        for content, (box, targets) in zip(contents, boxes, strict=True)
    ]
    _learn(layouts, remote, hdus, held, image, store)
    if not boxes:
        note_astrometry(image, pack_wcs(named["IMAGE"].header, url), origin, held, store)
    return found


def _fetch_guessed(remote, layouts, wanted, image, store):
    """Fetch what is probably needed, if files of this kind are known; else the beginning."""
    if not layouts:
        begin(remote)
        return
    layout, *others = layouts
    boxes = wanted.guess(layout, image)
    remote.need(_spans(layout, None, boxes, store) + [span for other in others for span in other.headers()])
    moving = any(place.moves for place in layout.places)
    if not others and not moving:
        return
    hdus = locate_hdus(remote, to_compressed=True)
    alike = [known for known in layouts if known.begins_as(hdus)]
    if moving or (alike and alike[0] is not layout):  # now the header with the exact places is here, and the size
        layout, *others = alike or [layout]
        boxes, flags = _exact_boxes(remote, hdus, wanted, image, boxes)
        spans = _spans(layout, remote.size, boxes, store) + flags
        remote.need(spans + [span for other in others for span in other.headers(remote.size)])


def _exact_boxes(remote, hdus, wanted, image, guessed):
    """Boxes on an image of which the first headers are here, and the tiles of compressed FLAGS under them."""
    named = {hdu.name: hdu for hdu in reversed(hdus)}
    if not ({"IMAGE", "FLAGS"} <= set(named) and named["FLAGS"].is_compressed):
        return guessed, []
    astrometry, origin, held = geometry(named, image, remote.url, ("IMAGE",))
    boxes = [box for box, _ in wanted.exact(astrometry, origin, held)]
    flags = PixelPlane.of(named["FLAGS"])
    remote.need([s for box in boxes for s in pixel_spans(remote, remote.url, flags, box.in_file(origin))])
    return boxes, [s for box in boxes for s in packed_spans(remote, remote.url, flags, box.in_file(origin))]


def _spans(layout, size, boxes, store):
    """What a known layout says is needed, with bytes of the PSFs to compare."""
    spans, psfs = layout.spans(boxes, size), layout.psf_data(size)
    return spans if psfs is None else spans + probe_spans(store, layout.psf_key, layout.version, psfs, boxes)


def geometry(named, image, url, needed=("IMAGE", "FLAGS", "VARIANCE")):
    """What the headers of an image tell, once it is known to be the one that was asked for.

    Parameters
    ----------
    named : dict of str to HDU
    image : ArchiveImage
    url : str
        For messages.
    needed : tuple of str
        Names of HDUs that must be there.

    Returns
    -------
    astrometry : Astrometry
    origin : (int, int)
        Detector pixel of the file's pixel (0, 0).
    held : PixelBox
        Detector pixels in the file.
    """
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
            spans += [s for box in boxes for s in pixel_spans(remote, remote.url, planes[-1], box)]
        elif hdu.name == "WCS-WAVE":
            spans.append((hdu.data_offset, hdu.data_offset + hdu.data_size))
    remote.need(spans)
    remote.need([s for plane in planes for box in boxes for s in packed_spans(remote, remote.url, plane, box)])


def _learn(layouts, remote, hdus, held, image, store):
    """Remember the layout of a full frame, if it is not the one that was guessed."""
    if held != FULL_FRAME:
        return
    psf, key = psf_hdu(hdus), ""
    if psf is not None:
        key = psf_key(remote.read(psf.header_offset, psf.data_offset), hdus[0].header.text("VERSION"))
    if not layouts or not layouts[0].fits(hdus, remote.size, key):
        keep_layout(Layout.of(hdus, remote.size, remote.url, image, key), image, store)
