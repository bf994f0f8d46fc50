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
        ``image_folders``, ``calibration`` (a folder or None), ``flux_correction``; others are ignored.
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
        "calibration_files": _files(request.get("calibration")),
        "command": command(settings, request, folder),
    }


def _files(folder):
    """The calibration files in a folder: path, size in bytes, time of change in ns since 1970."""
    from ..images.calibration import as_calibration

    if not folder:
        return []
    found = []
    for file in as_calibration(folder).files:
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
    for images in request.get("image_folders", ()):
        words += ["--images", str(images)]
    if request.get("calibration"):
        words += ["--calibration", str(request["calibration"])]
    if not request.get("flux_correction", True):
        words.append("--no-flux-correction")
    usual = Settings().as_dict()
    for name, value in settings.as_dict().items():
        if value != usual[name]:
            words += _option(name, value)
    return [*words, "--output", f"{folder}-again"]


def _option(name, value):
    """A setting as words of a command."""
    option = _OPTIONS.get(name, f"--{name.replace('_', '-')}")
    if name == "wavelength":
        return [word for low, high in value for word in (option, f"{low!r}:{high!r}")]
    if name == "time":
        return [option, f"{value[0]!r}:{value[1]!r}"]
    text = ",".join(map(repr, value)) if isinstance(value, tuple) else str(value)
    return [f"{option}={text}"]  # a negative number must not look like an option
