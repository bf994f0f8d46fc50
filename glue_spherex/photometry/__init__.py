"""Forced photometry of sources at known places: templates, local background, joint weighted least squares."""

from importlib import import_module

_HOME = {
    "Estimate": "estimate",
    "Fit": "forced",
    "Measurement": "pipeline",
    "PhotometryError": "errors",
    "Settings": "settings",
    "estimate": "estimate",
    "fit_sources": "forced",
    "measure": "pipeline",
    "measure_image": "measure",
    "run": "pipeline",
}

__all__ = list(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # over the modules of the same name
    return value


def __dir__():
    return __all__
