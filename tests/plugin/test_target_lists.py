"""Targets from layers of glue, from text, files and names of objects."""

import gc
import threading
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

pytest.importorskip("glue")

import astropy.units as u
from astropy.coordinates import SkyCoord, name_resolve
from astropy.table import Column, Table
from glue.core import Data, DataCollection
from glue.core.component import CategoricalComponent, Component
from glue.core.data_factories import load_data
from glue.core.link_helpers import LinkSame

from glue_spherex.io import TargetListError, Targets
from glue_spherex.model import Sersic, Source
from glue_spherex.plugin.loader import spectrum_data
from glue_spherex.plugin.measuring import resolver
from glue_spherex.plugin.measuring.companions import with_companions
from glue_spherex.plugin.measuring.target_lists import (
    guessed_columns,
    targets_of_file,
    targets_of_layer,
    targets_of_name,
    targets_of_text,
    with_shape,
)


def table(label="catalogue", units=None, **columns):
    """A dataset of columns."""
    data = Data(label=label)
    for name, values in columns.items():
        values, unit = np.asarray(values), (units or {}).get(name, "")
        kind = CategoricalComponent if values.dtype.kind == "U" else Component
        data.add_component(kind(values, units=unit), name)
    return data


@pytest.fixture
def catalogue():
    return table(
        name=["a", "b", "c", "a", "e"],
        RA=[10.0, 20.0, np.nan, 400.0, 30.0],
        Dec=[1.0, 2.0, 3.0, 4.0, -5.0],
        mag=np.arange(5.0),
    )


def places(targets):
    return [(round(s.ra, 6), round(s.dec, 6)) for s in targets.sources]


# -- layers -----------------------------------------------------------------------------------------------------------


def test_dataset(catalogue):
    targets = targets_of_layer(catalogue)
    assert places(targets) == [(10, 1), (20, 2), (30, -5)]
    assert [source.label for source in targets.sources] == ["a", "b", "e"]
    assert targets.rows.tolist() == [0, 1, 4]
    assert [str(r) for r in targets.rejected] == [
        "row 3: ra is empty; a position in degrees or sexagesimal is needed.",
        "row 4: ra is 400; allowed is 0 <= ra <= 360 degrees.",
    ]
    assert targets.columns == guessed_columns(catalogue) == {"ra": "RA", "dec": "Dec", "name": "name"}


def test_subsets_keep_the_row_numbers_of_the_dataset(catalogue):
    collection = DataCollection([catalogue])
    group = collection.new_subset_group("faint", catalogue.id["mag"] > 1.5)
    for layer in (group, catalogue.subsets[0]):
        targets = targets_of_layer(layer)
        assert targets.rows.tolist() == [4]
        assert [r.row for r in targets.rejected] == [2, 3]
        assert len(targets.table) == 5
        assert targets.table[targets.columns["name"]][3] == "a"
    both = collection.new_subset_group("both", (catalogue.id["mag"] > 1.5) & (catalogue.id["Dec"] < 0))
    assert places(targets_of_layer(both)) == [(30, -5)]
    assert places(targets_of_layer(catalogue.new_subset(catalogue.id["mag"] < 0.5))) == [(10, 1)]


def test_empty_and_inapplicable_subsets(catalogue):
    other = table("other", x=[1.0, 2.0])
    collection = DataCollection([catalogue, other])
    nothing = collection.new_subset_group("nothing", catalogue.id["mag"] > 99)
    with pytest.raises(TargetListError, match=r"'nothing' of 'catalogue' has no rows.*select some rows"):
        targets_of_layer(nothing)
    elsewhere = collection.new_subset_group("elsewhere", other.id["x"] > 1)
    with pytest.raises(TargetListError, match=r"'elsewhere' cannot be applied to 'catalogue'.*Link them"):
        targets_of_layer(catalogue.subsets[1])
    with pytest.raises(TargetListError, match=r"'elsewhere' cannot be applied|no column looks like ra"):
        targets_of_layer(elsewhere)
    with pytest.raises(TargetListError, match=r"'other': no column looks like ra or dec; the columns are x"):
        targets_of_layer(other)
    with pytest.raises(TargetListError, match=r"has 2 dimensions"):
        targets_of_layer(Data(label="image", x=np.zeros((2, 2))))


