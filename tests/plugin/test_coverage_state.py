"""What the sky coverage panel does, without a window."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("glue")
pytest.importorskip("requests")
sys.path.insert(0, str(Path(__file__).parent))

from glue.core import Data, DataCollection
from glue.core.application_base import Application
from sky_service import PATH, SkyService

from glue_spherex.images.archive.answer_cache import AnswerCache
from glue_spherex.images.archive.answers import ArchiveImage
from glue_spherex.images.archive.grouping import SkyCircle
from glue_spherex.io import TargetListError
from glue_spherex.plugin.coverage.footprints import footprints_in, footprints_of, footprints_of_answers
from glue_spherex.plugin.coverage.picture import SkyPicture
from glue_spherex.plugin.coverage.places import in_view, nearest, places_of, spectrum_of
from glue_spherex.plugin.coverage.settings import SkySettings
from glue_spherex.plugin.coverage.state import PLAIN, CoverageState
from glue_spherex.plugin.coverage.view import SkyView
from glue_spherex.plugin.focus import focus_row, focused_row
from glue_spherex.plugin.loader import spectrum_data
from glue_spherex.plugin.target_data import target_table_from

NO_NETWORK = SkySettings(hips2fits="")


def at_once(kind, work, then):
    """Do the work here and now."""
    if work is None:
        return
    try:
        result = work(lambda *values: None, lambda: False)
    except Exception as error:  # noqa: BLE001 - whatever it is
        then(None, error)
    else:
        then(result, None)


class Later:
    """Collects the work."""

    def __init__(self):
        self.asked = []

    def __call__(self, kind, work, then):
        self.asked.append((kind, work, then))

    def kinds(self):
        return [kind for kind, work, _ in self.asked if work is not None]


def catalogue(n=30, label="catalogue", **columns):
    rng = np.random.default_rng(4)
    values = {"RAJ2000": 150 + rng.uniform(-1, 1, n), "DEJ2000": 2 + rng.uniform(-1, 1, n)}
    return Data(label=label, name=[f"star {k}" for k in range(n)], **(values | columns))


@pytest.fixture
def spectra(made_spectrum):
    return spectrum_data(made_spectrum(n_sources=3, n=5))


@pytest.fixture
def opened():
    """``opened(data…, run=…, settings=…)``: the state of a panel on these data."""
    states = []

    def make(*data, run=at_once, settings=NO_NETWORK):
        states.append(CoverageState(Application(DataCollection(list(data))).session, run, settings))
        return states[-1]

    yield make
    for state in states:
        state.close()


# -- targets ----------------------------------------------------------------------------------------------------------


def test_targets_of_any_dataset(spectra):
    stars = places_of(catalogue())
    assert len(stars.ra) == 30
    assert stars.name(3) == "star 3"
    sources = places_of(spectra)
    assert sources.ids.tolist() == [0, 1, 2]
    assert sources.rows.tolist() == [0, 5, 10]
    assert sources.ra.tolist() == pytest.approx([150.0, 150.01, 150.02])
    sexagesimal = Data(label="list", ra=["10:00:24", "10:00:48", "nonsense"], dec=["+02:12:00", "+02:13:00", "0"])
    found = places_of(sexagesimal)
    assert found.ra.tolist() == pytest.approx([150.1, 150.2])
    assert found.rows.tolist() == [0, 1]
    assert found.name(0) == "150.10000_2.20000"
    assert places_of(Data(label="no sky", x=[1, 2])) is None
    assert places_of(Data(label="image", x=np.zeros((3, 3)))) is None
    assert places_of(Data(label="empty", ra=np.zeros(0), dec=np.zeros(0))) is None


def test_unnamed_targets_are_named_by_their_position():
    places = places_of(Data(label="list", ra=[150.1], dec=[-2.25]))
    assert places.name(0) == "150.10000 -2.25000"


def test_subsets_hold_targets(spectra):
    stars = catalogue()
    collection = DataCollection([stars, spectra])
    group = collection.new_subset_group("east", stars.id["RAJ2000"] > 150)
    inside = places_of(stars).inside(group.subsets[0])
    assert inside.tolist() == np.flatnonzero(stars["RAJ2000"] > 150).tolist()
    assert places_of(spectra).inside(group.subsets[1]).tolist() == []  # not about these data
    collection.new_subset_group("first rows", spectra.id["ra"] > 150.005)
    assert places_of(spectra).inside(spectra.subsets[-1]).tolist() == [1, 2]


def test_nearest_target_within_reach():
    places = places_of(Data(label="list", ra=[150.0, 150.1], dec=[2.0, 2.0]))
    twin = places_of(Data(label="twin", ra=[150.0], dec=[2.0]))
    view = SkyView(150.05, 2.0, 1.0)
    shown = [in_view(one, view) for one in (twin, places)]
    x, y = (float(value) for value in view.pixels(150.1, 2.0))
    assert nearest(shown, x + 5, y + 5) == (places, 1)
    assert nearest(shown, x + 8, y + 8) is None
    x, y = (float(value) for value in view.pixels(150.0, 2.0))
    assert nearest(shown, x + 1, y) == (twin, 0)
    assert nearest([in_view(places, SkyView(330, -2, 1))], 400, 250) is None


def test_choosing_a_target_shows_its_spectrum(opened, spectra):
    targets = target_table_from(spectra)
    near = Data(label="near", ra=[150.01001], dec=[2.01])
    far = Data(label="far", ra=[10.0], dec=[2.0])
    state = opened(spectra, targets, near, far)
    labels = [places.data.label for places in state.places]
    assert labels[-1] == spectra.label  # the others are drawn below
    for places, number, source in ((spectra, 2, 2), (targets, 1, 1), (near, 0, 1)):
        [found] = [place for place in state.places if place.data is places]
        state.choose(found, number)
        data, row = focused_row(state.session)
        assert (data, spectra["source_id"][row]) == (spectra, source)
        assert state.focused()[1] == source
        assert not state.failed
    [found] = [place for place in state.places if place.data is far]
    assert spectrum_of(state.session.data_collection, found, 0) is None
    state.choose(found, 0)
    assert "no spectrum of this target is loaded" in state.status
    assert focused_row(state.session)[0] is spectra
    assert state.chosen == (found, 0)


def test_panel_follows_data(opened, spectra):
    state = opened(spectra)
    before = state.targets
    stars = catalogue()
    state.session.data_collection.append(stars)
    assert [places.data for places in state.places] == [stars, spectra]
    assert state.targets > before
    state.show_data(stars, False)
    assert [places.data for places in state.shown_places] == [spectra]
    before = state.targets
    stars.style.color = "#ff0000"
    focus_row(state.session, spectra, 7)
    state.session.data_collection.new_subset_group("some", spectra.id["ra"] > 150.005)
    assert state.targets >= before + 3
    state.session.data_collection.remove(stars)
    assert state.hidden == ()
    assert [places.data for places in state.places] == [spectra]


# -- views and names --------------------------------------------------------------------------------------------------


def test_buttons(opened, spectra):
    state = opened(spectra, catalogue())
    state.show_all_targets()
    x, y = state.view.pixels(state.places[0].ra, state.places[0].dec)
    assert ((x > 0) & (x < state.view.nx) & (y > 0) & (y < state.view.ny)).all()
    state.show_target()
    assert state.failed
    assert state.status == "No target is chosen: click one."
    focus_row(state.session, spectra, 12)
    state.show_target()
    assert (state.view.ra, state.view.dec) == pytest.approx((150.02, 2.02))
    assert state.view.width_deg <= 0.2
    state.show_all_sky()
    assert state.view.all_sky
    lonely = opened()
    lonely.show_all_targets()
    assert lonely.failed
    assert "load a target list" in lonely.status


def test_positions_and_targets_need_no_network(opened, monkeypatch):
    monkeypatch.setattr("glue_spherex.plugin.coverage.state.targets_of_name", lambda name: pytest.fail("asked"))
    state = opened(catalogue())
    for text in ("150.1 2.2", "10:00:24 +02:12:00", "10h00m24s +02d12m00s"):
        state.go_to(text)
        assert (state.view.ra, state.view.dec) == pytest.approx((150.1, 2.2))
        assert not state.failed
    assert state.marked[0] == "150.10000° +2.20000°"
    state.go_to("Star 7")
    assert state.view.ra == pytest.approx(state.places[0].ra[7])
    assert state.chosen[1] == 7
    state.go_to("150.1 97")
    assert state.failed
    assert "97" in state.status
    state.go_to(" ")
    assert state.failed
    assert state.status.startswith("Type a position")


def test_names_are_asked_for_elsewhere(opened, monkeypatch):
    from glue_spherex.io import read_targets

    later = Later()
    state = opened(run=later)
    state.go_to("NGC 1275")
    [(kind, work, then)] = [asked for asked in later.asked if asked[0] == "name"]
    assert "NGC 1275" in state.status

    def offline(name):
        raise TargetListError(f"the position of {name!r} cannot be looked up: the name service does not answer.")

    monkeypatch.setattr("glue_spherex.plugin.coverage.state.targets_of_name", offline)
    before = state.view
    at_once(kind, work, then)
    assert state.failed
    assert state.status.startswith("The position of 'NGC 1275' cannot be looked up: the name service does not answer")
    assert state.view == before
    from astropy.table import Table

    then(read_targets(Table({"ra": [49.95], "dec": [41.51], "name": ["NGC 1275"]})), None)
    assert (state.view.ra, state.view.dec) == pytest.approx((49.95, 41.51))
    assert state.marked[0] == "NGC 1275"
    assert not state.failed


@pytest.mark.parametrize(
    "elsewhere",
    [
        lambda state: state.go_to("150.1 2.2"),
        lambda state: state.go_to("star 7"),
        lambda state: state.choose(state.places[0], 3),
        lambda state: state.show_all_sky(),
        lambda state: state.show_all_targets(),
        lambda state: state.show_target(),
    ],
)
def test_a_name_is_forgotten_when_the_view_goes_elsewhere(opened, elsewhere):
    """Its answer would move the view away from what was asked for meanwhile."""
    later = Later()
    state = opened(catalogue(), run=later)
    state.go_to("NGC 1275")
    assert later.asked[-1][0] == "name"
    elsewhere(state)
    assert later.asked[-1][:2] == ("name", None)
    assert "name service" not in state.status
    later.asked.clear()
    elsewhere(state)
    assert later.asked == []  # there is nothing left to forget


# -- the picture ------------------------------------------------------------------------------------------------------


@pytest.fixture
def sky():
    with SkyService() as service:
        yield service


def test_picture_of_the_view(opened, sky):
    state = opened(settings=sky.settings())
    state.fetch()
    assert state.picture.view == state.view
    assert state.picture_problem == ""
    assert not state.loading
    state.fetch()
    assert len(sky.asked) == 1  # it is there already
    state.view = state.view.zoomed(0.3)
    state.fetch()
    assert len(sky.asked) == 2
    state.hips = "CDS/P/DSS2/color"
    state.fetch()
    assert [name for name, _ in sky.asked][-1] == "CDS/P/DSS2/color"
    state.hips = PLAIN
    assert state.picture is None
    state.fetch()
    assert len(sky.asked) == 3


def picture_of(view, hips="CDS/P/2MASS/color"):
    return SkyPicture(view, hips, np.zeros((view.ny, view.nx, 3), np.uint8))


def test_the_picture_of_a_view_that_was_left_again_is_dropped(opened):
    later = Later()
    state = opened(run=later, settings=SkySettings())
    first, second = state.view, state.view.zoomed(0.3)
    state.fetch()
    later.asked[-1][2](picture_of(first), None)
    state.view = second
    state.fetch()
    assert state.loading
    state.view = first
    state.fetch()
    assert later.asked[-1][:2] == ("picture", None)
    assert not state.loading
    state.view = second
    state.fetch()
    state.view = first
    later.asked[-1][2](picture_of(second), None)  # it comes before the view stands still
    assert state.picture.view == first
    assert not state.loading


def test_a_picture_of_another_survey_is_not_shown(opened):
    later = Later()
    state = opened(run=later, settings=SkySettings())
    state.fetch()
    state.hips = "CDS/P/DSS2/color"
    later.asked[-1][2](picture_of(state.view), None)
    assert state.picture is None
    state.view = state.view.zoomed(0.3)
    state.fetch()
    before, state.view = state.view, state.view.zoomed(0.9)
    later.asked[-1][2](picture_of(before, "CDS/P/DSS2/color"), None)
    assert state.picture.view == before  # of a view a moment ago: it is shown in its place until the next one comes


def test_coarse_picture_is_not_asked_for_again(opened, sky):
    state = opened(settings=sky.settings(most_pixels=100))
    for _ in range(2):
        state.fetch()
    assert len(sky.asked) == 1
    assert state.picture.view.nx == 100


def test_no_network_is_said_once(opened, sky):
    sky.services.clear()
    state = opened(settings=sky.settings(hips2fits="http://127.0.0.1:9/hips2fits"))
    state.fetch()
    assert "cannot be reached" in state.picture_problem
    assert state.paused
    state._run = lambda *values: pytest.fail("asked again")
    state.view = state.view.zoomed(0.5)
    state.fetch()
    state._run = at_once
    state.fetch(again=True)
    assert "cannot be reached" in state.picture_problem


def test_a_service_that_fails_is_left_alone_after_a_while(opened, sky):
    sky.fault(PATH, "page", times=4)
    state = opened(settings=sky.settings())
    for _ in range(6):
        state.view = state.view.zoomed(0.9)
        state.fetch()
    assert len(sky.requests) == 3
    assert "the answer is no picture" in state.picture_problem
    state.fetch(again=True)
    assert not state.paused
    state.view = state.view.zoomed(0.9)
    state.fetch()
    assert state.picture_problem == ""
    assert state.picture.view == state.view


def test_bad_settings_are_said(opened, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    (home / "coverage.toml").write_text("colour = 1")
    monkeypatch.setenv("GLUE_SPHEREX_HOME", str(home))
    state = opened(settings=None)
    assert state.failed
    assert "holds 'colour'" in state.status
    assert state.hips == PLAIN


# -- images and maps --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def field(simulated):
    return simulated("field", images=18)


def test_images_in_folders(field, tmp_path):
    found = footprints_in([str(field.folder / "images"), str(tmp_path / "none")])
    assert len(found) == 18
    assert np.bincount(found.detectors).tolist() == [0, 3, 3, 3, 3, 3, 3]
    assert str(tmp_path / "none") in found.problem
    from glue_spherex import read_targets

    source = read_targets(field.targets).sources[0]
    assert found.counts(source.ra, source.dec).tolist() == [3] * 6
    assert found.counts(source.ra + 90, source.dec).tolist() == [0] * 6


def test_folder_is_shown(opened, field):
    later = Later()
    state = opened(run=later)
    state.read_images()
    assert "images" not in later.kinds()
    state.add_folder(field.folder / "images")
    kind, work, then = later.asked[-1]
    assert kind == "images"
    at_once(kind, work, then)
    assert len(state.images) == 18
    assert not state.failed
    state.add_folder(field.folder / "images")
    assert state.folders == (str(field.folder / "images"),)
    assert "18 images in the folders (D1: 3" in state.images_text(*state.images.corners[0].mean(axis=0))


def test_what_is_said_about_a_place_follows_the_images(opened, field):
    later = Later()
    state = opened(run=later)
    state.add_folder(field.folder / "images")
    ra, dec = footprints_in(state.folders).corners[0].mean(axis=0)
    state.go_to(f"{ra} {dec}")
    assert state.status.endswith("no images known")
    at_once(*later.asked[0])
    assert "18 images in the folders" in state.status


def test_folders_of_the_spectra_are_shown(opened, made_spectrum, field):
    table = made_spectrum()
    table.meta["glue_spherex"]["image_folders"] = [str(field.folder / "images"), "/no/such/folder"]
    assert opened(spectrum_data(table)).folders == (str(field.folder / "images"),)
    state = opened()
    assert state.folders == ()
    state.session.data_collection.append(spectrum_data(table))
    assert state.folders == (str(field.folder / "images"),)
    assert len(state.images) == 18


def test_map_of_the_images(opened, field, tmp_path):
    mocpy = pytest.importorskip("mocpy")
    state = opened()
    state.show_map = True
    assert state.maps == {}
    state.add_folder(field.folder / "images")
    area = state.maps["images"].sky_fraction * 41252.96
    corners = state.images.corners
    extent = np.ptp(corners[..., 1]), np.ptp(corners[..., 0]) * np.cos(np.radians(corners[..., 1].mean()))
    assert 0.5 < area / np.prod(extent) < 1.2
    state.save_map(tmp_path / "coverage.fits")
    assert mocpy.MOC.from_fits(str(tmp_path / "coverage.fits")) == state.maps["images"]
    assert "18 images cover" in state.status


def test_a_map_is_made_and_saved_elsewhere(opened, field, tmp_path):
    """It takes seconds for thousands of images: the thread of the window only hears that it is there."""
    mocpy = pytest.importorskip("mocpy")
    later, path = Later(), tmp_path / "coverage.fits"
    state = opened(run=later)
    state.images = footprints_in([str(field.folder / "images")])
    state.save_map(path)
    [(_, work, then)] = later.asked
    assert not path.exists()
    assert state.status == f"The map of 18 images is being written to {path}…"
    at_once("", work, then)
    assert state.status == f"{path} holds the part of the sky that 18 images cover."
    assert mocpy.MOC.from_fits(str(path)) == state.maps["images"]
    state.show_map = True
    assert len(later.asked) == 1  # the same map is there already
    state.save_map(tmp_path / "none" / "map.fits")
    at_once(*later.asked[-1])
    assert state.failed
    assert state.status.endswith("none/map.fits: No such file or directory")
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["coverage.fits"]


def test_maps_of_the_settings(opened, tmp_path):
    mocpy = pytest.importorskip("mocpy")
    mocpy.MOC.from_json({"0": [0, 1]}).save(str(tmp_path / "deep.fits"), format="fits")
    settings = SkySettings(hips2fits="", deep_moc=str(tmp_path / "deep.fits"), survey_moc=str(tmp_path / "none.fits"))
    state = opened(settings=settings)
    state.read_maps()
    assert state.maps["deep"].sky_fraction == pytest.approx(1 / 6)
    state.show_survey = True
    assert state.failed
    assert "none.fits: the coverage map cannot be read" in state.status


def answered_image(ra=150.0, release="qr2", part=2):
    corners = np.array([(ra - 1, 1.0), (ra + 1, 1.0), (ra + 1, 3.0), (ra - 1, 3.0)]).tobytes()
    return ArchiveImage(
        f"ivo://irsa.ipac/spherex_{release}?2025W51_1A_0684_{part}/D3", f"2025W51_1A_0684_{part}", 3, release, False,
        61027.2, 61027.3, f"https://irsa/{release}", release, 0, corners, "l2b-v21-2025-354",
    )  # fmt: skip


def kept(ra, *images):
    """Keep an answer of the archive about a place."""
    AnswerCache().keep("service", f"spherex_{images[0].release}", SkyCircle(ra, 2, 0.1), list(images), 1e9)


def test_images_of_kept_answers(opened):
    for ra in (150.1, 150.2):
        kept(ra, answered_image())
    found = footprints_of_answers()
    assert len(found) == 1
    assert found.counts(150, 2).tolist() == [0, 0, 1, 0, 0, 0]
    state = opened()
    state.show_answers = True
    assert len(state.answers) == 1
    assert state.images_text(150, 2) == "1 image in the archive (D3: 1)"


@pytest.mark.parametrize("order", [("qr2", "qr3"), ("qr3", "qr2")])
def test_an_exposure_in_two_releases_is_one_image(order):
    """As in a search: the newest processing counts."""
    for release in order:
        kept(150.1, answered_image(150.0 if release == "qr2" else 150.5, release))
    found = footprints_of_answers()
    assert [image.release for image in found.records] == ["qr3"]
    assert found.counts(150.5, 2).tolist() == [0, 0, 1, 0, 0, 0]
    assert found.counts(149.2, 2).sum() == 0


def test_later_answers_are_shown_too(opened):
    later = Later()
    state = opened(run=later)
    kept(150.1, answered_image())
    state.follow_answers()
    assert later.asked == []  # nobody wants to see them
    state.show_answers = True
    at_once(*later.asked.pop())
    state.go_to("150.5 2")
    assert state.status.endswith("1 image in the archive (D3: 1)")
    state.follow_answers()
    assert later.asked == []
    kept(151.1, answered_image(151.0, part=3))
    state.follow_answers()
    at_once(*later.asked.pop())
    assert state.status.endswith("2 images in the archive (D3: 2)")


def test_what_is_not_shown_is_not_counted(opened, field):
    """What is said about a place follows what is ticked."""
    state = opened()
    state.add_folder(field.folder / "images")
    ra, dec = state.images.corners[0].mean(axis=0)
    kept(ra, answered_image(ra))
    state.show_answers = True
    state.go_to(f"{ra} 2")
    assert state.status.endswith("0 images in the folders; 1 image in the archive (D3: 1)")
    state.show_answers = False
    assert state.status.endswith("0 images in the folders")
    state.show_images = False
    assert state.status.endswith("no images shown")
    assert state.images_text(ra, dec) == "no images shown"
    state.show_images = True
    assert state.images_text(ra, dec).startswith("18 images in the folders")


def test_no_kept_answers(opened):
    state = opened()
    state.show_answers = True
    assert state.failed
    assert "No answers of the archive are kept" in state.status
    assert len(footprints_of([])) == 0
