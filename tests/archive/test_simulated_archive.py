"""The archive on this computer, as a program that knows nothing of this package sees it."""

import socket
from io import BytesIO

import numpy as np
import pytest
import requests
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from glue_spherex.images.simulation import LoopbackArchive, SearchServices


@pytest.fixture
def field(simulated):
    return simulated("field", images=2, size=40, detectors=(3,), calibration=False)


@pytest.fixture
def archive(field):
    with LoopbackArchive() as archive:
        archive.keys = [archive.add_image(path) for path in field.images]
        archive.search = SearchServices().join(archive)
        for key in archive.keys:
            archive.search.add_image(archive, key)
        yield archive


def test_files_ranges_and_listings(field, archive):
    content = field.images[0].read_bytes()
    for base in (archive.ibe, archive.s3):
        url = f"{base}/{archive.keys[0]}"
        whole = requests.get(url, timeout=60)
        assert whole.content == content
        part = requests.get(url, headers={"Range": "bytes=100-199", "If-Match": whole.headers["ETag"]}, timeout=60)
        assert (part.status_code, part.content) == (206, content[100:200])
        assert part.headers["Content-Range"] == f"bytes 100-199/{len(content)}"
        assert requests.get(url, headers={"Range": "bytes=-10"}, timeout=60).content == content[-10:]
        assert requests.get(url, headers={"Range": f"bytes={len(content)}-"}, timeout=60).status_code == 416
        assert requests.get(url, headers={"Range": "bytes=x-y"}, timeout=60).content == content
        assert requests.get(url, headers={"If-Match": '"other"'}, timeout=60).status_code == 412
        assert requests.head(url, timeout=60).headers["Content-Length"] == str(len(content))
    listing = requests.get(f"{archive.url}/ibe/dir/list/spherex/qr2", timeout=60)
    assert listing.json() == {"name": "level2", "type": "dir"}
    assert requests.get(f"{archive.ibe}/qr2/../../etc/passwd", timeout=60).status_code == 404
    assert archive.moved >= 2 * len(content)


def test_cutouts(field, archive):
    with fits.open(field.images[0]) as hdus:
        ra, dec = WCS(hdus["IMAGE"].header).all_pix2world(20, 15, 0)
        expected = hdus["IMAGE"].data[10:21, 15:26]
    url = f"{archive.ibe}/{archive.keys[0]}"
    for size in ("11px", "67.65arcsec", "1.1275arcmin", "0.01879"):
        answer = requests.get(url, params={"center": f"{ra},{dec}deg", "size": size}, timeout=60)
        with fits.open(BytesIO(answer.content)) as hdus:
            np.testing.assert_array_equal(hdus["IMAGE"].data, expected)
            sky = WCS(hdus["IMAGE"].header).all_pix2world(5, 5, 0)
            np.testing.assert_allclose(sky, (ra, dec), atol=1e-9)
    for query in ({"size": "3px"}, {"center": "1,2", "size": "wide"}):
        assert requests.get(url, params=query, timeout=60).status_code == 400


def test_searches(field, archive):
    with fits.open(field.images[0]) as hdus:
        header = hdus["IMAGE"].header
        ra, dec = WCS(header).all_pix2world(20, 20, 0)
    circle = {"POS": f"circle {ra} {dec} 0.001", "COLLECTION": "spherex_qr2"}
    found = Table.read(BytesIO(requests.get(f"{archive.url}/SIA", params=circle, timeout=60).content), format="votable")
    assert sorted(found["access_url"]) == sorted(f"{archive.ibe}/{key}" for key in archive.keys)
    assert header["OBSID"] in found["obs_id"]
    assert len(set(found["em_min"])) == 1
    np.testing.assert_allclose(found["em_min"][0], 1.63e-6, rtol=0.01)  # of detector 3
    one = requests.get(f"{archive.url}/SIA", params=circle | {"MAXREC": 1}, timeout=60).text
    assert 'value="OVERFLOW"' in one
    other = requests.get(f"{archive.url}/SIA", params={"POS": "RANGE 1 2 3 4"}, timeout=60)
    assert (other.status_code, "POS must be a circle" in other.text) == (400, True)
    tap = requests.post(f"{archive.url}/TAP/sync", data={"QUERY": "SELECT a FROM b WHERE c < 1"}, timeout=60)
    assert (tap.status_code, "c &lt; 1" in tap.text) == (400, True)


def test_only_this_computer_reaches_it():
    with LoopbackArchive() as archive:
        address = archive._server.server_address
    assert address[0] == "127.0.0.1"
    with socket.socket() as again:  # the address is free again
        again.bind(address)


def test_latency_and_bandwidth(archive):
    import time

    archive.latency_s, archive.bytes_per_s = 0.1, 1e6
    archive.add("qr2/file", bytes(200_000))
    start = time.perf_counter()
    assert len(requests.get(f"{archive.ibe}/qr2/file", timeout=60).content) == 200_000
    assert time.perf_counter() - start >= 0.1 + 0.2
    with LoopbackArchive():
        pass
    LoopbackArchive().stop()  # never started
