"""Targets from regions in images."""

import numpy as np
import pytest

pytest.importorskip("glue")

from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from glue.core import Data, DataCollection
from glue.core.roi import RectangularROI
from glue.core.subset import ElementSubsetState, RoiSubsetState

from glue_spherex.io import TargetListError
from glue_spherex.plugin.image_data import load_image
from glue_spherex.plugin.measuring import regions
from glue_spherex.plugin.measuring.regions import is_image_region, targets_of_region


def sky(ra=150.0, dec=2.0, turn=0.0, flip=1, scale=6.15 / 3600, kinds=("RA---TAN", "DEC--TAN"), crpix=(20.5, 15.5)):
    """A WCS: right ascension grows to the left, unless it is flipped; turned by some degrees."""
    wcs = WCS(naxis=2)
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = kinds, (ra, dec), crpix
    wcs.wcs.cd = scale * np.array([[-flip * c, s], [flip * s, c]])
    return wcs


def image(wcs, shape=(30, 40)):
    data = Data(label="image", coords=wcs)
    data.add_component(np.zeros(shape), "flux")
    return data


def box(data, x0, x1, y0, y1):
    """A rectangle that is drawn in the pixels of an image."""
    roi = RectangularROI(xmin=x0, xmax=x1, ymin=y0, ymax=y1)
    state = RoiSubsetState(data.pixel_component_ids[1], data.pixel_component_ids[0], roi)
    return data.new_subset(state, label="box")


@pytest.mark.parametrize("turn", [0.0, 33.0, 215.0])
@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize(("ra", "dec"), [(150.0, 2.0), (0.001, -60.0)])
def test_centre_and_pixels(turn, flip, ra, dec):
    wcs = sky(ra, dec, turn, flip)
    region = box(image(wcs), 9.5, 12.5, 3.5, 8.5)  # pixels 10 to 12 and 4 to 8
    [centre] = targets_of_region(region).sources
    truth = SkyCoord(*wcs.wcs_pix2world(11, 6, 0), unit="deg")
    assert centre.coord.separation(truth).arcsec < 0.01
    assert centre.label == "box"
    targets = targets_of_region(region, "pixels")
    assert len(targets) == 15
    for source, x, y in zip(targets.sources, targets.table["x"], targets.table["y"]):
        truth = SkyCoord(*wcs.wcs_pix2world(x, y, 0), unit="deg")
        assert source.coord.separation(truth).arcsec < 1e-6
    assert len({source.label for source in targets.sources}) == 15
    assert targets.sources[0].label == "box 10, 4"


def test_a_region_around_the_pole():
    region = box(image(sky(77.0, 90.0, crpix=(12, 7))), 9.5, 12.5, 3.5, 8.5)  # the pole is in its middle
    [centre] = targets_of_region(region).sources
    assert centre.dec == pytest.approx(90, abs=1e-9)
    pixels = targets_of_region(region, "pixels").sources
    assert np.ptp([source.ra for source in pixels]) > 180


def test_other_frames_become_icrs():
    wcs = sky(120.0, 30.0, kinds=("GLON-TAN", "GLAT-TAN"))
    [centre] = targets_of_region(box(image(wcs), 9.5, 10.5, 3.5, 4.5)).sources
    truth = SkyCoord(*wcs.wcs_pix2world(10, 4, 0), unit="deg", frame="galactic").icrs
    assert centre.coord.separation(truth).arcsec < 1e-6


def test_a_level_2_image_that_is_a_cutout(simulated):
    field = simulated("pair", images=24, detectors=(2, 5), seed=12)
    data = load_image(sorted((field.folder / "images").glob("*.fits"))[3])
    assert data.meta["spherex"]["origin"] != [0, 0]
    region = box(data, 9.5, 10.5, 6.5, 7.5)
    ra, dec = data.coords.pixel_to_world_values(10.0, 7.0)
    [centre] = targets_of_region(region).sources
    assert (centre.ra, centre.dec) == (pytest.approx(float(ra), abs=1e-9), pytest.approx(float(dec), abs=1e-9))


def test_groups(simulated):
    data = image(sky())
    table = Data(label="table", x=[1.0])
    collection = DataCollection([table, data])
    roi = RectangularROI(xmin=1, xmax=4, ymin=1, ymax=4)
    state = RoiSubsetState(data.pixel_component_ids[1], data.pixel_component_ids[0], roi)
    group = collection.new_subset_group("region", state)
    assert is_image_region(group)
    assert is_image_region(data.subsets[0])
    assert not is_image_region(table.subsets[0])
    assert not is_image_region(data)
    assert len(targets_of_region(group)) == 1


def test_what_is_no_region(monkeypatch):
    data = image(sky())
    empty = data.new_subset(ElementSubsetState([]), label="nothing")
    with pytest.raises(TargetListError, match="'nothing' has no pixel in 'image'; draw it again"):
        targets_of_region(empty)
    cube = Data(label="cube", x=np.zeros((2, 3, 4)))
    with pytest.raises(TargetListError, match="'cube' has 3 dimensions"):
        targets_of_region(cube.new_subset(ElementSubsetState([1])))
    plain = Data(label="plain", x=np.zeros((3, 4)))
    subset = plain.new_subset(ElementSubsetState([1]), label="r")
    assert not is_image_region(subset)
    with pytest.raises(TargetListError, match="'plain' has no sky coordinates, so the region 'r'"):
        targets_of_region(subset)
    with pytest.raises(TargetListError, match="'image' is no region in an image"):
        targets_of_region(data)
    other = Data(label="other", y=[1.0])
    with pytest.raises(TargetListError, match="cannot be applied to 'image'"):
        targets_of_region(data.new_subset(other.id["y"] > 0))
    with pytest.raises(ValueError, match="what is 'edge'"):
        targets_of_region(empty, "edge")
    monkeypatch.setattr(regions, "MOST_PIXELS", 10)
    with pytest.raises(TargetListError, match="'box' has 15 pixels; at most 10 can be targets"):
        targets_of_region(box(data, 9.5, 12.5, 3.5, 8.5), "pixels")
    assert len(targets_of_region(box(data, 9.5, 12.5, 3.5, 8.5))) == 1


def test_pixels_that_are_not_on_the_sky():
    wcs = sky(0, 0, scale=10.0, kinds=("RA---SIN", "DEC--SIN"))
    with pytest.raises(TargetListError, match="no pixel of the region 'box' in 'image' is on the sky"):
        targets_of_region(box(image(wcs), -0.5, 2.5, -0.5, 2.5))
    assert len(targets_of_region(box(image(wcs), -0.5, 39.5, -0.5, 29.5), "pixels")) < 1200
