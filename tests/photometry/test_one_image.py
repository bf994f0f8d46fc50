import numpy as np
import pytest
from astropy.table import Table

from glue_spherex import FolderCollection, Source, measure, read_targets
from glue_spherex.images import SpectralImage
from glue_spherex.model import FIT_MASK, Flag, sky_offset
from glue_spherex.photometry import Settings, measure_image, run
from glue_spherex.photometry.canvas_fit import expected_variance


def truth_of(field, spectra):
    """The truth in the order of a spectrum table."""
    truth = Table.read(field.truth)
    place = {(str(row["label"]), int(row["exposure_id"])): number for number, row in enumerate(truth)}
    return truth[[place[str(a), int(b)] for a, b in zip(spectra["label"], spectra["lvf_id"])]]


def collection(field, calibration=True):
    return FolderCollection(field.folder / "images", field.calibration if calibration else None)


@pytest.fixture(scope="module")
def measured(simulated):
    """``measured(scene, **options)``: a simulated field and its result with all defaults, measured once."""
    known = {}

    def measure_once(scene, **options):
        key = (scene, *sorted(options.items()))
        if key not in known:
            field = simulated(scene, **options)
            known[key] = field, run(read_targets(field.targets).sources, collection(field))
        return known[key]

    return measure_once


def nmad(values):
    return 1.4826 * np.median(np.abs(values - np.median(values)))


@pytest.mark.parametrize("release", ["qr2", "qr3"])
@pytest.mark.parametrize(("scene", "limit"), [("isolated", 0.003), ("pair", 0.005)])
def test_fluxes_errors_and_wavelengths(measured, release, scene, limit):
    field, result = measured(scene, images=80, detectors=(2, 5), release=release, seed=3)
    spectra, truth = result.spectra, truth_of(field, result.spectra)
    assert len(spectra) == 80 * len(read_targets(field.targets))
    good = spectra["n_bad_pixels"] == 0
    flux, error = spectra["flux"].value, spectra["flux_err"].value
    for label in set(spectra["label"]):
        here = good & (spectra["label"] == label)
        assert np.median(flux[here] / error[here]) > 40
        assert abs(np.median(flux[here] / truth["flux_ujy"][here]) - 1) < limit
        pull = (flux - truth["flux_ujy"])[here] / error[here]
        assert abs(np.median(pull)) < 0.45  # three times the scatter of the median of 70 pulls
        assert 0.6 < nmad(pull) < 1.4  # the same for their NMAD; docs/benchmarks/accuracy.py has more of them
    np.testing.assert_allclose(spectra["wavelength"].value, truth["wavelength"], atol=1e-4)  # 0.1 nm
    np.testing.assert_allclose(spectra["lambda_width"].value, truth["width"], atol=1e-4)
    np.testing.assert_allclose(spectra["x_image"].value, truth["x"], atol=1e-3)
    np.testing.assert_allclose(spectra["y_image"].value, truth["y"], atol=1e-3)
    np.testing.assert_allclose(spectra["mjd"].value, truth["mjd"], atol=1e-6)
    background = (spectra["flux_bkg"].value - truth["background"]) / spectra["flux_bkg_err"].value
    assert 0.7 < nmad(background) < 1.4
    assert abs(np.median(spectra["fit_ql"][good]) - np.sqrt(2 / np.pi)) < 0.06
    assert set(spectra["data_collection"]) == {f"spherex_{release}"}


def test_without_calibration(simulated):
    field = simulated("isolated", images=80, detectors=(2, 5), release="qr2", seed=3)
    result = run(read_targets(field.targets).sources, collection(field, calibration=False))
    truth = truth_of(field, result.spectra)
    assert set(result.images["wavelength_source"]) == {"WCS-WAVE"}
    assert set(result.images["solid_angle_source"]) == {"OMEGA_MEDIAN"}
    np.testing.assert_allclose(result.spectra["wavelength"].value, truth["wavelength"], atol=1e-3)  # 1 nm
    ratio = result.spectra["flux"].value / truth["flux_ujy"]
    assert abs(np.median(ratio[result.spectra["n_bad_pixels"] == 0]) - 1) < 0.02


