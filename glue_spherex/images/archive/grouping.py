"""Many targets in few questions: circles on the sky that hold them all."""

from dataclasses import dataclass

import numpy as np

from glue_spherex.model import survey_vectors, unit_vectors

#: Largest circle, deg: an image has a side of 3.5 degrees, so that most images of a circle hold targets in it.
WIDEST_DEG = 1.5
_MARGIN_DEG = 0.05  # images that a target lies just beside, and the way of the fastest star within 15 years
_STEP_DEG, _LEAST_DEG, _WIDER_DEG = 0.05, 0.1, 0.15


@dataclass(frozen=True)
class SkyCircle:
    """A circle on the sky.

    Parameters
    ----------
    ra, dec : float, deg
    radius : float, deg
    """

    ra: float
    dec: float
    radius: float

    def holds(self, other):
        """Whether another circle lies inside this one."""
        a, b = (unit_vectors(circle.ra, circle.dec) for circle in (self, other))
        return _separation_deg(a, b) + other.radius <= self.radius + 1e-9

    def inside(self, sources):
        """The sources that lie in the circle."""
        separation = _separation_deg(survey_vectors(sources), unit_vectors(self.ra, self.dec))
        return [source for source, apart in zip(sources, separation) if apart <= self.radius]

    def wider(self):
        """The circle to ask about, so that the answer serves for targets close by as well."""
        return SkyCircle(self.ra, self.dec, round(self.radius + _WIDER_DEG, 2))


def circles_around(sources, widest_deg=WIDEST_DEG):
    """Few circles that hold all sources.

    Parameters
    ----------
    sources : sequence of Source
    widest_deg : float, deg
        Largest radius.

    Returns
    -------
    list of SkyCircle
    """
    waiting, circles = [survey_vectors(sources)], []
    while waiting:
        group = waiting.pop()
        centre, radius = _around(group)
        if radius + _MARGIN_DEG <= widest_deg:
            circles.append(_rounded(centre, radius))
            continue
        axis = np.ptp(group, axis=0).argmax()
        upper = group[:, axis] > (group[:, axis].min() + group[:, axis].max()) / 2
        waiting += [group[upper], group[~upper]]
    return sorted(circles, key=lambda circle: (circle.dec, circle.ra))


def _around(vectors):
    """Centre and radius (deg) of a circle around unit vectors."""
    middle = vectors.min(axis=0) + vectors.max(axis=0)
    length = np.linalg.norm(middle)
    centre = middle / length if length > 0.1 else vectors[0]
    return centre, float(np.max(_separation_deg(vectors, centre)))


def _separation_deg(vectors, centre):
    chord = np.linalg.norm(vectors - centre, axis=-1)
    return np.degrees(2 * np.arcsin(np.minimum(chord / 2, 1)))


def _rounded(centre, radius_deg):
    """A circle of round numbers: the same targets, and a few more, give the same question again."""
    ra = round(float(np.degrees(np.arctan2(centre[1], centre[0]))) % 360, 3)
    dec = round(float(np.degrees(np.arcsin(np.clip(centre[2], -1, 1)))), 3)
    radius = max(_LEAST_DEG, _STEP_DEG * np.ceil((radius_deg + _MARGIN_DEG) / _STEP_DEG))
    return SkyCircle(ra, dec, round(float(radius), 2))
