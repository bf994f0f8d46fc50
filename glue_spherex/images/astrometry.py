"""Sky and pixels of one image: gnomonic projection (TAN) with SIP distortion.

The numbers of the celestial WCS are kept as bytes in the image's record. From them come an `astropy.wcs.WCS` for
those who want one, and, in a tenth of its time, the transforms that photometry needs. SIP: Shupe et al. 2005, ASP
Conf. Ser. 347, 491. SPHEREx's polynomials have terms of order 0 and 1, worth more than a pixel: they are kept.
"""

from math import cos, radians, sin

import numpy as np
from astropy.wcs import WCS, Sip, Wcsprm

from .errors import ImageFileError

MAX_SEPARATION_DEG = 6.0  # farther from the reference point than this nothing lies on a detector (diagonal 4.9 deg)
MAX_SIP_ORDER = 9
_POLYNOMIALS = ("A", "B", "AP", "BP")
_CONVERGED_PX = 1e-8
_MAX_STEPS = 30
_HALF_STEPS = np.array([[0.0, 0.0], [0.5, 0.0], [-0.5, 0.0], [0.0, 0.5], [0.0, -0.5]])  # px; differences over a pixel


def pack_wcs(header, path):
    """The numbers of the celestial WCS in a header, as float64 bytes.

    Parameters
    ----------
    header : Header
        Of the IMAGE HDU.
    path : str
        For messages.

    Returns
    -------
    bytes
        CRPIX1/2, PC1_1…PC2_2 (or CD), CDELT1/2, CRVAL1/2, LONPOLE, LATPOLE, the four SIP orders (-1: none), and the
        (order + 1)² coefficients of A, B, AP and BP. Pixels are 1-based as in FITS, angles in degrees.

    Raises
    ------
    ImageFileError
        For another projection than TAN in right ascension and declination, missing or unreadable numbers, and a
        singular matrix.
    """
    axes = header.text("CTYPE1"), header.text("CTYPE2")
    if axes not in (("RA---TAN-SIP", "DEC--TAN-SIP"), ("RA---TAN", "DEC--TAN")):
        raise ImageFileError(
            f"{path}: CTYPE1/2 of IMAGE are {axes[0]!r}, {axes[1]!r}; RA---TAN-SIP, DEC--TAN-SIP is needed."
        )
    units = {header.text(f"CUNIT{i}", "deg") for i in (1, 2)}
    if not units <= {"deg", ""}:
        raise ImageFileError(f"{path}: CUNIT1/2 of IMAGE are {sorted(units)}; deg is needed.")
    crpix, crval = (_pair(header, name, path) for name in ("CRPIX", "CRVAL"))
    matrix, cdelt = _matrix(header, path)
    poles = [header.number("LONPOLE", 180.0), header.number("LATPOLE", crval[1])]
    orders, coefficients = [], []
    for name in _POLYNOMIALS:
        order, values = _polynomial(header, name, path) if axes[0].endswith("SIP") else (-1, [])
        orders.append(order)
        coefficients.extend(values)
    if (orders[0] < 0) != (orders[1] < 0):
        raise ImageFileError(
            f"{path}: only one of the SIP polynomials A and B is in the IMAGE header; both are needed."
        )
    if (orders[2] < 0) != (orders[3] < 0):  # AP and BP are only a fit of the inverse: half of it is left out
        del coefficients[sum((order + 1) ** 2 for order in orders[:2]) :]
        orders[2:] = -1, -1
    return np.array([*crpix, *matrix, *cdelt, *crval, *poles, *orders, *coefficients]).tobytes()


def _pair(header, name, path):
    values = [header.number(f"{name}{i}") for i in (1, 2)]
    if None in values or not np.all(np.isfinite(values)):
        raise ImageFileError(f"{path}: {name}1/2 of IMAGE are {values[0]}, {values[1]}; two numbers are needed.")
    return values


