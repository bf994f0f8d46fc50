"""From the threads that read and fetch to the window's."""

from qtpy.QtCore import QObject, Signal


class Delivery(QObject):
    """Hands what was read or fetched over to the thread of the window.

    Attributes
    ----------
    arrived : Signal(object, object)
        A `CutoutRequest` and its `CutoutView`.
    progressed : Signal(int, int)
        Headers read, and how many there are.
    fetched : Signal(object, object)
        A `CutoutRequest` and its `FetchOutcome`.
    """

    arrived = Signal(object, object)
    progressed = Signal(int, int)
    fetched = Signal(object, object)
