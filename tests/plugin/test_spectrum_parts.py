"""Means per channel, colours, legend, hover text and picking of the spectrum viewer."""

import numpy as np
import pytest
from glue.core import Data, DataCollection
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from glue_spherex.model import CHANNELS, DETECTORS, Flag
from glue_spherex.plugin.loader import spectrum_data
from glue_spherex.plugin.spectrum_viewer.binning import binned, channel_of
from glue_spherex.plugin.spectrum_viewer.colours import FLAG, GREY, Scale, colour_choices, colouring, default_colour
from glue_spherex.plugin.spectrum_viewer.display import Axes, show
from glue_spherex.plugin.spectrum_viewer.hover import point_text, with_error
from glue_spherex.plugin.spectrum_viewer.key import fitting_entries, one_scale
from glue_spherex.plugin.spectrum_viewer.layer_artist import SpectrumDataArtist, SpectrumSubsetArtist
from glue_spherex.plugin.spectrum_viewer.markers import Markers
from glue_spherex.plugin.spectrum_viewer.overview import binned_points, jump_places
from glue_spherex.plugin.spectrum_viewer.picking import nearest
from glue_spherex.plugin.spectrum_viewer.state import SpectrumViewerState


def test_channels():
    assert [CHANNELS[k][:2] for k in channel_of([0.753, 4.982, 1.102], [1, 6, 1])] == [(1, 1), (6, 17), (1, 17)]
    assert channel_of([1.11, 1.11], [1, 2]).tolist() == [16, 17]
    assert channel_of([np.nan, 0.6, 3.0], [1, 1, 1]).tolist() == [-1, -1, -1]
    assert CHANNELS[channel_of([3.033])[0]].detector == 4


def test_mean_by_hand():
    wavelength = np.array([0.753, 0.754, 0.752, 0.771, 0.771, 2.4])
    values, errors = np.array([10.0, 16.0, 999.0, 5.0, np.nan, 1.0]), np.array([1.0, 2.0, 1.0, 0.5, 1.0, 0.0])
    found = binned(wavelength, values, errors, [True, True, False, True, True, True], [1, 1, 1, 1, 1, 3])
    # weights 1 and 1/4: (10 + 16 / 4) / 1.25 = 11.2, error 1 / sqrt(1.25)
    np.testing.assert_allclose(found.mean, [11.2, 5.0])
    np.testing.assert_allclose(found.error, [1 / np.sqrt(1.25), 0.5])
    np.testing.assert_allclose(found.wavelength_um, [0.753, 0.771])
    np.testing.assert_allclose(found.half_um, [0.009, 0.0095])
    assert found.count.tolist() == [2, 1]


