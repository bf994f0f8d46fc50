import errno
import os
import sqlite3
import threading
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("glue")

from glue.core import Data
from glue.core.application_base import Application
from glue.core.component import CategoricalComponent
from glue.core.roi import RectangularROI
from glue.core.subset import RoiSubsetState

from glue_spherex import Sersic, Source
from glue_spherex.io import TargetListError
from glue_spherex.io.typed_values import FieldError, mjd_of, ranges_of, ranges_text, times_of, whole_number_of
from glue_spherex.jobs import Request, jobs, request
from glue_spherex.jobs.store import default_home
from glue_spherex.photometry.settings import Settings
from glue_spherex.plugin.measuring.background_work import LatestWork
from glue_spherex.plugin.measuring.planning import PlanRequest, about_text, plan_text, shape_text
from glue_spherex.plugin.measuring.remembered import remember_folders, remembered_folders
from glue_spherex.plugin.measuring.request_fields import RequestFields
from glue_spherex.plugin.measuring.state import MeasureState


@pytest.fixture
def session():
    return Application().session


@pytest.fixture
def images(tmp_path):
    """A folder that could hold images."""
    folder = tmp_path / "images"
    folder.mkdir()
    return str(folder)


def catalogue(label="catalogue", n=4, **columns):
    data = Data(label=label, ra=150.0 + 0.01 * np.arange(n), dec=np.linspace(2, 2.03, n))
    data.add_component(CategoricalComponent(np.array([f"s{k}" for k in range(n)])), "name")
    for name, values in columns.items():
        data.add_component(np.asarray(values), name)
    return data


def labels(state):
    return [line.label for line in state.lines]


# -- targets ----------------------------------------------------------------------------------------------------------


def test_without_data_coordinates_are_asked_for(session):
    state = MeasureState(session)
    assert state.target.how == "text"
    assert list(state.problems()) == ["text", "image_folders"]
    assert state.wrong() == {}
    assert (state.targets, state.lines, state.plan_request()) == (None, [], None)


def test_typed_coordinates(session, images):
    state = MeasureState(session)
    state.target.text = "150.1 2.2 star\n10:00:24 +02:12:36\n150.1 95"
    state.refresh()
    assert [line.ra for line in state.lines[:2]] == pytest.approx([150.1, 150.1])
    assert [line.dec for line in state.lines[:2]] == pytest.approx([2.2, 2.21])
    assert labels(state)[0] == "star"
    assert "95" in state.lines[2].problem
    state.request.add_folder(images)
    state.refresh()
    assert state.problems() == {}
    assert state.plan_request().targets is state.targets
    assert state.default_title.startswith(f"2 targets, {os.path.basename(images)}, 20")
    state.target.text = "150.1 95"
    state.refresh()
    assert state.problems()["targets"].startswith("There is no target: the row cannot be measured. row 1: ")


def test_columns_are_guessed_and_can_be_corrected(session):
    data = catalogue(other=[2.5, 2.6, 2.7, 2.8], sersic_n=[np.nan, 1.0, 4.0, 9.0], r_eff=[np.nan, 2.0, 3.0, 3.0])
    session.data_collection.append(data)
    state = MeasureState(session)
    target = state.target
    assert (target.how, target.layer) == ("layer", data)
    assert (target.ra_column, target.dec_column, target.name_column) == ("ra", "dec", "name")
    assert (target.sersic_n_column, target.r_eff_column, target.pmra_column) == ("sersic_n", "r_eff", None)
    assert [line.shape for line in state.lines] == [None, Sersic(1, 2), Sersic(4, 3), None]
    assert "9" in state.lines[3].problem
    assert "0.5" in state.lines[3].problem
    target.dec_column, target.sersic_n_column = "other", None
    state.refresh()
    assert [line.dec for line in state.lines] == [2.5, 2.6, 2.7, 2.8]
    assert {line.shape for line in state.lines} == {None}
    target.dec_column = None
    state.refresh()
    assert state.problems()["dec_column"] == "Choose the columns of the position."


