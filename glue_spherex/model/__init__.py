"""Values: flags, sources, the spectrum table's schema, detectors. Floor 0: numpy and astropy only."""

from .detectors import CHANNELS, DETECTORS, ujy_per_mjy_sr
from .flags import BACKGROUND_MASK, CLEAN_MASK, FIT_MASK, FLAG_TABLE, Flag, FlagInfo
from .source import Sersic, Source, SourceError, sky_offset, sky_positions, survey_vectors, unit_vectors
from .spectrum import COLUMNS, ColumnSpec, SpectrumError

__all__ = [
    "BACKGROUND_MASK",
    "CHANNELS",
    "CLEAN_MASK",
    "COLUMNS",
    "DETECTORS",
    "FIT_MASK",
    "FLAG_TABLE",
    "ColumnSpec",
    "Flag",
    "FlagInfo",
    "Sersic",
    "Source",
    "SourceError",
    "SpectrumError",
    "sky_offset",
    "sky_positions",
    "survey_vectors",
    "ujy_per_mjy_sr",
    "unit_vectors",
]
