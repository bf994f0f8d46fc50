"""SPHEREx spectrophotometry on the desktop.

The public names are imported when they are first used, so that ``import glue_spherex`` stays cheap.
"""

from importlib import import_module

from ._version import __version__

_PUBLIC = {
    "Flag": "model",
    "Sersic": "model",
    "Source": "model",
    "read_spectra": "io",
    "read_targets": "io",
    "to_spectrum": "io",
    "from_spectrum": "io",
    "write_spectra": "io",
    "FolderCollection": "images",
    "simulate": "images",
    "estimate": "photometry",
    "fit_sources": "photometry",
    "measure": "photometry",
}

__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604 - the names are strings


def __getattr__(name):
    try:
        floor = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(f".{floor}", __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_PUBLIC])
