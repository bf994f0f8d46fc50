"""Pixels on disk: spectral images, calibration files, the image index and collections of images."""

from importlib import import_module

_PUBLIC = {
    "Astrometry": "astrometry",
    "CalibrationFolder": "calibration",
    "Cutout": "spectral_image",
    "FolderCollection": "collection",
    "IRSACollection": "archive.collection",
    "ImageCollection": "collection",
    "ImageFileError": "errors",
    "ImageIndex": "index",
    "ImageMatch": "collection",
    "ImageRecord": "record",
    "IndexResult": "index",
    "PSF": "psf",
    "SimulatedField": "simulation",
    "SpectralImage": "spectral_image",
    "read_record": "record",
    "simulate": "simulation",
}

__all__ = list(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_PUBLIC])
