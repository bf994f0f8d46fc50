"""Where positions are in a view of the sky: against distances and directions on the sphere."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from glue_spherex.plugin.coverage.lines import circle, graticule, in_sight, outlines
from glue_spherex.plugin.coverage.view import SkyView


def spread(n=500, seed=1):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


@pytest.mark.parametrize("width", [343, 200, 100, 10, 0.5, 1 / 60])
@pytest.mark.parametrize(("ra", "dec"), [(0, 0), (10, -40), (270, 66.5), (359.9, 89.9), (120, -90)])
def test_east_is_left_and_north_is_up(ra, dec, width):
    view = SkyView(ra, dec, width)
    step = 1e-3 * min(width, 10)
    centre = SkyCoord(view.ra, view.dec, unit="deg")
    x, y = view.pixels(view.ra, view.dec)
    assert (x, y) == pytest.approx(((view.nx - 1) / 2, (view.ny - 1) / 2))
    if abs(dec) < 90:
        for angle, direction in ((0, (0, 1)), (90, (-1, 0)), (180, (0, -1)), (270, (1, 0))):
            near = centre.directional_offset_by(angle * u.deg, step * u.deg)
            moved = np.array(view.pixels(near.ra.deg, near.dec.deg)) - (x, y)
            if view.all_sky:  # scales of an equal-area projection differ along the axes
                if abs(dec) < 80:
                    assert moved / np.hypot(*moved) == pytest.approx(direction, abs=2e-3)
            else:
                assert moved * view.scale_deg / step == pytest.approx(direction, abs=2e-3)


def test_scale_of_narrow_views():
    """Distances between pixels are those on the sky."""
    view = SkyView(150.1, 2.2, 1.0, 800, 600)
    here, there = SkyCoord(150.0, 2.1, unit="deg"), SkyCoord(150.3, 2.35, unit="deg")
    (x, y), (other_x, other_y) = view.pixels(150.0, 2.1), view.pixels(150.3, 2.35)
    assert np.hypot(other_x - x, other_y - y) * view.scale_deg == pytest.approx(here.separation(there).deg, rel=1e-4)


def test_known_directions_on_the_whole_sky():
    """Mollweide's projection: the poles on the axis, a hemisphere in a circle, latitude by its own equation."""
    view = SkyView(0, 0, 1e9, 1000, 500)
    x0, y0, width, height = view.ellipse
    assert width == pytest.approx(2 * height)
    assert view.pixels(90, 0)[0] == pytest.approx(x0 - width / 4)
    assert view.pixels(270, 0)[0] == pytest.approx(x0 + width / 4)
    assert np.array(view.pixels(123, 90)) == pytest.approx([x0, y0 + height / 2])
    angle = np.radians(40)  # 2 t + sin 2t = pi sin(dec)
    dec = np.degrees(np.arcsin((2 * angle + np.sin(2 * angle)) / np.pi))
    assert view.pixels(45, dec)[1] == pytest.approx(y0 + height / 2 * np.sin(angle))
    assert view.pixels(45, dec)[0] == pytest.approx(x0 - width / 2 * np.cos(angle) * 45 / 180)


@pytest.mark.parametrize("view", [SkyView(33, 0, 1e9), SkyView(200, -60, 100), SkyView(200, 80, 2)])
def test_there_and_back(view):
    ra, dec = spread()
    x, y = view.pixels(ra, dec)
    seen = np.isfinite(x)
    distance = SkyCoord(ra[seen], dec[seen], unit="deg").separation(SkyCoord(*view.sky(x[seen], y[seen]), unit="deg"))
    assert seen.any()
    assert distance.deg.max() < 1e-6
    if not view.all_sky:
        hidden = SkyCoord(ra[~seen], dec[~seen], unit="deg").separation(SkyCoord(view.ra, view.dec, unit="deg"))
        assert hidden.deg.min() > 119


def test_no_position_is_nowhere():
    x, y = SkyView().pixels([np.nan, 10, 10], [0, 91, np.inf])
    assert np.isnan(x).all()
    assert np.isnan(y).all()
    assert np.isnan(SkyView().sky(0, 0)).all()  # a corner outside the ellipse


@pytest.mark.parametrize("start", [SkyView(), SkyView(150, 2, 100), SkyView(80, -70, 5), SkyView(10, 88, 4)])
def test_zooming_keeps_what_is_under_the_mouse(start):
    view, place = start, (510.0, 300.0)
    there = SkyCoord(*start.sky(*place), unit="deg")
    for _ in range(30):
        view = view.zoomed(0.8, *place)
        assert there.separation(SkyCoord(*view.sky(*place), unit="deg")).deg < 0.01 * view.scale_deg
    assert view.width_deg == pytest.approx(max(start.width_deg * 0.8**30, 1 / 60))
    for _ in range(80):
        view = view.zoomed(1.25, *place)
    assert view.all_sky
    assert view.width_deg == view.zoomed(2).width_deg


def test_dragging_moves_the_sky_with_the_mouse():
    view = SkyView(359.5, 10, 5)
    moved = view.dragged(100, 100, 600, 400)
    before, after = (SkyCoord(*v.sky(*place), unit="deg") for v, place in ((view, (100, 100)), (moved, (600, 400))))
    assert before.separation(after).deg < view.scale_deg
    whole = SkyView()
    assert whole.dragged(400, 250, 500, 250).ra == pytest.approx(100 * whole.scale_deg * 360 / 324.11, rel=0.01)
    assert whole.dragged(400, 250, 400, 300).dec == 0
    assert whole.dragged(0, 0, 100, 100) == whole  # outside the sky there is nothing to drag


