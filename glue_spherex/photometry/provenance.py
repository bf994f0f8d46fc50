"""With what a result was made: enough to make it again."""

import os
import platform
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from .._version import __version__
from .settings import Settings

_OPTIONS = {"background": "--background-mode"}  # where the command line's name is not that of the setting


@cache
def made_with():
    """The programs on which the numbers depend, here in this process: names and versions, as a text."""
    import astropy
    import numpy
    import scipy

    libraries = ", ".join(f"{module.__name__} {module.__version__}" for module in (numpy, scipy, astropy))
    return f"glue-spherex {__version__}, {libraries}"


def provenance(settings, request, folder):
    """What made a result, beside its settings.

    Parameters
    ----------
    settings : Settings
    request : dict
        ``image_folders``, ``calibration`` (a folder or None), ``flux_correction``, and ``archive``, what
        `IRSACollection.described` gives, if there is one; others are ignored.
    folder : Path
        The result folder.

    Returns
    -------
    dict
        JSON-like: ``time`` (UTC), ``machine``, ``libraries`` with their versions, ``calibration_files`` with size and
        time of change, and ``command``, which measures the same once more: with the same versions and files it gives
        the same numbers, bit for bit, whatever the number of workers.
    """
    import astropy
    import numpy
    import scipy

    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "name": platform.node(),
            "system": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        "libraries": {
            "python": platform.python_version(),
            **{module.__name__: module.__version__ for module in (numpy, scipy, astropy)},
        },
        "calibration_files": [file for place in _calibrations(request) for file in _files(place)],
        "command": command(settings, request, folder),
    }


def _calibrations(request):
    """The folders with calibration files: the user's, and that of what was fetched."""
    fetched = (request.get("archive") or {}).get("calibration", "")
    return [folder for folder in (request.get("calibration"), fetched) if folder and os.path.isdir(folder)]


def _files(folder):
    """The calibration files in a folder: path, size in bytes, time of change in ns since 1970."""
    from ..images.calibration import as_calibration
    from ..images.errors import ImageFileError

    found = []
    try:
        files = as_calibration(folder).files
    except ImageFileError:  # nothing was fetched
        return found
    for file in files:
        try:
            status = os.stat(file.path)
        except OSError:  # gone since it was used
            continue
        found.append({"path": str(file.path), "size": status.st_size, "mtime_ns": status.st_mtime_ns})
    return found


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
