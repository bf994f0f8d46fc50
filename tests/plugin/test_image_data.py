"""Level-2 images as glue data: planes, wavelength, and sky coordinates with distortion, also after a session."""

import shutil

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from glue.core import Data, DataCollection
from glue.core.data_factories import find_factory, load_data

from glue_spherex.images import ImageFileError
from glue_spherex.plugin.columns import kind_of
from glue_spherex.plugin.image_data import load_image
from glue_spherex.plugin.links import link_all

RELEASES = ("qr2", "qr3")


@pytest.fixture(params=RELEASES)
def image(request, simulated, made_spectrum):
    """A cutout somewhere on its detector."""
    folder = simulated("isolated", images=6, size=24, release=request.param, calibration=False).folder / "images"
    return sorted(folder.glob("*.fits"))[1]


def sky(path, x, y):
    header = fits.getheader(path, "IMAGE")
    return WCS(header).all_pix2world(np.column_stack([x, y]), 0).T


@pytest.mark.parametrize("include_data", [False, True])
def test_sky_before_and_after_a_session(image, restored, include_data):
    """Right to 1e-9 deg against astropy's WCS of the header, whose distortion is worth more than a pixel."""
    data = load_data(str(image))
    ny, nx = data.shape
    y, x = (part.ravel() for part in np.mgrid[:ny, :nx])
    ra, dec = sky(image, x, y)
    undistorted = WCS(fits.getheader(image, "IMAGE"))
    undistorted.sip = None
    assert np.abs(undistorted.all_pix2world(np.column_stack([x, y]), 0)[:, 1] - dec).max() > 1e-5
    for one in (data, *restored([data], include_data)):
        labels = {cid.label: cid for cid in one.world_component_ids}
        np.testing.assert_allclose(one.get_data(labels["Right Ascension"]).ravel(), ra, rtol=0, atol=1e-9)
        np.testing.assert_allclose(one.get_data(labels["Declination"]).ravel(), dec, rtol=0, atol=1e-9)
        back = one.coords.world_to_pixel_values(ra, dec)
        np.testing.assert_allclose(back, [x, y], atol=1e-6)
        assert one.meta["spherex"] == data.meta["spherex"]
        np.testing.assert_array_equal(one["flags"], data["flags"])


def test_planes(image):
    assert find_factory(str(image)) is load_image
    data = load_data(str(image))
    assert kind_of(data) == "image"
    assert [cid.label for cid in data.main_components] == ["image", "variance", "flags", "zodi", "wavelength"]
    with fits.open(image) as hdus:
        header = hdus["IMAGE"].header
        for name in ("image", "variance", "zodi"):
            np.testing.assert_array_equal(data[name], hdus[name.upper()].data)
        wave = WCS(header, fobj=hdus, key="W")
        wave.sip = None
        y, x = (part.ravel() for part in np.mgrid[: data.shape[0], : data.shape[1]])
        truth = wave.pixel_to_world(x, y)[0].to_value("um")
        np.testing.assert_allclose(data["wavelength"].ravel(), truth, atol=2e-6)
    assert data["flags"].dtype == np.int64
    assert data.get_component("image").units == "MJy / sr"
    about = data.meta["spherex"]
    assert about["detector"] == header["DETECTOR"]
    assert about["lvf_id"] == header["EXPIDN"]
    assert about["mjd"] == header["MJD-AVG"]
    assert about["origin"] == [1 - header["CRPIX1A"], 1 - header["CRPIX2A"]]


def test_a_region_of_the_image_selects_sources(image, made_spectrum):
    data = load_data(str(image))
    ra, dec = sky(image, [5, 20], [5, 20])
    catalogue = Data(label="catalogue", ra=ra, dec=dec)
    collection = DataCollection([data, catalogue])
    link_all(collection)
    middle = float(np.mean(ra))
    group = collection.new_subset_group("east", data.world_component_ids[1] > middle)
    np.testing.assert_array_equal(catalogue.subsets[0].to_mask(), ra > middle)
    group.subset_state = catalogue.id["dec"] > float(np.mean(dec))
    assert 0 < data.subsets[0].to_mask().sum() < data.size


def test_sky_objects(image):
    """What WCSAxes and scripts get: sky coordinates in ICRS."""
    from astropy.wcs.wcsapi import HighLevelWCSWrapper

    coords = load_data(str(image)).coords
    place = HighLevelWCSWrapper(coords).pixel_to_world(3, 4)
    assert isinstance(place, SkyCoord)
    np.testing.assert_allclose([place.icrs.ra.deg, place.icrs.dec.deg], sky(image, [3], [4])[:, 0], atol=1e-9)
    assert np.isnan(coords.world_to_pixel_values(place.ra.deg + 180, -place.dec.deg)[0])


def test_full_frames(simulated, made_spectrum):
    field = simulated("isolated", images=1, full=True, calibration=False)
    (path,) = (field.folder / "images").glob("*.fits")
    data = load_data(str(path))
    assert data.shape == (2040, 2040)
    assert np.isfinite(data["wavelength"]).all()
    ra, dec = sky(path, [0, 2039], [0, 2039])
    np.testing.assert_allclose(data.coords.pixel_to_world_values([0, 2039], [0, 2039]), [ra, dec], atol=1e-9)


def test_files_of_others_and_broken_ones(tmp_path, image):
    fits.writeto(tmp_path / "other.fits", np.zeros((4, 4)))
    assert find_factory(str(tmp_path / "other.fits")) is not load_image
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((4, 4)), name="IMAGE")])
    hdus[1].header["DETECTOR"] = 3
    hdus.writeto(tmp_path / "else.fits")
    assert find_factory(str(tmp_path / "else.fits")) is not load_image
    broken = tmp_path / "broken.fits"
    shutil.copy(image, broken)
    with open(broken, "r+b") as stream:
        stream.truncate(30000)
    assert find_factory(str(broken)) is load_image
    with pytest.raises(ImageFileError, match=r"broken\.fits: .*truncated"):
        load_data(str(broken))
    with pytest.raises(FileNotFoundError, match=r"gone\.fits: there is no such file, so the image cannot be loaded"):
        load_image(tmp_path / "gone.fits")
