"""What a measurement will do, target by target."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS

pytest.importorskip("glue")

from glue_spherex import Sersic, Source, read_targets
from glue_spherex.images import FolderCollection, ImageFileError
from glue_spherex.io import Rejected
from glue_spherex.photometry import PhotometryError, Settings, forecast
from glue_spherex.plugin.measuring.plan import plan


@pytest.fixture
def field(simulated):
    return simulated("pair", images=24, detectors=(2, 5), seed=12)


@pytest.fixture
def folders(field):
    return field.folder / "images", field.calibration


@pytest.fixture
def targets(field):
    """The two stars, one elsewhere, and a row between them that is none."""
    listed = read_targets(field.targets)
    sources = [*listed.sources, Source((listed.sources[0].ra + 90) % 360, 0, "elsewhere")]
    return replace(listed, sources=sources, rows=np.array([0, 2, 3]), rejected=[Rejected(1, "ra is empty.")])


def test_plan(targets, folders):
    found = plan(targets, *folders)
    assert [line.row for line in found.lines] == [0, 1, 2, 3]
    assert [line.counts for line in found.lines] == [(0, 12, 0, 0, 12, 0), (0,) * 6, (0, 12, 0, 0, 12, 0), (0,) * 6]
    assert [line.problem for line in found.lines] == ["", "ra is empty.", "", "No image holds it."]
    assert found.lines[0].label == targets.sources[0].label
    assert (found.lines[0].ra, found.lines[0].shape) == (targets.sources[0].ra, None)
    assert (found.images, found.measurements, found.n_measured) == (24, 48, 2)
    assert found.counts == (0, 24, 0, 0, 24, 0)
    assert found.seconds is None
    assert found.seconds_basis


def taken(targets, folders):
    """First and last moment of the images, MJD."""
    images = FolderCollection(*folders)
    images.refresh()
    moments = [match.record.mjd for match in images.find(targets.sources)]
    return min(moments), max(moments)


def test_what_is_asked_for(targets, folders):
    found = plan(targets, *folders, Settings(detectors=(1,), time=(50000, 70000)))
    assert found.images == found.measurements == 0
    first, last = (Time(moment, format="mjd").strftime("%Y-%m-%d") for moment in taken(targets, folders))
    assert found.lines[0].problem == (
        "It is on 24 images, but none of them is of the detectors and in the time range that you ask for; they were "
        f"taken from {first} to {last}."
    )
    assert found.nothing_measured == (
        f"None of the 4 targets can be measured. {targets.sources[0].label}: {found.lines[0].problem}"
    )
    one = replace(targets, sources=targets.sources[:1], rows=np.array([0]), rejected=[])
    asked = Settings(detectors=(1,), wavelength=((1, 2),))
    assert plan(one, *folders, asked).nothing_measured == (
        "The target cannot be measured. It is on 24 images, but none of them is of the detectors and at the "
        "wavelengths that you ask for."
    )
    assert found.lines[3].problem == "No image holds it."
    assert plan(targets, *folders, Settings(detectors=(2,))).lines[0].counts == (0, 12, 0, 0, 0, 0)


def test_companions(targets, folders):
    star, other, elsewhere = targets.sources
    marked = replace(targets, sources=[star, replace(other, companion=True), elsewhere])
    found = plan(marked, *folders)
    assert [line.companion for line in found.lines] == [False, False, True, False]
    assert (found.lines[2].images, found.n_measured) == (24, 1)
    alone = replace(targets, sources=[replace(star, companion=True), replace(other, companion=True), elsewhere])
    assert plan(alone, *folders).lines[0].problem == (
        "It is on 24 images, but on none together with a target, so that it is not needed."
    )


def test_sources_at_the_same_place(targets, folders):
    star = targets.sources[0]
    galaxy = replace(star, label="bulge", profile=Sersic(4, 3))
    found = plan(replace(targets, sources=[star, replace(star, label="again"), galaxy]), *folders)
    assert found.lines[0].problem.startswith("It is at the same place as again (row 3): the two cannot be told apart")
    assert found.lines[2].problem.startswith(f"It is at the same place as {star.label} (row 1)")
    assert found.lines[3].problem == ""
    assert found.n_measured == 1


def test_progress_and_cancel(targets, folders):
    seen = []
    assert (
        plan(targets, *folders, progress=lambda done, total: seen.append((done, total)), cancelled=lambda: True) is None
    )
    plan(targets, *folders, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (24, 24)


def test_counting_is_cancelled_between_two_images(targets, folders, monkeypatch):
    looked_at = []
    astrometry = forecast.Astrometry
    monkeypatch.setattr(forecast, "Astrometry", lambda numbers: (looked_at.append(1), astrometry(numbers))[1])
    assert plan(targets, *folders, cancelled=lambda: len(looked_at) >= 5) is None
    assert len(looked_at) == 5


def test_nothing_to_plan_with(targets, folders, tmp_path):
    with pytest.raises(ImageFileError, match=r"no FITS file|does not exist|no folder"):
        plan(targets, tmp_path / "gone", folders[1])
    with pytest.raises(PhotometryError, match="no source to measure"):
        plan(replace(targets, sources=[]), *folders)


def test_sources_near_the_border_count_where_they_are_on_the_pixels(simulated):
    """Astropy's WCS says on which images the stars of a catalogue lie; a star beside an image is not measured."""
    field = simulated("field", images=18)
    targets = read_targets(field.catalogue)
    held = np.zeros((len(targets), 6), dtype=int)
    for path in field.images:
        with fits.open(path) as hdus:
            header = hdus["IMAGE"].header
            wcs = WCS(header, hdus)
            year = 2000 + (header["MJD-AVG"] - 51544.5) / 365.25
            ra, dec = [], []
            for source in targets.sources:  # small motions: on the tangent plane
                years = year - source.ref_epoch
                ra.append(source.ra + years * source.pmra / 3.6e6 / np.cos(np.radians(source.dec)))
                dec.append(source.dec + years * source.pmdec / 3.6e6)
            x, y = wcs.all_world2pix(ra, dec, 0, quiet=True)
            inside = (x > -0.5) & (x < header["NAXIS1"] - 0.5) & (y > -0.5) & (y < header["NAXIS2"] - 0.5)
            held[inside, header["DETECTOR"] - 1] += 1
    found = plan(targets, field.folder / "images", field.calibration)
    assert [line.counts for line in found.lines] == [tuple(row) for row in held.tolist()]
    assert 0 < (held.sum(axis=1) == 0).sum() < len(targets)
    assert found.measurements == held.sum()
