"""Parts of a remote file, fetched in few requests, each part checked to be the one that was asked for.

A cutout consists of a hundred short pieces: a row of pixels is 8 kB from the next one. Where the server answers several
ranges in one request, they all come in one; else neighbouring pieces are fetched as one, with what lies between them.
A server that answers a request for several ranges with the whole file is noticed before anything of it is read; one
that does so again and again is asked for single ranges for a while.
"""

import re
from bisect import bisect_left, bisect_right
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from operator import itemgetter

from ..fits_file import BLOCK
from .errors import ArchiveError, FileChanged, RangeRefused, RangesIgnored
from .exchange import content_range, is_count
from .habits import habit_of

#: Pieces closer than this are fetched as one in a request for several ranges: each range costs as many bytes.
CLOSE_BYTES = 128
#: The same where each range is a request. With 0.1 s and 20 MB/s even 2 MB would be faster than a further request; this
#: is the compromise with the volume.
CLOSE_BYTES_SINGLE = 1 << 16
#: Ranges in one request; web servers usually allow 200, and 8 kB for the line.
MOST_RANGES, LONGEST_LINE = 190, 7000
#: Bytes of a file that are held at most; a whole image has 72 MB.
MOST_BYTES = 80_000_000
_PART_OVERHEAD = 512  # bytes of headers in front of each part of an answer, at most
_SAID = rb"content-range:[ \t]*bytes[ \t]+(\d+)-(\d+)/(\d+)[ \t]*"
_RANGE = re.compile(_SAID + rb"$", re.IGNORECASE)
_PART_HEADER = re.compile(rb"[ \t]*\r\n(?:[^\r\n]+\r\n)*?" + _SAID + rb"\r\n(?:[^\r\n]+\r\n)*\r\n", re.IGNORECASE)
_BOUNDARY = re.compile(r'boundary="?([^";,\s]+)"?', re.IGNORECASE)


class RemoteFile:
    """What has been fetched of a remote file; `glue_spherex.images.fits_file.read_bytes` reads it like an open file.

    Parameters
    ----------
    client : ArchiveClient
    url : str
    cancelled : callable, optional
        When it says yes, `ArchiveStopped` is raised.
    computing : threading.Lock, optional
        Held by whoever uses this; it is released while the archive is waited for.
    most : int
        Bytes that are held at most, whatever the file says about itself.

    Attributes
    ----------
    size : int or None
        Bytes of the whole file; None until something was fetched.
    version : str
        What the server calls the content (ETag or date of change).
    """

    def __init__(self, client, url, cancelled=None, computing=None, most=MOST_BYTES):
        self.url, self.size, self.version = url, None, ""
        self._client, self._cancelled, self._computing, self._most = client, cancelled, computing, most
        self._habit = habit_of(client, url)
        self._pieces = Pieces()
        self._held = []  # spans, in order, apart from each other

    def need(self, spans):
        """Fetch what is not here yet.

        Parameters
        ----------
        spans : iterable of (int, int)
            First byte and the one after the last; what lies beyond the end of the file is ignored.

        Raises
        ------
        RangeRefused
            If the server does not answer ranges.
        FileChanged
            If the file was replaced meanwhile.
        ArchiveError
            If the transfer fails, or more is needed than may be held.
        """
        missing = self._missing(spans)
        if not missing:
            return
        if len(missing) > 1 and not self._habit.is_asked_singly:
            try:
                for batch in _batches(self._permitted(joined(missing, CLOSE_BYTES))):
                    self._fetch_several(batch)
                return
            except RangesIgnored:
                self._habit.ignored_parts()
            except RangeRefused:  # a page, perhaps, which says nothing about what the server can do
                pass
            missing = self._missing(missing)
        for start, stop in self._permitted(joined(missing, CLOSE_BYTES_SINGLE)):
            with self._waiting():
                received = self._client.receive(self.url, start, stop, cancelled=self._cancelled)
            self._keep(received.version, received.size, [(start, received.data)])

    def here_until(self, offset):
        """End of the bytes from a place on that were fetched; the place itself if it was not."""
        place = bisect_right(self._held, (offset, inf)) - 1
        return max(self._held[place][1], offset) if place >= 0 else offset

    def read(self, start, stop):
        """Bytes that were fetched."""
        return self.pread(stop - start, start)

    def pread(self, size, offset):
        """As `os.pread`; bytes that were not fetched are read as zero."""
        return self._pieces.pread(size, offset)

    @contextmanager
    def _waiting(self):
        if self._computing is None:
            yield
            return
        self._computing.release()
        try:
            yield
        finally:
            self._computing.acquire()

    def _permitted(self, spans):
        """The spans, if there is room for them."""
        needed = _length(self._held) + _length(spans)
        if needed > self._most:
            raise ArchiveError(
                f"{self.url}: {needed} bytes of it would be needed; at most {self._most} are accepted. The file is not "
                "what it should be, or damaged."
            )
        return spans

    def _missing(self, spans):
        end = inf if self.size is None else self.size
        wanted = [(start, min(stop, end)) for start, stop in spans if start < min(stop, end)]
        wanted = joined(wanted, 0)
        return [piece for span in wanted for piece in _without(span, self._held)] if self._held else wanted

    def _fetch_several(self, spans):
        request = SeveralRanges(self.url, tuple(spans))
        most = min(request.most, self._client.settings.max_bytes)
        with self._waiting():
            received = self._client.receive_request(request, max_bytes=most, cancelled=self._cancelled)
        size, parts = parts_of(received, self.url)
        came = joined([(start, start + len(data)) for start, data in parts], 0)
        for start, stop in set(spans).difference(came):
            if _without((start, min(stop, size)), came):
                raise RangeRefused(f"{self.url}: bytes {start} to {stop} were asked for, but are not in the answer.")
        if len(spans) > 1:
            self._habit.sent_parts()
        self._keep(received.version, size, parts)

    def _keep(self, version, size, parts):
        if self.size is not None and (size, version) != (self.size, self.version):
            raise FileChanged(f"{self.url}: the file was replaced while it was fetched; fetch it again.")
        if size is None:
            raise RangeRefused(f"{self.url}: the server does not tell the size of the file.")
        if self.size is None:
            self.size, self.version = size, version
        self._pieces.put(parts, size)
        self._held = joined([*self._held, *((start, start + len(data)) for start, data in parts)], 0)


