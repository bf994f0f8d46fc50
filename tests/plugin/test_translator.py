"""Spectra of specutils from glue data, and back."""

import subprocess
import sys

import numpy as np
import pytest
from astropy import units as u
from glue.core import Data, DataCollection
from specutils import Spectrum, SpectrumList

from glue_spherex.model import Flag, SpectrumError
from glue_spherex.plugin.columns import kind_of
from glue_spherex.plugin.loader import spectrum_data
from glue_spherex.plugin.translator import to_spectrum, to_table


@pytest.fixture
def data(made_spectrum):
    flux = np.arange(14.0)
    flux[5] = np.nan
    result = spectrum_data(made_spectrum(flux=flux))
    result.label = "spectra"
    DataCollection([result])
    return result


def expected_rows(data, rows):
    return rows[np.argsort(data["wavelength"][rows], kind="stable")]


def test_a_source_of_a_dataset(data):
    spectrum = data.get_object(cls=Spectrum, source_id=1)
    rows = expected_rows(data, np.arange(7, 14))
    np.testing.assert_array_equal(spectrum.meta["row"], rows)
    np.testing.assert_array_equal(spectrum.flux.to_value("uJy"), data["flux"][rows])
    np.testing.assert_array_equal(spectrum.spectral_axis.to_value("um"), data["wavelength"][rows])
    np.testing.assert_array_equal(spectrum.uncertainty.array, data["flux_err"][rows])
    np.testing.assert_array_equal(spectrum.mask, (data["flags"][rows] & Flag.FIT_ERROR) != 0)
    np.testing.assert_array_equal(spectrum.meta["lvf_id"], data["lvf_id"][rows])
    assert spectrum.meta["glue_spherex"]["settings"] == {"background_box": 15}


def test_a_subset(data):
    """Row numbers are those of the dataset; NaN fluxes are masked."""
    collection = DataCollection([spectrum_data(to_table(data))])
    data = collection[0]
    collection.new_subset_group("few", (data.id["source_id"] == 0) & (data.id["wavelength"] > 1.5))
    spectrum = data.get_subset_object("few", cls=Spectrum)
    rows = expected_rows(data, np.flatnonzero((data["source_id"] == 0) & (data["wavelength"] > 1.5)))
    np.testing.assert_array_equal(spectrum.meta["row"], rows)
    np.testing.assert_array_equal(spectrum.mask, np.isnan(data["flux"][rows]) | (data["flags"][rows] >> 33 == 1))
    assert len(to_spectrum(data.subsets[0], 0).flux) == len(rows)
    with pytest.raises(SpectrumError, match="'few' has no source with source_id 1; it has 0"):
        data.get_subset_object("few", cls=Spectrum, source_id=1)


def test_all_sources(data):
    spectra = data.get_object(cls=SpectrumList)
    assert isinstance(spectra, SpectrumList)
    assert [len(s.flux) for s in spectra] == [7, 7]
    assert sorted(np.concatenate([s.meta["row"] for s in spectra])) == list(range(14))


def test_several_sources_are_not_one_spectrum(data):
    with pytest.raises(SpectrumError, match="several sources; say which with source_id"):
        data.get_object(cls=Spectrum)


def test_more_masked_flags(data):
    spectrum = to_spectrum(data, 0, mask_flags=Flag.SOURCE)
    assert spectrum.mask.sum() == np.sum((data["flags"][:7] != 0) | np.isnan(data["flux"][:7]))


def test_back_into_glue(data):
    collection = DataCollection()
    collection["again"] = data.get_object(cls=Spectrum, source_id=1)
    again = collection["again"]
    rows = expected_rows(data, np.arange(7, 14))
    assert kind_of(again) == "spectrum"
    for name in ("flux", "flux_err", "wavelength", "flags", "lvf_id", "label", "source_id", "flux_bkg"):
        np.testing.assert_array_equal(again[name], data[name][rows], err_msg=name)
    np.testing.assert_array_equal(again.get_object().flux.value, data["flux"][rows])
    collection["both"] = data.get_object(cls=SpectrumList)
    assert collection["both"].size == 14


def test_spectra_of_other_instruments(data):
    """Any spectrum with a wavelength and a flux density becomes data of µm and µJy."""
    if "glue_astronomy" in sys.modules:
        pytest.skip("glue-astronomy takes them")
    other = Spectrum(flux=[1.0, 2.0] * u.mJy, spectral_axis=[10000.0, 20000.0] * u.AA)
    collection = DataCollection()
    collection["other"] = other
    assert collection["other"]["flux"].tolist() == [1000.0, 2000.0]
    np.testing.assert_allclose(collection["other"]["wavelength"], [1.0, 2.0])


def test_other_translators_keep_their_data(data, monkeypatch):
    """Such as glue-astronomy's: for spectra and data that are not ours, for ours we are asked."""
    from glue.config import data_translator

    class Theirs:
        def to_data(self, spectrum):
            return Data(label="theirs", brightness=spectrum.flux.value)

        def to_object(self, data, attribute=None, statistic="mean"):
            return "theirs", attribute, statistic

    theirs = data_translator.item(Spectrum, Theirs(), 0)
    monkeypatch.setattr(data_translator, "_members", [*data_translator.members, theirs])
    collection = DataCollection()
    collection["other"] = Spectrum(flux=[1.0, 2.0] * u.mJy, spectral_axis=[1.0, 2.0] * u.um)
    assert [cid.label for cid in collection["other"].main_components] == ["brightness"]
    assert collection["other"].get_object(statistic="sum") == ("theirs", None, "sum")
    ours = data.get_object(cls=Spectrum, source_id=0)
    assert isinstance(ours, Spectrum)
    collection["ours"] = ours
    assert kind_of(collection["ours"]) == "spectrum"


def test_data_that_are_no_spectrum():
    if "glue_astronomy" in sys.modules:
        pytest.skip("glue-astronomy takes them")
    with pytest.raises(SpectrumError, match="'table' is no SPHEREx spectrum"):
        Data(label="table", x=[1, 2]).get_object(cls=Spectrum)


def test_only_the_flux_makes_a_spectrum(data):
    with pytest.raises(SpectrumError, match="attribute is 'flux_bkg'"):
        data.get_object(cls=Spectrum, attribute="flux_bkg", source_id=0)


def test_text_identifiers(made_spectrum):
    from astropy.table import Column

    table = made_spectrum()
    table.replace_column("source_id", Column(np.repeat(["S-1", "S-2"], 7)))
    data = spectrum_data(table)
    assert data["source_id"].tolist() == np.repeat([0, 1], 7).tolist()
    assert data["identifier"].tolist() == table["source_id"].tolist()
    assert to_table(data, "S-2").colnames == table.colnames
    assert len(to_table(data, "S-2")) == len(to_table(data, 1)) == 7
    with pytest.raises(SpectrumError, match="no source with source_id 'S-3'; it has S-1, S-2"):
        to_table(data, "S-3")
    assert to_table(data)["source_id"].tolist() == table["source_id"].tolist()


def test_registering_does_not_import_specutils():
    code = "import sys; from glue_spherex import plugin; plugin.setup(); sys.exit('specutils' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
