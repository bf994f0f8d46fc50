"""Where the light is, against where it was expected: one offset per source from all its images.

Each image contributes the normal equations of a small shift of the source's template, rotated to the sky:
``H @ shift = g`` with the shift as (East, North) in arcsec. Their sum over images is solved once. The offset is
reported and never applied.
"""

import numpy as np


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
    hessian = np.einsum("nia,nij,njb->nab", jacobian, hessian_px, jacobian)
    gradient = np.einsum("nia,ni->na", jacobian, gradient_px)
    terms = np.column_stack([hessian[:, 0, 0], hessian[:, 0, 1], hessian[:, 1, 1], gradient[:, 0], gradient[:, 1]])
    return np.where(np.isfinite(terms).all(axis=1, keepdims=True), terms, 0.0)


def combined_offsets(source_id, terms, n_sources):
    """Solve the summed normal equations of each source.

    Parameters
    ----------
    source_id : ndarray of int, shape (m,)
        The source of each row.
    terms : ndarray, shape (m, 5)
        What `sky_normal_equations` gives.
    n_sources : int

    Returns
    -------
    dict of str to ndarray, shape (n_sources,), arcsec
        ``offset_east``, ``offset_north`` and their 1-sigma errors; NaN where there is no information.
    """
    h_ee, h_en, h_nn, g_e, g_n = (
        np.bincount(source_id, weights=column, minlength=n_sources) for column in np.reshape(terms, (-1, 5)).T
    )
    determinant = h_ee * h_nn - h_en**2
    usable = determinant > 1e-12 * np.maximum(h_ee * h_nn, 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {
            "offset_east": (h_nn * g_e - h_en * g_n) / determinant,
            "offset_north": (h_ee * g_n - h_en * g_e) / determinant,
            "offset_east_err": np.sqrt(h_nn / determinant),
            "offset_north_err": np.sqrt(h_ee / determinant),
        }
    return {name: np.where(usable, value, np.nan) for name, value in values.items()}
