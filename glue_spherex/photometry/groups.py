"""Normal equations of many sources, solved group by group.

Sources whose templates share no pixel do not influence each other: the normal matrix falls into blocks, one for each
connected group. Groups of the same size are solved together. A group too large for a dense inverse is factorised as a
sparse matrix, and its diagonal and near-diagonal of the inverse follow exactly from the factors (Takahashi, Fagan &
Chin 1973; Erisman & Tinney 1975, Communications of the ACM 18, 177).

Degenerate groups
-----------------
Two sources at the same place can only be measured together. A source whose variance grows by more than
`LARGEST_INFLATION` through its neighbours is marked as failed; the neighbours that are not part of the degeneracy get
the values that they have whatever the split between the degenerate ones.
"""

from dataclasses import dataclass

import numpy as np

#: Largest factor by which neighbours may raise the variance of a flux. 1e5: two point sources 0.002 pixel apart.
LARGEST_INFLATION = 1e5
#: Largest group that is inverted as a dense matrix.
LARGEST_DENSE_GROUP = 2500
_SMALLEST_EIGENVALUE = 1e-12  # of a normal matrix scaled to a unit diagonal


@dataclass(frozen=True, eq=False)
class GroupSolution:
    """The inverse of a normal matrix, by groups.

    Attributes
    ----------
    label : int ndarray, shape (n,)
        Group of each source.
    batches : tuple of (int ndarray (g, k), ndarray (g, k, k))
        Members of g groups of k sources, and the inverses of their normal matrices.
    giants : tuple of GiantGroup
        Groups above `LARGEST_DENSE_GROUP`.
    failed : bool ndarray, shape (n,)
        Sources without information and sources that cannot be told apart.
    """

    label: np.ndarray
    batches: tuple
    giants: tuple
    failed: np.ndarray

    def solve(self, right):
        """Solution of the normal equations for a right-hand side of shape (n,)."""
        solution = np.zeros_like(right)
        for members, inverse in self.batches:
            solution[members] = (inverse @ right[members][:, :, None])[:, :, 0]
        for giant in self.giants:
            solution[giant.members] = giant.solve(right[giant.members])
        return solution

    def variance(self):
        """Diagonal of the inverse, shape (n,)."""
        variance = np.zeros(self.label.size)
        for members, inverse in self.batches:
            variance[members] = inverse.diagonal(axis1=1, axis2=2)
        for giant in self.giants:
            variance[giant.members] = giant.variance
        return variance

    def covariance(self):
        """The inverse as a dense matrix, shape (n, n)."""
        covariance = np.zeros((self.label.size, self.label.size))
        for members, inverse in self.batches:
            covariance[members[:, :, None], members[:, None, :]] = inverse
        for giant in self.giants:
            unit = np.eye(giant.members.size)
            covariance[np.ix_(giant.members, giant.members)] = giant.solve(unit)
        return covariance

    def propagated(self, row_covariance):
        """Diagonal of ``inverse @ C @ inverse`` for the covariance C of the right-hand side.

        Parameters
        ----------
        row_covariance : callable
            ``row_covariance(members)`` gives C for index arrays of shape (g, k) as (g, k, k). For a group above
            `LARGEST_DENSE_GROUP` the square roots of its diagonal are taken as fully correlated.
        """
        variance = np.zeros(self.label.size)
        for members, inverse in self.batches:
            variance[members] = np.einsum("gij,gjk,gik->gi", inverse, row_covariance(members), inverse, optimize=True)
        for giant in self.giants:
            diagonal = row_covariance(giant.members[:, None])[:, 0, 0]
            variance[giant.members] = giant.solve(np.sqrt(diagonal)) ** 2
        return variance

    def projected(self, left, right):
        """For each source k, ``left[k] @ inverse @ right[k]``; `left` and `right` dense or sparse, shape (n, n).

        In a group above `LARGEST_DENSE_GROUP` the inverse is that of the sources that overlap source k.
        """
        result = np.zeros(self.label.size)
        for members, inverse in self.batches:
            rows = _blocks(left, self.label, members)
            columns = rows if right is left else _blocks(right, self.label, members)
            result[members] = np.einsum("gki,gij,gkj->gk", rows, inverse, columns, optimize=True)
        for giant in self.giants:
            result[giant.members] = giant.projected(left, right)
        return result


