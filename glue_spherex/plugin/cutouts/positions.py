"""Positions to be marked on cutouts: other sources of the table, and those of any dataset."""

import numpy as np

from ..columns import column_values
from ..positions import position_columns


def other_sources(data, row):
    """Positions of the other sources that the table has in the exposure of a row.

    Parameters
    ----------
    data : glue.core.Data
    row : MeasuredRow

    Returns
    -------
    ra, dec : ndarray, shape (n,), deg
        At the epoch of the exposure.
    """
    same = _same_image(data, row)
    same = same[same != row.row]
    ra, dec = (column_values(data, name, same) for name in ("ra", "dec"))
    if ra is None or dec is None or ra.dtype.kind not in "iuf" or dec.dtype.kind not in "iuf":
        return np.zeros(0), np.zeros(0)
    apart = np.isfinite(ra) & np.isfinite(dec) & ~((ra == row.ra) & (dec == row.dec))
    return ra[apart].astype(float), dec[apart].astype(float)


def _same_image(data, row):
    """Rows that were measured on the image of a row."""
    numbers = column_values(data, "lvf_id")
    if row.lvf_id and numbers is not None and numbers.dtype.kind in "iuf":
        same = numbers == row.lvf_id
        detectors = column_values(data, "det_id")
        if detectors is not None and row.det_id:
            same &= detectors == row.det_id
        return np.flatnonzero(same)
    names = column_values(data, "obs_publisher_did")
    return np.flatnonzero(names == row.did) if names is not None and row.did else np.zeros(0, int)


def catalogue_positions(data, row, radius_deg):
    """Positions of a dataset around a row.

    Parameters
    ----------
    data : glue.core.Data
    row : MeasuredRow
    radius_deg : float

    Returns
    -------
    ra, dec : ndarray, shape (n,), deg
    """
    ra_id, dec_id = position_columns(data)
    if ra_id is None:
        return np.zeros(0), np.zeros(0)
    dec = np.asarray(data.get_data(dec_id), float)
    near = np.flatnonzero(np.abs(dec - row.dec) <= radius_deg)
    ra, dec = np.asarray(data.get_data(ra_id, view=(near,)), float), dec[near]
    across = np.abs((ra - row.ra + 180) % 360 - 180) * np.cos(np.radians(row.dec))
    close = across <= radius_deg
    return ra[close], dec[close]
