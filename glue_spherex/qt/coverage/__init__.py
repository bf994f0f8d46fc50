"""The sky coverage panel: a view of the sky with targets, images and deep fields."""

from .dock import SkyCoverage, sky_coverage

__all__ = ["SkyCoverage", "sky_coverage"]
