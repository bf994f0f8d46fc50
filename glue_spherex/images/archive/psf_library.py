"""The PSFs of a detector, fetched once: all its images hold the same ones.

They are 5 MB in an image of 70 MB, and the archive's cutouts repeat them. Here they are fetched with the first image of
a detector. Another image is taken to hold the same ones if the header of its PSFs, with all zones, is the same byte by
byte, and so are bytes out of the middle of the planes that are needed; otherwise its own are fetched.
"""

import hashlib
import os
from contextlib import contextmanager
from functools import lru_cache

from ..errors import ImageFileError
from ..fits_file import BLOCK, open_file, scan_hdus
from ..psf_zones import has_erratum, read_zones
from .cutout_files import BESIDE_PX, PSFSource
from .layouts import psf_hdu

_EMPTY_PRIMARY = b"".join(
    line.ljust(80)
    for line in (
        b"SIMPLE  =                    T",
        b"BITPIX  =                    8",
        b"NAXIS   =                    0",
        b"EXTEND  =                    T",
        b"END",
    )
).ljust(BLOCK)
_PROBE_BYTES = 256


@contextmanager
def psf_source(store, remote, hdus, boxes):
    """The PSFs that cutouts of a remote image need.

    Parameters
    ----------
    store : CutoutStore
    remote : RemoteFile
    hdus : list of HDU
        Of the remote file.
    boxes : list of PixelBox

    Yields
    ------
    PSFSource or None
        None for an image without PSFs.
    """
    hdu, version = psf_hdu(hdus), hdus[0].header.text("VERSION")
    if hdu is None:
        yield None
        return
    header = remote.read(hdu.header_offset, hdu.data_offset)
    key = psf_key(header, version)
    for path in _known(store, key):
        with _opened(path, version) as source:
            if source is not None and source.hdu.data_size == hdu.data_size and _agrees(source, remote, hdu, boxes):
                store.use(path)
                yield source
                return
    stop = hdu.data_offset + -(-hdu.data_size // BLOCK) * BLOCK
    remote.need([(hdu.data_offset, stop)])
    data = remote.read(hdu.data_offset, stop)
    name = f"{key}_{hashlib.sha256(data).hexdigest()[:16]}.fits"
    path = store.write(store.psfs / name, _EMPTY_PRIMARY + header + data)
    with _opened(str(path), version) as source:
        if source is None:
            raise ImageFileError(f"{remote.url}: its PSFs cannot be used; nothing of it is used.")
        yield source


@lru_cache(maxsize=16)  # the images of a detector have the same header
def psf_key(header, version):
    """What images with the same PSFs have in common: the header of the PSFs, and whether its zones are transposed."""
    return hashlib.sha256(header + bytes([has_erratum(version)])).hexdigest()[:16]


def probe_spans(store, key, version, data_offset, boxes):
    """Bytes of an image that are compared with the library, if its PSFs are those with a key."""
    for path in _known(store, key):
        with _opened(path, version) as source:
            if source is not None:
                return [(data_offset + start, data_offset + start + _PROBE_BYTES) for start in _probes(source, boxes)]
    return []


def _known(store, key):
    try:
        names = sorted(os.listdir(store.psfs))
    except FileNotFoundError:
        return []
    return [os.path.join(store.psfs, name) for name in names if name.startswith(key) and name.endswith(".fits")]


@contextmanager
def _opened(path, version):
    """The `PSFSource` of a file of the library; None if it cannot be used."""
    try:
        fd, status = open_file(path)
    except ImageFileError:
        yield None
        return
    try:
        known = _zones(path, version, status.st_size)
        yield PSFSource(fd, *known, path) if known else None
    finally:
        os.close(fd)


@lru_cache(maxsize=64)
def _zones(path, version, size):
    """HDU, zones, and whether they were put right, of a file of the library; None if it cannot be used."""
    fd, _ = open_file(path)
    try:
        hdu = psf_hdu(scan_hdus(fd, size, path))
        if hdu is None:
            return None
        zones, _, mended = read_zones(fd, hdu, version, path)
    except ImageFileError:
        return None
    finally:
        os.close(fd)
    return hdu, zones, mended


def _probes(source, boxes):
    """First bytes, counted from the data, of what is compared: the middle of each plane that is needed."""
    step = source.zones.step
    zones = {
        int(zone)
        for box in boxes
        for zone in source.zones.needed(
            box.x_lo - BESIDE_PX, box.x_hi - 1 + BESIDE_PX, box.y_lo - BESIDE_PX, box.y_hi - 1 + BESIDE_PX
        )
    }
    return [zone * step + (step // 2) // 8 * 8 for zone in sorted(zones)]


def _agrees(source, remote, hdu, boxes):
    """Whether a remote file holds the same planes, as far as a look at their middles tells."""
    places = _probes(source, boxes)
    remote.need([(hdu.data_offset + start, hdu.data_offset + start + _PROBE_BYTES) for start in places])
    return all(
        remote.read(hdu.data_offset + start, hdu.data_offset + start + _PROBE_BYTES)
        == os.pread(source.fd, _PROBE_BYTES, source.hdu.data_offset + start)
        for start in places
    )