def test_motion_columns(session):
    data = catalogue(motion=[100.0, 0.0, 0.0, 0.0], when=[2016.0] * 4)
    session.data_collection.append(data)
    state = MeasureState(session)
    state.target.pmra_column, state.target.ref_epoch_column = "motion", "when"
    state.refresh()
    assert (state.targets.sources[0].pmra, state.targets.sources[0].ref_epoch) == (100.0, 2016.0)


def test_shapes(session):
    session.data_collection.append(catalogue(sersic_n=[1.0, 1.0, np.nan, 1.0], r_eff=[2.0] * 4))
    state = MeasureState(session)
    assert [line.shape is None for line in state.lines] == [False, False, True, False]
    state.shape = "point"
    state.refresh()
    assert {line.shape for line in state.lines} == {None}
    assert "sersic_n" not in state.used_columns
    state.shape, state.sersic_n, state.r_eff, state.axis_ratio, state.position_angle = "sersic", "4", "2.5", "0.5", "30"
    state.refresh()
    assert {line.shape for line in state.lines} == {Sersic(4, 2.5, 0.5, 30)}
    assert shape_text(state.lines[0].shape) == "n 4, 2.5″, b/a 0.5, 30°"
    state.sersic_n, state.r_eff = "9", "small"
    state.refresh()
    assert state.wrong() == {
        "sersic_n": "Sérsic index is 9; allowed is 0.5 <= Sérsic index <= 6.",
        "r_eff": "Half-light radius is 'small', which is not a number.",
    }
    assert state.plan_request() is None
    state.sersic_n, state.r_eff, state.axis_ratio, state.position_angle = "1", "99", "2", "999"
    assert set(state.wrong().values()) == {
        "Half-light radius is 99; allowed is 0 < half-light radius <= 20 arcsec.",
        "Axis ratio is 2; allowed is 0 < axis ratio <= 1.",
        "Position angle is 999; allowed is -360 <= position angle <= 360 degrees.",
    }


def test_neighbours(session):
    session.data_collection.append(catalogue(n=1))
    others = Data(label="others", ra=np.array([150.0, 150.002, 150.1]), dec=np.array([2.0, 2.0, 2.0]))
    session.data_collection.append(others)
    state = MeasureState(session, [session.data_collection[0]])
    state.neighbours = others
    state.refresh()
    assert [(line.ra, line.companion) for line in state.lines] == [(150.0, False), (150.002, True)]
    assert plan_text(state.targets, None) == "1 source and 1 companion"
    assert state.default_title.startswith("s0, 20")
    for wrong in ("0", "601", "near"):
        state.radius = wrong
        state.refresh()
        assert list(state.wrong()) == ["radius"]
    state.radius = "600"
    state.refresh()
    assert len(state.lines) == 3
    state.neighbours = others.new_subset(label="none of them")
    state.refresh()
    assert "none of them" in state.wrong()["neighbours"]
    session.data_collection.remove(others)
    state.refresh()
    assert state.status == "none of them (subset of others) was removed; there are no neighbours now."
    assert (state.neighbours, len(state.lines)) == (None, 1)


def test_neighbours_of_the_same_dataset_have_the_columns_that_were_chosen(session):
    data = Data(label="odd", place_x=150.0 + 0.002 * np.arange(3), place_y=np.full(3, 2.0), q7=[np.nan, 1.0, 2.0])
    data.add_component(np.full(3, 4.0), "size")
    session.data_collection.append(data)
    group = session.data_collection.new_subset_group("first", data.id["place_x"] < 150.001)
    state = MeasureState(session, [group.subsets[0]])
    target = state.target
    target.ra_column, target.dec_column = "place_x", "place_y"
    target.sersic_n_column, target.r_eff_column = "q7", "size"
    state.neighbours = data
    state.refresh()
    assert state.wrong() == {}
    assert [(line.companion, line.shape) for line in state.lines] == [
        (False, None), (True, Sersic(1, 4)), (True, Sersic(2, 4))
    ]  # fmt: skip


