"""The choice of the archive: what is remembered, and what jobs give back."""

import pytest

pytest.importorskip("glue")
pytest.importorskip("pyvo")

from glue.core.application_base import Application

from glue_spherex.images.archive import ArchiveChoice
from glue_spherex.images.archive.answer_cache import AnswerCache
from glue_spherex.images.archive.settings import ArchiveSettings
from glue_spherex.jobs import Request, jobs, request
from glue_spherex.plugin.measuring.archive_fields import ArchiveFields
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


def offered(fields):
    helper = ArchiveFields.archive_release
    return [(name, helper.get_display_func(fields)(name)) for name in helper.get_choices(fields)]


def test_releases_that_the_archive_lists_are_offered(session, listed_archive):
    usual = [(None, "the newest of each image"), ("qr3", "QR3 only"), ("qr2", "QR2 only")]
    listed = listed_archive(150.1, 2.2)
    listed.search.collections = ("spherex_qr3", "spherex_dr1", "spherex_dr1_deep", "spherex_qr4", "wise_allwise")
    listed.add(1, 1, 500, 500, 60900)
    state = MeasureState(session)
    state.target.text = "150.1 2.2 star"
    state.request.use_archive = True
    state.refresh()
    assert offered(state.request) == usual
    state.request.archive_release = "qr2"
    asked = state.plan_request()
    state.take_plan(asked, asked.count(ask=True))
    newer = [usual[0], ("dr1", "DR1 only"), ("qr4", "QR4 only"), *usual[1:]]
    assert offered(state.request) == newer
    assert state.request.archive_release == "qr2"
    assert state.is_planned
    assert offered(MeasureState(session).request) == newer

    state.request.archive_release = "dr1"
    remember_folders([], [], "", state.request.archive_values())
    assert MeasureState(session).request.archive_release == "dr1"


def test_lists_and_settings_that_make_no_sense(tmp_path):
    AnswerCache().keep_names(ArchiveSettings().sia, ["spherex_", 5, None, "spherex_qr5", "../spherex_qr6"])
    assert [name for name, _ in offered(RequestFields())] == [None, "qr5", "qr3", "qr2"]
    (tmp_path / "glue-spherex-home" / "archive.toml").write_text("nonsense = 1\n")
    assert [name for name, _ in offered(RequestFields())] == [None, "qr3", "qr2"]


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
    assert 'run python -m pip install ".[archive]" in the source folder' in state.wrong()["use_archive"]
