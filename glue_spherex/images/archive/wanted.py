"""What is wanted of an image: boxes, or the surroundings of positions; and what came of it."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from glue_spherex.model import sky_positions
from glue_spherex.model.detectors import PIXEL_SCALE_ARCSEC

from ..errors import ImageFileError
from .boxes import FULL_FRAME, PixelBox, target_boxes

#: A guess of where a target is may be wrong by this much without costing a further round trip.
_GUESS_MARGIN_PX = 1
_SERVICE_MARGIN_PX = 12


@dataclass(frozen=True)
class FetchedCutout:
    """A cutout that is on disk now.

    Attributes
    ----------
    path : str
    box : PixelBox
        What was asked for; the file may hold more.
    targets : ndarray of int
        Places in the list of sources of the targets that it was asked for.
    record : ImageRecord or None
        What its headers say, if they were read when it was found.
    """

    path: str
    box: PixelBox
    targets: np.ndarray
    record: object = None


class WantedBoxes:
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


class WantedTargets:
    """Surroundings of positions that are wanted."""

    def __init__(self, ra, dec, reach):
        self.ra, self.dec, self.reach = ra, dec, reach

    @classmethod
    def around(cls, sources, mjd, reach):
        """The surroundings of sources at a time; one reach for all, or one for each."""
        ra, dec = sky_positions(sources, mjd)
        return cls(ra, dec, np.broadcast_to(reach, len(ra)))

    def guess(self, layout, image):
        """Boxes on an image like one that is known."""
        x, y = layout.positions(self.ra, self.dec, image.footprint)
        return [box for box, _ in target_boxes(x, y, self.reach + _GUESS_MARGIN_PX, layout.held)]

    def exact(self, astrometry, origin, held):
        """(PixelBox, places of targets) on an image."""
        x, y = astrometry.to_pixels(self.ra, self.dec)
        return target_boxes(x + origin[0], y + origin[1], self.reach, held)

    def centres(self, image):
        """(ra, dec, pixels) of squares that hold the boxes, of targets near each other together."""
        east = (self.ra - self.ra[0] + 180) % 360 - 180
        places = np.stack([east * np.cos(np.radians(self.dec)), self.dec], axis=1) * 3600 / PIXEL_SCALE_ARCSEC
        for members in _groups(places, self.reach):
            middle = (places[members].min(axis=0) + places[members].max(axis=0)) / 2
            out = np.hypot(*(places[members] - middle).T) + self.reach[members]  # whatever way the detector is turned
            dec = middle[1] * PIXEL_SCALE_ARCSEC / 3600
            ra = self.ra[0] + middle[0] * PIXEL_SCALE_ARCSEC / 3600 / np.cos(np.radians(dec))
            yield ra % 360, dec, 2 * math.ceil(out.max()) + _SERVICE_MARGIN_PX


def _groups(places, reach):
    """Lists of targets whose boxes may touch, however the detector is turned.

    Parameters
    ----------
    places : ndarray, shape (n, 2), px
    reach : ndarray of int, shape (n,), px
    """
    distance = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    touching = distance <= np.sqrt(2) * (reach[:, None] + reach[None] + 1)
    _, group = connected_components(csr_array(touching), directed=False)
    return [np.flatnonzero(group == number) for number in range(group.max() + 1)]
