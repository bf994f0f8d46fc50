"""The six detectors, the 102 spectral channels, and the unit of flux.

Sources: the band limits and resolving powers that IRSA's archive lists for the Level-2 images (SIA ``em_min``,
``em_max``, ``em_res_power``); the spectral-channel calibration product ``spectral_channels_spx_cal-sch-v1-2026-106``.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

N_PIX = 2040  #: active pixels along each axis of a detector
PIXEL_SCALE_ARCSEC = 6.15  #: nominal side of a pixel
_MIDDLE_PX = (N_PIX - 1) / 2

#: 1 MJy/sr in µJy/arcsec²: 1e12 * (pi / 648000)²
UJY_ARCSEC2_PER_MJY_SR = 1e12 * (np.pi / 648000) ** 2


class Detector(NamedTuple):
    """One of the six H2RG detectors behind its linear variable filter."""

    number: int
    wavelength_min_um: float
    wavelength_max_um: float
    resolving_power: float
    partner: int  # the detector that sees the same sky through the dichroic
    colour: str


DETECTORS = {
    d.number: d
    for d in (
        Detector(1, 0.7455, 1.1167, 39.1, 4, "#4b2e83"),
        Detector(2, 1.1033, 1.6499, 41.4, 5, "#2b6cb0"),
        Detector(3, 1.6301, 2.4346, 40.6, 6, "#2f9e77"),
        Detector(4, 2.4027, 3.8473, 34.9, 1, "#b8860b"),
        Detector(5, 3.8113, 4.4300, 111.6, 2, "#d9622b"),
        Detector(6, 4.4115, 5.0096, 127.8, 3, "#a61e4d"),
    )
}


class Channel(NamedTuple):
    """One of the 102 spectral channels."""

    detector: int
    number: int
    wavelength_um: float
    bandwidth_um: float


# detector: (central wavelengths, bandwidths), both in µm
_CHANNEL_TABLE = {
    1: (
        "0.753 0.771 0.790 0.809 0.828 0.848 0.868 0.889 0.910 0.932 0.955 0.978 1.001 1.025 1.050 1.075 1.102",
        "0.018 0.019 0.019 0.020 0.020 0.021 0.022 0.023 0.023 0.024 0.025 0.026 0.026 0.027 0.028 0.029 0.030",
    ),
    2: (
        "1.113 1.139 1.167 1.195 1.224 1.254 1.284 1.315 1.346 1.378 1.412 1.446 1.481 1.517 1.554 1.592 1.631",
        "0.026 0.027 0.028 0.029 0.030 0.030 0.031 0.032 0.032 0.033 0.034 0.035 0.036 0.037 0.038 0.039 0.039",
    ),
    3: (
        "1.656 1.695 1.735 1.775 1.818 1.861 1.905 1.949 1.995 2.041 2.089 2.139 2.189 2.240 2.292 2.345 2.399",
        "0.039 0.041 0.042 0.043 0.045 0.046 0.047 0.048 0.049 0.051 0.052 0.054 0.055 0.056 0.057 0.058 0.059",
    ),
    4: (
        "2.445 2.506 2.575 2.646 2.719 2.794 2.871 2.951 3.033 3.118 3.204 3.293 3.383 3.476 3.570 3.667 3.768",
        "0.058 0.073 0.074 0.076 0.078 0.079 0.084 0.086 0.089 0.091 0.093 0.094 0.096 0.098 0.099 0.102 0.103",
    ),
    5: (
        "3.827 3.861 3.895 3.929 3.964 3.999 4.034 4.070 4.106 4.142 4.178 4.214 4.251 4.288 4.325 4.362 4.399",
        "0.035 0.036 0.036 0.036 0.036 0.036 0.037 0.037 0.037 0.037 0.037 0.037 0.037 0.037 0.037 0.038 0.038",
    ),
    6: (
        "4.429 4.461 4.494 4.527 4.560 4.594 4.629 4.663 4.698 4.733 4.767 4.802 4.837 4.873 4.909 4.945 4.982",
        "0.035 0.036 0.035 0.036 0.036 0.037 0.036 0.037 0.037 0.037 0.036 0.036 0.037 0.038 0.038 0.037 0.037",
    ),
}

CHANNELS = tuple(
    Channel(detector, number, float(wavelength), float(bandwidth))
    for detector, (wavelengths, bandwidths) in _CHANNEL_TABLE.items()
    for number, (wavelength, bandwidth) in enumerate(zip(wavelengths.split(), bandwidths.split(), strict=True), start=1)
)

#: Rows of a detector from the middle of one channel to that of the next; where channel 0 would be at the middle
#: column; and how much higher a line of equal wavelength reaches at the edges: the product's CHANNEL_MAP to 1 px.
_CHANNEL_PX, _CHANNEL_ZERO_PX, _BEND_PX = 116.43, 2032.92, 67.40


def mean_wavelength(detector, x, y):
    """Wavelength at a position of a detector, from the spectral channels alone.

    Good to 1 or 2 nm: for charts and forecasts, where no wavelength map is at hand.

    Parameters
    ----------
    detector : int
        1 to 6.
    x, y : array_like, broadcastable, pixels
        On the full detector frame, 0-based.

    Returns
    -------
    ndarray, um
    """
    across = (np.asarray(x, float) - _MIDDLE_PX) / _MIDDLE_PX
    channel = (_CHANNEL_ZERO_PX + _BEND_PX * across**2 - np.asarray(y, float)) / _CHANNEL_PX
    centres = _log_centres(detector)
    low = np.clip(np.floor(channel).astype(int) - 1, 0, len(centres) - 2)  # beyond the outer ones as between them
    return np.exp(centres[low] + (channel - 1 - low) * (centres[low + 1] - centres[low]))


@cache
def _log_centres(detector):
    return np.log([c.wavelength_um for c in CHANNELS if c.detector == detector])


def ujy_per_mjy_sr(omega_arcsec2):
    """Flux in µJy of a pixel with a surface brightness of 1 MJy/sr.

    Parameters
    ----------
    omega_arcsec2 : float or ndarray
        Solid angle of the pixel, arcsec².

    Returns
    -------
    float or ndarray
        µJy per MJy/sr; 889.9 for 37.86 arcsec².
    """
    return UJY_ARCSEC2_PER_MJY_SR * omega_arcsec2
