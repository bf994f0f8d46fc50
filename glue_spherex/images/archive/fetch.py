"""From an image of the archive and positions on the sky to a small file on disk, in as few round trips as possible."""

import threading
from collections import deque
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

from ..astrometry import Astrometry
from ..errors import ImageFileError
from ..record import read_record
from .boxes import FULL_FRAME, REACH_PX, PixelBox
from .by_ranges import cutouts_by_ranges
from .by_service import cutouts_by_service
from .errors import ArchiveError, ArchiveStopped, FileChanged, RangeRefused, RangesIgnored
from .habits import habit_of
from .hosts import held
from .layouts import known_layouts
from .looked_at import holds_none
from .products import has_psf_products
from .wanted import FetchedCutout, WantedBoxes, WantedTargets

_LOOKED_AT_ONCE = 64  # places in the store: while they are looked at, nobody measures
_KEPT_AT_ONCE = 4  # kept images that are given before there is a look at what was fetched meanwhile
_FIRST, _FIRST_LOCK, _FIRST_ENDED = {}, threading.Lock(), set()


def fetch_cutout(image, box, store, client, cancelled=None):
    """Fetch a box of an image, unless the store has it.

    Parameters
    ----------
    image : ArchiveImage
    box : PixelBox
        Detector pixels.
    store : CutoutStore
    client : ArchiveClient or None
        None to look into the store only.
    cancelled : callable, optional
        When it says yes, `ArchiveStopped` is raised.

    Returns
    -------
    Path

    Raises
    ------
    ArchiveError
        If it cannot be had; nothing of it is kept.
    ImageFileError
        If the archive's file cannot be used.
    """
    found = store.find(image, box)
    if found is None:
        found = Path(_fetch(image, WantedBoxes([box]), store, client, cancelled)[0].path)
    return found


def fetch_cutouts(image, sources, store, client, reach=REACH_PX, cancelled=None, read=read_record):
    """Fetch the surroundings of all sources on an image, as far as the store does not have them.

    Parameters
    ----------
    image : ArchiveImage
    sources : sequence of Source
    store, client, cancelled
        As in `fetch_cutout`.
    reach : int or array_like of int, shape (n,), px
        From the pixel of a source to the edge of its box; see `glue_spherex.images.archive.boxes.reach_px`.
    read : callable, optional
        Gives the `ImageRecord` of a path; an index is faster than `read_record`.

    Returns
    -------
    list of FetchedCutout
        One for each group of sources whose boxes overlap; empty if none is on the image.

    Raises
    ------
    ArchiveError, ImageFileError
        As in `fetch_cutout`.
    """
    wanted = WantedTargets.around(sources, image.mjd, reach)
    found = _in_store(image, wanted, store.cutouts(image), store, client, read)
    return _fetch(image, wanted, store, client, cancelled) if found is None else found


def fetch_all(requests, store, client, at_once=None, progress=None, cancelled=None, prepare=None, known=None):
    """Fetch cutouts of many images, several at once.

    Parameters
    ----------
    requests : sequence of (ArchiveImage, sequence of Source, reach)
        As `fetch_cutouts` takes them.
    store, client, cancelled
        As in `fetch_cutout`. When it is cancelled, or nobody takes what is left, what is under way is given up.
    at_once : int, optional
        Images that are worked on at the same time; twice what the archive is asked at once by default, so that no
        connection waits for this computer.
    progress : callable, optional
        ``progress(done, total)``.
    prepare : callable, optional
        ``prepare(image, stop)`` is called before an image is given; what it raises is the reason why there is none.
        It should raise `ArchiveStopped` when ``stop()`` says yes.
    known : KnownCutouts, optional
        What is probably in the store; by default, it is looked at for each image.

    Yields
    ------
    number : int or None
        Place in `requests`; in the order in which they are ready. None when nothing is ready for a while, so that
        whoever has other work can do it.
    cutouts : list of FetchedCutout
    reason : str
        Why there are none; '' if all went well.
    """
    requests = list(requests)
    at_once = at_once or 2 * (client.settings.at_once if client is not None else 1)
    left = threading.Event()  # nobody wants the rest

    def stop():
        return left.is_set() or (cancelled is not None and cancelled())

    holding, cutouts_of, read = (
        ({}, store.cutouts, read_record) if known is None else (known.holding(requests), known.cutouts, known.read)
    )

    def is_kept(number):
        return number in holding or cutouts_of(requests[number][0])

    order, waiting, done = _Order([image for image, *_ in requests], is_kept, prepare is None), {}, 0

    def kept(number):
        image, sources, reach = requests[number]
        if prepare is not None:
            prepare(image, stop)
        if number in holding and store.use(holding[number].path):
            return [holding[number]]
        return _in_store(image, WantedTargets.around(sources, image.mjd, reach), cutouts_of(image), store, client, read)

    def get(number):
        image, sources, reach = requests[number]
        if prepare is not None:
            prepare(image, stop)
        return fetch_cutouts(image, sources, store, client, reach, stop, read)

    pool = ThreadPoolExecutor(at_once, thread_name_prefix="fetch")
    try:
        while True:
            while len(waiting) < 2 * at_once and not stop() and (number := order.to_fetch()) is not None:
                waiting[pool.submit(get, number)] = number
            here = [] if stop() else order.kept()
            if not here and not waiting:
                return
            if here:
                ready = [future for future in waiting if future.done()]
            else:
                ready, _ = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            outcomes = [(waiting.pop(future), future.result) for future in ready]
            # what is kept by this thread: others would only take turns with whoever uses the images
            outcomes += [(number, partial(kept, number)) for number in here]
            if not outcomes:
                yield None, [], ""
            for number, outcome in outcomes:
                if stop():
                    break
                try:
                    cutouts, reason = outcome(), ""
                except ArchiveStopped:
                    continue
                except Exception as error:  # noqa: BLE001 - whatever is wrong with one image, the others are fetched
                    cutouts, reason = [], str(error) or type(error).__name__
                if cutouts is None:
                    order.fetch(number)
                    continue
                order.prepared(number)
                done += 1
                if progress is not None:
                    progress(done, len(requests))
                yield number, cutouts, reason
    finally:
        left.set()
        pool.shutdown(cancel_futures=True)


