"""Simulated Level-2 files, calibration maps and tables on disk."""

import csv
from io import BytesIO

import numpy as np

from glue_spherex.model.detectors import N_PIX

from .detector import SimulatedDetector
from .headers import ImageCards, array_cards, header_bytes, primary_cards

_MOST_STARS = 10_000  # in a catalogue

_CALIBRATION = {
    "qr2": {"solid_angle_pixel_map": "cal-sapm-v2-2025-164", "spectral_wcs": "cal-wcs-v4-2025-254"},
    "qr3": {"solid_angle_pixel_map": "cal-sapm-v3-2026-191", "spectral_wcs": "cal-swcs-v5-2026-191"},
}
_FLUX_CORRECTION = "cal-flxc-v1-2026-191"


def array_bytes(values, dtype):
    """Data blocks of an image HDU: big-endian, padded to a multiple of 2880 bytes."""
    raw = np.ascontiguousarray(values, dtype=dtype).tobytes()
    return raw + bytes(-len(raw) % 2880)


def table_bytes(columns, cards, name):
    """Header and data of a binary table.

    Parameters
    ----------
    columns : list of (str, str, ndarray, str)
        Name, numpy dtype of an element, values with the rows first, unit.
    cards : list
        Further header cards.
    name : str
        EXTNAME.
    """
    fields, layout = [], []
    for k, (label, code, values, unit) in enumerate(columns, start=1):
        values = np.asarray(values)
        inner = values.shape[1:]
        letter = {"i4": "J", "f4": "E", "f8": "D"}[code]
        count = int(np.prod(inner)) if inner else 1
        fields.append((f"TTYPE{k}", label, ""))
        fields.append((f"TFORM{k}", f"{count}{letter}" if inner else letter, ""))
        if inner:
            fields.append((f"TDIM{k}", f"({','.join(str(n) for n in reversed(inner))})", ""))
        if unit:
            fields.append((f"TUNIT{k}", unit, ""))
        layout.append((label, ">" + code, inner))
    rows = np.zeros(len(columns[0][2]), dtype=layout)
    for label, _, values, _ in columns:
        rows[label] = values
    structure = [
        ("XTENSION", "BINTABLE", "binary table extension"),
        ("BITPIX", 8, "array data type"),
        ("NAXIS", 2, "number of array dimensions"),
        ("NAXIS1", rows.dtype.itemsize, "length of dimension 1"),
        ("NAXIS2", len(rows), "length of dimension 2"),
        ("PCOUNT", 0, "number of group parameters"),
        ("GCOUNT", 1, "number of groups"),
        ("TFIELDS", len(columns), "number of table fields"),
        ("EXTNAME", name, ""),
    ]
    raw = rows.tobytes()
    return header_bytes([*structure, *fields, *cards]) + raw + bytes(-len(raw) % 2880)


def constant_parts(detector: SimulatedDetector, erratum=False):
    """The HDUs that all files of a detector share.

    Returns
    -------
    bytes
        PSF or EPSF, and WCS-WAVE.
    """
    stamps = detector.psf_stamps()
    if detector.release == "qr2":
        psf = header_bytes(_psf_cards(detector, erratum)) + array_bytes(stamps, ">f4")
    else:
        psf = _epsf_table(detector, stamps)
    return psf + _wave_table(detector)


