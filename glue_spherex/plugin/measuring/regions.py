"""Targets from regions that are selected in images."""

import numpy as np
from glue.core import Subset
from glue.core.subset_group import SubsetGroup

from ...io import TargetListError, Targets
from ...io.columns import distinct
from ...model import Source, unit_vectors
from .layers import is_made_on, selected_rows

#: Pixels of a region that can be targets one by one.
MOST_PIXELS = 10_000
_CELESTIAL = {"pos.eq.ra", "pos.eq.dec", "pos.galactic.lon", "pos.galactic.lat", "pos.ecliptic.lon", "pos.ecliptic.lat"}


def is_image_region(layer):
    """Whether a layer is a selection in an image with sky coordinates.

    Parameters
    ----------
    layer : object
        A subset, subset group, or anything else.

    Returns
    -------
    bool
        For a subset group, whether one of its subsets is. Whether the condition applies to the image is not looked at.
    """
    if isinstance(layer, SubsetGroup):
        return any(is_image_region(subset) for subset in layer.subsets)
    return isinstance(layer, Subset) and layer.data.ndim == 2 and has_sky(layer.data)


def has_sky(data):
    """Whether the two axes of an image are those of the sky.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    bool
    """
    types = getattr(data.coords, "world_axis_physical_types", None) or ()
    return len(types) == 2 and set(types) <= _CELESTIAL


def targets_of_region(subset, what="centre"):
    """Targets from a region in an image.

    Parameters
    ----------
    subset : glue.core.Subset or SubsetGroup
        A selection of pixels of a two-dimensional image with sky coordinates.
    what : {"centre", "pixels"}
        One target at the mean direction of the selected pixels; or one at each of their centres.

    Returns
    -------
    Targets
        ``rows`` count the targets; ``table`` has the 0-based pixels ``x`` and ``y``.

    Raises
    ------
    TargetListError
        If the layer is no such region, no pixel is selected, none of them is on the sky, or there are more than
        `MOST_PIXELS` of them to be targets.
    ValueError
        If `what` is something else.
    """
    if what not in ("centre", "pixels"):
        raise ValueError(f"what is {what!r}; allowed are 'centre' and 'pixels'.")
    subset = _in_image(subset)
    pixels = selected_rows(subset)
    if not len(pixels):
        raise TargetListError(f"the region {subset.label!r} has no pixel in {subset.data.label!r}; draw it again.")
    if what == "pixels" and len(pixels) > MOST_PIXELS:
        raise TargetListError(
            f"the region {subset.label!r} has {len(pixels):,} pixels; at most {MOST_PIXELS:,} can be targets one by "
            "one. Draw a smaller region, or measure its centre."
        )
    y, x = np.unravel_index(pixels, subset.data.shape)
    ra, dec = _sky(subset.data, x, y)
    known = np.isfinite(ra) & np.isfinite(dec)
    if not known.any():
        raise TargetListError(f"no pixel of the region {subset.label!r} in {subset.data.label!r} is on the sky.")
    if what == "centre":
        return _listed([subset.label], *_mean_direction(ra[known], dec[known]), [x[known].mean()], [y[known].mean()])
    names = [f"{subset.label} {column}, {row}" for column, row in zip(x[known], y[known])]
    return _listed(names, ra[known], dec[known], x[known], y[known])


def _in_image(layer):
    """The subset to measure, or a sentence."""
    if isinstance(layer, SubsetGroup):
        regions = [subset for subset in layer.subsets if is_image_region(subset)]
        layer = max(regions, key=is_made_on, default=layer)
    if not isinstance(layer, Subset):
        raise TargetListError(f"{getattr(layer, 'label', layer)!r} is no region in an image with sky coordinates.")
    data = layer.data
    if data.ndim != 2:
        raise TargetListError(
            f"{data.label!r} has {data.ndim} dimensions; a region is measured in an image of two, such as a spectral "
            "image or a slice that was saved as an image of its own."
        )
    if not has_sky(data):
        raise TargetListError(
            f"{data.label!r} has no sky coordinates, so the region {layer.label!r} is nowhere on the sky; load an "
            "image with a celestial WCS."
        )
    return layer


def _sky(data, x, y):
    """ICRS positions of pixels, deg; NaN where a pixel is not on the sky."""
    from astropy.coordinates import SkyCoord
    from astropy.wcs.wcsapi import HighLevelWCSWrapper

    place = HighLevelWCSWrapper(data.coords).pixel_to_world(x.astype(float), y.astype(float))
    if not isinstance(place, SkyCoord):
        raise TargetListError(f"{data.label!r} has sky coordinates of a kind that is not known; load another image.")
    icrs = place.icrs
    return np.asarray(icrs.ra.deg), np.asarray(icrs.dec.deg)


def _mean_direction(ra, dec):
    """The mean direction of positions, deg: arrays of shape (1,)."""
    x, y, z = unit_vectors(ra, dec).mean(axis=0)
    return np.degrees([np.arctan2(y, x)]) % 360, np.degrees([np.arctan2(z, np.hypot(x, y))])


def _listed(names, ra, dec, x, y):
    from astropy.table import QTable

    names = distinct(names)
    sources = [Source(*place, label=name) for *place, name in zip(ra % 360, dec, names)]
    table = QTable({"name": np.array(names, dtype=str), "ra": ra, "dec": dec, "x": x, "y": y})
    return Targets(sources, np.arange(len(sources)), [], table, {"name": "name", "ra": "ra", "dec": "dec"})
