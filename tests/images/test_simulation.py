import filecmp
import os
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from scipy.stats import norm

from glue_spherex.images.simulation import SCENES, SimulationError, simulate
from glue_spherex.images.simulation.detector import SimulatedDetector
from glue_spherex.images.simulation.light import add_points, add_sersic
from glue_spherex.images.simulation.pointing import Pointing
from glue_spherex.model.flags import FIT_MASK, Flag
from glue_spherex.model.source import Sersic

RELEASES = ("qr2", "qr3")
UJY_PER_MJY_SR_ARCSEC2 = 23.50443


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    """One field of each release, twelve cutouts each."""
    return {
        r: simulate(tmp_path_factory.mktemp(r), "field", images=12, release=r, calibration=False, seed=3)
        for r in RELEASES
    }


def each_image(field):
    truth = Table.read(field.truth)
    for path in field.images:
        with fits.open(path) as hdus:
            yield hdus, truth[truth["file"] == path.name]


@pytest.mark.parametrize("release", RELEASES)
def test_files_are_valid_fits_with_the_documented_hdus(fields, release):
    for hdus, _ in each_image(fields[release]):
        hdus.verify("exception")
        psf = "PSF" if release == "qr2" else "EPSF"
        assert [h.name for h in hdus] == ["PRIMARY", "IMAGE", "FLAGS", "VARIANCE", "ZODI", psf, "WCS-WAVE"]
        assert hdus["IMAGE"].header["BUNIT"] == "MJy / sr"
        assert hdus["IMAGE"].data.dtype == ">f4"
        assert hdus["FLAGS"].data.dtype == ">i4"
        assert hdus["IMAGE"].data.shape == hdus["FLAGS"].data.shape == hdus["ZODI"].data.shape
    assert len({p.name for p in fields[release].images}) == 12


def test_cards_are_those_of_a_real_header(fields, test_data):
    folder = test_data / "headers"
    with fits.open(fields["qr2"].images[2]) as hdus:
        for name, file in (("IMAGE", "qr2_cutout_image_header.txt"), ("FLAGS", "qr2_flags_header.txt")):
            real, made = fits.Header.fromtextfile(folder / file), hdus[name].header
            assert list(dict.fromkeys(real)) == list(dict.fromkeys(made))
            for key in set(real) - {"COMMENT", "HISTORY"}:
                assert type(real[key]) is type(made[key]), key
        real, made = fits.Header.fromtextfile(folder / "qr2_cutout_wcswave_header.txt"), hdus["WCS-WAVE"].header
        assert [real[k] for k in real if not k.startswith("EXTNAME")] == [made[k] for k in real if k != "EXTNAME"]


@pytest.mark.parametrize("release", RELEASES)
def test_cards_are_those_of_the_samples(fields, release, test_data):
    sample = next((test_data / "samples").glob("*D3*" if release == "qr2" else "*D4*"))
    with fits.open(sample) as theirs, fits.open(fields[release].images[2 if release == "qr2" else 3]) as ours:
        assert set(theirs["IMAGE"].header) <= set(ours["IMAGE"].header)
        assert set(theirs["FLAGS"].header) <= set(ours["FLAGS"].header)
        for name in ("PSF" if release == "qr2" else "EPSF", "WCS-WAVE"):
            real, made = theirs[name].header, ours[name].header
            assert set(real) == set(made)
            for key in set(real) - {"DETECTOR"}:
                assert real[key] == made[key] or key.startswith("TDIM"), key


@pytest.mark.parametrize("release", RELEASES)
def test_names_numbers_and_times_agree(fields, release):
    for hdus, truth in each_image(fields[release]):
        header = hdus["IMAGE"].header
        obsid, detector = header["OBSID"], header["DETECTOR"]
        year, part, slew, step = obsid[:4], obsid[8], obsid[11:15], obsid[16]
        assert header["EXPIDN"] == int(f"{year}{obsid[5:7]}{part}01{slew}{step}{detector}")
        assert len(str(header["EXPIDN"])) == 15
        name = f"level2_{obsid}D{detector}_spx_l2b-v{'21' if release == 'qr2' else '26'}-"
        assert os.path.basename(hdus.filename()).startswith(name)
        assert (obsid[:7] >= "2026W30") == (release == "qr3")
        assert header["MJD-AVG"] == pytest.approx((header["MJD-BEG"] + header["MJD-END"]) / 2, abs=1e-8)
        assert set(truth["exposure_id"]) <= {header["EXPIDN"]}
        assert np.allclose(truth["mjd"], header["MJD-AVG"], atol=1e-8)
        assert hdus[0].header["VERSION"] == ("6.5.7" if release == "qr2" else "7.0.2")


