"""Entries of *File › Import data*: what a file alone does not tell is asked for."""

from glue.config import importer
from glue.core.data_factories import load_data
from glue_qt.utils import get_qapp, messagebox_on_error
from qtpy.QtWidgets import QFileDialog, QMessageBox

from ..plugin.columns import plugin_meta
from ..plugin.target_data import images_table, load_targets

_MOST_LISTED = 20


@importer("SPHEREx target list…")
def import_targets():
    """Ask for a table of positions, and load it as a target list, however its columns are called.

    Returns
    -------
    list of glue.core.Data
        Empty when nothing was chosen, or after a message that it cannot be loaded.
    """
    path, _ = QFileDialog.getOpenFileName(get_qapp().activeWindow(), "Load a target list")
    return (path and _targets(path)) or []


@messagebox_on_error("The target list cannot be loaded")
def _targets(path):
    targets = load_data(path, factory=load_targets)
    rejected = plugin_meta(targets).get("rejected", [])
    if rejected:
        lines = "\n".join(rejected[:_MOST_LISTED] + ["…"] * (len(rejected) > _MOST_LISTED))
        text = f"Rows of {path} that cannot be sources are left out ({len(rejected)}):\n\n{lines}"
        QMessageBox.information(get_qapp().activeWindow(), "Target list", text)
    return [targets]


@importer("SPHEREx images of a folder…")
def import_images():
    """Ask for a folder, and make a table of its Level-2 images, a row each.

    Returns
    -------
    list of glue.core.Data
        Empty when nothing was chosen, or after a message that there are none.
    """
    folder = QFileDialog.getExistingDirectory(get_qapp().activeWindow(), "Folder with SPHEREx Level-2 images")
    return (folder and _images(folder)) or []


@messagebox_on_error("The images cannot be listed")
def _images(folder):
    return [images_table(folder)]