def test_sersic_fluxes(simulated):
    field = simulated("sersic", images=30, detectors=(2, 5), seed=4)
    spectra = measure(read_targets(field.targets).sources, collection(field), extent="infinite")
    truth = truth_of(field, spectra)
    for label in set(spectra["label"]):
        here = (spectra["label"] == label) & (spectra["n_bad_pixels"] == 0)
        pull = ((spectra["flux"].value - truth["flux_ujy"]) / spectra["flux_err"].value)[here]
        assert abs(np.median(pull)) < 0.5
        assert nmad(pull) < 1.4


def test_a_neighbour_that_is_left_out_costs_ten_percent(simulated):
    field = simulated("pair", images=80, detectors=(2, 5), release="qr2", seed=3)
    alone = measure(read_targets(field.targets).sources[:1], collection(field))
    ratio = alone["flux"].value / truth_of(field, alone)["flux_ujy"]
    assert np.median(ratio) > 1.05


@pytest.mark.parametrize("release", ["qr2", "qr3"])
def test_full_frame(simulated, release):
    field = simulated("field", images=1, full=True, detectors=(2,), release=release, n_sources=60, seed=5)
    result = run(read_targets(field.targets).sources, collection(field), Settings(extent="infinite"))
    assert list(result.images["status"]) == ["measured"]
    spectra = result.spectra
    truth = Table.read(field.truth)
    on_frame = (truth["x"] >= -0.5) & (truth["x"] < 2039.5) & (truth["y"] >= -0.5) & (truth["y"] < 2039.5)
    assert set(spectra["label"]) == set(truth["label"][on_frame])
    assert len(spectra) > 15
    truth = truth_of(field, spectra)
    np.testing.assert_allclose(spectra["wavelength"].value, truth["wavelength"], atol=1e-4)
    pull = ((spectra["flux"].value - truth["flux_ujy"]) / spectra["flux_err"].value)[spectra["n_bad_pixels"] == 0]
    assert abs(np.median(pull)) < 0.7
    assert nmad(pull) < 1.6


def test_full_frame_does_not_depend_on_far_sources(simulated):
    """Boxes that are stacked into one canvas do not see each other."""
    field = simulated("field", images=1, full=True, detectors=(2,), release="qr2", n_sources=60, seed=5)
    sources = read_targets(field.targets).sources
    image = SpectralImage.open(field.images[0], field.calibration)
    together = measure_image(image, sources)
    x, y = together["x_image"], together["y_image"]
    apart = np.hypot(x[:, None] - x, y[:, None] - y) + 1e4 * np.eye(len(x))
    lonely = np.flatnonzero(apart.min(axis=1) > 80)
    assert lonely.size > 3
    for place in lonely[:6]:
        alone = measure_image(image, [sources[together["source_id"][place]]])
        for name in ("flux", "flux_err", "flux_bkg", "fit_ql", "n_bkg_pixels"):
            # the gain, and with it the weights, are taken from all pixels that were read
            assert alone[name][0] == pytest.approx(together[name][place], rel=2e-3), name


def test_crowded_frame_is_fitted_in_tiles(simulated, monkeypatch):
    """Tiles with a margin give what one joint fit of everything gives."""
    from glue_spherex.photometry import canvas

    field = simulated("crowded", images=1, size=700, detectors=(2,), n_sources=500, seed=6)
    sources = read_targets(field.targets).sources
    image = SpectralImage.open(field.images[0], field.calibration)
    x, y = image.to_pixels(np.array([s.ra for s in sources]), np.array([s.dec for s in sources]))
    some = [sources[k] for k in np.flatnonzero((x > 50) & (x < 650) & (y > 150) & (y < 550))]
    whole = measure_image(image, some, Settings(weights="variance"))
    monkeypatch.setattr(canvas, "TILE_PX", 150)
    tiled = measure_image(image, some, Settings(weights="variance"))
    assert len(whole["flux"]) == len(some) > 100
    difference = np.abs(tiled["flux"] - whole["flux"]) / whole["flux_err"]
    assert np.nanmax(difference) < 0.02
    np.testing.assert_array_equal(tiled["source_id"], whole["source_id"])


