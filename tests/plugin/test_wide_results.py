"""Results of the archive's tool, a row per source with arrays, through glue and its sessions."""

import numpy as np
import pytest
from glue.core import DataCollection
from glue.core.data_factories import find_factory, load_data

from glue_spherex import read_spectra
from glue_spherex.plugin.exporters import export_spectrum
from glue_spherex.plugin.flag_subsets import FlagSubsetState
from glue_spherex.plugin.loader import load_spectrum
from glue_spherex.plugin.target_data import target_table_from

FIELDS = (
    ("source_id", "int", "", ""),
    ("label", "char", "*", ""),
    ("ra", "double", "", "deg"),
    ("dec", "double", "", "deg"),
    ("n_meas", "int", "", ""),
    ("lambda", "double", "*", "um"),
    ("flux", "double", "*", "uJy"),
    ("flux_bkg", "float", "*", "MJy / sr"),
    ("flags", "long", "*", ""),
    ("lvf_id", "long", "*", ""),
    ("det_id", "int", "*", ""),
    ("obs_publisher_did", "char", "54x*", ""),
)


def sources(n):
    """The cells of each source: 2, 3, 4… measurements, in no order of wavelength; flags far above 32 bits."""
    for k in range(n):
        m = k + 2
        yield {
            "source_id": k + 1,
            "label": f"{k:04d}",
            "ra": 10 + k / 100,
            "dec": -5 + k / 100,
            "n_meas": m,
            "lambda": [5.0 - 0.1 * i for i in range(m)],
            "flux": [100.5 * (k + 1) + i for i in range(m)],
            "flux_bkg": [0.25] * m,
            "flags": [4566024192, -1, *[(1 << 33) + i for i in range(m - 2)]],
            "lvf_id": [202551101068423 + 10 * i for i in range(m)],
            "det_id": [i % 6 + 1 for i in range(m)],
            "obs_publisher_did": [f"ivo://irsa.ipac/spherex_qr2?2025W51_1A_{i:04d}_2/D3" for i in range(m)],
        }


def cell(name, value):
    if name == "obs_publisher_did":
        return "".join(text.ljust(54) for text in value)
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


@pytest.fixture
def wide(tmp_path, made_spectrum):
    def write(n):
        size = {name: f' arraysize="{a}"' if a else "" for name, _, a, _ in FIELDS}
        null = {"flags": '<VALUES null="-1"/>'}
        fields = "".join(
            f'<FIELD ID="f_{name}" name="{name}" datatype="{kind}"{size[name]} unit="{unit}">'
            f"{null.get(name, '')}</FIELD>"
            for name, kind, _, unit in FIELDS
        )
        arrays = "".join(f'<FIELDref ref="f_{name}"/>' for name, _, a, _ in FIELDS if a and name != "label")
        rows = "".join(
            "<TR>" + "".join(f"<TD>{cell(name, one[name])}</TD>" for name, *_ in FIELDS) + "</TR>" for one in sources(n)
        )
        path = tmp_path / "result.xml"
        path.write_text(
            '<?xml version="1.0"?><VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
            '<RESOURCE type="results" utype="ipac:MultiSpectrum"><TABLE utype="ipac:MultiSpectrum">'
            f'<GROUP utype="ipac:Spectrum.ArrayData">{arrays}</GROUP>'
            f'<PARAM name="bkg_region_size" datatype="int" value="15"/>{fields}'
            f"<DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
        )
        return path

    return write


@pytest.mark.parametrize("include_data", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 20])
def test_session(wide, restored, n, include_data):
    path = wide(n)
    assert find_factory(str(path)) is load_spectrum
    data = load_data(str(path))
    collection = DataCollection([data])
    collection.new_subset_group("halo", FlagSubsetState(data.id["flags"], 1 << 28))
    (again,) = restored(collection, include_data)
    truth = {name: [] for name in ("lambda", "flux", "flags", "lvf_id", "det_id", "obs_publisher_did")}
    for one in sources(n):
        for name, values in truth.items():
            values.extend(one[name])
    counts = [one["n_meas"] for one in sources(n)]
    for one in (data, again):
        assert one.label == "result"
        for name in ("flux", "lvf_id", "det_id", "obs_publisher_did"):
            assert one[name].tolist() == truth[name]
        assert one["wavelength"].tolist() == truth["lambda"]
        assert one["flags"].tolist() == [max(flags, 0) for flags in truth["flags"]]
        assert one["flags"].dtype == one["lvf_id"].dtype == np.int64
        assert one["label"].tolist() == np.repeat([f"{k:04d}" for k in range(n)], counts).tolist()
        assert one["source_id"].tolist() == np.repeat(np.arange(1, n + 1), counts).tolist()
        assert {name: one.get_component(name).units for name in ("flux", "wavelength", "flux_bkg", "ra")} == {
            "flux": "uJy",
            "wavelength": "um",
            "flux_bkg": "MJy / sr",
            "ra": "deg",
        }
        assert one.meta["bkg_region_size"] == 15
        assert one.meta["spherex"] == data.meta["spherex"]
        np.testing.assert_array_equal(one.subsets[0].to_mask(), one["flags"] == 4566024192)


def test_saved_again_missing_flags_stay_missing(wide, tmp_path):
    data = load_data(str(wide(3)))
    DataCollection([data]).new_subset_group("last", data.id["source_id"] == 3)
    export_spectrum(tmp_path / "last.vot", data.subsets[0])
    table = read_spectra(tmp_path / "last.vot")
    assert np.ma.getmaskarray(table["flags"]).tolist() == [False, True, False, False]
    assert table["n_meas"].tolist() == [4] * 4


def test_targets_of_it(wide):
    targets = target_table_from(load_data(str(wide(3))))
    assert targets["source_id"].tolist() == [1, 2, 3]
    assert targets["label"].tolist() == ["0000", "0001", "0002"]
    np.testing.assert_allclose(targets["dec"], [-5, -4.99, -4.98], atol=1e-9)
