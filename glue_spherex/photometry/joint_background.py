"""A background fitted together with the fluxes: extra rows of the design matrix."""

import numpy as np


def background_rows(matrix, kind):
    """Rows of a design matrix with a background for each group of sources whose patches overlap.

    Parameters
    ----------
    matrix : Design
        Of n sources.
    kind : {"constant", "plane"}
        One row for each group, or three.

    Returns
    -------
    rows : ndarray or sparse array, shape (n + extra, p)
        The templates' rows, followed by the backgrounds', which are 1, and x and y from the middle of the group in
        units of 10 pixels, on the pixels of the group's patches.
    levels : callable
        ``levels(solution_vector, group_solution)`` gives the background at each source and its error.
    """
    from scipy.sparse import csr_array, vstack
    from scipy.sparse.csgraph import connected_components

    footprint = csr_array(matrix.plane("footprint"))
    n = matrix.templates.n
    _, label = connected_components(footprint @ footprint.T, directed=False)
    groups = label.max() + 1
    members = csr_array((np.ones(n), (label, np.arange(n))), shape=(groups, n))
    area = (members @ footprint).tocsr()
    area.data[:] = 1.0
    kept = area.copy()
    if kind == "constant":
        extra, where = [kept], None
    else:
        x, y = matrix.pixels % matrix.shape[1] / 10, matrix.pixels // matrix.shape[1] / 10
        count = np.maximum(np.asarray(area.sum(axis=1)), 1)
        middle = np.stack([area @ x / count, area @ y / count])
        extra = [kept]
        for axis, position in enumerate((x, y)):
            tilt = area.copy()
            tilt.data = position[tilt.indices] - np.repeat(middle[axis], np.diff(tilt.indptr))
            extra.append(tilt)
        where = np.array(_positions(matrix.templates)) / 10 - middle[:, label]
    rows = matrix.rows
    rows = np.vstack([rows, *(e.toarray() for e in extra)]) if matrix.is_dense else vstack([rows, *extra], format="csr")

    def levels(vector, solution):
        return _levels(vector, solution, n, groups, label, where)

    return rows, levels


def _positions(templates):
    """Middle of each patch: x and y, shape (n,)."""
    x, y = np.empty(templates.n), np.empty(templates.n)
    for members, patches in templates.blocks:
        half = patches.values.shape[-1] // 2
        x[members], y[members] = patches.x0 + half, patches.y0 + half
    return x, y


def _levels(vector, solution, n, groups, label, where):
    """Background at each source and its error, from the solution of the extended normal equations."""
    terms = np.stack([n + label + groups * i for i in range(1 if where is None else 3)], axis=1)
    factors = np.ones(terms.shape)
    if where is not None:
        factors[:, 1:] = where.T
    level = (vector[terms] * factors).sum(axis=1)
    variance = np.zeros(n)
    for members, inverse in solution.batches:
        place = np.zeros(vector.size, dtype=int)
        place[members] = np.arange(members.shape[1])
        group = np.zeros(vector.size, dtype=int)
        group[members] = np.arange(members.shape[0])[:, None]
        sources = np.intersect1d(members, np.arange(n))
        block = inverse[
            group[sources][:, None, None], place[terms[sources]][:, :, None], place[terms[sources]][:, None, :]
        ]
        variance[sources] = np.einsum("ki,kij,kj->k", factors[sources], block, factors[sources])
    return level, np.sqrt(variance)
