"""Forced photometry of sources at known places: templates, local background, joint weighted least squares."""

from importlib import import_module

_HOME = {
    "Fit": "forced",
    "PhotometryError": "errors",
    "fit_sources": "forced",
}

__all__ = ["Fit", "PhotometryError", "fit_sources"]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__():
    return __all__
