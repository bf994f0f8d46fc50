"""Dialogs that stay open beside glue's window: kept alive until they or glue are closed."""

from glue.core.message import ApplicationClosedMessage
from qtpy import QtCore

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
    from qtpy import QtWidgets

    application = session.application
    return application if isinstance(application, QtWidgets.QWidget) else None
