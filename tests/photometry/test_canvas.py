import numpy as np

from glue_spherex.photometry.canvas import TILE_PX, regions


def test_each_measured_source_is_a_member_once():
    rng = np.random.default_rng(3)
    x, y = rng.uniform(-5, 2045, (2, 3000))
    measured = (x > 0) & (x < 2040) & (y > 0) & (y < 2040)
    found = regions(x, y, measured, 20)
    members = np.concatenate([region.members for region in found])
    assert sorted(members) == np.flatnonzero(measured).tolist()
    for region in found:
        everyone = np.concatenate([region.members, region.companions])
        assert len(set(everyone)) == len(everyone)
        # the box holds the reach of every source in it
        assert (x[everyone] - 20 >= region.x_lo - 0.5).all()
        assert (x[everyone] + 20 <= region.x_hi - 0.5).all()
        assert (y[everyone] - 20 >= region.y_lo - 0.5).all()
        assert (y[everyone] + 20 <= region.y_hi - 0.5).all()


def test_neighbours_share_a_region_and_strangers_do_not():
    x, y = np.array([100.0, 130.0, 500.0]), np.array([100.0, 120.0, 100.0])
    found = regions(x, y, np.ones(3, dtype=bool), 20)
    assert sorted(sorted(region.members) for region in found) == [[0, 1], [2]]
    assert [region.n_pixels for region in found] == [41 * 41, 71 * 61]


def test_a_companion_alone_makes_no_region():
    found = regions(np.array([10.0, 500.0]), np.array([10.0, 500.0]), np.array([True, False]), 20)
    assert len(found) == 1
    assert found[0].companions.size == 0


def test_a_large_group_is_cut_into_tiles_with_companions():
    x, y = (axis.ravel().astype(float) for axis in np.meshgrid(np.arange(0, 1000, 10), np.arange(0, 1000, 10)))
    found = regions(x, y, np.ones(x.size, dtype=bool), 20)
    assert len(found) > 4
    assert max(region.x_hi - region.x_lo for region in found) <= TILE_PX + 2 * 80 + 2 * 20 + 1
    for region in found:
        low, high = x[region.members].min(), x[region.members].max()
        near = (
            (x > low - 60) & (x < high + 60) & (y > y[region.members].min() - 60) & (y < y[region.members].max() + 60)
        )
        together = set(region.members) | set(region.companions)
        assert set(np.flatnonzero(near)) <= together
