"""Spectra of other programs in the spectrum viewer: units in the names of columns, and what is not known."""

import csv

import numpy as np
import pytest
from astropy import units as u
from glue.core import Data, DataCollection
from glue.core.link_helpers import LinkSame

from glue_spherex.plugin.loader import spectrum_data
from glue_spherex.plugin.spectrum_viewer.column_names import bandwidth_name, error_name, read_name
from glue_spherex.plugin.spectrum_viewer.display import Axes, show
from glue_spherex.plugin.spectrum_viewer.quantities import CannotShow, error_component, find_quantity
from glue_spherex.plugin.spectrum_viewer.state import SpectrumLayerState, SpectrumViewerState


def state_of(*datasets):
    state = SpectrumViewerState()
    state.layers = [SpectrumLayerState(viewer_state=state, layer=data) for data in datasets]
    return state


@pytest.fixture
def ours(made_spectrum):
    data = spectrum_data(made_spectrum())
    data.label = "ours"
    return data


@pytest.fixture
def real_table(test_data):
    """``real_table(name)``: columns of a real table of another program, as text, and the same as glue's data."""
    import pandas as pd
    from glue.core.data_factories.pandas import panda_process

    def read(name):
        path = test_data / "spectra" / "spiff_simp_j0136" / f"simp_j0136_{name}.csv"
        if not path.exists():
            pytest.skip(f"{path} is not there")
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {key: [row[key] for row in rows] for key in rows[0]}, panda_process(pd.read_csv(path))

    return read


def numbers(texts):
    return np.array([float(text) if text.strip() else np.nan for text in texts])


@pytest.mark.parametrize(
    ("name", "quantity", "unit"),
    [
        ("wavelength_angstrom", "wavelength", u.AA),
        ("wave_um", "wavelength", u.um),
        ("lambda_nm", "wavelength", u.nm),
        ("Wavelength (µm)", "wavelength", u.um),
        ("psf_wv_um", "wavelength", u.um),
        ("flux_ujy_weighted_mean", "flux", u.uJy),
        ("flux_ujy", "flux", u.uJy),
        ("flux_mjy", "flux", u.mJy),
        ("flux_MJy", "flux", u.MJy),
        ("FLUX[Jy]", "flux", u.Jy),
        ("f_nu_ujy", "flux", u.uJy),
        ("bin_width_um", "bandwidth", u.um),
        ("wave_width_nm", "bandwidth", u.nm),
    ],
)
def test_names_that_say_it(name, quantity, unit):
    read = read_name(name)
    assert (read.quantity, read.unit, read.error) == (quantity, unit, False)


@pytest.mark.parametrize(
    "name",
    [
        *("flux_MJy_sr", "FLUX_MJY", "bkg_flux_ujy", "flux_ujy_snr", "model_flux_ujy", "f_lambda_um", "flux_flambda"),
        *("rest_wave_um", "wave_min_um", "size_um", "bin_id", "reference_ra_deg", "microwave_um", "flux_ratio_jy"),
    ],
)
def test_names_that_do_not(name):
    assert read_name(name) is None


@pytest.mark.parametrize(
    "error", ["flux_ujy_err", "flux_err_ujy", "e_flux_ujy", "flux_ujy_sem", "FLUX_UJY_UNC", "fluxerr_mjy"]
)
def test_names_of_errors(error):
    others = ["flux_MJysr_err", "flux_ujy_std", "wave_um_err", "psf_flux_ujy_err", error]
    assert error_name("flux_ujy", others) == error
    assert error_name("wave_um", others) == "wave_um_err"
    assert error_name("flux_ujy_err", others) is None
    assert error_name("a", others) is None


def test_errors_and_bandwidths_of_their_own():
    assert error_name("flux_ujy", ["flux_mjy_err", "flux_ujy_err"]) == "flux_ujy_err"
    assert bandwidth_name("b_wv_um", ["a_wv_width_um", "b_wv_width_um"]) == "b_wv_width_um"
    assert bandwidth_name("wv_um", ["a_wv_width_um", "b_wv_width_um"]) is None
    assert bandwidth_name("wv_um", ["bin_width_um"]) == "bin_width_um"


def test_the_unit_of_the_table_goes_first():
    data = Data(wave_um=[10000.0], flux_ujy=[1.0], flux_ujy_err=[0.1])
    data.get_component("wave_um").units, data.get_component("flux_ujy").units = "Angstrom", "mJy"
    data.get_component("flux_ujy_err").units = "mJy"
    shown = show(data, Axes(data.id["wave_um"], data.id["flux_ujy"]))
    assert (shown.x[0], shown.y[0], shown.y_err[0]) == pytest.approx((1.0, 1000.0, 100.0))


def test_binned_table(real_table):
    truth, data = real_table("binned")
    state = state_of(data)
    assert (state.x_att.label, state.y_att.label) == ("wavelength_angstrom", "flux_ujy_weighted_mean")
    assert (state.x_axislabel, state.y_axislabel) == ("wavelength (µm)", "flux_weighted_mean (µJy)")
    shown = state.shown(data)
    np.testing.assert_allclose(shown.x, numbers(truth["wavelength_angstrom"]) / 1e4)
    np.testing.assert_allclose(shown.x_half, numbers(truth["bin_width_um"]) / 2)
    flux, sem = (numbers(truth[f"flux_ujy_weighted_{what}"]) for what in ("mean", "sem"))
    np.testing.assert_allclose(shown.y, flux)
    np.testing.assert_allclose(shown.y_err, sem)
    assert shown.notes == []
    state.y_unit = "mJy"
    np.testing.assert_allclose(state.shown(data).y_err, sem / 1000)


