"""Images that hold nothing of what was wanted: where they are is kept, so that they are not asked for again.

The archive's search knows the corners of an image only, so that it finds targets that are just beside it.
"""

import json

from ..astrometry import Astrometry
from .boxes import PixelBox


def note_astrometry(image, wcs, origin, held, store):
    """Keep where an image is.

    Parameters
    ----------
    image : ArchiveImage
    wcs : bytes
        `pack_wcs`.
    origin : (int, int)
        Detector pixel of the file's pixel (0, 0).
    held : PixelBox
        Detector pixels in the file.
    store : CutoutStore
    """
    box = [held.x_lo, held.x_hi, held.y_lo, held.y_hi]
    store.write(_place(image, store), json.dumps({"wcs": wcs.hex(), "origin": list(origin), "held": box}).encode())


def holds_none(wanted, image, store):
    """Whether it is known that an image holds nothing of what is wanted.

    Parameters
    ----------
    wanted : WantedTargets
    image : ArchiveImage
    store : CutoutStore

    Returns
    -------
    bool
    """
    try:
        known = json.loads(_place(image, store).read_text())
        origin = tuple(known["origin"])
        return not wanted.exact(Astrometry(bytes.fromhex(known["wcs"]), origin), origin, PixelBox(*known["held"]))
    except (OSError, ValueError, TypeError, LookupError):  # not noted, or damaged
        return False


def _place(image, store):
    name = f"{image.collection}_{image.obsid}_D{image.detector}_{image.file_version}.json"
    return store.layouts / "looked-at" / name
