"""The quality flags of pixels and measurements.

One table, `FLAG_TABLE`, feeds the constants, the decoder, the colours of mask layers and the documentation.
Bits 0-31 are set on pixels by the SPHEREx pipeline (``MP_*`` cards of QR2, ``MSKN``/``MSKM`` cards of QR3); bits 32
and 33 are set on measurements only. IRSA's help page prints 2^29 for CONTAINS_BAD_PIXEL beside the value 4294967296:
the value is right, it is bit 32.
"""

from enum import IntFlag
from typing import NamedTuple

import numpy as np


class FlagInfo(NamedTuple):
    """One row of the flag table."""

    bit: int
    name: str
    meaning: str
    colour: str
    masks_fit: bool = False


FLAG_TABLE = (
    FlagInfo(0, "TRANSIENT", "transient detected while sampling up the ramp", "#e6194b"),
    FlagInfo(1, "OVERFLOW", "overflow detected while sampling up the ramp", "#800000"),
    FlagInfo(2, "SUR_ERROR", "error in the onboard processing", "#ff4500", True),
    FlagInfo(4, "PHANTOM", "phantom pixel", "#708090"),
    FlagInfo(5, "REFERENCE", "reference pixel", "#a9a9a9"),
    FlagInfo(6, "NONFUNC", "permanently unusable", "#b22222", True),
    FlagInfo(7, "DICHROIC", "low efficiency because of the dichroic", "#9a6324"),
    FlagInfo(9, "MISSING_DATA", "data lost on board", "#d2691e", True),
    FlagInfo(10, "HOT", "hot pixel", "#ff0000", True),
    FlagInfo(11, "COLD", "anomalously low signal", "#0000ff", True),
    FlagInfo(12, "FULLSAMPLE", "the pixel's full sample history is available", "#bcf60c"),
    FlagInfo(13, "SUR_MISMATCH", "mismatch while sampling up the ramp", "#f58231"),
    FlagInfo(14, "PHANMISS", "phantom correction was not applied", "#469990"),
    FlagInfo(15, "NONLINEAR", "nonlinearity cannot be corrected reliably", "#f032e6", True),
    FlagInfo(16, "VAR_UNDER", "variance underestimated", "#911eb4"),
    FlagInfo(17, "PERSIST", "persistent charge above the threshold", "#8b008b", True),
    FlagInfo(18, "PERSIST_UNK", "persistence unknown", "#dda0dd"),
    FlagInfo(19, "OUTLIER", "flagged by the outlier detection", "#ffe119"),
    FlagInfo(20, "CROSSTALK", "affected by electronic crosstalk", "#aaffc3"),
    FlagInfo(21, "SOURCE", "holds light of a known source", "#3cb44b"),
    FlagInfo(22, "GHOST", "ghost of a bright source in this exposure", "#42d4f4"),
    FlagInfo(23, "GHOST_FPA", "ghost of a bright source on another detector", "#4363d8"),
    FlagInfo(24, "GHOST_EXT", "ghost of a bright source outside the field of view", "#000075"),
    FlagInfo(25, "STREAK", "crossed by a streak", "#808000"),
    FlagInfo(26, "BLOOM", "part of a bloom artefact", "#fabed4"),
    FlagInfo(27, "SNOWBALL", "part of a snowball artefact", "#87ceeb"),
    FlagInfo(28, "HALO", "part of a transient's halo", "#ffd8b1"),
    FlagInfo(29, "SATELLITE_HALO", "part of a satellite's halo", "#c0a040"),
    FlagInfo(32, "CONTAINS_BAD_PIXEL", "the measurement contains a pixel that the fit must not use", "#ff8c94"),
    FlagInfo(33, "FIT_ERROR", "the fit failed: the flux is not usable", "#000000"),
)


_NAMES = {info.bit: info.name for info in FLAG_TABLE}


class _Decoder(IntFlag):
    """An `enum.IntFlag` without members, so that `Flag` can be made from the table."""

    @classmethod
    def decode(cls, flags):
        """Names of the bits that are set.

        Parameters
        ----------
        flags : int or array_like of int
            One bitmask or many (any shape is flattened). Masked entries count as 0.

        Returns
        -------
        list of str or list of list of str
            In bit order; a bit without a name is given as ``BIT_<n>``.

        Raises
        ------
        ValueError
            If the values are not integers, or negative.

        Examples
        --------
        >>> Flag.decode(2097152 + 2**32)
        ['SOURCE', 'CONTAINS_BAD_PIXEL']
        """
        values = np.ma.filled(np.ma.asanyarray(flags), 0)
        if values.dtype.kind not in "iu":
            raise ValueError(f"flags have the type {values.dtype}; whole numbers (64-bit integers) are needed")
        if values.size and values.min() < 0:
            raise ValueError(f"flags contain {values.min()}; a bitmask is 0 or more (missing values must be masked)")
        names = [_names_of(int(value)) for value in values.ravel()]
        return names[0] if values.ndim == 0 else names


def _names_of(value):
    return [_NAMES.get(bit, f"BIT_{bit}") for bit in range(value.bit_length()) if value >> bit & 1]


Flag = _Decoder("Flag", {info.name: 1 << info.bit for info in FLAG_TABLE}, module=__name__)
Flag.__doc__ = "Quality flags of SPHEREx pixels and measurements: `FLAG_TABLE` as an `enum.IntFlag`."

#: Pixels with one of these bits are not used in the fit (the seven bits that IRSA's tool ignores): 167492 in QR2/QR3.
FIT_MASK = sum(1 << info.bit for info in FLAG_TABLE if info.masks_fit)

#: Pixels with one of these bits are not used for the local background: known sources as well.
BACKGROUND_MASK = FIT_MASK | int(Flag.SOURCE)

#: Measurements with no other bit than these count as clean: SOURCE is set on nearly every target.
CLEAN_MASK = int(Flag.SOURCE)
