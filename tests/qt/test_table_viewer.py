import numpy as np
import pytest
from glue.core import Data
from glue_qt.utils import process_events
from qtpy import QtCore, QtGui
from qtpy.QtCore import Qt

from glue_spherex.plugin.flag_selection import flag_bit_attributes
from glue_spherex.plugin.focus import focus_row, focused_row
from glue_spherex.plugin.loader import load_spectrum
from glue_spherex.plugin.target_data import target_table_from
from glue_spherex.qt.table_viewer import SpherexTableViewer
from glue_spherex.qt.table_viewer.cells import CellDelegate, cell_text


@pytest.fixture
def data(application, measured_spectra):
    data = load_spectrum(measured_spectra)
    data.label = "spectra"
    application.data_collection.append(data)
    return data


@pytest.fixture
def viewer(application, data):
    viewer = application.new_data_viewer(SpherexTableViewer, data=data)
    viewer.viewer_size = (900, 500)
    process_events()
    return viewer


def click(qtbot, viewer, place):
    table = viewer.ui.table
    first = table.horizontalHeader().logicalIndex(0)
    where = table.visualRect(viewer.model.index(place, first)).center()
    qtbot.mouseClick(table.viewport(), Qt.LeftButton, pos=where)
    process_events()


def test_click_and_arrow_keys_focus_rows(application, viewer, data, qtbot):
    click(qtbot, viewer, 3)
    assert focused_row(application.session) == (data, 3)
    qtbot.keyClick(viewer.ui.table, Qt.Key_Down)
    assert focused_row(application.session) == (data, 4)


def test_rows_are_those_of_the_data_when_sorted(application, viewer, data, qtbot):
    flux = data["flux"]
    viewer.model.sort(viewer.model.columns.index(data.id["flux"]), Qt.DescendingOrder)
    process_events()
    click(qtbot, viewer, 0)
    assert focused_row(application.session)[1] == int(np.argsort(flux)[::-1][0])


def test_marks_what_is_focused_elsewhere(application, viewer, data):
    focus_row(application.session, data, data.size - 1)
    assert viewer.marked_row == data.size - 1
    assert viewer.ui.table.visualRect(viewer.model.index(data.size - 1, 0)).isValid()
    focus_row(application.session, data, None)
    assert viewer.marked_row is None


def tip_at(viewer, widget, position, qtbot):
    event = QtGui.QHelpEvent(QtCore.QEvent.ToolTip, position, widget.mapToGlobal(position))
    return viewer._tip(widget, event.pos())


def test_tooltips_say_what_a_column_holds_and_which_flags_are_set(viewer, data, qtbot):
    table = viewer.ui.table
    data.update_components({data.id["flags"]: np.full(data.size, 2097152 + 2**32)})
    data.id["flags"].label = "quality"
    column = viewer.model.columns.index(data.id["quality"])
    where = table.visualRect(viewer.model.index(1, column)).center()
    assert tip_at(viewer, table.viewport(), where, qtbot) == "SOURCE, CONTAINS_BAD_PIXEL"
    head = QtCore.QPoint(table.columnViewportPosition(column) + 5, 5)
    assert "quality flags" in tip_at(viewer, table.horizontalHeader().viewport(), head, qtbot)


def test_survives_a_session(application, viewer, tmp_path):
    from glue_qt.app import GlueApplication

    application.save_session(str(tmp_path / "table.glu"))
    again = GlueApplication.restore_session(str(tmp_path / "table.glu"), show=False)
    try:
        (restored,) = again.viewers[0]
        assert isinstance(restored, SpherexTableViewer)
        assert restored.data is again.data_collection[0]
    finally:
        again.close()


def test_short_numbers():
    assert cell_text("ra", "f", "108.95080439612345") == "108.950804"
    assert cell_text("flux", "f", "85409.29116237014") == "85409"
    assert cell_text("flux", "f", "nan") == ""
    assert cell_text("lvf_id", "i", "202518201040611") == "202518201040611"
    assert cell_text("label", "U", "0012") == "0012"


