import email.utils
import pickle
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest
from loopback import IBE, Answer

from glue_spherex.images.archive.client import ArchiveClient
from glue_spherex.images.archive.errors import (
    AnswerTooLarge,
    ArchiveBusy,
    ArchiveError,
    ArchiveStopped,
    ArchiveUnreachable,
    FileChanged,
    RangeRefused,
)
from glue_spherex.images.archive.settings import ArchiveSettings

KEY = "qr2/file.bin"
CONTENT = bytes(range(256)) * 400


@pytest.fixture
def archive(loopback):
    archive = loopback()
    archive.add(KEY, CONTENT)
    return archive


def client_of(archive, **options):
    quick = {"backoff_s": 0.01, "attempts": 3, "patience_s": 0.05}
    return ArchiveClient(ArchiveSettings.at(archive.url, **quick | options))


def address(archive):
    return archive.url + IBE + KEY


def test_a_file_and_parts_of_it(archive):
    client = client_of(archive)
    assert client.get(address(archive)) == CONTENT
    assert client.get(address(archive), 1000, 3000) == CONTENT[1000:3000]
    assert client.get(address(archive), 102000) == CONTENT[102000:]
    received = client.receive(address(archive), 102300, 999999)
    assert (received.data, received.start, received.size) == (CONTENT[102300:], 102300, len(CONTENT))
    assert client.requests == 4
    assert client.moved == archive.moved
    assert client.receive(address(archive), 0, 10, match=received.version).data == CONTENT[:10]
    with pytest.raises(FileChanged, match="was replaced"):
        client.get(address(archive), 0, 10, match='"another"')
    with pytest.raises(RangeRefused, match="no bytes"):
        client.get(address(archive), 200_000, 200_010)
    with pytest.raises(ArchiveError, match="no part"):
        client.get(address(archive), 20, 10)
    with pytest.raises(ArchiveError, match=r"no such file \(status 404\)"):
        client.get(archive.url + IBE + "qr2/other.bin")


@pytest.mark.parametrize("status", [429, 503, 500])
def test_a_busy_archive_is_asked_again(archive, status):
    archive.fault("file.bin", "status", status=status, times=2)
    client = client_of(archive)
    assert client.get(address(archive), 5, 9) == CONTENT[5:9]
    assert [seen.status for seen in archive.requests] == [status, status, 206]


def test_busy_for_good(archive):
    archive.fault("file.bin", "status", status=503)
    with pytest.raises(ArchiveBusy, match=r"busy \(status 503\); try again later"):
        client_of(archive).get(address(archive))
    assert len(archive.requests) == 3


def test_the_archive_says_how_long_to_wait(archive):
    archive.fault("file.bin", "status", status=429, retry_after=1, times=1)
    start = time.monotonic()
    assert client_of(archive).get(address(archive)) == CONTENT
    assert time.monotonic() - start >= 1


def test_a_date_until_which_to_wait(archive):
    soon = email.utils.formatdate(time.time() + 2, usegmt=True)
    archive.fault("file.bin", "status", retry_after=soon, times=1)
    assert client_of(archive).get(address(archive)) == CONTENT
    assert time.time() >= email.utils.parsedate_to_datetime(soon).timestamp()


@pytest.mark.parametrize("text", ["soon", "-5", "", "Mon, 99 Foo 2026 99:99:99 GMT"])
def test_a_wait_that_cannot_be_understood(archive, text):
    archive.fault("file.bin", "status", retry_after=text, times=1)
    assert client_of(archive).get(address(archive)) == CONTENT


def test_a_wait_that_is_too_long(archive):
    """It is said at once, and nobody asks again for a while."""
    archive.fault("file.bin", "status", status=429, retry_after=3600)
    client = client_of(archive)
    for _ in range(2):
        with pytest.raises(ArchiveBusy, match=r"come back in 3600 s|asked again in \d+ s"):
            client.get(address(archive))
    assert len(archive.requests) == 1


def test_cancelled_while_waiting(archive):
    archive.fault("file.bin", "status", status=429, retry_after=100)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(client_of(archive).get, address(archive), cancelled=stop.is_set)
        stop.set()
        with pytest.raises(ArchiveStopped, match="cancelled"):
            future.result(60)


def test_cancelled_while_receiving(archive):
    client = client_of(archive)
    asked = []
    with pytest.raises(ArchiveStopped, match="cancelled"):
        client.get(address(archive), cancelled=lambda: asked.append(1) or client.moved > 0)
    assert len(asked) > 1