def test_a_group_means_the_catalogue_it_was_made_on(catalogue):
    second = table("second", ra=[1.0, 2.0], dec=[1.0, 2.0], mag=[9.0, 9.0])
    collection = DataCollection([catalogue, second])
    collection.add_link(LinkSame(catalogue.id["mag"], second.id["mag"]))
    assert places(targets_of_layer(collection.new_subset_group("s", second.id["mag"] > 3.5))) == [(1, 1), (2, 2)]
    assert places(targets_of_layer(collection.new_subset_group("c", catalogue.id["mag"] > 3.5))) == [(30, -5)]


def test_columns_can_be_corrected(catalogue):
    catalogue.add_component(Component(np.arange(5.0) + 100, units="deg"), "other_ra")
    chosen = {"ra": "other_ra", "dec": catalogue.id["Dec"], "name": None}
    targets = targets_of_layer(catalogue, chosen)
    assert places(targets)[:2] == [(100, 1), (101, 2)]
    assert targets.sources[0].label == "100.00000_1.00000"
    with pytest.raises(TargetListError, match=r"'catalogue': no column 'gone' for ra; the columns are name, RA"):
        targets_of_layer(catalogue, {"ra": "gone"})
    with pytest.raises(TargetListError, match=r"no column looks like dec"):
        targets_of_layer(catalogue, {"dec": None})


def test_units_and_sexagesimal():
    data = table(units={"ra": "hourangle", "dec": "rad"}, ra=[1.5], dec=[-0.5])
    [source] = targets_of_layer(data).sources
    assert source.ra == 22.5
    assert source.dec == pytest.approx(np.degrees(-0.5))
    data = table(units={"c1": '"h:m:s"', "c2": '"d:m:s"'}, c1=["10 00 24"], c2=["-00 30 00"])
    assert places(targets_of_layer(data)) == [(150.1, -0.5)]
    assert places(targets_of_layer(table(RAJ2000=["10:00:24", "x"], DEJ2000=["+2:12:0", "0"]))) == [(150.1, 2.2)]


def test_days_are_no_epoch():
    data = table(units={"ref_epoch": "d"}, ra=[1.5], dec=[-0.5], ref_epoch=[57388.0])
    assert "ref_epoch" not in guessed_columns(data)
    assert targets_of_layer(data).sources[0].ref_epoch == 2000
    with pytest.raises(TargetListError, match="'ref_epoch' has the unit d; yr is needed"):
        targets_of_layer(data, {"ref_epoch": "ref_epoch"})
    data = table(units={"ref_epoch": "Julian years"}, ra=[1.5], dec=[-0.5], ref_epoch=[2016.0])
    assert targets_of_layer(data).sources[0].ref_epoch == 2016


def test_shapes_row_by_row():
    data = table(
        units={"r_eff": "arcmin"}, ra=[1.0, 2, 3], dec=[1.0, 2, 3], sersic=[np.nan, 4.0, 9.0], r_eff=[np.nan, 0.1, 0.1],
        q=[np.nan, 0.5, 0.5], pa=[0.0, 30.0, 0.0], pmRA=[5.0, 0, 0], pmDE=[-5.0, 0, 0], ref_epoch=[2016.0, 2016, 2016],
    )  # fmt: skip
    targets = targets_of_layer(data)
    star, galaxy = targets.sources
    assert (star.profile, star.pmra, star.pmdec, star.ref_epoch) == (None, 5, -5, 2016)
    assert galaxy.profile == Sersic(4, 6, 0.5, 30)
    assert "n is 9; allowed is 0.5 <= n <= 6" in targets.rejected[0].reason
    same = with_shape(targets, Sersic(1, 2))
    assert [source.profile for source in same.sources] == [Sersic(1, 2)] * 2
    assert [source.profile for source in with_shape(targets, None).sources] == [None, None]