def test_positions_are_checked_by_their_light(measured):
    """A position that is 0.6" off is reported with size, direction and error; rotated images."""
    field, result = measured("isolated", images=80, detectors=(2, 5), release="qr2", seed=3)
    (true,), right = read_targets(field.targets).sources, result.targets[0]
    assert np.hypot(right["offset_east"], right["offset_north"]) < 5 * right["offset_east_err"]
    ra, dec = sky_offset(np.array([true.ra]), np.array([true.dec]), np.array([0.5]), np.array([-0.3]))
    wrong = run([Source(ra[0], dec[0])], collection(field)).targets[0]
    assert wrong["offset_east"] == pytest.approx(-0.5, abs=0.05)
    assert wrong["offset_north"] == pytest.approx(0.3, abs=0.05)
    assert 0 < wrong["offset_east_err"] < 0.05


def test_proper_motion_is_followed(simulated):
    field = simulated("motion", images=30, detectors=(2, 5), seed=8)
    sources = read_targets(field.targets).sources
    moving = max(sources, key=lambda source: np.hypot(source.pmra, source.pmdec))
    assert np.hypot(moving.pmra, moving.pmdec) > 100
    spectra = measure(sources, collection(field))
    truth = truth_of(field, spectra)
    np.testing.assert_allclose(spectra["ra"].value, truth["ra"], atol=3e-8)
    np.testing.assert_allclose(spectra["dec"].value, truth["dec"], atol=3e-8)
    pull = (spectra["flux"].value - truth["flux_ujy"]) / spectra["flux_err"].value
    assert abs(np.median(pull[spectra["n_bad_pixels"] == 0])) < 0.5


def test_positions_off_and_on_the_border(simulated):
    field = simulated("isolated", images=80, detectors=(2, 5), release="qr2", seed=3)
    image = SpectralImage.open(field.images[0], field.calibration)
    ny, nx = image.record.shape
    x = np.array([-0.6, -0.4, nx - 0.6, nx - 0.4, nx / 2, nx + 40.0])
    y = np.full(6, ny / 2 + 9)
    sources = [Source(*position) for position in zip(*image.to_sky(x, y))]
    rows = measure_image(image, [*sources, Source(10.0, -80.0)])
    assert rows["source_id"].tolist() == [1, 2, 4]
    np.testing.assert_allclose(rows["x_image"], image.record.origin[0] + x[[1, 2, 4]], atol=1e-5)
    assert (rows["masked_fraction"][:2] > 0.3).all()
    assert np.isfinite(rows["flux"][:2]).all()
    assert rows["masked_fraction"][2] < 0.2
    assert measure_image(image, [Source(10.0, -80.0)])["flux"].shape == (0,)
    assert measure_image(image, [Source(10.0, -80.0)])["centroid"].shape == (0, 5)


def test_companion_beside_the_image_is_fitted_along(simulated):
    field = simulated("isolated", images=80, detectors=(2, 5), release="qr2", seed=3)
    image = SpectralImage.open(field.images[0], field.calibration)
    ny, nx = image.record.shape
    ra, dec = image.to_sky(np.array([nx - 2.0, nx + 0.8]), np.full(2, ny / 2))
    inside, beside = Source(ra[0], dec[0]), Source(ra[1], dec[1])
    alone, both = measure_image(image, [inside]), measure_image(image, [inside, beside])
    assert both["source_id"].tolist() == [0]
    assert both["flux_err"][0] > 1.02 * alone["flux_err"][0]  # marginalised over the companion


