"""The measure dialog."""

from .dialog import MeasureDialog, measure_dialog

__all__ = ["MeasureDialog", "measure_dialog"]
