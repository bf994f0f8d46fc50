"""Companions: fitted with the targets, measured where one of them is, and never the reason to open an image."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table

from glue_spherex import FolderCollection, Source, measure, read_targets
from glue_spherex.io import Rejected, Targets
from glue_spherex.jobs.request_files import Request, read_request, write_request
from glue_spherex.model import SourceError
from glue_spherex.photometry import PhotometryError, run
from glue_spherex.photometry.output import target_outcomes
from glue_spherex.photometry.result_store import ResultStore
from glue_spherex.photometry.stored_run import run_stored


@pytest.fixture
def field(simulated):
    return simulated("pair", images=24, detectors=(2, 5), seed=12)


@pytest.fixture
def images(field):
    return FolderCollection(field.folder / "images", field.calibration)


@pytest.fixture
def pair(field):
    """A star, and another of 0.6 times its flux 1.5 pixels away that is its companion."""
    star, other = read_targets(field.targets).sources
    return star, replace(other, companion=True)


class Watched:
    """A collection that remembers what is opened."""

    def __init__(self, images):
        self.images, self.opened = images, []

    def find(self, *arguments, **options):
        return self.images.find(*arguments, **options)

    def open(self, record):
        self.opened.append(record.path)
        return self.images.open(record)


def ratio_to_truth(field, spectra, label):
    """Median of the measured over the true flux of a source."""
    truth = Table.read(field.truth)
    true = {int(row["exposure_id"]): row["flux_ujy"] for row in truth if row["label"] == label}
    mine = spectra[spectra["label"] == label]
    return np.median([flux / true[int(number)] for flux, number in zip(mine["flux"].value, mine["lvf_id"])])


def test_a_companion_takes_its_own_light(field, images, pair):
    alone, together = measure(pair[0], images), measure(pair, images)
    assert ratio_to_truth(field, alone, pair[0].label) > 1.05
    assert ratio_to_truth(field, together, pair[0].label) == pytest.approx(1, abs=0.02)
    assert ratio_to_truth(field, together, pair[1].label) == pytest.approx(1, abs=0.03)
    assert len(together) == 2 * len(alone) == 48
    as_targets = measure([replace(source, companion=False) for source in pair], images)
    np.testing.assert_array_equal(together["flux"].value, as_targets["flux"].value)


def test_an_image_is_not_opened_for_a_companion(simulated, field, pair):
    elsewhere = simulated("isolated", images=4, size=30, detectors=(2,), seed=3)
    far = replace(read_targets(elsewhere.targets).sources[0], companion=True)
    folders = [field.folder / "images", elsewhere.folder / "images"]
    images = Watched(FolderCollection(folders, field.calibration))
    result = run([*pair, far], images)
    assert len(images.opened) == len(result.images) == 24
    assert not any(str(elsewhere.folder) in path for path in images.opened)
    assert result.targets["n_images"].tolist() == [24, 24, 0]
    outcomes = target_outcomes(Targets([*pair, far], np.arange(3), [], Table(), {}), result.targets)
    assert outcomes["status"].tolist() == ["measured", "measured", "no image"]
    assert outcomes["reason"][2].startswith("not on any of the images that hold a target")


def test_no_row_where_the_target_is_just_beside_the_image(images, pair):
    companion = pair[1]
    record = images.records[0]
    with images.open(record) as image:
        ra, dec = (float(value) for value in image.to_sky(-4.0, 5.0))
    beside = Source(ra, dec, "beside")
    [match] = [match for match in images.find([beside]) if match.record.path == record.path]
    assert match.sources.tolist() == [0]  # it may be on it
    result = run([beside, companion], images)
    numbers = result.spectra["source_id"][result.spectra["lvf_id"] == record.exposure_id]
    assert len(numbers) == 0
    assert set(result.images["status"][result.images["path"] == record.path]) == {"empty"}


def test_results_say_who_is_a_companion(images, pair, tmp_path):
    result = run(pair, images)
    assert result.targets["role"].tolist() == ["target", "companion"]
    assert result.about["companions"] == [1]
    with ResultStore(tmp_path / "results.sqlite") as store:
        stored = run_stored(list(pair), images, result.settings, store)
        assert stored.targets["role"].tolist() == ["target", "companion"]
        assert stored.about["companions"] == [1]
    listed = Targets(list(pair), np.array([0, 2]), [Rejected(1, "ra is empty.")], Table(), {})
    outcomes = target_outcomes(listed, result.targets)
    assert outcomes["role"].tolist() == ["target", "target", "companion"]
    outcomes.write(tmp_path / "targets.ecsv")
    again = read_targets(tmp_path / "targets.ecsv")  # what measures the same once more
    assert [source.companion for source in again.sources] == [False, True]


def test_companions_alone_are_nothing_to_measure(images, pair):
    with pytest.raises(PhotometryError, match="no target among the 1 sources: all are companions"):
        measure(pair[1], images)


def test_a_job_keeps_companions(pair, tmp_path):
    listed = Targets(list(pair), np.array([900, 5]), [Rejected(1200, "ra is empty.")], Table({"a": [1]}), {})
    write_request(tmp_path, Request(("images",)), listed)
    _, targets = read_request(tmp_path)
    assert targets.sources == list(pair)
    assert targets.rows.tolist() == [900, 5]
    assert targets.rejected == listed.rejected
    old = (tmp_path / "targets.json").read_text().replace(', "companion": false', "").replace(', "companion": true', "")
    assert "companion" not in old
    (tmp_path / "targets.json").write_text(old)
    _, targets = read_request(tmp_path)
    assert targets.sources == [replace(source, companion=False) for source in pair]


def test_companion_is_a_truth_value():
    assert Source(1, 2, companion=np.bool_(True)).companion is True
    with pytest.raises(SourceError, match="companion is 'yes'; True or False is needed"):
        Source(1, 2, companion="yes")
