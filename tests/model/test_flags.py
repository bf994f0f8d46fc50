import pickle

import numpy as np
import pytest

from glue_spherex.model import BACKGROUND_MASK, FIT_MASK, FLAG_TABLE, Flag

# bit numbers as the FLAGS headers and IRSA's help page give them
PUBLISHED = {
    "TRANSIENT": 0, "OVERFLOW": 1, "SUR_ERROR": 2, "PHANTOM": 4, "REFERENCE": 5, "NONFUNC": 6, "DICHROIC": 7,
    "MISSING_DATA": 9, "HOT": 10, "COLD": 11, "FULLSAMPLE": 12, "SUR_MISMATCH": 13, "PHANMISS": 14, "NONLINEAR": 15,
    "VAR_UNDER": 16, "PERSIST": 17, "PERSIST_UNK": 18, "OUTLIER": 19, "CROSSTALK": 20, "SOURCE": 21, "GHOST": 22,
    "GHOST_FPA": 23, "GHOST_EXT": 24, "STREAK": 25, "BLOOM": 26, "SNOWBALL": 27, "HALO": 28, "SATELLITE_HALO": 29,
    "CONTAINS_BAD_PIXEL": 32, "FIT_ERROR": 33,
}  # fmt: skip


def test_every_published_bit():
    assert {flag.name: int(flag).bit_length() - 1 for flag in Flag} == PUBLISHED


def test_masks():
    assert FIT_MASK == 167492
    assert BACKGROUND_MASK == 167492 + 2097152


def test_colours_are_distinct():
    assert len({info.colour for info in FLAG_TABLE}) == len(FLAG_TABLE)
    assert all(len(info.colour) == 7 and int(info.colour[1:], 16) >= 0 for info in FLAG_TABLE)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (0, []),
        (2097152, ["SOURCE"]),
        (4566024192, ["OUTLIER", "SOURCE", "HALO", "CONTAINS_BAD_PIXEL"]),  # a real QR3 measurement
        (4297064449, ["TRANSIENT", "SOURCE", "CONTAINS_BAD_PIXEL"]),  # another
        (8589934592, ["FIT_ERROR"]),
        (8, ["BIT_3"]),
        (np.int64(2**32), ["CONTAINS_BAD_PIXEL"]),
    ],
)
def test_decode_one(value, names):
    assert Flag.decode(value) == names


def test_decode_many():
    assert Flag.decode(np.array([0, 2**33 + 1])) == [[], ["TRANSIENT", "FIT_ERROR"]]
    assert Flag.decode(np.ma.masked_array([128, 128], mask=[True, False])) == [[], ["DICHROIC"]]
    assert Flag.decode(np.array([], dtype=int)) == []


def test_decode_refuses():
    with pytest.raises(ValueError, match="float64"):
        Flag.decode(1.5)
    with pytest.raises(ValueError, match="contain -1"):
        Flag.decode([-1])


def test_flag_pickles():
    assert pickle.loads(pickle.dumps(Flag.SOURCE)) is Flag.SOURCE
