import numpy as np
import pytest

pytest.importorskip("glue")

from astropy.table import MaskedColumn, QTable
from glue.core import Data, DataCollection
from glue.core.component import CategoricalComponent
from glue.core.component_id import ComponentID
from glue.core.parse import ParsedCommand, ParsedComponentLink
from glue.core.state import GlueSerializer, GlueUnSerializer
from glue.core.subset import ElementSubsetState

from glue_spherex import Flag
from glue_spherex.model.spectrum import COLUMNS, new_table
from glue_spherex.plugin.columns import find_column, kind_of
from glue_spherex.plugin.flag_counts import (
    count_by_group,
    count_flags,
    describe_flags,
    integer_components,
    parse_flags,
    wavelength_histogram,
)
from glue_spherex.plugin.flag_dialog_state import FlagDialogState
from glue_spherex.plugin.flag_selection import (
    PRESETS,
    FlagSelection,
    flag_bit_attributes,
    flag_subset,
    flag_subset_groups,
    selection_of,
    subset_to_data,
)
from glue_spherex.plugin.flag_subsets import FlagSubsetState, bits_of, mask_of
from glue_spherex.plugin.loader import spectrum_data
from glue_spherex.plugin.translator import to_table

HOT, SOURCE, BAD, FAILED, DICHROIC = (int(Flag[name]) for name in
                                      ("HOT", "SOURCE", "CONTAINS_BAD_PIXEL", "FIT_ERROR", "DICHROIC"))  # fmt: skip
#: Two sources of six rows each: flags, and the detector of each row.
FLAGS = [0, SOURCE, SOURCE + HOT + BAD, DICHROIC, DICHROIC + SOURCE, FAILED + BAD] * 2
DETECTORS = [1, 2, 3, 4, 5, 6, 3, 4, 5, 6, 1, 2]


def spectra(flags=FLAGS, label="spectra"):
    n = len(flags)
    kinds = {"float": np.ones(n), "int": np.zeros(n, dtype=int), "bool": np.zeros(n, dtype=bool)}
    columns = {spec.name: kinds.get(spec.dtype, np.full(n, "x")) for spec in COLUMNS}
    columns |= {
        "flags": flags,
        "det_id": DETECTORS[:n],
        "source_id": np.arange(n) // 6,
        "label": np.array(["star", "galaxy"])[np.arange(n) // 6],
        "wavelength": np.linspace(0.8, 4.8, n) if n else [],
        "flux": np.arange(n),
    }
    data = spectrum_data(new_table(columns))
    data.label = label
    return data


def state_of(*datasets, **options):
    return FlagDialogState(DataCollection(list(datasets)), **options)


def choices(state, name):
    return getattr(FlagDialogState, name).get_choices(state)


# -- counting ---------------------------------------------------------------------------------------------------------


def test_counts():
    counts = count_flags([0, 8, 8 + BAD, -1])
    assert (counts.n_rows, counts.n_missing) == (4, 1)
    assert [(entry.bit, entry.name, entry.count) for entry in counts.bits] == [
        (3, "BIT_3", 2),
        (32, "CONTAINS_BAD_PIXEL", 1),
    ]
    assert [entry.fraction for entry in counts.bits] == [2 / 3, 1 / 3]
    assert counts.of(3) == 2
    assert counts.of(7) == 0


@pytest.mark.parametrize("values", [[], [-1], [0]])
def test_nothing_to_count(values):
    assert count_flags(np.array(values, dtype=np.int64)).bits == ()


def test_counts_of_truth_values_and_small_integers():
    assert count_flags(np.array([True, False, True])).of(0) == 2
    assert count_flags(np.array([255], dtype=np.uint8)).of(7) == 1
    assert count_flags(np.array([1 << 63], dtype=np.uint64)).of(63) == 1


def test_by_source_and_detector():
    data = spectra()
    counts = count_by_group(data, data.id["flags"])
    assert list(counts) == ["all rows", "star", "galaxy", *(f"detector {n}" for n in range(1, 7))]
    assert counts["all rows"].of(21) == 6
    assert counts["star"].of(21) == counts["galaxy"].of(21) == 3
    assert counts["detector 3"].n_rows == 2  # rows 2 and 6
    assert [entry.name for entry in counts["detector 3"].bits] == ["HOT", "SOURCE", "CONTAINS_BAD_PIXEL"]


def test_sources_of_the_same_name():
    data = spectra()
    data.update_components({data.id["label"]: np.full(12, "star")})
    assert list(count_by_group(data, data.id["flags"]))[1:3] == ["star (source 0)", "star (source 1)"]


def test_components_that_can_hold_flags():
    data = Data(
        label="any", a=np.arange(3), b=np.arange(3) * 0.5, c=np.arange(3, dtype=np.uint8), d=[True, False, True]
    )
    data.add_component(CategoricalComponent(np.array(["x", "y", "z"])), "e")
    data["f"] = data.id["a"] * 2
    data["g"] = data.id["a"] * 0.5
    data.add_component_link(
        ParsedComponentLink(ComponentID("h", data), ParsedCommand("{a} + nobody", {"a": data.id["a"]}))
    )
    assert [cid.label for cid in integer_components(data)] == ["a", "c", "d", "f"]
    assert integer_components(Data(label="nothing", flags=np.zeros(0, dtype=int)))


def test_histogram():
    wavelength = [1.0, 1.0, 2.0, 4.0, np.nan, -1.0]
    edges, everything, chosen = wavelength_histogram(wavelength, [1, 0, 0, 1, 1, 1], bins=2)
    np.testing.assert_allclose(edges, [1, 2, 4])
    assert everything.tolist() == [2, 2]
    assert chosen.tolist() == [1, 1]


@pytest.mark.parametrize("wavelength", [[], [np.nan]])
def test_no_histogram(wavelength):
    assert [part.size for part in wavelength_histogram(wavelength, np.ones(len(wavelength)))] == [0, 0, 0]


def test_histogram_of_one_wavelength():
    _, everything, chosen = wavelength_histogram([2.0, 2.0], [True, False])
    assert (everything.sum(), chosen.sum()) == (2, 1)


# -- values that somebody typed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        (" 4297064448 ", 4297064448),
        ("4,297,064,448", 4297064448),
        ("4_297_064_448", 4297064448),
        ("0x100200000", 4297064448),
        ("0X1F", 31),
        ("0x0", 0),
        ("18446744073709551615", 2**64 - 1),
    ],
)
def test_typed_values(text, value):
    assert parse_flags(text) == value


