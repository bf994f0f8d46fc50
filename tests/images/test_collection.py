import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from glue_spherex.images.collection import FolderCollection, ImageCollection
from glue_spherex.images.errors import ImageFileError
from glue_spherex.images.index import ImageIndex
from glue_spherex.images.spectral_image import SpectralImage
from glue_spherex.model.source import Sersic, Source


@pytest.fixture
def images(make_image):
    """Detector 1 to 4 at four places, one every 100 days; the last at the pole, across RA 0 at the third."""
    places = [(10.0, 40.9), (11.0, 40.0), (0.001, -30.0), (123.0, 89.9)]
    for number, place in enumerate(places, 1):
        path = make_image(
            name=f"level2_{number}.fits", obsid=f"2025W51_1A_068{number}_2", detector=number, centre=place,
            origin=(1000, 1000), flip=(-1) ** number, angle=70.0 * number, mjd=61000.0 + 100 * number, shape=(50, 40),
        )  # fmt: skip
    return FolderCollection(path.parent)


def sky(images, number, x, y):
    return [float(v) for v in SpectralImage(images.records[number]).to_sky(x, y)]


def found(matches):
    return [(match.record.detector, match.sources.tolist()) for match in matches]


def test_sources_are_found_on_their_images(images):
    assert isinstance(images, ImageCollection)
    sources = [
        Source(*sky(images, 0, 20, 20)),
        Source(*sky(images, 1, 0, 0)),
        Source(200, 0),
        Source(*sky(images, 2, 39, 49)),
        Source(*sky(images, 1, 39, 0)),
        Source(*sky(images, 3, 10, 45)),
    ]
    matches = images.find(sources)
    assert found(matches) == [(1, [0]), (2, [1, 4]), (3, [3]), (4, [5])]
    with images.open(matches[1].record) as image:
        x, y = image.to_pixels(sources[4].ra, sources[4].dec)
        np.testing.assert_allclose([x, y], [39, 0], atol=1e-5)
    assert images.find([Source(200, 0)]) == []
    assert images.find([]) == []


def test_no_source_on_an_image_is_missed_and_few_beside_it_are_found(images):
    rng = np.random.default_rng(2)
    for number in range(4):
        x, y = rng.uniform(-200, 240, 400), rng.uniform(-200, 250, 400)
        ra, dec = SpectralImage(images.records[number]).to_sky(x, y)
        matches = images.find([Source(a, b) for a, b in zip(ra, dec)], detectors=[number + 1])
        hit = np.zeros(400, bool)
        hit[matches[0].sources] = True
        on_image = (x > -0.5) & (x < 39.5) & (y > -0.5) & (y < 49.5)
        far = (x < -25) | (x > 65) | (y < -25) | (y > 75)
        assert hit[on_image].all()
        assert not hit[far].any()


def test_full_frames(make_image):
    images = FolderCollection(make_image(name="level2_1.fits", origin=(0, 0), shape=(2040, 2040)).parent)
    edge = np.linspace(0, 2039, 60)
    x = np.concatenate([edge, edge, 0 * edge, 0 * edge + 2039])
    y = np.concatenate([0 * edge, 0 * edge + 2039, edge, edge])
    ra, dec = SpectralImage(images.records[0]).to_sky(x, y)
    assert len(images.find([Source(a, b) for a, b in zip(ra, dec)])[0].sources) == 240  # edges are curved


def test_filters(images):
    sources = [Source(*sky(images, number, 20, 20)) for number in range(4)]
    assert found(images.find(sources, detectors=[2, 3])) == [(2, [1]), (3, [2])]
    assert found(images.find(sources, wavelength=[(0.7, 0.8), (2.5, 9)])) == [(1, [0]), (4, [3])]
    assert found(images.find(sources, wavelength=[(6, 7)])) == []
    for single in ((2.5, 9), [2.5, 9], np.array([2.5, 9])):
        assert found(images.find(sources, wavelength=single)) == [(4, [3])]
    assert found(images.find(sources, time=(61150, 61300))) == [(2, [1]), (3, [2])]
    assert images.find(sources, detectors=[5]) == []
    with pytest.raises(ImageFileError, match=r"detectors: \[7\] do not exist; allowed are 1 to 6"):
        images.find(sources, detectors=[7])


