"""Spectra of other programs, and what cannot be shown, in the windows."""

import numpy as np
import pytest
from glue.core import Data
from glue_qt.utils import process_events
from qtpy import QtWidgets

from glue_spherex.qt.arrange import arrange_viewers
from glue_spherex.qt.cutout_viewer import SpherexCutoutViewer
from glue_spherex.qt.spectrum_viewer import SpherexSpectrumViewer
from glue_spherex.qt.spectrum_viewer.summary_label import MOST_LINES, SummaryLabel


def shown_viewer(application, data):
    application.data_collection.append(data)
    viewer = application.new_data_viewer(SpherexSpectrumViewer, data=data)
    process_events()
    viewer._summarise()
    process_events()
    return viewer


def test_units_in_names(application):
    data = Data(label="lamp", wave_nm=[800.0, 3000.0], flux_mjy=[0.09, 0.11], flux_mjy_unc=[0.01, 0.02])
    viewer = shown_viewer(application, data)
    artist = viewer.data_artists[0]
    np.testing.assert_allclose(artist.markers.xy, [[0.8, 90], [3.0, 110]])
    ends = artist.error_bars.segments
    np.testing.assert_allclose(ends[:, 1, 1] - ends[:, 0, 1], [20, 40])
    assert (viewer.axes.get_xlabel(), viewer.axes.get_ylabel()) == ("wave (µm)", "flux (µJy)")


def test_nothing_found_is_told_and_chosen(application):
    data = Data(label="other", bin_id=[1.0, 2.0], ra=[3.0, 4.0])
    viewer = shown_viewer(application, data)
    assert not len(viewer.data_artists[0].rows)
    assert "Choose x and y in the tab Axes" in viewer.empty_text.get_text()
    assert "Choose x and y" in viewer.summary_label.lines[0]
    combos = [viewer.options.ui.combosel_x_att, viewer.options.ui.combosel_y_att]
    assert [combo.currentText() for combo in combos] == ["choose…", "choose…"]
    for combo, name in zip(combos, ("bin_id", "ra")):
        combo.setCurrentIndex(combo.findText(name))
    process_events()
    viewer._summarise()
    assert viewer.data_artists[0].markers.xy.tolist() == [[1, 3], [2, 4]]
    assert viewer.empty_text.get_text() == ""


def test_a_column_that_is_given_its_unit(application):
    data = Data(label="bare", wave=[8000.0, 30000.0], flux=[1.0, 2.0])
    viewer = shown_viewer(application, data)
    assert "No unit of 'wave' of 'bare' is known" in viewer.summary_label.text()
    data.id["wave"].label = "wave_angstrom"
    process_events()
    viewer._summarise()
    np.testing.assert_allclose(viewer.data_artists[0].markers.xy[:, 0], [0.8, 3.0])
    assert viewer.axes.get_xlabel() == "wave (µm)"
    assert "'wave" not in viewer.summary_label.text()


@pytest.mark.parametrize(("width", "n_lines"), [(4000, 1), (500, 2), (200, MOST_LINES)])
def test_long_sentences_wrap(qtbot, width, n_lines):
    label = SummaryLabel()
    qtbot.addWidget(label)
    label.resize(width, 20)
    label.say(["Choose x and y in the tab Axes.", "Here is a sentence that has a good many words in it, told twice."])
    assert len(label.lines) == n_lines
    assert label.lines[-1].endswith("…") == (width == 200)
    assert label.height() >= n_lines * label.fontMetrics().height()
    assert label.toolTip().splitlines()[1].startswith("Here is a sentence")
    assert all(label.fontMetrics().horizontalAdvance(line) <= width for line in label.lines)


def test_cutouts_of_other_data_are_refused_in_a_box(application, monkeypatch):
    monkeypatch.delenv("GLUE_TESTING")
    boxes = []
    monkeypatch.setattr(QtWidgets.QMessageBox, "exec_", lambda box: boxes.append(box.text()), raising=False)
    monkeypatch.setattr(QtWidgets.QMessageBox, "exec", lambda box: boxes.append(box.text()))
    data = Data(label="plain", a=[1.0, 2.0])
    application.data_collection.append(data)
    assert application.new_data_viewer(SpherexCutoutViewer, data=data) is None
    assert len(boxes) == 1
    assert boxes[0].startswith("The dataset cannot be shown as cutouts\n'plain' is neither a SPHEREx spectrum")
    assert application.viewers == ((),)


def test_arranging_other_data_tells_where_they_can_be_shown(application):
    data = Data(label="plain", a=[1.0, 2.0])
    application.data_collection.append(data)
    with pytest.raises(ValueError, match="into a viewer SPHEREx Spectrum"):
        arrange_viewers(application, data)