@pytest.mark.parametrize("text", ["", "HOT", "-1", "1.5", "1e6", "0x", "0xg", "²", "2**3", "nan"])
def test_typed_nonsense(text):
    with pytest.raises(ValueError, match="is no flag value; type a whole number of 0 or more"):
        parse_flags(text)


@pytest.mark.parametrize("text", ["18446744073709551616", "9" * 5000, "0x1" + "0" * 16])
def test_typed_values_that_are_too_large(text):
    with pytest.raises(ValueError, match="does not fit into 64 bits"):
        parse_flags(text)


def test_described():
    assert describe_flags(0) == []
    assert describe_flags(SOURCE + (1 << 30)) == [
        "21 SOURCE: holds light of a known source",
        "30 BIT_30: has no published meaning",
    ]


# -- subsets ----------------------------------------------------------------------------------------------------------


def selected(group, number=0):
    return np.flatnonzero(group.subsets[number].to_mask()).tolist()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Clean", [0, 1, 6, 7]),
        ("Suspicious", [2, 5, 8, 11]),
        ("Do not use", [5, 11]),
        ("Dichroic, detectors 3 and 4", [3]),
        ("Ignored in the fit", [2, 8]),
    ],
)
def test_presets(name, expected):
    """DICHROIC is in rows 3, 4, 9, 10, whose detectors are 4, 5, 6, 1."""
    data = spectra()
    selection = next(preset.selection for preset in PRESETS if preset.name == name)
    assert np.flatnonzero(selection.state(data).to_mask(data)).tolist() == expected


def test_one_subset():
    data = spectra()
    collection = DataCollection([data])
    [group] = flag_subset(collection, data, HOT | DICHROIC)
    assert (group.label, selected(group)) == ("DICHROIC or HOT", [2, 3, 4, 8, 9, 10])
    [again] = flag_subset(collection, data, HOT | DICHROIC, label="DICHROIC or HOT")
    assert again.label == "DICHROIC or HOT (2)"


