"""Dialogs that stay open beside glue's window: kept alive until they or glue are closed; and parts of them."""

from glue.core.message import ApplicationClosedMessage
from qtpy import QtCore, QtWidgets

_open = set()  # dialogs on the screen; without a reference they would vanish


def keep_open(dialog, session):
    """Show a dialog without blocking glue, and keep it until it is closed; closing glue closes it too.

    Parameters
    ----------
    dialog : QDialog and glue.core.hub.HubListener
    session : glue.core.Session

    Returns
    -------
    QDialog
        The dialog.
    """
    _open.add(dialog)
    dialog.setAttribute(QtCore.Qt.WA_DeleteOnClose)
    session.hub.subscribe(dialog, ApplicationClosedMessage, handler=lambda message: dialog.close())

    def forget(*args):
        session.hub.unsubscribe_all(dialog)
        _open.discard(dialog)

    dialog.finished.connect(forget)
    dialog.setModal(False)
    dialog.show()
    dialog.raise_()
    return dialog


def window_of(session):
    """The window that a dialog belongs to; None where glue has none."""
    application = session.application
    return application if isinstance(application, QtWidgets.QWidget) else None


def push_button(text, action):
    """A push button that the Enter key does not press.

    Parameters
    ----------
    text : str
    action : callable(checked)

    Returns
    -------
    QPushButton
    """
    made = QtWidgets.QPushButton(text)
    made.setAutoDefault(False)
    made.clicked.connect(action)
    return made


def status_line():
    """A line that says what was done last: two lines high, plain text that can be copied, as wide as its window."""
    label = QtWidgets.QLabel()
    label.setTextFormat(QtCore.Qt.PlainText)
    label.setWordWrap(True)
    label.setMinimumHeight(2 * label.fontMetrics().height() + 2)
    label.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Preferred)
    label.setTextInteractionFlags(QtCore.Qt.TextSelectableByMouse)
    return label
