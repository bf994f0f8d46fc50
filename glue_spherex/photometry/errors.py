"""The exceptions of this subsystem."""

from concurrent.futures import BrokenExecutor


class PhotometryError(ValueError):
    """Input that cannot be measured, or an engine that cannot be used."""


class LostProcessError(BrokenExecutor):
    """A process of an executor ended while it was at something; the executor itself goes on."""