def test_one_subset_per_bit_in_its_colour():
    data = spectra()
    groups = flag_subset(DataCollection([data]), data, HOT | FAILED | 8, separate=True)
    assert [group.label for group in groups] == ["BIT_3", "HOT", "FIT_ERROR"]
    assert [selected(group) for group in groups] == [[], [2, 8], [5, 11]]
    assert [group.style.color for group in groups[1:]] == ["#ff0000", "#000000"]


@pytest.mark.parametrize(
    ("selection", "name"),
    [
        (FlagSelection(HOT), "HOT"),
        (FlagSelection(HOT | FAILED, "all"), "HOT and FIT_ERROR"),
        (FlagSelection(HOT | FAILED, "none"), "no HOT or FIT_ERROR"),
        (FlagSelection(HOT, "any", (2,)), "HOT in detector 2"),
        (PRESETS[0].selection, "Clean"),
    ],
)
def test_names(selection, name):
    assert selection.name == name


def test_a_selection_is_read_back():
    data = spectra()
    for selection in (FlagSelection(HOT, "none"), FlagSelection(DICHROIC | 8, "all", (1, 3, 6))):
        assert selection_of(selection.state(data)) == (selection, data.id["flags"])
    state = FlagSubsetState(data.id["flags"], HOT)
    for other in (state | state, ~state, state & (data.id["flux"] > 1), ElementSubsetState([1], data=data)):
        assert selection_of(other) == (None, None)


@pytest.mark.parametrize("include_data", [True, False])
def test_a_session_keeps_what_can_be_edited(include_data):
    data = spectra()
    collection = DataCollection([data])
    [group] = flag_subset(collection, data, DICHROIC, detectors=(3, 4))
    flag_bit_attributes(data, [7, 32])
    copied = subset_to_data(group.subsets[0], collection)
    text = GlueSerializer(collection, include_data=include_data).dumps()
    again = GlueUnSerializer.loads(text).object("__main__")
    [found] = flag_subset_groups(again)
    assert selection_of(found.subset_state)[0] == FlagSelection(DICHROIC, "any", (3, 4))
    assert selected(found) == [3]
    assert again[0]["CONTAINS_BAD_PIXEL"].tolist() == [0, 0, 1, 0, 0, 1] * 2
    assert again[0]["CONTAINS_BAD_PIXEL"].dtype == np.int64
    assert (again[1].label, again[1]["flux"].tolist(), kind_of(again[1])) == (copied.label, [3], "spectrum")
    assert again[1].get_component("flux").units == "uJy"


def test_refusals():
    data, plain = spectra(), Data(label="catalogue", ra=[1.0])
    collection = DataCollection([data, plain])
    with pytest.raises(ValueError, match="No flag was chosen"):
        flag_subset(collection, data, 0)
    with pytest.raises(ValueError, match="'catalogue' has no column of flags"):
        flag_subset(collection, plain, HOT)
    with pytest.raises(ValueError, match="'ra' of 'catalogue' does not hold whole numbers"):
        flag_subset(collection, plain, HOT, att=plain.id["ra"])
    with pytest.raises(ValueError, match="mode is 'most'"):
        flag_subset(collection, data, HOT, "most")
    integers = Data(label="integers", flags=[1])
    with pytest.raises(ValueError, match="'integers' has no column det_id"):
        FlagSelection(HOT, "any", (3,)).state(integers)
    assert not collection.subset_groups


# -- columns and datasets ---------------------------------------------------------------------------------------------


def test_columns_per_bit():
    data = spectra()
    added = flag_bit_attributes(data, [33, 21])
    assert [cid.label for cid in added] == ["SOURCE", "FIT_ERROR"]
    assert data["SOURCE"].tolist() == [0, 1, 1, 0, 1, 0] * 2
    assert data["FIT_ERROR"].dtype == np.int64
    assert flag_bit_attributes(data, [21]) == added[:1]
    other = Data(label="other", flags=[1, 3], SOURCE=[0.0, 0.0])
    assert [cid.label for cid in flag_bit_attributes(other, [21])] == ["SOURCE (2)"]
    data.id["flags"].label = "quality"
    assert flag_bit_attributes(data, [21]) == added[:1]


