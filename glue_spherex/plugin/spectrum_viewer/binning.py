"""The mean of a spectrum in each of the 102 spectral channels."""

from typing import NamedTuple

import numpy as np

from ...model import CHANNELS

_DETECTOR = np.array([channel.detector for channel in CHANNELS])
_CENTRE_UM = np.array([channel.wavelength_um for channel in CHANNELS])
_WIDTH_UM = np.array([channel.bandwidth_um for channel in CHANNELS])


class Binned(NamedTuple):
    """Means of channels; arrays of shape (k,).

    ``channel``: place in `CHANNELS`; ``wavelength_um``: its centre; ``half_um``: half its bandwidth; ``mean``,
    ``error``: inverse-variance mean and its 1-sigma error, in the unit of the values; ``count``: rows in it.
    """

    channel: np.ndarray
    wavelength_um: np.ndarray
    half_um: np.ndarray
    mean: np.ndarray
    error: np.ndarray
    count: np.ndarray


def channel_of(wavelength_um, detector=None):
    """The channel that a wavelength lies in.

    Parameters
    ----------
    wavelength_um : array_like, shape (n,), µm
    detector : array_like of int, shape (n,), optional
        Detector of each measurement; without it, the nearest channel of all.

    Returns
    -------
    ndarray of int, shape (n,)
        Place in `CHANNELS` of the channel with the nearest centre; -1 where the wavelength is not finite, or more than
        half a bandwidth from it (with 1 nm allowed for the rounding of the channels' table).
    """
    wavelength_um = np.asarray(wavelength_um, dtype=float)
    distance = np.abs(wavelength_um[:, None] - _CENTRE_UM)
    if detector is not None:
        distance = np.where(np.asarray(detector)[:, None] == _DETECTOR, distance, np.inf)
    nearest = np.argmin(np.where(np.isnan(distance), np.inf, distance), axis=1)
    away = distance[np.arange(wavelength_um.size), nearest]
    return np.where(away <= _WIDTH_UM[nearest] / 2 + 0.001, nearest, -1)


def binned(wavelength_um, values, errors, usable, detector=None):
    """Inverse-variance means in the channels: ``sum(v / e²) / sum(1 / e²)``, with the error ``1 / sqrt(sum(1 / e²))``.

    Parameters
    ----------
    wavelength_um, values, errors : array_like, shape (n,)
        Of one source; values and errors in any one unit.
    usable : array_like of bool, shape (n,)
        Rows to use; rows without a finite value and a positive error are left out in any case.
    detector : array_like of int, shape (n,), optional

    Returns
    -------
    Binned
        Channels with at least one row, in the order of the channels.
    """
    values, errors = np.asarray(values, dtype=float), np.asarray(errors, dtype=float)
    channel = channel_of(wavelength_um, detector)
    good = np.asarray(usable, dtype=bool) & (channel >= 0) & np.isfinite(values) & np.isfinite(errors) & (errors > 0)
    weight = 1 / errors[good] ** 2
    total = np.bincount(channel[good], weight, minlength=len(CHANNELS))
    count = np.bincount(channel[good], minlength=len(CHANNELS))
    filled = np.flatnonzero(count)
    mean = np.bincount(channel[good], weight * values[good], minlength=len(CHANNELS))[filled] / total[filled]
    return Binned(filled, _CENTRE_UM[filled], _WIDTH_UM[filled] / 2, mean, 1 / np.sqrt(total[filled]), count[filled])
