"""From the reader's thread to the window's."""

from qtpy.QtCore import QObject, Signal


class Delivery(QObject):
    """Hands what the reader read over to the thread of the window.

    Attributes
    ----------
    arrived : Signal(object, object)
        A `CutoutRequest` and its `CutoutView`.
    progressed : Signal(int, int)
        Headers read, and how many there are.
    """

    arrived = Signal(object, object)
    progressed = Signal(int, int)
