"""Pictures of the sky and coverage maps: right place, and nothing wrong is shown whatever a service answers."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.wcs import WCS

pytest.importorskip("requests")
sys.path.insert(0, str(Path(__file__).parent))

from sky_service import PATH, SkyService

from glue_spherex.images.archive.client import ArchiveClient
from glue_spherex.images.archive.errors import ArchiveError, ArchiveStopped, ArchiveUnreachable
from glue_spherex.plugin.coverage.maps import DEEP_FIELDS, map_of_footprints, mask_of, read_map
from glue_spherex.plugin.coverage.picture import fetch_picture, picture_view, shifted_extent
from glue_spherex.plugin.coverage.settings import SkySettings
from glue_spherex.plugin.coverage.view import SkyView

VIEW = SkyView(150.1, 2.2, 4.0, 120, 90)
needs_mocpy = pytest.mark.skipif(importlib.util.find_spec("mocpy") is None, reason="mocpy is not installed")


@pytest.fixture
def sky():
    with SkyService([(151.0, 3.0, 0.3)]) as service:
        yield service


def client_of(sky, **values):
    return ArchiveClient(sky.settings(**values))


@pytest.mark.parametrize("view", [VIEW, SkyView(200, 0, 1e9, 120, 60)])
def test_picture_is_that_of_the_view(sky, view):
    """Where the service drew a star, it is seen where the view has its position."""
    sky.stars = [(210.0, 30.0, 8.0)] if view.all_sky else sky.stars
    picture = fetch_picture(client_of(sky), view, "CDS/P/DSS2/color")
    rows, columns = np.nonzero(picture.pixels[..., 0] > 128)
    x, y = view.pixels(*sky.stars[0][:2])
    assert (columns.mean(), view.ny - 1 - rows.mean()) == pytest.approx((float(x), float(y)), abs=1.0)
    [(name, wcs)] = sky.asked
    assert name == "CDS/P/DSS2/color"
    assert isinstance(wcs, WCS)


def test_large_windows_ask_for_coarser_pictures():
    view = picture_view(SkyView(10, 20, 5, 3200, 1000), 1600)
    assert (view.nx, view.ny, view.width_deg) == (1600, 500, 5)


def test_older_picture_is_put_to_its_place():
    old = fetch_picture_stub(VIEW)
    left, right, bottom, top = shifted_extent(old, VIEW)
    assert (left, right, bottom, top) == pytest.approx((-0.5, 119.5, -0.5, 89.5))
    moved = VIEW.dragged(50, 40, 60, 45)
    left, right, bottom, top = shifted_extent(old, moved)
    assert (left, bottom) == pytest.approx((9.5, 4.5), abs=0.1)
    near = VIEW.zoomed(0.5)
    assert np.diff(shifted_extent(old, near)[:2]) == pytest.approx(240)
    assert shifted_extent(old, SkyView()) is None
    assert shifted_extent(old, SkyView(300, -40, 4)) is None


def fetch_picture_stub(view):
    from glue_spherex.plugin.coverage.picture import SkyPicture

    return SkyPicture(view, "x", np.zeros((view.ny, view.nx, 3), np.uint8))


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "page"}, "the answer is no picture; it begins '<!DOCTYPE html>"),
        ({"kind": "body", "content": b""}, "the answer is no picture"),
        ({"kind": "body", "content": b"GIF89a" + b"\0" * 50}, "no picture"),
        ({"kind": "short", "after": 700}, "damaged"),
        ({"kind": "cut", "after": 700}, "broke|cut|of .* bytes came"),
        ({"kind": "status", "status": 500}, "fault"),
        ({"kind": "status", "status": 404}, "there is no such file"),
        ({"kind": "status", "status": 503, "retry_after": 3600}, "asks to come back in 3600 s"),
        ({"kind": "redirect", "location": "http://127.0.0.2:9/x"}, "does not belong"),
        ({"kind": "silence"}, "nothing came for 0.3 s"),
        ({"kind": "long", "after": 200_000}, "has .* bytes; at most 100000 are accepted"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_what_is_no_picture_is_said(sky, fault, says):
    sky.fault(PATH, **fault)
    quick = {"timeout_s": 0.3} if fault["kind"] == "silence" else {}
    with pytest.raises(ArchiveError, match=says):
        fetch_picture(client_of(sky, max_bytes=100_000, **quick), VIEW, "CDS/P/2MASS/color")


def test_picture_of_another_size_is_refused(sky):
    other = fetch_body(sky, SkyView(150.1, 2.2, 4.0, 60, 90))
    sky.fault(PATH, "body", content=other)
    with pytest.raises(ArchiveError, match="60 x 90 pixels; 120 x 90 were asked for"):
        fetch_picture(client_of(sky), VIEW, "CDS/P/2MASS/color")


def fetch_body(sky, view):
    from glue_spherex.plugin.coverage.picture import request_parameters

    return client_of(sky).ask(sky.url + PATH, request_parameters(view, "x"))


def test_no_network_and_cancelled(sky):
    client = client_of(sky)
    with pytest.raises(ArchiveStopped):
        fetch_picture(client, VIEW, "x", cancelled=lambda: True)
    sky.stop()
    with pytest.raises(ArchiveUnreachable, match="cannot be reached"):
        fetch_picture(client, VIEW, "x")
    sky.start = lambda: sky  # it is stopped already
    sky.stop = lambda: None


def test_settings(tmp_path):
    home = tmp_path / "coverage.toml"
    assert SkySettings.load(home) == SkySettings()
    home.write_text('hips = ["CDS/P/DSS2/color"]\nhips2fits = ""\nsurvey_moc = "/data/moc.fits"\n')
    settings = SkySettings.load(home)
    assert settings.hips == ("CDS/P/DSS2/color",)
    assert settings.origins == set()
    assert {host for _, host, _ in SkySettings(deep_moc="https://irsa.ipac.caltech.edu/x.fits").origins} == {
        "alasky.cds.unistra.fr",
        "irsa.ipac.caltech.edu",
    }
    for text, says in (
        ("hips2fits = 'http://example.org/x'", "https:// is needed"),
        ("hips2fits = 'https://a:b@example.org/x'", "user or password"),
        ("deep_moc = 'http://example.org/x'", "deep_moc is 'http://example.org/x'"),
        ("hips = 'DSS'", "a list of names of HiPS is needed"),
        ("timeout_s = -1", "timeout_s is -1; a number from 0.01 up is needed"),
        ("colour = 1", "holds 'colour', which is none"),
        ("hips = [", "cannot be read"),
    ):
        home.write_text(text)
        with pytest.raises(ArchiveError, match=says):
            SkySettings.load(home)


# -- coverage maps ----------------------------------------------------------------------------------------------------


@pytest.fixture
def map_file(tmp_path):
    """A MOC of 1/12 of the sky: the first of the twelve base cells of HEALPix, around (45, 41.8/2)."""
    from mocpy import MOC

    path = tmp_path / "map.fits"
    MOC.from_json({"0": [0]}).save(str(path), format="fits")
    return path


@needs_mocpy
@pytest.mark.parametrize("how", ["path", "address", "json"])
def test_map_from_anywhere(sky, map_file, tmp_path, how):
    place = str(map_file)
    if how == "address":
        sky.files["/moc.fits"] = map_file.read_bytes()
        place = sky.url + "/moc.fits"
    elif how == "json":
        place = str(tmp_path / "map.json")
        (tmp_path / "map.json").write_text('{"0": [0]}')
    moc = read_map(place, ArchiveClient(sky.settings(survey_moc=sky.url + "/moc.fits")))
    assert moc.sky_fraction == pytest.approx(1 / 12)
    view = SkyView(45, 0, 1e9, 360, 180)
    mask = mask_of(moc, view, step_px=1)
    inside = np.pi * view.ellipse[2] * view.ellipse[3] / 4
    assert mask.sum() / inside == pytest.approx(1 / 12, rel=0.02)  # equal areas
    x, y = view.pixels(45, 30)
    assert mask[round(float(y)), round(float(x))]
    assert not mask[round(float(view.pixels(45, -10)[1])), round(float(x))]


@needs_mocpy
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<html>maintenance</html>", "this is no coverage map"),
        (b"SIMPLE  =                    T" + b" " * 2850, "cannot be understood"),
        (b"{", "cannot be understood"),
        (b"", "this is no coverage map"),
    ],
)
def test_what_is_no_map_is_said(tmp_path, content, says):
    path = tmp_path / "map.fits"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=says):
        read_map(str(path))


@needs_mocpy
def test_cut_and_missing_maps(tmp_path, map_file, sky):
    map_file.write_bytes(map_file.read_bytes()[:3000])
    with pytest.raises(ArchiveError, match="cannot be understood"):
        read_map(str(map_file))
    with pytest.raises(ArchiveError, match=r"cannot be read .No such file"):
        read_map(str(tmp_path / "none.fits"))
    with pytest.raises(ArchiveError, match="does not belong"):
        read_map("https://example.org/moc.fits", client_of(sky))


@needs_mocpy
def test_map_of_images_has_their_area():
    half = 1.75
    corners = np.array([[(a - half, -half), (a + half, -half), (a + half, half), (a - half, half)] for a in (100, 102)])
    moc = map_of_footprints(corners)
    area = moc.sky_fraction * 41252.96
    assert area == pytest.approx(5.5 * 3.5, rel=0.08)
    from astropy import units as u

    assert moc.contains_lonlat([100, 103, 105] * u.deg, [1, 1, 1] * u.deg).tolist() == [True, True, False]
    with pytest.raises(ArchiveError, match="there are no images"):
        map_of_footprints(np.zeros((0, 4, 2)))


def test_without_mocpy(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mocpy", None)
    with pytest.raises(ArchiveError, match=r'without mocpy .*: run python -m pip install "\.\[archive\]"'):
        read_map(str(tmp_path / "map.fits"))


def test_deep_fields_are_at_the_ecliptic_poles():
    from astropy.coordinates import BarycentricMeanEcliptic, SkyCoord

    north, south = (
        SkyCoord(field.ra, field.dec, unit="deg").transform_to(BarycentricMeanEcliptic()) for field in DEEP_FIELDS
    )
    assert north.lat.deg > 89.9
    assert (south.lon.deg, south.lat.deg) == pytest.approx((44.8, -82.0), abs=0.01)
    assert sum(np.pi * field.radius_deg**2 for field in DEEP_FIELDS) == pytest.approx(200)