def test_view_of_all_targets():
    ra, dec = np.array([359.0, 1.0, np.nan]), np.array([-1.0, 1.0, 5.0])
    view = SkyView().holding(ra, dec)
    x, y = view.pixels(ra[:2], dec[:2])
    assert ((x > 0) & (x < view.nx) & (y > 0) & (y < view.ny)).all()
    assert 3 < view.width_deg < 8
    assert SkyView().holding(*spread()).all_sky
    assert SkyView().holding([], []).all_sky
    assert SkyView().holding([10], [20], least_deg=0.3).width_deg == pytest.approx(0.3)


def test_another_window_shows_the_same():
    view = SkyView(10, 20, 5, 800, 500)
    assert view.resized(400, 500).scale_deg * 400 == pytest.approx(view.scale_deg * 500)
    assert SkyView().resized(1000, 300).all_sky
    _, _, width, height = SkyView().resized(1000, 300).ellipse
    assert width < 1000
    assert height < 300
    assert not SkyView(10, 20, 159, 800, 500).resized(2000, 300).all_sky


def test_grid_has_true_numbers():
    view = SkyView(150, 2, 10, 800, 500)
    for text, x, y, kind in graticule(view).labels:
        ra, dec = view.sky(x, y)
        if kind == "dec":
            degrees, _, minutes = text.strip("+-′").partition("°")
            number = float(degrees) + float(minutes or 0) / 60
            assert number * (-1 if text[0] == "-" else 1) == pytest.approx(float(dec), abs=0.02)
        else:
            hours, _, minutes = text.rstrip("m").partition("h")
            assert 15 * (float(hours) + float(minutes or 0) / 60) == pytest.approx(float(ra), abs=0.02)
    kinds = [label[3] for label in graticule(view).labels]
    assert kinds.count("ra") >= 3
    assert kinds.count("dec") >= 3


@pytest.mark.parametrize(
    "view", [SkyView(77, 0, 1e9), SkyView(77, 90, 20), SkyView(77, -89, 20), SkyView(0, 0, 1 / 60)]
)
def test_grid_lines_do_not_jump(view):
    lines = graticule(view).lines
    assert len(lines) >= 4
    for line in lines:
        assert np.hypot(*np.diff(line, axis=0).T).max() < view.nx / 3


def test_circle_is_round():
    centre = SkyCoord(270, 66.561, unit="deg")
    distance = centre.separation(SkyCoord(*circle(270, 66.561, 5.6), unit="deg"))
    assert distance.deg == pytest.approx(np.full(181, 5.6))


def squares(ra, dec, half_deg):
    """Corners of images, shape (n, 4, 2)."""
    centre = SkyCoord(ra, dec, unit="deg")
    away = half_deg * np.sqrt(2) * u.deg
    corners = [centre.directional_offset_by(angle * u.deg, away) for angle in (45, 135, 225, 315)]
    return np.stack([np.column_stack([c.ra.deg, c.dec.deg]) for c in corners], axis=1)


def test_outlines_are_where_the_corners_are():
    corners = squares([150.0, 330.0], [2.0, -2.0], 1.75)
    view = SkyView(150, 2, 10)
    segments, owners = outlines(view, corners)
    assert owners.tolist() == [0]
    for (x, y), (ra, dec) in zip(segments[0], [*corners[0], corners[0][0]]):
        assert SkyCoord(*view.sky(x, y), unit="deg").separation(SkyCoord(ra, dec, unit="deg")).deg < 1e-6


def test_outlines_over_the_seam_are_not_drawn_across_the_sky():
    view = SkyView(0, 0, 1e9)
    segments, owners = outlines(view, squares([180.0, 90.0], [5.0, 0.0], 1.75))
    assert set(owners.tolist()) == {0, 1}
    assert np.ptp(segments[..., 0], axis=1).max() < 50


def test_outlines_that_hold_the_whole_view_stay():
    """Nearer than an image is wide, its sides are far outside; those of a neighbour cross the view."""
    view = SkyView(150, 2, 0.1)
    segments, owners = outlines(view, squares([150.0, 151.75], [2.0, 2.0], 1.75))
    assert 1 in owners
    crossing = segments[owners.tolist().index(1)]
    assert crossing[:, 0].min() < view.nx


@pytest.mark.parametrize("dec", [-88, -85, -80, -60, 5, 70, 80, 85, 88])
def test_lines_over_the_seam_near_a_pole_stay_on_their_image(dec):
    """There the sky is narrower than a third of its equator: every point drawn is one of the image's surroundings."""
    view = SkyView(40, 0, 1e9)
    for ra in (215.0, 219.0, 220.0, 221.5, 40.0):
        segments, owners = outlines(view, squares([ra], [dec], 1.75))
        assert len(owners) >= 1
        for x, y in np.moveaxis(segments, -1, 1):
            between = np.linspace(0, 1, 9)[:, None]
            places = (x[:-1] + between * np.diff(x)).ravel(), (y[:-1] + between * np.diff(y)).ravel()
            away = SkyCoord(*view.sky(*places), unit="deg").separation(SkyCoord(ra, dec, unit="deg"))
            assert away.deg.max() < 4  # half its diagonal is 2.5 deg, and straight lines do not bend with the sky


@pytest.mark.parametrize("dec", [-86, -80, 80, 86])
def test_circles_over_the_seam_near_a_pole_stay_round(dec):
    view = SkyView(40, 0, 1e9)
    parts = in_sight(view, *view.pixels(*circle(220.0, dec, 3.0)))
    assert len(parts) > 1
    for part in parts:
        between = np.linspace(0, 1, 9)[:, None, None]
        x, y = (part[:-1] + between * np.diff(part, axis=0)).reshape(-1, 2).T
        away = SkyCoord(*view.sky(x, y), unit="deg").separation(SkyCoord(220, dec, unit="deg"))
        assert away.deg == pytest.approx(np.full(len(x), 3.0), abs=0.3)
