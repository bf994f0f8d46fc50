"""Parts of a remote file: how a server is asked, and what is made of odd answers."""

from types import SimpleNamespace

import pytest
from archived import client_of
from loopback import IBE

from glue_spherex.images.archive import habits
from glue_spherex.images.archive.errors import AnswerTooLarge, ArchiveError, FileChanged
from glue_spherex.images.archive.ranges import RemoteFile
from glue_spherex.images.simulation.archive_server import Connection

KEY = "qr2/file.bin"
CONTENT = bytes(range(256)) * 45 * 40  # as long as a FITS file can be
SPANS = [(start, start + 100) for start in range(0, 400_000, 100_000)]


@pytest.fixture
def archive(loopback):
    archive = loopback()
    archive.add(KEY, CONTENT)
    return archive


def fetched(archive, client, spans=SPANS):
    """The ranges that are asked for to get parts of the file."""
    archive.forget()
    remote = RemoteFile(client, archive.url + IBE + KEY)
    remote.need(spans)
    assert all(remote.read(start, stop) == CONTENT[start:stop] for start, stop in spans)
    return [seen.range for seen in archive.requests]


def at_once(asked):
    """Whether all parts were asked for in one request."""
    return len(asked) == 1 and asked[0].count(",") == len(SPANS) - 1


ODD = [
    ("page", {}), ("status", {"status": 416}), ("shifted", {}), ("short", {"after": 300}),
    ("body", {"content": b"<html>" * 50_000}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options"), ODD)
def test_an_odd_answer_says_nothing_about_the_server(archive, kind, options):
    """However often it comes: the next file is asked for in one request again."""
    client = client_of(archive)
    for _ in range(3):
        archive.fault("file.bin", kind, times=1, **options)
        assert len(fetched(archive, client)) == 1 + len(SPANS)
    assert at_once(fetched(archive, client))


def test_one_whole_file_says_nothing_about_the_server(archive):
    client = client_of(archive)
    for _ in range(3):
        archive.fault("file.bin", "whole", times=1)
        assert len(fetched(archive, client)) == 1 + len(SPANS)
        assert at_once(fetched(archive, client))


def only_the_first_part(connection, content, spans):
    return Connection.parts_of(connection, content, spans[:1])


@pytest.mark.parametrize("gives", ["all", "the first part"])
def test_a_server_without_several_ranges_is_asked_singly_for_a_while(archive, monkeypatch, gives):
    now = [0.0]
    monkeypatch.setattr(habits, "time", SimpleNamespace(monotonic=lambda: now[0]))
    client = client_of(archive)
    assert at_once(fetched(archive, client))
    if gives == "all":
        archive.multi_range = False
    else:
        monkeypatch.setattr(type(archive).connection, "parts_of", only_the_first_part)
    for _ in range(2):
        assert len(fetched(archive, client)) == 1 + len(SPANS)
    for now[0] in (1.0, 500.0):
        assert len(fetched(archive, client)) == len(SPANS)
        assert not any("," in asked for asked in fetched(archive, client))
    now[0] = 1200.0  # it may have learned it meanwhile
    assert len(fetched(archive, client)) == 1 + len(SPANS)
    assert len(fetched(archive, client)) == len(SPANS)
    archive.multi_range = True
    monkeypatch.undo()
    monkeypatch.setattr(habits, "time", SimpleNamespace(monotonic=lambda: 2400.0))
    assert at_once(fetched(archive, client))


def test_all_parts_in_one_are_as_good(archive, monkeypatch):
    """A server may join the parts, if not much lies between them."""
    spans = [(1000, 1100), (1300, 1400), (1600, 1700)]
    monkeypatch.setattr(
        type(archive).connection, "parts_of",
        lambda self, content, spans: [((spans[0][0], spans[-1][1]), content[spans[0][0] : spans[-1][1]])],
    )  # fmt: skip
    client = client_of(archive)
    for _ in range(3):
        assert len(fetched(archive, client, spans)) == 1
        assert len(fetched(archive, client)) == 1 + len(SPANS)  # much lies between these: refused


def test_what_came_before_a_transfer_broke_is_not_fetched_again(archive):
    spans = [(start, start + 50) for start in range(0, 300 * 200, 200)]
    client = client_of(archive)
    remote = RemoteFile(client, archive.url + IBE + KEY)
    archive.fault("file.bin", "cut", skip=1, times=3, after=500)
    with pytest.raises(ArchiveError, match="connection"):
        remote.need(spans)
    first = archive.requests[0].range.removeprefix("bytes=").split(",")
    assert len(archive.requests) == 1 + 3
    assert len(first) < len(spans)
    archive.forget()
    remote.need(spans)
    again = archive.requests[0].range.removeprefix("bytes=").split(",")
    assert len(archive.requests) == 1
    assert [*first, *again] == [f"{start}-{stop - 1}" for start, stop in spans]
    assert all(remote.read(start, stop) == CONTENT[start:stop] for start, stop in spans)


def test_no_part_of_another_version(archive):
    remote = RemoteFile(client_of(archive), archive.url + IBE + KEY)
    remote.need(SPANS)
    archive.add(KEY, CONTENT[::-1])
    with pytest.raises(FileChanged, match="was replaced"):
        remote.need([(500, 600), (5000, 5100)])
    assert remote.read(*SPANS[1]) == CONTENT[slice(*SPANS[1])]


def test_the_largest_answer_is_that_of_the_settings(archive):
    client = client_of(archive, max_bytes=10_000)
    remote = RemoteFile(client, archive.url + IBE + KEY)
    for spans in ([(0, 20_000)], [(0, 8000), (50_000, 58_000)]):
        with pytest.raises(AnswerTooLarge, match="at most 10000 are accepted"):
            remote.need(spans)
    assert client.moved == 0


def test_no_more_of_a_file_is_held_than_an_image_has(archive):
    client = client_of(archive)
    remote = RemoteFile(client, archive.url + IBE + KEY, most=100_000)
    remote.need([(0, 60_000)])
    remote.need([(0, 90_000), (95_000, 96_000)])
    archive.forget()
    for spans in ([(95_000, 150_000)], [(200_000, 205_000), (300_000, 309_000)]):
        with pytest.raises(ArchiveError, match=r"file\.bin: \d+ bytes of it would be needed; at most 100000"):
            remote.need(spans)
    assert archive.requests == []
    assert remote.read(0, 90_000) == CONTENT[:90_000]
    whole = RemoteFile(client, archive.url + IBE + KEY)
    with pytest.raises(ArchiveError, match="at most 80000000"):
        whole.need([(0, 81_000_000)])
