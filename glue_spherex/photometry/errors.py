"""The exceptions of this subsystem."""

from concurrent.futures import BrokenExecutor


class PhotometryError(ValueError):
    """Input that cannot be measured, or an engine that cannot be used."""


class LostProcessError(BrokenExecutor):
    """A process of an executor ended while it was at something; the executor itself goes on.

    Parameters
    ----------
    text : str
    processes : int
        How many have ended, one after the other.
    """

    def __init__(self, text, processes=1):
        super().__init__(text)
        self.processes = processes
