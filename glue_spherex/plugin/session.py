"""Sessions whose files are gone: found beside the session, or named in one sentence."""

import os

from glue.config import session_patch

_PACKAGE = __name__.partition(".")[0]
_LOG = "glue.core.data_factories.helpers.LoadLog"


@session_patch()
def find_files(record):
    """Find the files of our data that a session refers to; glue calls this before it restores a session.

    A file that is no longer at its place is looked for under its name in the folder of the session, which is the
    current one while glue restores it.

    Parameters
    ----------
    record : dict
        What the session file holds; paths of moved files are put right in place.

    Raises
    ------
    FileNotFoundError
        Naming every file that is nowhere.
    """
    missing = []
    for entry in record.values():
        if not _is_ours(entry) or os.path.exists(entry["path"]):
            continue
        name = os.path.basename(entry["path"])
        if os.path.exists(name):
            entry["path"] = name
        else:
            missing.append(os.path.abspath(entry["path"]))
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of the session's SPHEREx files cannot be found: {', '.join(missing)}. Put them back, or "
            "beside the session file, and open the session again."
        )


def _is_ours(entry):
    if not isinstance(entry, dict) or entry.get("_type") != _LOG or not isinstance(entry.get("path"), str):
        return False
    factory = entry.get("factory")
    return isinstance(factory, dict) and str(factory.get("function", "")).startswith(f"{_PACKAGE}.")
