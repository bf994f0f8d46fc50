"""Results of IRSA's Spectrophotometry Tool, by the address or the id of the job (IVOA UWS 1.1)."""

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit
from xml.etree import ElementTree

from .answer_tables import xml_root
from .errors import ArchiveError, NothingThere, NotPermitted
from .settings import ArchiveSettings, origin

_ID = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,119}")
_JOB_BYTES = 2_000_000  # of the description of a job
_MOST_RESULTS = 1000
_WAITING = {
    "PENDING": "was never started; run it in the Spectrophotometry Tool",
    "QUEUED": "waits in the queue; try again when it has run",
    "EXECUTING": "still runs; try again when it is completed",
    "HELD": "is held back; it must be started in the Spectrophotometry Tool",
    "SUSPENDED": "is suspended for a while; try again later",
    "ABORTED": "was aborted, so it has no result; run it again in the Spectrophotometry Tool",
    "ARCHIVED": "is archived, its result was deleted; run it again in the Spectrophotometry Tool",
}
_HOW_LONG = "IRSA keeps jobs for about 14 days; run it again, or open the table that you have saved"


@dataclass(frozen=True)
class JobAddress:
    """Where a job is, as far as its address tells.

    Parameters
    ----------
    url : str
        Of the job; of anything else on the same server if `is_job` is False.
    name : str
        For files and messages, different for each address of a server: the id of the job, and after ``+``, which no id
        holds, the result if it is not the usual one.
    result : str
        Name of the result that is wanted; '' for the usual one.
    is_job : bool
    """

    url: str
    name: str
    result: str = ""
    is_job: bool = True


def job_address(text, settings):
    """Understand the address or the id of a job.

    Parameters
    ----------
    text : str
        As the job monitor of the Spectrophotometry Tool shows it: the address of the result, that of the job, or its
        id.
    settings : ArchiveSettings

    Returns
    -------
    JobAddress

    Raises
    ------
    ArchiveError
        If it is neither, or on another server.
    """
    text, base = text.strip().strip("<>\"'").strip(), settings.uws.rstrip("/")
    if not text:
        raise ArchiveError(f"an address as {base}/… is needed, or the id of a job.")
    if "://" not in text:
        if not _ID.fullmatch(text):
            raise ArchiveError(f"{text[:200]!r} is neither an address as {base}/… nor the id of a job.")
        return JobAddress(f"{base}/{quote(text)}", text)
    origin(text)  # a sentence for what is no address at all
    parts = urlsplit(_as_secure(text, base))
    if origin(parts.geturl()) != origin(base) or "@" in parts.netloc:
        raise ArchiveError(f"{text[:300]}: this is no address of the archive; one as {base}/… is needed.")
    plain = parts._replace(fragment="").geturl()
    path, jobs = parts.path.rstrip("/"), urlsplit(base).path
    if not path.startswith(f"{jobs}/") or parts.query:
        return JobAddress(plain, _name_of(plain), is_job=False)
    job, *rest = (unquote(word) for word in path[len(jobs) + 1 :].split("/"))
    result = rest[1] if len(rest) == 2 and rest[0] == "results" else ""
    if not _ID.fullmatch(job) or (result and not _ID.fullmatch(result)):
        raise ArchiveError(f"{text[:300]}: {(result or job)[:120]!r} is not the id of a job or of a result.")
    name = f"{job}+{result}" if result not in ("", "result") else job
    return JobAddress(f"{base}/{quote(job)}", name, result)


def _as_secure(url, base):
    """The address with https, where the server is the archive: behind a proxy, services know themselves as http."""
    parts, ours = urlsplit(url), urlsplit(base)
    if parts.scheme == "http" and ours.scheme == "https" and parts.netloc.lower() == ours.netloc.lower():
        return parts._replace(scheme="https").geturl()
    return url


def _name_of(url):
    """A name for files, different for each address that is none of a job."""
    word = re.sub(r"[^A-Za-z0-9_~-]+", "_", urlsplit(url).path.rstrip("/").rpartition("/")[2])[:60]
    return f"{word or 'result'}++{_short_hash(url)}"


def _short_hash(text):
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def file_name(address, settings):
    """The name of the file in which the result of a job is kept.

    Parameters
    ----------
    address : JobAddress
    settings : ArchiveSettings

    Returns
    -------
    str
        Different for each job, result and server; the usual server does not stand in it, others after ``++``.
    """
    server = origin(settings.uws)
    other = "" if server == origin(ArchiveSettings.uws) else f"++{_short_hash(repr(server))}"
    return f"irsa-job-{address.name}{other}.vot"


