"""What is wanted of the archive beside the images on disk."""

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from glue_spherex.model import sky_positions, survey_vectors
from glue_spherex.model.detectors import PIXEL_SCALE_ARCSEC

from ..collection import ImageMatch, match_images
from ..releases import is_newer
from ..shared_exposures import margins_px
from .boxes import REACH_PX, reach_px

#: Pixels that a local file must hold beyond the background box of a source; else the source is fetched.
_LOCAL_MARGIN_PX = 3


def beside_local(answer, local, sources, detectors, wavelength, time, background_box):
    """Images of the archive that hold sources which no local file of the same exposure holds well.

    Parameters
    ----------
    answer : ArchiveAnswer
        About all of the sources.
    local : list of ImageMatch
        On disk.
    sources, detectors, wavelength, time
        As in `IRSACollection.find`.
    background_box : int, px

    Returns
    -------
    local : list of ImageMatch
        What is left of the local ones: a source that a file holds badly is measured on what is fetched, and fitted
        along on the file.
    wanted : list of ImageMatch
        Images of the archive (`ArchiveImage`); the sources that are measured on a file are to be fitted along.
    newer : int
        Local files of which the archive has a newer release.
    """
    local, here = list(local), {}
    for place, match in enumerate(local):
        here.setdefault((match.record.obsid, match.record.detector), []).append(place)
    wanted, newer, near = [], 0, worth_fetching(sources)
    for match in match_images(answer.rows, sources, detectors, wavelength, time):
        numbers = match.sources[near[match.sources]]
        places = here.get(match.record.exposure, ())
        for place in places:
            newer += is_newer(match.record.release, local[place].record.release)
            numbers = np.setdiff1d(numbers, _held(local[place], sources, background_box))
        if any(not sources[k].companion for k in numbers):
            wanted.append(ImageMatch(match.record, numbers, np.setdiff1d(match.sources[near[match.sources]], numbers)))
            for place in places:
                local[place] = replace(
                    local[place],
                    sources=np.setdiff1d(local[place].sources, numbers),
                    beside=np.intersect1d(local[place].sources, numbers),
                )
    return [match for match in local if len(match.sources)], wanted, newer


def _held(match, sources, background_box):
    """The sources of a local match whose surroundings the file holds."""
    here = [sources[k] for k in match.sources]
    needed = [reach_px(source.shape) - REACH_PX + background_box // 2 + _LOCAL_MARGIN_PX for source in here]
    return match.sources[margins_px(match.record, *sky_positions(here, match.record.mjd)) >= needed]


def worth_fetching(sources):
    """Which sources are targets, or companions that matter for one; the others would only be transferred.

    A companion matters if it shares pixels with a target, or with a companion that does so.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    is_target = np.array([not source.companion for source in sources], dtype=bool)
    if is_target.all() or not is_target.any():
        return is_target
    vectors = survey_vectors(sources)
    widest = max(reach_px(source.shape) for source in sources)
    touching = np.radians((2 * widest + 2) * np.sqrt(2) * PIXEL_SCALE_ARCSEC / 3600)
    distance, _ = cKDTree(vectors[is_target]).query(vectors, distance_upper_bound=2 * touching)
    return np.isfinite(distance)
