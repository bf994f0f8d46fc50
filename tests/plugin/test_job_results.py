"""The results of jobs in glue, and spectra that fill in while a job runs."""

import numpy as np
import pytest
from astropy.table import Table
from glue.core import DataCollection
from glue.core.data_factories import load_data
from glue.core.subset import ElementSubsetState, MaskSubsetState

from glue_spherex import jobs, plugin, read_targets
from glue_spherex.plugin.columns import find_column, kind_of, plugin_meta
from glue_spherex.plugin.flag_subsets import FlagSubsetState
from glue_spherex.plugin.job_monitor.preview import Preview, open_preview
from glue_spherex.plugin.job_monitor.result_loading import load_result


@pytest.fixture(scope="module")
def field(simulated):
    return simulated("pair", images=12, detectors=(2, 5), size=30, seed=4)


@pytest.fixture
def job(field, no_job_processes):
    plugin.setup()
    return jobs.submit(read_targets(field.targets), field.folder / "images", field.calibration, title="a pair")


def rows_of(data, name="flux"):
    """Each row as (source, exposure) and a value."""
    return list(zip(data["source_id"].tolist(), data["lvf_id"].tolist(), np.asarray(data[name]).tolist()))


def truth(job):
    table = Table.read(jobs.result_folder(job.id) / "spectra.vot")
    return table


def test_result_is_loaded_once(job, worked):
    worked(job.id)
    collection = DataCollection()
    data = load_result(collection, job.id)
    assert data.label == "a pair"
    assert [kind_of(other) for other in collection] == ["spectrum", "targets"]
    np.testing.assert_array_equal(data["flux"], truth(job)["flux"])
    assert collection[1] in data._key_joins
    assert load_result(collection, job.id) is data
    assert len(collection) == 2


def test_result_that_was_opened_by_hand_is_not_loaded_again(job, worked):
    worked(job.id)
    data = load_data(str(jobs.result_folder(job.id) / "spectra.vot"))
    collection = DataCollection([data])
    assert load_result(collection, job.id) is data
    assert [kind_of(other) for other in collection] == ["spectrum", "targets"]


