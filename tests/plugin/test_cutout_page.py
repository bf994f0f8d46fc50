"""What is drawn: where a bright pixel appears, and the effect of every option."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from glue.core import Data
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from glue_spherex.images import read_record
from glue_spherex.model import FLAG_TABLE, Flag
from glue_spherex.photometry.background import local_background
from glue_spherex.plugin.cutouts.brightness import colours_of, display_limits, stretched
from glue_spherex.plugin.cutouts.layout import elided, lay_out, text_width, wrapped
from glue_spherex.plugin.cutouts.mask_layers import (
    ALL_BITS,
    ALL_BUT_SOURCE,
    CELLS,
    DEFAULT_BITS,
    PIXEL_FLAGS,
    count_flags,
    mask_overlay,
)
from glue_spherex.plugin.cutouts.measured_row import measured_rows, title_lines
from glue_spherex.plugin.cutouts.page import CutoutPage
from glue_spherex.plugin.cutouts.positions import catalogue_positions, other_sources
from glue_spherex.plugin.cutouts.reading import read_cutout
from glue_spherex.plugin.cutouts.state import CutoutViewerState
from glue_spherex.plugin.loader import spectrum_data
from glue_spherex.plugin.positions import position_columns
from glue_spherex.plugin.texts import date_text


@pytest.fixture(scope="module")
def field(simulated):
    return simulated("field", images=3, detectors=(1, 3, 6), calibration=False)


@pytest.fixture
def shown(field, made_spectrum):
    """A page with three cutouts, the middle one focused: page, state, canvas."""
    records = [read_record(path) for path in field.images]
    middle = [[float(v[0]) for v in np.split(record.footprint.mean(axis=0), 2)] for record in records]
    data = spectrum_data(
        made_spectrum(
            2, 3,
            ra=np.array([ra for ra, _ in middle] * 2) + np.repeat([0, 0.004], 3),
            dec=np.array([dec for _, dec in middle] * 2),
            wavelength=np.array([1.0, 2.0, 3.0] * 2),
            lvf_id=np.array([record.exposure_id for record in records] * 2),
            det_id=np.array([record.detector for record in records] * 2),
            obs_publisher_did=np.array([record.obs_publisher_did for record in records] * 2),
            flux_bkg=np.array([0.5, 0.6, np.nan] * 2),
            flags=np.array([0, int(Flag.SOURCE | Flag.HOT), 1 << 33] * 2),
        )
    )  # fmt: skip
    figure = Figure(figsize=(12, 5), dpi=100)
    canvas = FigureCanvasAgg(figure)
    state = CutoutViewerState(focus_data=data, focus_row=1, n_cutouts=3, mask_bits=0)
    page = CutoutPage(figure, state)
    rows = measured_rows(data, state.shown_rows())
    views = [read_cutout(record, row.ra, row.dec) for record, row in zip(records, rows, strict=True)]
    page.show(rows, 1, views)
    return page, state, canvas


def pixels_of(canvas, panel):
    """The screen inside a panel, row 0 at its lower edge."""
    canvas.draw()
    x, y, width, height = (round(value) for value in panel.axes.bbox.bounds)
    return np.asarray(canvas.buffer_rgba())[::-1][y : y + height, x : x + width].astype(int)


# -- where things appear -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", ["north", "detector"])
def test_a_bright_pixel_appears_at_its_place_on_the_sky(simulated, tmp_path, orientation):
    field = simulated("field", images=6, calibration=False)
    for number, path in enumerate(field.images):
        bright = tmp_path / f"{number}.fits"
        with fits.open(path) as hdus:
            image, wcs = hdus["IMAGE"], WCS(hdus["IMAGE"].header)
            ny, nx = image.data.shape
            x, y = nx // 2 + 3, ny // 2 + 2
            image.data[:] = 0
            image.data[y, x] = 100
            hdus["FLAGS"].data[:] = 0
            hdus.writeto(bright)
        ra, dec = (float(v) for v in wcs.all_pix2world(nx / 2 + 0.3, ny / 2 - 0.4, 0))
        there = SkyCoord(*wcs.all_pix2world(x, y, 0), unit="deg")
        east, north = SkyCoord(ra, dec, unit="deg").spherical_offsets_to(there)
        figure = Figure(figsize=(6, 6), dpi=100)
        canvas = FigureCanvasAgg(figure)
        state = CutoutViewerState(
            orientation=orientation, limits="fixed", vmax=100.0, stretch="linear", show_target=False,
            show_aperture=False, show_compass=False, show_sources=False, mask_bits=0, focus_data=Data(ra=[ra]),
        )  # fmt: skip
        page = CutoutPage(figure, state)
        record = read_record(bright)
        row = measured_rows(Data(ra=[ra], dec=[dec], det_id=[record.detector]), [0])
        page.show(row, None, [read_cutout(record, ra, dec)])
        panel = page.panels[0]
        white = pixels_of(canvas, panel)[..., 0] > 200
        white[:3] = white[-3:] = white[:, :3] = white[:, -3:] = False  # the frame
        white &= ~hatched(canvas, panel)
        rows, columns = np.nonzero(white)
        screen = panel.axes.bbox.x0 + columns.mean() + 0.5, panel.axes.bbox.y0 + rows.mean() + 0.5
        u, v = panel.axes.transData.inverted().transform(screen)
        if orientation == "north":
            expected = east.to_value("arcsec"), north.to_value("arcsec")
        else:
            expected = np.array([x - nx / 2 - 0.3, y - ny / 2 + 0.4]) * page.panels[0].view.pixel_scale
        np.testing.assert_allclose((u, v), expected, atol=0.4)  # a pixel of the screen is 0.15 arcsec
        side = np.sqrt(white.sum()) * 72 / panel.axes.bbox.width
        assert side == pytest.approx(panel.view.pixel_scale, rel=0.05)  # and it has its size
        left, right = panel.axes.get_xlim()
        assert (left > right) == (orientation == "north")  # East is left


def hatched(canvas, panel):
    """Where there is no pixel: grey, not black or white."""
    pixels = pixels_of(canvas, panel)
    return (np.abs(pixels[..., 0] - pixels[..., 2]) > 2) & (pixels[..., 0] > 100)


def test_places_of_target_sources_circle_and_box(shown):
    page, state, _ = shown
    panel = page.panels[1]
    np.testing.assert_allclose(np.nanmean(panel.target.get_xydata(), axis=0), (0, 0), atol=1e-9)
    assert panel.aperture.get_radius() == 2.5
    np.testing.assert_allclose(panel.aperture.get_center(), panel.view.target)
    x, y = panel.sources.get_xydata()[0]  # the other source of the table, 0.004 deg of right ascension away
    u, v, _ = panel.view.offsets("north") @ (x, y, 1)
    assert (u, v) == pytest.approx((14.4 * np.cos(np.radians(panel.row.dec)), 0), abs=0.02)
    state.show_box = True
    page.restyle()
    left, low, width, height = panel.box.get_bbox().bounds
    assert (width, height) == (15, 15)
    assert (left + 7.5, low + 7.5) == tuple(np.round(panel.view.target))


# -- options, each changed once ----------------------------------------------------------------------------------------


def test_orientation_turns_the_pixels(shown):
    page, state, _ = shown
    before = page.panels[1].pixels_to_plane.get_matrix().copy()
    state.orientation = "detector"
    page.restyle()
    matrix = page.panels[1].pixels_to_plane.get_matrix()
    assert not np.allclose(matrix, before)
    assert matrix[0, 1] == matrix[1, 0] == 0


@pytest.mark.parametrize(
    "option",
    [
        {"stretch": "log"},
        {"cmap": "viridis"},
        {"percentile": 80.0},
        {"limits": "common"},
        {"limits": "fixed", "vmin": 0.0, "vmax": 0.01},
        {"mask_bits": ALL_BITS},
    ],
)
def test_options_of_the_pixels(shown, option):
    page, state, _ = shown
    before = page.panels[1].image.get_array().copy()
    state.update_from_dict(option)
    page.restyle()
    after = page.panels[1].image.get_array()
    assert before.shape != after.shape or (before != after).any()


def test_background_is_subtracted_or_its_lack_told(shown):
    page, state, _ = shown
    image = page.panels[0].view.image
    limits = page.panels[0].limits
    state.background = "local"
    page.restyle()
    np.testing.assert_allclose(page.panels[0].limits, np.array(limits) - 0.5)
    assert "no flux_bkg to subtract" in page.panels[2].caption.get_text()
    state.background = "zodi"
    page.restyle()
    assert page.panels[0].limits[1] < limits[1]
    assert page.panels[0].view.image is image  # the view itself is untouched


@pytest.mark.parametrize("name", ["target", "sources", "aperture"])
def test_marks_can_be_hidden(shown, name):
    page, state, _ = shown
    assert getattr(page.panels[1], name).get_visible()
    setattr(state, f"show_{name}", False)
    page.restyle()
    assert not getattr(page.panels[1], name).get_visible()


def test_scale_and_directions(shown):
    page, state, _ = shown
    first = page.panels[0]
    length = np.ptp(first.scale.get_xdata()) * abs(np.diff(first.axes.get_xlim())[0])
    assert first.scale_text.get_text() == f"{length:.0f}″"
    assert first.east.get_position()[0] < first.north.get_position()[0]
    assert not page.panels[1].scale.get_visible()
    state.show_compass = False
    page.restyle()
    assert not first.scale.get_visible()


def test_positions_of_another_dataset(shown):
    page, state, _ = shown
    row = page.panels[1].row
    state.catalogue = Data(RAJ2000=[row.ra, row.ra + 90], DEJ2000=[row.dec + 10 / 3600, 0.0])
    page.restyle()
    panel = page.panels[1]
    assert len(panel.catalogue.get_xydata()) == 1
    u, v, _ = panel.view.offsets("north") @ (*panel.catalogue.get_xydata()[0], 1)
    assert (u, v) == pytest.approx((0, 10), abs=0.02)
    assert position_columns(Data(a=[1.0])) == (None, None)
    assert catalogue_positions(Data(a=[1.0]), row, 1.0)[0].size == 0


def test_zoom_and_pan_are_shared_while_locked(shown):
    page, state, _ = shown
    page.zoom(page.panels[0], 0.5, 0.0, 0.0)
    page.apply_view()
    assert state.view == [0.0, 0.0, 18.0]
    assert all(panel.axes.get_xlim() == (18, -18) for panel in page.panels)
    page.panels[2].axes.set_xlim(20, 0)  # as the tools for pan and zoom do
    page.panels[2].axes.set_ylim(-5, 10)
    page.settle()
    page.apply_view()
    assert state.view == [10.0, 2.5, 10.0]
    assert all(panel.axes.get_ylim() == (-7.5, 12.5) for panel in page.panels)
    state.wcs_locked = False
    page.zoom(page.panels[0], 2.0, 10.0, 2.5)
    assert page.panels[0].axes.get_xlim() == (30, -10)
    assert page.panels[1].axes.get_xlim() == (20, 0)
    state.reset_limits()
    page.apply_view()
    assert all(panel.axes.get_xlim() == (36, -36) for panel in page.panels)


def test_numbers_and_order_of_rows(made_spectrum):
    data = spectrum_data(made_spectrum(2, 30, wavelength=np.tile(np.arange(30.0), 2), mjd=-np.arange(60.0)))
    state = CutoutViewerState(focus_data=data, focus_row=40)
    assert state.shown_rows() == [38, 39, 40, 41, 42]  # of the same source
    state.order = "time"
    assert state.shown_rows() == [42, 41, 40, 39, 38]
    for number in (1, 3, 5, 7, 9, 15, 25):
        state.n_cutouts = number
        assert len(state.shown_rows()) == number
    state.update_from_dict({"order": "wavelength", "n_cutouts": 5, "focus_row": 31})
    assert state.shown_rows() == [30, 31, 32, 33, 34]  # the first of the source: not in the middle
    state.focus_row = 60
    assert state.shown_rows() == []


def test_a_row_without_wavelength_stands_alone(made_spectrum):
    data = spectrum_data(made_spectrum(1, 5, wavelength=[1, 2, np.nan, 4, 5]))
    assert CutoutViewerState(focus_data=data, focus_row=2).shown_rows() == [2]


# -- drawing one panel at a time ---------------------------------------------------------------------------------------


def test_panels_are_drawn_one_by_one_and_reused(shown):
    page, state, canvas = shown
    assert [page.draw_next() for _ in range(4)] == [True, True, True, False]  # the empty page first, as it is new
    before = np.asarray(canvas.buffer_rgba()).copy()
    artists = len(page.figure.findobj())
    state.cmap = "viridis"
    page.restyle()
    drawn = [page.draw_next() for _ in range(3)]
    assert drawn == [True, True, False]
    one_by_one = np.asarray(canvas.buffer_rgba()).copy()
    assert (one_by_one != before).any()
    canvas.draw()
    np.testing.assert_array_equal(one_by_one, np.asarray(canvas.buffer_rgba()))  # the same as all at once
    panels = {panel.row.row: panel for panel in page.panels}
    rows = [panel.row for panel in page.panels]
    views = [panel.view for panel in page.panels]
    page.show([*rows[1:], rows[0]], 2, [*views[1:], views[0]], moved=True)
    assert [panel.row.row for panel in page.panels] == [1, 2, 0]
    assert all(panels[panel.row.row] is panel for panel in page.panels)  # moved, not made anew
    assert len(page.figure.findobj()) == artists


def test_a_problem_stands_in_its_panel_and_fits(shown):
    page, _, canvas = shown
    from glue_spherex.plugin.cutouts.reading import CutoutView

    row = page.panels[1].row
    text = f"{row.image_name} is not among the 12 images in /a/very/long/folder/{'name' * 20}."
    assert page.receive(row, CutoutView(problem=text))
    assert page.problems == [text]
    canvas.draw()
    panel, written = page.panels[1].axes.bbox, page.panels[1].message.get_window_extent()
    assert panel.x0 <= written.x0 <= written.x1 <= panel.x1
    assert panel.y0 <= written.y0 <= written.y1 <= panel.y1
    page.arrange(force=True)
    page.rewrite()
    assert page.problems == [text]


def test_titles_never_overlap(shown):
    page, _, canvas = shown
    for width, height in ((12, 5), (7, 3), (4, 6)):
        page.figure.set_size_inches(width, height)
        page.arrange()
        page.rewrite()
        canvas.draw()
        boxes = [panel.title.get_window_extent() for panel in page.panels]
        boxes += [panel.axes.bbox for panel in page.panels] + [p.caption.get_window_extent() for p in page.panels]
        for k, one in enumerate(boxes):
            for other in boxes[k + 1 :]:
                across = min(one.x1, other.x1) - max(one.x0, other.x0)
                along = min(one.y1, other.y1) - max(one.y0, other.y0)
                assert across <= 1 or along <= 1, (width, height)


@pytest.mark.parametrize("count", [1, 3, 5, 7, 9, 15, 25])
@pytest.mark.parametrize("size", [(1070, 330), (600, 600), (300, 900), (40, 40)])
def test_layout_is_inside_the_page(count, size):
    layout = lay_out(count, *size)
    assert len(layout.corners) == count
    if min(size) > 100:
        for x, y in layout.corners:
            assert 0 <= x <= size[0] - layout.side + 1e-6
            assert 0 <= y <= size[1] - layout.side + 1e-6
    if size[0] > 1000 and count <= 7:
        assert layout.columns == count  # a strip


def test_texts_are_cut_to_their_room():
    assert elided("SOURCE", 500, 8, 100) == "SOURCE"
    cut = elided("CONTAINS_BAD_PIXEL, OUTLIER, SOURCE", 120, 8, 100)
    assert cut.endswith("…")
    assert text_width(cut, 8, 100) <= 120
    lines = wrapped("a sentence with /a/path/" + "x" * 100, 150, 8, 100).split("\n")
    assert all(text_width(line, 8, 100) <= 150 for line in lines)


# -- titles, hover, masks ----------------------------------------------------------------------------------------------


def test_title_tells_wavelength_date_flux_and_flags(shown):
    page, _, _ = shown
    row = page.panels[1].row
    from dataclasses import replace

    row = replace(row, mjd=60676.25, flux=123.456, flux_err=1.27)
    assert title_lines(row) == ["2.0000 µm · D3", "2025-01-01 06:00", "123.5 ± 1.3 µJy", "HOT, SOURCE"]
    nan = float("nan")
    empty = replace(row, wavelength=nan, mjd=nan, flux=nan, flags=None)
    assert title_lines(empty) == ["no wavelength · D3", "no date", "no flux", "flags unknown"]


def test_hover_tells_pixel_value_and_flags(shown, field):
    page, _, _ = shown
    panel = page.panels[1]
    x, y = 9, 4
    u, v, _ = panel.view.offsets("north") @ (x, y, 1)
    with fits.open(field.images[1]) as hdus:
        value = hdus["IMAGE"].data[panel.view.y0 + y, panel.view.x0 + x]
        flags = hdus["FLAGS"].data[panel.view.y0 + y, panel.view.x0 + x]
    text = panel.describe(u, v)
    assert text.startswith(f"x {panel.view.x0_det + x}, y {panel.view.y0_det + y} · {value:.5g} MJy/sr · ")
    assert text.endswith(", ".join(Flag.decode(int(flags))) or "no flag")
    assert panel.describe(1e4, 0) == "not on the image"
    assert panel.describe(None, None) == ""


def test_mask_colours_counts_and_presets():
    flags = np.zeros((2, 3), np.int64)
    flags[0, 1] = int(Flag.HOT)
    flags[1, 2] = int(Flag.HOT | Flag.SOURCE | Flag.OUTLIER)
    overlay = mask_overlay(flags, ALL_BITS, 0.5).reshape(2, CELLS, 3, CELLS, 4).swapaxes(1, 2)
    assert (overlay[0, 0, ..., 3] == 0).all()
    assert (overlay[0, 1] == (255, 0, 0, 128)).all()  # HOT is red
    seen = {tuple(cell) for cell in overlay[1, 2].reshape(-1, 4)[:, :3].tolist()}
    wanted = {tuple(int(i.colour[k : k + 2], 16) for k in (1, 3, 5)) for i in FLAG_TABLE if flags[1, 2] >> i.bit & 1}
    assert seen == wanted  # none of three flags hides another
    only = mask_overlay(flags, ALL_BUT_SOURCE & ~int(Flag.OUTLIER), 1.0).reshape(2, CELLS, 3, CELLS, 4)
    assert (only[1, :, 2] == (255, 0, 0, 255)).all()
    counts = count_flags([flags, flags])
    assert (counts[Flag.HOT.bit_length() - 1], counts[21], counts[0]) == (4, 2, 0)
    assert len({info.colour for info in PIXEL_FLAGS}) == len(PIXEL_FLAGS)
    assert not DEFAULT_BITS & int(Flag.SOURCE | Flag.FULLSAMPLE)
    assert ALL_BUT_SOURCE | int(Flag.SOURCE) == ALL_BITS


def test_limits_and_stretch():
    assert display_limits([], 99) == (0.0, 1.0)
    assert display_limits([np.arange(101.0)], 95) == (5.0, 95.0)
    low, high = display_limits([np.full(5, 3.0)])
    assert low < 3 < high
    for stretch in ("linear", "sqrt", "asinh", "log"):
        values = stretched(np.array([-1, 0, 0.2, 0.9, 1, 7]), stretch)
        assert values[0] == values[1] == 0
        assert values[-1] == values[-2] == pytest.approx(1)
        assert (np.diff(values[1:5]) > 0).all()
    colours = colours_of(np.array([[np.nan, 0.0, 1.0]]), (0.0, 1.0), "linear", "gray")
    assert colours.tolist() == [[[0, 0, 0, 0], [0, 0, 0, 255], [255, 255, 255, 255]]]


def test_subsets_mark_panels(shown):
    page, _, _ = shown
    page.mark_subsets([["#ff0000"], ["#ff0000", "#00ff00"], []])
    assert [len(panel.subsets.get_segments()) for panel in page.panels] == [1, 2, 0]


def test_other_sources_without_numbers(made_spectrum):
    data = spectrum_data(made_spectrum(2, 2, lvf_id=[0, 0, 0, 0], obs_publisher_did=["a", "b", "a", "b"]))
    row = measured_rows(data, [0])[0]
    np.testing.assert_allclose(other_sources(data, row), ([150.01], [2.01]))


@pytest.mark.parametrize("box", [15, 16])
@pytest.mark.parametrize("shift", [0.1, 0.4, 0.6])
def test_the_box_surrounds_the_pixels_that_the_background_was_taken_from(shown, box, shift):
    page, _, _ = shown
    panel = page.panels[0]
    panel.view = replace(panel.view, target=(20.0 + shift, 20.0 - shift))
    panel.put_marks(target=True, aperture=True, box_px=box, sources=_nowhere(), catalogue=_nowhere())
    image = np.zeros((60, 60))
    left, low = (round(value + 0.5) for value in panel.box.get_xy())
    image[low : low + box, left : left + box] = 1.0  # what the frame surrounds is uniform, and nothing else is
    usable = np.ones((60, 60), bool)
    assert local_background(image, usable, [panel.view.target[0]], [panel.view.target[1]], box).level[0] == 1.0
    assert local_background(image, usable, [panel.view.target[0]], [panel.view.target[1]], box).n_pixels[0] == box**2


def _nowhere():
    return np.zeros(0), np.zeros(0)


@pytest.mark.parametrize(("value", "names"), [(-1, "flags unknown"), (np.nan, "flags unknown"), (2.0**10, "HOT")])
def test_flags_that_are_missing_are_not_called_none(value, names):
    (row,) = measured_rows(Data(ra=[1.0], dec=[2.0], flags=[value]), [0])
    assert title_lines(row)[3] == names


def test_dates_to_the_nearest_minute():
    assert date_text(61013.204861) == "2025-12-04 04:55"  # 04:54:59.99
    assert date_text(60676.0) == "2025-01-01 00:00"
    assert date_text(np.nan) == "no date"


def test_many_small_panels_have_no_texts_but_size():
    layout = lay_out(25, 656, 200, 100)
    assert layout.side > 50
    assert layout.lines == 0


def test_a_box_larger_than_the_cutouts_is_told(made_spectrum):
    state = CutoutViewerState(focus_data=spectrum_data(made_spectrum(1, 3)), focus_row=0, show_box=True)
    assert "a size of 2.2 arcmin" in state.box_note
    state.orientation = "detector"
    assert "a size of 1.6 arcmin" in state.box_note
    state.size_arcmin = 1.6
    assert state.box_note == ""


@pytest.mark.parametrize("percentile", [None, np.nan, "x", -5, 1000])
def test_percentiles_that_are_none_still_draw(shown, percentile):
    page, state, _ = shown
    state.percentile = percentile
    page.restyle()
    assert all(low < high for low, high in (panel.limits for panel in page.panels))
