"""Header cards of the simulated Level-2 files, in the names, order and encoding of the real ones.

Cards are ``(keyword, value, comment)``; `header_bytes` turns them into FITS blocks directly, because building several
hundred cards with astropy takes longer than simulating the pixels.
"""

from datetime import timedelta

import numpy as np

from glue_spherex.model.flags import FLAG_TABLE, Flag

from .pixels import EXPOSURE_DAYS, RELEASE_FLAGS
from .scene import date_of

VERSIONS = {"qr2": "6.5.7", "qr3": "7.0.2"}
ERRATUM_VERSION = "6.5.4"  #: has the PSF zone cards transposed

_LONG = "HIERARCH "


def header_bytes(cards):
    """FITS header blocks.

    Parameters
    ----------
    cards : iterable of (str, value, str)
        Keyword, value and comment; COMMENT and HISTORY take their text as the value.

    Returns
    -------
    bytes
        With END, padded to a multiple of 2880.
    """
    text = "".join(_card(*card) for card in cards) + f"{'END':<80}"
    return text.ljust(-(-len(text) // 2880) * 2880).encode("ascii")


def _card(keyword, value, comment=""):
    if keyword in ("COMMENT", "HISTORY"):
        return f"{keyword:<8}{value}".ljust(80)[:80]
    if isinstance(value, str):
        shown = f"'{value:<8}'"
    elif isinstance(value, bool | np.bool_):
        shown = "T" if value else "F"
    elif isinstance(value, int | np.integer):
        shown = str(value)
    else:
        shown = repr(float(value)).upper()
        if "." not in shown:
            shown = shown.replace("E", ".0E")
    if len(keyword) > 8 or " " in keyword or "." in keyword:
        start = f"{_LONG}{keyword} = {shown}"
    elif isinstance(value, str):
        start = f"{keyword:<8}= {shown:<20}"
    else:
        start = f"{keyword:<8}= {shown:>20}"
    card = f"{start} / {comment}" if comment else start
    if len(start) > 80:
        raise ValueError(f"card {keyword}: {start!r} is longer than 80 characters.")
    return card.ljust(80)[:80]


def primary_cards(exposure, release, erratum):
    """Cards of the PRIMARY HDU."""
    made = date_of(exposure.mjd_begin + 2)
    return [
        ("SIMPLE", True, "conforms to FITS standard"),
        ("BITPIX", 8, "array data type"),
        ("NAXIS", 0, "number of array dimensions"),
        ("EXTEND", True, ""),
        ("VERSION", ERRATUM_VERSION if erratum else VERSIONS[release], "pipeline version"),
        ("DATE", _iso(made), "HDU creation time (UTC)"),
    ]


def array_cards(bitpix, *shape):
    """Structural cards of an image extension of numpy shape `shape`."""
    axes = [(f"NAXIS{k}", n, "") for k, n in enumerate(reversed(shape), start=1)]
    return [
        ("XTENSION", "IMAGE", "Image extension"),
        ("BITPIX", bitpix, "array data type"),
        ("NAXIS", len(shape), "number of array dimensions"),
        *axes,
        ("PCOUNT", 0, "number of parameters"),
        ("GCOUNT", 1, "number of groups"),
    ]


def _iso(moment):
    return f"{moment + timedelta(microseconds=500):%Y-%m-%dT%H:%M:%S.%f}"[:-3]


class ImageCards:
    """The cards that the HDUs of one file share.

    Parameters
    ----------
    exposure : Exposure
    pointing : Pointing
    window : Window
    flags : ndarray of int, shape (ny, nx)
        The pixel flags, for the counts.
    """

    def __init__(self, exposure, pointing, window, flags):
        self.exposure, self.pointing, self.window = exposure, pointing, window
        self.shape = (window.ny, window.nx)
        self.counts = {flag: int(np.count_nonzero(flags & np.int32(flag))) for flag in Flag if flag < 1 << 31}
        self.celestial = self._celestial()
        self.sip = self._sip()
        self.active = self._active_pixels()
        self.time = self._time()
        self.wave = self._wave()

    def image(self, release):
        """All cards of the IMAGE HDU."""
        source_percent = round(100 * self.counts[Flag.SOURCE] / (self.window.nx * self.window.ny), 2)
        omega, spread = self.pointing.detector.omega_statistics
        return [
            *array_cards(-32, *self.shape),
            ("EXTNAME", "IMAGE", "extension name"),
            ("EXTTYPE", "IMAGE", "Extension supports mask overlay"),
            ("BUNIT", "MJy / sr", "Unit of pixel value"),
            ("DETECTOR", self.exposure.detector, "1-3: SWIR, 4-6: MWIR"),
            ("OBSID", self.exposure.obsid, "Observation ID"),
            ("EXPIDN", self.exposure.exposure_id, "Integer Exposure ID"),
            ("DATE", _iso(date_of(self.exposure.mjd_begin + 2)), "HDU creation time (UTC)"),
            *_READOUT,
            *self._planning(),
            ("L1DQAFLG", "Pass", "L1 DQA outcome"),
            ("RADESYS", "ICRS", "Equatorial coordinate system"),
            *self._orbit(),
            ("NBLMPIX", self.counts[Flag.BLOOM], "Number of Pixels Bloom Flag"),
            ("NHALOPIX", self.counts[Flag.HALO], "Number of Pixels Halo Flag"),
            ("NSNOWPIX", self.counts[Flag.SNOWBALL], "Number of Pixels Snowball Flag"),
            ("L2 N_NONLINEAR", self.counts[Flag.NONLINEAR], "number of pixels flagged nonlinear"),
            ("PSTHRESH", 0.1, "[electron/s] persistence threshold"),
            ("L2 N_PERSIST", self.counts[Flag.PERSIST], "number of pixels flagged persist"),
            ("DETCOORD", "sky", "MWIR pixels flipped on X to match SWIR view"),
            ("L2 N_HOT", self.counts[Flag.HOT], "number of pixels flagged hot"),
            ("L2 N_COLD", self.counts[Flag.COLD], "number of pixels flagged cold"),
            ("L2 N_TRAN_NB", self.counts[Flag.TRANSIENT], "number of not bad transient pixels"),
            ("L2 N_PERS_NB", self.counts[Flag.PERSIST], "number of persistence and not bad pixels"),
            ("OMEGA_MEDIAN", omega, "[arcsec**2] solid angle pixel map"),
            ("OMEGA_STDDEV", spread, "[arcsec**2] solid angle pixel map"),
            ("FINAST", 0, "good fine-astrometric solution"),
            *self.celestial,
            ("DAXIS", 1.3391179933075352, ""),
            ("CONTRAST", 76.6, ""),
            ("MATCH_NSTARS", 3839, ""),
            ("QS_NMATCH_VAR", 0.011758466292862218, ""),
            ("ASTRONETSOLVED", True, ""),
            ("PXSRCMSK", source_percent, "Percentage of pixels with SOURCE flag"),
            ("L2 N_SOURCE", self.counts[Flag.SOURCE], "number of source flagged pixels"),
            ("L2 N_GHOST", self.counts[Flag.GHOST], "number of ghost flagged pixels"),
            ("L2 N_GHOST_FPA", self.counts[Flag.GHOST_FPA], "number of ghost_fpa flagged pixels"),
            ("L2 N_GHOST_EXT", self.counts[Flag.GHOST_EXT], "number of ghost_ext flagged pixels"),
            ("L2 N_BLOOM_NS", self.counts[Flag.BLOOM], "number of BLOOM flagged pixels not flagged SOURCE"),
            ("L2 N_SNOW_NS", self.counts[Flag.SNOWBALL], "number of SNOW flagged pixels not flagged SOURCE"),
            ("L2 N_OUTLIER", self.counts[Flag.OUTLIER], "number of flagged outlier pixels"),
            ("PSF_FWHM", self.pointing.detector.fwhm_arcsec, "[arcsec] PSF FWHM Median"),
            ("L2DQAFLG", "Pass", "L2 DQA outcome"),
            *self._flag_counts(),
            ("REFCAT.VERSION", "SPHEREx_RefCat_v0.73", "Reference catalog version"),
            *self.sip,
            *self.active,
            *self.time,
            *self.wave,
            ("COMMENT", "Simulated by glue-spherex; no photon of this image was ever seen.", ""),
            ("HISTORY", f"[CALIB] {'average_psf' if release == 'qr2' else 'epsf'} simulated", ""),
            ("HISTORY", "[CALIB] spectral_wcs simulated", ""),
        ]

    def flags(self, release):
        """All cards of the FLAGS HDU."""
        cards = [
            *array_cards(32, *self.shape),
            ("L2 N_OUTLIER", self.counts[Flag.OUTLIER], "number of flagged outlier pixels"),
            *self._flag_counts(with_dropped=True),
            ("BUNIT", "", "Unit of flag pixel value (dimensionless)"),
            ("EXTTYPE", "MASK", "Extension can be used as a mask overlay"),
        ]
        known = [info for info in FLAG_TABLE if Flag(1 << info.bit) in RELEASE_FLAGS[release]]
        for info in known:
            if release == "qr2":
                cards.append((f"MP_{info.name}", info.bit, info.meaning))
            else:
                cards.append((f"MSKN{info.bit:04d}", info.name, ""))
                cards.append((f"MSKM{info.bit:04d}", 1 << info.bit, ""))
                cards.append((f"MSKD{info.bit:04d}", info.meaning, ""))
        return [*cards, ("EXTNAME", "FLAGS", "extension name"), *self._frame()]

    def companion(self, name, unit):
        """All cards of the VARIANCE and ZODI HDUs."""
        return [
            *array_cards(-32, *self.shape),
            ("BUNIT", unit, "Unit of pixel value"),
            ("EXTNAME", name, "extension name"),
            *self._frame(),
        ]

    def _frame(self):
        system = [("MJDREF", 0.0, "[d] MJD of fiducial time"), ("RADESYS", "ICRS", "Equatorial coordinate system")]
        time = [card for card in self.time if card[0] != "MJDREF"]
        return [*self.celestial, *system, *self.sip, *self.active, *time, *self.wave]

    def _flag_counts(self, with_dropped=False):
        rows = [("TRANSIENT", "transient"), ("OVERFLOW", "overflow"), ("SUR_ERROR", "sur error")]
        rows += [("PHANTOM", "phantom"), ("REFERENCE", "reference")] if with_dropped else []
        rows += [("NONFUNC", "nonfunctional")]
        cards = [(f"L2 N_{n}", self.counts[Flag[n]], f"number of flagged {t} pixels") for n, t in rows]
        return [
            *cards,
            ("L2 N_DICHROIC", self.counts[Flag.DICHROIC], "number of flagged pixels due to low efficiency"),
            ("L2 N_MISSING", self.counts[Flag.MISSING_DATA], "number of flagged pixels with missing data"),
            ("L2 N_FULLSAMPLE", self.counts[Flag.FULLSAMPLE], "number of flagged full-sample pixels"),
            ("L2 N_PHANMISS", self.counts[Flag.PHANMISS], "number of flagged phanmiss pixels"),
        ]

    def _planning(self):
        return [
            ("SPS_TARGET", 80000 + self.exposure.number, "Target ID assigned by Survey Planning"),
            ("SPS_FLAGS", "all_sky", "Flags defined by Survey Planning"),
            ("OBS_IN_SBAND", "False", "Observed during S-band transmission"),
            ("NON_SURVEY", "False", "Observation is not part of a science survey"),
            ("SGT_LAT_MIDPT", 38.335997, "[deg] Ground track latitude at midpoint"),
            ("SGT_LON_MIDPT", 197.051243, "[deg] Ground track longitude at midpoint"),
            ("SGT_MIN_GCD2SAA", 84.625226, "[deg] Closest ground track dist to SAA"),
            ("SPS_ELON", 22.5, "[deg] Ecliptic longitude of planned telescope boresight"),
            ("SPS_ELAT", 33.441208, "[deg] Ecliptic latitude of planned telescope boresight"),
            ("SPS_EPA", 180.0, "[deg] PA of FP y axis at planned boresight, E of ecl N"),
        ]

    def _orbit(self):
        """A circular polar orbit; the phase follows the time."""
        radius, period = 7033.0, 98.5 / 1440
        cards = []
        for tag, when, word in (("_START", 0.0, "START"), ("", 0.5, "MID"), ("_END", 1.0, "END")):
            phase = 2 * np.pi * (self.exposure.mjd_begin + when * EXPOSURE_DAYS) / period
            speed = 2 * np.pi * radius / (period * 86400)
            place = radius * np.array([np.cos(phase), 0.03 * np.sin(phase), np.sin(phase)])
            motion = speed * np.array([-np.sin(phase), 0.03 * np.cos(phase), np.cos(phase)])
            cards += [
                (f"{c}_SC{tag}", v, f"[km] Exposure {word} {c.lower()} position")
                for c, v in zip("XYZ", place, strict=True)
            ]
            cards += [
                (f"V{c}_SC{tag}", v, f"[km/s] Exposure {word} v_{c.lower()} velocity")
                for c, v in zip("XYZ", motion, strict=True)
            ]
            if tag == "_START":
                cards.append(("XYZ_SC_SYSTEM", "GEOCENTER", "Reference frame for spacecraft position"))
                cards.append(("VXYZ_SC_SYSTEM", "GEOCENTER", "Reference frame for spacecraft velocity"))
        return cards

    def _celestial(self):
        pc, point = self.pointing.pc, "Pixel coordinate of reference point"
        cards = [("WCSAXES", 2, "Number of coordinate axes")]
        cards += [("CRPIX1", 1020.5 - self.window.x0, point), ("CRPIX2", 1020.5 - self.window.y0, point)]
        cards += [
            (f"PC{i}_{j}", pc[i - 1, j - 1], "Coordinate transformation matrix element") for i in (1, 2) for j in (1, 2)
        ]
        cards += [(f"CDELT{i}", 1.0, "[deg] Coordinate increment at reference point") for i in (1, 2)]
        cards += [(f"CUNIT{i}", "deg", "Units of coordinate increment and value") for i in (1, 2)]
        return [
            *cards,
            ("CTYPE1", "RA---TAN-SIP", "TAN (gnomonic) projection + SIP distortions"),
            ("CTYPE2", "DEC--TAN-SIP", "TAN (gnomonic) projection + SIP distortions"),
            ("CRVAL1", self.pointing.ra, "[deg] Coordinate value at reference point"),
            ("CRVAL2", self.pointing.dec, "[deg] Coordinate value at reference point"),
            ("LONPOLE", 180.0, "[deg] Native longitude of celestial pole"),
            ("LATPOLE", self.pointing.dec, "[deg] Native latitude of celestial pole"),
        ]

    def _sip(self):
        cards = []
        names = ("A", "B", "AP", "BP")
        arrays = (*self.pointing.detector.sip, *self.pointing.detector.sip_inverse)
        for name, coefficients in zip(names, arrays, strict=True):
            way = "sky to detector" if name.endswith("P") else "detector to sky"
            cards.append((f"{name}_ORDER", 3, f"SIP polynomial order, axis {'AB'.index(name[0])}, {way}"))
            cards += [
                (f"{name}_{p}_{q}", coefficients[p, q], "SIP distortion coefficient")
                for p in range(4)
                for q in range(4 - p)
            ]
        return cards

    def _active_pixels(self):
        cards = [("WCSAXESA", 2, "Number of coordinate axes")]
        cards += [
            (f"CRPIX{k}A", 1.0 - origin, "Pixel coordinate of reference point")
            for k, origin in ((1, self.window.x0), (2, self.window.y0))
        ]
        for word, value, text in (
            ("CDELT", 1.0, "[pixel] Coordinate increment at reference point"),
            ("CUNIT", "pixel", "Units of coordinate increment and value"),
            ("CTYPE", "LINEAR", "Coordinate type code"),
            ("CRVAL", 0.0, "[pixel] Coordinate value at reference point"),
        ):
            cards += [(f"{word}{k}A", value, text) for k in (1, 2)]
        return [
            *cards,
            ("LATPOLEA", 90.0, "[deg] Native latitude of celestial pole"),
            ("WCSNAMEA", "0-based active pixel coordinates", "Coordinate system title"),
        ]

    def _time(self):
        begin = self.exposure.mjd_begin
        cards = [("TIMESYS", "UTC", "Time scale"), ("MJDREF", 0.0, "[d] MJD of fiducial time")]
        for tag, mjd, text in (
            ("OBS", begin, "observation"),
            ("BEG", begin, "start of observation"),
            ("AVG", begin + EXPOSURE_DAYS / 2, "midpoint of observation"),
            ("END", begin + EXPOSURE_DAYS, "end of observation"),
        ):
            cards += [
                (f"DATE-{tag}", _iso(date_of(mjd)), f"ISO-8601 time of {text}"),
                (f"MJD-{tag}", round(mjd, 9), f"[d] MJD of {text}"),
            ]
        return [
            *cards,
            ("XPOSURE", 113.5826, "[s] Exposure (integration) time"),
            ("TELAPSE", 118.1873, "[s] Elapsed time (start to stop)"),
        ]

    def _wave(self):
        raw = "Lookup table is in raw FITS coordinates"
        cards = [
            ("WCSAXESW", 2, "Two output axes: wavelength and bandwidth"),
            ("WCSNAMEW", "Approximated per-pixel wavelength and bandwidth", "WCS label"),
            ("CNAME1W", "Wavelength", "First output axis is central wavelength"),
            ("CNAME2W", "Bandwidth", "Second output axis is bandwidth"),
            ("CRPIX1W", 1.0 - self.window.x0, raw),
            ("CRPIX2W", 1.0 - self.window.y0, raw),
        ]
        for word, values, text in (
            ("CDELT{}W", (1, 1), f"[pixel] {raw}"),
            ("CUNIT{}W", ("um", "um"), "Reported in microns"),
            ("CTYPE{}W", ("WAVE-TAB", "WAVE-TAB"), "Bilinear lookup table, FITS Paper 3, Sect 6.1"),
            ("CRVAL{}W", (1, 1), f"[pixel] {raw}"),
            ("PV{}_3W", (1, 2), "Index of wavelength or bandwidth in VALUES array"),
            ("PS{}_0W", ("WCS-WAVE", "WCS-WAVE"), "Extension with lookup table"),
            ("PS{}_1W", ("VALUES", "VALUES"), "Column with values"),
            ("PS{}_2W", ("X", "Y"), "Column with control points"),
        ):
            cards += [(word.format(k), value, text) for k, value in enumerate(values, start=1)]
        return cards


_READOUT = (
    ("TSAMP", 1.5349, "[s] Interval between pixel readouts (frame)"),
    ("KOVR_A", 25000, "[adu] Overflow detection limit, active pixels"),
    ("KOVR_R", 25000, "[adu] Overflow detection limit, ref pixels"),
    ("KOVR_P", 25000, "[adu] Overflow detection limit, phantom pixels"),
    ("OVRDLY", 5, "threshold for overflow error flag"),
    ("SURLIM", 77, "Number of frames detector accumulated charge"),
    ("SURDLY", 3, "Frame count when SUR sums accumulation begins"),
    ("TRANDLY", 7, "Frame count when transient detection begins"),
    ("TCUT", 38, "threshold for transient error flag"),
    ("KEN_A", 20000, "Transient white noise threshold, active pixels"),
    ("KEN_R", 10000, "Transient white noise threshold, ref pixels"),
    ("KEN_P", 500, "Transient white noise threshold, phantom pixels"),
    ("KSN_A", 100, "Transient shot noise threshold, active pixels"),
    ("KSN_R", 0, "Transient shot noise threshold, ref pixels"),
    ("KSN_P", 0, "Transient shot noise threshold, phantom pixels"),
    ("NSKIP", 32, "Number of rows skipped after a full row is read"),
    ("NVISITROW", 4, "Number of visits to each reference row"),
    ("NVISITCOL", 1, "Number of visits to each reference col"),
    ("MPHAN", 4, "Number of phantom columns reads"),
    ("NCHANNEL", 32, "Number of readout channels"),
    ("WCHANNEL", 64, "Number of columns in each readout channel"),
    ("JREF", 8, "Number of physical reference rows on H2RG"),
    ("KREF", 8, "Number of physical reference cols on H2RG"),
    ("JACTIVE", 2040, "Number of light-sensitive pixel rows"),
    ("KACTIVE", 2040, "Number of light-sensitive pixel cols"),
)
