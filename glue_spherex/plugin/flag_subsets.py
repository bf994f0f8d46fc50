"""Subsets of the rows that have certain quality flags.

`FlagSubsetState` is a glue subset state: it combines with others by ``& | ^ ~``, follows links and joins, and is kept
in sessions. It works on any component of whole numbers.
"""

import operator

import numpy as np
from glue.core.component_id import ComponentID
from glue.core.exceptions import IncompatibleAttribute
from glue.core.subset import SubsetState

from ..model import FLAG_TABLE, Flag

#: What the ticked bits have to be, and how a sentence says it.
MODES = {"any": "any of {}", "all": "all of {}", "none": "none of {}"}

#: A mask can hold the bits of an unsigned 64-bit integer.
LARGEST_MASK = (1 << 64) - 1

#: All bits that a 64-bit bitmask in a table can have, known or not; the highest one is its sign.
EVERY_BIT = (1 << 63) - 1

_MANY_BITS = 32  # a mask with more bits than this is described by what it leaves out


class FlagSubsetState(SubsetState):
    """Rows that have any, all, or none of some bits set.

    Parameters
    ----------
    att : glue.core.ComponentID
        Component of whole numbers, of any width, or of truth values (bit 0).
    mask : int
        The bits, 0 to 2⁶⁴ - 1. With 0, "any" selects nothing and "all" and "none" everything.
    mode : {"any", "all", "none"}
        How many of the bits a row must have. A negative value is no bitmask (readers put -1 where a value is missing):
        such a row is in no mode.

    Raises
    ------
    TypeError
        If ``att`` is no component, or the mask is no whole number.
    ValueError
        If the mask is out of range, or the mode is unknown.
    """

    def __init__(self, att, mask, mode="any"):
        super().__init__()
        if not isinstance(att, ComponentID):
            raise TypeError(f"flag subset: att is {att!r}; it must be the ComponentID of a component with flags.")
        if mode not in MODES:
            raise ValueError(f"flag subset: mode is {mode!r}; it must be one of {', '.join(MODES)}.")
        self._att = att
        self._mask = checked_mask(mask)
        self._mode = mode

    @property
    def att(self):
        """The component that holds the flags."""
        return self._att

    @property
    def mask(self):
        """The bits, as an int."""
        return self._mask

    @property
    def mode(self):
        """How many of the bits a row must have: "any", "all" or "none"."""
        return self._mode

    @property
    def bits(self):
        """Numbers of the bits, ascending."""
        return bits_of(self._mask)

    @property
    def attributes(self):
        """The components that the subset depends on."""
        return (self._att,)

    def to_mask(self, data, view=None):
        """Which elements of a dataset are selected.

        Parameters
        ----------
        data : glue.core.Data
            The dataset of the component, or one that is linked with it.
        view : slice, index array, or tuple of them, optional

        Returns
        -------
        ndarray of bool
            In the shape of the dataset, or of the view.

        Raises
        ------
        IncompatibleAttribute
            If the dataset has no such component, or it does not hold whole numbers.
        """
        values = np.asarray(data.get_data(self._att, view=view))
        if values.dtype.kind not in "iub":
            raise IncompatibleAttribute(self._att)
        return matches(values, self._mask, self._mode)

    def copy(self):
        """An equal state."""
        return FlagSubsetState(self._att, self._mask, self._mode)

    def __eq__(self, other):
        return (
            type(other) is type(self)
            and self._att is other._att
            and self._mask == other._mask
            and self._mode == other._mode
        )

    def __hash__(self):
        return hash((FlagSubsetState, id(self._att), self._mask, self._mode))

    def __str__(self):
        return f"{in_words(self._mask, self._mode)} in {self._att.label}"

    def __repr__(self):
        return f"<FlagSubsetState: {self}>"

    def __gluestate__(self, context):
        return {"att": context.id(self._att), "mask": self._mask, "mode": context.id(self._mode)}

    @classmethod
    def __setgluestate__(cls, rec, context):
        return cls(context.object(rec["att"]), rec["mask"], context.object(rec["mode"]))


def checked_mask(mask):
    """A mask as a plain int.

    Parameters
    ----------
    mask : int
        0 to 2⁶⁴ - 1; `glue_spherex.Flag` and numpy integers as well.

    Returns
    -------
    int

    Raises
    ------
    TypeError
        If it is no whole number.
    ValueError
        If it is out of range.
    """
    try:
        number = operator.index(mask)
    except TypeError:
        raise TypeError(
            f"flag subset: mask is {mask!r}; it must be a whole number, the sum of 2^n of the wanted bits n."
        ) from None
    if not 0 <= number <= LARGEST_MASK:
        raise ValueError(
            f"flag subset: mask is {number}; it must be 0 to 2^64 - 1, the sum of 2^n of the wanted bits n."
        )
    return number


def matches(values, mask, mode):
    """Which bitmasks have any, all, or none of some bits.

    Parameters
    ----------
    values : ndarray of int or bool
        Bitmasks; a negative one matches never.
    mask : int
    mode : {"any", "all", "none"}

    Returns
    -------
    ndarray of bool, same shape
    """
    wanted = np.uint64(mask)
    hit = values.astype(np.uint64) & wanted
    chosen = {"any": hit != 0, "all": hit == wanted, "none": hit == 0}[mode]
    return chosen & (values >= 0) if values.dtype.kind == "i" else chosen


def bits_of(mask):
    """Numbers of the bits of a mask, ascending; a list of int."""
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def mask_of(bits):
    """The mask of some bits, an int; the reverse of `bits_of`."""
    return sum(1 << int(bit) for bit in set(bits))


def bit_name(bit):
    """The name of a bit; ``BIT_<n>`` where it has none."""
    return Flag.decode(np.uint64(1 << int(bit)))[0]


def names_in_words(mask, join=", "):
    """The bits of a mask by name.

    Parameters
    ----------
    mask : int
    join : str, optional

    Returns
    -------
    str
        ``HOT, COLD``; ``all bits but SOURCE`` for a mask of nearly everything; ``no bit`` for 0.
    """
    if mask == 0:
        return "no bit"
    if mask.bit_count() > _MANY_BITS:
        others = EVERY_BIT & ~mask
        return "all bits" + (f" but {', '.join(map(bit_name, bits_of(others)))}" if others else "")
    return join.join(map(bit_name, bits_of(mask)))


def in_words(mask, mode):
    """What a mask and a mode select.

    Parameters
    ----------
    mask : int
    mode : {"any", "all", "none"}

    Returns
    -------
    str
        ``any of HOT, COLD``, or ``HOT`` and ``no HOT`` for a single bit.
    """
    if mask.bit_count() == 1:
        return f"no {names_in_words(mask)}" if mode == "none" else names_in_words(mask)
    return MODES[mode].format(names_in_words(mask))


#: The colour of each known bit.
COLOURS = {info.bit: info.colour for info in FLAG_TABLE}

#: What each known bit means.
MEANINGS = {info.bit: info.meaning for info in FLAG_TABLE}
