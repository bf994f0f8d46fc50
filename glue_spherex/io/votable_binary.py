"""The BINARY and BINARY2 serialisations of a VOTable's rows (VOTable 1.4, sections 5.3 and 5.4)."""

import numpy as np

from .cells import text_array
from .errors import TableFileError


def decode_rows(data, fields, null_flags, n_rows=None):
    """Decode the rows of a BINARY or BINARY2 stream.

    Parameters
    ----------
    data : bytes
    fields : list of Field
    null_flags : bool
        Whether each row begins with a bit per column that says "no value" (BINARY2).
    n_rows : int, optional
        What the table says about its number of rows.

    Returns
    -------
    list of FileColumn

    Raises
    ------
    TableFileError
        If the bytes are no whole number of rows, or not as many rows as the table says.
    """
    flag_bytes = (len(fields) + 7) // 8 if null_flags else 0
    if all(field.count is not None for field in fields):
        cells, flags = _fixed_rows(data, fields, flag_bytes)
    else:
        cells, flags = _varying_rows(data, fields, flag_bytes, n_rows)
    if n_rows is not None and len(flags) != n_rows:
        raise TableFileError(f"it announces {n_rows} rows, but its data hold {len(flags)}")
    if not flag_bytes:
        return [_column(field, cell, None) for field, cell in zip(fields, cells)]
    bits = np.unpackbits(flags, axis=1).astype(bool)
    return [_column(field, cell, bits[:, i]) for i, (field, cell) in enumerate(zip(fields, cells))]


def _fixed_rows(data, fields, flag_bytes):
    """Cells as arrays of elements, shape (n_rows, count), when every row has the same length."""
    parts = [(f"f{i}", field.element, (_stored(field, field.count),)) for i, field in enumerate(fields)]
    row = np.dtype([("flags", "u1", (flag_bytes,)), *parts])
    if row.itemsize == 0 or len(data) % row.itemsize:
        raise TableFileError(f"its data have {len(data)} bytes, no whole number of rows of {row.itemsize} bytes")
    rows = np.frombuffer(data, dtype=row)
    return [rows[name] for name, *_ in parts], np.ascontiguousarray(rows["flags"]).reshape(len(rows), flag_bytes)


def _stored(field, count):
    """Elements that are stored for `count` values: eight bits to a byte, everything else one by one."""
    return -(-count // 8) if field.datatype == "bit" else count


def _varying_rows(data, fields, flag_bytes, n_rows):
    """Cells as bytes, when the length of a row varies.

    The length before a packed array of strings may count characters or strings: the standard speaks of elements, and
    writers differ. Whichever consumes the data exactly is right.
    """
    failure = None
    for counts_strings in (False, True):
        try:
            cells, flags = _walk(data, fields, flag_bytes, counts_strings)
        except TableFileError as error:
            failure = failure or error
            continue
        if n_rows is None or len(flags) == n_rows or not any(field.width for field in fields):
            return cells, flags
        failure = failure or TableFileError(f"it announces {n_rows} rows, but its data hold {len(flags)}")
    raise failure


def _walk(data, fields, flag_bytes, counts_strings):
    sizes = [(f, f.element.itemsize, f.count, f.width if counts_strings and f.width else 1) for f in fields]
    cells, flags = [[] for _ in fields], []
    at, end = 0, len(data)
    while at < end:
        flags.append(data[at : at + flag_bytes])
        at += flag_bytes
        for cell, (field, size, count, width) in zip(cells, sizes):
            n = count
            if n is None:
                n = int.from_bytes(data[at : at + 4], "big") * width
                at += 4
            size *= _stored(field, n)
            stop = at + size
            if stop > end:
                raise TableFileError(
                    f"its data end inside row {len(flags)}: a cell of {size} bytes begins {max(end - at, 0)} bytes "
                    "before the end"
                )
            cell.append(data[at:stop])
            at = stop
    return cells, np.frombuffer(b"".join(flags), dtype="u1").reshape(len(flags), flag_bytes)


def _column(field, cells, null):
    """One column from its cells: an array of elements (n, count), or a list of n bytes."""
    if field.is_array:
        values = [_values(field, np.frombuffer(cell, field.element)) for cell in cells]
        if null is not None:
            values = [value[:0] if no else value for value, no in zip(values, null)]
        return field.column([values], [None])
    if field.is_text:
        return field.column([_texts(field, cells)], [None])
    elements = np.frombuffer(b"".join(cells), field.element) if isinstance(cells, list) else cells.reshape(-1)
    values, mask = _numbers(field, elements)
    if null is not None and null.any():
        if values.dtype.kind == "f":
            values = np.where(null, np.nan, values)
        else:
            mask = null.copy() if mask is None else mask | null
    return field.column([values], [mask])


def _values(field, elements):
    if field.is_text:
        return field.split(_decoded(field, elements.tobytes()))
    values, mask = _numbers(field, elements)
    return values if mask is None else np.ma.MaskedArray(values, mask)


def _numbers(field, elements):
    """Values and mask of the elements, shape (n,)."""
    if field.datatype == "bit":
        bits = np.unpackbits(elements)[: field.count] if field.is_array else elements != 0
        return bits.astype(bool), None
    if field.datatype == "boolean":
        letters = np.frombuffer(elements.tobytes(), "u1")  # S1 would lose the NUL that means "no value"
        true, false = np.isin(letters, list(b"Tt1")), np.isin(letters, list(b"Ff0"))
        none = np.isin(letters, list(b"\x00? "))
        if not (true | false | none).all():
            raise TableFileError(f"column {field.name!r}: byte {letters[~(true | false | none)][0]} is no boolean")
        return true, none if none.any() else None
    return field.without_nulls(elements.astype(field.element.newbyteorder("=")), None)


def _texts(field, cells):
    if isinstance(cells, list):
        return text_array([_decoded(field, cell).partition("\x00")[0] for cell in cells], f"column {field.name!r}")
    raw = np.ascontiguousarray(cells).tobytes()
    step = field.element.itemsize * (field.count or 0)
    cut = [raw[i : i + step] for i in range(0, len(raw), step)] if step else [b""] * len(cells)
    return text_array([_decoded(field, cell).partition("\x00")[0] for cell in cut], f"column {field.name!r}")


def _decoded(field, raw):
    return raw.decode("utf-8" if field.datatype == "char" else "utf-16-be")
