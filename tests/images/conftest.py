"""Small files in the documented layout, written with astropy alone."""

from functools import cache

import numpy as np
import pytest
from astropy.io import fits
from astropy.time import Time

N = 2040
SIP = {
    "A": {(0, 0): -0.359, (0, 1): -3.3e-6, (0, 2): 1.37e-6, (1, 0): 8.9e-5, (1, 1): 4.17e-6, (2, 0): 1.59e-6},
    "B": {(0, 0): -1.108, (0, 1): -3.9e-4, (0, 2): 1.98e-6, (1, 0): 6.3e-5, (2, 0): 6.67e-6, (2, 1): 6.4e-10},
    "AP": {(0, 0): 0.36, (1, 0): -9e-5, (2, 0): -1.58e-6, (0, 2): -1.37e-6},
    "BP": {(0, 0): 1.10, (0, 1): 3.9e-4, (2, 0): -6.65e-6, (0, 2): -1.97e-6},
}
FLAG_BITS = {
    "TRANSIENT": 0, "OVERFLOW": 1, "SUR_ERROR": 2, "NONFUNC": 6, "DICHROIC": 7, "MISSING_DATA": 9, "HOT": 10,
    "COLD": 11, "NONLINEAR": 15, "PERSIST": 17, "OUTLIER": 19, "SOURCE": 21, "HALO": 28,
}  # fmt: skip
WAVE_X = np.array([1, 255, 510, 1020, 1530, 2040])
WAVE_Y = np.array([1, 71, 140, 141, 617, 1326, 2040])


def wave_values():
    x, y = np.meshgrid(WAVE_X, WAVE_Y)
    wave = 2.4 - 0.00037 * y + 2e-8 * (x - 1020.0) ** 2 - 4e-8 * y**2
    return np.stack([wave, wave / 41], axis=-1).astype("f4")


def image_value(x_det, y_det):
    """MJy/sr at detector pixels, different in every pixel of a cutout."""
    return 0.1 + 1e-4 * x_det + 1e-6 * y_det * y_det


def wcs_cards(header, origin, centre, angle, flip):
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    scale = 6.15 / 3600
    cards = {
        "RADESYS": "ICRS", "WCSAXES": 2, "CRPIX1": 1020.5 - origin[0], "CRPIX2": 1020.5 - origin[1],
        "PC1_1": scale * c * flip, "PC1_2": -scale * s, "PC2_1": scale * s * flip, "PC2_2": scale * c,
        "CDELT1": 1.0, "CDELT2": 1.0, "CUNIT1": "deg", "CUNIT2": "deg", "CTYPE1": "RA---TAN-SIP",
        "CTYPE2": "DEC--TAN-SIP", "CRVAL1": centre[0], "CRVAL2": centre[1], "LONPOLE": 180.0, "LATPOLE": centre[1],
    }  # fmt: skip
    for name, terms in SIP.items():
        cards[f"{name}_ORDER"] = 3
        cards |= {f"{name}_{i}_{j}": value for (i, j), value in terms.items()}
    for key in "AW":
        cards |= {f"CRPIX1{key}": 1.0 - origin[0], f"CRPIX2{key}": 1.0 - origin[1]}
    cards |= {
        "CTYPE1A": "LINEAR",
        "CTYPE2A": "LINEAR",
        "CRVAL1A": 0.0,
        "CRVAL2A": 0.0,
        "CUNIT1A": "pixel",
        "CUNIT2A": "pixel",
    }
    cards |= {
        "CTYPE1W": "WAVE-TAB", "CTYPE2W": "WAVE-TAB", "CUNIT1W": "um", "CUNIT2W": "um", "CRVAL1W": 1, "CRVAL2W": 1,
        "CDELT1W": 1, "CDELT2W": 1, "PV1_3W": 1, "PV2_3W": 2, "PS1_0W": "WCS-WAVE", "PS2_0W": "WCS-WAVE",
        "PS1_1W": "VALUES", "PS2_1W": "VALUES", "PS1_2W": "X", "PS2_2W": "Y",
    }  # fmt: skip
    header.update(cards)


def psf_plane(zone, side):
    r = np.arange(side) - side // 2
    width = 2 + 0.01 * zone
    return np.exp(-(r[:, None] ** 2 + r**2) / (2 * width**2))


