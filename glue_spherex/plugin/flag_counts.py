"""How often the bits of a component of flags are set, and where in wavelength."""

import re
from dataclasses import dataclass

import numpy as np
from glue.core.exceptions import IncompatibleAttribute

from ..model import DETECTORS
from .columns import column_values
from .flag_subsets import LARGEST_MASK, MEANINGS, bit_name, bits_of
from .sources import rows_by_source

WAVELENGTH_BINS = 51

#: What a formula that somebody typed can raise.
_CANNOT_BE_COMPUTED = (
    ArithmeticError, AttributeError, IncompatibleAttribute, LookupError, NameError, TypeError, ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class BitCount:
    """How often one bit is set: its number, name, the count, and the fraction of the rows that have a bitmask."""

    bit: int
    name: str
    count: int
    fraction: float


@dataclass(frozen=True)
class FlagCounts:
    """The bits that occur in some bitmasks.

    Attributes
    ----------
    n_rows : int
        All values, missing ones included.
    n_missing : int
        Negative values, which are no bitmask.
    bits : tuple of BitCount
        Bits that are set at least once, ascending.
    """

    n_rows: int
    n_missing: int
    bits: tuple

    def of(self, bit):
        """The count of a bit, an int; 0 for one that does not occur."""
        return next((entry.count for entry in self.bits if entry.bit == bit), 0)


def count_flags(values):
    """Count the bits of some bitmasks.

    Parameters
    ----------
    values : array_like of int or bool, any shape
        Negative values count as missing.

    Returns
    -------
    FlagCounts
    """
    values = np.asarray(values).ravel()
    valid = values[values >= 0].astype(np.uint64)
    present = int(np.bitwise_or.reduce(valid)) if valid.size else 0
    bits = []
    for bit in bits_of(present):
        count = int(np.count_nonzero(valid & np.uint64(1 << bit)))
        bits.append(BitCount(bit, bit_name(bit), count, count / valid.size))
    return FlagCounts(values.size, values.size - valid.size, tuple(bits))


@dataclass(frozen=True, eq=False)
class RowGroup:
    """Some rows of a dataset with a name: all rows, those of a source, or those of a detector."""

    name: str
    rows: object  # int array, or None for all rows


def row_groups(data):
    """The groups of rows whose flags can be counted.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    list of RowGroup
        All rows, then each source if there are several with more than one row, then each detector that occurs.
    """
    groups = [RowGroup("all rows", None)]
    if data.ndim != 1:
        return groups
    sources = rows_by_source(data)
    if 1 < len(sources) < data.size:  # in a catalogue each row is a source
        groups += [RowGroup(source.label, source.rows) for source in sources]
    detectors = column_values(data, "det_id")
    if detectors is not None and detectors.dtype.kind in "iuf":
        groups += [
            RowGroup(f"detector {number}", np.flatnonzero(detectors == number))
            for number in DETECTORS
            if (detectors == number).any()
        ]
    return groups


def count_by_group(data, att):
    """Count the bits of a component for all rows, for each source, and for each detector.

    Parameters
    ----------
    data : glue.core.Data
    att : glue.core.ComponentID
        Component of whole numbers.

    Returns
    -------
    dict of str to FlagCounts
        By the name of the group, in the order of `row_groups`.
    """
    values = np.asarray(data.get_data(att))
    return {group.name: count_flags(values if group.rows is None else values[group.rows]) for group in row_groups(data)}


def integer_components(data):
    """The components of a dataset that can hold flags.

    Parameters
    ----------
    data : glue.core.Data

    Returns
    -------
    list of glue.core.ComponentID
        Those of whole numbers or truth values, derived ones included, in the order of the dataset.
    """
    return [cid for cid in (*data.main_components, *data.derived_components) if _holds_integers(data, cid)]


def _holds_integers(data, cid):
    """Whether a component holds whole numbers; not if it is derived and cannot be computed."""
    corner = (slice(0, 1),) * data.ndim  # the type of a derived component is known from its values only
    try:
        return np.asarray(data.get_data(cid, view=corner)).dtype.kind in "iub"
    except _CANNOT_BE_COMPUTED:
        return False


def wavelength_histogram(wavelength, chosen, bins=WAVELENGTH_BINS):
    """Number of points along the wavelength: all of them, and those chosen.

    Parameters
    ----------
    wavelength : array_like, shape (n,)
        NaN is left out.
    chosen : array_like of bool, shape (n,)
    bins : int, optional
        Number of bins, of equal ratio of wavelengths.

    Returns
    -------
    edges : ndarray, shape (bins + 1,)
        In the unit of the wavelengths; of shape (0,), as the others, where there is no positive wavelength.
    n_all, n_chosen : ndarray of int, shape (bins,)
    """
    wavelength, chosen = np.asarray(wavelength, dtype=float), np.asarray(chosen, dtype=bool)
    usable = np.isfinite(wavelength) & (wavelength > 0)
    if not usable.any():
        return np.zeros(0), np.zeros(0, dtype=int), np.zeros(0, dtype=int)
    low, high = wavelength[usable].min(), wavelength[usable].max()
    if low == high:
        low, high = low * 0.99, high * 1.01
    edges = np.geomspace(low, high, bins + 1)
    edges[0], edges[-1] = low, high
    everything, _ = np.histogram(wavelength[usable], edges)
    some, _ = np.histogram(wavelength[usable & chosen], edges)
    return edges, everything, some


def parse_flags(text):
    """A bitmask that somebody typed.

    Parameters
    ----------
    text : str
        Decimal, with or without thousands separators (space, comma, underscore), or hexadecimal: ``0x200000``.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it is no whole number from 0 to 2⁶⁴ - 1.
    """
    bare = re.sub(r"[\s,_]", "", text)
    if not re.fullmatch(r"\d+|0[xX][0-9a-fA-F]+", bare, flags=re.ASCII):
        raise ValueError(
            f"{text.strip()[:60]!r} is no flag value; type a whole number of 0 or more, such as 2097152 or 0x200000."
        )
    digits = bare.lstrip("0xX") or "0"
    if len(digits) > 20 or (value := int(bare, 16 if bare[:2] in ("0x", "0X") else 10)) > LARGEST_MASK:
        raise ValueError(f"{text.strip()[:60]!r} does not fit into 64 bits; a flag value is at most 2^64 - 1.")
    return value


def describe_flags(value):
    """What a bitmask means, bit by bit.

    Parameters
    ----------
    value : int
        0 to 2⁶⁴ - 1.

    Returns
    -------
    list of str
        ``21 SOURCE: holds light of a known source``; empty for 0.
    """
    return [f"{bit} {bit_name(bit)}: {MEANINGS.get(bit, 'has no published meaning')}" for bit in bits_of(value)]
