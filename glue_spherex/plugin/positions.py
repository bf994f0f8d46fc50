"""The components of any dataset that hold positions on the sky."""

#: Names of position columns (letters and digits, lower case), best first.
_RA = ("ra", "radeg", "raj2000", "raicrs", "rightascension", "alphaj2000", "ra2000")
_DEC = ("dec", "dedeg", "decdeg", "dej2000", "decj2000", "deicrs", "decicrs", "declination", "deltaj2000", "dec2000")
_DEGREES = ("", "deg", "degree", "degrees")


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
