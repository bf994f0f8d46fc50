"""Round trips through every format, and what each format is known by."""

import gzip
import os

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import Column, MaskedColumn, QTable, Table

from glue_spherex.io import WRITE_FORMATS, SpectrumFileError, parquet, pieces, read_spectra, write_spectra
from glue_spherex.io.spectra import write_blocks
from glue_spherex.model.spectrum import COLUMNS

BIG = 2**53 + 1  # a double cannot hold it
FULL = ("vot", "xml", "fits", "ecsv", "parquet")
EXTENSIONS = tuple(WRITE_FORMATS)
AWKWARD = [0.1, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1.7976931348623157e308, -np.pi * 1e-7]


@pytest.fixture
def truth():
    """Eight rows with everything that is easily lost."""
    n = len(AWKWARD)
    t = QTable(meta={"SERVICE": "a 'quoted' \"name\" & <more>", "bkg_region_size": 15, "fraction": 0.1, "deep": True})
    t.meta |= {"settings": {"engine": "builtin", "detectors": [1, 4], "nothing": None}, "huge": 2**70, "µ": "µJy"}
    t["ra"] = np.linspace(10, 350, n) * u.deg
    t["flags"] = MaskedColumn([0, BIG, 2**33, -1, 4566024192, 1, 2**62, 7], mask=[0, 0, 0, 0, 0, 1, 0, 0])
    t["deep_flg"] = MaskedColumn([True, False] * 4, mask=[0, 0, 1, 0, 0, 0, 0, 0])
    t["local_bkg_flg"] = [True, False, False, True] * 2
    t["lvf_id"] = np.arange(n) + 202551101068423
    t["obs_publisher_did"] = [f"ivo://irsa.ipac/spherex_qr2?2025W51_1A_0684_{i}/D{i}" for i in range(n)]
    t["wavelength"] = np.linspace(5, 0.75, n) * u.um
    t["flux"] = AWKWARD * u.uJy
    t["flux_bkg"] = AWKWARD * u.MJy / u.sr
    t["source_id"] = [0] * 4 + [7] * 4
    t["label"] = ["0012", "naïve µ", "星", "a/../b", "1e5", "", "x,y;z", 'he said "no"']
    t["n_meas"] = np.arange(n, dtype=np.int32)
    t["chi"] = Column(np.array([1.1, np.nan] * 4, dtype=np.float32))
    t["flux"].info.description = "flux density µJy"
    t["flux"].info.meta = {"ucd": "phot.flux.density;em.wl"}
    t["n_meas"].info.description = "number of measurements"
    return t


def bare(column):
    column = getattr(column, "value", column)
    return np.ma.getdata(np.ma.asarray(column)), np.ma.getmaskarray(np.ma.asarray(column))


def assert_same_values(got, expected, exact_types=True):
    assert got.colnames == expected.colnames
    for name in expected.colnames:
        (values, mask), (true, true_mask) = bare(got[name]), bare(expected[name])
        assert (mask == true_mask).all(), name
        assert values.dtype.kind == true.dtype.kind, name
        if exact_types and true.dtype.kind != "U":
            assert values.dtype == true.dtype, name
        kept = ~true_mask
        if true.dtype.kind == "f" and exact_types:
            assert values.tobytes() == true.tobytes(), name  # NaN, infinities, the sign of zero
        elif true.dtype.kind == "f":
            np.testing.assert_array_equal(values, true.astype(values.dtype), name)
        else:
            assert (values[kept] == true[kept]).all(), name


def assert_same_units(got, expected, names):
    for name in names:
        assert got[name].info.unit == expected[name].info.unit, name


@pytest.mark.parametrize("extension", FULL)
def test_everything_survives(truth, tmp_path, extension):
    path = tmp_path / f"spectra.{extension}"
    write_spectra(truth, path)
    got = read_spectra(path)
    assert_same_values(got, truth)
    assert_same_units(got, truth, truth.colnames)
    assert got.meta == truth.meta
    assert got["flux"].info.meta["ucd"] == "phot.flux.density;em.wl"
    assert got["n_meas"].info.description == "number of measurements"
    if extension != "fits":  # whose headers are ASCII
        assert got["flux"].info.description == "flux density µJy"
    assert isinstance(got["flux"], u.Quantity)
    assert isinstance(got["flags"], MaskedColumn)
    assert not isinstance(got["lvf_id"], MaskedColumn)
    assert got["flags"].dtype == np.int64


