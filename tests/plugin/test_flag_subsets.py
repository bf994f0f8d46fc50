import numpy as np
import pytest

pytest.importorskip("glue")

from glue.core import Data, DataCollection
from glue.core.component import CategoricalComponent
from glue.core.exceptions import IncompatibleAttribute
from glue.core.link_helpers import JoinLink, LinkSame
from glue.core.state import GlueSerializer, GlueUnSerializer

from glue_spherex import Flag
from glue_spherex.plugin.flag_subsets import EVERY_BIT, FlagSubsetState

BAD, FAILED = 1 << 32, 1 << 33
#: Values, and by hand which of them have any, all, none of bits 7 and 32.
VALUES = [0, 128, BAD, BAD + 128, 1 << 21, BAD + 128 + (1 << 40), -1]
ANY, ALL, NONE = [1, 2, 3, 5], [3, 5], [0, 4]


def flagged(values=VALUES, dtype=np.int64):
    return Data(label="made up", flags=np.array(values, dtype=dtype), flux=np.arange(len(values)) * 1.0)


def rows(state, data, view=None):
    return np.flatnonzero(state.to_mask(data, view)).tolist()


def restored(collection, include_data):
    text = GlueSerializer(collection, include_data=include_data).dumps()
    return GlueUnSerializer.loads(text).object("__main__")


@pytest.mark.parametrize(("mode", "expected"), [("any", ANY), ("all", ALL), ("none", NONE)])
def test_modes(mode, expected):
    data = flagged()
    state = FlagSubsetState(data.id["flags"], 128 + BAD, mode)
    assert rows(state, data) == expected
    assert state.bits == [7, 32]
    assert state.attributes == (data.id["flags"],)


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64, ">i4", ">i8", bool]
)
def test_every_width(dtype):
    """Bit 0 of 1, 0, 1; bits that do not fit into the type are never set."""
    data = flagged([1, 0, 1], dtype)
    cid = data.id["flags"]
    assert rows(FlagSubsetState(cid, 1), data) == [0, 2]
    assert rows(FlagSubsetState(cid, 1, "none"), data) == [1]
    assert rows(FlagSubsetState(cid, BAD + 1), data) == [0, 2]
    assert rows(FlagSubsetState(cid, BAD), data) == []
    assert rows(FlagSubsetState(cid, BAD + 1, "all"), data) == []


def test_highest_bits():
    unsigned = flagged([1 << 63, 1, (1 << 53) + 1], np.uint64)
    assert rows(FlagSubsetState(unsigned.id["flags"], 1 << 63), unsigned) == [0]
    signed = flagged([1 << 62, (1 << 53) + 1, 1 << 53])
    assert rows(FlagSubsetState(signed.id["flags"], 1 << 62), signed) == [0]
    assert rows(FlagSubsetState(signed.id["flags"], 1), signed) == [1]
    assert rows(FlagSubsetState(signed.id["flags"], EVERY_BIT), signed) == [0, 1, 2]


def test_missing_values_are_in_no_mode():
    """Some readers write -1 where a flag value is missing; it does not have every flag."""
    data = flagged([-1, -(1 << 40)])
    for mode in ("any", "all", "none"):
        assert rows(FlagSubsetState(data.id["flags"], 128, mode), data) == []


def test_no_bits():
    data = flagged([0, 5])
    cid = data.id["flags"]
    assert rows(FlagSubsetState(cid, 0, "any"), data) == []
    assert rows(FlagSubsetState(cid, 0, "all"), data) == rows(FlagSubsetState(cid, 0, "none"), data) == [0, 1]


@pytest.mark.parametrize(
    "view",
    [slice(1, 5, 2), np.array([3, 0, 5]), (slice(0, 6),), (np.array([True, False, True, True, False, False, True]),)],
)
def test_views(view):
    data = flagged()
    state = FlagSubsetState(data.id["flags"], 128 + BAD)
    whole = np.isin(np.arange(7), ANY)
    np.testing.assert_array_equal(state.to_mask(data, view), whole[view])


def test_images_are_flagged_too():
    data = Data(label="image", flags=np.array([[0, 128], [128, 1]], dtype=np.uint32))
    state = FlagSubsetState(data.id["flags"], 128)
    np.testing.assert_array_equal(state.to_mask(data), [[False, True], [True, False]])
    np.testing.assert_array_equal(state.to_mask(data, (slice(None), 1)), [True, False])


@pytest.mark.parametrize("values", [np.array([1.0, 2.0]), np.array(["a", "b"])])
def test_other_components_are_incompatible(values):
    data = Data(label="other")
    data.add_component(CategoricalComponent(values) if values.dtype.kind == "U" else values, "flags")
    with pytest.raises(IncompatibleAttribute):
        FlagSubsetState(data.id["flags"], 1).to_mask(data)


def test_unrelated_data_are_incompatible():
    with pytest.raises(IncompatibleAttribute):
        FlagSubsetState(flagged().id["flags"], 1).to_mask(flagged())


