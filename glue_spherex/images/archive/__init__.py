"""The images of the archive: search, fetch only the pixels that are needed, keep them."""

from importlib import import_module

_PUBLIC = {
    "ArchiveAnswer": "search",
    "ArchiveChoice": "choice",
    "ArchiveClient": "client",
    "ArchiveError": "errors",
    "ArchiveImage": "answers",
    "ArchivePlan": "outlook",
    "ArchiveSettings": "settings",
    "CutoutStore": "cutout_store",
    "IRSACollection": "collection",
}

__all__ = list(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)


def __dir__():
    return sorted([*globals(), *_PUBLIC])
