"""Many targets near each other: several cutouts of an image, each source measured once, with its neighbours."""

import os

import numpy as np
import pytest
from archived import archive_image, client_of, fluxes
from loopback_services import SearchServices

from glue_spherex import FolderCollection, Source, measure
from glue_spherex.images import SpectralImage, read_record
from glue_spherex.images.archive import IRSACollection
from glue_spherex.images.archive.cutout_store import CutoutStore
from glue_spherex.images.archive.fetch import fetch_cutouts


@pytest.fixture
def frame(full_frames):
    return full_frames("qr2")


@pytest.fixture
def crowd(frame):
    """A chain of 60 positions 11 pixels apart on the first image, every second one with a neighbour 2 pixels away."""
    with SpectralImage.open(frame.images[0]) as image:
        along = 500 + 11.0 * np.arange(60)
        x = np.concatenate([along, along[::2] + 2])
        y = np.concatenate([700 + 3 * np.sin(along), 700 + 3 * np.sin(along[::2]) + 0.7])
        ra, dec = image.to_sky(x, y)
        mjd = image.record.mjd
    return [Source(float(a), float(d), ref_epoch=2000 + (mjd - 51544.5) / 365.25) for a, d in zip(ra, dec)]


@pytest.fixture
def archive(frame, loopback):
    archive = loopback()
    archive.search = SearchServices().join(archive)
    archive.add_calibration(frame.calibration)
    archive.search.add_image(archive, archive.add_image(frame.images[0]))
    return archive


def in_order(spectra):
    return spectra[np.argsort(spectra["source_id"], kind="stable")]


def local_frame(frame, tmp_path):
    folder = tmp_path / "frame"
    folder.mkdir()
    os.link(frame.images[0], folder / frame.images[0].name)
    return FolderCollection(folder, frame.calibration)


def test_neighbours_in_other_cutouts_are_fitted_along(frame, crowd, archive, tmp_path):
    expected = in_order(measure(crowd, local_frame(frame, tmp_path)))
    images = IRSACollection(store=tmp_path / "store", client=client_of(archive), keep_in=tmp_path / "kept")
    found = in_order(measure(crowd, images))
    cutouts = list((tmp_path / "kept").rglob("*.fits"))
    assert len(cutouts) >= 4
    assert np.array_equal(found["source_id"], np.arange(len(crowd)))  # each once
    off = np.abs(found["flux"] - expected["flux"]) / expected["flux_err"]
    assert np.isfinite(off).all()
    assert off.max() < 0.02
    assert np.abs(found["flux_err"] / expected["flux_err"] - 1).max() < 0.01

    folder = FolderCollection(tmp_path / "kept", images.store.calibrations)
    again = in_order(measure(crowd, folder))
    for name in ("source_id", "flux", "flux_err", "flux_bkg", "x_image", "wavelength"):
        np.testing.assert_allclose(np.asarray(again[name]), np.asarray(found[name]), rtol=1e-6, err_msg=name)


def test_a_local_cutout_serves_what_it_holds(frame, crowd, archive, tmp_path):
    """The others come from the archive."""
    near, far = crowd[0], crowd[30]
    whole = in_order(measure([near, far], local_frame(frame, tmp_path)))
    store = tmp_path / "first"
    IRSACollection(store=store, client=client_of(archive), keep_in=tmp_path / "mine").find([near])
    local = FolderCollection(tmp_path / "mine", frame.calibration)
    images = IRSACollection(store=tmp_path / "store", client=client_of(archive), local=local)
    found = in_order(measure([near, far], images))
    assert np.array_equal(found["source_id"], [0, 1])
    np.testing.assert_allclose(found["flux"].value, whole["flux"].value, rtol=1e-6)
    (tmp_path / "wide").mkdir()
    wide = measure([near], local_frame(frame, tmp_path / "wide"), background_box=61)
    images = IRSACollection(store=tmp_path / "store", client=client_of(archive), local=local, background_box=61)
    assert np.array_equal(measure([near], images, background_box=61)["flux"], wide["flux"])


def test_pairs_from_the_cutout_service(frame, crowd, archive, tmp_path):
    """A server without ranges: targets whose boxes touch are in one cutout."""
    archive.multi_range = False
    archive.fault("level2", "whole")
    pairs = [crowd[0], crowd[1], crowd[20], crowd[23], crowd[40]]
    client, store = client_of(archive, max_bytes=60_000_000), CutoutStore(tmp_path / "store")
    image = archive_image(frame.images[0], archive, archive.add_image(frame.images[0]))._replace(deep=True)
    cutouts = fetch_cutouts(image, pairs, store, client)
    assert sorted(np.concatenate([cutout.targets for cutout in cutouts])) == [0, 1, 2, 3, 4]
    for cutout in cutouts:
        for number in cutout.targets:
            whole, part = (fluxes(path, pairs[number]) for path in (frame.images[0], cutout.path))
            assert np.array_equal(whole["flux"], part["flux"])
    record = read_record(cutouts[0].path)
    assert (record.cut_from, record.collection) == ((0, 2040, 0, 2040), "spherex_qr2_deep")