@pytest.mark.parametrize(
    ("mask", "mode", "error", "message"),
    [
        (1, "some", ValueError, "mode is 'some'; it must be one of any, all, none"),
        (1.5, "any", TypeError, "mask is 1.5; it must be a whole number"),
        ("HOT", "any", TypeError, "mask is 'HOT'; it must be a whole number"),
        (-1, "any", ValueError, "mask is -1; it must be 0 to 2"),
        (1 << 64, "any", ValueError, "mask is 18446744073709551616; it must be 0 to 2"),
    ],
)
def test_refusals(mask, mode, error, message):
    with pytest.raises(error, match=message):
        FlagSubsetState(flagged().id["flags"], mask, mode)


def test_a_name_is_no_component():
    with pytest.raises(TypeError, match="att is 'flags'; it must be the ComponentID"):
        FlagSubsetState("flags", 1)


def test_a_copy_is_equal():
    cid = flagged().id["flags"]
    state = FlagSubsetState(cid, Flag.HOT | Flag.COLD, "all")
    twin = state.copy()
    assert twin == state
    assert hash(twin) == hash(state)
    assert twin is not state
    assert state not in [FlagSubsetState(cid, 1, "all"), FlagSubsetState(cid, state.mask), None]
    assert state != FlagSubsetState(flagged().id["flags"], state.mask, "all")


def test_in_words():
    cid = flagged().id["flags"]
    assert str(FlagSubsetState(cid, Flag.HOT | Flag.COLD)) == "any of HOT, COLD in flags"
    assert str(FlagSubsetState(cid, 1 << 30, "none")) == "no BIT_30 in flags"
    assert str(FlagSubsetState(cid, EVERY_BIT & ~int(Flag.SOURCE), "none")) == "none of all bits but SOURCE in flags"
    assert str(FlagSubsetState(cid, 0, "none")) == "none of no bit in flags"


@pytest.mark.parametrize("include_data", [True, False])
def test_combined_in_a_session(include_data):
    data = flagged([0, 128, BAD, BAD + 128, 1 << 21, FAILED])
    collection = DataCollection([data])
    cid = data.id["flags"]
    state = (FlagSubsetState(cid, BAD) | FlagSubsetState(cid, FAILED)) & ~FlagSubsetState(cid, 128)
    state = state ^ (data.id["flux"] > 1.5)  # rows 2, 5 against 2, 3, 4, 5
    collection.new_subset_group("combined", state)
    assert np.flatnonzero(data.subsets[0].to_mask()).tolist() == [3, 4]
    assert "CONTAINS_BAD_PIXEL" in str(state)
    again = restored(collection, include_data)[0]
    assert np.flatnonzero(again.subsets[0].to_mask()).tolist() == [3, 4]


@pytest.mark.parametrize("mode", ["any", "all", "none"])
def test_a_session_keeps_every_part(mode):
    data = flagged()
    collection = DataCollection([data])
    collection.new_subset_group("highest", FlagSubsetState(data.id["flags"], (1 << 63) + BAD + 1, mode))
    again = restored(collection, True)[0]
    state = again.subsets[0].subset_state
    assert type(state) is FlagSubsetState
    assert (state.att, state.mask, state.mode) == (again.id["flags"], (1 << 63) + BAD + 1, mode)


def test_links_and_joins():
    data, other = flagged(), flagged([BAD, 0])
    names = np.array([f"exposure {row}" for row in range(7)])
    data.add_component(CategoricalComponent(names), "image")
    images = Data(label="images", seconds=np.arange(7))
    images.add_component(CategoricalComponent(names[::-1]), "name")
    collection = DataCollection([data, other, images])
    collection.add_link(LinkSame(data.id["flags"], other.id["flags"]))
    collection.add_link(JoinLink(cids1=[data.id["image"]], cids2=[images.id["name"]], data1=data, data2=images))
    group = collection.new_subset_group("bad", FlagSubsetState(data.id["flags"], BAD))
    selected = [np.flatnonzero(subset.to_mask()).tolist() for subset in group.subsets]
    assert selected == [[2, 3, 5], [0], [1, 3, 4]]


def test_a_renamed_column_stays():
    data = flagged()
    state = FlagSubsetState(data.id["flags"], 128)
    data.id["flags"].label = "quality"
    assert rows(state, data) == [1, 3, 5]
    assert str(state) == "DICHROIC in quality"


def test_derived_component():
    data = flagged([0, 1, 3])
    data["twice"] = data.id["flags"] * 2
    assert rows(FlagSubsetState(data.id["twice"], 2), data) == [1, 2]


def test_new_values_are_seen():
    data = flagged([0, 128])
    collection = DataCollection([data])
    group = collection.new_subset_group("dichroic", FlagSubsetState(data.id["flags"], 128))
    data.update_components({data.id["flags"]: np.array([128, 0])})
    assert np.flatnonzero(group.subsets[0].to_mask()).tolist() == [0]