def test_ipac_carries_all_but_types_of_small_numbers(truth, tmp_path):
    truth["chi"] = truth["chi"].astype(float)
    truth["n_meas"] = truth["n_meas"].astype(np.int64)
    write_spectra(truth, tmp_path / "a.tbl")
    got = read_spectra(tmp_path / "a.tbl")
    assert_same_values(got, truth)
    assert_same_units(got, truth, truth.colnames)
    assert got.meta == truth.meta
    assert got["flux"].info.description == "flux density µJy"


@pytest.mark.parametrize("extension", ["csv", "tsv"])
def test_csv_keeps_values_and_gets_units_of_the_schema(truth, tmp_path, extension):
    write_spectra(truth, tmp_path / f"a.{extension}")
    got = read_spectra(tmp_path / f"a.{extension}")
    assert_same_values(got, truth, exact_types=False)
    assert got["flux"].value.tobytes() == truth["flux"].value.tobytes()
    assert_same_units(got, truth, [s.name for s in COLUMNS if s.name in truth.colnames])
    assert got["lvf_id"].info.description


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_no_rows(truth, tmp_path, extension):
    path = tmp_path / f"empty.{extension}"
    write_spectra(truth[:0], path)
    got = read_spectra(path)
    assert len(got) == 0
    assert got.colnames == truth.colnames
    assert got["flux"].unit == u.uJy


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_disk_says_lambda(truth, tmp_path, extension):
    path = tmp_path / f"a.{extension}"
    write_spectra(truth, path)
    if extension == "parquet":
        names = pytest.importorskip("pyarrow.parquet").read_schema(path).names
    elif extension == "fits":
        with fits.open(path) as hdus:
            names = hdus[1].columns.names
    else:
        formats = {"ecsv": "ascii.ecsv", "tbl": "ascii.ipac", "csv": "ascii.csv", "tsv": "ascii.tab"}
        names = Table.read(path, format=formats.get(extension, "votable")).colnames
    assert "lambda" in names
    assert "wavelength" not in names


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_content_not_name_tells_the_format(truth, tmp_path, extension):
    write_spectra(truth, tmp_path / f"a.{extension}")
    (tmp_path / "a.xyz").write_bytes((tmp_path / f"a.{extension}").read_bytes())
    (tmp_path / "b.vot").write_bytes(gzip.compress((tmp_path / f"a.{extension}").read_bytes()))
    for name in ("a.xyz", "b.vot"):
        assert_same_values(read_spectra(tmp_path / name), truth, exact_types=False)


def test_other_programs_read_our_votable(truth, tmp_path):
    write_spectra(truth, tmp_path / "a.vot")
    table = parse_single_table(tmp_path / "a.vot")
    other = table.to_table(use_names_over_ids=True)
    assert other["flags"][1] == BIG
    assert other["flags"].mask.tolist() == bare(truth["flags"])[1].tolist()
    assert other["deep_flg"].mask.tolist() == bare(truth["deep_flg"])[1].tolist()
    assert other["flux"].unit == u.uJy
    assert other["flux_bkg"].unit == u.MJy / u.sr
    assert list(other["label"]) == list(truth["label"])
    np.testing.assert_array_equal(np.ma.filled(other["flux"], np.nan), AWKWARD)
    assert table.get_field_by_id_or_name("lambda").utype == "spec:Spectrum.Data.SpectralAxis.Value"


def test_one_source_is_marked_as_a_spectrum(truth, tmp_path):
    write_spectra(truth, tmp_path / "two.vot")
    write_spectra(truth[:4], tmp_path / "one.vot")
    assert 'utype="spec:Spectrum"' not in (tmp_path / "two.vot").read_text()
    assert 'utype="spec:Spectrum"' in (tmp_path / "one.vot").read_text()


