import numpy as np
import pytest
from glue.core import Data
from glue_qt.app import GlueApplication
from glue_qt.utils import process_events
from glue_qt.viewers.scatter import ScatterViewer
from qtpy.QtCore import QPoint, Qt

from glue_spherex import Flag
from glue_spherex.plugin.flag_selection import PRESETS, flag_subset
from glue_spherex.plugin.flag_subsets import FlagSubsetState
from glue_spherex.plugin.focus import focus_row
from glue_spherex.plugin.loader import load_spectrum
from glue_spherex.qt import open_dialogs
from glue_spherex.qt.flag_subsets import flag_subsets_dialog

HOT, SOURCE, BAD = int(Flag.HOT), int(Flag.SOURCE), int(Flag.CONTAINS_BAD_PIXEL)


def made_up(label="made up", n=6):
    """Flags 0, SOURCE, SOURCE + HOT + BAD, and so on; detectors 1 to 6; wavelengths 1 to 3.5 µm."""
    flags = np.array([0, SOURCE, SOURCE | HOT | BAD, HOT | BAD, 1 << 30, SOURCE])[:n]
    data = Data(label=label, wavelength=1 + 0.5 * np.arange(n), flux=np.arange(n) * 10.0, flags=flags,
                det_id=np.arange(1, n + 1))  # fmt: skip
    data.get_component(data.id["wavelength"]).units = "um"
    return data


@pytest.fixture
def data(application):
    data = made_up()
    application.data_collection.append(data)
    return data


@pytest.fixture
def dialog(application, data):
    return flag_subsets_dialog(application.session)


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.LeftButton)
    process_events()


def item_of(dialog, name):
    return next(item for item in dialog.bit_table.items() if item.text(0) == name)


def click_tick(qtbot, dialog, name):
    """A mouse click on the box before a flag's name."""
    table = dialog.bit_table
    place = table.visualItemRect(item_of(dialog, name))
    qtbot.mouseClick(table.viewport(), Qt.LeftButton, pos=QPoint(place.left() + 10, place.center().y()))
    process_events()


def rows(group, number=0):
    return np.flatnonzero(group.subsets[number].to_mask()).tolist()


def test_it_shows_what_occurs(dialog):
    assert dialog.isVisible()
    assert not dialog.isModal()
    shown = [[item.text(column) for column in range(4)] for item in dialog.bit_table.items()]
    assert shown == [
        ["HOT", "10", "2", "33.3 %"],
        ["SOURCE", "21", "3", "50.0 %"],
        ["BIT_30", "30", "1", "16.7 %"],
        ["CONTAINS_BAD_PIXEL", "32", "2", "33.3 %"],
    ]
    assert "hot pixel" in item_of(dialog, "HOT").toolTip(0)
    assert (dialog.data_combo.currentText(), dialog.att_combo.currentText()) == ("made up", "flags")
    assert not dialog.apply_button.isEnabled()
    assert dialog.chart.axes.get_xlabel() == "wavelength (µm)"
    assert dialog.chart.axes.get_ylabel() == "points per bin"


def test_tick_and_make(qtbot, application, dialog):
    click_tick(qtbot, dialog, "HOT")
    assert dialog.state.mask == HOT
    assert dialog.selected_label.text() == "<b>2</b> of 6 rows"
    assert dialog.name_edit.text() == "HOT"
    click_tick(qtbot, dialog, "SOURCE")
    dialog.mode_combo.setCurrentIndex(1)
    assert dialog.selected_label.text() == "<b>1</b> of 6 rows"
    click(qtbot, dialog.apply_button)
    [group] = application.data_collection.subset_groups
    assert (group.label, rows(group)) == ("HOT and SOURCE", [2])
    assert "was made" in dialog.status_label.text()
    click_tick(qtbot, dialog, "SOURCE")
    assert dialog.state.mask == HOT
    assert dialog.status_label.text() == ""


