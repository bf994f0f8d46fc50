"""The point spread function of a detector zone."""

from dataclasses import dataclass

import numpy as np

from .errors import ImageFileError

KINDS = ("optical", "effective")


@dataclass(frozen=True, eq=False)
class PSF:
    """An oversampled point spread function.

    Parameters
    ----------
    kernel : ndarray, shape (k, k), k odd
        The PSF on the oversampled grid, the source at the centre of cell ``[k // 2, k // 2]``. It is normalised
        to sum 1.
    oversampling : int
        Cells per detector pixel along each axis (10 for the ``PSF`` cube, 5 for the ``EPSF`` table).
    kind : {"optical", "effective"}
        An *optical* PSF does not include the detector pixel: a pixel is the integral over its cells. An *effective*
        PSF includes it: a pixel is the sample at its centre (Anderson & King 2000, PASP 112, 1360).

    Raises
    ------
    ImageFileError
        For a kernel that is not square, not odd, not finite or without a positive sum, and for an unknown kind.
    """

    kernel: np.ndarray
    oversampling: int
    kind: str = "optical"

    def __post_init__(self):
        kernel = np.array(self.kernel, dtype=float)
        if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or kernel.shape[0] % 2 == 0:
            raise ImageFileError(f"PSF: the kernel has shape {kernel.shape}; a square with an odd side is needed.")
        if self.kind not in KINDS:
            raise ImageFileError(f"PSF: kind is {self.kind!r}; allowed are {', '.join(KINDS)}.")
        if int(self.oversampling) != self.oversampling or self.oversampling < 1:
            raise ImageFileError(f"PSF: oversampling is {self.oversampling!r}; a whole number from 1 up is needed.")
        total = kernel.sum()
        if not np.isfinite(total) or total <= 0:
            raise ImageFileError(f"PSF: the kernel sums to {total}; a finite sum above 0 is needed.")
        kernel /= total
        kernel.flags.writeable = False
        object.__setattr__(self, "kernel", kernel)
        object.__setattr__(self, "oversampling", int(self.oversampling))

    @property
    def half_width_px(self):
        """Half the width of the kernel in detector pixels."""
        return self.kernel.shape[0] / self.oversampling / 2