def test_duplicates_and_equal_labels_of_columns():
    data = table(name=["a", "a"], ra=[1.0, 1.0], dec=[2.0, 2.0])
    data.add_component(np.array([5.0, 5.0]), "ra")
    targets = targets_of_layer(data)
    assert [source.label for source in targets.sources] == ["a", "a_2"]
    assert places(targets) == [(1, 2), (1, 2)]


@pytest.mark.parametrize("extension", ["vot", "fits"])
def test_catalogues_as_glue_loads_them(tmp_path, extension):
    t = Table({"RAJ2000": Column([1.5, 2.5], unit="deg"), "DEJ2000": Column([3.0, 4.0], unit="deg"), "ID": ["x", "y"]})
    t["pmRA"] = Column([1.0, np.nan], unit="mas/yr")
    t.write(tmp_path / f"a.{extension}", format={"vot": "votable"}.get(extension, extension))
    targets = targets_of_layer(load_data(str(tmp_path / f"a.{extension}")))
    assert places(targets) == [(1.5, 3), (2.5, 4)]
    assert [(source.label, source.pmra) for source in targets.sources] == [("x", 1), ("y", 0)]


def test_ucds_of_the_file_that_a_catalogue_was_loaded_from(tmp_path):
    t = Table({"l1": Column([1.5], unit="deg", meta={"ucd": "pos.eq.ra;meta.main"}), "l2": [3.0]})
    t["l2"].unit, t["l2"].meta["ucd"] = u.deg, "pos.eq.dec;meta.main"
    t.write(tmp_path / "a.vot", format="votable")
    data = load_data(str(tmp_path / "a.vot"))
    assert guessed_columns(data) == {"ra": "l1", "dec": "l2"}


def test_a_spectrum_gives_its_sources(made_spectrum):
    data = spectrum_data(made_spectrum(n_sources=3, n=4))
    targets = targets_of_layer(data)
    assert places(targets) == [(150, 2), (150.01, 2.01), (150.02, 2.02)]
    assert [source.label for source in targets.sources] == ["0000", "0001", "0002"]
    assert targets.rows.tolist() == [0, 4, 8]
    some = data.new_subset(data.id["source_id"] > 0.5)
    assert targets_of_layer(some).rows.tolist() == [4, 8]


# -- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "place", "name"),
    [
        ("150.1 2.2", (150.1, 2.2), "150.10000_2.20000"),
        ("150.1, -2.2", (150.1, -2.2), "150.10000_-2.20000"),
        ("150.1 2.2 3C 273", (150.1, 2.2), "3C 273"),
        ("150.1,2.2,a, b", (150.1, 2.2), "a, b"),
        ("150.1\t2.2\tmy star", (150.1, 2.2), "my star"),
        ("150.1;2.2;x", (150.1, 2.2), "x"),
        ("10 00 24 +02 12 00 my star", (150.1, 2.2), "my star"),
        ("10:00:24 -02:12:00 5", (150.1, -2.2), "5"),
        ("10 00 24, +02 12 00 n", (150.1, 2.2), "n"),
        ("10h00m24s +2d12m00s", (150.1, 2.2), "150.10000_2.20000"),
        ("10,00,24,+02,12,00", (150.1, 2.2), "150.10000_2.20000"),
        ("HD 1234 10h00m24s −2d12m00s", (150.1, -2.2), "HD 1234"),
        ("3C 273 187.2 2.05", (187.2, 2.05), "3C 273"),
        ("x, 150.1, 2.2", (150.1, 2.2), "x"),
        ("150.1 -2.2 J1000-0212", (150.1, -2.2), "J1000-0212"),
    ],
)
def test_a_line(line, place, name):
    [source] = targets_of_text(line).sources
    assert (source.ra, source.dec) == pytest.approx(place)
    assert source.label == name


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("nonsense", "is no pair of coordinates; write, for example"),
        ("150.1", "is no pair of coordinates"),
        ("400 2 star", "ra is 400; allowed is 0 <= ra <= 360"),
        ("10 95 star", "dec is 95; allowed is -90 <= dec <= 90"),
        ("10 75 00 +2 0 0", "minutes and seconds must be below 60"),
        ("x" * 5000, "the line has 5,000 characters"),
    ],
)
def test_a_bad_line(line, why):
    targets = targets_of_text(f"# two targets\n1 2\n\n{line}")
    assert targets.rows.tolist() == [1]
    assert [r.row for r in targets.rejected] == [3]
    assert why in targets.rejected[0].reason
    assert len(targets.rejected[0].reason) < 500


