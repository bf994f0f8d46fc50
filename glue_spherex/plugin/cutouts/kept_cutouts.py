"""Cutouts of the archive that are on this computer already: found without asking anybody."""

import os

from ...images import ImageFileError, ImageIndex
from ...images.archive.cutout_store import CutoutStore
from ...images.astrometry import Astrometry
from ...images.exposures import exposure_id
from ...model.detectors import N_PIX


def kept_cutout(row, reach_px=0, store=None, index=None):
    """The cutout of a row's image in a store.

    Parameters
    ----------
    row : MeasuredRow
    reach_px : int
        How far around the position pixels are wanted.
    store : CutoutStore, optional
        The user's own by default.
    index : ImageIndex, optional
        Where headers are remembered; the user's own by default.

    Returns
    -------
    ImageRecord or None
        Of the release that was measured before others; of several, the smallest one that holds all that is wanted,
        else the one with most pixels around the position. None where no cutout holds the position.
    """
    store = store or CutoutStore()
    folders = _folders(row, store)
    if not folders:
        return None
    try:
        records = (index or ImageIndex()).refresh(folders).records
    except ImageFileError:  # removed meanwhile by another process
        return None
    ranked = []
    for record in records:
        around = min(surroundings_px(row, record), reach_px)
        if around >= 0:
            ranked.append((record.release != row.release, -around, record.size, record.path, record))
    for *_, record in sorted(ranked, key=lambda entry: entry[:4]):
        if store.use(record.path):
            return record
    return None


def _folders(row, store):
    """Folders with cutouts of a row's exposure and detector, one for each collection."""
    if exposure_id(row.observation, row.detector) is None:
        return []
    try:
        collections = sorted(os.listdir(store.images))
    except (FileNotFoundError, NotADirectoryError):
        return []
    folders = [store.images / name / row.observation / f"D{row.detector}" for name in collections]
    return [str(folder) for folder in folders if folder.is_dir()]


def is_fetched(record):
    """Whether a file is a cutout as they are fetched from the archive, of which there may be a wider one."""
    return record.cut_from is not None


def surroundings_px(row, record):
    """How far a file reaches around the position of a row, where the image that it was cut out of goes on.

    Parameters
    ----------
    row : MeasuredRow
    record : ImageRecord

    Returns
    -------
    float
        In pixels, from the position to the nearest edge; infinite where all edges are those of the image. -1 where
        the position is not on the image.
    """
    x, y = (float(value) for value in Astrometry(record.wcs_numbers).to_pixels(row.ra, row.dec))
    if not (-0.5 <= x <= record.nx - 0.5 and -0.5 <= y <= record.ny - 0.5):
        return -1.0
    x_lo, x_hi, y_lo, y_hi = record.cut_from or (0, N_PIX, 0, N_PIX)
    edges = []
    for place, first, length, low, high in (
        (x, record.x0, record.nx, x_lo, x_hi),
        (y, record.y0, record.ny, y_lo, y_hi),
    ):
        edges += [place + 0.5] if first > low else []
        edges += [length - 0.5 - place] if first + length < high else []
    return max(min(edges, default=float("inf")), 0.0)