def _psf_cards(detector, erratum):
    """All cards of the PSF HDU of QR2.

    Parameters
    ----------
    detector : SimulatedDetector
    erratum : bool
        Number the zone cards with y fastest while the planes stay in their order, as files up to 6.5.5 do.
    """
    n_x, n_y = detector.zone_counts
    step = N_PIX / n_x
    width = np.full(n_x, step)
    width[0], width[-1] = step + 0.5, step - 0.5
    centres = detector.zone_centres
    cards = [
        *array_cards(-32, n_x * n_y, 101, 101),
        ("CTYPE1", "XANG", ""),
        ("CTYPE2", "YANG", ""),
        ("CRPIX1", 51.0, ""),
        ("CRPIX2", 51.0, ""),
        ("CRVAL1", 0.0, ""),
        ("CRVAL2", 0.0, ""),
        ("CDELT1", 0.615, ""),
        ("CDELT2", 0.615, ""),
        ("CUNIT1", "arcsec", ""),
        ("CUNIT2", "arcsec", ""),
        ("OVERSAMP", 10, "Oversampling factor"),
        ("DETECTOR", detector.number, ""),
    ]
    for k in range(n_x * n_y):
        ix, iy = divmod(k, n_y) if erratum else (k % n_x, k // n_x)
        for word, value, text in (
            ("XCTR", centres[0][ix], "X pixel at center"),
            ("YCTR", centres[1][iy], "Y pixel at center"),
            ("XWID", width[ix], "X width"),
            ("YWID", width[iy], "Y width"),
        ):
            cards.append((f"{word}_{k + 1}", round(float(value), 6), f"{text} of zone ({ix}, {iy})"))
    return [*cards, ("EXTNAME", "PSF", "extension name")]


def _wave_table(detector):
    x, y, values = detector.wave_table()
    columns = [("X", "i4", x[None], ""), ("Y", "i4", y[None], ""), ("VALUES", "f4", values[None], "")]
    return table_bytes(columns, [], "WCS-WAVE")


def _epsf_table(detector, stamps):
    n_x, n_y = detector.zone_counts
    ix, iy = np.tile(np.arange(n_x), n_y), np.repeat(np.arange(n_y), n_x)
    x, y = detector.zone_centres[0][ix], detector.zone_centres[1][iy]
    wavelength, width = detector.wavelength(x, y)
    same = np.ones(len(ix))
    columns = [
        ("BINX", "i4", ix, ""),
        ("BINY", "i4", iy, ""),
        ("XCENTER", "f4", x, "pixel"),
        ("YCENTER", "f4", y, "pixel"),
        ("XWIDTH", "f4", same * N_PIX / n_x, "pixel"),
        ("YWIDTH", "f4", same * N_PIX / n_y, "pixel"),
        ("NSTAR", "i4", 500 * same, ""),
        ("NEFF_MEAN", "f4", 25 / 625 / (stamps**2).sum(axis=(1, 2)), ""),
        ("CWAVE", "f4", wavelength, "um"),
        ("CBAND", "f4", width, "um"),
        ("EPSF", "f8", stamps, ""),
    ]
    cards = [
        ("DETECTOR", str(detector.number), ""),
        ("OVSMPX", 5, "oversampling in x"),
        ("OVSMPY", 5, "oversampling in y"),
        ("ORDERING", "x-fast then y", ""),
        ("DETCOORD", "sky", ""),
        ("MAXIT", 10, ""),
        ("SMOOTH", "quartic", ""),
        ("KEEPNAT", 3.5, ""),
        ("KEEPOS", 17.5, ""),
    ]
    return table_bytes(columns, cards, "EPSF")


def image_file(pixels, exposure, pointing, window, constants, *, erratum=False, gain=None, compress=False):
    """A Level-2 file.

    Parameters
    ----------
    pixels : Pixels
    exposure, pointing, window
        Time, attitude and the part of the detector.
    constants : bytes
        From `constant_parts`.
    erratum : bool, optional
        Write the pipeline version whose PSF zone cards are transposed.
    gain : ndarray, shape (ny, nx), optional
        The image is divided by it, the variance by its square.
    compress : bool, optional
        Compress FLAGS with RICE_1, as full frames of QR3 are.

    Returns
    -------
    list of bytes
        Parts of the file in order.
    """
    release = pointing.detector.release
    cards = ImageCards(exposure, pointing, window, pixels.flags)
    image, variance = pixels.image, pixels.variance
    if gain is not None:
        image, variance = image / gain, variance / gain**2
    if compress:
        flags = [_compressed(header_bytes(cards.flags(release)), pixels.flags)]
    else:
        flags = [header_bytes(cards.flags(release)), array_bytes(pixels.flags, ">i4")]
    return [
        header_bytes(primary_cards(exposure, release, erratum)),
        header_bytes(cards.image(release)),
        array_bytes(image, ">f4"),
        *flags,
        header_bytes(cards.companion("VARIANCE", "(MJy / sr)**2")),
        array_bytes(variance, ">f4"),
        header_bytes(cards.companion("ZODI", "MJy / sr")),
        array_bytes(pixels.zodi, ">f4"),
        constants,
    ]


def _compressed(header, values):
    """Blocks of a RICE_1 tile-compressed image HDU."""
    from astropy.io import fits

    hdu = fits.CompImageHDU(values.astype(np.int32), fits.Header.fromstring(header), compression_type="RICE_1")
    whole = BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(whole)
    return whole.getvalue()[2880:]  # without the empty primary HDU, which takes one block


def calibration_files(detector: SimulatedDetector, flux_correction):
    """Calibration maps of a detector.

    Yields
    ------
    name : str
    parts : list of bytes
    """
    side = np.arange(N_PIX, dtype=float)
    names = _CALIBRATION[detector.release]
    wavelength, width = detector.wavelength(side, side[:, None])
    maps = [
        ("solid_angle_pixel_map", [("IMAGE", "arcsec2", detector.solid_angle(side, side))], b""),
        ("spectral_wcs", [("CWAVE", "um", wavelength), ("CBAND", "um", width)], _wave_table(detector)),
    ]
    for family, hdus, rest in maps:
        yield f"{family}_D{detector.number}_spx_{names[family]}.fits", [*_map_hdus(detector, hdus), rest]
    if flux_correction and detector.release == "qr2":
        hdus = [("IMAGE", "", detector.old_gain(side, side))]
        yield f"l3_flux_corrections_D{detector.number}_spx_{_FLUX_CORRECTION}.fits", _map_hdus(detector, hdus)


def _map_hdus(detector, hdus):
    primary = [("SIMPLE", True, ""), ("BITPIX", 8, ""), ("NAXIS", 0, ""), ("EXTEND", True, "")]
    parts = [header_bytes([*primary, ("DETECTOR", detector.number, "")])]
    for name, unit, values in hdus:
        cards = [*array_cards(-32, N_PIX, N_PIX), ("EXTNAME", name, ""), ("BUNIT", unit, "")]
        cards += [("DETECTOR", detector.number, ""), ("DETCOORD", "sky", "")]
        parts += [header_bytes(cards), array_bytes(values, ">f4")]
    return parts


TARGET_COLUMNS = (
    "ra",
    "dec",
    "name",
    "sersic_n",
    "axis_ratio",
    "position_angle",
    "r_eff",
    "pmra",
    "pmdec",
    "ref_epoch",
)


def write_targets(path, sources):
    """Write the target list; cells without a value are empty."""
    with open(path, "w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(TARGET_COLUMNS)
        writer.writerows(_cells(source) for source in sources)


def _cells(source):
    p = source.profile
    shape = ("",) * 4 if p is None else (p.n, p.axis_ratio, p.position_angle, p.r_eff)
    motion = (source.pmra, source.pmdec, source.ref_epoch) if source.pmra or source.pmdec else ("",) * 3
    return f"{source.ra:.9f}", f"{source.dec:.9f}", source.label, *shape, *motion


def write_catalogue(path, scene):
    """Write what a survey of the field would list: its targets, and its other stars, the 10,000 brightest at most.

    Parameters
    ----------
    path : path-like
        CSV file with the columns of a target list, and the flux density at 2 µm (µJy).
    scene : Scene
    """
    stars = scene.stars
    brightest = np.argsort(-stars.flux_ujy, kind="stable")[:_MOST_STARS]
    with open(path, "w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*TARGET_COLUMNS, "flux_2um_ujy"))
        for source, target in zip(scene.sources, scene.targets):
            writer.writerow((*_cells(source), f"{float(target.spectrum(2.0)):.1f}"))
        for number, k in enumerate(brightest, start=1):
            place = f"{stars.ra[k]:.9f}", f"{stars.dec[k]:.9f}", f"field-{number}"
            writer.writerow((*place, *("",) * (len(TARGET_COLUMNS) - 3), f"{stars.flux_ujy[k]:.1f}"))


#: Columns of truth.ecsv: unit and description
TRUTH_COLUMNS = {
    "label": ("", "name of the source"),
    "file": ("", "name of the image file"),
    "det_id": ("", "detector, 1 to 6"),
    "exposure_id": ("", "15-digit number of the exposure and detector"),
    "x": ("pix", "0-based x on the full detector frame"),
    "y": ("pix", "0-based y on the full detector frame"),
    "ra": ("deg", "right ascension at the epoch of the exposure"),
    "dec": ("deg", "declination at the epoch of the exposure"),
    "flux_ujy": ("uJy", "true flux density, a galaxy's to infinity"),
    "wavelength": ("um", "central wavelength at the source"),
    "width": ("um", "bandwidth at the source"),
    "mjd": ("d", "middle of the exposure, UTC"),
    "background": ("MJy / sr", "sky in the source's pixel: zodiacal light and airglow"),
    "omega_arcsec2": ("arcsec2", "solid angle of the source's pixel"),
    "zone": ("", "PSF zone, counted with x fastest"),
}


def write_truth(path, columns, meta):
    """Write the truth table.

    Parameters
    ----------
    path : path-like
    columns : dict of str to array_like
        The columns of `TRUTH_COLUMNS`.
    meta : dict
        How the run was made.
    """
    from astropy.table import Column, Table

    table = Table(meta=meta)
    for name, (unit, description) in TRUTH_COLUMNS.items():
        table[name] = Column(columns[name], unit=unit or None, description=description)
    table.write(path, format="ascii.ecsv", overwrite=True)
