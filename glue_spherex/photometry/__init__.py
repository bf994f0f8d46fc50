"""Forced photometry of sources at known places: templates, local background, joint weighted least squares."""

from importlib import import_module

_HOME = {
    "Estimate": "forecast",
    "Fit": "fit",
    "Measurement": "result_tables",
    "PhotometryError": "errors",
    "Settings": "settings",
    "estimate": "forecast",
    "fit_sources": "forced",
    "measure": "pipeline",
    "measure_image": "one_image",
    "run": "pipeline",
}

__all__ = list(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__():
    return __all__