def _matrix(header, path):
    cd = [header.number(f"CD{i}_{j}") for i in (1, 2) for j in (1, 2)]
    if any(value is not None for value in cd):
        matrix, cdelt = [value or 0.0 for value in cd], [1.0, 1.0]
    else:
        matrix = [header.number(f"PC{i}_{j}", float(i == j)) for i in (1, 2) for j in (1, 2)]
        cdelt = [header.number(f"CDELT{i}", 1.0) for i in (1, 2)]
    determinant = (matrix[0] * matrix[3] - matrix[1] * matrix[2]) * cdelt[0] * cdelt[1]
    scale = max(abs(value) for value in matrix) ** 2 * abs(cdelt[0] * cdelt[1])
    if not np.isfinite(determinant) or abs(determinant) <= 1e-9 * scale:
        raise ImageFileError(
            f"{path}: the WCS of IMAGE cannot be inverted (PC matrix {matrix}, CDELT {cdelt}); its header is damaged."
        )
    return matrix, cdelt


def _polynomial(header, name, path):
    order = header.integer(f"{name}_ORDER", -1)
    if order > MAX_SIP_ORDER or order < -1:
        raise ImageFileError(f"{path}: {name}_ORDER is {order}; 0 to {MAX_SIP_ORDER} is allowed.")
    values = [
        header.number(f"{name}_{i}_{j}", 0.0) if i + j <= order else 0.0
        for i in range(order + 1) for j in range(order + 1)
    ]  # fmt: skip
    if not np.all(np.isfinite(values)):
        raise ImageFileError(f"{path}: the SIP polynomial {name} of IMAGE holds a value that is not finite.")
    return order, values


