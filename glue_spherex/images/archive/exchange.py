"""What is asked of the archive, and whether the answer is an answer to it."""

from dataclasses import dataclass

from .errors import RangeRefused, RangesIgnored


@dataclass(frozen=True)
class Received:
    """What came back.

    Parameters
    ----------
    data : bytes
    start : int
        Place of the first byte in the file.
    size : int or None
        Bytes of the whole file, where the archive tells it.
    headers : dict of str to str
        Header lines, with names in lower case.
    """

    data: bytes
    start: int
    size: int | None
    headers: dict

    @property
    def version(self):
        """What changes with the content of the file: ETag, else the date of change; '' if neither is told."""
        return self.headers.get("etag") or self.headers.get("last-modified", "")


@dataclass(frozen=True)
class Request:
    """What is asked for: a file, a part of it, or the answer of a service.

    Parameters
    ----------
    url : str
    start, stop : int, optional
        First byte, and the one after the last, of the part.
    match : str
        ETag that the file must have.
    parameters : dict, optional
        Of a service.
    post : bool
        Whether they are sent as a form.
    """

    url: str
    start: int | None = None
    stop: int | None = None
    match: str = ""
    parameters: dict | None = None
    post: bool = False

    @property
    def headers(self):
        """Header lines; a packed answer would have other byte numbers, so none is wanted."""
        lines = {"Accept-Encoding": "identity"}
        if self.match:
            lines["If-Match"] = self.match
        if self.start is not None:
            lines["Range"] = f"bytes={self.start}-{'' if self.stop is None else self.stop - 1}"
        return lines

    def expected(self, response):
        """(first byte, size of the file, bytes to come) of an answer, the latter two None where they are not told."""
        length = response.headers.get("Content-Length", "")
        length = int(length) if is_count(length) else None
        if self.start is None:
            if response.status_code == 206:
                raise RangeRefused(f"{self.url}: a part of the file came, but all of it was asked for.")
            return 0, length, length
        if response.status_code == 200:
            is_page = response.headers.get("Content-Type", "").startswith("text/")
            kind = RangeRefused if is_page else RangesIgnored
            raise kind(
                f"{self.url}: bytes {self.start} to {self.stop} were asked for, but the server sends the whole file."
            )
        first, last, size = content_range(response.headers.get("Content-Range", ""))
        end = self.stop if size is None else min(size, self.stop or size)
        if first != self.start or last is None or (end is not None and last + 1 != end):
            raise RangeRefused(
                f"{self.url}: bytes {self.start} to {self.stop} were asked for, but the answer holds "
                f"{response.headers.get('Content-Range', 'another part')[:80]!r}."
            )
        if length is not None and length != last + 1 - first:
            raise RangeRefused(f"{self.url}: the answer has {length} bytes, but says it holds {last + 1 - first}.")
        return first, size, last + 1 - first


def content_range(text):
    """First and last byte, and the size of the file, of a Content-Range line; None for what it does not tell."""
    unit, _, rest = text.strip().partition(" ")
    part, _, size = rest.partition("/")
    first, _, last = part.partition("-")
    if unit.lower() != "bytes" or not (is_count(first) and is_count(last)):
        return None, None, None
    return int(first), int(last), int(size) if is_count(size) else None


def is_count(text):
    """Whether a text is a number of bytes."""
    return text.isdecimal() and len(text) < 19
