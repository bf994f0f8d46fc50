"""Parquet tables; units and the like as astropy writes them, in the YAML header of the file's metadata."""

import numpy as np

from ..extras import how_to_install
from .cells import text_array
from .columns import FileColumn, FileTable, json_like
from .errors import TableFileError
from .files import MAX_COLUMNS, MAX_EXPANDED_BYTES

_YAML = b"table_meta_yaml"
_GROUP_ROWS = 1 << 20  # that are compressed together, as pyarrow does by itself


def load_pyarrow():
    """The module ``pyarrow``; a `TableFileError` that says how to install it, if it is missing."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise TableFileError(f"Parquet needs pyarrow, not installed here: {how_to_install('parquet')}") from None
    return pyarrow


def read_parquet(stream):
    """Read a Parquet table.

    Parameters
    ----------
    stream : binary file

    Returns
    -------
    FileTable
    """
    arrow = load_pyarrow()
    try:
        file = arrow.parquet.ParquetFile(stream)
        _check_size(file.metadata)
        texts = [f.name for f in file.schema_arrow if arrow.types.is_string(f.type) or arrow.types.is_binary(f.type)]
        stream.seek(0)
        table = arrow.parquet.ParquetFile(stream, read_dictionary=texts).read()  # repeated text is not multiplied
    except arrow.ArrowException as error:
        raise TableFileError(f"it is no Parquet table, or a damaged one ({error})") from None
    header = _header(table.schema.metadata or {})
    about = {item["name"]: item for item in header.get("datatype", [])}
    columns = [_column(arrow, name, table.column(i), about.get(name, {})) for i, name in enumerate(table.column_names)]
    return FileTable(columns, json_like(header.get("meta", {})))


def _check_size(metadata):
    columns, rows = metadata.num_columns, metadata.num_rows
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if columns > MAX_COLUMNS:
        raise TableFileError(f"it has {columns} columns; at most {MAX_COLUMNS} are read")
    if max(size, 8 * rows * columns) > 2 * MAX_EXPANDED_BYTES:
        raise TableFileError(f"it has {rows} rows and {size} bytes; at most {2 * MAX_EXPANDED_BYTES} bytes are read")


def _header(metadata):
    from astropy.table.meta import get_header_from_yaml

    text = metadata.get(_YAML, b"")
    if not text or len(text) > 1 << 20:
        return {}
    return get_header_from_yaml(text.decode().splitlines())


def _column(arrow, name, chunks, about):
    data = chunks.combine_chunks()
    if isinstance(data, arrow.ChunkedArray):
        data = arrow.concat_arrays(data.chunks) if data.num_chunks else arrow.array([], type=data.type)
    if arrow.types.is_dictionary(data.type):
        text_array(["", *map(str, data.dictionary.to_pylist())], f"column {name!r}", rows=len(data))
        data = data.dictionary_decode()
    missing = np.asarray(data.is_null().to_numpy(zero_copy_only=False))
    kind = data.type
    mask = missing if missing.any() else None
    if arrow.types.is_floating(kind):
        values, mask = data.to_numpy(zero_copy_only=False), None
    elif arrow.types.is_integer(kind) or arrow.types.is_boolean(kind):
        values = data.fill_null(False if arrow.types.is_boolean(kind) else 0).to_numpy(zero_copy_only=False)
    else:
        cells = data.to_pylist()
        cells = ["" if c is None else c.decode() if isinstance(c, bytes) else str(c) for c in cells]
        values, mask = text_array(cells, f"column {name!r}"), None
    extra = dict(about.get("meta") or {})
    return FileColumn(
        name,
        values,
        mask,
        unit=str(about.get("unit") or ""),
        description=str(about.get("description") or ""),
        ucd=str(extra.get("ucd") or ""),
        utype=str(extra.get("utype") or ""),
    )


def write_parquet(pieces, path):
    """Write a Parquet table."""
    arrow = load_pyarrow()
    from astropy.table.meta import get_yaml_from_table

    from .ecsv import to_astropy

    yaml = "\n".join(get_yaml_from_table(to_astropy(pieces.head.rows(0, 0))))
    waiting = _to_arrow(arrow, pieces.head.rows(0, 0)).replace_schema_metadata({_YAML: yaml})
    with arrow.parquet.ParquetWriter(path, waiting.schema) as out:
        for piece in pieces:
            waiting = arrow.concat_tables([waiting, _to_arrow(arrow, piece).replace_schema_metadata({_YAML: yaml})])
            if waiting.num_rows >= _GROUP_ROWS:
                out.write_table(waiting.slice(0, _GROUP_ROWS).combine_chunks())
                waiting = waiting.slice(_GROUP_ROWS)
        if waiting.num_rows or not pieces.n_rows:
            out.write_table(waiting.combine_chunks())


def _to_arrow(arrow, table):
    arrays = [
        arrow.array(c.values.tolist(), type=arrow.string())
        if c.values.dtype.kind == "U"
        else arrow.array(c.values, mask=c.mask)
        for c in table.columns
    ]
    return arrow.table(arrays, names=table.names)