def test_the_column_that_says_who_is_a_companion_can_be_corrected(session):
    session.data_collection.append(catalogue(companion=[0, 1, 0, 1]))  # such as: a star that has a companion
    state = MeasureState(session)
    assert [line.companion for line in state.lines] == [False, True, False, True]
    assert state.target.role_column == "companion"
    state.target.role_column = None
    state.refresh()
    assert [line.companion for line in state.lines] == [False] * 4
    assert "role" in state.used_columns


def test_columns_of_equal_labels_can_both_be_chosen(session):
    data = catalogue()
    data.add_component(np.full(4, -5.0), "dec")
    session.data_collection.append(data)
    state = MeasureState(session)
    state.target.dec_column = "dec_2"
    state.refresh()
    assert [line.dec for line in state.lines] == [-5.0] * 4


def test_a_subset_changes_and_goes(session, images):
    data = catalogue()
    session.data_collection.append(data)
    group = session.data_collection.new_subset_group("bright", data.id["ra"] > 150.015)
    state = MeasureState(session, [group])
    state.request.add_folder(images)
    assert state.target.layer is group.subsets[0]
    assert labels(state) == ["s2", "s3"]
    before = state.news
    session.data_collection.new_subset_group("another", data.id["ra"] > 1)
    session.data_collection.append(catalogue("another"))
    assert state.news == before  # that does not concern these targets
    session.data_collection.remove(session.data_collection[1])
    group.subset_state = data.id["ra"] > 150.025
    assert state.news > before
    state.refresh()
    assert labels(state) == ["s3"]
    session.data_collection.remove_subset_group(group)
    assert state.status == "bright (subset of catalogue) was removed."
    assert state.failed
    state.refresh()
    assert labels(state) == ["s0", "s1", "s2", "s3"]
    session.data_collection.remove(data)
    assert state.status == "catalogue was removed."
    state.refresh()
    assert list(state.problems()) == ["layer"]
    assert state.submit() is None
    assert jobs() == []


def test_new_columns_and_data_are_offered(session):
    data = catalogue()
    session.data_collection.append(data)
    state = MeasureState(session)
    data.add_component(np.ones(4), "index")
    assert "index" in type(state.target).sersic_n_column.get_choices(state.target)
    data.label = "renamed"
    session.data_collection.append(catalogue("new"))
    assert [layer.label for layer in state.target.layers] == ["renamed", "new"]
    data.update_components({data.id["dec"]: np.full(4, -10.0)})
    state.refresh()
    assert {line.dec for line in state.lines} == {-10.0}


def test_a_region_in_an_image(session):
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = (
        ("RA---TAN", "DEC--TAN"),
        (150, 2),
        (6, 6),
        (-0.001, 0.001),
    )
    image = Data(label="image", coords=wcs, values=np.zeros((11, 11)))
    session.data_collection.append(image)
    y, x = image.pixel_component_ids
    roi = RoiSubsetState(x, y, RectangularROI(4.5, 6.5, 4.5, 5.5))  # pixels 5 and 6 of row 5
    group = session.data_collection.new_subset_group("spot", roi)
    state = MeasureState(session, [group])
    assert (state.target.how, state.target.region) == ("region", group.subsets[0])
    assert (state.lines[0].ra, state.lines[0].dec) == pytest.approx((149.9994997, 2.0), abs=1e-6)
    state.target.region_part = "pixels"
    state.refresh()
    assert len(state.lines) == 2
    session.data_collection.remove_subset_group(group)
    state.refresh()
    assert next(iter(state.problems())) == "region"


def test_which_layer_of_a_group_is_meant(session):
    """A lasso in one of two tables, in a spectrum, and on an image without sources."""
    table, other = catalogue("table"), catalogue("other")
    spectrum = Data(label="spectrum", source_id=[0, 0, 1], ra=[150.0, 150.0, 150.1], dec=[2.0] * 3, flux=[1.0] * 3)
    spectrum.meta["spherex"] = {"kind": "spectrum", "columns": ["source_id", "ra", "dec", "flux"]}
    image = Data(label="image", values=np.zeros((3, 3)))
    session.data_collection.extend([table, other, spectrum, image])
    group = session.data_collection.new_subset_group("lasso", other.id["ra"] > 150.015)
    assert MeasureState(session, [group]).target.layer is other.subsets[0]
    assert MeasureState(session, [other]).target.layer is other
    assert MeasureState(session).target.layer is table
    group.subset_state = spectrum.id["flux"] > 0
    state = MeasureState(session, [group])
    assert state.target.layer is spectrum.subsets[0]
    assert not state.target.has_columns
    assert [line.ra for line in state.lines] == pytest.approx([150.0, 150.1])
    state = MeasureState(session, [image])
    assert state.target.how == "region"
    assert "there is none yet" in state.problems()["region"]


