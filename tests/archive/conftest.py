import dataclasses

import numpy as np
import pytest

from glue_spherex import FolderCollection, measure, read_targets


@pytest.fixture(scope="session")
def full_frames(simulated, tmp_path_factory):
    """``full_frames(kind)``: two full frames of a detector, of "qr2", "qr3", or "erratum" (transposed PSF zones)."""
    options = {"images": 2, "full": True, "detectors": (3,), "n_sources": 6}
    made = {}

    def make(kind):
        if kind == "qr2":
            return simulated("field", **options)  # with calibration maps: other tests measure on it
        if kind == "qr3":
            return simulated("field", release="qr3", calibration=False, **options)
        if kind not in made:
            made[kind] = _with_erratum(make("qr2"), tmp_path_factory.mktemp("erratum"))
        return made[kind]

    return make


@pytest.fixture
def source(field):
    """A star that is on both images of the ``field`` of a module."""
    stars = [source for source in read_targets(field.targets).sources if source.shape is None]
    rows = measure(stars, FolderCollection(field.images[0].parent, field.calibration))
    return stars[np.flatnonzero(np.bincount(rows["source_id"], np.isfinite(rows["flux"])) == 2)[0]]


def _with_erratum(field, folder):
    """The field with the PSF headers and the version that the erratum is about: simulating it anew takes longer."""
    from glue_spherex.images.simulation.detector import SimulatedDetector
    from glue_spherex.images.simulation.files import constant_parts

    usual, wrong = (constant_parts(SimulatedDetector(3, "qr2"), erratum) for erratum in (False, True))
    images = []
    for path in field.images:
        content = path.read_bytes()
        assert content.endswith(usual)
        assert content.count(b"VERSION = '6.5.7   '", 0, 2880) == 1
        content = content[: -len(usual)].replace(b"VERSION = '6.5.7   '", b"VERSION = '6.5.4   '", 1) + wrong
        images.append(folder / path.name)
        images[-1].write_bytes(content)
    return dataclasses.replace(field, images=images)
