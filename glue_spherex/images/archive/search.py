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
    matches = match_images(sorted(images, key=_in_order), sources, detectors, wavelength, time)
    rows = [match.record for match in matches]
    later = sum(image in asking.later for image in rows)
    notes = [*asking.notes, *_superseded_notes(rows, superseded), *asking.cache.notes]
    notes += [f"images that SIA2 does not know, but TAP: {later}."] if later else []
    return ArchiveAnswer(rows, min(asking.dates, default=clock.time()), notes, client.requests - before)


def _in_order(image):
    """By time; what comes from several requests has no order of its own."""
    return image.mjd_begin, image.detector, image.obsid, image.collection


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
        self.given = {}  # circle to collection to images: answers of SIA2
        self.later = set()  # images that only TAP knows
        self.spoiled = set()  # (circle, collection) of answers with unusable rows: they are not kept
        self.now = clock.time()
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
            which = f" of the release {release!r}" * bool(release) + f" of {fields} fields" * bool(fields)
            known = ", ".join(sorted({kind[1] for kind in kinds.values()}, key=release_age))
            unsure = f" ({self.notes[-1]})" if self.notes else ""  # the archive could not be asked
            raise ArchiveError(f"search: there is no collection{which}; allowed releases are {known}{unsure}.")
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

    def _is_wanting(self, kept):
        """Whether the archive must be asked, though there may be a kept answer."""
        return kept is None or self._is_old(kept.date) or (self.may_ask and not kept.checked)

    def _is_old(self, date):
        return self.may_ask and (self.refresh or self.now - date > self.settings.answer_days * _DAY_S)

    def images(self, sources, names, progress):
        """Images around all sources."""
        circles = circles_around(sources)
        many = len(circles) > MANY_CIRCLES
        questions = []
        for circle in circles:
            kept = {name: self.cache.answer(self.service, name, circle) for name in names}
            missing = [name for name in names if self._is_wanting(kept[name])]
            if missing and not self.may_ask:
                raise NotAsked("the archive has not been asked about these targets yet.")
            for name in set(names) - set(missing):
                self._take(kept[name])
            old = {name: kept[name] for name in missing if kept[name] is not None}
            groups = [missing] if many and missing else [[name] for name in missing]
            services = ("TAP", "SIA2") if many else ("SIA2", "TAP")
            questions += [_Question(circle.wider(), group, old, services) for group in groups]
        self._ask_all(questions, sources, progress)
        # SIA2 lags behind by a day: one request to TAP for each circle tells what is newer
        newer = [_Question(circle, list(given), {}, ("TAP",), given) for circle, given in self.given.items()]
        self._ask_all(newer, sources, None)
        if self.failed:
            raise self._failure(len(questions))
        return self.found

    def _take(self, answer):
        self.dates.append(answer.date)
        # the server may be another one than that of the day when the answer was kept
        self.found += [image._replace(access_url=self.settings.ibe + image.cloud) for image in answer.images]

    def _ask_all(self, questions, sources, progress):
        """Ask the archive, several questions at once."""
        done, total = 0, len(questions)
        with ThreadPoolExecutor(max(1, min(self.settings.at_once, total))) as pool:
            waiting = {pool.submit(self._ask, question): question for question in questions}
            while waiting:
                ready, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in ready:
                    question = waiting.pop(future)
                    further = self._receive(future, question, sources)
                    waiting |= {pool.submit(self._ask, part): part for part in further}
                    done, total = done + 1, total + len(further)
                    if progress is not None:
                        progress(done, total)

    def _receive(self, future, question, sources):
        """Deal with an answer; the questions that it raises."""
        try:
            answer = future.result()
        except ArchiveStopped as error:
            self.over = error
            self.failed.append(error)
        except ArchiveError as error:
            if not isinstance(error, AnswerTooLarge) or question.given is not None:
                self._instead(question, error)
                return []
            parts = question.parts(sources)
            if not parts:
                self.failed.append(error)
            return parts
        else:
            self._sort_in(question, *answer)
        return []

    def _failure(self, n_questions):
        first = next((error for error in self.failed if isinstance(error, ArchiveStopped)), self.failed[0])
        if n_questions == 1 or isinstance(first, ArchiveStopped):
            return first
        first = next((error for error in self.failed if isinstance(error, ArchiveUnreachable)), first)
        kept = "; what came is kept, ask again" if len(self.failed) < n_questions else ""
        return type(first)(f"{len(self.failed)} of {n_questions} searches failed{kept}. {first}")

    def _ask(self, question):
        """(service, images, rejected, notes) from the first service, or, if it fails, from the other one."""
        if self.over is not None:
            raise type(self.over)(str(self.over))
        first, *others = question.services
        if others and self.failures[first] >= _GIVEN_UP_AFTER:
            return others[0], *_ASK[others[0]](self.client, question.circle, question.names, self.stop), []
        try:
            newest = () if question.given is None else (question.newest,)
            answer = _ASK[first](self.client, question.circle, question.names, self.stop, *newest)
            self.failures[first] = 0
            return first, *answer, []
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
            return others[0], *answer, [f"{others[0]} was asked, because {first} failed: {error}"]

    def _sort_in(self, question, service, images, rejected, notes):
        """Take an answer, and keep it; one of SIA2 without an image only when TAP has confirmed it."""
        if rejected:
            notes.append(f"images of the answer that are left out: {len(rejected)}. The first: {rejected[0][1]}.")
            self.spoiled.update((question.circle, name) for name in question.names)
        self._tell(*notes)
        for name in question.names:
            before = question.given[name] if question.given is not None else []
            known = {image.cloud for image in before}
            new = [image for image in images if image.collection == name and image.cloud not in known]
            self.found += new
            if question.given is not None:
                self.later.update(new)
            elif question.services[0] == service == "SIA2":
                self.given.setdefault(question.circle, {})[name] = new
            if (question.circle, name) not in self.spoiled and (new or service == "TAP"):
                self.cache.keep(self.service, name, question.circle, [*before, *new], self.now, service == "TAP")
        self.dates.append(self.now)

    def _tell(self, *notes):
        self.notes += [note for note in notes if note not in self.notes]

    def _instead(self, question, error):
        """Where there is an older answer, it is taken."""
        if question.given is not None:
            self._tell(f"SIA2 may lag behind by a day, and TAP cannot be asked for newer images: {error}")
            return
        kept = [question.old[name] for name in question.names if name in question.old]
        if len(kept) < len(question.names):
            self.failed.append(error)
            return
        for answer in kept:
            self._take(answer)
        date = clock.strftime("%Y-%m-%d", clock.gmtime(min(answer.date for answer in kept)))
        self._tell(f"the archive was last asked on {date}; asking again failed: {error}")


@dataclass(frozen=True)
class _Question:
    """A circle and collections to ask about, and the answers of earlier.

    With `given`, the images that SIA2 gave by collection, only newer ones are asked for.
    """

    circle: object
    names: list
    old: dict
    services: tuple
    given: dict | None = None

    @property
    def newest(self):
        """Begin of the newest image that was given, MJD, by collection; without those that have none."""
        return {name: max(image.mjd_begin for image in images) for name, images in self.given.items() if images}

    def parts(self, sources):
        """The same question about smaller circles; none if it cannot be split."""
        inside = self.circle.inside(sources)
        smaller = circles_around(inside, self.circle.radius / 2) if inside else []
        if any(circle.radius >= self.circle.radius for circle in smaller):
            return []
        return [_Question(circle, self.names, {}, self.services) for circle in smaller]
