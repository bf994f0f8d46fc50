"""What the identifiers of a row tell about its image."""

import pytest

pytest.importorskip("glue")

from glue_spherex.plugin.cutouts.measured_row import MeasuredRow

OBSID = "2026W30_1B_0001_1"


def row(did="", collection=""):
    return MeasuredRow(0, 10.0, 20.0, did, 0, 0, 1.0, 61000.0, 1.0, 0.1, 0.0, 0, data_collection=collection)


@pytest.mark.parametrize("release", ["qr2", "qr3", "qr4", "dr1", "dr12"])
@pytest.mark.parametrize("deep", ["", "_deep"])
def test_the_release(release, deep):
    name = f"spherex_{release}{deep}"
    found = row(f"ivo://irsa.ipac/{name}?{OBSID}/D3")
    assert (found.release, found.obsid, found.detector) == (release, OBSID, 3)
    assert row(collection=name).release == release
    assert row(f"ivo://irsa.ipac/other?{OBSID}/D3", name).release == release


@pytest.mark.parametrize("collection", ["", "spherex", "spherex_l3", "spherex_qr", "spherex_xdr1"])
def test_no_release(collection):
    assert row(f"ivo://irsa.ipac/spherex?{OBSID}/D3", collection).release == ""
