"""What a command writes never takes the place of something without ``--overwrite``."""

from pathlib import Path


def add_overwrite(command, what):
    """Add the option that permits to replace something.

    Parameters
    ----------
    command : argparse.ArgumentParser
    what : str
        As "a result", for the help.
    """
    command.add_argument("--overwrite", action="store_true", help=f"replace {what} that is there already")


def check_folder(folder, names, overwrite):
    """Make sure that nothing in a folder is replaced without permission.

    Parameters
    ----------
    folder : path-like
        Need not exist.
    names : iterable of str
        What will be written there; an empty folder of such a name is in nobody's way.
    overwrite : bool
        Whether it may be replaced.

    Raises
    ------
    FileExistsError
        If it is there, and may not.
    """
    there = [name for name in names if not overwrite and _holds_something(Path(folder) / name)]
    if there:
        raise FileExistsError(
            f"the folder {str(folder)!r} holds {', '.join(there)} already, which would be replaced; name another "
            "folder, or add --overwrite."
        )


def check_result(folder, overwrite):
    """As `check_folder`, for the files of a result in any format."""
    from .photometry.output import RESULT_NAMES

    check_folder(folder, RESULT_NAMES, overwrite)


def check_file(path, overwrite):
    """As `check_folder`, for a single file."""
    if not overwrite and _holds_something(Path(path)):
        raise FileExistsError(
            f"{path}: it is there already, and would be replaced; name another file, or add --overwrite."
        )


def _holds_something(path):
    return any(path.iterdir()) if path.is_dir() else path.exists()