@pytest.fixture
def data(made_spectrum):
    n = 40
    wavelength = np.tile(np.linspace(0.76, 1.1, n // 2), 2)
    rng = np.random.default_rng(8)
    flags = np.where(np.arange(n) % 4 == 0, int(Flag.SOURCE | Flag.HOT), int(Flag.SOURCE))
    given = {"wavelength": wavelength, "flux": rng.normal(100, 5, n), "flux_err": rng.uniform(1, 5, n), "flags": flags}
    background = np.full(n, 0.5) + rng.normal(0, 0.002, n)
    background[7] += 0.4
    given |= {"det_id": np.ones(n, int), "flux_bkg": background, "flux_bkg_err": np.full(n, 0.001)}
    given |= {"mjd": np.full(n, 60800.5), "fit_ql": np.full(n, 0.8125), "lambda_width": np.full(n, 0.026)}
    data = spectrum_data(made_spectrum(2, n // 2, **given))
    data.label = "spectra"
    DataCollection([data])
    return data


def axes(data, **options):
    return Axes(data.id["wavelength"], data.id["flux"], **options)


def test_binned_points_use_clean_rows_of_each_source(data):
    shown = show(data, axes(data))
    points, problem = binned_points(data, axes(data), shown)
    assert problem == ""
    assert set(points.source) == {0, 1}
    first = CHANNELS[1]
    near = np.abs(data["wavelength"] - first.wavelength_um) <= (CHANNELS[2].wavelength_um - first.wavelength_um) / 2
    rows = near & (data["source_id"] == 1) & ((data["flags"] & int(Flag.HOT)) == 0)
    weight = 1 / data["flux_err"][rows] ** 2
    here = np.flatnonzero((points.source == 1) & (points.x == first.wavelength_um))[0]
    assert points.y[here] == pytest.approx(np.sum(weight * data["flux"][rows]) / weight.sum())
    assert points.y_err[here] == pytest.approx(1 / np.sqrt(weight.sum()))
    magnitudes, _ = binned_points(data, axes(data, y_unit="AB mag", redshift=1.0), shown)
    np.testing.assert_allclose(magnitudes.y, -2.5 * np.log10(points.y / 3630.780548e6))
    np.testing.assert_allclose(magnitudes.x, points.x / 2)


def test_binned_points_say_why_there_are_none(data):
    by_time = Axes(data.id["mjd"], data.id["flux"])
    assert "need a wavelength" in binned_points(data, by_time, show(data, by_time))[1]
    quality = Axes(data.id["wavelength"], data.id["fit_ql"])
    assert "has none for 'fit_ql'" in binned_points(data, quality, show(data, quality))[1]
    data.update_components({data.id["flags"]: np.full(data.size, int(Flag.HOT))})
    assert "no clean row" in binned_points(data, axes(data), show(data, axes(data)))[1]


def test_jumps_of_the_background(data):
    places, problem = jump_places(data, axes(data), show(data, axes(data)))
    assert problem == ""
    assert places.tolist() == [data["wavelength"][7]]
    other = Data(label="other", wavelength=[1.0], flux=[1.0])
    assert "has no columns" in jump_places(other, axes(data), None)[1]


def test_colours_of_categories(data):
    assert default_colour(data) == "source"
    by_source = colouring(data, "source", "#123456")
    assert [text for text, *_ in by_source.entries] == ["0000", "0001"]
    assert by_source.index.tolist() == [0] * 20 + [1] * 20
    by_detector = colouring(data, "detector", "#123456")
    np.testing.assert_allclose(by_detector.palette[by_detector.index[0]], to_rgba(DETECTORS[1].colour))
    by_flag = colouring(data, FLAG, "#123456", flag="HOT")
    assert by_flag.index.tolist() == (np.arange(40) % 4 == 0).astype(int).tolist()
    assert by_flag.entries[1][0] == "HOT"
    deep = colouring(data, data.id["deep_flg"], "#123456")
    assert deep.scale is None
    assert [text for text, *_ in deep.entries] == ["deep field: no", "deep field: yes"]
    assert colouring(data, "one colour", "#123456").palette.tolist() == [list(to_rgba("#123456"))]


def test_colours_of_numbers(data):
    mjd = np.linspace(60800, 60900, 40)
    mjd[3] = np.nan
    data.update_components({data.id["mjd"]: mjd})
    found = colouring(data, data.id["mjd"], "#123456", colour_map="viridis", low=60800.0, high=60900.0)
    assert found.scale.label == "MJD (UTC)"
    assert found.palette[found.index[3]].tolist() == list(GREY)
    assert (np.diff(np.delete(found.index, 3)) >= 0).all()
    background = colouring(data, data.id["flux_bkg"], "#123456", low=0.0, high=1.0)
    assert background.scale.label == "background (MJy/sr)"


def test_categories_in_words(data):
    def texts(name):
        return [text for text, *_ in colouring(data, data.id[name], "#123456").entries]

    data.update_components({data.id["deep_flg"]: np.arange(data.size) % 2})
    data.update_components({data.id["flags"]: np.array([0, int(Flag.SOURCE | Flag.HOT)])[np.arange(data.size) % 2]})
    assert texts("deep_flg") == ["deep field: no", "deep field: yes"]
    assert texts("flags") == ["no flag", "HOT, SOURCE"]


def test_a_bar_of_several_datasets_names_its_own():
    mjd, quality = Scale("MJD (UTC)", "viridis", 60800, 60900), Scale("fit quality", "viridis", 0.5, 2)
    assert one_scale([]) == (None, [])
    assert one_scale([("a", mjd), ("b", mjd)]) == (mjd, [])
    scale, notes = one_scale([("a", mjd), ("b", quality)])
    assert scale.label == "fit quality of b"
    assert notes == ["The colours of 'a' mean: MJD (UTC), 60800 to 60900."]


@pytest.mark.parametrize("n", [40, 3])
def test_many_categories_are_coloured_in_order(data, n):
    data.add_component(np.array([f"image {k % n:02d}" for k in range(40)]), "image")
    found = colouring(data, data.id["image"], "#123456")
    assert len({tuple(colour) for colour in found.palette}) == n
    assert (np.diff(found.index[:n]) == 1).all()
    assert len(found.entries) == (3 if n == 3 else 1)
    assert found.entries[0][0] == ("image 00" if n == 3 else "40 different values")
    one = np.flatnonzero(found.index == found.index[-1])
    assert [text for text, _ in found.entries_of(one)] == [f"image {39 % n:02d}"]  # a few of many are named
    assert [colour for _, colour in found.entries_of(one)] == [tuple(found.palette[found.index[-1]])]
    assert len(found.entries_of(np.arange(len(found.index)))) == (3 if n == 3 else 1)


def test_a_long_legend_is_cut():
    entries = [(f"a source with a long name {k}", "red", "filled") for k in range(20)]
    kept, columns = fitting_entries(entries, 6.0, inches)
    assert -(-len(kept) // columns) <= 3
    assert kept[-1][0] == f"… and {21 - len(kept)} more"
    assert sum(inches(text) + 0.36 for text, *_ in kept[:columns]) <= 6
    assert fitting_entries(entries[:2], 6.0, inches) == (entries[:2], 2)
    assert fitting_entries([], 6.0, inches) == ([], 1)
    assert len(fitting_entries(entries, 6.0, inches, most_rows=1)[0]) == 3


def inches(text):
    return 0.06 * len(text)


def test_choices_of_plain_data():
    plain = Data(label="plain", x=[1.0])
    assert colour_choices(plain) == ["one colour", plain.id["x"]]
    assert default_colour(plain) == "one colour"


def test_hover_text_in_words(data):
    text = point_text(data, 4, axes(data), show(data, axes(data)))
    lines = text.split("\n")
    assert lines[0] == "0000 · spectra"
    assert lines[1] == f"wavelength {data['wavelength'][4]:.3f} ± 0.013 µm"
    assert lines[2] == f"flux {data['flux'][4]:.1f} ± {data['flux_err'][4]:.1f} µJy"
    assert lines[3] == "detector 1, 2025-05-05 12:00 UTC"
    assert lines[4] == "flags HOT, SOURCE"
    assert lines[5].startswith("fit quality 0.812, background ")
    assert lines[6] == "image x"
    magnitude = axes(data, y_unit="AB mag")
    assert "AB magnitude 1" in point_text(data, 4, magnitude, show(data, magnitude))


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (22941.583, 311.2, "22942 ± 311"),
        (3.91072, 0.01711, "3.911 ± 0.017"),
        (1.2344e-15, 2.5e-17, "1.234e-15 ± 2.5e-17"),
        (60800.51234, np.nan, "60800.512"),
        (-0.25, 0.0, "-0.25"),
    ],
)
def test_numbers_have_the_digits_of_their_errors(value, error, text):
    assert with_error(value, error) == text


def test_hover_of_plain_data(data):
    plain = Data(label="plain", wavelength=[1.0, 2.0], flux=[3.0, 4.0])
    plain.get_component("wavelength").units, plain.get_component("flux").units = "um", "uJy"
    assert point_text(plain, 1, axes(data), show(plain, axes(data))) == "plain\nwavelength 2 µm\nflux 4 µJy"


@pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
def test_viewer_without_a_window(data, tmp_path, kind):
    """The state and the artists draw in any figure, and save in any format."""
    figure = Figure((6, 4), dpi=80)
    FigureCanvasAgg(figure)
    plot = figure.add_subplot()
    state = SpectrumViewerState()
    artist = SpectrumDataArtist(plot, state, layer=data)
    subset = SpectrumSubsetArtist(plot, state, layer=data.new_subset(data.id["flux"] > 100))
    state.show_binned = state.mark_jumps = state.show_bandwidth = True
    artist.update()
    subset.update()
    plot.set_xlim(state.x_min, state.x_max)
    plot.set_ylim(state.y_min, state.y_max)
    figure.savefig(tmp_path / f"spectrum.{kind}")
    assert (tmp_path / f"spectrum.{kind}").stat().st_size > 5000
    assert subset.rows.tolist() == np.flatnonzero(data["flux"] > 100).tolist()
    for layer in (artist, subset):
        layer.remove()
    assert not plot.collections
    assert not plot.artists


def test_nearest_in_screen_space():
    figure = Figure((5, 4), dpi=100)
    FigureCanvasAgg(figure)
    plot = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    plot.set_xlim(1e-3, 10)
    plot.set_xscale("log")
    plot.set_ylim(100, 0)
    x, y = np.array([0.01, 0.1, np.nan, 20.0, -1.0]), np.array([50.0, 50.0, 50.0, 50.0, 50.0])
    px, py = plot.transData.transform((0.1, 50.0))
    assert nearest(x, y, px + 3, py - 4, plot.transData, plot.bbox) == (pytest.approx(5), 1)
    assert nearest(x, y, px, py + 40, plot.transData, plot.bbox) == (np.inf, -1)
    beyond = plot.transData.transform((20.0, 50.0))
    assert nearest(x, y, *beyond, plot.transData, plot.bbox) == (np.inf, -1)
    assert nearest(x[:0], y[:0], px, py, plot.transData, plot.bbox) == (np.inf, -1)


@pytest.mark.parametrize("log", [False, True])
def test_markers_are_filled_or_hollow(log):
    figure = Figure((2, 2), dpi=100)
    canvas = FigureCanvasAgg(figure)
    plot = figure.add_axes((0, 0, 1, 1))
    plot.axis("off")
    for axis in "xy":
        plot.set(**{f"{axis}lim": (1, 10**2) if log else (0, 2), f"{axis}scale": "log" if log else "linear"})
    markers = Markers(plot)
    markers.size = 30
    xy = np.array([[0.5, 0.5], [1.5, 1.5], [np.nan, 1.0]])
    palette = np.array([to_rgba("red"), to_rgba("blue")])
    markers.set_points(10**xy if log else xy, np.array([0, 1, 0]), palette, np.array([False, True, False]))
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba()).astype(int)
    assert pixels[150, 50, :3].tolist() == [255, 0, 0]
    assert pixels[50, 150, :3].tolist() == [255, 255, 255]
    blue = (pixels[:, :, 2] > 200) & (pixels[:, :, 0] < 80)
    away = np.hypot(*(np.argwhere(blue) - (50, 150)).T)
    assert 18 < away.min() < away.max() < 23  # a ring of 15 points, 21 px, around the second point


def test_columns_with_text_where_numbers_are_expected(data):
    words = Data(label="words", **{name: np.array(["a", "b"]) for name in ("mjd", "fit_ql", "flux_bkg", "flags")})
    words.add_component(np.array([1.0, 2.0]), "wavelength")
    words.add_component(np.array([3.0, 4.0]), "flux")
    words.add_component(np.array([1, 1]), "det_id")
    axes = Axes(words.id["wavelength"], words.id["flux"])
    shown = show(words, axes)
    assert point_text(words, 0, axes, shown).splitlines() == ["words", "wavelength 1", "flux 3", "detector 1"]
    assert jump_places(words, axes, shown)[1] == (
        "Background jumps: 'words' has no columns flux_bkg and det_id with numbers."
    )


def test_hover_tells_the_unit_that_the_background_has(data):
    data.get_component(data.id["flux_bkg"]).units = "mJy"
    axes = Axes(data.id["wavelength"], data.id["flux"])
    assert "mJy" in point_text(data, 0, axes, show(data, axes)).split("background ")[1]