def test_names_of_objects(session, monkeypatch):
    state = MeasureState(session)
    state.target.how = "name"
    assert state.missing()["name"] == "Type the name of an object."
    state.target.name = "M 87"
    assert state.missing()["name"].startswith("Look up M 87")
    from glue_spherex.plugin.measuring.target_lists import targets_of_text

    place = targets_of_text("187.7 12.4 M87")
    monkeypatch.setattr("glue_spherex.plugin.measuring.target_choice.targets_of_name", lambda name: place)
    state.target.found = state.target.resolve("M 87")
    state.refresh()
    assert labels(state) == ["M87"]
    state.target.name = "M 88"
    state.refresh()
    assert state.lines == []


def test_a_file(session, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("alpha,delta,which\n150,2,one\n151,3,two\n")
    state = MeasureState(session)
    state.target.how = "file"
    state.refresh()
    assert state.missing()["file"] == "Name a file with targets."
    state.target.file = str(path)
    state.refresh()
    assert (state.target.ra_column, state.target.dec_column, state.target.name_column) == ("alpha", "delta", None)
    state.target.name_column = "which"
    state.refresh()
    assert labels(state) == ["one", "two"]
    state.target.file = str(tmp_path / "gone.csv")
    state.refresh()
    assert "gone.csv" in " ".join(state.problems().values())
    for text, part in (("", "it is empty"), ("Dear all,\nhere are, as I said, targets.\n", "not look like a table")):
        (tmp_path / "letter.txt").write_text(text)
        state.target.file = str(tmp_path / "letter.txt")
        state.refresh()
        assert part in state.problems()["file"]
        state.target.file = ""
    (tmp_path / "odd.csv").write_text("here,there\n150,2\n")
    state.target.file = str(tmp_path / "odd.csv")
    state.refresh()
    assert next(iter(state.problems())) == "ra_column"
    state.target.ra_column, state.target.dec_column = "here", "there"
    state.refresh()
    assert [(line.ra, line.dec) for line in state.lines] == [(150.0, 2.0)]


# -- fields -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "part"),
    [
        ("background_box", "200", "Background box is 200; a whole number of pixels from 5 to 101"),
        ("background_box", "15.5", "a whole number"),
        ("background_box", "", "not a number"),
        ("psf_shift_x", "2", "-1 to 1"),
        ("psf_shift_x", "nan", "-1 to 1"),
        ("wavelength", "1.2-0.9", "the first must be below the second"),
        ("wavelength", "6-7", "no detector sees 6 to 7 µm"),
        ("wavelength", "red", "'red' is no range"),
        ("time_from", "yesterday", "write a date as 2025-08-13"),
        ("time_from", "2025", "allowed are modified Julian dates"),
        ("time_to", "soon", "write a date"),
        ("workers", "0", "1 to 1024"),
        ("workers", "two", "not a number"),
        ("scheduler", "host", "tcp://host:8786"),
        ("calibration", "/no/such/folder", "there is no folder /no/such/folder"),
        ("output", __file__, "is a file"),
        ("output", f"{__file__}/below", "is a file"),
        ("output", "results", "write its whole path, such as /"),
        ("output", "/proc/x", "/proc/x cannot be made: /proc cannot be written"),
        ("output", "/proc", "/proc cannot be written"),
        ("image_folders", ("/no/such/folder",), "there is no folder"),
    ],
)
def test_wrong_fields(field, value, part):
    fields = RequestFields()
    setattr(fields, field, value)
    wrong = fields.wrong()
    assert list(wrong) == [field]
    assert part in wrong[field]


