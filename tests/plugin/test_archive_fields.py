"""The choice of the archive: what is remembered, and what jobs give back."""

import pytest

pytest.importorskip("glue")
pytest.importorskip("pyvo")

from glue.core.application_base import Application

from glue_spherex.images.archive import ArchiveChoice
from glue_spherex.jobs import Request, jobs, request
from glue_spherex.plugin.measuring.remembered import remember_folders
from glue_spherex.plugin.measuring.request_fields import RequestFields
from glue_spherex.plugin.measuring.state import MeasureState


@pytest.fixture
def session():
    return Application().session


def test_the_choice():
    fields = RequestFields()
    assert fields.archive_choice() is None
    assert list(fields.missing()) == ["image_folders"]
    fields.use_archive = True
    assert fields.archive_choice() == ArchiveChoice()
    assert fields.missing() == {}
    fields.archive_release, fields.archive_fields = "qr3", "deep"
    assert fields.archive_choice() == ArchiveChoice(release="qr3", fields="deep")


def test_a_job_on_the_archive_alone(session, no_job_processes):
    state = MeasureState(session)
    state.target.text = "150.1 2.2 star"
    state.request.use_archive, state.request.archive_release, state.request.keep_cutouts = True, "qr2", False
    state.refresh()
    assert state.plan_request().archive == ArchiveChoice(release="qr2")
    assert state.submit() is not None
    asked, _ = request(jobs()[0].id)
    assert (asked.archive, asked.keep_cutouts, asked.image_folders) == (ArchiveChoice(release="qr2"), False, ())
    later = MeasureState(session).request
    assert (later.use_archive, later.archive_release, later.keep_cutouts) == (True, "qr2", False)
    later = MeasureState(session)
    later.fill_from(Request(("/a",)), state.targets, "one")
    assert not later.request.use_archive


def test_another_release_of_a_job():
    fields = RequestFields()
    fields.fill_from(Request((), archive=ArchiveChoice(release="qr7", fields="wide")))
    assert fields.archive_choice() == ArchiveChoice(release="qr7", fields="wide")


@pytest.mark.parametrize("kept", [None, 3, [], {"use": "yes", "release": "qr77", "fields": 5, "keep_cutouts": None}])
def test_what_is_remembered_may_be_damaged(session, kept):
    remember_folders([], [], "", kept)
    state = MeasureState(session)
    assert not state.request.use_archive
    assert (state.request.archive_release, state.request.archive_fields) == (None, None)


def test_without_the_optional_part(session, monkeypatch):
    remember_folders([], [], "", {"use": True})
    assert MeasureState(session).request.use_archive
    monkeypatch.setattr("glue_spherex.plugin.measuring.archive_plan._NEEDED", ("no_such_package",))
    state = MeasureState(session)
    assert not state.request.use_archive
    state.request.use_archive = True
    assert state.request.archive_choice() is None
    assert 'pip install "glue-spherex[archive]"' in state.wrong()["use_archive"]