def test_a_pasted_table():
    targets = targets_of_text("# list\nname,RAJ2000,DEJ2000,pmra\na,1,2,5\n\na,3,4,\nc,400,5,\n")
    assert [(s.label, s.ra, s.pmra) for s in targets.sources] == [("a", 1, 5), ("a_2", 3, 0)]
    assert targets.rows.tolist() == [2, 4]
    assert [r.row for r in targets.rejected] == [5]
    assert places(targets_of_text("ra dec\n10 00 24 +02 12 00\n150 2 x")) == [(150.1, 2.2), (150, 2)]


def test_no_text():
    with pytest.raises(TargetListError, match=r"no coordinates are given"):
        targets_of_text(" \n# nothing\n")


def test_files(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("ra,dec,name,x\n1,2,a,7\n")
    assert targets_of_file(path).sources == [Source(1, 2, "a")]
    assert targets_of_file(path, {"ra": "x", "name": None}).sources == [Source(7, 2, "7.00000_2.00000")]
    with pytest.raises(TargetListError, match=r"gone.csv' does not exist"):
        targets_of_file(tmp_path / "gone.csv")
    with pytest.raises(TargetListError, match=r"is a folder"):
        targets_of_file(tmp_path)


# -- names ------------------------------------------------------------------------------------------------------------


class Sesame(BaseHTTPRequestHandler):
    def do_GET(self):
        known = "M31" in self.path
        if "odd" in self.path:
            return self.wfile.write(b"no HTTP at all\r\n\r\n")
        self.send_response(500 if "broken" in self.path else 200)
        self.end_headers()
        self.wfile.write(b"%J 10.6847083 +41.2687500 = 00:42:44.33\n" if known else b"#!nothing\n")

    def log_message(self, *arguments):
        pass


@pytest.fixture
def sesame():
    """The name service, as far as this computer: it knows M31."""
    server = HTTPServer(("127.0.0.1", 0), Sesame)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with name_resolve.sesame_url.set([f"http://127.0.0.1:{server.server_port}/"]):
        yield server
    server.shutdown()
    thread.join()
    server.server_close()
    with warnings.catch_warnings():  # urllib leaves the sockets of answers that failed to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_name(sesame):
    [source] = targets_of_name(" M31\n").sources
    assert (source.ra, source.dec, source.label) == (10.6847083, 41.26875, "M31")


def test_unknown_name(sesame):
    with pytest.raises(TargetListError, match=r"no object is known as 'no such thing'.*check the name"):
        targets_of_name("no such thing")
    with pytest.raises(TargetListError, match=r"the name of the object is empty"):
        targets_of_name("  ")


@pytest.mark.parametrize("name", ["broken", "odd"])
def test_a_service_in_trouble(sesame, name):
    with pytest.raises(TargetListError, match=r"cannot be looked up: the name service does not answer"):
        targets_of_name(name)


def test_names_are_asked_over_https(monkeypatch):
    """Astropy's list has a server without; what it says could be anybody's."""
    asked = []

    def resolved(name):
        asked.extend(name_resolve.sesame_url.get())
        return SkyCoord(10.68, 41.27, unit="deg")

    monkeypatch.setattr(name_resolve, "get_icrs_coordinates", resolved)
    before = name_resolve.sesame_url.get()
    assert targets_of_name("M31").sources == [Source(10.68, 41.27, "M31")]
    assert asked
    assert all(url.startswith("https://") for url in asked)
    assert set(asked) <= set(before)
    assert name_resolve.sesame_url.get() == before
    asked.clear()
    with (
        name_resolve.sesame_url.set(["http://names.example.org/"]),
        pytest.raises(TargetListError, match=r"none of the name servers .* has an address with https"),
    ):
        targets_of_name("M31")
    assert asked == []


def test_no_network(monkeypatch):
    monkeypatch.setattr(resolver, "TIMEOUT_SECONDS", 5.0)
    with (
        name_resolve.sesame_url.set(["http://127.0.0.1:9/"]),  # the port that discards
        pytest.raises(TargetListError, match=r"'M31' cannot be looked up: the name service does not answer.*network"),
    ):
        targets_of_name("M31")


# -- companions -------------------------------------------------------------------------------------------------------


def test_companions(catalogue):
    targets = targets_of_layer(catalogue)
    arcsec = 1 / 3600
    neighbours = targets_of_text(
        f"10 1 itself\n10 {1 + 0.5 * arcsec} itself again\n10 {1 + 10 * arcsec} a\n10 {1 + 10.2 * arcsec} a\n"
        f"20 {2 - 29 * arcsec} near\n20 {2 - 31 * arcsec} far\n100 2 elsewhere"
    )
    both = with_companions(targets, neighbours, 30)
    assert [(s.label, s.companion) for s in both.sources] == [
        ("a", False), ("b", False), ("e", False), ("a_2", True), ("near", True),
    ]  # fmt: skip
    assert both.rows.tolist() == [0, 1, 4, 5, 6]
    assert both.table["name"].tolist() == ["a", "b", "c", "a", "e", "a_2", "near"]
    assert both.rejected == targets.rejected
    again = with_companions(both, neighbours, 30)
    assert again.sources == both.sources
    assert with_companions(targets, targets, 30) is targets
    with pytest.raises(ValueError, match="radius is 0"):
        with_companions(targets, neighbours, 0)


def test_motion_between_the_epochs_of_two_catalogues():
    at_2016 = Targets([Source(10, 0, "s", pmdec=2000, ref_epoch=2016)], np.array([0]), [], Table(), {})
    at_2000 = Targets([Source(10, -32 / 3600, "s", pmdec=2000, ref_epoch=2000)], np.array([0]), [], Table(), {})
    assert with_companions(at_2016, at_2000, 60) is at_2016


def test_companions_keep_their_shapes():
    galaxy = Targets([Source(10, 10 / 3600, "g", Sersic(1, 3))], np.array([0]), [], Table(), {})
    both = with_companions(targets_of_text("10 0"), galaxy, 60)
    assert [source.profile for source in with_shape(both, Sersic(2, 2)).sources] == [Sersic(2, 2), Sersic(1, 3)]


@pytest.mark.parametrize("heading", ["l b", "GLON, GLAT, name", "# of no use\nl|b", "gal_lon\tgal_lat"])
def test_galactic_coordinates_are_refused(heading):
    with pytest.raises(TargetListError, match="galactic coordinates are not understood"):
        targets_of_text(f"{heading}\n120.5 30.2\n121 31")


def test_a_heading_that_means_nothing_is_one_rejected_row():
    targets = targets_of_text("my targets\n120.5 30.2\n121 31")
    assert [rejected.row for rejected in targets.rejected] == [0]
    assert places(targets) == [(120.5, 30.2), (121, 31)]
