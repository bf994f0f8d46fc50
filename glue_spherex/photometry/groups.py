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

#: Largest factor by which neighbours may raise the variance of a flux.
LARGEST_INFLATION = 1e5
#: What this means for two point sources.
LEAST_SEPARATION_PX = 0.002
#: Largest group that is inverted as a dense matrix.
LARGEST_DENSE_GROUP = 2500
_SMALLEST_EIGENVALUE = 0.5 / LARGEST_INFLATION  # of a scaled normal matrix: that of a pair at the limit
_SMALLEST_PART = 0.01  # of a source in the undetermined directions: with more, it is degenerate


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the sources are among the groups.

    Attributes
    ----------
    label : int ndarray, shape (n,)
        Group of each source.
    batches : tuple of int ndarray, shape (g, k)
        Members of g groups of k sources that are solved together.
    giants : tuple of int ndarray, shape (k,)
        Members of the groups above `LARGEST_DENSE_GROUP`.
    """

    label: np.ndarray
    batches: tuple
    giants: tuple

    def blocks(self, matrix):
        """The diagonal blocks of a matrix that connects members of the same group only: (g, k, k) for each batch."""
        if isinstance(matrix, np.ndarray):
            return [matrix[members[:, :, None], members[:, None, :]] for members in self.batches]
        n = self.label.size
        start, place, size = np.full(n, -1), np.zeros(n, dtype=int), np.zeros(n, dtype=int)
        total = 0
        for members in self.batches:
            groups, k = members.shape
            start[members] = total + np.arange(groups)[:, None] * k**2
            place[members], size[members] = np.arange(k), k
            total += groups * k**2
        flat = np.zeros(total)
        entries = matrix.tocoo()
        row, column = entries.coords
        inside = (start[row] >= 0) & (start[column] >= 0)
        row, column = row[inside], column[inside]
        flat[start[row] + place[row] * size[row] + place[column]] = entries.data[inside]
        parts = np.split(flat, np.cumsum([members.size * members.shape[1] for members in self.batches]))
        return [part.reshape(*members.shape, -1) for part, members in zip(parts, self.batches, strict=False)]


@dataclass(frozen=True, eq=False)
class GroupSolution:
    """The inverse of a normal matrix, by groups.

    Attributes
    ----------
    layout : Layout
        The groups.
    inverses : list of ndarray, shape (g, k, k)
        For each batch of the layout.
    giants : list of GiantGroup
        The groups above `LARGEST_DENSE_GROUP`.
    failed : bool ndarray, shape (n,)
        Sources without information and sources that cannot be told apart.
    """

    layout: Layout
    inverses: list
    giants: list
    failed: np.ndarray

    @property
    def batches(self):
        """Pairs of members and inverses."""
        return zip(self.layout.batches, self.inverses, strict=True)

    def solve(self, right):
        """Solution of the normal equations for a right-hand side of shape (n,)."""
        solution = np.zeros(self.failed.size)
        for members, inverse in self.batches:
            solution[members] = (inverse @ right[members][:, :, None])[:, :, 0]
        for giant in self.giants:
            solution[giant.members] = giant.solve(right[giant.members])
        return solution

    def variance(self):
        """Diagonal of the inverse, shape (n,)."""
        variance = np.zeros(self.failed.size)
        for members, inverse in self.batches:
            variance[members] = inverse.diagonal(axis1=1, axis2=2)
        for giant in self.giants:
            variance[giant.members] = giant.variance
        return variance

    def covariance(self):
        """The inverse as a dense matrix, shape (n, n)."""
        covariance = np.zeros((self.failed.size, self.failed.size))
        for members, inverse in self.batches:
            covariance[members[:, :, None], members[:, None, :]] = inverse
        for giant in self.giants:
            covariance[np.ix_(giant.members, giant.members)] = giant.solve(np.eye(giant.members.size))
        return covariance

    def propagated(self, row_covariance):
        """Diagonal of ``inverse @ C @ inverse`` for the covariance C of the right-hand side.

        Parameters
        ----------
        row_covariance : callable
            ``row_covariance(members)`` gives C for index arrays of shape (g, k) as (g, k, k). For a group above
            `LARGEST_DENSE_GROUP` the square roots of its diagonal are taken as fully correlated.
        """
        variance = np.zeros(self.failed.size)
        for members, inverse in self.batches:
            variance[members] = np.einsum("gij,gji->gi", inverse @ row_covariance(members), inverse)
        for giant in self.giants:
            diagonal = row_covariance(giant.members[:, None])[:, 0, 0]
            variance[giant.members] = giant.solve(np.sqrt(diagonal)) ** 2
        return variance

    def projected(self, planes):
        """For each source k, ``planes[a][k] @ inverse @ planes[b][k]``.

        Parameters
        ----------
        planes : sequence of p matrices, dense or sparse, shape (n, n)

        Returns
        -------
        ndarray, shape (n, p, p)
            In a group above `LARGEST_DENSE_GROUP` the inverse is that of the sources that overlap source k.
        """
        result = np.zeros((self.failed.size, len(planes), len(planes)))
        rows = [self.layout.blocks(plane) for plane in planes]
        for number, (members, inverse) in enumerate(self.batches):
            for b in range(len(planes)):
                solved = rows[b][number] @ inverse
                for a in range(b + 1):
                    value = np.einsum("gki,gki->gk", rows[a][number], solved)
                    result[members, a, b] = result[members, b, a] = value
        for giant in self.giants:
            result[giant.members] = giant.projected(planes)
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
    failed = ~active
    members = active.nonzero()[0]
    if isinstance(normal, np.ndarray):
        layout = Layout(np.zeros(active.size, dtype=int), (members[None],) if members.size else (), ())
    else:
        layout = _connected(normal, members)
    inverses = []
    for group, block in zip(layout.batches, layout.blocks(normal), strict=True):
        inverse, failed[group] = _inverses(block)
        inverses.append(inverse)
    giants = []
    for group in layout.giants:
        from .giant import GiantGroup

        giants.append(GiantGroup.factorised(normal, group))
        failed[group] = giants[-1].degenerate
    return GroupSolution(layout, inverses, giants, failed)


def _connected(normal, members):
    """The connected groups of a sparse matrix."""
    from scipy.sparse.csgraph import connected_components

    _, label = connected_components(normal, directed=False)
    members = members[np.argsort(label[members], kind="stable")]
    _, first, size = np.unique(label[members], return_index=True, return_counts=True)
    batches, giants = [], []
    for k in np.unique(size):
        groups = members[first[size == k][:, None] + np.arange(k)]
        if k > LARGEST_DENSE_GROUP:
            giants.extend(groups)
        else:
            batches.append(groups)
    return Layout(label, tuple(batches), tuple(giants))


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
    """Inverse of a degenerate matrix with unit diagonal where it is determined, and which sources are not."""
    eigenvalues, vectors = np.linalg.eigh(scaled)
    determined = eigenvalues > _SMALLEST_EIGENVALUE
    kept = vectors[:, determined]
    inverse = (kept / eigenvalues[determined]) @ kept.T
    undetermined = (vectors[:, ~determined] ** 2).sum(axis=1)
    return inverse, (undetermined > _SMALLEST_PART) | (inverse.diagonal() > LARGEST_INFLATION)
