"""Images as a stream gives them: several cutouts of one, some that are measured already, others that hold nothing."""

from types import SimpleNamespace

import numpy as np
import pytest

from glue_spherex import Source
from glue_spherex.photometry import Settings
from glue_spherex.photometry.image_flow import ImageFlow


class Stream:
    """Gives cutouts, such as "a1" and "a2" of the image "a", None, or "" for an image without any."""

    failures = ()

    def __init__(self, cutouts, images):
        self.cutouts, self.expected = cutouts, images

    def find(self, sources):
        raise AssertionError("it is streamed")

    def stream(self, sources, cancelled, **ranges):
        seen = set()
        for name in self.cutouts:
            if name is None:
                yield None
            elif name == "":
                self.expected -= 1
            else:
                if name[0] not in seen:
                    seen.add(name[0])
                    self.expected += sum(other[:1] == name[0] for other in self.cutouts if other) - 1
                yield SimpleNamespace(record=record(name), sources=np.array([0]))


def record(name):
    return SimpleNamespace(
        path=name, exposure_id=ord(name[0]), collection="qr2", file_version="1", size=1, mtime_ns=1, cut_from=None
    )


def line(name):
    return {"path": name, "lvf_id": ord(name[0]), "data_collection": "qr2", "file_version": "1"}


def counted(cutouts, images, known=()):
    """What is said before the first cutout and after each one: cutout, images done, and in all."""
    flow = ImageFlow([Source(1, 2)], Stream(cutouts, images), Settings(), known=[line(name) for name in known])
    steps = [("", flow.n_done, flow.n_images)]
    for match in flow:
        if match is not None:
            flow.note(SimpleNamespace(about=line(match.record.path)))
            steps.append((match.record.path, flow.n_done, flow.n_images))
    assert flow.n_done == flow.n_images
    return steps


def test_an_image_is_done_with_its_last_cutout():
    assert counted(["a1", "a2", "a3", None, "b1", "c1", "c2"], 3) == [
        ("", 0, 3), ("a1", 0, 3), ("a2", 0, 3), ("a3", 1, 3), ("b1", 2, 3), ("c1", 2, 3), ("c2", 3, 3)
    ]  # fmt: skip


def test_images_without_a_cutout_are_not_waited_for():
    steps = counted(["a1", "", "", "b1"], 4)
    assert steps[0] == ("", 0, 4)
    assert steps[-1] == ("b1", 2, 2)


@pytest.mark.parametrize("known", [["a1"], ["a1", "b1"], ["c1"]])
def test_images_that_are_done_already_are_counted_once(known):
    steps = counted(["a1", "b1", "c1"], 3, known)
    assert [done for _, done, _ in steps] == list(range(len(known), 4))
    assert {total for _, _, total in steps} == {3}


def test_an_image_that_is_done_in_part():
    assert counted(["a1", "a2", "b1"], 2, ["a1"])[1:] == [("a2", 1, 2), ("b1", 2, 2)]


def test_nothing_is_held_back_while_nothing_is_ready():
    """What has come is given before it is waited for the next one."""
    flow, order = ImageFlow([Source(1, 2)], Stream(["a1", None, "b1"], 2), Settings()), []
    for match in flow:
        order.append(match and match.record.path)
    assert order == ["a1", None, "b1"]