def test_cancelled_while_the_archive_is_silent(archive):
    """Whoever waits need not wait until the silence is called a fault."""
    archive.fault("file.bin", "silence")
    with pytest.raises(ArchiveStopped, match="cancelled"):
        client_of(archive, timeout_s=20, attempts=1).get(address(archive), cancelled=lambda: bool(archive.requests))


def test_silence(archive):
    archive.fault("file.bin", "silence")
    with pytest.raises(ArchiveError, match=r"nothing came for 0\.2 s"):
        client_of(archive, timeout_s=0.2, attempts=2).get(address(archive))
    assert len(archive.requests) == 2
    archive.fault("/SIA", "silence")
    with pytest.raises(ArchiveError, match=r"nothing came for 0\.3 s"):
        client_of(archive, search_s=0.3, attempts=1).ask(archive.url + "/SIA", {"POS": "x"})


def test_a_cut_connection(archive):
    archive.fault("file.bin", "cut", after=5000, times=2)
    client = client_of(archive)
    assert client.get(address(archive)) == CONTENT
    archive.fault("file.bin", "cut", after=5000)
    with pytest.raises(ArchiveError, match="connection"):
        client.get(address(archive))


@pytest.mark.parametrize("kind", ["short", "long"])
def test_wrong_length_of_a_part(archive, kind):
    archive.fault("file.bin", kind, after=1000)
    with pytest.raises(RangeRefused, match="says it holds 2000"):
        client_of(archive).get(address(archive), 0, 2000)


@pytest.mark.parametrize(("kind", "message"), [("whole", "sends the whole file"), ("shifted", "the answer holds")])
def test_another_part_than_asked_for(archive, kind, message):
    archive.fault("file.bin", kind)
    client = client_of(archive)
    with pytest.raises(RangeRefused, match=message):
        client.get(address(archive), 10, 2000)
    assert client.moved == 0
    assert client.requests == 1


def test_content_range_must_be_understood(archive):
    archive.services["/SIA"] = lambda request: Answer(b"12345", 206, {"Content-Range": "bytes 0-4"})
    with pytest.raises(RangeRefused, match="the answer holds"):
        client_of(archive).get(archive.url + "/SIA", 1, 6)
    with pytest.raises(RangeRefused, match="all of it was asked for"):
        client_of(archive).get(archive.url + "/SIA")


def test_too_large(archive):
    client = client_of(archive, max_bytes=1000)
    with pytest.raises(AnswerTooLarge, match="at most 1000"):
        client.get(address(archive))
    assert client.moved == 0
    assert client.get(address(archive), max_bytes=len(CONTENT)) == CONTENT