class _Order:
    """Which image is next: one to fetch, or one that is kept and whose detector is prepared for.

    Of a detector that is not prepared for yet, one kept image is treated as if it were to be fetched: others are given
    while that one waits.
    """

    def __init__(self, images, is_kept, all_prepared):
        self._images, self._is_kept, self._all_prepared = images, is_kept, all_prepared
        self._numbers = iter(range(len(images)))
        self._missing, self._kept, self._waiting, self._prepared = deque(), deque(), {}, set()

    def to_fetch(self):
        """The next image that is not kept, None if it is not known yet: some places are looked at in one go."""
        for number in islice(self._numbers, 0 if self._missing else _LOOKED_AT_ONCE):
            kind = self._kind(number)
            if not self._is_kept(number):
                return number
            if self._all_prepared or kind in self._prepared:
                self._kept.append(number)
            elif kind in self._waiting:
                self._waiting[kind].append(number)
            else:
                self._waiting[kind] = []
                return number
        return self._missing.popleft() if self._missing else None

    def kept(self):
        """The next images that are probably kept; empty if there is none now."""
        return [self._kept.popleft() for _ in range(min(len(self._kept), _KEPT_AT_ONCE))]

    def fetch(self, number):
        """It is not kept after all."""
        self._missing.append(number)

    def prepared(self, number):
        """From now on nobody needs to wait for the images of a kind."""
        kind = self._kind(number)
        self._prepared.add(kind)
        self._kept.extend(self._waiting.pop(kind, ()))

    def _kind(self, number):
        image = self._images[number]
        return image.release, image.detector


def _in_store(image, wanted, known, store, client, read):
    """Cutouts in the store that hold everything that is wanted; None if something is missing that can be fetched."""
    for _, path in known:
        try:
            record = read(path)
            held = PixelBox(*record.cut_from) if record.cut_from else FULL_FRAME
        except (ImageFileError, OSError):  # damaged, or removed by another process
            continue
        if client and not record.psf_key and not has_psf_products(image.detector, image.release, store):
            return None
        boxes = wanted.exact(Astrometry(record.wcs_numbers, record.origin), record.origin, held)
        paths = [_usable(known, box, store) for box, _ in boxes]
        if not all(paths):
            return None
        return [
            FetchedCutout(path, box, targets, record if path == record.path else None)
            for path, (box, targets) in zip(paths, boxes, strict=True)
        ]
    return [] if holds_none(wanted, image, store) else None


def _usable(known, box, store):
    """The first cutout of a list that holds a box and is there; it counts as used. None without one."""
    return next((path for held, path in known if held.holds(box) and store.use(path)), None)


def _fetch(image, wanted, store, client, cancelled):
    """Fetch from the first address that can give it."""
    if client is None:
        raise ArchiveError(f"{image.obs_publisher_did}: is not in {store.folder}, and the archive is not asked.")
    with _first_of_detector(image, store, cancelled or (lambda: False)):
        reasons, refused = [], False
        for url in _addresses(image, client.settings):
            if habit_of(client, url).sends_whole_files:
                refused = True
                continue
            try:
                return _by_ranges(image, url, wanted, store, client, cancelled)
            except ArchiveStopped:
                raise
            except ImageFileError as error:  # what is damaged at one address may be whole at the other
                reasons.append(error)
                refused |= isinstance(error, RangeRefused)
                if isinstance(error, RangesIgnored):
                    habit_of(client, url).sent_whole_file()
        if not refused:
            raise reasons[0]
        return cutouts_by_service(image, wanted, store, client, cancelled)


def _by_ranges(image, url, wanted, store, client, cancelled):
    try:
        return cutouts_by_ranges(image, url, wanted, store, client, cancelled)
    except FileChanged:  # once more, all of it from the new one
        return cutouts_by_ranges(image, url, wanted, store, client, cancelled)


def _addresses(image, settings):
    """Where an image is: the file server, which can give many parts at once, then the bucket."""
    return [address for address in (image.access_url, image.cloud and settings.s3 + image.cloud) if address]


@contextmanager
def _first_of_detector(image, store, stop):
    """The first image of a detector is fetched alone: the others profit from what is learned from it."""
    kind = str(store.folder), image.release, image.detector

    def is_over():
        return kind in _FIRST_ENDED or known_layouts(image, store)

    with ExitStack() as alone:
        if not is_over():
            with _FIRST_LOCK:
                lock = _FIRST.setdefault(kind, threading.Lock())
            alone.enter_context(held(lock, stop))
            if is_over():  # while this one waited
                alone.close()
        try:
            yield
        except ArchiveStopped:
            raise
        except BaseException:
            _FIRST_ENDED.add(kind)
            raise
        _FIRST_ENDED.add(kind)