@pytest.mark.parametrize(
    ("bits", "message"), [([], "No flag was chosen"), ([63], "from 0 to 62"), ([-1], "from 0 to 62")]
)
def test_columns_refused(bits, message):
    with pytest.raises(ValueError, match=message):
        flag_bit_attributes(spectra(), bits)


def test_subset_to_data():
    data = spectra()
    collection = DataCollection([data])
    data.id["flux"].label = "brightness"
    flag_bit_attributes(data, [7])
    subset = flag_subset(collection, data, DICHROIC)[0].subsets[0]
    new = subset_to_data(subset, collection)
    assert new.label == "spectra [DICHROIC]"
    assert new in collection
    assert [cid.label for cid in new.main_components] == [cid.label for cid in data.main_components] + ["DICHROIC"]
    assert new["brightness"].tolist() == [3, 4, 9, 10]
    assert find_column(new, "flux") is new.id["brightness"]
    assert list(new["label"]) == ["star", "star", "galaxy", "galaxy"]
    assert new["flags"].dtype == np.int64
    assert {cid.label: new.get_component(cid).units for cid in new.main_components}["wavelength"] == "um"
    assert new.meta == data.meta
    assert new.meta["spherex"] is not data.meta["spherex"]
    assert subset_to_data(subset, collection).label == "spectra [DICHROIC] (2)"


def test_missing_flags_of_a_copy():
    """A flag of 0 is not missing because the row that stood in its place before was."""
    table = QTable({"wavelength": np.arange(1.0, 5.0), "flux": np.ones(4)})
    table["flags"] = MaskedColumn([0, 0, 0, HOT], mask=[True, False, True, False])
    data = spectrum_data(table)
    collection = DataCollection([data])
    group = collection.new_subset_group("later", data.id["wavelength"] > 1.5)
    copied = to_table(subset_to_data(group.subsets[0], collection))
    assert copied["flags"].mask.tolist() == [False, True, False]
    assert data.meta["spherex"]["missing"]["flags"] == [[0, 1], [2, 3]]


def test_a_catalogue_with_a_number_per_row_has_no_sources_to_list():
    data = Data(label="catalogue", source_id=np.arange(50), flags=np.arange(50))
    assert list(count_by_group(data, data.id["flags"])) == ["all rows"]


@pytest.mark.parametrize("ids", [["a", "b", "b"], [0.5, np.nan, np.nan], np.array([2**63 + 1, 7, 7], np.uint64)])
def test_sources_that_have_no_number(ids):
    data = Data(label="others", source_id=np.array(ids), flags=[HOT, HOT, 0])
    state = FlagDialogState(DataCollection([data]), data)
    groups = FlagDialogState.group.get_choices(state)
    assert [None if group.rows is None else group.rows.tolist() for group in groups] == [None, [0], [1, 2]]


def test_columns_of_missing_flags():
    data = Data(label="others", flags=np.array([-1, HOT, 0]))
    [cid] = flag_bit_attributes(data, [10])
    assert data[cid].tolist() == FlagSubsetState(data.id["flags"], HOT).to_mask(data).tolist() == [0, 1, 0]
    assert flag_bit_attributes(data, [10]) == [cid]


def test_the_edited_subset_is_deleted():
    data = spectra()
    collection = DataCollection([data])
    [group] = flag_subset(collection, data, HOT)
    state = FlagDialogState(collection, data, group)
    collection.remove_subset_group(group)
    assert state.edited is None
    assert state.status == "HOT was removed; the ticks stay, for a new subset."


def test_the_edited_subset_is_changed_elsewhere():
    data = spectra()
    collection = DataCollection([data])
    [group] = flag_subset(collection, data, HOT)
    states = [FlagDialogState(collection, data, group) for _ in range(2)]
    states[1].mask, states[1].name = FAILED, "failed"
    states[1].apply()
    assert states[0].mask == FAILED
    assert (group.label, states[1].name) == ("failed", "failed")
    assert states[1].status == "Subset failed was changed."
    group.subset_state = ElementSubsetState([0], data=data)
    assert [state.edited for state in states] == [None, None]


