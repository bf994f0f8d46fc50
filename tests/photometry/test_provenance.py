import json
import sys
from types import SimpleNamespace

import pytest
from astropy.table import Table

from glue_spherex.photometry import Settings
from glue_spherex.photometry.provenance import calibration_files, has_mixed_calibration, made_with, provenance

OMEGA, WAVE = "/c/solid_angle_pixel_map_D1_v2.fits", "/c/spectral_wcs_D1_v4.fits"


def table(*lines):
    """Images as (detector, collection, files)."""
    names = ("det_id", "data_collection", "calibration_files", "n_sources")
    return Table(rows=[(*line, json.dumps(files), 2) for *line, files in lines], names=names)


@pytest.mark.parametrize(
    ("other", "mixed"),
    [
        ((1, "qr2", [[OMEGA, 5, 1], [WAVE, 5, 1]]), False),
        ((1, "qr2", [["/copy" + OMEGA, 5, 9], [WAVE, 5, 1]]), False),
        ((2, "qr2", [["/c/solid_angle_pixel_map_D2_v3.fits", 5, 1]]), False),
        ((1, "qr3", [["/c/solid_angle_pixel_map_D1_v3.fits", 5, 1], [WAVE, 5, 1]]), False),
        ((1, "qr2", [[OMEGA, 5, 1], [WAVE, 5, 1], ["/c/average_psf_D1.fits", 7, 1]]), False),
        ((1, "qr2", [[OMEGA, 5, 1], [WAVE, 5, 2]]), True),
        ((1, "qr2", [[OMEGA, 6, 1], [WAVE, 5, 1]]), True),
        ((1, "qr2", [[OMEGA, 5, 1], [WAVE.replace("v4", "v5"), 5, 1]]), True),
        ((1, "qr2", [[OMEGA, 5, 1]]), True),
    ],
)
def test_mixed_calibration(other, mixed):
    first = 1, "qr2", [[OMEGA, 5, 1], [WAVE, 5, 1]]
    images = table(first, other)
    assert has_mixed_calibration(images) == mixed
    assert [list(file.values()) for file in calibration_files(images)] == sorted(
        map(list, {tuple(file) for line in (first, other) for file in line[2]})
    )
    images["n_sources"][1] = 0  # the other one has failed
    assert not has_mixed_calibration(images)


def test_no_image_could_be_opened():
    images = Table({"path": ["x.fits"], "status": ["unreadable"]})
    assert calibration_files(images) == []
    assert not has_mixed_calibration(images)


@pytest.mark.parametrize(("attributes", "version"), [({"__version__": "dr10.1"}, "dr10.1"), ({}, "of unknown version")])
def test_the_tractor_is_named_where_it_has_measured(monkeypatch, tmp_path, attributes, version):
    monkeypatch.setitem(sys.modules, "tractor", SimpleNamespace(**attributes))
    images = Table({"path": ["x.fits"]})
    for engine, found in (("tractor", version), ("builtin", None)):
        made = provenance(Settings(engine=engine), {}, tmp_path, images)
        assert made["libraries"].get("tractor") == found
        assert made_with(engine).endswith(f", tractor {version}") == (found is not None)