def test_a_folder_with_a_result_is_told_before(tmp_path):
    fields = RequestFields()
    fields.output = str(tmp_path / "new")
    assert (fields.notes(), fields.wrong()) == ({}, {})
    (tmp_path / "new").mkdir()
    assert fields.notes() == {}
    (tmp_path / "new" / "settings.json").write_text("{}")
    assert fields.notes()["output"].startswith(f"{tmp_path / 'new'} holds a result, which will be replaced")
    assert fields.wrong() == {}
    assert sorted(os.listdir(tmp_path / "new")) == ["settings.json"]


def test_engine_and_extent(monkeypatch):
    monkeypatch.setattr(
        "glue_spherex.plugin.measuring.request_fields.tractor_available", lambda: (False, "The Tractor is not here.")
    )
    fields = RequestFields()
    assert fields.engine_note == "The Tractor is not here."
    fields.engine = "tractor"
    assert fields.wrong() == {"engine": "The Tractor is not here."}
    fields.extent = "infinite"
    assert list(fields.wrong()) == ["engine", "extent"]
    assert fields.wrong()["extent"].startswith("Sérsic flux: The Tractor gives only that ")


def test_settings():
    fields = RequestFields()
    assert fields.settings() == Settings()
    fields.update_from_dict(
        {
            "detectors": (2, 4),
            "wavelength": "0.9-1.2; 2:2.4 µm",
            "time_from": "2025-08-13",
            "background_box": "21",
            "background": "zodi",
            "background_fit": "plane",
            "psf_shift_x": "0.05",
            "weights": "variance",
        }
    )
    settings = fields.settings()
    assert settings.time == (60900.0, 100000.0)
    assert (settings.detectors, settings.wavelength) == ((2, 4), ((0.9, 1.2), (2.0, 2.4)))
    assert (settings.background_box, settings.background, settings.background_fit) == (21, "zodi", "plane")
    assert (settings.psf_shift, settings.weights) == ((0.05, 0.0), "variance")
    fields.time_from, fields.time_to = "61000", "60900"
    assert "the first must be below the second" in fields.wrong()["time_from"]
    fields.time_from = fields.time_to = "2025-08-13"
    assert fields.settings().time == (60900.0, 60901.0)  # the whole day


def test_typed_values():
    assert ranges_of(" ") == ()
    assert ranges_of("0.9 - 1.2, 2 to 3") == ((0.9, 1.2), (2.0, 3.0))
    assert ranges_text(((0.9, 1.2), (2.0, 3.0))) == "0.9-1.2, 2-3"
    assert mjd_of("2025-08-13 12:00", "from") == 60900.5
    assert mjd_of(" 2025-08-13 ", "from") == 60900.0
    assert mjd_of(" 2025-08-13 ", "to", whole_day=True) == 60901.0
    assert mjd_of("2025-08-13 12:00", "to", whole_day=True) == 60900.5
    assert mjd_of("60900", "to", whole_day=True) == 60900.0
    assert mjd_of("2100-01-01", "to") == 88069.0  # no warning of a year that is far away
    with pytest.raises(FieldError, match="allowed are modified Julian dates"):
        mjd_of("9999-01-01", "to")
    assert whole_number_of("15.0", "box") == 15
    with pytest.raises(FieldError, match=r"'xxxxx.*…', which is not a number"):
        whole_number_of("x" * 1000, "box")


@pytest.mark.parametrize("text", ["60900:61001", "60900-61001", "2025-08-13:2025-11-21", "2025-08-13 to 2025-11-21",
                                  "2025-08-13 - 2025-11-21", "2025-08-13T00:00:00:2025-11-22T00:00:00"])  # fmt: skip
def test_typed_times(text):
    assert times_of(text) == (60900.0, 61001.0)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("x", "write, for example, 2025-08-13:2025-09-01"),
        ("60900", "write, for example, 2025-08-13:2025-09-01"),
        ("61000:60900", "must be below the second"),
        ("0.9:1.2", "allowed are modified Julian dates from 60000"),
    ],
)
def test_typed_times_that_are_none(text, part):
    with pytest.raises(FieldError, match=part):
        times_of(text)


