"""The specutils view of a spectrum table, back again, and the loader."""

import gzip
import os
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import InverseVariance, StdDevUncertainty
from astropy.table import MaskedColumn, QTable
from specutils import Spectrum, SpectrumList

from glue_spherex.io import SpectrumFileError, read_spectra, write_spectra
from glue_spherex.io.specutils import from_spectrum, identify, to_spectrum
from glue_spherex.model import Flag, SpectrumError


@pytest.fixture
def table():
    t = QTable(meta={"title": "x"})
    t["flags"] = MaskedColumn([0, Flag.FIT_ERROR, Flag.SOURCE, 5, Flag.SOURCE, 0], mask=[0, 0, 0, 1, 0, 0])
    t["lvf_id"] = np.arange(6) + 202551101068423
    t["obs_publisher_did"] = list("abcdef")
    t["flux_bkg"] = np.arange(6.0) * u.MJy / u.sr
    t["wavelength"] = [3.0, 1.0, 2.0, np.nan, 2.0, 4.0] * u.um
    t["lambda_width"] = np.full(6, 0.1) * u.um
    t["flux"] = [1.0, 2.0, 3.0, 4.0, np.nan, -6.0] * u.uJy
    t["flux_err"] = np.arange(1.0, 7.0) * u.uJy
    t["source_id"] = np.full(6, 4)
    t["label"] = ["star"] * 6
    return t


def two(table):
    t = QTable(table, copy=True)
    t["source_id"] = [0, 0, 0, 9, 9, 9]
    return t


def test_to_spectrum(table):
    s = to_spectrum(table)
    assert isinstance(s, Spectrum)
    assert s.spectral_axis.to_value("um").tolist() == [1, 2, 2, 3, 4]
    np.testing.assert_array_equal(s.flux.value, [2, 3, np.nan, 1, -6])
    assert s.flux.unit == u.uJy
    assert isinstance(s.uncertainty, StdDevUncertainty)
    assert s.uncertainty.array.tolist() == [2, 3, 5, 1, 6]
    assert s.mask.tolist() == [True, False, True, False, False]
    assert s.meta["row"].tolist() == [1, 2, 4, 0, 5]
    assert s.meta["obs_publisher_did"].tolist() == list("bceaf")
    assert s.meta["flux_bkg"].unit == u.MJy / u.sr
    assert (s.meta["lvf_id"] - 202551101068423).tolist() == [1, 2, 4, 0, 5]
    assert s.meta["title"] == "x"
    assert "flux" not in s.meta


def test_masked_by_more_flags(table):
    assert to_spectrum(table, mask_flags=Flag.SOURCE).mask.tolist() == [True, True, True, False, False]


def test_one_of_several(table):
    several = two(table)
    assert to_spectrum(several, 9).meta["row"].tolist() == [4, 5]
    with pytest.raises(SpectrumError, match="several sources; say which with source_id, one of 0, 9"):
        to_spectrum(several)
    with pytest.raises(SpectrumError, match="no source with source_id 1; the table has 0, 9"):
        to_spectrum(several, 1)
    several["source_id"] = ["0012"] * 3 + ["b"] * 3
    assert len(to_spectrum(several, "0012").flux) == 3
    several.remove_column("source_id")
    assert len(to_spectrum(several).flux) == 5
    with pytest.raises(SpectrumError, match="no column source_id"):
        to_spectrum(several, 1)


def test_little_is_enough():
    s = to_spectrum(QTable({"wavelength": [2.0, 1.0] * u.um, "flux": [1.0, 2.0] * u.uJy}))
    assert s.uncertainty is None
    assert s.flux.value.tolist() == [2, 1]
    assert len(to_spectrum(QTable({"wavelength": [] * u.um, "flux": [] * u.uJy})).flux) == 0


def test_there_and_back(table):
    back = from_spectrum(to_spectrum(table))
    expected = table[[1, 2, 4, 0, 5]]
    for name in table.colnames:
        column = expected[name]
        assert back[name].info.unit == column.info.unit
        np.testing.assert_array_equal(np.asarray(back[name]), np.asarray(column), name)
    assert back.meta == {"title": "x"}
    again = to_spectrum(back)
    assert again.mask.tolist() == to_spectrum(table).mask.tolist()


def test_from_other_units():
    wave = np.array([1.0, 2.0]) * u.um
    s = Spectrum(
        flux=[3.0, 4.0] * u.W / u.m**2 / u.um,
        spectral_axis=wave.to(u.THz, u.spectral()),
        uncertainty=InverseVariance(np.array([4.0, 25.0]) / (u.W / u.m**2 / u.um) ** 2),
        mask=np.array([False, True]),
    )
    t = from_spectrum(s)
    factor = 1e-12 / 2.99792458e8 * 1e26 * 1e6 * 1e6  # F_nu = F_lambda lambda² / c; W m-2 µm-1 -> µJy at 1 µm
    assert t["wavelength"].to_value("um") == pytest.approx([1, 2])
    assert t["flux"].to_value("uJy") == pytest.approx([3 * factor, 16 * factor])
    assert t["flux_err"].to_value("uJy") == pytest.approx([0.5 * factor, 0.8 * factor])
    assert t["flags"].tolist() == [0, Flag.FIT_ERROR]
    assert t["source_id"].tolist() == [0, 0]