def test_source_without_a_usable_pixel_keeps_its_row(simulated, tmp_path):
    from astropy.io import fits

    field = simulated("isolated", images=80, detectors=(2, 5), release="qr2", seed=3)
    path = tmp_path / field.images[0].name
    with fits.open(field.images[0]) as hdus:
        hdus["FLAGS"].data[:] |= int(Flag.NONFUNC)
        hdus.writeto(path)
    rows = measure_image(SpectralImage.open(path), read_targets(field.targets).sources)
    assert len(rows["flux"]) == 1
    assert np.isnan(rows["flux"][0])
    assert rows["flux_err"][0] == np.inf
    assert Flag.decode(rows["flags"][0])[-2:] == ["CONTAINS_BAD_PIXEL", "FIT_ERROR"]
    assert rows["n_bad_pixels"][0] >= 18
    assert not rows["local_bkg_flg"][0]


@pytest.mark.parametrize(
    ("plane", "value"), [("IMAGE", np.nan), ("VARIANCE", 0), ("VARIANCE", -1), ("VARIANCE", np.nan)]
)
def test_useless_planes(simulated, tmp_path, plane, value):
    from astropy.io import fits

    field = simulated("isolated", images=80, detectors=(2, 5), release="qr2", seed=3)
    path = tmp_path / field.images[0].name
    with fits.open(field.images[0]) as hdus:
        hdus[plane].data[:] = value
        hdus.writeto(path)
    rows = measure_image(SpectralImage.open(path), read_targets(field.targets).sources)
    assert np.isnan(rows["flux"][0])
    assert rows["flags"][0] & int(Flag.FIT_ERROR)


@pytest.mark.parametrize(
    "options",
    [{"background": "zodi"}, {"background_fit": "constant"}, {"background_fit": "plane"}, {"background_box": 25}],
)
def test_backgrounds_agree(simulated, options):
    field = simulated("isolated", images=80, detectors=(2, 5), release="qr2", seed=3)
    sources = read_targets(field.targets).sources
    spectra = measure(sources, collection(field), detectors=[2], **options)
    truth = truth_of(field, spectra)
    good = spectra["n_bad_pixels"] == 0
    assert abs(np.median((spectra["flux"].value / truth["flux_ujy"])[good]) - 1) < 0.003
    pull = ((spectra["flux"].value - truth["flux_ujy"]) / spectra["flux_err"].value)[good]
    assert 0.6 < nmad(pull) < 1.4
    # zodiacal light is part of the level whatever the mode
    assert abs(np.median(spectra["flux_bkg"].value - truth["background"])) < 0.01


def test_wavelength_and_time_choose_rows(measured):
    field, result = measured("isolated", images=80, detectors=(2, 5), release="qr2", seed=3)
    everything, sources = result.spectra, read_targets(field.targets).sources
    some = measure(sources, collection(field), wavelength=[(1.2, 1.3), (4.0, 4.1)], time=(60000, 61000))
    wavelength, mjd = everything["wavelength"].value, everything["mjd"].value
    wanted = (((wavelength > 1.2) & (wavelength < 1.3)) | ((wavelength > 4.0) & (wavelength < 4.1))) & (mjd < 61000)
    assert 0 < wanted.sum() < len(everything)
    np.testing.assert_array_equal(some["lvf_id"], everything["lvf_id"][wanted])
    np.testing.assert_array_equal(some["flux"], everything["flux"][wanted])


def test_expected_variance_removes_the_noise_from_the_variance():
    rng = np.random.default_rng(1)
    rate = np.full((60, 60), 0.3)
    variance = 1e-4 + 2e-3 * rate
    image = rate + rng.normal(0, np.sqrt(variance))
    plane = 1e-4 + 2e-3 * image
    usable = np.ones(image.shape, dtype=bool)
    usable[0, 0] = False
    moved = expected_variance(image, plane, usable, rate)
    inside = usable & (np.abs(image - rate) < 3 * np.sqrt(plane))
    np.testing.assert_allclose(moved[inside], variance[inside], rtol=1e-10)
    assert moved[0, 0] == plane[0, 0]