# -- folders ----------------------------------------------------------------------------------------------------------


def test_folders_are_remembered(session, tmp_path, images, no_job_processes):
    assert remembered_folders() == ((), (), "", None)
    state = MeasureState(session)
    state.target.text = "150 2"
    state.request.add_folder(str(tmp_path))
    state.request.add_folder(images)
    state.request.tick_folder(str(tmp_path), False)
    state.request.calibration = str(tmp_path)
    assert state.submit() is not None
    later = MeasureState(session)
    assert later.request.image_folders == (images,)
    assert later.request.known_folders == (images, str(tmp_path))
    assert later.request.calibration == str(tmp_path)
    later.request.forget_folder(images)
    assert (later.request.known_folders, later.request.image_folders) == ((str(tmp_path),), ())


def test_what_is_remembered_may_be_damaged(session, private_home, monkeypatch, tmp_path):
    remember_folders(["/gone/a"], ["/gone/b"], "/gone/c")
    state = MeasureState(session)
    assert state.request.known_folders == ("/gone/b", "/gone/a")
    assert (state.request.image_folders, state.request.calibration) == ((), "")
    (tmp_path / "glue-spherex-home" / "measure-dialog.json").write_text('{"known": 3}')
    assert MeasureState(session).request.known_folders == ()


def test_folders_of_loaded_spectra_come_first(session, images):
    remember_folders(["/old"], [], "")
    data = catalogue("spectrum")
    data.meta["spherex"] = {"kind": "spectrum", "image_folders": [images]}
    session.data_collection.append(data)
    state = MeasureState(session)
    assert state.request.known_folders == (images, "/old")
    assert state.request.image_folders == (images,)


# -- counting and handing in ------------------------------------------------------------------------------------------


@pytest.fixture
def field(simulated):
    """Six images of 30 x 30 px, one of each detector."""
    return simulated("field", images=6, size=30)


@pytest.fixture
def ready(session, field):
    """A state with two targets in the middle of all images, and one far away."""
    from astropy.table import Table

    first = Table.read(field.targets, format="ascii.csv")[0]
    state = MeasureState(session)
    state.target.text = f"{first['ra']} {first['dec']} middle\n{first['ra']} {first['dec'] + 20} far\n400 2 wrong"
    state.request.add_folder(str(field.folder / "images"))
    state.refresh()
    return state


def test_sources_that_are_not_measured_are_told(ready):
    star, far = ready.targets.sources
    targets = replace(
        ready.targets,
        sources=[star, far, replace(star, label="again"), replace(far, label="other", dec=-80, companion=True)],
        rows=np.arange(4),
        rejected=[],
    )
    asked = replace(ready.plan_request(), targets=targets)
    text = plan_text(targets, asked.count())
    assert text.startswith("0 of 3 sources (1 on no image, 2 at the same place) and 0 of 1 companion (1 on no image)")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (9, "9 s"),
        (11, "10 s"),
        (58, "1 min"),
        (305, "5 min"),
        (1000, "15 min"),
        (3590, "1 h"),
        (9300, "2 h 30 min"),
        (100_000, "1 d 4 h"),
        (1e6, "12 d"),
    ],
)
def test_estimates_are_round(seconds, text):
    assert about_text(seconds) == text