class Pieces:
    """Pieces of a file in memory; bytes that are not there are read as zero."""

    def __init__(self):
        self._starts, self._pieces, self._size = [], [], 0

    def put(self, parts, size):
        """Add (first byte, content) of parts of a file with a size; where two overlap the earlier one counts."""
        self._size = size
        parts = sorted(parts, key=itemgetter(0))
        if not self._starts and all(a + len(data) <= b for (a, data), (b, _) in pairwise(parts)):
            self._starts, self._pieces = [start for start, _ in parts], [data for _, data in parts]
            return
        for start, data in parts:
            place = bisect_left(self._starts, start)
            before = self._starts[place - 1] + len(self._pieces[place - 1]) if place else 0
            after = self._starts[place] if place < len(self._starts) else inf
            if before <= start and start + len(data) <= after:
                self._starts.insert(place, start)
                self._pieces.insert(place, data)
                continue
            held = [(s, s + len(piece)) for s, piece in zip(self._starts, self._pieces)]
            for low, high in _without((start, start + len(data)), held):
                place = bisect_left(self._starts, low)
                self._starts.insert(place, low)
                self._pieces.insert(place, data[low - start : high - start])

    def pread(self, size, offset):
        """As `os.pread`."""
        end = min(offset + size, self._size)
        place = max(bisect_right(self._starts, offset) - 1, 0)
        result = bytearray(max(end - offset, 0))
        for k in range(place, bisect_left(self._starts, end)):
            start, piece = self._starts[k], self._pieces[k]
            low, high = max(start, offset), min(start + len(piece), end)
            if low == offset and high == end:
                return piece[low - start : high - start]
            if low < high:
                result[low - offset : high - offset] = piece[low - start : high - start]
        return bytes(result)