def test_subset_to_data_refusals():
    data, image = spectra(), Data(label="image", flags=np.ones((2, 2), dtype=int))
    collection = DataCollection([data, image])
    [group] = flag_subset(collection, data, 1)
    with pytest.raises(ValueError, match="has no rows in 'spectra'"):
        subset_to_data(group.subsets[0], collection)
    [group] = flag_subset(collection, image, 1)
    with pytest.raises(ValueError, match="'image' is no table"):
        subset_to_data(group.subsets[1], collection)


# -- the state of the dialog ------------------------------------------------------------------------------------------


def test_state_starts_with_the_flags_of_a_spectrum():
    catalogue, data = Data(label="catalogue", number=[1, 2]), spectra()
    state = state_of(Data(label="no integers", ra=[1.0]), catalogue, data)
    assert choices(state, "data") == [catalogue, data]
    assert (state.data, state.att) == (data, data.id["flags"])
    assert state.shown_bits == [7, 10, 21, 32, 33]
    assert (state.mask, state.n_selected, state.name) == (0, 0, "")
    state.data = catalogue
    assert state.att is catalogue.id["number"]
    assert state.shown_bits == [0, 1]


def test_state_counts_for_a_group_and_selects_from_all():
    state = state_of(spectra())
    state.toggle(21, True)
    assert (state.counts.of(21), state.n_selected, state.name) == (6, 6, "SOURCE")
    state.group = choices(state, "group")[1]
    assert (state.group.name, state.counts.of(21), state.n_selected) == ("star", 3, 6)
    state.mode = "none"
    assert (state.n_selected, state.name) == (6, "no SOURCE")
    state.toggle(7, True)
    assert state.n_selected == 4  # rows 0, 5 of each source
    state.detectors = (1, 6)
    assert state.n_selected == 2  # rows 0 and 5: detectors 1 and 6; rows 6 and 11 have 3 and 2
    [group] = state.apply()
    assert np.flatnonzero(group.subsets[0].to_mask()).tolist() == [0, 5]


def test_state_name_follows_until_changed():
    state = state_of(spectra())
    state.mask = HOT
    state.name = "mine"
    state.mask = HOT | DICHROIC
    assert state.name == "mine"
    [group] = state.apply()
    assert group.label == "mine"
    state.name = ""
    state.mask = HOT
    assert state.name == "HOT"


def test_state_edits_in_place():
    data = spectra()
    state = state_of(data)
    state.choose_preset(PRESETS[3])
    [group] = state.apply()
    assert (group.label, state.status) == (PRESETS[3].name, f"Subset {PRESETS[3].name} was made.")
    state.mask, state.mode, state.detectors = 1, "all", ()
    state.edit(group)
    assert (state.mask, state.mode, state.detectors, state.name) == (DICHROIC, "any", (3, 4), group.label)
    state.detectors = ()
    state.name = "all dichroic"
    assert state.apply() == [group]
    assert (group.label, np.flatnonzero(group.subsets[0].to_mask()).tolist()) == ("all dichroic", [3, 4, 9, 10])
    assert len(state.data_collection.subset_groups) == 1


def test_state_refuses_to_edit_others():
    data = spectra()
    collection = DataCollection([data])
    group = collection.new_subset_group("bright", data.id["flux"] > 3)
    state = FlagDialogState(collection, subset_group=group)
    assert state.edited is None
    assert state.failed
    assert "'bright' is no subset of flags alone" in state.status


def test_state_offers_no_subset_that_it_cannot_edit():
    """A script can ask for the flags of a component of real numbers; that selects nothing and cannot be ticked."""
    data = spectra()
    collection = DataCollection([data])
    group = collection.new_subset_group("odd", FlagSubsetState(data.id["flux"], HOT))
    state = FlagDialogState(collection, subset_group=group)
    assert choices(state, "edited") == [None]
    assert state.failed


def test_state_follows_the_collection():
    first, second = spectra(label="same"), spectra(label="same", flags=[FAILED] * 6)
    state = state_of(first)
    state.mask = FAILED
    [group] = state.apply()
    state.edited = group
    state.data_collection.append(second)
    assert choices(state, "data") == [first, second]
    assert state.data is first
    state.data_collection.remove(first)
    assert (state.data, state.att, state.edited) == (second, second.id["flags"], None)
    assert (state.n_selected, state.status) == (6, "same was removed.")
    second.update_components({second.id["flags"]: np.array([FAILED, 0, 0, 0, 0, HOT])})
    assert (state.n_selected, state.shown_bits) == (1, [10, 33])
    state.data_collection.remove(second)
    assert state.data is None
    assert state.apply() == state.add_columns() == []
    assert state.failed
    assert "load a spectrum first" in state.status
    assert state.chart()[0].size == 0