def test_faint_fluxes_are_not_pulled_down():
    """Weights 1/VARIANCE make a faint flux too small by a known amount; the expected variance does not."""
    rng = np.random.default_rng(2)
    shape, gain, floor = (4000, 49), 4e-3, 1e-4
    rate = 0.3
    noise = np.sqrt(floor + gain * rate)
    image = rate + rng.normal(0, noise, shape)
    plane = floor + gain * image
    usable = np.ones(shape, dtype=bool)
    for weight, biased in (
        (1 / plane, True),
        (1 / expected_variance(image, plane, usable, np.full(shape, rate)), False),
    ):
        mean = (weight * image).sum(axis=1) / weight.sum(axis=1)
        bias = (mean - rate).mean()
        # closed form: <w d> / <w> - rate = -gain, to first order in gain * noise / variance
        assert bias == pytest.approx(-gain if biased else 0.0, abs=4 * noise / np.sqrt(np.prod(shape)) + 0.1 * gain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"background_box": 4}, "background_box is 4; a whole number"),
        ({"background": "median"}, "background is 'median'; allowed are local, zodi"),
        ({"engine": "photutils"}, "engine is 'photutils'; allowed are builtin, tractor"),
        ({"detectors": [0, 7]}, "allowed are numbers from 1 to 6"),
        ({"wavelength": (2, 1)}, "wavelength is 2 to 1 µm"),
        ({"wavelength": "x"}, "a pair"),
        ({"time": (1,)}, "a pair"),
        ({"psf_zones": "all"}, "psf_zones is 'all'; allowed are nearest, interpolated"),
        ({"psf_shift": (2, 0)}, "psf_shift is 2, 0 pixels"),
        ({"psf_shift": 1}, "a pair"),
    ],
)
def test_settings_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        Settings(**options)


def test_fit_mask_is_not_used(simulated):
    """The answer does not depend on what pixels with a masking bit hold."""
    field = simulated("isolated", images=80, detectors=(2, 5), release="qr2", seed=3)
    image = SpectralImage.open(field.images[0], field.calibration)
    cutout = image.cutout(0, 40, 0, 40)
    assert (cutout.flags & FIT_MASK).any()
    assert not cutout.usable[(cutout.flags & FIT_MASK) != 0].any()


def test_the_tractor_measures_the_same(simulated):
    """The engine on whole images, with galaxies, neighbours and bad pixels; where it is installed."""
    from glue_spherex.photometry.tractor import tractor_available

    available, reason = tractor_available()
    if not available:
        pytest.skip(reason)
    field = simulated("field", images=12, detectors=(2, 5), seed=9)
    sources = read_targets(field.targets).sources
    own = measure(sources, collection(field))
    theirs = measure(sources, collection(field), engine="tractor")
    np.testing.assert_array_equal(theirs["source_id"], own["source_id"])
    difference = np.abs(theirs["flux"] - own["flux"]) / own["flux_err"]
    point = ~np.isin(own["label"], [s.label for s in sources if s.shape is not None])
    assert np.nanmax(difference[point]) < 0.3
    assert np.nanmax(np.abs(theirs["flux"] / own["flux"] - 1)[~point]) < 0.006
    np.testing.assert_allclose(theirs["flux_err_tractor"].value, own["flux_err_tractor"].value, rtol=0.01)


def test_the_tractor_has_one_extent():
    with pytest.raises(ValueError, match='has only extent="tractor"'):
        Settings(engine="tractor", extent="infinite")


def test_psf_shift_moves_the_templates(simulated):
    """A shift of the template is an error of the position in the other direction."""
    field = simulated("isolated", images=80, detectors=(2, 5), release="qr2", seed=3)
    image = SpectralImage.open(field.images[0], field.calibration)
    source = read_targets(field.targets).sources[0]
    x, y = image.to_pixels(np.array([source.ra]), np.array([source.dec]))
    moved = Source(*(float(value[0]) for value in image.to_sky(x + 0.3, y - 0.2)))
    expected = measure_image(image, [source])
    shifted = measure_image(image, [moved], Settings(psf_shift=(-0.3, 0.2)))
    assert shifted["flux"][0] == pytest.approx(expected["flux"][0], rel=2e-3)
    wrong = measure_image(image, [moved])
    assert abs(wrong["flux"][0] / expected["flux"][0] - 1) > 0.01


