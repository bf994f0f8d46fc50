from contextlib import suppress

import pytest

pytest.importorskip("glue_qt")
pytest.importorskip("pytestqt")


@pytest.fixture(autouse=True)
def no_modal_boxes(monkeypatch):
    """A modal box that no test expects is a failure with its text; nobody is there to close it."""
    from qtpy.QtWidgets import QDialog, QMessageBox

    def box(self, *args):
        texts = [getattr(self, name)() for name in ("text", "informativeText", "detailedText") if hasattr(self, name)]
        raise AssertionError(f"a modal {type(self).__name__} was opened: {self.windowTitle()!r} {texts}")

    def question(parent, title, text, *args, **kwargs):
        raise AssertionError(f"a modal box was opened: {title!r} {text!r}")

    monkeypatch.setenv("GLUE_TESTING", "True")
    for kind in (QDialog, QMessageBox):
        monkeypatch.setattr(kind, "exec_", box, raising=False)
        monkeypatch.setattr(kind, "exec", box)
    for name in ("information", "question", "warning", "critical"):
        monkeypatch.setattr(QMessageBox, name, question)


@pytest.fixture
def application(qtbot):
    """A glue window of 1400 x 900 with the plugin loaded."""
    from glue.main import load_plugins
    from glue_qt.app import GlueApplication
    from glue_qt.utils import process_events

    load_plugins()
    window = GlueApplication()
    window.start(block=False, maximized=False)
    window.resize(1400, 900)
    yield window
    process_events()
    with suppress(RuntimeError):  # the test has closed it
        window.close()
    process_events()


@pytest.fixture(scope="session")
def small_field(simulated):
    """A simulated field of 18 images of 40 x 40 px (three per detector) with images, calibration, targets and truth."""
    return simulated("field", images=18)


@pytest.fixture(scope="session")
def measured_spectra(small_field, tmp_path_factory):
    """Path of the measured spectra of `small_field`, all seven sources, as a VOTable."""
    from glue_spherex import FolderCollection, measure, read_targets, write_spectra
    from glue_spherex.images import ImageIndex

    folder = tmp_path_factory.mktemp("measured")
    images = FolderCollection(
        small_field.folder / "images", small_field.calibration, index=ImageIndex(folder / "index.sqlite")
    )
    path = folder / "spectra.vot"
    write_spectra(measure(read_targets(small_field.targets).sources, images), path)
    return path
