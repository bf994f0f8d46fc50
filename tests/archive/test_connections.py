"""What the client believes of a connection: certificates, and how long one may take."""

import socket
import ssl
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from loopback import Answer, LoopbackArchive

from glue_spherex.images.archive.client import ArchiveClient
from glue_spherex.images.archive.errors import ArchiveError, ArchiveUnreachable
from glue_spherex.images.archive.settings import ArchiveSettings

CERTIFICATE = Path(__file__).parent / "localhost.pem"  # for the name localhost, signed by itself


@pytest.fixture
def secure(monkeypatch):
    """An archive with https, and how it is called at a host."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    archive = LoopbackArchive()
    archive.services["/SIA"] = lambda question: Answer(b"done")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    server = archive._server
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with archive:
        yield archive, lambda host: f"https://{host}:{server.server_port}"


def answer_of(url, **settings):
    client = ArchiveClient(ArchiveSettings.at(url, attempts=1, patience_s=0.0, **settings))
    try:
        return client.get(url + "/SIA")
    finally:
        client.close()


def test_a_certificate_that_nobody_has_signed_is_refused(secure):
    archive, at = secure
    with pytest.raises(ArchiveError, match=r"there is no secure connection to the server \(.*certificate.*\); refused"):
        answer_of(at("localhost"))
    assert archive.requests == []


def test_a_certificate_that_the_user_trusts(secure, monkeypatch):
    archive, at = secure
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    assert answer_of(at("localhost")) == b"done"
    archive.forget()
    with pytest.raises(ArchiveError, match=r"no secure connection .*127\.0\.0\.1"):  # it is for another name
        answer_of(at("127.0.0.1"))
    assert archive.requests == []


@contextmanager
def full_house():
    """A server with more connections waiting than it takes, so that no further one comes about."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as server:
        waiting = []
        try:
            for _ in range(64):
                waiting.append(socket.socket())
                waiting[-1].settimeout(0.2)
                try:
                    waiting[-1].connect(server.getsockname())
                except TimeoutError:
                    break
            else:
                pytest.skip("this system lets all connections wait")
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            for connection in waiting:
                connection.close()


def test_a_connection_that_does_not_come_about():
    with full_house() as url, pytest.raises(ArchiveUnreachable, match=r"cannot be reached .*connect timeout=0\.2"):
        answer_of(url, connect_s=0.2)


def test_bytes_that_trickle(loopback, monkeypatch):
    """There is never a silence, but no end either."""
    archive, ended = loopback(), threading.Event()

    def trickle(connection, body):
        for _ in range(1500):  # at most half a minute
            connection.wfile.write(b"x")
            connection.wfile.flush()
            if ended.wait(0.02):
                return

    monkeypatch.setattr(type(archive).connection, "write", trickle)
    archive.services["/SIA"] = lambda question: Answer(bytes(10_000_000))
    try:
        with pytest.raises(ArchiveError, match=r"not complete after 0\.3 s"):
            answer_of(archive.url, longest_s=0.3, search_s=20.0, timeout_s=20.0)
    finally:
        ended.set()
