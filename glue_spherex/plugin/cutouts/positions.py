"""Positions to be marked on cutouts: other sources of the table, and those of any dataset."""

import numpy as np

from ..columns import column_values

#: Names of position columns (letters and digits, lower case), best first.
_RA = ("ra", "radeg", "raj2000", "raicrs", "rightascension", "alphaj2000", "ra2000")
_DEC = ("dec", "dedeg", "decdeg", "dej2000", "decj2000", "deicrs", "decicrs", "declination", "deltaj2000", "dec2000")
_DEFAULT_BOX_PX = 15
_DEGREES = ("", "deg", "degree", "degrees")


def background_box_px(data):
    """Side of the box that the local background of a dataset was taken from, pixels; 15 where it does not tell."""
    settings = (data.meta.get("glue_spherex") or {}).get("settings") or {}
    try:
        return max(int(settings.get("background_box") or _DEFAULT_BOX_PX), 1)
    except (TypeError, ValueError):
        return _DEFAULT_BOX_PX


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


def position_columns(data):
    """The components of a dataset that hold positions in degrees.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    ra, dec : glue.core.ComponentID or None
        Both None where the dataset has no such pair.
    """
    if data is None or data.ndim != 1:
        return None, None
    by_name = {}
    for cid in (*data.main_components, *data.derived_components):
        plain = "".join(letter for letter in cid.label.lower() if letter.isalnum())
        if plain in _RA + _DEC and _in_degrees(data.get_component(cid)):
            by_name.setdefault(plain, cid)
    ra, dec = (next((by_name[name] for name in names if name in by_name), None) for names in (_RA, _DEC))
    return (ra, dec) if ra is not None and dec is not None else (None, None)


def _in_degrees(component):
    return component.data.dtype.kind in "iuf" and str(component.units or "").lower() in _DEGREES


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
