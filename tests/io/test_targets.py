"""Target lists of every kind, and what happens to rows that cannot be measured."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Column, QTable, Table

from glue_spherex.io import Rejected, TargetListError, parse_target, read_targets, write_spectra
from glue_spherex.model import Sersic, Source
from glue_spherex.model.spectrum import COLUMNS, new_table


def read(tmp_path, text, file="list.csv", **options):
    path = tmp_path / file
    path.write_text(text)
    return read_targets(path, **options)


def test_full_list(tmp_path):
    t = read(
        tmp_path,
        "ra,dec,name,sersic_n,axis_ratio,position_angle,r_eff,pmra,pmdec,ref_epoch\n"
        "150.1,2.2,star,,,,,-120,55.5,2016.0\n"
        "10.25,-30,galaxy,4,0.5,-45,3.5,,,\n"
        "0,90,pole,,,,,,,\n",
    )
    assert t.sources == [
        Source(150.1, 2.2, "star", None, -120, 55.5, 2016.0),
        Source(10.25, -30, "galaxy", Sersic(4, 3.5, 0.5, -45)),
        Source(0, 90, "pole"),
    ]
    assert t.rows.tolist() == [0, 1, 2]
    assert t.rejected == []
    assert t.n_rows == len(t) == 3
    assert t.columns["r_eff"] == "r_eff"
    assert t.table.colnames[:3] == ["ra", "dec", "name"]
    assert t.table["ra"].tolist() == [150.1, 10.25, 0]


@pytest.mark.parametrize(
    "names",
    [
        ("RA", "DEC"),
        ("RAJ2000", "DEJ2000"),
        ("_RAJ2000", "_DEJ2000"),
        ("ra_deg", "dec_deg"),
        ("Right Ascension", "Declination"),
        ("alpha", "delta"),
        ("ALPHA_J2000", "DELTA_J2000"),
        ("lon", "lat"),
    ],
)
def test_names_of_coordinates(tmp_path, names):
    t = read(tmp_path, f"{names[0]},{names[1]}\n10.5,-20.25\n")
    assert (t.sources[0].ra, t.sources[0].dec) == (10.5, -20.25)
    assert (t.columns["ra"], t.columns["dec"]) == names


def test_ucds_and_units(tmp_path):
    t = Table()
    t["era"] = Column([0.1], meta={"ucd": "stat.error;pos.eq.ra"})
    t["l1"] = Column([1.5], unit="rad", meta={"ucd": "pos.eq.ra;meta.main"})
    t["l2"] = Column([-0.5], unit="rad", meta={"ucd": "pos.eq.dec;meta.main"})
    t["id"] = Column([12], meta={"ucd": "meta.id;meta.main"})
    t["m1"] = Column([0.1], unit="arcsec/yr", meta={"ucd": "pos.pm;pos.eq.ra"})
    t["m2"] = Column([-5.0], unit="mas/yr", meta={"ucd": "pos.pm;pos.eq.dec"})
    t["Re"] = Column([0.05], unit="arcmin")
    t["sersic"] = [2.0]
    t["PA"] = Column([np.pi / 2], unit="rad")
    t.write(tmp_path / "a.vot", format="votable")
    got = read_targets(tmp_path / "a.vot")
    (source,) = got.sources
    assert source.ra == pytest.approx(np.degrees(1.5))
    assert source.dec == pytest.approx(np.degrees(-0.5))
    assert source.label == "12"
    assert (source.pmra, source.pmdec) == (pytest.approx(100), -5)
    assert source.profile.r_eff == pytest.approx(3)
    assert source.profile.position_angle == pytest.approx(90)
    assert got.columns["ra"] == "l1"


def test_hours_by_unit(tmp_path):
    t = QTable({"ra": [1.5] * u.hourangle, "dec": [10] * u.deg})
    t.write(tmp_path / "a.ecsv")
    assert read_targets(tmp_path / "a.ecsv").sources[0].ra == 22.5
    Table({"ra": Column(["10:30:00"], unit="deg"), "dec": ["-1:30:00"]}).write(tmp_path / "b.ecsv")
    source = read_targets(tmp_path / "b.ecsv").sources[0]
    assert (source.ra, source.dec) == (10.5, -1.5)
    Table({"ra": Column([1.0], unit="s"), "dec": [1.0]}).write(tmp_path / "c.ecsv")
    with pytest.raises(TargetListError, match="column 'ra' has the unit s; deg is needed for ra"):
        read_targets(tmp_path / "c.ecsv")


@pytest.mark.parametrize("style", ["10:08:19.5 -00:30:05.25", "10 08 19.5|-0 30 05.25", "10h08m19.5s,-00d30m05.25s"])
def test_sexagesimal_against_astropy(tmp_path, style):
    import re

    ra, dec = re.split(r"[|,]| (?=-\d\d:)", style)
    truth = SkyCoord(ra.replace(" ", ":"), dec.replace(" ", ":"), unit=(u.hourangle, u.deg))
    (source,) = read(tmp_path, f"ra,dec\n{ra},{dec}\n").sources
    assert source.ra == pytest.approx(truth.ra.deg, abs=1e-10)
    assert source.dec == pytest.approx(truth.dec.deg, abs=1e-10)
    target = parse_target(f"{ra} {dec}")
    assert (target.ra, target.dec) == (source.ra, source.dec)


def test_each_bad_row_is_listed_and_the_rest_is_kept(tmp_path):
    t = read(
        tmp_path,
        "name,ra,dec,sersic_n,r_eff,axis_ratio,position_angle,pmra,ref_epoch\n"
        "good,1,1,,,,,,\n"
        "a,400,1,,,,,,\n"
        "b,1,-91,,,,,,\n"
        "c,abc,1,,,,,,\n"
        "d,,1,,,,,,\n"
        "e,1,,,,,,,\n"
        "f,nan,1,,,,,,\n"
        "g,inf,1,,,,,,\n"
        "h,10:61:00,1,,,,,,\n"
        "i,1,1,9,3,,,,\n"
        "j,1,1,4,,,,,\n"
        "k,1,1,3,0.5,0,,,\n"
        "l,1,1,4,21,,,,\n"
        "m,1,1,4,3,2,,,\n"
        "n,1,1,4,3,0,,,\n"
        "o,1,1,4,3,1,400,,\n"
        "p,1,1,4,-1,,,,\n"
        "q,1,1,,,,,fast,\n"
        "r,1,1,,,,,,B1950\n"
        "s,1,1,,,,,1e6,\n"
        "last,2,2,4,3,,,,J2015.5\n",
    )
    assert [s.label for s in t.sources] == ["good", "last"]
    assert t.sources[1] == Source(2, 2, "last", Sersic(4, 3), ref_epoch=2015.5)
    assert t.rows.tolist() == [0, 20]
    expected = {
        1: "ra is 400; allowed is 0 <= ra <= 360 degrees",
        2: "dec is -91; allowed is -90 <= dec <= 90 degrees",
        3: "ra is 'abc', which is neither degrees nor sexagesimal",
        4: "ra is empty",
        5: "dec is empty",
        6: "ra is empty",
        7: "ra is 'inf'",
        8: "'10:61:00'; minutes and seconds must be below 60",
        9: "n is 9; allowed is 0.5 <= n <= 6",
        10: "sersic_n is 4 but r_eff is empty",
        11: "axis_ratio is 0; allowed is 0 < axis_ratio <= 1",
        12: "r_eff is 21; allowed is 0 < r_eff <= 20 arcsec",
        13: "axis_ratio is 2; allowed is 0 < axis_ratio <= 1",
        14: "axis_ratio is 0",
        15: "position_angle is 400; allowed is -360 <= position_angle <= 360 degrees",
        16: "r_eff is -1",
        17: "pmra is 'fast', which is not a number",
        18: "ref_epoch is 'B1950'",
        19: "pmra is 1e+06; allowed is",
    }
    assert [row for row, _ in t.rejected] == list(expected)
    for rejected in t.rejected:
        assert isinstance(rejected, Rejected)
        assert expected[rejected.row] in rejected.reason
        assert str(rejected) == f"row {rejected.row + 1}: {rejected.reason}"
    assert t.n_rows == 21


def test_small_shapes_are_points(tmp_path):
    t = read(tmp_path, "ra,dec,sersic_n,r_eff\n1,1,4,0.5\n1,2,,0.5\n1,3,4,0\n1,4,,0\n")
    assert t.rejected == []
    assert [s.shape for s in t.sources] == [None] * 4


def test_without_an_index_it_is_a_point(tmp_path):
    t = read(
        tmp_path,
        "ra,dec,sersic_n,r_eff,axis_ratio,position_angle\n1,1,,3,0.5,20\n1,2,,21,,\n1,3,,-1,0,999\n1,4,4,,1,0\n",
    )
    assert [s.profile for s in t.sources] == [None] * 3
    (rejected,) = t.rejected
    assert str(rejected) == "row 4: sersic_n is 4 but r_eff is empty; a shape needs both, a point source no sersic_n."
    assert read(tmp_path, "ra,dec,r_eff\n1,1,3\n").sources[0].profile is None


def test_ragged_rows_are_rejected_and_the_rest_is_kept(tmp_path):
    t = read(tmp_path, "ra,dec,name\n1,2,a\n10,x\n\n3,4,b\n5,6,c,d\n7,8,e,\n9\n")
    assert t.sources == [Source(1, 2, "a"), Source(3, 4, "b"), Source(7, 8, "e")]
    assert t.rows.tolist() == [0, 2, 4]
    assert [str(r) for r in t.rejected] == [
        "row 2: has 2 cells, but there are 3 columns.",
        "row 4: has 4 cells, but there are 3 columns.",
        "row 6: has 1 cells, but there are 3 columns.",
    ]
    assert len(t.table) == t.n_rows == 6
    t = read(tmp_path, "name ra dec\na 1 2\nx y  10 20\nb 3 4\n", "a.txt")
    assert t.sources == [Source(1, 2, "a"), Source(3, 4, "b")]
    assert t.rejected == [Rejected(1, "has 4 cells, but there are 3 columns.")]


@pytest.mark.parametrize(
    "text",
    [
        "10:00:24+02:12:00\n11:00:24+02:12:00\n",
        "root:x:0:0:root:/root:/bin/sh\nman:x:6:12:the manual:/var:/bin/sh\n",
        "150.1\n150.2\n",
        "#\n150.1\n",
    ],
)
def test_one_column_is_no_list_of_positions(tmp_path, text):
    with pytest.raises(TargetListError) as caught:
        read(tmp_path, text, "a.txt")
    column = next(line for line in text.split("\n") if line != "#")
    assert str(caught.value) == (
        f"{tmp_path}/a.txt: no column looks like ra or dec; the columns are {column}. "
        "Rename the columns with the positions to ra and dec, or, in Python, name them with ra= and dec=."
    )


def test_names(tmp_path):
    t = read(
        tmp_path, "ra,dec,name\n1,1,0012\n1,2,0012\n1,3,\n1,3,\n1,4,0012_2\n1,5,12.50\n1,6,1e5\n1,7,../../etc\n1,8,星\n"
    )
    assert [s.label for s in t.sources] == [
        "0012",
        "0012_3",
        "1.00000_3.00000",
        "1.00000_3.00000_2",
        "0012_2",
        "12.50",
        "1e5",
        "../../etc",
        "星",
    ]
    assert t.table["name"][0] == "0012"


@pytest.mark.parametrize("column", ["name", "Label", "ID", "source", "Object", "designation", "MAIN_ID"])
def test_names_of_names(tmp_path, column):
    assert read(tmp_path, f"ra,dec,{column}\n1,1,x\n").sources[0].label == "x"


def test_numbers_as_names_in_typed_files(tmp_path):
    Table({"ra": [1.0, 1.0], "dec": [1.0, 2.0], "name": [2**53 + 1, 5]}).write(tmp_path / "a.fits")
    assert [s.label for s in read_targets(tmp_path / "a.fits").sources] == [str(2**53 + 1), "5"]
    Table({"ra": [1.0], "dec": [1.0], "name": ["0012"]}).write(tmp_path / "b.fits")
    assert read_targets(tmp_path / "b.fits").sources[0].label == "0012"


@pytest.mark.parametrize("extension", ["vot", "fits", "ecsv", "tbl", "csv", "tsv", "txt", "dat", "parquet"])
def test_every_format(tmp_path, extension):
    t = Table({"ra": [10.5, 20.5], "dec": [-1.0, 2.0], "name": ["a", "b"]})
    formats = {"vot": "votable", "tbl": "ascii.ipac", "csv": "ascii.csv", "tsv": "ascii.tab"}
    formats |= {"txt": "ascii.basic", "dat": "ascii.commented_header"}
    if extension == "parquet":
        pytest.importorskip("pyarrow")
    t.write(tmp_path / f"a.{extension}", format=formats.get(extension))
    got = read_targets(tmp_path / f"a.{extension}")
    assert got.sources == [Source(10.5, -1, "a"), Source(20.5, 2, "b")]


def test_blanks_between_columns(tmp_path):
    t = read(tmp_path, "# a list\n\n  name   ra     dec  \n  a    10.5   -3\n\n  b     11   +4  \n# end\n", "a.txt")
    assert t.sources == [Source(10.5, -3, "a"), Source(11, 4, "b")]


def test_table_in_memory():
    t = read_targets(QTable({"ra": [0.5] * u.hourangle, "dec": [10.0] * u.deg, "name": ["x"]}))
    assert t.sources == [Source(7.5, 10, "x")]


def test_column_of_coordinates(tmp_path):
    t = QTable({"c": SkyCoord([1.0, 2.0], [3.0, 4.0], unit="deg").galactic, "name": ["a", "b"]})
    t.write(tmp_path / "a.ecsv")
    for got in (read_targets(t), read_targets(tmp_path / "a.ecsv")):
        assert [s.label for s in got.sources] == ["a", "b"]
        assert [s.ra for s in got.sources] == pytest.approx([1, 2])
        assert [s.dec for s in got.sources] == pytest.approx([3, 4])


def test_chosen_columns(tmp_path):
    text = "ra,dec,RA_fit,DEC_fit,name,alias\n1,2,3,4,a,b\n"
    t = read(tmp_path, text, ra="RA_fit", dec="dec_FIT", name="alias")
    assert t.sources == [Source(3, 4, "b")]
    assert read(tmp_path, text).sources == [Source(1, 2, "a")]  # nothing is remembered
    with pytest.raises(TargetListError, match=r"list\.csv: no column 'nope' for name; the columns are ra, dec, RA_fit"):
        read(tmp_path, text, name="nope")


def test_no_coordinates(tmp_path):
    with pytest.raises(
        TargetListError, match=r"list\.csv: no column looks like ra or dec; the columns are a, glon, x\."
    ):
        read(tmp_path, "a,glon,x\n1,2,3\n")
    with pytest.raises(TargetListError, match="no column looks like dec; the columns are ra, x"):
        read(tmp_path, "ra,x\n1,2\n")


def test_a_list_without_rows(tmp_path):
    t = read(tmp_path, "ra,dec\n")
    assert (t.sources, t.rejected, t.n_rows) == ([], [], 0)


def test_missing_values_in_typed_files(tmp_path):
    t = QTable({"ra": [1.0, np.nan] * u.deg, "dec": [1.0, 2.0] * u.deg, "name": ["", "b"]})
    t["pmra"] = np.array([np.nan, 1]) * u.mas / u.yr
    t.write(tmp_path / "a.fits")
    got = read_targets(tmp_path / "a.fits")
    assert got.sources == [Source(1, 1, "1.00000_1.00000")]
    assert got.rejected == [(1, "ra is empty; a position in degrees or sexagesimal is needed.")]


@pytest.mark.parametrize(
    ("text", "ra", "dec"),
    [
        ("150.1 2.2", 150.1, 2.2),
        (" 150.1,2.2 ", 150.1, 2.2),
        ("150.1, -2.2", 150.1, -2.2),
        ("1.5e2 −2.5", 150, -2.5),
        ("10:00:24 +02:12:00", 150.1, 2.2),
        ("10 00 24 +02 12 00", 150.1, 2.2),
        ("10 00 24 -00 30 00", 150.1, -0.5),
        ("10h00m24s +2d12m00s", 150.1, 2.2),
        ("10h 00m 24s +2d 12m 00s", 150.1, 2.2),
        ("10h00m24s+2d12m", 150.1, 2.2),
        ("10:00.4 2:12", 150.1, 2.2),
        ("150d06m00s 2d12m", 150.1, 2.2),
    ],
)
def test_parse_target(text, ra, dec):
    source = parse_target(text)
    assert source.ra == pytest.approx(ra, abs=1e-12)
    assert source.dec == pytest.approx(dec, abs=1e-12)
    assert source.label == f"{ra:.5f}_{dec:.5f}"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no pair of coordinates; write, for example, '150.1 2.2'"),
        ("M31", "target 'M31' is no pair of coordinates"),
        ("1 2 3", "no pair of coordinates"),
        ("1,2,3", "no pair of coordinates"),
        ("a b", "is 'a', which is neither degrees nor sexagesimal"),
        ("400 3", r"target '400 3': ra is 400; allowed is 0 <= ra <= 360 degrees\."),
        ("10 91", "dec is 91; allowed"),
        ("10:70:00 1", "minutes and seconds must be below 60"),
        ("nan nan", "is 'nan'"),
    ],
)
def test_what_is_no_target(text, match):
    with pytest.raises(TargetListError, match=match):
        parse_target(text)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("role", ["target", "companion", ""]),
        ("Role", ["TARGET", "Companion", "target"]),
        ("companion", ["false", "true", ""]),
        ("companion", ["0", "1", "0"]),
    ],
)
def test_companions_in_a_list(tmp_path, name, cells):
    lines = [f"{k},{k},{cell}" for k, cell in enumerate(cells)]
    t = read(tmp_path, "\n".join([f"ra,dec,{name}", *lines]))
    assert [source.companion for source in t.sources] == [False, True, False]
    assert t.columns["role"] == name
    assert not any(source.companion for source in read(tmp_path, "\n".join(["ra,dec,x", *lines]), role="").sources)


def test_other_roles_do_not_make_companions(tmp_path):
    assert "role" not in read(tmp_path, "ra,dec,role\n1,2,pi\n3,4,observer\n").columns
    assert "role" not in read(tmp_path, "ra,dec,companion\n1,2,HD 1 B\n3,4,\n").columns
    t = read(tmp_path, "ra,dec,role\n1,2,companion\n3,4,compnion\n")
    assert [str(r) for r in t.rejected] == ["row 2: role is 'compnion'; allowed are target and companion."]


def test_columns_of_another_unit_or_kind_are_not_guessed():
    t = Table({"ra": [1.0], "dec": [2.0], "re": Column([3.0], unit="kpc"), "pa": Column([1.0], unit="mJy")})
    t["r_half"] = Column([0.1], unit="arcmin")
    assert read_targets(t).columns == {"ra": "ra", "dec": "dec", "r_eff": "r_half"}
    t = Table({"lon": Column([1.0], unit="deg", meta={"ucd": "pos.galactic.lon"}), "lat": [2.0]})
    with pytest.raises(TargetListError, match="no column looks like ra"):
        read_targets(t)
    t = Table({"p1": Column(["10 00 24"], unit='"h:m:s"'), "p2": Column(["-02 12 00"], unit='"d:m:s"')})
    [source] = read_targets(t).sources
    assert (source.ra, source.dec) == (pytest.approx(150.1), pytest.approx(-2.2))


def test_a_column_that_is_not_to_be_used():
    t = Table({"ra": [1.0], "dec": [2.0], "name": ["a"], "pmra": [5.0]})
    [source] = read_targets(t, name="", pmra="").sources
    assert (source.label, source.pmra) == ("1.00000_2.00000", 0)
    with pytest.raises(TargetListError, match="no column looks like ra"):
        read_targets(t, ra="")


@pytest.mark.parametrize(
    ("unit", "value"), [("degrees", 22.5), ("Degree", 22.5), ("hours", 1.5), ("radians", np.pi / 8), ("DEG", 22.5)]
)
def test_units_as_people_write_them(unit, value):
    t = Table({"ra": Column([value]), "dec": [10.0], "pmra": [5.0]})
    t["ra"].unit, t["pmra"].unit = u.Unit(unit, parse_strict="silent"), u.Unit("mas/year", parse_strict="silent")
    [source] = read_targets(t).sources
    assert (source.ra, source.pmra) == (pytest.approx(22.5), 5)


# -- spectra as target lists ------------------------------------------------------------------------------------------


def spectrum():
    """A spectrum of two sources with three and two rows, the second source in the first row."""
    ids = np.array([7, 3, 3, 7, 3])
    ra = np.where(ids == 7, 150.0, 151.0)
    kinds = {"float": ra / ra, "int": ids, "bool": ids > 0}
    columns = {column.name: kinds.get(column.dtype, np.full(5, "x")) for column in COLUMNS}
    return new_table(columns | {"label": np.where(ids == 7, "late", "early"), "ra": ra, "dec": ra - 140})


@pytest.mark.parametrize("name", ["s.vot", "s.fits", "s.ecsv", "s.csv", "s.tbl"])
def test_a_spectrum_lists_its_sources(tmp_path, name):
    write_spectra(spectrum(), tmp_path / name)
    targets = read_targets(tmp_path / name)
    assert [(s.label, s.ra, s.dec) for s in targets.sources] == [("late", 150.0, 10.0), ("early", 151.0, 11.0)]
    assert targets.rows.tolist() == [0, 1]
    assert (targets.rejected, targets.n_rows) == ([], 2)
    assert targets.table["label"][targets.rows].tolist() == ["late", "early"]


@pytest.mark.parametrize("name", ["s.vot", "s.csv"])
def test_a_spectrum_without_numbers_of_its_sources(tmp_path, name):
    table = spectrum()
    for column in ("source_id", "label"):
        del table[column]
        table.write(tmp_path / name, format="votable" if name == "s.vot" else "ascii.csv", overwrite=True)
        assert [(s.ra, s.dec) for s in read_targets(tmp_path / name).sources] == [(150.0, 10.0), (151.0, 11.0)]


def test_a_row_per_source_and_lists_with_fluxes_stay_as_they_are(tmp_path, test_data):
    assert len(read_targets(test_data / "tables" / "imitation_wide.xml")) == 1
    assert len(read_targets(test_data / "tables" / "imitation_long.xml")) == 1
    listed = read(tmp_path, "source_id,ra,dec,flux,wavelength\n1,150,2,5,1.1\n1,151,3,6,1.1\n")
    assert len(listed) == 2


def test_sources_and_companions_in_words():
    table = Table({"ra": [10.0, 11.0, 12.0], "dec": [1.0, 1.0, 1.0], "role": ["target", "companion", "companion"]})
    assert read_targets(table).in_words == "1 source and 2 companions"
    assert read_targets(table[:1]).in_words == "1 source"
