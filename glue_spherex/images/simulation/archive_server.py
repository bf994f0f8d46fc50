"""An archive on this computer: simulated images over HTTP, as the real archive offers its own.

It speaks what the real archive speaks: files below ``/ibe/data/spherex`` with byte ranges and as cutouts
(``?center=…&size=…``), the same files below ``/nasa-irsa-spherex`` as a bucket does (one range per request, no
cutouts), and listings of folders. The searches are in `archive_services`. Only this computer can reach it.
"""

import email.utils
import hashlib
import json
import os
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from ..releases import FILE_VERSION

IBE = "/ibe/data/spherex/"
LISTING = "/ibe/dir/list/spherex/"
BUCKET = "/nasa-irsa-spherex/"
_NAME = re.compile(rf"level2_(\d{{4}}W\d{{2}}_\d[A-Z])_\d{{4}}_\dD(\d)_spx_({FILE_VERSION})\.fits")
_TOKEN = re.compile(r"cal-[a-z]+-v\d+-\d{4}-\d{3}")
_BOUNDARY = "THIS_STRING_SEPARATES"
_PIECE = 1 << 16
_LARGEST_FORM = 1 << 20


@dataclass
class Seen:
    """A request that was answered.

    Attributes
    ----------
    path, query : str
    range : str
        The Range header; '' without.
    status : int
        0 where nothing was answered.
    sent : int
        Bytes of the answer's body that were written.
    """

    path: str
    query: str = ""
    range: str = ""
    status: int = 0
    sent: int = 0


@dataclass
class Question:
    """What a service is asked.

    Attributes
    ----------
    path : str
    query : dict of str to list of str
    body : bytes
    headers : mapping
    method : str
    """

    path: str
    query: dict
    body: bytes
    headers: object
    method: str


@dataclass
class Answer:
    """What a service gives: ``status``, ``body`` (bytes), ``headers`` (dict)."""

    body: bytes = b""
    status: int = 200
    headers: dict = field(default_factory=dict)


class Connection(BaseHTTPRequestHandler):
    """The requests of one client; what a test spoils is in the methods without underscore."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def log_message(self, *values):
        """Nothing on stderr."""

    def do_GET(self):
        """Answer a request of any kind."""
        archive, parts = self.server.archive, urlsplit(self.path)
        self.seen = Seen(unquote(parts.path), parts.query, self.headers.get("Range", ""))
        self.body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _LARGEST_FORM))
        with archive.lock:
            archive.requests.append(self.seen)
        if archive.latency_s:
            time.sleep(archive.latency_s)
        try:
            self.respond()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_POST = do_HEAD = do_GET

    def respond(self):
        """Send the answer: of a service, a listing, a cutout, a file, or that there is nothing."""
        archive, path = self.server.archive, self.seen.path
        query = parse_qs(self.seen.query, keep_blank_values=True)
        if path in archive.services:
            answer = archive.services[path](Question(path, query, self.body, self.headers, self.command))
            headers = {"Content-Type": "application/x-votable+xml"} | answer.headers
            return self.send(answer.status, answer.body, headers)
        if path.startswith(LISTING) and (lines := archive.listing(path)) is not None:
            return self.send(200, lines, {"Content-Type": "application/x-ndjson"})
        if path not in archive.files:
            return self.send(404, b"no such file")
        if self.seen.query and path.startswith(IBE):
            return self._cutout(archive.files[path], query)
        return self._file(archive.files[path])

    def _cutout(self, content, query):
        try:
            body = cutout(_whole(content), query["center"][0], query["size"][0])
        except (KeyError, ValueError) as error:
            return self.send(400, f"no cutout can be made: {error}".encode())
        return self.send(200, body)

    def _file(self, content):
        size = len(content) if isinstance(content, bytes) else os.path.getsize(content)
        tag = entity_tag(content)
        headers = {"ETag": tag, "Accept-Ranges": "bytes", "Last-Modified": email.utils.formatdate(0, usegmt=True)}
        if self.headers.get("If-Match", tag) != tag:
            return self.send(412, b"changed", headers)
        spans = self.spans(size)
        many_allowed = self.server.archive.multi_range and self.seen.path.startswith(IBE)
        if spans is None or (len(spans) > 1 and not many_allowed):
            return self.send(200, _whole(content), headers)
        if not spans:
            return self.send(416, b"", headers | {"Content-Range": f"bytes */{size}"})
        pieces = [(f"bytes {start}-{stop - 1}/{size}", data) for (start, stop), data in self.parts_of(content, spans)]
        if len(pieces) == 1:
            return self.send(206, pieces[0][1], headers | {"Content-Range": pieces[0][0]})
        body = b"".join(
            f"\r\n--{_BOUNDARY}\r\nContent-Type: image/fits\r\nContent-Range: {label}\r\n\r\n".encode() + data
            for label, data in pieces
        )
        body += f"\r\n--{_BOUNDARY}--\r\n".encode()
        return self.send(206, body, headers | {"Content-Type": f"multipart/byteranges; boundary={_BOUNDARY}"})

    def spans(self, size):
        """Half-open spans of the Range header; None without one, empty if none can be satisfied."""
        text, spans = self.seen.range, []
        if not re.fullmatch(r"bytes=\s*(\d+-\d*|-\d+)(\s*,\s*(\d+-\d*|-\d+))*\s*", text):
            return None
        for item in text[6:].split(","):
            first, _, last = item.strip().partition("-")
            start, stop = (int(first), int(last) + 1 if last else size) if first else (size - int(last), size)
            if start < size:
                spans.append((max(start, 0), min(stop, size)))
        return spans

    def parts_of(self, content, spans):
        """((start, stop) as the answer tells it, bytes) of each span."""
        return [(span, _part(content, *span)) for span in spans]

    def send(self, status, body, headers=None):
        """Send an answer."""
        self.seen.status = status
        self.send_response(status)
        given = {"Content-Type": "image/fits"} | (headers or {}) | {"Content-Length": str(len(body))}
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.write(body)

    def write(self, body):
        """Send bytes, at the archive's rate."""
        rate = self.server.archive.bytes_per_s
        for start in range(0, len(body), _PIECE):
            piece = body[start : start + _PIECE]
            if rate:
                time.sleep(len(piece) / rate)
            self.wfile.write(piece)
            self.seen.sent += len(piece)
        self.wfile.flush()


