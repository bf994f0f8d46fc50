"""An archive on this machine: spectral images over HTTP, from simulated files, with the faults that a network has.

It speaks what the real archive speaks: files below ``/ibe/data/spherex`` with byte ranges and as cutouts
(``?center=…&size=…``), the same files below ``/nasa-irsa-spherex`` as a bucket does (one range per request, no
cutouts), and listings of folders. Searches are added as `services`. It needs neither pytest nor the network.
"""

import email.utils
import hashlib
import json
import os
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

IBE = "/ibe/data/spherex/"
LISTING = "/ibe/dir/list/spherex/"
BUCKET = "/nasa-irsa-spherex/"
_NAME = re.compile(r"level2_(\d{4}W\d{2}_\d[A-Z])_\d{4}_\dD(\d)_spx_(l2b-v\d+-\d{4}-\d{3})\.fits")
_TOKEN = re.compile(r"cal-[a-z]+-v\d+-\d{4}-\d{3}")
_BOUNDARY = "THIS_STRING_SEPARATES"
_PIECE = 1 << 16


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
class Answer:
    """What a service gives: ``status``, ``body`` (bytes), ``headers`` (dict)."""

    body: bytes = b""
    status: int = 200
    headers: dict = field(default_factory=dict)


@dataclass
class Fault:
    """Something that goes wrong.

    Parameters
    ----------
    kind : str
        ``status``: answer with `status`, and ``Retry-After`` if `retry_after` is given (a number or a text).
        ``silence``: accept the request and never answer. ``cut``: close the connection after `after` bytes of the body.
        ``short``: send a body of `after` bytes and say that this is all. ``long``: send `after` bytes too many.
        ``page``: answer 200 with an HTML page. ``redirect``: to `location`. ``whole``: ignore the Range header.
        ``shifted``: answer a range with the right length, but from another place, and say so. ``lie``: the same,
        without saying so. ``replace``: from now on, the file is `content`. ``body``: answer 200 with `content`.
    times : int
        Requests that it befalls; -1 for all.
    skip : int
        Requests that go well before.
    """

    kind: str
    times: int = -1
    skip: int = 0
    status: int = 503
    retry_after: object = None
    after: int = 1000
    location: str = ""
    content: bytes = b""


class LoopbackArchive:
    """The server; use it in a ``with`` block.

    Parameters
    ----------
    latency_s : float
        Waited before each answer.
    bytes_per_s : float, optional
        Bandwidth of each connection.
    multi_range : bool
        Whether several ranges in one request are answered below ``/ibe`` (a bucket never does).

    Attributes
    ----------
    url : str
        Base address, as ``http://127.0.0.1:41234``.
    files : dict of str to Path or bytes
        Content by path. The same path may be listed twice, below `IBE` and below `BUCKET`.
    faults : list of (str, Fault)
        Part of the path, and what goes wrong there; the first that fits counts.
    services : dict of str to callable
        ``service(request) -> Answer`` by path: `request` has ``path``, ``query`` (dict of lists), ``body`` (bytes),
        ``headers`` and ``method``.
    requests : list of Seen
    """

    def __init__(self, latency_s=0.0, bytes_per_s=None, multi_range=True):
        self.latency_s, self.bytes_per_s, self.multi_range = latency_s, bytes_per_s, multi_range
        self.files, self.faults, self.services, self.requests = {}, [], {}, []
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.archive = self
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def ibe(self):
        return self.url + IBE.rstrip("/")

    @property
    def s3(self):
        return self.url + BUCKET.rstrip("/")

    @property
    def moved(self):
        """Bytes of all answers so far."""
        with self.lock:
            return sum(seen.sent for seen in self.requests)

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

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
        """Offer all calibration files of a folder where the archive has them."""
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

    def fault(self, part, kind, **options):
        """Let something go wrong with paths that hold `part`; see `Fault`."""
        self.faults.append((part, Fault(kind, **options)))

    def fault_of(self, target):
        """The fault that befalls a request now, or None."""
        with self.lock:
            for part, fault in self.faults:
                if part not in target or fault.times == 0:
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    return None
                fault.times -= fault.times > 0
                return fault
        return None

    def listing(self, path):
        """Names directly below a folder of the IBE side, as lines of JSON; None where there is none."""
        folder = IBE + path.removeprefix(LISTING).strip("/") + "/"
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