def test_other_programs_read_our_fits(truth, tmp_path):
    write_spectra(truth, tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as hdus:
        hdus.verify("exception")
        names = hdus[1].columns.names
        assert hdus[1].columns["flux"].unit == "uJy"
        assert hdus[1].header[f"TUCD{names.index('flux') + 1}"] == "phot.flux.density;em.wl"
        assert hdus[1].columns["flags"].null == np.iinfo(np.int64).min
        assert hdus[1].data["flags"][1] == BIG


def test_files_of_astropy(tmp_path):
    t = QTable({"lambda": [1.0, 2.0] * u.um, "flux": [3.0, np.nan] * u.uJy, "flags": [BIG, 5], "label": ["0012", "b"]})
    t["deep_flg"] = [True, False]
    for name, options in {
        "a.xml": {"format": "votable"},
        "b.xml": {"format": "votable", "tabledata_format": "binary"},
        "c.xml": {"format": "votable", "tabledata_format": "binary2"},
        "d.fits": {},
        "e.ecsv": {},
        "f.tbl": {"format": "ascii.ipac"},
        "g.csv": {"format": "ascii.csv"},
        "h.parquet": {},
    }.items():
        if name.startswith("h"):
            pytest.importorskip("pyarrow")
        if name.startswith("f"):
            t2 = t.copy()
            t2.remove_column("deep_flg")  # astropy writes no booleans there
            t2.write(tmp_path / name, **options)
        else:
            t.write(tmp_path / name, **options)
        got = read_spectra(tmp_path / name)
        assert got["flags"].tolist() == [BIG, 5], name
        assert got["label"].tolist() == ["0012", "b"], name
        assert got["wavelength"].unit == u.um, name
        assert np.isnan(got["flux"][1]), name
        if "deep_flg" in got.colnames:
            assert got["deep_flg"].tolist() == [True, False], name


def test_plain_table_with_bytes_and_masked_floats(tmp_path):
    t = Table({"wavelength": [1.0, 2.0], "flux": MaskedColumn([1.0, 2.0], mask=[0, 1]), "label": [b"a", b"b"]})
    write_spectra(t, tmp_path / "a.vot")
    got = read_spectra(tmp_path / "a.vot")
    assert np.isnan(got["flux"][1].value)
    assert got["flux"].unit == u.uJy  # of the schema
    assert got["label"].tolist() == ["a", "b"]


def test_integers_with_a_unit_stay_integers(tmp_path):
    t = QTable({"wavelength": [1.0] * u.um, "flux": [1.0] * u.uJy, "counts": u.Quantity([BIG], "ct", dtype=np.int64)})
    for extension in FULL:
        write_spectra(t, tmp_path / f"a.{extension}")
        got = read_spectra(tmp_path / f"a.{extension}")
        assert got["counts"].unit == u.ct
        assert got["counts"].value[0] == BIG


def test_source_ids_are_kept_or_made(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("lambda,flux,source_id\n1,1,0012\n2,2,0013\n")
    assert read_spectra(path)["source_id"].tolist() == ["0012", "0013"]
    path.write_text("lambda,flux,source_id\n1,1,42\n2,2,7\n")
    assert read_spectra(path)["source_id"].tolist() == [42, 7]
    path.write_text("lambda,flux,label\n1,1,b\n2,2,a\n3,3,b\n")
    assert read_spectra(path)["source_id"].tolist() == [0, 1, 0]
    path.write_text("lambda,flux,ra,dec\n1,1,10,20\n2,2,10.00001,20\n3,3,10.1,20\n4,4,,\n")
    assert read_spectra(path)["source_id"].tolist() == [0, 0, 1, 2]
    path.write_text("lambda,flux\n1,1\n2,2\n")
    assert read_spectra(path)["source_id"].tolist() == [0, 0]


def test_csv_of_the_archive(tmp_path):
    """Names, order and cells as in a saved result: no units, T and F, 15 digits."""
    path = tmp_path / "357_70884_-12_1290593.dat"
    path.write_text(
        "ra\tdec\tx_image\ty_image\tmjd\tflux_bkg\tlocal_bkg_flg\tflags\tfit_ql\tdeep_flg\tdet_id\tlvf_id\t"
        "obs_publisher_did\tlambda\tlambda_width\tflux\tflux_err\n"
        "357.70884\t-12.1290593\t100.5\t20\t61027.2\t0.16\ttrue\t2097152\t1.1\tfalse\t3\t202551101068423\t"
        "ivo://irsa.ipac/spherex_qr2?2025W51_1A_0684_2/D3\t2.1\t0.05\t-12.5\t30\n"
        "357.70884\t-12.1290593\t100.5\t20\t61027.3\t0.16\tT\t\t\tF\t3\t202551101068423\tx\t1.9\t0.05\tnan\t30\n"
    )
    got = read_spectra(path)
    assert got.colnames[13] == "wavelength"
    assert got.colnames[-1] == "source_id"
    assert got["flux_bkg"].unit == u.MJy / u.sr
    assert got["lvf_id"].tolist() == [202551101068423] * 2
    assert got["flags"].mask.tolist() == [False, True]
    assert got["local_bkg_flg"].tolist() == [True, True]
    assert got["deep_flg"].tolist() == [False, False]
    assert got["wavelength"].to_value("um").tolist() == [2.1, 1.9]
    assert np.isnan(got["flux"].value[1])


def test_flags_that_went_through_floats(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("lambda,flux,flags\n1,1,4566024192.0\n2,2,\n")
    got = read_spectra(path)
    assert got["flags"].dtype == np.int64
    assert got["flags"][0] == 4566024192
    assert got["flags"].mask[1]


@pytest.mark.parametrize("name", ["a.txt", "a", "a.vot.bak"])
def test_unknown_extension_is_refused(truth, tmp_path, name):
    with pytest.raises(SpectrumFileError, match=r"extension .* is unknown; known are vot, xml, fits, ecsv, tbl"):
        write_spectra(truth, tmp_path / name)
    assert not list(tmp_path.glob("a*"))


def test_format_beats_extension(truth, tmp_path):
    write_spectra(truth, tmp_path / "a.dat", format="fits")
    assert (tmp_path / "a.dat").read_bytes().startswith(b"SIMPLE")
    with pytest.raises(SpectrumFileError, match="format 'hdf5' is unknown"):
        write_spectra(truth, tmp_path / "a.vot", format="hdf5")


def test_not_a_spectrum_is_not_written(tmp_path):
    with pytest.raises(SpectrumFileError, match="no column 'flux'"):
        write_spectra(QTable({"wavelength": [1.0] * u.um}), tmp_path / "a.vot")
    with pytest.raises(SpectrumFileError, match="unit s; um is needed"):
        write_spectra(QTable({"wavelength": [1.0] * u.s, "flux": [1.0]}), tmp_path / "a.vot")
    with pytest.raises(SpectrumFileError, match="'image' is a"):
        write_spectra(
            QTable({"wavelength": [1.0] * u.um, "flux": [1.0], "image": np.zeros((1, 3))}), tmp_path / "a.vot"
        )
    assert not list(tmp_path.glob("*"))[1:]


def test_an_existing_file_is_replaced_whole_or_not_at_all(truth, tmp_path, monkeypatch):
    path = tmp_path / "a.vot"
    write_spectra(truth[:2], path)
    before = path.read_bytes()
    truth["label"][0] = "\x01"
    with pytest.raises(SpectrumFileError, match="XML cannot carry"):
        write_spectra(truth, path)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.vot"]
    write_spectra(truth[:1].copy(), tmp_path / "b.fits")
    truth["label"][0] = "fine"
    write_spectra(truth, path)
    assert len(read_spectra(path)) == len(truth)


def test_folder_that_is_not_there_or_is_one(truth, tmp_path):
    with pytest.raises(SpectrumFileError, match=r"no/a\.vot: cannot be written: No such file"):
        write_spectra(truth, tmp_path / "no" / "a.vot")
    (tmp_path / "b.vot").mkdir()
    with pytest.raises(SpectrumFileError, match="not a file"):
        write_spectra(truth, tmp_path / "b.vot")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission(truth, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(SpectrumFileError, match="Permission denied"):
        write_spectra(truth, tmp_path / "locked" / "a.vot")


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_full_disk(truth, tmp_path, monkeypatch, extension):
    """The file to be written is a link to a device that is always full."""
    from glue_spherex.io import files

    real = os.open

    def full(path, flags, mode=0o777, **options):
        if str(path).endswith(".part"):
            os.symlink("/dev/full", path)
            return real(path, os.O_WRONLY)
        return real(path, flags, mode, **options)

    monkeypatch.setattr(files.os, "open", full)
    with pytest.raises(SpectrumFileError, match="No space left on device") as caught:
        write_spectra(truth, tmp_path / f"a.{extension}")
    assert isinstance(caught.value.__cause__, OSError)
    monkeypatch.undo()
    assert not list(tmp_path.glob("*a.*"))


def test_parquet_needs_its_extra(truth, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SpectrumFileError, match=r'run python -m pip install "\.\[parquet\]" in the source folder'):
        write_spectra(truth, tmp_path / "a.parquet")


def test_imitations(test_data):
    wide = read_spectra(test_data / "tables" / "imitation_wide.xml")
    assert len(wide) == 54
    assert wide.meta["bkg_region_size"] == 15
    assert wide["n_meas"].tolist() == [54] * 54
    assert set(wide["data_collection"]) == {"spherex_qr2"}
    assert all(did.startswith("ivo://irsa.ipac/spherex_qr2?") and did[-2] == "D" for did in wide["obs_publisher_did"])
    assert wide["shape_r"].unit == u.arcsec
    long = read_spectra(test_data / "tables" / "imitation_long.xml")
    assert len(long) == 120
    assert long["flags"].max() > 2**33
    assert long["flux"].unit == u.uJy
    assert set(long["source_id"]) == {0}
    for table in (wide, long):
        assert {int(did[-1]) for did in table["obs_publisher_did"]} <= set(table["det_id"].tolist())
        assert all(str(lvf)[-1] == str(det) for lvf, det in zip(table["lvf_id"], table["det_id"]))


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_pieces_give_the_same_bytes(tmp_path, truth, monkeypatch, extension):
    """However a table comes, and in pieces of any size."""
    write_spectra(truth, tmp_path / f"whole.{extension}")
    whole = (tmp_path / f"whole.{extension}").read_bytes()
    for most_rows, ends in ((3, [8]), (5000, [1, 4, 4, 8]), (2, [3, 8])):
        monkeypatch.setattr(pieces, "MOST_ROWS", most_rows)
        blocks = [truth[begin:end] for begin, end in zip([0, *ends], ends)]
        write_blocks(blocks, tmp_path / f"a.{extension}", head=truth, n_rows=len(truth))
        assert (tmp_path / f"a.{extension}").read_bytes() == whole
    write_blocks([], tmp_path / f"a.{extension}", head=truth[:0], n_rows=0)
    assert len(read_spectra(tmp_path / f"a.{extension}")) == 0


def test_large_parquet_tables_are_compressed_in_groups(tmp_path, truth, monkeypatch):
    from pyarrow.parquet import ParquetFile

    monkeypatch.setattr(pieces, "MOST_ROWS", 2)
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 3)
    write_spectra(truth, tmp_path / "a.parquet")
    with ParquetFile(tmp_path / "a.parquet") as file:
        assert [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)] == [3, 3, 2]
    assert_same_values(read_spectra(tmp_path / "a.parquet"), truth)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_writing_can_be_stopped_at_any_piece(tmp_path, truth, monkeypatch, extension):
    """It ends with what the caller raises; nothing is left of the new file, and all of an older one."""
    monkeypatch.setattr(pieces, "MOST_ROWS", 2)
    path = tmp_path / f"a.{extension}"
    path.write_text("older")

    class Stopped(Exception):
        pass

    def write(most_steps):
        steps = iter(range(most_steps))

        def step():
            if next(steps, None) is None:
                raise Stopped

        write_blocks([truth[:4], truth[4:]], path, head=truth, n_rows=8, step=step)

    for most_steps in range(4):
        with pytest.raises(Stopped):
            write(most_steps)
        assert [file.name for file in tmp_path.iterdir()] == [path.name]
        assert path.read_text() == "older"
    write(99)
    assert len(read_spectra(path)) == 8


def test_fits_pieces_that_do_not_fit_their_head(tmp_path, truth):
    """Nothing is cut off, and no value is taken for a missing one."""
    head = truth[:1].copy()
    with pytest.raises(SpectrumFileError, match="'flags' has missing values, but its head has none"):
        write_blocks([truth], tmp_path / "a.fits", head=head, n_rows=8)
    with pytest.raises(SpectrumFileError, match="'label' holds a text that is longer than all in its head"):
        write_blocks([truth[2:4]], tmp_path / "a.fits", head=head, n_rows=2)
    assert list(tmp_path.iterdir()) == []
