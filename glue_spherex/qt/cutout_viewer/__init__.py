"""The cutout viewer: images of the measurements around the focused row."""

from .data_viewer import SpherexCutoutViewer

__all__ = ["SpherexCutoutViewer"]
