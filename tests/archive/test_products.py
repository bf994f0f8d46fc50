import pytest
from archived import client_of

from glue_spherex.images import CalibrationFolder
from glue_spherex.images.archive.cutout_store import CutoutStore
from glue_spherex.images.archive.errors import ArchiveError
from glue_spherex.images.archive.products import has_products, products


@pytest.fixture
def field(simulated):
    return simulated("field", images=1, size=30, detectors=(3,), flux_correction=True)


def test_products_are_fetched_once_and_are_those_of_the_archive(field, loopback, tmp_path):
    archive = loopback()
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    for key in archive.add_calibration(field.calibration):
        newer = key.replace("-v2-2025-164", "-v1-2024-300").replace("-v4-2025-254", "-v3-2025-300x")
        if newer != key:  # an older version, and something that is none
            archive.add(newer, b"no FITS")
    assert not has_products(3, "qr2", store)
    folder = products(3, "qr2", store, client)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in field.calibration.iterdir()
    }
    assert has_products(3, "qr2", store)
    assert CalibrationFolder(folder).find("flux_correction", 3, "qr2")
    archive.forget()
    assert products(3, "qr2", store, client) == folder
    assert products(3, "qr2", store, None) == folder
    assert archive.requests == []
    assert store.verify() == (3, [])


def test_a_broken_transfer_goes_on_where_it_broke(field, loopback, tmp_path):
    archive = loopback()
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    archive.add_calibration(field.calibration)
    archive.fault("spectral_wcs_D3", "cut", skip=2, times=1, after=4_000_000)
    products(3, "qr2", store, client)
    size = sum(path.stat().st_size for path in field.calibration.iterdir())
    assert archive.moved < size + 8_000_000
    assert has_products(3, "qr2", store)


@pytest.mark.parametrize("kind", ["page", "short"])
def test_a_wrong_product_is_not_kept(field, loopback, tmp_path, kind):
    archive = loopback()
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    archive.add_calibration(field.calibration)
    archive.fault("solid_angle_pixel_map_D3", kind)
    with pytest.raises(ArchiveError, match="solid_angle_pixel_map_D3"):
        products(3, "qr2", store, client)
    assert not store.calibration("qr2").exists() or not list(store.calibration("qr2").iterdir())


@pytest.mark.parametrize("kind", ["whole", "lie", "shifted"])
def test_without_ranges_a_product_comes_as_a_whole(field, loopback, tmp_path, kind):
    archive = loopback()
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    archive.add_calibration(field.calibration)
    archive.fault("_D3_spx", kind)
    folder = products(3, "qr2", store, client)
    for path in field.calibration.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    if kind == "whole":  # it is found out once
        asked = [bool(seen.range) for seen in archive.requests if seen.path.endswith(".fits")]
        assert sorted(asked) == [False, False, False, True]


def test_the_gain_map_is_not_left_out_because_of_the_network(field, loopback, tmp_path):
    """Fluxes on the one gain now and on the other one later would be silently different."""
    archive = loopback()
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    keys = archive.add_calibration(field.calibration)
    archive.fault("list/spherex/qr2/l3_flux_corrections", "status", status=500, times=6)
    for _ in range(2):
        with pytest.raises(ArchiveError, match="l3_flux_corrections"):
            products(3, "qr2", store, client)
    folder = products(3, "qr2", store, client)
    assert CalibrationFolder(folder).find("flux_correction", 3, "qr2")
    # it may lie beside the products of the newer release
    key = next(key for key in keys if "flux_corrections" in key)
    for side in ("/ibe/data/spherex/", "/nasa-irsa-spherex/"):
        archive.files[side + key.replace("qr2/", "qr3/", 1)] = archive.files.pop(side + key)
    other = CutoutStore(tmp_path / "other")
    assert CalibrationFolder(products(3, "qr2", other, client)).find("flux_correction", 3, "qr2")


def test_no_gain_map_at_all(simulated, loopback, tmp_path):
    field = simulated("field", images=1, size=30, detectors=(3,))
    archive = loopback()
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    archive.add_calibration(field.calibration)
    folder = products(3, "qr2", store, client)
    archive.forget()
    assert products(3, "qr2", store, client) == folder
    assert archive.requests == []


def test_products_that_the_archive_does_not_have(field, loopback, tmp_path):
    archive = loopback()
    client, store = client_of(archive), CutoutStore(tmp_path / "store")
    with pytest.raises(ArchiveError, match="no such file"):
        products(3, "qr2", store, client)
    archive.add("qr2/solid_angle_pixel_map/cal-sapm-v2-2025-164/3/../../../evil_D3_spx_cal-sapm-v2-2025-164.fits", b"")
    with pytest.raises(ArchiveError, match="lists no product of detector 3"):
        products(3, "qr2", store, client)
    with pytest.raises(ArchiveError, match="archive is not asked"):
        products(3, "qr2", store, None)
    with pytest.raises(ArchiveError, match="unknown form"):
        products(3, "../qr2", store, client)
