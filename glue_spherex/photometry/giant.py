"""Groups of sources too large for a dense inverse."""

from dataclasses import dataclass

import numpy as np

from .groups import LARGEST_INFLATION

_RIDGE = 1e-5  # added to the unit diagonal of sources that coincide with a neighbour, so that a factorisation exists
_LOCAL_RIDGE = 1e-9
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class GiantGroup:
    """A sparse factorisation of the normal matrix of one connected group.

    Attributes
    ----------
    members : int ndarray, shape (k,)
        The sources.
    normal : sparse array, shape (k, k)
        Their normal matrix.
    scale : ndarray, shape (k,)
        What brings its diagonal to 1.
    factor : `~scipy.sparse.linalg.SuperLU`
        Of the scaled matrix.
    variance : ndarray, shape (k,)
        Diagonal of the inverse, exact.
    degenerate : bool ndarray, shape (k,)
    """

    members: np.ndarray
    normal: object
    scale: np.ndarray
    factor: object
    variance: np.ndarray
    degenerate: np.ndarray

    @classmethod
    def factorised(cls, normal, members):
        """Factorise the block of a sparse normal matrix that belongs to `members`."""
        from scipy.sparse import csc_array, diags_array
        from scipy.sparse.linalg import splu

        block = csc_array(normal[members][:, members])
        scale = 1 / np.sqrt(block.diagonal())
        diagonal = diags_array(scale)
        scaled = csc_array(diagonal @ block @ diagonal)
        coincident = _coincident(scaled)
        ridge = diags_array(np.where(coincident, _RIDGE, 0.0))
        factor = splu(
            csc_array(scaled + ridge),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        inflation = inverse_diagonal(factor)
        degenerate = coincident | ~(inflation < LARGEST_INFLATION)
        return cls(members, block.tocsr(), scale, factor, inflation * scale**2, degenerate)

    def solve(self, right):
        """Solution for right-hand sides of shape (k,) or (k, r)."""
        scale = self.scale if right.ndim == 1 else self.scale[:, None]
        return scale * self.factor.solve(scale * right)

    def projected(self, planes):
        """For each source k, ``planes[a][k] @ inverse @ planes[b][k]`` with the inverse of the sources that overlap it.

        Parameters
        ----------
        planes : sequence of p sparse arrays, shape (n, n)

        Returns
        -------
        ndarray, shape (k, p, p)
        """
        normal = self.normal
        planes = [plane[self.members][:, self.members].tocsr() for plane in planes]
        result = np.empty((self.members.size, len(planes), len(planes)))
        place = np.full(self.members.size, -1)
        for k in range(self.members.size):
            near = normal.indices[normal.indptr[k] : normal.indptr[k + 1]]
            place[near] = np.arange(near.size)
            block, rows = np.zeros((near.size, near.size)), np.zeros((len(planes), near.size))
            for i, neighbour in enumerate(near):
                entries = slice(normal.indptr[neighbour], normal.indptr[neighbour + 1])
                column = place[normal.indices[entries]]
                inside = column >= 0
                block[i, column[inside]] = normal.data[entries][inside]
            for row, plane in zip(rows, planes, strict=True):
                entries = slice(plane.indptr[k], plane.indptr[k + 1])
                row[place[plane.indices[entries]]] = plane.data[entries]
            place[near] = -1
            block.flat[:: near.size + 1] *= 1 + _LOCAL_RIDGE
            result[k] = rows @ np.linalg.solve(block, rows.T)
        return result


def _coincident(scaled):
    """Sources with a neighbour that is, within `LARGEST_INFLATION`, the same template."""
    entries = scaled.tocoo()
    row, column = entries.coords
    same = (row != column) & (entries.data**2 > 1 - 1 / LARGEST_INFLATION)
    coincident = np.zeros(scaled.shape[0], dtype=bool)
    coincident[row[same]] = coincident[column[same]] = True
    return coincident


def inverse_diagonal(factor):
    """Diagonal of the inverse of a symmetric positive definite matrix from its sparse factors.

    With L D L^T the factorisation and S the rows below the diagonal of column j of L, the inverse Z satisfies
    ``Z[S, j] = -Z[S, S] L[S, j]`` and ``Z[j, j] = 1 / D[j] - L[S, j] Z[S, j]``; S lies within the parent's column of
    the elimination tree, so that Z[S, S] is known when the columns are taken from the last to the first (Erisman &
    Tinney 1975, Communications of the ACM 18, 177).

    Parameters
    ----------
    factor : `~scipy.sparse.linalg.SuperLU`
        Made in symmetric mode.

    Returns
    -------
    ndarray, shape (k,)
    """
    if not np.array_equal(factor.perm_r, factor.perm_c):
        return _inverse_diagonal_by_columns(factor)
    columns, lower = _closed_columns(factor.L.tocsc())
    k, pivots = len(columns), factor.U.diagonal()
    parents = [column[1] if column.size > 1 else -1 for column in columns]
    children = np.bincount([parent for parent in parents if parent >= 0], minlength=k)
    diagonal, fronts = np.empty(k), {}
    for j in range(k - 1, -1, -1):
        below, parent = columns[j][1:], parents[j]
        front = np.empty((below.size + 1, below.size + 1))
        front[0, 0] = 1 / pivots[j]
        if below.size:
            rows, parent_front = fronts[parent]
            place = np.searchsorted(rows, below)
            front[1:, 1:] = known = parent_front[place[:, None], place]
            front[1:, 0] = front[0, 1:] = -known @ lower[j]
            front[0, 0] -= lower[j] @ front[1:, 0]
            children[parent] -= 1
            if children[parent] == 0:
                del fronts[parent]
        diagonal[j] = front[0, 0]
        if children[j]:
            fronts[j] = (columns[j], front)
    return diagonal[factor.perm_c]


def _closed_columns(lower):
    """Rows of each column of L, the diagonal first, and the values below it.

    The factorisation leaves out entries that cancel to zero. They are put back, so that the rows below the diagonal of
    a column are all found in its parent's column.
    """
    lower.sort_indices()
    k = lower.shape[0]
    stored = [lower.indices[lower.indptr[j] : lower.indptr[j + 1]] for j in range(k)]
    columns, values = list(stored), []
    for j in range(k):
        column, data = columns[j], lower.data[lower.indptr[j] : lower.indptr[j + 1]]
        if column.size > stored[j].size:
            full = np.zeros(column.size)
            full[np.searchsorted(column, stored[j])] = data
            data = full
        values.append(data[1:])
        if column.size > 2:
            parent = column[1]
            joined = np.union1d(columns[parent], column[1:])
            if joined.size > columns[parent].size:
                columns[parent] = joined
    return columns, values


def _inverse_diagonal_by_columns(factor):
    """The same, from solutions for unit vectors."""
    k = factor.shape[0]
    diagonal = np.empty(k)
    for start in range(0, k, _CHUNK):
        stop = min(start + _CHUNK, k)
        unit = np.zeros((k, stop - start))
        unit[np.arange(start, stop), np.arange(stop - start)] = 1.0
        diagonal[start:stop] = factor.solve(unit)[np.arange(start, stop), np.arange(stop - start)]
    return diagonal
