"""Sources at the same place are told."""

import pytest

from glue_spherex import Source
from glue_spherex.photometry.closing_notes import coincidences


def at(*places):
    return [Source(ra, dec, f"star {k}") for k, (ra, dec) in enumerate(places)]


@pytest.mark.parametrize("dec", [0.0, 60.0, -89.9])
def test_two_that_are_one(dec):
    """0.3 arcsec apart in declination; the other neighbour is 0.6 arcsec away."""
    arcsec = 1 / 3600
    (note,) = coincidences(at((10.0, dec), (50.0, dec), (10.0, dec + 0.3 * arcsec), (50.0, dec + 0.6 * arcsec)))
    assert note.startswith("2 sources have another one within 0.5″")
    assert "'star 0' and 'star 2' are 0.30″ apart" in note


def test_across_the_first_meridian():
    (note,) = coincidences(at((359.99999, 0.0), (0.00001, 0.0)))  # 0.072 arcsec
    assert "'star 0' and 'star 1' are 0.07″ apart" in note


def test_the_same_place_again_and_again():
    (note,) = coincidences(at(*[(10.0, 20.0)] * 5))
    assert note.startswith("5 sources")
    assert "are 0.00″ apart" in note
    first, second = note.split(": ")[1].split(" are ")[0].split(" and ")
    assert first != second


def test_nothing_to_tell():
    assert coincidences([]) == coincidences(at((10.0, 20.0))) == []
    assert coincidences(at((10.0, 20.0), (10.0, 20.0 + 0.51 / 3600))) == []