@dataclass(frozen=True)
class SeveralRanges:
    """A request for several parts of a file, as `ArchiveClient.receive_request` takes it.

    Parameters
    ----------
    url : str
    spans : tuple of (int, int)
        In order.
    """

    url: str
    spans: tuple
    parameters: None = None
    post: bool = False

    @property
    def start(self):
        """First byte."""
        return self.spans[0][0]

    @property
    def stop(self):
        """The byte after the last one."""
        return self.spans[-1][1]

    @property
    def most(self):
        """Bytes of an answer, at most."""
        return _length(self.spans) + _PART_OVERHEAD * (len(self.spans) + 1)

    @property
    def headers(self):
        """Header lines of the request."""
        ranges = ",".join(f"{start}-{stop - 1}" for start, stop in self.spans)
        return {"Accept-Encoding": "identity", "Range": f"bytes={ranges}"}

    def expected(self, response):
        """First byte, size of the file, bytes to come.

        `RangeRefused` is raised for an answer that holds no parts of the file, `RangesIgnored` if it is the file or one
        part of it.
        """
        length = response.headers.get("Content-Length", "")
        length = int(length) if is_count(length) else None
        asked = f"{self.url}: {len(self.spans)} parts were asked for, but the server sends"
        if response.status_code != 206:
            if length and length % BLOCK == 0 and length > self.start:
                raise RangesIgnored(f"{asked} the whole file.")
            raise RangeRefused(f"{asked} something else (status {response.status_code}).")
        first, last, size = content_range(response.headers.get("Content-Range", ""))
        if first is not None and len(self.spans) > 1:  # all in one, which is permitted, or another part
            stop = self.stop if size is None else min(self.stop, size)
            if first > self.start or last + 1 < stop or last + 1 - first > self.most:
                raise RangesIgnored(f"{asked} bytes {first} to {last + 1}.")
        return self.start, None, length


def parts_of(received, url):
    """The parts of an answer to a request for several ranges.

    Parameters
    ----------
    received : Received
    url : str
        For messages.

    Returns
    -------
    size : int
        Bytes of the whole file.
    parts : list of (int, bytes)
        First byte and content.

    Raises
    ------
    RangeRefused
        If the answer does not say which parts it holds, or holds fewer bytes than it says.
    """
    kind = received.headers.get("content-type", "")
    boundary = _BOUNDARY.search(kind) if kind.lower().startswith("multipart/byteranges") else None
    if boundary is None:  # the server has joined them into one
        line = b"content-range: " + received.headers.get("content-range", "").encode("latin-1", "replace")
        size, part, _ = _part(_RANGE.match(line), received.data, 0, len(received.data), url)
        return size, [part]
    mark, data = b"--" + boundary.group(1).encode("latin-1", "replace"), received.data
    sizes, parts, place = set(), [], data.find(mark)
    while place >= 0 and not data.startswith(b"--", place + len(mark)):
        said = _PART_HEADER.match(data, place + len(mark))
        if said is None and data.find(b"\r\n\r\n", place) < 0:
            raise RangeRefused(f"{url}: the answer to a request for several parts ends in a header.")
        size, part, stop = _part(said, data, said and said.end(), None, url)
        sizes.add(size)
        parts.append(part)
        place = data.find(mark, stop)
    if len(sizes) != 1:
        raise RangeRefused(f"{url}: the answer holds {len(parts)} parts of files with {len(sizes)} sizes.")
    return sizes.pop(), parts


def _part(said, data, begin, stop, url):
    """(size of the file, (first byte, content), end in `data`) of one part, whose header says which it is."""
    if said is None:
        raise RangeRefused(f"{url}: a part of the answer does not say which bytes it holds.")
    first, last, size = map(int, said.groups())
    end = begin + last + 1 - first
    if last < first or last >= size or end > len(data) or (stop is not None and end != stop):
        raise RangeRefused(f"{url}: a part of the answer holds other bytes than {first} to {last}, as it says.")
    return size, (first, data[begin:end]), end


def _length(spans):
    return sum(stop - start for start, stop in spans)


def joined(spans, gap):
    """Spans in order, those with at most `gap` bytes between them as one."""
    result = []
    for start, stop in sorted(spans):
        if result and start <= result[-1][1] + gap:
            result[-1] = result[-1][0], max(result[-1][1], stop)
        else:
            result.append((start, stop))
    return result


def _without(span, held):
    """The pieces of a span that are not in `held`, spans in order and apart from each other."""
    start, stop = span
    place = max(bisect_right(held, (start, inf)) - 1, 0)
    if place < len(held) and held[place][0] <= start and stop <= held[place][1]:
        return ()
    pieces = []
    while place < len(held) and held[place][0] < stop:
        low, high = held[place]
        if high > start:
            if low > start:
                pieces.append((start, low))
            start = high
        place += 1
    return [*pieces, (start, stop)] if start < stop else pieces


def _batches(spans):
    """Spans in groups that fit into one request."""
    groups, line = [[]], 0
    for span in spans:
        length = len(f"{span[0]}-{span[1]},")
        if len(groups[-1]) >= MOST_RANGES or line + length > LONGEST_LINE:
            groups.append([])
            line = 0
        groups[-1].append(span)
        line += length
    return groups