@pytest.mark.parametrize("release", RELEASES)
def test_positions_follow_the_headers(fields, release):
    """World coordinates by astropy: celestial, and the cutout's place on the detector by the alternate WCS."""
    for hdus, truth in each_image(fields[release]):
        header = hdus["IMAGE"].header
        x, y = WCS(header).all_world2pix(truth["ra"], truth["dec"], 0, tolerance=1e-8)
        origin = WCS(header, key="A").wcs_pix2world([[0.0, 0.0]], 0)[0]
        assert np.allclose(x + origin[0], truth["x"], atol=1e-5)
        assert np.allclose(y + origin[1], truth["y"], atol=1e-5)
        assert (origin == [1020.5 - header["CRPIX1"], 1020.5 - header["CRPIX2"]]).all()
        assert (origin >= 0).all()
        assert (origin + hdus["IMAGE"].shape[::-1] <= 2040).all()


def test_all_images_of_a_file_have_the_same_wcs(fields):
    with fits.open(fields["qr2"].images[5]) as hdus:
        for name in ("FLAGS", "VARIANCE", "ZODI"):
            assert WCS(hdus[name].header).wcs == WCS(hdus["IMAGE"].header).wcs
            assert (WCS(hdus[name].header).sip.a == WCS(hdus["IMAGE"].header).sip.a).all()


@pytest.mark.parametrize("release", RELEASES)
def test_wavelength_table_is_within_a_nanometre(fields, release):
    for hdus, truth in each_image(fields[release]):
        header = hdus["IMAGE"].header
        wave = WCS(header, fobj=hdus, key="W")
        wave.sip = None
        x, y = truth["x"] + header["CRPIX1A"] - 1, truth["y"] + header["CRPIX2A"] - 1
        found = np.array(wave.wcs_pix2world(np.transpose([x, y]), 0)) * wave.wcs.cunit[0].to("um")
        assert np.allclose(found[:, 0], truth["wavelength"], atol=1e-3, rtol=0)
        assert np.allclose(found[:, 1], truth["width"], rtol=1e-3)


@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.parametrize("release", RELEASES)
def test_wavelength_table_over_the_whole_detector(number, release):
    from scipy.interpolate import RegularGridInterpolator

    detector = SimulatedDetector(number, release)
    x, y, values = detector.wave_table()
    side = np.linspace(0, 2039, 301)
    rows, columns = np.meshgrid(side, side, indexing="ij")
    table = RegularGridInterpolator((y - 1.0, x - 1.0), values[..., 0])(np.stack([rows, columns], -1))
    truth = detector.wavelength(columns, rows)[0]
    assert np.abs(table - truth).max() < 0.7e-3
    assert (np.diff(truth, axis=0) < 0).all()  # falls with y


def test_smile_is_that_of_detector_3():
    """Values of a real WCS-WAVE table at Y = 2040."""
    found = SimulatedDetector(3).wavelength(np.array([0.0, 1019.0, 2039.0]), 2039.0)[0]
    assert np.allclose(found - found[1], [0.0216, 0.0, 0.0223], atol=0.003)
    assert np.allclose(found, [1.63787, 1.61626, 1.63858], atol=0.03)


@pytest.mark.parametrize("release", RELEASES)
def test_every_flag_of_the_release_occurs(fields, release):
    for hdus, _ in each_image(fields[release]):
        header, flags = hdus["FLAGS"].header, hdus["FLAGS"].data
        if release == "qr2":
            bits = {k[3:]: v for k, v in header.items() if k.startswith("MP_")}
            masks = {name: 1 << bit for name, bit in bits.items()}
        else:
            masks = {header[k]: header[f"MSKM{k[4:]}"] for k in header if k.startswith("MSKN")}
        assert len(masks) == (22 if release == "qr2" else 26)
        for name, mask in masks.items():
            assert mask == Flag[name]
            assert (flags & mask).any(), name
        assert not (flags & ~sum(masks.values())).any()