def fetch_result(address, client, cancelled=None, progress=None):
    """The result of a job, as it comes.

    Parameters
    ----------
    address : JobAddress
    client : ArchiveClient
    cancelled : callable, optional
        When it says yes, `ArchiveStopped` is raised.
    progress : callable, optional
        Called without arguments when the job is known and its result is asked for.

    Returns
    -------
    bytes
        A VOTable; what is in it has not been looked at.

    Raises
    ------
    ArchiveError
        If there is no such job, it has not come to a result (the message tells the phase), or something else comes.
    """
    most = _JOB_BYTES if address.is_job else None
    data = _get(client, address.url, address, most, cancelled)
    root = xml_root(data, address.url)
    if root == "job":
        url = result_url(data, address, client.settings)
        if progress is not None:
            progress()
        data = _get(client, url, address, None, cancelled)
        root = xml_root(data, url)
        address = JobAddress(url, address.name)
    if root != "VOTABLE":
        what = "a web page" if root == "html" else f"XML of the kind {root[:40]!r}"
        raise ArchiveError(
            f"{address.url}: the answer is {what}, and neither a job nor a VOTable. Is this the address of a result?"
        )
    return data


def _get(client, url, address, most, cancelled):
    try:
        return client.get(url, max_bytes=most, cancelled=cancelled)
    except NothingThere as error:
        raise NothingThere(f"{url}: the archive has no such job ({address.name}). {_HOW_LONG}.") from error
    except NotPermitted as error:
        raise NotPermitted(
            f"{url}: the archive does not give this job to everybody. If you were logged in when you made it, save its "
            "table in your browser, and open the file."
        ) from error


def result_url(data, address, settings):
    """The address of the result in the description of a job.

    Parameters
    ----------
    data : bytes
        XML with the root ``job``.
    address : JobAddress
    settings : ArchiveSettings

    Returns
    -------
    str

    Raises
    ------
    ArchiveError
        If the job has not come to a result, or it cannot be found.
    """
    try:
        job = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ArchiveError(f"{address.url}: the description of the job is damaged ({error}).") from error
    phase = _text(job, "phase").upper() or "UNKNOWN"
    if phase != "COMPLETED":
        raise ArchiveError(f"IRSA job {address.name}: {_why(job, phase)}.")
    found = _results(job)
    if not found:
        raise ArchiveError(f"IRSA job {address.name}: is completed, but has no result. {_HOW_LONG}.")
    name = address.result or ("result" if "result" in found else _likely(found))
    if name not in found:
        known = ", ".join(sorted(found))[:200]
        raise ArchiveError(f"IRSA job {address.name}: has no result {name!r}; it has {known}.")
    href = found[name][0]
    origin(href)  # a sentence for what is no address at all
    url = _as_secure(urljoin(f"{address.url}/", href), settings.uws)
    if origin(url) not in settings.origins:  # the client would refuse it as well, but could not say whose it is
        raise ArchiveError(
            f"IRSA job {address.name}: its result is said to be at {url[:300]!r}, which is no address of the archive; "
            "refused."
        )
    return url


def _likely(found):
    """The first result that is said to be a VOTable, else the first one."""
    return next((name for name, (_, kind) in found.items() if "votable" in kind or "xml" in kind), next(iter(found)))


def _results(job):
    """Address and media type of the results, by name."""
    found = {}
    for results in _children(job, "results"):
        for result in _children(results, "result")[:_MOST_RESULTS]:
            values = {name.rpartition("}")[2]: value for name, value in result.attrib.items()}
            if values.get("href"):
                kind = values.get("mime-type") or values.get("type") or ""
                found.setdefault(values.get("id", f"result {len(found) + 1}"), (values["href"].strip(), kind.lower()))
    return found


def _why(job, phase):
    """Why a job has no result."""
    if phase == "ERROR":
        said = " ".join(_text(summary, "message") for summary in _children(job, "errorSummary"))
        return f"has failed: {said or 'no reason is given'} (phase ERROR)"
    what = _WAITING.get(phase, "is in a phase that says nothing of a result; look at it in the Spectrophotometry Tool")
    started = _text(job, "startTime") if phase == "EXECUTING" else ""
    return f"{what} (phase {phase[:40]}{f' since {started}' if started else ''})"


def _children(element, name):
    return [child for child in element if isinstance(child.tag, str) and child.tag.rpartition("}")[2] == name]


def _text(element, name):
    """The text of a child, in one line of limited length; '' without one."""
    text = "".join(next(iter(_children(element, name)), ElementTree.Element(name)).itertext())
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= 400 else f"{text[:400]}…"
