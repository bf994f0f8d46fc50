"""Where the light is, against where it was expected: one offset per source from all its images.

Each image contributes the normal equations of a small shift of the source's template, rotated to the sky:
``H @ shift = g`` with the shift as (East, North) in arcsec. Their sum over images is solved once. The offset is
reported and never applied.
"""

from itertools import pairwise

import numpy as np

from .errors import PhotometryError

#: An image is left out if its offset is farther than this from the median of all images.
LARGEST_DISAGREEMENT_SIGMA = 5.0

_MEDIAN_CHI2 = 2 * np.log(2)  # median of chi² with two degrees of freedom


def shift_terms(matrix, rows, weight, values, level, joint, solution, failed):
    """Gradient and curvature of the log-likelihood for a shift of each source, the fluxes marginalised.

    The derivative images D with the fitted templates T projected out are ``D' = D - D W T^T (T W T^T)^-1 T``. To first
    order the residual of a source off by ``shift`` is ``flux D' @ shift``.

    Parameters
    ----------
    matrix : Design
        Of n sources, with derivatives.
    rows : ndarray or sparse array, shape (n + extra, p)
        What was fitted: its templates, and a joint background.
    weight, values : ndarray, shape (p,), 1/µJy², µJy
        Of the pixels.
    level : ndarray, shape (n,), µJy per pixel, or None
        Background that was subtracted under each source.
    joint : ndarray, shape (n + extra,)
        The solution.
    solution : GroupSolution
    failed : bool ndarray, shape (n,)

    Returns
    -------
    gradient : ndarray, shape (n, 2), 1/px
    curvature : ndarray, shape (n, 2, 2), 1/px²
        Zero where `failed`.

    Raises
    ------
    PhotometryError
        If the templates have no derivatives.
    """
    if not matrix.templates.derivatives:
        raise PhotometryError("centroid: the templates have no derivatives; make them with derivatives=True.")
    n = matrix.templates.n
    planes = [matrix.plane(name) for name in ("dx", "dy")]
    weighted = [matrix.weighted(plane, weight) for plane in planes]
    cross = [plane @ rows.T for plane in weighted]
    flux = np.where(failed, 0.0, joint[:n])
    gradient = np.empty((n, 2))
    for a in range(2):
        gradient[:, a] = weighted[a] @ values - cross[a] @ joint
        if level is not None:
            gradient[:, a] -= level * weighted[a].sum(axis=1)
    curvature = -solution.projected([_padded(terms, joint.size) for terms in cross])[:n]
    for a, b in ((0, 0), (0, 1), (1, 1)):
        curvature[:, a, b] += (weighted[a] * planes[b]).sum(axis=1)
    curvature[:, 1, 0] = curvature[:, 0, 1]
    return gradient * flux[:, None], curvature * (flux**2)[:, None, None]


def _padded(cross, size):
    """A square matrix from (n, size) rows; the rows of a jointly fitted background are empty."""
    if cross.shape[0] == size:
        return cross
    if isinstance(cross, np.ndarray):
        return np.vstack([cross, np.zeros((size - cross.shape[0], size))])
    square = cross.copy()
    square.resize(size, size)
    return square


def sky_normal_equations(hessian_px, gradient_px, cd):
    """Rotate the normal equations of a shift from pixels to the sky.

    Parameters
    ----------
    hessian_px : ndarray, shape (n, 2, 2), 1/px²
    gradient_px : ndarray, shape (n, 2), 1/px
    cd : ndarray, shape (n, 2, 2), deg/px
        ``(east, north) = cd @ (dx, dy)``.

    Returns
    -------
    ndarray, shape (n, 5)
        H_ee, H_en, H_nn (1/arcsec²), g_e, g_n (1/arcsec). A source without information has zeros.
    """
    jacobian = np.linalg.inv(cd * 3600.0)  # (dx, dy) = jacobian @ (east, north)
    transposed = jacobian.transpose(0, 2, 1)
    terms = np.empty((len(cd), 5))
    terms[:, :3] = (transposed @ hessian_px @ jacobian).reshape(-1, 4)[:, [0, 1, 3]]
    terms[:, 3:] = (transposed @ gradient_px[:, :, None])[:, :, 0]
    terms[~np.isfinite(terms).all(axis=1)] = 0.0
    return terms


def combined_offsets(source_id, terms, n_sources):
    """Solve the summed normal equations of each source, without the images that disagree.

    An image whose own offset is farther than `LARGEST_DISAGREEMENT_SIGMA` from the median is left out: a bad pixel
    that the fit did not know makes a flux, and with it a weight, that is far too large. If the others scatter by more
    than their errors say, the error of the result is raised by that factor.

    Parameters
    ----------
    source_id : ndarray of int, shape (m,)
        The source of each row, ascending.
    terms : ndarray, shape (m, 5)
        What `sky_normal_equations` gives.
    n_sources : int

    Returns
    -------
    dict of str to ndarray, shape (n_sources,)
        ``offset_east``, ``offset_north`` and their 1-sigma errors, arcsec; NaN where there is no information.
    """
    offsets = np.full((n_sources, 4), np.nan)
    starts = np.searchsorted(source_id, np.arange(n_sources + 1))
    for number, (start, stop) in enumerate(pairwise(starts)):
        offsets[number] = _one_offset(terms[start:stop])
    names = ("offset_east", "offset_north", "offset_east_err", "offset_north_err")
    return dict(zip(names, offsets.T))


def _one_offset(terms):
    """East, North and their errors of one source; terms of shape (m, 5)."""
    h_ee, h_en, h_nn, g_e, g_n = terms.T
    determinant = h_ee * h_nn - h_en**2
    usable = determinant > 1e-9 * h_ee * h_nn
    if not usable.any():
        return np.full(4, np.nan)
    h_ee, h_en, h_nn, g_e, g_n = terms[usable].T
    determinant = determinant[usable]
    east, north = (h_nn * g_e - h_en * g_n) / determinant, (h_ee * g_n - h_en * g_e) / determinant
    d_east, d_north = east - np.median(east), north - np.median(north)
    chi2 = h_ee * d_east**2 + 2 * h_en * d_east * d_north + h_nn * d_north**2
    scatter = max(1.0, np.median(chi2) / _MEDIAN_CHI2)
    kept = chi2 <= LARGEST_DISAGREEMENT_SIGMA**2 * scatter
    hessian = np.array([[h_ee[kept].sum(), h_en[kept].sum()], [h_en[kept].sum(), h_nn[kept].sum()]])
    covariance = np.linalg.inv(hessian)
    offset = covariance @ [g_e[kept].sum(), g_n[kept].sum()]
    return np.concatenate([offset, np.sqrt(np.diag(covariance) * scatter)])