def _content(content):
    return content if isinstance(content, bytes) else Path(content).read_bytes()


def entity_tag(content):
    """The ETag that a file has."""
    if isinstance(content, bytes):
        return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
    status = os.stat(content)
    return f'"{status.st_size:x}-{status.st_mtime_ns:x}"'


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def log_message(self, *values):
        """Nothing on stderr."""

    def do_GET(self):
        archive = self.server.archive
        parts = urlsplit(self.path)
        self.seen = Seen(unquote(parts.path), parts.query, self.headers.get("Range", ""))
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with archive.lock:
            archive.requests.append(self.seen)
        if archive.latency_s:
            time.sleep(archive.latency_s)
        fault = archive.fault_of(self.seen.path + ("?" + parts.query if parts.query else ""))
        try:
            if fault is None or not self._go_wrong(fault):
                self._answer(fault)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_POST = do_HEAD = do_GET

    def _go_wrong(self, fault):
        """Deal with a fault that needs no file; whether that was all."""
        archive = self.server.archive
        if fault.kind == "status":
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            self._send(fault.status, b"not now", headers)
        elif fault.kind == "silence":
            self.close_connection = True
            archive.stopping.wait(600)
        elif fault.kind == "page":
            self._send(200, b"<!DOCTYPE html><html><body>Scheduled maintenance</body></html>", {}, "text/html")
        elif fault.kind == "redirect":
            self._send(302, b"", {"Location": fault.location})
        elif fault.kind == "body":
            self._send(200, fault.content, {})
        elif fault.kind == "replace":
            archive.files[self.seen.path] = fault.content
            return False
        else:
            return False
        return True

    def _answer(self, fault):
        archive, path = self.server.archive, self.seen.path
        if path in archive.services:
            self.method, self.query = self.command, parse_qs(urlsplit(self.path).query, keep_blank_values=True)
            answer = archive.services[path](_Request(path, self.query, self.body, self.headers, self.command))
            kind = answer.headers.pop("Content-Type", "application/x-votable+xml")
            return self._send(answer.status, answer.body, answer.headers, kind, fault)
        if path.startswith(LISTING) and (lines := archive.listing(path)) is not None:
            return self._send(200, lines, {}, "application/x-ndjson", fault)
        if path not in archive.files:
            return self._send(404, b"no such file", {}, fault=fault)
        if self.seen.query and path.startswith(IBE):
            return self._send(200, cutout(_content(archive.files[path]), parse_qs(self.seen.query)), {}, fault=fault)
        return self._file(archive.files[path], fault)

    def _file(self, content, fault):
        size = len(content) if isinstance(content, bytes) else os.path.getsize(content)
        tag = entity_tag(content)
        headers = {"ETag": tag, "Accept-Ranges": "bytes", "Last-Modified": email.utils.formatdate(0, usegmt=True)}
        if self.headers.get("If-Match", tag) != tag:
            return self._send(412, b"changed", headers, fault=fault)
        spans = _spans(self.seen.range, size)
        many_allowed = self.server.archive.multi_range and self.seen.path.startswith(IBE)
        if spans is None or (fault and fault.kind == "whole") or (len(spans) > 1 and not many_allowed):
            return self._send(200, _content(content), headers, fault=fault)
        if not spans:
            return self._send(416, b"", headers | {"Content-Range": f"bytes */{size}"}, fault=fault)
        told = spans
        if fault and fault.kind in ("shifted", "lie"):
            spans = [(start + 2880, stop + 2880) for start, stop in spans]
            told = spans if fault.kind == "shifted" else told
        pieces = [_part(content, start, stop) for start, stop in spans]
        said = [f"bytes {start}-{stop - 1}/{size}" for start, stop in told]
        if len(spans) == 1:
            return self._send(206, pieces[0], headers | {"Content-Range": said[0]}, fault=fault)
        body = b"".join(
            f"\r\n--{_BOUNDARY}\r\nContent-Type: image/fits\r\nContent-Range: {label}\r\n\r\n".encode() + piece
            for label, piece in zip(said, pieces)
        )
        body += f"\r\n--{_BOUNDARY}--\r\n".encode()
        self._send(206, body, headers, f"multipart/byteranges; boundary={_BOUNDARY}", fault)

    def _send(self, status, body, headers, kind="image/fits", fault=None):
        fault_kind = fault.kind if fault else ""
        if fault_kind == "short":
            body = body[: fault.after]
        elif fault_kind == "long":
            body = body + b"\0" * fault.after
        self.seen.status = status
        self.send_response(status)
        for name, value in ({"Content-Type": kind} | headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault_kind == "cut":
            self._write(body[: fault.after])
            self.wfile.flush()
            self.close_connection = True
            # hang up at once, without a polite end
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        self._write(body)

    def _write(self, body):
        rate = self.server.archive.bytes_per_s
        for start in range(0, len(body), _PIECE):
            piece = body[start : start + _PIECE]
            if rate:
                time.sleep(len(piece) / rate)
            self.wfile.write(piece)
            self.seen.sent += len(piece)
        self.wfile.flush()


@dataclass
class _Request:
    path: str
    query: dict
    body: bytes
    headers: object
    method: str


def _spans(text, size):
    """Half-open spans of a Range header; None without one, empty if none can be satisfied."""
    if not text.startswith("bytes="):
        return None
    spans = []
    for item in text[6:].split(","):
        first, _, last = item.strip().partition("-")
        start, stop = (int(first), int(last) + 1 if last else size) if first else (size - int(last), size)
        if start < size:
            spans.append((max(start, 0), min(stop, size)))
    return spans


def _part(content, start, stop):
    if isinstance(content, bytes):
        return content[start:stop]
    with open(content, "rb") as file:
        file.seek(start)
        return file.read(stop - start)


def cutout(content, query):
    """What the cutout service makes of a file: all HDUs, the images cropped, PSF and WCS-WAVE whole."""
    from io import BytesIO

    import numpy as np
    from astropy.io import fits
    from astropy.wcs import WCS

    ra, dec = (float(word) for word in re.findall(r"[-+.\deE]+", query["center"][0].removesuffix("deg"))[:2])
    number, unit = re.fullmatch(r"([\d.eE+-]+?)(deg|arcmin|arcsec|px)?", query["size"][0]).groups()
    pixels = float(number) / {"deg": 6.15 / 3600, "arcmin": 6.15 / 60, "arcsec": 6.15, "px": 1, None: 6.15 / 3600}[unit]
    with fits.open(BytesIO(content), memmap=False) as hdus:
        x, y = WCS(hdus["IMAGE"].header).all_world2pix(ra, dec, 0)
        n, (ny, nx) = max(round(pixels), 1), hdus["IMAGE"].data.shape
        x_lo, y_lo = round(float(x) - (n - 1) / 2), round(float(y) - (n - 1) / 2)
        box = slice(max(y_lo, 0), min(y_lo + n, ny)), slice(max(x_lo, 0), min(x_lo + n, nx))
        made = fits.HDUList()
        for hdu in hdus:
            if hdu.name not in ("IMAGE", "FLAGS", "VARIANCE", "ZODI"):
                made.append(hdu.copy())
                continue
            header = hdu.header.copy()
            for suffix in ("", "A", "W"):
                for axis, part in ((1, box[1]), (2, box[0])):
                    if f"CRPIX{axis}{suffix}" in header:
                        header[f"CRPIX{axis}{suffix}"] -= part.start
            made.append(fits.ImageHDU(np.ascontiguousarray(hdu.data[box]), header))
        whole = BytesIO()
        made.writeto(whole, output_verify="silentfix+ignore")
    return whole.getvalue()