def test_interpolated_zones_are_close_to_the_nearest(measured):
    field, result = measured("isolated", images=80, detectors=(2, 5), release="qr2", seed=3)
    between = measure(read_targets(field.targets).sources, collection(field), detectors=[2], psf_zones="interpolated")
    ratio = between["flux"] / result.spectra["flux"][result.spectra["det_id"] == 2]
    assert 0 < np.abs(ratio - 1).max() < 0.03
    assert abs(np.median(ratio) - 1) < 0.003


@pytest.fixture
def galaxy_scene(tmp_path, simulated):
    """``galaxy_scene(x, bad_radius)``: noiseless cutout with a galaxy drawn by GalSim and a star; what was measured."""
    galsim = pytest.importorskip("galsim")
    from astropy.io import fits

    from glue_spherex import Sersic

    field = simulated("isolated", images=80, detectors=(2, 5), release="qr2", seed=3)

    def measured(x_galaxy, bad_radius):
        path = tmp_path / field.images[0].name
        with fits.open(field.images[0]) as hdus, SpectralImage.open(field.images[0], field.calibration) as image:
            omega = image.cutout(0, 40, 0, 40).ujy
            x_det, y_det = image.to_detector(np.array([20.0]), np.array([20.0]))
            psf = image.psf(image.psf_zones(x_det, y_det)[0])
            cd = image.local_cd(np.array([x_galaxy]), np.array([20.0]))[0] * 3600
            stamp = galsim.InterpolatedImage(galsim.Image(psf.kernel.copy(), scale=0.1), flux=1.0)
            wcs = galsim.JacobianWCS(*np.linalg.inv(cd).ravel())  # from arcsec on the sky to pixels
            galaxy = galsim.Sersic(4.0, half_light_radius=20.0).transform(wcs.dudx, wcs.dudy, wcs.dvdx, wcs.dvdy)
            ny, nx = hdus["IMAGE"].data.shape
            frame = galsim.Image(nx, ny, xmin=0, ymin=0, scale=1.0)
            light = np.zeros((ny, nx))
            for profile, flux, x, y in ((galaxy, 3e5, x_galaxy, 20.0), (galsim.DeltaFunction(), 2e4, 6.0, 31.0)):
                drawn = galsim.Convolve([stamp, profile]).withFlux(flux)
                drawn.drawImage(frame, center=galsim.PositionD(x, y))
                light += frame.array
            hdus["IMAGE"].data[:] = 0.2 + light / omega
            hdus["VARIANCE"].data[:] = 4e-4
            yy, xx = np.mgrid[:ny, :nx]
            flags = np.where(np.hypot(xx - x_galaxy, yy - 20.0) < bad_radius, int(Flag.NONFUNC), 0)
            hdus["FLAGS"].data[:] = flags
            hdus.writeto(path, overwrite=True)
            ra, dec = image.to_sky(np.array([x_galaxy, 6.0]), np.array([20.0, 31.0]))
        sources = [Source(ra[0], dec[0], profile=Sersic(4.0, 20.0)), Source(ra[1], dec[1])]
        with SpectralImage.open(path, field.calibration) as image:
            return measure_image(image, sources, Settings(extent="infinite"))

    return measured


@pytest.mark.parametrize(("x", "bad_radius"), [(20.0, 0), (20.0, 5), (20.0, 7), (20.0, 9), (47.0, 0)])
def test_large_galaxies_and_their_background_agree(galaxy_scene, x, bad_radius):
    """Also where the iteration between them would run away: a masked core, a centre beside the image."""
    rows = galaxy_scene(x, bad_radius)
    star = rows["source_id"] == 1
    assert rows["flux"][star][0] == pytest.approx(2e4, rel=0.02)
    assert rows["flux_bkg"][star][0] == pytest.approx(0.2, abs=0.02)
    if (~star).any():
        pull = (rows["flux"][~star][0] - 3e5) / rows["flux_err"][~star][0]
        assert abs(pull) < 3 or rows["flux"][~star][0] == pytest.approx(3e5, rel=0.02)
