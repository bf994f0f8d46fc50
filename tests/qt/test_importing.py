from qtpy.QtWidgets import QFileDialog, QMessageBox

from glue_spherex.plugin.columns import kind_of
from glue_spherex.qt.importing import import_images, import_targets


def choose(monkeypatch, path):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args, **kwargs: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args, **kwargs: str(path))


def test_any_table_as_a_target_list(application, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(QMessageBox, "information", lambda *args: shown.append(args[-1]))
    (tmp_path / "catalogue.csv").write_text("RA_ICRS,DE_ICRS,id\n10.5,-3.25,7\n10.6,-99,8\n")
    choose(monkeypatch, tmp_path / "catalogue.csv")
    (targets,) = import_targets()
    assert kind_of(targets) == "targets"
    assert list(targets["ra"]) == [10.5]
    assert len(shown) == 1
    assert "left out (1)" in shown[0]
    assert "-99" in shown[0]


def test_images_of_a_folder(application, small_field, monkeypatch):
    choose(monkeypatch, small_field.folder / "images")
    (images,) = import_images()
    assert kind_of(images) == "images"
    assert images.size == 18
    assert images.label


def test_nothing_chosen(application, monkeypatch):
    choose(monkeypatch, "")
    assert import_targets() == import_images() == []


def test_a_fault_is_shown(application, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setenv("GLUE_TESTING", "False")
    monkeypatch.setattr(QMessageBox, "exec_", lambda box: shown.append(box.text()), raising=False)
    choose(monkeypatch, tmp_path)
    (tmp_path / "none.txt").write_text("")
    assert import_images() == []
    choose(monkeypatch, tmp_path / "none.txt")
    assert import_targets() == []
    monkeypatch.setenv("GLUE_TESTING", "True")
    assert "The images cannot be listed" in shown[0]
    assert "The target list cannot be loaded" in shown[1]
