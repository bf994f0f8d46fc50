"""What fetching some images would mean, told before anything is fetched."""

import os
from contextlib import suppress
from dataclasses import astuple, dataclass, field

import numpy as np

from glue_spherex.model import sky_positions

from ..collection import ImageMatch
from ..errors import ImageFileError
from ..frame_pixels import frame_pixels
from ..record import read_record
from .boxes import FULL_FRAME, PixelBox, reach_px
from .looked_at import holds_none
from .products import has_products
from .wanted import WantedTargets

#: What one image costs, roughly: bytes to move for the surroundings of a target; those of the maps of a detector.
CUTOUT_MB, PRODUCTS_MB = 0.3, 50.0
#: Speed that is assumed: an image needs some round trips, which overlap as far as the archive is asked at once.
_IMAGE_S, _MB_PER_S = 0.6, 10.0
_UNSURE_PX = 8  # places on an image that is not here are known this well


@dataclass(frozen=True)
class ArchivePlan:
    """What a run would fetch; estimates, made without fetching anything.

    Parameters
    ----------
    images : int
        Images that may hold a target; one of which there is a local file, and something is fetched, counts once.
    local : int
        Of these, images that are in the local folders.
    kept : int
        Images of the archive of which nothing has to be fetched: the store has the cutouts.
    megabytes : float
        To move, MB.
    seconds : float
        That moving takes, with an ordinary connection.
    missing : tuple of ImageMatch
        Images of which something has to be fetched, and the sources that it is needed for.
    """

    images: int
    local: int
    kept: int
    megabytes: float
    seconds: float
    missing: tuple = field(default=(), repr=False)


def outlook(sources, local, wanted, store, at_once, background_box=15, cancelled=None):
    """What it takes to have some images.

    Parameters
    ----------
    sources : sequence of Source
    local, wanted : list of ImageMatch
        Images on disk, and those of the archive; see `IRSACollection.matches`.
    store : CutoutStore
    at_once : int
        Requests at the same time.
    background_box : int, px
    cancelled : callable() -> bool, optional
        When it says yes, the images looked at so far count as all.

    Returns
    -------
    ArchivePlan
    """
    missing, kept, extents = [], _kept(store), {}
    for match in wanted:
        if cancelled is not None and cancelled():
            break
        unknown = match.record.obsid not in kept
        numbers = match.sources if unknown else _lacking(match, sources, store, background_box, extents)
        if len(numbers) and not _holds_none(match, numbers, sources, store, background_box):
            missing.append(ImageMatch(match.record, numbers))
    kinds = {(match.record.detector, match.record.release) for match in missing}
    lacking = sum(not has_products(*kind, store) for kind in kinds)
    megabytes = CUTOUT_MB * sum(len(match.sources) for match in missing) + PRODUCTS_MB * lacking
    seconds = len(missing) * _IMAGE_S / at_once + megabytes / _MB_PER_S
    here = {(match.record.obsid, match.record.detector) for match in local}
    n_images = len(here.union(match.record.exposure for match in wanted))
    return ArchivePlan(n_images, len(here), len(wanted) - len(missing), megabytes, seconds, tuple(missing))


def _kept(store):
    """Names of the exposures of which a store has something: one look instead of one for each image."""
    try:
        collections = os.listdir(store.images)
    except OSError:  # nothing is kept yet, or it may not be read
        return set()
    kept = set()
    for name in collections:
        with suppress(OSError):  # no folder, or removed by another process
            kept.update(os.listdir(os.path.join(store.images, name)))
    return kept


def _holds_none(match, numbers, sources, store, background_box):
    """Whether it is known that some sources are just beside an image."""
    here = [sources[k] for k in numbers]
    reach = [reach_px(source.shape, background_box) for source in here]
    return holds_none(WantedTargets.around(here, match.record.mjd, reach), match.record, store)


def _lacking(match, sources, store, background_box, extents):
    """Numbers of the sources of an image whose surroundings are in none of the cutouts that are kept."""
    kept = []
    with suppress(OSError):  # a folder that cannot be read: the run will say so
        kept = store.cutouts(match.record)
    if not kept:
        return match.sources
    here = [sources[k] for k in match.sources]
    places = frame_pixels(match.record, *sky_positions(here, match.record.mjd))
    lacking = []
    for number, source, x, y in zip(match.sources, here, *places):
        reach = reach_px(source.shape, background_box) - _UNSURE_PX
        box = PixelBox.around(np.array([x]), np.array([y]), reach, FULL_FRAME) if np.isfinite(x + y) else None
        if box is not None and not any(known.holds(box) for known, _ in kept):
            box = PixelBox.cut(*astuple(box), _extent(match.record, kept, extents))
            if box is not None and not any(known.holds(box) for known, _ in kept):
                lacking.append(number)
    return np.array(lacking, dtype=int)


def _extent(image, kept, extents):
    """The pixels that an image has, as a cutout of it tells; not asked again once an image of a release has all."""
    if extents.get(image.release) != FULL_FRAME:
        extents[image.release] = FULL_FRAME
        with suppress(ImageFileError, OSError):
            extents[image.release] = PixelBox(*(read_record(kept[0][1]).cut_from or astuple(FULL_FRAME)))
    return extents[image.release]