def solve_groups(normal, active):
    """Invert a normal matrix group by group.

    Parameters
    ----------
    normal : ndarray or sparse array, shape (n, n)
        Symmetric, positive semi-definite. A dense matrix is one group.
    active : bool ndarray, shape (n,)
        Rows that hold information; the others are left out and marked as failed.

    Returns
    -------
    GroupSolution
    """
    n = active.size
    failed = ~active
    if isinstance(normal, np.ndarray):
        members = active.nonzero()[0]
        if members.size == 0:
            return GroupSolution(np.zeros(n, dtype=int), (), (), failed)
        block = normal if members.size == n else normal[members[:, None], members]
        inverse, failed[members] = _inverses(block[None])
        return GroupSolution(np.zeros(n, dtype=int), ((members[None], inverse),), (), failed)
    from scipy.sparse.csgraph import connected_components

    _, label = connected_components(normal, directed=False)
    kept = np.flatnonzero(active)
    kept = kept[np.argsort(label[kept], kind="stable")]
    _, first, size = np.unique(label[kept], return_index=True, return_counts=True)
    batches, giants = [], []
    for k in np.unique(size):
        members = kept[first[size == k][:, None] + np.arange(k)]
        if k > LARGEST_DENSE_GROUP:
            from .giant import GiantGroup

            giants.extend(GiantGroup.factorised(normal, one) for one in members)
            continue
        inverse, failed[members] = _inverses(_blocks(normal, label, members))
        batches.append((members, inverse))
    for giant in giants:
        failed[giant.members] = giant.degenerate
    return GroupSolution(label, tuple(batches), tuple(giants), failed)


def _blocks(matrix, label, members):
    """The diagonal blocks of groups of equal size, shape (g, k, k)."""
    if isinstance(matrix, np.ndarray):
        return matrix[members[:, :, None], members[:, None, :]]
    groups, k = members.shape
    if k == 1:
        return matrix.diagonal()[members[:, 0]][:, None, None]
    place = np.full(label.size, -1)
    place[members] = np.arange(groups * k).reshape(groups, k)
    rows = matrix[members.ravel()].tocoo()
    column = place[rows.coords[1]]
    inside = column >= 0
    blocks = np.zeros((groups, k, k))
    row = rows.coords[0][inside]
    blocks[row // k, row % k, column[inside] % k] = rows.data[inside]
    return blocks


def _inverses(blocks):
    """Inverses of normal matrices, shape (g, k, k), and which of their sources are degenerate, shape (g, k)."""
    scale = 1 / np.sqrt(blocks.diagonal(axis1=1, axis2=2))
    outer = scale[:, :, None] * scale[:, None, :]
    scaled = blocks * outer
    k = scaled.shape[-1]
    if k == 1:
        inverse = np.ones_like(scaled)
    else:
        try:
            inverse = np.linalg.inv(scaled)
        except np.linalg.LinAlgError:
            inverse = np.full_like(scaled, np.nan)
    inflation = inverse.diagonal(axis1=1, axis2=2)
    good = (inflation > 0) & (inflation < LARGEST_INFLATION)  # NaN is not good
    degenerate = np.zeros(inflation.shape, dtype=bool)
    if not good.all():
        for g in (~good.all(axis=1)).nonzero()[0]:
            inverse[g], degenerate[g] = _pseudo_inverse(scaled[g])
    return inverse * outer, degenerate


def _pseudo_inverse(scaled):
    """Inverse of a degenerate matrix with unit diagonal on the space that is determined, and who is not."""
    eigenvalues, vectors = np.linalg.eigh(scaled)
    determined = eigenvalues > _SMALLEST_EIGENVALUE
    floored = np.maximum(eigenvalues, _SMALLEST_EIGENVALUE)
    degenerate = (vectors**2 / floored).sum(axis=1) > LARGEST_INFLATION
    kept = vectors[:, determined]
    return (kept / eigenvalues[determined]) @ kept.T, degenerate
