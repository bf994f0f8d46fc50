"""What a measurement on images of the archive will do, before anything is fetched."""

import os
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("glue")
pytest.importorskip("pyvo")

from glue_spherex import Source, read_targets
from glue_spherex.images.archive import ArchiveChoice, CutoutStore
from glue_spherex.io import Targets
from glue_spherex.photometry import Settings
from glue_spherex.plugin.measuring.plan import plan
from glue_spherex.plugin.measuring.planning import archive_text, plan_text

RA, DEC = 150.1, 2.2


@pytest.fixture
def listed(listed_archive):
    """An archive with images around (`RA`, `DEC`)."""
    return listed_archive(RA, DEC)


def targets_of(*sources):
    from astropy.table import QTable

    return Targets(list(sources), np.arange(len(sources)), [], QTable(), {})


@pytest.fixture
def one():
    return targets_of(Source(RA, DEC, "star"))


def test_it_is_not_asked_by_itself(listed, one):
    found = plan(one, (), archive=ArchiveChoice())
    assert listed.archive.requests == []
    assert not found.is_complete
    assert (found.images, found.nothing_measured, found.lines[0].problem) == (0, "", "")
    assert archive_text(found.archive) == "The archive has not been asked about these targets yet."
    assert plan_text(one, found) == "1 source"


def test_counts_are_those_of_the_images(listed, one):
    listed.add_many(60)
    listed.add(3, 900, -30, 500, 60900)  # beside the star
    found = plan(one, (), archive=ArchiveChoice(), ask=True)
    truth = [sum(image.detector == number for image in listed.images) for number in range(1, 7)]
    assert found.lines[0].counts == tuple(truth)
    assert found.images == found.measurements == 60
    part = found.archive
    assert (part.images, part.local, part.kept, part.missing) == (60, 0, 0, 60)
    assert part.megabytes == pytest.approx(60 * 0.3 + 6 * 50)
    coverage = found.coverage
    assert coverage.of("detectors").tolist() == [[0, count] for count in truth]
    mjds = [image.mjd for image in listed.images]
    assert coverage.edges[0] <= min(mjds)
    assert max(mjds) < coverage.edges[-1]
    assert coverage.of("dates")[:, 1].tolist() == np.histogram(mjds, coverage.edges)[0].tolist()
    assert f"60 to fetch · {part.megabytes:.0f} MB to move · about " in archive_text(part)


@pytest.mark.parametrize(("y", "channel"), [(50, 17), (170, 16), (1800, 2), (1900, 1)])
def test_channels_at_the_middle_column(listed, one, y, channel):
    """Rows of the channels as the calibration product maps them."""
    for detector in (2, 5):
        listed.add(detector, detector, 1020, y, 60900, turn_deg=77)
    found = plan(one, (), archive=ArchiveChoice(), ask=True)
    seen = np.flatnonzero(found.coverage.of("wavelengths")[:, 1])
    assert seen.tolist() == [1 * 17 + channel - 1, 4 * 17 + channel - 1]


def test_several_targets_and_what_is_selected(listed):
    listed.add(1, 1, 1000, 1000, 60900)
    listed.add(2, 2, 100, 1000, 60950)
    near = Source(RA - 500 * 6.15 / 3600 / np.cos(np.radians(DEC)), DEC, "near")  # 500 px to the right
    left = Source(RA + 500 * 6.15 / 3600 / np.cos(np.radians(DEC)), DEC, "left")
    found = plan(targets_of(Source(RA, DEC, "star"), near, left), (), archive=ArchiveChoice(), ask=True)
    assert [line.counts[:2] for line in found.lines] == [(1, 1), (1, 1), (1, 0)]
    assert found.coverage.of("detectors", [2]).sum() == 1
    assert found.coverage.of("detectors").sum() == 5


def test_answers_serve_offline_with_their_date(listed, one):
    listed.add_many(12)
    plan(one, (), archive=ArchiveChoice(), ask=True)
    listed.archive.stop()
    again = plan(one, (), None, Settings(detectors=(2,)), archive=ArchiveChoice())
    assert (again.images, again.archive.fault) == (2, "")
    assert again.archive.asked is not None
    refreshed = plan(one, (), archive=ArchiveChoice(), ask=True, refresh=True)
    assert refreshed.images == 12
    assert any("asking again failed" in note for note in refreshed.archive.notes)


