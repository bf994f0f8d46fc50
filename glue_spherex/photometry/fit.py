"""What a fit of sources on one image gives."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class Fit:
    """Fluxes of n sources on one image.

    Attributes
    ----------
    flux : ndarray, shape (n,), µJy
        NaN where `failed`.
    flux_err : ndarray, shape (n,), µJy
        Marginal error: of the pixels' noise, of the sources fitted together, and of the background. Infinite where
        `failed`.
    flux_err_tractor : ndarray, shape (n,), µJy
        The error that The Tractor reports, which ignores the neighbours and the background.
    flux_err_background : ndarray, shape (n,), µJy
        The part of `flux_err` that is due to the subtracted background (0 for one fitted jointly: there it is part of
        the noise's error).
    failed : bool ndarray, shape (n,)
        No usable pixel under the source (`SMALLEST_POWER`), or a source that cannot be told from another one.
    masked_fraction : ndarray, shape (n,)
        Fraction of the template's flux on unusable pixels or off the image.
    background, background_err : ndarray, shape (n,), µJy per pixel
        The background at the pixels nearest to the sources, given or jointly fitted.
    group : int ndarray, shape (n,)
        Sources with the same number were solved together.
    centroid_gradient : ndarray, shape (n, 2), per pixel, or None
        Gradient g of the log-likelihood with respect to a shift (x, y) of the source, and
    centroid_curvature : ndarray, shape (n, 2, 2), per pixel², or None
        its curvature H, both with the fluxes marginalised: the shift is ``inv(H) @ g`` with covariance ``inv(H)``;
        g and H of several images add up. Zero where `failed`.
    """

    flux: np.ndarray
    flux_err: np.ndarray
    flux_err_tractor: np.ndarray
    flux_err_background: np.ndarray
    failed: np.ndarray
    masked_fraction: np.ndarray
    background: np.ndarray
    background_err: np.ndarray
    group: np.ndarray
    centroid_gradient: np.ndarray | None
    centroid_curvature: np.ndarray | None
    _design: object = field(repr=False)
    _solution: object = field(repr=False)
    _joint_flux: np.ndarray = field(repr=False)

    @cached_property
    def covariance(self):
        """Covariance of the fluxes, shape (n, n), µJy²; without the subtracted background's part.

        Infinite on the diagonal and zero elsewhere for failed sources.
        """
        n = self.flux.size
        covariance = self._solution.covariance()[:n, :n]
        covariance[self.failed, :] = covariance[:, self.failed] = 0.0
        covariance[self.failed, self.failed] = np.inf
        return covariance

    @cached_property
    def model(self):
        """Image of the sources, shape (ny, nx), µJy per pixel.

        Sources that cannot be told apart are in it with their common flux.
        """
        return self._design.spread(self._joint_flux @ self._design.rows)

    @cached_property
    def templates(self):
        """Images of unit flux, shape (n, ny, nx)."""
        rows = self._design.rows if self._design.is_dense else self._design.rows.toarray()
        return np.array([self._design.spread(row) for row in rows]).reshape(-1, *self._design.shape)
