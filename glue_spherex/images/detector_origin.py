"""Which pixels of the detector a file holds: the one place that knows how cutouts and detector relate."""

import numpy as np

from glue_spherex.model.detectors import N_PIX

from .errors import ImageFileError

_FRAME_CENTRE = (N_PIX + 1) / 2  # CRPIX of a full frame, 1-based
_TOLERANCE_PX = 2.0


def detector_origin(header, shape, path):
    """Detector pixel (0-based) of a file's pixel (0, 0).

    ``x_det = x_file + 1 − CRPIX1A``, the alternate WCS of 0-based detector pixels. Without it the celestial reference
    pixel tells: it is 1020.5 in a full frame. Both must agree: files with the opposite sign of CRPIX1A exist, and
    would be measured at mirrored wavelengths.

    Parameters
    ----------
    header : Header
        Of the IMAGE HDU.
    shape : (ny, nx)
    path : str
        For messages.

    Returns
    -------
    x0, y0 : int

    Raises
    ------
    ImageFileError
        For an origin that is impossible or contradicts the celestial WCS.
    """
    origin = []
    for axis, length in ((1, shape[1]), (2, shape[0])):
        reference = header.number(f"CRPIX{axis}A")
        from_sky = _FRAME_CENTRE - header.number(f"CRPIX{axis}", np.nan)
        if reference is None:
            start, source = from_sky, f"CRPIX{axis} {header.get(f'CRPIX{axis}')}"
        else:
            start = 1 - reference + header.number(f"CRVAL{axis}A", 0.0)
            source = f"CRPIX{axis}A {reference}"
        if not np.isfinite(start) or round(start) < 0 or round(start) + length > N_PIX:
            raise ImageFileError(
                f"{path}: {source} puts axis {axis} of the image at detector pixels {start} to {start + length - 1}; "
                f"0 to {N_PIX - 1} is possible. The file was cut out wrongly; fetch it again."
            )
        if length < N_PIX and abs(start - from_sky) > _TOLERANCE_PX:
            raise ImageFileError(
                f"{path}: {source} puts axis {axis} of the image at detector pixel {start}, CRPIX{axis} "
                f"{header.get(f'CRPIX{axis}')} at {from_sky}; they must agree. Was the file cut out wrongly?"
            )
        origin.append(round(start))
    return tuple(origin)
