"""Where points stand: units, magnitudes, redshift, errors, other instruments' data, what cannot be drawn."""

import numpy as np
import pytest
from astropy import units as u
from glue.core import Data, DataCollection
from glue.core.exceptions import IncompatibleAttribute
from glue.core.link_helpers import LinkSame
from glue.core.roi import CircularROI, PolygonalROI, RectangularROI, XRangeROI, YRangeROI
from glue.core.subset import RangeSubsetState, RoiSubsetState

from glue_spherex.model import Flag
from glue_spherex.plugin.loader import spectrum_data
from glue_spherex.plugin.spectrum_viewer.display import Axes, flagged_rows, positions, show
from glue_spherex.plugin.spectrum_viewer.flux_units import shown_error, shown_flux, to_ujy
from glue_spherex.plugin.spectrum_viewer.limits import limits_of
from glue_spherex.plugin.spectrum_viewer.quantities import CannotShow, find_quantity, unit_text
from glue_spherex.plugin.spectrum_viewer.regions import SpectrumRegionState, region_state
from glue_spherex.plugin.spectrum_viewer.state import SpectrumLayerState, SpectrumViewerState

C_M_PER_S = 299792458.0


@pytest.fixture
def data(made_spectrum):
    n = 12
    flux = np.array([100.0, 3631e6, -5.0, 0.0, np.nan, 200.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    wavelength = np.array([1.0, 2.0, 1.5, 1.6, 1.7, np.nan, 0.8, 0.9, 3.0, 3.5, 4.0, 4.5])
    errors = np.array([10.0, 3631e4, 1.0, 1.0, 1.0, 1.0, np.inf, -1.0, np.nan, 0.4, 0.5, 0.6])
    flags = np.where(np.arange(n) < 4, int(Flag.SOURCE), int(Flag.SOURCE | Flag.HOT))
    flags[6] = 0
    table = made_spectrum(2, 6, flux=flux, wavelength=wavelength, flux_err=errors, flags=flags)
    data = spectrum_data(table)
    data.label = "spectra"
    return data


def collection_of(*datasets):
    return DataCollection(list(datasets))


def axes(data, x="wavelength", y="flux", **options):
    return Axes(data.id[x], data.id[y], **options)


def viewer_state(*datasets):
    state = SpectrumViewerState()
    state.layers = [SpectrumLayerState(viewer_state=state, layer=data) for data in datasets]
    return state


def test_flux_units_against_closed_forms():
    flux, wavelength = np.array([3631e6, 363.1e6, 1.0]), np.array([1.0, 2.0, 2.0])
    np.testing.assert_allclose(shown_flux(flux, wavelength, "AB mag"), [0.0, 2.5, 23.9], atol=1e-4)
    # m = -2.5 lg(f / (erg/s/cm²/Hz)) - 48.6, and 1 µJy is 1e-29 of that unit
    np.testing.assert_allclose(shown_flux([50.0], [1.0], "AB mag"), -2.5 * np.log10(50e-29) - 48.6, rtol=1e-12)
    np.testing.assert_allclose(shown_flux(flux, wavelength, "mJy"), flux / 1000)
    frequency = C_M_PER_S / (wavelength * 1e-6)
    np.testing.assert_allclose(shown_flux(flux, wavelength, "νFν"), flux * 1e-29 * frequency, rtol=1e-12)
    np.testing.assert_allclose(shown_flux(flux, wavelength, "λFλ"), flux * 1e-32 * frequency, rtol=1e-12)
    error = shown_error([1.0], [100.0], [1.0], "AB mag")
    np.testing.assert_allclose(error, 1.0857362 / 100, rtol=1e-7)
    np.testing.assert_allclose(shown_error([2.0], [1.0], [2.0], "λFλ"), 2e-32 * C_M_PER_S / 2e-6, rtol=1e-12)
    with pytest.raises(ValueError, match="allowed are µJy, mJy"):
        shown_flux([1.0], [1.0], "Jy")


def test_magnitudes_of_nothing(data):
    shown = show(data, axes(data, y_unit="AB mag"))
    assert shown.drawn.tolist() == [True, True, False, False, False, False] + [True] * 6
    assert shown.y[1] == pytest.approx(0, abs=1e-4)
    assert shown.y_err[1] == pytest.approx(1.0857362 / 100)
    assert any("2 rows with a flux of 0 or less, which has no magnitude, are not shown." in n for n in shown.notes)
    assert any("2 rows without wavelength or flux are not shown." in n for n in shown.notes)


def test_errors_that_are_none(data):
    shown = show(data, axes(data))
    assert np.isnan(shown.y_err[6:9]).all()
    assert shown.y_err[0] == 10


def test_flagged_are_those_with_more_than_source(data):
    assert show(data, axes(data)).flagged.tolist() == [False] * 4 + [True, True, False] + [True] * 5


def test_log_axes_tell_what_they_lose(data):
    shown = show(data, axes(data), y_log=True)
    assert not shown.drawn[[2, 3]].any()
    assert "2 rows with a flux of 0 or less are not shown." in shown.notes


def test_sources_are_filtered_and_counted(data):
    shown = show(data, axes(data), keys=[1])
    assert np.flatnonzero(shown.drawn).tolist() == [6, 7, 8, 9, 10, 11]
    assert shown.notes == []


def test_rest_frame(data):
    shown = show(data, axes(data, redshift=1.0))
    np.testing.assert_allclose(shown.x, data["wavelength"] / 2)
    np.testing.assert_allclose(shown.x_half, data["lambda_width"] / 4)
    assert axes(data, redshift=1.2).labels()[0] == "rest-frame wavelength at z = 1.2 (µm)"
    with pytest.raises(CannotShow, match="above -1"):
        show(data, axes(data, redshift=-1.0))


def test_labels_are_true(data):
    assert axes(data).labels() == ("wavelength (µm)", "flux (µJy)")
    assert axes(data, y_unit="mJy").labels()[1] == "flux (mJy)"
    assert axes(data, y_unit="AB mag").labels()[1] == "AB magnitude"
    assert axes(data, y="flux_err", y_unit="mJy").labels()[1] == "flux error (mJy)"
    assert axes(data, y="flux_err", y_unit="AB mag").labels()[1] == "AB magnitude of flux error"
    assert axes(data, y="flux_bkg").labels()[1] == "background (MJy/sr)"
    assert axes(data, x="mjd", y="fit_ql").labels() == ("MJD (UTC)", "fit quality")
    assert axes(data, x="x_image").labels()[0] == "x on the detector (px)"
    renamed = axes(data)
    data.id["wavelength"].label = "my lambda"
    assert renamed.labels()[0] == "my lambda (µm)"
    assert unit_text("furlong^x") == "furlong^x"


def test_other_instruments(data):
    other = Data(label="lamp", wave=np.array([10000.0, 20000.0]), fnu=np.array([1e-3, 2e-3]), fnu_err=[1e-4, 1e-4])
    for name, unit in (("wave", "Angstrom"), ("fnu", "Jy"), ("fnu_err", "Jy")):
        other.get_component(name).units = unit
    shown = show(other, axes(data))
    np.testing.assert_allclose(shown.x, [1.0, 2.0])
    np.testing.assert_allclose(shown.y, [1000.0, 2000.0])
    np.testing.assert_allclose(shown.y_err, [100.0, 100.0])
    assert find_quantity(other, "wavelength") is other.id["wave"]
    f_lambda = to_ujy(np.array([1e-17]), u.Unit("erg / (s cm2 Angstrom)"), [1.0])
    # f_nu = f_lambda lambda² / c, in cgs: 1e-17 × (1e4 Å)² / (c in Å/s) erg/s/cm²/Hz, 1e-29 of which is 1 µJy
    np.testing.assert_allclose(f_lambda, 1e-17 * 1e8 / (C_M_PER_S * 1e10) / 1e-29)


def test_what_does_not_fit_is_told(data):
    nothing = Data(label="other", a=[1.0, 2.0])
    with pytest.raises(CannotShow, match="'other' has no 'wavelength'; link"):
        show(nothing, axes(data))
    bare = Data(label="bare", wavelength=[1.0], flux=[1.0])
    with pytest.raises(CannotShow, match="has no unit; the axis shows a wavelength"):
        show(bare, axes(data))
    with pytest.raises(CannotShow, match="2 dimensions"):
        show(Data(label="image", z=np.zeros((2, 2))), axes(data))


def test_links_are_followed(data):
    other = Data(label="other", a=np.array([1.0, 2.0]), b=np.array([5.0, 6.0]))
    other.get_component("a").units, other.get_component("b").units = "um", "uJy"
    collection = DataCollection([other])
    copy = Data(label="copy", wavelength=[1.0], flux=[2.0])
    copy.get_component("wavelength").units, copy.get_component("flux").units = "um", "uJy"
    collection.append(copy)
    collection.add_link([LinkSame(copy.id["wavelength"], other.id["a"]), LinkSame(copy.id["flux"], other.id["b"])])
    x, y = positions(other, Axes(copy.id["wavelength"], copy.id["flux"]))
    assert (x.tolist(), y.tolist()) == ([1.0, 2.0], [5.0, 6.0])


@pytest.mark.parametrize(
    ("values", "log", "expected"),
    [
        ([], False, (0.0, 1.0)),
        ([np.nan], False, (0.0, 1.0)),
        ([-1.0], True, (0.1, 1.0)),
        ([0.0], False, (-0.5, 0.5)),
        ([4.0], False, (3.8, 4.2)),
    ],
)
def test_limits_of_little(values, log, expected):
    np.testing.assert_allclose(limits_of(np.array(values), log), expected)


def test_limits():
    np.testing.assert_allclose(limits_of(np.array([0.0, 10.0]), margin=0.1), (-1, 11))
    np.testing.assert_allclose(limits_of(np.array([1.0, 100.0]), True, margin=0.5), (0.1, 1000))
    assert limits_of(np.arange(1001.0), percent=90.0, margin=0.0) == (50, 950)


def test_state_starts_with_wavelength_and_flux(data):
    state = viewer_state(data)
    assert (state.x_att, state.y_att) == (data.id["wavelength"], data.id["flux"])
    assert (state.x_axislabel, state.y_axislabel) == ("wavelength (µm)", "flux (µJy)")
    assert state.x_min < 0.8
    assert state.x_max > 4.5
    state.y_unit = "AB mag"
    assert state.y_min > state.y_max  # bright is up
    assert state.y_axislabel == "AB magnitude"
    state.y_log = True
    assert not state.y_log
    state.y_att = data.id["flux_bkg"]
    assert state.y_min < state.y_max
    assert state.y_axislabel == "background (MJy/sr)"


def test_state_finds_the_same_quantity_when_data_go(data, made_spectrum):
    second = spectrum_data(made_spectrum())
    second.label = "second"
    collection_of(data, second)
    state = viewer_state(data, second)
    state.y_att = data.id["flux_bkg"]
    state.layers = state.layers[1:]
    assert state.x_att is second.id["wavelength"]
    assert state.y_att is second.id["flux_bkg"]


def test_y_range_leaves_outliers_out(made_spectrum):
    flux = np.r_[np.linspace(1, 2, 999), 1e6]
    state = viewer_state(spectrum_data(made_spectrum(1, 1000, flux=flux)))
    assert state.y_max > 1e6
    state.y_range = 99.0
    assert state.y_max < 3


def roi_of(kind, x, y):
    """A region around some points of (x, y), given in the units of the axes, and the truth about its inside."""
    low_x, high_x = np.nanquantile(x, [0.2013, 0.7007])
    low_y, high_y = np.nanquantile(y, [0.2513, 0.8507])
    inside_x, inside_y = (x > low_x) & (x < high_x), (y > low_y) & (y < high_y)
    if kind == "rectangle":
        return RectangularROI(low_x, high_x, low_y, high_y), inside_x & inside_y
    if kind == "xrange":
        return XRangeROI(low_x, high_x), inside_x & np.isfinite(y)
    if kind == "yrange":
        return YRangeROI(low_y, high_y), inside_y & np.isfinite(x)
    if kind == "circle":
        radius = (high_x - low_x) / 2
        centre = (low_x + high_x) / 2, (low_y + high_y) / 2
        return CircularROI(*centre, radius), np.hypot(x - centre[0], y - centre[1]) < radius
    corners = [low_x, high_x, low_x], [low_y, low_y, high_y]
    slope = (high_y - low_y) / (high_x - low_x)
    return PolygonalROI(*corners), (x > low_x) & (y > low_y) & (y < high_y - (x - low_x) * slope)


@pytest.mark.parametrize("kind", ["rectangle", "xrange", "yrange", "circle", "polygon"])
@pytest.mark.parametrize("unit", ["µJy", "mJy", "AB mag", "νFν", "λFλ"])
@pytest.mark.parametrize("redshift", [0.0, 0.7])
def test_regions_select_what_is_seen(made_spectrum, kind, unit, redshift):
    rng = np.random.default_rng(3)
    flux, wavelength = rng.normal(3, 1.5, 400), rng.uniform(0.8, 5, 400)
    flux[:5], wavelength[5:9] = np.nan, np.nan
    data = spectrum_data(made_spectrum(2, 200, flux=flux, wavelength=wavelength))
    collection_of(data)
    state = viewer_state(data)
    state.y_unit, state.redshift = unit, redshift
    with np.errstate(invalid="ignore"):
        y = {
            "µJy": flux,
            "mJy": flux / 1000,
            "AB mag": -2.5 * np.log10(np.where(flux > 0, flux, np.nan) / 3630.780548e6),
            "νFν": flux * 1e-29 * C_M_PER_S / (wavelength * 1e-6),
            "λFλ": flux * 1e-32 * C_M_PER_S / (wavelength * 1e-6),
        }[unit]
        roi, truth = roi_of(kind, wavelength / (1 + redshift), y)
    made = region_state(state, roi)
    data.new_subset(subset=None).subset_state = made
    if kind == "xrange" and type(made) is RangeSubsetState:
        truth |= np.isnan(flux) & (wavelength > roi.min) & (wavelength < roi.max)  # a range of one column
    if kind == "yrange" and type(made) is RangeSubsetState:
        truth |= np.isnan(wavelength) & (flux > roi.min) & (flux < roi.max)
    assert 0 < truth.sum() < 400 or kind == "circle"
    np.testing.assert_array_equal(data.subsets[0].to_mask(), truth)
    native = unit == "µJy" and redshift == 0
    assert native == isinstance(made, RoiSubsetState | RangeSubsetState)


def test_regions_leave_hidden_sources_alone(data):
    state = viewer_state(data)
    state.layers[0].show_sources([1])
    made = region_state(state, RectangularROI(0, 6, -10, 1000))
    assert np.flatnonzero(made.to_mask(data)).tolist() == [6, 7, 8, 9, 10, 11]
    with pytest.raises(ValueError, match="has no 7; allowed are"):
        state.layers[0].show_sources([7])
    state.layers[0].show_sources([0, 1])
    assert state.layers[0].sources is None


def test_regions_reach_unlinked_spectra(data, made_spectrum):
    second = spectrum_data(made_spectrum(1, 5, wavelength=[1.0, 2, 3, 4, 4.5], flux=np.arange(5.0)))
    collection_of(data, second)
    state = viewer_state(data, second)
    made = region_state(state, RectangularROI(1.5, 4.2, 1.5, 1000))
    assert isinstance(made, SpectrumRegionState)
    assert made.to_mask(second).tolist() == [False, False, True, True, False]
    assert made.to_mask(second, view=slice(2, 4)).tolist() == [True, True]


@pytest.mark.parametrize("include_data", [False, True])
def test_regions_survive_sessions(made_spectrum, restored, tmp_path, include_data):
    from glue.core.data_factories import load_data

    from glue_spherex import write_spectra

    write_spectra(made_spectrum(), tmp_path / "s.vot")
    collection = DataCollection([load_data(str(tmp_path / "s.vot"))])
    state = viewer_state(collection[0])
    state.y_unit, state.redshift = "νFν", 0.3
    state.layers[0].show_sources([1])
    roi = RectangularROI(0.5, 4.0, 0, 1)
    group = collection.new_subset_group("seen", region_state(state, roi))
    before = group.subsets[0].to_mask()
    again = restored(collection, include_data)
    assert before.any()
    np.testing.assert_array_equal(again[0].subsets[0].to_mask(), before)
    assert "νFν" in str(again[0].subsets[0].subset_state)


def test_regions_leave_alone_what_a_logarithmic_axis_hides(made_spectrum):
    data = spectrum_data(made_spectrum(1, 40, flux=np.linspace(-10, 30, 40)))
    collection_of(data)
    state = viewer_state(data)
    state.y_log = True
    data.new_subset(subset=None).subset_state = region_state(state, XRangeROI(0, 6))
    np.testing.assert_array_equal(data.subsets[0].to_mask(), np.linspace(-10, 30, 40) > 0)


def test_regions_leave_alone_datasets_that_were_not_shown(data, made_spectrum):
    other = spectrum_data(made_spectrum(1, 12))
    together = collection_of(data, other)
    state = viewer_state(data)
    state.y_unit = "mJy"
    region = region_state(state, XRangeROI(0, 6))
    with pytest.raises(IncompatibleAttribute):
        region.to_mask(other)
    together.add_link([LinkSame(data.id[name], other.id[name]) for name in ("wavelength", "flux")])
    assert region.to_mask(other).any()


def test_a_link_between_units_keeps_the_units(data):
    other = Data(label="mJy", wl=np.array([10000.0, 20000.0]), f=np.array([1.0, 2.0]))
    other.get_component(other.id["wl"]).units = "Angstrom"
    other.get_component(other.id["f"]).units = "mJy"
    together = collection_of(data, other)
    together.add_link([LinkSame(data.id["wavelength"], other.id["wl"]), LinkSame(data.id["flux"], other.id["f"])])
    x, y = positions(other, axes(data))
    np.testing.assert_allclose(x, [1.0, 2.0])
    np.testing.assert_allclose(y, [1000.0, 2000.0])


def test_unsigned_flags():
    flags = np.array([0, int(Flag.SOURCE), int(Flag.FIT_ERROR)], dtype=np.uint64)
    assert flagged_rows(Data(flags=flags)).tolist() == [False, False, True]
