"""Tables on disk: spectra, target lists, and the view of a spectrum as a specutils object.

Names are imported when they are first used.
"""

from importlib import import_module

_PUBLIC = {
    "SpectrumFileError": "errors",
    "TargetListError": "errors",
    "is_spectrum_file": "recognition",
    "read_spectra": "spectra",
    "write_spectra": "spectra",
    "WRITE_FORMATS": "spectra",
    "Rejected": "targets",
    "Targets": "targets",
    "parse_target": "targets",
    "read_targets": "targets",
    "to_spectrum": "specutils",
    "from_spectrum": "specutils",
}

__all__ = list(_PUBLIC)


def __getattr__(name):
    try:
        module = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    return getattr(import_module(f".{module}", __name__), name)


def __dir__():
    return sorted([*globals(), *_PUBLIC])
