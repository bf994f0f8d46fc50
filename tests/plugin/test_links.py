"""Links between our data: what is the same quantity, and which rows belong together."""

import numpy as np
import pytest
from glue.config import settings
from glue.core import Data, DataCollection
from glue.core.autolinking import find_possible_links
from glue.core.data_factories import load_data
from glue.core.exceptions import IncompatibleAttribute
from glue.core.link_helpers import JoinLink, LinkSame

from glue_spherex import write_spectra
from glue_spherex.plugin.links import autolink, link_all
from glue_spherex.plugin.loader import spectrum_data
from glue_spherex.plugin.target_data import load_targets, target_table_from


@pytest.fixture
def spectra(made_spectrum):
    def make(name="spectra", **columns):
        data = spectrum_data(made_spectrum(**columns))
        data.label = name
        return data

    return make


def targets_like(path, ra=150.0, names=("0000", "0001"), extra=()):
    lines = [f"{ra + 0.01 * k},{2.0 + 0.01 * k},{name}," for k, name in enumerate(names)]
    path.write_text("\n".join(["ra,dec,name,sersic_n", *extra, *lines]) + "\n")
    return load_data(str(path), factory=load_targets)


def mask(data):
    return data.subsets[-1].to_mask()


def joins(links):
    return [link for link in links if isinstance(link, JoinLink)]


def test_a_subset_of_targets_selects_its_points_and_the_reverse(tmp_path, spectra):
    """Numbers are those of the good rows: the rejected row before them does not count."""
    data, targets = spectra(), targets_like(tmp_path / "list.csv", extra=["400,2,bad,"])
    collection = DataCollection([targets, data])
    link_all(collection)
    group = collection.new_subset_group("one", targets.id["label"] == "0001")
    np.testing.assert_array_equal(mask(data), data["source_id"] == 1)
    group.subset_state = data.id["flux"] >= data["flux"][3]
    expected = [np.any(data["flux"][data["source_id"] == k] >= data["flux"][3]) for k in (0, 1)]
    np.testing.assert_array_equal(mask(targets), expected)


def test_linking_twice_adds_nothing(tmp_path, spectra):
    collection = DataCollection([spectra("a"), spectra("b"), spectra("a"), targets_like(tmp_path / "list.csv")])
    assert link_all(collection)
    assert link_all(collection) == []
    assert autolink(collection) == []


def test_subsets_by_column_hold_in_all_spectra(spectra):
    """Also with two datasets of the same name, and when the first one is removed and another comes."""
    first, second, third = (spectra("same", flags=np.arange(14) << shift) for shift in (0, 3, 5))
    collection = DataCollection([first, second])
    link_all(collection)
    collection.new_subset_group("bright", first.id["flags"] > 20)
    np.testing.assert_array_equal(mask(second), second["flags"] > 20)
    collection.remove(first)
    collection.append(third)
    link_all(collection)
    group = collection.new_subset_group("again", second.id["wavelength"] > 2)
    np.testing.assert_array_equal(mask(third), third["wavelength"] > 2)
    assert group.subset_state.to_mask(third).any()


def test_unequal_units_are_not_linked(made_spectrum):
    table = made_spectrum()
    table["flux"] = table["flux"].to("mJy")
    a, b = spectrum_data(table), spectrum_data(made_spectrum())
    links = link_all(DataCollection([a, b]))
    assert not [link for link in links if isinstance(link, LinkSame) and link.cids1[0].label == "flux"]


def test_sources_of_other_places_are_not_joined(tmp_path, spectra):
    """Number 0 of one list is not number 0 of another: neither by position nor, far away, by name."""
    data = spectra()
    elsewhere = targets_like(tmp_path / "a.csv", ra=160.0, names=("p", "q"))
    namesakes = targets_like(tmp_path / "b.csv", ra=160.0)
    assert joins(link_all(DataCollection([data, elsewhere, namesakes]))) == []


def test_other_numbers_are_joined_by_name(tmp_path, spectra):
    data = spectra(source_id=np.repeat([7, 9], 7))
    targets = targets_like(tmp_path / "list.csv")
    collection = DataCollection([data, targets])
    assert [link.cids1[0].label for link in joins(link_all(collection))] == ["label"]
    collection.new_subset_group("one", targets.id["source_id"] == 1)
    np.testing.assert_array_equal(mask(data), data["source_id"] == 9)


def test_spectra_of_the_same_sources_share_their_numbers(spectra):
    a, b, other = spectra("a"), spectra("b"), spectra("c", ra=np.full(14, 10.0), label=np.full(14, "z"))
    collection = DataCollection([a, b, other])
    link_all(collection)
    collection.new_subset_group("one", a.id["source_id"] == 1)
    np.testing.assert_array_equal(mask(b), b["source_id"] == 1)
    with pytest.raises(IncompatibleAttribute):
        mask(other)


