"""Opening files that may be anything, and writing files that are either whole or absent."""

import codecs
import gzip
import os
import secrets
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path

from .errors import TableFileError

#: Largest file that is read (bytes): more than the spectra of 10,000 sources on 500 images take as a VOTable.
MAX_FILE_BYTES = 8 * 1024**3
#: Largest size after decompression (bytes).
MAX_EXPANDED_BYTES = 2 * 1024**3
#: Most columns of a table.
MAX_COLUMNS = 2000
#: A compressed file may grow to this size, or by `MAX_EXPANSION`, whichever is more.
_FREE_EXPANSION_BYTES = 64 * 1024**2
MAX_EXPANSION = 100

_KEEP_IN_MEMORY_BYTES = 64 * 1024**2
_LOOK_BYTES = 65536


@contextmanager
def open_table(path):
    """Open a file as bytes, decompressed if need be, and say what it is.

    Parameters
    ----------
    path : str or path
        A regular file; its name is not looked at.

    Yields
    ------
    stream : binary file
        At its beginning.
    kind : str
        ``"votable"``, ``"fits"``, ``"parquet"``, ``"ecsv"``, ``"ipac"`` or ``"text"``.

    Raises
    ------
    TableFileError
        If there is no such file, it is no regular file, is empty, too large, or of no kind that is known.
    OSError
        If it cannot be read.
    """
    status = os.stat(path)  # before opening: opening a FIFO waits forever
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
        raise TableFileError(f"it is {what}, not a file")
    if status.st_size == 0:
        raise TableFileError("it is empty")
    if status.st_size > MAX_FILE_BYTES:
        raise TableFileError(f"it has {status.st_size} bytes; at most {MAX_FILE_BYTES} are read")
    with open(path, "rb") as raw:
        stream = raw
        if raw.read(2) == b"\x1f\x8b":
            raw.seek(0)
            stream = _gunzip(raw, status.st_size)
        try:
            stream.seek(0)
            kind = recognise(stream.read(_LOOK_BYTES))
            stream.seek(0)
            yield stream, kind
        finally:
            if stream is not raw:
                stream.close()


def _gunzip(raw, size):
    """The decompressed content as a temporary file, bounded in size."""
    limit = min(max(_FREE_EXPANSION_BYTES, MAX_EXPANSION * size), MAX_EXPANDED_BYTES)
    whole = tempfile.SpooledTemporaryFile(max_size=_KEEP_IN_MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
    try:
        with gzip.open(raw) as packed:
            while chunk := packed.read(1 << 20):
                if whole.tell() + len(chunk) > limit:
                    raise TableFileError(
                        f"it has {size} bytes and would decompress to more than {limit}; that is no plausible table"
                    )
                whole.write(chunk)
    except BaseException:
        whole.close()
        raise
    if whole.tell() == 0:
        whole.close()
        raise TableFileError("it is empty after decompression")
    return whole


def recognise(head):
    """What kind of table a file holds, from its first bytes.

    Parameters
    ----------
    head : bytes
        The first few kB of the file, decompressed.

    Returns
    -------
    str
        See `open_table`.

    Raises
    ------
    TableFileError
        If it is no table of a known kind.
    """
    if head.startswith(b"SIMPLE  ="):
        return "fits"
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"PK\x03\x04"):
        raise TableFileError("it is a ZIP archive; unpack it first")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        head = head[: len(head) // 2 * 2].decode("utf-16", "replace").encode()
    head = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if head.startswith(b"<"):
        if b"VOTABLE" in head:
            return "votable"
        lowered = head[:1000].lower()
        what = "an HTML page" if b"<html" in lowered or b"<!doctype html" in lowered else "XML, but not a VOTable"
        raise TableFileError(f"it is {what}")
    if b"\x00" in head:
        raise TableFileError("it is a binary file of an unknown kind; VOTable, FITS, Parquet and text tables are read")
    if head.startswith(b"# %ECSV"):
        return "ecsv"
    if head.startswith((b"\\", b"|")):
        return "ipac"
    return "text"


@contextmanager
def replacing(path):
    """A new file beside `path` that takes its place when the block ends well, and vanishes when it does not.

    Parameters
    ----------
    path : str or path
        The file to write; an existing one is replaced.

    Yields
    ------
    pathlib.Path
        Where to write.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise TableFileError("there is something at this place that is not a file")
    part = path.with_name(f".{path.name[:80]}.{secrets.token_hex(6)}.part")
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