def test_binned_table_over_ours(real_table, ours):
    truth, data = real_table("binned")
    state = state_of(ours, data)
    shown = state.shown(data)
    np.testing.assert_allclose(shown.x, numbers(truth["bin_center_um"]), rtol=1e-6)
    np.testing.assert_allclose(shown.y, numbers(truth["flux_ujy_weighted_mean"]))
    np.testing.assert_allclose(shown.y_err, numbers(truth["flux_ujy_weighted_sem"]))
    assert state.shown(ours).notes == shown.notes == []


def test_unbinned_table(real_table):
    truth, data = real_table("unbinned")
    state = state_of(data)
    assert (state.x_att.label, state.y_att.label) == ("com_wv_um", "ap_flux_uJy")
    shown = state.shown(data)
    drawn = shown.drawn
    assert drawn.any()
    np.testing.assert_allclose(shown.x[drawn], numbers(truth["com_wv_um"])[drawn])
    np.testing.assert_allclose(shown.x_half[drawn], numbers(truth["com_wv_width_um"])[drawn] / 2)
    np.testing.assert_allclose(shown.y[drawn], numbers(truth["ap_flux_uJy"])[drawn])
    np.testing.assert_allclose(shown.y_err[drawn], numbers(truth["ap_flux_uJy_err"])[drawn])
    assert "3 columns with a wavelength; 'com_wv_um' is shown, choose another x in the tab Axes" in shown.notes[0]
    assert "psf_scipy_flux_uJy, psf_un_flux_uJy" in shown.notes[1]
    state.x_att, state.y_att = data.id["psf_un_wv_um"], data.id["psf_un_flux_uJy"]
    shown = state.shown(data)
    np.testing.assert_allclose(shown.y_err[shown.drawn], numbers(truth["psf_un_flux_uJy_err"])[shown.drawn])
    assert state.y_axislabel == "psf_un_flux (µJy)"
    assert not any("columns with" in note for note in shown.notes)


def test_without_units_values_are_drawn_as_they_are(ours):
    bare = Data(label="bare", wave=[10000.0, 20000.0], flux=[1.0, 2.0])
    state = state_of(bare)
    shown = state.shown(bare)
    assert shown.x.tolist() == [10000.0, 20000.0]
    assert state.x_axislabel == "wave"
    assert [note.split(";")[0] for note in shown.notes] == [
        "No unit of 'wave' of 'bare' is known",
        "No unit of 'flux' of 'bare' is known",
    ]
    beside = state_of(bare, ours)
    assert "is drawn in µm, beside 'wave' of 'bare', whose unit is not known" in beside.shown(ours).notes[0]
    with pytest.raises(CannotShow, match=r"has no unit; the axis shows a wavelength in µm\. Write its unit"):
        state_of(ours, bare).shown(bare)


def test_names_that_may_be_either_are_not_chosen():
    data = Data(label="two", wave=[1.0], lam=[2.0], fnu=[3.0])
    state = state_of(data)
    assert (state.x_att, state.y_att) == (None, data.id["fnu"])
    with pytest.raises(CannotShow, match=r"^Choose x in the tab Axes of the options: no wavelength was found"):
        state.shown(data)


def test_nothing_is_shown_until_it_is_chosen(ours):
    data = Data(label="other", bin_id=[1.0, 2.0], ra=[3.0, 4.0])
    state = state_of(data)
    assert state.x_att is state.y_att is None
    with pytest.raises(CannotShow, match=r"^Choose x and y in the tab Axes of the options: no wavelength and no flux"):
        state.shown(data)
    state.x_att, state.y_att = data.id["bin_id"], data.id["ra"]
    assert state.shown(data).y.tolist() == [3.0, 4.0]
    state.layers = [*state.layers, SpectrumLayerState(viewer_state=state, layer=ours)]
    assert state.x_att is data.id["bin_id"]
    state = state_of(data)
    state.layers = [*state.layers, SpectrumLayerState(viewer_state=state, layer=ours)]
    assert (state.x_att, state.y_att) == (ours.id["wavelength"], ours.id["flux"])


def test_links_of_columns_without_units_are_told(ours):
    bare = Data(label="bare", a=[10000.0, 20000.0], b=[1.0, 2.0])
    named = Data(label="named", wl_nm=[1000.0, 2000.0], flux_mjy=[1.0, 2.0])
    collection = DataCollection([ours, bare, named])
    for data, names in ((bare, ("a", "b")), (named, ("wl_nm", "flux_mjy"))):
        collection.add_link([LinkSame(ours.id[n], data.id[m]) for n, m in zip(("wavelength", "flux"), names)])
    axes = Axes(ours.id["wavelength"], ours.id["flux"])
    shown = show(bare, axes)
    assert (
        "No unit of 'a' of 'bare' is known; as it is linked to 'wavelength', its values are taken as µm."
        in shown.notes[0]
    )
    assert "'b'" in shown.notes[1]
    assert "taken as µJy" in shown.notes[1]
    shown = show(named, axes)
    np.testing.assert_allclose(shown.x, [1.0, 2.0])
    np.testing.assert_allclose(shown.y, [1000.0, 2000.0])
    assert shown.notes == []


def test_our_own_columns_keep_their_meaning(ours):
    assert find_quantity(ours, "flux") is ours.id["flux"]
    assert error_component(ours, ours.id["flux"]) is ours.id["flux_err"]
    assert error_component(ours, ours.id["wavelength"]) is None
