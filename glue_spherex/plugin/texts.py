"""Numbers and dates of a measurement as they are read in hover texts and titles."""

from datetime import datetime, timedelta

import numpy as np

_MJD_ZERO = datetime(1858, 11, 17)


def with_error(value, error):
    """A number with as many digits as its error deserves: ``22942 ± 311``, ``3.911 ± 0.017``.

    Parameters
    ----------
    value, error : float
        An error of 0 or NaN is not shown.

    Returns
    -------
    str
    """
    if not (np.isfinite(error) and error > 0):
        return f"{value:.3f}" if 1e4 <= abs(value) < 1e6 else f"{value:.5g}"
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.4g} ± {error:.2g}"
    decimals = min(max(1 - int(np.floor(np.log10(error))), 0), 6)
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def date_text(mjd):
    """A modified Julian date as calendar date and time, to the nearest minute; a sentence where there is none."""
    try:
        return (_MJD_ZERO + timedelta(minutes=round(mjd * 1440))).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError):
        return "no date"
