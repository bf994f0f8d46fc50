"""How images are shared out, on an executor whose tasks end when the test says so."""

from concurrent.futures import BrokenExecutor, Executor, Future
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace

import numpy as np
import pytest

from glue_spherex.photometry import on_executor as module
from glue_spherex.photometry.errors import LostProcessError
from glue_spherex.photometry.image_result import ImageResult
from glue_spherex.photometry.on_executor import on_executor


class Tasks(Executor):
    """Tasks are done when the next results are asked for, all but those that are lost."""

    def __init__(self, workers, lose=None):
        self._max_workers, self._lose = workers, lose or (lambda numbers: None)
        self.portions, self.most, self._at = [], 0, []

    def submit(self, function, sources, images, matches, settings):
        future, numbers = Future(), [match.number for match in matches]
        self.portions.append(numbers)
        self._at = [task for task in self._at if not task[0].done()] + [(future, numbers)]
        self.most = max(self.most, len(self._at))
        if len(self._at) > self._max_workers:  # the first one has been waited for
            self.work()
        return future

    def work(self):
        future, numbers = self._at.pop(0)
        error = self._lose(numbers)
        if error is not None:
            future.set_exception(error)
        else:
            seconds = SECONDS.get(numbers[0], SECONDS[None])
            future.set_result([ImageResult({}, {"number": k, "seconds": seconds}, np.array([0])) for k in numbers])


SECONDS = {None: 0.003}


def failed(match, reason):
    return ImageResult({}, {"number": match.number, "reason": reason}, np.array([0]))


@pytest.fixture
def measured(monkeypatch):
    """``measured(tasks, n, seconds, stop)``: numbers in the order of their results, with what is left."""

    def run(tasks, n=400, seconds=0.003, stop=lambda: False):
        monkeypatch.setitem(SECONDS, None, seconds)
        monkeypatch.setattr(module, "MOST_IMAGES", 16)

        def wait(waiting, **options):
            if not any(future.done() for future in waiting) and tasks._at:
                tasks.work()
            return {future for future in waiting if future.done()}, set()

        monkeypatch.setattr(module, "wait", wait)
        matches = [SimpleNamespace(fitted=[0], number=k, record=SimpleNamespace(path=f"{k}.fits")) for k in range(n)]
        monkeypatch.setattr(module, "failed_match", failed)
        results, left = [], []

        def all_of():
            left.extend((yield from on_executor(tasks, enumerate(matches), lambda: n, [None], None, None, stop)))

        for number, result in all_of():
            assert result.about["number"] == number
            results.append(result)
        return results, [number for number, _ in left]

    return run


def numbers(results):
    return sorted(result.about["number"] for result in results)


def test_images_that_take_long_go_one_by_one(measured):
    tasks = Tasks(2)
    results, left = measured(tasks, 40, seconds=5.0)
    assert tasks.portions == [[k] for k in range(40)]
    assert (numbers(results), left) == (list(range(40)), [])
    assert tasks.most <= 3  # few are lost when the program is killed


def test_quick_images_go_by_the_dozen(measured):
    tasks = Tasks(2)
    results, _ = measured(tasks, 400)
    sizes = [len(portion) for portion in tasks.portions]
    assert sizes[0] == 1
    assert max(sizes) == module.MOST_IMAGES
    assert len(sizes) < 40
    assert numbers(results) == list(range(400))


def test_portions_shrink_when_images_take_longer(measured, monkeypatch):
    tasks = Tasks(2)
    for number in range(200, 400):
        monkeypatch.setitem(SECONDS, number, 2.0)
    measured(tasks, 400)
    assert max(len(portion) for portion in tasks.portions[:20]) == module.MOST_IMAGES
    assert {len(portion) for portion in tasks.portions[-100:]} == {1}