def test_counts(ready):
    asked = ready.plan_request()
    assert not ready.is_planned
    ready.take_plan(asked, asked.count())
    assert ready.is_planned
    assert [sum(line.counts) for line in ready.lines] == [6, 0, 0]
    assert ready.lines[0].counts == (1,) * 6
    assert ready.lines[1].problem
    text = plan_text(ready.targets, ready.plan)
    sources, _, counts = text.partition(" · ")
    assert sources == "1 of 2 sources (1 on no image), 1 row that cannot be measured"
    assert counts == "6 images · 6 measurements · run time not known yet"
    assert ready.default_title.startswith("middle, images, 20")  # the one that is measured
    plan = replace(ready.plan, seconds=0.2, seconds_basis="from 3 runs on this machine")
    assert plan_text(ready.targets, plan).endswith(" · about 1 s, from 3 runs on this machine")
    ready.request.title = "another title"
    ready.refresh()
    assert ready.is_planned  # a title changes no count
    ready.request.detectors = (3,)
    ready.refresh()
    assert (ready.is_planned, ready.plan) == (False, None)
    ready.take_plan(asked, "late")  # an answer to an older question
    assert ready.plan is None
    asked = ready.plan_request()
    ready.take_plan(asked, asked.count())
    assert ready.lines[0].counts == (0, 0, 1, 0, 0, 0)
    ready.target.text = "400 2 no position\n10 80"
    ready.refresh()
    asked = ready.plan_request()
    ready.take_plan(asked, asked.count())
    assert ready.problems() == {"plan": "None of the 2 targets can be measured. 10.00000_80.00000: No image holds it."}


def test_a_folder_without_images(ready, images):
    ready.request.image_folders = (images,)
    ready.refresh()
    asked = ready.plan_request()
    with pytest.raises(ValueError, match="no FITS file") as failure:
        asked.count()
    ready.take_plan(asked, failure.value)
    assert "no FITS file" in ready.problems()["plan"]


def test_requests_are_compared_by_what_they_count(ready):
    asked = ready.plan_request()
    ready.target.text += "\n"
    ready.refresh()
    assert ready.plan_request() == asked
    assert asked != "something else"
    assert asked != PlanRequest(asked.targets, (), None, asked.settings, 1, None)


def test_submit(ready, field, no_job_processes, tmp_path):
    ready.request.update_from_dict(
        {"title": "  mine ", "workers": "2", "detectors": (1, 2), "background_box": "21", "spectrum_format": "fits",
         "calibration": str(field.calibration), "output": str(tmp_path / "result"), "flux_correction": False}
    )  # fmt: skip
    job = ready.submit()
    assert (job.title, job.n_sources) == ("mine", 2)
    assert job.id in ready.status
    assert not ready.failed
    asked, targets = request(job.id)
    assert asked.settings == Settings(detectors=(1, 2), background_box=21)
    assert asked.image_folders == (str(field.folder / "images"),)
    assert (asked.workers, asked.spectrum_format, asked.output) == (2, "fits", str(tmp_path / "result"))
    assert (asked.calibration, asked.flux_correction) == (str(field.calibration), False)
    assert [source.label for source in targets.sources][:1] == ["middle"]
    assert len(targets.rejected) == 1


def test_folders_in_the_user_s_home(ready, monkeypatch, tmp_path, no_job_processes):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "calibration").mkdir()
    ready.request.update_from_dict({"output": " ~/spectra", "calibration": "~/calibration "})
    assert ready.problems() == {}
    assert ready.plan_request().calibration == str(tmp_path / "calibration")
    asked, _ = request(ready.submit().id)
    assert (asked.output, asked.calibration) == (str(tmp_path / "spectra"), str(tmp_path / "calibration"))
    assert remembered_folders().calibration == str(tmp_path / "calibration")


def test_numbers_of_a_job_are_taken_over_with_all_digits():
    fields, again = RequestFields(), RequestFields()
    fields.update_from_dict(
        {"psf_shift_x": "0.0123456789", "time_from": "60900.123456789", "wavelength": "0.912345678-1.2"}
    )
    again.fill_from(Request(("images",), settings=fields.settings()))
    assert again.settings() == fields.settings()


def test_run_again_with_changes(session, ready, no_job_processes):
    ready.shape, ready.sersic_n, ready.r_eff = "sersic", "2", "4"
    ready.request.update_from_dict({"wavelength": "0.9-1.2", "time_to": "61500", "psf_shift_y": "-0.05"})
    job = ready.submit()
    again = MeasureState(session)
    again.fill_from(*request(job.id), job.title)
    assert again.target.how == "job"
    assert labels(again)[:2] == ["middle", "far"]
    assert again.lines[0].shape == Sersic(2, 4)
    assert again.lines[2].problem
    assert again.request.settings() == ready.request.settings()
    assert (again.request.time_from, again.request.time_to, again.request.title) == ("", "61500", "")
    assert job.title.startswith("2 targets, images, 20")  # a default one, with its date
    assert again.problems() == {}
    new = again.submit()
    assert request(new.id)[1].sources == request(job.id)[1].sources
    assert new.title.startswith("2 targets, images, 20")
    again.fill_from(*request(job.id), "mine, of 2025-08-13")
    assert again.request.title == "mine, of 2025-08-13"