def test_presets_and_detectors(qtbot, application, dialog):
    expected = {
        "Clean": [0, 1, 5],
        "Suspicious": [2, 3],
        "Do not use": [],
        "Dichroic, detectors 3 and 4": [],
        "Ignored in the fit": [2, 3],
    }
    for name, button in dialog.preset_buttons.items():
        click(qtbot, button)
        assert dialog.selected_label.text() == f"<b>{len(expected[name])}</b> of 6 rows"
        assert dialog.name_edit.text() == name
        click(qtbot, dialog.apply_button)
    made = {group.label: rows(group) for group in application.data_collection.subset_groups}
    assert made == expected
    click(qtbot, dialog.preset_buttons["Dichroic, detectors 3 and 4"])
    assert [number for number, box in dialog.detector_boxes.items() if box.isChecked()] == [3, 4]
    click_tick(qtbot, dialog, "HOT")
    qtbot.mouseClick(dialog.detector_boxes[3], Qt.LeftButton, pos=QPoint(8, dialog.detector_boxes[3].height() // 2))
    assert dialog.state.detectors == (4,)
    assert dialog.selected_label.text() == "<b>1</b> of 6 rows"
    click(qtbot, dialog.untick_button)
    assert (dialog.state.mask, dialog.state.detectors) == (0, ())
    assert not any(box.isChecked() for box in dialog.detector_boxes.values())
    assert all(item.checkState(0) == Qt.Unchecked for item in dialog.bit_table.items())


def test_viewers_show_a_subset_at_once(qtbot, application, data, dialog):
    viewer = application.new_data_viewer(ScatterViewer, data=data)
    viewer.state.x_att, viewer.state.y_att = data.id["wavelength"], data.id["flux"]
    click(qtbot, dialog.preset_buttons["Suspicious"])
    click(qtbot, dialog.apply_button)
    assert [layer.layer.label for layer in viewer.layers] == ["made up", "Suspicious"]
    assert viewer.layers[1].enabled
    assert viewer.layers[1].layer.style.color == "#ff8c94"


def test_one_per_flag_and_columns_and_dataset(qtbot, application, data, dialog):
    dialog.state.mask = HOT | BAD
    click(qtbot, dialog.separate_button)
    assert [group.label for group in application.data_collection.subset_groups] == ["HOT", "CONTAINS_BAD_PIXEL"]
    click(qtbot, dialog.columns_button)
    assert data["HOT"].tolist() == [0, 0, 1, 1, 0, 0]
    click(qtbot, dialog.copy_button)
    new = application.data_collection[-1]
    assert (new.label, new["flux"].tolist()) == ("made up [HOT or CONTAINS_BAD_PIXEL]", [20.0, 30.0])
    assert new.label in [dialog.data_combo.itemText(k) for k in range(dialog.data_combo.count())]


def test_edit_afterwards(qtbot, application, data, dialog):
    click(qtbot, dialog.preset_buttons["Suspicious"])
    click(qtbot, dialog.apply_button)
    click(qtbot, dialog.preset_buttons["Clean"])
    dialog.edited_combo.setCurrentIndex(dialog.edited_combo.findText("Suspicious"))
    assert dialog.state.mask == BAD
    assert dialog.apply_button.text() == "Change subset"
    click_tick(qtbot, dialog, "BIT_30")
    dialog.name_edit.setFocus()
    dialog.name_edit.selectAll()
    qtbot.keyClicks(dialog.name_edit, "odd ones")
    qtbot.keyClick(dialog.name_edit, Qt.Key_Return)
    [group] = application.data_collection.subset_groups
    assert (group.label, rows(group)) == ("odd ones", [2, 3, 4])
    assert dialog.edited_combo.currentText() == "odd ones"


def test_open_for_a_subset(application, data):
    group = application.data_collection.new_subset_group("mine", FlagSubsetState(data.id["flags"], HOT, "none"))
    dialog = flag_subsets_dialog(application.session, subset_group=group)
    assert dialog.edited_combo.currentText() == "mine"
    assert dialog.mode_combo.currentText() == "none of the ticked flags"
    assert item_of(dialog, "HOT").checkState(0) == Qt.Checked


def test_it_starts_with_the_data_of_the_focused_row(application, data):
    other = made_up("other")
    application.data_collection.append(other)
    focus_row(application.session, other, 2)
    assert flag_subsets_dialog(application.session).state.data is other
    assert flag_subsets_dialog(application.session, data).state.data is data


def test_decode(qtbot, dialog):
    qtbot.keyClicks(dialog.value_edit, "0x200400")
    assert dialog.decoded.toPlainText() == "10 HOT: hot pixel\n21 SOURCE: holds light of a known source"
    dialog.value_edit.selectAll()
    qtbot.keyClicks(dialog.value_edit, "2**3")
    assert "'2**3' is no flag value" in dialog.decoded.toPlainText()
    qtbot.keyClick(dialog.value_edit, Qt.Key_Return)
    assert dialog.isVisible()


def test_counts_for_a_detector(dialog):
    dialog.group_combo.setCurrentIndex(dialog.group_combo.findText("detector 3"))
    assert [item.text(2) for item in dialog.bit_table.items()] == ["1", "1", "0", "1"]
    assert item_of(dialog, "HOT").text(3) == "100.0 %"


def test_data_come_and_go(qtbot, application, data, dialog):
    other = made_up("made up")
    application.data_collection.append(other)
    assert [dialog.data_combo.itemText(k) for k in range(2)] == ["made up", "made up"]
    data.label = "renamed"
    process_events()
    assert dialog.data_combo.currentText() == "renamed"
    data.id["flags"].label = "quality"
    process_events()
    assert dialog.att_combo.currentText() == "quality"
    data.update_components({data.id["quality"]: np.array([HOT] * 6)})
    assert item_of(dialog, "HOT").text(2) == "6"
    dialog.state.mask = HOT
    application.data_collection.remove(data)
    process_events()
    assert dialog.state.data is other
    assert dialog.status_label.text() == "renamed was removed."
    click(qtbot, dialog.apply_button)
    assert rows(application.data_collection.subset_groups[0]) == [2, 3]
    application.data_collection.remove(other)
    process_events()
    assert dialog.bit_table.items() == []
    assert not dialog.apply_button.isEnabled()
    application.data_collection.append(made_up("again"))
    process_events()
    assert dialog.data_combo.currentText() == "again"
    assert len(dialog.bit_table.items()) == 4


def test_what_cannot_be_done_is_said(qtbot, application, dialog):
    dialog.state.mask = 1 << 5
    click(qtbot, dialog.copy_button)
    assert dialog.status_label.text().startswith("Not done: The subset 'REFERENCE' has no rows in 'made up'")
    assert "color" in dialog.status_label.styleSheet()
    assert len(application.data_collection) == 1


@pytest.mark.parametrize("n", [0, 1])
def test_few_rows(application, n):
    data = made_up("few", n=n)
    application.data_collection.append(data)
    dialog = flag_subsets_dialog(application.session, data)
    assert dialog.bit_table.items() == []
    dialog.chart.draw()
    dialog.state.mask = HOT
    dialog.state.apply()
    dialog.chart.draw()


def test_no_data(application):
    dialog = flag_subsets_dialog(application.session)
    assert dialog.data_combo.count() == 0
    dialog.chart.draw()
    assert not dialog.apply_button.isEnabled()


def test_it_stays_until_closed(qtbot, application, data, dialog):
    import gc

    dialog.state.mask = HOT
    reference = open_dialogs._open
    assert dialog in reference
    gc.collect()
    assert dialog.isVisible()
    state = dialog.state
    click(qtbot, dialog.close_button)
    assert dialog not in reference
    application.data_collection.remove(data)
    assert state.data is data  # it no longer listens


def test_closing_glue_closes_it(qtbot):
    window = GlueApplication()
    dialog = flag_subsets_dialog(window.session)
    assert dialog in open_dialogs._open
    window.close()
    process_events()
    assert dialog not in open_dialogs._open


def test_the_ticks_stay_when_other_subsets_come(application, data, dialog):
    dialog.state.choose_preset(PRESETS[1])
    [group] = dialog.state.apply()
    dialog.state.edited = group
    dialog.state.mask = HOT
    flag_subset(application.data_collection, data, SOURCE)
    group.label = "renamed"
    process_events()
    assert dialog.state.edited is group
    assert dialog.state.mask == HOT


def test_sizes(application, dialog):
    for size in ((760, 520), (1000, 700), (1400, 900)):
        dialog.resize(*size)
        process_events()
        assert (dialog.width(), dialog.height()) == size
        assert dialog.bit_table.width() >= 300
        assert dialog.close_button.geometry().right() < size[0]


def test_measured_spectra(qtbot, application, measured_spectra):
    data = load_spectrum(measured_spectra)
    data.label = "spectra"
    application.data_collection.append(data)
    dialog = flag_subsets_dialog(application.session)
    assert dialog.state.data is data
    click(qtbot, dialog.preset_buttons["Suspicious"])
    click(qtbot, dialog.apply_button)
    [group] = application.data_collection.subset_groups
    np.testing.assert_array_equal(group.subsets[0].to_mask(), data["flags"] >= 1 << 32)
    assert group.subsets[0].to_mask().any()


def test_odd_names(qtbot, application, dialog):
    """Long names and names that look like HTML are shown as they are, and do not widen the window."""
    dialog.resize(760, 520)
    dialog.state.mask = HOT
    dialog.state.name = "<b>" + 300 * "x"
    click(qtbot, dialog.apply_button)
    assert "<b>xxx" in dialog.status_label.text()
    assert dialog.status_label.textFormat() == Qt.PlainText
    application.data_collection[0].label = 300 * "y"
    process_events()
    assert dialog.width() == 760
    assert dialog.minimumSizeHint().width() <= 760