def test_an_archive_that_is_not_there(listed, one):
    listed.archive.stop()
    found = plan(one, (), archive=ArchiveChoice(), ask=True)
    assert "cannot be reached" in found.archive.fault
    assert archive_text(found.archive).startswith("The archive could not be asked: ")
    assert not found.is_complete


def test_what_is_asked_for_is_told(listed, one):
    listed.add_many(6)
    found = plan(one, (), None, Settings(time=(70000, 70001)), archive=ArchiveChoice(), ask=True)
    assert "It is on 6 images, but none of them is in the time range that you ask for" in found.nothing_measured
    elsewhere = targets_of(Source(RA + 40, DEC, "elsewhere"))
    assert "No image holds it." in plan(elsewhere, (), archive=ArchiveChoice(), ask=True).nothing_measured


def test_releases(listed, one):
    for release in ("qr2", "qr3"):
        listed.add(1, 5, 500, 500, 60900, release)
    listed.add(1, 6, 500, 500, 60901, "qr2")
    found = plan(one, (), archive=ArchiveChoice(), ask=True)
    assert found.images == 2
    assert found.archive.notes == ("qr3 is taken instead of qr2 for images that are in both: 1.",)
    assert plan(one, (), archive=ArchiveChoice(release="qr3")).images == 1
    assert plan(one, (), archive=ArchiveChoice(release="qr2")).images == 2
    assert "no collection of the release 'qr9'" in plan(one, (), archive=ArchiveChoice(release="qr9")).archive.fault


def test_local_images_go_first(listed, simulated):
    field = simulated("pair", images=24, detectors=(2, 5), seed=12)
    listed_targets = read_targets(field.targets)
    star = listed_targets.sources[0]
    targets = replace(listed_targets, sources=[star], rows=np.array([0]), rejected=[])
    listed.ra, listed.dec = star.ra, star.dec
    alone = plan(targets, field.folder / "images")
    assert alone.images > 1
    listed.add(4, 77, 700, 700, 60900)
    images = field.folder / "images"
    unasked = plan(targets, images, archive=ArchiveChoice())
    assert (unasked.images, unasked.is_complete) == (alone.images, False)
    assert "only images in the folders are counted" in archive_text(unasked.archive)
    found = plan(targets, images, archive=ArchiveChoice(), ask=True)
    assert (found.images, found.archive.local, found.archive.missing) == (alone.images + 1, alone.images, 1)
    assert found.coverage.of("detectors").sum(axis=0).tolist() == [alone.measurements, 1]
    assert f"{alone.images} in the folders, 1 to fetch" in archive_text(found.archive)


def test_kept_cutouts_count_where_they_hold_the_target(listed, one):
    listed.add(1, 1, 1000, 900, 60900)
    part = plan(one, (), archive=ArchiveChoice(), ask=True).archive
    assert part.missing == 1
    store = CutoutStore()
    release, obsid = "qr2", listed.images[0].obsid
    folder = store.images / release / obsid / "D1"
    os.makedirs(folder)

    def keep(x_lo, x_hi, y_lo, y_hi):
        version = "l2b-v21-2025-354"
        (folder / f"level2_{obsid}D1_spx_{version}_x{x_lo}-{x_hi}_y{y_lo}-{y_hi}.fits").touch()

    keep(100, 140, 100, 140)
    assert plan(one, (), archive=ArchiveChoice()).archive.missing == 1
    keep(980, 1021, 880, 921)
    found = plan(one, (), archive=ArchiveChoice())
    assert (found.archive.kept, found.archive.missing, found.archive.megabytes) == (1, 0, 0)
    assert found.coverage.of("detectors")[0].tolist() == [1, 0]
    assert archive_text(found.archive).endswith(": 1 kept from earlier, 0 to fetch")


def test_cancelled(listed, one):
    assert plan(one, (), archive=ArchiveChoice(), ask=True, cancelled=lambda: True) is None