def test_source_mask_and_bad_pixels_are_realistic(tmp_path):
    field = simulate(tmp_path, "isolated", images=20, detectors=(1, 2), calibration=False)
    flags = np.concatenate([hdus["FLAGS"].data.ravel() for hdus, _ in each_image(field)])
    assert 0.2 < np.mean(flags & Flag.SOURCE > 0) < 0.45
    assert 0.008 < np.mean(flags & FIT_MASK > 0) < 0.03
    values = np.concatenate([hdus["IMAGE"].data.ravel() for hdus, _ in each_image(field)])
    good = flags & (FIT_MASK | Flag.SOURCE) == 0
    assert np.isfinite(values[good]).all()
    assert np.isnan(values[~good]).any()


def test_a_point_source_integrates_to_its_flux():
    detector = SimulatedDetector(4)
    for x, y in ((30.0, 30.0), (30.5, 29.5), (30.123, 30.456)):
        image = np.zeros((61, 61))
        at = [np.array([v]) for v in (x, y, x + 700, y + 300)]
        add_points(image, detector, *at, np.array([2.5]))
        assert image.sum() == pytest.approx(2.5, rel=1e-7)


def test_a_pixel_is_a_product_of_normal_integrals():
    detector = SimulatedDetector(2)
    zone = detector.zone_of(np.array([600.0]), np.array([1500.0]))[0]
    weights, sigma_x, sigma_y = detector.gaussians
    image = np.zeros((21, 21))
    add_points(image, detector, *(np.array([v]) for v in (10.2, 9.7, 600.0, 1500.0, 1.0)))
    for j, i in ((10, 10), (10, 12), (7, 9)):
        in_x = norm.cdf(i + 0.5, 10.2, sigma_x[zone]) - norm.cdf(i - 0.5, 10.2, sigma_x[zone])
        in_y = norm.cdf(j + 0.5, 9.7, sigma_y[zone]) - norm.cdf(j - 0.5, 9.7, sigma_y[zone])
        assert image[j, i] == pytest.approx((weights * in_x * in_y).sum(), rel=1e-12)


