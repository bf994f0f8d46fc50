"""Images shared out to the processes of an executor.

They go out in portions, one image first, then as many as take about half a second: progress, cancelling and what a
crash may lose are those of an image that takes long, and sending costs little where an image takes milliseconds.
"""

import logging
from collections import Counter, deque
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from .errors import LostProcessError
from .image_result import failed_match, measure_match

#: Images of a portion at most, and seconds that it should take.
MOST_IMAGES, PORTION_SECONDS = 64, 0.5
#: An image that was lost so often with its process is not measured again.
_MOST_ENDED = 2
_ENDED = (
    "the processes that measured it ended unexpectedly: killed, perhaps because the memory was full, or crashed; "
    "try it again with fewer workers, or with more memory"
)
_LOG = logging.getLogger(__name__)


def measure_portion(sources, images, matches, settings):
    """Measure several images; what a worker process runs.

    Parameters
    ----------
    sources : dict of int to Source
        The sources that the images hold, by number.
    images : ImageCollection
    matches : list of ImageMatch
    settings : Settings

    Returns
    -------
    list of ImageResult
    """
    return [measure_match(sources, images, match, settings) for match in matches]


def on_executor(executor, numbered, total, sources, images, settings, stop):
    """Measure images on an executor, and yield their results as they become ready.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        Its number of workers may change.
    numbered : iterator of (int, ImageMatch) or None
        None where nothing is ready.
    total : callable() -> int
        Images in all, as far as is known.
    sources : list of Source
    images : ImageCollection
    settings : Settings
    stop : callable() -> bool

    Yields
    ------
    number : int
    result : ImageResult

    Returns
    -------
    list of (int, ImageMatch)
        Those that are left because the executor is of no use any more.
    """
    waiting, alone, ended, left, portion = {}, deque(), Counter(), [], []
    size, has_worked = 1, False
    try:
        while not left:
            workers = getattr(executor, "_max_workers", None) or 4
            fair = max(1, -(-total() // (4 * workers)))  # none is idle in the end while another one has many
            while len(waiting) < workers + max(1, workers // 4) and not stop():
                suspects = alone or any(ended[number] for items in waiting.values() for number, _ in items)
                if suspects and waiting:  # nothing else is at work that could take it along, or that it could
                    portion = None
                    break
                portion = [alone.popleft()] if alone else _portion(numbered, min(size, fair))
                if not portion:
                    break
                needed = {int(k): sources[k] for _, match in portion for k in match.fitted}
                parts = [match for _, match in portion]
                waiting[executor.submit(measure_portion, needed, images, parts, settings)] = portion
            if stop():
                waiting = {future: items for future, items in waiting.items() if not future.cancel()}
            if not waiting and (portion is None or stop()):
                return []
            ready, _ = wait(waiting, timeout=0 if portion == [] else 0.2, return_when=FIRST_COMPLETED)
            for future in ready:
                items = waiting.pop(future)
                try:
                    results = future.result()
                except (LostProcessError, BrokenProcessPool) as error:
                    yield from _lost(items, error, ended, alone)
                except BrokenExecutor as error:
                    left, reason = left + items, error
                else:
                    size, has_worked = _next_size(size, results), True
                    yield from zip([number for number, _ in items], results, strict=True)
    except BrokenExecutor as error:  # from submit
        left, reason = left + portion, error
        if not has_worked:  # no process of it ever has: no image is to blame
            ended.clear()
    finally:
        for future in waiting:
            future.cancel()
    _LOG.warning("%s; the images that are left are measured by this process", reason)
    left = sorted([*left, *alone, *(item for items in waiting.values() for item in items)], key=lambda item: item[0])
    for number, match in left:
        if ended[number]:  # it might end this one as well
            yield number, failed_match(match, _ENDED)
    return [item for item in left if not ended[item[0]]]


def _portion(numbered, size):
    """The next (number, match), fewer than `size` where nothing more is ready; None after the last one."""
    items = []
    for item in numbered:
        if item is None:
            return items
        items.append(item)
        if len(items) == size:
            return items
    return items or None


def _next_size(size, results):
    """Images of the next portions, by the time that some took: it grows step by step, and falls at once."""
    seconds = sum(result.about["seconds"] for result in results) / len(results)
    return max(1, min(2 * size, MOST_IMAGES, int(PORTION_SECONDS / max(seconds, 1e-6))))


def _lost(items, error, ended, alone):
    """Have the images of a lost portion measured alone; yield the one that ends its processes, as failed.

    Nothing else is at work then: a lost worker of a cluster takes others along, which are no worse for it.
    """
    paths = ", ".join(ascii(str(match.record.path)) for _, match in items)
    _LOG.warning("%s; it measured %s", str(error).rstrip("."), paths)
    for number, match in items:
        ended[number] += 1
        if len(items) > 1 or ended[number] < _MOST_ENDED:
            alone.append((number, match))
        else:
            yield number, failed_match(match, _ENDED)
