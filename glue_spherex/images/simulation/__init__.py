"""Synthetic Level-2 files with known truth; it shares nothing with the code that reads and fits them.

`LoopbackArchive` and `SearchServices` offer such files as the archive offers its own, on this computer.
"""

from .archive_server import LoopbackArchive
from .archive_services import SearchServices
from .field import SCENES, SimulatedField, SimulationError, simulate

__all__ = ["SCENES", "LoopbackArchive", "SearchServices", "SimulatedField", "SimulationError", "simulate"]