def test_optical_psf_planes_are_cell_integrals():
    """With the source half a cell off a pixel corner, ten by ten cells make exactly one pixel."""
    detector = SimulatedDetector(3)
    stamps = detector.psf_stamps()
    assert stamps.shape == (121, 101, 101)
    for zone in (0, 60, 115):
        stamp = stamps[zone] / stamps[zone].sum()
        image = np.zeros((31, 31))
        x, y = (detector.zone_centres[k][c] for k, c in ((0, zone % 11), (1, zone // 11)))
        # cells 1..100 cover ten pixels; the source is at the centre of cell 50, that is at 4.95 px from their edge
        at = (10.0 - 0.5 + 4.95, 10.0 - 0.5 + 4.95, x, y)
        add_points(image, detector, *(np.array([v]) for v in at), np.array([1.0]))
        blocks = stamp[1:, 1:].reshape(10, 10, 10, 10).sum(axis=(1, 3))
        assert np.allclose(blocks, image[10:20, 10:20], atol=3e-5)


def test_effective_psf_is_sampled_at_pixel_centres():
    detector = SimulatedDetector(3, "qr3")
    stamps = detector.psf_stamps()
    assert stamps.shape == (451, 33, 33)
    assert np.allclose(stamps.sum(axis=(1, 2)), 1)
    image = np.zeros((21, 21))
    zone = 23 * 11 + 4
    x, y = detector.zone_centres[0][4], detector.zone_centres[1][23]
    # the pixel five nodes from the middle has its centre one pixel from the source
    add_points(image, detector, *(np.array([v]) for v in (10.0, 10.2, x, y, 1.0)))
    assert np.allclose(25 * stamps[zone][:, 1:32:5][0:33:5], image[7:14, 7:14], rtol=5e-4, atol=5e-6)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("number", [1, 6])
def test_the_stamps_hold_nearly_all_light(release, number):
    """The flux of a perfect fit with the stamp normalised to 1 is biased by less than 0.01 %."""
    detector = SimulatedDetector(number, release)
    weights, sigma_x, sigma_y = detector.gaussians
    half = 5.05 if release == "qr2" else 3.3
    pixel = 0.0 if release == "qr2" else 1 / 12  # an effective PSF is a little wider
    inside = 1.0
    for sigma in (sigma_x, sigma_y):
        inside = inside * (1 - 2 * norm.sf(half / np.sqrt(sigma**2 + pixel)))
    assert np.abs(1 - (weights * inside).sum(axis=1)).max() < 1e-4


@pytest.mark.parametrize("transposed", [False, True])
def test_zone_cards(tmp_path, transposed):
    run = {"images": 1, "detectors": (3,), "calibration": False}
    field = simulate(tmp_path, "isolated", psf_erratum=transposed, **run)
    with fits.open(field.images[0]) as hdus:
        header, planes = hdus["PSF"].header, hdus["PSF"].data
        assert hdus[0].header["VERSION"] == ("6.5.4" if transposed else "6.5.7")
        expected = SimulatedDetector(3).psf_stamps()
        assert np.allclose(planes, expected, rtol=1e-6, atol=1e-9)  # the planes keep their order
        ix, iy = (3, 0) if transposed else (0, 3)  # zone 34 is the first of the fourth row or column
        assert header["XCTR_34"] == pytest.approx(92.727273 + 185.454545 * ix, abs=2e-6)
        assert header["YCTR_34"] == pytest.approx(92.727273 + 185.454545 * iy, abs=2e-6)
        assert f"({ix}, {iy})" in header.comments["XCTR_34"]


def test_a_round_gaussian_galaxy_is_a_gaussian():
    """n = 0.5 is a Gaussian: convolved with a Gaussian it stays one."""
    detector = SimulatedDetector(3)
    weights, sigma_x, sigma_y = detector.gaussians
    zone = detector.zone_of(np.array([1000.0]), np.array([1000.0]))[0]
    matrix = np.diag([-6.15, 6.15]) / 3600
    image = np.zeros((61, 61))
    add_sersic(image, detector, 30.2, 29.8, 1000.0, 1000.0, 1.0, Sersic(0.5, 10.0), matrix)
    own = 10.0 / 6.15 / np.sqrt(2 * np.log(2))
    edges = np.arange(62) - 0.5
    expected = np.zeros_like(image)
    for w, sx, sy in zip(weights, sigma_x[zone], sigma_y[zone], strict=True):
        in_x, in_y = (np.diff(norm.cdf(edges, c, np.hypot(s, own))) for c, s in ((30.2, sx), (29.8, sy)))
        expected += w * np.outer(in_y, in_x)
    assert np.abs(image - expected).max() < 1e-3 * expected.max()
    assert (image * expected).sum() / (expected**2).sum() == pytest.approx(1, abs=2e-5)


@pytest.mark.parametrize(
    ("n", "r_eff", "axis_ratio", "angle"), [(1.0, 6.0, 0.4, 30.0), (4.0, 5.0, 0.7, 100.0), (1.0, 20.0, 0.3, 10.0)]
)
def test_galaxies_agree_with_galsim(n, r_eff, axis_ratio, angle):
    galsim = pytest.importorskip("galsim")
    detector = SimulatedDetector(3)
    weights, sigma_x, sigma_y = detector.gaussians
    zone = detector.zone_of(np.array([1000.0]), np.array([1000.0]))[0]
    matrix = Pointing(detector, 150.0, 2.0, 33.0).local_matrix(1000.0, 1000.0)
    image = np.zeros((61, 61))
    add_sersic(image, detector, 30.2, 29.8, 1000.0, 1000.0, 1.0, Sersic(n, r_eff, axis_ratio, angle), matrix)
    t = np.radians(angle)
    to_sky = np.array([[np.sin(t), -np.cos(t)], [np.cos(t), np.sin(t)]]) @ np.diag([r_eff, r_eff * axis_ratio])
    shape = np.linalg.inv(matrix * 3600) @ to_sky
    galaxy = galsim.Sersic(n=n, half_light_radius=1.0).transform(*shape.ravel()).withFlux(1.0)
    parts = zip(weights, sigma_x[zone], sigma_y[zone], strict=True)
    psf = galsim.Add([galsim.Gaussian(sigma=1.0).transform(sx, 0, 0, sy).withFlux(w) for w, sx, sy in parts])
    fine = galsim.GSParams(maximum_fft_size=16384, folding_threshold=1e-4, kvalue_accuracy=1e-6)
    drawn = galsim.Convolve(galaxy, psf, gsparams=fine).drawImage(nx=61, ny=61, scale=1, offset=(0.2, -0.2)).array
    assert np.abs(image - drawn).max() < 1.5e-3 * drawn.max()
    assert (image * drawn).sum() / (drawn**2).sum() == pytest.approx(1, abs=5e-5)


def test_solid_angle_is_the_area_of_the_pixels():
    detector = SimulatedDetector(5)
    pointing = Pointing(detector, 80.0, -50.0, 200.0)
    for x, y in ((10.0, 2000.0), (1020.0, 1020.0), (1900.0, 300.0)):
        area = abs(np.linalg.det(pointing.local_matrix(x, y))) * 3600**2
        assert detector.solid_angle([x], [y])[0, 0] == pytest.approx(area, rel=2e-4)
    side = np.arange(0.0, 2040, 20)
    omega = detector.solid_angle(side, side)
    assert 0.01 < np.ptp(omega) / np.median(omega) < 0.06


def test_noise_is_affine_in_the_true_rate(tmp_path):
    field = simulate(tmp_path, "faint", images=8, detectors=(3,), calibration=False)
    a, b = SimulatedDetector(3).noise
    pulls = []
    for hdus, _ in each_image(field):
        image, variance = hdus["IMAGE"].data.astype(float), hdus["VARIANCE"].data.astype(float)
        usable = np.isfinite(image) & (variance > 0)
        assert np.isnan(variance).any()
        assert np.allclose(variance[usable], np.maximum(a + b * image[usable], 0.1 * a), rtol=1e-5)
        sky = usable & (hdus["FLAGS"].data & (FIT_MASK | Flag.SOURCE) == 0)
        level = np.median(image[sky])
        pulls.append((image[sky] - level) / np.sqrt(a + b * level))
    pulls = np.concatenate(pulls)
    assert len(pulls) > 5000
    assert np.std(pulls) == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("number", range(1, 7))
def test_faint_limit(number):
    """1-sigma of a faint point source in one exposure: 26-47 µJy, D5 64-75, D6 120-137."""
    detector = SimulatedDetector(number)
    a, b = detector.noise
    errors = []
    for dx, dy in np.random.default_rng(0).uniform(-0.5, 0.5, (40, 2)):
        template = np.zeros((21, 21))
        add_points(template, detector, *(np.array([v]) for v in (10 + dx, 10 + dy, 1000, 1000, 1.0)))
        sigma = np.sqrt(a + b * detector.zodi) * UJY_PER_MJY_SR_ARCSEC2 * 37.85
        errors.append(sigma / np.sqrt((template**2).sum()))
    low, high = {5: (64, 75), 6: (120, 137)}.get(number, (26, 47))
    assert low < np.median(errors) < high


def test_the_brightness_of_an_isolated_star_is_its_flux(tmp_path):
    """Aperture sum above the true background, in images without a wrecked pixel nearby."""
    field = simulate(tmp_path, "isolated", images=24, detectors=(1, 3, 4), calibration=False)
    ratios = []
    for hdus, truth in each_image(field):
        header, row = hdus["IMAGE"].header, truth[0]
        x, y = row["x"] + header["CRPIX1A"] - 1, row["y"] + header["CRPIX2A"] - 1
        rows, columns = np.indices(hdus["IMAGE"].shape)
        near = np.hypot(columns - x, rows - y) < 6
        if near.sum() < 100 or (hdus["FLAGS"].data[near] & FIT_MASK).any():
            continue
        above = hdus["IMAGE"].data[near].astype(float) - row["background"]
        ratios.append(above.sum() * UJY_PER_MJY_SR_ARCSEC2 * row["omega_arcsec2"] / row["flux_ujy"])
    assert len(ratios) > 5
    assert np.median(ratios) == pytest.approx(1, abs=0.01)


def test_zodi_is_close_to_the_sky_but_not_equal(fields):
    for hdus, _ in each_image(fields["qr2"]):
        sky = hdus["IMAGE"].data[hdus["FLAGS"].data & (FIT_MASK | Flag.SOURCE) == 0]
        off = np.median(sky) - np.median(hdus["ZODI"].data)
        assert -0.05 < off < 0.3  # airglow adds to it
        assert off != 0


def test_the_same_targets_in_every_image(fields):
    truth = Table.read(fields["qr2"].truth)
    targets = Table.read(fields["qr2"].targets, format="ascii.csv")
    assert list(targets.colnames)[:3] == ["ra", "dec", "name"]
    assert set(truth["label"]) == set(targets["name"])
    assert (targets["r_eff"] > 0).sum() == 1
    for row in targets:
        seen = truth[truth["label"] == row["name"]]
        moves = row["name"] == "fast-star"
        distance = np.hypot((seen["ra"] - row["ra"]) * np.cos(np.radians(row["dec"])), seen["dec"] - row["dec"]) * 3600
        if moves:
            years = 2000 + (seen["mjd"] - 51544.5) / 365.25 - row["ref_epoch"]
            expected = np.hypot(row["pmra"], row["pmdec"]) / 1000 * years
            assert np.allclose(distance, expected, rtol=1e-3)
        else:
            assert (distance < 1e-5).all()


def test_the_bad_point_of_the_field(tmp_path):
    field = simulate(tmp_path, "field", images=24, detectors=(1, 4), calibration=False)
    truth = Table.read(field.truth)
    file, label = truth.meta["bad_point_file"], truth.meta["bad_point_label"]
    row = truth[(truth["file"] == file) & (truth["label"] == label)][0]
    with fits.open(field.folder / "images" / file) as hdus:
        header = hdus["IMAGE"].header
        i, j = round(row["x"] + header["CRPIX1A"] - 1), round(row["y"] + header["CRPIX2A"] - 1)
        flags = int(hdus["FLAGS"].data[j, i])
        assert flags & Flag.OUTLIER
        assert not flags & FIT_MASK
        flux = (hdus["IMAGE"].data[j, i] - row["background"]) * UJY_PER_MJY_SR_ARCSEC2 * row["omega_arcsec2"]
        assert flux > 1.9 * row["flux_ujy"]


def test_blend_has_the_stated_ratio_and_distance(tmp_path):
    field = simulate(tmp_path, "pair", images=6, calibration=False)
    for _, truth in each_image(field):
        assert len(truth) == 2
        first, second = truth  # the axes of the detector are a little skewed, hence the tolerance
        assert np.hypot(first["x"] - second["x"], first["y"] - second["y"]) == pytest.approx(1.5, rel=0.05)
        assert second["flux_ujy"] / first["flux_ujy"] == pytest.approx(0.6, rel=0.01)


def test_calibration_maps_and_old_gain(tmp_path):
    run = {"scene": "isolated", "images": 1, "detectors": (1,)}
    old = simulate(tmp_path / "old", **run, flux_correction=True)
    new = simulate(tmp_path / "new", **run, calibration=False)
    names = sorted(p.name for p in old.calibration.iterdir())
    assert names == [
        "l3_flux_corrections_D1_spx_cal-flxc-v1-2026-191.fits",
        "solid_angle_pixel_map_D1_spx_cal-sapm-v2-2025-164.fits",
        "spectral_wcs_D1_spx_cal-wcs-v4-2025-254.fits",
    ]
    truth = Table.read(old.truth)[0]
    i, j = round(truth["x"]), round(truth["y"])
    with fits.open(old.calibration / names[1]) as hdus:
        assert hdus["IMAGE"].data.shape == (2040, 2040)
        assert hdus["IMAGE"].data[j, i] == pytest.approx(truth["omega_arcsec2"], rel=1e-6)
    with fits.open(old.calibration / names[2]) as hdus:
        assert [h.name for h in hdus] == ["PRIMARY", "CWAVE", "CBAND", "WCS-WAVE"]
        assert hdus["CWAVE"].data[j, i] == pytest.approx(truth["wavelength"], abs=2e-4)
        assert hdus["CBAND"].data[j, i] == pytest.approx(truth["width"], rel=1e-3)
    with fits.open(old.calibration / names[0]) as hdus:
        factor = hdus["IMAGE"].data
        assert np.median(factor) == pytest.approx(0.970, abs=0.003)
    with fits.open(old.images[0]) as before, fits.open(new.images[0]) as after:
        x0, y0 = (round(1 - before["IMAGE"].header[f"CRPIX{k}A"]) for k in (1, 2))
        ny, nx = before["IMAGE"].shape
        f = factor[y0 : y0 + ny, x0 : x0 + nx]
        assert np.allclose(before["IMAGE"].data * f, after["IMAGE"].data, rtol=1e-5, equal_nan=True)
        assert np.allclose(before["VARIANCE"].data * f**2, after["VARIANCE"].data, rtol=1e-5, equal_nan=True)


def test_qr3_calibration_has_its_own_tokens_and_wavelengths(tmp_path):
    field = simulate(tmp_path, "isolated", images=1, detectors=(2,), release="qr3")
    names = sorted(p.name for p in field.calibration.iterdir())
    assert [n.split("_spx_")[1] for n in names] == ["cal-sapm-v3-2026-191.fits", "cal-swcs-v5-2026-191.fits"]
    truth = Table.read(field.truth)[0]
    with fits.open(field.calibration / names[1]) as hdus:
        cwave = hdus["CWAVE"].data[round(truth["y"]), round(truth["x"])]
    assert cwave == pytest.approx(truth["wavelength"], abs=2e-4)
    older = SimulatedDetector(2, "qr2").wavelength(truth["x"], truth["y"])[0]
    assert abs(truth["wavelength"] - older) > 1e-4


@pytest.mark.parametrize("release", RELEASES)
def test_full_frame(tmp_path, release):
    field = simulate(tmp_path, "isolated", images=1, full=True, release=release, detectors=(5,), calibration=False)
    truth = Table.read(field.truth)
    assert len(truth) > 3
    with fits.open(field.images[0]) as hdus:
        header = hdus["IMAGE"].header
        assert hdus["IMAGE"].shape == (2040, 2040)
        assert header["CRPIX1"] == 1020.5
        assert header["CRPIX1A"] == header["CRPIX2W"] == 1
        assert isinstance(hdus["FLAGS"], fits.CompImageHDU) == (release == "qr3")
        flags = hdus["FLAGS"].data
        assert flags.dtype.kind == "i"
        assert 0.2 < np.mean(flags & Flag.SOURCE > 0) < 0.4
        assert (flags[truth["y"].round().astype(int), truth["x"].round().astype(int)] & Flag.SOURCE > 0).all()
        if release == "qr3":
            assert hdus["FLAGS"].header["MSKM0021"] == Flag.SOURCE
            assert hdus["FLAGS"].compression_type == "RICE_1"
        x, y = WCS(header).all_world2pix(truth["ra"], truth["dec"], 0, tolerance=1e-8)
        assert np.allclose([x, y], [truth["x"], truth["y"]], atol=1e-5)


def test_cutouts_are_trimmed_at_the_edge_of_the_detector(tmp_path):
    field = simulate(tmp_path, "isolated", images=40, size=200, detectors=(6,), calibration=False)
    shapes = [hdus["IMAGE"].shape for hdus, _ in each_image(field)]
    assert any(min(s) < 200 for s in shapes)
    assert max(max(s) for s in shapes) == 200
    truth = Table.read(field.truth)
    assert truth["wavelength"].min() < 4.43  # the whole range of detector 6
    assert truth["wavelength"].max() > 4.98


@pytest.mark.parametrize("scene", SCENES)
def test_every_scene(tmp_path, scene):
    field = simulate(tmp_path, scene, images=2, detectors=(2, 6), calibration=False, release="qr3")
    truth = Table.read(field.truth)
    assert len(truth) >= 2
    assert np.isfinite(truth["flux_ujy"]).all()
    assert (truth["flux_ujy"] > 0).all()


def test_number_of_sources(tmp_path):
    field = simulate(tmp_path, "crowded", images=1, size=60, n_sources=33, calibration=False)
    assert len(Table.read(field.targets, format="ascii.csv")) == 33


def test_the_catalogue_lists_what_is_in_the_images(tmp_path):
    field = simulate(tmp_path, "field", images=1, calibration=False)
    catalogue, targets = (Table.read(path, format="ascii.csv") for path in (field.catalogue, field.targets))
    assert list(catalogue["name"][: len(targets)]) == list(targets["name"])
    assert np.array_equal(catalogue["ra"][: len(targets)], targets["ra"])
    with fits.open(field.images[0]) as hdus:
        flags, image = hdus["FLAGS"].data, hdus["IMAGE"].data
        x, y = WCS(hdus["IMAGE"].header, hdus).all_world2pix(catalogue["ra"], catalogue["dec"], 0)
    inside = (x > 1) & (y > 1) & (x < image.shape[1] - 2) & (y < image.shape[0] - 2)
    bright = inside & (catalogue["flux_2um_ujy"] > 2e3) & (np.ma.filled(catalogue["pmra"], 0) == 0)
    assert bright.sum() > 5
    assert (flags[np.round(y[bright]).astype(int), np.round(x[bright]).astype(int)] >> 21 & 1).all()  # SOURCE


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    runs = [simulate(tmp_path / n, "field", images=3, seed=s, calibration=False) for n, s in (("a", 5), ("b", 5))]
    names = [p.name for p in runs[0].images]
    assert names == [p.name for p in runs[1].images]
    for folder in ("images", "."):
        files = names if folder == "images" else ["truth.ecsv", "targets.csv", "catalogue.csv"]
        same, _, _ = filecmp.cmpfiles(*(r.folder / folder for r in runs), files, shallow=False)
        assert sorted(same) == sorted(files)
    other = simulate(tmp_path / "c", "field", images=3, seed=6, calibration=False)
    assert not filecmp.cmp(other.targets, runs[0].targets, shallow=False)


def test_progress_counts_images(tmp_path):
    seen = []
    simulate(tmp_path, "isolated", images=3, calibration=False, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scene": "galaxy"}, r"scene is 'galaxy'; known are field, isolated"),
        ({"release": "qr1"}, r"release is 'qr1'; known are qr2, qr3"),
        ({"images": 0}, r"images is 0; at least 1"),
        ({"size": 3}, r"size is 3; allowed are 5 to"),
        ({"seed": -1}, r"seed is -1"),
        ({"detectors": (1, 7)}, r"detectors are \(1, 7\); allowed are 1 to 6"),
        ({"detectors": (1, 1)}, r"may be named once"),
        ({"n_sources": 0}, r"n_sources is 0; at least 1"),
        ({"release": "qr3", "psf_erratum": True}, r"only qr2 has PSF zone cards"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(SimulationError, match=message):
        simulate(tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SimulationError, match=r"output folder .*file.* cannot be made: Not a directory"):
        simulate(tmp_path / "file", images=1)


def test_images_of_another_run_are_not_mixed(tmp_path):
    simulate(tmp_path, "isolated", images=2, calibration=False)
    simulate(tmp_path, "isolated", images=2, calibration=False)  # the same run again is fine
    with pytest.raises(SimulationError, match=r"holds 2 other files .* choose an empty folder"):
        simulate(tmp_path, "isolated", images=2, seed=1, calibration=False)


def test_astropy_opens_the_wavelength_wcs_without_a_warning(fields):
    with fits.open(fields["qr2"].images[0]) as hdus, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert WCS(hdus["IMAGE"].header, fobj=hdus, key="W").wcs.ctype[0] == "WAVE-TAB"
