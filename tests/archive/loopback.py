"""The archive of the package, with the faults that a network has."""

import re
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from glue_spherex.images.simulation import archive_server
from glue_spherex.images.simulation.archive_server import BUCKET, IBE, LISTING, Answer, Question, Seen
from glue_spherex.images.simulation.headers import VERSIONS

__all__ = ["BUCKET", "IBE", "LISTING", "Answer", "Fault", "LoopbackArchive", "Question", "Seen"]


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


class _Connection(archive_server.Connection):
    def respond(self):
        archive = self.server.archive
        self.fault = archive.fault_of(self.seen.path + ("?" + self.seen.query if self.seen.query else ""))
        self.fault_kind = self.fault.kind if self.fault else ""
        wrong = getattr(self, f"_{self.fault_kind}", super().respond)
        wrong()

    def _status(self):
        after = self.fault.retry_after
        self.send(self.fault.status, b"not now", {} if after is None else {"Retry-After": str(after)})

    def _silence(self):
        self.close_connection = True
        self.server.archive.stopping.wait(600)

    def _page(self):
        page = b"<!DOCTYPE html><html><body>Scheduled maintenance</body></html>"
        self.send(200, page, {"Content-Type": "text/html"})

    def _redirect(self):
        self.send(302, b"", {"Location": self.fault.location})

    def _body(self):
        self.send(200, self.fault.content)

    def _replace(self):
        self.server.archive.files[self.seen.path] = self.fault.content
        super().respond()

    def spans(self, size):
        return None if self.fault_kind == "whole" else super().spans(size)

    def parts_of(self, content, spans):
        if self.fault_kind not in ("shifted", "lie"):
            return super().parts_of(content, spans)
        parts = super().parts_of(content, [(start + 2880, stop + 2880) for start, stop in spans])
        return parts if self.fault_kind == "shifted" else list(zip(spans, (data for _, data in parts), strict=True))

    def send(self, status, body, headers=None):
        if self.fault_kind == "short":
            body = body[: self.fault.after]
        elif self.fault_kind == "long":
            body = body + b"\0" * self.fault.after
        super().send(status, body, headers)

    def write(self, body):
        if self.fault_kind != "cut":
            return super().write(body)
        super().write(body[: self.fault.after])
        self.close_connection = True
        # hang up at once, without a polite end
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class LoopbackArchive(archive_server.LoopbackArchive):
    """The server; use it in a ``with`` block.

    Attributes
    ----------
    faults : list of (str, Fault)
        Part of the path, and what goes wrong there; the first that fits counts.
    """

    connection = _Connection

    def __init__(self, **options):
        super().__init__(**options)
        self.faults = []

    def add_image(self, path, release="qr2", collection=None):
        """As the archive of the package; a file of another release gets the pipeline version of this one."""
        key = super().add_image(path, release, collection)
        content = Path(path).read_bytes()
        version = VERSIONS["qr2" if key.startswith("qr2") else "qr3"]
        told = re.search(rb"VERSION = '([^']*)'", content[:2880])
        if told and told[1].startswith(b"6") != version.startswith("6"):
            start, stop = told.span(1)
            self.add(key, content[:start] + version.encode().ljust(stop - start) + content[stop:])
        return key

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