def test_the_data_get_other_rows(application, viewer, data, qtbot):
    """A file that was read again may be shorter."""
    focus_row(application.session, data, 5)
    short = Data(label="short")
    for cid in data.main_components:
        short.add_component(np.asarray(data[cid])[:3], cid.label)
    data.update_values_from_data(short)
    process_events()
    viewer.grab()
    assert viewer.model.rowCount() == 3
    assert viewer.marked_row is None
    click(qtbot, viewer, 2)
    assert focused_row(application.session) == (data, 2)


def test_a_column_is_added(viewer, data):
    [cid] = flag_bit_attributes(data, [21])
    process_events()
    assert cid in viewer.model.columns
    assert viewer.ui.table.horizontalHeader().count() == len(viewer.model.columns)


def test_a_row_of_a_table_whose_sources_have_text_for_numbers(application, viewer, data):
    targets = application.new_data_viewer(SpherexTableViewer, data=target_table(application, data))
    others = Data(label="others", source_id=np.array(["a", "b"]), ra=[1.0, 2.0], dec=[1.0, 2.0])
    application.data_collection.append(others)
    focus_row(application.session, others, 1)
    assert targets.marked_row is None


def test_a_target_of_two_tables(application, viewer, data, measured_spectra):
    """The table that is looked at is the one whose spectrum is shown."""
    other = load_spectrum(measured_spectra)
    other.label = "other"
    application.data_collection.append(other)
    targets = application.new_data_viewer(SpherexTableViewer, data=target_table(application, data))
    for spectra in (other, data):
        focus_row(application.session, spectra, 0)
        targets._chosen(3)
        assert focused_row(application.session)[0] is spectra
        targets._chosen(2)


def target_table(application, data):
    targets = target_table_from(data)
    application.data_collection.append(targets)
    return targets


def test_colours_of_subsets_are_asked_once(application, viewer, data):
    """Subsets that are slow to evaluate must not be asked for each cell."""
    from glue.core.subset import SubsetState
    from qtpy.QtCore import Qt

    class Slow(SubsetState):
        asked = 0

        def to_mask(self, data, view=None):
            Slow.asked += 1
            mask = data["flux"] > np.median(data["flux"])
            return mask if view is None else mask[view]

        def copy(self):
            return Slow()

    application.data_collection.new_subset_group("bright", Slow(), color="#ff0000")
    viewer.viewer_size = (901, 501)
    process_events()
    shown = [
        viewer.model.data(viewer.model.index(place, 0), Qt.BackgroundRole) is not None for place in range(data.size)
    ]
    np.testing.assert_array_equal(shown, (data["flux"] > np.median(data["flux"]))[viewer.model.order_visible])
    assert Slow.asked < 20
    viewer.layers[1].visible = False
    assert viewer.model.data(viewer.model.index(int(np.argmax(shown)), 0), Qt.BackgroundRole) is None


def test_opens_at_the_focused_row(application, data, qtbot):
    focus_row(application.session, data, data.size - 1)
    viewer = application.new_data_viewer(SpherexTableViewer, data=data)
    first = viewer.ui.table.horizontalHeader().logicalIndex(0)

    def visible():
        where = viewer.ui.table.visualRect(viewer.model.index(data.size - 1, first))
        return viewer.ui.table.viewport().rect().contains(where.center())

    qtbot.waitUntil(visible, timeout=180_000)


def test_the_columns_that_matter_stand_first(viewer):
    header = viewer.ui.table.horizontalHeader()
    names = [viewer.model.columns[header.logicalIndex(place)].label for place in range(5)]
    assert names == ["label", "wavelength", "flux", "flux_err", "flags"]


def test_columns_fit_without_looking_at_all_rows(application, monkeypatch):
    """Of a long table only the first rows, else it takes seconds to open."""
    asked, style = set(), CellDelegate.initStyleOption

    def counted(self, option, index):
        asked.add(index.row())
        style(self, option, index)

    monkeypatch.setattr(CellDelegate, "initStyleOption", counted)
    long = Data(label="long", name=np.repeat(["a", "a-rather-long-name", "b"], [1, 4, 2000]), x=np.arange(2005))
    application.data_collection.append(long)
    viewer = application.new_data_viewer(SpherexTableViewer, data=long)
    process_events()
    assert 5 < len(asked) < 500
    width = viewer.ui.table.fontMetrics().horizontalAdvance("a-rather-long-name")
    assert viewer.ui.table.columnWidth(viewer.model.columns.index(long.id["name"])) >= width
