"""The line of the measure dialog that tells what the archive has, and asks it."""

from qtpy import QtCore, QtWidgets

from ...plugin.measuring.planning import archive_text
from ..colours import red
from ..open_dialogs import push_button
from .form import plain_tip

_FEW_NOTES = 10  # in the tooltip


class ArchiveLine(QtWidgets.QWidget):
    """What the archive has of the targets, what has to be fetched, and a button to ask it.

    Parameters
    ----------
    state : MeasureState
    ask : callable()
        Asks the archive.
    """

    def __init__(self, state, ask):
        super().__init__()
        self._state = state
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.label = QtWidgets.QLabel()
        self.label.setTextFormat(QtCore.Qt.PlainText)
        self.label.setWordWrap(True)
        self.label.setTextInteractionFlags(QtCore.Qt.TextSelectableByMouse)
        self.label.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Preferred)
        row.addWidget(self.label, 1)
        self.button = push_button("Ask the archive", lambda checked=False: ask())
        row.addWidget(self.button, 0, QtCore.Qt.AlignTop)

    def show_plan(self, asking):
        """Show what is known now.

        Parameters
        ----------
        asking : bool
            Whether the archive is being asked.
        """
        state = self._state
        self.setVisible(bool(state.request.use_archive))
        part = state.plan.archive if state.plan is not None else None
        text, fault = archive_text(part), part is not None and bool(part.fault)
        if asking:
            text, fault = "Asking the archive which images hold the targets…", False
        elif state.plan_request() is None:
            text = "The archive can be asked as soon as nothing is missing."
        self.label.setText(text)
        self.label.setStyleSheet(f"color: {red()}" if fault else "")
        notes = [] if part is None else [*part.notes[:_FEW_NOTES]]
        self.label.setToolTip(plain_tip("\n".join([*notes, _ABOUT])))
        known = part is not None and part.asked is not None
        self.button.setText("Ask the archive again" if known or fault else "Ask the archive")
        self.button.setToolTip("Search the archive for images of the targets, over the network; nothing is fetched yet")
        self.button.setEnabled(state.plan_request() is not None and not state.planning)


_ABOUT = (
    "The archive is asked only when you press the button, or by the job; its answers are kept with their date. Amount "
    "and time of what is to be fetched are estimates: 0.3 MB for each image and target, 50 MB for the maps of a "
    "detector, an ordinary connection."
)
