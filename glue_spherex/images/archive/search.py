"""Which images the archive has of some targets."""

import time as clock
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass

from ..collection import match_images
from ..releases import COLLECTION_NAME, release_age
from .answer_cache import AnswerCache
from .answers import ArchiveImage
from .client import ArchiveClient
from .errors import AnswerTooLarge, ArchiveError, ArchiveStopped, ArchiveUnreachable, NotAsked
from .grouping import circles_around
from .services import ask_collections, ask_sia, ask_tap

_DAY_S = 86400
_ASK = {"SIA2": ask_sia, "TAP": ask_tap}
#: From so many circles on, the service that takes all collections in one request is asked first.
MANY_CIRCLES = 16
_GIVEN_UP_AFTER = 5  # failures in a row, after which the other service is asked straight away


@dataclass(frozen=True)
class ArchiveAnswer:
    """What a search found.

    Parameters
    ----------
    rows : list of ArchiveImage
        Each exposure of a detector once, by time; each image may hold one of the targets.
    date : float
        When the archive was asked, seconds since 1970; the oldest date, if it was asked several times.
    notes : list of str
        What the user should know: exposures of which there is an older processing too, rows that were unusable,
        answers of an earlier day.
    requests : int
        Requests that the search made.
    """

    rows: list
    date: float
    notes: list
    requests: int = 0

    @property
    def megabytes(self):
        """Estimated size of the whole files, MB."""
        return sum(image.size_bytes for image in self.rows) / 1e6

    def as_dict(self):
        """JSON-like values, from which `from_dict` makes it again."""
        return {"date": self.date, "notes": self.notes, "images": [image.as_values() for image in self.rows]}

    @classmethod
    def from_dict(cls, values):
        """The answer of `as_dict`; a LookupError, TypeError or ValueError for anything else."""
        images = [ArchiveImage.from_values(list(line)) for line in values["images"]]
        return cls(images, float(values["date"]), [str(note) for note in values["notes"]])


def search(
    sources,
    settings=None,
    collections=None,
    detectors=None,
    wavelength=None,
    time=None,
    *,
    release=None,
    fields=None,
    refresh=False,
    ask=True,
    client=None,
    cache=None,
    progress=None,
    cancelled=None,
):
    """Find the images that the archive has of some targets.

    Parameters
    ----------
    sources : sequence of Source
    settings : ArchiveSettings, optional
        The user's by default.
    collections : sequence of str, optional
        As ``spherex_qr2_deep`` or ``qr2_deep``; by default those of the settings and newer ones that the archive lists.
    detectors, wavelength, time
        As in `FolderCollection.find`.
    release : str, optional
        Only collections of this release, as ``qr3``.
    fields : {"wide", "deep"}, optional
        Only collections of the wide survey or of the deep fields.
    refresh : bool
        Whether the archive is asked even if it was asked lately.
    ask : bool
        Whether the archive may be asked at all; if not, kept answers serve, whatever their age.
    client : ArchiveClient, optional
        Whose settings are then used.
    cache : AnswerCache, optional
    progress : callable(done, total), optional
        Called after each answer.
    cancelled : callable() -> bool, optional

    Returns
    -------
    ArchiveAnswer

    Raises
    ------
    ArchiveError
        If the archive cannot be asked, or a collection is none. Answers that came are kept, so that a second try asks
        for the rest. `NotAsked` if it may not be asked, and was not asked before.
    """
    sources = list(sources)
    if not sources:
        raise ArchiveError("search: there is no target; at least one is needed.")
    client = client or ArchiveClient(settings)
    asking = _Asking(client, cache or AnswerCache(), refresh, cancelled or (lambda: False), ask)
    before = client.requests
    names = asking.collections(collections, release, fields)
    targets = [source for source in sources if not source.companion] or sources
    images = asking.images(targets, names, progress)
    images, superseded = newest(images)
    matches = match_images(sorted(images, key=lambda image: (image.mjd_begin, image.detector)), sources, detectors,
                           wavelength, time)  # fmt: skip
    rows = [match.record for match in matches]
    notes = [*asking.notes, *_superseded_notes(rows, superseded), *asking.cache.notes]
    return ArchiveAnswer(rows, min(asking.dates, default=clock.time()), notes, client.requests - before)


