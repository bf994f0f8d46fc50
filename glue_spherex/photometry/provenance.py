"""With what a result was made: enough to make it again."""

import json
import os
import platform
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from .._version import __version__
from ..images.calibration import kind_of
from .settings import Settings

_MAPS = ("solid_angle", "spectral_wcs", "flux_correction")
_OPTIONS = {"background": "--background-mode"}  # where the command line's name is not that of the setting


def made_with(engine="builtin"):
    """The programs on which the numbers of an engine depend, here in this process: names and versions, as a text."""
    libraries = ", ".join(f"{name} {version}" for name, version in _libraries(engine).items())
    return f"glue-spherex {__version__}, {libraries}"


def _libraries(engine):
    """The versions of the libraries that an engine computes with, by name."""
    import astropy
    import numpy
    import scipy

    versions = {module.__name__: module.__version__ for module in (numpy, scipy, astropy)}
    if engine == "tractor":
        with suppress(ImportError):  # then it has measured nothing
            tractor = import_module("tractor")
            versions["tractor"] = str(getattr(tractor, "__version__", "of unknown version"))
    return versions


def provenance(settings, request, folder, images):
    """What made a result, beside its settings.

    Parameters
    ----------
    settings : Settings
    request : dict
        ``image_folders``, ``calibration`` (a folder or None), ``flux_correction``, and ``archive``, what
        `IRSACollection.described` gives, if there is one; others are ignored.
    folder : Path
        The result folder.
    images : Table
        Of the `Measurement`.

    Returns
    -------
    dict
        JSON-like: ``time`` (UTC), ``machine``, ``libraries`` with their versions, `calibration_files`, and ``command``,
        which measures the same once more: with the same versions and files it gives the same numbers, bit for bit,
        whatever the number of workers.
    """
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "name": platform.node(),
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        "libraries": {"python": platform.python_version(), **_libraries(settings.engine)},
        "calibration_files": calibration_files(images),
        "command": command(settings, request, folder),
    }


def calibration_files(images):
    """The calibration files that images were measured with, as they were then.

    Parameters
    ----------
    images : Table
        Of a `Measurement`.

    Returns
    -------
    list of dict
        By path: ``path``, ``size`` in bytes, ``mtime_ns``, the time of the last change since 1970. A file that was
        replaced during the measurement is there more than once.
    """
    found = {file for _, _, files in _calibrations(images) for file in files}
    return [dict(zip(("path", "size", "mtime_ns"), file)) for file in sorted(found)]


def has_mixed_calibration(images):
    """Whether images of the same detector and collection were calibrated with different files.

    A file at another place with the same name and size counts as a copy.

    Parameters
    ----------
    images : Table
        Of a `Measurement`.

    Returns
    -------
    bool
    """
    used = {}
    for detector, collection, files in _calibrations(images):
        named = {}
        for path, size, mtime_ns in files:
            used.setdefault(path, set()).add((size, mtime_ns))
            named[kind_of(Path(path).name)] = Path(path).name, size
        for kind in {*_MAPS, *named}:  # a PSF is only needed by files without one
            used.setdefault((detector, collection, kind), set()).add(named.get(kind))
    return any(len(versions) > 1 for versions in used.values())


def _calibrations(images):
    """(detector, collection, files) of measured images, each once; a file is a path, its size, and its time."""
    names = ("det_id", "data_collection", "calibration_files")
    if not {*names} <= {*images.colnames}:  # no image could be opened
        return []
    measured = images[[bool(n) for n in images["n_sources"]]]
    lines = sorted(set(zip(*(measured[name].tolist() for name in names))))
    return [(*line, list(map(tuple, json.loads(files)))) for *line, files in lines if files]


def command(settings, request, folder):
    """The command that measures once more what is in a result folder.

    Parameters
    ----------
    settings, request, folder
        As in `provenance`.

    Returns
    -------
    list of str
    """
    folder = Path(folder).absolute()
    words = ["glue-spherex", "measure", str(folder / "targets.ecsv")]
    for option, value in _images(request):
        words += [option, str(value)]
    if not request.get("flux_correction", True):
        words.append("--no-flux-correction")
    usual = Settings().as_dict()
    for name, value in settings.as_dict().items():
        if value != usual[name]:
            words += _option(name, value)
    return [*words, "--output", f"{folder}-again"]


def _images(request):
    """Options that name the images: what was fetched and kept is taken from where it is."""
    archive, folders = request.get("archive"), list(request.get("image_folders", ()))
    calibration = request.get("calibration")
    if archive and archive["cutouts"] and not folders:
        folders, calibration, archive = [archive["cutouts"]], archive["calibration"], None
    options = [("--images", folder) for folder in folders]
    options += [("--calibration", calibration)] if calibration else []
    if archive:
        options.append(("--archive", "irsa"))
        options += [("--collection", name) for name in archive["collections"] or ()]
        options += [(f"--{name}", archive[name]) for name in ("release", "fields") if archive[name]]
    return options


def _option(name, value):
    """A setting as words of a command."""
    option = _OPTIONS.get(name, f"--{name.replace('_', '-')}")
    if name == "wavelength":
        return [word for low, high in value for word in (option, f"{low!r}:{high!r}")]
    if name == "time":
        return [option, f"{value[0]!r}:{value[1]!r}"]
    text = ",".join(map(repr, value)) if isinstance(value, tuple) else str(value)
    return [f"{option}={text}"]  # a negative number must not look like an option