def test_faults_when_handing_in_are_told(ready, monkeypatch, tmp_path, no_job_processes):
    ready.request.image_folders = ("/no/such/folder",)
    assert ready.submit() is None
    assert (ready.status, ready.failed) == ("Images: there is no folder /no/such/folder.", True)
    ready.request.image_folders = (str(tmp_path),)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GLUE_SPHEREX_HOME", str(tmp_path / "file"))
    assert ready.submit() is None
    assert "where jobs are kept, cannot be made" in ready.status

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("glue_spherex.plugin.measuring.state.submit", full)
    assert ready.submit() is None
    assert "No space left on device" in ready.status


def test_a_store_that_is_locked(ready, no_job_processes):
    first = ready.submit()
    path = default_home() / "jobs.sqlite"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert ready.submit() is None
        assert "locked" in ready.status
        assert ready.failed
    finally:
        other.close()
    assert [job.id for job in jobs()] == [first.id]
    assert ready.submit() is not None
    assert not ready.failed


def test_the_folders_cannot_be_remembered(ready, monkeypatch, no_job_processes):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("glue_spherex.plugin.measuring.state.remember_folders", full)
    job = ready.submit()
    assert job.id in ready.status
    assert "No space left on device" in ready.status


# -- work in a thread -------------------------------------------------------------------------------------------------


def test_the_latest_work_counts(wait_for):
    arrived, progress, begun, go_on = [], [], threading.Event(), threading.Event()
    work = LatestWork(lambda *delivered: arrived.append(delivered), lambda *told: progress.append(told))

    def slow(progress, cancelled):
        begun.set()
        go_on.wait(60)
        progress(1, 2)
        return cancelled()

    work.request(slow)
    assert begun.wait(60)
    second = work.request(lambda progress, cancelled: (progress(3, 4), cancelled()))
    go_on.set()
    wait_for(lambda: arrived)
    assert arrived == [(second, (None, False), None)]
    assert progress == [(second, 3, 4)]
    work.request(lambda progress, cancelled: 1 / 0)
    wait_for(lambda: len(arrived) == 2)
    assert isinstance(arrived[1][2], ZeroDivisionError)
    work.close()


def test_nothing_is_delivered_after_the_end(wait_for):
    arrived, begun, go_on, seen = [], threading.Event(), threading.Event(), []
    work = LatestWork(lambda *delivered: arrived.append(delivered))

    def slow(progress, cancelled):
        begun.set()
        go_on.wait(60)
        seen.append(cancelled())

    work.request(slow)
    assert begun.wait(60)
    work.close()
    go_on.set()
    wait_for(lambda: seen)
    wait_for(lambda: not work._thread.is_alive())
    assert (seen, arrived) == ([True], [])
    work.request(slow)
    assert arrived == []


def test_a_resolver_that_fails(monkeypatch, session):
    def fails(name):
        raise TargetListError("there is no network")

    monkeypatch.setattr("glue_spherex.plugin.measuring.target_choice.targets_of_name", fails)
    with pytest.raises(TargetListError, match="no network"):
        MeasureState(session).target.resolve("M 87")


def test_sources_given_as_companions_are_no_targets(session):
    state = MeasureState(session)
    targets = read_targets_of(Source(1, 2, label="a"), Source(1, 2.001, label="b", companion=True))
    state.target.give(targets)
    state.refresh()
    assert state.default_title.startswith("a, ")
    assert [line.companion for line in state.lines] == [False, True]


def read_targets_of(*sources):
    from astropy.table import QTable

    from glue_spherex.io import Targets

    return Targets(list(sources), np.arange(len(sources)), [], QTable(), {})
