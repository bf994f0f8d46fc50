"""From the threads of the dialog to its window."""

from qtpy.QtCore import QObject, Signal


class Delivery(QObject):
    """Hands over what was done in another thread.

    Attributes
    ----------
    arrived : Signal(int, object, object)
        Number of the work, its result, and the exception that ended it or None.
    progressed : Signal(int, int, int)
        Number of the work, how much is done, and of how much.
    """

    arrived = Signal(int, object, object)
    progressed = Signal(int, int, int)
