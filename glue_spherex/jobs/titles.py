"""What a job is called to which nobody gives a title."""

from pathlib import Path

from ..model.wording import counted
from .job_state import clean_title

#: Letters of the name of a target or a folder: a list of jobs shows 60 of a title.
MOST_NAME = 40


def default_title(measured, image_folders, with_archive, when):
    """What is measured, on which images, and when: ``24 targets, level2 and archive, 2026-05-01 12:00``.

    Parameters
    ----------
    measured : sequence
        The targets, without companions; each has a ``label``.
    image_folders : sequence of path
    with_archive : bool
        Whether images of the archive are measured as well.
    when : datetime.datetime

    Returns
    -------
    str
        A single target is called by its name.
    """
    what = counted(len(measured), "target")
    if len(measured) == 1:
        what = _name(measured[0].label) or what
    folders = [_name(Path(folder).name) or str(folder) for folder in image_folders]
    if len(folders) > 2:
        folders = [folders[0], f"{len(folders) - 1} other folders"]
    images = " and ".join([*folders, *["archive"] * bool(with_archive)])
    return ", ".join(filter(None, [what, images, f"{when:%Y-%m-%d %H:%M}"]))


def _name(text):
    text = clean_title(text)
    return text if len(text) <= MOST_NAME else f"{text[: MOST_NAME - 1]}…"
