"""An archive that limits the rate: everything comes in the end, and few requests are in vain."""

import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from archived import client_of
from loopback import Answer

from glue_spherex.images.archive import hosts
from glue_spherex.images.archive.errors import ArchiveBusy, ArchiveStopped
from glue_spherex.images.archive.hosts import Host

URL = "https://archive.example/x"


class LimitedRate:
    """A service that answers so many requests in so many seconds."""

    def __init__(self, requests, seconds):
        self.most, self.seconds = requests, seconds
        self.good, self.refused = deque(maxlen=requests), 0
        self.lock = threading.Lock()

    def __call__(self, question):
        with self.lock:
            now = time.monotonic()
            if len(self.good) == self.most and now - self.good[0] < self.seconds:
                self.refused += 1
                return Answer(b"slow down", 429, {"Retry-After": str(self.seconds)})
            self.good.append(now)
        return Answer(b"done")


@pytest.fixture
def quick_waits(monkeypatch):
    """Waits of less than a second can be asked for."""
    monkeypatch.setattr("glue_spherex.images.archive.client._retry_after_s", lambda text: text and float(text))


def test_all_comes_and_little_is_refused(loopback, quick_waits):
    archive = loopback()
    limited = archive.services["/SIA"] = LimitedRate(5, 0.25)
    client = client_of(archive, at_once=8)
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(client.get, [archive.url + "/SIA"] * 60)) == [b"done"] * 60
    assert client.requests == 60 + limited.refused < 1.7 * 60


def test_waits_together_have_an_end(loopback, quick_waits):
    archive = loopback()
    archive.fault("/SIA", "status", status=503, retry_after=0.1)
    client = client_of(archive, attempts=3, longest_wait_s=0.2)
    with pytest.raises(ArchiveBusy, match="asks to come back"):
        client.get(archive.url + "/SIA")
    assert client.requests == 7  # six waits of 0.1 s are three of the longest


@pytest.mark.parametrize("after", [None, 0])
def test_refusals_without_a_wait_are_attempts(loopback, after):
    archive = loopback()
    archive.fault("/SIA", "status", status=429, retry_after=after)
    client = client_of(archive, attempts=3)
    with pytest.raises(ArchiveBusy, match=r"busy \(status 429\); try again later"):
        client.get(archive.url + "/SIA")
    assert client.requests == 3


def test_fewer_requests_at_once_after_a_refusal(loopback):
    archive, lock, now, most = loopback(), threading.Lock(), [0], [0]
    second = threading.Event()

    def service(question):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
            if now[0] > 1:
                second.set()
        second.wait(0.1)  # time enough for another one to come
        with lock:
            now[0] -= 1
        return Answer(b"done")

    archive.services["/SIA"] = service
    archive.fault("/SIA", "status", status=429, times=1)
    client = client_of(archive, at_once=2)
    assert client.get(archive.url + "/SIA") == b"done"
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(client.get, [archive.url + "/SIA"] * 5)) == [b"done"] * 5
    assert most == [1]


@pytest.fixture
def clock(monkeypatch):
    """A time that goes on only where somebody waits; ``clock.pauses`` are the waits, ``clock.now`` the time."""
    clock = SimpleNamespace(now=1000.0, pauses=[])

    def pause(seconds, stop):
        clock.pauses.append(seconds)
        clock.now += seconds

    monkeypatch.setattr(hosts, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(hosts, "pause", pause)
    return clock


def take_turn(host, longest_s=100.0):
    with host.turn(URL, longest_s, lambda: False):
        pass


def test_half_as_many_then_slowly_more(clock):
    host = Host(8)
    for expected in (4, 2, 1, 1):
        for _ in range(3):  # refused at the same moment: the first one tells it all
            host.busy(10.0)
        assert host.at_once == expected
        take_turn(host)
    for expected in range(1, 8):
        assert host.at_once == expected
        for _ in range(10):
            host.answered()
    for _ in range(50):
        host.answered()
    assert host.at_once == 8


def test_those_who_wait_do_not_begin_at_the_same_moment(clock):
    host = Host(8)
    for wait_s, widest_s in ((4.0, 2.0), (60.0, 5.0)):
        clock.pauses.clear()
        for _ in range(8):
            host.busy(wait_s)
            take_turn(host)
        assert min(clock.pauses) >= wait_s
        assert max(clock.pauses) <= wait_s + widest_s
        assert max(clock.pauses) - min(clock.pauses) > widest_s / 10
        assert len(set(clock.pauses)) == 8


def test_a_place_is_free_again_when_the_host_is_closed_for_long(clock):
    host = Host(1)
    host.busy(200.0)
    for _ in range(3):
        with pytest.raises(ArchiveBusy, match="it may be asked again in 200 s"):
            take_turn(host)
    with host.turn(URL, 250.0, lambda: False), pytest.raises(ArchiveStopped), host.turn(URL, 0.0, lambda: True):
        pass


def test_no_wait_is_believed_for_ever(loopback, monkeypatch):
    """After some minutes one request is made."""
    ahead = [0.0]
    monkeypatch.setattr(hosts, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + ahead[0], sleep=time.sleep))
    archive = loopback()
    archive.services["/SIA"] = lambda question: Answer(b"done")
    archive.fault("/SIA", "status", status=429, retry_after=999_999_999, times=2)
    client = client_of(archive, at_once=8)

    def refused(_):
        with pytest.raises(ArchiveBusy):
            client.get(archive.url + "/SIA")

    with pytest.raises(ArchiveBusy, match="come back in 999999999 s"):
        client.get(archive.url + "/SIA")
    for expected in (1, 2):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(refused, range(8)))
        assert len(archive.requests) == expected
        ahead[0] += 301.0
    assert client.get(archive.url + "/SIA") == b"done"
