"""The list of folders with images: ticked ones are used."""

import os

from qtpy import QtCore, QtGui, QtWidgets

from ..colours import red
from .form import plain_tip


class FolderList(QtWidgets.QListWidget):
    """Folders that are known; the Delete key takes one off the list.

    Parameters
    ----------
    request : RequestFields
    """

    def __init__(self, request):
        super().__init__()
        self._request = request
        self.setFixedHeight(3 * self.fontMetrics().lineSpacing() + 18)
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarAlwaysOff)
        self.setTextElideMode(QtCore.Qt.ElideLeft)
        self.setToolTip(
            "Folders with Level-2 images; ticked ones are searched with their subfolders. The Delete key takes one "
            "off this list"
        )
        for attribute in ("known_folders", "image_folders"):
            request.add_callback(attribute, self.refresh)
        self.itemChanged.connect(self._on_item_changed)
        self.refresh()

    def refresh(self, *args):
        """Show the folders that are known now."""
        self.blockSignals(True)
        chosen = self.currentRow()
        self.clear()
        for folder in self._request.known_folders:
            item = QtWidgets.QListWidgetItem(folder)
            item.setFlags(QtCore.Qt.ItemIsEnabled | QtCore.Qt.ItemIsSelectable | QtCore.Qt.ItemIsUserCheckable)
            ticked = folder in self._request.image_folders
            item.setCheckState(QtCore.Qt.Checked if ticked else QtCore.Qt.Unchecked)
            gone = not os.path.isdir(folder)
            item.setToolTip(plain_tip(f"{folder}: there is no such folder" if gone else folder))
            if gone:
                item.setForeground(QtGui.QColor(red()))
            self.addItem(item)
        self.setCurrentRow(min(chosen, self.count() - 1))
        self.blockSignals(False)

    def keyPressEvent(self, event):
        """Delete takes a folder off the list."""
        if event.key() == QtCore.Qt.Key_Delete and self.currentItem() is not None:
            self._request.forget_folder(self.currentItem().text())
            event.accept()
        else:
            super().keyPressEvent(event)

    def _on_item_changed(self, item):
        self._request.tick_folder(item.text(), item.checkState() == QtCore.Qt.Checked)