def test_proper_motion_is_allowed_for(images):
    place = SkyCoord(*sky(images, 0, 20, 20), unit="deg").directional_offset_by(30 * np.pi / 180, 0.0)
    there = SkyCoord(*sky(images, 0, 20, 20), unit="deg")
    start = there.spherical_offsets_by(0 * place.ra, -(4.0 / 60) * place.dec.unit)
    moving = Source(start.ra.deg, start.dec.deg, pmdec=10_000.0, ref_epoch=2001.0)  # 4 arcmin in 24 years
    still = Source(start.ra.deg, start.dec.deg, ref_epoch=2001.0)
    assert found(images.find([still, moving])) == [(1, [1])]


def test_the_light_of_extended_sources_reaches_farther(images):
    profiles = {"point": None, "as a point": Sersic(4, 0.9), "5 arcsec": Sersic(1, 5), "20 arcsec": Sersic(1, 20, 0.1)}

    def reached(x):
        ra, dec = sky(images, 0, x, 20)  # the image ends at x = 39.5
        matches = images.find([Source(ra, dec, label, profile) for label, profile in profiles.items()])
        return [list(profiles)[k] for match in matches for k in match.sources]

    assert reached(45) == list(profiles)
    assert reached(39 + 16) == ["5 arcsec", "20 arcsec"]  # 8.2 × 5 / 6.15 = 6.7 pixels beyond the 10 of a point
    assert reached(39 + 35) == ["20 arcsec"]  # 26.7 pixels
    assert reached(39 + 42) == []


def test_folders_without_images(tmp_path, make_image):
    with pytest.raises(ImageFileError, match="there is no folder"):
        FolderCollection(tmp_path / "none").refresh()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageFileError, match=f"there is no FITS file in {tmp_path}/empty; SPHEREx Level-2 images"):
        _ = FolderCollection(tmp_path / "empty").records
    maps = tmp_path / "maps"
    maps.mkdir()
    (maps / "solid_angle_pixel_map_D1_spx_cal-sapm-v2-2025-164.fits").write_bytes(b"")
    with pytest.raises(ImageFileError, match=r"there are calibration files in .*maps, .* but no image"):
        FolderCollection(maps).refresh()
    (tmp_path / "empty" / "other.fits").write_bytes(b"nothing")
    with pytest.raises(
        ImageFileError, match=r"none of the 1 FITS files in .* can be measured. The first, .*other.fits: is"
    ):
        _ = FolderCollection(tmp_path / "empty").records
    with pytest.raises(ImageFileError, match="no folder is given"):
        FolderCollection([])


def test_failures_do_not_stop_the_rest(images):
    bad = os.path.join(images.folders[0], "level2_0.fits")
    with open(bad, "wb") as file:
        file.write(b"nothing")
    assert len(images.records) == 4
    assert [path for path, _ in images.failures] == [bad]
    assert images.parsed == 5
    images.refresh()
    assert images.parsed == 0


def test_a_file_without_psf_is_a_failure_without_calibration(images, make_image):
    path = make_image(name="level2_9.fits", drop=("PSF",))
    images.refresh()
    assert [p for p, _ in images.failures] == [str(path)]
    assert "no HDU named PSF or EPSF" in images.failures[0][1]


def test_a_cancelled_refresh_leaves_what_is_known(make_image):
    folder = make_image(name="level2_1.fits").parent
    images = FolderCollection(folder)
    images.refresh(cancelled=lambda: True)
    assert images.records == []
    assert images.find([Source(10, 40.9)]) == []
    images.refresh()
    assert len(images.records) == 1


def mean_of_box(opener, record):
    with opener.open(record) as image:
        return float(image.cutout(0, 10, 0, 10).image.mean())


def test_in_other_processes(images):
    expected = [mean_of_box(images, record) for record in images.records]
    opener = images.opener()
    assert len(pickle.dumps(opener)) < 1000
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(mean_of_box, [opener] * 4, images.records)) == expected
    copy = pickle.loads(pickle.dumps(images))
    assert [r.path for r in copy.records] == [r.path for r in images.records]
    assert copy.parsed == 0


def test_an_index_of_ones_own(images, tmp_path):
    own = FolderCollection(images.folders, index=ImageIndex(tmp_path / "own.sqlite"))
    assert len(own.records) == 4
    assert (tmp_path / "own.sqlite").exists()