def test_from_several(table):
    several = two(table)
    t = from_spectrum([to_spectrum(several, 0), to_spectrum(several, 9)])
    assert t["source_id"].tolist() == [0, 0, 0, 9, 9]
    plain = Spectrum(flux=[1.0] * u.mJy, spectral_axis=[1.0] * u.um)
    t = from_spectrum(SpectrumList([plain, plain, to_spectrum(table)]))
    assert t["source_id"].tolist() == [0, 1, 4, 4, 4, 4, 4]
    assert t["flux"][0] == 1000 * u.uJy
    assert t["lvf_id"].mask.tolist() == [True, True] + [False] * 5
    assert t["label"].tolist() == ["", ""] + ["star"] * 5
    assert np.isnan(t["flux_bkg"][0].value)
    assert len(from_spectrum([])) == 0


def test_old_class_of_specutils():
    from specutils import Spectrum1D

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        s = Spectrum1D(flux=[1.0] * u.uJy, spectral_axis=[1.0] * u.um)
    assert from_spectrum(s)["flux"].value.tolist() == [1]


@pytest.mark.parametrize(
    ("what", "match"),
    [
        (3, "is no|int"),
        (
            Spectrum(flux=np.ones((2, 3)) * u.uJy, spectral_axis=[1, 2, 3] * u.um, spectral_axis_index=1),
            r"spectrum 0 has the shape \(2, 3\)",
        ),
        (Spectrum(flux=[1.0] * u.ct, spectral_axis=[1] * u.um), "flux density are needed"),
        (Spectrum(flux=[1.0, 2] * u.uJy, spectral_axis=[1, 2] * u.um, meta={"det_id": [1, 2, 3]}), "2 values or one"),
    ],
)
def test_what_is_no_spectrum(what, match):
    with pytest.raises(SpectrumError, match=match):
        from_spectrum([what])


@pytest.mark.parametrize("name", ["a.vot", "a.fits", "a.ecsv", "a.tbl", "a.csv", "a.parquet", "a.vot.gz"])
def test_loader(table, tmp_path, name):
    if "parquet" in name:
        pytest.importorskip("pyarrow")
    path, several = tmp_path / name, tmp_path / f"two-{name}"
    write_spectra(table, tmp_path / name.removesuffix(".gz"))
    write_spectra(two(table), tmp_path / f"two-{name}".removesuffix(".gz"))
    if name.endswith("gz"):
        for zipped in (path, several):
            zipped.write_bytes(gzip.compress(zipped.with_suffix("").read_bytes()))
    assert Spectrum.read(path).meta["row"].tolist() == [1, 2, 4, 0, 5]
    assert Spectrum.read(str(path)).mask.tolist() == [True, False, True, False, False]
    assert [len(s.flux) for s in SpectrumList.read(several)] == [3, 2]
    assert [len(s.flux) for s in SpectrumList.read(path)] == [5]
    with pytest.raises(SpectrumFileError, match=r"holds 2 sources \(0, 9\); read it with SpectrumList\.read"):
        Spectrum.read(several)


def test_loader_leaves_other_files_alone(table, tmp_path):
    other = QTable({"wavelength": [1.0, 2.0] * u.um, "flux": [1.0, 2.0] * u.uJy, "flux_err": [1.0, 2.0] * u.uJy})
    for name in ("a.fits", "a.ecsv", "a.vot"):
        other.write(tmp_path / name, **({"format": "votable"} if name == "a.vot" else {}))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "bad.gz").write_bytes(b"\x1f\x8b123")
    for path in [*tmp_path.iterdir(), tmp_path, tmp_path / "none", "http://localhost:9/x.fits", None, 3]:
        assert identify("read", path, None) is False
    write_spectra(table, tmp_path / "b.vot")
    assert identify("read", tmp_path / "b.vot", None) is True
    assert identify("write", tmp_path / "b.vot", None) is False


def test_imitations(test_data):
    path = test_data / "tables" / "imitation_long.xml"
    s = Spectrum.read(path)
    t = read_spectra(path)
    assert len(s.flux) == 120
    assert (np.diff(s.spectral_axis.value) >= 0).all()
    np.testing.assert_array_equal(s.flux.value, t["flux"].value[s.meta["row"]])
    assert len(Spectrum.read(test_data / "tables" / "imitation_wide.xml").flux) == 54
