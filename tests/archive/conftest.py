import dataclasses

import pytest


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