class LoopbackArchive:
    """An archive that runs in a thread of this process; use it in a ``with`` block.

    Parameters
    ----------
    latency_s : float, s
        Waited before each answer.
    bytes_per_s : float, optional
        Bandwidth of each connection.
    multi_range : bool
        Whether several ranges in one request are answered below ``/ibe`` (a bucket never does).

    Attributes
    ----------
    url : str
        Base address, as ``http://127.0.0.1:41234``; for `ArchiveSettings.at`, or the environment variable
        ``GLUE_SPHEREX_ARCHIVE``.
    files : dict of str to Path or bytes
        Content by path. The same content may be listed twice, below `IBE` and below `BUCKET`.
    services : dict of str to callable
        ``service(question) -> Answer`` by path; see `Question` and `SearchServices`.
    requests : list of Seen
        All requests so far.

    Examples
    --------
    >>> from glue_spherex.images.simulation import SearchServices, simulate
    >>> field = simulate("field", images=6)  # doctest: +SKIP
    >>> with LoopbackArchive(latency_s=0.1) as archive:  # doctest: +SKIP
    ...     SearchServices().join(archive).add_field(archive, field)
    ...     spectra = measure(targets, IRSACollection(ArchiveSettings.at(archive.url)))
    """

    connection = Connection

    def __init__(self, latency_s=0.0, bytes_per_s=None, multi_range=True):
        self.latency_s, self.bytes_per_s, self.multi_range = latency_s, bytes_per_s, multi_range
        self.files, self.services, self.requests = {}, {}, []
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self._server = _Server(("127.0.0.1", 0), self.connection)
        self._server.archive = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self):
        """Base address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def ibe(self):
        """Address of the file server."""
        return self.url + IBE.rstrip("/")

    @property
    def s3(self):
        """Address of the bucket."""
        return self.url + BUCKET.rstrip("/")

    @property
    def moved(self):
        """Bytes of all answers so far."""
        with self.lock:
            return sum(seen.sent for seen in self.requests)

    def start(self):
        """Begin to answer; returns the archive."""
        self._thread.start()
        return self

    def stop(self):
        """Answer nothing any more, and free the address."""
        self.stopping.set()
        if self._thread.is_alive():  # otherwise there is nothing to wait for
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.stop()

    def forget(self):
        """Forget the requests so far."""
        with self.lock:
            self.requests.clear()

    def add(self, key, content):
        """Offer a file (a path or bytes) under a key such as ``qr2/level2/…``, on both sides."""
        for side in (IBE, BUCKET):
            self.files[side + key] = content
        return key

    def add_image(self, path, release="qr2", collection=None):
        """Offer a Level-2 file where the archive has it; returns its key."""
        path = Path(path)
        planning, detector, version = _NAME.fullmatch(path.name).groups()
        folder = (collection or release) + "/level2"
        return self.add(f"{folder}/{planning}/{version}/{detector}/{path.name}", path)

    def add_calibration(self, folder, release="qr2"):
        """Offer all calibration files of a folder where the archive has them; returns their keys."""
        keys = []
        for path in sorted(Path(folder).glob("*.fits")):
            family, detector = re.match(r"(.*)_D(\d)_spx", path.name).groups()
            token = _TOKEN.search(path.name).group()
            keys.append(self.add(f"{release}/{family}/{token}/{detector}/{path.name}", path))
        return keys

    def add_field(self, simulated, release="qr2"):
        """Offer everything of a `SimulatedField`; returns the keys of its images."""
        self.add_calibration(simulated.calibration, release)
        return [self.add_image(path, release) for path in simulated.images]

    def listing(self, path):
        """Names directly below a folder of the IBE side, as lines of JSON; None where there is none."""
        folder = f"{IBE}{path.removeprefix(LISTING)}".rstrip("/") + "/"
        below = {}
        for key in self.files:
            if key.startswith(folder):
                name, _, rest = key[len(folder) :].partition("/")
                below[name] = bool(rest)
        lines = [
            json.dumps({"name": name, "type": "dir" if is_folder else "file"}) for name, is_folder in below.items()
        ]
        return "\n".join(sorted(lines)).encode() if lines else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, request, client_address):
        """A client that hangs up is no news."""


def entity_tag(content):
    """The ETag that a file has."""
    if isinstance(content, bytes):
        return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
    status = os.stat(content)
    return f'"{status.st_size:x}-{status.st_mtime_ns:x}"'


def _whole(content):
    return content if isinstance(content, bytes) else Path(content).read_bytes()


def _part(content, start, stop):
    if isinstance(content, bytes):
        return content[start:stop]
    with open(content, "rb") as file:
        file.seek(start)
        return file.read(stop - start)


def cutout(content, center, size):
    """What the cutout service makes of a file: all HDUs, the images cropped, PSF and WCS-WAVE whole.

    Parameters
    ----------
    content : bytes
    center : str
        As ``150.1,2.2deg``.
    size : str
        As ``0.1``, ``0.1deg``, ``30arcsec``, ``2arcmin``, ``64px``.

    Returns
    -------
    bytes
    """
    from astropy.io import fits
    from astropy.wcs import WCS

    ra, dec = (float(word) for word in re.findall(r"[-+.\deE]+", center.removesuffix("deg"))[:2])
    found = re.fullmatch(r"([\d.eE+-]+?)(deg|arcmin|arcsec|px)?", size)
    if not found:
        raise ValueError(f"the size {size!r} is none")
    scale = {"deg": 6.15 / 3600, "arcmin": 6.15 / 60, "arcsec": 6.15, "px": 1, None: 6.15 / 3600}
    n = max(round(float(found[1]) / scale[found[2]]), 1)
    with fits.open(BytesIO(content), memmap=False) as hdus:
        x, y = WCS(hdus["IMAGE"].header).all_world2pix(ra, dec, 0)
        ny, nx = hdus["IMAGE"].data.shape
        x_lo, y_lo = round(float(x) - (n - 1) / 2), round(float(y) - (n - 1) / 2)
        box = slice(max(y_lo, 0), min(y_lo + n, ny)), slice(max(x_lo, 0), min(x_lo + n, nx))
        made = fits.HDUList([_cropped(hdu, box) for hdu in hdus])
        whole = BytesIO()
        made.writeto(whole, output_verify="silentfix+ignore")
    return whole.getvalue()


def _cropped(hdu, box):
    """An HDU of a cutout."""
    from astropy.io import fits

    if hdu.name not in ("IMAGE", "FLAGS", "VARIANCE", "ZODI"):
        return hdu.copy()
    header = hdu.header.copy()
    for suffix in ("", "A", "W"):
        for axis, part in ((1, box[1]), (2, box[0])):
            if f"CRPIX{axis}{suffix}" in header:
                header[f"CRPIX{axis}{suffix}"] -= part.start
    return fits.ImageHDU(np.ascontiguousarray(hdu.data[box]), header)
