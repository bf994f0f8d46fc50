"""The viewer ``SPHEREx Table``: glue's table of a spectrum, of targets or of images, linked with the other viewers."""

from .data_viewer import SpherexTableViewer

__all__ = ["SpherexTableViewer"]
