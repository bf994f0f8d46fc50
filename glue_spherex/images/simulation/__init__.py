"""Synthetic Level-2 files with known truth; it shares nothing with the code that reads and fits them."""

from .field import SCENES, SimulatedField, SimulationError, simulate

__all__ = ["SCENES", "SimulatedField", "SimulationError", "simulate"]
