import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.time import Time

from glue_spherex import Sersic, Source
from glue_spherex.model import SourceError, sky_offset, sky_positions


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0.49, "r_eff": 3}, r"n is 0\.49; allowed is 0\.5 <= n <= 6"),
        ({"n": 6.01, "r_eff": 3}, "n is 6.01"),
        ({"n": 1, "r_eff": 0}, r"r_eff is 0; allowed is 0 < r_eff <= 20 arcsec"),
        ({"n": 1, "r_eff": 20.1}, "r_eff is 20.1"),
        ({"n": 1, "r_eff": float("nan")}, "r_eff is nan"),
        ({"n": 1, "r_eff": 3, "axis_ratio": 0}, "axis_ratio is 0"),
        ({"n": 1, "r_eff": 3, "axis_ratio": 1.1}, "axis_ratio is 1.1"),
        ({"n": 1, "r_eff": 3, "position_angle": 361}, "position_angle is 361"),
        ({"n": "x", "r_eff": 3}, "n is 'x', which is not a number"),
    ],
)
def test_sersic_ranges(arguments, message):
    with pytest.raises(SourceError, match=message):
        Sersic(**arguments)


def test_sersic_limits_are_allowed():
    for n, r_eff, q, pa in [(0.5, 1, 1, -360), (6, 20.0, 0.01, 360)]:
        assert Sersic(n, r_eff, q, pa).r_eff == r_eff


def test_small_profile_is_a_point():
    assert Sersic(1, 0.99).is_point
    assert not Sersic(1, 1.0).is_point
    assert Source(1, 2, profile=Sersic(1, 0.5)).shape is None
    assert Source(1, 2, profile=Sersic(1, 1.5)).shape == Sersic(1, 1.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((361, 0), r"ra is 361; allowed is 0 <= ra <= 360 degrees"),
        ((-0.1, 0), "ra is -0.1"),
        ((0, 90.1), "dec is 90.1"),
        ((float("nan"), 0), "ra is nan"),
        (("12:00:00", 0), "not a number"),
        ((1, None), "dec is None"),
    ],
)
def test_source_ranges(arguments, message):
    with pytest.raises(SourceError, match=message):
        Source(*arguments)


def test_source_refuses_other_profiles():
    with pytest.raises(SourceError, match="profile is 'disk'"):
        Source(1, 2, profile="disk")


def test_error_names_the_source():
    with pytest.raises(SourceError, match="source 'Vega': dec is 95"):
        Source(279, 95, label="Vega")


def test_from_skycoord():
    coord = SkyCoord(
        10 * u.deg,
        20 * u.deg,
        pm_ra_cosdec=5 * u.mas / u.yr,
        pm_dec=-7 * u.mas / u.yr,
        obstime=Time(2016.0, format="jyear"),
    )
    source = Source(coord, label="a")
    assert (source.ra, source.dec, source.pmra, source.pmdec) == pytest.approx((10, 20, 5, -7))
    assert source.ref_epoch == pytest.approx(2016.0)
    galactic = Source(SkyCoord(0 * u.deg, 0 * u.deg, frame="galactic"))
    assert (galactic.ra, galactic.dec) == pytest.approx((266.40499, -28.93617), abs=1e-4)  # Reid & Brunthaler 2004
    with pytest.raises(SourceError, match="2 positions"):
        Source(SkyCoord([1, 2], [3, 4], unit="deg"))
    with pytest.raises(SourceError, match="beside a SkyCoord"):
        Source(coord, 3.0)


@pytest.mark.filterwarnings("ignore:ERFA function")  # astropy needs a distance and overrides it
@pytest.mark.parametrize(("ra", "dec"), [(150.1, 2.2), (359.9999, -45.0), (10.0, 89.9)])
def test_proper_motion_against_astropy(ra, dec):
    coord = SkyCoord(
        ra * u.deg,
        dec * u.deg,
        pm_ra_cosdec=-3000 * u.mas / u.yr,
        pm_dec=5000 * u.mas / u.yr,
        obstime=Time(2016.0, format="jyear"),
        distance=1 * u.kpc,
        radial_velocity=0 * u.km / u.s,
    )
    there = coord.apply_space_motion(Time(61000.0, format="mjd"))
    new_ra, new_dec = sky_positions([Source(coord)], 61000.0)
    assert there.separation(SkyCoord(new_ra[0], new_dec[0], unit="deg")).mas < 0.5


def test_only_moving_sources_move():
    still, moving = Source(200.0, -30.0), Source(200.0, -30.0, pmra=1000.0, ref_epoch=2000.0)
    ra, dec = sky_positions([still, moving], 51544.5 + 365.25 * 10)
    assert (ra[0], dec[0]) == (200.0, -30.0)
    assert (ra[1] - 200.0) * np.cos(np.radians(30)) * 3600 == pytest.approx(10.0, rel=1e-6)
    assert sky_positions([], 60000.0)[0].shape == (0,)


def test_sky_offset_against_astropy():
    start = SkyCoord([10.0, 359.9999], [60.0, -10.0], unit="deg")
    ra, dec = sky_offset(start.ra.deg, start.dec.deg, [3.0, 2.0], [4.0, -1.0])
    east, north = start.spherical_offsets_to(SkyCoord(ra, dec, unit="deg"))
    np.testing.assert_allclose(east.arcsec, [3.0, 2.0], atol=1e-4)
    np.testing.assert_allclose(north.arcsec, [4.0, -1.0], atol=1e-4)


def test_labels_can_be_written_anywhere():
    assert Source(1, 2, label=" bell\x07 and\nline ").label == "bell  and line"
    assert Source(1, 2, label="µ Cep / ζ").label == "µ Cep / ζ"