def test_state_with_a_renamed_column_and_a_removed_subset():
    data = spectra()
    state = state_of(data)
    data.id["flags"].label = "quality"
    assert state.att is data.id["quality"]
    state.mask = FAILED
    [group] = state.apply()
    state.edited = group
    state.data_collection.remove_subset_group(group)
    assert state.edited is None
    assert choices(state, "edited") == [None]


def test_state_does_not_count_again_for_a_colour():
    data = spectra()
    state = state_of(data)
    counted = []
    state.add_callback("counts", counted.append)
    data.style.color = "red"
    assert counted == []
    data.update_components({data.id["flags"]: np.zeros(12, dtype=int)})
    assert counted


def test_state_of_data_without_detectors():
    data = Data(label="plain", flags=[DICHROIC, 0])
    state = state_of(data)
    state.choose_preset(PRESETS[3])
    assert state.detectors == ()
    assert "There is no column det_id, so all rows are looked at." in state.status
    assert len(state.apply()) == 1


def test_state_decodes():
    state = state_of(spectra())
    state.value_text = "0x200000"
    assert state.decoded == "21 SOURCE: holds light of a known source"
    state.value_text = "many"
    assert "'many' is no flag value" in state.decoded
    state.value_text = "0"
    assert state.decoded == "0: no flag is set"
    state.value_text = ""
    assert state.decoded == ""


def test_state_copies_rows_and_adds_columns():
    data = spectra()
    state = state_of(data)
    state.mask = HOT | (1 << 40)
    new = state.copy_rows()
    assert new["flux"].tolist() == [2, 8]
    assert not data.subsets
    assert "with 2 rows was made" in state.status
    assert [cid.label for cid in state.add_columns()] == ["HOT", "BIT_40"]
    state.mask = 1 << 41
    assert state.copy_rows() is None
    assert state.failed
    state.mask = 0
    assert state.apply(separate=True) == []
    assert "No flag was chosen" in state.status


def test_state_keeps_flags_of_a_preset_that_do_not_occur():
    """A row that gets another flag later is no longer clean."""
    data = spectra()
    state = state_of(data)
    state.choose_preset(PRESETS[0])
    assert state.shown_bits == [7, 10, 21, 32, 33]
    [group] = state.apply()
    data.update_components({data.id["flags"]: np.array([1 << 30, 0, SOURCE, *FLAGS[3:]])})
    assert np.flatnonzero(group.subsets[0].to_mask()).tolist() == [1, 2, 6, 7]
    assert state.apply(separate=True)
    assert len(state.data_collection.subset_groups) == 1 + len(set(state.shown_bits) - {21})


@pytest.mark.parametrize("n", [0, 1])
def test_state_of_few_rows(n):
    state = state_of(spectra(flags=FLAGS[:n]))
    assert state.shown_bits == []
    state.mask = HOT
    state.apply()
    assert state.n_selected == 0


def test_state_of_an_image():
    image = Data(label="image", flags=np.array([[0, HOT], [HOT, 1]], dtype=np.int32))
    state = state_of(image)
    state.mask = HOT
    assert state.n_selected == 2
    assert [group.name for group in choices(state, "group")] == ["all rows"]
    assert state.copy_rows() is None
    assert "'image' is no table" in state.status


def test_state_without_flags_in_the_asked_data():
    plain = Data(label="catalogue", ra=[1.0])
    state = state_of(spectra(), plain, data=plain)
    assert "'catalogue' has no component of whole numbers" in state.status


def test_bits_and_masks():
    assert bits_of(mask_of([0, 33, 0])) == [0, 33]
    assert mask_of([]) == 0


def test_many_rows():
    rng = np.random.default_rng(1)
    data = Data(label="many", flags=rng.integers(0, 1 << 34, 20_000), wavelength=rng.uniform(0.75, 5, 20_000))
    state = state_of(data)
    state.mask = BAD
    [group] = state.apply()
    assert group.subsets[0].to_mask().sum() == ((data["flags"] >> 32) & 1).sum() == state.n_selected
