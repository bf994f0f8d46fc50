"""What the measure dialog remembers between sessions: folders with images and calibration files, and the archive."""

import json
from typing import NamedTuple

from ...io.files import replacing
from ...jobs.store import default_home

_NAME = "measure-dialog.json"
_MOST_FOLDERS = 12


class RememberedFolders(NamedTuple):
    """Folders that were used.

    Parameters
    ----------
    known : tuple of str
        Folders with images, the last one first.
    used : tuple of str
        Those of them that the last job had.
    calibration : str
        '' for none.
    archive : dict or None
        Values of `ArchiveFields`, unchecked.
    """

    known: tuple = ()
    used: tuple = ()
    calibration: str = ""
    archive: dict | None = None


def remembered_folders():
    """What the last sessions used.

    Returns
    -------
    RememberedFolders
        An empty one where nothing is remembered, or the file is damaged: the next job writes it anew.
    """
    try:
        content = json.loads((default_home() / _NAME).read_text(encoding="utf-8"))
        archive = content.get("archive")
        return RememberedFolders(
            _texts(content["known"]),
            _texts(content["used"]),
            str(content["calibration"]),
            archive if isinstance(archive, dict) else None,
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return RememberedFolders()


def _texts(values):
    if not isinstance(values, list):
        raise TypeError("a list is needed")
    return tuple(str(value) for value in values if str(value).strip())


def remember_folders(known, used, calibration, archive=None):
    """Keep folders for the next session.

    Parameters
    ----------
    known, used : sequence of str
    calibration : str
    archive : dict, optional
        From `ArchiveFields.archive_values`.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    home = default_home()
    home.mkdir(parents=True, exist_ok=True)
    content = {"known": list(dict.fromkeys([*used, *known]))[:_MOST_FOLDERS], "used": list(used)}
    with replacing(home / _NAME) as part, open(part, "w", encoding="utf-8") as file:
        json.dump(content | {"calibration": calibration, "archive": archive}, file, indent=1)