def test_images_are_joined_by_exposure_and_detector(spectra):
    data = spectra()
    images = Data(label="images", lvf_id=data["lvf_id"][::2], mjd=np.arange(7.0), det_id=data["det_id"][::2])
    images.meta["spherex"] = {"kind": "images"}
    collection = DataCollection([data, images])
    assert len(joins(link_all(collection))) == 1
    collection.new_subset_group("late", images.id["mjd"] > 4)
    np.testing.assert_array_equal(np.flatnonzero(mask(data)), [10, 12])


def test_unknown_exposures_are_joined_by_identifier(spectra):
    """0 stands for an unknown exposure: it must not join rows of different images."""
    names = np.array([f"ivo://x?{k}" for k in range(14)])
    data = spectra(lvf_id=np.zeros(14, int), obs_publisher_did=names)
    images = Data(label="images", lvf_id=np.zeros(3, int), obs_publisher_did=names[:3])
    images.meta["spherex"] = {"kind": "images"}
    assert [link.cids1[0].label for link in joins(link_all(DataCollection([data, images])))] == ["obs_publisher_did"]


def test_catalogues_in_degrees_are_linked_by_position(spectra):
    data = spectra()
    catalogue = Data(label="catalogue", RA=[150.0, 150.01, 10.0], DEC=[2.0, 2.01, 0.0])
    pixels = Data(label="pixels", ra=[500.0, 1020.0], dec=[3.0, 999.0])
    collection = DataCollection([data, catalogue, pixels])
    link_all(collection)
    collection.new_subset_group("east", data.id["ra"] > 150.005)
    assert mask(catalogue).tolist() == [False, True, False]
    with pytest.raises(IncompatibleAttribute):
        mask(pixels)


@pytest.mark.parametrize("include_data", [False, True])
def test_links_survive_a_session(tmp_path, made_spectrum, restored, include_data):
    write_spectra(made_spectrum(), tmp_path / "s.vot")
    data = load_data(str(tmp_path / "s.vot"))
    collection = DataCollection([data, targets_like(tmp_path / "list.csv"), target_table_from(data)])
    link_all(collection)
    again = restored(collection, include_data)
    spectra, targets, made = again
    assert made.meta["spherex"]["kind"] == "targets"
    assert link_all(again) == []
    again.new_subset_group("one", targets.id["label"] == "0001")
    np.testing.assert_array_equal(mask(spectra), spectra["source_id"] == 1)
    np.testing.assert_array_equal(mask(made), [False, True])


def test_a_session_after_a_list_was_removed(tmp_path, spectra, restored):
    """glue leaves joins with removed data; they are cleared away with the next links."""
    data, targets = spectra(), targets_like(tmp_path / "list.csv")
    collection = DataCollection([data, targets])
    link_all(collection)
    collection.remove(targets)
    link_all(collection)
    assert joins(collection.external_links) == []
    assert not data._key_joins
    assert [d.label for d in restored(collection, True)] == ["spectra"]


def test_glue_takes_the_links_without_a_question(spectra, monkeypatch):
    """Unless the user wants to be asked."""
    monkeypatch.setattr(settings, "_members", {**settings._members, "AUTOLINK": {}})
    collection = DataCollection([spectra("a"), spectra("b")])
    suggestions = find_possible_links(collection)
    assert settings.AUTOLINK["SPHEREx"] == "always_accept"
    collection.add_link(suggestions["SPHEREx"])
    assert "SPHEREx" not in find_possible_links(collection)
    settings.AUTOLINK["SPHEREx"] = "always_show"
    find_possible_links(collection)
    assert settings.AUTOLINK["SPHEREx"] == "always_show"


def test_empty_and_odd_data_do_no_harm(made_spectrum, spectra):
    empty = spectrum_data(made_spectrum(1, 1)[:0])
    text = spectra("text", source_id=np.zeros(14, int))
    text.remove_component(text.id["source_id"])
    odd = Data(label="odd", ra=np.array(["1h", "2h"]), dec=np.array(["a", "b"]))
    collection = DataCollection([spectra(), empty, text, odd, Data(label="nothing"), Data(x=np.zeros((2, 3)))])
    link_all(collection)
    assert link_all(collection) == []


def test_of_many_spectra_the_essential_columns_are_linked(spectra):
    """glue needs seconds for more."""
    many = [spectra(f"s{k}") for k in range(6)]
    collection = DataCollection(many)
    link_all(collection)
    assert link_all(collection) == []
    collection.new_subset_group("flagged", many[0].id["flags"] > 0)
    for data in many:
        np.testing.assert_array_equal(mask(data), data["flags"] > 0)