def test_result_that_was_written_anew_replaces_the_values(job, worked, field):
    image = sorted((field.folder / "images").rglob("*.fits"))[3]
    content = image.read_bytes()
    try:
        image.write_bytes(content[:-200_000] if len(content) > 400_000 else content[: len(content) // 2])
        worked(job.id)
        collection = DataCollection()
        data = load_result(collection, job.id)
        before, n = rows_of(data), data.size
    finally:
        image.write_bytes(content)
    assert jobs.job(job.id).failures == 1
    jobs.resume(job.id)
    worked(job.id)
    assert load_result(collection, job.id) is data
    assert data.size > n
    assert set(before) < set(rows_of(data))
    assert len(collection) == 2


def test_no_result(job):
    collection = DataCollection()
    with pytest.raises(jobs.JobError, match="QUEUED"):
        load_result(collection, job.id)
    with pytest.raises(jobs.JobError, match="nothing is measured yet in the job 'a pair'"):
        open_preview(collection, job.id)
    assert len(collection) == 0


def test_preview_fills_in_and_becomes_the_result(job, worked, restored, tmp_path):
    worked(job.id, images=4)
    collection = DataCollection()
    data = open_preview(collection, job.id)
    targets = collection[1]
    assert data.label == "a pair (running)"
    assert plugin_meta(data)["running"]
    first, n = rows_of(data), data.size
    assert 0 < n <= 8
    flux = find_column(data, "flux")
    # subsets of all kinds, before there are more rows
    brightest = int(np.argmax(data["flux"]))
    rows = collection.new_subset_group("row", ElementSubsetState([brightest, 0], data=data))
    flags = collection.new_subset_group("flags", FlagSubsetState(find_column(data, "flags"), 1 << 21, "any"))
    bright = collection.new_subset_group("bright", (flux > 0) & ElementSubsetState([brightest], data=data))
    mask = np.arange(n) == brightest
    fixed = collection.new_subset_group("mask", ~MaskSubsetState(mask, data.pixel_component_ids))
    for group in (rows, flags, bright, fixed):
        assert group.subsets[0].to_mask().shape == (n,)  # glue keeps it

    saved = restored(collection)  # a session of a job that runs
    assert (saved[0].label, plugin_meta(saved[0])["job"]) == (data.label, job.id)
    np.testing.assert_array_equal(saved[0]["flux"], data["flux"])

    worked(job.id, images=8)
    assert open_preview(collection, job.id) is data
    assert data.size > n
    assert rows_of(data)[:n] == first  # rows keep their numbers
    assert np.flatnonzero(rows.subsets[0].to_mask()).tolist() == sorted({0, brightest})
    assert bright.subsets[0].to_mask().sum() == 1
    np.testing.assert_array_equal(flags.subsets[0].to_mask(), data["flags"] & (1 << 21) != 0)
    assert np.flatnonzero(~fixed.subsets[0].to_mask()).tolist() == [brightest]
    assert set(data["label"].tolist()) == set(targets["label"].tolist())

    worked(job.id)
    wanted = truth(job)
    assert load_result(collection, job.id) is data
    assert data.label == "a pair"
    assert "running" not in plugin_meta(data)
    assert find_column(data, "flux") is flux
    np.testing.assert_array_equal(data["flux"], wanted["flux"])  # in the order of the file
    np.testing.assert_array_equal(data["lvf_id"], wanted["lvf_id"])
    chosen = [rows_of(data)[row] for row in np.flatnonzero(rows.subsets[0].to_mask())]
    assert set(chosen) == {first[0], first[brightest]}
    assert [rows_of(data)[row] for row in np.flatnonzero(bright.subsets[0].to_mask())] == [first[brightest]]
    assert [rows_of(data)[row] for row in np.flatnonzero(~fixed.subsets[0].to_mask())] == [first[brightest]]
    assert collection[1] is targets
    assert "status" in [cid.label for cid in targets.main_components]
    again = restored(collection)
    np.testing.assert_array_equal(again[0]["flux"], wanted["flux"])
    assert again[0].subsets[0].to_mask().sum() == len({0, brightest})


def test_columns_of_a_preview_are_those_of_the_result(job, worked):
    worked(job.id, images=4)
    collection, other = DataCollection(), DataCollection()
    preview = open_preview(collection, job.id)
    worked(job.id)
    result = load_result(other, job.id)
    assert [cid.label for cid in preview.main_components] == [cid.label for cid in result.main_components]
    for cid in preview.main_components:
        there = result.get_component(result.id[cid.label])
        assert (preview.get_component(cid).units, type(preview.get_component(cid))) == (there.units, type(there))


def test_preview_is_not_read_more_often_than_its_cost_allows(job, worked):
    running = worked(job.id, images=4)
    preview = Preview(job.id)
    assert preview.is_due(running, now=10.0)
    preview.show(DataCollection(), running, preview.read(running))
    assert not preview.is_due(running, now=1e12)  # nothing new
    more = worked(job.id, images=8)
    assert not preview.is_due(more)
    assert preview.is_due(more, now=1e12)


def test_names_and_columns_of_the_user(job, worked):
    """A name that the user gave to a dataset or a column stays; a column without values for new rows goes."""
    worked(job.id, images=4)
    collection = DataCollection()
    data = open_preview(collection, job.id)
    data.label, data.id["flux"].label = "mine", "my flux"
    flux = data.id["my flux"]
    data.add_component(np.arange(data.size), "counted")
    data["twice"] = flux * 2
    worked(job.id, images=8)
    open_preview(collection, job.id)
    worked(job.id)
    assert load_result(collection, job.id) is data
    wanted = truth(job)
    assert data.label == "mine"
    np.testing.assert_array_equal(data["my flux"], wanted["flux"])
    np.testing.assert_array_equal(data["twice"], 2 * wanted["flux"])
    assert "counted" not in [cid.label for cid in data.components]


def test_preview_of_many_sources_has_the_first_ones(job, worked, monkeypatch):
    monkeypatch.setattr("glue_spherex.plugin.job_monitor.preview.MOST_SOURCES", 1)
    worked(job.id, images=4)
    collection = DataCollection()
    data = open_preview(collection, job.id)
    assert set(data["source_id"].tolist()) == {0}
    assert (data.label, collection[1].size) == ("a pair (running, first 1 of 2 sources)", 1)
    worked(job.id, images=8)
    n = data.size
    assert open_preview(collection, job.id) is data
    assert data.size > n
    assert set(data["source_id"].tolist()) == {0}
    worked(job.id)
    assert load_result(collection, job.id) is data
    assert (data.label, set(data["source_id"].tolist())) == ("a pair", {0, 1})


@pytest.mark.parametrize("most", [3, 10])
def test_preview_of_many_rows_has_whole_sources(job, worked, monkeypatch, most):
    """One source at least; none of which a part would be left out."""
    running = worked(job.id, images=8)
    rows = np.unique(jobs.partial_spectra(job.id)["source_id"], return_counts=True)[1]
    assert rows.tolist() == [8, 8]
    monkeypatch.setattr("glue_spherex.plugin.job_monitor.preview.MOST_ROWS", most)
    preview = Preview(job.id)
    assert preview.n_shown(running) is None
    for _ in range(2):
        assert preview.read(running)["source_id"].tolist() == [0] * 8
        assert preview.n_shown(running) == 1


def test_preview_that_is_drawn_for_long_is_looked_at_less_often(job, worked):
    import time

    running = worked(job.id, images=4)
    preview = Preview(job.id)
    preview.show(DataCollection(), running, preview.read(running))
    more = worked(job.id, images=8)
    soon = time.monotonic() + 900
    assert preview.is_due(more, now=soon)
    preview.rest(now=time.monotonic() + 100)  # as long as the viewers take to draw it
    assert not preview.is_due(more, now=soon)
    assert preview.is_due(more, now=1e12)


def test_folder_that_is_gone(job, worked):
    import shutil

    worked(job.id, images=4)
    shutil.rmtree(job.folder)
    with pytest.raises(jobs.JobError, match="is gone"):
        open_preview(DataCollection(), job.id)
