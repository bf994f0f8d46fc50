"""The canvas of the cutout viewer, and how its window tells what fails."""

from functools import wraps

from glue_qt.viewers.matplotlib.widget import MplCanvas
from qtpy.QtWidgets import QVBoxLayout, QWidget


def told(method):
    """What goes wrong in a method is told at the foot of the viewer."""

    @wraps(method)
    def run(self, *args, **kwargs):
        try:
            return method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - whatever fails, the window lives on and says so
            self.tell(f"{method.__doc__.splitlines()[0].rstrip('.')} failed: {error or type(error).__name__}")
            return None

    return run


class CutoutCanvas(QWidget):
    """The canvas of the cutouts."""

    def __init__(self):
        super().__init__()
        self.canvas = MplCanvas()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.canvas)