class Astrometry:
    """Transforms between file pixels (0-based) and the sky (ICRS, degrees).

    Parameters
    ----------
    numbers : bytes
        From `pack_wcs`.
    origin : (int, int), optional
        Detector pixel (x, y) of the file's pixel (0, 0). All is computed in detector pixels, so that a cutout and the
        full frame that it comes from give the same positions to the last bit.
    """

    def __init__(self, numbers, origin=(0, 0)):
        values = np.frombuffer(numbers)
        self._origin = np.array(origin, float)
        self._crpix, self._pc, self._cdelt = values[:2] + self._origin, values[2:6].reshape(2, 2), values[6:8]
        self._crval, (self._lonpole, self._latpole) = values[8:10], values[10:12]
        polynomials, start = [], 16
        for order in values[12:16].astype(int):
            size = (order + 1) ** 2
            polynomials.append(values[start : start + size].reshape(order + 1, order + 1) if size else None)
            start += size
        self._sip = Sip(*polynomials, self._crpix) if polynomials[0] is not None else None
        self._plane = self._celestial(Wcsprm(naxis=2), "")

    def _celestial(self, wcsprm, suffix):
        wcsprm.crpix, wcsprm.pc, wcsprm.cdelt, wcsprm.crval = self._crpix, self._pc, self._cdelt, self._crval
        wcsprm.ctype = [f"RA---TAN{suffix}", f"DEC--TAN{suffix}"]
        wcsprm.lonpole, wcsprm.latpole = self._lonpole, self._latpole
        wcsprm.set()
        return wcsprm

    def wcs(self):
        """An `astropy.wcs.WCS` of the same transform."""
        wcs = WCS(naxis=2)
        wcs.wcs.radesys = "ICRS"
        wcs.wcs.cunit = ["deg", "deg"]
        self._celestial(wcs.wcs, "-SIP" if self._sip is not None else "")
        wcs.wcs.crpix = crpix = self._crpix - self._origin
        if self._sip is not None:
            wcs.sip = Sip(self._sip.a, self._sip.b, self._sip.ap, self._sip.bp, crpix)
        return wcs

    def _undistort(self, xy):
        """Detector pixels to the pixels of the pure projection, both 0-based, shape (n, 2)."""
        return xy if self._sip is None else self._sip.pix2foc(xy, 0) + self._crpix

    def to_sky(self, x, y):
        """Right ascension and declination of file pixels.

        Parameters
        ----------
        x, y : float or array_like, shape (n,)

        Returns
        -------
        ra, dec : ndarray, shape (n,), deg
        """
        pixels, shape = _pairs(x, y)
        world = self._plane.p2s(self._undistort(pixels + self._origin), 0)["world"]
        return world[:, 0].reshape(shape), world[:, 1].reshape(shape)

    def to_pixels(self, ra, dec):
        """File pixels of sky positions: the numerical inverse of `to_sky` (AP and BP are only its fit).

        Parameters
        ----------
        ra, dec : float or array_like, shape (n,), deg

        Returns
        -------
        x, y : ndarray, shape (n,)
            NaN for positions more than `MAX_SEPARATION_DEG` off the reference point, or where no pixel is found.
        """
        world, shape = _pairs(ra, dec)
        pixels = np.full(world.shape, np.nan)
        near = self._is_near(world)
        if near.any():
            pixels[near] = self._distort(self._plane.s2p(world[near], 0)["pixcrd"]) - self._origin
        return pixels[:, 0].reshape(shape), pixels[:, 1].reshape(shape)

    def _is_near(self, world):
        with np.errstate(invalid="ignore"):
            dec, middle = np.radians(world[:, 1]), radians(self._crval[1])
            sin2_ra, sin2_dec = (np.sin(np.radians(world - self._crval) / 2) ** 2).T
            haversine = sin2_dec + np.cos(dec) * cos(middle) * sin2_ra
            return (haversine < sin(radians(MAX_SEPARATION_DEG) / 2) ** 2) & (np.abs(world[:, 1]) <= 90)

    def _distort(self, wanted):
        """Inverse of `_undistort` by a chord iteration with the Jacobian at the start."""
        if self._sip is None:
            return wanted
        xy = wanted.copy()
        around = self._undistort((xy + _HALF_STEPS[:, None]).reshape(-1, 2)).reshape(5, -1, 2)
        (a, c), (b, d) = (around[1] - around[2]).T, (around[3] - around[4]).T
        with np.errstate(all="ignore"):
            inverse = np.array([[d, -b], [-c, a]]) / (a * d - b * c)
            inverse = inverse.transpose(2, 0, 1)
            residual = around[0] - wanted
            for _ in range(_MAX_STEPS):
                xy -= (inverse @ residual[:, :, None])[:, :, 0]
                residual = self._undistort(xy) - wanted
                if not (np.abs(residual) > _CONVERGED_PX).any():
                    break
        xy[~(np.abs(residual) <= 1e-6).all(axis=1)] = np.nan
        return xy

    def local_cd(self, x, y):
        """Local linear transform at file pixels, distortion included.

        Parameters
        ----------
        x, y : float or array_like, shape (n,)

        Returns
        -------
        ndarray, shape (n, 2, 2), deg per pixel
            ``(dEast, dNorth) = cd @ (dx, dy)``; central differences over one pixel on the tangent plane, so that it
            holds at the poles too.
        """
        middle = _pairs(x, y)[0]
        xs, ys = (middle + _HALF_STEPS[:, None]).transpose(2, 0, 1)
        ra, dec = np.radians(self.to_sky(xs, ys))  # (5, n)
        sin_ra, cos_ra, sin_dec, cos_dec = np.sin(ra), np.cos(ra), np.sin(dec), np.cos(dec)
        vectors = np.array([cos_dec * cos_ra, cos_dec * sin_ra, sin_dec])
        along_x, along_y, along_z = vectors[:, 1::2] - vectors[:, 2::2]  # (dx|dy, n) each
        east = cos_ra[0] * along_y - sin_ra[0] * along_x
        north = cos_dec[0] * along_z - sin_dec[0] * (cos_ra[0] * along_x + sin_ra[0] * along_y)
        return np.degrees([east, north]).transpose(2, 0, 1)

    def pixel_area_arcsec2(self, x, y):
        """Solid angle of pixels, from the local transform, shape (n,), arcsec²."""
        return np.abs(np.linalg.det(self.local_cd(x, y))) * 3600.0**2


def _pairs(first, second):
    """Numbers or arrays side by side, shape (n, 2), and the shape that they have together."""
    shape = np.broadcast(first, second).shape
    pairs = np.empty((*shape, 2))
    pairs[..., 0], pairs[..., 1] = first, second
    return pairs.reshape(-1, 2), shape
