"""Data releases: how they are called, and which of them a file belongs to."""

import re
from pathlib import Path

from packaging.version import InvalidVersion, Version

from .errors import ImageFileError

#: How releases are called: quick ones, then the full ones.
RELEASE_NAME = re.compile(r"(qr|dr)\d{1,3}")
#: How collections of Level-2 images are called: release, and whether they are the deep fields.
COLLECTION_NAME = re.compile(r"spherex_((?:qr|dr)\d{1,3})(_deep)?")
#: How a processing is called in the names of its files; those that were made once more have ``_retry``.
FILE_VERSION = r"l2b(?:_retry)?-v\d{1,4}-\d{4}-\d{3}"
QR3_FIRST_VERSION = Version("7")
_FOLDER_NAME = re.compile(r"((?:qr|dr)\d{1,3})(?:_deep)?", re.IGNORECASE)


def release_age(release):
    """Increases from older to newer releases: the quick ones, then the full ones."""
    return release[:2] == "dr", int(release[2:])


def is_newer(release, other):
    """Whether a release is newer than another one."""
    return release_age(release) > release_age(other)


def folder_release(path):
    """The release after which the last folder in a path is called, as ``qr2`` or ``dr1_deep``; '' if there is none."""
    for part in reversed(Path(path).parts[:-1]):
        if found := _FOLDER_NAME.fullmatch(part):
            return found[1].lower()
    return ""


def release_of(version, has_epsf, path=""):
    """Data release of a file that does not tell it.

    Parameters
    ----------
    version : str
        Of the pipeline.
    has_epsf : bool
        Whether it holds an EPSF table.
    path : str, optional

    Returns
    -------
    str
        'qr2' before pipeline version 7. From 7 on, and for files with an EPSF table, 'qr3'; or a newer release, if a
        folder of the path is called so, as the archive's own folders are.
    """
    if not has_epsf and _made_for(version) != "qr3":
        return "qr2"
    named = folder_release(path)
    return named if named and is_newer(named, "qr3") else "qr3"


def check_release(release, version, path):
    """Make sure that a file can be of a release: QR2 was made with pipeline versions below 7, QR3 from 7 on.

    Parameters
    ----------
    release : str
        Of a newer one nothing is known.
    version : str
        Of the pipeline; one that cannot be understood contradicts nothing.
    path : str
        For the message.

    Raises
    ------
    ImageFileError
        If it cannot. Its fluxes would be put on a wrong gain.
    """
    made_for = _made_for(version)
    if release in ("qr2", "qr3") and made_for not in ("", release):
        raise ImageFileError(
            f"{path}: is said to be of {release.upper()}, but VERSION is {version}, as in {made_for.upper()}, whose "
            "gain is another one; it is not used."
        )


def _made_for(version):
    """The first release that a version of the pipeline made: 'qr2' or 'qr3'; '' for what is no version."""
    try:
        return "qr3" if Version(version) >= QR3_FIRST_VERSION else "qr2"
    except InvalidVersion:
        return ""