def test_workers_that_come_late_have_something_to_do(measured):
    tasks, done = Tasks(1), []

    def stop():
        done.append(True)
        if len(done) == 10:
            tasks._max_workers = 8
        return False

    results, _ = measured(tasks, 40, seconds=5.0, stop=stop)
    assert tasks.most > 8
    assert numbers(results) == list(range(40))


def test_cancelled(measured):
    """What is at work is kept; nothing else begins."""
    tasks, seen = Tasks(2), []

    def stop():
        seen.append(len(tasks.portions))
        return len(tasks.portions) >= 5

    results, left = measured(tasks, 40, seconds=5.0, stop=stop)
    assert len(tasks.portions) == 5
    assert len(results) <= 5
    assert left == []


def test_an_image_that_ends_its_processes_is_given_up(measured):
    def lose(portion):
        return LostProcessError("a process ended") if 111 in portion else None

    tasks = Tasks(2, lose)
    results, left = measured(tasks)
    assert (numbers(results), left) == (list(range(400)), [])
    (failed,) = (result for result in results if "reason" in result.about)
    assert failed.about["number"] == 111
    assert "the processes that measured it ended unexpectedly" in failed.about["reason"]
    lost = [portion for portion in tasks.portions if 111 in portion]
    assert len(lost) == 2
    assert len(lost[0]) > 1
    assert all([number] in tasks.portions for number in lost[0])  # its neighbours were measured alone
    assert max(len(portion) for portion in tasks.portions[-10:]) == module.MOST_IMAGES  # the others go on as before


def test_others_that_are_lost_along_with_it_are_measured(measured):
    """A worker of a cluster takes along what is queued at it, again and again until it is known which image it is."""

    def lose(portion):
        at_work = [portion, *(numbers for _, numbers in tasks._at)]
        return LostProcessError("a worker ended") if any(7 in one for one in at_work) else None

    class SlowlyLost(Tasks):
        def work(self):
            self._at.sort(key=lambda task: 7 in task[1])  # the others are lost first
            super().work()

    tasks = SlowlyLost(2, lose)
    results, _ = measured(tasks, 40, seconds=5.0)
    assert numbers(results) == list(range(40))
    assert [result.about["number"] for result in results if "reason" in result.about] == [7]


def test_a_process_that_ended_once_is_no_reproach(measured):
    lost = []
    tasks = Tasks(2, lambda portion: None if portion in lost else lost.append(portion) or LostProcessError("ended"))
    results, left = measured(tasks, 40, seconds=5.0)
    assert (numbers(results), left) == (list(range(40)), [])
    assert not any("reason" in result.about for result in results)


def test_an_executor_that_is_of_no_use_any_more(measured):
    tasks = Tasks(2, lambda portion: BrokenExecutor("all is lost") if 30 in portion else None)
    results, left = measured(tasks, 40, seconds=5.0)
    assert 30 in left
    assert len(results) < 40
    assert sorted([*numbers(results), *left, *range(max(left) + 1, 40)]) == list(range(40))


def test_an_image_that_ended_a_process_is_not_measured_by_this_one(measured):
    def lose(portion):
        if 5 in portion:
            tasks.submit = of_no_use
            return LostProcessError("a process ended")

    def of_no_use(*arguments):
        raise BrokenExecutor("all is lost")

    tasks = Tasks(2, lose)
    results, left = measured(tasks, 40, seconds=5.0)
    assert next(result for result in results if result.about["number"] == 5).about["reason"]
    assert 5 not in left
    given = sorted([*numbers(results), *left])
    assert given == list(range(len(given)))  # the others have not been taken yet


def test_no_image_is_to_blame_for_processes_that_never_worked(measured):
    def lose(portion):
        tasks.submit = of_no_use
        return BrokenProcessPool("a process ended")

    def of_no_use(*arguments):
        raise BrokenExecutor("a process cannot be started")

    tasks = Tasks(2, lose)
    results, left = measured(tasks, 40)
    assert results == []
    assert left == list(range(len(left)))
    assert len(left) >= 3