def newest(images):
    """Each exposure of a detector once, from its newest processing.

    Parameters
    ----------
    images : iterable of ArchiveImage

    Returns
    -------
    images : list of ArchiveImage
    superseded : dict of (str, int) to list of ArchiveImage
        Older ones by exposure and detector.
    """
    best, superseded = {}, {}
    for image in images:
        other = best.get(image.exposure)
        if other is None:
            best[image.exposure] = image
        elif image.access_url != other.access_url or image.collection != other.collection:
            newer, older = (image, other) if image.age > other.age else (other, image)
            best[image.exposure] = newer
            superseded.setdefault(image.exposure, []).append(older)
    return list(best.values()), superseded


def _superseded_notes(rows, superseded):
    counts = {}
    for image in rows:
        for older in {older.release for older in superseded.get(image.exposure, ())} - {image.release}:
            counts[image.release, older] = counts.get((image.release, older), 0) + 1
    return [
        f"{newer} is taken instead of {older} for images that are in both: {count}."
        for (newer, older), count in sorted(counts.items())
    ]


class _Asking:
    """One search: what was asked, what came from the cache, and what is to be told about it."""

    def __init__(self, client, cache, refresh, stop, may_ask=True):
        self.client, self.cache, self.refresh, self.stop, self.may_ask = client, cache, refresh, stop, may_ask
        self.settings, self.service = client.settings, client.settings.sia
        self.found, self.dates, self.notes, self.failed = [], [], [], []
        self.over = None  # why further questions need not be asked
        self.failures = dict.fromkeys(_ASK, 0)  # of a service, in a row

    def collections(self, asked, release, fields):
        """Names of the collections to search."""
        if fields not in (None, "wide", "deep"):
            raise ArchiveError(f"search: fields is {fields!r}; allowed are 'wide' and 'deep'.")
        if asked is not None:
            names = [asked] if isinstance(asked, str) else list(asked)
            names = [name if str(name).startswith("spherex_") else f"spherex_{name}" for name in names]
        else:
            names = sorted({*self.settings.collections, *self._listed()})
        kinds = {name: COLLECTION_NAME.fullmatch(name) for name in names}
        unknown = [name for name, kind in kinds.items() if not kind]
        if unknown:
            raise ArchiveError(f"search: {unknown[0]!r} is no collection; they are called as spherex_qr2_deep.")
        chosen = [
            name
            for name, kind in kinds.items()
            if release in (None, kind[1]) and fields in (None, "deep" if kind[2] else "wide")
        ]
        if not chosen:
            known = sorted({kind[1] for kind in kinds.values()}, key=release_age)
            raise ArchiveError(
                f"search: there is no collection of the release {release!r} with {fields or 'all'} fields; "
                f"known releases are {', '.join(known)}."
            )
        return chosen

    def _listed(self):
        """Collections that the archive lists."""
        kept = self.cache.names(self.service)
        if kept and not self._is_old(kept[1]):
            return kept[0]
        if not self.may_ask:
            return []
        try:
            names = ask_collections(self.client, self.stop)
        except ArchiveStopped:
            raise
        except ArchiveError as error:
            if kept is None:
                self.notes.append(f"whether there are newer collections is not known: {error}")
            return kept[0] if kept else []
        self.cache.keep_names(self.service, names)
        return names

    def _is_old(self, date):
        return self.may_ask and (self.refresh or clock.time() - date > self.settings.answer_days * _DAY_S)

    def images(self, sources, names, progress):
        """Images around all sources."""
        circles = circles_around(sources)
        many = len(circles) > MANY_CIRCLES
        questions, blank = [], {}
        for circle in circles:
            kept = {name: self.cache.answer(self.service, name, circle) for name in names}
            missing = [name for name in names if kept[name] is None or self._is_old(kept[name].date)]
            if missing and not self.may_ask:
                raise NotAsked("the archive has not been asked about these targets yet.")
            for name in set(names) - set(missing):
                self._take(kept[name])
            old = {name: kept[name] for name in missing if kept[name] is not None}
            groups = [missing] if many and missing else [[name] for name in missing]
            services = ("TAP", "SIA2") if many else ("SIA2", "TAP")
            questions += [_Question(circle.wider(), group, old, services) for group in groups]
        self._ask_all(questions, sources, progress, blank)
        # the survey covers the whole sky: where there is nothing at all, SIA2 lags behind
        lagging = [_Question(circle, names, {}, ("TAP",)) for circle, empty in blank.items() if empty == set(names)]
        self._ask_all(lagging, sources, None, {})
        if self.failed:
            raise self._failure(len(questions))
        return self.found

    def _take(self, answer):
        self.dates.append(answer.date)
        self.found += answer.images

    def _ask_all(self, questions, sources, progress, blank):
        """Ask the archive, several questions at once."""
        done, total = 0, len(questions)
        with ThreadPoolExecutor(max(1, min(self.settings.at_once, total))) as pool:
            waiting = {pool.submit(self._ask, question): question for question in questions}
            while waiting:
                ready, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in ready:
                    question = waiting.pop(future)
                    further = self._receive(future, question, sources, blank)
                    waiting |= {pool.submit(self._ask, part): part for part in further}
                    done, total = done + 1, total + len(further)
                    if progress is not None:
                        progress(done, total)

    def _receive(self, future, question, sources, blank):
        """Deal with an answer; the questions that it raises."""
        try:
            images, rejected, notes = future.result()
        except ArchiveStopped as error:
            self.over = error
            self.failed.append(error)
        except AnswerTooLarge as error:
            parts = question.parts(sources)
            if not parts:
                self.failed.append(error)
            return parts
        except ArchiveError as error:
            self._instead(question, error)
        else:
            self._sort_in(question, images, rejected, notes)
            if not images and question.services[0] == "SIA2":
                blank.setdefault(question.circle, set()).update(question.names)
        return []

    def _failure(self, n_questions):
        first = next((error for error in self.failed if isinstance(error, ArchiveStopped)), self.failed[0])
        if n_questions == 1 or isinstance(first, ArchiveStopped):
            return first
        first = next((error for error in self.failed if isinstance(error, ArchiveUnreachable)), first)
        return type(first)(
            f"{len(self.failed)} of {n_questions} searches failed; what came is kept, ask again. {first}"
        )

    def _ask(self, question):
        """(images, rejected, notes) from the first service, or, if it fails, from the other one."""
        if self.over is not None:
            raise type(self.over)(str(self.over))
        first, *others = question.services
        if others and self.failures[first] >= _GIVEN_UP_AFTER:
            return *_ASK[others[0]](self.client, question.circle, question.names, self.stop), []
        try:
            answer = _ASK[first](self.client, question.circle, question.names, self.stop)
            self.failures[first] = 0
            return *answer, []
        except (ArchiveStopped, AnswerTooLarge):
            raise
        except ArchiveUnreachable as error:
            self.over = error
            raise
        except ArchiveError as error:
            self.failures[first] += 1
            if not others:
                raise
            try:
                answer = _ASK[others[0]](self.client, question.circle, question.names, self.stop)
            except (ArchiveStopped, AnswerTooLarge):
                raise
            except ArchiveError:
                raise error from None
            return *answer, [f"{others[0]} was asked, because {first} failed: {error}"]

    def _sort_in(self, question, images, rejected, notes):
        """Keep an answer."""
        self.notes += [note for note in notes if note not in self.notes]
        if len(question.services) == 1 and images:
            self.notes.append(f"images that SIA2 does not know, but TAP: {len(images)}.")
        now = clock.time()
        if rejected:
            self.notes.append(f"images of the answer that are left out: {len(rejected)}. The first: {rejected[0][1]}.")
        else:
            for name in question.names:
                part = [image for image in images if image.collection == name]
                self.cache.keep(self.service, name, question.circle, part, now)
        self.dates.append(now)
        self.found += images

    def _instead(self, question, error):
        """Where there is an older answer, it is taken."""
        if len(question.services) == 1:
            self.notes.append(f"SIA2 has no image there, and TAP cannot be asked: {error}")
            return
        kept = [question.old[name] for name in question.names if name in question.old]
        if len(kept) < len(question.names):
            self.failed.append(error)
            return
        for answer in kept:
            self._take(answer)
        date = clock.strftime("%Y-%m-%d", clock.gmtime(min(answer.date for answer in kept)))
        note = f"the archive was last asked on {date}; asking again failed: {error}"
        self.notes += [note] if note not in self.notes else []


@dataclass(frozen=True)
class _Question:
    """A circle and collections to ask about, and the answers of earlier."""

    circle: object
    names: list
    old: dict
    services: tuple

    def parts(self, sources):
        """The same question about smaller circles; none if it cannot be split."""
        inside = self.circle.inside(sources)
        smaller = circles_around(inside, self.circle.radius / 2) if inside else []
        if any(circle.radius >= self.circle.radius for circle in smaller):
            return []
        return [_Question(circle, self.names, {}, self.services) for circle in smaller]