@contextmanager
def server_without_end():
    """Sends bytes until the other side hangs up."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def serve():
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
                try:
                    while True:
                        connection.sendall(b"<TR>" * 10000)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(60)


def test_an_answer_without_end():
    with server_without_end() as url:
        client = ArchiveClient(ArchiveSettings.at(url, max_bytes=1_000_000))
        with pytest.raises(AnswerTooLarge, match="more than 1000000 bytes"):
            client.get(url + "/SIA")
        client.close()
        assert client.moved < 1_200_000


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/latest", "http://localhost:{port}/x", "https://127.0.0.1:{port}/x",
                 "file:///etc/passwd", "http://example.org/", "//127.0.0.1:{other}/x", "http://u:p@127.0.0.1:{port}/x"]
)  # fmt: skip
def test_a_redirect_elsewhere(archive, loopback, location):
    other = loopback()
    location = location.format(port=archive.url.rpartition(":")[2], other=other.url.rpartition(":")[2])
    archive.fault("file.bin", "redirect", location=location)
    with pytest.raises(ArchiveError, match=r"sends on to .* refused"):
        client_of(archive).get(address(archive))
    assert not other.requests
    assert len(archive.requests) == 1


def test_redirects_within_the_archive(archive):
    archive.services["/TAP/sync"] = lambda request: Answer(b"", 303, {"Location": "/results/1"})
    archive.services["/results/1"] = lambda request: Answer(request.method.encode() + request.body)
    assert client_of(archive).ask(archive.url + "/TAP/sync", {"QUERY": "x"}, post=True) == b"GET"
    archive.fault("file.bin", "redirect", location=address(archive))
    with pytest.raises(ArchiveError, match="without end"):
        client_of(archive).get(address(archive))


@pytest.mark.parametrize(
    "url", ["http://example.org/x", "file:///etc/passwd", "http://127.0.0.1:1/x", "nonsense", "http://[::1/x",
            "http://127.0.0.1:999999/"]
)  # fmt: skip
def test_addresses_elsewhere_are_not_asked(archive, url):
    client = client_of(archive)
    with pytest.raises(ArchiveError, match=r"refused|not an address"):
        client.get(url)
    assert client.requests == 0


def test_no_network():
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    client = ArchiveClient(ArchiveSettings.at(url, patience_s=0.05, backoff_s=0.01))
    with pytest.raises(ArchiveUnreachable, match=r"127\.0\.0\.1 cannot be reached .*refused.*is this computer conn"):
        client.get(url + "/SIA")
    made = client.requests
    with pytest.raises(ArchiveUnreachable):  # the patience is at an end: once is enough
        client.get(url + "/SIA")
    assert client.requests == made + 1
    client = ArchiveClient(ArchiveSettings(ibe="https://archive.invalid/ibe/", patience_s=0.0))
    with pytest.raises(ArchiveUnreachable, match=r"archive\.invalid cannot be reached"):
        client.get("https://archive.invalid/ibe/x")


def test_no_secrets_are_sent(archive, tmp_path, monkeypatch):
    """Neither passwords of ~/.netrc nor cookies; a proxy is not asked for what is on this machine."""
    seen = []

    def service(request):
        seen.append({name.lower() for name in request.headers})
        return Answer(b"", headers={"Set-Cookie": "a=b; Path=/"})

    archive.services["/SIA"] = service
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    client = client_of(archive)
    for _ in range(2):
        client.get(archive.url + "/SIA")
    assert not any({"cookie", "authorization"} & names for names in seen)


def test_packed_answers_are_refused(archive):
    archive.services["/SIA"] = lambda request: Answer(b"x", headers={"Content-Encoding": "gzip"})
    with pytest.raises(ArchiveError, match="packed"):
        client_of(archive).get(archive.url + "/SIA")


def test_only_so_many_requests_at_once(archive):
    barrier, lock, now, most = threading.Barrier(3), threading.Lock(), [0], [0]

    def service(request):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        barrier.wait(60)
        with lock:
            now[0] -= 1
        return Answer(b"done")

    archive.services["/SIA"] = service
    client = client_of(archive, at_once=3)
    with ThreadPoolExecutor(9) as pool:
        assert list(pool.map(client.get, [archive.url + "/SIA"] * 9)) == [b"done"] * 9
    assert most == [3]


def test_goes_to_other_processes(archive):
    client = client_of(archive)
    client.get(address(archive), 0, 1)
    other = pickle.loads(pickle.dumps(client))
    assert (other.settings, other.requests) == (client.settings, 0)
    assert other.get(address(archive), 0, 1) == CONTENT[:1]


def test_settings_from_a_file_and_the_environment(tmp_path, monkeypatch):
    path = tmp_path / "archive.toml"
    path.write_text('at_once = 3\nibe = "https://mirror.example/ibe"\ncollections = ["spherex_qr3"]\n')
    settings = ArchiveSettings.load(path)
    assert (settings.at_once, settings.ibe) == (3, "https://mirror.example/ibe/")
    assert settings.collections == ("spherex_qr3",)
    assert ("https", "mirror.example", 443) in settings.origins
    monkeypatch.setenv("GLUE_SPHEREX_ARCHIVE", "http://127.0.0.1:8642/")
    settings = ArchiveSettings.load(path)
    assert (settings.at_once, settings.sia) == (3, "http://127.0.0.1:8642/SIA")
    assert settings.origins == {("http", "127.0.0.1", 8642)}
    monkeypatch.delenv("GLUE_SPHEREX_ARCHIVE")
    assert ArchiveSettings.load() == ArchiveSettings()
    with pytest.raises(ArchiveError, match="there is no file"):
        ArchiveSettings.load(tmp_path / "none.toml")
    for text, message in (("at_once = ", "cannot be read"), ("speed = 3", "'speed', which is none")):
        path.write_text(text)
        with pytest.raises(ArchiveError, match=message):
            ArchiveSettings.load(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sia": "http://irsa.ipac.caltech.edu/SIA"}, "https:// is needed"),
        ({"sia": "http://192.168.0.1/SIA"}, "https:// is needed"),
        ({"tap": "ftp://x/"}, "https:// is needed"),
        ({"s3": "https://me:secret@bucket.example/"}, "needs none"),
        ({"ibe": "https://a.example/?x=1"}, "without"),
        ({"ibe": 3}, "an address is needed"),
        ({"at_once": 0}, "at_once is 0"),
        ({"timeout_s": float("nan")}, "timeout_s is nan"),
        ({"attempts": "3"}, "attempts is '3'"),
        ({"collections": "spherex_qr2"}, "list of names"),
    ],
)
def test_settings_that_are_refused(values, message):
    with pytest.raises(ArchiveError, match=message):
        ArchiveSettings(**values)
