"""The viewer ``SPHEREx Spectrum``."""

from .data_viewer import SpherexSpectrumViewer

__all__ = ["SpherexSpectrumViewer"]