@cache
def psf_hdu(side=11, transposed=False, zones=11):
    hdu = fits.ImageHDU(np.array([psf_plane(k, side) for k in range(zones**2)], "f4"), name="PSF")
    hdu.header["OVERSAMP"] = 10
    step = N / zones
    for k in range(zones**2):
        iy, ix = (k % zones, k // zones) if transposed else (k // zones, k % zones)
        hdu.header[f"XCTR_{k + 1}"] = ((ix + 0.5) * step, f"X pixel at center of zone ({ix}, {iy})")
        hdu.header[f"YCTR_{k + 1}"] = ((iy + 0.5) * step, f"Y pixel at center of zone ({ix}, {iy})")
    return hdu


@cache
def epsf_hdu(side=9, nx=11, ny=41):
    iy, ix = np.divmod(np.arange(nx * ny), nx)
    columns = [
        fits.Column("BINX", "J", array=ix), fits.Column("BINY", "J", array=iy),
        fits.Column("XCENTER", "E", unit="pixel", array=(ix + 0.5) * N / nx),
        fits.Column("YCENTER", "E", unit="pixel", array=(iy + 0.5) * N / ny),
        fits.Column("NSTAR", "J", array=ix),
        fits.Column("EPSF", f"{side * side}D", dim=f"({side},{side})",
                    array=np.array([psf_plane(k, side) for k in range(nx * ny)])),
    ]  # fmt: skip
    hdu = fits.BinTableHDU.from_columns(columns, name="EPSF")
    hdu.header["OVSMPX"] = hdu.header["OVSMPY"] = 5
    return hdu


def wave_hdu():
    values = wave_values()
    m, n, _ = values.shape
    columns = [
        fits.Column("X", f"{n}J", dim=f"({n})", array=WAVE_X[None]),
        fits.Column("Y", f"{m}J", dim=f"({m})", array=WAVE_Y[None]),
        fits.Column("VALUES", f"{2 * n * m}E", dim=f"(2,{n},{m})", array=values[None]),
    ]
    return fits.BinTableHDU.from_columns(columns, name="WCS-WAVE")


def isot(mjd):
    return Time(mjd, format="mjd").isot


def flag_cards(header, release, bits):
    for k, (name, bit) in enumerate(bits.items()):
        if release == "qr2":
            header[f"HIERARCH MP_{name}"] = bit
        else:
            header[f"MSKN{k:04d}"] = name
            header[f"MSKM{k:04d}"] = 1 << bit


def write_image(
    path, *, release="qr2", detector=3, obsid="2025W51_1A_0684_2", shape=(30, 40), origin=(1292, 863),
    centre=(10.0, 40.9), angle=25.0, flip=1, mjd=61027.215650564, version=None, compressed=False, transposed=False,
    bits=FLAG_BITS, flags=None, order=None, drop=(), cards=(), primary=(), psf=None, tile=None,
):  # fmt: skip
    """Write a Level-2 file; `cards` and `primary` change cards of IMAGE and PRIMARY (None deletes)."""
    ny, nx = shape
    y, x = np.mgrid[:ny, :nx]
    x, y = x + origin[0], y + origin[1]
    image = image_value(x, y).astype("f4")
    if flags is None:
        flags = np.where((x + 3 * y) % 7 == 0, 1 << 10, 0) | np.where((x - y) % 5 == 0, 1 << 21, 0)
    hdus = {
        "IMAGE": fits.ImageHDU(image, name="IMAGE"),
        "FLAGS": fits.ImageHDU(flags.astype("i4"), name="FLAGS"),
        "VARIANCE": fits.ImageHDU((0.01 * image).astype("f4"), name="VARIANCE"),
        "ZODI": fits.ImageHDU((0.5 * image).astype("f4"), name="ZODI"),
        "PSF": psf or (psf_hdu(transposed=transposed) if release == "qr2" else epsf_hdu()),
        "WCS-WAVE": wave_hdu(),
    }
    header = hdus["IMAGE"].header
    year, rest = obsid.split("W")
    week, large, small, slew = rest.split("_")
    values = {
        "BUNIT": "MJy / sr", "DETECTOR": detector, "OBSID": obsid,
        "EXPIDN": int(f"{year}{week}{large[0]}{'0AB'.index(large[1]):02d}{small}{slew}{detector}"),
        "HIERARCH SPS_FLAGS": "all_sky ", "HIERARCH OMEGA_MEDIAN": 37.86, "MJD-BEG": mjd - 6.7e-4, "MJD-AVG": mjd,
        "MJD-END": mjd + 6.7e-4, "XPOSURE": 113.5826, "TIMESYS": "UTC",
        "DATE-BEG": isot(mjd - 6.7e-4), "DATE-AVG": isot(mjd), "DATE-END": isot(mjd + 6.7e-4),
    }  # fmt: skip
    header.update(values)
    wcs_cards(header, origin, centre, angle, flip)
    for keyword, value in dict(cards).items():
        if value is None:
            header.remove(keyword, ignore_missing=True)
        else:
            header[keyword] = value
    flag_cards(hdus["FLAGS"].header, release, bits)
    if compressed:
        hdus["FLAGS"] = fits.CompImageHDU(
            flags.astype("i4"),
            hdus["FLAGS"].header,
            name="FLAGS",
            compression_type=compressed if isinstance(compressed, str) else "RICE_1",
            tile_shape=tile,
        )
    start = fits.PrimaryHDU()
    start.header["VERSION"] = version or ("6.5.7" if release == "qr2" else "7.0.2")
    start.header.update(dict(primary))
    names = [name for name in order or hdus if name not in drop]
    fits.HDUList([start, *(hdus[name] for name in names)]).writeto(path, overwrite=True, checksum=False)
    return path


@pytest.fixture
def make_image(tmp_path):
    """Write a Level-2 file into a folder; see `write_image`."""

    def make(name="level2_2025W51_1A_0684_2D3_spx_l2b-v21-2025-354.fits", **options):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_image(path, **options)

    return make
