"""The simulated instrument: distortion, pixel solid angle, wavelengths and PSF of the six detectors, in closed form.

Everything here is a formula that the files sample: the PSF is a sum of two axis-aligned Gaussians per zone, the
wavelength falls exponentially along a bent y axis, the distortion is a third-order SIP polynomial (Shupe et al. 2005,
ASP Conf. 347, 491) with zeroth- and first-order terms. Nothing is shared with the code that measures.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.polynomial import polynomial
from scipy.special import erf

from glue_spherex.model.detectors import CHANNELS, N_PIX, PIXEL_SCALE_ARCSEC, ujy_per_mjy_sr

CENTRE = (N_PIX - 1) / 2  #: 0-based detector pixel of the reference point (CRPIX 1020.5)

#: Third-order SIP coefficients [p, q] of u**p v**q, in the size and with the low orders of a Level-2 header
_SIP_A = np.zeros((4, 4))
_SIP_B = np.zeros((4, 4))
_SIP_A[0] = -3.58888e-1, -3.29487e-6, 1.3734e-6, 4.1987e-12
_SIP_A[1, :3] = 8.9192e-5, 4.17027e-6, 6.39217e-10
_SIP_A[2, :2] = 1.59278e-6, 1.41726e-10
_SIP_A[3, 0] = 5.77708e-10
_SIP_B[0] = -1.1075228, -3.935148e-4, 1.981985e-6, 4.657829e-10
_SIP_B[1, :3] = 6.32481e-5, 7.43915e-7, 5.25941e-11
_SIP_B[2, :2] = 6.6652e-6, 6.37025e-10
_SIP_B[3, 0] = 2.08338e-11

#: Sizes (x, y) of the WCS-WAVE grid by release and detector; QR2's detector 3 has the irregular one below
_WAVE_GRIDS = {
    "qr2": {1: (11, 13), 2: (11, 11), 3: (9, 14), 4: (13, 20), 5: (11, 11), 6: (9, 13)},
    "qr3": {1: (11, 13), 2: (9, 11), 3: (9, 14), 4: (13, 20), 5: (9, 9), 6: (9, 13)},
}
_WAVE_Y_D3 = (1, 36, 71, 105, 140, 141, 379, 617, 855, 1091, 1326, 1564, 1802, 2040)

_BEND_PX = 68.0  # a line of equal wavelength reaches this much higher at the edges than at the centre
_CHANNEL_PX = 116.4  # rows per spectral channel

#: By detector: resolving power, median 1-sigma of a faint point source (µJy), zodiacal light (MJy/sr)
_RESOLVING = {1: 39.2, 2: 41.5, 3: 40.7, 4: 35.4, 5: 112.1, 6: 128.8}
_FAINT_SIGMA_UJY = {1: 30.0, 2: 32.0, 3: 36.0, 4: 43.0, 5: 69.0, 6: 128.0}
_ZODI = {1: 0.26, 2: 0.21, 3: 0.17, 4: 0.13, 5: 0.28, 6: 0.48}
_OMEGA = {1: 37.86, 2: 37.70, 3: 37.87, 4: 37.94, 5: 37.77, 6: 37.94}
_OLD_GAIN = {1: 0.970, 2: 0.981, 3: 0.988, 4: 0.996, 5: 1.007, 6: 1.003}

_PHOTON_SHARE = 0.7  # part of the sky's variance that is photon noise


def pixel_integral(edges_px, sigma_px):
    """Integral of a unit Gaussian at the origin between neighbouring edges.

    Parameters
    ----------
    edges_px : ndarray, shape (..., k + 1)
        Edges relative to the Gaussian's centre.
    sigma_px : float or ndarray, broadcastable to ``(..., 1)``
        Width.

    Returns
    -------
    ndarray, shape (..., k)
    """
    return np.diff(0.5 * erf(edges_px / (sigma_px * np.sqrt(2))), axis=-1)


@dataclass(frozen=True)
class SimulatedDetector:
    """One detector in one release.

    Parameters
    ----------
    number : int
        1 to 6.
    release : {"qr2", "qr3"}
        Fixes the PSF zones, the wide part of the PSF and, by 2e-4, the wavelength solution.
    """

    number: int
    release: str = "qr2"

    # -- geometry ------------------------------------------------------------------------------------------------

    @cached_property
    def sip(self):
        """SIP coefficients A and B, each of shape (4, 4): detector to intermediate pixels."""
        step = self.number - 3
        scale = 1 + 0.08 * step
        a, b = _SIP_A * scale, _SIP_B * scale
        a[0, 0] = _SIP_A[0, 0] + 0.17 * step
        b[0, 0] = _SIP_B[0, 0] + 0.21 * step
        if self.number > 3:  # the MWIR focal plane is mirrored in x
            signs = (-1.0) ** np.arange(4)[:, None]
            a, b = -a * signs, b * signs
        return a, b

    @cached_property
    def sip_inverse(self):
        """SIP coefficients AP and BP, each of shape (4, 4): a least-squares third-order inverse of `sip`."""
        side = np.linspace(-CENTRE, CENTRE, 41)
        u, v = (c.ravel() for c in np.meshgrid(side, side))
        big_u, big_v = self.distort(u, v)
        powers = [(p, q) for p in range(4) for q in range(4 - p)]
        basis = np.stack([(big_u / CENTRE) ** p * (big_v / CENTRE) ** q for p, q in powers], axis=1)
        inverse = []
        for shift in (u - big_u, v - big_v):
            coefficients = np.zeros((4, 4))
            for (p, q), value in zip(powers, np.linalg.lstsq(basis, shift, rcond=None)[0], strict=True):
                coefficients[p, q] = value / CENTRE ** (p + q)
            inverse.append(coefficients)
        return tuple(inverse)

    @cached_property
    def scales_deg(self):
        """Degrees per pixel along x and y, and the skew of the axes in radians."""
        skew = np.radians(2.3 - 0.4 * (self.number - 3))
        both = np.sqrt(_OMEGA[self.number] / np.cos(skew)) / 3600
        return both * 1.0004, both / 1.0004, skew

    def distort(self, u, v):
        """Intermediate pixels of the offsets `u`, `v` from the reference point."""
        a, b = self.sip
        return u + polynomial.polyval2d(u, v, a), v + polynomial.polyval2d(u, v, b)

    def undistort(self, big_u, big_v):
        """The inverse of `distort`, to 1e-10 px."""
        ap, bp = self.sip_inverse
        u, v = big_u + polynomial.polyval2d(big_u, big_v, ap), big_v + polynomial.polyval2d(big_u, big_v, bp)
        for _ in range(6):  # the distortion's slope is < 0.02, so each turn gains two digits
            du, dv = self.distort(u, v)
            u, v = u + big_u - du, v + big_v - dv
        return u, v

    def solid_angle(self, x, y):
        """Solid angle of pixels.

        Parameters
        ----------
        x, y : ndarray, detector pixels
            1-d arrays of the columns and of the rows of a grid.

        Returns
        -------
        ndarray, shape (len(y), len(x)), arcsec²
            Determinant of the distortion times the area of the tangent plane's cell projected on the sky.
        """
        u, v = np.asarray(x, dtype=float) - CENTRE, np.asarray(y, dtype=float) - CENTRE
        a, b = self.sip

        def grid(c):
            p, q = (n - 1 for n in c.shape)
            return polynomial.polyvander(v, q) @ c.T @ polynomial.polyvander(u, p).T

        jacobian = (1 + grid(polynomial.polyder(a, axis=0))) * (1 + grid(polynomial.polyder(b, axis=1))) - grid(
            polynomial.polyder(a, axis=1)
        ) * grid(polynomial.polyder(b, axis=0))
        sx, sy, skew = self.scales_deg
        rho2 = np.radians(sx) * np.radians(sy) * ((u + a[0, 0]) ** 2 + ((v + b[0, 0]) ** 2)[:, None])
        return sx * sy * 3600**2 * np.cos(skew) * jacobian * (1 + rho2) ** -1.5

    # -- wavelength ----------------------------------------------------------------------------------------------

    def wavelength(self, x, y):
        """Central wavelength and bandwidth.

        Parameters
        ----------
        x, y : ndarray, broadcastable, detector pixels

        Returns
        -------
        wavelength_um, width_um : ndarray
        """
        channels = [c.wavelength_um for c in CHANNELS if c.detector == self.number]
        shortest, longest = min(channels), max(channels)
        slope = np.log(longest / shortest) / (16 * _CHANNEL_PX)
        reference = np.sqrt(shortest * longest) * (1.0 if self.release == "qr2" else 1.0002)
        across = (np.asarray(x, dtype=float) - CENTRE) / CENTRE
        along = (np.asarray(y, dtype=float) - CENTRE) / CENTRE
        bend = _BEND_PX * across * (across + 0.04 * (1 - 2 * (self.number % 2)))
        wavelength = reference * np.exp(-slope * CENTRE * along) * np.exp(slope * bend)
        resolving = _RESOLVING[self.number] * (1 + 0.03 * along)
        return wavelength, wavelength / resolving

    def wave_table(self):
        """The coarse grid of WCS-WAVE; read bilinearly it is within 0.7 nm of `wavelength`.

        Returns
        -------
        x, y : ndarray of int, shapes (n,), (m,)
            1-based detector pixels.
        values : ndarray, shape (m, n, 2)
            Wavelength and bandwidth, µm.
        """
        nx, ny = _WAVE_GRIDS[self.release][self.number]
        x, y = (np.round(np.linspace(0, N_PIX, n)).astype(int) for n in (nx, ny))
        x[0] = y[0] = 1
        if ny == len(_WAVE_Y_D3):
            y = np.array(_WAVE_Y_D3)
        values = np.stack(self.wavelength(x - 1.0, y[:, None] - 1.0), axis=-1)
        # the wavelength is convex, so chords lie above it: lower the nodes by half of the largest sag
        middle = self.wavelength((x[1:] + x[:-1]) / 2 - 1, ((y[1:] + y[:-1]) / 2 - 1)[:, None])[0]
        corners = values[..., 0]
        chord = (corners[1:, 1:] + corners[1:, :-1] + corners[:-1, 1:] + corners[:-1, :-1]) / 4
        values[..., 0] -= (chord - middle).max() / 2
        return x, y, values

    # -- light ---------------------------------------------------------------------------------------------------

    @property
    def zone_counts(self):
        """Number of PSF zones along x and y."""
        if self.release == "qr2":
            return 11, 11
        return (11, 41) if self.number == 3 else (21, 21)

    @cached_property
    def zone_centres(self):
        """Centres of the zones along x and along y: two arrays, 0-based detector pixels."""
        return tuple((np.arange(n) + 0.5) * N_PIX / n for n in self.zone_counts)

    def zone_of(self, x, y):
        """Index (x fastest) of the zone whose centre is nearest to each point.

        Parameters
        ----------
        x, y : ndarray, shape (n,), detector pixels

        Returns
        -------
        ndarray of int, shape (n,)
        """
        index = [
            np.abs(np.asarray(v, dtype=float)[:, None] - c).argmin(axis=1)
            for v, c in zip((x, y), self.zone_centres, strict=True)
        ]
        return index[1] * self.zone_counts[0] + index[0]

    @cached_property
    def gaussians(self):
        """The optical PSF of every zone as two Gaussians.

        Returns
        -------
        weights : ndarray, shape (2,)
            They sum to 1.
        sigma_x, sigma_y : ndarray, shape (zones, 2), detector pixels
        """
        x, y = (c.ravel() for c in np.meshgrid(*self.zone_centres))
        across, along = x / CENTRE - 1, y / CENTRE - 1
        core = (0.325 + 0.013 * self.wavelength(x, y)[0]) * (1 + 0.03 * (across**2 + along**2))
        ellipticity = 0.025 * across - 0.03 * along
        # the wide part must fit the stamp: 10.1 px in QR2, 6.6 px in QR3
        wide, share = 1.4 if self.release == "qr2" else 0.9, 0.06
        sigma_x = np.stack([core * (1 + ellipticity), np.full_like(core, wide)], axis=1)
        sigma_y = np.stack([core * (1 - ellipticity), np.full_like(core, wide)], axis=1)
        return np.array([1 - share, share]), sigma_x, sigma_y

    def psf_stamps(self):
        """The PSF as the files hold it.

        Returns
        -------
        ndarray, shape (zones, k, k)
            QR2: optical, integrated over cells of 0.1 px, 101 × 101, each plane on its own scale (0.94 to 1.06), as
            nothing promises a sum of 1. QR3: effective (integrated over a detector pixel around each node), sampled
            every 0.2 px, 33 × 33, sum 1.
        """
        optical = self.release == "qr2"
        half, step = (50, 0.1) if optical else (16, 0.2)
        nodes = np.arange(-half, half + 1) * step
        reach = step / 2 if optical else 0.5
        weights, *sigmas = self.gaussians
        edges = np.stack([nodes - reach, nodes + reach], axis=-1)
        in_x, in_y = (pixel_integral(edges, s[..., None, None])[..., 0] for s in sigmas)  # (zones, 2, k)
        stamps = np.einsum("g,zgj,zgi->zji", weights, in_y, in_x, optimize=True)
        if optical:
            return stamps * (1 + 0.06 * np.sin(np.arange(len(stamps))))[:, None, None]
        return stamps / stamps.sum(axis=(1, 2), keepdims=True)

    @cached_property
    def fwhm_arcsec(self):
        """Median FWHM of the PSF's core."""
        core = np.sqrt(self.gaussians[1][:, 0] * self.gaussians[2][:, 0])
        return float(np.median(core)) * np.sqrt(8 * np.log(2)) * PIXEL_SCALE_ARCSEC

    @cached_property
    def effective_pixels(self):
        """Effective number of noise pixels of a point source at a pixel centre near the middle of the detector."""
        middle = len(self.gaussians[1]) // 2
        weights, sigma_x, sigma_y = self.gaussians
        edges = np.arange(-8, 9) - 0.5
        in_x, in_y = (pixel_integral(edges, s[middle][:, None]) for s in (sigma_x, sigma_y))
        return 1 / (np.einsum("g,gj,gi->ji", weights, in_y, in_x) ** 2).sum()

    # -- sky and noise -------------------------------------------------------------------------------------------

    @property
    def zodi(self):
        """Typical zodiacal light, MJy/sr."""
        return _ZODI[self.number]

    @cached_property
    def omega_statistics(self):
        """Median and standard deviation of the pixels' solid angle, arcsec²."""
        side = np.arange(0, N_PIX, 15.0)
        omega = self.solid_angle(side, side)
        return float(np.median(omega)), float(omega.std())

    @cached_property
    def noise(self):
        """Coefficients a, b of the variance ``a + b * rate``, in (MJy/sr)² and MJy/sr."""
        sigma = _FAINT_SIGMA_UJY[self.number] / ujy_per_mjy_sr(_OMEGA[self.number])
        sky = sigma**2 / self.effective_pixels / 1.5  # a source rarely sits on a pixel centre
        return (1 - _PHOTON_SHARE) * sky, _PHOTON_SHARE * sky / self.zodi

    def old_gain(self, x, y):
        """The factor f that puts QR2 images on the newer gain, on the grid of columns `x` and rows `y`."""
        across, along = (np.asarray(v, dtype=float) / CENTRE - 1 for v in (x, y))
        return _OLD_GAIN[self.number] * (1 + 0.004 * across + 0.003 * (along**2)[:, None])
